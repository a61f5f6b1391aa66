# SPDX-License-Identifier: Apache-2.0
"""One listener without an upstream of its own, shared by a file of tests: each test adds routes, which have server names of their own."""
import json
import ssl

import pytest

from harness import tls
from harness.api import Api
from harness.net import free_port
from harness.pki import Ca

NAME = "www.origin.test"


class Edge:
    def __init__(self, shared, listener="edge", **more):
        self.shared, self.world, self.api, self.agent = shared, shared.world, shared.api, shared.agent
        self.listener, self.port, self.made = listener, free_port(), 0
        self.api.put_acked(f"/v1/listeners/{listener}", {"bind": f"127.0.0.1:{self.port}", **more})

    def new_id(self):
        self.made += 1
        return f"{self.listener}-{self.made}"

    def apply(self, *rows, degraded=False):
        """degraded: something in it is (502 from the wait), which the test means."""
        self.api.apply(put=rows, wait="acked", timeout=30).expect(*((502,) if degraded else (200, 201)))

    def upstream_rows(self, name, nodes, upstream_tls=None, **upstream):
        """nodes: backends, ports, or {"host:port": weight}. upstream_tls: a body, or the id of one that is there."""
        if not isinstance(nodes, dict):
            ports = [getattr(node, "port", node) for node in (nodes if isinstance(nodes, (list, tuple)) else [nodes])]
            nodes = {f"127.0.0.1:{port}": 1 for port in ports}
        rows = []
        if isinstance(upstream_tls, dict):
            rows.append(("upstream_tls", name, upstream_tls))
            upstream_tls = name
        if upstream_tls:
            upstream["upstream_tls"] = upstream_tls
        return [*rows, ("upstreams", name, {"nodes": nodes, **upstream})]

    def route(self, nodes, upstream_tls=None, sni=None, route=None, **upstream):
        """A route to a new upstream; the server name that takes it. route: more fields of the route."""
        name = self.new_id()
        sni = f"{name}.test" if sni is None else sni
        self.apply(*self.upstream_rows(name, nodes, upstream_tls, **upstream),
                   ("routes", name, {"snis": [sni], "listeners": [self.listener], "upstream": name, **(route or {})}))
        return sni

    def ask(self, sni, **more):
        """What the origin says."""
        return json.loads(tls.fetch(self.port, sni, **more)[0])

    def refused(self, sni, **more):
        with pytest.raises((ssl.SSLError, OSError)):
            self.ask(sni, **more)

    def sample(self, name):
        """A sample of the agent's metrics by its name with its labels, as it stands there; tlsplane_agent_ is left out."""
        line = next(line for line in self.agent.metrics().splitlines() if line.startswith(f"tlsplane_agent_{name} "))
        return int(line.rsplit(" ", 1)[1])

    def connections(self):
        """The agent's connection view."""
        api = Api(self.agent.status_port, "", self.world.transcript)
        return json.loads(api.get("/v1/connections", auth=False).expect(200).body)["items"]

    def failures(self, cause):
        return self.sample(f'upstream_try_failures_total{{cause="{cause}"}}')


def shown(edge, pair, name=None):
    """The id of an SSL object of type client."""
    name = name or edge.new_id()
    edge.apply(("ssls", name, {"type": "client", "cert": pair.cert_pem, "key": pair.key_pem}))
    return name


class OriginPki:
    """CAs of both directions, and the certificate of a good origin, which is for NAME."""

    def __init__(self, folder):
        self.folder = folder
        self.origins, self.others, self.clients = Ca("Origins"), Ca("Others"), Ca("Certificates shown to origins")
        self.good = self.origins.issue(NAME)

    def context(self, version=None):
        """The server's side of the good origin."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(*self.good.write(self.folder, "context"))
        if version:
            made.minimum_version = made.maximum_version = tls.VERSIONS[version]
        return made
