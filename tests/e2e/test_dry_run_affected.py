# SPDX-License-Identifier: Apache-2.0
"""What a dry run says it would change for clients is what the write then changes: handshakes before and after."""

import pytest

from harness import tls
from harness.net import free_port
from harness.pki import Ca
from harness.world import World

LABELS = {"a": {"site": "a"}, "a2": {"site": "a"}, "b": {"site": "b"}}


class Fleet:
    """Two agents with equal labels and one with others; one upstream; all on one machine."""

    def __init__(self, world):
        self.world, self.controlplane = world, world.controlplane()
        self.api, self.ca = self.controlplane.api, Ca("Impact CA")
        self.agents = {name: world.agent(self.controlplane, name=name, labels=labels) for name, labels in LABELS.items()}
        self.ids = {name: agent.id for name, agent in self.agents.items()}
        backend = world.backend()
        self.api.apply(put=[("upstreams", "web", {"nodes": {f"127.0.0.1:{backend.port}": 1}}),
                            ("tls_options", "default", {"min_version": "TLSv1.2"})]).expect(200)

    def affected(self, write, **query):
        """{(listener, sni, key type): (from, to)}, and the answer."""
        document = write(dry_run=True, **query).expect(200).json
        rows = document["affected"]["names"]
        found = {(row["listener"], row["sni"], row["key_type"]): (row["from"], row["to"]) for row in rows}
        assert len(found) == len(rows), rows  # a group of agents sees a listener once
        return found, document


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("impact"))
    try:
        yield Fleet(world)
    finally:
        problems = world.close()
    assert not problems, "\n\n".join(problems)


@pytest.fixture
def place(fleet):
    """A listener for site=a, and an end to all that the test has put."""
    fleet.port = free_port()
    fleet.api.put("/v1/listeners/main", {"bind": f"127.0.0.1:{fleet.port}", "upstream": "web", "selector": {"site": "a"}}).expect(201)
    for name in ("a", "a2"):  # one of them has the port, and answers for both
        fleet.agents[name].wait_applied()
    yield fleet
    ids = [("ssls", item["id"]) for item in fleet.api.get("/v1/ssls").json["items"]]
    ids += [("routes", item["id"]) for item in fleet.api.get("/v1/routes").json["items"]]
    ids += [("listeners", item["id"]) for item in fleet.api.get("/v1/listeners").json["items"]]
    fleet.api.apply(put=[("tls_options", "default", {"min_version": "TLSv1.2"})], delete=ids).expect(200)


def test_new_then_renewed_then_gone(place):
    """Each step is foretold, and is then what a handshake shows."""
    first, second = place.ca.issue("shop.test"), place.ca.issue("shop.test")
    put = lambda pair: lambda **q: place.api.put("/v1/ssls/shop", pair.ssl("shop.test"), **q)
    steps = [(put(first), None, first.sha256), (put(second), first.sha256, second.sha256),
             (lambda **q: place.api.delete("/v1/ssls/shop", **q), second.sha256, None)]
    for write, before, after in steps:
        found, document = place.affected(write)
        assert found == {("main", "shop.test", "ecdsa"): (before, after)}
        row = document["affected"]["names"][0]
        assert document["affected"]["omitted"] == 0 and row["agents_total"] == 2
        assert sorted(row["agents"]) == sorted([place.ids["a"], place.ids["a2"]])
        if before is not None:
            assert tls.leaf(place.port, "shop.test") == before
        write(wait="acked").expect(200, 201)
        if after is not None:
            assert tls.leaf(place.port, "shop.test") == after
    assert place.affected(put(first), strict=True)[0]


def test_nothing_for_who_does_not_hold_it(place):
    pair = place.ca.issue("b.test")
    assert place.affected(lambda **q: place.api.put("/v1/ssls/b", pair.ssl("b.test", selector={"site": "b"}), **q))[0] == {}
    assert place.affected(lambda **q: place.api.put("/v1/ssls/b", pair.ssl("b.test", selector={"site": "nowhere"}), **q))[0] == {}
    assert place.affected(lambda **q: place.api.put("/v1/ssls/b", pair.ssl("b.test", status=0), **q))[0] == {}


def test_two_key_types(place):
    rsa, ecdsa = place.ca.issue("two.test", key="rsa2048"), place.ca.issue("two.test")
    both = {**rsa.ssl("two.test"), "certs": [ecdsa.cert_pem], "keys": [ecdsa.key_pem]}
    found, _ = place.affected(lambda **q: place.api.put("/v1/ssls/two", both, **q))
    assert found == {("main", "two.test", "rsa"): (None, rsa.sha256), ("main", "two.test", "ecdsa"): (None, ecdsa.sha256)}


def test_wildcard_default_and_shadow(place):
    wild, exact, star = place.ca.issue("*.w.test"), place.ca.issue("x.w.test"), place.ca.issue("star.test")
    place.api.put_acked("/v1/ssls/wild", wild.ssl("*.w.test"))
    found, _ = place.affected(lambda **q: place.api.put("/v1/ssls/exact", exact.ssl("x.w.test"), **q))
    assert found == {("main", "x.w.test", "ecdsa"): (wild.sha256, exact.sha256)}
    place.api.put_acked("/v1/ssls/exact", exact.ssl("x.w.test"))
    renewed = place.ca.issue("*.w.test")
    found, _ = place.affected(lambda **q: place.api.put("/v1/ssls/wild", renewed.ssl("*.w.test"), **q))
    assert found == {("main", "*.w.test", "ecdsa"): (wild.sha256, renewed.sha256)}
    # one that ranks lower: nobody would see it
    found, _ = place.affected(lambda **q: place.api.put("/v1/ssls/low", place.ca.issue("x.w.test").ssl("x.w.test", priority=-1), **q))
    assert found == {}
    found, _ = place.affected(lambda **q: place.api.put("/v1/ssls/star", star.ssl("*"), **q))
    assert found == {("main", "*", "ecdsa"): (None, star.sha256)}
    default = [("ssls", "star", star.ssl("star.test")), ("tls_options", "default", {"min_version": "TLSv1.2", "default_ssl": "star"})]
    found, _ = place.affected(lambda **q: place.api.apply(put=default, **q))
    assert found == {("main", name, "ecdsa"): (None, star.sha256) for name in ("", "*", "star.test")}
    place.api.apply(put=default, wait="acked").expect(200)
    assert tls.leaf(place.port) == star.sha256


def test_routes_listeners_and_options(place):
    """They reach names of objects that the write does not touch."""
    pair, other = place.ca.issue("r.test"), place.ca.issue("o.r.test")
    place.api.apply(put=[("ssls", "r", pair.ssl("r.test")), ("ssls", "o", other.ssl("o.r.test"))], wait="acked").expect(200)
    found, _ = place.affected(lambda **q: place.api.put("/v1/routes/no", {"snis": ["**.r.test"], "mode": "reject"}, **q))
    assert found == {("main", "o.r.test", "ecdsa"): (other.sha256, None)}
    found, _ = place.affected(lambda **q: place.api.put(
        "/v1/routes/raw", {"snis": ["r.test"], "mode": "passthrough", "upstream": "web"}, **q))
    assert found == {("main", "r.test", "ecdsa"): (pair.sha256, None)}
    found, _ = place.affected(lambda **q: place.api.put(
        "/v1/listeners/second", {"bind": f"127.0.0.1:{free_port()}", "upstream": "web", "selector": {"site": "b"}}, **q))
    assert found == {("second", "r.test", "ecdsa"): (None, pair.sha256), ("second", "o.r.test", "ecdsa"): (None, other.sha256)}
    found, _ = place.affected(lambda **q: place.api.delete("/v1/listeners/main", **q))
    assert found == {("main", "r.test", "ecdsa"): (pair.sha256, None), ("main", "o.r.test", "ecdsa"): (other.sha256, None)}
    assert place.affected(lambda **q: place.api.put("/v1/upstreams/web", {"nodes": {"127.0.0.1:9": 1}}, **q))[0] == {}


def test_labels_of_an_agent(place):
    pair = place.ca.issue("l.test")
    place.api.put_acked("/v1/ssls/l", pair.ssl("l.test"))
    found, document = place.affected(lambda **q: place.api.patch(f"/v1/agents/{place.ids['a2']}", {"labels": {"site": "b"}}, **q))
    assert found == {("main", "l.test", "ecdsa"): (pair.sha256, None)}
    assert document["affected"]["names"][0]["agents"] == [place.ids["a2"]]
    found, document = place.affected(lambda **q: place.api.delete(f"/v1/agents/{place.ids['a']}", **q))
    assert found == {("main", "l.test", "ecdsa"): (pair.sha256, None)}
    assert document["affected"]["names"][0]["agents"] == [place.ids["a"]]


def test_rollback(place):
    first, second = place.ca.issue("back.test"), place.ca.issue("back.test")
    place.api.put("/v1/ssls/back", first.ssl("back.test")).expect(201)
    epoch, number = place.api.head()
    place.api.put_acked("/v1/ssls/back", second.ssl("back.test"))
    found, _ = place.affected(lambda **q: place.api.post(f"/v1/revisions/{epoch}-{number}/rollback", **q))
    assert found == {("main", "back.test", "ecdsa"): (second.sha256, first.sha256)}


def test_very_many(place):
    """1,000 rows are told, the rest is counted; more than 10,000 objects are only counted."""
    pair = place.ca.issue("*.many.test")
    rows = [("ssls", f"many{i}", pair.ssl(f"n{i}.many.test")) for i in range(1500)]
    document = place.api.apply(put=rows, dry_run=True).expect(200).json
    told = document["affected"]["names"]
    assert 0 < len(told) <= 1000 and len(told) + document["affected"]["omitted"] >= 1500
    assert all(row["from"] is None and row["to"] == pair.sha256 for row in told)
    lines = b"".join(b'{"op": "put", "kind": "upstreams", "id": "m%d", "value": {"nodes": {"127.0.0.1:9": 1}}}\n' % i for i in range(10001))
    document = place.api.post("/v1/apply", lines, headers={"Content-Type": "application/x-ndjson"}, dry_run=True).expect(200).json
    assert document["affected"] == {"names": [], "omitted": 10001}


def test_what_a_scoped_token_sees(place):
    """Its own names, the leaves of what it sends, and nothing of others."""
    from harness.api import Api
    mine, theirs = place.ca.issue("x.team.test"), place.ca.issue("*.team.test")
    place.api.put_acked("/v1/ssls/theirs", theirs.ssl("*.team.test"))
    token = place.api.post("/v1/tokens", {"role": "editor", "scope": {"sni_suffixes": ["x.team.test"]}, "expires_in": 600}).expect(201).json
    api = Api(place.controlplane.admin_port, token["token"], place.world.transcript)
    document = api.put("/v1/ssls/mine", mine.ssl("x.team.test"), dry_run=True).expect(200).json
    assert document["affected"]["names"] == [
        {"sni": "x.team.test", "key_type": "ecdsa", "from": None, "to": mine.sha256, "agents_total": 2}]
    assert theirs.sha256 not in str(document) and place.ids["a"] not in str(document)
    api.put("/v1/ssls/mine", place.ca.issue("y.team.test").ssl("y.team.test"), dry_run=True).expect(403)
