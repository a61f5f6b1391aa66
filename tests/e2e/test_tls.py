# SPDX-License-Identifier: Apache-2.0
"""What a handshake gets: certificates by name and key type, versions, suites, groups, ALPN; with the real `openssl s_client`."""
import itertools

import pytest

from harness import tls
from harness.net import free_port
from harness.world import serve

_numbers = itertools.count()
ALERT_HANDSHAKE_FAILURE, ALERT_PROTOCOL_VERSION, ALERT_UNRECOGNIZED_NAME, ALERT_NO_APPLICATION_PROTOCOL = 40, 70, 112, 120


class Site:
    """A listener of its own with options of its own, and SSL objects that come with it."""

    def __init__(self, shared):
        self.shared, self.number, self.port = shared, next(_numbers), free_port()

    def put(self, options=None, pairs=(), **listener):
        """pairs: rows (id suffix, SSL object)."""
        rows = [("upstreams", f"u{self.number}", {"nodes": {f"127.0.0.1:{self.shared.backend.port}": 1}})]
        rows += [("ssls", f"s{self.number}-{suffix}", value) for suffix, value in pairs]
        if options is not None:
            rows.append(("tls_options", f"o{self.number}", options))
            listener["tls_options"] = f"o{self.number}"
        rows.append(("listeners", f"l{self.number}", {"bind": f"127.0.0.1:{self.port}", "upstream": f"u{self.number}", **listener}))
        self.shared.api.apply(put=rows, wait="acked", timeout=30).expect(200, 201)
        return self

    def ask(self, *options, sni=None):
        return tls.s_client(self.port, *options, sni=sni)


@pytest.fixture
def site(shared):
    return Site(shared)


def name_for(site, text="x"):
    return f"{text}{site.number}.test"


class TestChoice:
    def test_exact_before_wildcard_before_any(self, site, ca):
        base = name_for(site)
        exact, wild, other = ca.issue(f"www.{base}"), ca.issue(f"*.{base}"), ca.issue("other.test")
        site.put(pairs=[("exact", exact.ssl(f"www.{base}")), ("wild", wild.ssl(f"*.{base}"))])
        assert tls.leaf(site.port, f"www.{base}") == exact.sha256
        assert tls.leaf(site.port, f"mail.{base}") == wild.sha256
        for name in (base, f"a.b.{base}", f"www.{base}.org"):
            assert tls.leaf(site.port, name) not in (exact.sha256, wild.sha256), name
        assert other

    def test_self_signed_default(self, site):
        site.put()
        for sni in ("nobody.test", None):
            seen = site.ask(sni=sni)
            assert seen.body == "backend", seen
            cert = seen.certificates[0]
            assert cert.issuer == cert.subject and len(seen.certificates) == 1

    def test_star_serves_all_names_but_not_those_without(self, shared, ca):
        """In a world of its own name space: `*` catches every name of every listener."""
        site = Site(shared)
        star = ca.issue("star.test")
        site.put(pairs=[("star", star.ssl("*"))])
        try:
            assert tls.leaf(site.port, "whatever.test") == star.sha256
            assert tls.leaf(site.port, "a.b.c.whatever.test") == star.sha256
            assert tls.leaf(site.port, None) != star.sha256
        finally:
            shared.api.delete(f"/v1/ssls/s{site.number}-star", wait="acked", timeout=30).expect(200, 204)

    def test_default_ssl(self, site, ca):
        pair = ca.issue("default.test")
        name = name_for(site)
        site.shared.api.put_acked(f"/v1/ssls/d{site.number}", pair.ssl(name))
        site.put(options={"min_version": "TLSv1.2", "default_ssl": f"d{site.number}"})
        for sni in (None, "unknown.test", "also.unknown.test"):
            assert tls.leaf(site.port, sni) == pair.sha256, sni

    @pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
    def test_sni_strict(self, site, ca, version):
        name = name_for(site)
        pair = ca.issue(name)
        site.put(options={"min_version": "TLSv1.2", "sni_strict": True}, pairs=[("a", pair.ssl(name))])
        assert site.ask(version, sni=name).body == "backend"
        for sni in ("unknown.test", None):
            seen = site.ask(version, sni=sni)
            assert seen.alert == ALERT_UNRECOGNIZED_NAME and seen.body is None, seen

    def test_priority_then_age(self, site, ca):
        name = name_for(site)
        older, younger = ca.issue(name), ca.issue(name)
        site.put(pairs=[("older", older.ssl(name))])
        site.shared.api.put_acked(f"/v1/ssls/s{site.number}-younger", younger.ssl(name))
        assert tls.leaf(site.port, name) == younger.sha256
        # An edit makes nobody younger; priority beats age.
        site.shared.api.patch(f"/v1/ssls/s{site.number}-older", {"desc": "touched"}, wait="acked", timeout=30).expect(200)
        assert tls.leaf(site.port, name) == younger.sha256
        site.shared.api.patch(f"/v1/ssls/s{site.number}-older", {"priority": 5}, wait="acked", timeout=30).expect(200)
        assert tls.leaf(site.port, name) == older.sha256

    def test_two_key_types_under_one_name(self, site, ca):
        name = name_for(site)
        ecdsa, rsa = ca.issue(name), ca.issue(name, key="rsa2048")
        site.put(options={"min_version": "TLSv1.2"}, pairs=[("a", ecdsa.ssl(name, certs=[rsa.cert_pem], keys=[rsa.key_pem]))])
        assert site.ask("-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256", sni=name).leaf == rsa.sha256
        assert site.ask("-tls1_3", "-sigalgs", "ecdsa_secp256r1_sha256", sni=name).leaf == ecdsa.sha256
        assert site.ask("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256", sni=name).leaf == rsa.sha256
        assert site.ask("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256", sni=name).leaf == ecdsa.sha256

    @pytest.mark.parametrize("key", ["p256", "p384", "p521", "ed25519", "rsa2048", "rsa4096"])
    def test_every_key_type(self, site, ca, key):
        name = name_for(site)
        pair = ca.issue(name, key=key)
        site.put(options={"min_version": "TLSv1.2"}, pairs=[("a", pair.ssl(name))])
        for version in ("-tls1_2", "-tls1_3"):
            seen = site.ask(version, sni=name)
            assert (seen.leaf, seen.body) == (pair.sha256, "backend"), seen

    def test_chain_is_sent_whole_and_in_order(self, site, ca):
        name = name_for(site)
        middle = ca.intermediate("Middle")
        pair = middle.issue(name)
        site.put(pairs=[("a", pair.ssl(name))])
        assert site.ask(sni=name).certificates == [pair.cert, middle.cert]
        assert tls.fetch(site.port, name, ca=ca.cert_pem)[0] == "backend"


class TestVersions:
    @pytest.mark.parametrize("low,high,good,bad", [
        ("TLSv1.3", "TLSv1.3", ["-tls1_3"], ["-tls1_2", "-tls1_1"]), ("TLSv1.2", "TLSv1.2", ["-tls1_2"], ["-tls1_3", "-tls1_1"]),
        ("TLSv1.2", "TLSv1.3", ["-tls1_2", "-tls1_3"], ["-tls1_1"])])
    def test_range(self, site, ca, low, high, good, bad):
        name = name_for(site)
        site.put(options={"min_version": low, "max_version": high}, pairs=[("a", ca.issue(name).ssl(name))])
        for option in good:
            seen = site.ask(option, sni=name)
            assert seen.body == "backend" and seen.version == {"-tls1_2": "TLSv1.2", "-tls1_3": "TLSv1.3"}[option], seen
        for option in bad:
            extra = ["-cipher", "ALL:@SECLEVEL=0"] if option == "-tls1_1" else []
            seen = site.ask(option, *extra, sni=name)
            assert seen.body is None and seen.version is None and seen.alert == ALERT_PROTOCOL_VERSION, seen

    def test_modern_is_the_default(self, site, ca):
        name = name_for(site)
        site.put(pairs=[("a", ca.issue(name).ssl(name))])
        assert site.ask("-tls1_3", sni=name).body == "backend"
        assert site.ask("-tls1_2", sni=name).alert == ALERT_PROTOCOL_VERSION

    def test_presets_by_name(self, shared, ca):
        for preset, works in (("modern", ["-tls1_3"]), ("intermediate", ["-tls1_2", "-tls1_3"]), ("old", ["-tls1_2", "-tls1_3"]),
                              ("krakend", ["-tls1_3"])):
            site = Site(shared)
            name = name_for(site)
            site.put(tls_options=preset, pairs=[("a", ca.issue(name).ssl(name))])
            for version in works:
                assert site.ask(version, sni=name).body == "backend", (preset, version)

    def test_ssl_protocols_narrow(self, site, ca):
        one, both = name_for(site, "one"), name_for(site, "both")
        site.put(options={"min_version": "TLSv1.2"}, pairs=[("one", ca.issue(one).ssl(one, ssl_protocols=["TLSv1.2"])),
                                                            ("both", ca.issue(both).ssl(both))])
        assert site.ask("-tls1_2", sni=one).body == "backend"
        assert site.ask("-tls1_3", sni=one).alert == ALERT_PROTOCOL_VERSION
        assert site.ask("-tls1_3", sni=both).body == "backend"

    def test_options_of_the_object_are_taken_whole(self, site, ca):
        name = name_for(site)
        site.shared.api.put_acked(f"/v1/tls_options/own{site.number}", {"min_version": "TLSv1.2", "max_version": "TLSv1.2"})
        site.put(options={"min_version": "TLSv1.3", "alpn_protocols": ["h2"]},
                 pairs=[("a", ca.issue(name).ssl(name, tls_options=f"own{site.number}"))])
        seen = site.ask("-tls1_2", "-alpn", "http/1.1", sni=name)
        assert seen.body == "backend" and seen.alpn is None, seen
        assert site.ask("-tls1_3", sni=name).alert == ALERT_PROTOCOL_VERSION


class TestParameters:
    def test_suites(self, site, ca):
        name = name_for(site)
        site.put(options={"min_version": "TLSv1.2", "cipher_suites": ["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_AES_256_GCM_SHA384"]},
                 pairs=[("a", ca.issue(name).ssl(name))])
        assert site.ask("-tls1_2", sni=name).cipher == "ECDHE-ECDSA-CHACHA20-POLY1305"
        assert site.ask("-tls1_3", sni=name).cipher == "TLS_AES_256_GCM_SHA384"
        assert site.ask("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256", sni=name).alert == ALERT_HANDSHAKE_FAILURE
        assert site.ask("-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256", sni=name).alert == ALERT_HANDSHAKE_FAILURE

    def test_order_of_preference(self, site, ca):
        name = name_for(site)
        suites = ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]
        site.put(options={"min_version": "TLSv1.2", "max_version": "TLSv1.2", "cipher_suites": suites, "prefer_server_ciphers": True},
                 pairs=[("a", ca.issue(name).ssl(name))])
        backwards = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384"
        assert site.ask("-cipher", backwards, sni=name).cipher == "ECDHE-ECDSA-AES256-GCM-SHA384"
        site.shared.api.patch(f"/v1/tls_options/o{site.number}", {"prefer_server_ciphers": False}, wait="acked", timeout=30).expect(200)
        assert site.ask("-cipher", backwards, sni=name).cipher == "ECDHE-ECDSA-AES128-GCM-SHA256"

    def test_groups(self, site, ca):
        name = name_for(site)
        site.put(options={"min_version": "TLSv1.2", "curve_preferences": ["P-384"]}, pairs=[("a", ca.issue(name, key="rsa2048").ssl(name))])
        for version in ("-tls1_2", "-tls1_3"):
            assert "secp384r1" in (site.ask(version, sni=name).group or ""), version
            seen = site.ask(version, "-groups", "X25519", sni=name)
            assert seen.body is None and seen.alert == ALERT_HANDSHAKE_FAILURE, seen

    def test_hello_retry_request_keeps_the_decision(self, site, ca):
        """The client's first key share is of a group that the server does not take."""
        name = name_for(site)
        pair = ca.issue(name)
        site.put(options={"min_version": "TLSv1.3", "curve_preferences": ["P-256"]}, pairs=[("a", pair.ssl(name))])
        seen = site.ask("-groups", "X25519:P-256", sni=name)
        assert (seen.leaf, seen.body) == (pair.sha256, "backend") and "prime256v1" in seen.group, seen

    @pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
    def test_alpn(self, site, ca, version):
        name = name_for(site)
        site.put(options={"min_version": "TLSv1.2", "alpn_protocols": ["h2", "http/1.1"]}, pairs=[("a", ca.issue(name).ssl(name))])
        assert site.ask(version, "-alpn", "http/1.1,h2", sni=name).alpn == "h2"
        assert site.ask(version, "-alpn", "http/1.1", sni=name).alpn == "http/1.1"
        without = site.ask(version, sni=name)
        assert without.alpn is None and without.body == "backend"
        seen = site.ask(version, "-alpn", "smtp", sni=name)
        assert seen.alert == ALERT_NO_APPLICATION_PROTOCOL and seen.body is None, seen

    def test_no_alpn_unless_set(self, site, ca):
        name = name_for(site)
        site.put(pairs=[("a", ca.issue(name).ssl(name))])
        seen = site.ask("-alpn", "h2,http/1.1", sni=name)
        assert seen.alpn is None and seen.body == "backend"

    def test_no_renegotiation_no_compression(self, site, ca):
        """R at the start of a line asks s_client to renegotiate: refused, and the connection ends without an answer."""
        name = name_for(site)
        site.put(options={"min_version": "TLSv1.2"}, pairs=[("a", ca.issue(name).ssl(name))])
        seen = site.ask("-tls1_2", sni=name)
        assert "Compression: NONE" in seen.text and "Secure Renegotiation IS supported" in seen.text
        again = tls.s_client(site.port, "-tls1_2", sni=name, data=b"R\n", plain=True)
        assert "no renegotiation" in again.text.lower(), again


class TestChanges:
    def test_options_change_for_the_next_handshake(self, site, ca):
        name = name_for(site)
        site.put(options={"min_version": "TLSv1.2"}, pairs=[("a", ca.issue(name).ssl(name))])
        assert site.ask("-tls1_2", sni=name).body == "backend"
        site.shared.api.put_acked(f"/v1/tls_options/o{site.number}", {"min_version": "TLSv1.3"})
        assert site.ask("-tls1_2", sni=name).alert == ALERT_PROTOCOL_VERSION
        assert site.ask("-tls1_3", sni=name).body == "backend"

    def test_open_connections_stay(self, shared, ca, world):
        from harness.backend import EchoBackend
        echo = world.add_backend(EchoBackend())
        port = serve(shared.controlplane, echo, listener="stays", upstream="stays")
        name = "stays.test"
        shared.api.put_acked("/v1/ssls/stays", ca.issue(name).ssl(name))
        with tls.connect(port, name) as connection:
            for number in range(3):
                shared.api.put_acked("/v1/ssls/stays", ca.issue(name).ssl(name))
                connection.sendall(b"%d" % number)
                assert connection.recv(10) == b"%d" % number

    def test_one_default_for_all(self, world, ca):
        """tls_options/default replaces `modern` for whoever names none."""
        controlplane = world.controlplane()
        world.agent(controlplane)
        port = serve(controlplane, world.backend())
        controlplane.api.put_acked("/v1/ssls/a", ca.issue("a.test").ssl("a.test"))
        assert tls.s_client(port, "-tls1_2", sni="a.test").alert == ALERT_PROTOCOL_VERSION
        controlplane.api.put_acked("/v1/tls_options/default", {"min_version": "TLSv1.2", "sni_strict": True})
        assert tls.s_client(port, "-tls1_2", sni="a.test").body == "backend"
        assert tls.s_client(port, sni="b.test").alert == ALERT_UNRECOGNIZED_NAME
        controlplane.api.delete("/v1/tls_options/default", wait="acked", timeout=30).expect(200, 204)
        assert tls.s_client(port, "-tls1_2", sni="a.test").alert == ALERT_PROTOCOL_VERSION
