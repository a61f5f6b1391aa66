# SPDX-License-Identifier: Apache-2.0
"""One certificate, end to end: PUT it with the API, agents serve it; replace it, they serve the new one without a restart."""
import pytest
from harness import tls
from harness.net import eventually, free_port
from harness.world import serve


def test_put_is_served_by_an_agent(world, controlplane, agent, backend, ca):
    pair = ca.issue("foodservice.com")
    ca_file = world.tmp / "ca.pem"
    ca_file.write_text(ca.cert_pem)
    port = serve(controlplane, backend)
    controlplane.api.put_acked("/v1/ssls/food", pair.ssl("foodservice.com"))

    code, body, error = tls.curl(port, "foodservice.com", ca=ca_file)
    assert (code, body) == (0, "backend"), error
    seen = tls.s_client(port, sni="foodservice.com")
    assert seen.leaf == pair.sha256 and seen.body == "backend", seen

    second = ca.issue("foodservice.com")
    pid = agent.daemon.pid
    controlplane.api.put_acked("/v1/ssls/food", second.ssl("foodservice.com"))
    assert tls.leaf(port, "foodservice.com") == second.sha256
    assert tls.curl(port, "foodservice.com", ca=ca_file)[:2] == (0, "backend")
    assert agent.daemon.is_running and agent.daemon.pid == pid


def test_acked_means_served_by_every_agent_concerned(world, controlplane, backend, ca):
    agents = {site: world.agent(controlplane, name=f"agent-{site}", labels={"site": site}) for site in ("a", "b")}
    ports = {}
    for site in agents:
        ports[site] = free_port()
        controlplane.api.apply(wait="acked", timeout=30, put=[
            ("upstreams", "web", {"nodes": {f"127.0.0.1:{backend.port}": 1}}),
            ("listeners", f"site-{site}", {"bind": f"127.0.0.1:{ports[site]}", "upstream": "web", "selector": {"site": site}}),
        ]).expect(200, 201)
    for _ in range(10):
        pair = ca.issue("both.test")
        controlplane.api.put_acked("/v1/ssls/both", pair.ssl("both.test"))
        assert [tls.fetch(port, "both.test", ca=ca.cert_pem) for port in ports.values()] == [("backend", pair.sha256)] * 2


def test_one_certificate_of_a_thousand_on_two_agents(world, controlplane, backend, ca):
    agents = [world.agent(controlplane, name=f"agent-{i}", labels={"n": str(i)}) for i in range(2)]
    ports = [free_port() for _ in agents]
    private = ca.issue("shared-key.test").key  # one key for all: generating is not what is tested
    pairs = {f"host{i}.test": ca.issue(f"host{i}.test", private=private) for i in range(1000)}
    listeners = [("listeners", f"l{i}", {"bind": f"127.0.0.1:{port}", "upstream": "web", "selector": {"n": str(i)}})
                 for i, port in enumerate(ports)]
    controlplane.api.apply(wait="acked", timeout=60, put=[("upstreams", "web", {"nodes": {f"127.0.0.1:{backend.port}": 1}}), *listeners,
                           *(("ssls", f"host{i}", pairs[f"host{i}.test"].ssl(f"host{i}.test")) for i in range(1000))]).expect(200, 201)
    for name in ("host0.test", "host500.test", "host999.test"):
        assert [tls.leaf(port, name) for port in ports] == [pairs[name].sha256] * 2
    changed = ca.issue("host500.test")
    controlplane.api.put_acked("/v1/ssls/host500", changed.ssl("host500.test"))
    for port in ports:
        assert tls.fetch(port, "host500.test", ca=ca.cert_pem) == ("backend", changed.sha256)
        assert tls.leaf(port, "host499.test") == pairs["host499.test"].sha256
    for agent in agents:
        assert agent.state()["connected"]
        assert not agent.degraded()


def test_status_zero_is_held_by_nobody(controlplane, agent, backend, ca):
    port = serve(controlplane, backend)
    pair = ca.issue("gone.test")
    controlplane.api.put_acked("/v1/ssls/gone", pair.ssl("gone.test"))
    assert tls.leaf(port, "gone.test") == pair.sha256
    controlplane.api.put_acked("/v1/ssls/gone", {**pair.ssl("gone.test"), "status": 0})
    assert tls.leaf(port, "gone.test") != pair.sha256
    controlplane.api.put_acked("/v1/ssls/gone", {**pair.ssl("gone.test"), "status": 1})
    assert tls.leaf(port, "gone.test") == pair.sha256


def test_wait_acked_times_out_on_an_agent_that_is_stopped(controlplane, agent, backend, ca):
    import os
    import signal
    serve(controlplane, backend)
    os.kill(agent.daemon.pid, signal.SIGSTOP)
    try:
        answer = controlplane.api.put("/v1/ssls/late", ca.issue("late.test").ssl("late.test"), wait="acked", timeout=1)
    finally:
        os.kill(agent.daemon.pid, signal.SIGCONT)
    assert answer.status in (202, 504), answer
    eventually(lambda: controlplane.api.get("/v1/ssls/late").status == 200, "the write itself stands")
    agent.wait_applied()


@pytest.mark.parametrize("kind", ["exact", "upper", "dot"])
def test_server_name_in_any_spelling(shared, ca, kind):
    name = f"spelling-{kind}.test"
    port = serve(shared.controlplane, shared.backend, listener=f"spelling-{kind}")
    pair = ca.issue(name)
    shared.api.put_acked(f"/v1/ssls/spelling-{kind}", pair.ssl(name))
    sent = {"exact": name, "upper": name.upper(), "dot": name + "."}[kind]
    assert tls.s_client(port, sni=sent).leaf == pair.sha256
