# SPDX-License-Identifier: Apache-2.0
"""TLS towards upstreams: whom the agent believes, by what name, with which parameters; and that nothing of a client goes where something
did not hold."""
import ssl

import pytest
from cryptography import x509
from harness import tls
from harness.backend import ScriptBackend
from harness.edge import NAME
from harness.net import eventually
from harness.origin import answer
from harness.pki import Ca


# What is believed. ------------------------------------------------------------------------------------------------------


def without_dns(ca, *alternatives):
    """A leaf whose only names are these GeneralNames, and the right one as its CN."""
    return ca.issue(common_name=NAME, extra=[x509.SubjectAlternativeName(alternatives)] if alternatives else [])


def self_signed(_pki):
    own = Ca(NAME)
    return own.issue(NAME, private=own.key)


# name: (the origin's certificate, does its chain hold, does its name hold)
CASES = {
    "good": (lambda pki: pki.good, True, True),
    "wildcard": (lambda pki: pki.origins.issue("*.origin.test"), True, True),
    "wrong CA": (lambda pki: pki.others.issue(NAME), False, True),
    "wrong name": (lambda pki: pki.origins.issue("other.test"), True, False),
    "wrong CA and name": (lambda pki: pki.others.issue("other.test"), False, False),
    "expired": (lambda pki: pki.origins.issue(NAME, starts=-30, days=-1), False, True),
    "not yet valid": (lambda pki: pki.origins.issue(NAME, starts=2), False, True),
    "self-signed": (self_signed, False, True),
    "a client's": (lambda pki: pki.origins.issue(NAME, usage="client"), False, True),
    "part of a label": (lambda pki: pki.origins.issue("w*.origin.test"), True, False),
    "a label more": (lambda pki: pki.origins.issue("x.www.origin.test", ".origin.test"), True, False),
    "CN alone": (lambda pki: without_dns(pki.origins), True, False),
    # A17: a name with a NUL is not what stands in front of it.
    "NUL": (lambda pki: pki.origins.issue(NAME + "\0.evil.test", common_name="x"), True, False),
    # A18: names of other kinds are no DNS names.
    "mail": (lambda pki: without_dns(pki.origins, x509.RFC822Name(NAME)), True, False),
    "URI": (lambda pki: without_dns(pki.origins, x509.UniformResourceIdentifier(NAME)), True, False),
    "address in letters": (lambda pki: pki.origins.issue("127.0.0.1"), True, False),
}


@pytest.mark.parametrize("case", CASES)
def test_verify(edge, pki, trusting, origin, case):
    """verify x properties: what does not hold and is looked at refuses under ENFORCED, is counted under PERMISSIVE, and nothing is looked at
    under DISABLED."""
    make, chain, name = CASES[case]
    backend, upstream = origin(make(pki)), edge.new_id()
    rows, wanted = edge.upstream_rows(upstream, backend, scheme="tls"), {}
    held = {"SIGNATURE": chain, "NAME": name, "ALL": chain and name}
    for body, holds in [*(({"verify": verify, "properties": properties}, holds) for verify in ("ENFORCED", "PERMISSIVE")
                          for properties, holds in held.items()), ({"verify": "DISABLED"}, True)]:
        row = "-".join([upstream, *body.values()]).lower()
        rows += [("upstream_tls", row, trusting(**body)), ("routes", row, {"snis": [f"{row}.test"], "upstream": upstream, "upstream_tls": row})]
        wanted[row] = body["verify"], holds
    edge.apply(*rows)
    permissive = edge.sample("upstream_handshakes_permissive_total")
    failed = sum(edge.failures(cause) for cause in ("tls_chain", "tls_name"))
    for row, (verify, holds) in wanted.items():
        if holds or verify != "ENFORCED":
            assert edge.ask(f"{row}.test")["sni"] == NAME, row
        else:
            edge.refused(f"{row}.test")
    refused = [row for row, (verify, holds) in wanted.items() if verify == "ENFORCED" and not holds]
    assert len(backend.seen) == len(wanted) - len(refused), "an origin that does not verify has seen a request"
    assert edge.sample("upstream_handshakes_permissive_total") - permissive == len(refused)
    assert sum(edge.failures(cause) for cause in ("tls_chain", "tls_name")) - failed == len(refused)


@pytest.mark.parametrize("kind", ["address", "text", "URI"])
def test_node_that_is_an_address(edge, pki, origin, kind):
    """Verified by an iPAddress, and by nothing that only looks like one."""
    pair = {"address": lambda: pki.origins.issue("127.0.0.1"),
            "text": lambda: without_dns(pki.origins, x509.DNSName("127.0.0.1")),
            "URI": lambda: without_dns(pki.origins, x509.UniformResourceIdentifier("https://127.0.0.1"))}[kind]()
    backend = origin(pair)
    sni = edge.route(backend, {"ca": pki.origins.cert_pem})
    if kind == "address":
        assert edge.ask(sni)["sni"] is None  # RFC 6066 3: an address is no server name
        return
    before = edge.failures("tls_name")
    edge.refused(sni)
    assert backend.seen == [] and edge.failures("tls_name") == before + 1


def test_permissive_is_logged(edge, pki, trusting, origin):
    sni = edge.route(origin(pki.others.issue(NAME), name="lax"), trusting(verify="PERMISSIVE", session_reuse=False))

    def look():
        assert edge.ask(sni)["name"] == "lax"
        return [line for line in edge.agent.daemon.lines("PERMISSIVE") if f"sni={sni}" in line]
    line = eventually(look, "is logged (lines per second are bounded)", interval=0.2)[0]
    assert "cause=chain" in line and "level=warning" in line.lower(), line


@pytest.mark.parametrize("field", ["allow_insecure_connections", "insecure", "insecureSkipVerify"])
def test_spellings_of_disabled(edge, pki, trusting, origin, field):
    backend = origin(pki.others.issue("other.test"))
    assert edge.ask(edge.route(backend, {field: True}))["name"] == "origin"
    edge.refused(edge.route(backend, {field: False}))


def plain_listener(edge):
    """Speaks HTTP to whoever asks; keeps every byte that came."""
    heard = []

    def script(connection):
        connection.settimeout(3)
        data = connection.recv(65536)
        heard.append(data)
        if b"GET" in data:
            answer(connection, {"name": "plain"})
    return edge.world.add_backend(ScriptBackend(script)), heard


class TestNeverFallsBack:
    @pytest.mark.parametrize("verify", ["ENFORCED", "PERMISSIVE", "DISABLED"])
    def test_node_speaks_plain(self, edge, trusting, verify):
        """The bait: what listens there would gladly serve the request unencrypted."""
        bait, heard = plain_listener(edge)
        sni = edge.route(bait, trusting(verify=verify))
        for _ in range(3):
            edge.refused(sni)
        assert len(heard) == 3 and all(data[:2] == b"\x16\x03" and b"GET" not in data for data in heard), heard

    def test_next_node_speaks_plain(self, edge, pki, trusting, origin):
        """The first does not verify, the second speaks no TLS: nobody gets the request."""
        bait, heard = plain_listener(edge)
        false = origin(pki.others.issue(NAME))
        sni = edge.route({f"127.0.0.1:{false.port}": 10, f"127.0.0.1:{bait.port}": 1}, trusting(), max_fails=0)
        before = edge.sample("upstream_failures_total")
        edge.refused(sni)
        assert edge.sample("upstream_failures_total") == before + 1
        assert false.accepted >= 1 and false.seen == [] and len(heard) == 1 and heard[0][:2] == b"\x16\x03"

    def test_passthrough_is_not_wrapped(self, edge, pki, trusting, origin):
        """The client's TLS goes to the origin as it is; the upstream's own rules have nothing to say there, and put nothing around it."""
        sni = edge.route(origin(pki.others.issue(NAME)), trusting(), route={"mode": "passthrough"})
        assert edge.ask(sni)["sni"] == sni
        with tls.connect(edge.port, sni) as connection:
            assert b"Others" in connection.getpeercert(True)

    def test_the_laxer_default_is_no_fallback(self, edge, pki, trusting, origin):
        """An object named default that believes everything does not help an upstream whose own object refuses."""
        backend = origin(pki.others.issue(NAME))
        sni = edge.route(backend, trusting())
        edge.apply(("upstream_tls", "default", {"verify": "DISABLED"}))
        try:
            edge.refused(sni)
            assert backend.seen == []
        finally:
            edge.api.delete("/v1/upstream_tls/default", wait="acked", timeout=30).expect(200, 204)

    def test_the_log_says_why(self, edge, pki, trusting, origin):
        sni = edge.route(origin(pki.origins.issue("other.test")), trusting())

        def look():
            edge.refused(sni)
            return [line for line in edge.agent.daemon.lines("TLS with the upstream failed") if f"sni={sni}" in line]
        line = eventually(look, "is logged (lines per second are bounded)", interval=0.2)[0]
        assert "cause=name" in line and NAME in line and "node=127.0.0.1:" in line, line


class TestTrust:
    def test_inline_bundle_and_both(self, edge, pki, origin):
        good, false = origin(), origin(pki.others.issue(NAME))
        edge.apply(("ca_bundles", "trust", {"certs": pki.origins.cert_pem}))
        for body in ({"ca": pki.origins.cert_pem}, {"ca_bundle": "trust"}, {"ca_bundle": "trust", "system_ca": True},
                     {"ca": pki.origins.cert_pem, "system_ca": True}, {"ca": pki.others.cert_pem + pki.origins.cert_pem}):
            assert edge.ask(edge.route(good, {**body, "server_name": NAME}))["name"] == "origin", body
            if pki.others.cert_pem not in body.get("ca", ""):
                edge.refused(edge.route(false, {**body, "server_name": NAME}))
        assert false.seen == []

    @pytest.mark.parametrize("body", [{}, {"system_ca": True}])
    def test_system(self, edge, origin, body):
        """The machine's own store, which does not hold the tests' CA: said nothing, and said so."""
        backend, before = origin(), edge.failures("tls_chain")
        edge.refused(edge.route(backend, {**body, "server_name": NAME}))
        assert backend.seen == [] and edge.failures("tls_chain") == before + 1

    def test_built_in(self, edge, origin):
        """scheme tls alone, and no object named default: system CAs, everything verified."""
        backend, before = origin(), edge.failures("tls_chain")
        edge.refused(edge.route(backend, scheme="tls"))
        assert backend.seen == [] and edge.failures("tls_chain") == before + 1

    def test_bundle_changes(self, edge, pki, origin):
        edge.apply(("ca_bundles", "changes", {"certs": pki.others.cert_pem}))
        sni = edge.route(origin(), {"ca_bundle": "changes", "server_name": NAME})
        edge.refused(sni)
        edge.apply(("ca_bundles", "changes", {"certs": pki.origins.cert_pem}))
        assert edge.ask(sni)["name"] == "origin"
        edge.apply(("ca_bundles", "changes", {"certs": pki.others.cert_pem}))
        edge.refused(sni)  # and no session of the time between gets through

    def test_chain_and_depth(self, edge, pki, origin):
        """The origin sends its intermediate; depth counts those."""
        backend = origin(pki.origins.intermediate("Between").issue(NAME))
        assert edge.ask(edge.route(backend, {"ca": pki.origins.cert_pem, "server_name": NAME}))["name"] == "origin"
        assert edge.ask(edge.route(backend, {"ca": pki.origins.cert_pem, "server_name": NAME, "depth": 1}))["name"] == "origin"
        edge.refused(edge.route(backend, {"ca": pki.origins.cert_pem, "server_name": NAME, "depth": 0}))

    def test_revoked(self, edge, pki, origin):
        revoked, well = pki.origins.issue(NAME), pki.origins.issue(NAME)
        edge.apply(("ca_bundles", "revoked", {"certs": pki.origins.cert_pem, "crls": pki.origins.crl(revoked)}))
        body = {"ca_bundle": "revoked", "server_name": NAME}
        bad, before = origin(revoked), edge.failures("tls_revoked")
        assert edge.ask(edge.route(origin(well), body))["name"] == "origin"
        sni = edge.route(bad, body)
        edge.refused(sni)
        assert bad.seen == [] and edge.failures("tls_revoked") == before + 1
        assert edge.ask(edge.route(bad, {**body, "verify": "PERMISSIVE"}))["name"] == "origin"

    def test_revoked_in_the_chain(self, edge, pki, origin):
        """The whole chain: an intermediate that is revoked, and one of which nobody says what it has revoked."""
        between, well = pki.origins.intermediate("Between"), pki.origins.intermediate("Well")
        for number, (crls, passes) in enumerate(((pki.origins.crl() + between.crl() + well.crl(), (True, True)),
                                                 (pki.origins.crl(between) + between.crl() + well.crl(), (False, True)),
                                                 (pki.origins.crl() + well.crl(), (False, True)))):
            name = f"chain{number}"
            edge.apply(("ca_bundles", name, {"certs": pki.origins.cert_pem + between.cert_pem + well.cert_pem, "crls": crls}))
            for issuer, passed in zip((between, well), passes):
                sni = edge.route(origin(issuer.issue(NAME)), {"ca_bundle": name, "server_name": NAME})
                if passed:
                    assert edge.ask(sni)["name"] == "origin", number
                else:
                    edge.refused(sni)

    def test_revoked_later(self, edge, pki, origin):
        """A CRL that comes later ends resumption too."""
        pair = pki.origins.issue(NAME)
        edge.apply(("ca_bundles", "later", {"certs": pki.origins.cert_pem, "crls": pki.origins.crl()}))
        sni = edge.route(origin(pair), {"ca_bundle": "later", "server_name": NAME})
        edge.ask(sni)
        assert edge.ask(sni)["resumed"] is True
        edge.apply(("ca_bundles", "later", {"certs": pki.origins.cert_pem, "crls": pki.origins.crl(pair)}))
        edge.refused(sni)

    @pytest.mark.parametrize("words,passes", [({}, False), ({"stale_crls": "refuse"}, False), ({"stale_crls": "accept"}, True)])
    def test_stale_crl(self, edge, pki, origin, words, passes):
        name = edge.new_id()
        edge.apply(("ca_bundles", name, {"certs": pki.origins.cert_pem, "crls": pki.origins.crl(days=-1, starts=-9)}), degraded=True)
        sni = edge.route(origin(), {"ca_bundle": name, "server_name": NAME, **words})
        if passes:
            assert edge.ask(sni)["name"] == "origin"
        else:
            edge.refused(sni)


# Names. -----------------------------------------------------------------------------------------------------------------


class TestSniPolicy:
    """What the origin is asked for; by default that is also what its certificate must be for."""

    def test_name(self, edge, pki, origin):
        for body in ({"server_name": NAME}, {"sni_policy": "name", "server_name": NAME}):
            assert edge.ask(edge.route(origin(), {"ca": pki.origins.cert_pem, **body}))["sni"] == NAME

    def test_host(self, edge, pki, origin):
        """A node that is a name; by default."""
        backend = origin(pki.origins.issue("localhost"))
        for body in ({}, {"sni_policy": "host"}):
            sni = edge.route({f"localhost:{backend.port}": 1}, {"ca": pki.origins.cert_pem, **body})
            assert eventually(lambda s=sni: edge.ask(s), "the name is resolved")["sni"] == "localhost"
        edge.refused(edge.route({f"localhost:{origin().port}": 1}, {"ca": pki.origins.cert_pem}))

    def test_inbound(self, edge, pki, origin):
        """Each client's name goes on, in its normal form, and the certificate must be for it."""
        backend = origin(pki.origins.issue("*.in.test"))
        edge.route(backend, {"ca": pki.origins.cert_pem, "sni_policy": "inbound"}, sni="**.in.test")
        assert edge.ask("a.in.test")["sni"] == "a.in.test"
        assert edge.ask("B.in.TEST.")["sni"] == "b.in.test"
        edge.refused("a.b.in.test")
        assert [seen["sni"] for seen in backend.seen] == ["a.in.test", "b.in.test"]

    def test_inbound_without_a_name(self, edge, pki, origin):
        """A client without SNI: the origin gets none, and must be who the node is."""
        edge.route(origin(pki.origins.issue("127.0.0.1")), {"ca": pki.origins.cert_pem, "sni_policy": "inbound"}, sni="")
        assert edge.ask(None)["sni"] is None


class TestVerifyName:
    """The name to verify apart from the one asked for."""

    def test_fixed(self, edge, pki, origin):
        backend = origin(pki.origins.issue("verified.test"))
        for body in ({"verify_name": "verified.test"}, {"verify_name_policy": "name", "verify_name": "verified.test"}):
            sni = edge.route(backend, {"ca": pki.origins.cert_pem, "server_name": "asked.test", **body})
            assert edge.ask(sni)["sni"] == "asked.test"
        edge.refused(edge.route(origin(pki.origins.issue("asked.test")),
                                {"ca": pki.origins.cert_pem, "server_name": "asked.test", "verify_name": "verified.test"}))

    def test_address(self, edge, pki, origin):
        body = {"ca": pki.origins.cert_pem, "server_name": "asked.test", "verify_name": "192.0.2.7"}
        assert edge.ask(edge.route(origin(pki.origins.issue("192.0.2.7")), body))["sni"] == "asked.test"
        edge.refused(edge.route(origin(pki.origins.issue("192.0.2.8", "asked.test")), body))

    def test_host(self, edge, pki, origin):
        body = {"ca": pki.origins.cert_pem, "server_name": "asked.test", "verify_name_policy": "host"}
        assert edge.ask(edge.route(origin(pki.origins.issue("127.0.0.1")), body))["sni"] == "asked.test"
        edge.refused(edge.route(origin(pki.origins.issue("asked.test")), body))

    def test_inbound(self, edge, pki, origin):
        body = {"ca": pki.origins.cert_pem, "server_name": "asked.test", "verify_name_policy": "inbound"}
        backend = origin(pki.origins.issue("a.verified.test"))
        edge.route(backend, body, sni="*.verified.test")
        assert edge.ask("a.verified.test")["sni"] == "asked.test"
        edge.refused("b.verified.test")

    def test_sni(self, edge, pki, origin):
        body = {"ca": pki.origins.cert_pem, "server_name": NAME, "verify_name_policy": "sni"}
        assert edge.ask(edge.route(origin(), body))["sni"] == NAME


@pytest.mark.parametrize("rules,passes", [
    ([{"uri": "spiffe://mesh.test/shop"}], True),
    ([{"uri": "spiffe://mesh.test/other"}], False),
    ([{"uri": "spiffe://mesh.test/other"}, {"uri": ["spiffe://x.test/y", "spiffe://mesh.test/shop"]}], True),
    ([{"uri": "spiffe://mesh.test/shop", "dns": "elsewhere.test"}], False),
    ([{"dns": "inside.test"}], True),
    ([{"dns": NAME}], False),
])
def test_allow_rules(edge, pki, trusting, origin, rules, passes):
    """In place of the name: the certificate is not for NAME, and need not be; the chain must hold all the same."""
    sans = {"uris": ["spiffe://mesh.test/shop"]}
    known, unknown = (origin(ca.issue("inside.test", **sans)) for ca in (pki.origins, pki.others))
    sni = edge.route(known, trusting(allow=rules))
    if passes:
        assert edge.ask(sni)["sni"] == NAME
    else:
        edge.refused(sni)
    edge.refused(edge.route(unknown, trusting(allow=rules)))
    assert unknown.seen == []


class TestPins:
    def test_one_of_several(self, edge, pki, trusting, origin):
        sni = edge.route(origin(), trusting(pins=["00" * 32, pki.good.spki_sha256]))
        assert edge.ask(sni)["name"] == "origin"

    def test_wrong(self, edge, pki, trusting, origin):
        """The chain and the name hold; that is not enough."""
        backend, before = origin(), edge.failures("tls_pin")
        edge.refused(edge.route(backend, trusting(pins=["00" * 32])))
        assert backend.seen == [] and edge.failures("tls_pin") == before + 1

    def test_besides_all_else(self, edge, pki, trusting, origin):
        """A pinned key does not make up for an unknown CA."""
        stranger = pki.others.issue(NAME)
        edge.refused(edge.route(origin(stranger), trusting(pins=[stranger.spki_sha256])))
        assert edge.ask(edge.route(origin(stranger), trusting(pins=[stranger.spki_sha256], properties="NAME")))["name"] == "origin"

    def test_key_is_kept_over_renewal(self, edge, pki, trusting, origin):
        renewed = pki.origins.issue(NAME, private=pki.good.key)
        assert edge.ask(edge.route(origin(renewed), trusting(pins=[pki.good.spki_sha256])))["name"] == "origin"

    def test_pin_is_removed(self, edge, pki, trusting, origin):
        """No session made under the pin lives on."""
        sni = edge.route(origin(), trusting(pins=[pki.good.spki_sha256]))
        edge.ask(sni)
        assert edge.ask(sni)["resumed"] is True
        name = sni.removesuffix(".test")
        edge.apply(("upstream_tls", name, trusting(pins=["11" * 32])))
        edge.refused(sni)


# Parameters. ------------------------------------------------------------------------------------------------------------


class TestParameters:
    @pytest.mark.parametrize("body,offered,agreed", [
        ({}, None, "TLSv1.3"),
        ({}, "1.2", "TLSv1.2"),
        ({"max_version": "1.2"}, None, "TLSv1.2"),
        ({"min_version": "VersionTLS13"}, None, "TLSv1.3"),
        ({"min_version": "VersionTLS13"}, "1.2", None),
        ({"max_version": "TLS12"}, "1.3", None),
        ({}, "1.1", None),
        ({"min_version": "1.1", "max_version": "1.1", "cipher_suites": ["TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"]}, "1.1", "TLSv1.1"),
    ])
    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_versions(self, edge, trusting, origin, body, offered, agreed):
        backend = origin()
        if offered:
            backend.context.minimum_version = backend.context.maximum_version = tls.VERSIONS[offered]
            backend.context.set_ciphers("DEFAULT:@SECLEVEL=0")
        sni = edge.route(backend, trusting(**body))
        if agreed:
            assert edge.ask(sni)["version"] == agreed
        else:
            edge.refused(sni)
            assert backend.seen == []

    @pytest.mark.parametrize("suites,version,agreed", [
        (["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"], "1.2", "ECDHE-ECDSA-CHACHA20-POLY1305"),
        (["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"], "1.2", "ECDHE-ECDSA-AES256-GCM-SHA384"),
        (["TLS_CHACHA20_POLY1305_SHA256"], "1.3", "TLS_CHACHA20_POLY1305_SHA256"),
        ([0x1301], "1.3", "TLS_AES_128_GCM_SHA256"),
        (["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"], "1.2", None),  # the origin has no RSA key
    ])
    def test_suites(self, edge, trusting, origin, suites, version, agreed):
        backend = origin(version=tls.VERSIONS[version])
        body = trusting(cipher_suites=suites, **({"max_version": "1.2"} if version == "1.2" else {"min_version": "1.3"}))
        sni = edge.route(backend, body)
        if agreed:
            assert edge.ask(sni)["cipher"] == agreed
        else:
            edge.refused(sni)

    @pytest.mark.parametrize("groups,passes", [(["CurveP384"], True), (["X25519", "P-384"], True), (["X25519", "CurveP256"], False)])
    def test_groups(self, edge, trusting, origin, groups, passes):
        backend = origin()
        backend.context.set_ecdh_curve("secp384r1")
        sni = edge.route(backend, trusting(curve_preferences=groups))
        if passes:
            assert edge.ask(sni)["version"] == "TLSv1.3"
        else:
            edge.refused(sni)

    @pytest.mark.parametrize("offered,known,agreed", [
        ([], ["h2"], None), (["postgresql"], ["postgresql"], "postgresql"), (["a", "b"], ["c", "b"], "b"), (["a"], ["b"], None)])
    def test_alpn(self, edge, trusting, origin, offered, known, agreed):
        sni = edge.route(origin(alpn=known), trusting(**({"alpn_protocols": offered} if offered else {})))
        assert edge.ask(sni)["alpn"] == agreed

    def test_the_connection_view_tells(self, edge, trusting, origin):
        backend = origin(version=ssl.TLSVersion.TLSv1_2)
        sni = edge.route(backend, trusting())
        with tls.connect(edge.port, sni) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n")
            item = eventually(lambda: [i for i in edge.connections() if i["sni"] == sni and i["state"] == "relay"], "is listed")[0]
            assert item["upstream_tls"]["version"] == "1.2" and item["upstream_tls"]["resumed"] is False
            assert item["upstream_tls"]["cipher_suite"].startswith("TLS_ECDHE_ECDSA_WITH_")
            assert item["node"] == f"127.0.0.1:{backend.port}"
