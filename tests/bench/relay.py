# SPDX-License-Identifier: Apache-2.0
"""The server's CPU for what it relays between TLS and plain TCP: bulk both ways, and small messages to and fro."""
import collections
import statistics

from lib import table
from servers import Servers

FLOOR = "SSL_write alone"
RELAY = "bare relay"

# what, of each server per round: (full, quick), connections at once
FLOWS = (
    ("down", (1024, 32), 4),  # MiB
    ("up", (1024, 32), 4),
    ("ping", (2000, 50), 8),  # messages there and back, on each
)
UNITS = {"down": "cpu_s_per_gib", "up": "cpu_s_per_gib", "ping": "cpu_us_per_message"}


def measure_round(servers, bare, quick, figures):
    for what, amounts, connections in FLOWS:
        flow = ["--what", what, "--amount", amounts[quick], "--connections", connections]
        for name, port, pids in servers.all:
            figures[what][name].append(servers.load("flow", port, pids, *flow)[UNITS[what]])
        if what == "ping":
            figures[what][RELAY].append(servers.load("flow", *bare, *flow, "--plain")[UNITS[what]])
    figures["down"][FLOOR].append(servers.openssl_alone(FLOWS[0][1][quick], "write")["cpu_s_per_gib"])


def megabytes(values):
    """Per second of CPU; median, least and most."""
    rates = sorted(1073.741824 / value for value in values)
    return f"{statistics.median(rates):,.0f} ({rates[0]:,.0f}-{rates[-1]:,.0f})"


def microseconds(values):
    return f"{statistics.median(values):.1f} ({min(values):.1f}-{max(values):.1f})"


def bench_relay(work, quick):
    figures = collections.defaultdict(lambda: collections.defaultdict(list))
    place = work / "relay"
    place.mkdir()
    place.chmod(0o755)
    with Servers(place) as servers:
        bare = servers.bare_relay()
        for _ in range(1 if quick else 7):
            measure_round(servers, bare, quick, figures)
        names = [*(name for name, _, _ in servers.all), FLOOR, RELAY]
    cells = {"down": megabytes, "up": megabytes, "ping": microseconds}
    table("The relay, TLS 1.3 to plain TCP: MB per second of the server's CPU, and CPU per message of 64 bytes",
          ["server", "downloads, MB (min-max)", "uploads, MB (min-max)", "a message, us (min-max)"],
          [[name, *(cells[what](figures[what][name]) if figures[what][name] else "" for what in cells)] for name in names])
