# SPDX-License-Identifier: Apache-2.0
"""The admin API's figures: durable PUTs per second, one apply of very many objects, and how long the control plane's loop ever kept
everything else waiting meanwhile. Each phase has a freshly started control plane, so that its longest turn is that of the phase."""
import json
import os
import re
import statistics
import subprocess
import time

from lib import openssl_cert, run_json, ssl_object, table, tool
from harness.world import World

NDJSON = {"Content-Type": "application/x-ndjson"}


def sample(controlplane, name):
    text = controlplane.api.get("/metrics").expect(200).body.decode()
    return float(re.search(rf"^{name} (\S+)$", text, re.MULTILINE)[1])


def longest_ms(controlplane):
    """By the clock, and of it the processor's time."""
    wall, cpu = (sample(controlplane, f"tlsplane_loop_turn{what}_longest_seconds") * 1e3 for what in ("", "_cpu"))
    return f"{wall:.1f} ({cpu:.1f})"


def sync_ms(directory):
    """What making 4 KiB durable costs here, without us."""
    path, took = directory / "sync", []
    with open(path, "wb") as sink:
        for _ in range(50):
            sink.write(bytes(4096))
            sink.flush()
            begun = time.monotonic()
            os.fdatasync(sink.fileno())
            took.append((time.monotonic() - begun) * 1e3)
    path.unlink()
    return statistics.median(took)


def bench_puts(work, seconds):
    world = World(work / "world-puts")
    world.tmp.mkdir()
    rows = []
    try:
        bodies = []
        for side in "ab":
            pair = openssl_cert(world.tmp, f"side-{side}", "P-256", "*.put.example")
            bodies.append(world.tmp / f"side-{side}.json")
            bodies[-1].write_text(json.dumps(ssl_object(*pair, "@.put.example")) + "\n")
        controlplane = world.controlplane("--admin-rate", "0")
        for clients in (1, 16):
            if clients > 1:
                controlplane.restart("--admin-rate", "0")
            done = run_json([tool("puts"), controlplane.admin_port, controlplane.dir / "admin.token", clients, seconds, *bodies])
            rows.append([clients, f"{done['per_second']:.0f}", done["p50_ms"], done["p99_ms"], done["max_ms"], longest_ms(controlplane)])
        sync = sync_ms(world.tmp)
    finally:
        problems = world.close()
    if problems:
        raise RuntimeError(problems[0])
    table(f"Durable PUTs of an SSL object (fdatasync alone: {sync:.2f} ms)",
          ["clients", "PUTs/s", "p50 ms", "p99 ms", "max ms", "longest turn of the loop, ms (CPU)"], rows)


def make_lines(world, count):
    """One NDJSON body of `count` objects."""
    directory = world.tmp / "objects"
    directory.mkdir()
    subprocess.run([tool("make_objects"), directory, str(count), "1000"], check=True)
    lines = []
    for path in sorted(directory.glob("apply-*.json")):
        lines += [json.dumps({"op": "put", **item}) for item in json.loads(path.read_text())["put"]]
        path.unlink()
    return "\n".join(lines).encode() + b"\n"


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as source:
        fields = source.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Memory:
    """The most that a process has had resident since this was made."""

    def __init__(self, pid):
        self.pid = pid
        with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as sink:
            sink.write("5")

    def peak_mib(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as source:
            return int(re.search(r"^VmHWM:\s+(\d+)", source.read(), re.MULTILINE)[1]) / 1024


def bench_bulk(work, count):
    world = World(work / "world-bulk")
    world.tmp.mkdir()
    try:
        body = make_lines(world, count)
        controlplane = world.controlplane()
        rows = []
        for what, changed in (("new", True), ("again, nothing changes", False)):
            memory = Memory(controlplane.daemon.pid)
            begun, cpu = time.monotonic(), cpu_seconds(controlplane.daemon.pid)
            answer = controlplane.api.post("/v1/apply", body, headers=NDJSON, deadline=900).expect(200).json
            seconds = time.monotonic() - begun
            if answer["changed"] is not changed:
                raise RuntimeError(answer)
            cpu = cpu_seconds(controlplane.daemon.pid) - cpu
            time.sleep(3)
            rows.append([what, f"{seconds:.1f}", f"{cpu:.1f}", f"{count / seconds:.0f}", f"{memory.peak_mib():.0f}",
                         f"{controlplane.daemon.rss_kib() / 1024:.0f}", longest_ms(controlplane),
                         f"{sample(controlplane, 'tlsplane_writer_turn_longest_seconds'):.1f}"])
            controlplane.restart()
    finally:
        problems = world.close()
    if problems:
        raise RuntimeError(problems[0])
    table(f"One apply of {count:,} P-256 objects, {len(body) / 2**20:.0f} MiB of NDJSON",
          ["objects", "s", "CPU s", "objects/s", "peak MiB", "MiB 3 s later", "longest turn of the loop, ms (CPU)", "writer busy, s"], rows)


def refused_bodies(size):
    """(what, method, path, body of about `size` bytes that is refused)"""
    labels = b",".join(b'"k%d":"v"' % i for i in range(size // 15))
    document = b'{"nodes": {"127.0.0.1:9": 1}, "labels": {' + labels + b"}"
    return [("an object of very many labels", "PUT", "/v1/upstreams/x", document + b"}"),
            ("the same, and one key twice in the end", "PUT", "/v1/upstreams/x", document + b', "nodes": 1}'),
            ("a list where none may be", "PUT", "/v1/upstreams/x", b'{"labels": [' + b",".join([b"1"] * (size // 2)) + b"]}"),
            ("an item of a change", "POST", "/v1/apply", b'{"put": [{"kind": "upstreams", "id": "x", "value": ' + document + b"}}]}")]


def bench_refused(work, size):
    """What a large body that is refused leaves in memory some seconds later."""
    world = World(work / "world-refused")
    world.tmp.mkdir()
    rows = []
    try:
        controlplane = world.controlplane("--admin-rate", "0")
        for what, method, path, body in refused_bodies(size):
            controlplane.restart("--admin-rate", "0")
            before, memory = controlplane.daemon.rss_kib() / 1024, Memory(controlplane.daemon.pid)
            controlplane.api.call(method, path, body, deadline=60).expect(400, 422)
            time.sleep(3)
            rows.append([what, f"{len(body) / 2**20:.1f}", f"{before:.0f}", f"{memory.peak_mib():.0f}", f"{controlplane.daemon.rss_kib() / 1024:.0f}",
                         longest_ms(controlplane)])
    finally:
        problems = world.close()
    if problems:
        raise RuntimeError(problems[0])
    table("Large bodies that are refused", ["body", "MiB", "control plane, MiB", "peak", "3 s later", "longest turn of the loop, ms (CPU)"], rows)


def bench_api(work, quick):
    bench_puts(work, 0.3 if quick else 10)
    bench_refused(work, 1_000_000 if quick else 8_000_000)
    bench_bulk(work, 500 if quick else 100_000)
