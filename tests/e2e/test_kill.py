# SPDX-License-Identifier: Apache-2.0
"""Kill -9 at random instants and before each call that changes a file, and processes that stand still: what was answered is there, no revision
comes twice, every agent serves one whole revision, never an older one than before, and all of them get to the newest."""
import os
import random
import shutil
import signal
import time

import pytest

from harness import tls
from harness.disk import CHANGES, KILL, Disk
from harness.history import History
from harness.net import eventually, is_listening
from harness.soak import figure, scaled
from harness.world import Agent, ControlPlane, Hammer, serve

SITES = ("one.test", "two.test", "three.test")


@pytest.fixture(scope="module")
def bodies(ca):
    return [ca.issue(f"body{i}.test").ssl() for i in range(3)]


class Generations:
    """Three sites whose certificates are only ever changed together. `order`: {leaf: generation}."""

    def __init__(self, controlplane, ca):
        self.controlplane, self.ca, self.order, self.newest, self.acked = controlplane, ca, {}, 0, 0

    def put(self, **query):
        """The next generation; its answer."""
        self.newest += 1
        pairs = {site: self.ca.issue(site) for site in SITES}
        self.order.update({pair.sha256: self.newest for pair in pairs.values()})
        answer = self.controlplane.api.apply(put=[("ssls", site.split(".")[0], pair.ssl(site)) for site, pair in pairs.items()], **query)
        if query and answer.status == 200:
            self.acked = self.newest
        return answer

    def all_seen(self, port):
        """The generations that sites show, one after the other."""
        return {self.order[tls.leaf(port, site)] for site in SITES}

    def seen(self, port):
        """The generation that all sites show; of one and the same snapshot only when nothing changes meanwhile."""
        numbers = self.all_seen(port)
        assert len(numbers) == 1, f"half a revision: {numbers}"
        return numbers.pop()


class Watch:
    """Looks all the time at which generation each site of an agent is, and remembers when one went back."""

    def __init__(self, port, order):
        self.port, self.order, self.newest, self.looks = port, order, 0, 0
        self.hammer = Hammer(self.look, threads=1)

    def look(self, _):
        try:
            for site in SITES:
                number = self.order[tls.leaf(self.port, site)]
                assert number >= self.newest, f"{site} went back from generation {self.newest} to {number}"
                self.newest = number
                self.looks += 1
        except OSError:  # it is dead just now
            time.sleep(0.01)

    def __enter__(self):
        self.hammer.__enter__()
        return self

    def __exit__(self, *_):
        self.hammer.__exit__()
        assert not self.hammer.failures, self.hammer.failures[:3]


def test_control_plane_killed_at_random_under_load(world, controlplane, agent, backend, ca, bodies):
    """Two writers, an agent, and a client of the agent that sees nothing of it all."""
    rounds, history, chance = scaled(5, 200), History(), random.Random(1)
    port = serve(controlplane, backend)
    sites = Generations(controlplane, ca)
    sites.put(wait="acked", timeout=30).expect(200, 201)
    applied = (0, 0)
    with Watch(port, sites.order) as watch:
        for _ in range(rounds):
            end, goal = history.load(controlplane, bodies), len(history.told) + 3
            eventually(lambda: len(history.told) > goal, "writes are answered")
            time.sleep(chance.uniform(0, 0.3))
            controlplane.kill()
            end()
            history.check_objects(history.check(controlplane.dir))
            controlplane.start()
            sites.put().expect(200)
            agent.wait_connected(60)
            assert agent.applied() >= applied, "an agent's revision went down"
            applied = agent.applied()
    agent.wait_applied(timeout=60)
    assert sites.seen(port) == sites.newest
    controlplane.kill()
    history.check_objects(history.check(controlplane.dir))
    figure("control plane killed at random under writes", rounds=rounds, writes_answered=len(history.told), lost=0, handshakes=watch.looks,
           failed=0)


WRITES = {
    "apply": lambda history, api, bodies, n: history.write(api, "POST", "/v1/apply", {"put": [
        {"kind": "ssls", "id": f"trio0-{i}", "value": {**bodies[i], "sni": f"trio0-{i}.test", "desc": f"k{n}"}} for i in range(3)]},
        [f"trio0-{i}" for i in range(3)], f"k{n}"),
    "delete": lambda history, api, bodies, n: history.write(api, "DELETE", f"/v1/upstreams/gone{n}", None, [f"gone{n}"], None),
    "purge": lambda history, api, bodies, n: history.write(api, "DELETE", f"/v1/ssls/secret{n}?purge=keys", None, [f"secret{n}"], None),
    "rollback": lambda history, api, bodies, n: api.post(f"/v1/revisions/{api.head()[1] - 1}/rollback"),
    "token": lambda history, api, bodies, n: api.post("/v1/tokens", {"role": "viewer"}),
    "rotate": lambda history, api, bodies, n: api.post("/v1/keyring/rotate"),
}


@pytest.mark.parametrize("what", scaled(["apply", "purge"], list(WRITES)))
def test_control_plane_killed_at_each_call(world, controlplane, ca, bodies, what):
    """Before each call that changes a file: the write is wholly there or not at all; when it was answered it is."""
    history, api, stride = History(), controlplane.api, scaled(6, 1)
    prepared = scaled(40, 120)
    for i in range(0, prepared, 40):
        api.apply(put=[("upstreams", f"gone{n}", {"nodes": {"127.0.0.1:9": 1}}) for n in range(i, i + 40)]
                  + [("ssls", f"secret{n}", {**bodies[0], "sni": f"secret{n}.test"}) for n in range(i, i + 40)]).expect(200)
    history.write(api, "POST", "/v1/apply", {"put": [
        {"kind": "ssls", "id": f"trio0-{i}", "value": {**bodies[i], "sni": f"trio0-{i}.test"}} for i in range(3)]}, [f"trio0-{i}" for i in range(3)])
    api.put("/v1/upstreams/last", {"nodes": {"127.0.0.1:9": 1}}).expect(201)  # comes and goes as one rollback undoes the other
    controlplane.daemon.terminate()
    disk = Disk(world, controlplane.dir)
    steps, answered_and_killed = 0, 0
    while True:
        controlplane.start(env=disk.env)
        controlplane.daemon.expect_exit(-9)
        told = len(history.told)
        disk.arm(CHANGES, 1 + steps * stride, KILL)
        try:
            WRITES[what](history, controlplane.api, bodies, steps)
        except OSError:
            pass
        time.sleep(0.05)  # what it goes on with after the answer
        died = not controlplane.daemon.is_running or disk.struck > 0
        disk.disarm()
        controlplane.kill()
        answered_and_killed += died and len(history.told) > told
        found = history.check(controlplane.dir)
        history.check_objects(found)
        if not died:
            break
        steps += 1
        assert steps < prepared
    assert steps > 3, "it was not killed within the write"
    controlplane.start().api.get("/v1/ssls/trio0-0").expect(200)
    figure(f"control plane killed at each call of {what}", points=steps, lost=0)


def test_agent_killed_at_random_while_it_applies(world, controlplane, backend, ca):
    """Killed while revisions come one after the other; what it serves afterwards, alone, is one of them, not older than what it had acknowledged
    or had been seen to serve."""
    rounds, chance = scaled(6, 200), random.Random(2)
    agent = world.agent(controlplane)
    port = serve(controlplane, backend)
    sites = Generations(controlplane, ca)
    sites.put(wait="acked", timeout=30).expect(200, 201)
    for number in range(rounds):
        with Watch(port, sites.order) as watch:
            for _ in range(chance.randint(0, 3)):
                sites.put(wait="acked", timeout=30).expect(200)
            for _ in range(4):
                sites.put().expect(200)
            time.sleep(chance.uniform(0, 0.05))
            agent.kill()
        controlplane.kill()
        agent.start()
        seen = sites.seen(port)
        assert seen >= sites.acked, f"round {number}: generation {seen}, {sites.acked} was acknowledged"
        controlplane.start()
        agent.wait_connected(60).wait_applied(timeout=60)
        assert sites.seen(port) == sites.newest >= watch.newest
    assert not list(agent.dir.glob("*damaged*"))
    figure("agent killed at random while it applies", rounds=rounds, generations=sites.newest, mixed=0)


def test_agent_killed_at_each_call_of_an_apply(world, controlplane, backend, ca):
    agent = world.agent(controlplane)
    port = serve(controlplane, backend)
    sites = Generations(controlplane, ca)
    sites.put(wait="acked", timeout=30).expect(200, 201)
    agent.kill()
    disk, steps, stride = Disk(world, agent.dir), 0, scaled(5, 1)
    while True:
        agent.start(env=disk.env).wait_connected(60).wait_applied(timeout=60)
        agent.daemon.expect_exit(-9)
        before = sites.seen(port)
        disk.arm(CHANGES, 1 + steps * stride, KILL)
        sites.put().expect(200)
        eventually(lambda: not agent.daemon.is_running or agent.applied() == controlplane.api.head(), "it has applied it, or is dead")
        acknowledged, died = agent.applied() == controlplane.api.head(), disk.struck > 0
        disk.disarm()
        agent.kill()
        controlplane.kill()
        agent.start()
        seen = sites.seen(port)
        assert seen in (before, sites.newest), f"step {steps}: {seen}"
        assert seen == sites.newest or not acknowledged, "acknowledged, and gone"
        controlplane.start()
        agent.wait_connected(60).wait_applied(timeout=60)
        assert sites.seen(port) == sites.newest
        agent.kill()
        if not died:
            break
        steps += 1
    assert steps > 2 and not list(agent.dir.glob("*damaged*"))
    figure("agent killed at each call of an apply", points=steps, mixed=0)


@pytest.mark.parametrize("when", ["enrols", "starts with what it has"])
def test_agent_killed_at_each_call_of_a_start(world, controlplane, backend, ca, when):
    """From an empty folder: whatever is left, the same join token still enrols it once; and from a full one it serves."""
    port = serve(controlplane, backend)
    sites = Generations(controlplane, ca)
    sites.put().expect(200, 201)
    agent = Agent(world, controlplane, "agent")
    agent.give_token(controlplane.join_token())
    if when != "enrols":
        agent.start().wait_connected(60).wait_applied(timeout=60)
        agent.kill()
    kept = world.tmp / "kept"
    if agent.dir.exists():
        shutil.copytree(agent.dir, kept)
    disk, steps, stride = Disk(world, agent.dir), 0, scaled(7, 1)
    while True:
        disk.arm(CHANGES, 1 + steps * stride, KILL)
        agent.start(env=disk.env, wait=False)
        agent.daemon.expect_exit(-9)
        eventually(lambda: not agent.daemon.is_running or is_listening(port) and sites.seen(port), "it serves, or is dead", 30)
        died = disk.struck > 0
        disk.disarm()
        agent.kill()
        agent.start()
        if not kept.exists():
            agent.forget()
        agent.wait_connected(60).wait_applied(timeout=60)
        assert sites.seen(port) == sites.newest
        agent.kill()
        if not died:
            break
        steps += 1
        shutil.rmtree(agent.dir)
        if kept.exists():
            shutil.copytree(kept, agent.dir)
        else:
            agent.give_token(controlplane.join_token())
    assert steps >= scaled(1, 10)
    figure(f"agent killed at each call of a start: {when}", points=steps)


def test_first_start_killed_at_each_call(world):
    """Of a control plane: the next start makes a store, whose token works."""
    controlplane = ControlPlane(world)
    disk, steps, stride = Disk(world, controlplane.dir), 0, scaled(23, 1)
    while True:
        disk.arm(CHANGES, 1 + steps * stride, KILL)
        controlplane.start(env=disk.env, wait=False)
        controlplane.daemon.expect_exit(-9)
        eventually(lambda: not controlplane.daemon.is_running or controlplane.daemon.lines('msg="control plane ready"'), "ready, or dead")
        died = disk.struck > 0
        disk.disarm()
        controlplane.kill()
        controlplane.start()
        controlplane.api.put("/v1/upstreams/u", {"nodes": {"127.0.0.1:9": 1}}).expect(201)
        controlplane.kill()
        if not died:
            break
        steps += 1
        shutil.rmtree(controlplane.dir)
    assert steps > 5
    figure("first start of a control plane killed at each call", points=steps)


class TestPauses:
    """SIGSTOP and SIGCONT: a process that does nothing for a while, and then goes on as if it were still then."""

    def test_control_plane(self, world, controlplane, agent, backend, ca, bodies):
        """Writers wait, agents serve; what comes after is in order."""
        pauses, history, chance = scaled(3, 60), History(), random.Random(3)
        port = serve(controlplane, backend)
        sites = Generations(controlplane, ca)
        sites.put(wait="acked", timeout=30).expect(200, 201)
        with Watch(port, sites.order) as watch:
            end = history.load(controlplane, bodies)
            for _ in range(pauses):
                os.kill(controlplane.daemon.pid, signal.SIGSTOP)
                looks = watch.looks
                time.sleep(chance.uniform(0.2, scaled(1, 25)))  # two heartbeats are 20 s
                assert watch.looks > looks, "the agent serves meanwhile"
                os.kill(controlplane.daemon.pid, signal.SIGCONT)
                sites.put(wait="acked", timeout=60).expect(200)
            end()
        agent.wait_connected(60).wait_applied(timeout=60)
        assert sites.seen(port) == sites.newest
        controlplane.kill()
        history.check_objects(history.check(controlplane.dir))
        figure("control plane stopped and continued under writes", pauses=pauses, writes_answered=len(history.told), lost=0)

    def test_agent_of_two(self, world, controlplane, backend, ca):
        """One stands still while the other goes on; nobody waits for it but those who asked to."""
        agents = [world.agent(controlplane, name=f"agent{i}", labels={"n": str(i)}) for i in range(2)]
        ports = [serve(controlplane, backend, listener=f"l{i}", listener_extra={"selector": {"n": str(i)}}) for i in range(2)]
        sites = Generations(controlplane, ca)
        sites.put(wait="acked", timeout=30).expect(200, 201)
        with Watch(ports[0], sites.order), Watch(ports[1], sites.order):
            for turn in range(scaled(4, 60)):
                still = agents[turn % 2]
                os.kill(still.daemon.pid, signal.SIGSTOP)
                for _ in range(5):
                    sites.put().expect(200)
                agents[1 - turn % 2].wait_applied(timeout=30)
                assert sites.seen(ports[1 - turn % 2]) == sites.newest
                os.kill(still.daemon.pid, signal.SIGCONT)
                still.wait_applied(timeout=60)
        assert {sites.seen(port) for port in ports} == {sites.newest}
