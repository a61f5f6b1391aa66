# SPDX-License-Identifier: Apache-2.0
"""Who may be an agent, and who may be a control plane."""
import concurrent.futures
import socket
import ssl

import pytest

from harness import tls
from harness.net import eventually, free_port
from harness.pki import Ca
from harness.world import Agent, serve


def newcomer(world, controlplane, token, name="newcomer", wait=False):
    agent = Agent(world, controlplane, name)
    agent.give_token(token)
    agent.start(wait=wait)
    return agent


def refused(agent, controlplane, reason):
    """The agent is told and says so; the control plane's log has the reason; no certificate was issued. It may end or retry."""
    agent.daemon.expect_exit(*range(1, 126))
    line = eventually(lambda: [l for l in controlplane.daemon.lines() if "refused" in l and reason in l.lower()], f"refusal: {reason}")[0]
    eventually(lambda: [l for l in agent.daemon.lines() if "level=error" in l or "level=warning" in l], "the agent says so")
    assert not (agent.dir / "agent.crt").exists()
    return line


class TestTokens:
    def test_answer_has_the_token_once(self, controlplane):
        made = controlplane.api.post("/v1/join_tokens", {"ttl": 60, "labels": {"site": "a"}}).expect(201).json
        assert made["token"].startswith("tlsplane1.")
        secret = made["token"].split(".")[2]
        for path in (f"/v1/join_tokens/{made['id']}", "/v1/join_tokens"):
            answer = controlplane.api.get(path).expect(200)
            assert secret.encode() not in answer.body and b'"token"' not in answer.body

    @pytest.mark.parametrize("body", [{"ttl": 0}, {"ttl": -1}, {"ttl": "x"}, {"ttl": 60, "labels": {"a": 1}}, {"ttl": 60, "x": 1},
                                      {"ttl": 60, "labels": {"a b": "c"}}, {"ttl": 60, "labels": []}, {"ttl": 10 ** 12}])
    def test_bad_requests(self, shared_api, body):
        assert shared_api.post("/v1/join_tokens", body).status in (400, 422), body

    def test_wrong_secret(self, world, controlplane):
        parts = controlplane.join_token().split(".")
        parts[2] = ("B" if parts[2][0] == "A" else "A") + parts[2][1:]
        refused(newcomer(world, controlplane, ".".join(parts)), controlplane, "secret")

    def test_unknown_token(self, world, controlplane):
        made = controlplane.api.post("/v1/join_tokens", {"ttl": 60}).json
        controlplane.api.delete(f"/v1/join_tokens/{made['id']}").expect(200, 204)
        refused(newcomer(world, controlplane, made["token"]), controlplane, "token")

    def test_expired_token(self, world, controlplane):
        token = controlplane.join_token(ttl=1)
        import time
        deadline = time.monotonic() + 2.2  # the point of the test is that time passes
        while time.monotonic() < deadline:
            time.sleep(0.1)
        refused(newcomer(world, controlplane, token), controlplane, "expired")

    def test_reused_token(self, world, controlplane):
        token = controlplane.join_token()
        first = newcomer(world, controlplane, token, "first", wait=True).wait_connected()
        refused(newcomer(world, controlplane, token, "second"), controlplane, "was used by")
        assert first.state()["connected"] and len(controlplane.api.agents()) == 1

    def test_raced_token_has_exactly_one_winner(self, world, controlplane):
        token = controlplane.join_token()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            agents = list(pool.map(lambda i: newcomer(world, controlplane, token, f"racer{i}"), range(4)))
        eventually(lambda: len([l for l in controlplane.daemon.lines() if "refused" in l]) >= 3, "three are refused")
        winners = [agent for agent in agents if (agent.dir / "agent.crt").exists()]
        assert len(winners) == 1 and len(controlplane.api.agents()) == 1
        for agent in agents:
            agent.daemon.expect_exit(*range(1, 126))
        winners[0].wait_connected()

    def test_token_of_another_ca(self, world, controlplane):
        """The agent trusts exactly the CA of its token: it hangs up before it has shown the secret."""
        parts = controlplane.join_token().split(".")
        parts[3] = "0" * 64
        agent = newcomer(world, controlplane, ".".join(parts))
        agent.daemon.expect_exit(*range(1, 126))
        eventually(lambda: [l for l in agent.daemon.lines() if "level=error" in l or "level=warning" in l], "the agent says so")
        assert not (agent.dir / "agent.crt").exists() and not controlplane.api.agents()

    def test_labels_come_from_the_token(self, world, controlplane):
        agent = world.agent(controlplane, labels={"site": "a", "tier": "edge"})
        assert agent.state()["labels"] == {"site": "a", "tier": "edge"}

    def test_restart_needs_no_token(self, world, controlplane, agent):
        agent.token_file.unlink()
        agent.daemon.terminate()
        agent.start().wait_connected()
        assert len(controlplane.api.agents()) == 1


def channel_attempt(port, alpn, ca=None, client=None):
    """A TLS client on the channel's port; what the server sends after the handshake, or the error. Writes a frame that only an agent
    may send, so that a server which judges late is seen to judge."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.set_alpn_protocols(alpn)
    if client:
        made.load_cert_chain(*client)
    try:
        with tls.connect(port, made=made) as connection:
            connection.settimeout(10)
            data = connection.recv(65536)
            return data or "closed"
    except OSError as error:
        return error


class TestImpostors:
    def test_agent_certificate_of_another_ca(self, world, controlplane):
        stranger = Ca("Stranger")
        leaf = stranger.issue(usage="client", common_name="agent", uris=["spiffe://tlsplane/agent/x"])
        files = leaf.write(world.tmp, "stranger")
        answer = channel_attempt(controlplane.channel_port, ["tlsplane/1"], client=files)
        assert isinstance(answer, OSError) or answer == "closed", answer
        eventually(lambda: [l for l in controlplane.daemon.lines() if "certificate" in l or "verify" in l], "a reason in the log")

    def test_no_certificate_on_the_agents_protocol(self, controlplane):
        answer = channel_attempt(controlplane.channel_port, ["tlsplane/1"])
        assert isinstance(answer, OSError) or answer == "closed" or b"" in [answer[:0]], answer
        assert not controlplane.api.agents()

    def test_other_protocols_are_refused(self, controlplane):
        for alpn in (["h2"], ["http/1.1"]):
            answer = channel_attempt(controlplane.channel_port, alpn)
            assert isinstance(answer, OSError) or answer == "closed", answer
        made = tls.s_client(controlplane.channel_port, "-tls1_2")
        assert made.version is None

    def test_agent_posing_as_control_plane(self, world, controlplane, agent):
        """A stolen agent identity serves on the address that another agent dials: its certificate has the wrong role."""
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        raw = (agent.dir / "agent.crt").read_bytes()
        cert = x509.load_pem_x509_certificate(raw) if raw.startswith(b"-----") else x509.load_der_x509_certificate(raw)
        raw = (agent.dir / "agent.key").read_bytes()
        key = (serialization.load_pem_private_key if raw.startswith(b"-----") else serialization.load_der_private_key)(raw, None)
        pem, key_file = world.tmp / "pose.pem", world.tmp / "pose.key"
        raw = (agent.dir / "ca.crt").read_bytes()
        ca_cert = x509.load_pem_x509_certificate(raw) if raw.startswith(b"-----") else x509.load_der_x509_certificate(raw)
        pem.write_bytes(cert.public_bytes(serialization.Encoding.PEM) + ca_cert.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(pem, key_file)
        server.set_alpn_protocols(["tlsplane-enroll/1", "tlsplane/1"])

        victim = Agent(world, controlplane, "victim")
        victim.give_token(controlplane.join_token())
        fake = type("Fake", (), {"channel_port": free_port()})()
        victim.controlplane = fake
        received = []
        with socket.create_server(("127.0.0.1", fake.channel_port)) as listening:
            listening.settimeout(15)
            victim.start(wait=False)
            victim.daemon.expect_exit(*range(1, 126))
            connection, _ = listening.accept()
            with connection:
                connection.settimeout(10)
                try:
                    with server.wrap_socket(connection, server_side=True) as secured:
                        received.append(secured.recv(65536))
                except OSError as error:
                    received.append(error)
        assert isinstance(received[0], OSError) or received[0] == b"", "the agent sent its token to an impostor"
        eventually(lambda: [l for l in victim.daemon.lines() if "level=error" in l or "level=warning" in l], "the agent says so")

    def test_enrolled_agent_does_not_follow_an_impostor(self, world, controlplane, agent, backend, ca):
        """The control plane's address is taken over by a server with a certificate of another CA."""
        port = serve(controlplane, backend)
        pair = ca.issue("stay.test")
        controlplane.api.put_acked("/v1/ssls/stay", pair.ssl("stay.test"))
        controlplane.daemon.terminate()
        stranger = Ca("Stranger").issue(common_name="controlplane", uris=["spiffe://tlsplane/controlplane"])
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(*stranger.write(world.tmp, "impostor"))
        server.set_alpn_protocols(["tlsplane/1"])
        with socket.create_server(("127.0.0.1", controlplane.channel_port)) as listening:
            listening.settimeout(40)
            connection, _ = listening.accept()
            connection.settimeout(10)
            with connection, pytest.raises(OSError):
                with server.wrap_socket(connection, server_side=True) as secured:
                    if secured.recv(65536) == b"":
                        raise ConnectionError("closed without a word")
        assert tls.fetch(port, "stay.test") == ("backend", pair.sha256)
        controlplane.start()
        agent.wait_connected(60)


class TestRevocation:
    def test_delete_cuts_at_once_and_stays(self, world, controlplane, agent, backend, ca):
        port = serve(controlplane, backend)
        first = ca.issue("r.test")
        controlplane.api.put_acked("/v1/ssls/r", first.ssl("r.test"))
        identity = agent.id
        controlplane.api.delete(f"/v1/agents/{identity}").expect(200, 204)
        eventually(lambda: [l for l in controlplane.daemon.lines() if "refused" in l and "deleted" in l], "a reason in the log")
        assert controlplane.api.get(f"/v1/agents/{identity}").status == 404
        agent.daemon.expect_exit(*range(0, 126))
        controlplane.api.put("/v1/ssls/r", ca.issue("r.test").ssl("r.test")).expect(200)
        eventually(lambda: [l for l in agent.daemon.lines() if "deleted" in l], "the agent is told")
        # What it had may be served on, what came later never reaches it.
        if agent.daemon.is_running:
            assert tls.leaf(port, "r.test") == first.sha256
            agent.daemon.terminate()
        agent.start(wait=False)
        agent.daemon.expect_exit(*range(0, 126))
        eventually(lambda: [l for l in agent.daemon.lines() if "deleted" in l], "told again after a restart")
        assert not controlplane.api.agents()
