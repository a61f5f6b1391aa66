# SPDX-License-Identifier: Apache-2.0
"""What the number of names costs: an agent's CPU per handshake for one name over and over, for names at random, and for names that nobody
has asked for since it started. Each object has a certificate and a key of its own."""
import statistics

from lib import pin, run_json, spread, table, tool
from lists import load
import peers
from harness.world import World

SERVER_CORE = 0


class Place:
    """A control plane and an agent with one worker, pinned; no tickets."""

    def __init__(self, world):
        self.controlplane = world.controlplane()
        self.agent = world.agent(self.controlplane, "--workers", "1")
        self.port, self.backend_port = peers.free_port(), peers.free_port()
        self.controlplane.api.apply(put=[
            ("upstreams", "backend", {"nodes": {f"127.0.0.1:{self.backend_port}": 1}}),
            ("tls_options", "bench", {"session_tickets": False}),
            ("listeners", "bench", {"bind": f"127.0.0.1:{self.port}", "upstream": "backend", "tls_options": "bench"}),
        ], wait="acked", timeout=30).expect(200, 201)

    def restart(self, decoded_max):
        self.agent.restart("--workers", "1", "--decoded-max", decoded_max)
        self.agent.wait_connected().wait_applied(timeout=600)
        pin(self.agent.daemon.pid, SERVER_CORE)

    def us(self, connections, *names):
        told = run_json([tool("load"), "--port", self.port, "--backend-port", self.backend_port, "--connections", connections, *names,
                         self.agent.daemon.pid], timeout=600 + connections // 200)
        if told["failures"]:
            raise RuntimeError(f"handshakes failed: {told}")
        return told["cpu_us_per_connection"]


def measure_cold(place, size, connections, rounds):
    """us of each round: every name for the first time."""
    cold = []
    for _ in range(rounds if size > 1 else 0):
        place.restart(size)
        cold.append(place.us(min(connections, size * 10 // 11 - 1), "--each-name", size))  # load makes a tenth more before it measures
    return cold


def measure_warm(place, size, connections, rounds):
    """us of each round: (one name, names at random), and MiB resident. All names have been asked for, and all of them are kept."""
    place.restart(size)
    place.us(size, "--each-name", size)
    one, random = [], []
    for _ in range(rounds):
        one.append(place.us(connections, "--sni", "n0.bench.example"))
        random.append(place.us(connections, "--random-names", size))
    return one, random, place.agent.daemon.rss_kib() / 1024


def row_of(place, size, connections, rounds):
    cold = measure_cold(place, size, connections, rounds)
    one, random, mib = measure_warm(place, size, connections, rounds)
    ratio = statistics.median(a / b for a, b in zip(random, one))
    more = f"{statistics.median(cold) - statistics.median(one):.0f}" if cold else ""
    return [f"{size:,}", spread(one), spread(random), f"{ratio:.2f}", f"{mib:.0f}", spread(cold) if cold else "", more]


def bench_names(work, quick, largest):
    connections, rounds = (100, 1) if quick else (3000, 5)
    sizes = [1, 200] if quick else [1, *(size for size in (1_000, 100_000) if size < largest), largest]
    world = World(work / "world-names")
    world.tmp.mkdir()
    rows = []
    try:
        place = Place(world)
        for size in sizes:
            load(world, place.controlplane, size)
            place.agent.wait_applied(timeout=600)
            rows.append(row_of(place, size, connections, rounds))
    finally:
        # What has been measured is told whatever becomes of the largest, half an hour later.
        problems = world.close()
        table("An agent's CPU per connection by the number of names, P-256 (each of its own key), full handshake, no tickets",
              ["names", "one of them, us (min-max)", "at random, all decoded", "ratio", "agent MiB", "each for the first time", "us more than one"],
              rows)
    if problems:
        raise RuntimeError(problems[0])
