# SPDX-License-Identifier: Apache-2.0
"""The servers under test in one run: the agent and the installed peers, each with the same certificate, one worker and the same plain
backend, all on one core; the load is on the other."""
import peers
from harness.world import World
from lib import openssl_cert, pin, run_json, ssl_object, tool

SERVER_CORE = 0
AGENT = "tlsplane agent"


class Servers:
    """`all`: (name, port, pids) of each, the agent first. tickets: how many the agent gives; more than 0: peers give as many as they do.
    backend_nodes: how many addresses the backend listens on, 127.0.0.1 and up."""

    def __init__(self, work, algorithm="P-256", tickets=0, backend_nodes=1):
        self.backend_port = peers.free_port()
        self.cert, self.key = openssl_cert(work, algorithm, algorithm)
        self.log = open(work / "peers.log", "ab")  # noqa: SIM115
        peers.descriptors()
        self.world = World(work / "world")
        self.world.tmp.mkdir()
        self.closers = []
        self.all = []
        try:
            self.all.append((AGENT, *self.start_agent(tickets, backend_nodes)))
            setup = peers.Setup(work, self.cert, self.key, self.backend_port, SERVER_CORE, self.log, tickets > 0)
            for name, program, make in peers.ALL:
                if peers.installed(program):
                    self.add(name, make(setup))
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        problems = self.close()
        if problems and kind is None:
            raise RuntimeError(problems[0])

    def close(self):
        for closer in self.closers:
            closer.close()
        self.log.close()
        return self.world.close()

    def add(self, name, peer):
        self.closers.append(peer)
        self.all.append((name, peer.port, peer.pids()))

    def start_agent(self, tickets, backend_nodes):
        """(port, pids) of an agent with one worker that serves the certificate."""
        controlplane = self.world.controlplane()
        agent = self.world.agent(controlplane, "--workers", "1")
        port = peers.free_port()
        nodes = {f"127.0.0.{i + 1}:{self.backend_port}": 1 for i in range(backend_nodes)}
        controlplane.api.apply(put=[
            ("ssls", "bench", ssl_object(self.cert, self.key, "bench.example")),
            ("upstreams", "backend", {"nodes": nodes}),
            ("tls_options", "bench", {"session_tickets": {"enabled": tickets > 0, **({"count": tickets} if tickets else {})}}),
            ("listeners", "bench", {"bind": f"127.0.0.1:{port}", "upstream": "backend", "tls_options": "bench"}),
        ], wait="acked", timeout=30).expect(200, 201)
        pin(agent.daemon.pid, SERVER_CORE)
        pin(controlplane.daemon.pid, SERVER_CORE)
        return port, [agent.daemon.pid]

    def bare_relay(self):
        """(port, pids) of a relay without TLS."""
        port = peers.free_port()
        relay = peers.Peer("bare relay", [tool("bare_relay"), str(port), str(self.backend_port)], port, SERVER_CORE, self.log)
        self.closers.append(relay)
        return port, relay.pids()

    def openssl_alone(self, *arguments):
        return run_json([tool("openssl_alone"), self.cert, self.key, *arguments], SERVER_CORE)

    def load(self, program, port, pids, *arguments):
        return run_json([tool(program), "--port", port, "--backend-port", self.backend_port, *arguments, *pids])
