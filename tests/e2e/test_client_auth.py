# SPDX-License-Identifier: Apache-2.0
"""Who may connect: modes in every spelling, joined rules, CAs, names of CAs, and that no spelling or fragmentation of a ClientHello gets another verdict.
"Refused" means the right alert and no byte of the backend. Traffic Server's documented cases are at the end."""
import socket
import subprocess
import threading

import pytest

from harness import tls
from harness.clients import FAIL, NO_CERTIFICATE, PASS, VERSIONS, Clients, attempt, s_client
from harness.net import free_port
from harness.pki import Ca
from harness.world import World, serve

SPELLINGS = {
    "none": ["none", "NoClientCert", "NONE", 0, "0", False],
    "request": ["request", "RequestClientCert"],
    "require_any": ["require_any", "RequireAnyClientCert"],
    "verify_if_given": ["verify_if_given", "VerifyClientCertIfGiven", "MODERATE", 1, "1"],
    "require": ["require", "RequireAndVerifyClientCert", "STRICT", 2, "2", True, "verify_and_map"],
}
VERIFYING = ("verify_if_given", "require")
KINDS = (None, *PASS, *FAIL)


def expected(mode, kind, version):
    if kind is None:
        return NO_CERTIFICATE[version] if mode in ("require_any", "require") else "backend"
    return FAIL.get(kind, "backend") if mode in VERIFYING else "backend"


class Place:
    """An agent that finds a CA of the tests among what OpenSSL calls the system's. One site per spelling of each mode."""

    def __init__(self, world, folder, ca):
        self.world, self.ca = world, ca
        self.clients = Clients(folder)
        self.public = Ca("Public CA")
        (folder / "machine-cas.pem").write_text(self.public.cert_pem)
        self.clients.add("public", self.public.issue("good.client", usage="client"))
        self.clients.add("site", ca.issue("good.client", usage="both"))
        self.controlplane = world.controlplane()
        self.api = self.controlplane.api
        self.agent = world.agent(self.controlplane, env={"SSL_CERT_FILE": str(folder / "machine-cas.pem"), "SSL_CERT_DIR": str(folder)})
        self.port = serve(self.controlplane, world.backend())
        self.sites = {}
        rows = [("tls_options", "both", {"min_version": "TLSv1.2"}),
                ("listeners", "main", {"bind": f"127.0.0.1:{self.port}", "upstream": "web", "tls_options": "both"}),
                ("ca_bundles", "clients", {"certs": self.clients.ca.cert_pem})]
        for mode, words in SPELLINGS.items():
            for i, word in enumerate(words):
                self.sites[mode, i] = f"{mode}-{i}".replace("_", "-") + ".test"
                anchors = {"ca": self.clients.ca.cert_pem} if mode in VERIFYING else {}
                rows.append(("ssls", f"{mode}-{i}", self.pair(self.sites[mode, i]).ssl(self.sites[mode, i], client={"verify": word, **anchors})))
        self.api.apply(put=rows, wait="acked", timeout=30).expect(200)

    def pair(self, name):
        return self.ca.issue(name)

    def put(self, *rows):
        self.api.apply(put=rows, wait="acked", timeout=30).expect(200)

    def put_site(self, name, **words):
        self.put(("ssls", name.split(".")[0], self.pair(name).ssl(name, **words)))

    def ask(self, site, kind=None, version="1.3"):
        return attempt(self.port, site, self.clients[kind], version)

    def resolve(self, listener, sni=None):
        query = {"agent": self.agent.id, "listener": listener}
        return self.api.get("/v1/resolve", **({**query, "sni": sni} if sni else query)).expect(200).json


@pytest.fixture(scope="module")
def place(tmp_path_factory, ca):
    folder = tmp_path_factory.mktemp("auth")
    world = World(folder)
    try:
        yield Place(world, folder, ca)
    finally:
        problems = world.close()
    assert not problems, "\n\n".join(problems)


# Modes ------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("mode", SPELLINGS)
def test_modes(place, mode, version):
    """Every spelling answers every kind of client alike."""
    for i, word in enumerate(SPELLINGS[mode]):
        said = place.api.get(f"/v1/ssls/{mode}-{i}").expect(200).json["client"]
        assert said["verify"] == mode and said.get("map_identity", False) == (word == "verify_and_map")
        assert place.resolve("main", place.sites[mode, i])["client_auth"]["mode"] == mode
        for kind in KINDS if i == 0 or version == "1.3" else (None, "good", "wrong"):
            assert place.ask(place.sites[mode, i], kind, version) == expected(mode, kind, version), (word, kind)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("mode", SPELLINGS)
def test_modes_with_openssl(place, mode, version):
    for kind in (None, "good", "two", "wrong", "self-signed", "email"):
        seen = s_client(place.port, place.sites[mode, 0], place.clients[kind], version)
        passes = expected(mode, kind, version) == "backend"
        assert (seen.body == "backend") == passes, (kind, seen)
        assert (seen.alert is None) == passes and ("CONNECTED" in seen.text), (kind, seen)


@pytest.mark.parametrize("kind", [None, "good", "wrong"])
def test_modes_with_gnutls(place, kind):
    """Another implementation; it names what it was told."""
    cert, key = place.clients[kind] or (None, None)
    options = [f"--x509certfile={cert}", f"--x509keyfile={key}"] if cert else []
    run = subprocess.run(["gnutls-cli", "--insecure", "-p", str(place.port), "--sni-hostname", place.sites["require", 0], *options, "127.0.0.1"],
                         input=tls.REQUEST, capture_output=True, timeout=20, check=False)
    text = (run.stdout + run.stderr).decode(errors="replace")
    assert ("200 OK" in text) == (kind == "good"), text
    if kind != "good":
        assert ("Certificate is required" if kind is None else "CA is unknown") in text, text


@pytest.mark.parametrize("version", VERSIONS)
def test_weak_key(place, version):
    """Below OpenSSL's security level 1, whatever the client thinks of it."""
    files = place.clients.ca.issue("weak.client", usage="client", key="rsa1024").write(place.clients.folder, "weak")
    for mode, passes in (("request", True), ("require", False)):
        seen = s_client(place.port, place.sites[mode, 0], files, version, "-cipher", "DEFAULT:@SECLEVEL=0")
        assert (seen.body == "backend") == passes and (seen.alert is None) == passes, seen


def test_unknown_modes(place):
    for word in ("", "maybe", "requireany", 3, -1, 1.5, None, ["none"], {}):
        answer = place.api.put("/v1/ssls/odd", place.pair("odd.test").ssl("odd.test", client={"verify": word, "ca": place.clients.ca.cert_pem}))
        assert answer.status == 422 and "/client/verify" in answer.pointers, (word, answer)


# Joined rules -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", VERSIONS)
def test_joined(place, version):
    """Object x options: each demand of either holds, the CA is the object's."""
    clients, tag = place.clients, version[-1]
    own = {"verify": "require", "ca": clients.ca.cert_pem}
    other = {"verify": "require", "ca": clients.stranger.cert_pem}
    good, rsa = clients.pairs["good"], clients.pairs["rsa"]
    # (object's words, options' words, {kind: passes})
    everybody = {None: True, "good": True, "wrong": True}
    table = [
        ({"verify": "none"}, {"verify": "none"}, everybody),
        ({"verify": "request"}, {"verify": "none"}, everybody),
        ({"verify": "none"}, {"verify": "require_any"}, {**everybody, None: False}),
        ({"verify": "request"}, {"verify": "require_any"}, {**everybody, None: False}),
        ({"verify": "require_any"}, {**own, "verify": "verify_if_given"}, {None: False, "good": True, "wrong": False}),
        ({**own, "verify": "verify_if_given"}, {"verify": "require_any"}, {None: False, "good": True, "wrong": False}),
        ({**own, "verify": "verify_if_given"}, {"verify": "none"}, {None: True, "good": True, "wrong": False}),
        ({"verify": "none"}, own, {None: False, "good": True, "wrong": False}),
        (own, other, {None: False, "good": True, "wrong": False}),
        (own, {**other, "verify": "verify_if_given"}, {None: False, "good": True, "wrong": False}),
        ({**own, "depth": 2}, {**other, "depth": 2}, {"two": True}),
        ({**own, "depth": 2}, {**other, "depth": 0}, {"good": True, "one": False}),
        ({**own, "depth": 0}, {**other, "depth": 2}, {"good": True, "one": False}),
        ({**own, "depth": 2}, other, {"one": True, "two": False}),
        ({**own, "allow": [{"dns": ["good.client", "rsa.client"]}]}, {**other, "allow": [{"dns": "good.client"}]}, {"good": True, "rsa": False}),
        ({**own, "allow": [{"dns": "good.client"}]}, {**other, "allow": [{"dns": "elsewhere"}]}, {"good": False, "rsa": False}),
        (own, {**other, "allow": [{"dns": "rsa.client"}]}, {"good": False, "rsa": True}),
        ({**own, "pins": [good.spki_sha256]}, {**other, "pins": [good.spki_sha256, rsa.spki_sha256]}, {"good": True, "rsa": False}),
        ({**own, "pins": [good.spki_sha256]}, {**other, "pins": [rsa.spki_sha256]}, {"good": False, "rsa": False}),
        ({**own, "deny_spki": [good.spki_sha256]}, {**other, "deny_spki": [rsa.spki_sha256]}, {"good": False, "rsa": False, "one": True}),
        ({"verify": "require_any"}, {"verify": "require_any", "deny_spki": [rsa.spki_sha256]}, {"good": True, "rsa": False}),
    ]
    rows = []
    for i, (words, options, _) in enumerate(table):
        name = f"joined-{tag}-{i}.test"
        rows += [("tls_options", f"joined-{tag}-{i}", {"min_version": "TLSv1.2", "client_auth": options}),
                 ("ssls", f"joined-{tag}-{i}", place.pair(name).ssl(name, tls_options=f"joined-{tag}-{i}", client=words))]
    place.put(*rows)
    for i, (words, options, verdicts) in enumerate(table):
        for kind, passes in verdicts.items():
            seen = place.ask(f"joined-{tag}-{i}.test", kind, version)
            assert (seen == "backend") == passes, (words, options, kind, seen)


def test_joined_from_route_and_listener(place):
    """The object's words are joined with whichever options are chosen: the route's, or the listener's."""
    clients, port = place.clients, free_port()
    strict = {"min_version": "TLSv1.2", "client_auth": {"verify": "require", "ca_bundle": "clients"}}
    place.put(("tls_options", "strict", strict),
              ("listeners", "strict", {"bind": f"127.0.0.1:{port}", "upstream": "web", "tls_options": "strict"}),
              ("ssls", "plain", place.pair("plain.test").ssl("plain.test", "routed.test")),
              ("ssls", "asking", place.pair("asking.test").ssl("asking.test", client={"verify": "request"})),
              ("ssls", "own", place.pair("own.test").ssl("own.test", tls_options="both")),
              ("routes", "routed", {"snis": ["routed.test"], "tls_options": "both"}))
    for site, listener, mode in (("plain.test", "strict", "require"), ("asking.test", "strict", "require"), ("own.test", "strict", "none"),
                                 ("routed.test", "strict", "none"), ("plain.test", "main", "none"), ("asking.test", "main", "request")):
        assert place.resolve(listener, site)["client_auth"]["mode"] == mode, (listener, site)
        at = port if listener == "strict" else place.port
        for kind in (None, "good", "wrong"):
            for version in VERSIONS:
                assert attempt(at, site, clients[kind], version) == expected(mode, kind, version), (listener, site, kind)


# CAs --------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", VERSIONS)
def test_no_other_ca_passes(place, version):
    """Nor the machine's CAs, nor the one that signed the site, nor the site's own certificate."""
    (cert, key), name = place.pair("server.test").write(place.clients.folder, "server.test"), f"no-other-{version[-1]}.test"
    place.put_site(name, client={"ca": place.clients.ca.cert_pem})
    for client in (place.clients["public"], place.clients["site"], (cert, key)):
        assert attempt(place.port, name, client, version) in ("UNKNOWN_CA", "UNSUPPORTED_CERTIFICATE")
    assert place.ask(name, "good", version) == "backend"
    said = place.api.put("/v1/ssls/nobody", place.pair("nobody.test").ssl("nobody.test", client={"verify": "require"}))
    assert said.status == 422 and "/client/ca" in said.pointers, said


def test_broken_ca(place):
    clients = place.clients
    pem = clients.ca.cert_pem
    garbled = pem.replace(pem[100:110], "AAAAAAAAAA")
    broken = {"empty": "", "text": "no PEM at all", "truncated": pem[:200], "garbled": garbled, "crl": clients.ca.crl(), "key": clients.ca.key_pem,
              "leaf": clients.pairs["good"].leaf_pem, "leaf beside a CA": pem + clients.pairs["good"].leaf_pem, "half": pem + pem[:300]}
    before = place.api.head()
    for what, text in broken.items():
        for path, body, pointer in (
                ("/v1/ssls/broken", place.pair("broken.test").ssl("broken.test", client={"ca": text}), "/client/ca"),
                ("/v1/tls_options/broken", {"client_auth": {"verify": "require", "ca": text}}, "/client_auth/ca"),
                ("/v1/ca_bundles/broken", {"certs": text}, "/certs")):
            answer = place.api.put(path, body)
            assert answer.status == 422 and any(p.startswith(pointer) for p in answer.pointers), (what, path, answer)
    for words in ({"ca_bundle": "nothing"}, {"ca": pem, "ca_bundle": "clients"}):
        place.api.put("/v1/ssls/broken", place.pair("broken.test").ssl("broken.test", client=words)).expect(422)
    assert place.api.head() == before
    place.put_site("holding.test", client={"ca_bundle": "clients"})
    answer = place.api.delete("/v1/ca_bundles/clients").expect(409)
    assert "holding" in answer.body.decode(), answer
    assert place.ask("holding.test", "good") == "backend"


@pytest.mark.parametrize("version", VERSIONS)
def test_bundle_per_domain(place, version):
    """A CA for one name passes at no other; a bundle serves several names; a bundle with two CAs lets the clients of both in."""
    clients, tag = place.clients, version[-1]
    place.put(("ca_bundles", "strangers", {"certs": clients.stranger.cert_pem}),
              ("ca_bundles", "both", {"certs": clients.stranger.cert_pem + clients.ca.cert_pem}),
              *[("ssls", f"domain-{tag}-{name}", place.pair("x").ssl(f"{name}.domain{tag}.test", client=words)) for name, words in (
                  ("inline", {"ca": clients.ca.cert_pem}), ("one", {"ca_bundle": "clients"}), ("two", {"ca_bundle": "clients"}),
                  ("partner", {"ca_bundle": "strangers"}), ("both", {"ca_bundle": "both"}))])
    for name, passing in (("inline", {"good"}), ("one", {"good"}), ("two", {"good"}), ("partner", {"wrong"}), ("both", {"good", "wrong"})):
        for kind in ("good", "wrong", "namesake"):
            seen = place.ask(f"{name}.domain{tag}.test", kind, version)
            assert (seen == "backend") == (kind in passing), (name, kind, seen)


@pytest.mark.parametrize("version", VERSIONS)
def test_depth(place, version):
    """Intermediates between leaf and CA; an intermediate that is uploaded with its root is one as well."""
    clients, tag = place.clients, version[-1]
    for depth, passing in ((0, {"good"}), (1, {"good", "one"}), (2, {"good", "one", "two"}), (None, {"good", "one"})):
        words = {"ca": clients.ca.cert_pem, **({} if depth is None else {"depth": depth})}
        place.put_site(f"depth-{tag}-{depth}.test".lower(), client=words)
        for kind in ("good", "one", "two"):
            seen = place.ask(f"depth-{tag}-{depth}.test".lower(), kind, version)
            assert seen == ("backend" if kind in passing else "UNKNOWN_CA"), (depth, kind, seen)
    place.put_site(f"depth-{tag}-whole.test", client={"ca": clients.ca.cert_pem + clients.middle.cert_pem})
    assert place.ask(f"depth-{tag}-whole.test", "one", version) == "backend"
    leaf_only = clients.pairs["one"]
    files = type(leaf_only)(leaf_only.cert, leaf_only.key).write(clients.folder, "one-alone")
    assert attempt(place.port, f"depth-{tag}-whole.test", files, version) == "backend"
    assert attempt(place.port, f"depth-{tag}-1.test", files, version) == "UNKNOWN_CA"


@pytest.mark.parametrize("version", VERSIONS)
def test_ca_names(place, version):
    """Sent up to 32, none beyond (RFC 8446 4.2.4: any), none when told so; whoever has the right certificate passes in each case."""
    tag, clients = version[-1], place.clients
    more = [Ca(f"Other CA {i}").cert_pem for i in range(32)]
    sites = {"sent": (clients.ca.cert_pem, {}), "not": (clients.ca.cert_pem, {"send_ca_names": False}),
             "full": (clients.ca.cert_pem + "".join(more[:31]), {}), "many": (clients.ca.cert_pem + "".join(more), {}),
             "twice": (clients.ca.cert_pem + clients.namesake.cert_pem, {})}
    place.put(*[("ssls", f"names-{tag}-{name}", place.pair("x").ssl(f"{name}.names{tag}.test", client={"ca": pem, **words}))
                for name, (pem, words) in sites.items()])
    for name, count in (("sent", 1), ("not", 0), ("full", 32), ("many", 0), ("twice", 1)):
        seen = s_client(place.port, f"{name}.names{tag}.test", clients["good"], version)
        assert seen.body == "backend", (name, seen)
        names = seen.text.partition("Acceptable client certificate CA names\n")[2].partition("\nRequested Signature")[0]
        names = names.partition("\nClient Certificate Types")[0]
        assert len([line for line in names.splitlines() if line.startswith("CN")]) == count, (name, seen)
        assert ("No client certificate CA names sent" in seen.text) == (count == 0), (name, seen)
        assert place.ask(f"{name}.names{tag}.test", "wrong", version) == "UNKNOWN_CA"


# The same verdict for every spelling of a ClientHello -----------------------------------------------------------------------

class Fragments:
    """A TCP proxy that cuts the client's first record into records of `size` bytes, sent one by one (drip: byte by byte)."""

    def __init__(self, target, size, drip=False):
        self.target, self.size, self.drip = target, size, drip
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._run, args=(client,), daemon=True).start()

    def _run(self, client):
        with client, socket.create_connection(("127.0.0.1", self.target)) as server:
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            head = self._exactly(client, 5)
            body = self._exactly(client, int.from_bytes(head[3:5], "big"))
            cut = tls.records(body, self.size)
            for i in range(0, len(cut), 1 if self.drip else self.size + 5):
                server.sendall(cut[i:i + (1 if self.drip else self.size + 5)])
            back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
            back.start()
            self._pump(client, server)
            back.join()

    @staticmethod
    def _exactly(source, count):
        data = b""
        while len(data) < count:
            part = source.recv(count - len(data))
            if not part:
                raise ConnectionError
            data += part
        return data

    @staticmethod
    def _pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.socket.close()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("size,drip", [(1, False), (16, False), (100, False), (16384, True)])
def test_fragments_change_nothing(place, version, size, drip):
    """Traefik's CVE-2026-32305: the name was not found in a fragmented ClientHello, and the default options demanded nothing."""
    proxy = Fragments(place.port, size, drip)
    try:
        for mode in ("none", "require"):
            for kind in (None, "good", "wrong"):
                assert attempt(proxy.port, place.sites[mode, 0], place.clients[kind], version) == expected(mode, kind, version), (mode, kind)
    finally:
        proxy.close()


@pytest.mark.parametrize("count", [1, 100, 101])
def test_spelling_changes_nothing(place, count):
    """Traefik's CVE-2026-53622 and Caddy's CVE-2026-27588: upper case found another policy, the latter from 101 names on."""
    names = [f"n{i}.spelled{count}.test" for i in range(count - 1)] + [f"*.wild.spelled{count}.test"]
    place.put(("ssls", f"spelled-{count}", place.pair("x").ssl(*names, client={"ca": place.clients.ca.cert_pem})))
    for name in {names[0], names[-2] if count > 1 else names[0], f"*.wild.spelled{count}.test"}:
        plain = name.replace("*", "a")
        for said in (plain, plain.upper(), plain.title(), plain + ".", plain.upper() + "."):
            for version in VERSIONS:
                assert place.ask(said, None, version) == NO_CERTIFICATE[version], said
                assert place.ask(said, "good", version) == "backend", said


def test_wildcard_and_exact_don_t_leak(place):
    """Caddy's 1fed03223: the rules of a wildcard stood for a specific host, or were missing there. Both directions, objects and routes."""
    closed = {"ca": place.clients.ca.cert_pem}
    place.put(("tls_options", "closing", {"min_version": "TLSv1.2", "client_auth": {"verify": "require", "ca_bundle": "clients"}}),
              ("ssls", "leak-1", place.pair("x").ssl("*.a.leak.test", client=closed)),
              ("ssls", "leak-2", place.pair("x").ssl("open.a.leak.test")),
              ("ssls", "leak-3", place.pair("x").ssl("*.b.leak.test")),
              ("ssls", "leak-4", place.pair("x").ssl("closed.b.leak.test", client=closed)),
              ("ssls", "leak-5", place.pair("x").ssl("*.c.leak.test", "*.d.leak.test", "c.leak.test", "d.leak.test", "x.y.c.leak.test")),
              ("routes", "leak-1", {"snis": ["*.c.leak.test"], "tls_options": "closing"}),
              ("routes", "leak-2", {"snis": ["open.c.leak.test"], "tls_options": "both"}),
              ("routes", "leak-3", {"snis": ["**.d.leak.test"], "tls_options": "both"}),
              ("routes", "leak-4", {"snis": ["closed.d.leak.test"], "tls_options": "closing"}))
    demands = {"any.a.leak.test": True, "open.a.leak.test": False, "OPEN.a.leak.test": False, "any.b.leak.test": False, "closed.b.leak.test": True,
               "CLOSED.b.leak.test": True, "any.c.leak.test": True, "open.c.leak.test": False, "c.leak.test": False, "x.y.c.leak.test": False,
               "any.d.leak.test": False, "closed.d.leak.test": True, "d.leak.test": False}
    for site, demanded in demands.items():
        assert (place.resolve("main", site)["client_auth"]["mode"] == "require") == demanded, site
        for version in VERSIONS:
            for kind in (None, "good", "wrong"):
                assert place.ask(site, kind, version) == expected("require" if demanded else "none", kind, version), (site, kind)


# Traffic Server -----------------------------------------------------------------------------------------------------------

@pytest.fixture
def everywhere(place):
    """certification_level: a function that puts the options named `default`; it is taken away at the end."""
    port, health = free_port(), place.world.backend("health")
    place.put(("upstreams", "health", {"nodes": {f"127.0.0.1:{health.port}": 1}}),
              ("tls_options", "default", {"min_version": "TLSv1.2", "client_auth": {"verify": "NONE"}}),
              ("tls_options", "none", {"min_version": "TLSv1.2", "client_auth": {"verify": "NONE"}}),
              ("listeners", "ats", {"bind": f"127.0.0.1:{port}", "upstream": "web"}),
              ("ssls", "ats", place.pair("shop.ats.test").ssl("shop.ats.test", "health.ats.test", "partner.ats.test", "*.partner.ats.test")))

    def set_level(level, *rows):
        anchors = {"ca_bundle": "clients"} if level not in (0, "NONE") else {}
        place.put(("tls_options", "default", {"min_version": "TLSv1.2", "client_auth": {"verify": level, **anchors}}), *rows)
        return port
    yield set_level
    routes = [("routes", row["id"]) for row in place.api.get("/v1/routes").json["items"] if row["id"].startswith("ats-")]
    place.api.apply(delete=[*routes, ("ssls", "ats"), ("listeners", "ats"), ("tls_options", "default")], wait="acked", timeout=30).expect(200)


@pytest.mark.parametrize("version", VERSIONS)
def test_health_check_without_sni(place, everywhere, version):
    """STRICT everywhere, NONE for the health check by name and for whoever sends no SNI; that one reaches the health check alone."""
    port = everywhere("STRICT", ("routes", "ats-health", {"snis": ["health.ats.test"], "tls_options": "none", "upstream": "health"}),
                      ("routes", "ats-no-sni", {"snis": [""], "listeners": ["ats"], "tls_options": "none", "upstream": "health"}))
    clients = place.clients
    for site, mode, body in (("shop.ats.test", "require", "backend"), ("nobody.ats.test", "require", "backend"), ("health.ats.test", "none", "health"),
                             ("HEALTH.ats.test", "none", "health"), (None, "none", "health")):
        assert place.resolve("ats", site)["client_auth"]["mode"] == mode
        for kind in (None, "good", "wrong"):
            seen = attempt(port, site, clients[kind], version)
            assert seen == expected(mode, kind, version).replace("backend", body), (site, kind)
    seen = s_client(port, None, None, version)
    assert seen.body == "health", seen
    evading = tls.s_client(port, f"-tls1_{version[-1]}", data=b"GET / HTTP/1.1\r\nHost: shop.ats.test\r\nConnection: close\r\n\r\n")
    assert evading.body == "health"  # the Host header leads nowhere else
    for address, answer in ((b"127.0.0.1", "ServerHello"), (b"::1", "alert:112")):  # one counts as no SNI, the other is no name at all
        assert tls.send_raw(port, tls.records(tls.client_hello(tls.sni_extension(address)))) == answer
    assert place.resolve("ats", "127.0.0.1")["route"]["id"] == "ats-no-sni"


@pytest.mark.parametrize("version", VERSIONS)
def test_certification_levels(place, everywhere, version):
    """Level 2, 1 and 0 for all; with 0, STRICT for one domain; then a bundle of its own for the partner and its subdomains."""
    clients = place.clients
    for level, mode in ((2, "require"), (1, "verify_if_given"), (0, "none")):
        port = everywhere(level)
        for kind in (None, "good", "wrong"):
            assert attempt(port, "shop.ats.test", clients[kind], version) == expected(mode, kind, version), (level, kind)
    everywhere(0, ("ca_bundles", "partners", {"certs": clients.stranger.cert_pem}),
               ("tls_options", "partner", {"min_version": "TLSv1.2", "client_auth": {"verify": "STRICT", "ca_bundle": "partners"}}),
               ("routes", "ats-partner", {"snis": ["partner.ats.test", "**.partner.ats.test"], "tls_options": "partner"}))
    for level in (0, 2):
        everywhere(level)
        for site in ("partner.ats.test", "a.partner.ats.test", "A.Partner.ats.test", "a.b.partner.ats.test"):
            assert attempt(port, site, clients["wrong"], version) == "backend", site
            assert attempt(port, site, clients["good"], version) == "UNKNOWN_CA", site
            assert attempt(port, site, None, version) == NO_CERTIFICATE[version], site
        assert attempt(port, "shop.ats.test", clients["good"], version) == "backend"
        assert attempt(port, "shop.ats.test", clients["wrong"], version) == ("backend" if level == 0 else "UNKNOWN_CA")


def test_curl_as_documented(place, everywhere, tmp_path):
    """The page's own guidance: -resolve sets the SNI, a Host header does not."""
    trust, (cert, key) = tmp_path / "ca.pem", place.clients["good"]
    trust.write_text(place.ca.cert_pem)
    port = everywhere("STRICT")
    assert tls.curl(port, "shop.ats.test", "--cert", str(cert), "--key", str(key), ca=trust)[:2] == (0, "backend")
    code, body, error = tls.curl(port, "shop.ats.test", ca=trust)
    assert (code, body) == (56, "") and "certificate required" in error, (code, error)
    run = subprocess.run(["curl", "-sS", "-k", "--max-time", "10", "-H", "Host: shop.ats.test", f"https://127.0.0.1:{port}/"], capture_output=True,
                         timeout=20, check=False)
    assert run.returncode == 56 and run.stdout == b""
