# SPDX-License-Identifier: Apache-2.0
"""The benchmarks: real binaries, peers from Debian's packages in the same run, ratios of CPU time. Prints tables; judges nothing.

    run.sh [--quick] [--objects=N] [--names=N] [cpu] [relay] [idle] [names] [served] [scale] [api] [lists] [fleet]

cpu     microseconds of server CPU per connection (TLS 1.3 handshake, one small request relayed, close), P-256 and RSA-2048 in full
        with two tickets each, P-256 resumed with one: the agent, nginx stream, HAProxy, hitch, and the floor: OpenSSL alone over
        memory BIOs + a bare relay without TLS
relay   MB per second of server CPU between TLS and plain TCP, downloads and uploads, and CPU per small message: the same servers, SSL_write
        alone, and the bare relay
idle    memory of the servers per idle connection; 10,000 idle and 10,000 active ones on one agent (fewer where a process may not open
        42,000 files)
names   an agent's CPU per handshake for random names of 1, 1,000 and N certificates (100,000 unless said), and for those not asked for yet
served  from the PUT sent to the new leaf served by an agent, at 10, 100,000 and N stored objects (1,000,000 unless said)
scale   N P-256 objects: seconds to load by apply, the agent's memory, from its exec to the first served handshake (from its cache, from the
        control plane), one change and 10,000 at once, and the latency of handshakes meanwhile
api     durable PUTs per second with 1 and with 16 clients, one apply of 100,000 objects (seconds, peak memory of the control plane), and
        the longest time that its loop did one thing after another without looking up
lists   GET of one object and of lists, filtered and sorted, beside 1,000 and beside 1,000,000 stored objects
fleet   10,000 simulated agents on one control plane: memory of each, one change to the last acknowledgement, the storm after a restart
--quick small numbers, to see that everything runs (the test run does that)
"""
import pathlib
import shutil
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import api  # noqa: E402
import cpu  # noqa: E402
import fleet  # noqa: E402
import idle  # noqa: E402
import lists  # noqa: E402
import names  # noqa: E402
import relay  # noqa: E402
import scale  # noqa: E402

PARTS = ("cpu", "relay", "idle", "names", "served", "scale", "api", "lists", "fleet")


def main(arguments):
    quick = "--quick" in arguments
    objects = next((int(a.split("=")[1]) for a in arguments if a.startswith("--objects=")), 1_000_000)
    many = next((int(a.split("=")[1]) for a in arguments if a.startswith("--names=")), 100_000)
    parts = [a for a in arguments if not a.startswith("--")] or PARTS
    unknown = set(parts) - set(PARTS)
    if unknown:
        raise SystemExit(f"unknown part: {', '.join(sorted(unknown))} ({', '.join(PARTS)})")
    work = pathlib.Path(tempfile.mkdtemp(prefix="tlsplane-bench-"))
    work.chmod(0o755)
    try:
        if "cpu" in parts:
            cpu.bench_cpu(work, quick)
        if "relay" in parts:
            relay.bench_relay(work, quick)
        if "idle" in parts:
            idle.bench_idle(work, quick)
        if "names" in parts:
            names.bench_names(work, quick, many)
        if "served" in parts or "scale" in parts:
            scale.bench_scale(work, quick, "served" in parts, "scale" in parts, objects)
        if "api" in parts:
            api.bench_api(work, quick)
        if "lists" in parts:
            lists.bench_lists(work, quick)
        if "fleet" in parts:
            fleet.bench_fleet(work, quick)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
