# SPDX-License-Identifier: Apache-2.0
"""The server's CPU per connection: accept, handshake, one small request relayed, close."""
import collections
import statistics
import time

from lib import spread, table
from servers import AGENT, Servers

PLAIN_CLIENT_US = 75  # what a plain connection costs client and backend, measured

# tickets: how many are wanted of each server after a full handshake. Two, because peers that are told to give none give two of another kind
# under TLS 1.3, as OpenSSL does by itself; the table tells what came.
Case = collections.namedtuple("Case", "title algorithm tickets resume")
CASES = (
    Case("P-256, TLS 1.3 full handshake, two tickets", "P-256", 2, False),
    Case("RSA-2048, TLS 1.3 full handshake, two tickets", "RSA-2048", 2, False),
    Case("P-256, TLS 1.3 resumed, one new ticket", "P-256", 1, True),
)


def wait_for_tickets(servers, port):
    """Ticket keys come to an agent beside its revisions."""
    end = time.monotonic() + 30
    while servers.load("load", port, [], "--connections", 20, "--threads", 1)["tickets"] == 0:
        if time.monotonic() > end:
            raise RuntimeError("the agent gives no tickets")


def measure_all(servers, case, connections, bare, figures, tickets, first):
    """One round, begun with another server each time: adds a figure to each server's."""
    first %= len(servers.all)
    for name, port, pids in servers.all[first:] + servers.all[:first]:
        measured = servers.load("load", port, pids, "--connections", connections, *(["--resume"] if case.resume else []))
        if measured["failures"] > connections / 100:
            tickets[name] = None  # it does not resume
            continue
        figures[name].append(measured["cpu_us_per_connection"])
        tickets[name] = measured["tickets"]
        if name == AGENT:
            wall_us = measured["wall_s"] * 1e6 / connections
    # At the rate of the TLS run: its clients are busy with their own handshakes, and a server that is never idle pays no wake-ups.
    think = max(0, int(wall_us) - PLAIN_CLIENT_US)
    relay = servers.load("load", *bare, "--connections", connections, "--plain", "--think", think)["cpu_us_per_connection"]
    alone = servers.openssl_alone(connections, case.tickets, *(["resume"] if case.resume else []))["cpu_us_per_connection"]
    figures["OpenSSL alone"].append(alone)
    figures["bare relay"].append(relay)
    figures["floor (both)"].append(alone + relay)


def bench_case(work, case, connections, rounds):
    figures, tickets = collections.defaultdict(list), {}
    with Servers(work, case.algorithm, case.tickets) as servers:
        bare = servers.bare_relay()
        wait_for_tickets(servers, servers.all[0][1])
        for i in range(rounds):
            measure_all(servers, case, connections, bare, figures, tickets, i)
    rows = []
    for name, values in figures.items():
        ratios = [value / base for value, base in zip(values, figures["floor (both)"])]
        got = f"{tickets[name]:.2f}" if name in tickets else ""
        rows.append([name, spread(values), f"{statistics.median(ratios):.2f}", got])
    rows += [[name, "does not resume", "", ""] for name, got in tickets.items() if got is None]
    table(f"Server CPU per connection, {case.title}", ["server", "us (min-max)", "of the floor", "tickets"], rows)


def bench_cpu(work, quick):
    for i, case in enumerate((CASES[0], CASES[-1]) if quick else CASES):
        place = work / f"cpu-{i}"
        place.mkdir()
        place.chmod(0o755)
        bench_case(place, case, 200 if quick else 3000, 1 if quick else 7)
