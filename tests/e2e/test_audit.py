# SPDX-License-Identifier: Apache-2.0
"""The audit trail: every write and every refused write has a row, floods are summed up, secrets are in none, and what can't be audited does
not happen."""
import json
import resource
import sqlite3
import time

import pytest

from harness.net import eventually


# What is refused as a write: status, outcome, and how to get there.
REFUSED = [
    (422, "invalid", "PUT", "/v1/upstreams/x", {"nodes": 7}, {}),
    (400, "syntax", "PUT", "/v1/upstreams/x", b"{", {}),
    (400, "syntax", "PUT", "/v1/upstreams/x?colour=red", {}, {}),
    (400, "syntax", "POST", "/v1/upstreams", {}, {"If-Match": "*"}),
    (400, "syntax", "POST", "/v1/upstreams", {}, {"Idempotency-Key": "a b"}),
    (404, "not-found", "DELETE", "/v1/upstreams/nobody", None, {}),
    (404, "not-found", "DELETE", "/v1/join_tokens/nobody", None, {}),
    (404, "not-found", "PATCH", "/v1/agents/nobody", {"labels": {}}, {}),
    (412, "precondition-failed", "PUT", "/v1/upstreams/audited", {"nodes": {"127.0.0.1:8": 1}}, {"If-Match": '"9-9"'}),
    (412, "precondition-failed", "POST", "/v1/apply", {}, {"If-Match": '"9-9"'}),
    (415, "unsupported-media-type", "PUT", "/v1/upstreams/x", {}, {"Content-Type": "text/xml"}),
    (413, "too-large", "PUT", "/v1/upstreams/x", b"{" + b" " * (9 << 20) + b"}", {}),
    (400, "bad-request", "DELETE", "/v1/upstreams/audited", {}, {}),
    (409, "conflict", "DELETE", "/v1/tls_options/modern", None, {}),
    (409, "conflict", "DELETE", "/v1/tokens/admin", None, {}),
    (409, "conflict", "POST", "/v1/tokens", {"id": "admin", "role": "viewer"}, {}),
    (404, "not-found", "DELETE", "/v1/tokens/nobody", None, {}),
    (422, "invalid", "POST", "/v1/tokens", {"role": "king"}, {}),
    (404, "not-found", "POST", "/v1/revisions/9999/rollback", None, {}),
    (422, "invalid", "POST", "/v1/apply", {"put": [{"kind": "upstreams", "id": "x", "value": {}}, {"kind": "upstreams", "id": "y", "value": {}}]}, {}),
    (422, "invalid", "POST", "/v1/apply", b'{"op":"put","kind":"upstreams","id":"x","value":{}}\n', {"Content-Type": "application/x-ndjson"}),
    (400, "syntax", "POST", "/v1/apply", b"{", {"Content-Type": "application/x-ndjson"}),
    (400, "syntax", "PUT", "/apisix/admin/ssls/x", {"sni": "x"}, {}),
    (400, "syntax", "PUT", "/apisix/admin/ssls/x", b"{", {}),
    (404, "not-found", "DELETE", "/apisix/admin/ssls/nobody", None, {}),
    (404, "not-found", "PUT", "/apisix/admin/routes/x", {}, {})]
# Before anybody is asked who it is.
UNASKED = [
    (400, "syntax", "PUT", "/v1/upstreams/-x", {}, {}),
    (404, "not-found", "DELETE", "/v1/nothing/x", None, {}),
    (405, "method-not-allowed", "PATCH", "/v1/upstreams", {}, {}),
    (405, "method-not-allowed", "BREW", "/v1/upstreams", None, {}),
    (400, "bad-request", "PUT", "/v1/upstreams/a%2fb", {}, {}),
    (400, "bad-request", "PUT", "/v1/../v1/upstreams/x", {}, {}),
    (414, "too-large", "PUT", "/v1/" + "/".join("x" * 40), {}, {}),
    (421, "misdirected", "PUT", "/v1/nothing/x", {}, {"Host": "evil.test"})]


def rows(api, **query):
    found, after = [], 0
    while True:
        page = api.get("/v1/audit", after=after, limit=50, **query).expect(200).json
        found += page["items"]
        if page["next"] is None:
            return found
        after = page["next"]


def row_of(api, request_id):
    """Refusals are written when nobody waits for them any more."""
    def look():
        return [row for row in rows(api) if row["request_id"] == request_id]
    found = eventually(look, f"there is a row for {request_id}", 10)
    assert len(found) == 1, found
    return found[0]


class TestRows:
    def test_a_write(self, shared_api):
        answer = shared_api.put("/v1/upstreams/audited", {"nodes": {"127.0.0.1:9": 1}}, headers={"X-Request-Id": "write-1"}).expect(201)
        row = row_of(shared_api, "write-1")
        assert (row["actor"], row["action"], row["outcome"]) == ("admin", "put upstreams/audited", "ok")
        assert row["revision"] == answer.headers["Tlsplane-Revision"]
        assert row["source"].startswith("127.0.0.1:") and abs(row["time"] - time.time()) < 60
        shared_api.put("/v1/upstreams/audited", {"nodes": {"127.0.0.1:9": 1}}, headers={"X-Request-Id": "write-2"}).expect(200)
        row = row_of(shared_api, "write-2")
        assert row["outcome"] == "unchanged" and row["revision"] is None

    @pytest.mark.parametrize("actor,status,outcome,method,path,body,headers", [
        pytest.param(actor, *row, id=f"{row[0]} {row[2]} {row[3][:30]}") for actor, rows_of in (("admin", REFUSED), ("", UNASKED)) for row in rows_of])
    def test_a_refused_write(self, shared_api, request, actor, status, outcome, method, path, body, headers):
        """Each has one row."""
        shared_api.put("/v1/upstreams/audited", {"nodes": {"127.0.0.1:9": 1}}).expect(200, 201)
        request_id = f"refused-{request.node.callspec.indices['status']}"
        answer = shared_api.call(method, path, body, headers={**headers, "X-Request-Id": request_id})
        assert answer.status == status, answer
        row = row_of(shared_api, request_id)
        assert (row["outcome"], row["actor"], row["revision"]) == (outcome, actor, None), row

    def test_no_request_has_two(self, shared_api):
        ids = [row["request_id"] for row in rows(shared_api) if row["request_id"].startswith("refused-")]
        assert ids and len(ids) == len(set(ids)), ids

    def test_a_key_of_another_request(self, shared_api):
        """The same Idempotency-Key for another request; and while the first is under way (tests/e2e/test_idempotency.py) it is 409."""
        headers = {"Idempotency-Key": "audited"}
        shared_api.post("/v1/upstreams", {"nodes": {"127.0.0.1:9": 1}}, headers=headers).expect(201)
        answer = shared_api.post("/v1/upstreams", {"nodes": {"127.0.0.1:8": 1}}, headers={**headers, "X-Request-Id": "reused"})
        assert answer.status == 422 and row_of(shared_api, "reused")["outcome"] == "invalid"

    def test_who_may_not(self, shared_api):
        viewer = shared_api.as_role("viewer", id="looker")
        assert viewer.put("/v1/upstreams/x", {}, headers={"X-Request-Id": "forbidden-1"}).status == 403
        row = row_of(shared_api, "forbidden-1")
        assert (row["actor"], row["outcome"], row["action"]) == ("looker", "forbidden", "PUT /v1/upstreams/x")
        assert shared_api.put("/v1/upstreams/x", {}, auth=False, headers={"X-Request-Id": "nobody-1"}).status == 401
        row = row_of(shared_api, "nobody-1")
        assert (row["actor"], row["outcome"]) == ("", "unauthenticated")

    def test_tokens(self, shared_api):
        made = shared_api.post("/v1/tokens", {"id": "traced", "role": "viewer"}, headers={"X-Request-Id": "made-1"}).expect(201).json
        shared_api.delete("/v1/tokens/traced", headers={"X-Request-Id": "revoked-1"}).expect(200)
        assert row_of(shared_api, "made-1")["action"] == "create tokens/traced"
        assert row_of(shared_api, "revoked-1")["action"] == "delete tokens/traced"
        assert made["token"] not in json.dumps(rows(shared_api))

    def test_reads_and_dry_runs_have_none(self, shared_api):
        before = rows(shared_api)[-1]["row"]
        shared_api.get("/v1/upstreams")
        shared_api.get("/v1/upstreams/nobody")
        shared_api.get("/v1/upstreams", auth=False)
        shared_api.put("/v1/upstreams/x", {"nodes": 7}, dry_run=True)
        time.sleep(0.3)
        assert rows(shared_api)[-1]["row"] == before

    def test_secrets_are_in_none(self, shared_api, ca):
        pair = ca.issue("audit.test")
        shared_api.put("/v1/ssls/audit", pair.ssl("audit.test")).expect(201)
        shared_api.put("/v1/ssls/audit", {**pair.ssl("audit.test"), "sni": pair.key_pem})
        token = shared_api.post("/v1/join_tokens", {"ttl": 60}).expect(201).json["token"]
        text = eventually(lambda: (lambda t: "join_tokens/" in t and t)(json.dumps(rows(shared_api))), "the rows are there")
        assert token not in text and not any(line in text for line in pair.key_pem.splitlines()[1:-1])


class TestQueries:
    def test_filters(self, shared_api):
        other = shared_api.as_role("editor", id="filtered")
        other.put("/v1/upstreams/f", {"nodes": {"127.0.0.1:9": 1}}).expect(201)
        other.delete("/v1/upstreams/nobody")
        mine = rows(shared_api, actor="filtered")
        assert [row["outcome"] for row in mine] == ["ok", "not-found"]
        assert rows(shared_api, actor="filtered", outcome="ok") == mine[:1]
        assert {row["outcome"] for row in rows(shared_api, outcome="not-found")} == {"not-found"}
        assert rows(shared_api, actor="nobody") == []

    def test_times(self, shared_api):
        shared_api.delete("/v1/upstreams/nobody")
        everything = rows(shared_api)
        middle = everything[len(everything) // 2]["time"]
        assert rows(shared_api, since=middle) == [row for row in everything if row["time"] >= middle]
        assert rows(shared_api, until=middle) == [row for row in everything if row["time"] < middle]
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(middle))
        assert rows(shared_api, since=stamp) == rows(shared_api, since=middle)
        assert rows(shared_api, since=int(time.time()) + 100) == []

    def test_pages_are_whole_and_in_order(self, shared_api):
        everything = rows(shared_api)
        assert [row["row"] for row in everything] == sorted({row["row"] for row in everything})
        assert shared_api.get("/v1/audit", limit=3).json["items"] == everything[:3]
        assert shared_api.get("/v1/audit", limit=3, after=everything[4]["row"]).json["items"] == everything[5:8]

    def test_lines(self, shared_api):
        answer = shared_api.get("/v1/audit", headers={"Accept": "application/x-ndjson"}).expect(200)
        assert answer.headers["Content-Type"] == "application/x-ndjson" and "Tlsplane-Next" not in answer.headers
        everything = rows(shared_api)
        assert [json.loads(line) for line in answer.body.splitlines()] == everything[:len(answer.body.splitlines())]
        part = shared_api.get("/v1/audit", limit=2, headers={"Accept": "application/x-ndjson"})
        assert part.headers["Tlsplane-Next"] == str(everything[1]["row"])

    @pytest.mark.parametrize("query", [{"after": "x"}, {"limit": 0}, {"limit": 10001}, {"since": "yesterday"}, {"outcome": "O K"}, {"actor": "-"},
                                       {"colour": 1}, {"after": "99999999999999999999"}])
    def test_bad_queries(self, shared_api, query):
        assert shared_api.get("/v1/audit", **query).status == 400

    def test_nobody_changes_it(self, controlplane, api):
        api.delete("/v1/upstreams/nobody")
        controlplane.daemon.terminate()
        with sqlite3.connect(controlplane.database) as database:
            for statement in ("UPDATE audit SET actor = 'x'", "DELETE FROM audit"):
                with pytest.raises(sqlite3.IntegrityError):
                    database.execute(statement)


class TestFloods:
    def test_no_credential(self, world):
        controlplane = world.controlplane()
        api = controlplane.api
        for _ in range(200):
            assert api.put("/v1/upstreams/x", {}, auth=False).status == 401
        assert api.put("/v1/upstreams/x", {"nodes": 1}, headers={"X-Request-Id": "known"}).status == 422
        assert row_of(api, "known")["outcome"] == "invalid", "who is known has a row of its own all the while"
        assert len(rows(api, outcome="unauthenticated")) == 60
        controlplane.restart()
        summary = rows(controlplane.api)[-1]
        assert summary["action"] == "and 140 more refused requests" and summary["outcome"] == "refused"

    def test_too_many_requests(self, world):
        api = world.controlplane("--admin-rate", "10").api
        for _ in range(100):
            api.delete("/v1/upstreams/nobody")
        time.sleep(2.2)
        limited = rows(api, outcome="rate")
        assert 0 < len(limited) <= 60 and limited[0]["actor"] == "admin"


def test_what_cannot_be_audited_does_not_happen(world):
    """No file of the control plane may grow any more, as on a full disk: no write is accepted, reads go on, and it mends itself."""
    controlplane = world.controlplane()
    api, pid = controlplane.api, controlplane.daemon.pid
    api.put("/v1/upstreams/before", {"nodes": {"127.0.0.1:9": 1}}).expect(201)
    head, audited = api.head(), len(rows(api))
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    try:
        answer = api.put("/v1/upstreams/full", {"nodes": {"127.0.0.1:9": 1}})
        assert answer.status in (500, 503, 507), answer
        assert api.post("/v1/tokens", {"id": "full", "role": "viewer"}).status in (500, 503, 507)
        assert api.delete("/v1/upstreams/before").status in (500, 503, 507)
        assert api.get("/v1/upstreams/full").status == 404 and api.get("/v1/tokens/full").status == 404
        assert api.get("/v1/upstreams/before").status == 200
        assert api.head() == head and len(rows(api)) == audited
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    api.put("/v1/upstreams/full", {"nodes": {"127.0.0.1:9": 1}}).expect(201)
    assert api.head() > head and len(rows(api)) > audited


def test_no_row_no_act(world):
    """The audit trail alone takes nothing: objects, sets, tokens and rollbacks stay as they are."""
    controlplane = world.controlplane()
    controlplane.api.put("/v1/upstreams/kept", {"nodes": {"127.0.0.1:9": 1}}).expect(201)
    controlplane.api.as_role("viewer", id="stays")
    controlplane.daemon.terminate()
    with sqlite3.connect(controlplane.database) as database:
        database.execute("CREATE TRIGGER audit_is_broken BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no room'); END")
    controlplane.start()
    api = controlplane.api
    head, before = api.head(), len(rows(api))
    for method, path, body in (("PUT", "/v1/upstreams/new", {"nodes": {"127.0.0.1:9": 1}}), ("PATCH", "/v1/upstreams/kept", {"desc": "x"}), ("DELETE", "/v1/upstreams/kept", None),
                               ("POST", "/v1/apply", {"delete": [{"kind": "upstreams", "id": "kept"}]}), ("POST", f"/v1/revisions/{head[1] - 1}/rollback", None),
                               ("POST", "/v1/tokens", {"id": "new", "role": "admin"}), ("DELETE", "/v1/tokens/stays", None), ("POST", "/v1/join_tokens", {"ttl": 60})):
        answer = api.call(method, path, body)
        assert answer.status in (500, 503, 507) and b"no room" not in answer.body, (method, path, answer)
    assert api.head() == head and len(rows(api)) == before
    assert api.get("/v1/upstreams/kept").json.get("desc") is None and api.get("/v1/upstreams/new").status == 404
    assert api.get("/v1/tokens/new").status == 404 and api.get("/v1/tokens/stays").status == 200 and api.get("/v1/join_tokens").json["total"] == 0
