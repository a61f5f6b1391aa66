# SPDX-License-Identifier: Apache-2.0
"""Tests that openapi.yaml writes: its examples are sent, each member and parameter is given, and each is given wrongly in each way that its
schema knows. No request fails but for a reason that the answer names."""
import http.client
import json

import pytest

from harness import contract, generate, whole
from harness.pki import Ca
from harness.samples import KINDS, Samples, examples, kind_of

OPERATIONS = contract.operations()
BODIES = [row for row in OPERATIONS if "requestBody" in row[2]]
OURS = [row for row in OPERATIONS if row[0].startswith("/v1/")]


def each(rows):
    return pytest.mark.parametrize("path,method,described", [pytest.param(*row, id=row[2]["operationId"]) for row in rows])


@pytest.fixture(scope="module")
def ca_here():
    return Ca("Generated CA")


@pytest.fixture(scope="module")
def samples(shared, ca_here):
    """With all that the document's examples and the whole bodies name."""
    made = Samples(shared.api, ca_here, shared.agent.id)
    put = [("upstreams", name, made.body("upstreams")) for name in ("shop", "partner", "whole")]
    put += [("ca_bundles", name, made.body("ca_bundles")) for name in ("partners", "internal", "whole")]
    put += [("ssls", "old-shop", made.body("ssls")), ("ssls", "shop", made.body("ssls")), ("tls_options", "whole", {}), ("upstream_tls", "whole", {}),
            ("ssls", "gateway", {"type": "client", "cert": made.pair.cert_pem, "key": made.pair.key_pem})]
    put += [("listeners", name, made.body("listeners")) for name in ("https", "whole")]
    shared.api.apply(put=put).expect(200)
    return made


@pytest.fixture(scope="module")
def bodies(ca_here):
    return whole.bodies(ca_here)


def test_the_document_is_served(shared):
    answer = shared.api.get("/v1/openapi.json", auth=False).expect(200)
    assert answer.json == json.loads(json.dumps(contract.document())) and answer.json["openapi"].startswith("3.1.")
    assert shared.api.get("/v1/openapi.json", auth=False, headers={"If-None-Match": answer.etag}).status == 304
    assert shared.api.get("/v1/openapi.json", auth=False, headers={"If-None-Match": '"other"'}).status == 200
    head = shared.api.call("HEAD", "/v1/openapi.json", auth=False)
    assert head.status == 200 and not head.body and head.headers["Content-Length"] == str(len(answer.body))


@pytest.mark.parametrize("path,method,kind,number", [
    pytest.param(path, method, kind, number, id=f"{described['operationId']}-{kind.split('/')[1]}-{number}") for path, method, described in BODIES
    for kind, media in contract.resolve(described["requestBody"])["content"].items() for number in range(len(examples(media)))])
def test_example(samples, path, method, kind, number):
    """As it stands in the document, but for certificates, and addresses that are taken."""
    _, _, described = next(row for row in BODIES if row[:2] == (path, method))
    value = samples.fill(examples(contract.resolve(described["requestBody"])["content"][kind])[number])
    body = value.encode() if kind == "application/x-ndjson" else json.dumps(value).encode()
    answer = samples.send(path, method, body=body, headers={"Content-Type": kind})
    assert answer.status in (200, 201, 202, 412), answer  # 412: an example of a condition


class TestWhole:
    @pytest.mark.parametrize("kind", KINDS)
    def test_objects(self, samples, bodies, kind):
        """What is answered can be put back and is the same."""
        for number, body in enumerate(bodies[kind]):
            if kind == "listeners":
                body = {**body, "bind": samples.body("listeners")["bind"]}
            made = samples.api.put(f"/v1/{kind}/made-{number}", body).expect(200, 201)
            assert samples.api.put(f"/v1/{kind}/made-{number}", made.json).expect(200).etag == made.etag
            samples.api.apply(put=[(kind, f"made-{number}", body)]).expect(200)

    @pytest.mark.parametrize("kind", ["join_tokens", "tokens"])
    def test_credentials(self, samples, bodies, kind):
        for body in bodies[kind]:
            samples.api.get(f"/v1/{kind}/{samples.api.post(f'/v1/{kind}', body).expect(201).json['id']}").expect(200)

    def test_apisix(self, samples, ca_here):
        body = whole.apisix(ca_here)
        assert samples.api.put("/apisix/admin/ssls", {**body, "id": "whole-apisix"}).status == 201
        assert samples.api.put("/apisix/admin/ssls", {**body, "id": "whole-apisix", "desc": "again"}).status == 200

    def test_probe(self, samples):
        assert samples.api.call("HEAD", "/apisix/admin", auth=False).status == 200

    def test_more_findings_than_are_told(self, samples):
        """Of warnings and of errors."""
        listeners = [("listeners", f"many-{i}", {"bind": f"127.97.0.{i + 1}:1"}) for i in range(120)]
        assert samples.api.apply(put=listeners, dry_run=True).expect(200).json["omitted"] == 20
        refused = samples.api.apply(put=listeners, dry_run=True, strict=True)
        assert refused.status == 422 and refused.json["omitted"] == 20

    def test_resolve(self, samples, ca_here):
        """What of an answer other tests don't see."""
        pair = ca_here.issue("resolved.test")
        samples.api.apply(put=[
            ("ca_bundles", "resolved", {"certs": ca_here.cert_pem, "crls": ca_here.crl()}),
            ("tls_options", "resolved", {"client_auth": {"verify": "require", "ca_bundle": "resolved"}}),
            ("upstream_tls", "resolved", {"ca_bundle": "resolved", "client_ssl": "gateway"}),
            ("upstreams", "resolved", {"nodes": {"127.0.0.1:9": 1}, "upstream_tls": "resolved"}),
            ("listeners", "resolved", {"bind": samples.body("listeners")["bind"], "upstream": "resolved", "tls_options": "resolved"}),
            ("ssls", "resolved", pair.ssl("resolved.test"))]).expect(200)
        found = samples.api.get("/v1/resolve", agent=samples.agent, listener="resolved", sni="resolved.test").expect(200).json
        assert found["client_auth"]["crls"] == [{"ca_bundle": "resolved", "count": 1}]
        assert (found["upstream"]["tls"]["ca_bundle"], found["upstream"]["tls"]["client_ssl"]) == ("resolved", "gateway")

    def test_conditions_of_items(self, samples):
        value = {"nodes": {"127.0.0.1:9": 1}}
        made = samples.api.post("/v1/apply", {"put": [{"kind": "upstreams", "id": "item", "value": value, "if_none_match": "*"}]}).expect(200)
        etag = samples.api.get("/v1/upstreams/item").expect(200).etag
        samples.api.post("/v1/apply", {"put": [{"kind": "upstreams", "id": "item", "value": {**value, "desc": "x"}, "if_match": etag}]},
                         headers={"If-Match": f'"{made.json["revision"]}"'}).expect(200)
        samples.api.post("/v1/apply", {"delete": [{"kind": "upstreams", "id": "item", "if_match": "*"}]}).expect(200)
        lines = [{"op": "put", "kind": "upstreams", "id": "item", "value": value, "if_none_match": "*"}]
        for row in (lines, [{"op": "delete", "kind": "upstreams", "id": "item", "if_match": "*"}]):
            samples.api.post("/v1/apply", "\n".join(map(json.dumps, row)).encode(), headers={"Content-Type": "application/x-ndjson"}).expect(200)


VALUES = {"label": "team=web", "sni": "shop.example", "expires_before": "30d", "issuer": "Generated CA", "key_type": "p256", "fingerprint": "ab" * 32,
          "kind": "upstreams", "id": "sample", "actor": "admin", "against": "1", "outcome": "ok", "since": "1", "until": "4000000000", "strict": "false",
          "wait": "acked", "If-Match": "*", "alpn": "h2", "client_ip": "192.0.2.1", "label_key": "team"}
BESIDE = {"timeout": {"wait": "acked"}, "kind": {"id": "sample"}, "id": {"kind": "upstreams"}, "page": {"page_size": "10"}, "page_size": {"page": "1"}}


class TestParameters:
    """Each alone, with what it can't do without."""

    def value(self, samples, path, method, row):
        """(query, headers) that give this parameter a right value."""
        name, schema = row["name"], contract.resolve(row["schema"])
        if name == "cursor":
            for _ in range(2 if kind_of(path) in (*KINDS, "tokens", "join_tokens") else 0):
                samples.new(kind_of(path))
            return {"cursor": samples.send(path, method, limit=1).expect(200).json["next"], "limit": "1"}, {}
        if name == "If-None-Match" and method == "get":
            return {}, {name: samples.send(path, method).etag or "*"}
        if path == "/v1/revisions" and name in ("after", "wait"):
            return {"after": str(samples.api.head()[1] - 1), **({"wait": "1"} if name == "wait" else {})}, {}
        if name == "If-Match" and method == "post":
            return {}, {name: '"%d-%d"' % samples.api.head()}
        if name == "Idempotency-Key":
            return {}, {name: f"parameter-{kind_of(path)}-{path[-8:].strip('/')}"}
        text = {"agent": samples.agent, "listener": "sample"}.get(name) or VALUES.get(name) or str((schema.get("enum") or [schema.get("minimum", "true")])[0])
        return ({}, {name: text}) if row["in"] == "header" else ({name: text, **BESIDE.get(name, {})}, {})

    @each([row for row in OPERATIONS if any(key[0] != "path" for key in contract.parameters(row[0], row[2]))])
    def test_right(self, samples, path, method, described):
        refused = []
        for (place, _), row in contract.parameters(path, described).items():
            if place == "path" or described["operationId"] == "rotateKeyring":  # test_keyring.py
                continue
            if row["name"] == "cursor" and kind_of(path) == "agents":
                continue  # test_contract_statuses.py: it takes two
            query, headers = self.value(samples, path, method, row)
            target = path.replace("{id}", f"fresh-{samples.count}") if row["name"] == "If-None-Match" and method == "put" else samples.path(path, method)
            if described["operationId"] == "deleteAgent":
                query["dry_run"] = "true"  # the others still need it
                query.pop("wait", query.pop("timeout", None))
            answer = samples.send(path, method, target=target, headers=headers, **query)
            refused += [(row["name"], query, headers, answer)] if answer.status >= 400 else []
        assert not refused

    @each([row for row in OURS if any(key[0] == "query" for key in contract.parameters(row[0], row[2]))])
    def test_wrong(self, samples, path, method, described):
        wrong, count, target = [], 0, samples.path(path)
        for (place, name), row in contract.parameters(path, described).items():
            for text in generate.wrong_texts(row["schema"]) if place == "query" else []:
                answer = samples.send(path, method, target=target, **{**BESIDE.get(name, {}), name: text})
                count += 1
                if answer.status != 400 or name not in answer.body.decode():
                    wrong.append((name, text, answer))
        assert not wrong and count > 0

    @each([row for row in OURS if any(key[0] == "query" for key in contract.parameters(row[0], row[2]))])
    def test_twice(self, samples, path, method, described):
        name = next(name for (place, name), row in contract.parameters(path, described).items() if place == "query" and row["schema"].get("type") != "array")
        assert samples.send(path, method, target=f"{samples.path(path)}?{name}=1&{name}=1").status == 400


def names_it(answer, pointer):
    """Does a finding point at the place, above it or below it?"""
    found = [error["pointer"] for error in answer.json.get("errors", [])]
    return any((pointer + "/").startswith(other + "/") or (other + "/").startswith(pointer + "/") for other in found)


class TestWrongBodies:
    def check(self, samples, path, method, schema, body, prefix="", wrap=lambda body: body):
        target = samples.path(path)
        bad, count = [], 0
        for pointer, why, wrong in generate.wrong_bodies(schema, body):
            answer = samples.api.call(method.upper(), target, json.dumps(wrap(wrong)).encode())
            count += 1
            if answer.status not in (400, 422) or (answer.status == 422 and not names_it(answer, prefix + pointer)):
                bad.append((pointer, why, answer))
        assert count > 10
        assert not bad

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("method", ["put", "post", "apply"])
    def test_objects(self, samples, bodies, kind, method):
        path = {"put": f"/v1/{kind}/{{id}}", "post": f"/v1/{kind}", "apply": "/v1/apply"}[method]
        schema = contract.document()["paths"][f"/v1/{kind}"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        body = {**bodies[kind][0], **({"bind": "127.98.0.1:1"} if kind == "listeners" else {})}
        if method == "apply":
            self.check(samples, path, "post", schema, body, "/put/0/value", lambda value: {"put": [{"kind": kind, "id": "wrong", "value": value}]})
        else:
            self.check(samples, path, method, schema, body)

    @each([row for row in BODIES if row[0] in ("/v1/tokens", "/v1/join_tokens", "/v1/apply", "/v1/revisions/{revision}/rollback") or row[:2] == ("/v1/agents/{id}", "patch")])
    def test_others(self, samples, bodies, path, method, described):
        body = {"/v1/apply": {"put": [{"kind": "upstreams", "id": "x", "value": {"nodes": {"a:1": 1}}, "if_match": "*"}], "delete": [
            {"kind": "ssls", "id": "x", "if_match": "*"}]}, "/v1/agents/{id}": {"labels": {"site": "a"}},
            "/v1/revisions/{revision}/rollback": {"objects": [{"kind": "ssls", "id": "sample"}]}}.get(path) or bodies[kind_of(path)][0]
        self.check(samples, path, method, described["requestBody"]["content"]["application/json"]["schema"], {**body, **({"id": "other"} if kind_of(path) == "tokens" else {})})

    @each([row for row in BODIES if row[0].startswith("/v1/")])
    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"7", b"null", b'{"a":1,"a":2}', b'{"a":1}x', b'{"a":"\xff"}', b'{"a":"\\u0000"}', b"\xef\xbb\xbf{}",
                                      b"[" * 5000, b'{"a":' * 5000, b'{"a":1e999}', b'{"a":' + b"9" * 5000 + b"}"], ids=lambda body: repr(body[:12]))
    def test_no_json(self, samples, path, method, described, body):
        answer = samples.api.call(method.upper(), samples.path(path), body, headers={"Content-Length": str(len(body))})
        assert answer.status in ((400, 422) if body or described["requestBody"]["required"] else (200,)), answer


@pytest.mark.parametrize("path", sorted({row[0] for row in OURS}))
def test_methods(samples, path):
    """What the path has, and no more; said by OPTIONS and by 405 alike."""
    item, target = contract.document()["paths"][path], samples.path(path)
    allowed = {word.upper() for word in contract.METHODS if word in item} | {"OPTIONS"} | ({"HEAD"} if "get" in item else set())
    answer = samples.api.call("OPTIONS", target)
    assert answer.status == 204 and set(answer.headers["Allow"].split(", ")) == allowed, answer.headers
    for method in {"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "TRACE", "get", "BREW"} - allowed:
        connection = http.client.HTTPConnection("127.0.0.1", samples.api.port, timeout=20)
        connection.request(method, target, headers={"Authorization": f"Bearer {samples.api.token}"})
        answer = connection.getresponse()
        assert answer.status == 405 and set(answer.headers["Allow"].split(", ")) == allowed, (method, answer.status, answer.headers)
        connection.close()
