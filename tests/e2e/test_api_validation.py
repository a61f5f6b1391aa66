# SPDX-License-Identifier: Apache-2.0
"""Errors refuse, warnings tell: every finding at once, each with a JSON Pointer. And keys are write-only."""
import datetime

import pytest
from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from harness.pki import Ca, Pair, make_key


def refused(api, body, *pointers, kind="ssls", status=422):
    answer = api.put(f"/v1/{kind}/bad", body)
    assert answer.status == status, answer
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    for pointer in pointers:
        assert pointer in answer.pointers, (pointer, answer)
    for error in answer.json["errors"]:
        assert error["detail"] and error["code"] and "pointer" in error
    assert api.get(f"/v1/{kind}/bad").status == 404
    return answer


def warned(api, body, pointer_start, kind="ssls", name="warned"):
    """Accepted with a warning at the place; refused under strict."""
    strict = api.put(f"/v1/{kind}/{name}", body, strict=True)
    assert strict.status == 422 and any(p.startswith(pointer_start) for p in strict.pointers), strict
    answer = api.put(f"/v1/{kind}/{name}", body).expect(200, 201)
    places = [warning["pointer"] for warning in answer.json["warnings"]]
    assert any(place.startswith(pointer_start) for place in places), answer
    api.delete(f"/v1/{kind}/{name}").expect(200, 204)
    return answer


class TestCertificates:
    def test_x509_block(self, shared_api, ca):
        pair = ca.issue("facts.test", "*.facts.test", "10.0.0.1", days=30)
        answer = shared_api.put("/v1/ssls/facts", pair.ssl("facts.test")).expect(201)
        facts = answer.json["x509"]
        facts = facts[0] if isinstance(facts, list) else facts
        assert facts["sha256"] == pair.sha256 and facts["spki_sha256"] == pair.spki_sha256
        assert "facts.test" in facts["subject"] and "Test CA" in facts["issuer"]
        text = answer.body.decode()
        assert "*.facts.test" in text and "10.0.0.1" in text and f"{pair.cert.serial_number:x}" in text.lower()
        shared_api.delete("/v1/ssls/facts").expect(200, 204)

    def test_not_pem(self, shared_api, ca):
        pair = ca.issue("bad.test")
        for cert in ("", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", pair.key_pem,
                     pair.cert_pem.replace("M", "!", 3), pair.cert_pem[:200]):
            refused(shared_api, {"sni": "bad.test", "cert": cert, "key": pair.key_pem}, "/cert")

    def test_key_does_not_match(self, shared_api, ca):
        refused(shared_api, {**ca.issue("bad.test").ssl("bad.test"), "key": ca.issue("x.test").key_pem}, "/key")
        refused(shared_api, {**ca.issue("bad.test").ssl("bad.test"), "key": ca.issue("x.test", key="rsa2048").key_pem}, "/key")

    def test_key_forms(self, shared_api, ca):
        for kind in ("p256", "p384", "p521", "ed25519", "rsa2048"):
            pair = ca.issue("form.test", key=kind)
            forms = [pair.key_pem] + ([pair.traditional_key_pem] if kind != "ed25519" else [])
            for form in forms:
                shared_api.put("/v1/ssls/form", {**pair.ssl("form.test"), "key": form}).expect(200, 201)
            refused(shared_api, {**pair.ssl("form.test"), "key": pair.encrypted_key_pem}, "/key")
        shared_api.delete("/v1/ssls/form").expect(200, 204)

    def test_keys_outside_the_list(self, shared_api, ca):
        for kind in ("rsa1024", "secp256k1", "rsa4160"):
            refused(shared_api, ca.issue("bad.test", key=kind).ssl("bad.test"), "/cert")

    def test_nul_in_a_name(self, shared_api, ca):
        # dNSName "good.test\0evil.test", written by hand: the library would not.
        extension = x509.UnrecognizedExtension(ObjectIdentifier("2.5.29.17"), b"\x30\x16\x82\x14good.test\0evil.test!")
        crafted = ca.issue(key="p256", common_name="good.test", extra=[extension])
        refused(shared_api, crafted.ssl("good.test"), "/cert")

    def test_two_pairs_of_one_type(self, shared_api, ca):
        first, second = ca.issue("two.test"), ca.issue("two.test")
        answer = refused(shared_api, first.ssl("two.test", certs=[second.cert_pem], keys=[second.key_pem]))
        assert any(p.startswith("/certs") for p in answer.pointers), answer

    def test_lists_of_different_lengths(self, shared_api, ca):
        first, second = ca.issue("two.test"), ca.issue("two.test", key="rsa2048")
        answer = refused(shared_api, first.ssl("two.test", certs=[second.cert_pem], keys=[]))
        assert any(p.startswith(("/certs", "/keys")) for p in answer.pointers), answer

    def test_warnings(self, shared_api, ca):
        warned(shared_api, ca.issue("old.test", days=-1, starts=-10).ssl("old.test"), "/cert")
        warned(shared_api, ca.issue("soon.test", days=20, starts=5).ssl("soon.test"), "/cert")
        warned(shared_api, ca.issue("other.test").ssl("name.test"), "/sni")
        warned(shared_api, ca.issue("other.test").ssl("other.test", "name.test"), "/snis/1")

    def test_incomplete_or_disordered_chain(self, shared_api, ca):
        root = Ca("Root")
        middle = root.intermediate("Middle")
        lower = middle.intermediate("Lower")
        pair = lower.issue("chain.test")
        body = pair.ssl("chain.test")
        shared_api.put("/v1/ssls/chain", body, strict=True).expect(201)
        shared_api.delete("/v1/ssls/chain").expect(200, 204)
        assert len(pair.chain) == 2
        warned(shared_api, {**body, "cert": Pair(pair.cert, pair.key, reversed(pair.chain)).cert_pem}, "/cert")
        warned(shared_api, {**body, "cert": Pair(pair.cert, pair.key, [pair.chain[1]]).cert_pem}, "/cert")

    def test_overlap_is_told(self, shared_api, ca):
        shared_api.put("/v1/ssls/first", ca.issue("lap.test").ssl("lap.test")).expect(201)
        answer = warned(shared_api, ca.issue("lap.test").ssl("lap.test"), "/sni", name="second")
        assert b"first" in answer.body
        shared_api.delete("/v1/ssls/first").expect(200, 204)

    def test_all_findings_at_once(self, shared_api, ca):
        pair = ca.issue("x.test")
        answer = refused(shared_api, {"snis": ["ok.test", "bad name", "-x.test", "10.0.0.1", "a..b"], "cert": "x", "key": "y", "colour": 1,
                                      "priority": "high", "ssl_protocols": ["TLSv9"], "client": {"ca": pair.leaf_pem, "depth": -1}})
        assert {"/snis/1", "/snis/2", "/snis/3", "/snis/4", "/cert", "/key", "/colour", "/priority", "/ssl_protocols/0", "/client/ca",
                "/client/depth"} <= set(answer.pointers), answer

    def test_names(self, shared_api, ca):
        for bad in ("", "a b", "*.*.test", "a.*.test", "x*.test", "a" * 64 + ".test", "a.test\r\n", "**.test", "10.0.0.1", "a..test"):
            refused(shared_api, ca.issue("x.test").ssl(bad), "/sni")
        answer = shared_api.put("/v1/ssls/names", ca.issue("BÜCHER.test".lower().encode("idna").decode()).ssl("Bücher.TEST.")).expect(201)
        assert answer.json["sni"] == "xn--bcher-kva.test"
        shared_api.delete("/v1/ssls/names").expect(200, 204)
        assert shared_api.put("/v1/ssls/bad", ca.issue("x.test").ssl("a.test", "A.test")).status in (201, 422)
        shared_api.delete("/v1/ssls/bad")

    def test_sni_and_snis_exclude_each_other(self, shared_api, ca):
        refused(shared_api, {**ca.issue("x.test").ssl("x.test"), "snis": ["y.test"]})
        body = ca.issue("x.test").ssl("x.test")
        del body["sni"]
        assert shared_api.put("/v1/ssls/bad", body).status == 422

    def test_expiry_time_is_a_number(self, shared_api, ca):
        answer = shared_api.put("/v1/ssls/time", ca.issue("time.test", days=10).ssl("time.test")).expect(201)
        now = datetime.datetime.now(datetime.timezone.utc).timestamp()
        assert abs(answer.json["create_time"] - now) < 60
        shared_api.delete("/v1/ssls/time").expect(200, 204)


class TestTrust:
    def test_ca_without_a_ca(self, shared_api, ca):
        leaf = ca.issue("leaf.test")
        refused(shared_api, leaf.ssl("leaf.test", client={"ca": leaf.leaf_pem}), "/client/ca")
        refused(shared_api, leaf.ssl("leaf.test", client={}), "/client/ca")
        refused(shared_api, leaf.ssl("leaf.test", client={"ca": ca.cert_pem, "ca_bundle": "x"}))
        refused(shared_api, {"certs": leaf.leaf_pem}, "/certs", kind="ca_bundles")
        refused(shared_api, {"certs": ""}, "/certs", kind="ca_bundles")

    def test_require_without_anchors(self, shared_api):
        answer = refused(shared_api, {"min_version": "TLSv1.2", "client_auth": {"verify": "require"}}, kind="tls_options")
        assert any(p.startswith("/client_auth") for p in answer.pointers), answer

    def test_spellings_of_modes(self, shared_api, ca):
        for word, stored in (("require", "require"), ("STRICT", "require"), (2, "require"), ("RequireAndVerifyClientCert", "require"),
                             ("none", "none"), ("NONE", "none"), (0, "none"), ("NoClientCert", "none")):
            body = {"min_version": "TLSv1.2", "client_auth": {"verify": word, **({"ca": ca.cert_pem} if stored == "require" else {})}}
            answer = shared_api.put("/v1/tls_options/mode", body).expect(200, 201)
            assert answer.json["client_auth"]["verify"] == stored, word


class TestOptions:
    def test_spellings(self, shared_api):
        body = {"min_version": "VersionTLS12", "max_version": "TLSv1.3",
                "cipher_suites": ["ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
                                  "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", "TLS_AES_128_GCM_SHA256"],
                "curve_preferences": ["CurveP256", "X25519", "secp384r1"]}
        answer = shared_api.put("/v1/tls_options/spell", body).expect(201)
        assert answer.json["min_version"] == "TLSv1.2" and answer.json["max_version"] == "TLSv1.3"
        assert answer.json["cipher_suites"] == ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
                                                "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"]
        assert answer.json["curve_preferences"] == ["secp256r1", "x25519", "secp384r1"]

    @pytest.mark.parametrize("body,pointer", [
        ({"min_version": "TLSv1.9"}, "/min_version"), ({"min_version": "SSLv3"}, "/min_version"), ({"min_version": 12}, "/min_version"),
        ({"min_version": "TLSv1.3", "max_version": "TLSv1.2"}, ""), ({"cipher_suites": ["TLS_MADE_UP"]}, "/cipher_suites/0"),
        ({"min_version": "TLSv1.2", "cipher_suites": ["TLS_AES_128_GCM_SHA256", "TLS_RSA_WITH_RC4_128_SHA"]}, "/cipher_suites/1"),
        ({"curve_preferences": ["P-1"]}, "/curve_preferences/0"), ({"curve_preferences": ["X25519MLKEM768"]}, "/curve_preferences/0"),
        ({"curve_preferences": "X25519"}, "/curve_preferences"), ({"alpn_protocols": [""]}, "/alpn_protocols/0"),
        ({"alpn_protocols": ["a" * 256]}, "/alpn_protocols/0"), ({"sni_strict": 1}, "/sni_strict"), ({"default_ssl": "absent"}, "/default_ssl"),
        ({"handshake_timeout": 0}, "/handshake_timeout"), ({"handshake_timeout": -1}, "/handshake_timeout"),
        # Can never shake hands: only TLS 1.2 suites with TLS 1.3 alone.
        ({"min_version": "TLSv1.3", "cipher_suites": ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]}, "/cipher_suites"),
        ({"min_version": "TLSv1.2", "max_version": "TLSv1.2", "cipher_suites": ["TLS_AES_128_GCM_SHA256"]}, "/cipher_suites")])
    def test_refused(self, shared_api, body, pointer):
        answer = shared_api.put("/v1/tls_options/bad", body)
        assert answer.status == 422, answer
        assert any(p.startswith(pointer) for p in answer.pointers), answer

    def test_protocols_narrow_to_nothing(self, shared_api, ca):
        shared_api.put("/v1/tls_options/only13", {"min_version": "TLSv1.3"}).expect(200, 201)
        answer = refused(shared_api, ca.issue("n.test").ssl("n.test", tls_options="only13", ssl_protocols=["TLSv1.2"]))
        assert any(p.startswith(("/ssl_protocols", "/tls_options")) for p in answer.pointers), answer


class TestListenersAndUpstreams:
    @pytest.mark.parametrize("bind", ["", "127.0.0.1", ":80", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:x", "host.test:80", "[::1:80",
                                      "127.0.0.1:80 ", "256.0.0.1:80", "127.1:80", 80, "127.0.0.1:-1", "127.0.0.1:+80"])
    def test_bind(self, shared_api, bind):
        shared_api.put("/v1/upstreams/base", {"nodes": {"127.0.0.1:9": 1}}).expect(200, 201)
        refused(shared_api, {"bind": bind, "upstream": "base"}, "/bind", kind="listeners")

    @pytest.mark.parametrize("nodes", [{}, {"x": 1}, {"127.0.0.1:0": 1}, {"127.0.0.1:9": -1}, {"127.0.0.1:9": "1"}, {"127.0.0.1:9": 1.5},
                                       {"bad host:9": 1}, {":9": 1}, [], 7, {"127.0.0.1:9": 100000000}, {f"10.0.0.{i}:9": 1 for i in range(65)}])
    def test_nodes(self, shared_api, nodes):
        answer = refused(shared_api, {"nodes": nodes}, kind="upstreams")
        assert any(p.startswith("/nodes") for p in answer.pointers), answer

    def test_selector(self, shared_api):
        for selector in ("a=b", {"a": 1}, {"": "x"}, {"a": ""}, {"a b": "c"}, {"a": "b" * 64}, {f"k{i}": "v" for i in range(17)}, []):
            answer = refused(shared_api, {"nodes": {"127.0.0.1:9": 1}, "selector": selector}, kind="upstreams")
            assert any(p.startswith("/selector") for p in answer.pointers), (selector, answer)


class TestKeysAreWriteOnly:
    def test_put_without_key_takes_the_stored_one(self, shared_api, ca):
        private = make_key()
        first, renewed = ca.issue("keep.test", private=private), ca.issue("keep.test", private=private, days=200)
        shared_api.put("/v1/ssls/keep", first.ssl("keep.test")).expect(201)
        got = shared_api.get("/v1/ssls/keep").expect(200).json
        assert "key" not in got and "keys" not in got
        answer = shared_api.put("/v1/ssls/keep", {"sni": "keep.test", "cert": renewed.cert_pem}).expect(200)
        assert renewed.sha256.encode() in answer.body
        shared_api.patch("/v1/ssls/keep", {"cert": first.cert_pem}).expect(200)
        other = ca.issue("keep.test")
        refused = shared_api.put("/v1/ssls/keep", {"sni": "keep.test", "cert": other.cert_pem})
        assert refused.status == 422 and "/key" in refused.pointers + ["/key" if "/cert" in refused.pointers else ""], refused

    def test_pairs_in_any_order(self, shared_api, ca):
        ecdsa, rsa = ca.issue("order.test"), ca.issue("order.test", key="rsa2048")
        shared_api.put("/v1/ssls/order", ecdsa.ssl("order.test", certs=[rsa.cert_pem], keys=[rsa.key_pem])).expect(201)
        shared_api.put("/v1/ssls/order", {"sni": "order.test", "cert": rsa.cert_pem, "certs": [ecdsa.cert_pem]}).expect(200)

    def test_never_from_history_or_another_object(self, shared_api, ca):
        private = make_key()
        pair = ca.issue("mine.test", private=private)
        shared_api.put("/v1/ssls/mine", pair.ssl("mine.test")).expect(201)
        shared_api.put("/v1/ssls/mine", ca.issue("mine.test").ssl("mine.test")).expect(200)
        assert shared_api.put("/v1/ssls/mine", {"sni": "mine.test", "cert": pair.cert_pem}).status == 422
        assert shared_api.put("/v1/ssls/yours", {"sni": "mine.test", "cert": pair.cert_pem}).status == 422
        shared_api.delete("/v1/ssls/mine").expect(200, 204)
        assert shared_api.put("/v1/ssls/mine", {"sni": "mine.test", "cert": pair.cert_pem}).status == 422
