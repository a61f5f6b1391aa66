# SPDX-License-Identifier: Apache-2.0
"""Clients that stop at each byte of what a client sends until the handshake is over: none lives longer than the deadline, none costs more than its
place, and all others are served meanwhile."""
import selectors
import socket
import ssl
import time

import pytest

from harness import tls
from harness.net import eventually, free_port
from harness.origin import PROXY_V2
from harness.world import is_sanitized
from test_resumption_control import nginx

DEADLINE = 3
SITE = "stall.test"
V1 = b"PROXY TCP4 192.0.2.7 198.51.100.9 1111 443\r\n"
V2 = PROXY_V2 + b"\x21\x11\0\x0c" + socket.inet_aton("192.0.2.7") + socket.inet_aton("198.51.100.9") + b"\x04\x57\x01\xbb"


class Client:
    """A connection whose bytes are sent by hand."""

    def __init__(self, port, version=None):
        self.started = time.monotonic()
        self.raw = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        made = tls.context(version=version)
        self.tls = made.wrap_bio(self.incoming, self.outgoing, server_hostname=SITE)

    def first_flight(self):
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.outgoing.read()

    def second_flight(self):
        """What answers the server's first flight, which is waited for."""
        while not self.outgoing.pending:
            self.incoming.write(self.raw.recv(65536))
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                pass
        return self.outgoing.read()


def stop_in(part, port, at):
    """A client that has stopped after `at` bytes of that part; None: the part is no longer than that."""
    client = Client(port, part[-3:] if part[-3:] in tls.VERSIONS else None)
    if part.startswith("header"):
        data = V1 if part.endswith("v1") else V2
    else:
        data = client.first_flight()
        if part.startswith("second"):
            client.raw.sendall(data)
            data = client.second_flight()
    if at >= len(data):
        client.raw.close()
        return None
    client.raw.sendall(data[:at])
    return client


def stop_everywhere(part, port, step=1):
    clients, at = [], 0
    while client := stop_in(part, port, at):
        clients.append(client)
        at += step
    return clients


def lives(clients, until):
    """For how long each has lived; None: it lived at `until`."""
    selector, ended = selectors.DefaultSelector(), {}
    for client in clients:
        client.raw.setblocking(False)
        selector.register(client.raw, selectors.EVENT_READ, client)
    while len(ended) < len(clients) and time.monotonic() < until:
        for key, _ in selector.select(0.1):
            try:
                data = key.fileobj.recv(65536)
            except OSError:
                data = b""
            if not data:
                ended[key.data] = time.monotonic() - key.data.started
                selector.unregister(key.fileobj)
    selector.close()
    return [ended.get(client) for client in clients]


@pytest.fixture(scope="module")
def ports(shared, ca):
    """One that takes TLS at once and one that wants a PROXY header before it."""
    made = free_port(), free_port()
    shared.api.apply(wait="acked", timeout=30, put=[
        ("upstreams", "web", {"nodes": {f"127.0.0.1:{shared.backend.port}": 1}}),
        ("tls_options", "short", {"min_version": "TLSv1.2", "handshake_timeout": DEADLINE}),
        ("ssls", "stall", ca.issue(SITE).ssl(SITE)),
        ("listeners", "plain", {"bind": f"127.0.0.1:{made[0]}", "upstream": "web", "tls_options": "short"}),
        ("listeners", "header", {"bind": f"127.0.0.1:{made[1]}", "upstream": "web", "tls_options": "short", "accept_proxy_protocol": ["127.0.0.1"]})]
    ).expect(200)
    return made


@pytest.mark.bounds
def test_stopped_at_each_byte(shared, ports):
    clients = {}
    for part, least in (("hello", 200), ("second flight of 1.2", 80), ("second flight of 1.3", 60), ("header v1", 40), ("header v2", 28)):
        assert tls.fetch(ports[0], SITE)[0] == "backend"
        before = shared.agent.daemon.rss_kib()
        clients[part] = stop_everywhere(part, ports[part.startswith("header")])
        assert len(clients[part]) >= least, part
        assert is_sanitized() or (shared.agent.daemon.rss_kib() - before) / len(clients[part]) <= 64, part
    started = time.monotonic()
    assert tls.fetch(ports[0], SITE)[0] == "backend" and time.monotonic() - started < DEADLINE - 0.5
    everyone = [client for some in clients.values() for client in some]
    # Were it not for this listener's, the deadline would be 10 s.
    took = lives(everyone, time.monotonic() + DEADLINE + 10)
    assert all(one is not None and DEADLINE - 0.1 < one < 9.5 for one in took), took
    eventually(lambda: "tlsplane_agent_connections 0\n" in shared.agent.metrics(), "nothing of them stays")


def test_no_deadline_would_be_seen(world, ca, tmp_path):
    """The control: nginx, whose time for this is a minute."""
    port = nginx(world, tmp_path, ca.issue(SITE), "")
    clients = stop_everywhere("hello", port, 50)
    assert lives(clients, time.monotonic() + DEADLINE + 1.5) == [None] * len(clients)
