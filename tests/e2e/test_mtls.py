# SPDX-License-Identifier: Apache-2.0
"""Client certificates: an mTLS site beside an open site on one listener, on TLS 1.2 and 1.3. "Refused" means that the client got an alert
and no byte of the backend, which on 1.3 comes after the client believes the handshake has succeeded."""
import pytest

from harness import tls
from harness.pki import Ca
from harness.world import serve

VERSIONS = ("1.2", "1.3")
# bad, unsupported, expired, unknown certificate, unknown_ca, certificate_required; 1.2 says handshake_failure without one
REFUSALS = {40, 42, 43, 45, 46, 48, 116}


@pytest.fixture(scope="module")
def place(shared, ca, tmp_path_factory):
    """port, folder; sites open.test, closed.test (depth 1), deep.test (depth 2), options.test (by tls_options with a bundle)."""
    folder = tmp_path_factory.mktemp("clients")
    clients = Ca("Client CA")
    middle = clients.intermediate("Client Middle")
    lower = middle.intermediate("Client Lower")
    stranger = Ca("Stranger CA")
    files = {
        "good": clients.issue("client", usage="client").write(folder, "good"),
        "one": middle.issue("client", usage="client").write(folder, "one"),
        "two": lower.issue("client", usage="client").write(folder, "two"),
        "wrong": stranger.issue("client", usage="client").write(folder, "wrong"),
        "public": ca.issue("client", usage="client").write(folder, "public"),
        "expired": clients.issue("client", usage="client", days=-1, starts=-9).write(folder, "expired"),
        "server": clients.issue("client", usage="server").write(folder, "server"),
        "rsa": clients.issue("client", usage="client", key="rsa2048").write(folder, "rsa"),
    }
    port = serve(shared.controlplane, shared.backend)
    shared.api.apply(wait="acked", timeout=30, put=[
        ("tls_options", "both", {"min_version": "TLSv1.2"}),
        ("listeners", "main", {"bind": f"127.0.0.1:{port}", "upstream": "web", "tls_options": "both"}),
        ("ca_bundles", "clients", {"certs": clients.cert_pem}),
        ("tls_options", "mutual", {"min_version": "TLSv1.2", "client_auth": {"verify": "require", "ca_bundle": "clients"}}),
        ("ssls", "open", ca.issue("open.test").ssl("open.test")),
        ("ssls", "closed", ca.issue("closed.test").ssl("closed.test", client={"ca": clients.cert_pem})),
        ("ssls", "deep", ca.issue("deep.test").ssl("deep.test", client={"ca": clients.cert_pem, "depth": 2})),
        ("ssls", "direct", ca.issue("direct.test").ssl("direct.test", client={"ca": clients.cert_pem, "depth": 0})),
        ("ssls", "options", ca.issue("options.test").ssl("options.test", tls_options="mutual")),
        ("ssls", "other", ca.issue("other.test").ssl("other.test", client={"ca": stranger.cert_pem})),
    ]).expect(200, 201)
    return port, files


def ask(place, version, site, client=None, *more):
    port, files = place
    options = [f"-tls1_{version[-1]}", *more]
    if client:
        cert, key = files[client]
        options += ["-cert", str(cert), "-key", str(key), "-cert_chain", str(cert)]
    return tls.s_client(port, *options, sni=site)


def passes(seen):
    assert seen.body == "backend", seen


def is_refused(seen):
    assert seen.body is None, seen
    assert seen.alert in REFUSALS, seen


@pytest.mark.parametrize("version", VERSIONS)
class TestSites:
    def test_open_site_asks_for_nothing(self, place, version):
        seen = ask(place, version, "open.test")
        passes(seen)
        assert "No client certificate CA names sent" in seen.text

    @pytest.mark.parametrize("site", ["closed.test", "deep.test", "direct.test", "options.test"])
    def test_good(self, place, version, site):
        passes(ask(place, version, site, "good"))
        passes(ask(place, version, site, "rsa"))

    @pytest.mark.parametrize("site", ["closed.test", "options.test"])
    @pytest.mark.parametrize("client", [None, "wrong", "public", "expired", "server"])
    def test_refused(self, place, version, site, client):
        """public: issued by a CA that signed the site itself; server: not for clientAuth."""
        is_refused(ask(place, version, site, client))

    def test_depth_counts_intermediates(self, place, version):
        passes(ask(place, version, "closed.test", "one"))
        is_refused(ask(place, version, "closed.test", "two"))
        passes(ask(place, version, "deep.test", "two"))
        is_refused(ask(place, version, "direct.test", "one"))

    def test_each_site_has_its_own_ca(self, place, version):
        passes(ask(place, version, "other.test", "wrong"))
        is_refused(ask(place, version, "other.test", "good"))

    def test_names_of_the_cas_are_sent(self, place, version):
        seen = ask(place, version, "closed.test", "good")
        assert "Client CA" in seen.text and "Stranger CA" not in seen.text

    def test_no_session_carries_from_the_open_site(self, place, version, tmp_path):
        session = tmp_path / "session"
        passes(ask(place, version, "open.test", None, "-sess_out", str(session)))
        more = ["-sess_in", str(session)] if session.exists() and session.stat().st_size else []
        is_refused(ask(place, version, "closed.test", None, *more))

    def test_host_header_does_not_cross_sites(self, place, version):
        """The site is decided by the handshake alone: what was refused gets nothing, whatever it says inside."""
        port, files = place
        options, (cert, key) = [f"-tls1_{version[-1]}"], files["good"]
        request = b"GET / HTTP/1.1\r\nHost: open.test\r\nConnection: close\r\n\r\n"
        is_refused(tls.s_client(port, *options, sni="closed.test", data=request))
        passes(tls.s_client(port, *options, "-cert", str(cert), "-key", str(key), sni="closed.test", data=request))


def test_curl_with_and_without(place, ca, tmp_path):
    port, files = place
    trust = tmp_path / "ca.pem"
    trust.write_text(ca.cert_pem)
    cert, key = files["good"]
    assert tls.curl(port, "closed.test", "--cert", str(cert), "--key", str(key), ca=trust)[:2] == (0, "backend")
    code, body, error = tls.curl(port, "closed.test", ca=trust)
    assert code != 0 and body == "" and "certificate" in error.lower(), error


def test_closing_a_site_holds_from_the_next_handshake(shared, place, ca):
    port, _ = place
    pair = ca.issue("turn.test")
    shared.api.put_acked("/v1/ssls/turn", pair.ssl("turn.test"))
    assert tls.s_client(port, sni="turn.test").body == "backend"
    shared.api.put_acked("/v1/ssls/turn", pair.ssl("turn.test", client={"ca": Ca("New").cert_pem}))
    for version in VERSIONS:
        is_refused(ask(place, version, "turn.test"))


def test_bundle_change_reaches_the_sites_that_use_it(shared, place, ca):
    port, files = place
    original = shared.api.get("/v1/ca_bundles/clients").json["certs"]
    shared.api.put_acked("/v1/ca_bundles/clients", {"certs": Ca("Replaced").cert_pem})
    is_refused(ask(place, "1.3", "options.test", "good"))
    shared.api.put_acked("/v1/ca_bundles/clients", {"certs": original})
    passes(ask(place, "1.3", "options.test", "good"))
