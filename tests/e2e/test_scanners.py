# SPDX-License-Identifier: Apache-2.0
"""What others' tools find: GnuTLS as a client, nmap, testssl.sh and sslscan against the presets. `old` is there to be found fault with: what
its name intends stands below, word for word, and shows at the same time that the scanners look."""
import json
import re
import subprocess

import pytest

from harness import tls
from harness.net import PATIENCE, free_port
from harness.pki import Ca
from harness.world import ControlPlane, World

PRESETS = {"modern": ("TLSv1.3",), "intermediate": ("TLSv1.2", "TLSv1.3"), "old": ("TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
           "krakend": ("TLSv1.3",)}
SITE = "scan.test"  # RSA-2048 and P-256
SUITES13 = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]
SUITES12 = ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"]
SUITES10 = ["TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
            "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_AES_256_CBC_SHA"]
SUITES_OLD = ["TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", *SUITES10[:2],
              "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", *SUITES10[2:4],
              "TLS_RSA_WITH_AES_128_GCM_SHA256", "TLS_RSA_WITH_AES_256_GCM_SHA384", "TLS_RSA_WITH_AES_128_CBC_SHA256",
              "TLS_RSA_WITH_AES_256_CBC_SHA256", *SUITES10[4:]]


class Place:
    def __init__(self, world, folder):
        self.world, self.folder = world, folder
        controlplane = world.controlplane()
        agent = world.agent(controlplane, "--status-tls", "site")
        backend = world.backend()
        admin = ControlPlane(world, "admin")
        admin.start("--admin-tls")
        ca, self.clients = Ca("Scanned CA"), Ca("Scanned Clients")
        self.trust = folder / "ca.pem"
        self.trust.write_text(ca.cert_pem)
        self.p256, self.rsa = ca.issue(SITE), ca.issue(SITE, key="rsa2048")
        self.ports = {preset: free_port() for preset in PRESETS}
        site = {"certs": [self.rsa.cert_pem], "keys": [self.rsa.key_pem]}
        controlplane.api.apply(wait="acked", timeout=30, put=[
            ("upstreams", "web", {"nodes": {f"127.0.0.1:{backend.port}": 1}}), ("ssls", "site", self.p256.ssl(SITE, **site)),
            ("ssls", "closed", ca.issue("closed.test").ssl("closed.test", client={"ca": self.clients.cert_pem})),
            *(("listeners", preset, {"bind": f"127.0.0.1:{port}", "upstream": "web", "tls_options": preset})
              for preset, port in self.ports.items())]).expect(200)
        self.own = {"admin": admin.admin_port, "status": agent.status_port}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scanned")
    world = World(folder)
    try:
        yield Place(world, folder)
    finally:
        problems = world.close()
    assert not problems, "\n\n".join(problems)


# GnuTLS. ---------------------------------------------------------------------------------------------------------------

def gnutls(place, preset, version, *options, sni=SITE):
    """(did it get the backend's answer, all that was printed); the server is verified."""
    run = subprocess.run(["gnutls-cli", "--x509cafile", str(place.trust), "--sni-hostname", sni, "--verify-hostname", sni, "--priority",
                          f"NORMAL:-VERS-ALL:+VERS-TLS{version}", "--port", str(place.ports[preset]), *options, "127.0.0.1"],
                         timeout=30, input=tls.REQUEST, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    text = run.stdout.decode(errors="replace")
    return "HTTP/1.1 200 OK" in text and "backend" in text, text


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_gnutls(place, preset, version):
    passed, text = gnutls(place, preset, version)
    assert passed == (f"TLSv{version}" in PRESETS[preset]), text
    if passed:
        assert f"(TLS{version}-X.509)" in text and "The certificate is trusted" in text
    else:
        assert "Received alert [70]" in text


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_gnutls_client_certificate(place, version):
    def ask(name, pair):
        cert, key = pair.write(place.folder, f"{name}{version}")
        return gnutls(place, "intermediate", version, "--x509certfile", str(cert), "--x509keyfile", str(key), sni="closed.test")
    passed, text = ask("good", place.clients.issue(usage="client", common_name="good"))
    assert passed, text
    passed, text = ask("bad", Ca("Scanned Strangers").issue(usage="client", common_name="bad"))
    assert not passed and "Received alert" in text, text
    passed, text = gnutls(place, "intermediate", version, sni="closed.test")
    assert not passed and "Received alert" in text, text


# nmap. -----------------------------------------------------------------------------------------------------------------

def nmap(place, preset):
    """{version: [(suite, group or key, grade)]} in the server's order, and the whole text."""
    run = subprocess.run(["nmap", "-Pn", "-n", "--unprivileged", "-p", str(place.ports[preset]), "--script", "ssl-enum-ciphers,ssl-cert",
                          "--script-args", f"tls.servername={SITE}", "127.0.0.1"], capture_output=True, timeout=60, check=True)
    text, found, version = run.stdout.decode(), {}, None
    for line in text.splitlines():
        if head := re.fullmatch(r"\|   (TLSv[\d.]+|SSLv\d): ", line):
            version = found.setdefault(head.group(1), [])
        elif row := re.fullmatch(r"\|       (TLS_\w+) \((.+)\) - (\w)", line):
            version.append(row.groups())
    return found, text


@pytest.mark.parametrize("preset", PRESETS)
def test_nmap(place, preset):
    found, text = nmap(place, preset)
    wanted = {"TLSv1.3": [suite.replace("TLS_", "TLS_AKE_WITH_") for suite in SUITES13], "TLSv1.2": SUITES12 + SUITES_OLD * (preset == "old"),
              "TLSv1.1": SUITES10, "TLSv1.0": SUITES10}
    assert {version: [row[0] for row in rows] for version, rows in found.items()} == {version: wanted[version] for version in PRESETS[preset]}, text
    assert {grade for rows in found.values() for _, _, grade in rows} == {"A"} and "least strength: A" in text
    assert {group for rows in found.values() for _, group, _ in rows} <= {"secp521r1" if preset == "krakend" else "ecdh_x25519", "rsa 2048"}
    assert text.count("cipher preference: server") == len(PRESETS[preset])
    assert set(re.findall(r"compressors: \n\|       (\w+)", text)) <= {"NULL"} and "warnings" not in text
    assert f"Subject: commonName={SITE}" in text and "Issuer: commonName=Scanned CA" in text


# testssl.sh. -----------------------------------------------------------------------------------------------------------

# All that is above "OK" and "INFO". `old` keeps TLS 1.0 and 1.1 (so CBC with chained IVs: BEAST) and CBC suites in 1.2 (LUCKY13, which
# OpenSSL answers in constant time; the tool judges by the suite alone).
INTENDED = {
    "modern": {}, "intermediate": {}, "krakend": {},
    "old": {"TLS1": "LOW", "TLS1_1": "LOW", "BEAST_CBC_TLS1": "MEDIUM", "BEAST": "LOW", "LUCKY13": "LOW"},
}
# Says that Debian's openssl has no RC4 to ask with; nmap above asks with its own.
UNABLE = {"RC4": "WARN"}
ASKED = {"SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2", "TLS1_3", "PFS", "heartbleed", "CCS", "ticketbleed", "ROBOT", "secure_renego",
         "secure_client_renego", "CRIME_TLS", "BREACH", "POODLE_SSL", "fallback_SCSV", "FREAK", "DROWN", "LOGJAM", "BEAST", "LUCKY13", "RC4"}


@pytest.fixture(scope="module")
def testssl(place):
    """All at once: it waits more than it works. The findings by preset, and by our own ports."""
    runs = {}
    for name, port in (place.ports | place.own).items():
        argv = ["testssl", "--quiet", "--fast", "--color", "0", "--warnings", "off", "--nodns", "none", "--connect-timeout", "20",
                "--openssl-timeout", "20", "--jsonfile", str(place.folder / f"{name}.json"), "--ip", "127.0.0.1",
                "--protocols", "--vulnerable", "--pfs", f"{SITE}:{port}"]
        sink = open(place.folder / f"{name}.out", "wb")
        runs[name] = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, cwd=place.folder), sink
    try:
        for run, _ in runs.values():
            run.wait(timeout=200 * PATIENCE)
    finally:
        for run, sink in runs.values():
            run.kill()
            run.wait()
            sink.close()
    return {name: json.loads((place.folder / f"{name}.json").read_text()) for name in runs}


@pytest.mark.parametrize("preset", PRESETS)
def test_testssl(testssl, preset):
    rows = testssl[preset]
    severe = {row["id"]: row["severity"] for row in rows if row["severity"] not in ("OK", "INFO")}
    assert {key: value for key, value in severe.items() if UNABLE.get(key) != value} == INTENDED[preset], [row for row in rows if row["id"] in severe]
    told = {row["id"]: row["finding"] for row in rows}
    assert ASKED <= set(told), ASKED - set(told)
    for name, key in (("TLSv1.0", "TLS1"), ("TLSv1.1", "TLS1_1"), ("TLSv1.2", "TLS1_2"), ("TLSv1.3", "TLS1_3")):
        assert told[key].startswith("offered") == (name in PRESETS[preset]), (key, told[key])
    groups = ["prime256v1", "secp384r1", "secp521r1", "X25519"][:3 if preset == "krakend" else 4]
    assert told["PFS_ECDHE_curves"].split() == groups


@pytest.mark.parametrize("name", ["admin", "status"])
def test_testssl_own_ports(testssl, name):
    """The admin API and an agent's status page. To the channel the tool gets no handshake at all: it does not say the protocol's ALPN."""
    told = {row["id"]: row["finding"] for row in testssl[name]}
    severe = {row["id"]: (row["severity"], row["finding"]) for row in testssl[name] if row["severity"] not in ("OK", "INFO")}
    assert {key: value for key, value in severe.items() if UNABLE.get(key) != value[0]} == {}
    assert {"TLS1", "TLS1_2", "TLS1_3", "heartbleed", "CCS", "secure_client_renego", "ROBOT"} <= set(told)
    offered = {key for key in ("SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2", "TLS1_3") if told[key].startswith("offered")}
    assert offered == {"TLS1_2", "TLS1_3"}, told


# sslscan. --------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("preset", PRESETS)
def test_sslscan(place, preset):
    """Versions, suites and the absence of what it warns of; the whole output of `krakend` is held against the seed's in test_parameters.py."""
    run = subprocess.run(["sslscan", "--no-colour", "--ipv4", f"--sni-name={SITE}", f"127.0.0.1:{place.ports[preset]}"],
                         capture_output=True, timeout=60, check=True)
    text = run.stdout.decode()
    assert tuple(sorted(re.findall(r"^(\w+v[\d.]+) +enabled$", text, re.M))) == PRESETS[preset], text
    assert len(re.findall(r"^(?:SSL|TLS)v[\d.]+ +disabled$", text, re.M)) == 6 - len(PRESETS[preset])
    assert len(re.findall(r"not vulnerable to heartbleed$", text, re.M)) == len(PRESETS[preset]) and "Server supports TLS Fallback SCSV" in text
    suites = re.findall(r"^(?:Preferred|Accepted) +(TLSv[\d.]+) ", text, re.M)
    sizes = {"TLSv1.3": len(SUITES13), "TLSv1.2": len(SUITES12) + len(SUITES_OLD) * (preset == "old"), "TLSv1.1": len(SUITES10),
             "TLSv1.0": len(SUITES10)}
    assert {version: suites.count(version) for version in suites} == {version: sizes[version] for version in PRESETS[preset]}, text
    assert "Insecure session renegotiation" not in text and "Compression enabled" not in text
