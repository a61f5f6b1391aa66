# SPDX-License-Identifier: Apache-2.0
"""/apisix/admin over the objects of /v1: what clients of APISIX's admin API send and expect, status for status and field for field."""
import base64
import json
import re
import subprocess
import threading
import time

import pytest

from harness import tls
from harness.net import eventually
from harness.world import serve

ADMIN = "/apisix/admin"
SSLS = f"{ADMIN}/ssls"
BAD_CERT = "-----BEGIN CERTIFICATE-----\n" + "MIIEojCCAwqgAwIBAgIJAK253pMhgCkxMA0GCSqGSIb3DQEBCwUAMFYxCzAJBgNV\n" * 3 + "-----END CERTIFICATE-----\n"
BAD_KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIG5AIBAAKCAYEAyCM0rqJecvgnCfOw4fATotPwk5Ba0gC2YvIrO+gSbQkyxXF5\n" * 3 + "-----END RSA PRIVATE KEY-----\n"
FAILED = "Configuration validation failed"


class Apisix:
    """A client of that API: X-API-KEY, no Authorization, Content-Type as curl -d has it."""

    def __init__(self, api, token=None):
        self.api, self.token = api, token or api.token

    def __call__(self, method, path, body=None, headers=None, **query):
        headers = {"X-API-KEY": self.token, "Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        return self.api.call(method, path, body, auth=False, headers=headers, **query)

    def put(self, name, body):
        return self("PUT", f"{SSLS}/{name}", body)

    def value(self, name):
        return self("GET", f"{SSLS}/{name}").expect(200).json["value"]


@pytest.fixture(scope="module")
def apisix(shared_api):
    return Apisix(shared_api)


@pytest.fixture(scope="module")
def pair(ca):
    return ca.issue("test.com", "*.test.com")


def refusal(answer, text, status=400):
    """The whole body, byte for byte as APISIX has it."""
    assert answer.status == status and answer.json == {"error_msg": text}, answer
    assert answer.headers["X-API-VERSION"] == "v3"


def curl(api, *arguments):
    """(status, headers, body) of curl as a script calls it."""
    run = subprocess.run(["curl", "-s", "-i", "-H", f"X-API-KEY: {api.token}", *arguments], capture_output=True, timeout=20, check=True)
    head, _, body = run.stdout.decode().replace("HTTP/1.1 100 Continue\r\n\r\n", "").partition("\r\n\r\n")
    lines = head.split("\r\n")
    return int(lines[0].split()[1]), {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}, body


class TestCurl:
    def test_life_of_an_object(self, shared_api, pair, tmp_path):
        """As the documents of APISIX show it: the file with the data, PUT, GET, PATCH, DELETE."""
        url = f"http://127.0.0.1:{shared_api.port}{SSLS}"
        data = tmp_path / "ssl.json"
        data.write_text(json.dumps(pair.ssl("test.com")))

        status, headers, body = curl(shared_api, f"{url}/life", "-X", "PUT", "-d", f"@{data}")
        written = json.loads(body)
        assert (status, headers["x-api-version"], headers["content-type"]) == (201, "v3", "application/json")
        assert written["key"] == "/apisix/ssls/life" and pair.key_pem.splitlines()[1] not in body
        assert written["value"] == {"id": "life", "sni": "test.com", "cert": pair.cert_pem, "create_time": written["value"]["create_time"],
                                    "update_time": written["value"]["update_time"]}
        assert abs(written["value"]["create_time"] - time.time()) < 60

        status, _, body = curl(shared_api, f"{url}/life", "-X", "PUT", "-d", f"@{data}")
        assert status == 200 and json.loads(body)["value"]["create_time"] == written["value"]["create_time"]

        status, _, body = curl(shared_api, f"{url}/life")
        read = json.loads(body)
        assert status == 200 and set(read) == {"key", "value", "createdIndex", "modifiedIndex"} and read["value"] == written["value"]
        assert isinstance(read["createdIndex"], int) and read["createdIndex"] <= read["modifiedIndex"]

        status, _, body = curl(shared_api, f"{url}/life/snis", "-X", "PATCH", "-d", '["a.test.com", "b.test.com"]')
        assert status == 400 and json.loads(body) == {"error_msg": "invalid configuration: then clause did not match"}, "sni is there too"
        status, _, body = curl(shared_api, f"{url}/life", "-X", "PATCH", "-d", '{"sni": null, "snis": ["a.test.com"], "labels": {"env": "x"}}')
        assert status == 200 and json.loads(body)["value"]["snis"] == ["a.test.com"] and "sni" not in json.loads(body)["value"]
        status, _, body = curl(shared_api, f"{url}/life/snis", "-X", "PATCH", "-d", '["update1.test.com","update2.test.com"]')
        assert status == 200 and '"snis":["update1.test.com","update2.test.com"]' in body

        status, _, body = curl(shared_api, f"{url}/life", "-X", "DELETE")
        assert status == 200 and json.loads(body) == {"deleted": "1", "key": "/apisix/ssls/life"}
        for method in ("GET", "DELETE"):
            status, headers, body = curl(shared_api, f"{url}/life", "-X", method)
            assert (status, json.loads(body), headers["x-api-version"]) == (404, {"message": "Key not found"}, "v3")
        status, _, body = curl(shared_api, f"{url}/life", "-X", "PATCH", "-d", '{"desc": "x"}')
        assert (status, json.loads(body)) == (404, {"message": "Key not found"})

    def test_post_makes_an_id(self, shared_api, apisix, pair):
        status, headers, body = curl(shared_api, f"http://127.0.0.1:{shared_api.port}{SSLS}", "-X", "POST", "-d", json.dumps(pair.ssl("test.com")))
        made = json.loads(body)
        assert status == 201 and re.fullmatch(r"/apisix/ssls/\d{20}", made["key"]) and made["key"].endswith(made["value"]["id"])
        assert headers["location"] == f"{ADMIN}/ssls/{made['value']['id']}"
        assert shared_api.get(f"/v1/ssls/{made['value']['id']}").expect(200).json["sni"] == "test.com"
        second = apisix("POST", SSLS, pair.ssl("test.com")).expect(201).json["value"]["id"]
        assert second > made["value"]["id"]
        for name in (made["value"]["id"], second):
            apisix("DELETE", f"{SSLS}/{name}").expect(200)

    def test_probe(self, shared_api):
        run = subprocess.run(["curl", "-s", "-I", f"http://127.0.0.1:{shared_api.port}{ADMIN}"], capture_output=True, text=True, timeout=20, check=True)
        assert run.stdout.startswith("HTTP/1.1 200") and "X-API-VERSION: v3" in run.stdout


class TestCredentials:
    @pytest.mark.parametrize("key,description", [(None, "missing apikey"), ("wrong", "wrong apikey")])
    def test_bad_ones(self, shared_api, key, description):
        answer = shared_api.call("GET", SSLS, auth=False, headers={"X-API-KEY": key} if key else {})
        assert answer.status == 401 and answer.json == {"error_msg": "failed to check token", "description": description}
        assert "X-API-VERSION" not in answer.headers
        for method, path in (("GET", f"{ADMIN}/routes"), ("PUT", f"{ADMIN}/nothing/1"), ("DELETE", SSLS), ("PATCH", f"{SSLS}/-x")):
            assert shared_api.call(method, path, auth=False, headers={"X-API-KEY": key} if key else {}).status == 401, "asked for before the path is looked at"

    def test_another_scheme_is_not_ours(self, apisix):
        apisix("GET", SSLS, headers={"Authorization": "Basic YTpi"}).expect(200)

    def test_a_viewer_reads(self, shared_api, pair):
        viewer = Apisix(shared_api, shared_api.as_role("viewer").token)
        viewer("GET", SSLS).expect(200)
        for method, path in (("PUT", f"{SSLS}/v"), ("POST", SSLS), ("PATCH", f"{SSLS}/v"), ("DELETE", f"{SSLS}/v")):
            answer = viewer(method, path, pair.ssl("test.com") if method != "DELETE" else None)
            assert (answer.status, answer.json["description"]) == (401, "invalid method for role viewer"), answer
        assert shared_api.get("/v1/ssls/v").status == 404

    def test_an_enroller_does_not(self, shared_api):
        assert Apisix(shared_api, shared_api.as_role("enroller").token)("GET", SSLS).json["description"] == "invalid method for role enroller"

    def test_a_scoped_token_stays_inside(self, shared_api, apisix, ca):
        team = Apisix(shared_api, shared_api.as_role("editor", scope={"sni_suffixes": ["team-a.example"]}).token)
        apisix.put("foreign", ca.issue("x.team-b.example").ssl("x.team-b.example")).expect(201)
        team.put("mine", ca.issue("x.team-a.example").ssl("x.team-a.example")).expect(201)
        assert [row["value"]["id"] for row in team("GET", SSLS).expect(200).json["list"]] == ["mine"]
        assert team("GET", SSLS).json["total"] == 1
        for method in ("GET", "PATCH"):
            answer = team(method, f"{SSLS}/foreign", {"desc": "taken"} if method == "PATCH" else None)
            assert (answer.status, answer.json) == (404, {"message": "Key not found"})
        answers = [team("DELETE", f"{SSLS}/foreign"), team("DELETE", f"{SSLS}/never-was"), team.put("foreign", ca.issue("y.team-a.example").ssl("y.team-a.example")),
                   team.put("new", ca.issue("x.team-b.example").ssl("x.team-b.example")), team("PATCH", f"{SSLS}/mine/sni", b'"x.team-b.example"')]
        assert [answer.status for answer in answers] == [403] * 5, answers
        assert answers[0].json == answers[1].json, "an answer tells which ids exist"
        assert apisix.value("foreign")["sni"] == "x.team-b.example" and team.value("mine")["sni"] == "x.team-a.example"
        for name in ("mine", "foreign"):
            apisix("DELETE", f"{SSLS}/{name}").expect(200)

    def test_query_and_cookie_are_not_taken(self, shared_api):
        answer = shared_api.call("GET", f"{SSLS}?api_key={shared_api.token}", auth=False)
        assert answer.status == 401 and answer.json["description"] == "missing apikey"
        assert shared_api.call("GET", SSLS, auth=False, headers={"Cookie": f"x_api_key={shared_api.token}"}).status == 401
        refused = Apisix(shared_api)("GET", SSLS, api_key=shared_api.token)
        assert refused.status == 400 and "X-API-KEY" in refused.json["error_msg"]


class TestRefusals:
    """The texts are those of APISIX's own tests."""

    @pytest.mark.parametrize("change,text", [
        ({"cert": None, "key": None}, "invalid configuration: then clause did not match"),
        ({"sni": None}, "invalid configuration: then clause did not match"),
        ({"snis": ["a.test.com"]}, "invalid configuration: then clause did not match"),
        ({"key": None}, "invalid configuration: then clause did not match"),
        ({"type": "client", "cert": None}, "invalid configuration: else clause did not match"),
        ({"labels": {"env": ["production", "release"]}},
         'invalid configuration: property "labels" validation failed: failed to validate env (matching ".*"): wrong type: expected string, got table'),
        ({"cert": BAD_CERT}, "failed to parse cert: PEM_read_bio_X509_AUX() failed"),
        ({"key": BAD_KEY}, "failed to parse key: PEM_read_bio_PrivateKey() failed"),
        ({"sni": None, "snis": []}, 'invalid configuration: property "snis" validation failed: expect array to have at least 1 items'),
        ({"sni": None, "snis": ["ok.test.com", "a b"]},
         'invalid configuration: property "snis" validation failed: failed to validate item 2: '
         'failed to match pattern "^\\\\*$|^\\\\*?[0-9a-zA-Z-._\\\\[\\\\]:]+$" with "a b"'),
        ({"cert": "-----BEGIN CERTIFICATE-----x-"}, 'invalid configuration: property "cert" validation failed: string too short, expected at least 128, got 29'),
        ({"status": 2}, 'invalid configuration: property "status" validation failed: matches none of the enum values'),
        ({"type": "both"}, 'invalid configuration: property "type" validation failed: matches none of the enum values'),
        ({"ssl_protocols": ["TLSv1.2", "TLSv1.2"]},
         'invalid configuration: property "ssl_protocols" validation failed: expected unique items but items 1 and 2 are equal'),
        ({"validity_end": 1603893670}, "invalid configuration: additional properties forbidden, found validity_end"),
        ({"create_time": 1602883670}, "the property is forbidden:  create_time"),
        ({"update_time": 1602883670}, "the property is forbidden:  update_time"),
        ({"id": "other"}, "wrong ssl id"),
        ({"client": {}}, 'invalid configuration: property "client" validation failed: property "ca" is required'),
        ({"client": {"ca": BAD_CERT}}, "failed to validate client_cert: failed to parse cert: PEM_read_bio_X509_AUX() failed"),
        ({"desc": "x" * 257}, 'invalid configuration: property "desc" validation failed: string too long, expected at most 256, got 257'),
    ])
    def test_texts(self, shared_api, apisix, pair, change, text):
        body = {**pair.ssl("test.com"), **change}
        refusal(apisix.put("refused", {k: v for k, v in body.items() if v is not None}), text)
        assert shared_api.get("/v1/ssls/refused").status == 404

    def test_extra_pairs(self, apisix, pair, ca):
        more = ca.issue("test.com", key="rsa2048")
        body = pair.ssl("test.com")
        refusal(apisix.put("refused", {**body, "certs": [more.cert_pem], "keys": []}), "mismatched number of certs and keys")
        refusal(apisix.put("refused", {**body, "certs": [more.cert_pem]}), "mismatched number of certs and keys")
        refusal(apisix.put("refused", {**body, "certs": [BAD_CERT], "keys": [more.key_pem]}),
                "failed to handle cert-key pair[1]: failed to parse cert: PEM_read_bio_X509_AUX() failed")
        refusal(apisix.put("refused", {**body, "certs": [more.cert_pem], "keys": [BAD_KEY]}),
                "failed to handle cert-key pair[1]: failed to parse key: PEM_read_bio_PrivateKey() failed")
        made = apisix.put("pairs", {**body, "certs": [more.cert_pem], "keys": [more.key_pem]}).expect(201)
        assert made.json["value"]["certs"] == [more.cert_pem] and "keys" not in made.json["value"]
        apisix("DELETE", f"{SSLS}/pairs").expect(200)

    def test_a_key_that_does_not_match(self, apisix, pair, ca):
        answer = apisix.put("refused", {**pair.ssl("test.com"), "key": ca.issue("test.com").key_pem}).expect(400)
        assert answer.json["error_msg"].startswith('invalid configuration: property "key" validation failed: ')
        assert [row["code"] for row in answer.json["details"]] == ["key-mismatch"]

    @pytest.mark.parametrize("change,words", [
        ({"gm": True}, "found gm (OpenSSL"), ({"ocsp_stapling": {"enabled": True}}, "found ocsp_stapling (no OCSP"),
        ({"key": "$secret://vault/1/ssl/key"}, 'property "key" validation failed: secret references'),
        ({"cert": "$ENV://CERT"}, 'property "cert" validation failed: secret references'),
        ({"certs": ["x"], "keys": ["$env://K"]}, 'property "keys" validation failed: failed to validate item 1: secret references'),
        ({"client": {"ca": "$env://CA"}}, 'property "client" validation failed: property "ca" validation failed: secret references')])
    def test_what_apisix_has_and_we_do_not(self, apisix, pair, change, words):
        answer = apisix.put("refused", {**pair.ssl("test.com"), **change}).expect(400)
        assert words in answer.json["error_msg"], answer

    def test_skip_by_uri(self, apisix, pair, ca):
        answer = apisix.put("refused", {**pair.ssl("test.com"), "client": {"ca": ca.cert_pem, "skip_mtls_uri_regex": ["/x"]}}).expect(400)
        assert 'property "skip_mtls_uri_regex" validation failed: a path is known only after the handshake' in answer.json["error_msg"]

    @pytest.mark.parametrize("method,path,body,status,text", [
        ("POST", SSLS, None, 400, "missing configurations"), ("PUT", f"{SSLS}/1", None, 400, "missing configurations"),
        ("PUT", SSLS, {"sni": "x"}, 400, "missing ssl id"), ("PATCH", SSLS, {"sni": "x"}, 400, "missing ssl id"), ("DELETE", SSLS, None, 400, "missing ssl id"),
        ("POST", f"{SSLS}/1", {"sni": "x"}, 400, "wrong ssl id, do not need it"), ("POST", SSLS, {"id": "1"}, 400, "wrong ssl id, do not need it"),
        ("PATCH", f"{SSLS}/1", None, 400, "missing new configuration"), ("PATCH", f"{SSLS}/1", b"null", 400, "missing new configuration"),
        ("PATCH", f"{SSLS}/1", b"7", 400, "invalid configuration"), ("PATCH", f"{SSLS}/1", [1], 400, "invalid configuration"),
        ("GET", f"{ADMIN}/routes", None, 404, "Unsupported resource type: routes"), ("GET", ADMIN, None, 404, "not found"),
        ("PUT", f"{ADMIN}/schema/ssl", {}, 404, "not found"), ("GET", f"{ADMIN}/schema/ssls", None, 400, "not found schema: ssls"),
        ("POST", f"{ADMIN}/schema/validate/routes", {}, 404, "Unsupported resource type: routes")])
    def test_requests(self, apisix, method, path, body, status, text):
        refusal(apisix(method, path, body), text, status)

    @pytest.mark.parametrize("query,word", [({"ttl": 5}, "ttl"), ({"ttl": "x"}, "ttl"), ({"wait": "acked"}, "wait"), ({"strict": True}, "strict"), ({"dry_run": True}, "dry_run")])
    def test_parameters_that_would_change_the_meaning(self, shared_api, apisix, pair, query, word):
        answer = apisix("PUT", f"{SSLS}/refused", pair.ssl("test.com"), **query)
        assert answer.status == 400 and word in answer.json["error_msg"] and shared_api.get("/v1/ssls/refused").status == 404

    def test_the_version_is_the_servers(self, apisix):
        """As there: it is configured, and no request chooses it."""
        answer = apisix("GET", SSLS, headers={"X-API-VERSION": "v2"}).expect(200)
        assert answer.headers["X-API-VERSION"] == "v3" and set(answer.json) == {"list", "total"}

    def test_unknown_parameters_are_ignored(self, apisix):
        apisix("GET", SSLS, filter="x=y", name="x", uri="/x", force="true").expect(200)

    def test_no_body_is_echoed(self, shared_api, apisix, pair):
        """A typo in a JSON text with a key in it: neither answer nor log shows any of it."""
        text = json.dumps(pair.ssl("test.com"))[:-1] + ",}"
        answer = apisix("PUT", f"{SSLS}/typo", text.encode())
        assert answer.status == 400 and answer.json["error_msg"].startswith("invalid request body: ") and set(answer.json) == {"error_msg"}
        assert pair.key_pem.splitlines()[1].encode() not in answer.body and b"test.com" not in answer.body

    def test_body_limit(self, apisix, pair):
        body = json.dumps({**pair.ssl("test.com"), "desc": "x"}).encode()
        apisix.put("large", body + b" " * ((3 << 19) - len(body))).expect(201)
        refusal(apisix.put("large", body + b" " * ((3 << 19) - len(body) + 1)),
                "invalid request body: request size 1572865 is greater than the maximum size 1572864 allowed")
        apisix("DELETE", f"{SSLS}/large").expect(200)

    @pytest.mark.parametrize("path,id_text", [("*invalid", None), ("-x", None), ("ok", "-x"), ("ok", ["x"]), ("ok", 0)])
    def test_ids(self, apisix, pair, path, id_text):
        answer = apisix.put(path, {**pair.ssl("test.com"), **({"id": id_text} if id_text is not None else {})})
        assert answer.status == 400 and 'property "id" validation failed' in answer.json["error_msg"]

    def test_a_referenced_object_is_kept(self, shared_api, apisix, ca):
        client = ca.issue("client", usage="client")
        apisix.put("for-origins", {**client.ssl(), "type": "client"}).expect(201)
        shared_api.put("/v1/upstream_tls/mutual", {"client_ssl": "for-origins"}).expect(201)
        answer = apisix("DELETE", f"{SSLS}/for-origins")
        assert answer.status == 400 and "upstream_tls/mutual" in json.dumps(answer.json)
        shared_api.delete("/v1/upstream_tls/mutual").expect(200)
        assert apisix.value("for-origins")["type"] == "client"
        apisix("DELETE", f"{SSLS}/for-origins").expect(200)


class TestAccepted:
    def test_ids_in_the_body(self, apisix, pair):
        assert apisix("PUT", SSLS, {**pair.ssl("test.com"), "id": 42}).expect(201).json["key"] == "/apisix/ssls/42"
        assert apisix.put("42", {**pair.ssl("test.com"), "id": 42}).expect(200).json["value"]["id"] == "42"
        apisix.put("a-b-c-ABC_0123", pair.ssl("test.com")).expect(201)
        for name in ("42", "a-b-c-ABC_0123"):
            apisix("DELETE", f"{SSLS}/{name}").expect(200)

    def test_duplicates_expiry_and_other_names_with_warnings(self, apisix, ca):
        """What APISIX's own tests do: localhost on two ids, certificates for other names, one that has expired."""
        old = ca.issue("elsewhere.example", days=-1, starts=-20)
        assert "warnings" not in apisix.put("first", ca.issue("localhost").ssl("localhost")).expect(201).json
        body = apisix.put("second", old.ssl("localhost", "localhost", "LOCALHOST")).expect(201).json
        assert {row["code"] for row in body["warnings"]} >= {"expired", "name-not-covered"} or body["warnings"], body
        assert any("first" in row["detail"] for row in body["warnings"]), body
        assert body["value"]["snis"] == ["localhost"]
        for name in ("first", "second"):
            apisix("DELETE", f"{SSLS}/{name}").expect(200)

    def test_bodies_that_nobody_reads(self, apisix, pair):
        apisix.put("bodies", pair.ssl("test.com")).expect(201)
        apisix("GET", f"{SSLS}/bodies", b"{}").expect(200)
        apisix("DELETE", f"{SSLS}/bodies", b"no JSON").expect(200)

    def test_patches(self, apisix, pair):
        apisix.put("patched", {**pair.ssl("test.com"), "labels": {"env": "a", "team": "b"}, "desc": "x"}).expect(201)

        def patch(path, body):
            return apisix("PATCH", f"{SSLS}/patched{path}", body).expect(200).json["value"]
        assert patch("", {"labels": {"env": None, "zone": "c"}, "desc": None})["labels"] == {"team": "b", "zone": "c"}
        assert patch("/labels", {"only": "this"})["labels"] == {"only": "this"}, "replaced, not merged"
        assert patch("/labels/more", b'"one"')["labels"] == {"only": "this", "more": "one"}
        assert patch("/status", b"0")["status"] == 0
        assert patch("/status", b"1")["status"] == 1, "written out"
        assert "status" not in patch("", {"status": None})
        assert patch("", {"create_time": 1, "update_time": 2})["create_time"] > 1, "the server's"
        second = pair.cert_pem  # the stored key fits it
        assert patch("/cert", second)["cert"] == second
        refusal(apisix("PATCH", f"{SSLS}/patched/sni/deeper", {"a": 1}), "invalid sub-path: /sni")
        refusal(apisix("PATCH", f"{SSLS}/patched/desc", {"a": 1}), 'invalid configuration: property "desc" validation failed: wrong type: expected string, got table')
        refusal(apisix("PATCH", f"{SSLS}/patched", {"id": "another"}), "wrong ssl id")
        apisix("DELETE", f"{SSLS}/patched").expect(200)

    def test_racing_patches_lose_nothing(self, apisix, pair):
        """Each that was answered with 200 is there; others were told so."""
        apisix.put("raced", pair.ssl("test.com")).expect(201)
        done = []

        def work(index):
            for turn in range(10):
                answer = apisix("PATCH", f"{SSLS}/raced/labels/l{index}-{turn}", b'"x"')
                assert answer.status == 200 or (answer.status, answer.json) == (503, {"error_msg": "value changed before overwritten"}), answer
                done.append((f"l{index}-{turn}", answer.status))
        threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(done) == 40 and set(apisix.value("raced")["labels"]) == {name for name, status in done if status == 200}
        apisix("DELETE", f"{SSLS}/raced").expect(200)


class TestLists:
    @pytest.fixture(scope="class")
    def many(self, world_of_lists, ca):
        """25 objects whose ids run against their age."""
        private = ca.issue("x").key
        made = Apisix(world_of_lists)
        for i in range(25):
            labels = {"labels": {"env": "a"}} if i % 5 == 0 else {}
            made.put(f"id-{99 - i}", ca.issue(f"n{i}.test.com", private=private).ssl(f"n{i}.test.com", **labels)).expect(201)
        return made

    @pytest.fixture(scope="class")
    def world_of_lists(self, tmp_path_factory):
        from harness.world import World
        world = World(tmp_path_factory.mktemp("lists"))
        yield world.controlplane().api
        assert not world.close()

    def test_empty(self, world_of_lists):
        assert Apisix(world_of_lists)("GET", SSLS).expect(200).json == {"list": [], "total": 0}

    def test_order_of_creation(self, many):
        whole = many("GET", SSLS).expect(200).json
        assert whole["total"] == 25 and [row["value"]["id"] for row in whole["list"]] == [f"id-{99 - i}" for i in range(25)]
        assert [row["createdIndex"] for row in whole["list"]] == sorted(row["createdIndex"] for row in whole["list"])
        assert all(set(row) == {"key", "value", "createdIndex", "modifiedIndex"} and "key" not in row["value"] for row in whole["list"])
        assert whole["list"][7] == many("GET", f"{SSLS}/id-92").json

    @pytest.mark.parametrize("page,size,expected", [(1, 10, range(10)), (3, 10, range(20, 25)), (4, 10, []), (0, 10, range(10)), (-5, 10, range(10)), (1, 500, range(25))])
    def test_pages(self, many, page, size, expected):
        body = many("GET", SSLS, page=page, page_size=size).expect(200).json
        assert body["total"] == 25 and [row["value"]["sni"] for row in body["list"]] == [f"n{i}.test.com" for i in expected]

    @pytest.mark.parametrize("query", [{"page": 2}, {"page_size": 10}, {"page": "x", "page_size": 10}, {"page": 1, "page_size": "x"}])
    def test_half_of_the_parameters_means_nothing(self, many, query):
        assert len(many("GET", SSLS, **query).expect(200).json["list"]) == 25

    @pytest.mark.parametrize("size", [9, 501, 0, -1])
    def test_page_size(self, many, size):
        refusal(many("GET", SSLS, page=1, page_size=size), "page_size must be between 10 and 500")

    def test_label_is_a_key(self, many):
        body = many("GET", SSLS, label="env").expect(200).json
        assert body["total"] == 5 and [row["value"]["sni"] for row in body["list"]] == [f"n{i}.test.com" for i in range(0, 25, 5)]
        assert many("GET", SSLS, label="a").json == {"list": [], "total": 0}
        assert many("GET", SSLS, label="env", page=2, page_size=10).json == {"list": [], "total": 5}


class TestSchema:
    def test_schema(self, apisix, pair):
        from jsonschema import Draft7Validator
        schema = apisix("GET", f"{ADMIN}/schema/ssl").expect(200).json
        Draft7Validator.check_schema(schema)
        valid = Draft7Validator(schema)
        assert valid.is_valid(pair.ssl("test.com")) and not valid.is_valid({"sni": "test.com"}) and not valid.is_valid({**pair.ssl("a"), "snis": ["b"]})

    def test_validate(self, apisix, pair):
        answer = apisix("POST", f"{ADMIN}/schema/validate/ssls", {**pair.ssl("test.com"), "cert": BAD_CERT}).expect(200)
        assert answer.body == b"", "the schema alone: no PEM is read"
        refusal(apisix("POST", f"{ADMIN}/schema/validate/ssls", {**pair.ssl("test.com"), "sni": 7}), 'property "sni" validation failed: wrong type: expected string, got number')
        refusal(apisix("POST", f"{ADMIN}/schema/validate/ssls", {"sni": "test.com"}), "then clause did not match")

    def test_whole_configurations(self, shared_api, apisix, pair, ca):
        head = shared_api.head()
        good = {"id": "a", **pair.ssl("test.com")}
        assert apisix("POST", f"{ADMIN}/configs/validate", {"ssls": [good, {**pair.ssl("b.test.com")}], "routes": []}).expect(200).json == {}
        assert apisix("POST", f"{ADMIN}/configs/validate", {}).expect(200).json == {}
        body = apisix("POST", f"{ADMIN}/configs/validate", {
            "ssls": [good, {"id": "b", "sni": "x"}, {"id": "c", **pair.ssl("test.com"), "key": ca.issue("x").key_pem, "cert": pair.cert_pem}, {"id": 7, **pair.ssl("x"), "cert": BAD_CERT}, {**good}],
            "routes": [{"id": "r", "uri": "/x"}]}).expect(400).json
        assert body["error_msg"] == FAILED
        rows = {(row["resource_type"], row["index"]): row for row in body["errors"]}
        assert set(rows) == {("ssls", 1), ("ssls", 2), ("ssls", 3), ("ssls", 4), ("routes", 0)}, body
        assert rows["ssls", 1] == {"resource_type": "ssls", "resource_id": "b", "index": 1, "error": "invalid configuration: then clause did not match"}
        assert 'property "key" validation failed' in rows["ssls", 2]["error"] and rows["ssls", 3]["resource_id"] == "7"
        assert rows["ssls", 3]["error"] == "failed to parse cert: PEM_read_bio_X509_AUX() failed" and "twice" in rows["ssls", 4]["error"]
        assert shared_api.head() == head, "something was written"

    def test_ids_of_what_is_wrong(self, apisix):
        """Also of other collections, and of what only looks like an id."""
        body = apisix("POST", f"{ADMIN}/configs/validate", {"ssls": ["text", {"id": {"a": 1}}, {"id": 7}], "routes": [{"id": "r"}, "r", {"id": 5}]}).expect(400).json
        assert [row.get("resource_id") for row in body["errors"]] == ["r", None, 5, None, None, "7"], body

    def test_many_objects_hold_nobody_up(self, world):
        """So many are looked at beside the loop, which everybody shares; and the schema is not read for each of them anew."""
        api = world.controlplane().api
        body = Apisix(api)("POST", f"{ADMIN}/configs/validate", b'{"ssls": [' + b", ".join([b"{}"] * 20000) + b"]}").expect(400).json
        assert body["error_msg"] == FAILED and [row["index"] for row in body["errors"]] == list(range(100))
        metrics = api.get("/metrics").expect(200).body.decode()
        longest = float(re.search(r"^tlsplane_loop_turn_cpu_longest_seconds (\S+)$", metrics, re.M)[1])
        assert longest < 0.1, "seconds of the processor's time"

    @pytest.mark.parametrize("body", [b"", b"[]", b'{"ssls": {}}', b'{"colours": []}', b"ssls:\n  - id: 1\n"])
    def test_what_is_no_configuration(self, apisix, body):
        assert "error_msg" in apisix("POST", f"{ADMIN}/configs/validate", body).expect(400).json


class TestBothWays:
    def test_the_same_objects(self, shared_api, apisix, pair):
        apisix.put("both", {**pair.ssl("test.com"), "labels": {"a": "b"}}).expect(201)
        ours = shared_api.get("/v1/ssls/both").expect(200).json
        assert (ours["sni"], ours["labels"], ours["cert"]) == ("test.com", {"a": "b"}, pair.cert_pem)
        shared_api.patch("/v1/ssls/both", {"priority": 7, "selector": {"site": "a"}, "tls_options": "intermediate"}).expect(200)
        value = apisix.value("both")
        assert (value["priority"], value["selector"], value["tls_options"]) == (7, {"site": "a"}, "intermediate"), "a PUT of this would drop what is not shown"
        assert not {"uid", "version", "x509", "warnings"} & set(value)
        apisix("PATCH", f"{SSLS}/both", {"desc": "x"}).expect(200)
        ours = shared_api.get("/v1/ssls/both").expect(200).json
        assert (ours["selector"], ours["desc"]) == ({"site": "a"}, "x")
        revision = shared_api.get("/v1/revisions", limit=1).json["items"][0]
        assert revision["actor"] and revision["summary"].endswith("ssls/both"), "in history like any other"
        apisix("DELETE", f"{SSLS}/both").expect(200)
        assert shared_api.get("/v1/ssls/both").status == 404

    def test_defaults_are_read_as_they_were_sent(self, shared_api, apisix, pair):
        """By either API, and a GET that is PUT back through /v1 is no change."""
        for more in ({}, {"status": 1}, {"type": "server"}, {"status": 1, "type": "server"}, {"status": 0}):
            apisix.put("said", {**pair.ssl("test.com"), **more}).expect(200, 201)
            assert {k: v for k, v in apisix.value("said").items() if k in ("status", "type")} == more
            ours, head = shared_api.get("/v1/ssls/said").json, shared_api.head()
            assert (ours["status"], ours["type"]) == (more.get("status", 1), "server")
            shared_api.put("/v1/ssls/said", ours).expect(200)
            assert shared_api.head() == head
            shared_api.patch("/v1/ssls/said", {"desc": "x"}).expect(200)
            apisix("PATCH", f"{SSLS}/said", {"desc": "y"}).expect(200)
            assert {k: v for k, v in apisix.value("said").items() if k in ("status", "type")} == more
        assert shared_api.put("/v1/ssls/said", pair.ssl("test.com", spelled=["colour"])).expect(422).pointers == ["/spelled/0"]
        apisix("DELETE", f"{SSLS}/said").expect(200)

    def test_what_v1_wrote(self, shared_api, apisix, pair):
        shared_api.put("/v1/ssls/ours", pair.ssl("test.com", status=0)).expect(201)
        assert apisix.value("ours")["status"] == 0 and any(row["key"] == "/apisix/ssls/ours" for row in apisix("GET", SSLS).json["list"])
        apisix("DELETE", f"{SSLS}/ours").expect(200)

    def test_refusals_are_audited(self, shared_api, apisix, pair):
        apisix.put("audited", {**pair.ssl("test.com"), "sni": "a b"}).expect(400)
        apisix.put("audited", {**pair.ssl("test.com"), "key": BAD_KEY}).expect(400)
        eventually(lambda: len([row for row in shared_api.get("/v1/audit", limit=500).expect(200).json["items"] if "audited" in row["action"]]) == 2,
                   "both refusals have a row")

    def test_served_by_an_agent(self, world, controlplane, agent, backend, ca):
        apisix = Apisix(controlplane.api)
        port = serve(controlplane, backend)
        first, second = ca.issue("served.test"), ca.issue("served.test")
        for made in (first, second):
            apisix.put("served", made.ssl("served.test")).expect(200, 201)
            agent.wait_applied()
            assert tls.leaf(port, "served.test") == made.sha256
        apisix("PATCH", f"{SSLS}/served/status", b"0").expect(200)
        agent.wait_applied()
        assert tls.leaf(port, "served.test") != second.sha256, "switched off"


class TestClients:
    """How programs use that API."""

    def test_terraform(self, apisix, pair, ca):
        """A REST provider: create, read, compare what was sent with what stands there (computed and write-only fields apart), update, destroy."""
        wanted = {"status": 1, "snis": ["a.test.com", "*.test.com"], "cert": pair.cert_pem, "key": pair.key_pem, "labels": {"managed-by": "terraform"}, "desc": "shop",
                  "ssl_protocols": ["TLSv1.2", "TLSv1.3"], "client": {"ca": ca.cert_pem, "depth": 2}, "type": "server"}
        computed, unread = {"id", "create_time", "update_time"}, {"key", "keys"}

        def drift():
            seen = apisix.value("tf")
            sent = {k: v for k, v in wanted.items() if k not in unread}
            return {k for k in {*sent, *seen} - computed if sent.get(k) != seen.get(k)}
        assert apisix.put("tf", wanted).expect(201).json["value"]["id"] == "tf"
        assert not drift()
        apisix("PATCH", f"{SSLS}/tf", {"desc": "by hand"}).expect(200)
        assert drift() == {"desc"}
        wanted["snis"] = ["b.test.com"]
        del wanted["type"]
        apisix.put("tf", wanted).expect(200)
        assert not drift()
        apisix("DELETE", f"{SSLS}/tf").expect(200)
        apisix("GET", f"{SSLS}/tf").expect(404)

    def test_dashboard(self, apisix, pair):
        """Lists in pages, opens one, edits it and puts it back as it was read, switches it off and on."""
        apisix.put("shown", pair.ssl("test.com")).expect(201)
        page = apisix("GET", SSLS, page=1, page_size=10).expect(200).json
        row = next(row for row in page["list"] if row["value"]["id"] == "shown")
        form = {k: v for k, v in row["value"].items() if k not in ("create_time", "update_time")}
        form["desc"] = "edited"
        assert apisix.put("shown", form).expect(200).json["value"]["desc"] == "edited", "the stored key is kept"
        assert apisix("PATCH", f"{SSLS}/shown", {"status": 0}).expect(200).json["value"]["status"] == 0
        apisix("PATCH", f"{SSLS}/shown", {"status": 1}).expect(200)
        apisix("DELETE", f"{SSLS}/shown").expect(200)

    def test_nothing_told_a_key(self, shared_api, apisix, pair):
        apisix.put("secret", pair.ssl("test.com")).expect(201)
        apisix("PATCH", f"{SSLS}/secret", {"key": pair.key_pem}).expect(200)
        apisix("GET", SSLS).expect(200)
        secret = pair.raw_secret
        forms = (secret, secret.hex().encode(), base64.b64encode(secret).rstrip(b"=")[:24], pair.key_pem.splitlines()[1].encode())
        assert not [form for form in forms if any(form in answer for answer in shared_api.transcript)]
        apisix("DELETE", f"{SSLS}/secret").expect(200)
