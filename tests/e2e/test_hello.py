# SPDX-License-Identifier: Apache-2.0
"""Hostile and odd ClientHellos: illegal names are refused and never reach a log raw; slow and broken ones cost little."""
import socket
import threading
import time

import pytest

from harness import tls
from harness.tls import client_hello, extension, records, send_raw, sni_extension
from harness.world import serve


@pytest.fixture(scope="module")
def port(shared, ca):
    made = serve(shared.controlplane, shared.backend)
    shared.api.put_acked("/v1/tls_options/quick", {"min_version": "TLSv1.2", "handshake_timeout": 2, "alpn_protocols": ["h2", "http/1.1"]})
    shared.api.patch("/v1/listeners/main", {"tls_options": "quick"}, wait="acked", timeout=30).expect(200)
    shared.api.apply(wait="acked", timeout=30, put=[("ssls", "a", ca.issue("a.test").ssl("a.test")),
                                                    ("ssls", "w", ca.issue("*.wild.test").ssl("*.wild.test"))]).expect(200, 201)
    return made


def hello(port, *extensions, size=16384, **more):
    return send_raw(port, records(client_hello(*extensions), size), **more)


class TestNames:
    @pytest.mark.parametrize("name", [b"a.test", b"A.TEST", b"a.test.", b"unknown.test", b"x.wild.test", b"x.y.wild.test", b"wild.test",
                                      b"_dmarc.a.test", b"xn--bcher-kva.test", b"a-b.test", b"1.test", b"a" * 63 + b".test"])
    def test_legal(self, port, name):
        assert hello(port, sni_extension(name)) == "ServerHello"

    def test_none(self, port):
        assert hello(port) == "ServerHello"

    @pytest.mark.parametrize("name", [
        b"a.test\r\nX: 1", b"a.test\nlevel=error", b"\x1b[31ma", b"a.test,dns:b.test", "bücher.test".encode(), b"a test", b"a\ttest", b"a/b",
        b"a..test", b".a.test", b"..", b"*.wild.test", b"*", b"a" * 64 + b".test", b"a" * 251 + b".com", b'a".test', b"a'.test", b"a%00.test",
        b"a\x7f.test", b"a=b", b"{{a}}", b"$(a)", b"a:443", b"[::1]", b"\xff\xfe"])
    def test_illegal_bytes_are_refused(self, port, name):
        assert hello(port, sni_extension(name)).startswith("alert:"), name

    @pytest.mark.parametrize("extensions", [
        [sni_extension(b"a.test\0.evil")], [sni_extension(b"")], [sni_extension(b"a.test", b"b.test")],
        [sni_extension(b"a.test"), sni_extension(b"b.test")], [extension(0, b"\0\xff\0\0\x06a.test")], [extension(0, b"")],
        [extension(0, b"\0\0")], [sni_extension((1, b"a.test"))], [sni_extension(b"a" * 256)], [sni_extension(b"a" * 16000)]])
    def test_broken_extensions_are_refused(self, port, extensions):
        assert hello(port, *extensions).startswith("alert:")

    @pytest.mark.parametrize("name", [b"127.0.0.1", b"10.0.0.1", b"1.2.3.4"])
    def test_ip_literals_match_nothing(self, port, name):
        """RFC 6066 forbids them; clients send them. Legal bytes that name nobody: the default certificate, or an alert."""
        assert hello(port, sni_extension(name)) == "ServerHello" or hello(port, sni_extension(name)).startswith("alert:")

    def test_nothing_of_it_reaches_the_log_raw(self, shared, port):
        for name in (b"\x1b[31mred", b"a\r\nlevel=error msg=forged", "bücher.test".encode(), b"\x7f\x9b"):
            hello(port, sni_extension(name))
        raw = shared.agent.log.read_bytes()
        assert b"\x1b" not in raw and b"\r" not in raw and b"\x9b" not in raw and b"\x7f" not in raw
        assert not any(line.startswith(b"level=error msg=forged") for line in raw.splitlines())
        assert max(raw) < 0x7f


class TestShapes:
    @pytest.mark.parametrize("more,expected", [
        ([extension(0x0a0a, b"")], "ServerHello"),  # GREASE
        ([extension(0xfe0d, b"\0\0\x01\0\x01\x05\0\x20" + bytes(32) + b"\0\x90" + bytes(144))], "ServerHello"),  # ECH, outer
        ([extension(0x5555, bytes(24000))], "ServerHello"),
        ([extension(0x5555, bytes(60000))], "alert:47"),  # longer than is taken
        ([extension(16, b"\0\x03\x02h2")], "ServerHello"),
        ([extension(16, b"\0\x04\x03foo")], "alert:120"),
        ([extension(16, b"\0\0")], "alert:"),
        ([extension(16, b"\0\x04\x02h2")], "alert:"),
        ([extension(16, b"")], "alert:"),
        ([extension(16, b"\0\x01\0")], "alert:")])
    def test_extensions(self, port, more, expected):
        assert hello(port, sni_extension(b"a.test"), *more).startswith(expected)

    @pytest.mark.parametrize("size", [1, 2, 3, 16, 100, 511])
    def test_fragmented_into_records(self, port, size):
        assert hello(port, sni_extension(b"a.test"), size=size) == "ServerHello"

    def test_one_byte_per_segment(self, port):
        data = records(client_hello(sni_extension(b"a.test")))
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(len(data)):
                connection.sendall(data[i:i + 1])
            assert connection.recv(1) == b"\x16"

    @pytest.mark.parametrize("data", [
        b"\x16\x03\x01\x00\x05\x01\xff\xff\xff\xff",  # a handshake message of 16 MB is claimed
        b"\x16\x03\x01\xff\xff" + bytes(100),  # a record beyond the limit
        (b"\x16\x03\x01\x00\x00") * 200, b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", b"\x80\x2e\x01\x00\x02" + bytes(41),
        b"\x17\x03\x03\x00\x05hello", b"\x15\x03\x01\x00\x02\x02\x28", b"\x14\x03\x01\x00\x01\x01", bytes(5), b"\xff" * 1000, b"PROXY TCP4 1.2.3.4\r\n",
        b"SSH-2.0-OpenSSH_9\r\n"])
    def test_not_a_client_hello(self, port, data):
        assert send_raw(port, data).split(":")[0] in ("alert", "EOF", "RST")

    def test_random_hellos(self, shared, port):
        import random
        dice = random.Random(7)
        good = records(client_hello(sni_extension(b"a.test")))
        for _ in range(200):
            data = bytearray(good)
            for _ in range(dice.randrange(1, 6)):
                data[dice.randrange(5, len(data))] = dice.randrange(256)
            send_raw(port, bytes(data), timeout=3)
        assert tls.fetch(port, "a.test")[0] == "backend"

    def test_wildcard_levels(self, port, ca):
        served = {name: tls.leaf(port, name) for name in ("x.wild.test", "x.y.wild.test", "wild.test")}
        assert served["x.wild.test"] not in (served["x.y.wild.test"], served["wild.test"])


class TestDeadlines:
    def test_silent_and_slow_connections_are_closed_in_time(self, shared, port):
        """handshake_timeout is absolute: dripping bytes does not extend it. Others are served meanwhile."""
        data = records(client_hello(sni_extension(b"a.test")))
        closed, started = [], time.monotonic()

        def drip(first):
            with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
                connection.settimeout(0.3)
                sent = 0
                while time.monotonic() - started < 12:
                    try:
                        if sent < len(data) - 1 and first:
                            connection.sendall(data[sent:sent + 1])
                            sent += 1
                        if connection.recv(100) == b"":
                            break
                    except TimeoutError:
                        continue
                    except OSError:
                        break
                closed.append(time.monotonic() - started)
        threads = [threading.Thread(target=drip, args=(i % 2 == 0,)) for i in range(20)]
        for thread in threads:
            thread.start()
        assert tls.fetch(port, "a.test")[0] == "backend"
        assert time.monotonic() - started < 2
        for thread in threads:
            thread.join()
        slow = sorted(closed)[-1]
        # A connection that never sends a byte may be judged by the listener's default instead; both are bounded.
        assert len(closed) == 20 and slow < 11.5, closed
        assert sum(1 for t in closed if t < 3.5) >= 10, closed
        assert tls.fetch(port, "a.test")[0] == "backend"


def test_max_connections(shared, ca, world):
    from harness.backend import EchoBackend
    echo = world.add_backend(EchoBackend())
    port = serve(shared.controlplane, echo, listener="few", upstream="few", listener_extra={"max_connections": 3})
    held = [tls.connect(port, "few.test") for _ in range(3)]
    for connection in held:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
    with pytest.raises(OSError):
        with tls.connect(port, "few.test", timeout=3) as extra:
            extra.sendall(b"x")
            if extra.recv(1) == b"":
                raise ConnectionError("closed")
    held.pop().close()

    def again():
        with tls.connect(port, "few.test", timeout=3) as one:
            one.sendall(b"x")
            return one.recv(1) == b"x"
    from harness.net import eventually
    eventually(again, "a place is free again")
    for connection in held:
        connection.close()
