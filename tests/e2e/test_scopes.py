# SPDX-License-Identifier: Apache-2.0
"""Tokens confined to names, to labels, or to both: what they may write, what they see, and that nothing of others shows."""
import json

import pytest

from harness.world import serve

OUTSIDE = "outside-scope"


@pytest.fixture(scope="module")
def teams(shared_api, ca):
    """Objects of two teams, and tokens of all sorts."""
    for team in ("a", "b"):
        shared_api.put(f"/v1/ssls/{team}-1", ca.issue(f"x.team-{team}.example").ssl(f"x.team-{team}.example", labels={"team": team})).expect(201)
    shared_api.put("/v1/ssls/mixed", ca.issue("y.team-a.example", "y.team-b.example").ssl("y.team-a.example", "y.team-b.example")).expect(201)
    shared_api.put("/v1/tls_options/strict", {"min_version": "TLSv1.3"}).expect(201)
    made = {
        "names": shared_api.as_role("editor", scope={"sni_suffixes": ["*.team-a.example"]}),
        "whole": shared_api.as_role("editor", scope={"sni_suffixes": ["team-a.example", "other.example"]}),
        "labels": shared_api.as_role("editor", scope={"labels": {"team": "a"}}),
        "both": shared_api.as_role("editor", scope={"sni_suffixes": ["*.team-a.example"], "labels": {"team": "a"}}),
        "viewer": shared_api.as_role("viewer", scope={"sni_suffixes": ["*.team-a.example"]}),
    }
    return made


def refused(answer, *pointers):
    assert answer.status == 403 and set(answer.codes) == {OUTSIDE} and (not pointers or set(answer.pointers) == set(pointers)), answer


class TestNames:
    @pytest.mark.parametrize("who,name,inside", [
        ("names", "new.team-a.example", True), ("names", "deep.new.team-a.example", True), ("names", "*.team-a.example", True),
        ("names", "*.new.team-a.example", True), ("names", "NEW.Team-A.example.", True), ("names", "team-a.example", False),
        ("names", "xteam-a.example", False), ("names", "x.team-a.example.evil.test", False), ("names", "example", False), ("names", "*", False),
        ("names", "*.example", False), ("names", "team-b.example", False), ("whole", "team-a.example", True), ("whole", "x.team-a.example", True),
        ("whole", "*.team-a.example", True), ("whole", "a.other.example", True), ("whole", "xteam-a.example", False), ("whole", "*", False)])
    def test_written_and_read(self, shared_api, teams, ca, who, name, inside):
        answer = teams[who].put("/v1/ssls/tried", ca.issue(name if name != "*" else "star.test").ssl(name))
        if inside:
            answer.expect(201)
            teams[who].get("/v1/ssls/tried").expect(200)
            teams[who].delete("/v1/ssls/tried").expect(200)
        else:
            refused(answer, "/sni")
            assert shared_api.get("/v1/ssls/tried").status == 404

    def test_each_name_is_pointed_at(self, teams, ca):
        names = ["a.team-a.example", "b.team-b.example", "c.team-a.example", "d.test"]
        refused(teams["names"].put("/v1/ssls/tried", ca.issue(*names).ssl(*names)), "/snis/1", "/snis/3")

    def test_before_and_after(self, shared_api, teams, ca):
        """What is not mine does not become mine, and what is mine is not given away."""
        mine = ca.issue("x.team-a.example", "x.team-b.example")
        refused(teams["names"].put("/v1/ssls/b-1", mine.ssl("x.team-a.example")), "")
        refused(teams["names"].put("/v1/ssls/mixed", mine.ssl("x.team-a.example")), "")
        refused(teams["names"].put("/v1/ssls/a-1", mine.ssl("x.team-b.example")), "/sni")
        refused(teams["names"].patch("/v1/ssls/a-1", {"sni": "x.team-b.example"}), "/sni")
        refused(teams["names"].patch("/v1/ssls/a-1", {"sni": None, "snis": ["x.team-a.example", "x.team-b.example"]}), "/snis/1")
        assert shared_api.get("/v1/ssls/a-1").json["sni"] == "x.team-a.example"

    def test_outside_looks_the_same_whether_it_is_there_or_not(self, teams, ca):
        """Of ids that are taken by others and ids that are free, all that could tell is the answer; it doesn't."""
        def shapes(identity):
            path = f"/v1/ssls/{identity}"
            answers = [teams["names"].get(path), teams["names"].delete(path), teams["names"].patch(path, {"desc": "x"}),
                       teams["names"].put(path, ca.issue("n.team-a.example").ssl("n.team-a.example"), headers={"If-Match": "*"}),
                       teams["names"].put(path, ca.issue("n.test").ssl("n.test"))]
            return [(answer.status, answer.etag, {**answer.json, "instance": None, "detail": answer.json["detail"].replace(identity, "ID")})
                    for answer in answers]
        taken, free = shapes("b-1"), shapes("free")
        assert taken[:4] == free[:4] and [status for status, _, _ in taken] == [404, 403, 403, 403, 403]

    def test_client_objects_have_no_names(self, teams, ca):
        pair = ca.issue("client", usage="client")
        refused(teams["names"].put("/v1/ssls/client", {"type": "client", "cert": pair.cert_pem, "key": pair.key_pem}), "/snis")
        refused(teams["both"].put("/v1/ssls/client", {"type": "client", "cert": pair.cert_pem, "key": pair.key_pem, "labels": {"team": "a"}}), "/snis")
        document = {"type": "client", "cert": pair.cert_pem, "key": pair.key_pem, "labels": {"team": "a"}}
        teams["labels"].put("/v1/ssls/client", document).expect(201)
        teams["labels"].delete("/v1/ssls/client").expect(200)

    def test_post(self, teams, ca):
        made = teams["names"].post("/v1/ssls", ca.issue("p.team-a.example").ssl("p.team-a.example")).expect(201)
        teams["names"].delete(made.headers["Location"]).expect(200)
        refused(teams["names"].post("/v1/ssls", ca.issue("p.test").ssl("p.test")), "/sni")


class TestLabels:
    def test_they_must_be_there(self, shared_api, teams, ca):
        pair = ca.issue("l.team-b.example")
        refused(teams["labels"].put("/v1/ssls/l", pair.ssl("l.team-b.example")), "/labels")
        refused(teams["labels"].put("/v1/ssls/l", pair.ssl("l.team-b.example", labels={"team": "b"})), "/labels")
        teams["labels"].put("/v1/ssls/l", pair.ssl("l.team-b.example", labels={"team": "a", "more": "x"})).expect(201)
        refused(teams["labels"].patch("/v1/ssls/l", {"labels": {"team": "b"}}), "/labels")
        refused(teams["labels"].patch("/v1/ssls/l", {"labels": None}), "/labels")
        teams["labels"].patch("/v1/ssls/l", {"desc": "mine"}).expect(200)
        refused(teams["both"].put("/v1/ssls/m", pair.ssl("l.team-b.example")), "/sni", "/labels")
        shared_api.patch("/v1/ssls/l", {"labels": {"team": "b"}}).expect(200)
        refused(teams["labels"].delete("/v1/ssls/l"), "")
        shared_api.delete("/v1/ssls/l").expect(200)


class TestReading:
    @pytest.mark.parametrize("who,ids", [("names", {"a-1"}), ("whole", {"a-1"}), ("labels", {"a-1"}), ("both", {"a-1"}), ("viewer", {"a-1"})])
    def test_lists(self, teams, who, ids):
        page = teams[who].get("/v1/ssls").expect(200).json
        assert {item["id"] for item in page["items"]} == ids and "total" not in page
        assert teams[who].get("/v1/ssls/mixed").status == 404

    def test_a_viewer_writes_nothing(self, teams, ca):
        assert teams["viewer"].put("/v1/ssls/a-1", ca.issue("x.team-a.example").ssl("x.team-a.example")).status == 403

    def test_pages(self, world, ca):
        api = world.controlplane().api
        pair = ca.issue("*.team-a.example")
        api.apply(put=[("ssls", f"o{i:03}", pair.ssl(f"n{i}.team-{'a' if i % 3 == 0 else 'b'}.example")) for i in range(60)]).expect(200)
        scoped, seen, cursor = api.as_role("viewer", scope={"sni_suffixes": ["team-a.example"]}), [], None
        while True:
            page = scoped.get("/v1/ssls", limit=7, **({"cursor": cursor} if cursor else {})).expect(200).json
            seen += [item["id"] for item in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert seen == [f"o{i:03}" for i in range(0, 60, 3)]


class TestApply:
    def test_item_by_item(self, shared_api, teams, ca):
        good, bad = ca.issue("g.team-a.example"), ca.issue("g.test")
        answer = teams["names"].apply(put=[("ssls", "g", good.ssl("g.team-a.example")), ("ssls", "h", bad.ssl("g.test")),
                                           ("upstreams", "u", {"nodes": {"127.0.0.1:9": 1}}), ("ssls", "b-1", good.ssl("g.team-a.example"))],
                                      delete=[("ssls", "mixed"), ("listeners", "nobody")])
        assert answer.status == 403 and {"/put/1/value/sni", "/put/2/value", "/delete/1"} <= set(answer.pointers), answer
        assert shared_api.get("/v1/ssls/g").status == 404
        answer = teams["names"].apply(put=[("ssls", "g", good.ssl("g.team-a.example")), ("ssls", "b-1", good.ssl("g.team-a.example"))],
                                      delete=[("ssls", "mixed")])
        assert answer.status == 403 and set(answer.pointers) == {"/put/1/value", "/delete/0"}, answer
        teams["names"].apply(put=[("ssls", "g", good.ssl("g.team-a.example"))]).expect(200)
        teams["names"].apply(delete=[("ssls", "g")]).expect(200)


class TestOthersStayHidden:
    def test_references(self, teams, ca):
        pair = ca.issue("r.team-a.example")
        teams["names"].put("/v1/ssls/r", pair.ssl("r.team-a.example", tls_options="strict")).expect(201)
        answer = teams["names"].put("/v1/ssls/r", pair.ssl("r.team-a.example", tls_options="nobody"))
        assert answer.status == 422 and answer.codes == ["reference-missing"]
        assert teams["names"].get("/v1/tls_options/strict").status == 403
        teams["names"].delete("/v1/ssls/r").expect(200)

    def test_overlap_names_nobody(self, shared_api, teams, ca):
        pair = ca.issue("shared.team-a.example")
        shared_api.put("/v1/ssls/secretproject", ca.issue("shared.team-a.example", "z.test").ssl("shared.team-a.example", "z.test")).expect(201)
        warned = teams["names"].put("/v1/ssls/o", pair.ssl("shared.team-a.example")).expect(201)
        assert "overlap" in [w["code"] for w in warned.json["warnings"]] and b"secretproject" not in warned.body
        strict = teams["names"].put("/v1/ssls/o2", pair.ssl("shared.team-a.example"), strict=True)
        assert strict.status == 422 and b"secretproject" not in strict.body
        told = shared_api.put("/v1/ssls/o3", pair.ssl("shared.team-a.example")).expect(201)
        assert b"secretproject" in told.body, "who may see it is told"
        for identity in ("o", "o3", "secretproject"):
            shared_api.delete(f"/v1/ssls/{identity}").expect(200)

    def test_referenced_names_nobody(self, shared_api, teams, ca):
        pair = ca.issue("d.team-a.example")
        teams["names"].put("/v1/ssls/d", pair.ssl("d.team-a.example")).expect(201)
        shared_api.put("/v1/tls_options/hiddenoptions", {"default_ssl": "d"}).expect(201)
        answer = teams["names"].delete("/v1/ssls/d")
        assert answer.status == 409 and b"hiddenoptions" not in answer.body, answer
        assert b"hiddenoptions" in shared_api.delete("/v1/ssls/d").body
        shared_api.delete("/v1/tls_options/hiddenoptions").expect(200)
        shared_api.delete("/v1/ssls/d").expect(200)

    def test_agents_are_counted_and_not_named(self, world, controlplane, api, ca):
        agent = world.agent(controlplane)
        serve(controlplane, world.backend())
        scoped = api.as_role("editor", scope={"sni_suffixes": ["team-a.example"]})
        answer = scoped.put("/v1/ssls/w", ca.issue("w.team-a.example").ssl("w.team-a.example"), wait="acked").expect(201)
        assert answer.json["wait"]["state"] == "acked" and agent.id.encode() not in answer.body, answer
        assert agent.id.encode() in api.put("/v1/ssls/v", ca.issue("v.test").ssl("v.test"), wait="acked").expect(201).body
        agent.daemon.process.send_signal(19)
        try:
            answer = scoped.put("/v1/ssls/w", ca.issue("w.team-a.example").ssl("w.team-a.example"), wait="acked", timeout=1)
        finally:
            agent.daemon.process.send_signal(18)
        assert answer.status == 504 and agent.id.encode() not in answer.body, answer
        assert json.loads(answer.body)["agents"], answer


def test_revoked_while_it_waits(world, controlplane, api, ca):
    """The write stands, but whoever has lost the token is told nothing of the agents."""
    import threading
    agent = world.agent(controlplane)
    serve(controlplane, world.backend())
    waiter = api.as_role("editor", id="waiter")
    agent.daemon.process.send_signal(19)
    answers = []
    try:
        thread = threading.Thread(target=lambda: answers.append(
            waiter.put("/v1/ssls/w", ca.issue("w.test").ssl("w.test"), wait="acked", timeout=3)))
        thread.start()
        from harness.net import eventually
        eventually(lambda: api.get("/v1/ssls/w").status == 200, "the write is in")
        api.delete("/v1/tokens/waiter").expect(200)
        thread.join(20)
    finally:
        agent.daemon.process.send_signal(18)
    assert answers[0].status == 401, answers
    api.get("/v1/ssls/w").expect(200)
