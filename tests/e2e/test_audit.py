# SPDX-License-Identifier: Apache-2.0
"""The audit trail: every write and every refused write has a row, floods are summed up, secrets are in none, and what can't be audited does
not happen."""
import json
import resource
import sqlite3
import time

import pytest

from harness.net import eventually


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
        assert row["revision"] == int(answer.headers["Tlsplane-Revision"].split("-")[1])
        assert row["source"].startswith("127.0.0.1:") and abs(row["time"] - time.time()) < 60
        shared_api.put("/v1/upstreams/audited", {"nodes": {"127.0.0.1:9": 1}}, headers={"X-Request-Id": "write-2"}).expect(200)
        row = row_of(shared_api, "write-2")
        assert row["outcome"] == "unchanged" and row["revision"] is None

    @pytest.mark.parametrize("status,outcome,method,path,body,headers", [
        (422, "invalid", "PUT", "/v1/upstreams/x", {"nodes": 7}, {}),
        (400, "syntax", "PUT", "/v1/upstreams/x", b"{", {}),
        (400, "syntax", "PUT", "/v1/upstreams/x?colour=red", {}, {}),
        (404, "not-found", "DELETE", "/v1/upstreams/nobody", None, {}),
        (404, "not-found", "DELETE", "/v1/nothing/x", None, {}),
        (405, "method-not-allowed", "PATCH", "/v1/upstreams", {}, {}),
        (412, "precondition-failed", "PUT", "/v1/upstreams/audited", {"nodes": {"127.0.0.1:8": 1}}, {"If-Match": '"9-9"'}),
        (415, "unsupported-media-type", "PUT", "/v1/upstreams/x", {}, {"Content-Type": "text/xml"}),
        (413, "too-large", "PUT", "/v1/upstreams/x", b"{" + b" " * (9 << 20) + b"}", {}),
        (409, "conflict", "DELETE", "/v1/tls_options/modern", None, {}),
        (409, "conflict", "DELETE", "/v1/tokens/admin", None, {}),
        (404, "not-found", "DELETE", "/v1/tokens/nobody", None, {}),
        (422, "invalid", "POST", "/v1/tokens", {"role": "king"}, {}),
        (422, "invalid", "POST", "/v1/apply", {"put": [{"kind": "upstreams", "id": "x", "value": {}}]}, {})])
    def test_a_refused_write(self, shared_api, status, outcome, method, path, body, headers):
        request_id = f"refused-{method}-{path.replace('/', '.').replace('?', '.').replace('=', '.')}-{status}"
        answer = shared_api.call(method, path, body, headers={**headers, "X-Request-Id": request_id})
        assert answer.status == status, answer
        row = row_of(shared_api, request_id)
        assert row["outcome"] == outcome and row["revision"] is None, row
        assert row["actor"] == ("" if path == "/v1/nothing/x" or method == "PATCH" else "admin")

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
