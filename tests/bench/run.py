# SPDX-License-Identifier: Apache-2.0
"""The benchmarks: real binaries, peers from Debian's packages in the same run, ratios of CPU time. Prints tables; judges nothing.

    run.sh [--quick] [cpu] [served] [scale]

cpu     microseconds of server CPU per connection (full TLS 1.3 handshake, one small request relayed, close; no tickets), P-256 and
        RSA-2048: the agent, nginx stream, HAProxy, hitch, and the floor: OpenSSL alone over memory BIOs + a bare relay without TLS
served  from the PUT sent to the new leaf served by an agent, at 10 and at 100,000 stored objects
scale   100,000 P-256 objects: seconds to load by apply, the agent's memory, its start from the cache to the first served handshake
--quick small numbers, to see that everything runs (the test run does that)
"""
import json
import os
import pathlib
import shutil
import ssl
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
os.environ.setdefault("TLSPLANE_BUILD", str(ROOT / "build-bench"))
os.environ["PATH"] += ":/usr/sbin:/sbin"

import peers  # noqa: E402
from harness.world import World  # noqa: E402

BUILD = pathlib.Path(os.environ["TLSPLANE_BUILD"]).resolve()
SERVER_CORE, LOAD_CORE = 0, 1
PLAIN_CLIENT_US = 75  # what a plain connection costs client and backend, measured


def tool(name):
    return str(BUILD / "tests" / "bench" / f"bench_{name}")


def run_json(argv, core=LOAD_CORE, timeout=600):
    done = subprocess.run(["taskset", "-c", str(core), *map(str, argv)], capture_output=True, text=True, timeout=timeout, check=False)
    if not done.stdout.strip():
        raise RuntimeError(f"{argv[0]}: {done.returncode} {done.stderr[:500]}")
    return json.loads(done.stdout)


def pin(pid, core):
    """All threads of a process."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})


def openssl_cert(directory, name, algorithm, sni="bench.example"):
    cert, key = directory / f"{name}.crt", directory / f"{name}.key"
    new_key = ["-newkey", "rsa:2048"] if algorithm == "RSA-2048" else ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    subprocess.run(["openssl", "req", "-x509", *new_key, "-nodes", "-keyout", key, "-out", cert, "-days", "90", "-subj", f"/CN={sni}",
                    "-addext", f"subjectAltName=DNS:{sni}"], check=True, capture_output=True)
    return cert, key


def table(title, header, rows):
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]
    print(f"\n{title}\n")
    for row in [header, ["-" * w for w in widths], *rows]:
        print("| " + " | ".join(str(cell).ljust(width) for cell, width in zip(row, widths)) + " |")
    sys.stdout.flush()


def ssl_object(cert, key, sni):
    return {"sni": sni, "cert": cert.read_text(), "key": key.read_text()}


def spread(values):
    return f"{statistics.median(values):.0f} ({min(values):.0f}-{max(values):.0f})"


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


# served, scale ---------------------------------------------------------------------------------------------------------

def handshake(port, sni, deadline=30.0):
    """Seconds until a first handshake with `sni` succeeds."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    start = time.monotonic()
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as raw, context.wrap_socket(raw, server_hostname=sni):
                return time.monotonic() - start
        except OSError:
            if time.monotonic() - start > deadline:
                raise


def load_objects(world, controlplane, count, chunk=1000):
    directory = world.tmp / f"objects-{count}"
    directory.mkdir()
    subprocess.run([tool("make_objects"), directory, str(count), str(chunk)], check=True)
    start = time.monotonic()
    for path in sorted(directory.glob("apply-*.json")):
        controlplane.api.post("/v1/apply", path.read_bytes(), deadline=300).expect(200, 201)
    seconds = time.monotonic() - start
    shutil.rmtree(directory)
    return seconds


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


def bench_scale(work, quick, want_served, want_scale):
    big, rounds = (500, 20) if quick else (100_000, 500)
    world = World(work / "world-scale")
    world.tmp.mkdir()
    try:
        controlplane = world.controlplane()
        backend = world.backend()
        agent = world.agent(controlplane)
        port = peers.free_port()
        load_objects(world, controlplane, 10)
        controlplane.api.apply(put=[
            ("upstreams", "backend", {"nodes": {f"127.0.0.1:{backend.port}": 1}}),
            ("listeners", "bench", {"bind": f"127.0.0.1:{port}", "upstream": "backend"}),
        ], wait="acked", timeout=30).expect(200, 201)
        served = []
        if want_served:
            served.append((10, put_to_served(world, controlplane, port, rounds)))
        before = agent.daemon.rss_kib()
        seconds = load_objects(world, controlplane, big)
        agent.wait_applied(timeout=300)
        loaded = agent.daemon.rss_kib()
        if want_served:
            served.append((big, put_to_served(world, controlplane, port, rounds)))
            table("From PUT to served", ["objects stored", "served p50 ms", "p99", "max", "answered p50 ms", "p99", "failed handshakes"],
                  [[f"{n:,}", *(r["served_ms"][q] for q in ("p50", "p99", "max")), *(r["answered_ms"][q] for q in ("p50", "p99")),
                    r["failed_handshakes"]] for n, r in served])
        if want_scale:
            assert agent.daemon.terminate() == 0
            start = time.monotonic()
            agent.start(wait=False)
            handshake(port, f"n{big - 1}.bench.example")
            first = time.monotonic() - start
            agent.wait_ready()
            table(f"{big:,} P-256 objects", ["figure", "value"], [
                ["load by apply, s (objects/s)", f"{seconds:.1f} ({big / seconds:.0f})"],
                ["agent RSS before the load, MiB", f"{before / 1024:.1f}"],
                ["agent RSS after the load, MiB", f"{loaded / 1024:.1f}"],
                ["agent RSS after a start from its cache, MiB", f"{agent.daemon.rss_kib() / 1024:.1f}"],
                ["exec to first served handshake from the cache, s", f"{first:.2f}"],
                ["control plane RSS, MiB", f"{controlplane.daemon.rss_kib() / 1024:.1f}"],
            ])
    finally:
        problems = world.close()
    if problems:
        raise RuntimeError(problems[0])


def main(arguments):
    quick = "--quick" in arguments
    parts = [a for a in arguments if not a.startswith("--")] or ["cpu", "served", "scale"]
    unknown = set(parts) - {"cpu", "served", "scale"}
    if unknown:
        raise SystemExit(f"unknown part: {', '.join(sorted(unknown))} (cpu, served, scale)")
    work = pathlib.Path(tempfile.mkdtemp(prefix="tlsplane-bench-"))
    work.chmod(0o755)
    try:
        if "cpu" in parts:
            bench_cpu(work, quick)
        if "served" in parts or "scale" in parts:
            bench_scale(work, quick, "served" in parts, "scale" in parts)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
