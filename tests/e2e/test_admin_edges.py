# SPDX-License-Identifier: Apache-2.0
"""The edges of HTTP, over raw sockets: what is malformed is answered as a problem document in its place, by us, never by the library below."""
import json
import socket
import time

import pytest

from harness.net import receive_all

PUT = b"PUT /v1/upstreams/edge HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
BODY = b'{"nodes": {"127.0.0.1:9": 1}}'


def parse(raw):
    """Every answer on a connection: (status, headers, body)."""
    answers = []
    while raw:
        head, found, rest = raw.partition(b"\r\n\r\n")
        assert found, raw[:300]
        lines = head.decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
        size = int(headers.get("content-length", 0))
        answers.append((int(lines[0].split(" ")[1]), headers, rest[:size]))
        raw = rest[size:]
    return answers


def talk(api, request, piece=None, end=False):
    with socket.create_connection(("127.0.0.1", api.port), timeout=20) as connection:
        for at in range(0, len(request), piece or len(request) or 1):
            try:
                connection.sendall(request[at:at + (piece or len(request))])
            except (BrokenPipeError, ConnectionResetError):
                break
        if end:
            connection.shutdown(socket.SHUT_WR)
        return parse(receive_all(connection))


def problem(answer, status):
    got, headers, body = answer
    assert got == status, answer
    assert headers["content-type"] == "application/problem+json" and headers["x-request-id"], headers
    document = json.loads(body)
    assert document["status"] == status and document["title"] and document["detail"] and document["type"].startswith("urn:tlsplane:error:")
    assert document["instance"] == f"urn:tlsplane:request:{headers['x-request-id']}"
    return document


@pytest.fixture
def auth(shared_api):
    return f"Authorization: Bearer {shared_api.token}\r\n".encode()


class TestRefusedHeads:
    @pytest.mark.parametrize("piece", [None, 1, 7])
    @pytest.mark.parametrize("request_, status", [
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400), (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400), (b"GET\r\n\r\n", 400),
        (b"GET /healthz\r\n\r\n", 400), (b"GET  /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400), (b"GET /healthz HTTP/1.1\nHost: localhost\n\n", 400),
        (b"GET /healthz HTTP/2.0\r\nHost: localhost\r\n\r\n", 505), (b"GET /healthz HTTP/0.9\r\nHost: localhost\r\n\r\n", 505), (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX : y\r\n\r\n", 400), (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n", 400), (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n", 400),
        (b"GET /heal\x00thz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400), (PUT + b"Content-Length: -1\r\n\r\n", 400), (PUT + b"Content-Length: 1, 1\r\n\r\n", 400),
        (PUT + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400), (PUT + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n", 400),
        (PUT + b"Content-Length: 184467440737095516161\r\n\r\n", 413), (PUT + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        (PUT + b"Transfer-Encoding: chunked, gzip\r\n\r\n", 501), (PUT + b"Expect: the-best\r\n\r\n", 417), (b"G" * 16 + b" / HTTP/1.1\r\nHost: localhost\r\n\r\n", 501),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nTlsplane-Refusal: 5\r\n\r\n", 400)])
    def test_malformed(self, shared_api, request_, status, piece):
        answers = talk(shared_api, request_ + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", piece)
        problem(answers[0], status)
        assert len(answers) == 1 and answers[0][1]["connection"] == "close"  # nothing behind it is taken for a request

    def test_too_large(self, shared_api):
        fields = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
        problem(talk(shared_api, fields + b"X: " + b"a" * 20000 + b"\r\n\r\n")[0], 431)
        problem(talk(shared_api, fields + b"X: y\r\n" * 200 + b"\r\n")[0], 431)
        problem(talk(shared_api, b"GET /" + b"a" * 30000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")[0], 414)
        problem(talk(shared_api, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")[0], 414)
        problem(talk(shared_api, b"A" * 200000)[0], 414)
        assert talk(shared_api, fields + b"Connection: close\r\nX: " + b"a" * 15000 + b"\r\n\r\n")[0][0] == 200

    def test_behind_good_ones(self, shared_api):
        """Its answer keeps its place behind those of the requests before."""
        good = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        answers = talk(shared_api, good * 3 + b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n" + b"GET / HTTP/1.1\r\n\r\n" + good)
        assert [answer[0] for answer in answers] == [200, 200, 200, 404, 400], answers
        problem(answers[4], 400)

    def test_head_too_slow(self, shared_api):
        """An absolute deadline of ten seconds, whatever trickles in and at whichever byte of its head a client stops; others are served meanwhile."""
        head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: y\r\n\r\n"
        begun = time.monotonic()
        stopped = [socket.create_connection(("127.0.0.1", shared_api.port), timeout=30) for _ in head[1:]]
        for at, connection in enumerate(stopped, 1):
            connection.sendall(head[:at])
        with socket.create_connection(("127.0.0.1", shared_api.port), timeout=30) as connection:
            connection.sendall(head[:-2])
            raw = b""
            connection.settimeout(0.5)
            while time.monotonic() - begun < 25:
                try:
                    raw = connection.recv(65536)
                    break
                except TimeoutError:
                    connection.sendall(b"X: y\r\n")
                    assert shared_api.get("/healthz", auth=False).status == 200
        problem(parse(raw)[0], 408)
        for connection in stopped:
            with connection:
                problem(parse(receive_all(connection))[0], 408)
        assert 9 < time.monotonic() - begun < 15


class TestStrangers:
    HEAD = b" HTTP/1.1\r\nHost: localhost\r\n"

    @pytest.mark.parametrize("sends", [
        b"POST /v1/apply" + HEAD + b"Content-Length: 1000000\r\n\r\n{", b"GET /healthz" + HEAD + b"\r\n", (b"GET /v1/openapi.json" + HEAD + b"\r\n") * 4],
        ids=["half a body", "nothing more", "reads nothing"])
    def test_who_says_not_who_it_is_keeps_nobody_out(self, shared_api, auth, sends):
        """More of them than there are places: who has shown a credential before keeps the connection, who does now gets one."""
        with socket.create_connection(("127.0.0.1", shared_api.port), timeout=10) as known:
            def ask():
                known.sendall(b"GET /v1/ssls" + self.HEAD + auth + b"\r\n")
                assert parse(known.recv(65536))[0][0] == 200
            ask()
            strangers = []
            for _ in range(600):
                strangers.append(socket.create_connection(("127.0.0.1", shared_api.port), timeout=10))
                strangers[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                strangers[-1].sendall(sends)
            for _ in range(5):
                ask()  # meanwhile what they have sent is read
            last = b"GET /v1/ssls" + self.HEAD + auth + b"Connection: close\r\n\r\n"
            for _ in range(3):
                assert [answer[0] for answer in talk(shared_api, last)] == [200]
            known.sendall(last)
            assert parse(receive_all(known))[0][0] == 200
            for connection in strangers:
                connection.close()


class TestChunks:
    @pytest.mark.parametrize("chunks", [
        b"zz\r\n", b"\r\n", b"-1\r\n", b"0x5\r\n", b"3\r\n{} ", b"2\n{}\r\n0\r\n\r\n", b"1\r\n{}\r\n0\r\n\r\n", b"2;" + b"x" * 5000 + b"\r\n",
        b"0\r\nA: \x01\r\n\r\n", b"0\r\n" + b"A: b\r\n" * 5000 + b"\r\n", b"5\r\n{\r\n}\n\r\nx"])
    def test_malformed(self, shared_api, auth, chunks):
        answers = talk(shared_api, PUT + auth + CHUNKED + b"\r\n" + chunks + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert len(answers) == 1, answers
        problem(answers[0], 400)
        assert shared_api.get("/v1/upstreams/edge").status == 404

    def test_a_size_out_of_range(self, shared_api, auth):
        problem(talk(shared_api, PUT + auth + CHUNKED + b"\r\nffffffffffffffffff\r\n")[0], 413)

    @pytest.mark.parametrize("piece", [None, 1, 3])
    def test_in_any_pieces(self, shared_api, auth, piece):
        """Sizes with leading zeros, extensions and trailers are read over; the next request begins where it should."""
        chunks = b"00%x;name=value\r\n%s\r\n" % (5, BODY[:5]) + b"%X\r\n%s\r\n0;last\r\nTrailer: yes\r\n\r\n" % (len(BODY) - 5, BODY[5:])
        answers = talk(shared_api, PUT + auth + CHUNKED + b"\r\n" + chunks + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", piece)
        assert [answer[0] for answer in answers] == [201, 200], answers
        shared_api.delete("/v1/upstreams/edge").expect(200)

    def test_too_large(self, shared_api, auth):
        answers = talk(shared_api, PUT + auth + CHUNKED + b"\r\n" + (b"100000\r\n" + b" " * (1 << 20) + b"\r\n") * 9 + b"0\r\n\r\n", end=True)
        assert "8388608" in problem(answers[0], 413)["detail"]

    def test_smuggling(self, shared_api, auth):
        """Two lengths, or a chunked body that only one of two readers would see as such: never a second request."""
        inner = b"DELETE /v1/upstreams/edge HTTP/1.1\r\nHost: localhost\r\n" + auth + b"\r\n"
        shared_api.put("/v1/upstreams/edge", json.loads(BODY)).expect(201)
        for fields in (b"Content-Length: 0\r\n" + CHUNKED, CHUNKED + b"Content-Length: 5\r\n", b"Transfer-Encoding : chunked\r\n", b"Transfer-Encoding: xchunked\r\n",
                       b"Transfer-Encoding:\x0bchunked\r\n", b"X: y\r\n Transfer-Encoding: chunked\r\n", b"Content-Length: 3\r\nContent-Length: 0\r\n"):
            answers = talk(shared_api, PUT + auth + fields + b"\r\n0\r\n\r\n" + inner)
            assert [answer[0] // 100 for answer in answers] in ([4], [5]), (fields, answers)
        shared_api.delete("/v1/upstreams/edge").expect(200)


class TestMethods:
    def test_head_is_get_without_a_body(self, shared_api, auth):
        shared_api.put("/v1/upstreams/edge", json.loads(BODY)).expect(201)
        for path in (b"/v1/upstreams/edge", b"/v1/upstreams", b"/healthz", b"/v1/nowhere", b"/v1/upstreams/none"):
            ask = b" " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + auth + b"\r\n"
            got, = talk(shared_api, b"GET" + ask)
            with socket.create_connection(("127.0.0.1", shared_api.port), timeout=20) as connection:
                connection.sendall(b"HEAD" + ask)
                head, _, body = receive_all(connection).partition(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
            assert int(lines[0].split(" ")[1]) == got[0] and body == b"", (path, head)
            for name in ("content-type", "etag"):
                assert headers.get(name) == got[1].get(name), (path, name)
        shared_api.delete("/v1/upstreams/edge").expect(200)

    def test_options(self, shared_api):
        """204 with Allow, without a credential; nothing of CORS, whoever asks."""
        for path, allowed in (("/v1/upstreams", {"GET", "HEAD", "POST", "OPTIONS"}), ("/v1/upstreams/x", {"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"}),
                              ("/v1/apply", {"POST", "OPTIONS"}), ("/healthz", {"GET", "HEAD", "OPTIONS"})):
            answer = shared_api.call("OPTIONS", path, auth=False, headers={"Origin": "https://evil.test", "Access-Control-Request-Method": "PUT"})
            assert answer.status == 204 and {m.strip() for m in answer.headers["Allow"].split(",")} == allowed, (path, answer)
            assert not [name for name in answer.headers if name.lower().startswith("access-control")]
        assert shared_api.call("OPTIONS", "/v1/nowhere", auth=False).status == 404

    def test_the_server_as_a_whole(self, shared_api):
        """OPTIONS *: 204 with all methods; any other method with it, and anything near it, is 400."""
        rest = b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        (status, headers, body), = talk(shared_api, b"OPTIONS *" + rest)
        assert status == 204 and body == b"", status
        assert headers["allow"] == "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS" and headers["x-request-id"]
        for line in (b"GET *", b"OPTIONS **", b"OPTIONS *?a=1", b"OPTIONS */x"):
            problem(talk(shared_api, line + rest)[0], 400)

    def test_no_cors(self, shared_api):
        for path in ("/v1/upstreams", "/healthz", "/v1/nowhere"):
            answer = shared_api.get(path, headers={"Origin": "https://evil.test"})
            assert not [name for name in answer.headers if name.lower().startswith("access-control")]

    @pytest.mark.parametrize("method", ["BREW", "TRACE", "get", "M-SEARCH", "PROPFIND", "PATCHY"])
    def test_unknown(self, shared_api, auth, method):
        answer, = talk(shared_api, method.encode() + b" /v1/upstreams HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + auth + b"\r\n")
        assert {m.strip() for m in answer[1]["allow"].split(",")} == {"GET", "HEAD", "POST", "OPTIONS"}
        problem(answer, 405)


class TestSlowAndLarge:
    def test_half_close(self, shared_api):
        """A client that ends its side after the request (nc -N) is answered."""
        answers = talk(shared_api, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", end=True)
        assert answers[0][0] == 200

    def test_cut_in_a_body(self, shared_api, auth):
        for fields in (b"Content-Length: 1000\r\n\r\n{", CHUNKED + b"\r\n5\r\n{"):
            answers = talk(shared_api, PUT + auth + fields, end=True)
            assert [a[0] for a in answers] in ([], [400]), answers
        assert shared_api.get("/v1/upstreams/edge").status == 404

    def test_places_are_for_those_who_ask(self, controlplane):
        """More silent connections than there are places: who asks is served, the oldest of the silent go."""
        api = controlplane.api
        silent = [socket.create_connection(("127.0.0.1", api.port), timeout=10) for _ in range(600)]
        try:
            for _ in range(5):
                assert talk(api, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")[0][0] == 200
            silent[0].settimeout(10)
            assert silent[0].recv(1) == b""
        finally:
            for connection in silent:
                connection.close()

    def test_answers_to_who_still_sends(self, shared_api, auth):
        """A body beyond the limit, sent whole by a client that reads nothing before its end, gets its 413 and no reset."""
        size = (8 << 20) + 5_000_000
        answers = talk(shared_api, PUT + auth + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % size + b" " * size)
        problem(answers[0], 413)
