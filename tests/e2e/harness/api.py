# SPDX-License-Identifier: Apache-2.0
"""The admin API over http.client. Every answer is kept in a transcript, so that a test can search all of them for secrets."""
import http.client
import json
import threading
import time
import weakref
from urllib.parse import urlencode

from harness import contract

IDLE_SECONDS = 30  # of the server's 60


def parse_revision(text):
    """"EPOCH-NUMBER" as a pair that can be compared; (0, 0) for nothing."""
    if not text:
        return (0, 0)
    epoch, number = text.split("-")
    return int(epoch), int(number)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def etag(self):
        return self.headers.get("ETag")

    @property
    def pointers(self):
        """Of a problem document: the JSON Pointers of all its errors."""
        return [error.get("pointer") for error in self.json.get("errors", [])]

    @property
    def codes(self):
        return [error.get("code") for error in self.json.get("errors", [])]

    def expect(self, *statuses):
        assert self.status in statuses, f"HTTP {self.status}, expected {statuses}: {self.body[:2000].decode(errors='replace')}"
        return self

    def __repr__(self):
        return f"<Answer {self.status} {self.body[:400]!r}>"


class Api:
    """One connection per thread. `transcript` is a list of raw answers (head and body) shared by all; `opened` has the connections of this one and
    of those with another credential."""

    def __init__(self, port, token, transcript, opened=None):
        self.port, self.token, self.transcript = port, token, transcript
        self.is_admin = bool(token)  # an agent's status page has no document
        self.opened = weakref.WeakSet() if opened is None else opened
        self._local = threading.local()

    def with_token(self, token):
        """The same server, asked with another credential."""
        return Api(self.port, token, self.transcript, self.opened)

    def as_role(self, role, **more):
        """Asked with a fresh token of this role; its id in `token_id`."""
        made = self.post("/v1/tokens", {"role": role, **more}).expect(201).json
        api = self.with_token(made["token"])
        api.token_id = made["id"]
        return api

    def _connection(self, deadline):
        connection = getattr(self._local, "connection", None)
        if connection is not None and time.monotonic() - self._local.used > IDLE_SECONDS:
            self.close()  # the server may be closing it at this very moment
            connection = None
        self._local.used = time.monotonic()
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=deadline)
            self._local.connection = connection
            self.opened.add(connection)
        connection.timeout = deadline
        if connection.sock is not None:
            connection.sock.settimeout(deadline)
        return connection

    def close(self):
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None

    def close_all(self):
        """Of all threads, when none of them asks any more: a server that ends lingers for who has not closed."""
        for connection in list(self.opened):
            connection.close()

    def call(self, method, path, body=None, headers=None, auth=True, deadline=60, **query):
        """deadline: seconds for the answer; all else by name is the query. body: bytes as they are, or a value to be encoded as JSON. A request on a connection that the server has since closed is
        sent once more if it cannot have been read (no byte of an answer came)."""
        sent = dict(headers or {})
        if auth:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        if query:
            path = f"{path}?{urlencode({k: str(v).lower() if isinstance(v, bool) else v for k, v in query.items()})}"
        for attempt in (1, 2):
            connection = self._connection(deadline)
            reused = connection.sock is not None
            try:
                connection.request(method, path, body, sent)
                response = connection.getresponse()
                break
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self.close()
                if attempt == 2 or not reused or method not in ("GET", "HEAD", "PUT", "DELETE"):
                    raise
            except OSError:
                self.close()
                raise
        try:
            data = response.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        head = f"{response.status}\n" + "".join(f"{k}: {v}\n" for k, v in response.getheaders())
        self.transcript.append(head.encode() + b"\n" + data)
        if self.is_admin:
            contract.check(method, path, response.status, response.headers, data)
            contract.check_request(method, path, sent, body, response.status)
        return Answer(response.status, response.headers, data)

    def get(self, path, **more):
        return self.call("GET", path, **more)

    def put(self, path, body, **more):
        return self.call("PUT", path, body, **more)

    def post(self, path, body=None, **more):
        return self.call("POST", path, body, **more)

    def patch(self, path, body, **more):
        return self.call("PATCH", path, body, **more)

    def delete(self, path, **more):
        return self.call("DELETE", path, **more)

    def put_acked(self, path, body, **more):
        """A PUT that every connected agent concerned has applied."""
        return self.put(path, body, wait="acked", timeout=30, **more).expect(200, 201)

    def apply(self, put=(), delete=(), **more):
        """put: rows (kind, id, value); delete: rows (kind, id)."""
        document = {"put": [{"kind": k, "id": i, "value": v} for k, i, v in put], "delete": [{"kind": k, "id": i} for k, i in delete]}
        return self.post("/v1/apply", {k: v for k, v in document.items() if v}, **more)

    def head(self):
        """(epoch, number) of the newest revision."""
        return parse_revision(self.get("/v1/revisions", limit=1).expect(200).json["items"][0]["revision"])

    # What agents look like in answers, in one place. -----------------------------------------------------------------

    def agents(self):
        return self.get("/v1/agents").expect(200).json["items"]

    def agent(self, agent_id):
        return self.get(f"/v1/agents/{agent_id}").expect(200).json
