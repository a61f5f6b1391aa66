# SPDX-License-Identifier: Apache-2.0
"""What flows once the handshake is done: whole, in order, closed one side at a time, and never more in memory than a few buffers."""
import collections
import fcntl
import hashlib
import os
import socket
import struct
import termios
import threading

import pytest

from harness import tls
from harness.backend import CollectBackend, EchoBackend, HttpBackend, ScriptBackend
from harness.net import eventually, free_port, has_ipv6, receive_all
from harness.tls import HalfClosing, client_hello, records, sni_extension
from harness.world import serve

_count = iter(range(1000))


def relay(shared, backend):
    number = next(_count)
    return serve(shared.controlplane, backend, listener=f"relay{number}", upstream=f"relay{number}")


def unsent(connection):
    """Bytes that the other end's kernel has not acknowledged."""
    return struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0]


def both_versions(shared):
    shared.api.put_acked("/v1/tls_options/both", {"min_version": "TLSv1.2"})


@pytest.fixture(params=["1.2", "1.3"])
def version(request, shared):
    return request.param


class TestHalfClose:
    def make(self, shared, backend):
        both_versions(shared)
        number = next(_count)
        return serve(shared.controlplane, backend, listener=f"relay{number}", upstream=f"relay{number}",
                     listener_extra={"tls_options": "both"})

    def test_client_ends_first(self, shared, world, version):
        """The backend sees the end of input at the client's close_notify, and its answer still arrives."""
        backend = world.add_backend(CollectBackend())
        port = self.make(shared, backend)
        client = HalfClosing(port, version=version)
        client.send(b"question")
        client.end_sending()
        assert client.recv_all() == b"got 8"
        assert backend.received == [b"question"]
        client.close()

    def test_client_ends_without_close_notify(self, shared, world, version):
        """A FIN that nobody signed may be an attacker's: the backend must not take a cut request for a whole one."""
        seen = []

        def script(connection):
            try:
                seen.append(receive_all(connection))
            except ConnectionResetError as error:
                seen.append(error)
        port = self.make(shared, world.add_backend(ScriptBackend(script)))
        client = HalfClosing(port, version=version)
        client.send(b"question")
        client.raw.shutdown(socket.SHUT_WR)
        eventually(lambda: seen, "the backend sees the end")
        assert isinstance(seen[0], ConnectionResetError), seen
        client.close()

    def test_backend_ends_first(self, shared, world, version):
        """The client sees an orderly end (close_notify), and what it sends afterwards still arrives."""
        received = []

        def script(connection):
            connection.sendall(b"hello and goodbye")
            connection.shutdown(socket.SHUT_WR)
            received.append(receive_all(connection))
        port = self.make(shared, world.add_backend(ScriptBackend(script)))
        client = HalfClosing(port, version=version)
        assert client.recv_all() == b"hello and goodbye"
        assert client.raw.recv(1) == b""  # the FIN comes with close_notify
        client.send(b"still here")
        client.end_sending()
        client.raw.shutdown(socket.SHUT_WR)
        eventually(lambda: received == [b"still here"], "the other direction stayed open")
        client.close()

    def test_both_ended_and_the_backend_is_slow(self, shared, world):
        """The client's FIN comes while what it sent before still waits for a backend that has ended its own way: all of it arrives."""
        received, may_read = [], threading.Event()

        def script(connection):
            connection.recv(1 << 16)  # the ClientHello
            connection.shutdown(socket.SHUT_WR)
            may_read.wait(60)
            received.append(len(receive_all(connection)))

        def send(amount):
            """A connection, and how much it could send of the amount."""
            connection, sent = socket.create_connection(("127.0.0.1", port), timeout=20), 0
            connection.sendall(records(client_hello(sni_extension(b"slow.test"))))
            assert receive_all(connection) == b""
            connection.settimeout(1)
            try:
                while sent < amount:
                    sent += connection.send(bytes(min(1 << 16, amount - sent)))
            except TimeoutError:
                pass
            return connection, sent
        port = serve(shared.controlplane, world.add_backend(ScriptBackend(script)), listener="slow", upstream="slow")
        shared.api.put_acked("/v1/routes/slow", {"snis": ["slow.test"], "mode": "passthrough", "upstream": "slow"})
        full, sent = send(1 << 30)
        room = sent - unsent(full)
        # Of these at least one is more than gets past the agent, and little enough for the FIN to get there.
        clients = [send(room * part // 32) for part in range(16, 33)]
        for client, _ in clients:
            client.shutdown(socket.SHUT_WR)
        eventually(lambda: unsent(clients[0][0]) == 0, "a FIN has arrived")
        may_read.set()
        eventually(lambda: {sent for _, sent in clients} <= set(received), "all of it has arrived")
        for client, _ in [(full, sent), *clients]:
            client.close()

    def test_backend_resets(self, shared, world, version):
        def script(connection):
            connection.recv(10)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        port = self.make(shared, world.add_backend(ScriptBackend(script)))
        client = HalfClosing(port, version=version)
        client.send(b"x")
        with pytest.raises(OSError):  # never an orderly end: the client must be able to tell a cut answer
            client.recv_all()
        client.close()

    def test_client_resets(self, shared, world):
        backend = world.add_backend(CollectBackend())
        port = relay(shared, backend)
        client = HalfClosing(port)
        client.send(b"abc")
        client.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        eventually(lambda: backend.accepted == 1, "the backend was reached")
        with tls.connect(port, "x") as again:
            assert again.version()


class TestBulk:
    SIZE = 24 << 20

    def test_download(self, shared, world):
        payload = os.urandom(1 << 20)
        port = relay(shared, world.add_backend(ScriptBackend(lambda c: [c.recv(10), [c.sendall(payload) for _ in range(self.SIZE >> 20)]])))
        with tls.connect(port, "x", timeout=60) as connection:
            connection.sendall(b"go")
            digest, total = hashlib.sha256(), 0
            while True:
                data = connection.recv(1 << 18)
                if not data:
                    break
                digest.update(data)
                total += len(data)
        assert total == self.SIZE and digest.digest() == hashlib.sha256(payload * (self.SIZE >> 20)).digest()

    def test_upload(self, shared, world):
        backend = world.add_backend(CollectBackend())
        port = relay(shared, backend)
        payload = os.urandom(self.SIZE)
        client = HalfClosing(port)
        for start in range(0, len(payload), 1 << 16):
            client.send(payload[start:start + (1 << 16)])
        client.end_sending()
        client.raw.shutdown(socket.SHUT_WR)
        eventually(lambda: backend.received, "received", 60)
        assert hashlib.sha256(backend.received[0]).digest() == hashlib.sha256(payload).digest()
        client.close()

    def test_both_ways_at_once(self, shared, world):
        port = relay(shared, world.add_backend(EchoBackend()))
        payload = os.urandom(8 << 20)
        with tls.connect(port, "x", timeout=60) as connection:
            got = bytearray()

            def read():
                while len(got) < len(payload):
                    data = connection.recv(1 << 16)
                    if not data:
                        return
                    got.extend(data)
            # One SSL object may not be used by two threads at once: alternate, with more in flight than any buffer.
            connection.settimeout(60)
            step = 1 << 15
            for start in range(0, len(payload), step):
                connection.sendall(payload[start:start + step])
                while len(got) < start - (1 << 17):
                    got.extend(connection.recv(1 << 16))
            read()
        assert bytes(got) == payload

    def test_back_pressure_to_the_backend(self, shared, world):
        """A client that does not read stops the backend after some buffers, and memory does not grow."""
        sent, stop = [0], threading.Event()

        def script(connection):
            connection.recv(10)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            chunk = bytes(65536)
            connection.settimeout(2)
            try:
                while not stop.is_set() and sent[0] < 256 << 20:
                    sent[0] += connection.send(chunk)
            except TimeoutError:
                pass
        port = relay(shared, world.add_backend(ScriptBackend(script)))
        before = shared.agent.daemon.rss_kib()
        with tls.connect(port, "x") as connection:
            connection.sendall(b"go")
            last = [-1]

            def stalled():
                now, last[0] = last[0], sent[0]
                return now == last[0] and now > 0
            eventually(stalled, "the backend is stopped", 30, interval=0.5)
            assert sent[0] < 32 << 20, sent
            assert shared.agent.daemon.rss_kib() - before < 16 << 10
        stop.set()

    def test_back_pressure_to_the_client(self, shared, world):
        stop = threading.Event()
        port = relay(shared, world.add_backend(ScriptBackend(lambda c: stop.wait(60))))
        before, sent = shared.agent.daemon.rss_kib(), 0
        with tls.connect(port, "x") as connection:
            connection.settimeout(2)
            with pytest.raises(TimeoutError):
                while sent < 256 << 20:
                    connection.sendall(bytes(65536))
                    sent += 65536
        stop.set()
        assert sent < 32 << 20
        assert shared.agent.daemon.rss_kib() - before < 16 << 10

    def test_many_connections(self, shared, world):
        port = relay(shared, world.add_backend(EchoBackend()))
        connections = [tls.connect(port, "x") for _ in range(200)]
        for number, connection in enumerate(connections):
            connection.sendall(b"%d" % number)
        for number, connection in enumerate(connections):
            assert connection.recv(10) == b"%d" % number
            connection.close()


class TestUpstreams:
    def test_weights(self, shared, world):
        heavy, light, none = (world.backend(name) for name in ("heavy", "light", "none"))
        port = free_port()
        shared.api.apply(wait="acked", timeout=30, put=[
            ("upstreams", "weights", {"nodes": {f"127.0.0.1:{heavy.port}": 3, f"127.0.0.1:{light.port}": 1, f"127.0.0.1:{none.port}": 0}}),
            ("listeners", "weights", {"bind": f"127.0.0.1:{port}", "upstream": "weights"})]).expect(200, 201)
        counts = collections.Counter(tls.fetch(port, "x")[0] for _ in range(80))
        assert counts["none"] == 0 and abs(counts["heavy"] - 60) <= 6, counts

    def test_next_node_on_connect_failure(self, shared, world):
        alive, dead = world.backend("alive"), free_port()
        port = free_port()
        shared.api.apply(wait="acked", timeout=30, put=[
            ("upstreams", "failover", {"nodes": {f"127.0.0.1:{dead}": 10, f"127.0.0.1:{alive.port}": 1}}),
            ("listeners", "failover", {"bind": f"127.0.0.1:{port}", "upstream": "failover"})]).expect(200, 201)
        for _ in range(20):
            assert tls.fetch(port, "x")[0] == "alive"

    def test_nobody_there(self, shared):
        port, dead = free_port(), free_port()
        shared.api.apply(wait="acked", timeout=30, put=[
            ("upstreams", "dead", {"nodes": {f"127.0.0.1:{dead}": 1}}),
            ("listeners", "dead", {"bind": f"127.0.0.1:{port}", "upstream": "dead"})]).expect(200, 201)
        assert tls.s_client(port, sni="x").body is None
        backend = HttpBackend("late", dead)
        try:
            assert tls.fetch(port, "x")[0] == "late"
        finally:
            backend.close()

    def test_name_is_resolved(self, shared, world):
        backend, port = world.backend("by name"), free_port()
        shared.api.apply(wait="acked", timeout=30, put=[
            ("upstreams", "named", {"nodes": {f"localhost:{backend.port}": 1}}),
            ("listeners", "named", {"bind": f"127.0.0.1:{port}", "upstream": "named"})]).expect(200, 201)
        eventually(lambda: tls.s_client(port, sni="x").body, "resolved and answered")
        assert tls.fetch(port, "x")[0] == "by name"

    def test_upstream_changes_for_the_next_connection(self, shared, world):
        first, second = world.backend("first"), world.backend("second")
        port = serve(shared.controlplane, first, listener="moves", upstream="moves")
        assert tls.fetch(port, "x")[0] == "first"
        shared.api.put_acked("/v1/upstreams/moves", {"nodes": {f"127.0.0.1:{second.port}": 1}})
        assert tls.fetch(port, "x")[0] == "second"

    def test_ipv6_listener(self, shared, world):
        if not has_ipv6():
            pytest.skip("no IPv6 on this machine")
        backend, port = world.backend("six"), free_port()
        shared.api.apply(wait="acked", timeout=30, put=[
            ("upstreams", "six", {"nodes": {f"127.0.0.1:{backend.port}": 1}}),
            ("listeners", "six", {"bind": f"[::1]:{port}", "upstream": "six"})]).expect(200, 201)
        assert tls.fetch(port, "x", host="::1")[0] == "six"

    def test_server_speaks_first(self, shared, world):
        port = relay(shared, world.add_backend(ScriptBackend(lambda c: [c.sendall(b"220 ready\r\n"), c.recv(1)])))
        with tls.connect(port, "x") as connection:
            assert connection.recv(100) == b"220 ready\r\n"


def test_draining_on_sigterm(world, controlplane, agent):
    """SIGTERM: no new connections, those under way may finish (within the grace time)."""
    port = serve(controlplane, world.add_backend(EchoBackend()))
    connection = tls.connect(port, "x")
    connection.sendall(b"before")
    assert connection.recv(10) == b"before"
    agent.daemon.process.terminate()
    from harness.net import is_listening
    eventually(lambda: not is_listening(port), "no longer accepts")
    connection.sendall(b"during")
    assert connection.recv(10) == b"during"
    connection.close()
    assert agent.daemon.wait_exit(30) == 0
