# SPDX-License-Identifier: Apache-2.0
"""Versions, suites, groups, ALPN: what is written, under any spelling, is what `openssl s_client` and sslscan then find, neither less
nor more."""
import itertools
import re
import subprocess

import pytest

from harness import resume
from harness.names import Names
from harness.net import free_port

ALERT_HANDSHAKE_FAILURE, ALERT_PROTOCOL_VERSION, ALERT_NO_APPLICATION_PROTOCOL = 40, 70, 120
VERSIONS = {  # canonical: all spellings
    "TLSv1.0": ("TLSv1.0", "TLSv1", "VersionTLS10", "TLS10", "1.0", "tlsv1_0"),
    "TLSv1.1": ("TLSv1.1", "VersionTLS11", "TLS11", "1.1", "TLSv1_1", "versiontls11"),
    "TLSv1.2": ("TLSv1.2", "VersionTLS12", "TLS12", "1.2", "TLSv1_2", "tls12"),
    "TLSv1.3": ("TLSv1.3", "VersionTLS13", "TLS13", "1.3", "TLSv1_3", "TLSV1.3"),
}
CLIENT = {"TLSv1.0": ("-tls1", "-cipher", "DEFAULT@SECLEVEL=0"), "TLSv1.1": ("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"),
          "TLSv1.2": ("-tls1_2",), "TLSv1.3": ("-tls1_3",)}
SUITES = {  # IANA: OpenSSL, code
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": ("ECDHE-ECDSA-AES128-GCM-SHA256", 49195),
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": ("ECDHE-RSA-AES128-GCM-SHA256", 49199),
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": ("ECDHE-ECDSA-AES256-GCM-SHA384", 49196),
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": ("ECDHE-RSA-AES256-GCM-SHA384", 49200),
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": ("ECDHE-ECDSA-CHACHA20-POLY1305", 52393),
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": ("ECDHE-RSA-CHACHA20-POLY1305", 52392),
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": ("ECDHE-ECDSA-AES128-SHA", 49161),
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": ("ECDHE-ECDSA-AES256-SHA", 49162),
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": ("ECDHE-RSA-AES128-SHA", 49171),
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": ("ECDHE-RSA-AES256-SHA", 49172),
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256": ("ECDHE-ECDSA-AES128-SHA256", 49187),
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384": ("ECDHE-ECDSA-AES256-SHA384", 49188),
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256": ("ECDHE-RSA-AES128-SHA256", 49191),
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384": ("ECDHE-RSA-AES256-SHA384", 49192),
    "TLS_RSA_WITH_AES_128_GCM_SHA256": ("AES128-GCM-SHA256", 156),
    "TLS_RSA_WITH_AES_256_GCM_SHA384": ("AES256-GCM-SHA384", 157),
    "TLS_RSA_WITH_AES_128_CBC_SHA": ("AES128-SHA", 47),
    "TLS_RSA_WITH_AES_256_CBC_SHA": ("AES256-SHA", 53),
    "TLS_RSA_WITH_AES_128_CBC_SHA256": ("AES128-SHA256", 60),
    "TLS_RSA_WITH_AES_256_CBC_SHA256": ("AES256-SHA256", 61),
}
TRUNCATED = {f"TLS_ECDHE_{key}_WITH_CHACHA20_POLY1305": f"TLS_ECDHE_{key}_WITH_CHACHA20_POLY1305_SHA256" for key in ("RSA", "ECDSA")}
SUITES13 = {"TLS_AES_128_GCM_SHA256": 4865, "TLS_AES_256_GCM_SHA384": 4866, "TLS_CHACHA20_POLY1305_SHA256": 4867}
GROUPS = {  # IANA: what s_client calls it, all spellings; the first of them is s_client's own
    "x25519": ("X25519", ("X25519", "x25519", 29)),
    "secp256r1": ("prime256v1", ("P-256", "secp256r1", "CurveP256", "P256", "prime256v1", 23)),
    "secp384r1": ("secp384r1", ("P-384", "secp384r1", "CurveP384", "P384", 24)),
    "secp521r1": ("secp521r1", ("P-521", "secp521r1", "CurveP521", "P521", 25)),
    "x448": ("X448", ("X448", "x448", 30)),
}


@pytest.fixture(scope="module")
def names(shared, ca):
    return Names(shared, ca)


def refuses(names, options, code, pointer, *words):
    """These options are refused with this error among others, which says these words; nothing is stored."""
    answer = names.api.put("/v1/tls_options/refused", options).expect(422)
    assert (code, pointer) in zip(answer.codes, answer.pointers), answer
    detail = next(error["detail"] for error in answer.json["errors"] if error["pointer"] == pointer)
    assert all(word in detail for word in words), detail
    names.api.get("/v1/tls_options/refused").expect(404)


# Versions. -------------------------------------------------------------------------------------------------------------

def test_versions(names):
    """Every range of versions, in spellings that take turns; each client of the range gets its version, all others an alert."""
    canonical = list(VERSIONS)
    ranges = [(low, high) for low in range(4) for high in range(low, 4)]
    suites = ["TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"]
    suites_of = {(low, high): [suites[0]] * (low < 3) + [suites[1]] * (low <= 2 <= high) + [suites[2]] * (high == 3) for low, high in ranges}
    made = names.put(*({"min_version": VERSIONS[canonical[low]][(low + high) % 6], "cipher_suites": suites_of[low, high],
                        "max_version": VERSIONS[canonical[high]][(low + 2 * high) % 6]} for low, high in ranges))
    for name, (low, high) in zip(made, ranges):
        stored, said = names.stored(name), names.resolve(name)["options"]
        assert (stored["min_version"], stored["max_version"]) == (canonical[low], canonical[high])
        assert (said["min_version"], said["max_version"]) == (canonical[low], canonical[high])
        assert ("old-version" in [row["code"] for row in stored["warnings"]]) == (low < 2)
        for version, options in CLIENT.items():
            seen = names.ask(name, *options)
            if low <= canonical.index(version) <= high:
                assert seen.body == "backend" and seen.version == ("TLSv1" if version == "TLSv1.0" else version), (name, seen)
            else:
                assert (seen.body, seen.version) == (None, None), (name, seen)
                if low > canonical.index(version) or version == "TLSv1.3":  # else the client may choose lower, and it is it that ends
                    assert seen.alert == ALERT_PROTOCOL_VERSION, (name, seen)


def test_version_spellings(names):
    for canonical, spellings in VERSIONS.items():
        for spelling in spellings:
            names.api.put("/v1/tls_options/spelled", {"min_version": spelling, "cipher_suites": [47, 49171, 49161, 49199, 49195, 4865]})\
                .expect(200, 201)
            assert names.stored("spelled")["min_version"] == canonical, spelling


def test_security_level_is_lowered_for_one_profile_alone(names):
    """A signature with SHA-1 is below OpenSSL's level 1: a name that admits TLS 1.0 makes one, its neighbour never."""
    old, new = names.put({"min_version": "TLSv1.0", "max_version": "TLSv1.2", "cipher_suites": [49171, 49199]}, {"min_version": "TLSv1.2"},
                         pair=names.rsa)
    client = ("-tls1_2", "-cipher", "DEFAULT@SECLEVEL=0", "-sigalgs", "RSA+SHA1")
    assert names.ask(old, *client).body == "backend"
    assert names.ask(new, *client).alert == ALERT_HANDSHAKE_FAILURE


def test_defaults(names):
    """TLS 1.3 alone; an object named `default` replaces that for whoever names none, and goes again."""
    names.api.put_acked("/v1/ssls/bare", names.both("bare.test"))
    assert names.resolve("bare.test")["options"]["id"] == "modern"
    assert names.ask("bare.test", "-tls1_2").alert == ALERT_PROTOCOL_VERSION
    try:
        names.api.put_acked("/v1/tls_options/default", {"min_version": "TLSv1.2", "max_version": "TLSv1.2"})
        assert names.resolve("bare.test")["options"]["id"] == "default"
        assert names.ask("bare.test", "-tls1_2").body == "backend"
        assert names.ask("bare.test", "-tls1_3").alert == ALERT_PROTOCOL_VERSION
    finally:
        names.api.delete("/v1/tls_options/default", wait="acked", timeout=30).expect(200)
    assert names.ask("bare.test", "-tls1_2").alert == ALERT_PROTOCOL_VERSION


def test_unknown_values(names):
    for field, value in itertools.product(("min_version", "max_version"), ("SSLv3", "TLSv1.4", "1.20", "", "TLS", "0x0303")):
        refuses(names, {field: value}, "unknown-version", f"/{field}")
    for field, code, values in (("cipher_suites", "unknown-cipher-suite", ("TLS_RSA_WITH_NULL_SHA", "HIGH", "DEFAULT:!MD5", 0, 65535, 65536, -1)),
                                ("curve_preferences", "unknown-group", ("secp256k1", "brainpoolP256r1", "P-257", "X25519:P-256", 0, 1, 65536, -23))):
        for value in values:
            refuses(names, {"min_version": "TLSv1.2", field: ["x25519" if "curve" in field else 49199, value]}, code, f"/{field}/1")
    for field, value in itertools.product(("cipher_suites", "curve_preferences"), (True, 1.5, None, {}, [])):
        refuses(names, {field: [value]}, "wrong-type", f"/{field}/0")
    for field in ("cipher_suites", "curve_preferences"):
        refuses(names, {field: []}, "out-of-range", f"/{field}")
        refuses(names, {field: "x25519"}, "wrong-type", f"/{field}")
    refuses(names, {"curve_preferences": ["x25519", "P-256", "CurveP256"]}, "duplicate", "/curve_preferences/2", "secp256r1")
    refuses(names, {"min_version": "1.2", "cipher_suites": [49199, "ECDHE-RSA-AES128-GCM-SHA256"]}, "duplicate", "/cipher_suites/1")
    refuses(names, {"alpn_protocols": ["h2", ""]}, "out-of-range", "/alpn_protocols/1")
    refuses(names, {"ciphers": "ALL"}, "unknown-field", "/ciphers")


# Per name. -------------------------------------------------------------------------------------------------------------

def test_options_per_name(names):
    """One port; each name has its own versions, suites, groups and ALPN, whole."""
    only12, only13, suite, group, alpn = names.put(
        {"min_version": "1.2", "max_version": "1.2"}, {}, {"min_version": "1.2", "cipher_suites": [49195, 4866]},
        {"min_version": "1.2", "curve_preferences": ["P-256", "P-521"]}, {"min_version": "1.2", "alpn_protocols": ["h2"]})
    for name, version, ok in ((only12, "TLSv1.2", True), (only12, "TLSv1.3", False), (only13, "TLSv1.2", False), (only13, "TLSv1.3", True)):
        assert (names.ask(name, *CLIENT[version]).body == "backend") == ok, (name, version)
    assert [names.ask(suite, option).cipher for option in ("-tls1_2", "-tls1_3")] == ["ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_AES_256_GCM_SHA384"]
    assert names.ask(only12, "-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384").body == "backend"
    for option in ("-tls1_2", "-tls1_3"):
        assert "secp521r1" in names.ask(group, option, "-groups", "X25519:P-521").group
        assert "X25519" in names.ask(alpn, option, "-groups", "X25519:P-521").group
        assert names.ask(alpn, option, "-alpn", "h2").alpn == "h2" and names.ask(group, option, "-alpn", "h2").alpn is None


def test_options_of_a_route(names):
    """A route's options hold for the names of its pattern; an SSL object's own beat them."""
    own, = names.put({"min_version": "1.2", "max_version": "1.2"})
    domain = own.removesuffix(".test")
    rows = [("tls_options", "of-route", {"min_version": "1.2", "cipher_suites": [4867, 52393]}),
            ("routes", "of-route", {"snis": [f"**.{domain}.org", own], "tls_options": "of-route"}),
            ("ssls", "of-route", names.both(f"*.{domain}.org", f"{domain}.org"))]
    names.api.apply(put=rows, wait="acked", timeout=30).expect(200)
    assert names.ask(f"a.{domain}.org", "-tls1_2").cipher == "ECDHE-ECDSA-CHACHA20-POLY1305"
    assert names.ask(f"a.{domain}.org", "-tls1_3").cipher == "TLS_CHACHA20_POLY1305_SHA256"
    assert names.resolve(f"a.{domain}.org")["options"]["from"] == "route"
    assert names.ask(f"{domain}.org", "-tls1_2").alert == ALERT_PROTOCOL_VERSION  # ** never stands for nothing
    assert names.ask(own, "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256").body == "backend"


def test_ssl_protocols_narrow(names):
    names.api.put_acked("/v1/tls_options/wide", {"min_version": "1.2"})
    for value, versions in ((["TLSv1.2"], {"TLSv1.2"}), (["1.3"], {"TLSv1.3"}), (["TLSv1.1", "TLS12"], {"TLSv1.2"}),
                            (["TLSv1.2", "VersionTLS13"], {"TLSv1.2", "TLSv1.3"})):
        names.api.put_acked("/v1/ssls/narrow", names.both("narrow.test", tls_options="wide", ssl_protocols=value))
        for version in ("TLSv1.2", "TLSv1.3"):
            seen = names.ask("narrow.test", *CLIENT[version])
            assert (seen.body, seen.alert) == (("backend", None) if version in versions else (None, ALERT_PROTOCOL_VERSION)), (value, seen)
    answer = names.api.put("/v1/ssls/narrow", names.both("narrow.test", tls_options="wide", ssl_protocols=["TLSv1.1"])).expect(422)
    assert (answer.codes, answer.pointers) == (["no-common-version"], ["/ssl_protocols"])


# Suites. ---------------------------------------------------------------------------------------------------------------

def test_suite_spellings(names):
    """Each suite alone, in a spelling of its own: a client that offers everything gets it, one that offers all others gets nothing."""
    spelled = [((iana, openssl, code, iana.lower())[number % 4], iana) for number, (iana, (openssl, code)) in enumerate(SUITES.items())]
    spelled += [(code, iana) for iana, (_, code) in SUITES.items()] + list(TRUNCATED.items())
    made = names.put(*({"min_version": "1.2", "max_version": "1.2", "cipher_suites": [spelling]} for spelling, _ in spelled))
    everything = ":".join(openssl for openssl, _ in SUITES.values())
    for number, (name, (spelling, iana)) in enumerate(zip(made, spelled)):
        assert names.stored(name)["cipher_suites"] == names.resolve(name)["options"]["cipher_suites"] == [iana], spelling
        seen = names.ask(name, "-tls1_2", "-cipher", f"{everything}:@SECLEVEL=0")
        assert (seen.body, seen.cipher) == ("backend", SUITES[iana][0]), (spelling, seen)
        if number < len(SUITES):
            seen = names.ask(name, "-tls1_2", "-cipher", f"ALL:!{SUITES[iana][0]}:@SECLEVEL=0")
            assert (seen.body, seen.alert) == (None, ALERT_HANDSHAKE_FAILURE), (spelling, seen)


def test_tls13_suites(names):
    """Alone and in every order; the list is enforced, and a list without any leaves TLS 1.3 its three, with a warning."""
    orders = list(itertools.permutations(SUITES13))
    single = [[spelling] for iana, code in SUITES13.items() for spelling in (iana, code)]
    made = names.put(*({"cipher_suites": row} for row in single), *({"cipher_suites": list(row)} for row in orders),
                     {"min_version": "1.2", "cipher_suites": [49195]})
    for name, row in zip(made, single):
        only = names.stored(name)["cipher_suites"][0]
        assert names.ask(name, "-tls1_3").cipher == only, row
        others = ":".join(suite for suite in SUITES13 if suite != only)
        assert names.ask(name, "-tls1_3", "-ciphersuites", others).alert == ALERT_HANDSHAKE_FAILURE, row
    for name, row in zip(made[len(single):], orders):
        assert names.ask(name, "-tls1_3", "-ciphersuites", ":".join(SUITES13)).cipher == row[0]
        assert names.ask(name, "-tls1_3", "-ciphersuites", ":".join([row[2], row[1]])).cipher == row[1]
    assert [row["code"] for row in names.stored(made[-1])["warnings"]] == ["default-cipher-suites"]
    for suite in SUITES13:
        assert names.ask(made[-1], "-tls1_3", "-ciphersuites", suite).cipher == suite


def test_lacking_suites(names):
    """Refused by name, with the reason and what to use."""
    for reason, spellings in (("RC4", (5, 49159, 49169, "TLS_RSA_WITH_RC4_128_SHA", "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA", "RC4-SHA",
                                       "TLS_ECDHE_RSA_WITH_RC4_128_SHA", "ECDHE-RSA-RC4-SHA")),
                              ("3DES", (10, 49170, "TLS_RSA_WITH_3DES_EDE_CBC_SHA", "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", "DES-CBC3-SHA")),
                              ("ECDHE suite", (51, 158, 0x9F, 0xCCAA, "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", "DHE-RSA-AES256-GCM-SHA384",
                                               "DHE-RSA-CHACHA20-POLY1305", "TLS_DHE_RSA_WITH_AES_256_CBC_SHA"))):
        for spelling in spellings:
            refuses(names, {"min_version": "1.2", "cipher_suites": [49199, spelling]}, "unsupported-cipher-suite", "/cipher_suites/1", reason, "use ")


# Groups. ---------------------------------------------------------------------------------------------------------------

def test_group_spellings(names):
    """Each group alone, in every spelling: also when the client's first key share is another's (HelloRetryRequest)."""
    rows = [(iana, shown, spelling) for iana, (shown, spellings) in GROUPS.items() for spelling in spellings]
    made = names.put(*({"min_version": "1.2", "curve_preferences": [spelling]} for _, _, spelling in rows), pair=names.rsa)
    clients = {iana: spellings[0] for iana, (_, spellings) in GROUPS.items()}
    tried = set()
    for name, (iana, shown, spelling) in zip(made, rows):
        assert names.stored(name)["curve_preferences"] == names.resolve(name)["options"]["curve_preferences"] == [iana], spelling
        first = iana not in tried
        if not first and isinstance(spelling, str):
            continue  # the same bytes on the agent; an integer and one name of each are shown live
        tried.add(iana)
        others = [client for other, client in clients.items() if other != iana]
        for version in ("-tls1_2", "-tls1_3"):
            seen = names.ask(name, version, "-groups", ":".join([*others, clients[iana]]))
            assert seen.body == "backend" and shown in seen.group, (spelling, seen)
            if first:
                assert names.ask(name, version, "-groups", ":".join(others)).alert == ALERT_HANDSHAKE_FAILURE, (spelling, version)


def test_finite_field_groups(names):
    """Of RFC 7919, in TLS 1.3 alone."""
    name, = names.put({"curve_preferences": ["ffdhe2048", "ffdhe3072"]})
    assert "3072 bits" in names.ask(name, "-tls1_3", "-groups", "ffdhe3072").group
    assert names.ask(name, "-tls1_3", "-groups", "ffdhe4096").alert == ALERT_HANDSHAKE_FAILURE
    refuses(names, {"min_version": "1.2", "curve_preferences": ["ffdhe2048"]}, "impossible-combination", "/curve_preferences", "TLSv1.2")


def test_lacking_groups(names):
    for spelling in ("X25519MLKEM768", "x25519mlkem768", 4588, "SecP256r1MLKEM768", 4587, "SecP384r1MLKEM1024", 4589):
        refuses(names, {"curve_preferences": ["x25519", spelling]}, "unsupported-group", "/curve_preferences/1", "OpenSSL 3.5", "use x25519")


# Order and ALPN. -------------------------------------------------------------------------------------------------------

def test_preference(names):
    """The server's order unless switched off, in TLS 1.2 and 1.3."""
    row = {"min_version": "1.2", "cipher_suites": ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256", 4867, 4865]}
    unset, on, off = names.put(row, {**row, "prefer_server_ciphers": True}, {**row, "prefer_server_ciphers": False})
    client12 = ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384")
    client13 = ("-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256")
    for name, server in ((unset, True), (on, True), (off, False)):
        assert names.resolve(name)["options"]["prefer_server_ciphers"] is server
        assert names.ask(name, *client12).cipher == f"ECDHE-ECDSA-AES{256 if server else 128}-GCM-SHA{384 if server else 256}"
        assert names.ask(name, *client13).cipher == ("TLS_CHACHA20_POLY1305_SHA256" if server else "TLS_AES_128_GCM_SHA256")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_alpn(names, version):
    """The server's order. Nothing in common ends the handshake before a byte of the application (ALPACA, RFC 7301 3.2)."""
    both, none, odd = names.put({"min_version": "1.2", "alpn_protocols": ["h2", "http/1.1"]}, {"min_version": "1.2"},
                                {"min_version": "1.2", "alpn_protocols": ["x" * 255, "acme-tls/1"]})
    assert names.ask(both, version, "-alpn", "http/1.1,h2").alpn == "h2"
    assert names.ask(both, version, "-alpn", "spdy/3,http/1.1").alpn == "http/1.1"
    assert names.ask(odd, version, "-alpn", f"h2,acme-tls/1,{'x' * 255}").alpn == "x" * 255
    for name, offer in ((both, "ftp"), (both, "smtp,imap,h2c,H2"), (odd, "h2,acme-tls"), (odd, "x" * 254)):
        before = names.shared.backend.accepted
        seen = names.ask(name, version, "-alpn", offer)
        assert (seen.alert, seen.body) == (ALERT_NO_APPLICATION_PROTOCOL, None), (offer, seen)
        assert names.shared.backend.accepted == before
    silent = names.ask(both, version)
    assert (silent.alpn, silent.body) == (None, "backend")
    promised = names.ask(none, version, "-alpn", "h2,http/1.1")  # a relay that was not told what is behind it promises nothing
    assert (promised.alpn, promised.body) == (None, "backend")


# What can never work is found when it is written. ----------------------------------------------------------------------

IMPOSSIBLE = [
    ({"min_version": "1.3", "max_version": "1.2"}, "/min_version"),
    ({"max_version": "1.2"}, "/min_version"),  # min_version is 1.3 unless set
    ({"min_version": "1.2", "max_version": "1.2", "cipher_suites": ["TLS_AES_128_GCM_SHA256"]}, "/cipher_suites"),
    ({"min_version": "1.2", "cipher_suites": ["TLS_AES_128_GCM_SHA256"]}, "/cipher_suites"),
    ({"min_version": "1.3", "cipher_suites": ["ECDHE-RSA-AES128-GCM-SHA256"]}, "/cipher_suites"),
    ({"min_version": "1.0", "max_version": "1.1", "cipher_suites": ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA256"]}, "/cipher_suites"),
    ({"min_version": "1.0"}, "/cipher_suites"),
    ({"min_version": "1.1", "max_version": "1.2", "curve_preferences": ["ffdhe2048"], "cipher_suites": [49171]}, "/curve_preferences"),
]


@pytest.mark.parametrize("options,pointer", IMPOSSIBLE)
def test_impossible_options(names, options, pointer):
    refuses(names, options, "impossible-combination", pointer)


def test_impossible_with_the_certificate(names, ca):
    """The options are sound and so is the certificate, but not together: refused from either side."""
    cases = (
        ("p256", {"curve_preferences": ["X25519"]}, "curve-not-listed"),
        ("p384", {"curve_preferences": ["X25519", "P-256"]}, "curve-not-listed"),
        ("p256", {"cipher_suites": ["ECDHE-RSA-AES128-GCM-SHA256"]}, "no-common-suite"),
        ("ed25519", {"cipher_suites": ["AES128-SHA", "ECDHE-RSA-AES128-GCM-SHA256"]}, "no-common-suite"),
        ("rsa2048", {"cipher_suites": ["ECDHE-ECDSA-AES128-GCM-SHA256"]}, "no-common-suite"),
    )
    for number, (key, options, code) in enumerate(cases):
        options = {"min_version": "1.2", "max_version": "1.2", **options}
        site, path = ca.issue("fits.test", key=key).ssl("fits.test"), f"/v1/tls_options/fit{number}"
        names.api.put(path, options).expect(201)
        answer = names.api.put("/v1/ssls/fits", {**site, "tls_options": f"fit{number}"}).expect(422)
        assert (answer.codes, answer.pointers) == ([code], ["/cert"]), (key, options, answer)
        # Up to 1.3 something works: accepted, and warned about which version does not.
        names.api.put(path, {**options, "max_version": "1.3"}).expect(200)
        told = names.api.put("/v1/ssls/fits", {**site, "tls_options": f"fit{number}"}).expect(200, 201).json["warnings"]
        assert code in [row["code"] for row in told] and "TLSv1.2" in str(told), told
        assert names.api.put(path, options).expect(422).codes == [code]
        names.api.delete("/v1/ssls/fits").expect(200)


def test_what_was_called_impossible_is(names):
    """P-256 under groups of X25519 alone: the clients of which the warning speaks fail, and with RSA they don't."""
    row = {"min_version": "1.2", "curve_preferences": ["X25519"]}
    ecdsa, = names.put(row, pair=names.p256)
    rsa, = names.put(row, pair=names.rsa)
    client = ("-groups", "X25519")
    assert names.ask(ecdsa, "-tls1_2", *client).alert == ALERT_HANDSHAKE_FAILURE
    assert names.ask(ecdsa, "-tls1_3", *client).body == names.ask(rsa, "-tls1_2", *client).body == "backend"
    assert "X25519" in names.ask(ecdsa, "-tls1_2").group  # the certificate's curve is among those that this client offers


# 0-RTT. ----------------------------------------------------------------------------------------------------------------

def with_early_data(pem, size=16384):
    """A session as s_client wrote it, changed to say that the server takes early data: [15] of OpenSSL's SSL_SESSION; the group, [19], follows."""
    run = subprocess.run(["openssl", "sess_id", "-in", str(pem), "-outform", "DER"], capture_output=True, check=True)
    group = run.stdout[-5:]
    assert run.stdout[:2] == b"\x30\x82" and group[:4] == b"\xb3\x03\x02\x01"
    body = run.stdout[4:-5] + b"\xaf\x04\x02\x02" + size.to_bytes(2, "big") + group
    changed = pem.with_suffix(".early.der")
    changed.write_bytes(b"\x30\x82" + len(body).to_bytes(2, "big") + body)
    run = subprocess.run(["openssl", "sess_id", "-inform", "DER", "-in", str(changed)], capture_output=True, check=True)
    pem.with_suffix(".early").write_bytes(run.stdout)
    return pem.with_suffix(".early")


def test_no_early_data(names, tmp_path):
    """No ticket invites to it; a client that sends it all the same has it skipped, and is answered for what came after the handshake alone."""
    name, = names.put({"min_version": "1.2"})
    session, early = tmp_path / "session", tmp_path / "early"
    early.write_bytes(b"GET /early HTTP/1.1\r\nHost: early\r\nConnection: close\r\n\r\n")
    resume.wait_for_keys(names.port, name, session)
    seen = names.ask(name, "-tls1_3", "-sess_out", str(session))
    assert seen.body == "backend" and "Max Early Data: 0" in seen.text, seen
    before = names.shared.backend.accepted
    again = names.ask(name, "-tls1_3", "-sess_in", str(with_early_data(session)), "-early_data", str(early))
    assert "Early data was rejected" in again.text, again
    assert again.body == "backend" and again.text.count("HTTP/1.1 200 OK") == 1, again
    assert names.shared.backend.accepted == before + 1


# The presets. ----------------------------------------------------------------------------------------------------------

# What sslscan prints of KrakenD's defaults, from the seed's page.
KRAKEND = """\
  SSL/TLS Protocols:
SSLv2     disabled
SSLv3     disabled
TLSv1.0   disabled
TLSv1.1   disabled
TLSv1.2   disabled
TLSv1.3   enabled

  TLS Fallback SCSV:
Server supports TLS Fallback SCSV

  TLS renegotiation:
Session renegotiation not supported

  TLS Compression:
Compression disabled

  Heartbleed:
TLSv1.3 not vulnerable to heartbleed

  Supported Server Cipher(s):
Preferred TLSv1.3  128 bits  TLS_AES_128_GCM_SHA256        Curve P-521 DHE 521
Accepted  TLSv1.3  256 bits  TLS_AES_256_GCM_SHA384        Curve P-521 DHE 521
Accepted  TLSv1.3  256 bits  TLS_CHACHA20_POLY1305_SHA256  Curve P-521 DHE 521

  Server Key Exchange Group(s):
TLSv1.3  128 bits  secp256r1 (NIST P-256)
TLSv1.3  192 bits  secp384r1 (NIST P-384)
TLSv1.3  260 bits  secp521r1 (NIST P-521)

  SSL Certificate:
Signature Algorithm: sha256WithRSAEncryption
RSA Key Strength:    2048

Subject:  localhost
Issuer:   localhost
"""
# Debian's sslscan is built with an OpenSSL without zlib: it can't ask. test_scanners.py does (testssl.sh: CRIME).
NO_ZLIB = "OpenSSL version does not support compression\nRebuild with zlib1g-dev package for zlib support\n"


def test_krakend_golden(names, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subject = "/C=US/ST=California/L=Mountain View/O=Your Organization/OU=Your Unit/CN=localhost"
    subprocess.run(["openssl", "req", "-newkey", "rsa:2048", "-new", "-nodes", "-x509", "-days", "365", "-out", str(cert), "-keyout", str(key),
                    "-subj", subject], capture_output=True, check=True)
    port = free_port()
    names.api.apply(wait="acked", timeout=30, put=[
        ("ssls", "localhost", {"sni": "localhost", "cert": cert.read_text(), "key": key.read_text()}),
        ("listeners", "krakend", {"bind": f"127.0.0.1:{port}", "upstream": names.listener, "tls_options": "krakend"})]).expect(200)
    run = subprocess.run(["sslscan", "--no-colour", "--ipv4", f"localhost:{port}"], capture_output=True, timeout=60, check=True)
    text = run.stdout.decode()
    found = text[text.index("  SSL/TLS Protocols:"):text.index("\nNot valid before:")]
    assert found.replace(NO_ZLIB, "Compression disabled\n") == KRAKEND
    assert re.search(r"^Testing SSL server localhost on port \d+ using SNI name localhost$", text, re.M)


def test_presets_are_objects(names):
    """Read like any other, never written."""
    for preset, low in (("modern", "TLSv1.3"), ("intermediate", "TLSv1.2"), ("old", "TLSv1.0"), ("krakend", "TLSv1.3")):
        stored = names.stored(preset)
        assert (stored["min_version"], stored["max_version"], stored["builtin"]) == (low, "TLSv1.3", True)
        names.api.put(f"/v1/tls_options/{preset}", {"min_version": "1.2"}).expect(409)
        names.api.delete(f"/v1/tls_options/{preset}").expect(409)
        assert names.stored(preset) == stored
