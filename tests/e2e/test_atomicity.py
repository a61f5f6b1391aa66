# SPDX-License-Identifier: Apache-2.0
"""An update is taken whole or not at all (under load: test_hammer.py): when the world refuses parts of it, when the disk is full, when the agent dies."""
import errno
import os
import signal
import socket
import subprocess
import time

import pytest

from harness import tls
from harness.api import parse_revision
from harness.net import eventually, free_port, is_listening
from harness.world import Agent, serve

SITES = ("one.test", "two.test", "three.test")


def generation(ca, number):
    """Three certificates whose subject says which generation they are of."""
    return {site: ca.issue(site, common_name=f"generation-{number}") for site in SITES}


def put_generation(api, pairs, **query):
    return api.apply(put=[("ssls", site.split(".")[0], pair.ssl(site)) for site, pair in pairs.items()], **query)


class TestDegraded:
    def test_taken_port(self, controlplane, agent, backend, ca):
        port = serve(controlplane, backend)
        pair = ca.issue("d.test")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            busy = taken.getsockname()[1]
            controlplane.api.apply(put=[("listeners", "busy", {"bind": f"127.0.0.1:{busy}", "upstream": "web"}),
                                        ("ssls", "d", pair.ssl("d.test"))]).expect(200, 201)
            # All else of that revision is served.
            eventually(lambda: tls.fetch(port, "d.test") == ("backend", pair.sha256), "the certificate of the same revision")
            rows = eventually(agent.degraded, "degraded objects in GET /v1/agents/ID")
            assert len(rows) == 1 and rows[0]["id"] == "busy" and "in use" in rows[0]["reason"].lower(), rows
        eventually(lambda: tls.fetch(busy, "d.test") == ("backend", pair.sha256), "it mends itself", 40)
        eventually(lambda: not agent.degraded(), "no longer degraded")

    def test_wait_tells_a_degraded_object_at_once(self, controlplane, agent, backend):
        serve(controlplane, backend)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            busy = taken.getsockname()[1]
            listener = {"bind": f"127.0.0.1:{busy}", "upstream": "web"}
            started = time.monotonic()
            for _ in range(2):  # the second changes nothing, and tells the same
                answer = controlplane.api.put("/v1/listeners/busy", listener, wait="acked", timeout=60).expect(502)
                assert answer.json["type"].endswith(":degraded") and answer.json["revision"]
                row, = answer.json["agents"]
                assert (row["id"], row["state"]) == (agent.id, "degraded")
                assert row["objects"][0]["id"] == "busy" and "in use" in row["objects"][0]["reason"].lower()
            assert time.monotonic() - started < 30
            # What is degraded elsewhere is no matter of another object.
            controlplane.api.put_acked("/v1/upstreams/other", {"nodes": {"127.0.0.1:9": 1}})
            controlplane.api.put_acked("/v1/listeners/busy", {**listener, "bind": f"127.0.0.1:{free_port()}"})

    def test_two_agents_of_one_host_want_one_port(self, world, controlplane, agent, backend, ca):
        port = serve(controlplane, backend)
        second = world.agent(controlplane, name="second")
        rows = eventually(second.degraded, "the second is told")
        assert rows[0]["id"] == "main" and "in use" in rows[0]["reason"].lower()
        assert not agent.degraded()
        assert tls.s_client(port, sni="x").body == "backend"
        agent.daemon.terminate()
        eventually(lambda: tls.s_client(port, sni="x").body == "backend", "the second takes over", 40)
        eventually(lambda: not second.degraded(), "and is well")

    def test_moving_listener_keeps_its_old_address_until_the_new_one_is_bound(self, controlplane, agent, backend, ca):
        old = serve(controlplane, backend)
        controlplane.api.put_acked("/v1/ssls/m", ca.issue("m.test").ssl("m.test"))
        with socket.create_server(("127.0.0.1", 0)) as taken:
            new = taken.getsockname()[1]
            controlplane.api.patch("/v1/listeners/main", {"bind": f"127.0.0.1:{new}"}).expect(200)
            eventually(agent.degraded, "the move is degraded")
            assert tls.fetch(old, "m.test")[0] == "backend"
        eventually(lambda: tls.fetch(new, "m.test")[0] == "backend", "the new address", 40)
        eventually(lambda: not is_listening(old), "the old address is let go")

    def test_moving_listener_loses_no_connection(self, controlplane, agent, ca, world):
        from harness.backend import EchoBackend
        echo = world.add_backend(EchoBackend())
        old, new = serve(controlplane, echo), free_port()
        with tls.connect(old, "x") as connection:
            connection.sendall(b"before")
            assert connection.recv(100) == b"before"
            controlplane.api.patch("/v1/listeners/main", {"bind": f"127.0.0.1:{new}"}, wait="acked", timeout=30).expect(200)
            eventually(lambda: is_listening(new) and not is_listening(old), "moved")
            connection.sendall(b"after")
            assert connection.recv(100) == b"after"

    def test_upstream_that_does_not_resolve(self, controlplane, agent, backend, ca):
        port = serve(controlplane, backend)
        other = free_port()
        controlplane.api.apply(put=[("upstreams", "lost", {"nodes": {"does-not-exist.invalid:80": 1}}),
                                    ("listeners", "lost", {"bind": f"127.0.0.1:{other}", "upstream": "lost"})]).expect(200, 201)
        rows = eventually(agent.degraded, "degraded", 40)
        assert [row["id"] for row in rows] == ["lost"], rows
        assert tls.s_client(port, sni="x").body == "backend"
        controlplane.api.put("/v1/upstreams/lost", {"nodes": {f"127.0.0.1:{backend.port}": 1}}).expect(200)
        eventually(lambda: not agent.degraded(), "well again")
        assert tls.s_client(other, sni="x").body == "backend"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MiB; unmounted at the end."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", str(folder)], capture_output=True, check=False)
    if mount.returncode != 0:
        pytest.skip(f"mount is not permitted here: {mount.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder):
    """The file that takes all that is left."""
    filler = folder / "filler"
    with open(filler, "wb", buffering=0) as sink:
        try:
            while sink.write(bytes(4096)):
                pass
        except OSError as error:
            assert error.errno == errno.ENOSPC
    with pytest.raises(OSError):
        (folder / "probe").write_bytes(b"x")
    return filler


@pytest.mark.parametrize("end", ["orderly", "killed", "within an apply"])
def test_started_on_a_full_disk_it_serves(world, controlplane, backend, ca, small_disk, end):
    """Not a byte can be written; what is in the cache is served, with and without a control plane, and it mends itself."""
    agent = Agent(world, controlplane, "agent")
    agent.dir = small_disk / "data"
    agent.give_token(controlplane.join_token())
    agent.start().wait_connected()
    port = serve(controlplane, backend)
    first, second = ca.issue("disk.test"), ca.issue("disk.test")
    controlplane.api.put_acked("/v1/ssls/disk", first.ssl("disk.test"))
    if end == "orderly":
        assert agent.daemon.terminate() == 0
    elif end == "killed":
        agent.kill()
    else:  # a candidate is left that can't be dropped
        agent.restart(env={"TLSPLANE_TEST_CRASH_AT": "swapped"})
        agent.wait_connected().daemon.expect_exit(137)
        controlplane.api.put("/v1/ssls/disk", second.ssl("disk.test")).expect(200)
        assert agent.daemon.wait_exit(30) == 137
    controlplane.kill()
    filler = fill(small_disk)
    for _ in range(4):  # starts that can't be counted don't fall back either
        agent.start()
        assert [line for line in agent.daemon.lines() if "the cache can't be written" in line]
        assert tls.fetch(port, "disk.test") == ("backend", first.sha256)
        agent.kill()
    controlplane.start()
    agent.start().wait_connected(60)
    if end != "within an apply":
        controlplane.api.put("/v1/ssls/disk", second.ssl("disk.test")).expect(200)
    nack = eventually(lambda: agent.state().get("last_nack"), "NACKed while nothing can be written")
    assert nack["code"] == "persist" and "full" in nack["text"], nack
    assert tls.fetch(port, "disk.test") == ("backend", first.sha256)
    filler.unlink()
    eventually(lambda: tls.leaf(port, "disk.test") == second.sha256, "it recovers by itself", 60)
    agent.wait_applied().restart()
    assert tls.leaf(port, "disk.test") == second.sha256


def test_full_disk_is_a_nack_and_mends_itself(world, controlplane, backend, ca, small_disk):
    agent = Agent(world, controlplane, "agent")
    agent.dir = small_disk / "data"
    agent.give_token(controlplane.join_token())
    agent.start().wait_connected()
    port = serve(controlplane, backend)
    first = ca.issue("disk.test")
    controlplane.api.put_acked("/v1/ssls/disk", first.ssl("disk.test"))
    filler = fill(small_disk)
    second = ca.issue("disk.test")
    answer = controlplane.api.put("/v1/ssls/disk", second.ssl("disk.test"), wait="acked", timeout=10)
    assert answer.status >= 400 or b"nack" in answer.body.lower() or b"refused" in answer.body.lower(), answer
    nack = eventually(lambda: agent.state().get("last_nack"), "the NACK in GET /v1/agents/ID")
    assert "full" in str(nack).lower() or "space" in str(nack).lower(), nack
    assert tls.fetch(port, "disk.test") == ("backend", first.sha256)
    assert agent.state()["connected"]
    filler.unlink()
    eventually(lambda: tls.leaf(port, "disk.test") == second.sha256, "it recovers by itself", 60)
    agent.wait_applied()
    agent.daemon.terminate()
    agent.start()
    assert tls.leaf(port, "disk.test") == second.sha256


class TestCrashes:
    @pytest.mark.parametrize("step", ["prepared", "persisted", "swapped", "marked"])
    def test_killed_at_each_step(self, world, controlplane, backend, ca, step):
        """After a death at any step of an apply the restart serves all of the old or all of the new, also without a control plane."""
        agent = world.agent(controlplane)
        port = serve(controlplane, backend)
        old, new = generation(ca, 1), generation(ca, 2)
        put_generation(controlplane.api, old, wait="acked", timeout=30).expect(200, 201)
        agent.restart(env={"TLSPLANE_TEST_CRASH_AT": step})
        agent.wait_connected()
        agent.daemon.expect_exit(137)
        put_generation(controlplane.api, new).expect(200)
        assert agent.daemon.wait_exit(30) == 137
        controlplane.daemon.terminate()
        agent.start()
        eventually(lambda: is_listening(port), "serves without a control plane")
        seen = {site: tls.fetch(port, site)[1] for site in SITES}
        assert seen in ({s: p.sha256 for s, p in old.items()}, {s: p.sha256 for s, p in new.items()}), seen
        if step == "marked":
            assert seen == {s: p.sha256 for s, p in new.items()}
        if step in ("prepared", "persisted", "swapped"):
            # An unmarked candidate is never served at start.
            assert seen == {s: p.sha256 for s, p in old.items()}
        controlplane.start()
        agent.wait_connected(60)
        eventually(lambda: {s: tls.leaf(port, s) for s in SITES} == {s: p.sha256 for s, p in new.items()}, "the new one in the end", 60)

    def test_candidate_that_kills_twice_is_nacked_as_crashed(self, world, controlplane, backend, ca):
        agent = world.agent(controlplane)
        port = serve(controlplane, backend)
        old, new = generation(ca, 1), generation(ca, 2)
        put_generation(controlplane.api, old, wait="acked", timeout=30).expect(200, 201)
        agent.restart(env={"TLSPLANE_TEST_CRASH_AT": "swapped"})
        agent.wait_connected()
        agent.daemon.expect_exit(137)
        put_generation(controlplane.api, new).expect(200)
        assert agent.daemon.wait_exit(30) == 137
        agent.start(env={"TLSPLANE_TEST_CRASH_AT": "swapped"}, wait=False)
        agent.daemon.expect_exit(137)
        assert agent.daemon.wait_exit(60) == 137
        agent.start()
        agent.wait_connected(60)
        nack = eventually(lambda: agent.state().get("last_nack"), "NACKed")
        assert "crash" in str(nack).lower(), nack
        assert {s: tls.leaf(port, s) for s in SITES} == {s: p.sha256 for s, p in old.items()}
        # The next revision is another one, and is taken.
        third = generation(ca, 3)
        put_generation(controlplane.api, third, wait="acked", timeout=30).expect(200)
        assert {s: tls.leaf(port, s) for s in SITES} == {s: p.sha256 for s, p in third.items()}

    def test_third_death_within_a_minute_falls_back(self, world, controlplane, backend, ca):
        agent = world.agent(controlplane)
        port = serve(controlplane, backend)
        old, new = generation(ca, 1), generation(ca, 2)
        put_generation(controlplane.api, old, wait="acked", timeout=30).expect(200, 201)
        put_generation(controlplane.api, new, wait="acked", timeout=30).expect(200)
        bad = controlplane.api.head()
        controlplane.daemon.terminate()
        agent.daemon.terminate()
        for _ in range(3):
            agent.start()
            assert tls.leaf(port, SITES[0]) == new[SITES[0]].sha256
            agent.kill()
        agent.start()
        assert {s: tls.leaf(port, s) for s in SITES} == {s: p.sha256 for s, p in old.items()}
        controlplane.start()
        agent.wait_connected(60)
        nack = eventually(lambda: agent.state().get("last_nack"), "the control plane is told")
        assert nack["code"] == "crashed" and parse_revision(nack["revision"]) == bad and str(bad[1]) in nack["text"], nack
        assert parse_revision(agent.state()["crashed"]) == bad
        assert {s: tls.leaf(port, s) for s in SITES} == {s: p.sha256 for s, p in old.items()}
        # The next revision is another one: it is taken, and nothing is said to have crashed any more.
        third = generation(ca, 3)
        put_generation(controlplane.api, third, wait="acked", timeout=30).expect(200)
        assert {s: tls.leaf(port, s) for s in SITES} == {s: p.sha256 for s, p in third.items()}
        assert "crashed" not in agent.state()
        controlplane.restart()
        agent.wait_connected(60)
        assert "crashed" not in agent.state()

    def test_fall_back_that_cannot_be_whole(self, controlplane, agent, backend, ca):
        """What the last revision deleted is erased from the snapshot before as well; when something in there needed it, that one can't
        be served, and the agent must not stand with empty hands because something killed it three times."""
        port = serve(controlplane, backend)
        pair = ca.issue(SITES[0])
        controlplane.api.put_acked("/v1/ssls/one", pair.ssl(SITES[0]))
        controlplane.api.apply(put=[("upstreams", "other", {"nodes": {f"127.0.0.1:{backend.port}": 1}}),
                                    ("listeners", "main", {"bind": f"127.0.0.1:{port}", "upstream": "other"})],
                               delete=[("upstreams", "web")], wait="acked", timeout=30).expect(200)
        controlplane.kill()
        agent.daemon.terminate()
        for _ in range(5):
            agent.start()
            assert tls.fetch(port, SITES[0]) == ("backend", pair.sha256)
            agent.kill()
        assert not list(agent.dir.glob("*damaged*"))
        controlplane.start()
        agent.start().wait_connected(60)
        changed = ca.issue(SITES[0])
        controlplane.api.put_acked("/v1/ssls/one", changed.ssl(SITES[0]))
        assert tls.fetch(port, SITES[0]) == ("backend", changed.sha256)

    def test_killed_at_random_it_serves_what_it_had(self, world, controlplane, backend, ca):
        agent = world.agent(controlplane)
        port = serve(controlplane, backend)
        pairs = generation(ca, 0)
        put_generation(controlplane.api, pairs, wait="acked", timeout=30).expect(200, 201)
        known = [pairs]
        for number in range(1, 6):
            known.append(generation(ca, number))
            put_generation(controlplane.api, known[-1]).expect(200)
            agent.kill()
            controlplane.kill()  # else an update may land between two looks
            agent.start()
            seen = {site: tls.fetch(port, site)[1] for site in SITES}
            assert seen in [{s: p.sha256 for s, p in one.items()} for one in known], "half a revision"
            controlplane.start()
            agent.wait_connected(60).wait_applied(timeout=60)
            assert {s: tls.leaf(port, s) for s in SITES} == {s: p.sha256 for s, p in known[-1].items()}


def test_agent_that_stops_reading_within_a_full_sync(world, controlplane, backend, ca):
    """20,000 objects, and an agent that reads none of them for longer than two heartbeats take: it costs a bounded queue, nobody else
    notices, and it goes on with the same update on the same connection."""
    private = ca.issue("p.test").key
    body = ca.issue("p.test", private=private).ssl("p.test")
    port = serve(controlplane, backend)
    for start in range(0, 20000, 2000):
        controlplane.api.apply(put=[("ssls", f"o{i}", {**body, "sni": f"o{i}.test"}) for i in range(start, start + 2000)]).expect(200)
    other = world.agent(controlplane, name="other")
    other.wait_applied(timeout=60)
    memory = controlplane.daemon.rss_kib()
    agent = world.agent(controlplane, connected=False)
    agent.daemon.wait_log("msg=connected")
    os.kill(agent.daemon.pid, signal.SIGSTOP)
    try:
        assert agent.applied() == (0, 0)
        paused = time.monotonic()
        while time.monotonic() - paused < 23:  # two heartbeats of ten seconds, and more
            assert agent.state()["connected"] and other.state()["connected"]
            answer = controlplane.api.put("/v1/ssls/o7", {**body, "sni": "o7.test", "desc": str(time.monotonic())}, wait="acked", timeout=1)
            assert {row["id"]: row["state"] for row in answer.expect(504).json["agents"]}[other.id] == "acked", answer
            assert controlplane.daemon.rss_kib() - memory < 32 * 1024
            time.sleep(1)
    finally:
        os.kill(agent.daemon.pid, signal.SIGCONT)
    agent.wait_applied(timeout=60)
    assert len(agent.daemon.lines("msg=connected")) == 1, "on the same connection"
    assert tls.fetch(port, "o19999.test")[0] == "backend"


def test_paused_agent_catches_up_with_merged_updates(controlplane, agent, backend, ca):
    port = serve(controlplane, backend)
    private = ca.issue("p.test").key
    os.kill(agent.daemon.pid, signal.SIGSTOP)
    try:
        for number in range(100):
            pair = ca.issue("p.test", private=private, common_name=f"n{number}")
            controlplane.api.put("/v1/ssls/p", pair.ssl("p.test")).expect(200, 201)
    finally:
        os.kill(agent.daemon.pid, signal.SIGCONT)
    agent.wait_applied(timeout=30)
    assert tls.leaf(port, "p.test") == pair.sha256
