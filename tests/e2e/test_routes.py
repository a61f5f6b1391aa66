# SPDX-License-Identifier: Apache-2.0
"""Routes with real clients: which one a ClientHello takes, what each mode does with it, and that GET /v1/resolve says the same of every one."""
import hashlib
import os
import socket
import ssl
import threading

import pytest

from harness import tls
from harness.backend import Backend, EchoBackend, HttpBackend, ScriptBackend
from harness.net import eventually, free_port, receive_all
from harness.origin import TlsBackend
from harness.tls import HalfClosing, client_hello, records, sni_extension
from harness.wire import HELLO_MAX, Fragmented, padded_hello, send_in_segments
from harness.world import Hammer

ALERTS = {"access_denied": "TLSV1_ALERT_ACCESS_DENIED", "unrecognized_name": "TLSV1_UNRECOGNIZED_NAME"}


def visit(port, sni, host="127.0.0.1", source=None, version=None, client=None):
    """(name of the backend, SHA-256 of the leaf) of one request, or the alert as OpenSSL names it. source: the client's address."""
    raw = socket.create_connection((host, port), timeout=10, source_address=(source, 0) if source else None)
    try:
        with tls.context(version=version, client=client).wrap_socket(raw, server_hostname=sni) as connection:
            connection.sendall(tls.REQUEST)
            head, _, body = receive_all(connection).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            return body.decode(), hashlib.sha256(connection.getpeercert(True)).hexdigest()
    except ssl.SSLError as error:
        return error.reason
    finally:
        raw.close()


class Place:
    """Listeners one (127.0.0.1), two (127.0.0.2, same port, TLS 1.2 alone), own upstream `own`; bare (127.0.0.1) without an upstream; an SSL object
    for all names of .test, so that what is asked for never decides about certificates here."""

    def __init__(self, shared, ca):
        self.world, self.api, self.agent, self.numbers = shared.world, shared.api, shared.agent, iter(range(10 ** 6))
        self.backends, self.port, self.bare, self.star = {}, free_port(), free_port(), ca.issue("*.test")
        self.own = self.upstream("own")
        self.api.apply(wait="acked", timeout=30, put=[
            ("tls_options", "both", {"min_version": "TLSv1.2"}),
            ("tls_options", "only12", {"min_version": "TLSv1.2", "max_version": "TLSv1.2"}),
            ("upstreams", "own", self.own), ("ssls", "star", self.star.ssl("*")),
            ("listeners", "one", {"bind": f"127.0.0.1:{self.port}", "upstream": "own", "tls_options": "both"}),
            ("listeners", "two", {"bind": f"127.0.0.2:{self.port}", "upstream": "own", "tls_options": "only12"}),
            ("listeners", "bare", {"bind": f"127.0.0.1:{self.bare}", "tls_options": "both"})]).expect(200, 201)

    def upstream(self, name, backend=None, **more):
        """The body of an upstream with one node: a backend that says this name, or the one given."""
        self.backends[name] = self.world.add_backend(backend or HttpBackend(name))
        return {"nodes": {f"127.0.0.1:{self.backends[name].port}": 1}, **more}

    def new_id(self, word="r"):
        return f"{word}{next(self.numbers)}"

    def put(self, *rows):
        self.api.apply(put=rows, wait="acked", timeout=30).expect(200, 201)

    def route(self, *snis, backend=None, **more):
        """A route of its own with an upstream of the same name; the name."""
        name = self.new_id()
        self.put(("upstreams", name, self.upstream(name, backend)), ("routes", name, {"snis": list(snis), "upstream": name, **more}))
        return name

    def passthrough(self, backend, **more):
        """(server name, route) of a new passthrough to this backend."""
        sni = f"{self.new_id('raw')}.pass.test"
        return sni, self.route(sni, backend=backend, mode="passthrough", **more)

    def address(self, listener):
        return {"one": ("127.0.0.1", self.port), "two": ("127.0.0.2", self.port), "bare": ("127.0.0.1", self.bare)}[listener]

    def resolve(self, listener, sni, client="127.0.0.1"):
        query = {} if sni is None else {"sni": sni}
        return self.api.get("/v1/resolve", agent=self.agent.id, listener=listener, client_ip=client, **query).expect(200).json

    def check(self, listener, sni, expected, source=None, **more):
        """expected: the id of the upstream, which is the name that its backend says, or the alert. Live and explained."""
        host, port = self.address(listener)
        seen = visit(port, sni, host=host, source=source, **more)
        said = self.resolve(listener, sni, source or ("127.0.0.2" if listener == "two" else "127.0.0.1"))
        if expected in ALERTS:
            assert seen == ALERTS[expected], seen
            assert said["outcome"] == "refuse" and said["refusal"]["alert"] == expected, said
        else:
            leaves = [pair["sha256"] for pair in said["certificate"]["pairs"]]
            assert seen[0] == expected and (seen[1] in leaves if leaves else seen[1] != self.star.sha256), seen
            assert said["outcome"] == "terminate" and said["upstream"]["id"] == expected, said
        return said


@pytest.fixture(scope="module")
def place(shared, ca):
    return Place(shared, ca)


# Choice ---------------------------------------------------------------------------------------------------------------

PATTERNS = [("exact", "www.shop.test", "one"), ("label", "*.shop.test", "one"), ("deep", "**.shop.test", "one"), ("deeper", "**.deep.shop.test", "one"),
            ("any", "*", "one"), ("nameless", "", "one"), ("exact-two", "mail.shop.test", "two"), ("label-two", "*.fall.test", "two"),
            ("deep-one", "**.fall.test", "one")]


def test_patterns(place):
    """One route per pattern, each with an upstream that says its id."""
    rows = [[("upstreams", name, place.upstream(name)), ("routes", name, {"snis": [pattern], "listeners": [listener], "upstream": name})]
            for name, pattern, listener in PATTERNS]
    place.put(*(row for both in rows for row in both))
    for listener, sni, expected in (
            ("one", "www.shop.test", "exact"), ("one", "WWW.Shop.Test", "exact"), ("one", "www.shop.test.", "exact"),
            ("one", "mail.shop.test", "label"),  # the exact one is for another listener: the next level takes it
            ("one", "x.www.shop.test", "deep"), ("one", "x.y.z.shop.test", "deep"),
            ("one", "x.deep.shop.test", "deeper"), ("one", "x.y.deep.shop.test", "deeper"),  # the longest
            ("one", "deep.shop.test", "label"),  # "**." is never zero labels
            ("one", "shop.test", "any"), ("one", "notshop.test", "any"), ("one", "www.shop.test.evil.test", "any"),
            ("one", "x.fall.test", "deep-one"), ("one", None, "nameless"),
            ("two", "mail.shop.test", "exact-two"), ("two", "x.fall.test", "label-two"), ("two", "x.y.fall.test", "own"),
            ("two", "www.shop.test", "own"), ("bare", "www.shop.test", "unrecognized_name")):
        place.check(listener, sni, expected)
    place.api.apply(delete=[("routes", name) for name, _, _ in PATTERNS], wait="acked", timeout=30).expect(200)
    place.check("one", "www.shop.test", "own")


def test_listeners_of_a_route(place):
    """The listener by local address; one that names it goes before one for all, whatever the priority; each has options of its own."""
    place.put(("routes", "for-all", {"snis": ["same.test"], "upstream": "for-all", "priority": 9}),
              ("routes", "for-one", {"snis": ["same.test"], "upstream": "for-one", "listeners": ["one"]}),
              ("upstreams", "for-all", place.upstream("for-all")), ("upstreams", "for-one", place.upstream("for-one")))
    place.check("one", "same.test", "for-one", version="1.3")
    place.check("two", "same.test", "for-all", version="1.2")
    place.check("bare", "same.test", "for-all")
    assert visit(place.port, "same.test", host="127.0.0.2", version="1.3") == "TLSV1_ALERT_PROTOCOL_VERSION"
    place.api.delete("/v1/routes/for-one", wait="acked", timeout=30).expect(200)
    place.check("one", "same.test", "for-all")


def test_priority_then_age(place):
    low = place.route("equal.route.test", priority=-1)
    old = place.route("equal.route.test")
    young = place.route("equal.route.test")
    losers = {row["id"]: row["why"] for row in place.check("one", "equal.route.test", young)["route"]["losers"]}
    assert losers == {old: "older", low: "lower priority"}
    place.api.patch(f"/v1/routes/{low}", {"priority": 1}, wait="acked", timeout=30).expect(200)
    place.check("one", "equal.route.test", low)


def test_no_sni(place):
    """"*" takes names, not their absence; an IP literal is no name (RFC 6066 3)."""
    star = place.route("*", listeners=["two"])
    place.check("two", "some.test", star)
    seen = visit(place.port, None, host="127.0.0.2")
    assert seen[0] == "own" and seen[1] != place.star.sha256  # the default certificate, which here is the generated one
    assert place.resolve("two", None)["certificate"]["id"] is None
    nameless = place.route("", listeners=["two"], tls_options="only12")
    place.put(("ssls", "fallback", place.star.ssl("fallback.test")),
              ("tls_options", "with-default", {"min_version": "TLSv1.2", "default_ssl": "fallback"}))
    place.api.patch(f"/v1/routes/{nameless}", {"tls_options": "with-default"}, wait="acked", timeout=30).expect(200)
    place.check("two", None, nameless)
    seen, said = tls.s_client(place.port, sni="127.0.0.2", host="127.0.0.2"), place.resolve("two", "127.0.0.2")
    assert (seen.body, seen.leaf, said["upstream"]["id"]) == (nameless, place.star.sha256, nameless), seen
    seen, said = tls.s_client(place.port, sni="::1", host="127.0.0.2"), place.resolve("two", "::1")  # bytes that no name has
    assert (seen.body, seen.alert, said["refusal"]["alert"]) == (None, 112, "unrecognized_name"), seen
    place.check("two", "some.test", star)
    place.api.apply(delete=[("routes", star), ("routes", nameless)], wait="acked", timeout=30).expect(200)
    assert visit(place.bare, None) == ALERTS["unrecognized_name"]


def test_listener_without_upstream(place):
    """It serves what a route takes, and nothing else."""
    name = place.route("served.bare.test", listeners=["bare"])
    place.check("bare", "served.bare.test", name)
    place.check("bare", "other.bare.test", "unrecognized_name")
    place.check("bare", None, "unrecognized_name")


# Modes ----------------------------------------------------------------------------------------------------------------

def test_terminate(place):
    """With options and an upstream of its own; what it does not say is the listener's."""
    place.put(("tls_options", "own-alpn", {"min_version": "TLSv1.2", "max_version": "TLSv1.2", "alpn_protocols": ["h2"]}))
    whole = place.route("terminate.test", tls_options="own-alpn")
    seen = tls.s_client(place.port, "-alpn", "h2,http/1.1", sni="terminate.test")
    assert (seen.version, seen.alpn, seen.body, seen.leaf) == ("TLSv1.2", "h2", whole, place.star.sha256), seen
    place.put(("routes", "options-alone", {"snis": ["options-alone.test"], "tls_options": "own-alpn", "listeners": ["one"]}))
    seen = tls.s_client(place.port, "-alpn", "h2", sni="options-alone.test")
    assert (seen.version, seen.alpn, seen.body) == ("TLSv1.2", "h2", "own"), seen
    place.route("upstream-alone.test")
    seen = tls.s_client(place.port, "-alpn", "h2", sni="upstream-alone.test")
    assert (seen.version, seen.alpn) == ("TLSv1.3", None), seen


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_reject(place, version):
    """The alert, and the listener's upstream hears nothing."""
    place.put(("routes", "reject", {"snis": ["reject.test", "**.reject.test"], "mode": "reject"}))
    accepted = place.backends["own"].accepted
    for sni in ("reject.test", "x.reject.test", "x.y.reject.test"):
        place.check("one", sni, "access_denied", version=version)
    assert place.backends["own"].accepted == accepted


def test_passthrough(place, ca, tmp_path):
    """The origin's own certificate, its choice of protocol, its demand for a client's certificate: all of it is between the two."""
    clients, pair = ca.issue("client", usage="client"), ca.issue("*.pass.test")
    origin = TlsBackend(tmp_path, pair, client_ca=ca.cert_pem, name="origin", alpn=["http/1.1", "h2"])
    sni, route = place.passthrough(origin)
    cert, key = clients.write(tmp_path, "client")
    seen = tls.s_client(place.port, "-alpn", "h2,http/1.1", "-cert", str(cert), "-key", str(key), sni=sni)
    assert (seen.leaf, seen.alpn) == (pair.sha256, "http/1.1"), seen
    assert origin.seen[0]["sni"] == sni and origin.seen[0]["peer"] == clients.sha256, origin.seen
    said = place.resolve("one", sni)
    assert (said["outcome"], said["upstream"]["id"], said["certificate"], said["options"]) == ("passthrough", route, None, None)
    code, body, error = tls.curl(place.port, sni, "--cert", str(cert), "--key", str(key))
    assert code == 0 and '"name": "origin"' in body, error
    seen = tls.s_client(place.port, "-tls1_2", sni=sni)  # without a certificate: the origin's alert, not ours
    assert seen.alert == 40 and seen.leaf == pair.sha256, seen


class Keeping(Backend):
    """Keeps what came, and answers with the number of bytes and their SHA-256 when that many have."""

    def __init__(self, wanted=None):
        self.wanted, self.received = wanted, []
        super().__init__()

    def serve(self, connection):
        data = bytearray()
        while len(data) < self.wanted:
            part = connection.recv(1 << 16)
            if not part:
                break
            data += part
        self.received.append(bytes(data))
        connection.sendall(b"%d %s" % (len(data), hashlib.sha256(data).hexdigest().encode()))


def exchange(port, keeping, data, segment=None):
    """What the client gets for these bytes, to the end."""
    keeping.wanted, keeping.received[:] = len(data), []
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        send_in_segments(connection, data, segment or len(data))
        return receive_all(connection)


class TestPassthroughBytes:
    """What goes in comes out, byte for byte, whatever the shape of the ClientHello, and nothing of ours is among it."""

    @pytest.fixture(scope="class")
    def raw(self, place):
        keeping = Keeping()
        return (place.port, *place.passthrough(keeping)[:1], keeping)

    @staticmethod
    def check(port, keeping, data, segment=None):
        assert exchange(port, keeping, data, segment) == b"%d %s" % (len(data), hashlib.sha256(data).hexdigest().encode())
        assert keeping.received == [data]

    @pytest.mark.parametrize("size", [1, 2, 16, 100, 16384])
    @pytest.mark.parametrize("segment", [None, 1, 7])
    def test_fragments(self, raw, size, segment):
        port, sni, keeping = raw
        self.check(port, keeping, records(client_hello(sni_extension(sni.encode())), size), segment)

    @pytest.mark.parametrize("length", [16379, 16384, 16385, 20000, HELLO_MAX])
    @pytest.mark.parametrize("segment", [None, 1000])
    def test_long_hello(self, raw, length, segment):
        port, sni, keeping = raw
        self.check(port, keeping, records(padded_hello(length, sni_extension(sni.encode()))), segment)

    @pytest.mark.parametrize("early", [1, 4, 5, 6, 5000, 8000, 100_000, 1_000_000])
    @pytest.mark.parametrize("length", [300, 16385, HELLO_MAX])
    def test_what_follows_the_hello_at_once(self, raw, early, length):
        """Early data, a ChangeCipherSpec of middlebox compatibility, or anything."""
        port, sni, keeping = raw
        data = records(padded_hello(length, sni_extension(sni.encode()))) + b"\x14\x03\x03\0\x01\x01" + os.urandom(early)
        self.check(port, keeping, data)
        self.check(port, keeping, data, segment=4096)

    def test_too_long(self, raw):
        port, sni, keeping = raw
        accepted = keeping.accepted
        assert tls.send_raw(port, records(padded_hello(HELLO_MAX + 1, sni_extension(sni.encode())))) == "alert:47"
        assert keeping.accepted == accepted

    @pytest.mark.parametrize("record,segment", [(1, None), (16, None), (100, 1), (None, 1)])
    def test_real_client(self, place, ca, tmp_path, record, segment):
        """The handshake holds only if both ends have seen the same bytes, records apart."""
        pair = ca.issue("*.pass.test")
        sni, _ = place.passthrough(TlsBackend(tmp_path, pair))
        client = Fragmented(place.port, sni, record, segment)
        assert hashlib.sha256(client.tls.getpeercert(True)).hexdigest() == pair.sha256
        client.send(tls.REQUEST)
        assert b'"sni": "%s"' % sni.encode() in client.recv_all()
        client.close()


class TestPassthroughEnds:
    """Bulk, half close and resets: the agent adds no end of its own and hides none."""

    SIZE = 24 << 20

    @staticmethod
    def open(place, script):
        backend = ScriptBackend(script)
        sni, _ = place.passthrough(backend)
        connection = socket.create_connection(("127.0.0.1", place.port), timeout=30)
        hello = records(client_hello(sni_extension(sni.encode())))
        connection.sendall(hello)
        return connection, hello

    def test_bulk_and_half_close(self, place):
        """The client's end (FIN) reaches the origin, whose answer of the same size comes back whole, and its end after it."""
        payload = os.urandom(1 << 20)

        def script(connection):
            data = receive_all(connection)
            connection.sendall(hashlib.sha256(data).digest())
            for _ in range(self.SIZE >> 20):
                connection.sendall(payload)
        connection, hello = self.open(place, script)
        digest = hashlib.sha256(hello)
        for _ in range(self.SIZE >> 20):
            connection.sendall(payload)
            digest.update(payload)
        connection.shutdown(socket.SHUT_WR)
        answer = receive_all(connection)
        assert answer[:32] == digest.digest() and len(answer) == 32 + self.SIZE
        assert answer[32:] == payload * (self.SIZE >> 20)

    def test_both_ways_at_once(self, place):
        connection, hello = self.open(place, lambda c: EchoBackend.serve(None, c))
        payload, got = os.urandom(1 << 20), []
        reader = threading.Thread(target=lambda: got.append(receive_all(connection)))
        reader.start()
        for _ in range(8):
            connection.sendall(payload)
        connection.shutdown(socket.SHUT_WR)
        reader.join(30)
        assert got and got[0] == hello + payload * 8

    def test_origin_ends_first(self, place):
        """What the client still sends arrives."""
        received = []

        def script(connection):
            connection.sendall(b"bye")
            connection.shutdown(socket.SHUT_WR)
            received.append(receive_all(connection))
        connection, hello = self.open(place, script)
        assert receive_all(connection) == b"bye"
        connection.sendall(b"still here")
        connection.close()
        eventually(lambda: received == [hello + b"still here"], "the other way stays open")

    def test_client_resets(self, place):
        seen = []

        def script(connection):
            connection.sendall(b"x")
            try:
                seen.append(receive_all(connection))
            except OSError as error:
                seen.append(error)
        connection, _ = self.open(place, script)
        assert connection.recv(1) == b"x"
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
        eventually(lambda: seen, "the origin hears of it")
        assert isinstance(seen[0], ConnectionResetError), seen

    def test_origin_resets(self, place, ca, tmp_path):
        """A client of TLS must be able to tell the cut from an end."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*ca.issue("*.pass.test").write(tmp_path, "origin"))

        def script(connection):
            origin = HalfClosing(accepted=(connection, context))
            origin.recv()
            origin.send(b"half of the ")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sni, _ = place.passthrough(ScriptBackend(script))
        client = HalfClosing(place.port, sni)
        client.send(b"x")
        with pytest.raises(OSError):  # SSLEOFError, ConnectionResetError
            client.recv_all()
        client.close()

    def test_nobody_there(self, place):
        """No node answers: an end without a byte, above all no TLS alert of ours."""
        name, sni = place.new_id(), f"{place.new_id('raw')}.pass.test"
        place.put(("upstreams", name, {"nodes": {f"127.0.0.1:{free_port()}": 1}}),
                  ("routes", name, {"snis": [sni], "upstream": name, "mode": "passthrough"}))
        assert tls.send_raw(place.port, records(client_hello(sni_extension(sni.encode())))) in ("EOF", "RST")


# Clients' addresses ---------------------------------------------------------------------------------------------------

def test_allow_clients(place):
    """A filter, not a choice: who is not in it is refused by this route and falls to no other."""
    name = place.route("allow.test", allow_clients=["127.0.0.1/32", "10.0.0.0/8"])
    other = place.route("*.test", listeners=["one"])
    place.check("one", "allow.test", name)
    place.check("one", "allow.test", "access_denied", source="127.0.0.2")
    assert place.backends[name].accepted == 1
    place.api.patch(f"/v1/routes/{name}", {"allow_clients": ["127.0.0.2"]}, wait="acked", timeout=30).expect(200)
    place.check("one", "allow.test", "access_denied")
    place.check("one", "allow.test", name, source="127.0.0.2")
    place.api.patch(f"/v1/routes/{name}", {"allow_clients": ["::ffff:127.0.0.1", "2001:db8::/32"]}, wait="acked", timeout=30).expect(200)
    place.check("one", "allow.test", name)
    place.check("one", "allow.test", "access_denied", source="127.0.0.2")
    for address, passes in (("127.0.0.1", True), ("::ffff:127.0.0.1", True), ("2001:db8::7", True), ("2001:db9::7", False), ("::1", False)):
        assert (place.resolve("one", "allow.test", address)["outcome"] == "terminate") == passes, address
    place.api.delete(f"/v1/routes/{other}", wait="acked", timeout=30).expect(200)


def test_allow_clients_of_a_passthrough(place):
    backend = Keeping(10 ** 9)
    sni, name = place.passthrough(backend, allow_clients=["127.0.0.2"])
    assert tls.send_raw(place.port, records(client_hello(sni_extension(sni.encode())))) == "alert:49"
    assert backend.accepted == 0
    with socket.create_connection(("127.0.0.1", place.port), timeout=10, source_address=("127.0.0.2", 0)) as connection:
        connection.sendall(records(client_hello(sni_extension(sni.encode()))))
        eventually(lambda: backend.accepted == 1, "the other address is let through")
    assert place.resolve("one", sni, "127.0.0.2")["outcome"] == "passthrough"
    assert place.resolve("one", sni)["refusal"]["cause"] == "address"
    place.api.delete(f"/v1/routes/{name}", wait="acked", timeout=30).expect(200)


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on this machine")
def test_allow_clients_of_ipv6(place):
    """A socket for both families sees IPv4 clients as ::ffff:127.0.0.1; they are what they are."""
    port = free_port()
    place.put(("listeners", "dual", {"bind": f"[::]:{port}", "upstream": "own", "tls_options": "both"}))
    for name, ranges in (("six", ["::1"]), ("four", ["127.0.0.0/8"]), ("all-six", ["::/0"]), ("all-four", ["0.0.0.0/0"])):
        place.put(("routes", name, {"snis": [f"{name}.allow.test"], "listeners": ["dual"], "allow_clients": ranges}))
    for name, host, passes in (("six", "::1", True), ("six", "127.0.0.1", False), ("four", "::1", False), ("four", "127.0.0.1", True),
                               ("all-six", "127.0.0.1", False), ("all-six", "::1", True), ("all-four", "::1", False), ("all-four", "127.0.0.1", True)):
        seen = visit(port, f"{name}.allow.test", host=host)
        assert seen == (("own", place.star.sha256) if passes else ALERTS["access_denied"]), (name, host)
        said = place.resolve("dual", f"{name}.allow.test", host)
        assert (said["outcome"] == "terminate") == passes, (name, host)
    place.api.apply(delete=[("routes", name) for name in ("six", "four", "all-six", "all-four")] + [("listeners", "dual")]).expect(200)


# Changes --------------------------------------------------------------------------------------------------------------

def test_changed_live(place):
    """While clients hammer, a route swings between two upstreams, each with options of its own: no handshake fails, and none sees the upstream of
    one revision with the options of the other."""
    sni, pairs = "swing.test", [("left", "only12"), ("right", "only13")]
    place.put(("tls_options", "only13", {"min_version": "TLSv1.3"}), *[("upstreams", name, place.upstream(name)) for name, _ in pairs],
              ("routes", "swing", {"snis": [sni], "upstream": "left", "tls_options": "only12"}))
    seen = set()

    def work(_):
        with tls.connect(place.port, sni) as connection:
            version = connection.version()
            connection.sendall(tls.REQUEST)
            seen.add((receive_all(connection).rpartition(b"\r\n\r\n")[2].decode(), version))
    with Hammer(work, 3) as hammer:
        for number in range(20):
            upstream, options = pairs[number % 2]
            before = sum(hammer.rounds)
            place.put(("routes", "swing", {"snis": [sni], "upstream": upstream, "tls_options": options}))
            eventually(lambda: hammer.failures or sum(hammer.rounds) >= before + 6, "handshakes go on")
    assert not hammer.failures, hammer.failures[:3]
    assert seen == {("left", "TLSv1.2"), ("right", "TLSv1.3")}, seen


def test_mode_changes_live(place, ca, tmp_path):
    """Terminated, passed through, rejected, and gone: each from the next ClientHello on."""
    sni, pair = "modes.test", ca.issue("modes.test")
    place.put(("upstreams", "modes", place.upstream("modes", TlsBackend(tmp_path, pair))), ("upstreams", "plain", place.upstream("plain")))
    for _ in range(2):
        place.put(("routes", "modes", {"snis": [sni], "upstream": "plain"}))
        place.check("one", sni, "plain")
        place.put(("routes", "modes", {"snis": [sni], "upstream": "modes", "mode": "passthrough"}))
        assert visit(place.port, sni)[1] == pair.sha256
        assert place.resolve("one", sni)["outcome"] == "passthrough"
        place.put(("routes", "modes", {"snis": [sni], "mode": "reject"}))
        place.check("one", sni, "access_denied")
        place.api.delete("/v1/routes/modes", wait="acked", timeout=30).expect(200)
        place.check("one", sni, "own")


def hold(place, sni, source=None):
    """An open connection to an echo through the agent; data has passed."""
    raw = socket.create_connection(("127.0.0.1", place.port), timeout=10, source_address=(source, 0) if source else None)
    connection = tls.context().wrap_socket(raw, server_hostname=sni)
    assert echoes(connection)
    return connection


def echoes(connection):
    connection.sendall(b"ping")
    return connection.recv(10) == b"ping"


def ends(connection):
    try:
        return connection.recv(10) == b""
    except OSError as error:
        return not isinstance(error, TimeoutError)


def test_deleted_while_connections_are_open(place):
    """They go on to where they went; the next one is the listener's."""
    name = place.route("deleted.test", backend=EchoBackend())
    sni, raw_name = place.passthrough(ScriptBackend(lambda c: EchoBackend.serve(None, c)))
    held = hold(place, "deleted.test")
    raw = socket.create_connection(("127.0.0.1", place.port), timeout=10)
    hello = records(client_hello(sni_extension(sni.encode())))
    raw.sendall(hello)
    assert raw.recv(len(hello), socket.MSG_WAITALL) == hello
    place.api.apply(delete=[("routes", name), ("routes", raw_name), ("upstreams", name), ("upstreams", raw_name)], wait="acked", timeout=30).expect(200)
    place.check("one", "deleted.test", "own")
    assert echoes(held)
    raw.sendall(b"still passed through")
    assert raw.recv(20, socket.MSG_WAITALL) == b"still passed through"
    held.close()
    raw.close()


@pytest.mark.parametrize("tightened", [{"mode": "reject"}, {"allow_clients": ["127.0.0.2"]}])
def test_tightened_while_connections_are_open(place, tightened):
    """Who would be refused now is closed; others on the same listener stay."""
    name, other = place.route("tight.test", backend=EchoBackend()), place.route("loose.test", backend=EchoBackend())
    refused, stays = hold(place, "tight.test"), hold(place, "loose.test", source="127.0.0.2")
    same_name = hold(place, "tight.test", source="127.0.0.2")
    place.put(("routes", name, {"snis": ["tight.test"], **({} if "mode" in tightened else {"upstream": name}), **tightened}))
    assert ends(refused)
    assert echoes(stays)
    if "allow_clients" in tightened:
        assert echoes(same_name)
    else:
        assert ends(same_name)
    for connection in (refused, stays, same_name):
        connection.close()
    place.api.apply(delete=[("routes", name), ("routes", other)], wait="acked", timeout=30).expect(200)
