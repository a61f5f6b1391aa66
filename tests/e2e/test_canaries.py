# SPDX-License-Identifier: Apache-2.0
"""What a confined token can learn: objects of others carry words that nothing else has; every request that the contract knows is made with
tokens of one team, and none of the answers has such a word that the request had not."""
import json

import pytest

from harness import contract
from harness.net import free_port
from harness.world import serve

WORD = "canary"
SCOPES = {
    "names": {"sni_suffixes": ["*.team-a.example"]},
    "labels": {"labels": {"team": "a"}},
    "both": {"sni_suffixes": ["team-a.example"], "labels": {"team": "a"}},
}
WRITES = ({}, {"dry_run": True}, {"strict": True})
WAITS = ({"wait": "acked", "timeout": 1}, {"wait": "served", "timeout": 1})
LISTS = ({"limit": 1}, {"limit": 1, "status": 1}, {"limit": 1, "status": 0}, {"limit": 1, "sort": "expiry"}, {"limit": 1, "sort": "-expiry", "status": 1},
         {"limit": 1, "label": "team"}, {"limit": 1, "sni": "shared.team-a.example"}, {"limit": 1, "expires_before": "4000d"}, {"limit": 1, "issuer": "Test CA"},
         {"limit": 1, "type": "server"}, {"limit": 1, "key_type": "p256", "status": 1})
NDJSON = {"Content-Type": "application/x-ndjson"}


class Field:
    """One control plane with an agent. Ours: `mine` and what stands around it; theirs: everything else."""

    def __init__(self, shared, ca):
        self.api, self.ca, self.agent = shared.api, ca, shared.agent
        api, theirs = self.api, ca.issue("shared.team-a.example", f"{WORD}name.team-b.example", common_name=f"{WORD}cn")
        serve(shared.controlplane, shared.backend, listener=f"{WORD}listener", upstream=f"{WORD}upstream")
        api.patch(f"/v1/agents/{self.agent.id}", {"labels": {"site": f"{WORD}site"}}).expect(200)
        authority = type(ca)(f"{WORD}authority").cert_pem
        client_auth = {"verify": "require", "ca_bundle": f"{WORD}bundle"}
        mine = ca.issue("*.team-a.example")
        self.documents = {
            "shared": mine.ssl("shared.team-a.example", labels={"team": "a"}),
            "own": ca.issue("own.team-a.example").ssl("own.team-a.example", labels={"team": "a"}),
            "off": mine.ssl("shared.team-a.example", labels={"team": "a"}, status=0),
            "narrow": mine.ssl("shared.team-a.example", labels={"team": "a"}, selector={"site": "x"}),
            "lax": mine.ssl("shared.team-a.example", labels={"team": "a"}, tls_options="lax"),
            "wins": mine.ssl("shared.team-a.example", labels={"team": "a"}, priority=99),
            "theirs": ca.issue("x.team-b.example").ssl("x.team-b.example"),
            "dangling": mine.ssl("shared.team-a.example", labels={"team": "a"}, tls_options="nobody"),
            "partial": mine.ssl("shared.team-a.example", labels={"team": "a"}, tls_options="narrowed"),
            "bad": {"sni": "shared.team-a.example", "cert": "x"},
        }
        api.apply(put=[
            ("ca_bundles", f"{WORD}bundle", {"certs": authority, "labels": {f"{WORD}key": f"{WORD}value"}}),
            ("tls_options", f"{WORD}options", {"min_version": "TLSv1.2", "client_auth": client_auth}), ("tls_options", "lax", {"min_version": "TLSv1.2"}),
            ("tls_options", "narrowed", {"min_version": "TLSv1.3", "selector": {"site": f"{WORD}site"}}),
            ("listeners", f"{WORD}second", {"bind": f"127.0.0.1:{free_port()}", "upstream": f"{WORD}upstream", "tls_options": f"{WORD}options"}),
            ("routes", f"{WORD}route", {"snis": ["shared.team-a.example"], "upstream": f"{WORD}upstream", "tls_options": f"{WORD}options"}),
            ("ssls", f"{WORD}object", theirs.ssl("shared.team-a.example", f"{WORD}name.team-b.example", priority=9, desc=f"{WORD}desc",
                                                 labels={"team": f"{WORD}team", f"{WORD}label": "x"})),
            *[("ssls", f"{WORD}-{i}", ca.issue(f"{WORD}{i}.team-b.example", days=20 + 10 * i).ssl(f"{WORD}{i}.team-b.example", status=i % 2)) for i in range(6)],
            ("ssls", "a-first", ca.issue("first.team-a.example", days=35).ssl("first.team-a.example", labels={"team": "a"})),
            ("ssls", "mine", self.documents["shared"]),
            ("tls_options", f"{WORD}refers", {"default_ssl": "mine"})], wait="acked", timeout=20).expect(200)
        api.post("/v1/tokens", {"id": f"{WORD}token", "role": "viewer"}).expect(201)
        self.words = [WORD, self.agent.id, api.get(f"/v1/ssls/{WORD}object").json["uid"], theirs.sha256, theirs.spki_sha256,
                      f"{theirs.cert.serial_number:x}", theirs.leaf_pem.splitlines()[3]]
        self.words += [api.get(f"/v1/ssls/{WORD}-{i}").json["x509"]["sha256"] for i in range(6)]

    def restore(self):
        self.api.put("/v1/ssls/mine", self.documents["shared"]).expect(200, 201)
        for name in ("free", "made"):
            self.api.delete(f"/v1/ssls/{name}")

    def found(self, answer, request):
        """Words of others that the request did not have."""
        text = (str(answer.headers) + answer.body.decode(errors="replace")).lower()
        return [word for word in self.words if word.lower() in text and word.lower() not in request.lower()]


@pytest.fixture(scope="module")
def field(shared, ca):
    return Field(shared, ca)


def bodies(field, method, path):
    if method not in ("PUT", "POST", "PATCH"):
        return [None]
    documents = list(field.documents.values())
    if path.endswith("/apply"):
        return []
    if "ssls" not in path:
        return [{}, {"tls_options": f"{WORD}options"}]
    if "{path}" in path:
        return [b'"shared.team-a.example"', b'{"team": "b"}', b"0", b'"x.team-b.example"']
    if method == "PATCH":
        return [{"desc": "x"}, {"status": 0}, {"selector": {"site": "x"}}, {"tls_options": "lax"}, {"sni": "x.team-b.example"}, {"labels": {"team": "b"}}, {"key": None}]
    return documents


def requests(field):
    """(method, path, body, query, headers) of all that can be asked."""
    head = field.api.get("/v1/revisions", limit=1).json["items"][0]["revision"]
    for path, item in contract.document()["paths"].items():
        for method in (name.upper() for name in item if name != "parameters"):
            for identity in ("mine", f"{WORD}object", "free") if "{id}" in path else ("",):
                target = path.replace("{id}", identity).replace("{revision}", head).replace("{name}", "ssl").replace("{path}", "sni")
                for body in bodies(field, method, path):
                    for query in WRITES if method != "GET" and path.startswith("/v1/ssls") else ({},):
                        yield method, target, body, query, {}
    for query in LISTS:
        yield "GET", "/v1/ssls", None, query, {}
    for query in ({}, {"label": "team"}, {"page": 1, "page_size": 10}):
        yield "GET", "/apisix/admin/ssls", None, query, {}
    for headers in ({"If-Match": "*"}, {"If-Match": '"1-1"'}, {"If-None-Match": "*"}):
        for identity in ("mine", f"{WORD}object", "free"):
            yield "PUT", f"/v1/ssls/{identity}", field.documents["shared"], {}, headers
            yield "DELETE", f"/v1/ssls/{identity}", None, {}, headers
    yield from applies(field)


    for query in WAITS:
        for name in ("shared", "off", "wins", "shared", "own"):
            yield "PUT", "/v1/ssls/mine", field.documents[name], query, {}
            yield "POST", "/v1/apply", {"put": [{"kind": "ssls", "id": "mine", "value": field.documents[name]}]}, query, {}
        yield "DELETE", "/v1/ssls/made", None, query, {}


def applies(field):
    for query in WRITES:
        for name, document in field.documents.items():
            put = [{"kind": "ssls", "id": identity, "value": document} for identity in ("mine", "free")]
            yield "POST", "/v1/apply", {"put": put}, query, {}
            lines = b"".join(json.dumps({"op": "put", **item}).encode() + b"\n" for item in put)
            if name in ("shared", "bad"):
                yield "POST", "/v1/apply", lines, query, NDJSON
        yield "POST", "/v1/apply", {"delete": [{"kind": "ssls", "id": "mine"}]}, query, {}
        yield "POST", "/v1/apply", {"delete": [{"kind": kind, "id": "nobody"} for kind in ("ssls", "routes", "tls_options")]}, query, {}


def pages(api, path, query):
    """All of a list."""
    while True:
        answer = api.get(path, **query)
        yield answer
        if answer.status != 200 or not answer.json.get("next"):
            return
        query = {**query, "cursor": answer.json["next"]}


def run(field, api, reads_alone):
    """{word: the request that told it}, and how many requests were answered with 2xx."""
    told, done, touched = {}, 0, False
    for method, path, body, query, headers in requests(field):
        if reads_alone and method != "GET":
            continue
        if touched:
            field.restore()
        touched = False
        request = f"{path} {body if isinstance(body, bytes) else json.dumps(body)} {query}"
        answers = pages(api, path, query) if method == "GET" and "limit" in query else [api.call(method, path, body, headers=dict(headers), **query)]
        for answer in answers:
            done += answer.status < 300
            touched = touched or (method != "GET" and answer.status < 300)
            if answer.headers.get("Location"):
                field.api.delete(answer.headers["Location"]).expect(200)
            for word in field.found(answer, request):
                told.setdefault(word, f"{method} {request[:200]} -> {answer}")
    return told, done


@pytest.mark.parametrize("scope", ["names", "labels"])
def test_nothing_is_told(field, scope):
    told, done = run(field, field.api.as_role("editor", scope=SCOPES[scope]), False)
    assert not told, told
    assert done > 60, done


@pytest.mark.parametrize("scope", SCOPES)
def test_nothing_is_shown(field, scope):
    told, done = run(field, field.api.as_role("viewer", scope=SCOPES[scope]), True)
    assert not told, told
    assert done > 20, done


def test_whoever_may_see_is_told(field):
    """The same reads find every word."""
    told, _ = run(field, field.api, True)
    assert set(told) == set(field.words)


def test_cursors_are_of_their_token(field):
    """What one token was told means nothing to another, nor does a place that was made up."""
    one, other = (field.api.as_role("viewer", scope=SCOPES["names"]) for _ in range(2))
    cursor = one.get("/v1/ssls", limit=1).expect(200).json["next"]
    one.get("/v1/ssls", limit=1, cursor=cursor).expect(200)
    for forged in (cursor.rsplit("-", 1)[0] + "-mine", cursor[:-1] + ("0" if cursor[-1] != "0" else "1")):
        assert one.get("/v1/ssls", limit=1, cursor=forged).status == 400
    assert other.get("/v1/ssls", limit=1, cursor=cursor).status == 400


def test_cursors_of_a_confined_token_end_with_the_process(world, ca):
    controlplane = world.controlplane()
    pair = ca.issue("*.team-a.example")
    controlplane.api.apply(put=[("ssls", name, pair.ssl(f"{name}.team-a.example")) for name in ("a", "b")]).expect(200)
    scoped = controlplane.api.as_role("viewer", scope=SCOPES["names"])
    cursors = [api.get("/v1/ssls", limit=1).expect(200).json["next"] for api in (scoped, controlplane.api)]
    controlplane.restart()
    answer = controlplane.api.with_token(scoped.token).get("/v1/ssls", limit=1, cursor=cursors[0])
    assert answer.status == 400 and b"start again" in answer.body, answer
    assert [item["id"] for item in controlplane.api.get("/v1/ssls", limit=1, cursor=cursors[1]).expect(200).json["items"]] == ["b"]
