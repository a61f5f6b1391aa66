# SPDX-License-Identifier: Apache-2.0
"""What idle connections cost: memory of the server for each, beside the peers; and an agent with as many active ones beside them."""
import collections
import json
import re
import statistics
import subprocess

from lib import LOAD_CORE, table, tool
import peers
from servers import AGENT, Servers

FIRST = 20  # connections


def rss_kib(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/status", encoding="ascii") as source:
            total += int(re.search(r"VmRSS:\s+(\d+)", source.read())[1])
    return total


class Crowd:
    """Idle connections on a server, until closed."""

    def __init__(self, servers, server, idle, *more):
        self.name, port, pids = server
        argv = [tool("crowd"), "--port", port, "--backend-port", servers.backend_port, "--idle", idle, *more, *pids]
        self.process = subprocess.Popen(["taskset", "-c", str(LOAD_CORE), *map(str, argv)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.read()

    def read(self):
        told = json.loads(self.process.stdout.readline())
        if told["failed"] > (0 if self.name == AGENT else told["idle"] // 20):  # peers reset one now and then
            raise RuntimeError(f"{self.name}: connections failed: {told}")
        return told

    def go_on(self):
        """What the active connections came to."""
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        return self.read()

    def close(self):
        self.process.communicate(b"\n", timeout=600)


def kib_each(servers, server, idle):
    """What the first few make for all is there by then; so few that what they leave to others does not count."""
    Crowd(servers, server, FIRST).close()
    before = rss_kib(server[2])
    crowd = Crowd(servers, server, idle)
    after = rss_kib(server[2])
    crowd.close()
    return (after - before) / idle


def active_row(servers, idle, active, seconds):
    told = Crowd(servers, servers.all[0], idle, "--active", active, "--seconds", seconds, "--each-ms", 1000)
    done = told.go_on()
    told.close()
    return [f"{idle:,}", f"{active:,}", f"{done['messages']:,}", done["failed"], f"{done['cpu_share'] * 100:.0f} %",
            f"{done['cpu_us_per_message']:.1f}", done["p50_ms"], done["p99_ms"], done["max_ms"]]


def bench_idle(work, quick):
    most = (peers.descriptors() - 1000) // 2  # a connection is two of them
    idle, both, rounds, seconds = (200, 200, 1, 1) if quick else (min(10_000, most), min(10_000, most // 2), 3, 10)
    each, rows = collections.defaultdict(list), []
    for i in range(rounds):  # fresh processes: one that has held them has the memory for them
        place = work / f"idle-{i}"
        place.mkdir()
        place.chmod(0o755)
        with Servers(place, backend_nodes=2) as servers:
            for server in servers.all:
                each[server[0]].append(kib_each(servers, server, idle))
            rows.append(active_row(servers, both, both, seconds))
    table(f"Memory of the server per idle connection, of {idle:,}: TLS 1.3, after one request", ["server", "KiB (min-max)"],
          [[name, f"{statistics.median(kib):.1f} ({min(kib):.1f}-{max(kib):.1f})"] for name, kib in each.items()])
    table("Idle and active connections on one agent; each active one sends 64 bytes a second, which come back",
          ["idle", "active", "messages", "failed", "CPU of one core", "us a message", "p50 ms", "p99", "max"], rows)
