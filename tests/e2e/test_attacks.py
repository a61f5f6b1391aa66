# SPDX-License-Identifier: Apache-2.0
"""Attacks and the tests that make them. Where a file of its own is about the matter, the test stands there; the others are below. That each of the
named tests exists is checked at the end. HTTP is not spoken by listeners, so what lives in its headers (A8, CVE-2024-45410, CVE-2026-48491 and its
likes, slow headers of A26) has no place to happen.

Clients' certificates and resumption
A1   ticket of a site without client certificates at one with   e2e/test_resumption.py::test_matrix
     the same, seen in a server that has the fault              e2e/test_resumption_control.py::test_a1_a2_names_and_listeners
A2   two names with one certificate                             e2e/test_resumption.py::test_matrix
     listeners with one key                                     e2e/test_resumption.py::test_matrix_of_listeners
     both, seen in a server that has the fault                  e2e/test_resumption_control.py::test_a1_a2_names_and_listeners
A3   endless renewal of a session                               e2e/test_resumption.py::test_age_is_capped_however_often_resumed
     by rotating keys                                           e2e/test_ticket_keys.py::test_rotation_renews_no_age
     seen in a server that has the fault                        e2e/test_resumption_control.py::test_a3_endless_renewal
A4   CA removed, CRL added, then the old ticket                 e2e/test_resumption.py::TestAfterChange
     seen in a server that has the fault                        e2e/test_resumption_control.py::test_a4_after_a_change
     agent revoked: no tickets on the channel                   unit/net/test_channel_tls.c
A5   expired client certificate with a good ticket              e2e/test_resumption.py::test_expired_client_certificate_does_not_resume
     seen in a server that has the fault                        e2e/test_resumption_control.py::test_a5_expired_client_certificate
A6   ClientHello in pieces loses its name                       e2e/test_limits.py::test_fragments
     and with it the rules on clients                           e2e/test_client_auth.py::test_fragments_change_nothing
     passed through byte for byte                               e2e/test_routes.py::TestPassthroughBytes
A7   spelling of the name, at 1, 100, 101, 10,000 names         e2e/test_client_auth.py::test_spelling_changes_nothing
     beyond any optimised path                                  e2e/test_names.py::test_many_names_change_no_verdict
A9   missing, broken, foreign CA                                e2e/test_client_auth.py::test_broken_ca
     no other CA ever                                           e2e/test_client_auth.py::test_no_other_ca_passes
A10  none, self-signed, wrong CA, dates, use, CA:TRUE, depth+1  e2e/test_client_auth.py::test_modes
A11  a wildcard's rules on an exact name and the reverse        e2e/test_client_auth.py::test_wildcard_and_exact_don_t_leak
     the explanation equals the handshake                       e2e/test_resolve.py::test_does
A12  revoked leaf and intermediate, stale and foreign CRLs      e2e/test_client_rules.py::test_crls
     of origins                                                 e2e/test_upstream_tls.py::TestTrust::test_revoked_in_the_chain
     CRLs that can't be used                                    e2e/test_client_rules.py::test_unfit_crls_are_refused
A13  renewal with another certificate                           e2e/test_renewal.py
A14  upstream sessions under another identity                   e2e/test_upstream_identity.py::test_sessions_never_cross
     under another name                                         e2e/test_upstream_identity.py::test_sessions_never_cross_names
NATS ccd898ea8, an identity by somebody's word                  e2e/test_attacks.py::test_identity_is_of_the_certificate_alone
ATS 45b1b89703, A#7559, an origin's session for other rules     e2e/test_upstream_identity.py::test_sessions_do_not_outlive_their_rules
CVE-2022-46153, broken options fall back                        e2e/test_client_auth.py::test_broken_ca
CVE-2026-33248, DNs compared without their order                unit/model/test_peer.c::subjects_are_multisets_of_rdns
N#8270, a revoked pin keeps its connections                     e2e/test_client_change.py::test_on_tighten
L#596, the system's CAs trusted for clients                     e2e/test_client_auth.py::test_no_other_ca_passes
CVE-2025-23419, a ticket of site a at site b                    e2e/test_resumption.py::test_matrix

Names and certificates
A15  ClientHellos of every shape                                e2e/test_attacks.py::test_a15_shapes
     their bytes in the log                                     e2e/test_hello.py::TestNames::test_nothing_of_it_reaches_the_log_raw
A16  a star is one whole left-most label                        e2e/test_names.py::test_wildcard_is_one_label
     nor part of one, in the one matcher                        unit/model/test_name.c::covers_as_rfc_9525_says
A17  NUL in a SAN, uploaded                                     e2e/test_api_validation.py::TestCertificates::test_nul_in_a_name
     and shown by an origin                                     e2e/test_upstream_tls.py::test_verify
A18  mail, URI and address as DNS names                         e2e/test_upstream_tls.py::test_verify
A19  choice among equals                                        e2e/test_names.py::test_ties_are_decided_the_same_everywhere
A20  key of another certificate, chains, forms of keys          e2e/test_api_validation.py::TestCertificates
A21  explicit curves and other keys outside the list            e2e/test_api_validation.py::TestCertificates::test_keys_outside_the_list
A22  trailing dot in the object, the route, the ClientHello     e2e/test_attacks.py::test_a22_trailing_dot
A23  ALPACA: no protocol, no name in common                     e2e/test_attacks.py::test_a23_alpaca
A24  the certificate of one channel at the other                e2e/test_attacks.py::test_a24_certificates_of_the_other_channel
     the protocol of one channel at the other                   e2e/test_attacks.py::test_a24_protocols_of_the_other_channel
     strangers at the channel's port                            e2e/test_channel_peers.py::test_is_hung_up_on_with_a_reason
CVE-2022-23632, a trailing dot chooses other options            e2e/test_attacks.py::test_a22_trailing_dot
CVE-2026-53622, exact and case-sensitive look-up                e2e/test_names.py::test_spelling_does_not_matter
ATS 92693e8eb6, a pattern without its anchor                    e2e/test_routes.py::test_patterns
ATS 2f196aa120, A#7348, past the address list by another name   e2e/test_attacks.py::test_address_list_has_no_way_round

Exhaustion
A25  a byte now and then                                        e2e/test_limits.py::test_absolute_deadline
CVE-2026-22045, CVE-2026-26999, a deadline that is cleared      e2e/test_limits.py::test_absolute_deadline
A26  slow reading and writing after the handshake               e2e/test_relay.py::TestBulk
A27  a flood of handshakes that are abandoned                   e2e/test_attacks.py::test_a27_abandoned_handshakes
     more than there are descriptors                            e2e/test_limits.py::test_without_descriptors
     stalled at each stage                                      e2e/test_limits.py::test_stalled_clients
A28  renegotiation                                              e2e/test_limits.py::test_no_renegotiation
     KeyUpdates                                                 e2e/test_limits.py::test_key_updates
A29  a slow reader behind a fast upstream                       e2e/test_relay.py::TestBulk::test_back_pressure_to_the_backend
     with TLS to the upstream                                   e2e/test_upstream_flow.py::TestBulk
A30  claimed lengths: ClientHello                               e2e/test_limits.py::TestHelloSize
     frames of the channel                                      unit/net/test_frame.c::a_claim_allocates_nothing
A31  JSON                                                       e2e/test_api_http.py::TestBodies
A32  a snapshot that can't be taken, one that kills             e2e/test_atomicity.py::TestCrashes
A32b more CAs, and longer names of CAs, than a handshake holds  e2e/test_attacks.py::test_a32b_many_and_long_names_of_cas
     a CRL of very many entries                                 e2e/test_client_rules.py::test_big_crl
"""
import pathlib
import re
import socket
import ssl
import struct
import sys
import threading
import time

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from harness import tls
from harness.net import free_port, receive_all
from harness.origin import PROXY_V2, ProxyBackend
from harness.pki import Ca
from harness.tls import client_hello, records, send_raw, sni_extension
from harness.wire import SHAPES
from harness.world import Hammer, is_sanitized

ACCESS_DENIED, DECODE_ERROR, ILLEGAL, NO_PROTOCOL, UNRECOGNIZED = "alert:49", "alert:50", "alert:47", "alert:120", "alert:112"


class Place:
    """Listeners lax and strict (sni_strict), both with ALPN h2; SSL objects for a.test and *.wild.test."""

    def __init__(self, shared, ca):
        self.shared, self.api, self.agent, self.made = shared, shared.api, shared.agent, 0
        self.pairs = {"a.test": ca.issue("a.test"), "*.wild.test": ca.issue("*.wild.test")}
        options = {"min_version": "TLSv1.2", "alpn_protocols": ["h2"]}
        self.ports = {"lax": free_port(), "strict": free_port()}
        self.put(("tls_options", "lax", options), ("tls_options", "strict", {**options, "sni_strict": True}),
                 ("upstreams", "web", {"nodes": {f"127.0.0.1:{shared.backend.port}": 1}}),
                 *[("listeners", name, {"bind": f"127.0.0.1:{port}", "upstream": "web", "tls_options": name}) for name, port in self.ports.items()],
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
    """What is legal and known is served; legal and unknown by sni_strict; all else is refused, by the same alert in whatever records it comes."""
    for listener, wanted in zip(("lax", "strict"), VERDICTS[shape]):
        seen = send_raw(place.ports[listener], records(client_hello(*SHAPES[shape]), size))
        assert seen == wanted, listener


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
    agent = [place.agent.dir / "agent.crt", place.agent.dir / "agent.key"]
    assert tls.fetch(place.ports["lax"], site, version=version, client=good)[0] == "backend"
    with pytest.raises((ssl.SSLError, OSError)):
        tls.fetch(place.ports["lax"], site, version=version, client=agent)
    before = len(place.api.agents())
    port = place.shared.controlplane.channel_port
    for protocol in ("tlsplane/1", "tlsplane-enroll/1"):
        seen = tls.s_client(port, "-alpn", protocol, "-cert", str(good[0]), "-key", str(good[1]), "-cert_chain", str(good[0]))
        assert seen.body is None and "HTTP" not in seen.text, seen
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

def test_a27_abandoned_handshakes(place):
    """Nine of ten handshakes are abandoned after the ServerHello, half of them with a reset. The good ones all succeed, in bounded time, and nothing
    stays of the others."""
    port, hello, took = place.ports["lax"], records(client_hello(sni_extension(b"a.test"))), []
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
            while abandoned[0] < goal and not hammer.failures:
                started = time.monotonic()
                assert tls.fetch(port, "a.test")[0] == "backend"
                took.append(time.monotonic() - started)
                good += 1
        assert not hammer.failures, hammer.failures[:3]
        return good
    flood(total // 4)
    before = place.agent.daemon.rss_kib()
    good = flood(total)
    assert good >= 10
    took.sort()
    assert took[int(len(took) * 0.99)] < 2, took[-5:]
    assert is_sanitized() or place.agent.daemon.rss_kib() - before < 4096


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


# The table ------------------------------------------------------------------------------------------------------------

def test_the_table_names_tests_that_exist():
    tests = pathlib.Path(__file__).resolve().parents[1]
    sys.path.insert(0, str(tests / "lint"))
    try:
        import features
    finally:
        sys.path.remove(str(tests / "lint"))
    named = re.findall(r"(?:e2e|unit)/\S+$", __doc__, re.M)
    assert len(named) > 50
    assert [reason for text in named if (reason := features.missing(tests.parent, text))] == []
