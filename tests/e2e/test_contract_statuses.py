# SPDX-License-Identifier: Apache-2.0
"""Each operation of openapi.yaml with each status that the document gives it: what any operation can be refused for, sent to all of them.
That status and body are as described is checked with every answer (harness/contract.py)."""
import concurrent.futures
import http.client
import json
import mmap
import queue
import signal
import sqlite3
import struct
import threading

import pytest

from harness import contract
from harness.net import eventually
from harness.pki import Ca
from harness.samples import KINDS, Samples
from harness.world import BUILD, SANITIZER_ENV

IOERR, BUSY, FULL = 10, 5, 13  # of SQLite
WORDS = {"get": "GET", "head": "HEAD", "put": "PUT", "post": "POST", "patch": "PATCH", "delete": "DELETE"}


def having(status, *methods):
    """[(path, method, operation)] of those that the document gives this status."""
    return [row for row in contract.operations() if str(status) in row[2]["responses"] and (not methods or row[1] in methods)]


def each(status, *methods, only=lambda path: True):
    rows = [row for row in having(status, *methods) if only(row[0])]
    assert rows
    return pytest.mark.parametrize("path,method,described", [pytest.param(*row, id=row[2]["operationId"]) for row in rows])


def is_ours(path):
    return path.startswith("/v1/")


class Fault:
    """What makes the SQLite of a process fail on demand, or its OpenSSL (tests/lib/fault.c); started with `env`."""

    def __init__(self, world):
        file = world.tmp / "fault"
        file.write_bytes(bytes(12))
        self.env = {"LD_PRELOAD": str(BUILD / "tests" / "lib" / "libfault.so"), "FAULT_FILE": str(file),
                    "ASAN_OPTIONS": SANITIZER_ENV["ASAN_OPTIONS"] + ":verify_asan_link_order=0"}
        with open(file, "r+b") as opened:
            self.codes = mmap.mmap(opened.fileno(), 12)

    def set(self, reads=0, writes=0, crls=0):
        self.codes[:] = struct.pack("<iii", reads, writes, crls)


@pytest.fixture(scope="module")
def ca_here():
    return Ca("Statuses CA")


@pytest.fixture(scope="module")
def samples(shared, ca_here):
    return Samples(shared.api, ca_here, shared.agent.id)


@pytest.fixture
def fault(world):
    made = Fault(world)
    yield made
    made.set()


@pytest.fixture
def faulty(world, fault, ca_here):
    """Samples at a control plane with faults."""
    controlplane = world.controlplane("--admin-rate", "0", env=fault.env)
    return Samples(controlplane.api, ca_here, world.agent(controlplane).id)


class TestAtTheDoor:
    @each(401)
    def test_no_credential(self, samples, path, method, described):
        assert samples.send(path, method, auth=False).status == 401

    @each(400, only=is_ours)
    def test_unknown_parameter(self, samples, path, method, described):
        answer = samples.send(path, method, target=samples.path(path, method) + "?colour=red")
        assert answer.status == 400, answer
        assert "colour" in answer.json["errors"][0]["detail"]

    @each(400, only=lambda path: not is_ours(path))
    def test_bad_request(self, samples, path, method, described):
        target = samples.path(path, method)
        if "{id}" in path:
            answer = samples.send(path, method, target=path.replace("{id}", "-x").replace("{path}", "x"))
        elif method in ("put", "post"):
            answer = samples.send(path, method, body=b"{")
        elif "{name}" in path:
            answer = samples.send(path, method, target=path.replace("{name}", "nothing"))
        elif method == "head":  # of a path that takes whatever parameters
            answer = samples.send(path, method, body=b"x")
        else:
            answer = samples.send(path, method, target=target + ("?page=1&page_size=1" if "apisix" in path else "?colour=red"))
        assert answer.status == 400, answer

    @each(413)
    def test_too_large(self, samples, path, method, described):
        """Told by the head alone."""
        limit = 64 << 20 if path == "/v1/apply" else 8 << 20
        connection = http.client.HTTPConnection("127.0.0.1", samples.api.port, timeout=20)
        connection.putrequest(WORDS[method], samples.path(path, method))
        for name, value in (("Authorization", f"Bearer {samples.api.token}"), ("Content-Length", limit + 1), ("Expect", "100-continue")):
            connection.putheader(name, str(value))
        connection.endheaders()
        answer = connection.getresponse()
        contract.check(WORDS[method], samples.path(path, method), answer.status, answer.headers, answer.read())
        connection.close()
        assert answer.status == 413

    @each(415)
    def test_other_type(self, samples, path, method, described):
        assert samples.send(path, method, body=b"{}", headers={"Content-Type": "text/plain"}).status == 415

    @each(404, only=lambda path: is_ours(path) and "{id}" in path)
    def test_no_such_object(self, samples, path, method, described):
        assert samples.send(path, method, target=path.replace("{id}", "nobody")).status == 404

    @each(412, "put", "patch", "delete")
    def test_moved_on(self, samples, path, method, described):
        assert samples.send(path, method, headers={"If-Match": '"1-0"'}).status == 412

    @each(412, "post", only=is_ours)
    def test_the_store_moved_on(self, samples, path, method, described):
        samples.api.put("/v1/upstreams/moves", samples.body("upstreams")).expect(200, 201)
        samples.api.delete("/v1/upstreams/moves").expect(200)
        assert samples.send(path, method, headers={"If-Match": '"1-1"'}).status == 412

    @each(403, only=lambda path: not is_ours(path))
    def test_outside_of_its_scope(self, samples, path, method, described):
        scoped = samples.api.as_role("editor", scope={"sni_suffixes": ["*.elsewhere.test"]})
        samples.api.put("/v1/ssls/inside", samples.pair.ssl("a.elsewhere.test")).expect(200, 201)
        leaves = {"/apisix/admin/ssls/{id}": {"sni": "a.test"}, "/apisix/admin/ssls/{id}/{path}": "a.test"}.get(path) if method == "patch" else None
        answer = samples.send(path, method, api=scoped, body=leaves, target="/apisix/admin/ssls/inside" + ("/sni" if "{path}" in path else "") if leaves else None)
        assert answer.status == 403, answer

    def test_in_the_way(self, samples):
        """409, by kind."""
        api = samples.api
        bundle, listener = samples.new("ca_bundles"), samples.new("listeners")
        api.put("/v1/tls_options/refers", {"client_auth": {"verify": "require", "ca_bundle": bundle}}).expect(200, 201)
        assert api.delete(f"/v1/ca_bundles/{bundle}").status == 409
        assert api.patch(f"/v1/listeners/{listener}", {"bind": api.get("/v1/listeners/sample").json["bind"]}).status == 409
        assert api.patch("/v1/tls_options/modern", {"desc": "mine"}).status == 409

    def test_a_key_of_another_request(self, samples):
        key = {"Idempotency-Key": "another"}
        samples.send("/v1/upstreams", "post", headers=key).expect(201)
        for path, method, described in having(422, "post"):
            if "Idempotency-Key" in [row["name"] for row in contract.parameters(path, described).values()]:
                assert samples.send(path, method, headers=key).status == 422

    @each(304)
    def test_unchanged(self, samples, path, method, described):
        etag = samples.send(path, method).expect(200).etag
        assert samples.send(path, method, headers={"If-None-Match": etag}).status == 304


def test_rate(world, ca_here):
    controlplane = world.controlplane("--admin-rate", "0")
    agent = world.agent(controlplane)
    samples = Samples(controlplane.api, ca_here, agent.id)
    targets = [(path, method, samples.path(path, method)) for path, method, _ in having(429)]
    controlplane.restart("--admin-rate", "1")
    limited = samples.api = controlplane.api
    for path, method, target in targets:
        eventually(lambda p=path, m=method, t=target: samples.send(p, m, target=t).status == 429, f"{method} {target} is limited", 10)
    assert limited.get("/healthz").status == 200


@pytest.mark.parametrize("status,code", [(500, IOERR), (503, BUSY)])
def test_the_store_does_not_answer(faulty, fault, status, code):
    rows = [(path, method, faulty.path(path, method)) for path, method, _ in having(status)]
    fault.set(reads=code)
    wrong = [(method, target, answer) for path, method, target in rows if (answer := faulty.send(path, method, target=target)).status != status]
    fault.set()
    assert not wrong
    faulty.api.get("/readyz").expect(200)


def test_the_disk_is_full(faulty, fault):
    """Nothing is done, and it goes on when there is room."""
    rows = [(path, method, faulty.path(path, method)) for path, method, _ in having(507)]
    head = faulty.api.head()
    fault.set(writes=FULL)
    wrong = [(method, target, answer) for path, method, target in rows if (answer := faulty.send(path, method, target=target)).status != 507]
    fault.set()
    assert not wrong and faulty.api.head() == head
    faulty.api.put("/v1/upstreams/again", {"nodes": {"127.0.0.1:9": 1}}).expect(201)


class TestWaits:
    def run(self, samples, agent, status, timeout, begin):
        """All operations at once, each waiting for the agent."""
        rows = [(path, method, samples.path(path, method)) for path, method, _ in having(status)]
        agent.wait_applied()

        def ask(row):
            path, method, target = row
            api = samples.api.with_token(samples.api.token)
            return method, target, samples.send(path, method, api=api, target=target, wait="acked", timeout=timeout)
        begin()
        with concurrent.futures.ThreadPoolExecutor(len(rows)) as pool:
            answers = list(pool.map(ask, rows))
        assert not [(method, target, answer) for method, target, answer in answers if answer.status != status]

    def test_not_in_time(self, world, controlplane, ca_here):
        agent = world.agent(controlplane)
        try:
            self.run(Samples(controlplane.api, ca_here, agent.id), agent, 504, 3, lambda: agent.daemon.process.send_signal(signal.SIGSTOP))
        finally:
            agent.daemon.process.send_signal(signal.SIGCONT)

    def test_an_agent_that_is_deleted(self, world, controlplane):
        """Is waited for as the others are, and has nothing left to say."""
        agent = world.agent(controlplane)
        controlplane.api.delete(f"/v1/agents/{agent.id}", wait="acked", timeout=20).expect(200)

    def test_refused(self, world, controlplane, fault, ca_here):
        """The agent's disk is full."""
        agent = world.agent(controlplane, env=fault.env)
        self.run(Samples(controlplane.api, ca_here, agent.id), agent, 502, 30, lambda: fault.set(writes=FULL))

    def test_closing(self, world, controlplane):
        """Who waits is told that the change stands."""
        agent = world.agent(controlplane)
        api, answers = controlplane.api, queue.Queue()
        agent.wait_applied()
        agent.daemon.process.send_signal(signal.SIGSTOP)
        try:
            waiting = threading.Thread(target=lambda: answers.put(
                api.with_token(api.token).put("/v1/upstreams/closing", {"nodes": {"127.0.0.1:8": 1}}, wait="acked", timeout=60)))
            waiting.start()
            eventually(lambda: api.get("/v1/upstreams/closing").status == 200, "it is written")
            revision = "-".join(map(str, api.head()))
            assert controlplane.daemon.terminate() == 0
            waiting.join(20)
        finally:
            agent.daemon.process.send_signal(signal.SIGCONT)
        answer = answers.get(timeout=1).expect(503)
        assert answer.headers["Tlsplane-Revision"] == revision == answer.json["revision"]
        controlplane.start()


class TestAgents:
    """What only agents bring about."""

    def test_a_refused_field(self, world, controlplane, fault, ca_here):
        agent = world.agent(controlplane, env=fault.env)
        fault.set(crls=1)
        answer = controlplane.api.put("/v1/ca_bundles/unreadable", {"certs": ca_here.cert_pem, "crls": ca_here.crl()}, wait="acked", timeout=20)
        row, = answer.expect(502).json["agents"][0]["objects"]
        assert (row["kind"], row["id"], row["field"]) == ("ca_bundles", "unreadable", "/crls/0")
        assert agent.state()["last_nack"]["objects"] == [row]

    def test_more_that_is_degraded_than_is_told(self, world, controlplane):
        """Nobody has these addresses."""
        agent = world.agent(controlplane)
        put = [("upstreams", "u", {"nodes": {"127.0.0.1:9": 1}})]
        controlplane.api.apply(put=put + [("listeners", f"l{i}", {"bind": f"203.0.113.{i % 250 + 1}:{2000 + i}", "upstream": "u"}) for i in range(300)]).expect(200)
        eventually(lambda: agent.state().get("degraded_more") == 44, "it tells of them", 30)
        assert len(agent.state()["degraded"]) == 256

    def test_overtaken(self, world, controlplane):
        agent = world.agent(controlplane)
        api, answers = controlplane.api, queue.Queue()
        api.put("/v1/upstreams/u", {"nodes": {"127.0.0.1:9": 1}}, wait="acked", timeout=20).expect(201)
        agent.daemon.process.send_signal(signal.SIGSTOP)
        waiting = threading.Thread(target=lambda: answers.put(api.with_token(api.token).put("/v1/upstreams/u", {"nodes": {"127.0.0.1:8": 1}}, wait="acked", timeout=30)))
        waiting.start()
        eventually(lambda: api.get("/v1/upstreams/u").json["nodes"] == {"127.0.0.1:8": 1}, "the first is written")
        newest = api.put("/v1/upstreams/u", {"nodes": {"127.0.0.1:7": 1}}).expect(200).headers["Tlsplane-Revision"]
        agent.daemon.process.send_signal(signal.SIGCONT)
        waiting.join(40)
        assert answers.get().expect(200).json["wait"]["superseded"] == [{"kind": "upstreams", "id": "u", "revision": newest}]


class TestOnce:
    def test_under_way(self, world, controlplane, ca_here):
        """While the store is held by somebody else, the second of two equal requests is told to come again."""
        samples = Samples(controlplane.api, ca_here, world.agent(controlplane).id)
        rows = [row for row in having(409, "post") if is_ours(row[0])]
        assert len(rows) >= len(KINDS) + 5
        for number, (path, method, _) in enumerate(rows):
            target, body, key = samples.path(path, method), samples.request_body(path, method), {"Idempotency-Key": f"key-{number}"}
            answers = queue.Queue()

            def ask(p=path, m=method, t=target, b=body, k=key, into=answers):
                into.put(samples.send(p, m, api=samples.api.with_token(samples.api.token), target=t, body=b, headers=k))
            holder = sqlite3.connect(controlplane.database, isolation_level=None)
            holder.execute("BEGIN IMMEDIATE")
            threads = [threading.Thread(target=ask) for _ in range(2)]
            for thread in threads:
                thread.start()
            busy = answers.get(timeout=8)
            holder.execute("ROLLBACK")
            holder.close()
            done = answers.get(timeout=30)
            assert busy.status == 409 and busy.headers["Retry-After"] == "1" and done.status in (200, 201, 202), (target, busy, done)

    def test_history_is_cut(self, world, ca_here):
        """Replays of what is no longer kept, and pages of lists that began before."""
        controlplane = world.controlplane()
        samples = Samples(controlplane.api, ca_here, world.agent(controlplane).id)
        replays, pages = [], []
        for path, method, described in having(410, "post"):
            if described["operationId"] != "rollback":  # needs no key for that
                body, key = json.dumps(samples.request_body(path, method)).encode(), {"Idempotency-Key": described["operationId"]}
                made = samples.send(path, method, body=body, headers=key).expect(200, 201).json
                assert samples.send(path, method, body=body, headers=key).expect(200, 201).headers["Idempotency-Replayed"] == "true"
                replays.append((path, method, body, key, made["id"]))
        world.agent(controlplane, name="second")
        for path, method, _ in having(410, "get"):
            if path in ("/v1/agents", "/v1/join_tokens") or path.split("/")[-1] in KINDS:
                samples.new(path.split("/")[-1]) if path != "/v1/agents" else None
                pages.append((path, method, samples.send(path, method, limit=1).expect(200).json["next"]))
        for path, method, cursor in pages:
            samples.send(path, method, cursor=cursor).expect(200)
        for path, _, _, _, made in replays:
            samples.api.delete(f"{path}/{made}").expect(200)
        for _ in range(3):
            samples.send("/v1/upstreams/{id}", "patch").expect(200)
        controlplane.restart("--history-revisions", "1")
        samples.api = controlplane.api
        for path, method, body, key, _ in replays:
            eventually(lambda p=path, m=method, b=body, k=key: samples.send(p, m, body=b, headers=k).status == 410, f"{path} is gone", 15)
        assert not [(path, answer) for path, method, cursor in pages if (answer := samples.send(path, method, cursor=cursor)).status != 410]
