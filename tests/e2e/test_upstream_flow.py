# SPDX-License-Identifier: Apache-2.0
"""Nodes that speak TLS: the choice among them, their health, how long each is waited for, and what flows once the handshake is done."""
import collections
import hashlib
import itertools
import os
import socket
import ssl
import threading
import time

import pytest
from harness import tls
from harness.backend import ScriptBackend
from harness.edge import NAME
from harness.net import eventually, free_port
from harness.tls import HalfClosing


# Nodes. -----------------------------------------------------------------------------------------------------------------


def nodes(edge, upstream, state):
    return edge.sample(f'upstream_nodes{{upstream="{upstream}",state="{state}"}}')


def degraded(edge, upstream):
    """Why the upstream is reported as degraded; None: it is not."""
    return next((item["reason"] for item in edge.agent.degraded() if item["id"] == upstream), None)


class TestPassiveHealth:
    def test_weights(self, edge, trusting, origin):
        """Smooth weighted round robin over TLS nodes: exact over each round of the sum of weights."""
        three, one, none = (origin(name=name) for name in ("three", "one", "none"))
        sni = edge.route({f"127.0.0.1:{three.port}": 3, f"127.0.0.1:{one.port}": 1, f"127.0.0.1:{none.port}": 0}, trusting())
        for _ in range(2):
            assert collections.Counter(edge.ask(sni)["name"] for _ in range(8)) == {"three": 6, "one": 2}

    def test_broken_tls_is_a_failed_node(self, edge, pki, trusting, origin):
        """Every client gets an answer of the other node; after max_fails the false one is not even tried, until fail_timeout is over; then it is
        tried by one connection."""
        good, false = origin(), origin(pki.others.issue(NAME))
        sni = edge.route([good, false], trusting(), max_fails=2, fail_timeout=3)
        name = sni.removesuffix(".test")
        for _ in range(6):
            assert edge.ask(sni)["name"] == "origin"
        marked = time.monotonic()
        assert nodes(edge, name, "down") == 1 and nodes(edge, name, "up") == 1 and false.seen == []
        assert false.accepted == 2 and degraded(edge, name) is None
        eventually(lambda: edge.ask(sni) and false.accepted == 3, "is tried again", interval=0.1)
        assert time.monotonic() - marked > 1, "fail_timeout was not over"

    def test_comes_back(self, edge, trusting, origin):
        """A node that is mended gets its share again."""
        port = free_port()
        good = origin(name="good")
        sni = edge.route([good.port, port], trusting(), max_fails=1, fail_timeout=0.5)
        name = sni.removesuffix(".test")
        for _ in range(4):
            assert edge.ask(sni)["name"] == "good"
        assert nodes(edge, name, "down") == 1
        origin(name="mended", port=port)
        eventually(lambda: edge.ask(sni)["name"] == "mended", "is tried and found well")
        assert nodes(edge, name, "down") == 0
        assert {edge.ask(sni)["name"] for _ in range(4)} == {"good", "mended"}

    def test_all_down(self, edge, trusting, origin):
        """Tried all the same, reported with the node's name, and well again by itself with the first success."""
        port = free_port()
        sni = edge.route(port, trusting(), max_fails=1, fail_timeout=30)
        name = sni.removesuffix(".test")
        edge.refused(sni)
        reason = eventually(lambda: degraded(edge, name), "is reported")
        assert f"127.0.0.1 port {port}" in reason
        mended = origin(name="mended", port=port)
        assert edge.ask(sni)["name"] == "mended"
        eventually(lambda: degraded(edge, name) is None, "is well again")
        mended.close()
        edge.refused(sni)
        eventually(lambda: degraded(edge, name), "is reported again")

    @pytest.mark.parametrize("version", ["1.2", "1.3"])
    def test_node_that_refuses_us(self, edge, pki, trusting, origin, version):
        """A node that does not take our certificate is a node that failed, though under TLS 1.3 it says so only when the client's bytes are on
        their way: some clients lose, then it is left alone."""
        good, picky = origin(name="good"), origin(name="picky", client_ca=pki.clients.cert_pem, version=tls.VERSIONS[version])
        sni, lost = edge.route([good, picky], trusting(), max_fails=2, fail_timeout=60), 0
        for _ in range(12):
            try:
                assert edge.ask(sni)["name"] == "good"
            except (ssl.SSLError, OSError):
                lost += 1
        assert lost == (2 if version == "1.3" else 0)
        assert nodes(edge, sni.removesuffix(".test"), "down") == 1 and picky.accepted == 2

    def test_never_marked(self, edge, pki, trusting, origin):
        """max_fails 0: each connection tries all."""
        good, false = origin(), origin(pki.others.issue(NAME))
        sni = edge.route([good, false], trusting(), max_fails=0)
        for _ in range(8):
            assert edge.ask(sni)["name"] == "origin"
        assert false.accepted == 4 and nodes(edge, sni.removesuffix(".test"), "down") == 0


# Time. ------------------------------------------------------------------------------------------------------------------


class TestTimeout:
    """One absolute deadline for the handshake with a node, whatever comes from there."""

    @staticmethod
    def silent(edge, drip=b""):
        stop = threading.Event()

        def script(connection):
            for byte in drip:
                if stop.wait(0.1):
                    return
                connection.sendall(bytes([byte]))
            stop.wait(30)
        edge.world.closers.append(stop.set)
        return edge.world.add_backend(ScriptBackend(script))

    def test_says_nothing(self, edge, trusting):
        self.takes(edge, edge.route(self.silent(edge), trusting(handshake_timeout=0.6)), 0.6)

    def test_drips(self, edge, trusting):
        """A record header and on, a byte at a time: each would renew a timeout that is not absolute."""
        self.takes(edge, edge.route(self.silent(edge, b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb\x03\x03" + bytes(200)), trusting(handshake_timeout=0.6)), 0.6)

    @staticmethod
    def takes(edge, sni, seconds):
        before, started = edge.failures("tls_timeout"), time.monotonic()
        edge.refused(sni)
        assert seconds - 0.05 <= time.monotonic() - started < seconds + 3
        assert edge.failures("tls_timeout") == before + 1

    def test_next_node(self, edge, trusting, origin):
        """What the client sent meanwhile is not lost."""
        sni = edge.route({f"127.0.0.1:{self.silent(edge).port}": 10, f"127.0.0.1:{origin().port}": 1}, trusting(handshake_timeout=0.3))
        assert edge.ask(sni)["name"] == "origin"

    def test_client_goes_away(self, edge, trusting):
        """Nobody waits on for a client that is gone."""
        sni = edge.route(self.silent(edge), trusting(handshake_timeout=60))
        with tls.connect(edge.port, sni) as connection:
            eventually(lambda: [i for i in edge.connections() if i["sni"] == sni], "is listed")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        eventually(lambda: not [i for i in edge.connections() if i["sni"] == sni], "is over")


# What flows. ------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["1.2", "1.3"])
def scripted(request, edge, pki, trusting):
    """Makes a route to an origin that speaks TLS by a script: it gets a HalfClosing (or raw=True: the SSLSocket)."""
    def make(script, raw=False, **more):
        context = pki.context(version=request.param)

        def serve(connection):
            if raw:
                with context.wrap_socket(connection, server_side=True, suppress_ragged_eofs=False) as secured:
                    script(secured)
            else:
                script(HalfClosing(accepted=(connection, context)))
        backend = edge.world.add_backend(ScriptBackend(serve))
        return edge.route(backend, trusting(**more))
    return make


class TestEnds:
    def test_origin_ends_without_close_notify(self, edge, scripted):
        """What came arrives; the end does not look like one."""
        sni = scripted(lambda peer: [peer.recv(), peer.send(b"half an ans")])
        client = HalfClosing(edge.port, sni)
        client.send(b"question")
        assert client.recv() == b"half an ans"
        with pytest.raises(ssl.SSLError, match="EOF"):
            client.recv()
        client.close()

    def test_origin_resets(self, edge, scripted):
        def script(peer):
            peer.recv()
            peer.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client = HalfClosing(edge.port, scripted(script))
        client.send(b"question")
        with pytest.raises(OSError):
            client.recv()
        client.close()

    def test_origin_ends_first(self, edge, scripted):
        """close_notify at both ends, and the other direction stays open."""
        received = []

        def script(peer):
            peer.send(b"hello and goodbye")
            peer.end_sending()
            try:
                received.append(peer.recv_all())
            except ssl.SSLError as error:
                received.append(error)
        client = HalfClosing(edge.port, scripted(script))
        assert client.recv_all() == b"hello and goodbye"
        client.send(b"still here")
        client.end_sending()
        client.raw.shutdown(socket.SHUT_WR)
        eventually(lambda: received == [b"still here"], "arrives")
        client.close()

    def test_client_ends_first(self, edge, scripted):
        """The origin sees the end as close_notify, and its answer still arrives."""
        received = []

        def script(peer):
            received.append(peer.recv_all())
            peer.send(b"got %d" % len(received[0]))
            peer.end_sending()
        client = HalfClosing(edge.port, scripted(script))
        client.send(b"question")
        client.end_sending()
        assert client.recv_all() == b"got 8"
        assert received == [b"question"]
        client.close()

    def test_client_ends_without_close_notify(self, edge, scripted):
        """The origin must not take a cut request for a whole one: no close_notify."""
        seen = []

        def script(peer):
            peer.send(b"ready")
            try:
                seen.append(peer.recv_all())
            except (ssl.SSLError, OSError) as error:
                seen.append(error)
        client = HalfClosing(edge.port, scripted(script))
        assert client.recv() == b"ready"
        client.send(b"question")
        client.raw.shutdown(socket.SHUT_WR)
        eventually(lambda: seen, "the origin sees the end")
        assert isinstance(seen[0], ConnectionResetError) or "EOF" in str(seen[0]), seen
        client.close()

    def test_origin_speaks_first(self, edge, scripted):
        client = HalfClosing(edge.port, scripted(lambda peer: [peer.send(b"220 ready"), peer.recv()]))
        assert client.recv() == b"220 ready"
        client.close()


def test_client_that_is_ahead(edge, pki, trusting):
    """What a client sends while the handshake with the origin is under way waits, and arrives whole."""
    received, go = [], threading.Event()

    def script(connection):
        go.wait(10)
        peer = HalfClosing(accepted=(connection, pki.context()))
        received.append(peer.recv_all())
    sni, payload = edge.route(edge.world.add_backend(ScriptBackend(script)), trusting()), os.urandom(64 << 10)
    client = HalfClosing(edge.port, sni)
    client.send(payload)
    client.end_sending()
    eventually(lambda: [i for i in edge.connections() if i["sni"] == sni and i["state"] == "upstream_handshake"], "waits for the origin")
    go.set()
    eventually(lambda: received, "arrives")
    assert received[0] == payload
    client.close()


class TestBulk:
    SIZE = 8 << 20

    def test_download_to_a_slow_reader(self, edge, scripted):
        """The client's window is small and it reads in pieces of its own: nothing is lost on the way."""
        payload = os.urandom(1 << 20)

        def script(secured):
            secured.recv(10)
            secured.settimeout(60)
            for _ in range(self.SIZE >> 20):
                secured.sendall(payload)
            secured.unwrap()
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        raw.settimeout(60)
        sni = scripted(script, raw=True)
        raw.connect(("127.0.0.1", edge.port))
        with tls.context().wrap_socket(raw, server_hostname=sni) as connection:
            connection.sendall(b"go")
            digest, total = hashlib.sha256(), 0
            for size in itertools.cycle((1, 4096, 16384, 333)):
                data = connection.recv(size)
                if not data:
                    break
                digest.update(data)
                total += len(data)
        assert total == self.SIZE and digest.digest() == hashlib.sha256(payload * (self.SIZE >> 20)).digest()

    def test_upload_to_a_slow_origin(self, edge, scripted):
        received = []

        def script(secured):
            secured.settimeout(60)
            digest, total = hashlib.sha256(), 0
            for size in itertools.cycle((1, 4096, 16384, 333)):
                data = secured.recv(size)
                if not data:
                    break
                digest.update(data)
                total += len(data)
            received.append((total, digest.digest()))
            secured.sendall(b"got it")
        payload = os.urandom(self.SIZE)
        client = HalfClosing(edge.port, scripted(script, raw=True))
        for start in range(0, len(payload), 1 << 16):
            client.send(payload[start:start + (1 << 16)])
        client.end_sending()
        assert client.recv() == b"got it"
        assert received == [(self.SIZE, hashlib.sha256(payload).digest())]
        client.close()

    def test_client_that_does_not_read_stops_the_origin(self, edge, scripted):
        """Some buffers further the origin is stopped, and the agent's memory does not grow."""
        sent, stop = [0], threading.Event()

        def script(secured):
            secured.recv(10)
            secured.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            secured.settimeout(2)
            try:
                while not stop.is_set() and sent[0] < 256 << 20:
                    sent[0] += secured.send(bytes(16384))
            except TimeoutError:
                pass
        sni, before = scripted(script, raw=True), edge.agent.daemon.rss_kib()
        with tls.connect(edge.port, sni) as connection:
            connection.sendall(b"go")
            last = [-1]

            def stalled():
                now, last[0] = last[0], sent[0]
                return now == last[0] and now > 0
            eventually(stalled, "the origin is stopped", 30, interval=0.5)
            assert sent[0] < 32 << 20
            assert edge.agent.daemon.rss_kib() - before < 16 << 10
        stop.set()
