# SPDX-License-Identifier: Apache-2.0
"""Filters and order of lists, stable at one revision through all pages."""
import contextlib
import datetime
import sqlite3
import time

import pytest

from harness.net import eventually
from harness.pki import Ca
from harness.world import ROOT

DAY = 86400


def walk(api, path="/v1/ssls", **query):
    """Ids over all pages."""
    ids, cursor, pages = [], None, 0
    while True:
        page = api.get(path, **query, **({"cursor": cursor} if cursor else {})).expect(200).json
        ids += [item["id"] for item in page["items"]]
        cursor, pages = page["next"], pages + 1
        assert pages < 100
        if cursor is None:
            return ids


@pytest.fixture(scope="module")
def other_ca():
    return Ca("Other CA, Inc.")


@pytest.fixture(scope="module")
def store(shared_api, ca, other_ca):
    """{id: document} of a small fleet."""
    documents = {
        "exact": {**ca.issue("www.a.test", days=10).ssl("www.a.test"), "labels": {"team": "a", "env": "prod"}},
        "wild": {**ca.issue("*.a.test", days=40, key="rsa2048").ssl("*.a.test"), "labels": {"team": "a", "env": "test"}},
        "star": {**ca.issue("any.test", days=80).ssl("*"), "labels": {"team": "b"}},
        "deep": {**other_ca.issue("x.www.a.test", days=20).ssl("x.www.a.test"), "status": 0},
        "both": {**ca.issue("b.test", "www.a.test", days=30, key="p384").ssl("b.test", "www.a.test"), "labels": {"team": "b", "env": "prod"}},
        "origin": {**ca.issue("client.test", days=60, usage="client").ssl(), "type": "client", "labels": {"env": "prod"}},
    }
    documents["origin"].pop("sni", None), documents["origin"].pop("snis", None)
    for name, document in documents.items():
        # A first state that says something else: history must not be found.
        shared_api.put(f"/v1/ssls/{name}", {**ca.issue("before.test", days=5).ssl("before.test"), "labels": {"team": "old"}}).expect(201)
        if document.get("type") == "client":
            shared_api.delete(f"/v1/ssls/{name}").expect(200)
        shared_api.put(f"/v1/ssls/{name}", document).expect(200, 201)
    return {name: shared_api.get(f"/v1/ssls/{name}").expect(200).json for name in documents}


@pytest.mark.parametrize("limit", [1, 2, 100])
@pytest.mark.parametrize("query,expected", [
    ({"sni": "www.a.test"}, ["both", "exact", "star", "wild"]),
    ({"sni": "WWW.A.test."}, ["both", "exact", "star", "wild"]),
    ({"sni": "other.a.test"}, ["star", "wild"]),
    ({"sni": "x.www.a.test"}, ["deep", "star"]),
    ({"sni": "b.test"}, ["both", "star"]),
    ({"sni": "*.a.test"}, ["star", "wild"]),
    ({"sni": "before.test"}, ["star"]),
    ({"label": "team"}, ["both", "exact", "star", "wild"]),
    ({"label": "team=a"}, ["exact", "wild"]),
    ({"label": "team=old"}, []),
    ({"label": "team="}, []),
    ({"type": "client"}, ["origin"]),
    ({"type": "server", "label": "env=prod"}, ["both", "exact"]),
    ({"status": "0"}, ["deep"]),
    ({"status": "1", "sni": "x.www.a.test"}, ["star"]),
    ({"expires_before": "25d"}, ["deep", "exact"]),
    ({"expires_before": "6d"}, []),
    ({"expires_before": "1"}, []),
    ({"key_type": "rsa"}, ["wild"]),
    ({"key_type": "rsa-2048"}, ["wild"]),
    ({"key_type": "RSA-4096"}, []),
    ({"key_type": "p384"}, ["both"]),
    ({"key_type": "p256"}, ["deep", "exact", "origin", "star"]),
    ({"key_type": "ed25519"}, []),
    ({"issuer": "Other CA, Inc."}, ["deep"]),
    ({"issuer": "Nobody"}, []),
    ({"sort": "id"}, ["both", "deep", "exact", "origin", "star", "wild"]),
    ({"sort": "expiry"}, ["exact", "deep", "both", "wild", "origin", "star"]),
    ({"sort": "-expiry"}, ["star", "origin", "wild", "both", "deep", "exact"]),
    ({"sort": "expiry", "label": "env=prod"}, ["exact", "both", "origin"]),
    ({"sort": "-expiry", "label": "env=prod"}, ["origin", "both", "exact"]),
    ({"sort": "expiry", "expires_before": "45d"}, ["exact", "deep", "both", "wild"]),
    ({"sort": "-expiry", "expires_before": "45d"}, ["wild", "both", "deep", "exact"]),
    ({"sort": "expiry", "expires_before": "45d", "status": "1"}, ["exact", "both", "wild"]),
    ({"sni": "www.a.test", "label": "team=b", "sort": "expiry"}, ["both", "star"]),
])
def test_filters(shared_api, store, query, expected, limit):
    assert walk(shared_api, limit=limit, **query) == expected


def test_several_labels_must_all_hold(shared_api, store):
    assert [i["id"] for i in shared_api.get("/v1/ssls?label=team%3Da&label=env%3Dprod").expect(200).json["items"]] == ["exact"]
    assert shared_api.get("/v1/ssls?label=team%3Da&label=team%3Db").expect(200).json["items"] == []
    assert shared_api.get("/v1/ssls?" + "&".join(["label=x"] * 9)).status == 400


def test_fingerprints_and_issuers_as_shown(shared_api, store):
    for name, document in store.items():
        x509 = document["x509"]
        colons = ":".join(x509["sha256"][i:i + 2] for i in range(0, 64, 2)).upper()
        for text in (x509["sha256"], colons, x509["spki_sha256"], x509["spki_sha256"].upper()):
            assert walk(shared_api, fingerprint=text) == [name]
        assert name in walk(shared_api, issuer=x509["issuer"])
    assert walk(shared_api, fingerprint="00" * 32) == []


def test_times_in_all_spellings(shared_api, store):
    at = int(time.time()) + 25 * DAY
    stamp = datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    for text in (at, stamp, "25d"):
        assert walk(shared_api, expires_before=text) == ["deep", "exact"]


@pytest.mark.parametrize("query", [
    {"sni": ""}, {"sni": "a b"}, {"label": ""}, {"label": "=x"}, {"type": "both"}, {"status": "2"}, {"expires_before": "soon"},
    {"expires_before": "d"}, {"issuer": ""}, {"fingerprint": "abc"}, {"fingerprint": "g" * 64}, {"fingerprint": "00" * 33}, {"key_type": "dsa"},
    {"key_type": "rsa-x"}, {"sort": "name"}, {"sort": "expiry", "cursor": "1-1-shop"}, {"colour": "red"}])
def test_bad_filters(shared_api, query):
    assert shared_api.get("/v1/ssls", **query).status == 400, query


def test_filters_of_other_kinds(shared_api):
    for name, labels, status in (("u1", {"dc": "x"}, 1), ("u2", {"dc": "y"}, 1), ("u3", {"dc": "x"}, 0)):
        shared_api.put(f"/v1/upstreams/{name}", {"nodes": {"127.0.0.1:9": 1}, "labels": labels, "status": status}).expect(200, 201)
    assert walk(shared_api, "/v1/upstreams", label="dc=x") == ["u1", "u3"]
    assert walk(shared_api, "/v1/upstreams", label="dc=x", status="1") == ["u1"]
    assert walk(shared_api, "/v1/upstreams", label="dc", limit=1) == ["u1", "u2", "u3"]
    assert shared_api.get("/v1/upstreams", sni="x").status == 400
    made = shared_api.post("/v1/join_tokens", {"labels": {"site": "north"}}).expect(201).json["id"]
    assert walk(shared_api, "/v1/join_tokens", label="site=north") == [made]


def test_total_is_of_the_kind(shared_api, store):
    assert shared_api.get("/v1/ssls").expect(200).json["total"] == len(store)
    assert shared_api.get("/v1/ssls", sort="expiry").expect(200).json["total"] == len(store)
    assert "total" not in shared_api.get("/v1/ssls", label="team").expect(200).json


def test_head_is_get_without_a_body(shared_api, store):
    for query in ({}, {"label": "team"}, {"sort": "expiry", "limit": 2}, {"sni": "www.a.test"}):
        get, head = shared_api.get("/v1/ssls", **query).expect(200), shared_api.call("HEAD", "/v1/ssls", **query).expect(200)
        assert head.body == b"" and head.headers["Content-Length"] == get.headers["Content-Length"] == str(len(get.body))
    assert shared_api.call("HEAD", "/v1/ssls", sort="name").status == 400


def test_agents_by_label(world, controlplane):
    agent = world.agent(controlplane, labels={"site": "x", "rack": "7"})
    api = controlplane.api
    assert walk(api, "/v1/agents", label="rack=7") == [agent.id]
    api.patch(f"/v1/agents/{agent.id}", {"labels": {"rack": "8"}}).expect(200)
    assert walk(api, "/v1/agents", label="rack=7") == [] and walk(api, "/v1/agents", label="rack=8") == [agent.id]


def test_a_list_is_of_one_moment(api, ca):
    """Whatever happens between two pages."""
    for i in range(6):
        api.put(f"/v1/ssls/s{i}", {**ca.issue(f"s{i}.test", days=10 + i).ssl(f"s{i}.test"), "labels": {"n": "1"}}).expect(201)
    queries = ({"label": "n=1"}, {"sort": "expiry"}, {"sort": "-expiry"}, {"expires_before": "200d"}, {"label": "n=1", "sort": "expiry"})
    first = [(query, api.get("/v1/ssls", limit=2, **query).expect(200).json) for query in queries]
    api.delete("/v1/ssls/s3").expect(200)
    api.put("/v1/ssls/s2", {**ca.issue("s2.test", days=99).ssl("s2.test"), "labels": {"n": "2"}}).expect(200)
    api.put("/v1/ssls/s1b", {**ca.issue("s1b.test", days=12).ssl("s1b.test"), "labels": {"n": "1"}}).expect(201)
    for query, page in first:
        ids = [item["id"] for item in page["items"]]
        while page["next"]:
            page = api.get("/v1/ssls", limit=2, cursor=page["next"], **query).expect(200).json
            ids += [item["id"] for item in page["items"]]
        expected = [f"s{i}" for i in range(6)]
        assert ids == (expected[::-1] if query.get("sort") == "-expiry" else expected), query
    assert walk(api, label="n=1") == ["s0", "s1", "s1b", "s4", "s5"]


def test_many_match(api, ca):
    """More than are gathered and sorted at once: the list walks along the index instead, and is the same."""
    pair = ca.issue("many.test", days=50).ssl("many.test")
    late = ca.issue("late.test", days=70).ssl("late.test")
    put = [("ssls", f"m{i:04}", {**(late if i % 3 == 0 else pair), "labels": {"all": "1", "odd": str(i % 2)}}) for i in range(2400)]
    api.apply(put=put).expect(200)
    ids = [row[1] for row in put]
    by_expiry = [i for i in ids if int(i[1:]) % 3] + [i for i in ids if int(i[1:]) % 3 == 0]
    assert walk(api, label="all=1", limit=500) == ids
    assert walk(api, label="odd=1", limit=500) == ids[1::2]
    assert walk(api, label="all=1", sort="expiry", limit=500) == by_expiry
    assert walk(api, label="all=1", sort="-expiry", limit=500) == by_expiry[::-1]
    assert walk(api, label="odd=1", sort="expiry", limit=500) == [i for i in by_expiry if int(i[1:]) % 2]
    assert walk(api, expires_before="60d", limit=500) == [i for i in ids if int(i[1:]) % 3]
    assert walk(api, sni="late.test", label="odd=0", limit=500) == [i for i in ids if int(i[1:]) % 6 == 0]


def test_a_store_of_an_earlier_release_is_prepared(world, ca):
    """Its states get what they are found by in the background, in batches; a kill in between costs nothing."""
    controlplane = world.controlplane()
    pair = ca.issue("early.test", days=50).ssl("early.test")
    controlplane.api.apply(put=[("ssls", f"e{i:03}", {**pair, "labels": {"n": str(i % 2)}}) for i in range(600)]).expect(200)
    controlplane.api.patch("/v1/ssls/e001", {"labels": {"n": "7"}}).expect(200)
    assert controlplane.daemon.terminate() == 0
    with contextlib.closing(sqlite3.connect(controlplane.database)) as store, store:
        before = sorted(store.execute("SELECT * FROM facet"))
        store.execute("DELETE FROM facet")
        store.execute("UPDATE object SET facets = NULL")
        store.execute("DELETE FROM meta WHERE key IN ('facets_ready', 'facets_next')")
    controlplane.start()
    early = controlplane.api.get("/v1/ssls", label="n=7").expect(200, 503)
    if early.status == 503:
        assert early.headers["Retry-After"] == "5" and controlplane.api.get("/v1/ssls", limit=1).status == 200
    controlplane.kill()
    controlplane.start()
    deadline = time.monotonic() + 30
    while controlplane.api.get("/v1/ssls", label="n=7").status == 503 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert walk(controlplane.api, label="n=7") == ["e001"]
    assert len(walk(controlplane.api, sort="expiry", limit=500)) == 600
    assert controlplane.daemon.terminate() == 0
    with contextlib.closing(sqlite3.connect(controlplane.database)) as store:
        assert sorted(store.execute("SELECT * FROM facet")) == before


TABLES = ("meta", "revision", "object", "change", "tally", "selector", "ref", "name", "demand", "bind", "token", "audit", "agent_status",
          "ticket_key", "pattern", "anywhere")


def make_early(database):
    """The store as the migrations up to 0003 had it: what later ones brought is not there."""
    early = database.with_name("early.db")
    with contextlib.closing(sqlite3.connect(early)) as store, store:
        for migration in sorted((ROOT / "schema" / "sql").glob("000[123]-*.sql")):
            store.executescript(migration.read_text())
        store.execute("PRAGMA user_version = 3")
        store.execute("ATTACH ? AS new", (str(database),))
        fingerprint = store.execute("SELECT fingerprint FROM new.sealing_key").fetchone()[0]
        for table in TABLES:
            columns = ", ".join(row[1] for row in store.execute(f"PRAGMA main.table_info({table})"))
            store.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM new.{table}")
        store.execute("DELETE FROM main.meta WHERE key LIKE 'facets%' OR key LIKE 'history%'")
        store.execute("INSERT INTO main.meta VALUES ('keyring', ?)", (fingerprint,))
    for path in database.parent.glob(database.name + "*"):
        path.unlink()
    early.rename(database)


def test_a_store_of_the_first_release_opens(world, ca):
    """Everything in it is found, and its history is there with its keys."""
    controlplane = world.controlplane()
    pair = ca.issue("first.test", days=20)
    before = controlplane.api.put("/v1/ssls/first", {**pair.ssl("first.test"), "labels": {"n": "1"}}).expect(201).headers["Tlsplane-Revision"]
    controlplane.api.put("/v1/ssls/first", {**ca.issue("second.test", days=50).ssl("second.test"), "labels": {"n": "2"}}).expect(200)
    controlplane.api.put("/v1/upstreams/u", {"nodes": {"127.0.0.1:9": 1}, "labels": {"n": "2"}}).expect(201)
    assert controlplane.daemon.terminate() == 0
    make_early(controlplane.database)
    controlplane.start()
    api = controlplane.api
    eventually(lambda: api.get("/v1/ssls", label="n=2").status == 200, "filters are ready")
    assert walk(api, label="n=2") == walk(api, sni="second.test") == walk(api, expires_before="51d") == ["first"]
    assert walk(api, label="n=1") == walk(api, sni="first.test") == walk(api, expires_before="21d") == []
    assert walk(api, "/v1/upstreams", label="n=2") == ["u"]
    api.post(f"/v1/revisions/{before}/rollback", {"objects": [{"kind": "ssls", "id": "first"}]}).expect(200)
    assert walk(api, label="n=1") == walk(api, fingerprint=pair.sha256) == ["first"]
    api.delete("/v1/ssls/first", purge="keys").expect(200)
