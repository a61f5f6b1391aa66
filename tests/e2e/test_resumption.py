# SPDX-License-Identifier: Apache-2.0
"""A session stays in its policy. "Crosses" means: a session taken under one policy is resumed under another, or brings a client without a
certificate to the backend of a site that demands one. HAProxy 2.6 is the control that fails: the same questions, and it answers wrongly."""
import subprocess
import time

import pytest

from harness import resume, tls
from harness.net import free_port
from harness.pki import Ca
from harness.resume import VERSIONS, WAYS
from harness.world import future, serve

PLAIN = {"min_version": "TLSv1.2"}


class Policy:
    """A site: its name, what its SSL object says besides names and pair, and who may connect."""

    def __init__(self, name, files=None, options="both", **words):
        self.name, self.files, self.options, self.words = f"{name}.test", files, options, words


@pytest.fixture(scope="module")
def place(shared, ca, tmp_path_factory):
    """(ports, {policy name: Policy}, folder): two listeners, each with all sites, which share one certificate."""
    folder = tmp_path_factory.mktemp("sessions")
    one, two = Ca("Clients One"), Ca("Clients Two")
    alice = one.issue("alice.test", usage="client")
    bob, star = two.issue("bob.test", usage="client"), ca.issue("*.test")
    alice_files, bob_files = alice.write(folder, "alice"), bob.write(folder, "bob")
    policies = [
        Policy("open"), Policy("twin"),
        Policy("suites", options="narrow"), Policy("groups", options="groups"), Policy("protocols", options="alpn"),
        Policy("one", alice_files, client={"ca": one.cert_pem}),
        Policy("two", bob_files, client={"ca": two.cert_pem}),
        Policy("bundle", alice_files, client={"ca_bundle": "one"}),
        Policy("pinned", alice_files, client={"ca": one.cert_pem, "pins": [alice.spki_sha256]}),
        Policy("allowed", alice_files, client={"ca": one.cert_pem, "allow": [{"dns": "alice.test"}]}),
        Policy("given", alice_files, client={"ca": one.cert_pem, "verify": "verify_if_given"}),
        Policy("any", alice_files, client={"verify": "require_any"}),
        Policy("asked", alice_files, client={"verify": "request"}),
        Policy("optional", alice_files, options="mutual"),
    ]
    ports = (serve(shared.controlplane, shared.backend), free_port())
    shared.api.apply(wait="acked", timeout=30, put=[
        ("ca_bundles", "one", {"certs": one.cert_pem}),
        ("tls_options", "both", PLAIN),
        ("tls_options", "narrow", {**PLAIN, "cipher_suites": ["TLS_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]}),
        ("tls_options", "groups", {**PLAIN, "curve_preferences": ["P-384", "P-256"]}),
        ("tls_options", "alpn", {**PLAIN, "alpn_protocols": ["http/1.1"]}),
        ("tls_options", "mutual", {**PLAIN, "client_auth": {"verify": "require", "ca_bundle": "one"}}),
        *[("listeners", f"l{i}", {"bind": f"127.0.0.1:{port}", "upstream": "web", "tls_options": "both"}) for i, port in enumerate(ports)],
        *[("ssls", p.name, star.ssl(p.name, tls_options=p.options, **p.words)) for p in policies],
    ], delete=[("listeners", "main")]).expect(200, 201)
    resume.wait_for_keys(ports[0], "open.test", folder / "first")
    return ports, {p.name.split(".")[0]: p for p in policies}, folder


POLICIES = ("open", "twin", "suites", "groups", "protocols", "one", "two", "bundle", "pinned", "allowed", "given", "any", "asked", "optional")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("source", POLICIES)
def test_matrix(place, source, version, way):
    """Every pair of policies: offered without a certificate, and with the one that was good where the session comes from. (TLS 1.3 has tickets
    alone, whatever the client says; in TLS 1.2 there are no sessions by id.)"""
    ports, policies, folder = place
    policy = policies[source]
    session = resume.take(ports[0], policy.name, folder / f"{source}-{version}-{way}", version, way, policy.files)
    for target in policies.values():
        for client in dict.fromkeys((None, policy.files)):
            seen = resume.offer(ports[1], target.name, session, version, way, client)
            if target is policy:
                assert seen.reused == (way == "ticket" or version == "1.3"), (target.name, client, seen)
                continue
            assert not seen.reused, (target.name, client, seen)
            if client is None and target.name.split(".")[0] in ("one", "two", "bundle", "pinned", "allowed", "any", "optional"):
                assert seen.body is None, (target.name, seen)


# One name, which is all that is equal: the rules are those of the listener, of a route, of the options that nobody named.
LISTENERS = {"both": "both", "again": "equal", "mutual": "mutual", "narrow": "narrow", "routed": "both", "unsaid": None}


@pytest.fixture(scope="module")
def one_name(shared, ca, place):
    """({listener: (port, files of who may connect)}, folder): each serves same.test and who names nothing."""
    _, policies, folder = place
    alice, pins = policies["one"].files, policies["pinned"].words["client"]["pins"]
    ports = {name: free_port() for name in LISTENERS}
    shared.api.apply(wait="acked", timeout=30, put=[
        ("ssls", "same", ca.issue("same.test").ssl("same.test")), ("tls_options", "equal", PLAIN),
        ("tls_options", "pinned", {**PLAIN, "client_auth": {"verify": "require", "ca_bundle": "one", "pins": pins}}),
        ("tls_options", "default", {**PLAIN, "alpn_protocols": ["h2"]}),
        ("routes", "routed", {"snis": ["same.test", ""], "listeners": ["routed"], "tls_options": "pinned"}),
        *[("listeners", name, {"bind": f"127.0.0.1:{ports[name]}", "upstream": "web", **({"tls_options": options} if options else {})})
          for name, options in LISTENERS.items()],
    ]).expect(200, 201)
    yield {name: (port, alice if name in ("mutual", "routed") else None) for name, port in ports.items()}, folder
    shared.api.apply(delete=[*[("listeners", name) for name in LISTENERS], ("routes", "routed"), ("ssls", "same"), ("tls_options", "default")],
                     wait="acked", timeout=30).expect(200)


@pytest.mark.parametrize("sni", ["same.test", None])
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("source", LISTENERS)
def test_matrix_of_listeners(one_name, source, version, sni):
    """A2: listeners have the same ticket keys. Equal rules are one policy, whatever object says them; all else is kept apart."""
    listeners, folder = one_name
    port, files = listeners[source]
    session = resume.take(port, sni, folder / f"{source}-{version}-{sni}", version, client=files)
    for target, (other, _) in listeners.items():
        for client in dict.fromkeys((None, files)):
            seen = resume.offer(other, sni, session, version, client=client)
            assert seen.reused == (target == source or {source, target} == {"both", "again"}), (target, client, seen)
            if client is None and target in ("mutual", "routed") and source != target:
                assert seen.body is None, (target, seen)


def test_tickets_on_off_count(shared, ca, place):
    ports, _, folder = place
    for i, (words, count) in enumerate(((False, 0), (True, 2), ({"count": 1}, 1), ({"count": 5}, 5), ({"enabled": False}, 0))):
        name = f"count{i}.test"
        shared.api.put_acked(f"/v1/tls_options/count{i}", {**PLAIN, "session_tickets": words})
        shared.api.put_acked(f"/v1/ssls/count{i}", ca.issue(name).ssl(name, tls_options=f"count{i}"))
        seen = tls.s_client(ports[0], "-tls1_3", "-msg", sni=name)
        assert seen.body == "backend"
        assert seen.text.count("NewSessionTicket") == count, seen
        session = folder / f"count{i}"
        resume.take(ports[0], name, session, "1.2")
        assert resume.offer(ports[0], name, session, "1.2").reused == (count > 0)


@pytest.mark.parametrize("version", VERSIONS)
class TestAfterChange:
    """A4: the session was good; then the policy changes, and it must not be good any more. Each starts with the proof that it was."""

    def site(self, shared, ca, place, version, clients, alice, **client):
        ports, _, folder = place
        name = f"change{self.counter(shared)}.test"
        files = alice.write(folder, name)
        body = ca.issue(name).ssl(name, tls_options="both", client={"ca": clients.cert_pem, **client})
        shared.api.put_acked(f"/v1/ssls/{name}", body)
        session = resume.take(ports[0], name, folder / f"{name}.session", version, client=files)
        assert resume.offer(ports[0], name, session, version, client=files).reused
        session = resume.take(ports[0], name, session, version, client=files)
        return name, files, session, body

    @staticmethod
    def counter(shared):
        shared.names = getattr(shared, "names", 0) + 1
        return shared.names

    def judge(self, place, name, session, version, files, passes):
        """No resumption; and a full handshake with the certificate is judged by the new rules."""
        ports = place[0]
        without = resume.offer(ports[0], name, session, version)
        assert not without.reused and without.body is None, without
        seen = resume.offer(ports[0], name, session, version, client=files)
        assert not seen.reused, seen
        assert (seen.body is not None) == passes, seen

    @pytest.fixture
    def people(self):
        clients = Ca("Changing Clients")
        return clients, clients.issue("alice.test", usage="client")

    def test_ca_replaced(self, shared, ca, place, version, people):
        name, files, session, body = self.site(shared, ca, place, version, *people)
        shared.api.put_acked(f"/v1/ssls/{name}", {**body, "client": {"ca": Ca("Another").cert_pem}})
        self.judge(place, name, session, version, files, passes=False)

    def test_ca_added(self, shared, ca, place, version, people):
        name, files, session, body = self.site(shared, ca, place, version, *people)
        shared.api.put_acked(f"/v1/ssls/{name}", {**body, "client": {"ca": people[0].cert_pem + Ca("Another").cert_pem}})
        self.judge(place, name, session, version, files, passes=True)

    def test_depth(self, shared, ca, place, version, people):
        name, files, session, body = self.site(shared, ca, place, version, *people)
        shared.api.put_acked(f"/v1/ssls/{name}", {**body, "client": {"ca": people[0].cert_pem, "depth": 0}})
        self.judge(place, name, session, version, files, passes=True)

    def test_pin(self, shared, ca, place, version, people):
        name, files, session, body = self.site(shared, ca, place, version, *people)
        shared.api.put_acked(f"/v1/ssls/{name}", {**body, "client": {"ca": people[0].cert_pem, "pins": ["00" * 32]}})
        self.judge(place, name, session, version, files, passes=False)

    def test_allow(self, shared, ca, place, version, people):
        name, files, session, body = self.site(shared, ca, place, version, *people)
        shared.api.put_acked(f"/v1/ssls/{name}", {**body, "client": {"ca": people[0].cert_pem, "allow": [{"dns": "bob.test"}]}})
        self.judge(place, name, session, version, files, passes=False)

    def test_deny_serial(self, shared, ca, place, version, people):
        name, files, session, body = self.site(shared, ca, place, version, *people)
        serial = f"{people[1].cert.serial_number:x}"
        shared.api.put_acked(f"/v1/ssls/{name}", {**body, "client": {"ca": people[0].cert_pem, "deny_serials": [serial]}})
        self.judge(place, name, session, version, files, passes=False)

    def test_deny_key_of_the_issuer(self, shared, ca, place, version, people):
        name, files, session, body = self.site(shared, ca, place, version, *people)
        shared.api.put_acked(f"/v1/ssls/{name}", {**body, "client": {"ca": people[0].cert_pem, "deny_spki": [people[0].spki_sha256]}})
        self.judge(place, name, session, version, files, passes=False)

    def test_crl(self, shared, ca, place, version, people):
        clients, alice = people
        bundle = f"crl{self.counter(shared)}"
        shared.api.put_acked(f"/v1/ca_bundles/{bundle}", {"certs": clients.cert_pem, "crls": clients.crl()})
        ports, _, folder = place
        name, files = f"{bundle}.test", alice.write(folder, bundle)
        shared.api.put_acked(f"/v1/ssls/{name}", ca.issue(name).ssl(name, tls_options="both", client={"ca_bundle": bundle}))
        session = resume.take(ports[0], name, folder / f"{name}.session", version, client=files)
        assert resume.offer(ports[0], name, session, version, client=files).reused
        shared.api.put_acked(f"/v1/ca_bundles/{bundle}", {"certs": clients.cert_pem, "crls": clients.crl(Ca("x").issue("y"))})
        assert resume.offer(ports[0], name, session, version, client=files).reused or version == "1.3"
        session = resume.take(ports[0], name, session, version, client=files)
        assert resume.offer(ports[0], name, session, version, client=files).reused, "a CRL that names somebody else ends no session"
        session = resume.take(ports[0], name, session, version, client=files)
        shared.api.put_acked(f"/v1/ca_bundles/{bundle}", {"certs": clients.cert_pem, "crls": clients.crl(alice)})
        self.judge(place, name, session, version, files, passes=False)

    def test_open_site_becomes_closed(self, shared, ca, place, version, people):
        ports, _, folder = place
        name, files = f"closing{self.counter(shared)}.test", people[1].write(folder, "closing")
        pair = ca.issue(name)
        shared.api.put_acked(f"/v1/ssls/{name}", pair.ssl(name, tls_options="both"))
        session = resume.take(ports[0], name, folder / f"{name}.session", version)
        assert resume.offer(ports[0], name, session, version).reused
        session = resume.take(ports[0], name, session, version)
        shared.api.put_acked(f"/v1/ssls/{name}", pair.ssl(name, tls_options="both", client={"ca": people[0].cert_pem}))
        self.judge(place, name, session, version, files, passes=True)

    def test_suites_narrowed(self, shared, ca, place, version, people):
        ports, _, folder = place
        name = f"narrowed{self.counter(shared)}.test"
        pair = ca.issue(name)
        shared.api.put_acked(f"/v1/ssls/{name}", pair.ssl(name, tls_options="both"))
        session = resume.take(ports[0], name, folder / f"{name}.session", version)
        shared.api.put_acked(f"/v1/ssls/{name}", pair.ssl(name, tls_options="narrow"))
        seen = resume.offer(ports[0], name, session, version)
        assert not seen.reused and seen.body == "backend", seen

    def test_renewal_keeps_sessions(self, shared, ca, place, version, people):
        """What is no policy ends no session: a new leaf."""
        name, files, session, body = self.site(shared, ca, place, version, *people)
        shared.api.put_acked(f"/v1/ssls/{name}", {**body, **ca.issue(name).ssl(name)})
        assert resume.offer(place[0][0], name, session, version, client=files).reused


def test_age_is_capped_however_often_resumed(shared, ca, place):
    """A3: each resumption brings a new ticket; the full handshake's age counts, not the ticket's."""
    ports, _, folder = place
    lifetime, sessions, resumed = 6, {}, {}
    shared.api.put_acked("/v1/tls_options/age", {**PLAIN, "session_tickets": {"lifetime": lifetime}})
    shared.api.put_acked("/v1/ssls/age", ca.issue("age.test").ssl("age.test", tls_options="age"))
    for version, way in (("1.2", "ticket"), ("1.3", "ticket"), ("1.3", "session-id")):
        sessions[version, way] = resume.take(ports[0], "age.test", folder / f"age{version}{way}", version, way)
        resumed[version, way] = []
    full, begun = time.monotonic(), 0
    while begun < lifetime + 1:
        for (version, way), session in sessions.items():
            begun = time.monotonic() - full
            seen = resume.offer(ports[0], "age.test", session, version, way, None, "-sess_out", str(session))
            assert seen.body == "backend", seen
            resumed[version, way].append((begun, time.monotonic() - full, seen.reused))
        time.sleep(0.5)  # the age is what is tested: there is nothing to wait for but time
    for key, seen in resumed.items():
        first = [reused for _, _, reused in seen].index(False)
        assert first >= 2 and seen[first - 1][0] < lifetime + 1 and seen[first][1] > lifetime - 1.5, (key, seen)


def test_expired_client_certificate_does_not_resume(world, controlplane, ca, tmp_path):
    """A5: eight hours later, well within the life of tickets and keys, one client's certificate has ended and another's has not."""
    agent = world.agent(controlplane)
    clients = Ca("Clients")
    short = clients.issue("short.test", usage="client", days=0.25).write(tmp_path, "short")
    long = clients.issue("long.test", usage="client", days=20).write(tmp_path, "long")
    port = serve(controlplane, world.backend())
    controlplane.api.apply(wait="acked", timeout=30, put=[
        ("tls_options", "both", {**PLAIN, "session_tickets": {"lifetime": 86400}}),
        ("ssls", "s", ca.issue("s.test").ssl("s.test", tls_options="both", client={"ca": clients.cert_pem})),
        ("ssls", "open", ca.issue("open.test").ssl("open.test", tls_options="both")),
    ]).expect(200, 201)
    resume.wait_for_keys(port, "open.test", tmp_path / "first")
    sessions = [(version, files, name, resume.take(port, "s.test", tmp_path / f"{name}{version}", version, client=files))
                for version in VERSIONS for name, files in (("short", short), ("long", long))]
    agent.restart(env=future(1 / 3))
    for version, files, name, session in sessions:
        seen = resume.offer(port, "s.test", session, version, client=files)
        assert (seen.reused, seen.body) == ((True, "backend") if name == "long" else (False, None)), (name, seen)
