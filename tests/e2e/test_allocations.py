# SPDX-License-Identifier: Apache-2.0
"""Memory runs out, whoever asks for it in the process: our code, OpenSSL, SQLite, libuv, Jansson, libmicrohttpd. The Nth allocation fails, once,
or it and all after it: who asked is told so or loses his connection, nobody is told that he was wrong, nothing is half done, nobody is let in
by rules that were lost, and when there is memory again all goes on by itself."""
import http.client
import itertools
import json
import os
import ssl
import subprocess
from types import SimpleNamespace

import pytest

from harness import tls
from harness.api import Api
from harness.backend import EchoBackend
from harness.clients import Clients, Held
from harness.ctl import CTL, Folder, environment
from harness.history import judge, judge_cache
from harness.memory import EVER, MAIN, Memory
from harness.net import eventually, free_port
from harness.soak import figure, scaled
from harness.world import serve

ONCE, STAYS = pytest.param(False, id="once"), pytest.param(True, id="stays")


def spread(count, short):
    """Which of `count` allocations fail: some in the short form, all in the long one."""
    step = scaled(max(1, count // short), 1)
    return range(step, count + 1, step)


# The control plane --------------------------------------------------------------------------------------------------

UPSTREAM = {"nodes": {"127.0.0.1:9": 1}}
LINES = {"Content-Type": "application/x-ndjson"}


def put_lines(s, tag):
    lines = [json.dumps({"op": "put", "kind": "upstreams", "id": name, "value": {**UPSTREAM, "desc": tag}}) for name in ("it", "it-too")]
    return s.api.call("POST", "/v1/apply", "\n".join(lines).encode(), headers=LINES, deadline=2)


def put_many(s, tag):
    value = {**s.other, "desc": tag}
    return s.api.apply(put=[("upstreams", "it", {**UPSTREAM, "desc": tag}), ("ssls", "other", value)], deadline=2)


# Request: the answer, and what it writes. `tag` is what a write leaves as "desc".
WRITES = {
    "put": ("ssls/it", lambda s, tag: s.api.put("/v1/ssls/it", {**s.body, "desc": tag}, deadline=2)),
    "patch": ("ssls/it", lambda s, tag: s.api.patch("/v1/ssls/it", {"desc": tag}, deadline=2)),
    "apisix": ("ssls/it", lambda s, tag: s.api.put("/apisix/admin/ssls/it", {**s.body, "desc": tag}, deadline=2,
                                                   headers={"X-API-KEY": s.api.token})),
    "apply": ("upstreams/it", put_many),
    "lines": ("upstreams/it", put_lines),
    "acked": ("upstreams/it", lambda s, tag: s.api.put("/v1/upstreams/it", {**UPSTREAM, "desc": tag}, wait="acked", deadline=2)),
}
OTHERS = {
    "get": lambda s: s.api.get("/v1/ssls/it", deadline=2),
    "list": lambda s: s.api.get("/v1/ssls?sni=it.test&expires_before=90d", deadline=2),
    "resolve": lambda s: s.api.get("/v1/resolve", agent=s.agent.id, listener="main", sni="it.test", deadline=2),
    "watch": lambda s: s.api.get("/v1/revisions", after=s.since, limit=1, wait="1s", deadline=2),
    "diff": lambda s: s.api.get(f"/v1/revisions/{s.since}/diff", deadline=2),
    "audit": lambda s: s.api.get("/v1/audit", limit=1, deadline=2),
    "dry run": lambda s: s.api.put("/v1/ssls/it", {**s.body, "desc": "dry"}, dry_run=True, deadline=2),
    "agents": lambda s: s.api.get("/v1/agents", deadline=2),
    "metrics": lambda s: s.api.get("/metrics", deadline=2),
    "token": lambda s: s.api.post("/v1/tokens", {"role": "viewer"}, deadline=2),
    "rotate": lambda s: s.api.post("/v1/keyring/rotate", deadline=2),
    "rollback": lambda s: s.api.post(f"/v1/revisions/{s.since}/rollback", deadline=2),
}
CHANGING = ("audit", "dry run", "agents", "metrics", "token", "rotate", "rollback")  # what they answer differs from time to time


@pytest.fixture(scope="module")
def starved(shared, ca):
    """A control plane whose memory is the test's, with an agent that follows it."""
    memory, controlplane = Memory(shared.world, "starved"), shared.controlplane
    controlplane.kill()
    controlplane.start(env=memory.env)
    shared.agent.wait_connected(60)
    api = Api(controlplane.admin_port, controlplane.api.token, [])
    serve(controlplane, shared.backend)
    made = SimpleNamespace(api=api, agent=shared.agent, memory=memory, controlplane=controlplane, told={}, tags=itertools.count(1), points=0,
                           body={**ca.issue("it.test").ssl("it.test"), "client": {"ca": ca.cert_pem}}, other=ca.issue("other.test").ssl("other.test"))
    api.put("/v1/ssls/it", made.body).expect(201)
    made.since = api.put("/v1/upstreams/it", UPSTREAM).expect(201).headers["Tlsplane-Revision"]
    api.put("/v1/upstreams/it", {**UPSTREAM, "desc": "later"}).expect(200)
    return made


def attempt(s, send, *more):
    """The answer, if there is one: what was asked for, or that the server has failed, or one of the statuses `more`."""
    s.api.close()
    try:
        answer = send()
    except (OSError, http.client.HTTPException):
        s.api.close()
        return None
    except AssertionError as error:  # of the document: a path that was lost is not known as one of APISIX's
        if "/apisix/" not in str(error) or "answered 503 as application/problem+json" not in str(error):
            raise
        return None
    assert answer.status < 300 or answer.status >= 500 or answer.status in more, f"{s.memory.struck} allocations failed, the first at {s.memory.site:#x}: {answer}"
    return answer


def descs(s, path):
    return s.api.get(f"/v1/{path}").expect(200).json.get("desc")


def count_of(s, send):
    """How many allocations it takes when all is well, and the answer."""
    send()
    s.memory.arm(EVER)
    answer = send()
    return s.memory.seen, answer


def test_the_first_of_a_request(starved):
    """Each of those before anything is known of the request: the server hangs up, or says why, in the form of that API."""
    s = starved
    for name in ("patch", "apisix"):
        for at in range(1, 60):
            s.memory.arm(at)
            attempt(s, lambda: WRITES[name][1](s, f"t{next(s.tags)}"))  # pylint: disable=cell-var-from-loop
            s.points += s.memory.struck > 0
            s.memory.disarm()


@pytest.mark.parametrize("stays", [ONCE, STAYS])
@pytest.mark.parametrize("what", WRITES)
def test_writes(starved, what, stays):
    s, (path, write) = starved, WRITES[what]
    count, answer = count_of(s, lambda: write(s, f"t{next(s.tags)}"))
    assert answer.status == 200
    for at in spread(count, 5):
        tag, before = f"t{next(s.tags)}", descs(s, path)
        s.memory.arm(at, stays)
        answer = attempt(s, lambda: write(s, tag))  # pylint: disable=cell-var-from-loop
        struck = s.memory.struck
        s.memory.disarm()
        done = answer is not None and "Tlsplane-Revision" in answer.headers  # then it stands, whatever else went wrong
        seen = descs(s, path)
        assert seen == tag if done else seen in (before, tag) if answer is None or what == "apisix" else seen == before, (what, at, answer)
        assert write(s, f"t{next(s.tags)}").status == 200
        s.points += struck > 0
        assert struck or answer.status == 200


@pytest.mark.parametrize("stays", [ONCE, STAYS])
@pytest.mark.parametrize("what", OTHERS)
def test_other_requests(starved, what, stays):
    s, send = starved, OTHERS[what]
    count, reference = count_of(s, lambda: send(s))
    assert reference.status in ((202, 409) if what == "rotate" else (200, 201)), reference
    for at in spread(count, 5):
        s.memory.arm(at, stays)
        answer = attempt(s, lambda: send(s), *((409,) if what == "rotate" else ()))  # one is under way
        struck = s.memory.struck
        s.memory.disarm()
        again = send(s)
        assert again.status in (reference.status, 202, 409) if what == "rotate" else again.status == reference.status, (what, at, again)
        if what not in CHANGING:
            assert again.body == reference.body
            assert answer is None or answer.status >= 500 or answer.body == reference.body, (what, at, answer)
        s.points += struck > 0


def test_nothing_is_lost(starved):
    """After all of it: the agent has the newest revision, and the files of the store are whole."""
    s = starved
    s.api.put("/v1/upstreams/it", {**UPSTREAM, "desc": "last"}, wait="acked", deadline=30).expect(200)
    s.controlplane.kill()
    assert judge(s.controlplane.dir).descs["it"] == "last"
    figure("allocations of a control plane fail in a request", points=s.points, wrong=0)
    s.controlplane.start()


# The agent ----------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def edge(shared, ca):
    """An agent of its own whose memory is the test's; sites with and without client certificates, in one listener."""
    world = shared.world
    memory = Memory(world, "edge")
    agent = world.agent(shared.controlplane, "--workers", "1", name="starving", labels={"site": "edge"}, env=memory.env)
    folder = world.tmp / "clients"
    folder.mkdir()
    made = SimpleNamespace(agent=agent, memory=memory, controlplane=shared.controlplane, clients=Clients(folder), port=free_port(),
                           echo=world.add_backend(EchoBackend()), pairs={name: ca.issue(name) for name in ("open.test", "closed.test")}, ca=ca)
    own = {"selector": {"site": "edge"}}
    made.own = own
    shared.controlplane.api.apply(put=[
        ("upstreams", "edge", {"nodes": {f"127.0.0.1:{made.echo.port}": 1}, **own}),
        ("tls_options", "edge", {"min_version": "TLSv1.2", **own}),
        ("listeners", "edge", {"bind": f"127.0.0.1:{made.port}", "upstream": "edge", "tls_options": "edge", **own}),
        ("ssls", "open", {**made.pairs["open.test"].ssl("open.test"), **own}),
        ("ssls", "closed", {**made.pairs["closed.test"].ssl("closed.test"), "client": {"ca": made.clients.ca.cert_pem}, **own}),
    ], wait="acked", timeout=30).expect(200)
    return made


def descriptors(agent):
    return len(os.listdir(f"/proc/{agent.daemon.pid}/fd"))


def passes(s, sni, client, version):
    """True: bytes went to the backend and came back, under the certificate of that name."""
    try:
        held = Held(s.port, sni, client, version)
    except (ssl.SSLError, OSError):
        return False
    try:
        assert held.connection.getpeercert(True) == s.pairs[sni].der
    finally:
        held.close()
    return True


@pytest.mark.parametrize("stays", [ONCE, STAYS])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("sni,who", [("open.test", None), ("closed.test", "good"), ("closed.test", None), ("closed.test", "wrong")])
def test_handshakes(edge, sni, who, version, stays):
    """That connection may fail; the next does not. Who shows no certificate, or another CA's, is never let in."""
    s, client, may_pass = edge, edge.clients[who], who == "good" or sni == "open.test"
    assert passes(s, sni, client, version) == may_pass
    before = descriptors(s.agent)
    s.memory.arm(EVER)
    passes(s, sni, client, version)
    points = let_in = 0
    for at in spread(s.memory.seen, 8):
        s.memory.arm(at, stays)
        passed = passes(s, sni, client, version)
        assert may_pass or not passed, f"let in by the loss of allocation {at}, asked for at {s.memory.site:#x}"
        points += s.memory.struck > 0
        let_in += passed
        s.memory.disarm()
        assert passes(s, "open.test", None, version) and passes(s, "closed.test", s.clients["good"], version)
        assert not passes(s, "closed.test", None, version)
    assert points >= 4
    eventually(lambda: descriptors(s.agent) <= before, "no descriptor is left behind")
    figure(f"allocations of an agent fail in a handshake with {sni}, {who or 'no'} certificate, TLS {version}, {'for good' if stays else 'once'}",
           points=points, passed_all_the_same=let_in, let_in_wrongly=0 if may_pass else let_in)


def test_no_memory_for_a_while(edge):
    """Nobody new is served; who is connected stays or is cut; then all is as before."""
    s = edge
    held = Held(s.port, "open.test", None, "1.3")
    s.memory.arm(1, stays=True)
    for _ in range(scaled(20, 2000)):
        assert not passes(s, "open.test", None, "1.3")
    s.memory.disarm()
    assert passes(s, "closed.test", s.clients["good"], "1.3")
    try:
        held.exchange()
    except OSError:
        pass
    held.close()
    s.agent.wait_connected()


class Sites:
    """Three certificates that only ever change together, and what else a snapshot has."""

    def __init__(self, s):
        self.s, self.number = s, 0
        self.names = [f"swap{i}.test" for i in range(3)]
        self.pairs = [[s.ca.issue(name) for name in self.names] for _ in range(2)]

    def put(self, **query):
        s, self.number = self.s, self.number + 1
        pairs, more = self.pairs[self.number % 2], {"desc": str(self.number), **self.s.own}
        return s.controlplane.api.apply(put=[
            *(("ssls", f"swap{i}", {**pair.ssl(self.names[i]), "client": {"ca": s.clients.ca.cert_pem, "verify": "verify_if_given"}, **more})
              for i, pair in enumerate(pairs)),
            ("tls_options", "swap", {"min_version": "TLSv1.2", **more}), ("upstream_tls", "swap", {"ca": s.ca.cert_pem, **more}),
            ("routes", "swap", {"snis": ["swap.test"], "tls_options": "swap", "upstream": "edge", **more})], **query).expect(200)

    def served(self):
        """Which of the two sets, or the mixture."""
        leaves = [tls.leaf(self.s.port, name) for name in self.names]
        return next((i for i, pairs in enumerate(self.pairs) if leaves == [pair.sha256 for pair in pairs]), leaves)


def told(s, head):
    """What has become of this revision at the agent, as far as the control plane knows."""
    state = s.agent.state()
    nack = state.get("last_nack")
    if s.agent.applied() >= head:
        return "applied"
    if nack and nack["revision"] == f"{head[0]}-{head[1]}":
        return nack["code"]
    return None if state["connected"] else "away"


@pytest.mark.parametrize("stays", [ONCE, STAYS])
def test_snapshots(edge, stays):
    """It serves on what it had, whole, says that it was memory, and takes the revision by itself when there is some again."""
    s, sites = edge, Sites(edge)
    sites.put(wait="acked", timeout=30)
    s.memory.arm(EVER, threads=MAIN)
    sites.put(wait="acked", timeout=30)
    outcomes = []
    for at in spread(s.memory.seen, 5):
        s.memory.arm(at, stays, MAIN)
        sites.put()
        head = s.controlplane.api.head()
        outcomes.append(eventually(lambda: told(s, head), "it has taken it, or not"))  # pylint: disable=cell-var-from-loop
        eventually(lambda: sites.served() in (0, 1), "it serves one whole set")  # a swap may come between two looks
        s.memory.disarm()
        assert outcomes[-1] in ("applied", "memory", "away"), s.agent.state()
        if at % 2:
            sites.put()  # whatever became of the one before
        s.agent.wait_applied()
        assert sites.served() == sites.number % 2, outcomes
    assert stays or "memory" in outcomes  # it may be too little to say so
    s.agent.wait_applied()
    figure(f"allocations of an agent fail in a snapshot, {'for good' if stays else 'once'}",
           points=len(outcomes), refused=outcomes.count("memory"), mixed=0)


def test_cache_is_whole(edge):
    edge.agent.wait_applied()
    head = edge.controlplane.api.head()
    edge.agent.kill()
    assert judge_cache(edge.agent.dir) == head
    edge.agent.start(env=edge.memory.env).wait_connected()


# tlsplanectl --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("words", [("apply", "-f", "FOLDER"), ("get", "ssls"), ("token", "create", "--role", "viewer")], ids=lambda words: words[0])
def test_ctl(shared, ca, tmp_path, words):
    """Status 0 with all of its output, or another with a message."""
    memory, folder = Memory(shared.world, f"ctl-{words[0]}"), Folder(tmp_path / "folder")
    folder.certificate("ctl", ca.issue("ctl.test"), sni="ctl.test")
    argv = [str(CTL), *(str(folder.path) if word == "FOLDER" else word for word in words)]
    env = environment(TLSPLANE_URL=f"http://127.0.0.1:{shared.controlplane.admin_port}", TLSPLANE_TOKEN=shared.controlplane.api.token, **memory.env)

    env["ASAN_OPTIONS"] += ":detect_leaks=0"  # what a library loses when it fails is lost with the process

    def run():
        return subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
    run()
    memory.arm(EVER)
    reference = run()
    count = memory.seen
    assert reference.returncode == 0, reference
    for at, stays in itertools.product(spread(count, 8), (False, True)):
        memory.arm(at, stays)
        done = run()
        assert done.returncode in (0, 1, 3) and (done.returncode == 0 or done.stderr), (at, stays, done)
        assert done.returncode != 0 or words[0] != "get" or done.stdout == reference.stdout, (at, stays, done)
    memory.disarm()
    assert run().returncode == 0
