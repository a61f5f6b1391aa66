# SPDX-License-Identifier: Apache-2.0
"""Objects over the admin API: the same verbs, conditions and pages for every kind."""
import pytest

KINDS = ("ssls", "tls_options", "listeners", "upstreams", "ca_bundles", "routes", "upstream_tls")


@pytest.fixture
def document(shared_api, ca):
    """document(kind, n): a valid object of each kind; n makes them differ."""
    shared_api.put("/v1/upstreams/base", {"nodes": {"127.0.0.1:9": 1}}).expect(200, 201)

    def make(kind, n=0):
        return {
            "ssls": lambda: ca.issue(f"doc{n}.test").ssl(f"doc{n}.test"),
            "tls_options": lambda: {"min_version": "TLSv1.2", "max_version": "TLSv1.3", "handshake_timeout": 5 + n % 5},
            "listeners": lambda: {"bind": f"127.0.0.1:{20000 + n}", "upstream": "base", "status": 0},
            "upstreams": lambda: {"nodes": {f"127.0.0.1:{1000 + n}": 1}},
            "ca_bundles": lambda: {"certs": ca.cert_pem, "labels": {"n": str(n)}},
            "routes": lambda: {"snis": [f"**.doc{n}.test", ""], "upstream": "base", "selector": {"doc": str(n)}},
            "upstream_tls": lambda: {"server_name": f"doc{n}.test", "ca": ca.cert_pem},
        }[kind]()
    return make


def without_server_fields(value):
    return {k: v for k, v in value.items() if k not in ("id", "uid", "version", "create_time", "update_time", "x509", "warnings")}


@pytest.mark.parametrize("kind", KINDS)
def test_life_of_an_object(shared_api, document, kind):
    path = f"/v1/{kind}/life"
    assert shared_api.get(path).status == 404
    created = shared_api.put(path, document(kind, 1)).expect(201)
    assert created.json["id"] == "life" and created.etag
    got = shared_api.get(path).expect(200)
    assert got.etag == created.etag
    assert {k: got.json[k] for k in ("uid", "version", "create_time")} == {k: created.json[k] for k in ("uid", "version", "create_time")}

    # Unchanged content makes no new version; what GET answers can be PUT back, even without the key.
    again = shared_api.put(path, without_server_fields(got.json)).expect(200)
    assert again.etag == created.etag

    replaced = shared_api.put(path, document(kind, 2)).expect(200)
    assert replaced.etag != created.etag
    assert replaced.json["uid"] == created.json["uid"] and replaced.json["version"] > created.json["version"]

    patched = shared_api.patch(path, {"desc": "by patch", "labels": {"team": "web"}}).expect(200)
    assert patched.json["desc"] == "by patch" and patched.json["labels"]["team"] == "web"
    cleared = shared_api.patch(path, {"desc": None}).expect(200)
    assert "desc" not in cleared.json and cleared.json["labels"]["team"] == "web"

    shared_api.delete(path).expect(200, 204)
    assert shared_api.get(path).status == 404
    assert shared_api.delete(path).status == 404
    reborn = shared_api.put(path, document(kind, 1)).expect(201)
    assert reborn.json["uid"] != created.json["uid"]
    shared_api.delete(path).expect(200, 204)


@pytest.mark.parametrize("kind", KINDS)
def test_post_makes_the_id(shared_api, document, kind):
    first = shared_api.post(f"/v1/{kind}", document(kind, 11)).expect(201)
    second = shared_api.post(f"/v1/{kind}", document(kind, 12)).expect(201)
    assert first.json["id"] != second.json["id"]
    assert first.headers["Location"] == f"/v1/{kind}/{first.json['id']}"
    assert shared_api.get(first.headers["Location"]).expect(200).json["id"] == first.json["id"]
    for answer in (first, second):
        shared_api.delete(answer.headers["Location"]).expect(200, 204)


@pytest.mark.parametrize("kind", KINDS)
def test_conditions(shared_api, document, kind):
    path = f"/v1/{kind}/cond"
    assert shared_api.put(path, document(kind, 1), headers={"If-Match": '"1-1"'}).status == 412
    created = shared_api.put(path, document(kind, 1), headers={"If-None-Match": "*"}).expect(201)
    assert shared_api.put(path, document(kind, 2), headers={"If-None-Match": "*"}).status == 412
    assert shared_api.put(path, document(kind, 2), headers={"If-Match": '"1-999999"'}).status == 412
    assert shared_api.patch(path, {"desc": "x"}, headers={"If-Match": '"1-999999"'}).status == 412
    assert shared_api.delete(path, headers={"If-Match": '"1-999999"'}).status == 412
    second = shared_api.put(path, document(kind, 2), headers={"If-Match": created.etag}).expect(200)
    assert shared_api.put(path, document(kind, 3), headers={"If-Match": created.etag}).status == 412
    assert shared_api.patch(path, {"desc": "x"}, headers={"If-None-Match": "*"}).status == 412
    assert shared_api.post(path.rsplit("/", 1)[0], document(kind, 4), headers={"If-Match": "*"}).status == 400
    assert shared_api.get(path, headers={"If-None-Match": second.etag}).status == 304
    assert shared_api.get(path, headers={"If-None-Match": created.etag}).status == 200
    shared_api.delete(path, headers={"If-Match": f'"1-999999", {second.etag}'}).expect(200, 204)


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_field_is_named(shared_api, document, kind):
    answer = shared_api.put(f"/v1/{kind}/unknown", {**document(kind), "colour": "red", "shape": {"deep": 1}})
    assert answer.status == 422, answer
    assert {"/colour", "/shape"} <= set(answer.pointers), answer
    assert shared_api.get(f"/v1/{kind}/unknown").status == 404


@pytest.mark.parametrize("kind", KINDS)
def test_paging_sees_each_object_once_in_order(shared_api, document, kind):
    ids = [f"page{i:02}" for i in range(25)]
    shared_api.apply(put=[(kind, name, document(kind, 100 + i)) for i, name in enumerate(ids)]).expect(200, 201)
    seen, after, pages = [], None, 0
    while True:
        query = {"limit": 7, **({"cursor": after} if after else {})}
        page = shared_api.get(f"/v1/{kind}", **query).expect(200).json
        assert len(page["items"]) <= 7
        seen += [item["id"] for item in page["items"]]
        pages += 1
        after = page.get("next")
        if not after:
            break
    assert [name for name in seen if name.startswith("page")] == ids
    assert len(seen) == len(set(seen)) and seen == sorted(seen) and pages >= 4
    shared_api.apply(delete=[(kind, name) for name in ids]).expect(200)


def test_paging_arguments_are_checked(shared_api):
    for query in ({"limit": 0}, {"limit": "x"}, {"limit": 100000}, {"colour": "red"}):
        assert shared_api.get("/v1/ssls", **query).status in (400, 422), query


def test_delete_of_something_referenced_names_who(shared_api, ca):
    shared_api.put("/v1/upstreams/used", {"nodes": {"127.0.0.1:9": 1}}).expect(201)
    shared_api.put("/v1/listeners/user", {"bind": "127.0.0.1:20999", "upstream": "used", "status": 0}).expect(201)
    answer = shared_api.delete("/v1/upstreams/used")
    assert answer.status == 409 and b"listeners/user" in answer.body.replace(b"\\/", b"/"), answer
    shared_api.apply(delete=[("upstreams", "used"), ("listeners", "user")]).expect(200)
    assert shared_api.get("/v1/upstreams/used").status == 404


def test_reference_to_nothing(shared_api, ca):
    answer = shared_api.put("/v1/listeners/lost", {"bind": "127.0.0.1:20998", "upstream": "nowhere"})
    assert answer.status == 422 and "/upstream" in answer.pointers, answer
    answer = shared_api.put("/v1/ssls/lost", ca.issue("lost.test").ssl("lost.test", tls_options="nowhere"))
    assert answer.status == 422 and "/tls_options" in answer.pointers, answer


def test_who_holds_the_referrer_holds_the_target(shared_api):
    shared_api.put("/v1/upstreams/eu", {"nodes": {"127.0.0.1:9": 1}, "selector": {"region": "eu"}}).expect(201)
    listener = {"bind": "127.0.0.1:20997", "upstream": "eu"}
    assert shared_api.put("/v1/listeners/world", listener).status == 422
    assert shared_api.put("/v1/listeners/eu", {**listener, "selector": {"region": "us"}}).status == 422
    shared_api.put("/v1/listeners/eu", {**listener, "selector": {"region": "eu", "zone": "1"}}).expect(201)
    # Both directions: the target may not move away from under its referrer, nor be switched off.
    for change in ({"selector": {"region": "us"}}, {"selector": {"region": "eu", "zone": "2"}}, {"status": 0}):
        answer = shared_api.patch("/v1/upstreams/eu", change)
        assert answer.status in (409, 422) and b"listeners/eu" in answer.body.replace(b"\\/", b"/"), answer
    shared_api.patch("/v1/upstreams/eu", {"selector": None}).expect(200)


def test_objects_named_default_reach_everybody(shared_api):
    options = {"min_version": "TLSv1.2"}
    assert shared_api.put("/v1/tls_options/default", {**options, "selector": {"a": "b"}}).status == 422
    assert shared_api.put("/v1/tls_options/default", {**options, "status": 0}).status == 422
    shared_api.put("/v1/tls_options/default", options).expect(201)
    shared_api.delete("/v1/tls_options/default").expect(200, 204)


def test_presets_are_there_and_not_to_be_changed(shared_api):
    for name in ("modern", "intermediate", "old", "krakend"):
        assert shared_api.get(f"/v1/tls_options/{name}").expect(200).json["id"] == name
        assert shared_api.put(f"/v1/tls_options/{name}", {"min_version": "TLSv1.2"}).status in (403, 409, 422)
        assert shared_api.delete(f"/v1/tls_options/{name}").status in (403, 409, 422)
    assert shared_api.get("/v1/tls_options/modern").json["min_version"] == "TLSv1.3"


@pytest.mark.parametrize("other", ["127.0.0.1:21000", "0.0.0.0:21000", "[::]:21000", "[::ffff:127.0.0.1]:21000"])
def test_colliding_binds(shared_api, other):
    shared_api.put("/v1/upstreams/base", {"nodes": {"127.0.0.1:9": 1}}).expect(200, 201)
    shared_api.put("/v1/listeners/one", {"bind": "127.0.0.1:21000", "upstream": "base", "selector": {"site": "a"}}).expect(200, 201)
    for selector in (None, {"site": "a"}, {"zone": "b"}):
        answer = shared_api.put("/v1/listeners/two", {"bind": other, "upstream": "base", **({"selector": selector} if selector else {})})
        assert answer.status in (409, 422) and b"listeners/one" in answer.body.replace(b"\\/", b"/"), answer
    shared_api.put("/v1/listeners/two", {"bind": other, "upstream": "base", "selector": {"site": "b"}}).expect(201)
    shared_api.apply(delete=[("listeners", "one"), ("listeners", "two")]).expect(200)


@pytest.mark.parametrize("bad", ["a/b", "..", ".", "-x", "a" * 65, "a%00", "a%2fb", "a b", "%c3%a9", ".a"])
def test_ids_out_of_grammar(shared_api, bad):
    from urllib.parse import quote
    path = f"/v1/upstreams/{quote(bad, safe='%/')}"
    assert shared_api.put(path, {"nodes": {"127.0.0.1:9": 1}}).status in (400, 404, 405, 422), bad
    assert not any(item["id"] == bad for item in shared_api.get("/v1/upstreams", limit=100).json["items"])


def test_ids_of_the_longest_kind(shared_api):
    for name in ("a" * 64, "_", "0.x-_y"):
        shared_api.put(f"/v1/upstreams/{name}", {"nodes": {"127.0.0.1:9": 1}}).expect(201)
        shared_api.delete(f"/v1/upstreams/{name}").expect(200, 204)


def test_kinds_and_features_of_later_are_refused(shared_api, ca):
    """What the issue excludes is unknown, never stored in silence."""
    for path in ("/v1/tokens/x", "/v1/plugins/x"):
        assert shared_api.put(path, {}).status in (404, 405), path
    pair = ca.issue("later.test")
    for extra in ({"type": "peer"}, {"client": {"ca": ca.cert_pem, "crl": "x"}}, {"client": {"ca": ca.cert_pem, "allow": []}}):
        assert shared_api.put("/v1/ssls/later", {**pair.ssl("later.test"), **extra}).status == 422, extra
    for extra in ({"session_cache": True}, {"ocsp_stapling": True}, {"client_auth": {"verify": "maybe"}}):
        assert shared_api.put("/v1/tls_options/later", {"min_version": "TLSv1.2", **extra}).status == 422, extra
    for extra in ({"accept_proxy_protocol": True}, {"protocol": "http"}):
        assert shared_api.put("/v1/listeners/later", {"bind": "127.0.0.1:20996", "upstream": "base", **extra}).status == 422, extra
    for extra in ({"send_proxy_protocol": True}, {"upstream_tls": "x"}):
        assert shared_api.put("/v1/upstreams/later", {"nodes": {"127.0.0.1:9": 1}, **extra}).status == 422, extra


def test_revisions_list_and_get(shared_api):
    before = shared_api.head()
    shared_api.put("/v1/upstreams/rev", {"nodes": {"127.0.0.1:9": 1}}, headers={"X-Request-Id": "asked-42"}).expect(201)
    row = shared_api.get("/v1/revisions", limit=1).expect(200).json["items"][0]
    after = shared_api.head()
    assert after == (before[0], before[1] + 1)
    assert row["request_id"] == "asked-42" and "rev" in row["summary"] and row["changes_total"] == 1
    for name in (row["revision"], after[1]):
        whole = shared_api.get(f"/v1/revisions/{name}").expect(200).json
        assert [change["id"] for change in whole.pop("changes")] == ["rev"] and whole.pop("next") is None
        assert whole == row
    for missing in ("999999999", f"99-{after[1]}"):
        assert shared_api.get(f"/v1/revisions/{missing}").status == 404
    assert shared_api.get("/v1/revisions/x").status in (400, 404, 422)
    shared_api.delete("/v1/upstreams/rev").expect(200, 204)
    rows = shared_api.get("/v1/revisions", limit=2).json["items"]
    assert [row["revision"] for row in rows] == [f"{after[0]}-{after[1] + 1}", f"{after[0]}-{after[1]}"]


class TestApply:
    def test_one_revision(self, shared_api, document):
        head = shared_api.head()
        shared_api.apply(put=[(kind, "together", document(kind, 300)) for kind in KINDS]).expect(200, 201)
        assert shared_api.head() == (head[0], head[1] + 1)
        assert {shared_api.get(f"/v1/{kind}/together").json["version"] for kind in KINDS} == {head[1] + 1}
        shared_api.apply(delete=[(kind, "together") for kind in KINDS]).expect(200)

    def test_or_nothing(self, shared_api, document):
        head = shared_api.head()
        answer = shared_api.apply(put=[("upstreams", "fine", {"nodes": {"127.0.0.1:9": 1}}), ("upstreams", "broken", {"nodes": 7}),
                                       ("listeners", "lost", {"bind": "127.0.0.1:20995", "upstream": "nowhere", "colour": 1})])
        assert answer.status == 422
        # All findings at once, each by its place in the request.
        assert any(p.startswith("/put/1/value/nodes") for p in answer.pointers), answer
        assert "/put/2/value/colour" in answer.pointers, answer
        assert shared_api.get("/v1/upstreams/fine").status == 404
        assert shared_api.head() == head

    def test_nothing_when_a_reference_fails(self, shared_api):
        answer = shared_api.apply(put=[("upstreams", "fine", {"nodes": {"127.0.0.1:9": 1}}),
                                       ("listeners", "lost", {"bind": "127.0.0.1:20995", "upstream": "nowhere"})])
        assert answer.status == 422 and "/put/1/value/upstream" in answer.pointers, answer
        assert shared_api.get("/v1/upstreams/fine").status == 404

    def test_order_within_a_request_does_not_matter(self, shared_api):
        shared_api.apply(put=[("listeners", "before", {"bind": "127.0.0.1:20994", "upstream": "after", "status": 0}),
                              ("upstreams", "after", {"nodes": {"127.0.0.1:9": 1}})]).expect(200, 201)
        shared_api.apply(delete=[("upstreams", "after"), ("listeners", "before")]).expect(200)

    @pytest.mark.parametrize("body", [
        {"put": 1}, {"put": [{}]}, {"put": [{"kind": "routes", "id": "x", "value": {}}]}, {"upsert": []}, [], {"delete": [{"kind": "ssls"}]},
        {"put": [{"kind": "upstreams", "id": "../x", "value": {"nodes": {"a:1": 1}}}]}, {"delete": [{"kind": "ssls", "id": "absent"}]},
        {"put": [{"kind": "agents", "id": "x", "value": {}}]},
        {"put": [{"kind": "upstreams", "id": "x", "value": {"nodes": {"a:1": 1}}}] * 2},
        {"put": [{"kind": "upstreams", "id": "x", "value": {"nodes": {"a:1": 1}}}], "delete": [{"kind": "upstreams", "id": "x"}]},
    ])
    def test_bad_requests(self, shared_api, body):
        assert shared_api.post("/v1/apply", body).status in (400, 404, 422), body
        assert shared_api.get("/v1/upstreams/x").status == 404
