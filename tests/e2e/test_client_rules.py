# SPDX-License-Identifier: Apache-2.0
"""What is asked of a client certificate beyond its chain: revocation, pins, deny lists, allow rules; and the identity that it maps to."""
import base64
import datetime
import json
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from harness.api import Api
from harness.backend import EchoBackend
from harness.clients import VERSIONS, Clients, Held, attempt
from harness.daemon import SANITIZER_ENV
from harness.net import eventually, free_port
from harness.origin import ProxyBackend
from harness.pki import DAY, Ca, _signing_hash
from harness.world import World, serve


class Place:
    """An agent that logs at debug; listeners: main (HTTP), echo, proxied (PROXY v2)."""

    def __init__(self, world, folder, ca):
        self.world, self.ca, self.clients = world, ca, Clients(folder)
        self.controlplane = world.controlplane()
        self.api = self.controlplane.api
        self.agent = world.agent(self.controlplane, "--log-level", "debug")
        self.proxied = world.add_backend(ProxyBackend())
        self.port, self.echo_port, self.proxied_port = serve(self.controlplane, world.backend()), free_port(), free_port()
        echo = world.add_backend(EchoBackend())
        self.put(("tls_options", "both", {"min_version": "TLSv1.2"}),
                 ("upstreams", "echo", {"nodes": {f"127.0.0.1:{echo.port}": 1}}),
                 ("upstreams", "proxied", {"nodes": {f"127.0.0.1:{self.proxied.port}": 1}, "send_proxy_protocol": "v2"}),
                 ("listeners", "main", {"bind": f"127.0.0.1:{self.port}", "upstream": "web", "tls_options": "both"}),
                 ("listeners", "echo", {"bind": f"127.0.0.1:{self.echo_port}", "upstream": "echo", "tls_options": "both"}),
                 ("listeners", "proxied", {"bind": f"127.0.0.1:{self.proxied_port}", "upstream": "proxied", "tls_options": "both"}))

    def put(self, *rows, expect=200):
        return self.api.apply(put=rows, wait="acked", timeout=30).expect(expect)

    def put_site(self, name, **client):
        self.put(("ssls", name, self.ca.issue(f"{name}.test").ssl(f"{name}.test", client={"ca": self.clients.ca.cert_pem, **client})))

    def ask(self, name, kind=None, version="1.3"):
        return attempt(self.port, f"{name}.test", self.clients[kind], version)

    def degraded(self):
        """{id: reason}"""
        return {row["id"]: row["reason"] for row in self.agent.degraded()}


@pytest.fixture(scope="module")
def place(tmp_path_factory, ca):
    folder = tmp_path_factory.mktemp("rules")
    world = World(folder)
    try:
        yield Place(world, folder, ca)
    finally:
        problems = world.close()
    assert not problems, "\n\n".join(problems)


# CRLs -------------------------------------------------------------------------------------------------------------------

NO_CRL = "UNKNOWN_CA"  # what OpenSSL says when a certificate's issuer has none


def bundle_site(place, name, crls, certs=None, expect=200, **client):
    place.put(("ca_bundles", name, {"certs": certs or place.clients.ca.cert_pem, **({"crls": crls} if crls else {})}),
              ("ssls", name, place.ca.issue(f"{name}.test").ssl(f"{name}.test", client={"ca_bundle": name, **client})),
              expect=expect)


@pytest.mark.parametrize("version", VERSIONS)
def test_crls(place, version):
    """The whole chain: a revoked leaf, a revoked intermediate, an issuer without a CRL. `one` comes through the intermediate."""
    clients, name = place.clients, f"crl{version[-1]}"
    root, middle = clients.ca, clients.middle
    good, one = clients.pairs["good"], clients.pairs["one"]
    both = root.cert_pem + middle.cert_pem
    table = [  # certificates, CRLs, {kind: passes}
        (root.cert_pem, root.crl(), {"good": "backend", "rsa": "backend", "one": NO_CRL, None: None}),
        (root.cert_pem, root.crl(good), {"good": "CERTIFICATE_REVOKED", "rsa": "backend"}),
        (both, root.crl() + middle.crl(), {"good": "backend", "one": "backend"}),
        (both, root.crl() + middle.crl(one), {"good": "backend", "one": "CERTIFICATE_REVOKED"}),
        (both, root.crl(middle) + middle.crl(), {"good": "backend", "one": "CERTIFICATE_REVOKED"}),
        (both, root.crl(one) + middle.crl(good), {"good": "backend", "one": "backend"}),  # serials count under their own issuer
        (both, root.crl(), {"good": "backend", "one": NO_CRL}),
        (root.cert_pem + clients.stranger.cert_pem, root.crl() + clients.stranger.crl(), {"good": "backend", "wrong": "backend"}),
        (root.cert_pem + clients.stranger.cert_pem, clients.stranger.crl(), {"good": NO_CRL, "wrong": "backend"}),
        (root.cert_pem, None, {"good": "backend", "one": "backend"}),
    ]
    for certs, crls, verdicts in table:
        bundle_site(place, name, crls, certs)
        for kind, verdict in verdicts.items():
            seen = place.ask(name, kind, version)
            assert seen == verdict or (verdict is None and seen != "backend"), (kind, verdict, seen)


@pytest.mark.parametrize("version", VERSIONS)
def test_crls_of_both_parties(place, version):
    """The object's anchors, and the CRLs of its bundle and of the options'."""
    clients, name = place.clients, f"crls-of-both{version[-1]}"
    place.put(("ca_bundles", name, {"certs": clients.ca.cert_pem, "crls": clients.ca.crl(clients.pairs["good"])}),
              ("tls_options", name, {"min_version": "TLSv1.2", "client_auth": {"verify": "require", "ca_bundle": name}}),
              ("ssls", name, place.ca.issue(f"{name}.test").ssl(f"{name}.test", tls_options=name, client={"ca": clients.ca.cert_pem})))
    assert place.ask(name, "good", version) == "CERTIFICATE_REVOKED"
    assert place.ask(name, "rsa", version) == "backend"


def test_stale_crl_is_degraded_and_mends_itself(place):
    """Stale by the passing of time alone: refused, told; accepted where the options say so; a fresh one ends it."""
    root = place.clients.ca
    place.put(("ca_bundles", "aging", {"certs": root.cert_pem, "crls": root.crl(days=4 / 86400)}),
              ("ssls", "strict", place.ca.issue("strict.test").ssl("strict.test", client={"ca_bundle": "aging"})),
              ("ssls", "easy", place.ca.issue("easy.test").ssl("easy.test", client={"ca_bundle": "aging", "stale_crls": "accept"})))
    assert "aging" not in place.degraded()
    for name in ("strict", "easy"):
        assert place.ask(name, "good") == "backend", name
    reason = eventually(lambda: place.degraded().get("aging"), "the agent tells of the stale CRL")
    assert "/crls/0 is stale" in reason
    for version in VERSIONS:
        assert place.ask("strict", "good", version) == "CERTIFICATE_EXPIRED"
        assert place.ask("easy", "good", version) == "backend"
        assert place.ask("easy", "wrong", version) == "UNKNOWN_CA"
    place.put(("ca_bundles", "aging", {"certs": root.cert_pem, "crls": root.crl()}))
    assert place.ask("strict", "good") == "backend"
    eventually(lambda: "aging" not in place.degraded(), "the agent tells that it is mended")


@pytest.mark.parametrize("version", VERSIONS)
def test_stale_crl_from_the_start(place, version):
    """Accepted with a warning, refused under strict. Who stands on it stays revoked, however old it is."""
    clients, name = place.clients, f"stale{version[-1]}"
    stale = clients.ca.crl(clients.pairs["rsa"], days=-1, starts=-3)
    body = {"certs": clients.ca.cert_pem, "crls": stale}
    answer = place.api.put(f"/v1/ca_bundles/{name}", body, strict=True).expect(422)
    assert answer.codes == ["stale-crl"] and answer.pointers == ["/crls"]
    for words, good in (({}, "CERTIFICATE_EXPIRED"), ({"stale_crls": "accept"}, "backend")):
        bundle_site(place, name, stale, expect=502, **words)  # applied, and told as degraded at once
        assert place.ask(name, "good", version) == good
        assert place.ask(name, "rsa", version) in ("CERTIFICATE_REVOKED", "CERTIFICATE_EXPIRED")
    assert place.ask(name, "rsa", version) == "CERTIFICATE_REVOKED"
    eventually(lambda: name in place.degraded(), "a stale CRL shows")
    future = clients.ca.crl(days=9, starts=1)
    bundle_site(place, name, future, stale_crls="accept")
    assert place.ask(name, "good", version) != "backend"  # not yet valid is not stale


def special_crl(ca, *extensions):
    now = datetime.datetime.utcnow()
    builder = (x509.CertificateRevocationListBuilder().issuer_name(ca.cert.subject).last_update(now - DAY).next_update(now + DAY)
               .add_extension(x509.CRLNumber(7), critical=False))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(ca.key, _signing_hash(ca.key)).public_bytes(serialization.Encoding.PEM).decode()


def test_unfit_crls_are_refused(place):
    clients = place.clients
    root = clients.ca
    point = {"full_name": None, "relative_name": None, "only_contains_user_certs": False, "only_contains_ca_certs": False,
             "only_some_reasons": None, "indirect_crl": False, "only_contains_attribute_certs": False}
    unfit = {"foreign-crl": [clients.stranger.crl(), clients.namesake.crl(), root.crl() + clients.stranger.crl()],
             "unsupported-crl": [special_crl(root, x509.DeltaCRLIndicator(6)), special_crl(root, x509.IssuingDistributionPoint(**{**point, "indirect_crl": True})),
                                 special_crl(root, x509.IssuingDistributionPoint(**{**point, "only_some_reasons": frozenset([x509.ReasonFlags.key_compromise])}))],
             "invalid-pem": ["nothing", root.cert_pem, root.crl()[:200], root.key_pem]}
    for code, texts in unfit.items():
        for text in texts:
            answer = place.api.put("/v1/ca_bundles/unfit", {"certs": root.cert_pem, "crls": text})
            assert answer.status == 422 and answer.pointers == ["/crls"], answer
            assert answer.codes == [code], answer
    answer = place.api.put("/v1/ca_bundles/unfit", {"certs": root.cert_pem + clients.middle.cert_pem, "crls": root.crl()}, strict=True).expect(422)
    assert answer.codes == ["ca-without-crl"], answer


def big_crls(ca, count, *pairs):
    """CRLs of so many entries, and these pairs; each another one."""
    now = datetime.datetime.utcnow()
    serials = [10**15 + 3 * i for i in range(count - len(pairs))] + [pair.cert.serial_number for pair in pairs]
    revoked = [x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - DAY).build() for serial in serials]
    number = 0
    while True:
        number += 1
        extensions = [x509.Extension(x509.CRLNumber.oid, False, x509.CRLNumber(number))]
        builder = x509.CertificateRevocationListBuilder(ca.cert.subject, now - DAY, now + DAY, extensions, revoked)
        yield builder.sign(ca.key, _signing_hash(ca.key)).public_bytes(serialization.Encoding.PEM).decode()


def test_big_crl(place):
    """50,000 entries: a handshake looks one up, it doesn't walk them."""
    clients = place.clients
    bundle_site(place, "big", next(big_crls(clients.ca, 50_000, clients.pairs["rsa"])))
    bundle_site(place, "small", clients.ca.crl(clients.pairs["rsa"]))
    took = {}
    for version in VERSIONS:
        for name in ("big", "small"):
            assert place.ask(name, "good", version) == "backend"
            assert place.ask(name, "rsa", version) == "CERTIFICATE_REVOKED"
            best = []
            for _ in range(8):
                started = time.monotonic()
                assert place.ask(name, "good", version) == "backend"
                best.append(time.monotonic() - started)
            took[name] = min(best)
        assert took["big"] < 2 * took["small"] + 0.01, took


def test_old_crls_leave_memory(world, ca, tmp_path):
    """Each site that has the bundle, each renewal, each connection that stays open over the updates: none keeps an old CRL."""
    clients = Clients(tmp_path)
    crls = big_crls(clients.ca, 20_000)
    controlplane = world.controlplane()
    agent = world.agent(controlplane, env={"ASAN_OPTIONS": SANITIZER_ENV["ASAN_OPTIONS"] + ":quarantine_size_mb=1"})
    port = serve(controlplane, world.add_backend(EchoBackend()))
    names = [f"s{i}" for i in range(4)]
    held = []

    def turn():
        controlplane.api.apply(wait="acked", timeout=30, put=[("ca_bundles", "big", {"certs": clients.ca.cert_pem, "crls": next(crls)}), *[
            ("ssls", name, ca.issue(f"{name}.test").ssl(f"{name}.test", client={"ca_bundle": "big"})) for name in names]]).expect(200)
        held.extend(Held(port, f"{name}.test", clients["good"]) for name in names)
        return agent.daemon.rss_kib()
    try:
        before, first = agent.daemon.rss_kib(), turn()
        for _ in range(4):
            warm = turn()
        for _ in range(9):
            last = turn()
        assert last - warm < 2 * (first - before), (before, first, warm, last)
        for connection in held:
            connection.exchange()
    finally:
        for connection in held:
            connection.close()


# Pins and deny lists ------------------------------------------------------------------------------------------------------

def hex_colons(text):
    return ":".join(text[i:i + 2] for i in range(0, len(text), 2)).upper()


def spellings(sha256):
    return [sha256, sha256.upper(), hex_colons(sha256), "sha256//" + base64.b64encode(bytes.fromhex(sha256)).decode()]


@pytest.mark.parametrize("version", VERSIONS)
def test_pins(place, version):
    """Of the leaf's key, in each spelling, beside the chain (never in place of it where the mode verifies)."""
    clients, name = place.clients, f"pins{version[-1]}"
    good, one, rsa = (clients.pairs[kind].spki_sha256 for kind in ("good", "one", "rsa"))
    for text in spellings(good):
        place.put_site(name, pins=[text])
        assert place.api.get(f"/v1/ssls/{name}").json["client"]["pins"] == [good]
        assert place.ask(name, "good", version) == "backend", text
        assert place.ask(name, "rsa", version) == "BAD_CERTIFICATE", text
    renewed = clients.add(f"renewed{version[-1]}", clients.ca.issue("other.name", usage="client", private=clients.pairs["good"].key))
    assert renewed.spki_sha256 == good and place.ask(name, f"renewed{version[-1]}", version) == "backend"
    place.put_site(name, pins=[rsa, one])
    for kind, verdict in (("one", "backend"), ("rsa", "backend"), ("good", "BAD_CERTIFICATE")):
        assert place.ask(name, kind, version) == verdict, kind
    place.put_site(name, pins=[clients.middle.spki_sha256])
    assert place.ask(name, "one", version) == "BAD_CERTIFICATE"  # of the leaf, not of its issuer
    place.put_site(name, pins=[clients.pairs["wrong"].spki_sha256])
    assert place.ask(name, "wrong", version) == "UNKNOWN_CA"
    place.put(("ssls", name, place.ca.issue(f"{name}.test").ssl(f"{name}.test", client={"verify": "require_any", "pins": [clients.pairs["wrong"].spki_sha256]})))
    for kind, passes in (("wrong", True), ("good", False), (None, False)):  # self-signed and pinned: no CA needed
        assert (place.ask(name, kind, version) == "backend") == passes, kind


def test_bad_pins(place):
    good = place.clients.pairs["good"].spki_sha256
    for pins in ([], [good[:-2]], [good + "00"], ["sha256//AAAA"], ["x" * 64], [""], "", [7], ["sha1//" + "A" * 27 + "="]):
        answer = place.api.put("/v1/ssls/bad", place.ca.issue("bad.test").ssl("bad.test", client={"ca": place.clients.ca.cert_pem, "pins": pins}))
        assert answer.status == 422 and answer.pointers[0].startswith("/client/pins"), (pins, answer)
    for verify in ("none", "request"):
        place.api.put("/v1/ssls/bad", place.ca.issue("bad.test").ssl("bad.test", client={"verify": verify, "pins": [good]})).expect(422)


@pytest.mark.parametrize("version", VERSIONS)
def test_deny_lists(place, version):
    """Over the whole chain: leaf, intermediate, root."""
    clients, name = place.clients, f"deny{version[-1]}"
    serial = {kind: f"{clients.pairs[kind].cert.serial_number:x}" for kind in ("good", "middle")}
    even = {kind: text.rjust(len(text) + len(text) % 2, "0") for kind, text in serial.items()}
    table = [({"deny_serials": [serial["good"]]}, {"good"}), ({"deny_serials": [serial["good"].upper()]}, {"good"}),
             ({"deny_serials": [hex_colons(even["good"])]}, {"good"}), ({"deny_serials": [even["middle"]]}, {"one"}),
             ({"deny_spki": [clients.pairs["good"].spki_sha256]}, {"good"}), ({"deny_spki": [clients.middle.spki_sha256]}, {"one"}),
             ({"deny_spki": [spellings(clients.ca.spki_sha256)[3]]}, {"good", "one", "rsa"}),
             ({"deny_serials": [serial["good"]], "deny_spki": [clients.middle.spki_sha256]}, {"good", "one"}),
             ({"deny_serials": ["01"], "deny_spki": []}, set())]
    for words, denied in table:
        place.put_site(name, **words)
        for kind in ("good", "one", "rsa"):
            assert place.ask(name, kind, version) == ("CERTIFICATE_REVOKED" if kind in denied else "backend"), (words, kind)
    place.put(("ssls", name, place.ca.issue(f"{name}.test").ssl(f"{name}.test", client={"verify": "request", "deny_serials": [serial["good"]]})))
    for kind, passes in ((None, True), ("good", False), ("wrong", True)):
        assert (place.ask(name, kind, version) == "backend") == passes, kind


# Allow rules --------------------------------------------------------------------------------------------------------------

def name_of(*rdns):
    """("CN=a", "OU=b+O=c"), from the most general on."""
    types = {"CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME, "OU": NameOID.ORGANIZATIONAL_UNIT_NAME, "DC": NameOID.DOMAIN_COMPONENT}
    def attribute(text):
        kind, _, value = text.partition("=")
        return x509.NameAttribute(types[kind], value)
    return x509.Name([x509.RelativeDistinguishedName([attribute(part) for part in rdn.split("+")]) for rdn in rdns])


def raw_names(*names):
    """A subjectAltName of (tag, bytes), whatever the bytes."""
    body = b"".join(bytes([0x80 | tag, len(text)]) + text for tag, text in names)
    return x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\x30" + bytes([len(body)]) + body)


@pytest.fixture(scope="module")
def named(place):
    """Clients with names of every sort."""
    issue, add = place.clients.ca.issue, place.clients.add
    add("svc", issue("svc.acme.test", "10.1.2.3", usage="client", uris=["spiffe://acme.test/ns/prod/sa/web"], emails=["ann@acme.test"],
                     subject=name_of("O=Acme", "OU=NATS", "CN=service")))
    add("deep", issue("a.b.acme.test", "2001:db8::7", usage="client", uris=["spiffe://acme.test/ns/prod"], emails=["Ann@acme.test"],
                      subject=name_of("O=Acme", "OU=NATS", "OU=NATS", "CN=service")))
    add("wild", issue("*.acme.test", usage="client", uris=["spiffe://acme.test/ns/prod/../admin"], emails=["ann@evil.test"],
                      subject=name_of("O=Acme", "CN=service+OU=NATS")))
    add("upper", issue("SVC.Acme.test", usage="client", uris=["SPIFFE://acme.test/ns/prod/sa/web"], emails=["ann@ACME.test"],
                       subject=name_of("O=Acme", "OU=Other", "OU=NATS", "CN=service")))
    add("bare-cn", issue(usage="client", subject=name_of("CN=svc.acme.test")))
    add("two-cn", issue(usage="client", subject=name_of("CN=service", "O=Acme", "CN=last")))
    add("nul", issue(usage="client", subject=name_of("O=Acme"), extra=[raw_names(
        (1, b"ann@acme.test\0@evil.test"), (2, b"svc.acme.test\0.evil.test"), (6, b"spiffe://acme.test/ns/prod/sa/web\0/evil"))]))
    add("alien-svc", place.clients.stranger.issue("svc.acme.test", usage="client", emails=["ann@acme.test"], subject=name_of("O=Acme", "OU=NATS", "CN=service")))
    return ("svc", "deep", "wild", "upper", "bare-cn", "two-cn", "nul", "alien-svc")


ALLOW = [
    ([{"dns": "svc.acme.test"}], {"svc", "upper"}),
    ([{"dns": "SVC.acme.TEST."}], {"svc", "upper"}),
    ([{"dns": "*.acme.test"}], {"svc", "upper", "wild"}),
    ([{"dns": "*.b.acme.test"}], {"deep"}),
    ([{"dns": ["nobody.test", "a.b.acme.test"]}], {"deep"}),
    ([{"uri": "spiffe://acme.test/ns/prod/sa/web"}], {"svc"}),
    ([{"uri": "spiffe://acme.test/ns/prod/*"}], {"svc"}),
    ([{"uri": "spiffe://acme.test/ns/prod"}], {"deep"}),
    ([{"uri": "spiffe://acme.test/*"}], {"svc", "deep"}),
    ([{"email": "ann@acme.test"}], {"svc", "upper"}),
    ([{"email": "ann@ACME.test"}], {"svc", "upper"}),
    ([{"email": "*@acme.test"}], {"svc", "deep", "upper"}),
    ([{"ip": "10.1.2.3"}], {"svc"}),
    ([{"ip": ["10.0.0.0/8", "192.0.2.0/24"]}], {"svc"}),
    ([{"ip": "2001:db8::/32"}], {"deep"}),
    ([{"ip": "10.1.2.4"}], set()),
    ([{"cn": "service"}], {"svc", "deep", "wild", "upper"}),
    ([{"cn": "last"}], {"two-cn"}),
    ([{"cn": "Service"}], set()),
    ([{"dn": "CN=service,OU=NATS,O=Acme"}], {"svc"}),
    ([{"dn": "O=Acme, OU=NATS, CN=service"}], {"svc"}),
    ([{"dn": "/O=Acme/OU=NATS/CN=service"}], {"svc"}),
    ([{"dn": "CN=service,OU=NATS,OU=NATS,O=Acme"}], {"deep"}),
    ([{"dn": "CN=service,OU=NATS,OU=Other,O=Acme"}], {"upper"}),
    ([{"dn": "CN=service,OU=Other,OU=Other,O=Acme"}], set()),
    ([{"dn": "CN=service+OU=NATS,O=Acme"}], {"wild"}),
    ([{"dn": "OU=NATS+CN=service,O=Acme"}], {"wild"}),
    ([{"dn": "CN=service,O=Acme"}], set()),
    ([{"dn": "CN=service"}], set()),
    ([{"dns": "svc.acme.test", "email": "ann@evil.test"}], set()),
    ([{"dns": "*.acme.test", "email": "ann@evil.test"}], {"wild"}),
    ([{"dns": "svc.acme.test", "cn": "service", "ip": "10.0.0.0/8"}], {"svc"}),
    ([{"dns": "a.b.acme.test"}, {"cn": "last"}], {"deep", "two-cn"}),
]


def rows_of_allow(place, version):
    for i, (rules, _) in enumerate(ALLOW):
        name = f"allow{version[-1]}-{i}.test"
        yield ("ssls", f"allow{version[-1]}-{i}", place.ca.issue(name).ssl(name, client={"ca": place.clients.ca.cert_pem, "allow": rules}))


@pytest.mark.parametrize("version", VERSIONS)
def test_allow_rules(place, named, version):
    """Each sort of name; a DN as a multiset of RDNs (CVE-2026-33248); a NUL fits nothing; and the chain comes first."""
    place.put(*rows_of_allow(place, version))
    for i, (rules, passing) in enumerate(ALLOW):
        for kind in named:
            seen = place.ask(f"allow{version[-1]}-{i}", kind, version)
            verdict = "UNKNOWN_CA" if kind == "alien-svc" else "backend" if kind in passing else "BAD_CERTIFICATE"
            assert seen == verdict, (rules, kind, seen)
        assert place.ask(f"allow{version[-1]}-{i}", None, version) not in ("backend", "BAD_CERTIFICATE")


def test_bad_allow_rules(place):
    for allow in ([], [{}], {}, "x", [{"dns": []}], [{"dns": "*"}], [{"dns": "a.*.test"}], [{"dns": "a b"}], [{"uri": "nothing"}], [{"uri": "spiffe://a/*/b"}],
                  [{"uri": "spiffe://*"}], [{"email": "ann"}], [{"email": "a*@x.test"}], [{"email": "@x.test"}], [{"ip": "10.0.0.1/33"}], [{"ip": "10.0.0.1/8"}],
                  [{"cn": ""}], [{"dn": "service"}], [{"dn": "CN="}], [{"dn": "XX=1"}], [{"dn": 'CN="a'}], [{"user": "x"}], [{"dns": "a.test", "ip": []}]):
        answer = place.api.put("/v1/ssls/bad", place.ca.issue("bad.test").ssl("bad.test", client={"ca": place.clients.ca.cert_pem, "allow": allow}))
        assert answer.status == 422 and answer.pointers[0].startswith("/client/allow"), (allow, answer)
    for verify in ("none", "request", "require_any"):
        place.api.put("/v1/ssls/bad", place.ca.issue("bad.test").ssl("bad.test", client={"verify": verify, "allow": [{"cn": "x"}]})).expect(422)


# Identity -----------------------------------------------------------------------------------------------------------------

IDENTITIES = [  # client, allow, identity
    ("svc", None, "ann@acme.test"),
    ("svc", [{"dns": "*.acme.test"}], "svc.acme.test"),
    ("svc", [{"uri": "spiffe://acme.test/*"}], "spiffe://acme.test/ns/prod/sa/web"),
    ("svc", [{"dn": "O=Acme,OU=NATS,CN=service"}], "CN=service,OU=NATS,O=Acme"),
    ("svc", [{"cn": "service"}], "CN=service,OU=NATS,O=Acme"),
    ("svc", [{"ip": "10.0.0.0/8"}], "ann@acme.test"),
    ("good", None, "good.client"),
    ("uri-only", None, "spiffe://acme.test/x"),
    ("bare-cn", None, "CN=svc.acme.test"),
    ("comma", None, "CN=\\\"q\\\"\\, Inc,O=Ac\u00e9me"),
    ("nul", None, "O=Acme"),
]


def spoken(place, name):
    """Of the last handshake with this site, as the debug log tells it."""
    def look():
        lines = [line for line in place.agent.daemon.lines("TLS handshake complete") if f"sni={name}" in line or f'sni="{name}"' in line]
        return lines[-1]
    return eventually(look, "the handshake is logged")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind,allow,identity", IDENTITIES)
def test_identity(place, named, kind, allow, identity, version):
    """e-mail, DNS, URI, DN, unless a rule names another: in the log, the connection view, and the PROXY header."""
    if kind not in place.clients.files:
        special = {"uri-only": {"uris": ["spiffe://acme.test/x"], "subject": name_of("O=Acme")}, "comma": {"subject": name_of("O=Ac\u00e9me", 'CN="q", Inc')}}
        place.clients.add(kind, place.clients.ca.issue(usage="client", **special[kind]))
    place.put_site("mapped", verify="verify_and_map", **({"allow": allow} if allow else {}))
    pair, files = place.clients.pairs[kind], place.clients[kind]
    held = Held(place.echo_port, "mapped.test", files, version)
    try:
        answer = Api(place.agent.status_port, "", []).get("/v1/connections", auth=False, limit=1000).expect(200)
        seen = [row for row in json.loads(answer.body)["items"] if row["sni"] == "mapped.test"]
        assert [row["client"]["identity"] for row in seen] == [identity], seen
        assert seen[0]["client"]["verified"] is True and seen[0]["client"]["certificate_sha256"] == pair.sha256
        line = spoken(place, "mapped.test")
        assert "identity=" in line
        logged = line.partition("identity=")[2]
        if identity.isascii() and "\\" not in identity:
            assert logged.strip('"').startswith(identity), line
    finally:
        held.close()
    before = len(place.proxied.headers)
    assert json.loads(attempt(place.proxied_port, "mapped.test", files, version))["name"] == "proxied"
    header = place.proxied.headers[before]
    assert header["tlvs"][0xE0].decode() == identity and header["tlvs"][0xE1] == bytes.fromhex(pair.sha256)
    eventually(lambda: not [row for row in json.loads(Api(place.agent.status_port, "", []).get("/v1/connections", auth=False).body)["items"]
                            if row["sni"] == "mapped.test"], "the connection has left the view")


def test_no_identity_unless_asked_and_verified(place, named):
    """Not without map_identity, not without a certificate, and never of an unverified one."""
    for words, kind in (({}, "svc"), ({"verify": "verify_if_given", "map_identity": True}, None)):
        place.put_site("unmapped", **words)
        before = len(place.proxied.headers)
        attempt(place.proxied_port, "unmapped.test", place.clients[kind])
        assert 0xE0 not in place.proxied.headers[before]["tlvs"], words
    for verify in ("none", "request", "require_any"):
        answer = place.api.put("/v1/ssls/bad", place.ca.issue("bad.test").ssl("bad.test", client={"verify": verify, "map_identity": True}))
        assert answer.status == 422 and answer.pointers == ["/client/map_identity"], answer
