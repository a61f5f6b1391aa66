# SPDX-License-Identifier: Apache-2.0
"""Many server names on one listener that has no options of its own: each an SSL object, each with TLS options of its own."""
import itertools

from harness import tls
from harness.world import serve

_numbers = itertools.count()


class Names:
    def __init__(self, shared, ca):
        self.shared, self.api, self.agent = shared, shared.api, shared.agent
        self.rsa, self.p256 = ca.issue("rsa.test", key="rsa2048"), ca.issue("p256.test")
        self.listener = f"names{next(_numbers)}"
        self.port = serve(shared.controlplane, shared.backend, listener=self.listener, upstream=self.listener)

    def both(self, *snis, **more):
        """An SSL object with an RSA and a P-256 pair."""
        return self.p256.ssl(*snis, certs=[self.rsa.cert_pem], keys=[self.rsa.key_pem], **more)

    def put(self, *options, pair=None):
        """One name for each row of options, all in one revision; pair: instead of both. The names."""
        names, rows = [], []
        for row in options:
            name = f"n{next(_numbers)}"
            names.append(f"{name}.test")
            body = pair.ssl(names[-1]) if pair else self.both(names[-1])
            rows += [("tls_options", name, row), ("ssls", name, {**body, "tls_options": name})]
        self.api.apply(put=rows, wait="acked", timeout=30).expect(200, 201)
        return names

    def stored(self, name):
        """The TLS options of a name, as the API tells them."""
        return self.api.get(f"/v1/tls_options/{name.removesuffix('.test')}").expect(200).json

    def resolve(self, name):
        """What the control plane says that the agent decides."""
        return self.api.get("/v1/resolve", agent=self.agent.id, listener=self.listener, sni=name).expect(200).json

    def ask(self, name, *options):
        return tls.s_client(self.port, *options, sni=name)
