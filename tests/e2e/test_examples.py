# SPDX-License-Identifier: Apache-2.0
"""The examples of deploy/features.md, as they stand there: each block is run by bash against a fresh control plane, and an agent that follows
it does what the text says. Only addresses are replaced, by free ones."""
import json
import os
import re
import subprocess

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from harness import tls
from harness.net import free_port
from harness.origin import ProxyBackend, TlsBackend
from harness.pki import Ca
from harness.world import ROOT, World

PAGE = ROOT / "deploy" / "features.md"
BLOCK = re.compile(r"<!-- example: ([\w ]+) -->\n((?:(?:    .*)?\n)+)")
ADDRESS = re.compile(r"(?:127\.0\.0\.1|0\.0\.0\.0):(\d+)")
RUN = {"traefik certificates", "traefik options", "trafficserver clients", "trafficserver origins", "krakend server", "krakend client", "nats server",
       "apisix", "hook"}
IDENTITY = 0xE0


def blocks():
    return {name: re.sub(r"^    ", "", text, flags=re.M) for name, text in BLOCK.findall(PAGE.read_text())}


def test_every_example_is_run():
    found = BLOCK.findall(PAGE.read_text())
    assert sorted(name for name, _ in found) == sorted(RUN | {"functions"})


class Place:
    """A control plane, an agent, and a folder with the PEM files that the examples name."""

    def __init__(self, folder):
        self.folder, self.world = folder, World(folder)
        self.controlplane = self.world.controlplane()
        self.agent = self.world.agent(self.controlplane)
        self.ca, self.clients, self.stranger = Ca("Example CA"), Ca("Example Clients"), Ca("Example Strangers")
        self.ports = {}

    def backend(self, port, backend=None):
        """What the page has at 127.0.0.1:port."""
        made = backend or self.world.backend(f"at {port}")
        self.ports[port] = made.port
        return self.world.add_backend(made) if backend else made

    def listen(self, port):
        self.ports[port] = free_port()
        return self.ports[port]

    def give(self, certificate, key, pair):
        (self.folder / certificate).write_text(pair.cert_pem)
        (self.folder / key).write_text(pair.key_pem)
        return pair

    def run(self, *names, **environment):
        """bash ends with 0 and has no complaint; then the agent has it all."""
        api = self.controlplane.api
        known = blocks()
        text = ADDRESS.sub(lambda match: f"127.0.0.1:{self.ports[int(match.group(1))]}", "".join(known[name] for name in ("functions", *names)))
        done = subprocess.run(["bash", "-c", "set -euo pipefail\n" + text], cwd=self.folder, capture_output=True, timeout=60, check=False,
                              env={**os.environ, "T": f"Authorization: Bearer {api.token}", "API": f"http://127.0.0.1:{api.port}/v1", **environment})
        assert done.returncode == 0 and done.stderr == b"", f"{names}: {done.stdout[-3000:]!r} {done.stderr!r}"
        self.agent.wait_applied()
        assert self.agent.degraded() == []
        return done.stdout.decode()

    def client(self, issuer, name="client", **more):
        """Files of a client certificate."""
        return issuer.issue(usage="client", common_name=name, **more).write(self.folder, f"as-{name}")

    def close(self):
        problems = self.world.close()
        assert not problems, "\n\n".join(problems)


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    try:
        yield made
    finally:
        made.close()


def ask(port, sni, *options, client=None):
    return tls.s_client(port, *options, *(["-cert", str(client[0]), "-key", str(client[1])] if client else []), sni=sni)


def refused(seen):
    assert seen.body is None and seen.alert is not None, seen


def origin_told(port, sni, client=None):
    """What the origin behind the agent saw of the agent."""
    seen = ask(port, sni, client=client)
    start = seen.text.find('{"name"')
    assert start >= 0, seen
    return json.loads(seen.text[start:seen.text.index("}", start) + 1])


def test_traefik(place):
    place.backend(8080)
    port = place.listen(443)
    domain = place.give("domain.crt", "domain.key", place.ca.issue("domain.example", "default.example"))
    other = place.give("other.crt", "other.key", place.ca.issue("other.example", "*.other.example"))
    (place.folder / "clientca.crt").write_text(place.clients.cert_pem)
    place.run("traefik certificates", "traefik options")
    good, bad = place.client(place.clients), place.client(place.stranger, "stranger")
    # certificates by name, and the fallback for all others
    assert tls.fetch(port, "domain.example") == ("at 8080", domain.sha256)
    for name in ("other.example", "www.other.example"):
        assert tls.fetch(port, name) == ("at 8080", other.sha256)
    assert tls.leaf(port, "nobody.example") == domain.sha256
    # the suites of the list, no others
    assert ask(port, "domain.example", "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256").body == "at 8080"
    refused(ask(port, "domain.example", "-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"))
    refused(ask(port, "domain.example", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"))
    # strict: names without a certificate get none
    assert ask(port, "no.certificate.strict.example").alert == 112
    # mutual, optional
    for name in ("snitest.com", "snitest.org"):
        assert ask(port, name, client=good).body == "at 8080"
        refused(ask(port, name))
        refused(ask(port, name, client=bad))
    assert ask(port, "optional.example", client=good).body == "at 8080"
    assert ask(port, "optional.example").body == "at 8080"
    refused(ask(port, "optional.example", client=bad))


def test_traffic_server_clients(place):
    place.backend(8080)
    health = place.backend(8081)
    port = place.listen(443)
    server = place.give("server.pem", "server.key", place.ca.issue("server.example"))
    partners = Ca("Example Partners")
    (place.folder / "client_CA_bundle.pem").write_text(place.clients.cert_pem)
    (place.folder / "partners_bundle.pem").write_text(partners.cert_pem)
    place.run("trafficserver clients")
    good, partner = place.client(place.clients), place.client(partners, "partner")
    # everywhere
    for name in ("shop.example", "www.shop.example", "x.health.example"):
        assert ask(port, name, client=good).body == "at 8080"
        refused(ask(port, name))
        refused(ask(port, name, client=partner))
    # the health check, by name and without one, reaches its own upstream and no other
    for name in ("health.example", None):
        seen = ask(port, name)
        assert (seen.body, seen.leaf) == ("at 8081", server.sha256), seen
        assert ask(port, name, client=good).body == "at 8081"
    assert health.accepted == 4
    # the partner's bundle is the partner's alone, at any depth
    for name in ("partner.example", "a.partner.example", "a.b.partner.example"):
        assert ask(port, name, client=partner).body == "at 8080"
        refused(ask(port, name))
        refused(ask(port, name, client=good))


def test_traffic_server_origins(place):
    origins = Ca("Example Origins")
    origin = place.backend(8443, TlsBackend(place.folder, origins.issue("127.0.0.1", "bar.example"), client_ca=place.clients.cert_pem))
    to_origins = place.give("client.crt", "client.key", place.clients.issue(usage="client", common_name="to origins"))
    to_bar = place.give("other-client.crt", "other-client.key", place.clients.issue(usage="client", common_name="to bar"))
    (place.folder / "origin-ca.pem").write_text(origins.cert_pem)
    place.run("trafficserver origins")
    port = place.listen(443)
    place.controlplane.api.put_acked("/v1/listeners/https", {"bind": f"127.0.0.1:{port}"})
    assert origin_told(port, "foo.example")["peer"] == to_origins.sha256
    told = origin_told(port, "bar.example")
    assert (told["peer"], told["sni"]) == (to_bar.sha256, "bar.example")
    # "After a renewal nothing is touched or reloaded"
    renewed = place.clients.issue(usage="client", common_name="to origins")
    place.controlplane.api.put_acked("/v1/ssls/to-origins", renewed.ssl(type="client"))
    assert origin_told(port, "foo.example")["peer"] == renewed.sha256
    assert origin.failures == []


def test_krakend(place):
    origin = place.backend(8443, TlsBackend(place.folder, Ca("Unknown").issue("elsewhere.example")))
    port = place.listen(443)
    place.give("cert.pem", "key.pem", place.ca.issue("localhost", "tls12.example", "archaic.example", "mtls.example"))
    (place.folder / "clientca.crt").write_text(place.clients.cert_pem)
    place.run("krakend server", "krakend client")
    good = place.client(place.clients)
    # allow_insecure_connections: an origin that nobody vouches for is reached
    assert origin_told(port, "localhost")["name"] == "origin"
    reached = {name: [version for version in ("1", "1_1", "1_2", "1_3") if '{"name"' in
                      ask(port, name, f"-tls{version}", "-cipher", "ALL:@SECLEVEL=0", client=good).text]
               for name in ("localhost", "tls12.example", "archaic.example", "mtls.example")}
    assert reached == {"localhost": ["1_3"], "tls12.example": ["1_2", "1_3"], "archaic.example": ["1", "1_1", "1_2", "1_3"],
                       "mtls.example": ["1_3"]}
    refused(ask(port, "mtls.example"))
    assert origin.failures == []


def test_nats(place):
    server = place.backend(4223, ProxyBackend())
    port = place.listen(4222)
    place.give("server-cert.pem", "server-key.pem", place.ca.issue("nats.example", "mapped.example"))
    (place.folder / "clientca.crt").write_text(place.clients.cert_pem)
    place.run("nats server")

    def name_of(*rows):
        return x509.Name([x509.NameAttribute(oid, value) for oid, value in rows])

    service = name_of((NameOID.ORGANIZATION_NAME, "Acme"), (NameOID.ORGANIZATIONAL_UNIT_NAME, "NATS"), (NameOID.COMMON_NAME, "service"))
    other = name_of((NameOID.ORGANIZATION_NAME, "Acme"), (NameOID.ORGANIZATIONAL_UNIT_NAME, "Sales"), (NameOID.COMMON_NAME, "service"))
    ann = place.client(place.clients, "ann", emails=["ann@acme.example"])
    eve = place.client(place.clients, "eve", emails=["eve@evil.example"])
    for client in (ann, eve):
        assert '"proxied"' in ask(port, "nats.example", client=client).text
    refused(ask(port, "nats.example"))
    refused(ask(port, "nats.example", client=place.client(place.stranger, "stranger", emails=["ann@acme.example"])))
    assert '"proxied"' in ask(port, "mapped.example", client=ann).text
    assert server.headers[-1]["tlvs"][IDENTITY] == b"ann@acme.example"
    assert '"proxied"' in ask(port, "mapped.example", client=place.client(place.clients, "service", subject=service)).text
    assert server.headers[-1]["tlvs"][IDENTITY] == b"CN=service,OU=NATS,O=Acme"
    refused(ask(port, "mapped.example", client=eve))
    refused(ask(port, "mapped.example", client=place.client(place.clients, "sales", subject=other)))
    assert len(server.headers) == 4


def test_apisix_and_the_hook(place):
    kitchens = Ca("Example Kitchens")
    place.backend(8443, TlsBackend(place.folder, kitchens.issue("127.0.0.1"), client_ca=place.clients.cert_pem))
    port = place.listen(9443)
    server = place.give("server.crt", "server.key", place.ca.issue("foodservice.example"))
    upstream_client = place.give("client.crt", "client.key", place.clients.issue(usage="client", common_name="kitchen"))
    eaters = Ca("Example Eaters")
    (place.folder / "ca.crt").write_text(eaters.cert_pem)
    (place.folder / "origin-ca.pem").write_text(kitchens.cert_pem)
    place.run("apisix")
    eater = place.client(eaters)
    seen = ask(port, "foodservice.example", client=eater)
    assert seen.leaf == server.sha256, seen
    assert origin_told(port, "foodservice.example", eater)["peer"] == upstream_client.sha256
    refused(ask(port, "foodservice.example"))
    refused(ask(port, "foodservice.example", client=place.client(place.stranger, "stranger")))
    # what certbot does after a renewal
    place.controlplane.api.put_acked("/v1/ssls/shop", place.ca.issue("shop.example").ssl("shop.example"))
    lineage = place.folder / "live"
    lineage.mkdir()
    renewed = place.ca.issue("shop.example")
    (lineage / "fullchain.pem").write_text(renewed.cert_pem)
    (lineage / "privkey.pem").write_text(renewed.key_pem)
    answer = place.run("hook", RENEWED_LINEAGE=str(lineage))
    assert renewed.sha256 in answer and tls.leaf(port, "shop.example") == renewed.sha256
