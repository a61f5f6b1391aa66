# SPDX-License-Identifier: Apache-2.0
"""POST /v1/apply as NDJSON, conditions per item and for the store as a whole, and what happens when bodies are very large."""
import http.client
import json
import socket
import threading
import time

import pytest

from harness.net import eventually, receive_all
from harness.world import is_sanitized

NDJSON = {"Content-Type": "application/x-ndjson"}
NODES = {"nodes": {"127.0.0.1:9": 1}}


def lines(*items):
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)


def put(item_id, value=None, kind="upstreams", **more):
    return {"op": "put", "kind": kind, "id": item_id, "value": NODES if value is None else value, **more}


def delete(item_id, kind="upstreams", **more):
    return {"op": "delete", "kind": kind, "id": item_id, **more}


def send(api, body, headers=None, **query):
    return api.post("/v1/apply", body, headers={**NDJSON, **(headers or {})}, **query)


def etag(api, path):
    return api.get(path).expect(200).headers["ETag"]


class TestLines:
    def test_one_revision(self, shared_api):
        head = shared_api.head()
        body = b"\n" + lines(put("l1"), put("l2")).replace(b"\n", b"\r\n") + b"  \n" + lines(put("l3")).rstrip()
        answer = send(shared_api, body).expect(200)
        assert answer.json == {"revision": f"{head[0]}-{head[1] + 1}", "changed": True, "warnings": []}
        assert {shared_api.get(f"/v1/upstreams/{i}").json["version"] for i in ("l1", "l2", "l3")} == {head[1] + 1}
        assert send(shared_api, body).expect(200).json["changed"] is False
        send(shared_api, lines(delete("l1"), delete("l2"), delete("l3"))).expect(200)
        assert shared_api.get("/v1/upstreams/l1").status == 404

    @pytest.mark.parametrize("body", [b"", b"\n", b" \r\n\n"])
    def test_nothing_is_fine(self, shared_api, body):
        head = shared_api.head()
        for answer in (send(shared_api, body), shared_api.post("/v1/apply", {}), shared_api.post("/v1/apply", {"put": [], "delete": []})):
            assert answer.expect(200).json["changed"] is False
        assert shared_api.head() == head

    def test_all_findings_at_once(self, shared_api, ca):
        """Each with a pointer into the line and the index of the item; the sound ones are not stored either."""
        pair, other = ca.issue("mix.test"), ca.issue("mix.test")
        body = (lines(put("fine"), put("mix", {"sni": "mix.test", "cert": pair.cert_pem, "key": other.key_pem}, "ssls"))
                + b'{"op": "put", "kind": "upstreams",\n' + lines(put("../up"), {"op": "stir", "kind": "soup", "id": 7}, put("x", {"nodes": 7}), 7,
                                                                  delete("y", value={}), put("z", colour=1)))
        answer = send(shared_api, body)
        assert answer.status == 400, answer  # one line is no JSON at all
        found = {(e["index"], e["pointer"]) for e in answer.json["errors"]}
        assert {(1, "/1/value/key"), (2, "/2"), (3, "/3/id"), (4, "/4/op"), (4, "/4/kind"), (4, "/4/id"), (5, "/5/value/nodes"), (6, "/6"), (7, "/7/value"),
                (8, "/8")} <= found, found
        assert "line 3, column" in next(e["detail"] for e in answer.json["errors"] if e["index"] == 2)
        assert pair.key_pem.splitlines()[1] not in answer.body.decode() and other.key_pem.splitlines()[1] not in answer.body.decode()
        assert shared_api.get("/v1/upstreams/fine").status == 404
        well_formed = send(shared_api, lines(put("fine"), put("x", {"nodes": 7})))
        assert well_formed.status == 422 and well_formed.json["errors"][0]["index"] == 1, well_formed

    def test_more_findings_than_are_told(self, shared_api):
        answer = send(shared_api, lines(*[put(f"many{i}", {"nodes": 7}) for i in range(250)]))
        assert answer.status == 422 and len(answer.json["errors"]) == 100 and answer.json["omitted"] == 150
        assert "250 errors" in answer.json["detail"], answer

    @pytest.mark.parametrize("line", [
        b'{"op": "put", "op": "put", "kind": "upstreams", "id": "x", "value": {}}', b'{"op": "delete", "kind": "upstreams", "id": "x"} x',
        b'{"op": "delete", "kind": "upstreams", "id": "\xff"}', b'{"op": "delete", "kind": "upstreams", "id": "a\\u0000b"}', b"\x00",
        b'{"op": "put", "kind": "upstreams", "id": "x", "value": ' + b'{"a":' * 33 + b"1" + b"}" * 34, b"[" * 1000, b"\xef\xbb\xbf{}",
        b'{"op": "put", "kind": "upstreams", "id": "x", "value": {"nodes": {"127.0.0.1:9": 1e999}}}'])
    def test_strict_json(self, shared_api, line):
        answer = send(shared_api, lines(put("before")) + line + b"\n" + lines(put("after", {"nodes": 7})))
        assert answer.status == 400, answer
        assert {e["index"] for e in answer.json["errors"]} == {1, 2}, answer

    def test_duplicates(self, shared_api):
        answer = send(shared_api, lines(put("d"), put("e"), put("d")))
        assert answer.status == 422 and [(e["index"], e["code"]) for e in answer.json["errors"]] == [(2, "duplicate")], answer

    def test_references_in_any_order(self, shared_api):
        send(shared_api, lines(put("late", {"bind": "127.0.0.1:20991", "upstream": "later", "status": 0}, "listeners"), put("later"))).expect(200)
        answer = send(shared_api, lines(delete("later")))
        assert answer.status == 409 and answer.json["errors"][0]["index"] == 0, answer
        send(shared_api, lines(delete("later"), delete("late", "listeners"))).expect(200)

    def test_strict_and_warnings_carry_the_index(self, shared_api, ca):
        body = lines(put("w0"), put("w1", ca.issue("other.test").ssl("named.test"), "ssls"))
        strict = send(shared_api, body, strict=True)
        assert strict.status == 422 and {e["index"] for e in strict.json["errors"]} == {1}, strict
        assert {w["index"] for w in send(shared_api, body).expect(200).json["warnings"]} == {1}
        send(shared_api, lines(delete("w0"), delete("w1", "ssls"))).expect(200)

    def test_types(self, shared_api):
        for kind in ("application/json-seq", "text/plain", "application/x-ndjsonx"):
            assert shared_api.post("/v1/apply", lines(put("t")), headers={"Content-Type": kind}).status == 415
        assert shared_api.put("/v1/upstreams/t", b"{}", headers=NDJSON).status == 415
        send(shared_api, b"", headers={"Content-Type": "Application/X-NDJSON; charset=utf-8"}).expect(200)


class TestConditions:
    @pytest.fixture(autouse=True, params=["json", "ndjson"])
    def form(self, request, shared_api):
        def apply(*items, **more):
            if request.param == "ndjson":
                return send(shared_api, lines(*items), **more)
            document = {op: [{k: v for k, v in item.items() if k != "op"} for item in items if item["op"] == op] for op in ("put", "delete")}
            return shared_api.post("/v1/apply", document, **more)
        self.apply, self.api, self.first = apply, shared_api, "/0" if request.param == "ndjson" else "/put/0"

    def test_items(self):
        self.apply(put("c1"), put("c2")).expect(200)
        was = etag(self.api, "/v1/upstreams/c1")
        self.apply(put("c1", {**NODES, "desc": "2"}, if_match=was), put("c2", if_match="*"), put("c3", if_none_match="*")).expect(200)
        head = self.api.head()
        answer = self.apply(put("c1", {**NODES, "desc": "3"}, if_match=was), put("c2", if_match='"9-9"'), put("c4"), put("c5", if_match="*"))
        assert answer.status == 412, answer
        assert {e["index"] for e in answer.json["errors"]} == {0, 1, 3} and {e["code"] for e in answer.json["errors"]} == {"precondition-failed"}, answer
        answer = self.apply(put("c3", if_none_match="*"), put("c6", if_none_match="*"))
        assert answer.status == 412 and [e["index"] for e in answer.json["errors"]] == [0], answer
        assert self.api.head() == head and self.api.get("/v1/upstreams/c4").status == 404
        assert self.apply(delete("c1", if_match=was)).status == 412
        now = etag(self.api, "/v1/upstreams/c1")
        self.apply(delete("c1", if_match=f'"9-9", {now}'), delete("c2", if_match="*"), delete("c3")).expect(200)

    def test_malformed(self):
        for more in ({"if_match": 7}, {"if_match": "1-2"}, {"if_match": '"' * 600}, {"if_none_match": "x"}, {"if_none_match": None}):
            answer = self.apply(put("m", **more))
            assert answer.status == 422 and answer.pointers == [f"{self.first}/{next(iter(more))}"], (more, answer)
        assert self.apply(delete("m", if_none_match="*")).status == 422

    def test_the_store_as_a_whole(self):
        head = self.api.head()
        now, past = f'"{head[0]}-{head[1]}"', f'"{head[0]}-{head[1] - 1}"'
        answer = self.apply(put("whole"), headers={"If-Match": past})
        assert answer.status == 412 and answer.json["errors"][0]["pointer"] == "", answer
        assert self.apply(headers={"If-Match": past}).status == 412  # also when there is nothing to do
        self.apply(put("whole"), headers={"If-Match": f"{past}, {now}"}).expect(200)
        assert self.apply(put("whole"), headers={"If-Match": now}).status == 412
        self.apply(delete("whole"), headers={"If-Match": "*"}).expect(200)
        assert self.apply(headers={"If-None-Match": "*"}).status == 400


def start(api, length, kind="application/json", chunked=False):
    """The head of an apply, sent on a connection of its own."""
    connection = socket.create_connection(("127.0.0.1", api.port), timeout=20)
    size = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {length}"
    connection.sendall(f"POST /v1/apply HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {api.token}\r\nContent-Type: {kind}\r\n{size}\r\n"
                       "Connection: close\r\n\r\n".encode())
    return connection


def answer_of(connection):
    raw = receive_all(connection)
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), head.decode().lower(), json.loads(body)


class TestLarge:
    @pytest.mark.parametrize("chunked", [False, True])
    def test_places_are_few_and_come_back(self, controlplane, chunked):
        """Two bodies above 8 MiB at a time; a third is told to come later, small ones pass, and who hangs up gives the place back."""
        api, size = controlplane.api, (8 << 20) + (100_000 if chunked else 1)  # of chunks the last bytes may rest in a buffer
        piece = b" " * size
        sent = (b"%x\r\n" % size) + piece + b"\r\n" if chunked else piece
        holders = []
        def is_full():
            """A probe that came before a holder had its place has taken it: both begin anew."""
            for holder in holders:
                holder.close()
            holders[:] = [start(api, size + 10, chunked=chunked) for _ in range(2)]
            for holder in holders:
                holder.sendall(sent)
            time.sleep(0.5)
            late = start(api, size + 10)
            late.sendall(b" " * (size + 10))
            status, head, document = answer_of(late)
            late.close()
            assert status in (400, 503)
            return status == 503 and "retry-after: " in head and document["detail"]
        eventually(is_full, "both places are taken")
        api.put("/v1/upstreams/small", NODES).expect(201)
        send(api, lines(put("small2"))).expect(200)
        for holder in holders:
            holder.close()
        def is_free():
            late = start(api, size)
            late.sendall(piece[:-2] + b"{}")
            status = answer_of(late)[0]
            late.close()
            return status == 200
        eventually(is_free, "a place is free again")

    def test_limits(self, shared_api):
        for kind, limit in (("application/json", 64 << 20), ("application/x-ndjson", 256 << 20)):
            connection = http.client.HTTPConnection("127.0.0.1", shared_api.port, timeout=20)
            connection.putrequest("POST", "/v1/apply")
            for name, value in (("Authorization", f"Bearer {shared_api.token}"), ("Content-Type", kind), ("Content-Length", str(limit + 1)),
                                ("Expect", "100-continue")):
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            document = json.loads(answer.read())
            assert answer.status == 413 and str(limit) in document["detail"] and document["instance"], document
            connection.close()

    def test_blanks_to_the_limit(self, shared_api):
        """256 MiB that say nothing: taken, in pieces of any size, while the API answers others."""
        connection = start(shared_api, 256 << 20, "application/x-ndjson")
        piece = (b" " * 1023 + b"\n") * 4096
        slowest = 0.0
        stop = threading.Event()
        def ask():
            nonlocal slowest
            while not stop.is_set():
                begun = time.monotonic()
                shared_api.get("/healthz", auth=False).expect(200)
                slowest = max(slowest, time.monotonic() - begun)
        asking = threading.Thread(target=ask)
        asking.start()
        try:
            for _ in range((256 << 20) // len(piece)):
                connection.sendall(piece)
            status, _, document = answer_of(connection)
        finally:
            stop.set()
            asking.join()
            connection.close()
        assert status == 200 and document["changed"] is False
        assert slowest < 2, slowest

    def test_a_line_beyond_its_limit(self, shared_api):
        answer = send(shared_api, lines(put("before")) + b'{"op": "' + b"x" * (8 << 20) + b'"}\n' + lines(put("after", {"nodes": 7})))
        assert answer.status == 400 and [(e["index"], e["code"]) for e in answer.json["errors"]][0] == (1, "too-large"), answer
        assert {e["index"] for e in answer.json["errors"]} == {1, 2}

    @pytest.mark.bounds
    def test_many_items(self, controlplane):
        """Too many is told; very many are one revision, and their memory is gone after it."""
        api = controlplane.api
        answer = send(api, b'{"op":"delete","kind":"ssls","id":"a"}\n' * 1_000_001, deadline=120)
        assert answer.status == 413 and "1000000" in answer.json["detail"], answer
        before = controlplane.daemon.rss_kib()
        body = lines(*[put(f"n{i}", {"nodes": {"127.0.0.1:9": 1}, "desc": "x" * 200}) for i in range(20000)])
        head = api.head()
        send(api, body, deadline=120).expect(200)
        assert api.head() == (head[0], head[1] + 1) and api.get("/v1/upstreams/n19999").expect(200)
        assert send(api, body, deadline=120).expect(200).json["changed"] is False
        assert is_sanitized() or controlplane.daemon.rss_kib() < before + (160 << 10)  # ASan keeps what was freed in quarantine
