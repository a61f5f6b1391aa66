# SPDX-License-Identifier: Apache-2.0
"""Routes, upstream TLS and the new fields of listeners and upstreams, over the real API: spellings, contradictions, references from both
ends, who wins, who asks less."""
import pytest

UPSTREAM = {"nodes": {"127.0.0.1:9": 1}}
PIN = "00112233445566778899aabbccddeeff" * 2


@pytest.fixture
def here(shared_api):
    """here(kind, id, body): PUT, accepted; all of it is deleted at the end."""
    made = []

    def put(kind, name, body):
        made.append((kind, name))
        return shared_api.put(f"/v1/{kind}/{name}", body).expect(200, 201)

    yield put
    if made:
        shared_api.apply(delete=list(dict.fromkeys(made))).expect(200)


def codes_and_places(answer):
    return {(warning["code"], warning["pointer"]) for warning in answer.json["warnings"]}


def text_of(answer):
    return answer.body.decode().replace("\\/", "/")


def refused(api, kind, body, code, pointer):
    answer = api.put(f"/v1/{kind}/refused", body)
    assert answer.status == 422, answer
    found = {(error["code"], error["pointer"]) for error in answer.json["errors"]}
    assert (code, pointer) in found, answer
    assert api.get(f"/v1/{kind}/refused").status == 404
    return answer


class TestRoutes:
    def test_answers_are_canonical_and_can_be_put_back(self, shared_api, here):
        here("upstreams", "u", UPSTREAM)
        here("listeners", "l", {"bind": "127.0.0.1:22001", "upstream": "u"})
        made = here("routes", "r", {
            "snis": ["WWW.Example.", "*.Example", "**.deep.example", "*", "", "bücher.example"], "listeners": ["l"],
            "mode": "PASSTHROUGH", "upstream": "u", "allow_clients": ["10.0.0.0/8", "::ffff:192.0.2.1", "2001:DB8::/32"], "priority": -3})
        assert made.json["snis"] == ["www.example", "*.example", "**.deep.example", "*", "", "xn--bcher-kva.example"]
        assert made.json["allow_clients"] == ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"]
        assert made.json["mode"] == "passthrough" and made.json["priority"] == -3
        again = shared_api.put("/v1/routes/r", shared_api.get("/v1/routes/r").json).expect(200)
        assert again.etag == made.etag
        # a patch removes by null, and the result is checked as a whole
        answer = shared_api.patch("/v1/routes/r", {"mode": "reject"})
        assert answer.status == 422 and set(answer.pointers) == {"/upstream", "/allow_clients"}
        shared_api.patch("/v1/routes/r", {"mode": "reject", "upstream": None, "allow_clients": None}).expect(200)

    @pytest.mark.parametrize("body, code, pointer", [
        ({}, "missing-field", "/snis"),
        ({"snis": []}, "out-of-range", "/snis"),
        ({"snis": ["a.test", "A.test."]}, "duplicate", "/snis/1"),
        ({"snis": ["**"]}, "invalid-value", "/snis/0"),
        ({"snis": ["10.0.0.1"]}, "invalid-value", "/snis/0"),
        ({"snis": ["a.test"], "listeners": []}, "out-of-range", "/listeners"),
        ({"snis": ["a.test"], "allow_clients": []}, "out-of-range", "/allow_clients"),
        ({"snis": ["a.test"], "allow_clients": ["10.0.0.1/8"]}, "invalid-value", "/allow_clients/0"),
        ({"snis": ["a.test"], "mode": "drop"}, "invalid-value", "/mode"),
        ({"snis": ["a.test"], "mode": "reject", "upstream": "u"}, "conflicting-fields", "/upstream"),
        ({"snis": ["a.test"], "mode": "reject", "tls_options": "modern"}, "conflicting-fields", "/tls_options"),
        ({"snis": ["a.test"], "mode": "reject", "upstream_tls": "t"}, "conflicting-fields", "/upstream_tls"),
        ({"snis": ["a.test"], "mode": "passthrough", "tls_options": "modern"}, "conflicting-fields", "/tls_options"),
        ({"snis": ["a.test"], "mode": "passthrough", "upstream_tls": "t"}, "conflicting-fields", "/upstream_tls"),
        ({"snis": ["a.test"], "listeners": ["nowhere"]}, "reference-missing", "/listeners/0"),
        ({"snis": ["a.test"], "upstream_tls": "nowhere"}, "reference-missing", "/upstream_tls"),
    ])
    def test_refused(self, shared_api, body, code, pointer):
        refused(shared_api, "routes", body, code, pointer)

    def test_a_listener_that_a_route_names_stays(self, shared_api, here):
        here("upstreams", "u", UPSTREAM)
        here("listeners", "named", {"bind": "127.0.0.1:22002", "upstream": "u"})
        here("routes", "names", {"snis": ["a.test"], "listeners": ["named"]})
        answer = shared_api.delete("/v1/listeners/named")
        assert answer.status == 409 and "routes/names" in text_of(answer) and "/listeners/0" in text_of(answer)

    def test_selectors_contain_from_both_ends(self, shared_api, here):
        here("upstreams", "u", UPSTREAM)
        here("listeners", "eu", {"bind": "127.0.0.1:22003", "upstream": "u", "selector": {"region": "eu"}})
        here("upstream_tls", "eu", {"selector": {"region": "eu"}})
        refused(shared_api, "routes", {"snis": ["a.test"], "listeners": ["eu"]}, "reference-selector", "/listeners/0")
        refused(shared_api, "routes", {"snis": ["a.test"], "upstream_tls": "eu"}, "reference-selector", "/upstream_tls")
        refused(shared_api, "upstreams", {**UPSTREAM, "upstream_tls": "eu"}, "reference-selector", "/upstream_tls")
        here("routes", "eu", {"snis": ["a.test"], "listeners": ["eu"], "upstream_tls": "eu", "selector": {"region": "eu", "zone": "1"}})
        for target in ("listeners", "upstream_tls"):
            for change in ({"selector": {"region": "us"}}, {"status": 0}):
                answer = shared_api.patch(f"/v1/{target}/eu", change)
                assert answer.status == 422 and "routes/eu" in text_of(answer), answer

    def test_somebody_must_bring_the_upstream(self, shared_api, here):
        here("upstreams", "u", UPSTREAM)
        bare = here("listeners", "bare", {"bind": "127.0.0.1:22004"})
        assert ("no-upstream", "/upstream") in codes_and_places(bare)
        assert shared_api.put("/v1/listeners/bare2", {"bind": "127.0.0.1:22014"}, strict=True).status == 422
        refused(shared_api, "routes", {"snis": ["a.test"], "listeners": ["bare"]}, "no-upstream", "/upstream")
        here("routes", "brings", {"snis": ["a.test"], "listeners": ["bare"], "upstream": "u"})
        served = shared_api.patch("/v1/listeners/bare", {"desc": "served"}).expect(200)
        assert "no-upstream" not in text_of(served)
        assert shared_api.patch("/v1/routes/brings", {"upstream": None}).status == 422

    def test_overlap_says_who_wins(self, shared_api, here):
        here("upstreams", "u", UPSTREAM)
        here("listeners", "l", {"bind": "127.0.0.1:22005", "upstream": "u"})
        here("routes", "old", {"snis": ["*.win.test"], "listeners": ["l"]})
        young = here("routes", "young", {"snis": ["*.win.test"], "listeners": ["l"]})
        assert ("overlap", "/snis/0") in codes_and_places(young) and "this one wins" in text_of(young)
        everywhere = here("routes", "young", {"snis": ["*.win.test"], "priority": 100})
        assert "that one wins" in text_of(everywhere)
        here("routes", "old", {"snis": ["*.win.test"], "listeners": ["l"], "selector": {"site": "a"}})
        apart = here("routes", "young", {"snis": ["*.win.test"], "selector": {"site": "b"}})
        assert "overlap" not in text_of(apart)

    def test_who_asks_less_than_the_listener(self, shared_api, here, ca):
        here("ca_bundles", "clients", {"certs": ca.cert_pem})
        here("tls_options", "strict", {"client_auth": {"verify": "require", "ca_bundle": "clients"}})
        here("tls_options", "open", {})
        here("upstreams", "u", UPSTREAM)
        here("listeners", "closed", {"bind": "127.0.0.1:22006", "upstream": "u", "tls_options": "strict"})
        lax = here("routes", "lax", {"snis": ["open.test"], "tls_options": "open"})
        assert ("lax-client-auth", "/tls_options") in codes_and_places(lax)
        assert "listeners/closed" in text_of(lax) and "tls_options/open" in text_of(lax)
        strict = shared_api.put("/v1/routes/lax2", {"snis": ["other.test"], "tls_options": "open"}, strict=True)
        assert strict.status == 422 and "/tls_options" in strict.pointers


class TestUpstreams:
    @pytest.mark.parametrize("given, answered", [("off", None), ("v1", "v1"), (2, "v2"), ("V2", "v2")])
    def test_proxy_protocol(self, here, given, answered):
        assert here("upstreams", "proxied", {**UPSTREAM, "send_proxy_protocol": given}).json.get("send_proxy_protocol") == answered

    def test_fields(self, here):
        made = here("upstreams", "full", {**UPSTREAM, "scheme": "TLS", "max_fails": 0, "fail_timeout": 0.5}).json
        assert (made["scheme"], made["max_fails"], made["fail_timeout"]) == ("tls", 0, 0.5) and made["warnings"] == []

    def test_tls_contradictions(self, shared_api, here):
        here("upstream_tls", "t", {})
        refused(shared_api, "upstreams", {**UPSTREAM, "scheme": "tcp", "upstream_tls": "t"}, "conflicting-fields", "/upstream_tls")
        refused(shared_api, "upstreams", {**UPSTREAM, "scheme": "https"}, "invalid-value", "/scheme")

    @pytest.mark.parametrize("field", ["tls", "client_cert", "client_key", "client_cert_id", "cert", "key"])
    def test_no_certificate_stands_inline(self, shared_api, ca, field):
        key = ca.issue("inline.test").key_pem
        value = {"client_cert": "x", "client_key": key} if field == "tls" else key
        answer = refused(shared_api, "upstreams", {**UPSTREAM, field: value}, "unknown-field", f"/{field}")
        detail = answer.json["errors"][0]["detail"]
        assert 'type "client"' in detail and "client_ssl" in detail
        assert "PRIVATE" not in text_of(answer) and key.splitlines()[1] not in text_of(answer)

    def test_passthrough_to_an_upstream_that_speaks_tls(self, shared_api, here):
        here("upstreams", "secure", {**UPSTREAM, "scheme": "tls"})
        made = here("routes", "through", {"snis": ["through.test"], "mode": "passthrough", "upstream": "secure"})
        assert ("passthrough-to-tls", "/upstream") in codes_and_places(made)


class TestUpstreamTls:
    @pytest.mark.parametrize("word", ["insecure", "insecureSkipVerify", "allow_insecure_connections"])
    def test_spellings_of_disabled(self, shared_api, here, word):
        made = here("upstream_tls", "insecure", {word: True})
        assert made.json["verify"] == "DISABLED" and word not in made.json
        assert ("origin-not-verified", "/verify") in codes_and_places(made)
        assert "verify" not in here("upstream_tls", "insecure", {word: False}).json
        refused(shared_api, "upstream_tls", {word: True, "verify": "ENFORCED"}, "conflicting-fields", f"/{word}")

    def test_all_fields_come_back(self, shared_api, here, ca):
        here("ca_bundles", "origins", {"certs": ca.cert_pem})
        pair = ca.issue("gateway.test")
        here("ssls", "gateway", {"type": "client", "cert": pair.cert_pem, "key": pair.key_pem})
        body = {
            "client_ssl": "gateway", "ca_bundle": "origins", "system_ca": True, "depth": 3, "verify": "ENFORCED", "properties": "ALL",
            "server_name": "api.test", "allow": [{"dns": ["*.test"], "uri": ["spiffe://a/b"]}, {"ip": ["10.0.0.0/8"]}], "pins": [PIN],
            "min_version": "TLSv1.2", "max_version": "TLSv1.3", "cipher_suites": ["TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"],
            "curve_preferences": ["x25519"], "alpn_protocols": ["h2"], "handshake_timeout": 2.5, "session_reuse": False, "stale_crls": "accept"}
        made = here("upstream_tls", "full", body)
        assert {name: made.json.get(name) for name in body} == body
        again = shared_api.put("/v1/upstream_tls/full", made.json).expect(200)
        assert again.etag == made.etag
        answer = shared_api.delete("/v1/ssls/gateway")
        assert answer.status == 409 and "upstream_tls/full" in text_of(answer)

    @pytest.mark.parametrize("body, code, pointer", [
        ({"system_ca": False}, "no-trust", "/system_ca"),
        ({"system_ca": False, "pins": [PIN]}, "no-trust", "/system_ca"),
        ({"properties": "SIGNATURE", "verify_name": "a.test"}, "conflicting-fields", "/verify_name"),
        ({"verify": "DISABLED", "pins": [PIN]}, "conflicting-fields", "/pins"),
        ({"sni_policy": "name"}, "missing-field", "/server_name"),
        ({"sni_policy": "host", "server_name": "a.test"}, "conflicting-fields", "/server_name"),
        ({"allow": [{"dns": "a.test"}], "verify_name": "a.test"}, "conflicting-fields", "/allow"),
        ({"allow": [{}]}, "missing-field", "/allow/0"),
        ({"allow": []}, "out-of-range", "/allow"),
        ({"pins": ["xyz"]}, "invalid-value", "/pins/0"),
        ({"max_version": "1.1"}, "impossible-combination", "/min_version"),
        ({"cipher_suites": ["RC4-SHA"]}, "unsupported-cipher-suite", "/cipher_suites/0"),
        ({"verify": "maybe"}, "invalid-value", "/verify"),
        ({"client_cert": "x"}, "unknown-field", "/client_cert"),
        ({"colour": "red"}, "unknown-field", "/colour"),
    ])
    def test_refused(self, shared_api, body, code, pointer):
        refused(shared_api, "upstream_tls", body, code, pointer)

    def test_only_client_certificates_are_shown_to_origins(self, shared_api, here, ca):
        pair = ca.issue("types.test")
        here("ssls", "serves", pair.ssl("types.test"))
        here("ssls", "shows", {"type": "client", "cert": pair.cert_pem, "key": pair.key_pem})
        refused(shared_api, "upstream_tls", {"client_ssl": "serves"}, "reference-type", "/client_ssl")
        refused(shared_api, "tls_options", {"default_ssl": "shows"}, "reference-type", "/default_ssl")
        here("upstream_tls", "uses", {"client_ssl": "shows"})
        answer = shared_api.put("/v1/ssls/shows", pair.ssl("types.test"))
        assert answer.status == 422 and "upstream_tls/uses" in text_of(answer) and "/type" in answer.pointers

    def test_the_default_reaches_everybody(self, shared_api, here):
        assert shared_api.put("/v1/upstream_tls/default", {"selector": {"a": "b"}}).status == 422
        assert shared_api.put("/v1/upstream_tls/default", {"status": 0}).status == 422
        here("upstream_tls", "default", {"min_version": "TLSv1.3"})


def test_listener_limits_and_proxy_sources(shared_api, here):
    here("upstreams", "u", UPSTREAM)
    made = here("listeners", "limits", {"bind": "127.0.0.1:22007", "upstream": "u", "accept_proxy_protocol": ["10.0.0.0/8", "192.0.2.1/32"],
                                        "max_handshakes": 100, "handshakes_per_second": 50}).json
    assert made["accept_proxy_protocol"] == ["10.0.0.0/8", "192.0.2.1"]
    assert (made["max_handshakes"], made["handshakes_per_second"]) == (100, 50)
    for field, value in (("max_handshakes", 0), ("handshakes_per_second", "1"), ("accept_proxy_protocol", "all")):
        answer = shared_api.patch("/v1/listeners/limits", {field: value})
        assert answer.status == 422 and answer.pointers == [f"/{field}"], answer


def test_history_knows_them(shared_api, here):
    made = here("routes", "history", {"snis": ["history.test"], "mode": "reject"})
    number = made.headers["Tlsplane-Revision"].split("-")[1]
    revision = shared_api.get(f"/v1/revisions/{number}").expect(200)
    assert "routes/history" in text_of(revision)


def test_one_revision_or_none(shared_api, here):
    """In any order, as a whole; one bad item undoes all."""
    bad = shared_api.apply(put=[("routes", "whole", {"snis": ["whole.test"], "upstream": "whole", "upstream_tls": "whole"}),
                                ("upstreams", "whole", UPSTREAM), ("upstream_tls", "whole", {"verify": "maybe"})])
    assert bad.status == 422
    for kind in ("routes", "upstreams", "upstream_tls"):
        assert shared_api.get(f"/v1/{kind}/whole").status == 404
    shared_api.apply(put=[("routes", "whole", {"snis": ["whole.test"], "upstream": "whole", "upstream_tls": "whole"}),
                          ("upstreams", "whole", UPSTREAM), ("upstream_tls", "whole", {})]).expect(200, 201)
    assert shared_api.delete("/v1/upstream_tls/whole").status == 409
    shared_api.apply(delete=[("upstream_tls", "whole"), ("upstreams", "whole"), ("routes", "whole")]).expect(200)
