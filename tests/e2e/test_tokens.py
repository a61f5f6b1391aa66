# SPDX-License-Identifier: Apache-2.0
"""Tokens: what each role may call (every route of the OpenAPI document with every role), their life, and how often they may ask."""
import concurrent.futures
import datetime
import json
import time

import pytest

from harness import contract
from harness.net import eventually

ROLES = ("admin", "editor", "viewer", "enroller")
SCOPED = {"scoped editor": "editor", "scoped viewer": "viewer"}
SCOPE = {"sni_suffixes": ["*.team-a.example"]}


def unix(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def operations():
    """(method, path, roles) of all that asks for a credential."""
    for path, item in contract.document()["paths"].items():
        for method, described in item.items():
            if method != "parameters" and described.get("security") != []:
                yield method.upper(), path, set(described["x-roles"])


@pytest.fixture(scope="module")
def callers(shared_api):
    made = {role: shared_api.as_role(role) for role in ROLES}
    made |= {name: shared_api.as_role(role, scope=SCOPE) for name, role in SCOPED.items()}
    return made


def is_refused_by_role(answer):
    """A scope's refusal of one object has findings; a route's has none. In APISIX's words it is 401."""
    if b'"error_msg"' in answer.body:
        return answer.status == 401 and b"invalid method for role" in answer.body
    assert answer.status != 401, answer
    return answer.status == 403 and "errors" not in answer.json


class TestMatrix:
    def test_it_has_every_route(self):
        rows = list(operations())
        assert len(rows) > 50 and all(roles <= {*ROLES, "scoped"} and "admin" in roles for _, _, roles in rows)
        assert ("POST", "/v1/tokens", {"admin"}) in rows

    @pytest.mark.parametrize("who", [*ROLES, *SCOPED])
    def test_role(self, callers, who):
        wrong = []
        for method, path, roles in operations():
            may = SCOPED[who] in roles and "scoped" in roles if who in SCOPED else who in roles
            target = path.replace("{id}", "nobody").replace("{revision}", "99999999").replace("{name}", "ssl").replace("{path}", "sni")
            answer = callers[who].call(method, target, b"{}" if method in ("PUT", "POST", "PATCH") else None)
            if is_refused_by_role(answer) == may:
                wrong.append((method, path, answer))
        assert not wrong, wrong

    def test_nothing_is_asked_of_probes(self, callers):
        for path in ("/healthz", "/readyz", "/metrics"):
            for api in callers.values():
                assert api.get(path).status == 200


class TestLife:
    def test_made_told_once_listed_revoked(self, shared_api):
        answer = shared_api.post("/v1/tokens", {"id": "ci", "role": "editor", "desc": "pipeline", "expires_in": "90d"}).expect(201)
        made, text = answer.json, answer.json["token"]
        assert answer.headers["Location"] == "/v1/tokens/ci" and text.startswith("tlsplane_editor_") and len(text) > 50
        assert made["created_by"] == "admin" and 89 * 86400 < unix(made["expires_at"]) - time.time() < 91 * 86400
        seen = len(shared_api.transcript)
        one = shared_api.get("/v1/tokens/ci").expect(200).json
        assert one == {key: value for key, value in made.items() if key != "token"} and not one["expired"]
        listed = {item["id"]: item for item in shared_api.get("/v1/tokens").expect(200).json["items"]}
        assert listed["ci"] == one and "admin" in listed
        ci = shared_api.with_token(text)
        ci.get("/v1/ssls").expect(200)
        assert shared_api.delete("/v1/tokens/ci").expect(200).json == {"id": "ci"}
        assert ci.get("/v1/ssls").status == 401
        assert shared_api.get("/v1/tokens/ci").status == 404 and shared_api.delete("/v1/tokens/ci").status == 404
        assert not any(text.encode() in answer for answer in shared_api.transcript[seen:])

    def test_an_end_is_told_as_it_was_given(self, shared_api):
        made = shared_api.post("/v1/tokens", {"role": "viewer", "expires_at": "2030-02-03T04:05:06Z"}).expect(201).json
        again = shared_api.post("/v1/tokens", {"role": "viewer", "expires_at": int(unix(made["expires_at"]))}).expect(201).json
        assert made["expires_at"] == again["expires_at"] == "2030-02-03T04:05:06Z"

    def test_ids_are_made_and_taken_once(self, shared_api):
        made = shared_api.post("/v1/tokens", {"role": "viewer"}).expect(201).json
        assert len(made["id"]) == 26
        assert shared_api.post("/v1/tokens", {"id": made["id"], "role": "viewer"}).status == 409

    def test_pages(self, shared_api):
        ids = {shared_api.post("/v1/tokens", {"id": f"page-{i}", "role": "viewer"}).expect(201).json["id"] for i in range(5)}
        seen, cursor = [], None
        while True:
            page = shared_api.get("/v1/tokens", limit=2, **({"cursor": cursor} if cursor else {})).expect(200).json
            assert len(page["items"]) <= 2
            seen += [item["id"] for item in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert ids <= set(seen) and seen == sorted(seen) and len(seen) == len(set(seen))

    def test_expiry(self, shared_api):
        short = shared_api.as_role("viewer", id="short", expires_in=2)
        short.get("/v1/ssls").expect(200)
        answer = eventually(lambda: (lambda a: a.status == 401 and a)(short.get("/v1/ssls")), "the token expires", 10)
        assert b"expired" in answer.body
        assert shared_api.get("/v1/tokens/short").json["expired"]

    @pytest.mark.parametrize("document,pointer", [
        ({}, "/role"), ({"role": "root"}, "/role"), ({"role": 7}, "/role"), ({"role": "viewer", "id": "-x"}, "/id"), ({"role": "viewer", "id": 1}, "/id"),
        ({"role": "viewer", "id": "tlsplane"}, "/id"), ({"role": "viewer", "colour": 1}, ""), ({"role": "viewer", "expires_in": 0}, "/expires_in"),
        ({"role": "viewer", "expires_in": "90"}, "/expires_in"), ({"role": "viewer", "expires_in": "1y"}, "/expires_in"),
        ({"role": "viewer", "expires_in": "99999999w"}, "/expires_in"), ({"role": "viewer", "expires_in": -5}, "/expires_in"),
        ({"role": "viewer", "expires_in": 1.5}, "/expires_in"), ({"role": "viewer", "expires_at": 1}, "/expires_at"),
        ({"role": "viewer", "expires_at": "x"}, "/expires_at"), ({"role": "viewer", "expires_at": "2001-01-01T00:00:00Z"}, "/expires_at"), ({"role": "viewer", "expires_in": 9, "expires_at": 9999999999}, "/expires_in"),
        ({"role": "viewer", "desc": 1}, "/desc"), ({"role": "admin", "scope": SCOPE}, "/scope"), ({"role": "enroller", "scope": SCOPE}, "/scope"),
        ({"role": "viewer", "scope": {}}, "/scope"), ({"role": "viewer", "scope": []}, "/scope"), ({"role": "viewer", "scope": None}, "/scope"),
        ({"role": "viewer", "scope": {"x": 1}}, "/scope"), ({"role": "viewer", "scope": {"sni_suffixes": []}}, "/scope/sni_suffixes"),
        ({"role": "viewer", "scope": {"sni_suffixes": ["*"]}}, "/scope/sni_suffixes/0"),
        ({"role": "viewer", "scope": {"sni_suffixes": ["a.test", "b c"]}}, "/scope/sni_suffixes/1"),
        ({"role": "viewer", "scope": {"sni_suffixes": [7]}}, "/scope/sni_suffixes/0"), ({"role": "viewer", "scope": {"labels": {}}}, "/scope/labels"),
        ({"role": "viewer", "scope": {"labels": {"a": 1}}}, "/scope/labels")])
    def test_not_a_token(self, shared_api, document, pointer):
        answer = shared_api.post("/v1/tokens", document)
        assert answer.status == 422 and pointer in answer.pointers, answer

    def test_scope_is_told_in_its_canonical_spelling(self, shared_api):
        scope = {"sni_suffixes": ["*.TEAM-A.example.", "bücher.example"], "labels": {"team": "a"}}
        made = shared_api.post("/v1/tokens", {"role": "editor", "scope": scope}).expect(201).json
        assert made["scope"] == {"sni_suffixes": ["*.team-a.example", "xn--bcher-kva.example"], "labels": {"team": "a"}}

    def test_last_use(self, shared_api):
        used = shared_api.as_role("viewer", id="used")
        assert shared_api.get("/v1/tokens/used").json["last_used_at"] is None
        used.get("/v1/ssls").expect(200)
        told = eventually(lambda: (lambda t: t["last_used_at"] and t)(shared_api.get("/v1/tokens/used").json), "the use is written", 10)
        assert abs(unix(told["last_used_at"]) - time.time()) < 60 and told["last_used_from"] == "127.0.0.1"

    def test_the_last_admin_that_lasts_stays(self, controlplane, api):
        answer = api.delete("/v1/tokens/admin")
        assert answer.status == 409 and b"last admin" in answer.body
        api.as_role("admin", id="passing", expires_in="1h")
        assert api.delete("/v1/tokens/admin").status == 409
        other = api.as_role("admin", id="other")
        other.delete("/v1/tokens/admin").expect(200)
        assert api.get("/v1/ssls").status == 401
        assert other.delete("/v1/tokens/other").status == 409

    def test_they_outlive_a_kill(self, controlplane, api):
        kept, gone = api.as_role("viewer", id="kept"), api.as_role("viewer", id="gone")
        api.delete("/v1/tokens/gone").expect(200)
        controlplane.kill()
        controlplane.start()
        assert controlplane.api.with_token(kept.token).get("/v1/ssls").status == 200
        assert controlplane.api.with_token(gone.token).get("/v1/ssls").status == 401

    def test_texts_are_nowhere(self, world):
        controlplane = world.controlplane("--log-level", "debug")
        api = controlplane.api
        texts = [api.as_role(role).token for role in ROLES]
        for text in texts:
            api.with_token(text).get("/v1/ssls")
            api.with_token(text + "x").get("/v1/ssls")
            api.post("/v1/tokens", {"role": "viewer", "scope": {text: text}})
        controlplane.daemon.terminate()
        for path in [controlplane.log, *(p for p in controlplane.dir.rglob("*") if p.is_file() and p.name != "admin.token")]:
            data = path.read_bytes()
            assert not any(text.encode() in data for text in texts), path
        assert api.token.encode() in (controlplane.dir / "admin.token").read_bytes()  # the search can find


class TestEnroller:
    def test_sees_and_deletes_its_own_alone(self, shared_api):
        one, other = shared_api.as_role("enroller", id="enroller-1"), shared_api.as_role("enroller", id="enroller-2")
        mine = one.post("/v1/join_tokens", {"ttl": 60}).expect(201).json["id"]
        theirs = shared_api.post("/v1/join_tokens", {"ttl": 60}).expect(201).json["id"]
        assert [item["id"] for item in one.get("/v1/join_tokens").expect(200).json["items"]] == [mine]
        assert other.get("/v1/join_tokens").expect(200).json["items"] == []
        one.get(f"/v1/join_tokens/{mine}").expect(200)
        unknown = one.get("/v1/join_tokens/unknown")
        for token in (mine, theirs):
            answer = other.get(f"/v1/join_tokens/{token}")
            assert answer.status == 404 and answer.json["detail"] == unknown.json["detail"].replace("unknown", token)
            assert other.delete(f"/v1/join_tokens/{token}").status == 404
        assert one.delete(f"/v1/join_tokens/{theirs}").status == 404
        one.delete(f"/v1/join_tokens/{mine}").expect(200)
        shared_api.delete(f"/v1/join_tokens/{theirs}").expect(200)

    def test_what_it_makes_enrols(self, world, controlplane, api):
        """The agent's use of the token writes it anew; it is still its maker's."""
        enroller = api.as_role("enroller", id="deploy")
        made = enroller.post("/v1/join_tokens", {"ttl": 60, "labels": {"site": "a"}}).expect(201).json
        from harness.world import Agent
        agent = Agent(world, controlplane, "rolled-out")
        agent.give_token(made["token"])
        agent.start().wait_connected()
        assert agent.state()["labels"] == {"site": "a"}
        enroller.get(f"/v1/join_tokens/{made['id']}").expect(200)
        enroller.delete(f"/v1/join_tokens/{made['id']}").expect(200)
        assert enroller.get("/v1/agents").status == 403


class TestLimits:
    def test_requests_of_one_token(self, world):
        api = world.controlplane("--admin-rate", "5").api
        other = api.as_role("viewer")

        def refused(path):
            """From several at once, as fast as the machine can; the first answers among them pass."""
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                return next(answer for answer in pool.map(lambda _: api.get(path), range(60)) if answer.status == 429)
        assert api.get("/v1/ssls", limit=1).status == 200
        limited = refused("/v1/ssls")
        assert limited.headers["Retry-After"] == "1" and limited.json["type"].endswith(":rate")
        there = refused("/apisix/admin/ssls")
        assert there.headers["Retry-After"] == "1" and "5 requests a second" in there.json["error_msg"], there
        assert other.get("/v1/ssls").status == 200, "a token is not limited by another"
        assert api.get("/healthz").status == 200 and api.get("/metrics").status == 200
        eventually(lambda: api.get("/v1/ssls").status == 200, "the bucket fills again", 5)

    def test_no_limit(self, world):
        api = world.controlplane("--admin-rate", "0").api
        assert all(api.get("/v1/ssls", limit=1).status == 200 for _ in range(300))

    def test_failed_logins(self, world):
        controlplane = world.controlplane()
        api, wrong = controlplane.api, controlplane.api.with_token("wrong")
        answers = [wrong.get("/v1/ssls") for _ in range(60)]
        assert [answer.status for answer in answers[:10]] == [401] * 10
        assert {answer.status for answer in answers[10:]} == {429}
        assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
        assert api.get("/v1/ssls").status == 200, "what is right passes"
        assert api.get("/v1/ssls", auth=False).status == 401, "sending nothing is no guess"
        lines = controlplane.daemon.lines("credential refused")
        assert 1 <= len(lines) <= 5 and "127.0.0.1" in lines[0] and not any("wrong" in line for line in lines)
        time.sleep(1.1)
        wrong.get("/v1/ssls")
        assert "unlogged=" in controlplane.daemon.lines("credential refused")[-1]


def test_old_store_keeps_its_admin(controlplane, api):
    """The row that earlier releases wrote: no role, no maker, nothing but a hash, a name and a time."""
    import hashlib
    import sqlite3
    assert controlplane.daemon.terminate() == 0
    with sqlite3.connect(controlplane.database) as database:
        database.execute("INSERT INTO token (sha256, name, create_time) VALUES (?, 'before', 7)", (hashlib.sha256(b"text of before").digest(),))
    controlplane.start()
    before = controlplane.api.with_token("text of before").get("/v1/tokens/before").expect(200).json
    assert (before["role"], before["created_at"], before["expires_at"]) == ("admin", "1970-01-01T00:00:07Z", None)
    assert json.dumps(before)
