# SPDX-License-Identifier: Apache-2.0
"""Attacks that have no file of tests of their own. tests/attacks.md names all of them, with the tests that make them."""
import re
import socket
import ssl
import struct
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from harness import tls
from harness.backend import EchoBackend
from harness.net import free_port, receive_all
from harness.origin import PROXY_V2, ProxyBackend
from harness.pki import Ca
from harness.tls import client_hello, records, send_raw, sni_extension
from harness.wire import SHAPES
from harness.world import Hammer, is_sanitized

ACCESS_DENIED, DECODE_ERROR, ILLEGAL, NO_PROTOCOL, UNRECOGNIZED = "alert:49", "alert:50", "alert:47", "alert:120", "alert:112"


class Place:
    """Listeners lax and strict (sni_strict), both with ALPN h2; SSL objects for a.test and *.wild.test. Listener through: a.test is passed through."""

    def __init__(self, shared, ca):
        self.shared, self.api, self.agent, self.made = shared, shared.api, shared.agent, 0
        self.pairs = {"a.test": ca.issue("a.test"), "*.wild.test": ca.issue("*.wild.test")}
        options = {"min_version": "TLSv1.2", "alpn_protocols": ["h2"]}
        self.ports, self.through = {"lax": free_port(), "strict": free_port()}, free_port()
        self.put(("tls_options", "lax", options), ("tls_options", "strict", {**options, "sni_strict": True}),
                 ("upstreams", "web", {"nodes": {f"127.0.0.1:{shared.backend.port}": 1}}),
                 *[("listeners", name, {"bind": f"127.0.0.1:{port}", "upstream": "web", "tls_options": name}) for name, port in self.ports.items()],
                 ("listeners", "through", {"bind": f"127.0.0.1:{self.through}", "upstream": "web", "tls_options": "lax"}),
                 ("routes", "through", {"snis": ["a.test"], "listeners": ["through"], "mode": "passthrough", "upstream": "web"}),
                 ("ssls", "a", self.pairs["a.test"].ssl("a.test")), ("ssls", "wild", self.pairs["*.wild.test"].ssl("*.wild.test")))

    def put(self, *rows):
        self.api.apply(put=rows, wait="acked", timeout=30).expect(200, 201)

    def site(self, pair, client):
        """The name of a new SSL object with these client rules."""
        self.made += 1
        name = f"site{self.made}"
        self.put(("ssls", name, pair.ssl(f"{name}.test", client=client)))
        return f"{name}.test"


@pytest.fixture(scope="module")
def place(shared, ca):
    return Place(shared, ca)


# A15 ------------------------------------------------------------------------------------------------------------------

NAMED = ("exact", "upper case", "trailing dot", "wildcard", "GREASE", "ECH outer", "ALPN")
NAMELESS = ("unknown", "none", "two levels", "bare", "A-label", "IPv4")  # legal, and for no SSL object
VERDICTS = {**{shape: ("ServerHello", "ServerHello") for shape in NAMED}, **{shape: ("ServerHello", UNRECOGNIZED) for shape in NAMELESS},
            **{shape: (UNRECOGNIZED, UNRECOGNIZED) for shape in ("literal star", "star", "NUL", "CRLF", "ANSI", "comma", "UTF-8", "IPv6", "255 bytes",
                                                                 "256 bytes", "16000 bytes")},
            **{shape: (DECODE_ERROR, DECODE_ERROR) for shape in ("empty", "two names", "list too long", "list too short", "no list", "other type",
                                                                 "ALPN empty")},
            "twice": (ILLEGAL, ILLEGAL), "huge": (ILLEGAL, ILLEGAL), "ALPN unknown": (NO_PROTOCOL, NO_PROTOCOL)}


@pytest.mark.parametrize("size", [16384, 37])
@pytest.mark.parametrize("shape", SHAPES)
def test_a15_shapes(place, shape, size):
    """What is legal and known is served; legal and unknown by sni_strict; all else is refused, by the same alert in whatever records it comes,
    and where OpenSSL reads no extension: of two names the one behind might take the other."""
    for listener, wanted in zip(("lax", "strict"), VERDICTS[shape]):
        seen = send_raw(place.ports[listener], records(client_hello(*SHAPES[shape]), size))
        assert seen == wanted, listener
    if seen in (DECODE_ERROR, ILLEGAL) and shape != "ALPN empty":
        accepted = place.shared.backend.accepted
        assert send_raw(place.through, records(client_hello(*SHAPES[shape]), size)) == seen
        assert place.shared.backend.accepted == accepted


def test_a15_same_site(place):
    """Upper case and a trailing dot name the same certificate; two levels and the bare domain not the wildcard's."""
    for name in ("a.test", "A.TEST", "a.test.", "A.Test."):
        assert tls.s_client(place.ports["strict"], sni=name).leaf == place.pairs["a.test"].sha256, name
    assert tls.leaf(place.ports["lax"], "x.wild.test") == place.pairs["*.wild.test"].sha256
    for name in ("x.y.wild.test", "wild.test", "xwild.test"):
        assert tls.leaf(place.ports["lax"], name) not in [pair.sha256 for pair in place.pairs.values()], name


# A22, A23 ------------------------------------------------------------------------------------------------------------

def test_a22_trailing_dot(place, ca):
    """One name, with its dot or without, in object, route and ClientHello: the same certificate, options, client rules, and one answer of resolve."""
    pair, clients = ca.issue("dot.test"), Ca("Dot Clients")
    place.put(("ssls", "dot", pair.ssl("dot.test.", client={"ca": clients.cert_pem})),
              ("routes", "dot", {"snis": ["routed.dot.test."], "mode": "reject"}))
    for port in place.ports.values():
        for name in ("dot.test", "dot.test."):
            seen = tls.s_client(port, sni=name)
            assert (seen.leaf, seen.alert, seen.body) == (pair.sha256, 116, None), seen
            assert send_raw(port, records(client_hello(sni_extension(b"routed." + name.encode())))) == ACCESS_DENIED
    for name in ("dot.test..", ".dot.test", "."):
        assert send_raw(place.ports["lax"], records(client_hello(sni_extension(name.encode())))) == UNRECOGNIZED
    answers = [place.api.get("/v1/resolve", agent=place.agent.id, listener="strict", sni=name).expect(200).json for name in ("dot.test", "dot.test.")]
    assert answers[0] == answers[1] and answers[0]["certificate"]["id"] == "dot"
    assert "overlap" in str(place.api.put("/v1/ssls/dot-again", pair.ssl("dot.test")).expect(201).json["warnings"])
    place.api.apply(delete=[("ssls", "dot"), ("ssls", "dot-again"), ("routes", "dot")], wait="acked", timeout=30).expect(200)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a23_alpaca(place, version):
    """A protocol that the backend does not speak, or a name that it is not: an alert, and not one byte to or from the backend."""
    accepted = place.shared.backend.accepted
    for listener, sni, alpn, alert in (("lax", "a.test", "ftp", 120), ("strict", "a.test", "http/1.1", 120), ("strict", "mail.test", "h2", 112),
                                       ("strict", None, "h2", 112)):
        seen = tls.s_client(place.ports[listener], f"-tls1_{version[-1]}", "-alpn", alpn, sni=sni)
        assert (seen.alert, seen.leaf, seen.body) == (alert, None, None), (listener, sni, alpn, seen)
    assert place.shared.backend.accepted == accepted
    assert tls.s_client(place.ports["strict"], f"-tls1_{version[-1]}", "-alpn", "ftp,h2", sni="a.test").alpn == "h2"


# A24 ------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a24_certificates_of_the_other_channel(place, ca, tmp_path, version):
    """An agent's own certificate opens no listener that asks for others; a client's opens no channel."""
    clients = Ca("Site Clients")
    good = clients.issue("client", usage="both", uris=[f"spiffe://tlsplane/agent/{place.agent.id}"]).write(tmp_path, "client")
    site = place.site(ca.issue("*.test"), {"ca": clients.cert_pem})
    agent = [place.agent.dir / "agent.crt", tmp_path / "agent.key"]
    key = serialization.load_der_private_key((place.agent.dir / "agent.key").read_bytes(), None)
    agent[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    own = place.site(ca.issue("*.test"), {"ca": (place.agent.dir / "ca.crt").read_text()})
    assert tls.fetch(place.ports["lax"], own, version=version, client=agent)[0] == "backend"  # it can pass: where its CA is asked for
    assert tls.fetch(place.ports["lax"], site, version=version, client=good)[0] == "backend"
    with pytest.raises((ssl.SSLError, OSError)):
        tls.fetch(place.ports["lax"], site, version=version, client=agent)
    before = len(place.api.agents())
    port = place.shared.controlplane.channel_port
    for protocol in ("tlsplane/1", "tlsplane-enroll/1"):
        seen = tls.s_client(port, "-alpn", protocol, "-cert", str(good[0]), "-key", str(good[1]), "-cert_chain", str(good[0]))
        assert seen.body is None and "HTTP" not in seen.text, seen
        assert protocol == "tlsplane-enroll/1" or seen.alert == 48, seen  # unknown_ca; who enrols is not asked for one
    assert len(place.api.agents()) == before and place.agent.state()["connected"]


def test_a24_protocols_of_the_other_channel(place):
    """HTTP and TLS where the other is spoken, the channel's protocol where clients are served: ended without state."""
    plane = place.shared.controlplane
    accepted = place.shared.backend.accepted
    for protocol in ("tlsplane/1", "tlsplane-enroll/1"):
        seen = tls.s_client(place.ports["lax"], "-alpn", protocol, sni="a.test")
        assert (seen.alert, seen.leaf) == (120, None), seen
    assert send_raw(place.ports["lax"], tls.REQUEST).split(":")[0] in ("alert", "EOF", "RST")
    assert place.shared.backend.accepted == accepted
    hello = records(client_hello(sni_extension(b"a.test")))
    for port in (plane.admin_port, place.agent.status_port):  # plain HTTP on loopback
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(hello)
            connection.shutdown(socket.SHUT_WR)
            try:
                answer = receive_all(connection)
            except ConnectionResetError:
                answer = b""
            assert not answer or re.match(rb"HTTP/1\.[01] 4\d\d ", answer), answer[:80]
    assert place.api.get("/v1/agents").status == 200 and place.agent.state()["connected"]


# Addresses ------------------------------------------------------------------------------------------------------------

def test_address_list_has_no_way_round(place):
    """Who is not on the list of a name gets in by no other spelling, by no name that a laxer route takes to that upstream, and not by leaving it out."""
    place.put(("listeners", "listed", {"bind": f"127.0.0.1:{free_port()}", "tls_options": "lax"}),
              ("routes", "listed", {"snis": ["listed.test", "*.listed.test"], "listeners": ["listed"], "upstream": "web", "allow_clients": ["10.0.0.0/8"]}),
              ("routes", "open", {"snis": ["open.test"], "listeners": ["listed"], "upstream": "web"}))
    port = int(place.api.get("/v1/listeners/listed").json["bind"].rpartition(":")[2])
    for name in (b"listed.test", b"LISTED.test", b"listed.test.", b"x.listed.test"):
        assert send_raw(port, records(client_hello(sni_extension(name)), 3)) == ACCESS_DENIED, name
    for extensions in ([], [sni_extension(b"127.0.0.1")], [sni_extension(b"x.y.listed.test")], [sni_extension(b"open.test.listed.tes")]):
        assert send_raw(port, records(client_hello(*extensions))) == UNRECOGNIZED
    for extensions in ([sni_extension(b"open.test"), sni_extension(b"listed.test")], [sni_extension(b"open.test", b"listed.test")]):
        assert send_raw(port, records(client_hello(*extensions))).startswith("alert:")
    assert send_raw(port, records(client_hello(sni_extension(b"open.test")))) == "ServerHello"


# Identity -------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_identity_is_of_the_certificate_alone(place, ca, version):
    """What a sender that is believed says in its PROXY header about certificate, name and identity reaches no upstream: only its addresses are used."""
    backend = place.shared.world.add_backend(ProxyBackend())
    port, name = free_port(), f"identity{version[-1]}"
    place.put(("upstreams", name, {"nodes": {f"127.0.0.1:{backend.port}": 1}, "send_proxy_protocol": "v2"}),
              ("tls_options", name, {"min_version": "TLSv1.2", "client_auth": {"verify": "verify_if_given", "ca": ca.cert_pem, "map_identity": True}}),
              ("listeners", name, {"bind": f"127.0.0.1:{port}", "upstream": name, "tls_options": name, "accept_proxy_protocol": ["127.0.0.1"]}))
    inner = b"\x22\0\x05admin" + b"\x28\0\x04cert"
    claims = (b"\x20" + struct.pack(">H", 5 + len(inner)) + b"\x07\0\0\0\0" + inner + b"\x02\0\x0aother.test" + b"\xe0\0\x05admin"
              + b"\xe1\0\x20" + bytes(32) + b"\xea\0\x02hi")
    addresses = socket.inet_aton("192.0.2.7") + socket.inet_aton("198.51.100.9") + struct.pack(">HH", 1111, 443)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.sendall(PROXY_V2 + struct.pack(">BBH", 0x21, 0x11, len(addresses) + len(claims)) + addresses + claims)
        with tls.context(version=version).wrap_socket(raw, server_hostname="a.test") as connection:
            connection.sendall(tls.REQUEST)
            assert receive_all(connection).startswith(b"HTTP/1.1 200")
    header = backend.headers[-1]
    assert (header["source"], header["source_port"]) == ("192.0.2.7", 1111)
    assert set(header["tlvs"]) == {0x02, 0x20} and header["tlvs"][0x02] == b"a.test", header
    seen = header["tlvs"][0x20]
    assert seen["client"] == 1 and seen["verify"] != 0 and not {0x22, 0x28} & set(seen["sub"]), header
    place.api.apply(delete=[("listeners", name), ("upstreams", name), ("tls_options", name)], wait="acked", timeout=30).expect(200)


# A27 ------------------------------------------------------------------------------------------------------------------

@pytest.mark.bounds
def test_a27_abandoned_handshakes(place):
    """Nine of ten handshakes are abandoned after the ServerHello, half of them with a reset. The good ones all succeed, in bounded time, who was
    connected before goes on being served all the while, and nothing stays of the others."""
    echo, port = place.shared.world.add_backend(EchoBackend()), free_port()
    place.put(("upstreams", "flooded", {"nodes": {f"127.0.0.1:{echo.port}": 1}}),
              ("listeners", "flooded", {"bind": f"127.0.0.1:{port}", "upstream": "flooded", "tls_options": "lax"}))
    hello, took = records(client_hello(sni_extension(b"a.test"))), []
    established = [tls.connect(port, "a.test", timeout=2) for _ in range(3)]
    total, lock = 500 if is_sanitized() else 2000, threading.Lock()
    abandoned = [0]

    def abandon(_):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(hello)
            assert connection.recv(1) == b"\x16"
            with lock:
                abandoned[0] += 1
            if abandoned[0] % 2:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def flood(count):
        goal, good = abandoned[0] + count, 0
        with Hammer(abandon, 4) as hammer:
            while (abandoned[0] < goal or good < 10) and not hammer.failures:
                started = time.monotonic()
                with tls.connect(port, "a.test", timeout=10) as connection:
                    for one in (connection, *established):
                        one.sendall(b"%d" % good)
                        assert one.recv(10) == b"%d" % good
                took.append(time.monotonic() - started)
                good += 1
        assert not hammer.failures, hammer.failures[:3]
    flood(total // 4)
    before = place.agent.daemon.rss_kib()
    flood(total)
    took.sort()
    assert took[int(len(took) * 0.99)] < 2, took[-5:]
    assert is_sanitized() or place.agent.daemon.rss_kib() - before < 4096
    for connection in established:
        connection.close()


# A32b -----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("count,units", [(32, 0), (33, 0), (1000, 0), (32, 60)])
def test_a32b_many_and_long_names_of_cas(place, ca, tmp_path, version, count, units):
    """The names of all CAs have 16 bits for their length (RFC 5246 7.4.4, RFC 8446 4.2.4). Whether they would fit or not, handshakes succeed."""
    good = Ca("The Good CA")
    others = Ca("Another CA")
    certs = good.cert_pem + "".join(named_ca(others, i, units) for i in range(count - 1))
    place.put(("ca_bundles", "many", {"certs": certs}))
    site = place.site(ca.issue("*.test"), {"ca_bundle": "many"})
    files = good.issue("client", usage="client").write(tmp_path, "client")
    assert tls.fetch(place.ports["lax"], site, version=version, client=files)[0] == "backend"
    with pytest.raises((ssl.SSLError, OSError)):
        tls.fetch(place.ports["lax"], site, version=version)
    place.api.delete(f"/v1/ssls/{site[:-5]}", wait="acked", timeout=30).expect(200)


def named_ca(template, number, units):
    """PEM of a CA with a subject of its own and this many OUs of 60 bytes. All have one key: only their names matter."""
    names = [x509.NameAttribute(NameOID.COMMON_NAME, f"CA {number}")]
    names += [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, f"{number:04d}-{unit:04d}-" + "x" * 50) for unit in range(units)]
    subject = x509.Name(names)
    builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(template.key.public_key())
               .serial_number(number + 1).not_valid_before(template.cert.not_valid_before).not_valid_after(template.cert.not_valid_after)
               .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True))
    return template._pem(builder.sign(template.key, template.cert.signature_hash_algorithm))
