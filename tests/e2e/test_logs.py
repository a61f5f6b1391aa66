# SPDX-License-Identifier: Apache-2.0
"""What the agent says of handshakes: the lines at debug in NATS's form, and why a handshake failed, which deploy/features.md maps to what KrakenD
says. Whatever a peer sends stays within its line."""
import json
import pathlib
import re
import socket
import struct
import subprocess
import time

import pytest

from harness import resume, tls
from harness.daemon import fields
from harness.net import eventually, free_port
from harness.pki import Ca
from harness.world import Agent, World

PAGE = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "features.md"


class Place:
    """Two agents with the same names: `agent` logs key=value at debug, `json_agent` JSON at the default level."""

    def __init__(self, world, folder):
        self.world, self.folder = world, folder
        self.controlplane = world.controlplane()
        self.api = self.controlplane.api
        many = ("--workers", "8")  # a worker tells ten lines a second above debug: these tests may be faster than two
        self.agent = world.agent(self.controlplane, "--log-level", "debug", *many, name="debug", labels={"log": "kv"})
        self.json_agent = Agent(world, self.controlplane, "json")
        self.json_agent.give_token(self.controlplane.join_token({"log": "json"}))
        self.json_agent.start("--log-format", "json", *many, wait=False).wait_connected()
        self.ca, self.clients, self.strangers = Ca("Log CA"), Ca("Log Clients"), Ca("Log Strangers")
        self.trust = folder / "ca.pem"
        self.trust.write_text(self.ca.cert_pem)
        backend = world.backend()
        self.port, self.json_port = free_port(), free_port()
        pair = self.ca.issue("log.test", key="rsa2048")
        self.api.apply(wait="acked", timeout=30, put=[
            ("upstreams", "web", {"nodes": {f"127.0.0.1:{backend.port}": 1}}),
            ("listeners", "kv", {"bind": f"127.0.0.1:{self.port}", "upstream": "web", "selector": {"log": "kv"}}),
            ("listeners", "json", {"bind": f"127.0.0.1:{self.json_port}", "upstream": "web", "selector": {"log": "json"}}),
            ("tls_options", "wide", {"min_version": "TLSv1.2", "curve_preferences": ["P-256"]}),
            ("tls_options", "strict", {"sni_strict": True}),
            ("ssls", "open", pair.ssl("*.open.test")),
            ("ssls", "wide", pair.ssl("*.wide.test", tls_options="wide")),
            ("ssls", "closed", pair.ssl("*.closed.test", tls_options="wide", client={
                "ca": self.clients.cert_pem, "deny_serials": ["1f"], "allow": [{"cn": ["staff", "mapped"]}], "map_identity": True})),
            ("routes", "no", {"snis": ["no.open.test"], "mode": "reject"}),
            ("routes", "far", {"snis": ["far.open.test"], "allow_clients": ["192.0.2.0/24"]}),
        ]).expect(200)

    def client(self, name, pair):
        cert, key = pair.write(self.folder, name)
        return "-cert", str(cert), "-key", str(key)

    def line(self, message, daemon=None, **wanted):
        """The one line of this message with these fields, as a dictionary."""
        def look():
            found = [row for row in map(fields, (daemon or self.agent.daemon).lines(f'msg="{message}"'))
                     if all(row.get(key) == value for key, value in wanted.items())]
            assert len(found) <= 1, found
            return found
        return eventually(look, f"{message!r} with {wanted}")[0]

    def failures(self):
        """{cause: how many}, of the metrics."""
        return {cause: int(count) for cause, count in
                re.findall(r'^tlsplane_agent_handshake_failures_total\{cause="(\w+)"\} (\d+)$', self.agent.metrics(), re.M)}

    def failed_once(self, cause, before):
        """One more failure of this cause, none of another."""
        def look():
            after = self.failures()
            return {key: after[key] - before[key] for key in after if after[key] != before[key]} == {cause: 1}
        eventually(look, f"one more failure of cause {cause} after {before}")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    world = World(folder)
    try:
        yield Place(world, folder)
    finally:
        problems = world.close()
    assert not problems, "\n\n".join(problems)


# Debug lines. ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("option,sni,text", [
    ("-tls1_2", "twelve.wide.test", "TLS version 1.2, cipher suite TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    ("-tls1_3", "thirteen.wide.test", "TLS version 1.3, cipher suite TLS_AES_128_GCM_SHA256")])
def test_debug_lines(place, tmp_path, option, sni, text):
    """NATS: "Starting TLS client connection handshake", "TLS handshake complete", "TLS version 1.2, cipher suite ..."."""
    session = tmp_path / "session"
    resume.wait_for_keys(place.port, "keys.wide.test", session)
    assert tls.s_client(place.port, option, "-sess_out", str(session), sni=sni).body == "backend"
    done = place.line("TLS handshake complete", sni=sni)
    assert (done["tls"], done["resumed"], done["level"], done["listener"]) == (text, "0", "debug", f"127.0.0.1:{place.port}")
    started = place.line("Starting TLS client connection handshake", conn=done["conn"])
    assert started["peer"] == done["peer"] and re.fullmatch(r"127\.0\.0\.1:\d+", done["peer"])
    assert tls.s_client(place.port, option, "-sess_in", str(session), sni=sni).reused
    assert place.line("TLS handshake complete", sni=sni, resumed="1")["tls"] == text


def test_debug_line_tells_the_identity(place):
    """Of several that the certificate has, the one that the rules name."""
    pair = place.clients.issue("mapped.staff.test", usage="client", common_name="mapped")
    assert tls.s_client(place.port, *place.client("mapped", pair), sni="mapped.closed.test").body == "backend"
    assert place.line("TLS handshake complete", sni="mapped.closed.test")["identity"] == "CN=mapped"


# KrakenD's table of common errors. -------------------------------------------------------------------------------------

def verifying(place, version, sni):
    """A client that does not know the CA."""
    seen = tls.s_client(place.port, version, "-verify_return_error", sni=sni)
    assert seen.body is None and "verify error" in seen.text, seen


def raw(place, data, end=None, port=None):
    """Sends bytes and ends (None: when the agent has); the peer address as the log has it."""
    with socket.create_connection(("127.0.0.1", port or place.port), timeout=10) as connection:
        name = f"127.0.0.1:{connection.getsockname()[1]}"
        connection.sendall(data)
        if end == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif end == "fin":
            connection.shutdown(socket.SHUT_WR)
        try:
            while end != "reset" and connection.recv(65536):
                pass
        except ConnectionError:
            pass
    return {"peer": name}


def refused(place, sni, alert, *options):
    seen = tls.s_client(place.port, *options, sni=sni)
    assert (seen.alert, seen.body) == (alert, None), seen
    return {"sni": sni}


def sslv2_hello(version):
    """RFC 5246 E.2: what a client from before 1999 begins with."""
    body = b"\x01" + version + struct.pack(">HHH", 6, 0, 16) + b"\x01\0\x80\x02\0\x80" + bytes(16)
    return struct.pack(">H", 0x8000 | len(body)) + body


def hello():
    return tls.records(tls.client_hello(tls.sni_extension(b"gone.open.test")))


# What KrakenD says: probes (name, function of the place that answers which line to look for, the reason there, the level: info once there was a ClientHello).
ERRORS = {
    "local error: tls: bad record MAC": [
        ("unknown CA, 1.2", lambda place: verifying(place, "-tls1_2", "a.wide.test") or {"sni": "a.wide.test"}, "tlsv1 alert unknown ca", "info"),
        ("unknown CA, 1.3", lambda place: verifying(place, "-tls1_3", "b.wide.test") or {"sni": "b.wide.test"}, "tlsv1 alert unknown ca", "info"),
        ("GnuTLS", lambda place: gnutls(place, "c.wide.test"), "sslv3 alert bad certificate", "info")],
    "unsupported SSLv2 handshake received": [
        ("SSL 2.0", lambda place: raw(place, sslv2_hello(b"\0\2")), "unknown protocol", "info"),
        ("SSL 3.0 in a hello of 2.0", lambda place: raw(place, sslv2_hello(b"\3\0")), "version too low", "info"),
        ("TLS 1.0 in a hello of 2.0", lambda place: raw(place, sslv2_hello(b"\3\1")), "unsupported protocol", "info")],
    "first record does not look like a TLS handshake": [
        ("HTTP", lambda place: raw(place, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "http request", "debug"),
        ("SSH", lambda place: raw(place, b"SSH-2.0-OpenSSH_9.2\r\n"), "wrong version number", "debug"),
        ("zeros", lambda place: raw(place, bytes(100)), "wrong version number", "debug")],
    "client offered only unsupported versions": [
        ("1.2", lambda place: refused(place, "d.open.test", 70, "-tls1_2"), "unsupported protocol", "info"),
        ("1.1", lambda place: refused(place, "e.open.test", 70, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"), "unsupported protocol", "info")],
    "no cipher suite supported by both client and server": [
        ("1.2", lambda place: refused(place, "f.wide.test", 40, "-tls1_2", "-cipher", "AES128-SHA"), "no shared cipher", "info"),
        ("1.3", lambda place: raw(place, tls.records(tls.client_hello(tls.sni_extension(b"g.open.test"), suites=b"\x13\x05"))), "no shared cipher", "info")],
    "no ECDHE curve supported by both client and server": [
        ("1.2", lambda place: refused(place, "h.wide.test", 40, "-tls1_2", "-groups", "X25519"), "no shared cipher", "info"),
        ("1.3", lambda place: refused(place, "i.wide.test", 40, "-tls1_3", "-groups", "X25519"), "no suitable key share", "info")],
    "EOF": [
        ("two bytes", lambda place: raw(place, b"\x16\3", "fin"), "the client went away", "debug"),
        ("half a hello", lambda place: raw(place, hello()[:60], "fin"), "the client went away", "debug"),
        ("a hello, no more", lambda place: raw(place, hello(), "fin"), "the client went away", "info"),
        ("a reset", lambda place: raw(place, hello()[:60], "reset"), "the client went away", "debug")],
}


def gnutls(place, sni):
    """It verifies against the machine's CAs."""
    run = subprocess.run(["gnutls-cli", "--port", str(place.port), "--sni-hostname", sni, "--verify-hostname", sni, "127.0.0.1"],
                         stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    assert run.returncode != 0 and b"NOT trusted" in run.stdout + run.stderr, run
    return {"sni": sni}


@pytest.mark.parametrize("says,name", [(says, probe[0]) for says, probes in ERRORS.items() for probe in probes])
def test_common_errors(place, says, name):
    """Each is forced; the reason in the log is the one on the page, the cause there and in the metrics is `protocol`."""
    _, probe, reason, level = next(row for row in ERRORS[says] if row[0] == name)
    before = place.failures()
    told = place.line("TLS handshake failed", **probe(place))
    assert (told["reason"], told["cause"], told["level"]) == (reason, "protocol", level), told
    place.failed_once("protocol", before)


def test_common_errors_of_the_page():
    """The page has these rows and in each these reasons, neither more nor less."""
    rows = re.findall(r"^\| `([^`]+)`[^|]*\| (`reason=[^|]*) \|", PAGE.read_text(encoding="utf-8"), re.M)
    assert {says: set(re.findall(r'"([^"]+)"', told)) for says, told in rows} == {
        says: {reason for _, _, reason, _ in probes} for says, probes in ERRORS.items()}


# Failures that an operator may want to act on. -------------------------------------------------------------------------

def test_refusals(place):
    """At info, with peer, name and cause; the metrics count the same cause."""
    nobody = tls.records(tls.client_hello(tls.sni_extension(b"a\r\nlevel=error msg=forged")))
    for cause, probe in (("rejected", lambda: refused(place, "no.open.test", 49)), ("address", lambda: refused(place, "far.open.test", 49)),
                         ("sni", lambda: raw(place, nobody))):
        before = place.failures()
        told = place.line("TLS handshake failed", cause=cause, **probe())
        assert told["level"] == "info" and told["reason"] and "unverified_sha256" not in told, told
        place.failed_once(cause, before)
    assert "forged" not in place.agent.daemon.text()


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_client_certificates(place, version):
    """Whose certificate it was that did not pass: subject and SHA-256, marked as unverified."""
    digit = version[-1]
    for name, pair in (("stranger", place.strangers.issue(usage="client", common_name="staff")),
                       ("expired", place.clients.issue(usage="client", common_name="staff", days=-1, starts=-9)),
                       ("server", place.clients.issue(usage="server", common_name="staff")),
                       ("notlisted", place.clients.issue(usage="client", common_name="somebody"))):
        before, sni = place.failures(), f"{name}{digit}.closed.test"
        seen = tls.s_client(place.port, version, *place.client(f"{name}{digit}", pair), sni=sni)
        assert seen.body is None, seen
        told = place.line("TLS handshake failed", sni=sni)
        assert (told["cause"], told["level"], told["unverified_sha256"]) == ("client_certificate", "info", pair.sha256), told
        assert told["unverified_subject"] == f"CN={'somebody' if name == 'notlisted' else 'staff'}" and told["reason"]
        place.failed_once("client_certificate", before)
    before = place.failures()
    assert tls.s_client(place.port, version, sni=f"none{digit}.closed.test").body is None
    told = place.line("TLS handshake failed", sni=f"none{digit}.closed.test")
    assert told["cause"] == "client_certificate" and "unverified_sha256" not in told, told
    place.failed_once("client_certificate", before)


def test_timeout(place):
    """Of whom has said which name it wants: told above debug, as any failed handshake; of whom has not: at debug."""
    port = free_port()
    place.api.apply(put=[("tls_options", "hasty", {"handshake_timeout": 0.3}), ("listeners", "hasty", {
        "bind": f"127.0.0.1:{port}", "upstream": "web", "tls_options": "hasty", "selector": {"log": "kv"}})], wait="acked", timeout=30).expect(200)
    for data, level in ((tls.records(tls.client_hello(tls.sni_extension(b"late.hasty.test"))), "info"), (b"\x16\3", "debug")):
        told = place.line("TLS handshake timeout", **raw(place, data, port=port))
        assert (told["level"], told["sni"], told["reason"]) == (level, "late.hasty.test" if level == "info" else "", "not finished in time"), told


def test_lines_per_second_are_bounded(place, world):
    """A flood of handshakes that are broken off costs ten lines a second and worker, says how many more there were, and hides nothing else."""
    agent = world.agent(place.controlplane, "--workers", "1", name="one", labels={"log": "one"})
    port = free_port()
    place.api.put_acked("/v1/listeners/one", {"bind": f"127.0.0.1:{port}", "upstream": "web", "selector": {"log": "one"}})
    began, count = time.monotonic(), 300
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(hello())
            connection.recv(1)
    assert tls.s_client(port, sni="amid.closed.test").body is None
    seconds = int(time.monotonic() - began) + 2
    assert eventually(lambda: agent.daemon.lines("amid.closed.test"), "the refusal is told all the same")
    told = agent.daemon.lines("gone.open.test")
    assert 0 < len(told) <= 10 * seconds < count and all(fields(line)["cause"] == "protocol" for line in told), len(told)
    time.sleep(1.1)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(hello())
        connection.recv(1)
    eventually(lambda: sum(int(fields(line)["count"]) for line in agent.daemon.lines("log lines dropped")) == count + 1 - len(agent.daemon.lines(
        "gone.open.test")), "those not told are counted")
    assert f'{{cause="protocol"}} {count + 1}' in agent.metrics()


HOSTILE = [  # CN, and how RFC 4514 writes it
    ("a\r\nlevel=error msg=forged", r"a\0D\0Alevel=error msg=forged"),
    ('quo"te\\back', r'quo\"te\\back'),
    ('x" cause=none reason="', r'x\" cause=none reason=\"'),
    ("\x1b[2J\x1b]0;owned\x07", r"\1B[2J\1B]0\;owned\07"),
    ("tab\tand space ", r"tab\09and space\ "),
    ("nul\0after", r"nul\00after"),
    ("Zo\u00eb \u202eevil", r"Zo\C3\AB \E2\80\AEevil"),
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_subjects_stay_in_their_line(place, number):
    """In both formats: no byte of a certificate ends a line, adds a field or reaches a terminal."""
    common_name, printed = HOSTILE[number]
    pair = place.strangers.issue(usage="client", common_name=common_name)
    client = place.client(f"hostile{number}", pair)
    sni = f"hostile{number}.closed.test"
    for port in (place.port, place.json_port):
        assert tls.s_client(port, *client, sni=sni).body is None
    told = place.line("TLS handshake failed", unverified_sha256=pair.sha256)
    assert (told["cause"], told["sni"]) == ("client_certificate", sni), told
    line, = place.agent.daemon.lines(pair.sha256)
    assert re.fullmatch(r"[\x20-\x7e]+", line) and line.startswith("time=")
    document = eventually(lambda: json_lines(place, pair.sha256), "the JSON agent tells it")[0]
    assert (document["unverified_sha256"], document["cause"], document["sni"]) == (pair.sha256, "client_certificate", sni)
    assert document["unverified_subject"] == f"CN={printed}"
    assert json.loads(f'"{told["unverified_subject"]}"') == f"CN={printed}"  # within its quotes a line is escaped as JSON is
    assert not [row for row in place.agent.daemon.text().splitlines() if not row.startswith("time=")]


def json_lines(place, needle=""):
    """Of the agent that logs JSON; each line is one document, whatever was sent."""
    return [json.loads(line) for line in place.json_agent.daemon.lines(needle)]


def test_json(place):
    """The same fields; numbers are numbers; below the level nothing is told, nor of what never became a ClientHello."""
    seen = tls.s_client(place.json_port, sni="no.open.test")
    assert seen.alert == 49
    told = eventually(lambda: json_lines(place, "no.open.test"), "the refusal is told")[0]
    assert set(told) == {"time", "level", "msg", "conn", "peer", "listener", "sni", "cause", "reason"}
    assert (told["level"], told["msg"], told["cause"], told["sni"]) == ("info", "TLS handshake failed", "rejected", "no.open.test")
    assert isinstance(told["conn"], int) and told["listener"] == f"127.0.0.1:{place.json_port}"
    assert tls.s_client(place.json_port, sni="fine.open.test").body == "backend"
    probe = raw(place, b"GET / HTTP/1.1\r\n\r\n", port=place.json_port)
    assert tls.s_client(place.json_port, "-tls1_2", sni="old.open.test").alert == 70
    told = eventually(lambda: json_lines(place, "old.open.test"), "so is what failed by the protocol")[0]
    assert (told["level"], told["cause"], told["reason"]) == ("info", "protocol", "unsupported protocol")
    assert tls.s_client(place.json_port, sni="far.open.test").alert == 49
    eventually(lambda: json_lines(place, "far.open.test"), "the later refusal is told")
    everything = json_lines(place)
    assert not [row for row in everything if row.get("sni") == "fine.open.test" or row.get("peer") == probe["peer"] or row["level"] == "debug"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", row["time"]) for row in everything)


def test_nothing_secret_at_debug(place):
    """What came in clear through the connection, and tickets, are in no line."""
    marker = b"marker-of-the-application"
    tls.s_client(place.port, sni="marker.wide.test", data=tls.REQUEST.replace(b"Host: test", b"Host: " + marker))
    place.line("TLS handshake complete", sni="marker.wide.test")
    assert marker.decode() not in place.agent.daemon.text() and "BEGIN" not in place.agent.daemon.text()
