# SPDX-License-Identifier: Apache-2.0
"""The PROXY protocol, in and out: who is believed, what is told, and that both hold with the real HAProxy at the other end."""
import hashlib
import socket
import ssl
import struct
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from harness import tls
from harness.daemon import fields
from harness.edge import Edge
from harness.net import eventually, free_port, has_ipv6
from harness.origin import PROXY_V2, ProxyBackend
from harness.peers import haproxy
from harness.pki import Ca

SENDER = "127.0.0.1"     # where the tests' clients come from
CLIENT = "192.0.2.7"     # who they say they are
V1 = f"PROXY TCP4 {CLIENT} 198.51.100.9 1111 443\r\n".encode()


def v2(source=(CLIENT, 1111), destination=("198.51.100.9", 443), command=0x21, family=None, tlvs=b""):
    six = ":" in source[0]
    pack = socket.AF_INET6 if six else socket.AF_INET
    body = socket.inet_pton(pack, source[0]) + socket.inet_pton(pack, destination[0]) + struct.pack(">HH", source[1], destination[1])
    kind = family if family is not None else (0x21 if six else 0x11)
    return PROXY_V2 + struct.pack(">BBH", command, kind, len(body) + len(tlvs)) + body + tlvs


@pytest.fixture(scope="module")
def edge(shared):
    """Believes the tests' own address."""
    return Edge(shared, "believing", accept_proxy_protocol=[SENDER])


@pytest.fixture(scope="module")
def strangers(shared):
    """Believes others, and not the tests' address."""
    return Edge(shared, "strangers", accept_proxy_protocol=["127.0.0.9", "10.0.0.0/8", "2001:db8::/32"])


@pytest.fixture(scope="module")
def hasty(shared):
    shared.api.put_acked("/v1/tls_options/hasty", {"handshake_timeout": 0.5})
    return Edge(shared, "hasty", accept_proxy_protocol=[SENDER], tls_options="hasty")


@pytest.fixture(scope="module")
def told(shared):
    """What an upstream is told: by version, of a listener that takes no headers."""
    return Edge(shared, "told")


@pytest.fixture(scope="module")
def routes(edge, strangers, shared):
    """A name on both, with an upstream that wants PROXY headers."""
    backend = shared.world.add_backend(ProxyBackend())
    name = "who.test"
    for which in (edge, strangers):
        which.route(backend, sni=name, send_proxy_protocol="v2")
    return backend, name


def open_with(edge, sni, header, source=SENDER, pieces=None):
    """A TLS connection that begins with header (bytes; in pieces: an iterable of what is sent at once)."""
    raw = socket.create_connection((SENDER, edge.port), timeout=10, source_address=(source, 0))
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        for piece in pieces or [header]:
            raw.sendall(piece)
        return tls.context().wrap_socket(raw, server_hostname=sni)
    except BaseException:
        raw.close()
        raise


def ask(connection):
    """One request; the connection is closed."""
    with connection:
        connection.sendall(tls.REQUEST)
        data = b""
        while part := connection.recv(65536):
            data += part
    assert data.startswith(b"HTTP/1.1 200"), data[:100]


def outcome(edge, data, source=SENDER, end=False):
    """What comes back for bytes that are no good: "EOF" or "RST" without a byte, or the bytes."""
    with socket.create_connection((SENDER, edge.port), timeout=10, source_address=(source, 0)) as raw:
        try:
            raw.sendall(data)
            if end:
                raw.shutdown(socket.SHUT_WR)
            return raw.recv(100) or "EOF"
        except ConnectionError:
            return "RST"


def refused_headers(edge):
    return edge.sample('handshake_failures_total{cause="proxy_header"}')


# In. --------------------------------------------------------------------------------------------------------------------


NO_HEADERS = {
    "TLS": tls.records(tls.client_hello(tls.sni_extension(b"who.test"))),
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "v1 without a port": b"PROXY TCP4 192.0.2.7 198.51.100.9 1111\r\n",
    "v1 port": b"PROXY TCP4 192.0.2.7 198.51.100.9 1111 65536\r\n",
    "v1 LF alone": b"PROXY TCP4 192.0.2.7 198.51.100.9 1111 443\n",
    "v1 family": b"PROXY TCP4 2001:db8::7 2001:db8::9 1111 443\r\n",
    "v1 zero": b"PROXY TCP4 192.0.2.07 198.51.100.9 1111 443\r\n",
    "v1 UDP": b"PROXY UDP4 192.0.2.7 198.51.100.9 1111 443\r\n",
    "v1 two spaces": b"PROXY TCP4  192.0.2.7 198.51.100.9 1111 443\r\n",
    "v1 NUL": b"PROXY TCP4 192.0.2.7\0 198.51.100.9 1111 443\r\n",
    "v1 long": b"PROXY TCP4 " + b"1" * 200 + b"\r\n",
    "v1 long UNKNOWN": b"PROXY UNKNOWN " + b"x" * 107 + b"\r\n",
    "v1 spaces": b"PROXY" + b" " * 120,
    "v2 command": v2(command=0x22),
    "v2 version": v2(command=0x11),
    "v2 datagrams": v2(family=0x12),
    "v2 family": v2(family=0x51),
    "v2 short": PROXY_V2 + b"\x21\x11" + struct.pack(">H", 4) + bytes(4),
    "v2 oversized": PROXY_V2 + b"\x21\x11" + struct.pack(">H", 65535),
    "v2 signature": PROXY_V2[:-1] + b"X" + bytes(20),
}


class TestIn:
    @pytest.mark.parametrize("header", [V1, v2(), v2(tlvs=b"\x05\0\x03abc" + b"\x04\0\x10" + bytes(16)), v2(tlvs=b"\x04" + struct.pack(">H", 4000) + bytes(4000))],
                             ids=["v1", "v2", "v2 with TLVs", "v2 with long TLVs"])
    def test_is_believed(self, edge, routes, header):
        backend, sni = routes
        ask(open_with(edge, sni, header))
        seen = backend.headers[-1]
        assert (seen["source"], seen["source_port"]) == (CLIENT, 1111)
        assert (seen["destination"], seen["destination_port"]) == ("198.51.100.9", 443)

    @pytest.mark.parametrize("header", [b"PROXY TCP6 2001:db8::7 2001:db8::9 1111 443\r\n", v2(("2001:db8::7", 1111), ("2001:db8::9", 443))], ids=["v1", "v2"])
    def test_ipv6(self, edge, routes, header):
        backend, sni = routes
        ask(open_with(edge, sni, header))
        seen = backend.headers[-1]
        assert (seen["family"], seen["source"], seen["destination"]) == (0x21, "2001:db8::7", "2001:db8::9")

    @pytest.mark.parametrize("header", [
        b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ff ff ff 65535 65535\r\n", v2(command=0x20), PROXY_V2 + b"\x20\0\0\0",
        v2(family=0), PROXY_V2 + b"\x21\x31" + struct.pack(">H", 216) + bytes(216)],
        ids=["v1 UNKNOWN", "v1 UNKNOWN with words", "v2 LOCAL", "v2 LOCAL and empty", "v2 UNSPEC", "v2 UNIX"])
    def test_no_address_in_it(self, edge, routes, header):
        """The addresses of the socket stay."""
        backend, sni = routes
        connection = open_with(edge, sni, header)
        mine = connection.getsockname()
        ask(connection)
        seen = backend.headers[-1]
        assert (seen["source"], seen["source_port"], seen["destination_port"]) == (*mine, edge.port)

    @pytest.mark.parametrize("header", [V1, v2()], ids=["v1", "v2"])
    def test_in_drips(self, edge, routes, header):
        """A byte at a time."""
        backend, sni = routes
        ask(open_with(edge, sni, None, pieces=[header[i:i + 1] for i in range(len(header))]))
        assert backend.headers[-1]["source"] == CLIENT

    @pytest.mark.parametrize("header", [V1, v2()], ids=["v1", "v2"])
    @pytest.mark.parametrize("size", [1, 7, 1 << 20])
    def test_with_the_hello_behind_it(self, edge, routes, header, size):
        """In one segment with the ClientHello, or cut anywhere: not a byte of either is taken for the other."""
        data = header + tls.records(tls.client_hello(tls.sni_extension(routes[1].encode())))
        with socket.create_connection((SENDER, edge.port), timeout=10) as raw:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(0, len(data), size):
                raw.sendall(data[at:at + size])
            answer = raw.recv(6)
        assert answer[0] == 0x16 and answer[5] == 2, answer  # a ServerHello

    def test_passthrough(self, edge, ca, shared, tmp_path):
        """The header goes no further; what comes behind it does, to the byte, and the address with it."""
        pair = ca.issue("through.test")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair.write(tmp_path, "through"))
        backend = shared.world.add_backend(ProxyBackend(context=context))
        for version in ("v1", "v2"):
            ask(open_with(edge, edge.route(backend, route={"mode": "passthrough"}, send_proxy_protocol=version), v2()))
        ask(open_with(edge, edge.route(backend, route={"mode": "passthrough"}, send_proxy_protocol="v1"), V1))
        assert [header["source"] for header in backend.headers] == [CLIENT] * 3 and backend.failures == []

    @pytest.mark.parametrize("what", NO_HEADERS)
    def test_no_header_no_connection(self, edge, what):
        """A listed sender that sends none, or what is none: closed without a byte."""
        before = refused_headers(edge)
        assert outcome(edge, NO_HEADERS[what]) in ("EOF", "RST")
        assert refused_headers(edge) == before + 1

    @pytest.mark.parametrize("part", [b"PROX", V1[:-1], v2()[:8], v2()[:20]], ids=["v1 word", "v1", "v2 signature", "v2"])
    def test_ends_within(self, edge, part):
        before = refused_headers(edge)
        assert outcome(edge, part, end=True) in ("EOF", "RST")
        assert refused_headers(edge) == before + 1

    @pytest.mark.parametrize("header", [V1, v2()], ids=["v1", "v2"])
    def test_second_header(self, edge, routes, header):
        """One sender speaks for the connection: what follows is TLS."""
        _, sni = routes
        with pytest.raises((ssl.SSLError, OSError)):
            ask(open_with(edge, sni, header + header))

    @pytest.mark.parametrize("header", [V1, v2()], ids=["v1", "v2"])
    def test_from_others_it_is_no_tls(self, strangers, header):
        """Nobody can make himself somebody else: from a source that is not listed the header is bytes that are no TLS."""
        before = strangers.sample('handshake_failures_total{cause="protocol"}')
        answer = outcome(strangers, header + tls.records(tls.client_hello(tls.sni_extension(b"who.test"))))
        assert answer in ("EOF", "RST") or answer[0] == 0x15, answer  # an alert at most
        assert strangers.sample('handshake_failures_total{cause="protocol"}') == before + 1

    def test_others_need_none(self, strangers, routes):
        backend, sni = routes
        connection = tls.connect(strangers.port, sni)
        mine = connection.getsockname()
        ask(connection)
        assert (backend.headers[-1]["source"], backend.headers[-1]["source_port"]) == mine

    def test_by_the_source_of_each_connection(self, strangers, routes):
        """The same listener, another source address: that one is listed, so it must send a header."""
        backend, sni = routes
        ask(open_with(strangers, sni, V1, source="127.0.0.9"))
        assert backend.headers[-1]["source"] == CLIENT
        assert outcome(strangers, tls.records(tls.client_hello(tls.sni_extension(b"who.test"))), source="127.0.0.9") in ("EOF", "RST")

    def test_list_changes_live(self, shared, routes):
        backend, sni = routes
        changing = Edge(shared, "changing")
        changing.route(backend, sni=sni, send_proxy_protocol="v2")
        ask(tls.connect(changing.port, sni))
        changing.api.patch("/v1/listeners/changing", {"accept_proxy_protocol": [SENDER]}, wait="acked", timeout=30).expect(200)
        ask(open_with(changing, sni, V1))
        assert backend.headers[-1]["source"] == CLIENT
        with pytest.raises((ssl.SSLError, OSError)):
            tls.fetch(changing.port, sni)
        changing.api.patch("/v1/listeners/changing", {"accept_proxy_protocol": None}, wait="acked", timeout=30).expect(200)
        ask(tls.connect(changing.port, sni))

    @pytest.mark.parametrize("drips", [b"", b"P", v2()[:17], PROXY_V2 + b"\x21\0\x0f\0" + bytes(64)], ids=["nothing", "one", "some", "for ever"])
    def test_deadline(self, hasty, drips):
        """The header counts to the deadline of the handshake; bytes do not move it."""
        before, started = hasty.sample('handshakes_total{result="timed_out"}'), time.monotonic()
        with socket.create_connection((SENDER, hasty.port), timeout=0.1) as raw:
            for at in range(100):
                try:
                    raw.sendall(drips[at:at + 1])
                    assert raw.recv(10) == b""
                    break
                except TimeoutError:
                    continue
                except ConnectionError:
                    break
        assert 0.4 < time.monotonic() - started < 9
        assert hasty.sample('handshakes_total{result="timed_out"}') == before + 1


class TestAddressIsUsed:
    """Everything that asks for the client's address asks for the one of the header."""

    @pytest.mark.parametrize("header,passes", [
        (V1, True), (v2(), True), (v2(("198.51.100.1", 1)), False), (b"PROXY TCP6 2001:db8::7 2001:db8::9 1 2\r\n", True),
        (b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.9 1 2\r\n", True), (b"PROXY TCP6 ::ffff:192.0.3.7 ::ffff:198.51.100.9 1 2\r\n", False),
        (b"PROXY TCP6 2001:db9::7 2001:db8::9 1 2\r\n", False), (b"PROXY UNKNOWN\r\n", False)])
    def test_allow_clients(self, edge, routes, header, passes):
        backend, _ = routes
        sni = edge.route(backend, route={"allow_clients": ["192.0.2.0/24", "2001:db8::/32"]}, send_proxy_protocol="v1")
        if passes:
            ask(open_with(edge, sni, header))
        else:
            before, seen = edge.sample('handshake_failures_total{cause="address"}'), len(backend.headers)
            with pytest.raises((ssl.SSLError, OSError)):
                ask(open_with(edge, sni, header))
            assert len(backend.headers) == seen and edge.sample('handshake_failures_total{cause="address"}') == before + 1

    def test_a_header_opens_no_door_to_others(self, strangers, routes):
        backend, _ = routes
        sni = strangers.route(backend, route={"allow_clients": ["192.0.2.0/24"]}, send_proxy_protocol="v1")
        seen = len(backend.headers)
        with pytest.raises((ssl.SSLError, OSError)):
            tls.fetch(strangers.port, sni)
        with pytest.raises((ssl.SSLError, OSError)):
            ask(open_with(strangers, sni, V1))
        assert len(backend.headers) == seen

    def test_view_and_log(self, edge, shared):
        sni = edge.route(shared.backend)
        with open_with(edge, sni, V1) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n")
            item = eventually(lambda: [i for i in edge.connections() if i["sni"] == sni], "is listed")[0]
            assert item["peer"] == f"{CLIENT}:1111" and item["via"] == "{}:{}".format(*connection.getsockname())

        def look():  # lines per second are bounded
            with pytest.raises((ssl.SSLError, OSError)):
                open_with(edge, reject, V1)
            return [fields(line) for line in edge.agent.daemon.lines("TLS handshake failed") if f"sni={reject}" in line]
        reject = "reject.proxy.test"
        edge.apply(("routes", "reject-proxy", {"snis": [reject], "mode": "reject"}))
        line = eventually(look, "is logged", interval=0.2)[0]
        assert line["peer"] == f"{CLIENT}:1111" and line["via"].startswith(f"{SENDER}:") and line["cause"] == "rejected"


# Out. -------------------------------------------------------------------------------------------------------------------


class TestOut:
    def test_off(self, told, shared):
        backend = shared.world.add_backend(ProxyBackend())
        ask(tls.connect(told.port, told.route(backend, send_proxy_protocol="off")))
        ask(tls.connect(told.port, told.route(backend)))
        assert backend.headers == [None, None]

    @pytest.mark.parametrize("spelling", ["v1", 1])
    def test_version_1(self, told, shared, spelling):
        backend = shared.world.add_backend(ProxyBackend())
        connection = tls.connect(told.port, told.route(backend, send_proxy_protocol=spelling))
        mine = connection.getsockname()
        ask(connection)
        assert backend.headers == [{"version": 1, "protocol": "TCP4", "source": mine[0], "source_port": mine[1], "destination": SENDER,
                                    "destination_port": told.port}]

    @pytest.mark.parametrize("version", ["1.2", "1.3"])
    def test_version_2(self, told, shared, version):
        """Authority, ALPN, and what was agreed with the client."""
        backend = shared.world.add_backend(ProxyBackend())
        told.apply(("tls_options", "told", {"min_version": "1.2", "alpn_protocols": ["h2", "http/1.1"]}))
        sni = told.route(backend, route={"tls_options": "told"}, send_proxy_protocol="v2")
        connection = tls.connect(told.port, sni, version=version, alpn=["http/1.1"])
        mine, cipher = connection.getsockname(), connection.cipher()[0]
        ask(connection)
        seen = backend.headers[-1]
        assert (seen["command"], seen["family"], seen["source"], seen["source_port"]) == (1, 0x11, *mine)
        assert (seen["destination"], seen["destination_port"]) == (SENDER, told.port)
        tlvs = seen["tlvs"]
        assert set(tlvs) == {0x01, 0x02, 0x20} and tlvs[0x01] == b"http/1.1" and tlvs[0x02] == sni.encode()
        assert tlvs[0x20]["client"] == 1 and tlvs[0x20]["verify"] != 0
        sub = tlvs[0x20]["sub"]
        assert set(sub) == {0x21, 0x23, 0x24, 0x25}
        assert sub[0x21] == f"TLSv{version}".encode() and sub[0x23] == cipher.encode() and sub[0x25].startswith(b"EC256"), sub

    def test_without_a_name(self, told, shared):
        backend = shared.world.add_backend(ProxyBackend())
        told.route(backend, sni="", send_proxy_protocol=2)
        ask(tls.connect(told.port, None))
        assert 0x02 not in backend.headers[-1]["tlvs"] and 0x20 in backend.headers[-1]["tlvs"]

    def test_ipv6_listener(self, told, shared):
        if not has_ipv6():
            pytest.skip("no IPv6 on this machine")
        backend, port = shared.world.add_backend(ProxyBackend()), free_port()
        for version, family in (("v1", "TCP6"), ("v2", 0x21)):
            told.apply(("upstreams", "six", {"nodes": {f"127.0.0.1:{backend.port}": 1}, "send_proxy_protocol": version}),
                       ("listeners", "six", {"bind": f"[::1]:{port}", "upstream": "six"}))
            connection = tls.connect(port, "six.test", host="::1")
            mine = connection.getsockname()
            ask(connection)
            seen = backend.headers[-1]
            assert seen.get("protocol", seen.get("family")) == family
            assert (seen["source"], seen["source_port"], seen["destination"]) == ("::1", mine[1], "::1")

    @pytest.mark.parametrize("version", ["v1", "v2"])
    def test_passthrough(self, told, ca, shared, tmp_path, version):
        """The name is known, TLS is not ours: authority and no SSL TLV; then the client's own bytes."""
        pair = ca.issue("through.test")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair.write(tmp_path, "through"))
        backend = shared.world.add_backend(ProxyBackend(context=context))
        sni = told.route(backend, route={"mode": "passthrough"}, send_proxy_protocol=version)
        connection = tls.connect(told.port, sni)
        mine, seen = connection.getsockname(), hashlib.sha256(connection.getpeercert(True)).hexdigest()
        ask(connection)
        header = backend.headers[-1]
        assert seen == pair.sha256 and (header["source"], header["source_port"]) == mine and backend.failures == []
        if version == "v2":
            assert header["tlvs"] == {0x02: sni.encode()}

    @pytest.mark.parametrize("version", ["v1", "v2"])
    def test_before_upstream_tls(self, told, ca, shared, tmp_path, version):
        """In clear, in front of the ClientHello; at each node that is tried."""
        pair = ca.issue("behind.test")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair.write(tmp_path, "behind"))
        false_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        false_context.load_cert_chain(*Ca("False").issue("behind.test").write(tmp_path, "false"))
        false, good = (shared.world.add_backend(ProxyBackend(context=made)) for made in (false_context, context))
        sni = told.route({f"127.0.0.1:{false.port}": 10, f"127.0.0.1:{good.port}": 1}, {"ca": ca.cert_pem, "server_name": "behind.test"},
                         send_proxy_protocol=version)
        connection = tls.connect(told.port, sni)
        mine = connection.getsockname()
        ask(connection)
        for backend in (false, good):
            assert [(h["version"], h["source"], h["source_port"]) for h in backend.headers] == [(int(version[1]), *mine)]
        assert good.failures == []

    def test_server_that_speaks_first_gets_it_first(self, told, shared):
        """The header does not wait for bytes of the client."""
        backend = shared.world.add_backend(ProxyBackend())
        sni = told.route(backend, send_proxy_protocol="v1")
        with tls.connect(told.port, sni):
            eventually(lambda: backend.headers, "the header is there though the client has said nothing")


def test_client_certificate_tlvs(told, shared, tmp_path):
    """Who the client is, as its certificate says: CN, certificate, SHA-256, and the identity it maps to; verified or not is told."""
    clients = Ca("Clients of the header")
    pair = clients.issue(usage="client", common_name="worker seven", uris=["spiffe://mesh.test/seven"])
    stranger = Ca("Strangers").issue(usage="client", common_name="stranger")
    backend = shared.world.add_backend(ProxyBackend())
    told.apply(("tls_options", "asks", {"client_auth": {"verify": "require", "ca": clients.cert_pem, "map_identity": True}}),
               ("tls_options", "takes", {"client_auth": {"verify": "require_any"}}),
               ("tls_options", "offers", {"client_auth": {"verify": "verify_if_given", "ca": clients.cert_pem, "map_identity": True}}))
    asks, takes, offers = (told.route(backend, route={"tls_options": name}, send_proxy_protocol="v2") for name in ("asks", "takes", "offers"))

    def headers(sni, who):
        ask(tls.connect(told.port, sni, client=who.write(tmp_path, "client") if who else None))
        return backend.headers[-1]["tlvs"]
    seen = headers(asks, pair)
    assert (seen[0x20]["client"], seen[0x20]["verify"]) == (7, 0)
    assert seen[0x20]["sub"][0x22] == b"worker seven" and seen[0x20]["sub"][0x28] == pair.cert.public_bytes(Encoding.DER)
    assert seen[0xE0] == b"spiffe://mesh.test/seven" and seen[0xE1].hex() == pair.sha256
    seen = headers(takes, stranger)
    assert seen[0x20]["client"] == 7 and seen[0x20]["verify"] != 0
    assert seen[0x20]["sub"][0x22] == b"stranger" and seen[0xE1].hex() == stranger.sha256 and 0xE0 not in seen
    seen = headers(offers, None)
    assert (seen[0x20]["client"], 0x22 in seen[0x20]["sub"], 0xE0 in seen, 0xE1 in seen) == (1, False, False, False)
    assert headers(offers, pair)[0xE0] == b"spiffe://mesh.test/seven"


@pytest.mark.parametrize("names,expected", [
    (["first", "last"], b"last"),            # the one that allow rules look at
    (["admin\0.evil.test"], None),           # not "admin"
    (["x" * 900], b"x" * 900),               # whole or not at all
    (["J\u00fcrgen"], "J\u00fcrgen".encode()),
    ([], None),
])
def test_common_name(told, shared, tmp_path, names, expected):
    """What an upstream may decide by is what was checked here."""
    clients = Ca("Clients with odd names")
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Odd"),
                         *(x509.NameAttribute(NameOID.COMMON_NAME, name, _validate=False) for name in names)])
    pair = clients.issue("odd.test", usage="client", subject=subject)
    backend, name = shared.world.add_backend(ProxyBackend()), told.new_id()
    told.apply(("tls_options", name, {"client_auth": {"verify": "require", "ca": clients.cert_pem}}))
    sni = told.route(backend, route={"tls_options": name}, send_proxy_protocol="v2")
    ask(tls.connect(told.port, sni, client=pair.write(tmp_path, "client")))
    assert backend.headers[-1]["tlvs"][0x20]["sub"].get(0x22) == expected


def test_client_certificate_of_a_resumed_session(told, shared, tmp_path):
    """Shown in an earlier connection of the session (04), not in this one (02); all else is told as before."""
    clients = Ca("Clients who come again")
    pair = clients.issue(usage="client", common_name="again", uris=["spiffe://mesh.test/again"])
    backend = shared.world.add_backend(ProxyBackend())
    told.apply(("tls_options", "again", {"client_auth": {"verify": "require", "ca": clients.cert_pem, "map_identity": True}}),
               ("ssls", "again", Ca("Servers").issue("again.test").ssl("again.test")))
    told.route(backend, sni="again.test", route={"tls_options": "again"}, send_proxy_protocol="v2")
    cert, key = pair.write(tmp_path, "again")
    session = tmp_path / "session"
    options = ["-cert", str(cert), "-key", str(key)]
    assert tls.s_client(told.port, *options, "-sess_out", str(session), sni="again.test").body
    again = tls.s_client(told.port, *options, "-sess_in", str(session), sni="again.test")
    assert again.body and again.reused
    first, second = (header["tlvs"] for header in backend.headers)
    assert (first[0x20]["client"], second[0x20]["client"]) == (7, 5) and second[0x20]["verify"] == 0
    assert second[0xE0] == first[0xE0] == b"spiffe://mesh.test/again" and second[0xE1] == first[0xE1]
    assert second[0x20]["sub"][0x22] == b"again"


# The real HAProxy. ------------------------------------------------------------------------------------------------------


class TestHaproxy:
    @pytest.mark.parametrize("word", ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl"])
    def test_in_front(self, edge, routes, tmp_path, word):
        """It hands TLS on and says who comes; its checks with LOCAL do no harm."""
        backend, sni = routes
        port = free_port()
        haproxy(edge.world, tmp_path, [port], f"frontend f\n    mode tcp\n    bind 127.0.0.1:{port}\n    default_backend b\n"
                f"backend b\n    mode tcp\n    server s 127.0.0.1:{edge.port} {word} check inter 100ms\n")
        connection = tls.connect(port, sni)
        mine = connection.getsockname()
        ask(connection)
        seen = backend.headers[-1]
        assert (seen["source"], seen["source_port"]) == mine and seen["destination_port"] == port

    @pytest.mark.parametrize("version", ["v1", "v2"])
    @pytest.mark.parametrize("secured", [False, True], ids=["plain", "TLS"])
    def test_behind(self, told, ca, tmp_path, version, secured):
        """It takes our header, TLS behind it or not, and sees the client as we do."""
        port, sslwords = free_port(), ""
        if secured:
            pair = ca.issue("haproxy.test")
            file = tmp_path / "both.pem"
            file.write_text(pair.cert_pem + pair.key_pem)
            sslwords = f" ssl crt {file}"
        config = (f"frontend f\n    mode http\n    bind 127.0.0.1:{port} accept-proxy{sslwords}\n"
                  "    http-request return status 200 content-type text/plain lf-string \"%[src]:%[src_port] %[dst]:%[dst_port] %[fc_pp_authority]\"\n")
        haproxy(told.world, tmp_path, [port], config)
        body = {"ca": ca.cert_pem, "server_name": "haproxy.test"} if secured else None
        sni = told.route(port, body, send_proxy_protocol=version)
        with tls.connect(told.port, sni) as connection:
            mine = "{}:{}".format(*connection.getsockname())
            connection.sendall(tls.REQUEST)
            data = b""
            while part := connection.recv(65536):
                data += part
        authority = sni if version == "v2" else "-"
        text = data.partition(b"\r\n\r\n")[2].decode().strip()
        assert text in (f"{mine} {SENDER}:{told.port} {authority}", f"{mine} {SENDER}:{told.port}"), data
        assert version == "v1" or sni in text

    def test_end_to_end(self, edge, tmp_path):
        """In front and behind at once: the one behind sees whom the one in front saw."""
        front, behind = free_port(), free_port()
        haproxy(edge.world, tmp_path, [front, behind], f"frontend f\n    mode tcp\n    bind 127.0.0.1:{front}\n    default_backend b\n"
                f"backend b\n    mode tcp\n    server s 127.0.0.1:{edge.port} send-proxy-v2\n"
                f"frontend g\n    mode http\n    bind 127.0.0.1:{behind} accept-proxy\n"
                "    http-request return status 200 content-type text/plain lf-string \"%[src]:%[src_port]\"\n")
        sni = edge.route(behind, send_proxy_protocol="v2")
        with tls.connect(front, sni) as connection:
            mine = "{}:{}".format(*connection.getsockname())
            connection.sendall(tls.REQUEST)
            data = b""
            while part := connection.recv(65536):
                data += part
        assert data.endswith(mine.encode()), data
