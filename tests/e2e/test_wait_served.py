# SPDX-License-Identifier: Apache-2.0
"""?wait=served: 200 means that every agent concerned has shown the new leaf in a handshake with its own listener; else the answer says who
has not, and what was seen."""
import json
import socket
import threading

import pytest

from harness import tls
from harness.net import eventually, free_port
from harness.pki import Ca
from harness.world import BUILD, SANITIZER_ENV, World, serve

PEMS = Ca("Served CA")
EARLY = {"LD_PRELOAD": str(BUILD / "tests" / "lib" / "libearly.so"),
         "ASAN_OPTIONS": SANITIZER_ENV["ASAN_OPTIONS"] + ":verify_asan_link_order=0"}  # a release that knows no checks


def handshakes(agent):
    """What the agent has counted of clients: of none of it may a check be a part."""
    lines = [line for line in agent.metrics().splitlines() if not line.startswith("#")]
    words = ("connections", "handshake", "refus", "limit")
    found = [line for line in lines if any(word in line.split("{")[0].split(" ")[0] for word in words)]
    assert any("handshake" in line for line in found) and any("connections" in line for line in found)
    return found


def served(answer, *agents):
    """The wait of a good answer, with these agents in it and no others."""
    wait = answer.expect(200, 201).json["wait"]
    assert wait["state"] == "served"
    assert {row["id"]: row["state"] for row in wait["agents"]} == {agent.id: "served" for agent in agents}, wait
    return wait["names"]


def not_served(answer, status=502):
    problem = answer.expect(status).json
    assert problem["type"] == "urn:tlsplane:error:not-served", problem
    return problem


class Fleet:
    """Two agents with listeners of their own, and one of them away at times."""

    def __init__(self, world):
        self.world, self.controlplane = world, world.controlplane()
        self.api = self.controlplane.api
        self.agents = {name: world.agent(self.controlplane, name=name, labels={"site": name}) for name in ("a", "b")}
        backend = world.backend()
        self.ports = {name: free_port() for name in ("a", "b")}
        self.api.apply(put=[("upstreams", "web", {"nodes": {f"127.0.0.1:{backend.port}": 1}}),
                            ("tls_options", "default", {"min_version": "TLSv1.2"}),
                            *[("listeners", name, self.listener(name)) for name in self.ports]], wait="acked").expect(200)

    def listener(self, name, **more):
        return {"bind": f"127.0.0.1:{self.ports[name]}", "upstream": "web", "selector": {"site": name}, **more}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("served"))
    try:
        yield Fleet(world)
    finally:
        problems = world.close()
    assert not problems, "\n\n".join(problems)


def test_new_renewed_gone(fleet):
    a, b = fleet.agents["a"], fleet.agents["b"]
    before = handshakes(a), handshakes(b)
    for pair in (PEMS.issue("shop.test"), PEMS.issue("shop.test")):
        names = served(fleet.api.put("/v1/ssls/shop", pair.ssl("shop.test"), wait="served"), a, b)
        assert names == {"changed": 2, "checked": 2}
        assert (handshakes(a), handshakes(b)) == before
    only = PEMS.issue("only.test")
    served(fleet.api.put("/v1/ssls/only", only.ssl("only.test", selector={"site": "b"}), wait="served"), b)
    assert tls.leaf(fleet.ports["b"], "only.test") == only.sha256
    assert served(fleet.api.delete("/v1/ssls/only", wait="served"), b) == {"changed": 1, "checked": 1}
    served(fleet.api.delete("/v1/ssls/shop", wait="served"), a, b)


def test_key_types_versions_and_names(fleet):
    """RSA and EC in one object, a wildcard, the default, no name at all."""
    a, b = fleet.agents["a"], fleet.agents["b"]
    rsa, ecdsa, ed = PEMS.issue("two.test", key="rsa2048"), PEMS.issue("two.test"), PEMS.issue("ed.test", key="ed25519")
    both = {**rsa.ssl("two.test"), "certs": [ecdsa.cert_pem], "keys": [ecdsa.key_pem]}
    assert served(fleet.api.put("/v1/ssls/two", both, wait="served"), a, b) == {"changed": 4, "checked": 4}
    served(fleet.api.put("/v1/ssls/ed", ed.ssl("ed.test"), wait="served"), a, b)
    served(fleet.api.put("/v1/ssls/wild", PEMS.issue("*.w.test").ssl("*.w.test"), wait="served"), a, b)
    options = {"min_version": "TLSv1.2", "default_ssl": "wild"}
    names = served(fleet.api.put("/v1/tls_options/default", options, wait="served"), a, b)
    assert names == {"changed": 4, "checked": 4}  # no name, and one that nobody has
    served(fleet.api.put("/v1/tls_options/default", {**options, "max_version": "TLSv1.2"}, wait="served"), a, b)
    served(fleet.api.put("/v1/ssls/two", PEMS.issue("two.test").ssl("two.test"), wait="served"), a, b)
    served(fleet.api.put("/v1/tls_options/default", {"min_version": "TLSv1.2"}, wait="served"), a, b)
    assert served(fleet.api.put("/v1/upstreams/other", {"nodes": {"127.0.0.1:9": 1}}, wait="served"), a, b) == {"changed": 0, "checked": 0}


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_listeners_that_turn_clients_away(fleet, version):
    """Client certificates demanded, PROXY headers demanded, one handshake a second, addresses that are nobody's."""
    a = fleet.agents["a"]
    fleet.api.apply(put=[
        ("tls_options", "strict", {"min_version": version, "max_version": version, "sni_strict": True, "handshakes_per_second": 1,
                                   "client_auth": {"verify": "require", "ca": PEMS.cert_pem}}),
        ("listeners", "a", fleet.listener("a", tls_options="strict", accept_proxy_protocol=["127.0.0.0/8"], max_connections=1,
                                          handshakes_per_second=1, max_handshakes=1)),
        ("routes", "few", {"snis": ["**.few.test"], "allow_clients": ["192.0.2.0/24"], "tls_options": "strict"}),
    ], wait="acked").expect(200)
    before = handshakes(a)
    try:
        for index in range(4):
            pair = PEMS.issue(f"n{index}.few.test")
            served(fleet.api.put("/v1/ssls/few", pair.ssl(f"n{index}.few.test", selector={"site": "a"}), wait="served"), a)
        assert handshakes(a) == before
        assert "handshake failed" not in a.log.read_text().split("few.test")[-1]
        with pytest.raises(OSError):  # and clients are turned away as ever
            tls.leaf(fleet.ports["a"], "n3.few.test")
    finally:
        fleet.api.apply(put=[("listeners", "a", fleet.listener("a"))], delete=[("routes", "few"), ("ssls", "few"), ("tls_options", "strict")],
                        wait="acked").expect(200)


def test_routes(fleet):
    """What is passed through or rejected shows no leaf of ours any more, and that is what is wanted."""
    a, b = fleet.agents["a"], fleet.agents["b"]
    served(fleet.api.put("/v1/ssls/routed", PEMS.issue("routed.test").ssl("routed.test"), wait="served"), a, b)
    for mode in ("reject", "passthrough"):
        body = {"snis": ["routed.test"], "mode": mode, **({"upstream": "web"} if mode == "passthrough" else {})}
        assert served(fleet.api.put("/v1/routes/routed", body, wait="served"), a, b)["changed"] in (2, 0)
    names = served(fleet.api.put("/v1/ssls/routed", PEMS.issue("routed.test").ssl("routed.test"), wait="served"), a, b)
    assert names == {"changed": 0, "checked": 0, "shadowed": ["routed.test"]}
    fleet.api.delete("/v1/routes/routed", wait="served").expect(200)


def test_shadowed(fleet):
    a, b = fleet.agents["a"], fleet.agents["b"]
    fleet.api.put("/v1/ssls/first", PEMS.issue("twice.test").ssl("twice.test", priority=5), wait="served").expect(201)
    names = served(fleet.api.put("/v1/ssls/second", PEMS.issue("twice.test").ssl("twice.test"), wait="served"), a, b)
    assert names == {"changed": 0, "checked": 0, "shadowed": ["twice.test"]}


def test_again(fleet):
    """A no-op asks for what stands, so that a wait can be repeated."""
    a, b = fleet.agents["a"], fleet.agents["b"]
    document = PEMS.issue("again.test").ssl("again.test")
    fleet.api.put("/v1/ssls/again", document).expect(201)
    assert served(fleet.api.put("/v1/ssls/again", document, wait="served"), a, b) == {"changed": 2, "checked": 2}


def test_taken_port(fleet):
    """A listener that has no socket serves nobody: told with the reason, the other agent is fine."""
    taken = socket.create_server(("127.0.0.1", 0))
    body = {"bind": f"127.0.0.1:{taken.getsockname()[1]}", "upstream": "web", "selector": {"site": "a"}}
    fleet.api.put("/v1/listeners/taken", body).expect(201)
    fleet.agents["a"].wait_applied()
    pair = PEMS.issue("port.test")
    problem = not_served(fleet.api.put("/v1/ssls/port", pair.ssl("port.test"), wait="served"))
    states = {row["id"]: row for row in problem["agents"]}
    assert states[fleet.agents["b"].id]["state"] == "served"
    row, = states[fleet.agents["a"].id]["names"]
    assert (row["listener"], row["sni"], row["expected"], row["seen"]) == ("taken", "port.test", pair.sha256, None)
    assert "no bound socket" in row["reason"] and "the change stands" in problem["detail"]
    assert tls.leaf(fleet.ports["b"], "port.test") == pair.sha256
    taken.close()
    fleet.api.delete("/v1/listeners/taken", wait="acked").expect(200)
    served(fleet.api.put("/v1/ssls/port", pair.ssl("port.test"), wait="served"), *fleet.agents.values())


def test_very_many(fleet):
    """2,000 names at once: a sample is asked, and the answer says so."""
    pair = PEMS.issue("*.many.test")
    rows = [("ssls", f"many{i}", pair.ssl(f"n{i}.many.test", selector={"site": "a"})) for i in range(2000)]
    names = served(fleet.api.apply(put=rows, wait="served", timeout=60), fleet.agents["a"])
    assert names == {"changed": 2000, "checked": 200}
    fleet.api.apply(delete=[(kind, name) for kind, name, _ in rows]).expect(200)


def test_superseded(fleet):
    """Two writers at the same object, again and again: each answer is that it is served, or names the revision that took its place."""
    answers, revisions = [], set()

    def write(number):
        for _ in range(8):
            pair = PEMS.issue("race.test")
            answers.append(fleet.api.put("/v1/ssls/race", pair.ssl("race.test"), wait="served", timeout=20))
            revisions.add(answers[-1].headers["Tlsplane-Revision"])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 24 and len(revisions) == 24
    for answer in answers:
        if answer.status == 502:
            problem = not_served(answer)
            assert problem["title"] == "Superseded" or any(row["state"] == "not-served" for row in problem["agents"]), problem
            for row in problem["names"].get("superseded", []):
                assert row["sni"] == "race.test"
                assert int(row["revision"].split("-")[1]) > int(problem["revision"].split("-")[1]), problem
        else:
            served(answer, *fleet.agents.values())
    assert any(answer.status in (200, 201) for answer in answers)


def test_superseded_for_certain(fleet):
    """One writer waits for an agent that is stopped; meanwhile another takes its place."""
    fleet.api.put("/v1/ssls/late", PEMS.issue("late.test").ssl("late.test", selector={"site": "a"})).expect(201)
    agent = fleet.agents["a"]
    agent.wait_applied()
    agent.daemon.process.send_signal(19)  # SIGSTOP
    answers, head = [], fleet.api.head()
    first = PEMS.issue("late.test").ssl("late.test", selector={"site": "a"})
    thread = threading.Thread(target=lambda: answers.append(fleet.api.put("/v1/ssls/late", first, wait="served", timeout=20)))
    thread.start()
    try:
        eventually(lambda: fleet.api.head() > head, "the first write is in")
        second = fleet.api.put("/v1/ssls/late", PEMS.issue("late.test").ssl("late.test", selector={"site": "a"})).expect(200)
    finally:
        agent.daemon.process.send_signal(18)  # SIGCONT
    thread.join()
    problem = not_served(answers[0])
    assert problem["title"] == "Superseded"
    row, = problem["names"]["superseded"]
    assert (row["sni"], row["revision"]) == ("late.test", second.headers["Tlsplane-Revision"])


def test_acked_and_superseded(fleet):
    """wait=acked: agents are at the revision or beyond it, 200; what of it is no more by then is named, with what took its place."""
    agent = fleet.agents["a"]
    document = lambda: PEMS.issue("over.test").ssl("over.test", selector={"site": "a"})
    puts = [("ssls", "over", document()), ("ssls", "stays", PEMS.issue("stays.test").ssl("stays.test", selector={"site": "a"})),
            ("ssls", "goes", PEMS.issue("goes.test").ssl("goes.test", selector={"site": "a"}))]
    fleet.api.apply(put=puts, wait="acked").expect(200)
    agent.wait_applied()
    agent.daemon.process.send_signal(19)  # SIGSTOP
    answers, head = [], fleet.api.head()
    again = [(kind, name, {**value, "desc": "again"}) for kind, name, value in puts]
    thread = threading.Thread(target=lambda: answers.append(fleet.api.apply(put=again, wait="acked", timeout=20)))
    thread.start()
    try:
        eventually(lambda: fleet.api.head() > head, "the first write is in")
        second = fleet.api.put("/v1/ssls/over", document()).expect(200).headers["Tlsplane-Revision"]
        gone = fleet.api.delete("/v1/ssls/goes").expect(200).headers["Tlsplane-Revision"]
    finally:
        agent.daemon.process.send_signal(18)  # SIGCONT
    thread.join()
    wait = answers[0].expect(200).json["wait"]
    assert wait["state"] == "acked" and wait["agents"] == [{"id": agent.id, "state": "acked"}]
    assert wait["superseded"] == [{"kind": "ssls", "id": "goes", "revision": gone}, {"kind": "ssls", "id": "over", "revision": second}]
    assert "superseded" not in fleet.api.put("/v1/ssls/stays", document(), wait="acked").expect(200).json["wait"]
    fleet.api.apply(delete=[("ssls", "over"), ("ssls", "stays")], wait="acked").expect(200)


def test_falls_back(fleet):
    """Deleted: the name is answered by the wildcard below it, then by the default, then by nobody; each is what is asked for and seen."""
    a, b = fleet.agents["a"], fleet.agents["b"]
    exact, wild, default = PEMS.issue("x.fall.test"), PEMS.issue("*.fall.test"), PEMS.issue("fall.test")
    fleet.api.apply(put=[("ssls", "exact", exact.ssl("x.fall.test")), ("ssls", "wild", wild.ssl("*.fall.test")),
                         ("ssls", "fall", default.ssl("fall.test")),
                         ("tls_options", "default", {"min_version": "TLSv1.2", "default_ssl": "fall"})], wait="served").expect(200)
    for name, shown in (("exact", wild), ("wild", default)):
        names = served(fleet.api.delete(f"/v1/ssls/{name}", wait="served"), a, b)
        assert names["checked"] == names["changed"] == 2
        assert tls.leaf(fleet.ports["a"], "x.fall.test") == tls.leaf(fleet.ports["b"], "x.fall.test") == shown.sha256
    served(fleet.api.apply(put=[("tls_options", "default", {"min_version": "TLSv1.2"})], delete=[("ssls", "fall")], wait="served"), a, b)


def test_an_early_release(world, controlplane, backend):
    """An agent that does not take checks is asked nothing, and told as unsupported; what it has applied stands, and wait=acked is enough."""
    agent = world.agent(controlplane, env=EARLY)
    port = serve(controlplane, backend)
    pair = PEMS.issue("early.test")
    problem = not_served(controlplane.api.put("/v1/ssls/early", pair.ssl("early.test"), wait="served"))
    row, = problem["agents"]
    assert (row["id"], row["state"]) == (agent.id, "unsupported") and "release" in row["reason"]
    assert tls.leaf(port, "early.test") == pair.sha256
    controlplane.api.put("/v1/ssls/early", PEMS.issue("early.test").ssl("early.test"), wait="acked").expect(200)


def test_gone_while_it_is_asked(world, controlplane, backend):
    """Killed in the middle: it is waited for; back in time, it is asked again and shows the new leaf; else it is told as pending."""
    agent = world.agent(controlplane)
    port = serve(controlplane, backend)
    names = [f"k{i}.kill.test" for i in range(150)]
    for timeout, comes_back in ((40, True), (1, False)):
        pair = PEMS.issue("*.kill.test")
        puts = [("ssls", f"kill{i}", pair.ssl(name)) for i, name in enumerate(names)]
        answers = []
        thread = threading.Thread(target=lambda: answers.append(controlplane.api.apply(put=puts, wait="served", timeout=timeout)))
        head = controlplane.api.head()
        agent.wait_applied()
        thread.start()
        eventually(lambda: controlplane.api.head() > head, "the write is in")
        agent.kill()
        if comes_back:
            agent.start()
        thread.join()
        if comes_back:
            assert served(answers[0], agent) == {"changed": 150, "checked": 150}
            assert tls.leaf(port, names[7]) == pair.sha256
        else:
            problem = answers[0].expect(504).json
            assert [row["state"] for row in problem["agents"]] == ["pending"] and "the change stands" in problem["detail"]
            assert problem["agents"][0]["reason"] == "not connected"


def test_who_is_away_and_who_comes_back(world, controlplane, backend):
    """An agent that is down is not concerned; one that goes while it is waited for is told as pending; alone, nobody is waited for."""
    agent = world.agent(controlplane)
    serve(controlplane, backend)
    pair = PEMS.issue("away.test")
    served(controlplane.api.put("/v1/ssls/away", pair.ssl("away.test"), wait="served"), agent)
    agent.kill()
    eventually(lambda: not agent.state()["connected"], "the agent is known to be away")
    names = served(controlplane.api.put("/v1/ssls/away", PEMS.issue("away.test").ssl("away.test"), wait="served"))
    assert names["checked"] == 1
    agent.start()
    agent.wait_connected().wait_applied()
    served(controlplane.api.put("/v1/ssls/away", pair.ssl("away.test"), wait="served"), agent)
    agent.daemon.process.send_signal(19)
    try:
        problem = controlplane.api.put("/v1/ssls/away", PEMS.issue("away.test").ssl("away.test"), wait="served", timeout=1).expect(504).json
        assert problem["agents"][0]["state"] == "pending"
    finally:
        agent.daemon.process.send_signal(18)


def test_what_a_scoped_token_is_told(fleet):
    from harness.api import Api
    token = fleet.api.post("/v1/tokens", {"role": "editor", "scope": {"sni_suffixes": ["team.test"]}, "expires_in": 600}).expect(201).json
    api = Api(fleet.controlplane.admin_port, token["token"], fleet.world.transcript)
    answer = api.put("/v1/ssls/team", PEMS.issue("team.test").ssl("team.test"), wait="served").expect(201)
    assert answer.json["wait"]["agents"] == [{"state": "served", "count": 2}]
    assert not any(agent.id in json.dumps(answer.json) for agent in fleet.agents.values())


def test_query(fleet):
    assert fleet.api.put("/v1/upstreams/web", {}, wait="seen").expect(400)
    assert fleet.api.put("/v1/upstreams/web", {}, wait="served", dry_run=True).expect(400)
