# SPDX-License-Identifier: Apache-2.0
"""Control plane and agents apart and together again: deaths, restored databases, label changes."""
import shutil
import socket
import threading
import time

from harness import tls
from harness.backend import ScriptBackend
from harness.net import eventually, free_port, is_listening
from harness.pki import make_key
from harness.world import serve


def test_agent_serves_without_a_control_plane(world, controlplane, agent, backend, ca):
    port = serve(controlplane, backend)
    pair = ca.issue("alone.test")
    controlplane.api.put_acked("/v1/ssls/alone", pair.ssl("alone.test"))
    controlplane.kill()
    assert tls.fetch(port, "alone.test") == ("backend", pair.sha256)
    agent.restart()
    assert tls.fetch(port, "alone.test") == ("backend", pair.sha256)
    agent.kill()
    agent.start()
    assert tls.fetch(port, "alone.test") == ("backend", pair.sha256)
    controlplane.start()
    agent.wait_connected(60)
    changed = ca.issue("alone.test")
    controlplane.api.put_acked("/v1/ssls/alone", changed.ssl("alone.test"))
    assert tls.leaf(port, "alone.test") == changed.sha256


def test_control_plane_killed_under_writes(world, controlplane, ca):
    """Every write that was answered is there after kill -9, five times; agents go on by delta."""
    agent = world.agent(controlplane)
    private = make_key()
    bodies = [ca.issue(f"w{i}.test", private=private).ssl(f"w{i}.test") for i in range(60)]
    for i, body in enumerate(bodies):  # a holding of some size, so that a full resend would be seen
        controlplane.api.put(f"/v1/ssls/base{i}", {**body, "sni": f"base{i}.test"}).expect(201)
    agent.wait_applied()
    answered = {}
    for turn in range(5):
        api, stop = controlplane.api, threading.Event()

        def write(worker):
            number = 0
            while not stop.is_set():
                name = f"t{turn}-{worker}-{number}"
                try:
                    answer = api.put(f"/v1/ssls/{name}", {**bodies[number % len(bodies)], "sni": f"{name}.test"})
                except OSError:
                    return
                except Exception:  # a cut answer: not answered  # pylint: disable=broad-except
                    return
                if answer.status == 201:
                    answered[name] = answer.etag
                number += 1
        threads = [threading.Thread(target=write, args=(w,)) for w in range(3)]
        for thread in threads:
            thread.start()
        goal = len(answered) + 30
        eventually(lambda: len(answered) >= goal, "writes are answered", 60)
        controlplane.kill()
        stop.set()
        for thread in threads:
            thread.join()
        controlplane.start()
        lost = [name for name, etag in answered.items() if controlplane.api.get(f"/v1/ssls/{name}").etag != etag]
        assert not lost, f"{len(lost)} of {len(answered)} answered writes are gone: {lost[:5]}"
        agent.wait_connected(60).wait_applied(timeout=60)
    assert not [line for line in controlplane.daemon.lines() if "full" in line and "update" in line], "resumed by full, not by delta"


def backup(controlplane, to):
    """As an operator would with the daemon stopped: the whole data directory."""
    shutil.copytree(controlplane.dir, to)


def test_restored_older_database(world, controlplane, agent, backend, ca):
    port = serve(controlplane, backend)
    first, second, third = (ca.issue("r.test") for _ in range(3))
    controlplane.api.put_acked("/v1/ssls/r", first.ssl("r.test"))
    controlplane.daemon.terminate()
    backup(controlplane, world.tmp / "backup")
    controlplane.start()
    agent.wait_connected(60)
    controlplane.api.put_acked("/v1/ssls/r", second.ssl("r.test"))
    controlplane.daemon.terminate()

    shutil.rmtree(controlplane.dir)
    shutil.copytree(world.tmp / "backup", controlplane.dir)
    controlplane.start()
    # Noticed, told, nothing sent; the agent serves on, whatever is written meanwhile.
    eventually(lambda: agent.state().get("diverged"), "marked as diverged", 60)
    assert [l for l in controlplane.daemon.lines() if "not in this store" in l and "level=error" in l]
    controlplane.api.put("/v1/ssls/r", third.ssl("r.test"), wait="acked", timeout=2)
    controlplane.api.put("/v1/ssls/more", ca.issue("more.test").ssl("more.test"), wait="acked", timeout=1)
    assert tls.fetch(port, "r.test") == ("backend", second.sha256)

    # The operator decides: a new epoch, and everybody follows this store again.
    controlplane.restart("--new-epoch")
    agent.wait_connected(60)
    eventually(lambda: tls.leaf(port, "r.test") == third.sha256, "the new epoch", 60)
    eventually(lambda: not agent.state().get("diverged"), "no longer diverged")
    assert controlplane.api.head()[0] > 1
    controlplane.restart()
    agent.wait_connected(60).wait_applied()


def test_another_history_of_the_same_length(world, controlplane, agent, backend, ca):
    """The restored store has gone on past the agent's revision before the agent comes back: only the chain hash tells. One agent's
    word stops nobody else, and a restart of the agent changes nothing."""
    port, other_port = serve(controlplane, backend), free_port()
    controlplane.api.put_acked("/v1/ssls/r", ca.issue("r.test").ssl("r.test"))
    controlplane.daemon.terminate()
    backup(controlplane, world.tmp / "backup")
    controlplane.start()
    agent.wait_connected(60)
    lost, now = ca.issue("r.test"), ca.issue("r.test")
    controlplane.api.put_acked("/v1/ssls/r", lost.ssl("r.test"))
    agent.daemon.terminate()
    controlplane.daemon.terminate()
    shutil.rmtree(controlplane.dir)
    shutil.copytree(world.tmp / "backup", controlplane.dir)
    controlplane.start()
    other = world.agent(controlplane, name="other", labels={"n": "2"})
    controlplane.api.apply(put=[("listeners", "main", {"bind": f"127.0.0.1:{port}", "upstream": "web", "selector": {"n": "1"}}),
                                ("listeners", "other", {"bind": f"127.0.0.1:{other_port}", "upstream": "web", "selector": {"n": "2"}}),
                                ("ssls", "r", now.ssl("r.test"))], wait="acked", timeout=30).expect(200)
    assert controlplane.api.head() > agent.applied()
    for _ in range(2):
        agent.start()
        agent.daemon.wait_log("does not know the state of this agent")
        eventually(lambda: agent.state().get("diverged"), "marked as diverged")
        assert tls.fetch(port, "r.test") == ("backend", lost.sha256)
        assert tls.fetch(other_port, "r.test") == ("backend", now.sha256)
        agent.daemon.terminate()
    agent.start()
    agent.daemon.wait_log("does not know the state of this agent")

    controlplane.api.patch(f"/v1/agents/{agent.id}", {"labels": {"n": "1"}}).expect(200)
    controlplane.restart("--new-epoch")
    for one, where in ((agent, port), (other, other_port)):
        one.wait_connected(60).wait_applied(timeout=60)
        assert one.applied()[0] > 1 and not one.state()["diverged"]
        assert tls.fetch(where, "r.test") == ("backend", now.sha256)


def test_labels_decide_what_an_agent_holds(world, controlplane, backend, ca):
    """After a label change the objects and keys that it must no longer hold are gone, from service and from its files."""
    agent = world.agent(controlplane, labels={"site": "a"})
    port = serve(controlplane, backend)
    for_all, for_a, for_b = ca.issue("all.test"), ca.issue("a.test"), ca.issue("b.test")
    controlplane.api.apply(wait="acked", timeout=30, put=[
        ("ssls", "all", for_all.ssl("all.test")),
        ("ssls", "only-a", for_a.ssl("a.test", selector={"site": "a"})),
        ("ssls", "only-b", for_b.ssl("b.test", selector={"site": "b"}))]).expect(200, 201)
    assert tls.leaf(port, "a.test") == for_a.sha256
    assert tls.leaf(port, "b.test") not in (for_b.sha256, for_a.sha256)

    def on_disk(pair):
        return [path.name for path in agent.cache_files if pair.der in path.read_bytes() or b"a.test" in path.read_bytes()]
    assert not [path for path in agent.cache_files if for_b.der in path.read_bytes()]

    controlplane.api.patch(f"/v1/agents/{agent.id}", {"labels": {"site": "b"}}).expect(200)
    eventually(lambda: tls.leaf(port, "b.test") == for_b.sha256, "what the new label brings")
    assert tls.leaf(port, "a.test") != for_a.sha256
    assert tls.leaf(port, "all.test") == for_all.sha256
    agent.wait_applied()
    eventually(lambda: not [path.name for path in agent.cache_files if for_a.der in path.read_bytes()], "erased from its files", 10)
    agent.kill()
    agent.start()
    assert tls.leaf(port, "a.test") != for_a.sha256 and tls.leaf(port, "b.test") == for_b.sha256
    assert not [path for path in agent.cache_files if for_a.der in path.read_bytes()]


def test_deleted_object_is_erased_from_the_cache(controlplane, agent, backend, ca):
    port = serve(controlplane, backend)
    pair = ca.issue("erase.test")
    controlplane.api.put_acked("/v1/ssls/erase", pair.ssl("erase.test"))
    assert [path for path in agent.cache_files if pair.der in path.read_bytes()], "the certificate rests in the cache as DER"
    controlplane.api.delete("/v1/ssls/erase", wait="acked", timeout=30).expect(200, 204)
    assert tls.leaf(port, "erase.test") != pair.sha256
    eventually(lambda: not [path for path in agent.cache_files if pair.der in path.read_bytes()], "erased", 10)


def test_listener_goes_with_its_object(controlplane, agent, backend):
    port = serve(controlplane, backend)
    assert is_listening(port)
    controlplane.api.delete("/v1/listeners/main", wait="acked", timeout=30).expect(200, 204)
    eventually(lambda: not is_listening(port), "closed")
    controlplane.api.put_acked("/v1/listeners/main", {"bind": f"127.0.0.1:{port}", "upstream": "web"})
    assert is_listening(port)


def test_agent_answer_tells_everything(world, controlplane, backend):
    agent = world.agent(controlplane, labels={"site": "a"})
    serve(controlplane, backend)
    state = agent.wait_applied().state()
    assert state["connected"] is True and state["id"] == agent.id
    assert agent.applied() == controlplane.api.head()
    text = str(state)
    assert "3.0." in text, "OpenSSL's version"
    for field in ("labels", "degraded", "last_ack", "certificate"):
        assert any(field in key for key in state), (field, state)
    agent.daemon.terminate()
    eventually(lambda: not agent.state()["connected"], "not connected")
    assert agent.state()["last_seen"]
    controlplane.restart()
    assert agent.state()["connected"] is False and agent.state()["last_seen"], "survives a restart of the control plane"


def test_several_control_plane_addresses(world, controlplane, backend, ca):
    dead = free_port()
    agent = world.agent(controlplane, "--controlplane", f"127.0.0.1:{dead},127.0.0.1:{controlplane.channel_port}")
    port = serve(controlplane, backend)
    assert tls.s_client(port, sni="x").body == "backend"
    assert agent.state()["connected"]


class Way:
    """A way to the control plane that can be cut: an address of its own, and every connection on it."""

    def __init__(self, world, to, port=None):
        self.to, self.open, self.is_cut = to, [], False
        self.backend = world.add_backend(ScriptBackend(self._forward, port))
        self.port = self.backend.port

    def _forward(self, near):
        far = socket.create_connection(("127.0.0.1", self.to))
        self.open += [near, far]
        for one, other in ((near, far), (far, near)):
            one.settimeout(None)
            threading.Thread(target=self._copy, args=(one, other), daemon=True).start()
        while not self.is_cut:  # its connection is closed when this returns
            time.sleep(0.05)

    @staticmethod
    def _copy(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for one in (source, sink):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        self.backend.close()
        # Before `_forward` closes them: closed while `_copy` reads from it, a connection stays open until something comes.
        for one in self.open:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.is_cut = True


def test_fail_over_between_addresses(world, controlplane, backend, ca):
    """The address in use dies: the other is taken at once, and what changed meanwhile comes by delta."""
    ways = [Way(world, controlplane.channel_port) for _ in range(2)]
    agent = world.agent(controlplane, "--controlplane", ",".join(f"127.0.0.1:{way.port}" for way in ways))
    port = serve(controlplane, backend)
    for turn in range(2):
        used = next(way for way in ways if f"port={way.port} " in agent.daemon.lines("msg=connected")[-1])
        connected = len(agent.daemon.lines("msg=connected"))
        used.cut()
        pair = ca.issue("f.test")
        started = time.monotonic()
        controlplane.api.put("/v1/ssls/f", pair.ssl("f.test")).expect(200, 201)
        eventually(lambda: len(agent.daemon.lines("msg=connected")) > connected, "the other address")
        eventually(lambda: tls.leaf(port, "f.test") == pair.sha256, "the change")
        assert time.monotonic() - started < 5
        ways[ways.index(used)] = Way(world, controlplane.channel_port, used.port)


def test_the_same_identity_twice(world, controlplane, agent):
    """A copied data directory: the later connection replaces the earlier, and both logs say so."""
    from harness.world import Agent
    agent.daemon.terminate()
    shutil.copytree(agent.dir, world.tmp / "copy")
    agent.start().wait_connected()
    twin = Agent(world, controlplane, "twin")
    twin.dir = world.tmp / "copy"
    twin.give_token("unused")
    twin.start()
    eventually(lambda: [l for l in controlplane.daemon.lines() if "replaced" in l or "again" in l], "noticed")
    twin.daemon.terminate()
    agent.wait_connected(60)
