# SPDX-License-Identifier: Apache-2.0
"""What is refused on purpose: the answer names the field and says what to do instead."""
import pytest
from cryptography import x509

from harness.pki import Ca

NODES = {"nodes": {"127.0.0.1:9": 1}}


def refused(api, kind, body, pointer, *words):
    """One error, there, with all of the words; nothing is stored."""
    answer = api.put(f"/v1/{kind}/refused", body)
    assert answer.status == 422 and answer.pointers == [pointer], answer
    detail = answer.json["errors"][0]["detail"]
    assert all(word in detail for word in words), detail
    assert api.get(f"/v1/{kind}/refused").status == 404


@pytest.mark.parametrize("key", ["p256", "rsa2048"])
def test_encrypted_key(shared_api, ca, key):
    pair = ca.issue("locked.test", key=key)
    refused(shared_api, "ssls", {**pair.ssl("locked.test"), "key": pair.encrypted_key_pem}, "/key", "encrypted", "openssl pkey")


def test_must_staple(shared_api, ca):
    """Accepted with a warning, which strict refuses; other features of RFC 7633 and a certificate without are not warned about."""
    def body(*features):
        extra = [x509.TLSFeature(list(features))] if features else []
        return ca.issue("staple.test", extra=extra).ssl("staple.test")

    def warnings(body):
        return [(warning["code"], warning["pointer"]) for warning in shared_api.put("/v1/ssls/staple", body).expect(200, 201).json["warnings"]]

    assert warnings(body()) == []
    for feature in (x509.TLSFeatureType.status_request, x509.TLSFeatureType.status_request_v2):
        assert warnings(body(feature)) == [("must-staple", "/cert")]
        assert shared_api.put("/v1/ssls/staple", body(feature), strict=True).status == 422
    client = ca.issue("staple", usage="client", extra=[x509.TLSFeature([x509.TLSFeatureType.status_request])])
    answer = shared_api.put("/v1/ssls/to-origin", client.ssl(type="client")).expect(201)
    assert answer.json["warnings"] == []
    shared_api.apply(delete=[("ssls", "staple"), ("ssls", "to-origin")]).expect(200)


@pytest.mark.parametrize("pattern", [r"^api[0-9]+\.example$", r"(?i)api\.example", "api-[a-z]+.example", "a*.example", "*.*.example", "api.*", "***.example", "{sub}.example", "/api/"])
def test_regex(shared_api, pattern):
    refused(shared_api, "routes", {"snis": [pattern]}, "/snis/0", '"*.rest"', '"**.rest"', "regular expression")


@pytest.mark.parametrize("kind,body,pointer,word", [
    ("tls_options", {"minVersion": "VersionTLS12"}, "/minVersion", "min_version"),
    ("tls_options", {"clientAuth": {"clientAuthType": "RequireAndVerifyClientCert"}}, "/clientAuth", "client_auth"),
    ("tls_options", {"disableSessionTickets": True}, "/disableSessionTickets", "session_tickets"),
    ("tls_options", {"verify_client": "STRICT"}, "/verify_client", "client_auth"),
    ("tls_options", {"enable_mtls": True}, "/enable_mtls", "client_auth"),
    ("tls_options", {"timeout": 2.5}, "/timeout", "handshake_timeout"),
    ("tls_options", {"client_auth": {"verify": "none", "skip_mtls_uri_regex": ["/health"]}}, "/client_auth/skip_mtls_uri_regex", "name of its own"),
    ("upstreams", {**NODES, "tls": {"client_cert": "C", "client_key": "K"}}, "/tls", "client_ssl"),
    ("upstreams", {**NODES, "tls": {"client_cert_id": "1"}}, "/tls", "client_ssl"),
    ("upstream_tls", {"client_cert": "C"}, "/client_cert", "client_ssl"),
    ("upstream_tls", {"rootCAs": ["ca.pem"]}, "/rootCAs", "ca_bundle"),
    ("routes", {"snis": ["a.test"], "tunnel_route": "a.test:443"}, "/tunnel_route", "passthrough"),
    ("listeners", {"bind": "127.0.0.1:1", "allow_non_tls": True}, "/allow_non_tls", "plain text")])
def test_words_of_others(shared_api, kind, body, pointer, word):
    refused(shared_api, kind, body, pointer, word)


@pytest.mark.parametrize("field", ["certFile", "cert_file", "public_key"])
def test_files(shared_api, ca, tmp_path, field):
    """Neither by such a field nor as text of ours is a file read that is there and good. Also: what is needed and missing is told beside it."""
    pair = ca.issue("a.test")
    cert, key = pair.write(tmp_path, "a")
    for form in ("{}", "@{}", "file:{}", "file://{}"):
        refused(shared_api, "ssls", {**pair.ssl("a.test"), "cert": form.format(cert)}, "/cert", "PEM")
        refused(shared_api, "ssls", {**pair.ssl("a.test"), "key": form.format(key)}, "/key", "PEM")
        refused(shared_api, "ssls", pair.ssl("a.test", client={"ca": form.format(cert)}), "/client/ca", "PEM")
    answer = shared_api.put("/v1/ssls/refused", {"sni": "a.test", field: "/etc/ssl/a.pem"})
    assert answer.status == 422 and set(answer.pointers) == {f"/{field}", "/cert"}
    assert any("PEM text" in error["detail"] for error in answer.json["errors"])


def test_advice_is_for_the_field_alone(shared_api):
    """A word that is in no system is answered with the list of ours."""
    ca = Ca("Words")
    refused(shared_api, "ca_bundles", {"certs": ca.cert_pem, "nonsense": 1}, "/nonsense", "certs, crls")
