# SPDX-License-Identifier: Apache-2.0
"""Which certificate a name gets: on two agents, however the name is spelled, whatever else is there, and as `resolve` says."""
import random
import ssl

import pytest

from harness import tls
from harness.net import free_port, is_listening
from harness.pki import Ca, make_key
from harness.soak import figure, scaled
from harness.tls import client_hello, records, send_raw, sni_extension
from harness.world import World, is_sanitized, serve

UNRECOGNIZED_NAME = 112
REFUSALS = {40, 42, 48, 116}


class Place:
    """A control plane and two agents; all of them hold every object but the other's listeners."""

    def __init__(self, folder):
        self.folder, self.world = folder, World(folder)
        self.controlplane = self.world.controlplane()
        self.api = self.controlplane.api
        self.backend = self.world.backend()
        self.ca, self.clients = Ca("Names CA"), Ca("Names Clients")
        self.key = make_key()  # one for all: its kind is not what is tested
        self.agents, self.ports = {}, {}
        self.api.apply(put=[("upstreams", "web", {"nodes": {f"127.0.0.1:{self.backend.port}": 1}}),
                            ("tls_options", "default", {"min_version": "TLSv1.2"})]).expect(200)
        for name in ("one", "two"):
            self.add_agent(name)

    def add_agent(self, name):
        self.ports[name] = self.listen(name)
        self.agents[name] = self.world.agent(self.controlplane, name=name, labels={"agent": name}).wait_applied()

    def listen(self, agent, listener=None, **more):
        """A listener of this agent's; its port."""
        port = free_port()
        self.api.put_acked(f"/v1/listeners/{listener or agent}", {"bind": f"127.0.0.1:{port}", "upstream": "web", "selector": {"agent": agent}, **more})
        return port

    def issue(self, *names, **more):
        return self.ca.issue(*names, private=self.key, **more)

    def put(self, *rows):
        self.api.apply(put=[("ssls", *row) for row in rows], wait="acked", timeout=60).expect(200)

    def drop(self, *ids):
        self.api.apply(delete=[("ssls", ssl_id) for ssl_id in ids], wait="acked", timeout=60).expect(200)

    def leaves(self, name):
        """What each agent serves, in the order of `ports`; with the real s_client, which sends a name as it is given."""
        seen = [tls.s_client(port, sni=name) for port in self.ports.values()]
        assert all(run.body == "backend" for run in seen), seen
        return [run.leaf for run in seen]

    def resolved(self, name, agent="one", listener=None):
        """The SSL object that the control plane says."""
        said = self.api.get("/v1/resolve", agent=self.agents[agent].id, listener=listener or agent, **({"sni": name} if name else {})).expect(200).json
        return said["certificate"] and said["certificate"]["id"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    made = Place(tmp_path_factory.mktemp("names"))
    try:
        yield made
    finally:
        problems = made.world.close()
    assert not problems, "\n\n".join(problems)


def test_each_name_gets_its_certificate(place):
    """By the object's names alone: what the certificate says is no name of it."""
    pairs = {f"many-{i}": place.issue(f"a{i}.many.test", f"b{i}.many.test", "unsaid.many.test") for i in range(20)}
    place.put(*((ssl_id, pair.ssl(f"a{ssl_id[5:]}.many.test", f"b{ssl_id[5:]}.many.test")) for ssl_id, pair in pairs.items()))
    for ssl_id, pair in pairs.items():
        for name in (f"a{ssl_id[5:]}.many.test", f"b{ssl_id[5:]}.many.test"):
            assert [tls.fetch(port, name) for port in place.ports.values()] == [("backend", pair.sha256)] * 2
            assert place.resolved(name) == ssl_id
    assert not set(place.leaves("unsaid.many.test")) & {pair.sha256 for pair in pairs.values()}
    assert place.resolved("unsaid.many.test") is None
    place.drop(*pairs)


def test_wildcard_is_one_label(place):
    exact, wild, deep = place.issue("www.one.test"), place.issue("*.one.test"), place.issue("*.deep.one.test")
    place.put(("w-exact", exact.ssl("www.one.test", priority=-100)), ("w-wild", wild.ssl("*.one.test", priority=100)), ("w-deep", deep.ssl("*.deep.one.test")))
    ours = {exact.sha256: "w-exact", wild.sha256: "w-wild", deep.sha256: "w-deep"}
    for name, expected in (("www.one.test", "w-exact"), ("mail.one.test", "w-wild"), ("deep.one.test", "w-wild"), ("x.deep.one.test", "w-deep"),
                           ("www.deep.one.test", "w-deep"), ("one.test", None), ("x.mail.one.test", None), ("x.y.deep.one.test", None),
                           ("xone.test", None), ("www.one.test.org", None)):
        assert [ours.get(leaf) for leaf in place.leaves(name)] == [expected] * 2, name
        assert place.resolved(name) == expected
    place.drop("w-exact", "w-wild", "w-deep")


def test_spelling_does_not_matter(place):
    """In the object (U-labels, case, dots) and on the wire (A-labels: RFC 6066)."""
    plain, idn, wild = place.issue("plain.test"), place.issue("xn--bcher-kva.test"), place.issue("*.xn--strae-oqa.test")
    place.put(("s-plain", plain.ssl("PLAIN.Test.")), ("s-idn", idn.ssl("B\u00fccher.test")), ("s-wild", wild.ssl("*.Stra\u00dfe.test")))
    for ssl_id, stored in (("s-plain", "plain.test"), ("s-idn", "xn--bcher-kva.test"), ("s-wild", "*.xn--strae-oqa.test")):
        assert place.api.get(f"/v1/ssls/{ssl_id}").json["sni"] == stored
    for name, pair in (("plain.test", plain), ("PLAIN.TEST", plain), ("pLaIn.TeSt", plain), ("plain.test.", plain), ("PLAIN.TEST.", plain),
                       ("xn--bcher-kva.test", idn), ("XN--BCHER-KVA.TEST", idn), ("xn--bcher-kva.test.", idn),
                       ("www.xn--strae-oqa.test", wild), ("WWW.XN--STRAE-OQA.TEST.", wild)):
        assert place.leaves(name) == [pair.sha256] * 2, name
    place.drop("s-plain", "s-idn", "s-wild")


def rank(row):
    return row["priority"], row["age"]


class Ties:
    """Names with several objects each. What must win is known from the order of creation here, not from what the control plane says."""

    def __init__(self, place, dice):
        self.place, self.created, self.rows = place, 0, {}
        planned = [(f"t{name}-{i}", f"t{name}.ties.test", dice.choice((0, 0, 0, 1, -1))) for name in range(20) for i in range(3)]
        dice.shuffle(planned)
        for ssl_id, name, priority in planned:
            self.create(ssl_id, name, priority)

    def create(self, ssl_id, name, priority):
        pair = self.place.issue(name)
        answer = self.place.api.put(f"/v1/ssls/{ssl_id}", pair.ssl(name, priority=priority)).expect(201)
        self.created += 1
        rivals = [row["id"] for row in self.rows.values() if row["name"] == name]
        told = " ".join(warning["detail"] for warning in answer.json["warnings"] if warning["code"] == "overlap")
        assert bool(told) == bool(rivals) and (not rivals or any(rival in told for rival in rivals)), answer
        self.rows[ssl_id] = {"id": ssl_id, "name": name, "priority": priority, "age": self.created, "sha256": pair.sha256}

    def winners(self):
        best = {}
        for row in sorted(self.rows.values(), key=rank):
            best[row["name"]] = row
        return best

    def check(self):
        for agent in self.place.agents.values():
            agent.wait_connected().wait_applied()
        for name, row in self.winners().items():
            assert [tls.leaf(port, name) for port in self.place.ports.values()] == [row["sha256"]] * len(self.place.ports), (name, row)
            assert [self.place.resolved(name, agent) for agent in self.place.agents] == [row["id"]] * len(self.place.agents), (name, row)


def test_ties_are_decided_the_same_everywhere(place):
    """Higher priority, then the younger; on agents that followed, that came later, that were restarted, and after a restart of the control plane."""
    dice = random.Random(20)
    ties = Ties(place, dice)
    ties.check()
    turns = scaled(1, 200)
    for turn in range(turns):
        for row in dice.sample(sorted(ties.rows.values(), key=rank), 10):  # an edit makes nobody younger
            place.api.patch(f"/v1/ssls/{row['id']}", {"desc": f"edited {turn}"}).expect(200)
        for row in dice.sample(sorted(ties.winners().values(), key=rank), 6):  # to be created again does
            place.api.delete(f"/v1/ssls/{row['id']}").expect(200)
            del ties.rows[row["id"]]
            ties.create(row["id"], row["name"], row["priority"])
        ties.check()
        place.agents["one"].restart()
        place.controlplane.restart()
        ties.check()
    place.add_agent("three")
    ties.check()
    place.drop(*ties.rows)
    figure("ties decided by three agents and the resolver", restarts=turns, objects_made=ties.created)


def test_rsa_and_ecdsa(place):
    ecdsa, rsa = place.issue("both.test"), place.ca.issue("both.test", key="rsa2048")
    place.put(("both", ecdsa.ssl("both.test", certs=[rsa.cert_pem], keys=[rsa.key_pem])), ("swapped", rsa.ssl("swapped.test", certs=[ecdsa.cert_pem], keys=[ecdsa.key_pem])))
    suites = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
    for options, pair in (
            (["-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256"], rsa), (["-tls1_3", "-sigalgs", "ecdsa_secp256r1_sha256"], ecdsa),
            (["-tls1_3", "-sigalgs", "ecdsa_secp384r1_sha384:rsa_pss_rsae_sha256"], rsa),  # P-256 can't sign so
            (["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], rsa), (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], ecdsa),
            (["-tls1_2", "-cipher", suites, "-sigalgs", "RSA+SHA256"], rsa), (["-tls1_2", "-cipher", suites, "-sigalgs", "ECDSA+SHA256"], ecdsa),
            (["-tls1_2", "-cipher", suites, "-groups", "X25519"], rsa)):  # nor may the client know the curve of the key
        for name in ("both.test", "swapped.test"):
            for port in place.ports.values():
                seen = tls.s_client(port, *options, sni=name)
                assert (seen.leaf, seen.body) == (pair.sha256, "backend"), (options, seen)
    place.drop("both", "swapped")


def test_default_certificate(place):
    fallback, known = place.issue("fallback.test"), place.issue("known.test")
    place.put(("fallback", fallback.ssl("fallback.test")), ("known", known.ssl("known.test")))
    place.api.put("/v1/tls_options/fallback", {"min_version": "TLSv1.2", "default_ssl": "fallback"}).expect(201)
    port = place.listen("one", "fallback", tls_options="fallback")
    for name, pair in (("unknown.test", fallback), ("a.b.c.test", fallback), (None, fallback), ("10.0.0.1", fallback), ("known.test", known)):
        assert tls.s_client(port, sni=name).leaf == pair.sha256, name
        assert place.resolved(name, listener="fallback") == ("known" if pair is known else "fallback")
    assert fallback.sha256 not in place.leaves("unknown.test")  # another listener's
    renewed = place.issue("fallback.test")
    place.api.put_acked("/v1/ssls/fallback", renewed.ssl("fallback.test"))
    assert tls.leaf(port, None) == renewed.sha256
    assert place.api.delete("/v1/ssls/fallback").status == 409
    place.api.apply(delete=[("listeners", "fallback"), ("tls_options", "fallback"), ("ssls", "fallback"), ("ssls", "known")]).expect(200)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_sni_strict(place, version):
    known, wild = place.issue("known.test"), place.issue("*.wild.test")
    place.put(("known", known.ssl("known.test")), ("wild", wild.ssl("*.wild.test")))
    place.api.put("/v1/tls_options/strict", {"min_version": "TLSv1.2", "sni_strict": True, "default_ssl": "known"}).expect(201)
    port = place.listen("two", "strict", tls_options="strict")
    for name, pair in (("known.test", known), ("KNOWN.test.", known), ("a.wild.test", wild)):
        assert tls.s_client(port, version, sni=name).leaf == pair.sha256, name
    for name in ("unknown.test", "wild.test", "a.b.wild.test", "known.test.org", "10.0.0.1", None):  # not even the default certificate
        seen = tls.s_client(port, version, sni=name)
        assert (seen.alert, seen.leaf, seen.body) == (UNRECOGNIZED_NAME, None, None), seen
    # "*" is a certificate for every name, and for none without
    star = place.issue("star.test")
    place.put(("star", star.ssl("*")))
    assert tls.s_client(port, version, sni="unknown.test").leaf == star.sha256
    assert tls.s_client(port, version, sni=None).alert == UNRECOGNIZED_NAME
    place.api.apply(delete=[("listeners", "strict"), ("tls_options", "strict"), ("ssls", "known"), ("ssls", "wild"), ("ssls", "star")]).expect(200)


HOSTILE = [b"a.test\0.evil.test", b"a.test\r\nX-Evil: 1", b"a.test\nlevel=error", b"\x1b[2Ja.test", "b\u00fccher.test".encode(), b"\xff\xfe", b"a" * 250 + b".test", b"a" * 256,
           b"a.test,b.test", b"*.host.test", b"*", b"**.host.test", b"a..test", b".a.test", b"a.test..", b"a test", b"a" * 64 + b".test", b"", b"/etc/passwd", b"a%00.test",
           b"${jndi:x}", b"[::1]", b"a:443"]


def test_hostile_names(place):
    """With a certificate for every name there, what is no name still gets none, and reaches no log as it is; an address counts as no name."""
    star, host = place.issue("star.test"), place.issue("*.host.test")
    place.put(("star", star.ssl("*")), ("host", host.ssl("*.host.test")))
    for port in place.ports.values():
        for name in HOSTILE:
            assert send_raw(port, records(client_hello(sni_extension(name)))).startswith("alert:"), name
        for address in ("127.0.0.1", "192.0.2.1"):
            assert tls.s_client(port, sni=address).leaf not in (star.sha256, host.sha256)
        assert tls.leaf(port, "any.test") == star.sha256
    for name in ("a.test,b.test", "*.host.test", "a..test", "a" * 256, "b\u00fccher.test"):
        said = place.api.get("/v1/resolve", agent=place.agents["one"].id, listener="one", sni=name).expect(200).json
        assert (said["outcome"], said["certificate"]) == ("refuse", None), name
    assert place.resolved("127.0.0.1") is None
    for agent in place.agents.values():
        raw = agent.log.read_bytes()
        assert not {byte for byte in raw if byte >= 0x7f or (byte < 0x20 and byte != 0x0a)}
        assert not any(line.startswith((b"X-Evil", b"level=error")) for line in raw.splitlines())
    place.drop("star", "host")


class Crowd:
    """n names in all, a thousand at most in one object; among the first object's are those that are asked for."""

    def __init__(self, place):
        self.place, self.ids = place, set()
        self.open, self.closed, self.filler = place.issue("api.crowd.test"), place.issue("closed.crowd.test"), place.issue("filler.test")

    def fill(self, count):
        """Names of the crowd to try, from all its parts."""
        fillers = [f"f{i}.fill.test" for i in range(count - 2)]
        names = ["API.crowd.test", "*.wild.crowd.test", *fillers]
        first, rest = names[:1000], [names[i:i + 1000] for i in range(1000, count, 1000)]
        rows = [("crowd", self.open.ssl(*first)), ("crowd-closed", self.closed.ssl("closed.crowd.test", "*.closed.crowd.test", client={"ca": self.place.clients.cert_pem}))]
        rows += [(f"crowd-{i}", self.filler.ssl(*part)) for i, part in enumerate(rest)]
        self.place.put(*rows)
        self.ids.update(row[0] for row in rows)
        return fillers[:1] + fillers[len(fillers) // 2:][:1] + fillers[-1:]

    def verdicts(self, port, client):
        """(name, with a client certificate) -> the leaf, or an alert and no leaf that counts."""
        found = {}
        for name in ("api.crowd.test", "API.CROWD.TEST", "Api.Crowd.Test.", "x.wild.crowd.test", "X.WILD.crowd.test", "wild.crowd.test", "x.y.wild.crowd.test", "crowd.test",
                     "closed.crowd.test", "CLOSED.crowd.test", "a.closed.crowd.test", "A.Closed.Crowd.Test."):
            for options in ([], ["-cert", str(client[0]), "-key", str(client[1])]):
                seen = tls.s_client(port, *options, sni=name)
                known = {self.open.sha256: "open", self.closed.sha256: "closed"}.get(seen.leaf, "other")
                found[name, bool(options)] = known if seen.body else f"refused by {known}" if seen.alert in REFUSALS else seen
        return found


def test_many_names_change_no_verdict(place):
    """Lookups that turn to other means beyond a number of names (a list of more than 100, say) keep their meaning."""
    client = place.clients.issue("client", usage="client").write(place.folder, "crowd-client")
    crowd = Crowd(place)
    first = None
    for count in (2, 100, 101, 1000, 10000):
        for name in crowd.fill(count):
            assert set(place.leaves(name)) <= {crowd.open.sha256, crowd.filler.sha256}, name
        said = crowd.verdicts(place.ports["one"], client)
        first = first or said
        assert said == first, count
        assert [place.resolved(name) for name in ("Api.crowd.test", "x.wild.crowd.test", "a.CLOSED.crowd.test", "crowd.test")] == ["crowd", "crowd", "crowd-closed", None]
    assert first == {(name, client): expected for names, with_none, with_one in (
        (("api.crowd.test", "API.CROWD.TEST", "Api.Crowd.Test.", "x.wild.crowd.test", "X.WILD.crowd.test"), "open", "open"),
        (("wild.crowd.test", "x.y.wild.crowd.test", "crowd.test"), "other", "other"),
        (("closed.crowd.test", "CLOSED.crowd.test", "a.closed.crowd.test", "A.Closed.Crowd.Test."), "refused by closed", "closed"))
        for name in names for client, expected in ((False, with_none), (True, with_one))}
    place.drop(*crowd.ids)


def test_generated_certificate(world, controlplane, backend):
    """Self-signed, the same for all of a process, another after its restart, and on no disk."""
    agent = world.agent(controlplane)
    port = serve(controlplane, backend)
    seen = [tls.s_client(port, sni=name) for name in ("nobody.test", None, "10.0.0.1", "other.test", None)]
    assert {run.body for run in seen} == {"backend"} and len({run.leaf for run in seen}) == 1
    cert = seen[0].certificates[0]
    assert len(seen[0].certificates) == 1 and cert.issuer == cert.subject
    with pytest.raises(ssl.SSLCertVerificationError):
        tls.fetch(port, "nobody.test", ca=Ca("Somebody").cert_pem)
    serial = cert.serial_number.to_bytes((cert.serial_number.bit_length() + 7) // 8, "big")
    assert not any(serial in file.read_bytes() for file in agent.cache_files)
    agent.restart()
    assert tls.leaf(port, None) not in (None, seen[0].leaf)


def test_last_certificate_can_go(world, controlplane, backend, ca):
    """An empty configuration is one like any other: what was served is gone at once, and stays so after a restart without a control plane."""
    agent = world.agent(controlplane)
    port = serve(controlplane, backend)
    pair = ca.issue("last.test")
    controlplane.api.put_acked("/v1/ssls/last", pair.ssl("last.test"))
    assert tls.leaf(port, "last.test") == pair.sha256
    controlplane.api.delete("/v1/ssls/last", wait="acked", timeout=30).expect(200)
    assert controlplane.api.get("/v1/ssls").json["items"] == [] and agent.degraded() == []
    assert tls.leaf(port, "last.test") != pair.sha256
    controlplane.api.apply(delete=[("listeners", "main"), ("upstreams", "web")], wait="acked", timeout=30).expect(200)
    assert not is_listening(port)
    assert controlplane.daemon.terminate() == 0
    agent.restart()
    assert not is_listening(port)
    assert not any(pair.der in file.read_bytes() for file in agent.cache_files)


@pytest.mark.bounds
def test_decoded_max(world, ca):
    """How many objects are kept ready is what memory depends on; who is served, and with what, is not."""
    controlplane = world.controlplane()
    few = world.agent(controlplane, "--decoded-max", "2")
    port = serve(controlplane, world.backend())
    key, count = make_key(), 60 if is_sanitized() else 1500
    pairs = {f"d{i}.test": ca.issue(f"d{i}.test", private=key) for i in range(count)}
    controlplane.api.apply(put=[("ssls", name, pair.ssl(name)) for name, pair in pairs.items()], wait="acked", timeout=60).expect(200)

    def ask_all():
        for name in random.Random(2).sample(sorted(pairs), count):
            assert tls.leaf(port, name) == pairs[name].sha256, name
        return few.daemon.rss_kib()

    before = few.daemon.rss_kib()
    grown = ask_all() - before
    assert is_sanitized() or grown < count, grown  # KiB; each is about 6 when it is kept
    for value in ("0", "10000001", "many"):
        code, text = few.run_to_exit("--decoded-max", value)
        assert code == 2 and "--decoded-max" in text, text
    if not is_sanitized():
        few.restart()
        before = few.daemon.rss_kib()
        assert ask_all() - before > 3 * count, "all are kept, and memory shows it"
