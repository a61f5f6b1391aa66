# SPDX-License-Identifier: Apache-2.0
"""?dry_run=true on every write: the answer and the refusals of the write, and no trace of it anywhere."""
import sqlite3

import pytest

from harness.net import eventually

NODES = {"nodes": {"127.0.0.1:9": 1}}
OTHER = {"nodes": {"127.0.0.1:10": 1}}


@pytest.fixture
def head(shared_api):
    """Where the store is, and where it is still at the end of the test."""
    before = shared_api.head()
    yield before
    assert shared_api.head() == before


def tried(answer, *, changed=True, **more):
    """A good answer: 200, of the head, without ETag and Location."""
    document = answer.expect(200).json
    assert document["dry_run"] is True and document["changed"] is changed, document
    assert {key: document.get(key) for key in more} == more, document
    assert answer.headers.get("ETag") is None and answer.headers.get("Location") is None
    return document


def text(head):
    return f"{head[0]}-{head[1]}"


def test_put_creates_nothing(shared_api, head):
    answer = shared_api.put("/v1/upstreams/dry", NODES, dry_run=True)
    document = tried(answer, created=True)
    assert answer.headers["Tlsplane-Revision"] == text(head)
    assert document["object"]["nodes"] == NODES["nodes"] and document["object"]["id"] == "dry"
    assert not {"uid", "version"} & document["object"].keys()
    shared_api.get("/v1/upstreams/dry").expect(404)


def test_post_makes_no_id(shared_api, head):
    document = tried(shared_api.post("/v1/upstreams", NODES, dry_run=True), created=True)
    assert not {"uid", "version", "id"} & document["object"].keys()


def test_false_means_it(shared_api):
    shared_api.put("/v1/upstreams/meant", NODES, dry_run=False).expect(201)
    shared_api.delete("/v1/upstreams/meant", dry_run=False).expect(200)


class TestOfWhatIsThere:
    @pytest.fixture(autouse=True)
    def upstream(self, shared_api):
        shared_api.put("/v1/upstreams/there", NODES).expect(200, 201)
        self.before = shared_api.get("/v1/upstreams/there")
        self.head = shared_api.head()
        yield
        after = shared_api.get("/v1/upstreams/there")
        assert (after.body, after.etag) == (self.before.body, self.before.etag)
        assert shared_api.head() == self.head

    def test_put(self, shared_api):
        document = tried(shared_api.put("/v1/upstreams/there", OTHER, dry_run=True), created=False)
        assert document["object"]["nodes"] == OTHER["nodes"] and document["object"]["uid"] == self.before.json["uid"]
        tried(shared_api.put("/v1/upstreams/there", NODES, dry_run=True), changed=False, created=False)

    def test_patch(self, shared_api):
        document = tried(shared_api.patch("/v1/upstreams/there", {"desc": "x"}, dry_run=True), created=False)
        assert document["object"]["desc"] == "x" and document["object"]["nodes"] == NODES["nodes"]

    def test_delete(self, shared_api):
        assert "object" not in tried(shared_api.delete("/v1/upstreams/there", dry_run=True), created=False)

    def test_conditions(self, shared_api):
        etag = self.before.etag
        tried(shared_api.put("/v1/upstreams/there", OTHER, headers={"If-Match": etag}, dry_run=True))
        shared_api.put("/v1/upstreams/there", OTHER, headers={"If-Match": '"1-1"'}, dry_run=True).expect(412)
        shared_api.put("/v1/upstreams/there", OTHER, headers={"If-None-Match": "*"}, dry_run=True).expect(412)

    def test_apply(self, shared_api):
        answer = shared_api.apply(put=[("upstreams", "new", NODES)], delete=[("upstreams", "there")], dry_run=True)
        assert tried(answer).keys() == {"dry_run", "changed", "warnings", "affected"}
        tried(shared_api.apply(put=[("upstreams", "there", NODES)], dry_run=True), changed=False)
        tried(shared_api.apply(dry_run=True), changed=False)
        line = b'{"op": "delete", "kind": "upstreams", "id": "there"}\n'
        tried(shared_api.post("/v1/apply", line, headers={"Content-Type": "application/x-ndjson"}, dry_run=True))
        shared_api.get("/v1/upstreams/new").expect(404)

    def test_rollback(self, shared_api):
        first = tried(shared_api.post(f"/v1/revisions/{text(self.head)}/rollback", dry_run=True), changed=False)
        assert first["warnings"] == []
        tried(shared_api.post(f"/v1/revisions/{self.head[1] - 1}/rollback", dry_run=True))


@pytest.mark.parametrize("write", [
    lambda api, **q: api.put("/v1/upstreams/bad", {"nodes": 7}, **q),
    lambda api, **q: api.put("/v1/listeners/bad", {"bind": "127.0.0.1:1", "upstream": "nobody"}, **q),
    lambda api, **q: api.patch("/v1/upstreams/nobody", {}, **q),
    lambda api, **q: api.delete("/v1/tls_options/modern", **q),
    lambda api, **q: api.put("/v1/upstreams/bad", b'{"nodes": {}, "nodes": {}}', **q),
    lambda api, **q: api.apply(put=[("upstreams", "x", NODES), ("upstreams", "x", NODES), ("routes", "r", {})], **q),
])
def test_refused_as_the_write_is(shared_api, head, write):
    dry, wet = write(shared_api, dry_run=True), write(shared_api)
    assert dry.status == wet.status >= 400
    drop = {"instance"}
    assert {k: v for k, v in dry.json.items() if k not in drop} == {k: v for k, v in wet.json.items() if k not in drop}


def test_keys_and_warnings(shared_api, ca, head):
    """A pair whose name is not covered: told; a key of another certificate: refused; no key in any answer."""
    pair, other = ca.issue("here.test"), ca.issue("here.test")
    document = tried(shared_api.put("/v1/ssls/dry", pair.ssl("there.test"), dry_run=True), created=True)
    assert document["warnings"] and document["object"]["warnings"] and "key" not in document["object"]
    assert shared_api.put("/v1/ssls/dry", pair.ssl("there.test"), dry_run=True, strict=True).status == 422
    wrong = shared_api.put("/v1/ssls/dry", {**pair.ssl("here.test"), "key": other.key_pem}, dry_run=True).expect(422)
    assert "/key" in wrong.pointers


def test_does_not_wait(shared_api, head):
    answer = shared_api.put("/v1/upstreams/dry", NODES, dry_run=True, wait="acked").expect(400)
    assert "dry_run" in answer.body.decode()
    shared_api.put("/v1/upstreams/dry", NODES, dry_run="maybe").expect(400)
    shared_api.get("/v1/upstreams", dry_run=True).expect(400)


def test_agents_and_disk(world, controlplane, ca, backend):
    """Labels that are only tried leave the agent alone; neither the audit trail nor any file tells of a dry run."""
    api = controlplane.api
    agent = world.agent(controlplane, labels={"site": "a"})
    pair = ca.issue("secret.test")
    head = api.head()
    rows = "SELECT count(*) FROM audit"
    with sqlite3.connect(controlplane.database) as database:
        before = database.execute(rows).fetchone()
    document = api.patch(f"/v1/agents/{agent.id}", {"labels": {"site": "b"}}, dry_run=True).expect(200).json
    assert document["object"]["labels"] == {"site": "b"}
    assert "object" not in api.delete(f"/v1/agents/{agent.id}", dry_run=True).expect(200).json
    assert "object" in api.put("/v1/ssls/s", pair.ssl("secret.test"), dry_run=True).expect(200).json
    api.put("/v1/ssls/s", {**pair.ssl("secret.test"), "colour": 1}, dry_run=True).expect(422)
    assert agent.state()["labels"] == {"site": "a"} and agent.state()["connected"]
    assert api.head() == head
    with sqlite3.connect(controlplane.database) as database:
        assert database.execute(rows).fetchone() == before
    api.put("/v1/ssls/s", {**pair.ssl("secret.test"), "colour": 1}).expect(422)
    with sqlite3.connect(controlplane.database) as database:  # that one is told
        eventually(lambda: database.execute(rows).fetchone()[0] == before[0] + 1, "the refused write has its row")
    assert "dry_run=true" in controlplane.log.read_text()
