# SPDX-License-Identifier: Apache-2.0
"""Open connections when the rules for clients change. Each carries data before and after. Whoever would now be refused, or can no longer be
verified, is cut within a second; everybody else stays, and with `on_tighten: keep` they do too. A new handshake gets the new verdict at once."""
import re
import select
import socket
import ssl
import time

import pytest

from harness import tls
from harness.backend import EchoBackend
from harness.clients import VERSIONS, Clients, Held, attempt, s_client
from harness.net import eventually, free_port
from harness.pki import Ca
from harness.world import World, serve

SECOND = 1.0


class Place:
    """Sites of every test have a name and ids of their own. Listeners: echo, and main (HTTP) for new handshakes; both see the same rules."""

    def __init__(self, world, folder, ca):
        self.world, self.ca, self.clients, self.count = world, ca, Clients(folder), 0
        self.controlplane = world.controlplane()
        self.api = self.controlplane.api
        self.agent = world.agent(self.controlplane)
        self.port, self.echo_port = serve(self.controlplane, world.backend()), free_port()
        echo = world.add_backend(EchoBackend())
        self.put(("tls_options", "both", {"min_version": "TLSv1.2"}),
                 ("upstreams", "echo", {"nodes": {f"127.0.0.1:{echo.port}": 1}}),
                 ("listeners", "main", {"bind": f"127.0.0.1:{self.port}", "upstream": "web", "tls_options": "both"}),
                 ("listeners", "echo", {"bind": f"127.0.0.1:{self.echo_port}", "upstream": "echo", "tls_options": "both"}),
                 ("ssls", "bystander", ca.issue("bystander.test").ssl("bystander.test", client={"ca": self.clients.ca.cert_pem})))

    def put(self, *rows):
        self.api.apply(put=rows, wait="acked", timeout=30).expect(200)

    def site(self, version):
        self.count += 1
        return Site(self, f"s{self.count}", version)

    def closed_on_tighten(self):
        return int(re.search(r"^tlsplane_agent_connections_closed_on_tighten_total (\d+)$", self.agent.metrics(), re.M).group(1))


class Site:
    def __init__(self, place, id, version):
        self.place, self.id, self.name, self.version = place, id, f"{id}.test", version
        self.pair = place.ca.issue(self.name)

    def ssl(self, client=None, **words):
        return ("ssls", self.id, self.pair.ssl(self.name, **({"client": client} if client else {}), **words))

    def bundle(self, *cas, crls=""):
        return ("ca_bundles", self.id, {"certs": "".join(ca.cert_pem for ca in cas), **({"crls": crls} if crls else {})})

    def options(self, **client):
        return ("tls_options", self.id, {"min_version": "TLSv1.2", "client_auth": client})

    def route(self, **words):
        return ("routes", self.id, {"snis": [self.name], **words})

    def open(self, kind, resume=None):
        return Held(self.place.echo_port, self.name, self.place.clients[kind], self.version, resume)

    def ask(self, kind):
        return attempt(self.place.port, self.name, self.place.clients[kind], self.version)


@pytest.fixture(scope="module")
def place(tmp_path_factory, ca):
    folder = tmp_path_factory.mktemp("change")
    world = World(folder)
    try:
        yield Place(world, folder, ca)
    finally:
        problems = world.close()
    assert not problems, "\n\n".join(problems)


def stay(connections, seconds=0.2):
    """Nobody is closed for a moment, and data still passes."""
    ready, _, _ = select.select([held.connection for held in connections], [], [], seconds)
    assert not ready, f"{len(ready)} of {len(connections)} were closed, or sent something"
    for held in connections:
        held.exchange()


# What changes ---------------------------------------------------------------------------------------------------------
# Each: site, clients, words (on_tighten or nothing) -> rows before, rows after, kinds that are closed, kinds that stay

def ca_removed(site, clients, words):
    ssl = site.ssl({"ca_bundle": site.id, **words})
    return [site.bundle(clients.ca, clients.stranger), ssl], [site.bundle(clients.stranger)], ["good", "one"], ["wrong"]


def ca_replaced(site, clients, words):
    return [site.ssl({"ca": clients.ca.cert_pem, **words})], [site.ssl({"ca": clients.stranger.cert_pem, **words})], ["good", "one"], []


def ca_namesake(site, clients, words):
    return [site.ssl({"ca": clients.ca.cert_pem, **words})], [site.ssl({"ca": clients.namesake.cert_pem, **words})], ["good"], []


def crl_entry(site, clients, words):
    before, after = (clients.ca.crl(*revoked) + clients.middle.crl() for revoked in ((), (clients.pairs["good"],)))
    bundles = [site.bundle(clients.ca, clients.middle, crls=crls) for crls in (before, after)]
    return [bundles[0], site.ssl({"ca_bundle": site.id, **words})], [bundles[1]], ["good"], ["rsa", "one"]


def crl_entry_of_intermediate(site, clients, words):
    bundles = [site.bundle(clients.ca, clients.middle, crls=crls) for crls in ("", clients.ca.crl(clients.middle) + clients.middle.crl())]
    return [bundles[0], site.ssl({"ca_bundle": site.id, **words})], [bundles[1]], ["one"], ["good"]


def pin(site, clients, words):
    rules = {"ca": clients.ca.cert_pem, **words}
    return [site.ssl(rules)], [site.ssl({**rules, "pins": [clients.pairs["rsa"].spki_sha256]})], ["good", "one"], ["rsa"]


def mode_none(site, clients, words):
    rules = {"ca": clients.ca.cert_pem, **words}
    return [site.ssl()], [site.ssl({"verify": "require", **rules})], [None, "wrong"], []  # nobody was asked


def mode_request(site, clients, words):
    rules = {"ca": clients.ca.cert_pem, **words}
    return [site.ssl({"verify": "request", **words})], [site.ssl({"verify": "require", **rules})], [None, "wrong"], ["good", "one"]


def mode_if_given(site, clients, words):
    rules = {"ca": clients.ca.cert_pem, **words}
    return [site.ssl({"verify": "verify_if_given", **rules})], [site.ssl({"verify": "require", **rules})], [None], ["good", "one"]


def depth(site, clients, words):
    rules = {"ca": clients.ca.cert_pem, **words}
    return [site.ssl(rules)], [site.ssl({**rules, "depth": 0})], ["one"], ["good"]


def allow(site, clients, words):
    rules = {"ca": clients.ca.cert_pem, **words}
    return [site.ssl(rules)], [site.ssl({**rules, "allow": [{"dns": "rsa.client"}, {"dns": "one.client"}]})], ["good"], ["rsa", "one"]


def deny_serial(site, clients, words):
    rules = {"ca": clients.ca.cert_pem, **words}
    serial = f"{clients.pairs['good'].cert.serial_number:x}"
    return [site.ssl(rules)], [site.ssl({**rules, "deny_serials": [serial]})], ["good"], ["rsa", "one"]


def deny_issuer(site, clients, words):
    rules = {"ca": clients.ca.cert_pem, **words}
    return [site.ssl(rules)], [site.ssl({**rules, "deny_spki": [clients.middle.spki_sha256]})], ["one"], ["good"]


def options_of_object(site, clients, words):
    before, after = ({"verify": verify, "ca": clients.ca.cert_pem, **words} for verify in ("verify_if_given", "require"))
    return [site.options(**before), site.ssl(tls_options=site.id)], [site.options(**after)], [None], ["good"]


def options_of_route(site, clients, words):
    rules = {"verify": "require", "ca": clients.ca.cert_pem, **words}
    return [site.ssl(), site.options(**rules)], [site.route(tls_options=site.id)], [None], []


CHANGES = (ca_removed, ca_replaced, ca_namesake, crl_entry, crl_entry_of_intermediate, pin, mode_none, mode_request, mode_if_given, depth, allow,
           deny_serial, deny_issuer, options_of_object, options_of_route)


def make(place, change, version, words):
    site = place.site(version)
    before, after, closed, kept = change(site, place.clients, words)
    place.put(*before)
    return site, after, [(kind, site.open(kind)) for kind in closed for _ in range(3)], [(kind, site.open(kind)) for kind in kept]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("change", CHANGES)
def test_on_tighten(place, change, version):
    site, after, closing, staying = make(place, change, version, {})
    bystander = Held(place.echo_port, "bystander.test", place.clients["good"], version)
    counted = place.closed_on_tighten()
    try:
        stay([held for _, held in closing + staying])
        place.put(*after)
        deadline = time.monotonic() + SECOND
        for _, held in closing:
            held.wait_closed(deadline)
        stay([held for _, held in staying] + [bystander])
        eventually(lambda: place.closed_on_tighten() == counted + len(closing), "the closed ones are counted")
        for kind, _ in closing[::3]:
            assert site.ask(kind) != "backend", kind
        for kind, _ in staying:
            assert site.ask(kind) == "backend", kind
    finally:
        for held in [held for _, held in closing + staying] + [bystander]:
            held.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_on_tighten_keep(place, version):
    """All changes at once, beside one site that closes: when its connections are gone, all have been judged."""
    made = [make(place, change, version, {"on_tighten": "keep"}) for change in CHANGES]
    control = make(place, mode_request, version, {})
    kept = [held for _, _, closing, staying in made for _, held in closing + staying]
    try:
        place.put(*[row for _, after, _, _ in made for row in after], *control[1])
        deadline = time.monotonic() + SECOND
        for _, held in control[2]:
            held.wait_closed(deadline)
        stay(kept, 0.5)
        for (site, _, closing, _), change in zip(made, CHANGES):
            assert site.ask(closing[0][0]) != "backend", change.__name__
    finally:
        for held in kept + [held for _, held in control[2] + control[3]]:
            held.close()


def reject(site):
    return [site.route(mode="reject")]


def exclude(site):
    return [site.route(allow_clients=["10.0.0.0/8"])]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("change", [reject, exclude])
def test_routes_that_refuse(place, change, version):
    """Rejected, or not in allow_clients: these are the route's, so no client rule keeps the connection."""
    site = place.site(version)
    place.put(site.ssl({"ca": place.clients.ca.cert_pem, "on_tighten": "keep"}))
    held = [site.open("good") for _ in range(4)]
    bystander = Held(place.echo_port, "bystander.test", place.clients["good"], version)
    try:
        place.put(*change(site))
        deadline = time.monotonic() + SECOND
        for one in held:
            one.wait_closed(deadline)
        stay([bystander])
        assert site.ask("good") == "ACCESS_DENIED"
    finally:
        for one in held + [bystander]:
            one.close()


def test_passthrough_is_rejected(place):
    """Nobody looked into it, but the route that let it through is gone."""
    place.put(("routes", "raw", {"snis": ["raw.test", "*.raw.test"], "mode": "passthrough", "upstream": "echo"}))
    def through(name):
        raw = socket.create_connection(("127.0.0.1", place.echo_port), timeout=10)
        raw.sendall(tls.records(tls.client_hello(tls.sni_extension(name))))
        assert raw.recv(5)[:3] == b"\x16\x03\x01"  # the echo of the hello
        return raw
    closing, staying = through(b"raw.test"), through(b"a.raw.test")
    with closing, staying:
        place.put(("routes", "raw-not", {"snis": ["raw.test"], "mode": "reject"}))
        closing.settimeout(SECOND)
        try:
            while closing.recv(65536):
                pass
        except ConnectionError:
            pass
        while select.select([staying], [], [], 0.2)[0]:
            assert staying.recv(65536), "closed"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("named", [True, False])
def test_options_of_the_listener(place, named, version):
    """The listener names stricter options; or it names none, and the object `default` appears."""
    strict = {"min_version": "TLSv1.2", "client_auth": {"verify": "require", "ca": place.clients.ca.cert_pem}}
    name = "default" if not named else f"listener{version[-1]}"
    listener, site = {"bind": f"127.0.0.1:{free_port()}", "upstream": "echo"}, place.site(version)
    place.put(("tls_options", name, {"min_version": "TLSv1.2"}), ("listeners", "own", {**listener, **({"tls_options": name} if named else {})}), site.ssl())
    port = int(listener["bind"].rsplit(":", 1)[1])
    closing = [Held(port, site.name, place.clients[kind], version) for kind in (None, "good", "wrong")]
    staying = [Held(place.echo_port, site.name, None, version), Held(place.echo_port, "bystander.test", place.clients["good"], version)]
    try:
        place.put(("tls_options", name, strict))
        deadline = time.monotonic() + SECOND
        for held in closing:
            held.wait_closed(deadline)
        stay(staying)
    finally:
        for held in closing + staying:
            held.close()
        place.api.apply(delete=[("listeners", "own"), ("tls_options", name)], wait="acked", timeout=30).expect(200)


@pytest.mark.parametrize("version", VERSIONS)
def test_another_object_takes_the_name(place, version):
    """A stricter object for the exact name, over a wildcard that asked for nothing; other names of the wildcard stay."""
    site = place.site(version)
    place.put(("ssls", site.id, place.ca.issue("x").ssl(f"*.{site.name}")))
    taken, other = (Held(place.echo_port, f"{label}.{site.name}", None, version) for label in ("taken", "other"))
    try:
        place.put(("ssls", f"{site.id}-taken", place.ca.issue("x").ssl(f"taken.{site.name}", client={"ca": place.clients.ca.cert_pem})))
        taken.wait_closed(time.monotonic() + SECOND)
        stay([other])
    finally:
        taken.close()
        other.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_strict_object_is_deleted(place, version):
    """What is left decides: a wildcard that trusts another CA."""
    site, clients = place.site(version), place.clients
    place.put(("ssls", site.id, place.ca.issue("x").ssl(f"*.{site.name}", client={"ca": clients.stranger.cert_pem})),
              ("ssls", f"{site.id}-own", place.ca.issue("x").ssl(f"own.{site.name}", client={"verify": "require_any"})))
    closing, staying = (Held(place.echo_port, f"own.{site.name}", clients[kind], version) for kind in ("good", "wrong"))
    try:
        place.api.delete(f"/v1/ssls/{site.id}-own", wait="acked", timeout=30).expect(200)
        closing.wait_closed(time.monotonic() + SECOND)
        stay([staying])
    finally:
        closing.close()
        staying.close()


# Resumed sessions -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", VERSIONS)
def test_resumed_session_that_can_t_be_verified(place, version):
    """A resumed session has the leaf alone. Under other rules the full one, with its chain, is verified again and stays; the resumed one whose
    chain needs an intermediate can't be, and goes; one directly below the CA can be."""
    site, clients = place.site(version), place.clients
    rules = {"ca": clients.ca.cert_pem}
    place.put(site.ssl(rules))
    full, direct = site.open("one"), site.open("good")
    resumed, direct_resumed = site.open("one", full), site.open("good", direct)
    try:
        place.put(site.ssl({**rules, "pins": [clients.pairs[kind].spki_sha256 for kind in ("one", "good")]}))
        resumed.wait_closed(time.monotonic() + SECOND)
        stay([full, direct, direct_resumed])
        assert site.ask("one") == "backend"
    finally:
        for held in (full, direct, resumed, direct_resumed):
            held.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_resumed_session_is_judged_by_its_facts(place, version):
    """CRLs and deny lists are judged without the chain: the ticket carries issuer, serial and key hash of each certificate."""
    site, clients = place.site(version), place.clients
    rules = {"ca_bundle": site.id}
    bundle = (clients.ca, clients.middle)
    place.put(site.bundle(*bundle, crls=clients.ca.crl() + clients.middle.crl()), site.ssl(rules))
    one, good = site.open("one"), site.open("good")
    held = [one, good, site.open("one", one), site.open("good", good)]
    try:
        place.put(site.bundle(*bundle, crls=clients.ca.crl(clients.pairs["rsa"]) + clients.middle.crl()))
        stay(held, 0.5)
        place.put(site.bundle(*bundle, crls=clients.ca.crl() + clients.middle.crl(clients.pairs["one"])))
        deadline = time.monotonic() + SECOND
        for closing in (held[0], held[2]):
            closing.wait_closed(deadline)
        stay([held[1], held[3]])
        place.put(site.ssl({**rules, "deny_spki": [clients.ca.spki_sha256]}))
        deadline = time.monotonic() + SECOND
        for closing in (held[1], held[3]):
            closing.wait_closed(deadline)
    finally:
        for connection in held:
            connection.close()


# What closes nothing ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", VERSIONS)
def test_renewal_closes_nothing(place, version):
    """Another pair, other labels, a looser rule, a fresher CRL, another site: nobody notices."""
    site, clients = place.site(version), place.clients
    rules = {"ca_bundle": site.id, "depth": 1}
    place.put(site.bundle(clients.ca, clients.middle, crls=clients.ca.crl() + clients.middle.crl()), site.ssl(rules))
    full = [site.open(kind) for kind in ("good", "one")]
    held = full + [site.open(kind, one) for kind, one in zip(("good", "one"), full)]
    counted = place.closed_on_tighten()
    try:
        for _ in range(3):
            site.pair = place.ca.issue(site.name)
            place.put(site.ssl(rules))
        place.put(site.ssl(rules, labels={"a": "b"}, desc="renewed"))
        place.put(site.bundle(clients.ca, clients.middle, crls=clients.ca.crl(days=60) + clients.middle.crl(days=60)))
        place.put(("ssls", f"{site.id}-other", place.ca.issue("x").ssl(f"other.{site.name}", client={"ca": Ca("Another").cert_pem})))
        stay(held, 0.5)
        assert place.closed_on_tighten() == counted
        place.put(("routes", f"{site.id}-elsewhere", {"snis": [f"elsewhere.{site.name}"], "mode": "reject"}),
                  ("ca_bundles", f"{site.id}-two", {"certs": clients.ca.cert_pem + clients.stranger.cert_pem}))
        stay(held, 0.5)
        assert place.closed_on_tighten() == counted
    finally:
        for connection in held:
            connection.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_handshake_under_way(place, version):
    """Decided under the old rules, finished under the new ones: closed without a word of the backend."""
    site = place.site(version)
    place.put(site.ssl({"verify": "none"}))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls.context(version=version).wrap_bio(incoming, outgoing, server_hostname=site.name)
    with socket.create_connection(("127.0.0.1", place.echo_port), timeout=10) as raw:
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        raw.sendall(outgoing.read())
        incoming.write(raw.recv(65536))  # the server's flight, so it has decided
        place.put(site.ssl({"verify": "require", "ca": place.clients.ca.cert_pem}))
        raw.settimeout(SECOND)
        while version == "1.3" or client.version() is None:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                raw.sendall(outgoing.read())
                incoming.write(raw.recv(65536))
        client.write(b"there")
        try:
            raw.sendall(outgoing.read())
            while data := raw.recv(65536):
                incoming.write(data)
        except ConnectionError:
            pass
        incoming.write_eof()
        with pytest.raises(ssl.SSLError):
            assert client.read(64) == b"", "an answer of the backend"
            raise ssl.SSLEOFError("closed in order")


def test_many_connections(place):
    """The pass is cut in slices: all are closed in time, and others are served meanwhile."""
    site = place.site("1.3")
    rules = {"ca": place.clients.ca.cert_pem}
    place.put(site.ssl(rules))
    first = site.open("good")
    held = [site.open("good") for _ in range(300)]
    try:
        place.put(site.ssl({**rules, "deny_serials": [f"{place.clients.pairs['good'].cert.serial_number:x}"]}))
        deadline = time.monotonic() + 2 * SECOND  # that many verifications, by a sanitized agent
        assert site.ask("rsa") == "backend"
        for one in [first, *held]:
            one.wait_closed(deadline)
    finally:
        for one in [first, *held]:
            one.close()
    seen = s_client(place.port, site.name, place.clients["good"])
    assert seen.alert == 44 and seen.body is None, seen
