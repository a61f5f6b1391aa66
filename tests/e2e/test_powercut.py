# SPDX-License-Identifier: Apache-2.0
"""The power goes, at any moment: a disk may then hold any part of what was written since the last sync (harness/powercut.py is the model). What
was answered is there, and who finds the disk like that starts and goes on. That the test sees a missing sync is shown by leaving some out."""
import shutil

import pytest

from harness.disk import Disk
from harness.history import History, judge
from harness.net import eventually
from harness.powercut import ANSWER, CREATE, FATES, RENAME, SYNC, SYNC_FOLDER, DROPPED, Machine, read_log
from harness.soak import figure, scaled
from harness.world import Agent, ControlPlane, serve
from test_kill import Generations


@pytest.fixture(scope="module")
def bodies(ca):
    return [ca.issue(f"body{i}.test").ssl() for i in range(3)]


def moments(changes, every):
    """Indexes of changes after which the power may go: just before each sync and just after each answer, and each `every`-th."""
    for index, change in enumerate(changes):
        following = changes[index + 1].kind if index + 1 < len(changes) else SYNC
        if index % every == 0 or following in (SYNC, SYNC_FOLDER) or change.kind in (ANSWER, CREATE, RENAME):
            yield index


def replay(machine, changes, every):
    """Feeds the machine; (index, how many cuts there were before) at each moment when the power goes."""
    wanted, count = set(moments(changes, every)), 0
    for index, change in enumerate(changes):
        machine.feed(change)
        if index in wanted:
            yield index, count
            count += 1


def recorded(world, bodies, writes, lies=None):
    """A control plane from its first start through so many writes, and all it did to its disk: (control plane, its history, machine, changes)."""
    controlplane = ControlPlane(world)
    disk, machine = Disk(world, controlplane.dir, log=True, lies=lies), Machine(controlplane.dir)
    controlplane.start(env=disk.env)
    history = History()
    end = history.load(controlplane, bodies)
    controlplane.api.post("/v1/keyring/rotate").expect(202)
    controlplane.api.put("/v1/ssls/purged", {**bodies[0], "sni": "purged.test"}).expect(201)
    eventually(lambda: len(history.told) >= writes, "writes are answered", 600)
    controlplane.api.delete("/v1/ssls/purged?purge=keys").expect(200)
    controlplane.kill()
    end()
    return controlplane, history, machine, read_log(disk.log)


def test_control_plane(world, bodies):
    """Judged without our program at each moment; every so often it is started on what is left."""
    controlplane, history, machine, changes = recorded(world, bodies, scaled(80, 300))
    there, kept = controlplane.dir, world.tmp / "cut"
    starts_every, cuts, starts, told = scaled(80, 40), 0, 0, 0
    for index, number in replay(machine, changes, scaled(50, 20)):
        if not machine.answered and number % scaled(8, 1):
            continue
        machine.cut(kept, FATES[cuts % len(FATES)], seed=index)
        cuts += 1
        if machine.answered:
            told = history.check(kept, machine.answered & set(history.sent)).head
        if not machine.answered or number % starts_every == 0:  # within the first start there is no store to judge
            shutil.rmtree(there)
            shutil.move(kept, there)
            controlplane.start()
            controlplane.api.put("/v1/upstreams/after", {"nodes": {"127.0.0.1:9": 1}}).expect(200, 201)
            assert controlplane.api.head()[1] > told
            controlplane.kill()
            starts += 1
            judge(there)
    assert len(machine.answered & set(history.told)) > 10 and cuts > 50 and starts > 3
    figure("power cuts of a control plane", cuts=cuts, starts=starts, changes_of_the_disk=len(changes), writes_answered=len(history.told), lost=0)


@pytest.mark.parametrize("lies", ["", "store.db-wal", "/controlplane"])
def test_a_missing_sync_is_seen(world, bodies, lies):
    """The same with syncs that do nothing: of all files; of SQLite's log, as `synchronous=NORMAL` would have it; of the folder."""
    _, history, machine, changes = recorded(world, bodies, 10, lies)
    losses, cut = 0, world.tmp / "cut"
    for index, _ in replay(machine, changes, 1000):
        answered = machine.answered & set(history.sent)
        if changes[index].kind == ANSWER and 3 < len(answered) < 8:
            machine.cut(cut, DROPPED, seed=index)
            try:
                history.check(cut, answered)
            except (AssertionError, OSError):
                losses += 1
    assert losses > 3


def recorded_agent(world, controlplane, sites, updates, lies=None):
    """An agent from its first start through so many updates: (agent, machine, changes, [(bytes of the log, generation acknowledged by then)])."""
    agent = Agent(world, controlplane, "agent")
    agent.give_token(controlplane.join_token())
    disk, machine = Disk(world, agent.dir, log=True, lies=lies), Machine(agent.dir)
    agent.start(env=disk.env).wait_connected(60).wait_applied(timeout=60)
    acknowledged = [(disk.logged, sites.newest)]
    for _ in range(updates):
        sites.put(wait="acked", timeout=30).expect(200)
        acknowledged.append((disk.logged, sites.newest))
    agent.kill()
    return agent, machine, read_log(disk.log), acknowledged


def test_agent(world, controlplane, backend, ca):
    """At each moment, what is left is enough: before the first snapshot to become the same agent with the same join token, from then on to serve,
    alone, one whole generation, not older than what was acknowledged."""
    port = serve(controlplane, backend)
    sites = Generations(controlplane, ca)
    sites.put().expect(200, 201)
    agent, machine, changes, acknowledged = recorded_agent(world, controlplane, sites, scaled(4, 40))
    shutil.move(agent.dir, world.tmp / "recorded")
    has_key = next(index for index, change in enumerate(changes) if change.name == "agent.key.new" and change.kind == RENAME)
    asked = next(index for index in range(has_key, len(changes)) if changes[index].kind == SYNC_FOLDER)  # then it asked for a certificate
    cuts = 0
    for index, number in replay(machine, changes, scaled(10, 4)):
        alone = changes[index].end >= acknowledged[0][0]
        if index < asked or number % scaled(2 if alone else 4, 1):
            continue
        if alone:
            controlplane.kill()
        machine.cut(agent.dir, FATES[cuts % len(FATES)], seed=index)
        cuts += 1
        agent.start()
        if alone:
            assert sites.seen(port) >= max(generation for byte, generation in acknowledged if byte <= changes[index].end)
        else:
            eventually(lambda: sites.seen(port) == sites.newest, "it has become the same agent", 60)
        agent.kill()
        assert not list(agent.dir.glob("*damaged*"))
    assert cuts > 10
    figure("power cuts of an agent", cuts=cuts, changes_of_the_disk=len(changes), mixed=0)


@pytest.mark.parametrize("lies", ["", "cache.db-wal"])
def test_a_missing_sync_of_an_agent_is_seen(world, controlplane, backend, ca, lies):
    port = serve(controlplane, backend)
    sites = Generations(controlplane, ca)
    sites.put().expect(200, 201)
    agent, machine, changes, _ = recorded_agent(world, controlplane, sites, 3, lies)
    for change in changes:
        machine.feed(change)
    shutil.rmtree(agent.dir)
    machine.cut(agent.dir, DROPPED, seed=1)
    controlplane.kill()
    agent.start(wait=False)
    agent.daemon.expect_exit(1)
    with pytest.raises(AssertionError):
        assert eventually(lambda: sites.seen(port), "something is served", 3) == sites.newest
