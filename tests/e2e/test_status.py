# SPDX-License-Identifier: Apache-2.0
"""The agent's status port: HTTPS with a certificate of the holding, the connection view, metrics in the strict text format."""
import datetime
import json
import re
import socket
import ssl
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from harness import tls
from harness.api import Api
from harness.backend import EchoBackend
from harness.clients import Held
from harness.net import eventually
from harness.pki import Ca
from harness.world import Agent, serve

# Exposition format 0.0.4, strictly. ------------------------------------------------------------------------------------

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,?)')
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\d+)")
HEAD = re.compile(rf"# (HELP|TYPE) ({NAME}) (.+)")


def read_labels(text):
    labels, at = {}, 0
    while at < len(text):
        match = LABEL.match(text, at)
        assert match and match.group(1) not in labels, text
        labels[match.group(1)] = match.group(2)
        at = match.end()
        assert bool(match.group(3)) == (at < len(text)), text
    return labels


class Metrics:
    """{(name, labels): value}; whatever is not well-formed fails: a sample without its head, a head or sample twice, metrics mixed."""

    def __init__(self, text):
        assert text.endswith("\n")
        self.samples, self.types = {}, {}
        helped, current = set(), None
        for line in text[:-1].split("\n"):
            head = HEAD.fullmatch(line)
            if head and head.group(1) == "HELP":
                current = head.group(2)
                assert current not in helped, line
                helped.add(current)
            elif head:
                assert head.group(2) == current and current not in self.types and head.group(3) in ("counter", "gauge"), line
                self.types[current] = head.group(3)
            else:
                sample = SAMPLE.fullmatch(line)
                assert sample and sample.group(1) == current and current in self.types, line
                assert (self.types[current] == "counter") == current.endswith("_total"), line
                key = (current, frozenset(read_labels(sample.group(2) or "").items()))
                assert key not in self.samples, line
                self.samples[key] = int(sample.group(3))

    def __getitem__(self, name):
        return self.get(name)

    def get(self, name, **labels):
        return self.samples[name, frozenset(labels.items())]

    def all(self, name):
        return {key[1]: value for key, value in self.samples.items() if key[0] == name}


def metrics(agent):
    return Metrics(agent.metrics())


def view(agent, **query):
    answer = Api(agent.status_port, "", agent.world.transcript).get("/v1/connections", auth=False, **query).expect(200)
    assert answer.headers["Content-Type"] == "application/json"
    return answer.json


# HTTPS. ----------------------------------------------------------------------------------------------------------------

def curl(agent, ca_file, path="/healthz", *options):
    return tls.curl(agent.status_port, "status.test", *options, ca=ca_file, path=path)


def tls_agent(world, controlplane, *more, **kwargs):
    """An agent whose status port speaks TLS with the object "status"."""
    return world.agent(controlplane, "--status-tls", "status", *more, **kwargs)


class TestTls:
    def test_serves_and_rotates(self, world, controlplane, ca, tmp_path):
        trust = tmp_path / "ca.pem"
        trust.write_text(ca.cert_pem)
        first, second = ca.issue("status.test"), ca.issue("status.test", key="rsa2048")
        agent = tls_agent(world, controlplane)
        code, _, complaint = curl(agent, trust)
        assert code == 35, complaint  # no object yet: refused, and told
        refused = agent.daemon.wait_log("https handshake refused")
        assert "SSL object status is not held" in refused
        for pair in (first, second):
            controlplane.api.put_acked("/v1/ssls/status", pair.ssl("status.test"))
            assert curl(agent, trust)[:2] == (0, "ok\n")
            assert tls.leaf(agent.status_port, "status.test") == pair.sha256
        assert curl(agent, trust, "/readyz")[:2] == (0, "ready\n")
        code, page, _ = curl(agent, trust, "/metrics")
        assert code == 0
        Metrics(page)
        assert json.loads(curl(agent, trust, "/v1/connections")[1])["items"] == []
        controlplane.api.delete("/v1/ssls/status", wait="acked", timeout=30).expect(200, 204)
        assert curl(agent, trust)[0] == 35

    def test_parameters(self, world, controlplane, ca):
        agent = tls_agent(world, controlplane)
        controlplane.api.put_acked("/v1/ssls/status", ca.issue("status.test").ssl("status.test"))
        ask = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        for version in ("1.2", "1.3"):
            seen = tls.s_client(agent.status_port, f"-tls{version.replace('.', '_')}", "-alpn", "http/1.1", data=ask)
            assert seen.version == f"TLSv{version}" and seen.alpn == "http/1.1" and seen.body == "ok\n", seen
            assert seen.tickets == 0 and not seen.reused
        assert tls.s_client(agent.status_port, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", data=ask).alert == 70
        assert tls.s_client(agent.status_port, "-alpn", "h2", data=ask).alert == 120

    def test_wrong_type(self, world, controlplane, ca, tmp_path):
        trust = tmp_path / "ca.pem"
        trust.write_text(ca.cert_pem)
        pair = ca.issue("status.test", usage="client")
        controlplane.api.put("/v1/ssls/status", {"type": "client", "cert": pair.cert_pem, "key": pair.key_pem}).expect(201)
        agent = tls_agent(world, controlplane).wait_applied()
        assert curl(agent, trust)[0] == 35
        assert "is of type client" in agent.daemon.wait_log("https handshake refused")

    def test_any_address(self, world, controlplane, ca):
        agent = tls_agent(world, controlplane, "--status-listen", "0.0.0.0:0")
        controlplane.api.put_acked("/v1/ssls/status", ca.issue("status.test").ssl("status.test"))
        assert tls.fetch(agent.status_port, "status.test", b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")[0] == "ok\n"

    def test_plain_only_on_loopback(self, world, controlplane):
        agent = Agent(world, controlplane, "agent")
        agent.give_token(controlplane.join_token())
        code, text = agent.run_to_exit("--status-listen", "0.0.0.0:0")
        assert code == 1 and "--status-tls" in text and "loopback" in text

    @pytest.mark.parametrize("options", [("--status-tls", "a/b"), ("--status-tls", ""),
                                         ("--status-tls", "a", "--status-listen", "off")])
    def test_bad_options(self, world, controlplane, options):
        code, text = Agent(world, controlplane, "agent").run_to_exit(*options)
        assert code == 2 and "--status-tls" in text

    def test_dripping_client(self, world, controlplane):
        """The handshake's deadline is absolute: a byte now and then moves nothing."""
        agent = tls_agent(world, controlplane)
        started = time.monotonic()
        with socket.create_connection(("127.0.0.1", agent.status_port), timeout=0.3) as connection:
            connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            while time.monotonic() - started < 20:
                try:
                    connection.sendall(b"\x00")
                    if connection.recv(1) == b"":
                        break
                except TimeoutError:
                    continue
                except ConnectionError:
                    break
        assert 9 < time.monotonic() - started < 14

    def test_silent_client_and_end(self, world, controlplane, ca):
        """Who says nothing holds nothing up, not even the end of the agent."""
        agent = tls_agent(world, controlplane)
        controlplane.api.put_acked("/v1/ssls/status", ca.issue("status.test").ssl("status.test"))
        silent = [socket.create_connection(("127.0.0.1", agent.status_port)) for _ in range(80)]  # more than it has places for
        assert tls.fetch(agent.status_port, None, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")[0] == "ok\n"
        started = time.monotonic()
        assert agent.daemon.terminate() == 0
        assert time.monotonic() - started < 10
        for connection in silent:
            connection.close()


# The connection view. --------------------------------------------------------------------------------------------------

KEYS = {"id", "peer", "via", "state", "listener", "sni", "route", "ssl", "upstream", "node", "age", "tls_version", "cipher_suite", "group",
        "alpn", "resumed", "client", "upstream_tls", "bytes_in", "bytes_out"}


class TestConnections:
    def test_live_connection_with_a_certificate(self, shared, ca, tmp_path):
        clients = Ca("Clients of the view")
        client = clients.issue("client", usage="client", common_name='quote " and , comma')
        files = client.write(tmp_path, "client")
        port = serve(shared.controlplane, shared.backend, listener="viewed", upstream="viewed")
        shared.api.put_acked("/v1/ssls/viewed", ca.issue("view.test").ssl("view.test", client={"ca": clients.cert_pem}))
        with tls.connect(port, "view.test", client=files) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
            mine = "{}:{}".format(*connection.getsockname())
            item = eventually(lambda: [i for i in view(shared.agent)["items"] if i["peer"] == mine and i["bytes_out"] > 0], "is listed")[0]
            assert set(item) == KEYS
            assert item["state"] == "relay" and item["via"] is None and item["listener"] == f"127.0.0.1:{port}"
            assert (item["sni"], item["ssl"], item["upstream"], item["route"]) == ("view.test", "viewed", "viewed", None)
            assert item["node"] == f"127.0.0.1:{shared.backend.port}"
            assert (item["tls_version"], item["cipher_suite"]) == ("1.3", connection.cipher()[0])
            assert item["group"] == "x25519" and item["alpn"] is None and item["resumed"] is False
            assert 0 <= item["age"] < 60 and item["bytes_in"] > 0
            assert item["client"]["verified"] is True and item["client"]["certificate_sha256"] == client.sha256
            assert item["client"]["spki_sha256"] == client.spki_sha256 and "quote" in item["client"]["subject"]
            assert item["upstream_tls"] is None
        eventually(lambda: all(i["peer"] != mine for i in view(shared.agent)["items"]), "is gone")

    @pytest.mark.parametrize("version", ["1.2", "1.3"])
    def test_resumed(self, shared, ca, tmp_path, version):
        """Resumed, and with the certificate that was verified in the full handshake; the metrics tell both apart too."""
        clients, name = Ca("Clients that come again"), f"again{version[-1]}.test"
        client = clients.issue("client", usage="client")
        port = serve(shared.controlplane, shared.world.add_backend(EchoBackend()), listener=name, upstream=name)
        shared.api.apply(wait="acked", timeout=30, put=[("tls_options", name, {"min_version": "TLSv1.2"}), (
            "ssls", name, ca.issue(name).ssl(name, tls_options=name, client={"ca": clients.cert_pem}))]).expect(200)
        files = client.write(tmp_path, "client")
        def count(resumed):
            return sum(value for labels, value in metrics(shared.agent).all("tlsplane_agent_handshakes_agreed_total").items()
                       if {("resumed", resumed), ("version", version)} <= labels)
        def open_both():
            held = [Held(port, name, files, version)]
            try:
                return [*held, Held(port, name, version=version, resume=held[0])]
            except AssertionError:  # no ticket keys yet
                held[0].close()
                return None
        made = eventually(open_both, "sessions resume")
        for connection in made:
            connection.close()
        eventually(lambda: not [item for item in view(shared.agent)["items"] if item["sni"] == name], "both have left the view")
        before = count("false"), count("true")
        first, second = open_both()
        try:
            items = [item for item in view(shared.agent)["items"] if item["sni"] == name]
            assert {item["peer"]: item["resumed"] for item in items} == {"{}:{}".format(*held.connection.getsockname()): held is second
                                                                         for held in (first, second)}
            assert {item["tls_version"] for item in items} == {version}
            for item in items:
                assert (item["client"]["verified"], item["client"]["certificate_sha256"]) == (True, client.sha256), item
            assert (count("false"), count("true")) == (before[0] + 1, before[1] + 1)
        finally:
            first.close()
            second.close()

    def test_listeners(self, shared, ca):
        port = serve(shared.controlplane, shared.backend, listener="counted", upstream="counted")
        shared.api.put_acked("/v1/ssls/counted", ca.issue("counted.test").ssl("counted.test"))
        tls.fetch(port, "counted.test")
        with pytest.raises((ssl.SSLError, OSError)):
            tls.fetch(port, "counted.test", version="1.2")
        def look():
            seen = next(row for row in view(shared.agent)["listeners"] if row["id"] == "counted")
            return seen["handshakes_failed"] and seen
        seen = eventually(look, "the failure is counted")
        assert seen["bound"] is True and seen["address"] == f"127.0.0.1:{port}"
        assert (seen["accepted"], seen["handshakes_ok"], seen["handshakes_failed"], seen["refused"]) == (2, 1, 1, 0)

    def test_limit(self, shared, ca):
        port = serve(shared.controlplane, shared.backend, listener="limited", upstream="limited")
        shared.api.put_acked("/v1/ssls/limited", ca.issue("limited.test").ssl("limited.test"))
        held = [tls.connect(port, "limited.test") for _ in range(3)]
        try:
            eventually(lambda: view(shared.agent)["connections"] >= 3, "three are open")
            assert len(view(shared.agent, limit=2)["items"]) == 2
            assert view(shared.agent, limit=0)["items"] == []
            assert len(view(shared.agent, limit=10000)["items"]) >= 3
        finally:
            for connection in held:
                connection.close()

    @pytest.mark.parametrize("query", ["limit=", "limit=-1", "limit=x", "limit=10001", "limit=1e3", "size=3"])
    def test_bad_parameter(self, shared, query):
        answer = Api(shared.agent.status_port, "", shared.world.transcript).get(f"/v1/connections?{query}", auth=False)
        assert answer.status == 400 and query.split("=")[0].encode() in answer.body

    def test_head_and_others(self, shared):
        api = Api(shared.agent.status_port, "", shared.world.transcript)
        head = api.call("HEAD", "/v1/connections", auth=False).expect(200)
        assert head.body == b"" and int(head.headers["Content-Length"]) > 0
        assert api.call("POST", "/v1/connections", b"", auth=False).status == 405
        assert api.get("/v1/connection", auth=False).status == 404


# Metrics. --------------------------------------------------------------------------------------------------------------

class TestMetrics:
    def test_before_anything_is_held(self, world, controlplane):
        agent = world.agent(controlplane)
        assert metrics(agent)["tlsplane_agent_connected"] == 1

    def test_what_was_agreed(self, world, controlplane, ca):
        agent, backend = world.agent(controlplane), world.backend()
        port = serve(controlplane, backend)
        controlplane.api.put_acked("/v1/tls_options/default", {"min_version": "TLSv1.2"})
        controlplane.api.put_acked("/v1/ssls/a", ca.issue("a.test").ssl("a.test"))
        for version in ("1.2", "1.3", "1.3"):
            tls.fetch(port, "a.test", version=version)
        def look():
            seen = metrics(agent)
            return seen["tlsplane_agent_connections"] == 0 and seen.get("tlsplane_agent_handshakes_total", result="ok") == 3 and seen
        seen = eventually(look, "three handshakes are counted")
        agreed = {tuple(dict(labels)[k] for k in ("version", "suite", "group", "resumed")): count
                  for labels, count in seen.all("tlsplane_agent_handshakes_agreed_total").items()}
        assert sum(agreed.values()) == 3
        assert sum(count for key, count in agreed.items() if key[0] == "1.3" and key[1].startswith("TLS_AES_")) == 2
        assert sum(count for key, count in agreed.items() if key[0] == "1.2" and key[1].startswith("TLS_ECDHE_ECDSA_WITH_")) == 1
        assert all(key[2] in ("x25519", "secp256r1") and key[3] == "false" for key in agreed)
        assert seen.get("tlsplane_agent_listener_handshakes_total", listener="main", result="ok") == 3
        assert seen.get("tlsplane_agent_listener_accepted_total", listener="main") == 3
        assert seen.get("tlsplane_agent_upstream_connects_total", upstream="web", result="ok") == 3
        assert seen.get("tlsplane_agent_objects", kind="route") == 0
        for cause in ("sni", "client_certificate", "protocol", "certificate", "address", "rejected", "limit", "proxy_header", "size"):
            assert seen.get("tlsplane_agent_handshake_failures_total", cause=cause) == 0

    def test_expiry_gauge_goes_with_its_object(self, world, controlplane, ca):
        agent = world.agent(controlplane)
        pair = ca.issue("a.test", days=30)
        ends = int(pair.cert.not_valid_after.replace(tzinfo=datetime.timezone.utc).timestamp())
        controlplane.api.put_acked("/v1/ssls/ending", pair.ssl("a.test"))
        controlplane.api.put_acked("/v1/ssls/other", ca.issue("b.test").ssl("b.test"))
        name = "tlsplane_agent_certificate_not_after_seconds"
        assert metrics(agent).get(name, id="ending") == ends
        assert len(metrics(agent).all(name)) == 2
        controlplane.api.delete("/v1/ssls/ending", wait="acked", timeout=30).expect(200, 204)
        assert [dict(labels)["id"] for labels in metrics(agent).all(name)] == ["other"]

    def test_nodes_down(self, world, controlplane, ca):
        """All nodes down: tried all the same, reported as degraded, well again after the first success."""
        agent, backend = world.agent(controlplane), world.backend()
        port = serve(controlplane, backend)
        controlplane.api.put_acked("/v1/ssls/a", ca.issue("a.test").ssl("a.test"))
        controlplane.api.put_acked("/v1/upstreams/web", {"nodes": {f"127.0.0.1:{backend.port}": 1}, "max_fails": 2, "fail_timeout": 1})
        tls.fetch(port, "a.test")
        address = backend.port
        backend.close()
        def fail():
            with pytest.raises((ssl.SSLError, OSError)):
                tls.fetch(port, "a.test")
        fail()
        fail()
        eventually(lambda: metrics(agent).get("tlsplane_agent_upstream_nodes", upstream="web", state="down") == 1, "the node is down")
        told = eventually(agent.degraded, "the upstream is reported")
        assert told[0]["id"] == "web" and f"127.0.0.1 port {address} is down" in told[0]["reason"]
        fail()
        world.backend(port=address)
        tls.fetch(port, "a.test")  # at once: there is no other node, so it is tried though it is down
        eventually(lambda: agent.degraded() == [], "it is well again")
        seen = metrics(agent)
        assert seen.get("tlsplane_agent_upstream_nodes", upstream="web", state="up") == 1
        assert seen.get("tlsplane_agent_upstream_try_failures_total", cause="connect") >= 3
        assert seen["tlsplane_agent_upstream_failures_total"] >= 3


# Stale CRLs. -----------------------------------------------------------------------------------------------------------

def make_crl(ca, seconds):
    """A CRL of nobody, whose successor is due in `seconds`."""
    now = datetime.datetime.utcnow()
    made = (x509.CertificateRevocationListBuilder().issuer_name(ca.cert.subject)
            .last_update(now - datetime.timedelta(days=1)).next_update(now + datetime.timedelta(seconds=seconds)))
    return made.sign(ca.key, hashes.SHA256()).public_bytes(tls.Encoding.PEM).decode()


class TestStaleCrl:
    def test_becomes_stale_and_mends(self, world, controlplane):
        agent, clients = world.agent(controlplane), Ca("CRL CA")
        controlplane.api.put_acked("/v1/ca_bundles/clients", {"certs": clients.cert_pem, "crls": make_crl(clients, 4)})
        assert agent.degraded() == []
        told = eventually(agent.degraded, "the bundle is reported by the clock alone")
        assert (told[0]["kind"], told[0]["id"]) == ("ca_bundles", "clients") and "stale" in told[0]["reason"]
        controlplane.api.put_acked("/v1/ca_bundles/clients", {"certs": clients.cert_pem, "crls": make_crl(clients, 86400)})
        eventually(lambda: agent.degraded() == [], "a fresh CRL mends it")
