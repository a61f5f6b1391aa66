# SPDX-License-Identifier: Apache-2.0
"""One agent and very many certificates: from a PUT to the new leaf served, memory, starts, changes of one and of ten thousand objects, and
what handshakes feel of them. Each object has a certificate and a key of its own; handshakes ask for random names of all."""
import json
import shutil
import subprocess
import time

from lib import handshake, openssl_cert, run_json, spread, ssl_object, table, tool
from lists import load
import peers
import reloads
from harness.world import Agent, World


def put_to_served(world, controlplane, port, rounds):
    bodies, certs = [], []
    for side in "ab":
        cert, key = openssl_cert(world.tmp, f"side-{side}", "P-256", "live.example")
        path = world.tmp / f"side-{side}.json"
        path.write_text(json.dumps(ssl_object(cert, key, "live.example")))
        bodies.append(path)
        certs.append(cert)
    return run_json([tool("put_to_served"), controlplane.admin_port, controlplane.dir / "admin.token", "/v1/ssls/live", port, "live.example",
                     rounds, *bodies, *certs])


class Latency:
    """Handshakes with random names, until told to stop."""

    def __init__(self, port, names):
        self.process = subprocess.Popen([tool("latency"), str(port), str(names), "3600"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)

    def stop(self):
        self.process.terminate()
        told = json.loads(self.process.communicate(timeout=30)[0])
        return [told["handshakes"], told["failed"], told["p50_ms"], told["p99_ms"], told["max_ms"]]


def first_handshake(agent, name, port):
    """Seconds from exec."""
    begun = time.monotonic()
    agent.start(wait=False)
    handshake(port, name, 600)
    seconds = time.monotonic() - begun
    agent.wait_ready()
    return seconds


def one_change(controlplane, agent, pairs, i):
    """ms from the PUT until the agent has acknowledged it."""
    begun = time.monotonic()
    controlplane.api.put("/v1/ssls/n0", ssl_object(*pairs[i % 2], "n0.bench.example"), wait="acked", timeout=60).expect(200, 201)
    return (time.monotonic() - begun) * 1e3


def many_changes(world, controlplane, agent, count):
    """The first `count` objects get new certificates in one revision: seconds until it is answered, and until it is acknowledged."""
    directory = world.tmp / "changed"
    directory.mkdir()
    subprocess.run([tool("make_objects"), directory, str(count), str(count)], check=True)
    body = (directory / "apply-0000.json").read_bytes()
    shutil.rmtree(directory)
    begun = time.monotonic()
    controlplane.api.post("/v1/apply", body, deadline=300).expect(200, 201)
    answered = time.monotonic() - begun
    agent.wait_applied(timeout=300)
    return answered, time.monotonic() - begun


def measure_changes(world, controlplane, agent, port, names, quick):
    """Rows of the table of handshakes, and of the table of figures."""
    pairs = [openssl_cert(world.tmp, f"change-{side}", "P-256", "n0.bench.example") for side in "ab"]
    changed, rest = min(names, 10_000), 0.3 if quick else 10
    latency = Latency(port, names)
    time.sleep(rest)
    rows = [["idle", *latency.stop()]]
    latency = Latency(port, names)
    took = [one_change(controlplane, agent, pairs, i) for i in range(5 if quick else 100)]
    rows.append(["one change after another", *latency.stop()])
    latency = Latency(port, names)
    answered, applied = many_changes(world, controlplane, agent, changed)
    rows.append([f"{changed:,} changes in one revision", *latency.stop()])
    return rows, [["one change, PUT to ACK, ms (min-max)", spread(took)],
                  [f"{changed:,} changes in one revision: answered, s", f"{answered:.2f}"],
                  ["and acknowledged after, s", f"{applied - answered:.2f}"]]


def start_again(world, controlplane, agent, port, name):
    """Rows: from its cache, and an agent that has none. The first one runs in the end."""
    assert agent.daemon.terminate(60) == 0
    rows = [["exec to first served handshake from the cache, s", f"{first_handshake(agent, name, port):.2f}"],
            ["agent RSS after that start, MiB", f"{agent.daemon.rss_kib() / 1024:.1f}"]]
    assert agent.daemon.terminate(60) == 0
    fresh = Agent(world, controlplane, "fresh")
    fresh.give_token(controlplane.join_token())
    rows.append(["the same from the control plane, s", f"{first_handshake(fresh, name, port):.2f}"])
    assert fresh.daemon.terminate(60) == 0
    agent.start().wait_connected().wait_applied(timeout=60)
    return rows


def served_row(count, told):
    return [f"{count:,}", *(told["served_ms"][q] for q in ("p50", "p99", "max")), *(told["answered_ms"][q] for q in ("p50", "p99")),
            told["failed_handshakes"]]


def make_place(world):
    """(control plane, agent, port of its listener)"""
    controlplane = world.controlplane()
    backend = world.backend()
    agent = world.agent(controlplane)
    port = peers.free_port()
    controlplane.api.apply(put=[
        ("upstreams", "backend", {"nodes": {f"127.0.0.1:{backend.port}": 1}}),
        ("listeners", "bench", {"bind": f"127.0.0.1:{port}", "upstream": "backend"}),
    ], wait="acked", timeout=30).expect(200, 201)
    return controlplane, agent, port


def run_sizes(world, sizes, rounds, want_served, want_scale, quick):
    """Tables of one world that grows from size to size."""
    controlplane, agent, port = make_place(world)
    before, served, seconds = agent.daemon.rss_kib(), [], 0.0
    for size in sizes:
        if want_served or size == sizes[-1]:
            seconds = load(world, controlplane, size)
            agent.wait_applied(timeout=600)
        if want_served:
            served.append(served_row(size, put_to_served(world, controlplane, port, rounds)))
    if want_served:
        table("From PUT to served", ["objects stored", "served p50 ms", "p99", "max", "answered p50 ms", "p99", "failed handshakes"], served)
    if not want_scale:
        return
    big = sizes[-1]
    loaded = agent.daemon.rss_kib()
    starts = start_again(world, controlplane, agent, port, f"n{big - 1}.bench.example")
    handshakes, changes = measure_changes(world, controlplane, agent, port, big, quick)
    table(f"{big:,} P-256 objects", ["figure", "value"], [
        ["load by apply, s (objects/s)", f"{seconds:.1f} ({big / seconds:.0f})"],
        ["agent RSS before the load, MiB", f"{before / 1024:.1f}"],
        ["agent RSS after the load, MiB (bytes per certificate)", f"{loaded / 1024:.1f} ({(loaded - before) * 1024 / big:.0f})"],
        *starts, *changes,
        ["control plane RSS, MiB", f"{controlplane.daemon.rss_kib() / 1024:.1f}"],
    ])
    table(f"Handshakes with random names of {big:,}, one after another", ["meanwhile", "handshakes", "failed", "p50 ms", "p99", "max"], handshakes)


def bench_scale(work, quick, want_served, want_scale, objects):
    sizes = [10, 500] if quick else [10, *(size for size in (100_000, 1_000_000) if size < objects), objects]
    world = World(work / "world-scale")
    world.tmp.mkdir()
    try:
        run_sizes(world, sizes, 20 if quick else 500, want_served, want_scale, quick)
    finally:
        problems = world.close()
    if problems:
        raise RuntimeError(problems[0])
    if want_served:
        reloads.bench_reloads(work, quick, make_place, load)
