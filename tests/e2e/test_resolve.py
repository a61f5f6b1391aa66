# SPDX-License-Identifier: Apache-2.0
"""GET /v1/resolve says what the agent does: for every row of one table the explanation is read, and the same handshake is made."""
import hashlib
import ssl

import pytest

from harness import tls
from harness.backend import HttpBackend
from harness.net import free_port
from harness.pki import Ca
from harness.world import World

ALERTS = {"access_denied": 49, "unrecognized_name": 112, "no_application_protocol": 120}


class TlsBackend(HttpBackend):
    """Speaks TLS with a certificate of its own: where passthrough ends."""

    def __init__(self, name, files):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*files)
        super().__init__(name)

    def serve(self, connection):
        with self.context.wrap_socket(connection, server_side=True) as wrapped:
            super().serve(wrapped)


class Place:
    """One agent (site=a) that holds all of it but what is for site=b, with two listeners more than it needs."""

    def __init__(self, world, folder):
        self.world, self.controlplane = world, world.controlplane()
        self.api = self.controlplane.api
        self.agent = world.agent(self.controlplane, labels={"site": "a"})
        ca, clients, stranger = Ca("Resolve CA"), Ca("Resolve Clients"), Ca("Resolve Strangers")
        self.client = clients.issue("client", usage="client").write(folder, "client")
        self.stranger = stranger.issue("client", usage="client").write(folder, "stranger")
        self.pairs = {name: ca.issue(f"{name}.test") for name in
                      ("exact", "young", "old", "wild", "star", "fallback", "closed", "given", "elsewhere", "off")}
        self.rsa = ca.issue("both.test", key="rsa2048")
        self.ecdsa = ca.issue("both.test")
        origin = ca.issue("raw.test")
        self.origin = origin.sha256
        self.plain = world.backend("plain")
        self.other = world.backend("other")
        self.raw = world.add_backend(TlsBackend("raw", origin.write(folder, "origin")))
        self.ports = {name: free_port() for name in ("main", "strict", "fallback", "bare")}
        self.api.apply(put=self.options(clients) + self.listeners() + self.ssls(clients) + self.routes()).expect(200)
        self.api.put("/v1/ssls/young", self.pairs["young"].ssl("equal.test")).expect(201)  # created last

    @staticmethod
    def options(clients):
        return [
            ("tls_options", "strict", {"min_version": "TLSv1.2", "sni_strict": True}),
            ("tls_options", "fallback", {"min_version": "TLSv1.2", "default_ssl": "fallback", "alpn_protocols": ["h2", "http/1.1"]}),
            ("tls_options", "staff", {"min_version": "TLSv1.2", "client_auth": {"verify": "require", "ca_bundle": "staff"}}),
            ("ca_bundles", "staff", {"certs": clients.cert_pem}),
        ]

    def listeners(self):
        def upstream(backend):
            return {"nodes": {f"127.0.0.1:{backend.port}": 1}}
        rows = [("upstreams", "plain", upstream(self.plain)), ("upstreams", "other", upstream(self.other)),
                ("upstreams", "raw", upstream(self.raw))]
        for name, more in (("main", {"upstream": "plain"}), ("strict", {"upstream": "plain", "tls_options": "strict"}),
                           ("fallback", {"upstream": "plain", "tls_options": "fallback"}), ("bare", {})):
            rows.append(("listeners", name, {"bind": f"127.0.0.1:{self.ports[name]}", **more}))
        rows.append(("listeners", "elsewhere", {"bind": f"127.0.0.1:{free_port()}", "upstream": "plain", "selector": {"site": "b"}}))
        rows.append(("listeners", "off", {"bind": f"127.0.0.1:{free_port()}", "upstream": "plain", "status": 0}))
        return rows

    def ssls(self, clients):
        pairs = self.pairs
        return [
            ("ssls", "exact", pairs["exact"].ssl("www.shop.test")),
            ("ssls", "old", pairs["old"].ssl("equal.test")),
            ("ssls", "wild", pairs["wild"].ssl("*.shop.test", "*.equal.test", priority=9)),
            ("ssls", "fallback", pairs["fallback"].ssl("fallback.test")),
            ("ssls", "closed", pairs["closed"].ssl("closed.test", client={"ca": clients.cert_pem})),
            ("ssls", "given", pairs["given"].ssl("given.test", client={"ca": clients.cert_pem, "verify": "verify_if_given"})),
            ("ssls", "elsewhere", pairs["elsewhere"].ssl("www.shop.test", selector={"site": "b"}, priority=9)),
            ("ssls", "off", pairs["off"].ssl("www.shop.test", status=0, priority=9)),
            ("ssls", "both", {"sni": "both.test", "cert": self.rsa.cert_pem, "key": self.rsa.key_pem,
                              "certs": [self.ecdsa.cert_pem], "keys": [self.ecdsa.key_pem]}),
        ]

    @staticmethod
    def routes():
        return [
            ("routes", "bad", {"snis": ["bad.shop.test"], "mode": "reject"}),
            ("routes", "raw", {"snis": ["raw.test", "**.raw.test"], "mode": "passthrough", "upstream": "raw"}),
            ("routes", "staff", {"snis": ["staff.shop.test"], "tls_options": "staff"}),
            ("routes", "far", {"snis": ["far.shop.test"], "allow_clients": ["10.0.0.0/8"]}),
            ("routes", "near", {"snis": ["near.shop.test"], "allow_clients": ["127.0.0.0/8", "10.0.0.0/8"]}),
            ("routes", "bare", {"snis": ["*.shop.test"], "listeners": ["bare"], "upstream": "other"}),
            ("routes", "all", {"snis": ["*.shop.test"], "upstream": "plain", "priority": 9}),
            ("routes", "nameless", {"snis": [""], "listeners": ["strict"], "mode": "reject"}),
        ]

    def resolve(self, listener, sni=None, **more):
        query = {"agent": self.agent.id, "listener": listener, **more}
        return self.api.get("/v1/resolve", **({**query, "sni": sni} if sni is not None else query))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resolve")
    world = World(folder)
    try:
        yield Place(world, folder)
    finally:
        problems = world.close()
    assert not problems, "\n\n".join(problems)


# listener, name, what `resolve` says of it: outcome or cause, SSL object, route, upstream
TABLE = [
    ("main", "www.shop.test", "terminate", "exact", "all", "plain"),
    ("main", "WWW.Shop.Test", "terminate", "exact", "all", "plain"),
    ("main", "mail.shop.test", "terminate", "wild", "all", "plain"),
    ("main", "a.mail.shop.test", "terminate", None, None, "plain"),
    ("main", "equal.test", "terminate", "young", None, "plain"),
    ("main", "both.test", "terminate", "both", None, "plain"),
    ("main", "nobody.test", "terminate", None, None, "plain"),
    ("main", None, "terminate", None, None, "plain"),
    ("main", "bad.shop.test", "rejected", None, "bad", None),
    ("main", "raw.test", "passthrough", None, "raw", "raw"),
    ("main", "x.y.raw.test", "passthrough", None, "raw", "raw"),
    ("main", "far.shop.test", "address", None, "far", None),
    ("main", "near.shop.test", "terminate", "wild", "near", "plain"),
    ("main", "staff.shop.test", "terminate", "wild", "staff", "plain"),
    ("main", "closed.test", "terminate", "closed", None, "plain"),
    ("main", "given.test", "terminate", "given", None, "plain"),
    ("strict", "www.shop.test", "terminate", "exact", "all", "plain"),
    ("strict", "nobody.test", "name", None, None, "plain"),
    ("strict", None, "rejected", None, "nameless", None),
    ("fallback", "nobody.test", "terminate", "fallback", None, "plain"),
    ("fallback", None, "terminate", "fallback", None, "plain"),
    ("bare", "www.shop.test", "terminate", "exact", "bare", "other"),
    ("bare", "nobody.test", "name", None, None, None),
    ("bare", None, "name", None, None, None),
    ("bare", "raw.test", "passthrough", None, "raw", "raw"),
]
DEMANDS = {"closed.test": "require", "staff.shop.test": "require", "given.test": "verify_if_given"}


def id_of(part):
    return part["id"] if part else None


@pytest.mark.parametrize("listener,sni,what,ssl_id,route,upstream", TABLE)
def test_says(place, listener, sni, what, ssl_id, route, upstream):
    said = place.resolve(listener, sni, client_ip="127.0.0.1").expect(200).json
    assert (said["refusal"]["cause"] if said["refusal"] else said["outcome"]) == what
    assert (said["outcome"] == "refuse") == (said["refusal"] is not None)
    assert said["sni"] == (sni.lower() if sni else None)
    assert (id_of(said["certificate"]), id_of(said["route"]), id_of(said["upstream"])) == (ssl_id, route, upstream)
    if what == "terminate":
        assert said["client_auth"]["mode"] == DEMANDS.get(sni, "none")


class Seen:
    """One real handshake: leaf and the name of the backend, or the alert."""

    def __init__(self, port, sni, client=None):
        options = ["-cert", str(client[0]), "-key", str(client[1]), "-cert_chain", str(client[0])] if client else []
        run = tls.s_client(port, *options, sni=sni)
        self.alert, self.body, self.leaf, self.text = run.alert, run.body, run.leaf, run
        self.is_generated = bool(run.certificates) and run.certificates[0].issuer == run.certificates[0].subject


def check_client_rules(place, port, sni, mode):
    assert Seen(port, sni, place.client).body == "plain"
    assert Seen(port, sni, place.stranger).body is None
    assert (Seen(port, sni).body == "plain") == (mode == "verify_if_given")


@pytest.fixture(scope="module")
def live(place):
    place.agent.wait_applied()
    return place


@pytest.mark.parametrize("listener,sni", [row[:2] for row in TABLE])
def test_does(live, listener, sni):
    check_as_said(live, listener, sni)


def check_as_said(place, listener, sni):
    said = place.resolve(listener, sni, client_ip="127.0.0.1").expect(200).json
    mode = said["client_auth"]["mode"] if said["client_auth"] else "none"
    seen = Seen(place.ports[listener], sni, place.client if mode != "none" else None)
    if said["outcome"] == "refuse":
        assert seen.body is None and seen.leaf is None, seen.text
        assert seen.alert == ALERTS[said["refusal"]["alert"]], seen.text
        return
    assert seen.body == said["upstream"]["id"], seen.text
    if said["outcome"] == "passthrough":
        assert seen.leaf == place.origin
    elif said["certificate"]["id"] is None:
        assert seen.is_generated
    else:
        assert seen.leaf in [pair["sha256"] for pair in said["certificate"]["pairs"]]
    if mode != "none":
        check_client_rules(place, place.ports[listener], sni, mode)


def test_star_takes_names_but_not_their_absence(live):
    live.api.put_acked("/v1/ssls/star", live.pairs["star"].ssl("*"))
    try:
        for listener, sni in (("main", "nobody.test"), ("main", "a.mail.shop.test"), ("strict", "nobody.test"), ("main", None),
                              ("fallback", None), ("fallback", "nobody.test")):
            said = live.resolve(listener, sni).expect(200).json
            assert (id_of(said["certificate"]) == "star") == (sni is not None)
            check_as_said(live, listener, sni)
    finally:
        live.api.delete("/v1/ssls/star", wait="acked", timeout=30).expect(200)


def test_alpn(live):
    for offered, answer in (("http/1.1", "http/1.1"), ("http/1.1,h2", "h2"), ("spdy/3", None)):
        said = live.resolve("fallback", "nobody.test", alpn=offered).expect(200).json
        seen = tls.s_client(live.ports["fallback"], "-alpn", offered, sni="nobody.test")
        assert said["alpn"]["answer"] == answer
        assert seen.alpn == answer, seen
        assert (said["refusal"] or {}).get("cause") == (None if answer else "alpn")
        if answer is None:
            assert seen.alert == ALERTS[said["refusal"]["alert"]], seen


def test_hostile_names(live):
    for name in ("a b", "a..b", "*.shop.test", "x" * 254):
        said = live.resolve("main", name).expect(200).json
        hello = tls.client_hello(tls.sni_extension(name.encode()))
        assert tls.send_raw(live.ports["main"], tls.records(hello)) == f"alert:{ALERTS[said['refusal']['alert']]}", name


# What is explained ----------------------------------------------------------------------------------------------------

def test_losers_and_reasons(place):
    said = place.resolve("main", "equal.test").json
    assert said["certificate"]["losers"] == [{"id": "old", "why": "older"}]
    said = place.resolve("bare", "www.shop.test").json
    assert said["certificate"]["losers"] == [{"id": "wild", "why": "less specific"}]
    assert said["certificate"]["level"] == "exact" and said["certificate"]["name"] == "www.shop.test"
    assert said["route"]["losers"] == [{"id": "all", "why": "for all listeners; the one chosen names this one"}]
    assert said["route"]["level"] == "one_label" and said["route"]["pattern"] == "*.shop.test"
    said = place.resolve("main", "www.shop.test").json
    assert said["route"]["losers"] == [{"id": "bare", "why": "not for this listener"}]
    said = place.resolve("main", None).json
    assert said["route"]["losers"] == [{"id": "nameless", "why": "not for this listener"}] and said["route"]["id"] is None


def test_lower_priority(place):
    place.api.put("/v1/ssls/low", place.pairs["old"].ssl("equal.test", priority=-1)).expect(201)
    try:
        assert {"id": "low", "why": "lower priority"} in place.resolve("main", "equal.test").json["certificate"]["losers"]
    finally:
        place.api.delete("/v1/ssls/low").expect(200)


def test_certificate(place):
    part = place.resolve("main", "both.test").json["certificate"]
    assert [(p["sha256"], p["spki_sha256"], p["key_type"]) for p in part["pairs"]] == [
        (place.rsa.sha256, place.rsa.spki_sha256, "RSA"), (place.ecdsa.sha256, place.ecdsa.spki_sha256, "EC P-256")]
    assert part["not_after"] == min(p["not_after"] for p in part["pairs"])


def test_options(place):
    part = place.resolve("fallback", "nobody.test").json["options"]
    assert (part["id"], part["from"], part["min_version"], part["max_version"]) == ("fallback", "listener", "TLSv1.2", "TLSv1.3")
    assert part["alpn_protocols"] == ["h2", "http/1.1"]
    assert part["base"] == {"id": "fallback", "from": "listener", "sni_strict": False, "default_ssl": "fallback"}
    assert part["session_tickets"] == {"enabled": True, "count": 2, "lifetime": 43200} and part["handshake_timeout"] == 10
    part = place.resolve("main", "nobody.test").json["options"]
    assert (part["id"], part["from"], part["min_version"]) == ("modern", "default", "TLSv1.3")
    assert place.resolve("main", "staff.shop.test").json["options"]["from"] == "route"


def test_who_is_overruled(place):
    """Options, upstream and upstream TLS: each object that may name one does, from the last to the first; each time its word holds, and the others' not."""
    body, route = place.pairs["old"].ssl("claims.test"), {"snis": ["claims.test"]}
    upstream, listener = {"nodes": {"origin.test:1": 1}, "scheme": "tls"}, {"bind": f"127.0.0.1:{free_port()}", "upstream": "claims-l"}
    claims = {name: {"id": f"claims-{name[0]}", "from": name} for name in ("listener", "route", "upstream")}
    rows = [("tls_options", f"claims-{letter}", {"min_version": "TLSv1.2"}) for letter in "slr"]
    rows += [("upstreams", f"claims-{letter}", upstream) for letter in "lr"] + [("upstream_tls", f"claims-{letter}", {}) for letter in "ur"]
    place.api.apply(put=[*rows, ("ssls", "claims", body), ("listeners", "claims", listener)]).expect(200)

    def check(options, through, tls, client):
        said = place.resolve("claims", "claims.test").json
        for part, (from_, losers) in ((said["options"], options), (said["upstream"], through), (said["upstream"]["tls"], tls)):
            assert part["from"] == from_ and [{key: loser[key] for key in ("id", "from")} for loser in part["losers"]] == [claims[name] for name in losers], said
            assert part["reason"] and all(loser["why"].endswith("goes first") for loser in part["losers"])
        assert said["client_auth"]["reason"].startswith(client), said
        return said
    try:
        said = check(("default", []), ("listener", []), ("builtin", []), "neither")
        assert said["upstream"]["reason"].endswith("there is no route")
        place.api.apply(put=[("listeners", "claims", {**listener, "tls_options": "claims-l"}), ("routes", "claims", route)]).expect(200)
        said = check(("listener", []), ("listener", []), ("builtin", []), "neither")
        assert said["upstream"]["reason"].endswith("the route none") and said["route"]["mode"] == "terminate"
        place.api.apply(put=[("routes", "claims", {**route, "tls_options": "claims-r", "upstream": "claims-r"}), (
            "upstreams", "claims-r", {**upstream, "upstream_tls": "claims-u"})]).expect(200)
        check(("route", ["listener"]), ("route", ["listener"]), ("upstream", []), "neither")
        place.api.apply(put=[("routes", "claims", {**route, "tls_options": "claims-r", "upstream": "claims-r", "upstream_tls": "claims-r"}), (
            "ssls", "claims", {**body, "tls_options": "claims-s", "client": {"verify": "request"}})]).expect(200)
        check(("ssl", ["route", "listener"]), ("route", ["listener"]), ("route", ["upstream"]), "the SSL object's rules; ")
        place.api.apply(put=[("ssls", "claims", {**body, "tls_options": "claims-s"}), (
            "tls_options", "claims-s", {"min_version": "TLSv1.2", "client_auth": {"verify": "request"}})]).expect(200)
        check(("ssl", ["route", "listener"]), ("route", ["listener"]), ("route", ["upstream"]), "the options' rules; ")
    finally:
        place.api.apply(delete=[("routes", "claims"), ("ssls", "claims"), ("listeners", "claims")] + [row[:2] for row in rows]).expect(200)


def test_limits(place):
    said = place.resolve("main", "www.shop.test").json
    assert said["limits"] == {"max_connections": 10000, "max_handshakes": None, "handshakes_per_second": None, "accept_proxy_protocol": None}
    part = said["upstream"]
    assert (part["connect_timeout"], part["max_fails"], part["fail_timeout"]) == (5, 3, 10)
    before = place.api.get("/v1/listeners/bare").json
    put = [("listeners", "bare", {**before, "max_connections": 9, "max_handshakes": 8, "handshakes_per_second": 7,
                                  "accept_proxy_protocol": ["10.0.0.0/8"]}),
           ("upstreams", "limited", {"nodes": {"a.test:1": 1}, "connect_timeout": 0.5, "max_fails": 0, "fail_timeout": 2}),
           ("routes", "limited", {"snis": ["limited.test"], "listeners": ["bare"], "upstream": "limited"})]
    place.api.apply(put=put).expect(200)
    try:
        said = place.resolve("bare", "limited.test").json
        assert said["limits"] == {"max_connections": 9, "max_handshakes": 8, "handshakes_per_second": 7, "accept_proxy_protocol": ["10.0.0.0/8"]}
        part = said["upstream"]
        assert (part["connect_timeout"], part["max_fails"], part["fail_timeout"]) == (0.5, 0, 2)
        assert place.resolve("bare", "not..legal").json["limits"]["max_connections"] == 9
    finally:
        place.api.apply(put=[("listeners", "bare", before)], delete=[("routes", "limited"), ("upstreams", "limited")]).expect(200)


def test_versions_narrowed(place):
    suites = ["TLS_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]
    place.api.put("/v1/tls_options/listed", {"min_version": "TLSv1.2", "cipher_suites": suites}).expect(201)
    place.api.put("/v1/ssls/narrow", place.pairs["old"].ssl("narrow.test", tls_options="strict", ssl_protocols=["TLSv1.2"])).expect(201)
    place.api.put("/v1/ssls/listed", place.pairs["old"].ssl("listed.test", tls_options="listed", ssl_protocols=["TLSv1.2"])).expect(201)
    try:
        assert place.resolve("main", "listed.test").json["options"]["cipher_suites"] == suites[1:]
        part = place.resolve("main", "narrow.test").json["options"]
        assert (part["min_version"], part["max_version"], part["narrowed_by"]) == ("TLSv1.2", "TLSv1.2", "ssl_protocols")
        assert part["cipher_suites"] and not [name for name in part["cipher_suites"] if "_WITH_" not in name]  # none of TLS 1.3
    finally:
        place.api.apply(delete=[("ssls", "narrow"), ("ssls", "listed"), ("tls_options", "listed")]).expect(200)


def test_client_rules_are_joined(place):
    pin = hashlib.sha256(b"x").hexdigest()
    clients = place.api.get("/v1/ca_bundles/staff").json["certs"]
    place.api.put("/v1/ssls/joined", place.pairs["old"].ssl("joined.test", tls_options="staff", client={
        "ca": clients, "depth": 0, "verify": "verify_if_given", "pins": [pin], "allow": [{"dns": "*.joined.test"}]})).expect(201)
    try:
        part = place.resolve("main", "joined.test").json["client_auth"]
        assert (part["mode"], part["depth"]) == ("require", 0)
        assert part["ca"] == {"from": "ssl", "ca_bundle": None, "count": 1, "subjects": ["CN=Resolve Clients"]}
        assert part["reason"].startswith("the SSL object's rules joined with the options'")
        own, common = part["parts"]
        assert (own["verify"], common["verify"]) == ("verify_if_given", "require")
        assert (own["from"], own["id"], own["pins"], own["allow"]) == ("ssl", "joined", [pin], [{"dns": ["*.joined.test"]}])
        assert (common["from"], common["id"], common["ca_bundle"]) == ("options", "staff", "staff")
        assert "ca" not in own
    finally:
        place.api.delete("/v1/ssls/joined").expect(200)


def test_upstream_tls(place):
    rows = [("upstream_tls", "origins", {"sni_policy": "inbound", "verify": "PERMISSIVE"}),
            ("upstreams", "secure", {"nodes": {"origin.test:443": 2}, "scheme": "tls", "send_proxy_protocol": "v2"}),
            ("routes", "secure", {"snis": ["secure.test"], "upstream": "secure"}),
            ("routes", "named", {"snis": ["named.test"], "upstream": "secure", "upstream_tls": "origins"})]
    place.api.apply(put=rows).expect(200)
    try:
        part = place.resolve("main", "secure.test").json["upstream"]
        assert (part["from"], part["nodes"], part["send_proxy_protocol"]) == ("route", {"origin.test:443": 2}, "v2")
        assert (part["tls"]["id"], part["tls"]["from"], part["tls"]["verify"]) == (None, "builtin", "ENFORCED")
        assert part["tls"]["sni"] == {"policy": "host", "name": None} and part["tls"]["system_ca"] is True
        left_out = {"properties": "ALL", "min_version": "TLSv1.2", "max_version": "TLSv1.3", "depth": 9, "stale_crls": "refuse", "session_reuse": True, "handshake_timeout": 10,
                    "curve_preferences": ["x25519", "secp256r1", "secp384r1", "secp521r1"]}
        assert {key: part["tls"][key] for key in left_out} == left_out and len(part["tls"]["cipher_suites"]) == 9, part
        assert (part["connect_timeout"], part["max_fails"], part["fail_timeout"]) == (5, 3, 10)
        written = {"min_version": "TLSv1.3", "max_version": "TLSv1.3", "depth": 0, "stale_crls": "accept", "session_reuse": False, "handshake_timeout": 2.5,
                   "curve_preferences": ["secp384r1"], "cipher_suites": ["TLS_AES_256_GCM_SHA384"], "system_ca": True}
        place.api.put("/v1/upstream_tls/origins", written).expect(200)
        part = place.resolve("main", "named.test").json["upstream"]["tls"]
        assert {key: part[key] for key in written} == written, part
        place.api.put("/v1/upstream_tls/origins", rows[0][2]).expect(200)
        part = place.resolve("main", "named.test").json["upstream"]["tls"]
        assert (part["id"], part["from"], part["verify"]) == ("origins", "route", "PERMISSIVE")
        assert part["sni"] == {"policy": "inbound", "name": "named.test"}
        assert part["verified_name"] == {"policy": "sni", "name": "named.test"}
        for fields, sni, verified in [
                ({"server_name": "sent.test"}, {"policy": "name", "name": "sent.test"}, {"policy": "sni", "name": "sent.test"}),
                ({"verify_name": "10.0.0.9"}, {"policy": "host", "name": None}, {"policy": "name", "name": "10.0.0.9"}),
                ({"server_name": "sent.test", "verify_name_policy": "host"}, {"policy": "name", "name": "sent.test"},
                 {"policy": "host", "name": None}),
                ({"verify_name_policy": "inbound"}, {"policy": "host", "name": None}, {"policy": "inbound", "name": "named.test"}),
                ({"allow": [{"dns": "x.test"}]}, {"policy": "host", "name": None}, None),
                ({"properties": "SIGNATURE"}, {"policy": "host", "name": None}, None),
                ({"verify": "DISABLED"}, {"policy": "host", "name": None}, None)]:
            place.api.put("/v1/upstream_tls/origins", fields).expect(200)
            part = place.resolve("main", "named.test").json["upstream"]["tls"]
            assert (part["sni"], part["verified_name"]) == (sni, verified), fields
        assert place.resolve("main", "www.shop.test").json["upstream"]["tls"] is None
    finally:
        place.api.apply(delete=[row[:2] for row in reversed(rows)]).expect(200)


def test_addresses_that_are_not_known(place):
    said = place.resolve("main", "far.shop.test").expect(200).json
    assert said["outcome"] == "terminate" and said["route"]["allow_clients"]["judged"] is False
    assert said["route"]["allow_clients"]["ranges"] == ["10.0.0.0/8"]
    for address, outcome in (("10.9.8.7", "terminate"), ("::ffff:10.9.8.7", "terminate"), ("11.0.0.1", "refuse"), ("::1", "refuse")):
        said = place.resolve("main", "far.shop.test", client_ip=address).expect(200).json
        assert (said["outcome"], said["route"]["allow_clients"]["judged"]) == (outcome, True), address


def test_names_that_are_none(place):
    for name in ("a b", "a,b.test", "a..b", "x" * 300, "b\u00fccher.test", "*.shop.test"):
        said = place.resolve("main", name).expect(200).json
        assert (said["outcome"], said["refusal"]["cause"], said["sni"]) == ("refuse", "sni", None), name
        assert said["refusal"]["alert"] == "unrecognized_name"
    for name in ("shop.test\r\nx: y", "\x1b[31m", "shop.test\0"):
        place.resolve("main", name).expect(400)
    said = place.resolve("main", "127.0.0.1").expect(200).json
    assert said["outcome"] == "terminate" and said["sni"] is None and "IP address" in said["sni_note"]
    assert place.resolve("main", "www.shop.test.").json["certificate"]["id"] == "exact"


def test_bad_questions(place):
    def ask(**query):
        return place.api.get("/v1/resolve", **query)
    agent = place.agent.id
    assert "agent" in ask(agent="nobody", listener="main").expect(404).json["detail"]
    assert "listener" in ask(agent=agent, listener="nothing").expect(404).json["detail"]
    assert "selector" in ask(agent=agent, listener="elsewhere").expect(404).json["detail"]
    assert "status" in ask(agent=agent, listener="off").expect(404).json["detail"]
    for bad in ({"listener": "main"}, {"agent": agent}, {}, {"agent": agent, "listener": "main", "snni": "x"},
                {"agent": agent, "listener": "main", "sni": ""}, {"agent": agent, "listener": "main", "client_ip": "10.0.0.0/8"},
                {"agent": agent, "listener": "main", "alpn": "h2,"}, {"agent": agent, "listener": "main", "alpn": ",".join("abcdefghijklmnopq")},
                {"agent": ".x", "listener": "main"}, {"agent": agent, "listener": "main", "limit": 5}):
        ask(**bad).expect(400)
    place.api.get("/v1/resolve", auth=False, agent=agent, listener="main").expect(401)
    place.api.post("/v1/resolve", {}).expect(405)


def test_other_agents_hold_other_things(place):
    other = place.world.agent(place.controlplane, name="other", labels={"site": "b"})
    query = {"agent": other.id, "sni": "www.shop.test"}
    said = place.api.get("/v1/resolve", listener="elsewhere", **query).expect(200).json
    assert said["certificate"]["id"] == "elsewhere"
    assert {"id": "exact", "why": "lower priority"} in said["certificate"]["losers"]
    assert all(loser["id"] != "off" for loser in said["certificate"]["losers"])
