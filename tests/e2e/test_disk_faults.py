# SPDX-License-Identifier: Apache-2.0
"""The disk refuses: full, read-only, broken, half a write; at the Nth call for all N of the paths that write (and read), once and from then on.
Who asked is told so, nothing is half done, what was there is served, and when the disk is well again everything goes on, without a restart."""
import errno
import shutil
import subprocess

import pytest

from harness.disk import CALLS, CHANGES, FAIL, SHORT, Disk
from harness.history import History, judge_cache
from harness.net import eventually
from harness.soak import figure, scaled
from harness.world import Agent, serve
from test_atomicity import small_disk  # noqa: F401  # pylint: disable=unused-import
from test_kill import Generations, Watch

# action, errno, what a client is told when it can't be done.
FAULTS = {"full": (FAIL, errno.ENOSPC, 507), "half a write, then full": (SHORT, errno.ENOSPC, 507), "broken": (FAIL, errno.EIO, 500),
          "read-only": (FAIL, errno.EROFS, 500), "over quota": (FAIL, errno.EDQUOT, 507)}
KINDS = scaled(["full", "half a write, then full", "broken"], list(FAULTS))


@pytest.fixture(scope="module")
def bodies(ca):
    return [ca.issue(f"body{i}.test").ssl() for i in range(3)]


def trio(history, api, bodies, tag):
    put = [{"kind": "ssls", "id": f"trio0-{i}", "value": {**bodies[i], "sni": f"trio0-{i}.test", "desc": tag}} for i in range(3)]
    return history.write(api, "POST", "/v1/apply", {"put": put}, [f"trio0-{i}" for i in range(3)], tag)


WRITES = {
    "apply": trio,
    "token": lambda history, api, bodies, tag: api.post("/v1/tokens", {"role": "viewer"}),
    "purge": lambda history, api, bodies, tag: api.delete("/v1/ssls/purged", purge="keys"),
    "rotate": lambda history, api, bodies, tag: api.post("/v1/keyring/rotate"),
}
PATHS = scaled([("apply", calls) for calls in ("write", "sync")] + [("purge", CHANGES), ("rotate", CHANGES), ("apply", "read")],
               [(what, calls) for what in WRITES for calls in (*CALLS, CHANGES)])


@pytest.mark.parametrize("stays", [False, True], ids=["once", "stays"])
@pytest.mark.parametrize("what,calls", [pytest.param(*row, id=f"{row[0]}-{row[1] if isinstance(row[1], str) else 'any change'}") for row in PATHS])
def test_control_plane(world, controlplane, bodies, what, calls, stays):
    history, disk = History(), Disk(world, controlplane.dir)
    controlplane.kill()
    controlplane.start(env=disk.env)
    api, points, refused = controlplane.api, 0, 0
    trio(history, api, bodies, "first")
    for kind in KINDS:
        action, number, status = FAULTS[kind]
        for at in range(1, 400, scaled(20 if what == "purge" else 5, 1)):  # a purge waits a while before it gives up
            tag = f"{kind}-{at}"
            if what == "purge":
                api.put("/v1/ssls/purged", {**bodies[0], "sni": "purged.test"}).expect(200, 201)
            disk.arm([calls] if isinstance(calls, str) else calls, at, action, number, stays)
            answer = WRITES[what](history, api, bodies, tag)
            struck = disk.struck
            assert answer.status in (200, 201, 202, 204, 409 if what == "rotate" else 200, *((status, 500, 503) if struck else ())), (tag, answer)
            refused += answer.status >= 500
            assert api.get("/healthz", auth=False).status in (200, 503)
            disk.disarm()
            # At once, it is well.
            seen = {api.get(f"/v1/ssls/trio0-{i}").expect(200).json["desc"] for i in range(3)}
            assert seen == set(history.tags["trio0-0"]), (tag, seen, history.tags)
            history.write(api, "PUT", "/v1/upstreams/next", {"nodes": {"127.0.0.1:9": 1}, "desc": tag}, ["next"], tag).expect(200, 201)
            points += struck > 0
            if not struck:
                break
    controlplane.kill()
    found = history.check(controlplane.dir)
    history.check_objects(found)
    assert not set(history.refused) & set(found.requests), "refused, and done"
    assert points >= 2 or calls not in ("read", "write", "sync", CHANGES)  # which every write makes
    figure(f"disk of a control plane refuses {calls if isinstance(calls, str) else 'any change'} in {what}, {'for good' if stays else 'once'}",
           points=points, refused=refused, half_done=0)


def test_full_for_longer(world, controlplane, backend, ca, bodies):
    """Every write is refused, every read answered, agents serve and stay connected; and then it goes on."""
    disk, history = Disk(world, controlplane.dir), History()
    controlplane.kill()
    controlplane.start(env=disk.env)
    agent = world.agent(controlplane)
    port = serve(controlplane, backend)
    sites = Generations(controlplane, ca)
    sites.put(wait="acked", timeout=30).expect(200, 201)
    with Watch(port, sites.order) as watch:
        disk.arm(CHANGES, 1, FAIL, errno.ENOSPC, stays=True)
        for number in range(20):
            assert trio(history, controlplane.api, bodies, f"t{number}").status == 507
            controlplane.api.get("/v1/ssls/one").expect(200)
        assert agent.state()["connected"] and controlplane.api.get("/v1/ssls/trio0-0").status == 404
        disk.disarm()
        sites.put(wait="acked", timeout=30).expect(200)
    assert sites.seen(port) == 2 and watch.looks


# A read that fails with EIO is "malformed" to SQLite; what it can't open for writing it opens for reading.
REASONS = ("Input/output error", "disk I/O error", "database disk image is malformed", "unable to open database file",
           "attempt to write a readonly database")


def ended_with_reason(daemon, struck):
    code = daemon.wait_exit()
    daemon.expect_exit(code)
    assert struck and code in range(1, 90) and any(words in daemon.text() for words in REASONS), daemon.text()


@pytest.mark.parametrize("stays", [False, True], ids=["once", "stays"])
def test_start_of_a_control_plane(world, controlplane, bodies, stays):
    """It starts, or says why not; the next start finds everything."""
    history, disk, points = History(), Disk(world, controlplane.dir), 0
    trio(history, controlplane.api, bodies, "there")
    controlplane.kill()
    kept = world.tmp / "kept"
    shutil.copytree(controlplane.dir, kept)
    for calls in [("read",), ("look",), CHANGES]:
        for at in range(1, 1000, scaled(11, 1)):
            disk.arm(calls, at, FAIL, errno.EIO, stays)
            controlplane.start(env=disk.env, wait=False)
            eventually(lambda: not controlplane.daemon.is_running or controlplane.daemon.lines('msg="control plane ready"'), "ready, or ended")
            struck = disk.struck
            disk.disarm()
            if not controlplane.daemon.is_running:
                ended_with_reason(controlplane.daemon, struck)
            controlplane.kill()
            history.check_objects(history.check(controlplane.dir))
            points += struck > 0
            if not struck:
                break
            shutil.rmtree(controlplane.dir)
            shutil.copytree(kept, controlplane.dir)
    controlplane.start()
    controlplane.api.get("/v1/ssls/trio0-2").expect(200)
    figure(f"disk of a control plane refuses {'for good' if stays else 'once'} at its start", points=points)


@pytest.mark.parametrize("stays", [False, True], ids=["once", "stays"])
@pytest.mark.parametrize("calls", scaled(["any change"], [*CALLS, "any change"]))
def test_agent(world, controlplane, backend, ca, calls, stays):
    """It says that it can't keep the update, or that it is not durable yet, serves on, and takes the next one when the disk is well."""
    agent, port = world.agent(controlplane), serve(controlplane, backend)
    sites, disk, points, nacks = Generations(controlplane, ca), Disk(world, agent.dir), 0, 0
    agent.kill()
    sites.put().expect(200, 201)
    agent.start(env=disk.env).wait_connected(60).wait_applied(timeout=60)
    with Watch(port, sites.order):
        for kind in KINDS:
            action, number, _ = FAULTS[kind]
            for at in range(1, 400, scaled(7, 1)):
                disk.arm(CHANGES if calls == "any change" else [calls], at, action, number, stays)
                sites.put().expect(200)
                head = controlplane.api.head()
                state = eventually(lambda: told(agent, head), "it has applied it, or says why not")
                struck = disk.struck
                assert struck or state != "nacked"
                cached = judge_cache(agent.dir)
                assert cached == head if state == "applied" else cached < head or state == "not durable", (kind, at, state, cached)
                nacks += state == "nacked"
                assert sites.all_seen(port) <= {sites.newest, sites.newest - 1}  # what was refused may come again meanwhile
                disk.disarm()
                sites.put(wait="acked", timeout=30).expect(200)
                points += struck > 0
                if not struck:
                    break
    agent.kill()
    controlplane.kill()
    agent.start()
    assert sites.seen(port) == sites.newest and not list(agent.dir.glob("*damaged*"))
    figure(f"disk of an agent refuses {calls} in an update, {'for good' if stays else 'once'}", points=points, nacks=nacks, failed_handshakes=0)


def told(agent, head):
    """What has become of this revision at this agent; None: not known yet."""
    state = agent.state()
    if agent.applied() >= head:
        return "applied"
    if "\ntlsplane_agent_not_durable 1\n" in agent.metrics():  # its next heartbeat tells
        return "not durable"
    nack = state.get("last_nack")
    return "nacked" if nack and nack["code"] == "persist" and nack["revision"] == f"{head[0]}-{head[1]}" else None


@pytest.mark.parametrize("stays", [False, True], ids=["once", "stays"])
def test_start_of_an_agent(world, controlplane, backend, ca, stays):
    """It serves what it has, or ends with its reason; what it has is never given up because the disk could not be read just then."""
    agent, port = world.agent(controlplane), serve(controlplane, backend)
    sites, disk, points, served = Generations(controlplane, ca), Disk(world, agent.dir), 0, 0
    sites.put(wait="acked", timeout=30).expect(200, 201)
    agent.kill()
    controlplane.kill()
    kept = world.tmp / "kept"
    shutil.copytree(agent.dir, kept)
    for calls in [("read",), ("look", "open"), CHANGES[1:]]:
        for at in range(1, 1000, scaled(7, 1)):
            shutil.rmtree(agent.dir)
            shutil.copytree(kept, agent.dir)  # as if it had never died
            disk.arm(calls, at, FAIL, errno.EIO, stays)
            agent.start(env=disk.env, wait=False)
            eventually(lambda: not agent.daemon.is_running or agent.daemon.lines('msg="agent ready"'), "ready, or ended")
            struck = disk.struck
            if agent.daemon.is_running:
                assert sites.seen(port) == sites.newest
                served += 1
            else:
                ended_with_reason(agent.daemon, struck)
                assert calls != CHANGES[1:], agent.daemon.text()
            disk.disarm()
            agent.kill()
            assert not list(agent.dir.glob("*damaged*")), (calls, at, agent.daemon.text())
            agent.start()
            assert sites.seen(port) == sites.newest
            agent.kill()
            points += struck > 0
            if not struck:
                break
    figure(f"disk of an agent refuses {'for good' if stays else 'once'} at its start", points=points, served_all_the_same=served)


@pytest.mark.parametrize("end", ["orderly", "killed"])
def test_agent_on_a_file_system_that_became_read_only(world, controlplane, backend, ca, small_disk, end):  # noqa: F811
    """What the kernel does after an error: it serves on, a restart serves too, updates are refused with the reason; and when the disk can be
    written again, the next one is taken, without a restart."""
    def remount(how):
        subprocess.run(["mount", "-o", f"remount,{how}", str(small_disk)], check=True)
    agent = Agent(world, controlplane, "agent")
    agent.dir = small_disk / "a folder? yes: 100%#1"
    agent.give_token(controlplane.join_token())
    agent.start().wait_connected()
    port, sites = serve(controlplane, backend), Generations(controlplane, ca)
    sites.put(wait="acked", timeout=30).expect(200, 201)
    if end == "orderly":
        assert agent.daemon.terminate() == 0
    else:
        agent.kill()
    remount("ro")
    try:
        for _ in range(4):  # starts that can't be counted
            agent.start()
            assert sites.seen(port) == 1
            agent.kill()
        agent.start().wait_connected(60)
        sites.put().expect(200)
        eventually(lambda: told(agent, controlplane.api.head()) == "nacked", "it says that it can't keep it")
        assert sites.seen(port) == 1
    finally:
        remount("rw")
    sites.put(wait="acked", timeout=30).expect(200)
    assert sites.seen(port) == 3
    controlplane.kill()
    agent.kill()
    agent.start()
    assert sites.seen(port) == 3 and not list(agent.dir.glob("*damaged*"))
