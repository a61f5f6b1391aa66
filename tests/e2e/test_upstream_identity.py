# SPDX-License-Identifier: Apache-2.0
"""As whom the agent comes to an origin: the client certificate, its rotation, and that no session carries one identity into another."""
import hashlib
import re
import ssl

import pytest
from harness import tls
from harness.edge import NAME, shown
from harness.net import eventually
from harness.peers import s_server
from harness.world import Hammer


def test_client_certificate(edge, pki, trusting, origin):
    """Traffic Server's cases: one certificate for an upstream, another for a route to it; and none where none is named."""
    mine, other = (pki.clients.issue("agent", usage="client", common_name=name) for name in ("mine", "other"))
    backend, lax = origin(client_ca=pki.clients.cert_pem), origin()
    upstream, special, bare = edge.new_id(), edge.new_id(), edge.new_id()
    edge.apply(*edge.upstream_rows(upstream, backend, trusting(client_ssl=shown(edge, mine))),
               ("upstream_tls", special, trusting(client_ssl=shown(edge, other))), ("upstream_tls", bare, trusting()),
               ("routes", upstream, {"snis": [f"{upstream}.test"], "upstream": upstream}),
               ("routes", special, {"snis": [f"{special}.test"], "upstream": upstream, "upstream_tls": special}),
               ("routes", bare, {"snis": [f"{bare}.test"], "upstream": upstream, "upstream_tls": bare}))
    for _ in range(2):
        assert edge.ask(f"{upstream}.test")["peer"] == mine.sha256
        assert edge.ask(f"{special}.test")["peer"] == other.sha256
        edge.refused(f"{bare}.test")
    assert {seen["peer"] for seen in backend.seen} == {mine.sha256, other.sha256}
    assert edge.ask(edge.route(lax, trusting()))["peer"] is None


@pytest.mark.parametrize("key", ["rsa2048", "p384"])
def test_client_certificate_with_its_chain(edge, pki, trusting, origin, key):
    """The origin knows the root alone: the intermediate is sent."""
    pair = pki.clients.intermediate("Clients between").issue("agent", usage="client", key=key)
    backend = origin(client_ca=pki.clients.cert_pem)
    assert edge.ask(edge.route(backend, trusting(client_ssl=shown(edge, pair))))["peer"] == pair.sha256


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_certificate_that_the_origin_refuses(edge, pki, trusting, origin, version):
    """Under TLS 1.3 its alert comes after our handshake is done: the client gets no orderly end, and the log says alert."""
    stranger = pki.others.issue("agent", usage="client")
    backend = origin(client_ca=pki.clients.cert_pem, version=tls.VERSIONS[version])
    sni, before = edge.route(backend, trusting(client_ssl=shown(edge, stranger))), edge.failures("tls_alert")
    edge.refused(sni)
    assert backend.seen == [] and edge.failures("tls_alert") == before + 1


def test_default_object(edge, pki, trusting, origin):
    """It reaches upstreams that speak TLS and name no object; those that name one, and plain ones, are left alone."""
    mine = pki.clients.issue("agent", usage="client")
    backend = origin(client_ca=pki.clients.cert_pem)
    speaks, names, plain = edge.route(backend, scheme="tls"), edge.route(backend, trusting()), edge.route(edge.shared.backend)
    edge.refused(speaks)
    edge.apply(("upstream_tls", "default", trusting(client_ssl=shown(edge, mine))))
    try:
        assert edge.ask(speaks)["peer"] == mine.sha256
        edge.refused(names)
        assert tls.fetch(edge.port, plain)[0] == "backend"
    finally:
        edge.api.delete("/v1/upstream_tls/default", wait="acked", timeout=30).expect(200, 204)
    edge.refused(speaks)


class TestRotation:
    """A PUT of the client certificate reaches the origin without a restart; shown by `openssl s_server`, which prints whom it saw."""

    @staticmethod
    def peer_of(edge, sni):
        page = tls.fetch(edge.port, sni)[0]
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(re.search(r"-----BEGIN CERT.+?-----END CERTIFICATE-----", page, re.S).group(0))).hexdigest()

    @pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
    def test_at_a_real_origin(self, edge, pki, trusting, tmp_path, version):
        ca = tmp_path / "clients.pem"
        ca.write_text(pki.clients.cert_pem)
        port = s_server(edge.world, tmp_path, pki.good, "-Verify", "3", "-verify_return_error", "-CAfile", ca, version)
        pairs = [pki.clients.issue("agent", usage="client") for _ in range(3)]
        name = shown(edge, pairs[0])
        sni = edge.route(port, trusting(client_ssl=name))
        for pair in pairs:
            shown(edge, pair, name)
            for _ in range(2):  # the second resumes: within the new identity alone
                assert self.peer_of(edge, sni) == pair.sha256
        starts = edge.agent.daemon.lines('msg="agent ready"')
        assert len(starts) == 1

    def test_under_load(self, edge, pki, trusting, origin):
        """No connection fails while certificates change, and each change holds from its acknowledgement on."""
        backend, name = origin(client_ca=pki.clients.cert_pem), edge.new_id()
        pairs = [pki.clients.issue("agent", usage="client") for _ in range(4)]
        shown(edge, pairs[0], name)
        sni = edge.route(backend, trusting(client_ssl=name))
        with Hammer(lambda _: edge.ask(sni), threads=2) as hammer:
            for pair in pairs[1:]:
                shown(edge, pair, name)
                assert edge.ask(sni)["peer"] == pair.sha256
        assert hammer.failures == [] and min(hammer.rounds) > 0


# Sessions. --------------------------------------------------------------------------------------------------------------


class TestSessions:
    @pytest.mark.parametrize("version", ["1.2", "1.3"])
    def test_are_reused(self, edge, trusting, origin, version):
        before = edge.sample("upstream_handshakes_resumed_total")
        sni = edge.route(origin(version=tls.VERSIONS[version]), trusting())
        assert [edge.ask(sni)["resumed"] for _ in range(4)] == [False, True, True, True]
        assert edge.sample("upstream_handshakes_resumed_total") == before + 3

    @pytest.mark.parametrize("version", ["1.2", "1.3"])
    def test_switched_off(self, edge, trusting, origin, version):
        sni = edge.route(origin(version=tls.VERSIONS[version]), trusting(session_reuse=False))
        assert [edge.ask(sni)["resumed"] for _ in range(3)] == [False, False, False]

    def test_not_after_a_certificate_that_was_let_pass(self, edge, pki, trusting, origin):
        """PERMISSIVE: a session would hide at the next connection what did not hold."""
        before = edge.sample("upstream_handshakes_permissive_total")
        sni = edge.route(origin(pki.others.issue(NAME)), trusting(verify="PERMISSIVE"))
        assert [edge.ask(sni)["resumed"] for _ in range(3)] == [False, False, False]
        assert edge.sample("upstream_handshakes_permissive_total") == before + 3


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_sessions_never_cross(edge, pki, trusting, origin, version):
    """A14: many ways to one origin on one port, in turns: each resumes, and the origin never sees the certificate or the name of another.
    One way differs from the next by exactly one thing."""
    certs = [pki.clients.issue("agent", usage="client") for _ in range(2)]
    mine, other = (shown(edge, pair) for pair in certs)
    pair = pki.origins.issue(NAME, "second.test", "third.test")
    backend = origin(pair, version=tls.VERSIONS[version])
    backend.context.load_verify_locations(cadata=pki.clients.cert_pem)
    backend.context.verify_mode = ssl.CERT_OPTIONAL
    ways = {
        "base": (trusting(client_ssl=mine), certs[0].sha256, NAME),
        "client_ssl": (trusting(client_ssl=other), certs[1].sha256, NAME),
        "no client_ssl": (trusting(), None, NAME),
        "SNI": (trusting(client_ssl=mine, server_name="second.test"), certs[0].sha256, "second.test"),
        "name to verify": (trusting(client_ssl=mine, verify_name="third.test"), certs[0].sha256, NAME),
        "no verification": ({"client_ssl": mine, "verify": "DISABLED", "server_name": NAME}, certs[0].sha256, NAME),
        "pins": (trusting(client_ssl=mine, pins=[pair.spki_sha256]), certs[0].sha256, NAME),
    }
    snis = {way: edge.route(backend, body) for way, (body, _, _) in ways.items()}
    for turn in range(3):
        for way, (_, peer, name) in ways.items():
            seen = edge.ask(snis[way])
            assert (seen["peer"], seen["sni"], seen["resumed"]) == (peer, name, turn > 0), (turn, way)


def test_sessions_never_cross_names(edge, pki, origin):
    """One object, the client's name asked for: each name is a server of its own to the origin."""
    edge.route(origin(), {"ca": pki.origins.cert_pem, "sni_policy": "inbound", "verify_name": NAME}, sni="*.crossing.test")
    for resumed in (False, True):
        for name in ("a.crossing.test", "b.crossing.test"):
            seen = edge.ask(name)
            assert (seen["sni"], seen["resumed"]) == (name, resumed)


def test_sessions_never_cross_nodes(edge, trusting, origin):
    """Nodes that could read each other's tickets: a session is offered to the node that gave it."""
    first, second = origin(name="first"), origin(name="second")
    second.context = first.context
    sni = edge.route([first, second], trusting())
    seen = [edge.ask(sni) for _ in range(4)]
    assert {one["name"] for one in seen[:2]} == {one["name"] for one in seen[2:]} == {"first", "second"}
    assert [one["resumed"] for one in seen] == [False, False, True, True]


def test_sessions_never_cross_under_load(edge, pki, trusting, origin):
    """Both workers, one cache, two identities in each thread's turns."""
    pairs = [pki.clients.issue("agent", usage="client") for _ in range(2)]
    backend = origin(client_ca=pki.clients.cert_pem)
    ways = [(edge.route(backend, trusting(client_ssl=shown(edge, pair))), pair.sha256) for pair in pairs]
    resumed = []

    def work(index):
        sni, peer = ways[(index + len(resumed)) % 2]
        seen = edge.ask(sni)
        assert seen["peer"] == peer
        resumed.append(seen["resumed"])
    with Hammer(work, threads=6) as hammer:
        eventually(lambda: len(resumed) > 200 or hammer.failures, "enough connections")
    assert hammer.failures == [] and sum(resumed) > 100


def test_sessions_do_not_outlive_their_rules(edge, trusting, origin):
    """The same upstream, one rule of its object changed: the next handshake is a full one, judged by the new rules."""
    sni = edge.route(origin(), trusting())
    assert [edge.ask(sni)["resumed"] for _ in range(2)] == [False, True]
    for more in ({"depth": 3}, {"allow": [{"dns": NAME}]}, {"curve_preferences": ["P-256"]}):
        edge.apply(("upstream_tls", sni.removesuffix(".test"), trusting(**more)))
        assert [edge.ask(sni)["resumed"] for _ in range(2)] == [False, True], more
