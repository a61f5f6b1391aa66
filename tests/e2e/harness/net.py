# SPDX-License-Identifier: Apache-2.0
"""Ports and waiting. Nothing here or in a test sleeps to synchronise: `eventually` polls a condition against a deadline. TLSPLANE_PATIENCE
multiplies deadlines, for daemons that run slower than usual (ThreadSanitizer, memcheck)."""
import collections
import os
import random
import socket
import time

# Below the kernel's ephemeral range (32768 and up), so that no outgoing connection takes a port between choice and use; a slice per
# parallel test process.
FIRST_PORT, PORTS_PER_WORKER = 12000, 2000
_worker = int("".join(c for c in os.environ.get("PYTEST_XDIST_WORKER", "gw0") if c.isdigit()) or 0)
_random = random.Random(os.getpid())
_given = collections.deque(maxlen=PORTS_PER_WORKER // 2)  # the latest
PATIENCE = float(os.environ.get("TLSPLANE_PATIENCE", "1"))


def free_port():
    """A port on which nobody listens now, and that this process has not given out lately."""
    base = FIRST_PORT + (_worker % 10) * PORTS_PER_WORKER
    for _ in range(1000):
        port = base + _random.randrange(PORTS_PER_WORKER)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.append(port)
        return port
    raise RuntimeError("no free port")


def eventually(condition, what, timeout=15.0, interval=0.02):
    """The first true value of condition(); an AssertionError that says what never came, and the last exception if there was one."""
    timeout *= PATIENCE
    deadline = time.monotonic() + timeout
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = value
        except (AssertionError, OSError, KeyError, IndexError, TypeError) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"never within {timeout} s: {what} (last: {last!r})")
        time.sleep(interval)


def is_listening(port, host="127.0.0.1"):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.settimeout(2 * PATIENCE)
        return probe.connect_ex((host, port)) == 0


def has_ipv6():
    """Does this machine have the address ::1?"""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


def receive_all(connection, limit=1 << 26):
    """Until the peer closes its side."""
    parts, total = [], 0
    while total < limit:
        data = connection.recv(65536)
        if not data:
            break
        parts.append(data)
        total += len(data)
    return b"".join(parts)
