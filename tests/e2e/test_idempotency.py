# SPDX-License-Identifier: Apache-2.0
"""Idempotency-Key: what comes again is answered and not done again, across retries, waits, restarts and kills."""
import threading

import pytest

from harness.net import eventually
from harness.world import serve

UPSTREAM = {"nodes": {"127.0.0.1:9": 1}}


def post(api, path, body, key, **more):
    return api.post(path, body, headers={"Idempotency-Key": key}, **more)


def same(first, again):
    """All of the answer but the request's own id, and that it is a replay."""
    assert again.headers["Idempotency-Replayed"] == "true" and "Idempotency-Replayed" not in first.headers
    assert (first.status, first.body, first.etag) == (again.status, again.body, again.etag)
    for name in ("Location", "Tlsplane-Revision", "Content-Type"):
        assert first.headers.get(name) == again.headers.get(name), name


class TestReplay:
    def test_an_object(self, shared_api):
        first = post(shared_api, "/v1/upstreams", UPSTREAM, "object-1").expect(201)
        count, head = shared_api.get("/v1/upstreams").json["total"], shared_api.head()
        same(first, post(shared_api, "/v1/upstreams", UPSTREAM, "object-1"))
        assert shared_api.get("/v1/upstreams").json["total"] == count and shared_api.head() == head

    def test_it_tells_what_was_answered_and_not_what_is(self, shared_api):
        first = post(shared_api, "/v1/upstreams", UPSTREAM, "then").expect(201)
        shared_api.patch(first.headers["Location"], {"desc": "later"}).expect(200)
        same(first, post(shared_api, "/v1/upstreams", UPSTREAM, "then"))
        shared_api.delete(first.headers["Location"]).expect(200)
        same(first, post(shared_api, "/v1/upstreams", UPSTREAM, "then"))

    def test_warnings(self, shared_api, ca):
        shared_api.put("/v1/ssls/there", ca.issue("warned.test").ssl("warned.test")).expect(201)
        body = ca.issue("warned.test").ssl("warned.test")
        first = post(shared_api, "/v1/ssls", body, "warned").expect(201)
        assert "overlap" in [warning["code"] for warning in first.json["warnings"]]
        shared_api.delete("/v1/ssls/there").expect(200)
        same(first, post(shared_api, "/v1/ssls", body, "warned"))

    def test_apply(self, shared_api, ca):
        body = {"put": [{"kind": "upstreams", "id": "u", "value": UPSTREAM},
                        {"kind": "ssls", "id": "s", "value": ca.issue("x.test").ssl("y.test")}]}
        first = post(shared_api, "/v1/apply", body, "apply").expect(200)
        assert first.json["warnings"][0]["index"] == 1
        shared_api.delete("/v1/upstreams/u").expect(200)
        same(first, post(shared_api, "/v1/apply", body, "apply"))
        assert shared_api.get("/v1/upstreams/u").status == 404
        unchanged = post(shared_api, "/v1/apply", {"put": []}, "nothing").expect(200)
        assert not unchanged.json["changed"]
        shared_api.put("/v1/upstreams/u", UPSTREAM).expect(201)
        same(unchanged, post(shared_api, "/v1/apply", {"put": []}, "nothing"))

    def test_lines(self, shared_api):
        body = b'{"op":"put","kind":"upstreams","id":"lines","value":{"nodes":{"127.0.0.1:9":1}}}\n'
        headers = {"Idempotency-Key": "lines", "Content-Type": "application/x-ndjson"}
        first = shared_api.post("/v1/apply", body, headers=headers).expect(200)
        same(first, shared_api.post("/v1/apply", body, headers=headers))

    def test_rollback(self, shared_api):
        shared_api.put("/v1/upstreams/rolled", UPSTREAM).expect(201)
        before = shared_api.head()[1]
        shared_api.patch("/v1/upstreams/rolled", {"desc": "x"}).expect(200)
        first = post(shared_api, f"/v1/revisions/{before}/rollback", None, "rollback").expect(200)
        shared_api.patch("/v1/upstreams/rolled", {"desc": "y"}).expect(200)
        same(first, post(shared_api, f"/v1/revisions/{before}/rollback", None, "rollback"))
        assert shared_api.get("/v1/upstreams/rolled").json["desc"] == "y"

    def test_what_is_told_once_is_told_again_to_who_asked(self, shared_api):
        for path, body in (("/v1/join_tokens", {"ttl": 600}), ("/v1/tokens", {"role": "viewer"})):
            first = post(shared_api, path, body, f"secret-{path}").expect(201)
            again = post(shared_api, path, body, f"secret-{path}")
            same(first, again)
            assert first.json["token"] == again.json["token"]
        made = first.json
        shared_api.with_token(made["token"]).get("/v1/ssls").expect(200)
        shared_api.delete(f"/v1/tokens/{made['id']}").expect(200)
        assert post(shared_api, path, body, f"secret-{path}").status == 410, "a revoked one is not made again"
        post(shared_api, path, {"role": "viewer", "id": "named"}, "named").expect(201)
        shared_api.delete("/v1/tokens/named").expect(200)
        shared_api.post(path, {"role": "viewer", "id": "named"}).expect(201)
        assert post(shared_api, path, {"role": "viewer", "id": "named"}, "named").status == 410, "nor told again as if it were its namesake"

    def test_a_rotation_is_begun_once(self, world):
        api = world.controlplane().api
        first = post(api, "/v1/keyring/rotate", None, "rotate").expect(202)
        newest = max(key["id"] for key in first.json["keys"])
        again = post(api, "/v1/keyring/rotate", None, "rotate").expect(202)
        assert again.headers["Idempotency-Replayed"] == "true" and max(key["id"] for key in again.json["keys"]) == newest

    def test_a_long_body(self, shared_api):
        body = {"put": [{"kind": "upstreams", "id": f"long-{i}", "value": UPSTREAM} for i in range(3000)]}
        first = post(shared_api, "/v1/apply", body, "long").expect(200)
        same(first, post(shared_api, "/v1/apply", body, "long"))


class TestNotTheSame:
    def test_another_request(self, shared_api):
        post(shared_api, "/v1/upstreams", UPSTREAM, "reused").expect(201)
        head = shared_api.head()
        for path, body, query in (("/v1/upstreams", {"nodes": {"127.0.0.1:8": 1}}, {}), ("/v1/listeners", UPSTREAM, {}),
                                  ("/v1/upstreams", UPSTREAM, {"strict": True}), ("/v1/apply", {}, {}), ("/v1/tokens", {"role": "viewer"}, {})):
            answer = post(shared_api, path, body, "reused", **query)
            assert answer.status == 422 and b"another request" in answer.body, (path, answer)
        assert shared_api.head() == head

    def test_keys_belong_to_the_token(self, shared_api):
        other = shared_api.as_role("editor")
        first = post(shared_api, "/v1/upstreams", UPSTREAM, "mine").expect(201)
        second = post(other, "/v1/upstreams", UPSTREAM, "mine").expect(201)
        assert first.json["id"] != second.json["id"] and "Idempotency-Replayed" not in second.headers

    def test_refusals_are_not_kept(self, shared_api):
        assert post(shared_api, "/v1/upstreams", {"nodes": 7}, "refused").status == 422
        post(shared_api, "/v1/upstreams", UPSTREAM, "refused").expect(201)

    def test_a_dry_run_keeps_nothing(self, shared_api):
        post(shared_api, "/v1/upstreams", UPSTREAM, "dry", dry_run=True).expect(200)
        assert "Idempotency-Replayed" not in post(shared_api, "/v1/upstreams", UPSTREAM, "dry").expect(201).headers

    @pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\xe4"])
    def test_bad_keys(self, shared_api, key):
        answer = post(shared_api, "/v1/upstreams", UPSTREAM, key)
        assert answer.status == 400, answer

    def test_longest_key(self, shared_api):
        first = post(shared_api, "/v1/upstreams", UPSTREAM, "!~" + "x" * 253).expect(201)
        same(first, post(shared_api, "/v1/upstreams", UPSTREAM, "!~" + "x" * 253))

    def test_other_methods_ignore_it(self, shared_api):
        headers = {"Idempotency-Key": "put"}
        shared_api.put("/v1/upstreams/put", UPSTREAM, headers=headers).expect(201)
        shared_api.put("/v1/upstreams/put", UPSTREAM, headers=headers).expect(200)
        shared_api.get("/v1/upstreams/put", headers=headers).expect(200)


class TestUnderWay:
    def test_while_the_first_waits(self, world, controlplane, api):
        """409 while it runs; afterwards the same answer, and a wait of its own."""
        agent = world.agent(controlplane)
        serve(controlplane, world.backend())
        agent.daemon.process.send_signal(19)
        answers = []
        try:
            thread = threading.Thread(target=lambda: answers.append(post(api, "/v1/upstreams", UPSTREAM, "slow", wait="acked", timeout=4)))
            thread.start()
            eventually(lambda: api.get("/v1/upstreams").json["total"] == 2, "the first has been written")
            busy = post(api, "/v1/upstreams", UPSTREAM, "slow", wait="acked", timeout=4)
            assert busy.status == 409 and busy.headers["Retry-After"] == "1", busy
            thread.join(20)
        finally:
            agent.daemon.process.send_signal(18)
        assert answers[0].status == 504
        again = eventually(lambda: (lambda a: a.status == 201 and a)(post(api, "/v1/upstreams", UPSTREAM, "slow", wait="acked", timeout=4)),
                           "the agent has it", 15)
        assert again.headers["Idempotency-Replayed"] == "true" and again.json["wait"]["state"] == "acked"
        assert api.get("/v1/upstreams").json["total"] == 2

    def test_many_at_once_make_one(self, world):
        api = world.controlplane().api
        answers = []
        def work():
            for _ in range(20):
                answer = post(api, "/v1/upstreams", UPSTREAM, "race")
                answers.append(answer)
                if answer.status != 409:
                    return
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {answer.status for answer in answers} <= {201, 409}
        assert len({answer.json["id"] for answer in answers if answer.status == 201}) == 1 and api.get("/v1/upstreams").json["total"] == 1


class TestLasting:
    def test_over_a_kill(self, world):
        controlplane = world.controlplane()
        first = post(controlplane.api, "/v1/join_tokens", {"ttl": 600}, "killed").expect(201)
        controlplane.kill()
        controlplane.start()
        same(first, post(controlplane.api, "/v1/join_tokens", {"ttl": 600}, "killed"))

    def test_a_large_set_over_a_kill(self, world):
        """The body is read and dropped line by line; that it is the same, and that another is not, is known of all of it."""
        controlplane = world.controlplane()
        headers = {"Idempotency-Key": "large", "Content-Type": "application/x-ndjson"}
        body = b'{"op":"put","kind":"upstreams","id":"large","value":{"nodes":{"127.0.0.1:9":1}}}\n' + b"\n" * (9 << 20)
        assert controlplane.api.post("/v1/apply", body, headers=headers, dry_run=True).expect(200).json["dry_run"]
        assert controlplane.api.get("/v1/upstreams/large").status == 404
        first = controlplane.api.post("/v1/apply", body, headers=headers).expect(200)
        controlplane.kill()
        controlplane.start()
        same(first, controlplane.api.post("/v1/apply", body, headers=headers))
        for other in (body[:-1] + b" ", body + b"\n", body.replace(b"9", b"8", 1)):
            answer = controlplane.api.post("/v1/apply", other, headers=headers)
            assert answer.status == 422 and b"another request" in answer.body, answer

    def test_over_a_rotated_keyring(self, world):
        controlplane = world.controlplane()
        api = controlplane.api
        first = post(api, "/v1/join_tokens", {"ttl": 600}, "rotated").expect(201)
        old = api.get("/v1/keyring").json["keys"][0]["id"]
        api.post("/v1/keyring/rotate").expect(202)
        eventually(lambda: [key["id"] for key in api.get("/v1/keyring").json["keys"]] != [old] and len(api.get("/v1/keyring").json["keys"]) == 1,
                   "the old key is gone", 20)
        same(first, post(api, "/v1/join_tokens", {"ttl": 600}, "rotated"))
        controlplane.restart()
        same(first, post(controlplane.api, "/v1/join_tokens", {"ttl": 600}, "rotated"))

    def test_the_secret_is_sealed(self, world):
        controlplane = world.controlplane()
        token = post(controlplane.api, "/v1/join_tokens", {"ttl": 600}, "sealed").expect(201).json["token"]
        made = post(controlplane.api, "/v1/tokens", {"role": "admin"}, "sealed-too").expect(201).json["token"]
        controlplane.daemon.terminate()
        for path in controlplane.dir.rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                assert token.split(".")[2].encode() not in data and made.encode() not in data, path
