# SPDX-License-Identifier: Apache-2.0
"""The benchmarks: real binaries, peers from Debian's packages in the same run, ratios of CPU time. Prints tables; judges nothing.

    run.sh [--quick] [--objects=N] [cpu] [served] [scale] [api] [lists] [fleet]

cpu     microseconds of server CPU per connection (full TLS 1.3 handshake, one small request relayed, close; no tickets), P-256 and
        RSA-2048: the agent, nginx stream, HAProxy, hitch, and the floor: OpenSSL alone over memory BIOs + a bare relay without TLS
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
import statistics
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from lib import openssl_cert, pin, run_json, spread, ssl_object, table, tool  # noqa: E402
import api  # noqa: E402
import fleet  # noqa: E402
import lists  # noqa: E402
import peers  # noqa: E402
import scale  # noqa: E402
from harness.world import World  # noqa: E402

SERVER_CORE = 0
PARTS = ("cpu", "served", "scale", "api", "lists", "fleet")
PLAIN_CLIENT_US = 75  # what a plain connection costs client and backend, measured


# cpu -----------------------------------------------------------------------------------------------------------------

def measure_port(port, backend_port, pids, connections, *more):
    return run_json([tool("load"), "--port", port, "--backend-port", backend_port, "--connections", connections, *more, *pids])


def agent_server(world, cert, key, backend_port):
    """(port, pids) of an agent with one worker that serves the certificate."""
    controlplane = world.controlplane()
    agent = world.agent(controlplane, "--workers", "1")
    port = peers.free_port()
    controlplane.api.apply(put=[
        ("ssls", "bench", ssl_object(cert, key, "bench.example")),
        ("upstreams", "backend", {"nodes": {f"127.0.0.1:{backend_port}": 1}}),
        ("tls_options", "bench", {"session_tickets": False}),  # as the peers are configured
        ("listeners", "bench", {"bind": f"127.0.0.1:{port}", "upstream": "backend", "tls_options": "bench"}),
    ], wait="acked", timeout=30).expect(200, 201)
    pin(agent.daemon.pid, SERVER_CORE)
    pin(controlplane.daemon.pid, SERVER_CORE)
    return port, [agent.daemon.pid]


def cpu_one_algorithm(work, algorithm, connections, rounds):
    cert, key = openssl_cert(work, algorithm, algorithm)
    log = open(work / "peers.log", "ab")  # noqa: SIM115
    world = World(work / f"world-{algorithm}")
    world.tmp.mkdir()
    servers, closers, figures = [], [], {}
    backend_port = peers.free_port()
    try:
        servers.append(("tlsplane agent", *agent_server(world, cert, key, backend_port)))
        for name, program, make in peers.ALL:
            if not peers.installed(program):
                continue
            peer = make(work, cert, key, backend_port, SERVER_CORE, log)
            closers.append(peer)
            servers.append((name, peer.port, peer.pids()))
        relay = peers.Peer("bare relay", [tool("bare_relay"), str(free := peers.free_port()), str(backend_port)], free, SERVER_CORE, log)
        closers.append(relay)
        for _ in range(rounds):
            for name, port, pids in servers:
                measured = measure_port(port, backend_port, pids, connections)
                figures.setdefault(name, []).append(measured["cpu_us_per_connection"])
                if pids is servers[0][2]:
                    wall_us = measured["wall_s"] * 1e6 / connections
            # At the rate of the TLS run: its clients are busy with their own handshakes, and a server that is never idle pays no wake-ups.
            think = max(0, int(wall_us) - PLAIN_CLIENT_US)
            bare = measure_port(relay.port, backend_port, relay.pids(), connections, "--plain", "--think", think)["cpu_us_per_connection"]
            alone = run_json([tool("openssl_alone"), cert, key, connections], SERVER_CORE)["cpu_us_per_connection"]
            figures.setdefault("OpenSSL alone", []).append(alone)
            figures.setdefault("bare relay", []).append(bare)
            figures.setdefault("floor (both)", []).append(alone + bare)
    finally:
        for closer in closers:
            closer.close()
        problems = world.close()
    if problems:
        raise RuntimeError(problems[0])
    return figures


def bench_cpu(work, quick):
    for algorithm in ("P-256", "RSA-2048"):
        figures = cpu_one_algorithm(work, algorithm, 200 if quick else 3000, 1 if quick else 7)
        floor = figures["floor (both)"]
        rows = []
        for name, values in figures.items():
            ratios = [value / base for value, base in zip(values, floor)]
            rows.append([name, spread(values), f"{statistics.median(ratios):.2f}"])
        table(f"Server CPU per connection, {algorithm}, TLS 1.3 full handshake, no tickets", ["server", "us (min-max)", "of the floor"], rows)


def main(arguments):
    quick = "--quick" in arguments
    objects = next((int(a.split("=")[1]) for a in arguments if a.startswith("--objects=")), 1_000_000)
    parts = [a for a in arguments if not a.startswith("--")] or PARTS
    unknown = set(parts) - set(PARTS)
    if unknown:
        raise SystemExit(f"unknown part: {', '.join(sorted(unknown))} ({', '.join(PARTS)})")
    work = pathlib.Path(tempfile.mkdtemp(prefix="tlsplane-bench-"))
    work.chmod(0o755)
    try:
        if "cpu" in parts:
            bench_cpu(work, quick)
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
