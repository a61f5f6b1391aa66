# SPDX-License-Identifier: Apache-2.0
"""The admin API as HTTP: credentials, methods, paths, bodies that are not what they claim."""
import json
import socket

import pytest

from harness.net import receive_all


def raw(api, request, timeout=10):
    """One request as bytes on a connection of its own; the whole answer."""
    with socket.create_connection(("127.0.0.1", api.port), timeout=timeout) as connection:
        connection.sendall(request)
        return receive_all(connection)


def status_of(answer):
    assert answer.startswith(b"HTTP/1."), answer[:200]
    return int(answer.split(b" ", 2)[1])


def get(api, path, *headers):
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {api.token}", "Connection: close", *headers]
    return status_of(raw(api, "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"))


class TestCredentials:
    def test_none(self, shared_api):
        answer = shared_api.get("/v1/ssls", auth=False)
        assert answer.status == 401 and "Bearer" in answer.headers["WWW-Authenticate"]
        assert answer.headers["Content-Type"].startswith("application/problem+json")

    @pytest.mark.parametrize("headers", [
        {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}, {"Authorization": "Basic YWRtaW46YWRtaW4="},
        {"X-API-KEY": "wrong"}, {"Authorization": "bearer"}, {"X-API-KEY": ""}, {"Authorization": "Bearer " + "a" * 5000}])
    def test_wrong(self, shared_api, headers):
        assert shared_api.get("/v1/ssls", auth=False, headers=headers).status == 401

    def test_both_headers_work(self, shared_api):
        shared_api.get("/v1/ssls", auth=False, headers={"X-API-KEY": shared_api.token}).expect(200)
        shared_api.get("/v1/ssls", auth=False, headers={"Authorization": f"Bearer {shared_api.token}"}).expect(200)

    def test_all_of_v1_asks(self, shared_api):
        for method, path in (("GET", "/v1/ssls"), ("POST", "/v1/ssls"), ("GET", "/v1/ssls/x"), ("PUT", "/v1/ssls/x"), ("PATCH", "/v1/ssls/x"),
                             ("DELETE", "/v1/ssls/x"), ("GET", "/v1/agents"), ("GET", "/v1/agents/x"), ("DELETE", "/v1/agents/x"),
                             ("GET", "/v1/revisions"), ("GET", "/v1/revisions/1"), ("POST", "/v1/apply"), ("POST", "/v1/join_tokens"),
                             ("GET", "/v1/join_tokens"), ("DELETE", "/v1/join_tokens/x"), ("HEAD", "/v1/ssls")):
            body = b"{}" if method in ("PUT", "POST", "PATCH") else None
            assert shared_api.call(method, path, body, auth=False).status == 401, (method, path)

    def test_probes_do_not(self, shared_api):
        for path in ("/healthz", "/readyz"):
            assert shared_api.get(path, auth=False).status == 200

    def test_the_token_is_in_no_answer(self, shared_api):
        assert not any(shared_api.token.encode() in answer for answer in shared_api.transcript)


class TestPathsAndMethods:
    def test_unknown_paths(self, shared_api):
        for path in ("/", "/v1", "/v2/ssls", "/v1/ssl", "/v1/ssls/a/b", "/v1/SSLS", "/v1/ssls/x/y/z", "/v1//ssls", "/v1/ssls/"):
            answer = shared_api.get(path)
            assert answer.status in (400, 404), path
            assert answer.headers["Content-Type"].startswith("application/problem+json"), path

    def test_methods(self, shared_api):
        for method, path in (("PATCH", "/v1/ssls"), ("DELETE", "/v1/ssls"), ("PUT", "/v1/ssls"), ("POST", "/v1/ssls/x"),
                             ("PUT", "/v1/revisions/1"), ("GET", "/v1/apply"), ("POST", "/healthz")):
            answer = shared_api.call(method, path, b"{}" if method in ("PUT", "POST", "PATCH") else None)
            assert answer.status == 405, (method, path, answer)
            assert answer.headers["Allow"], (method, path)
        for method in ("DELETE", "OPTIONS"):
            assert {m.strip() for m in shared_api.call(method, "/v1/ssls").headers["Allow"].split(",")} >= {"GET", "POST"}

    def test_methods_nobody_knows(self, shared_api):
        for method in ("BREW", "TRACE", "CONNECT", "get"):
            answer = raw(shared_api, f"{method} /v1/ssls HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {shared_api.token}\r\n"
                                     "Connection: close\r\n\r\n".encode())
            assert status_of(answer) in (400, 405, 501), (method, answer[:100])

    def test_head_has_no_body(self, shared_api):
        answer = shared_api.call("HEAD", "/v1/ssls")
        assert answer.status == 200 and answer.body == b""

    @pytest.mark.parametrize("path", [
        "/v1/../v1/ssls", "/v1/./ssls", "/v1/%2e%2e/ssls", "/v1/ssls/%2e%2e", "/v1%2fssls", "/v1/ssls%00", "/v1/ssls/%00", "/v1/ssls/%0d%0aX",
        "//v1/ssls", "/v1/ssls//x", "/v1/ssls/%zz", "/v1/ssls/%", "v1/ssls", "/v1/ssls;x", "/v1/ssls/..%2f..%2fetc", "/v1/ssls/\\..\\x",
        "/v1/ssls/" + "a" * 9000])
    def test_tricks(self, shared_api, path):
        assert get(shared_api, path) in (400, 404, 414), path

    def test_escaped_letters_are_the_letters(self, shared_api):
        assert get(shared_api, "/v1/ssls?limit=%31") == 200
        assert get(shared_api, "/%761/ssls") in (200, 400, 404)

    def test_request_id_is_answered(self, shared_api):
        assert shared_api.get("/v1/ssls", headers={"X-Request-Id": "abc-123"}).headers["X-Request-Id"] == "abc-123"
        made = shared_api.get("/v1/ssls").headers["X-Request-Id"]
        assert made and made != shared_api.get("/v1/ssls").headers["X-Request-Id"]
        odd = shared_api.get("/v1/ssls", headers={"X-Request-Id": "a\tb" + "c" * 500}).headers["X-Request-Id"]
        assert "\t" not in odd and len(odd) < 100


class TestBodies:
    PATH = "/v1/upstreams/body"
    GOOD = b'{"nodes": {"127.0.0.1:9": 1}}'

    @pytest.mark.parametrize("body", [
        b"", b"{", b"[]", b"null", b"7", b'"x"', GOOD + b"x", GOOD + b"{}", b'{"nodes": {"127.0.0.1:9": 1},}', b"\xff\xfe",
        b'{"nodes": {"127.0.0.1:9": 1}, "desc": "\xff"}', b'{"nodes": {"127.0.0.1:9": 1}, "desc": "a\\u0000b"}',
        b'{"nodes": {"127.0.0.1:9": 1}, "nodes": {"127.0.0.1:8": 1}}', b'{"nodes": {"127.0.0.1:9": 1, "127.0.0.1:9": 2}}',
        b'{"nodes": {"127.0.0.1:9": 1e999}}', b"{" + b'"a":{' * 40 + b"}" * 41, b"[" * 100000, b'{"nodes": NaN}', b"\xef\xbb\xbf" + GOOD,
        b'{"nodes": {"127.0.0.1:9": 1}, "desc": "\\ud800"}', b'{"nodes": {"127.0.0.1:9": ' + b"9" * 1000000 + b"}}"])
    def test_not_a_document(self, shared_api, body):
        """400 is the parser's verdict: but for the list none of them comes as far as its fields (422)."""
        answer = shared_api.put(self.PATH, body)
        assert answer.status == (422 if body == b"[]" else 400), answer
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        assert shared_api.get(self.PATH).status == 404

    def test_duplicate_key_is_told(self, shared_api):
        answer = shared_api.put(self.PATH, b'{"nodes": {"127.0.0.1:9": 1}, "nodes": {}}')
        assert answer.status == 400 and b"twice" in answer.body, answer

    def test_too_large(self, shared_api):
        """Sent whole (8 MiB are allowed), and announced by a client that waits to be told whether to send."""
        answer = shared_api.put(self.PATH, b'{"desc": "' + b"a" * (9 << 20) + b'"}')
        assert answer.status == 413, answer
        with socket.create_connection(("127.0.0.1", shared_api.port), timeout=10) as connection:
            connection.sendall(f"PUT {self.PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {shared_api.token}\r\n"
                               "Content-Type: application/json\r\nContent-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n".encode())
            assert status_of(connection.recv(4096)) == 413

    def test_no_body_where_none_is_taken(self, shared_api):
        shared_api.put(self.PATH, self.GOOD).expect(200, 201)
        for method in ("GET", "DELETE"):
            answer = shared_api.call(method, self.PATH, b'{"nodes": {}}')
            assert answer.status == 400 and b"no body" in answer.body, answer
        shared_api.delete(self.PATH).expect(200)

    def test_content_type(self, shared_api):
        assert shared_api.put(self.PATH, self.GOOD, headers={"Content-Type": "text/xml"}).status == 415
        shared_api.put(self.PATH, self.GOOD, headers={"Content-Type": "application/json; charset=utf-8"}).expect(201)
        shared_api.patch(self.PATH, {"desc": "x"}, headers={"Content-Type": "application/merge-patch+json"}).expect(200)
        shared_api.delete(self.PATH).expect(200, 204)

    def test_the_input_is_not_echoed(self, shared_api):
        """A body may hold a key: nothing of it comes back in an error."""
        marker = "S3CRETMARKER"
        for body in (f'{{"key": "{marker}"'.encode(), json.dumps({"key": marker, "cert": marker, "sni": "x.test"}).encode(),
                     json.dumps({"key": {"deep": marker}, "cert": 1}).encode()):
            answer = shared_api.put("/v1/ssls/echo", body)
            assert answer.status in (400, 422) and marker.encode() not in answer.body, answer

    def test_unknown_query_is_refused(self, shared_api):
        assert shared_api.put(self.PATH, self.GOOD, colour="red").status in (400, 422)
        assert shared_api.put(self.PATH, self.GOOD, wait="soon").status in (400, 422)
        assert shared_api.put(self.PATH, self.GOOD, wait="acked", timeout="x").status in (400, 422)
        assert shared_api.get(self.PATH).status == 404


class TestHttp:
    @pytest.mark.parametrize("request_", [
        b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"A" * 100000,
        b"GET /v1/ssls HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", b"GET /v1/ssls HTTP/1.1\r\n" + b"X: y\r\n" * 20000 + b"\r\n",
        b"PUT /v1/ssls/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nzz\r\n"])
    def test_noise_is_survived(self, shared_api, request_):
        with socket.create_connection(("127.0.0.1", shared_api.port), timeout=3) as connection:
            try:
                connection.sendall(request_)
                connection.shutdown(socket.SHUT_WR)
                receive_all(connection)
            except OSError:
                pass
        assert shared_api.get("/healthz", auth=False).status == 200

    def test_chunked_body(self, shared_api):
        body = TestBodies.GOOD
        answer = raw(shared_api, f"PUT /v1/upstreams/chunked HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {shared_api.token}\r\n"
                     "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode()
                     + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        assert status_of(answer) == 201, answer
        shared_api.delete("/v1/upstreams/chunked").expect(200, 204)

    def test_pipelined_and_kept_alive(self, shared_api):
        one = f"GET /v1/ssls HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {shared_api.token}\r\n".encode()
        answer = raw(shared_api, one + b"\r\n" + one + b"Connection: close\r\n\r\n")
        assert answer.count(b"HTTP/1.1 200") == 2
