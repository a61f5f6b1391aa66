# SPDX-License-Identifier: Apache-2.0
"""History: one revision whole, the difference of any two, and going back to one: keys are shown nowhere and come back."""
import pytest

from harness.tls import leaf
from harness.world import serve

FIELDS = ("id", "uid", "version", "create_time", "update_time", "x509", "warnings")


def plain(document):
    return {k: v for k, v in document.items() if k not in FIELDS}


def number(answer):
    return int(answer.headers["Tlsplane-Revision"].split("-")[1])


def upstream(port):
    return {"nodes": {f"127.0.0.1:{port}": 1}}


def walk(api, path, **query):
    """All items over all pages."""
    items, cursor = [], None
    while True:
        page = api.get(path, **query, **({"cursor": cursor} if cursor else {})).expect(200).json
        items += page.get("items") or page.get("changes") or []
        cursor = page["next"]
        if cursor is None:
            return items


# One revision -----------------------------------------------------------------------------------------------------------------


def test_a_revision_tells_what_it_changed(api):
    old = api.put("/v1/upstreams/gone", upstream(1)).expect(201)
    kept = api.put("/v1/upstreams/kept", upstream(1)).expect(201)
    done = api.apply(put=[("upstreams", "kept", upstream(2)), ("upstreams", "new", upstream(3))], delete=[("upstreams", "gone")]).expect(200)
    whole = api.get(f"/v1/revisions/{done.json['revision']}").expect(200).json
    assert whole["actor"] == "admin" and whole["changes_total"] == 3 and whole["next"] is None
    made = f'"{done.json["revision"]}"'
    assert {(c["op"], c["kind"], c["id"], c["before"], c["after"]) for c in whole["changes"]} == {
        ("delete", "upstreams", "gone", old.etag, None),
        ("update", "upstreams", "kept", kept.etag, made),
        ("create", "upstreams", "new", None, made)}
    # The number alone names it too; another epoch does not.
    assert api.get(f"/v1/revisions/{number(done)}").expect(200).json == whole
    assert api.get(f"/v1/revisions/7-{number(done)}").status == 404
    assert api.get("/v1/revisions/99999").status == 404


def test_a_large_revision_comes_in_pages(api):
    done = api.apply(put=[("upstreams", f"u{i:03}", upstream(i + 1)) for i in range(25)]).expect(200)
    items = walk(api, f"/v1/revisions/{number(done)}", limit=10)
    assert [c["id"] for c in items] == [f"u{i:03}" for i in range(25)]
    page = api.get(f"/v1/revisions/{number(done)}", limit=10).expect(200).json
    assert len(page["changes"]) == 10 and page["changes_total"] == 25


def test_the_history_of_one_object_and_of_one_actor(api):
    expected = []
    for port in (1, 2, 3):
        expected.append(api.put("/v1/upstreams/mine", upstream(port)).headers["Tlsplane-Revision"])
        api.put("/v1/upstreams/other", upstream(port)).expect(200, 201)
    expected.append(api.delete("/v1/upstreams/mine").expect(200).headers["Tlsplane-Revision"])
    api.put("/v1/upstreams/other", upstream(9)).expect(200)
    expected.append(api.put("/v1/upstreams/mine", upstream(1)).expect(201).headers["Tlsplane-Revision"])
    for limit in (1, 2, 100):
        found = [r["revision"] for r in walk(api, "/v1/revisions", kind="upstreams", id="mine", limit=limit)]
        assert found == expected[::-1], limit
    assert walk(api, "/v1/revisions", kind="upstreams", id="never") == []
    everything = walk(api, "/v1/revisions", limit=3)
    assert walk(api, "/v1/revisions", actor="admin", limit=3) == [r for r in everything if r["actor"] == "admin"]
    assert len(everything) > len(walk(api, "/v1/revisions", actor="admin"))  # the presets are nobody's
    assert walk(api, "/v1/revisions", actor="nobody") == []
    for bad in ({"kind": "upstreams"}, {"id": "mine"}, {"kind": "colours", "id": "x"}, {"wait": "3s"}, {"after": "x"},
                {"after": 1, "kind": "upstreams", "id": "mine"}, {"after": 1, "wait": "301"}, {"after": 1, "wait": "s"}):
        assert api.get("/v1/revisions", **bad).status == 400, bad


# Differences ------------------------------------------------------------------------------------------------------------------


def test_diff_of_any_two(api, ca):
    first, second = ca.issue("diff.test"), ca.issue("diff.test")
    start = number(api.put("/v1/ssls/diff", first.ssl("diff.test")).expect(201))
    api.put("/v1/upstreams/here-and-gone", upstream(1)).expect(201)
    api.delete("/v1/upstreams/here-and-gone").expect(200)
    api.put("/v1/upstreams/new", upstream(1)).expect(201)
    api.put("/v1/upstreams/back", upstream(1)).expect(201)
    middle = number(api.put("/v1/ssls/diff", second.ssl("diff.test")).expect(200))
    api.put("/v1/upstreams/back", upstream(2)).expect(200)
    end = number(api.put("/v1/upstreams/back", upstream(1)).expect(200))

    diff = {item["id"]: item for item in walk(api, f"/v1/revisions/{end}/diff", against=start, limit=1)}
    assert {i: d["op"] for i, d in diff.items()} == {"diff": "update", "new": "create", "back": "create"}
    before, after = diff["diff"]["before"], diff["diff"]["after"]
    assert first.spki_sha256 in str(before) and second.spki_sha256 in str(after)
    assert after == api.get("/v1/ssls/diff").expect(200).json
    for item in diff.values():
        assert "PRIVATE" not in str(item) and "key" not in (item["after"] or {})

    # Backwards it is the mirror image, and what only changed back is no difference.
    mirror = {item["id"]: item for item in walk(api, f"/v1/revisions/{start}/diff", against=end)}
    assert {i: d["op"] for i, d in mirror.items()} == {"diff": "update", "new": "delete", "back": "delete"}
    assert mirror["diff"]["before"] == after and mirror["diff"]["after"] == before
    assert [d["id"] for d in walk(api, f"/v1/revisions/{end}/diff", against=middle)] == []
    assert walk(api, f"/v1/revisions/{end}/diff", against=end) == []

    # By default against the one before; against 0 everything was made.
    assert [d["id"] for d in walk(api, f"/v1/revisions/{middle}/diff")] == ["diff"]
    assert {d["op"] for d in walk(api, f"/v1/revisions/{end}/diff", against=0)} == {"create"}
    assert api.get(f"/v1/revisions/{end}/diff", against=99999).status == 404
    assert api.get("/v1/revisions/99999/diff").status == 404
    assert api.get(f"/v1/revisions/{end}/diff", against="x").status == 400
    assert api.get(f"/v1/revisions/{end}/diff", cursor="1-1-5").status == 400


def test_a_diff_tells_every_kind(api, world, controlplane):
    start = number(api.get("/v1/revisions"))
    agent = world.agent(controlplane, labels={"site": "x"})
    diff = walk(api, f"/v1/revisions/{number(api.get('/v1/revisions'))}/diff", against=start)
    assert {d["kind"] for d in diff} == {"agents", "join_tokens"}
    assert next(d for d in diff if d["kind"] == "agents")["id"] == agent.id


# Rolling back -----------------------------------------------------------------------------------------------------------------


def rollback(api, revision, body=None, **query):
    return api.post(f"/v1/revisions/{revision}/rollback", body, **query)


def test_rollback_brings_everything_back(api, world, controlplane, agent, backend, ca):
    pair = ca.issue("back.test")
    port = serve(controlplane, backend)
    api.put_acked("/v1/ssls/back", {**pair.ssl("back.test"), "labels": {"team": "a"}, "desc": "first"})
    api.put("/v1/tls_options/strict", {"min_version": "TLSv1.3"}).expect(201)
    good = api.put("/v1/ssls/uses", {**ca.issue("uses.test").ssl("uses.test"), "tls_options": "strict"}).expect(201)
    target = number(good)
    wanted = {path: plain(api.get(path).expect(200).json) for path in ("/v1/ssls/back", "/v1/ssls/uses", "/v1/tls_options/strict", "/v1/listeners/main")}
    before = api.get("/v1/ssls/back").json

    api.put("/v1/ssls/back", ca.issue("back.test").ssl("back.test", "more.test")).expect(200)
    api.delete("/v1/ssls/uses").expect(200)
    api.delete("/v1/tls_options/strict").expect(200)
    api.put("/v1/upstreams/extra", upstream(1)).expect(201)
    api.patch(f"/v1/agents/{agent.id}", {"labels": {"kept": "yes"}}).expect(200)

    done = rollback(api, target, wait="acked", timeout=20).expect(200).json
    assert done["changed"] and done["wait"]["state"] == "acked"
    for path, document in wanted.items():
        assert plain(api.get(path).expect(200).json) == document, path
    assert api.get("/v1/upstreams/extra").status == 404
    assert api.get(f"/v1/agents/{agent.id}").json["labels"] == {"kept": "yes"}  # agents are no configuration
    assert leaf(port, "back.test") == pair.sha256
    # What stayed keeps its age, what was deleted comes back as a new object.
    assert api.get("/v1/ssls/back").json["uid"] == before["uid"]
    assert api.get("/v1/ssls/uses").json["uid"] != good.json["uid"]

    revision = api.get(f"/v1/revisions/{done['revision']}").expect(200).json
    assert revision["summary"].startswith(f"rollback to {target}: ") and revision["changes_total"] == 4
    # Nothing is left to change; that is no error and no revision.
    again = rollback(api, target).expect(200).json
    assert not again["changed"] and again["revision"] == done["revision"]
    for secret in (pair.key_pem,):
        assert all(secret.encode() not in answer for answer in world.transcript)


def test_rollback_of_some_objects(api):
    target = number(api.apply(put=[("upstreams", "a", upstream(1)), ("upstreams", "b", upstream(1))]).expect(200))
    api.apply(put=[("upstreams", "a", upstream(2)), ("upstreams", "b", upstream(2)), ("upstreams", "c", upstream(2))]).expect(200)
    rollback(api, target, {"objects": [{"kind": "upstreams", "id": "a"}, {"kind": "upstreams", "id": "c"}]}).expect(200)
    assert api.get("/v1/upstreams/a").json["nodes"] == upstream(1)["nodes"]
    assert api.get("/v1/upstreams/b").json["nodes"] == upstream(2)["nodes"]
    assert api.get("/v1/upstreams/c").status == 404

    unknown = rollback(api, target, {"objects": [{"kind": "upstreams", "id": "b"}, {"kind": "upstreams", "id": "never"}]}).expect(422)
    assert unknown.codes == ["not-found"] and unknown.pointers == ["/objects/1"]
    assert rollback(api, target, {"objects": [{"kind": "tls_options", "id": "modern"}]}).expect(409).codes == ["read-only"]
    twice = rollback(api, target, {"objects": [{"kind": "upstreams", "id": "b"}] * 2}).expect(422)
    assert twice.codes == ["duplicate"]
    for bad, pointer in (({"objects": []}, "/objects"), ({"object": []}, ""), ([], ""), ({"objects": ["b"]}, "/objects/0"),
                         ({"objects": [{"kind": "agents", "id": "x"}]}, "/objects/0/kind"), ({"objects": [{"kind": "ssls"}]}, "/objects/0/id"),
                         ({"objects": [{"kind": "ssls", "id": "x", "value": 1}]}, "/objects/0"),
                         ({"objects": [{"kind": "ssls", "id": f"x{i}"} for i in range(1001)]}, "/objects")):
        assert pointer in rollback(api, target, bad).expect(422).pointers, bad
    assert rollback(api, target, {"objects": [0] * 200000}).status == 413
    assert api.get("/v1/upstreams/b").json["nodes"] == upstream(2)["nodes"]


def test_rollback_keeps_the_rules(api, ca):
    """The state then was good, but who stays would be left alone."""
    target = number(api.put("/v1/upstreams/web", upstream(1)).expect(201))
    api.put("/v1/tls_options/later", {"min_version": "TLSv1.3"}).expect(201)
    api.put("/v1/ssls/later", {**ca.issue("later.test").ssl("later.test"), "tls_options": "later"}).expect(201)
    refused = rollback(api, target, {"objects": [{"kind": "tls_options", "id": "later"}]}).expect(409)
    assert refused.codes == ["referenced"] and api.get("/v1/tls_options/later").status == 200
    rollback(api, target).expect(200)
    assert api.get("/v1/tls_options/later").status == 404


def test_rollback_takes_conditions_and_strictness(api, ca):
    target = number(api.put("/v1/ssls/short", ca.issue("short.test", days=-1, starts=-10).ssl("short.test")).expect(201))
    head = api.put("/v1/ssls/short", ca.issue("short.test").ssl("short.test")).expect(200).headers["Tlsplane-Revision"]
    path = f"/v1/revisions/{target}/rollback"
    assert api.post(path, headers={"If-Match": '"1-1"'}).status == 412
    assert api.post(path, headers={"If-None-Match": "*"}).status == 400
    refused = api.post(path, strict=True).expect(422)
    assert "expired" in refused.codes and "/ssls/short/cert" in refused.pointers
    assert api.get("/v1/revisions").headers["Tlsplane-Revision"] == head
    done = api.post(path, headers={"If-Match": f'"{head}"'}).expect(200).json
    assert done["changed"] and any(w["code"] == "expired" for w in done["warnings"])
    assert api.post("/v1/revisions/0/rollback").status == 404
    assert api.post("/v1/revisions/999/rollback").status == 404
    assert api.post("/v1/revisions/x/rollback").status == 400
    assert api.post(f"/v1/revisions/9-{target}/rollback").status == 404


def test_rollback_restores_age_and_warns_of_ranking(api, ca):
    """Among equals the younger wins. Two that were deleted keep their order; one that stayed is older now than one that comes back."""
    for name in ("old", "middle", "young"):
        api.put(f"/v1/ssls/{name}", ca.issue("rank.test").ssl("rank.test")).expect(201)
    target = number(api.get("/v1/revisions"))
    api.delete("/v1/ssls/young").expect(200)
    api.delete("/v1/ssls/old").expect(200)
    done = rollback(api, target).expect(200).json
    uids = {name: api.get(f"/v1/ssls/{name}").json["uid"] for name in ("old", "middle", "young")}
    assert uids["middle"] < uids["old"] < uids["young"]
    ranking = [w for w in done["warnings"] if w["code"] == "ranking"]
    assert [w["pointer"] for w in ranking] == ["/ssls/old"] and "ssls/middle" in ranking[0]["detail"]

    api.delete("/v1/ssls/old").expect(200)
    refused = rollback(api, target, strict=True).expect(422)
    assert "ranking" in refused.codes


def test_rollback_survives_a_restart_and_a_key_comes_back_unseen(world, ca):
    controlplane = world.controlplane()
    pair = ca.issue("sealed.test")
    target = number(controlplane.api.put("/v1/ssls/sealed", pair.ssl("sealed.test")).expect(201))
    controlplane.api.delete("/v1/ssls/sealed").expect(200)
    controlplane.restart()
    rollback(controlplane.api, target).expect(200)
    # The key is there again: a PUT of what GET answers takes it.
    document = plain(controlplane.api.get("/v1/ssls/sealed").expect(200).json)
    controlplane.api.put("/v1/ssls/sealed", {**document, "desc": "kept"}).expect(200)


@pytest.mark.parametrize("kind", ["ssls", "tls_options", "listeners", "upstreams", "ca_bundles", "routes", "upstream_tls"])
def test_every_kind_goes_back(shared_api, ca, kind):
    api = shared_api
    api.put("/v1/upstreams/rolled", upstream(1)).expect(200, 201)
    first, second = {
        "ssls": lambda: (ca.issue("k.test").ssl("k.test"), ca.issue("k.test").ssl("k.test")),
        "tls_options": lambda: ({"min_version": "TLSv1.2"}, {"min_version": "TLSv1.3", "status": 0}),
        "listeners": lambda: ({"bind": "127.0.0.1:21987", "upstream": "rolled"}, {"bind": "127.0.0.1:21988", "upstream": "rolled", "selector": {"a": "b"}}),
        "upstreams": lambda: (upstream(7), upstream(8)),
        "ca_bundles": lambda: ({"certs": ca.cert_pem}, {"certs": ca.cert_pem, "desc": "other", "labels": {"a": "b"}}),
        "routes": lambda: ({"snis": ["k.test"], "upstream": "rolled"}, {"snis": ["*.k.test"], "upstream": "rolled", "priority": 3}),
        "upstream_tls": lambda: ({"server_name": "k.test"}, {"server_name": "l.test"}),
    }[kind]()
    one = number(api.put(f"/v1/{kind}/rolled-{kind[:3]}", first).expect(201))
    document = plain(api.get(f"/v1/{kind}/rolled-{kind[:3]}").json)
    two = number(api.put(f"/v1/{kind}/rolled-{kind[:3]}", second).expect(200))
    other = plain(api.get(f"/v1/{kind}/rolled-{kind[:3]}").json)
    api.delete(f"/v1/{kind}/rolled-{kind[:3]}").expect(200)
    for target, wanted in ((one, document), (two, other), (one, document)):
        rollback(api, target, {"objects": [{"kind": kind, "id": f"rolled-{kind[:3]}"}]}).expect(200)
        assert plain(api.get(f"/v1/{kind}/rolled-{kind[:3]}").expect(200).json) == wanted
    api.delete(f"/v1/{kind}/rolled-{kind[:3]}").expect(200)
