# SPDX-License-Identifier: Apache-2.0
"""GET and lists beside a thousand and beside very many stored objects: each with a certificate and a key of its own, ends of validity over
a year, a label that one in a thousand has and one that half have. What is asked for changes with every request; answers are read to their
last byte, on one connection."""
import json
import pathlib
import random
import socket
import statistics
import subprocess
import time

from lib import table, tool
from harness.world import World

CHUNK = 10_000
NDJSON = {"Content-Type": "application/x-ndjson"}


class Client:
    """As little of HTTP as will do, so that what is measured is the server."""

    def __init__(self, controlplane):
        self.raw = socket.create_connection(("127.0.0.1", controlplane.admin_port), timeout=120)
        self.raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.head = f" HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {controlplane.api.token}\r\n\r\n"

    def get(self, path):
        """(seconds, body)"""
        request = f"GET {path}{self.head}".encode()
        begun = time.monotonic()
        self.raw.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self.raw.recv(1 << 20)
        head, body = answer.split(b"\r\n\r\n", 1)
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        parts, have = [body], len(body)
        while have < length:
            parts.append(self.raw.recv(1 << 20))
            have += len(parts[-1])
        took = time.monotonic() - begun
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{path}: {head[:60]!r} {body[:300]!r}")
        return took, b"".join(parts)

    def close(self):
        self.raw.close()


def cpu_us(pid):
    return sum(int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()) / 1000


def load(world, controlplane, count):
    """Objects n0..., made and applied a chunk at a time. Seconds of applying."""
    directory = world.tmp / "objects"
    directory.mkdir(exist_ok=True)
    subprocess.run([tool("make_objects"), directory, str(count), str(CHUNK)], check=True)
    seconds = 0.0
    for path in sorted(directory.glob("apply-*.json"), key=lambda path: int(path.stem.split("-")[1])):
        lines = []
        for item in json.loads(path.read_text())["put"]:
            n = int(item["id"][1:])
            item["value"]["labels"] = {"team": f"t{n % 1000}", "env": "prod" if n % 2 else "test"}
            lines.append(json.dumps({"op": "put", **item}))
        path.unlink()
        begun = time.monotonic()
        controlplane.api.post("/v1/apply", "\n".join(lines).encode() + b"\n", headers=NDJSON, deadline=900).expect(200)
        seconds += time.monotonic() - begun
    return seconds


def queries(client, count):
    """What is asked: (name, function that makes a path)."""
    def some():
        return random.randrange(count)

    sample = [json.loads(client.get(f"/v1/ssls/n{some()}")[1])["x509"]["sha256"] for _ in range(100)]
    cursor = json.loads(client.get("/v1/ssls?limit=1")[1])["next"].rsplit("-", 1)[0]
    return [
        ("one object", lambda: f"/v1/ssls/n{some()}"),
        ("100, from the start", lambda: "/v1/ssls?limit=100"),
        ("100, from anywhere", lambda: f"/v1/ssls?limit=100&cursor={cursor}-n{some()}"),
        ("who serves a name", lambda: f"/v1/ssls?sni=n{some()}.bench.example"),
        ("whose certificate is this", lambda: f"/v1/ssls?fingerprint={random.choice(sample)}"),
        ("100 of a label that 1 in 1,000 has", lambda: f"/v1/ssls?limit=100&label=team%3Dt{random.randrange(1000)}"),
        ("the same by expiry", lambda: f"/v1/ssls?limit=100&sort=expiry&label=team%3Dt{random.randrange(1000)}"),
        ("100 of a label that half have", lambda: "/v1/ssls?limit=100&label=env%3Dprod"),
        ("the next 100 to expire", lambda: "/v1/ssls?limit=100&sort=expiry"),
        ("100 to expire last, of half of all", lambda: "/v1/ssls?limit=100&sort=-expiry&label=env%3Dprod"),
        ("of a label and disabled: none", lambda: "/v1/ssls?label=env%3Dprod&status=0"),
    ]


def measure(controlplane, client, make, requests):
    """(p50 ms, p99 ms, CPU us per request, objects in the last answer)"""
    for _ in range(min(5, requests)):
        client.get(make())
    took, cpu = [], cpu_us(controlplane.daemon.pid)
    for _ in range(requests):
        seconds, body = client.get(make())
        took.append(seconds * 1e3)
    took.sort()
    items = json.loads(body).get("items", [None])
    return statistics.median(took), took[len(took) * 99 // 100], (cpu_us(controlplane.daemon.pid) - cpu) / requests, len(items)


def bench_size(work, count, requests):
    world = World(work / f"world-lists-{count}")
    world.tmp.mkdir()
    try:
        controlplane = world.controlplane("--admin-rate", "0")
        seconds = load(world, controlplane, count)
        controlplane.restart("--admin-rate", "0")
        size = controlplane.database.stat().st_size / 2**20
        client = Client(controlplane)
        rows = {name: measure(controlplane, client, make, requests) for name, make in queries(client, count)}
        client.close()
        rss = controlplane.daemon.rss_kib() / 1024
    finally:
        problems = world.close()
    if problems:
        raise RuntimeError(problems[0])
    return rows, seconds, size, rss


def bench_lists(work, quick):
    few, many, requests = (50, 200, 20) if quick else (1000, 1_000_000, 500)
    small, big = bench_size(work, few, requests), bench_size(work, many, requests)
    rows = []
    for name in small[0]:
        cells = [f"{value:.2f}" if i < 2 else f"{value:.0f}" for figures in (small, big) for i, value in enumerate(figures[0][name])]
        rows.append([name, *cells])
    header = [f"{what}, {n:,}" for n in (few, many) for what in ("p50 ms", "p99 ms", "CPU us", "found")]
    table("GET of SSL objects, by how many are stored", ["what is asked for", *header], rows)
    table("The stores", ["objects", "s to load (objects/s)", "MiB on disk", "MiB resident after the reads"],
          [[f"{n:,}", f"{s:.1f} ({n / s:.0f})", f"{size:.0f}", f"{rss:.0f}"] for n, (_, s, size, rss) in ((few, small), (many, big))])
