# SPDX-License-Identifier: Apache-2.0
"""The control of the tests on resumption: the same steps, asked of HAProxy 2.6 and nginx 1.22 as Debian 12 has them and as users
configure them, which answer wrongly each time. So a right answer of the agent is no accident of the question. (HAProxy's own fixes: 4a8f76220,
52bdd0d02; nginx's: 1.23.2.)"""
import base64
import os
import time

import pytest

from harness import peers, resume, tls
from harness.net import free_port
from harness.pki import Ca
from harness.resume import VERSIONS, WAYS

class Haproxy:
    """Sites on `names`: open.test, and closed.test that demands a certificate, with one certificate between them or one for each. Listeners `lax` and
    `strict` serve whatever name, without and with that demand. All have the same ticket keys, over restarts too."""

    def __init__(self, world, ca):
        self.world, self.folder, self.peer = world, world.tmp, None
        self.ports = {name: free_port() for name in ("names", "lax", "strict")}
        self.clients, self.other = Ca("Clients"), Ca("Others")
        shared = ca.issue("open.test", "closed.test", "twin.test")
        for name, pair in (("own.pem", ca.issue("closed.test")), ("shared.pem", shared)):
            self.write(name, pair.cert_pem + pair.key_pem)
        self.write("keys", "".join(base64.b64encode(os.urandom(80)).decode() + "\n" for _ in range(3)))
        self.start()

    def write(self, name, text):
        (self.folder / name).write_text(text)

    def start(self, ca=None, crl=None):
        if self.peer:
            self.peer.close()
        ports, folder = self.ports, self.folder
        self.write("ca.pem", (ca or self.clients).cert_pem)
        self.write("crl.pem", crl or "")
        demand = f"ca-file {folder}/ca.pem verify required" + (f" crl-file {folder}/crl.pem" if crl else "")
        self.write("list", f"{folder}/shared.pem open.test\n{folder}/shared.pem [{demand}] twin.test\n{folder}/own.pem [{demand}] closed.test\n")
        binds = {"names": f"crt-list {folder}/list", "lax": f"crt {folder}/shared.pem", "strict": f"crt {folder}/shared.pem {demand}"}
        self.peer = peers.haproxy(self.world, folder, list(ports.values()), f"    mode http\nfrontend f\n" +
                                  "".join(f"    bind 127.0.0.1:{ports[name]} ssl {bind} tls-ticket-keys {folder}/keys\n" for name, bind in binds.items()) +
                                  "    http-request return status 200 content-type text/plain string protected\n")

    def take(self, listener, sni, version, way="ticket", client=None):
        session = self.folder / f"{listener}-{sni}-{version}-{way}"
        assert "protected" in tls.s_client(self.ports[listener], *resume.options(version, way, client), "-sess_out", str(session), sni=sni).text
        return session

    def is_fooled(self, listener, sni, session, version, way="ticket", client=None):
        seen = resume.offer(self.ports[listener], sni, session, version, way, client)
        return seen.reused and "protected" in seen.text

    def refuses(self, listener, sni, version, way="ticket", client=None):
        """A full handshake, which shows that the rule is there."""
        return "protected" not in tls.s_client(self.ports[listener], *resume.options(version, way, client), sni=sni).text


def nginx(world, folder, pair, words):
    """The port of a site with these words in its server section."""
    cert, key = pair.write(folder, "site")
    port = free_port()
    (folder / "nginx.conf").write_text(f"""daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;
events {{}}
http {{
    access_log off;
    server {{
        listen 127.0.0.1:{port} ssl; ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3; {words}
        location / {{ return 200 protected; }}
    }}
}}
""")
    peers.Peer(world, ["/usr/sbin/nginx", "-p", folder, "-e", "stderr", "-c", folder / "nginx.conf"], [port], folder / "nginx.log")
    return port


@pytest.fixture
def haproxy(world, ca):
    return Haproxy(world, ca)


def test_a1_a2_names_and_listeners(haproxy):
    for version in VERSIONS:
        for way in WAYS:
            session = haproxy.take("names", "open.test", version, way)
            for listener, sni in (("names", "closed.test"), ("names", "twin.test"), ("strict", "open.test")):
                assert haproxy.refuses(listener, sni, version, way), (listener, sni, version, way)
                assert haproxy.is_fooled(listener, sni, session, version, way) or (way == "session-id" and listener == "strict" and version == "1.2"), (
                    listener, sni, version, way)


def test_a3_endless_renewal(world, ca, tmp_path):
    """nginx 1.22: within its life each session gives the next, for ever."""
    port, session, lifetime = nginx(world, tmp_path, ca.issue("open.test"), "ssl_session_timeout 2s;"), tmp_path / "session", 2
    assert "protected" in tls.s_client(port, *resume.options("1.3", "ticket"), "-sess_out", str(session), sni="open.test").text
    started = time.monotonic()
    while time.monotonic() - started < 3 * lifetime:
        time.sleep(0.7)
        seen = resume.offer(port, "open.test", session, "1.3", "ticket", None, "-sess_out", str(session))
        assert seen.reused and "protected" in seen.text, seen


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("change", ["CA replaced", "CRL added"])
def test_a4_after_a_change(haproxy, change, version):
    alice = haproxy.clients.issue("alice.test", usage="client")
    files = alice.write(haproxy.folder, "alice")
    session = haproxy.take("strict", "open.test", version, client=files)
    if change == "CA replaced":
        haproxy.start(ca=haproxy.other)
    else:
        haproxy.start(crl=haproxy.clients.crl(alice))
    assert haproxy.refuses("strict", "open.test", version, client=files)
    assert haproxy.is_fooled("strict", "open.test", session, version, client=files)


def test_a5_expired_client_certificate(haproxy):
    files = haproxy.clients.issue("short.test", usage="client", days=2 / 86400).write(haproxy.folder, "short")
    sessions = {version: haproxy.take("strict", "open.test", version, client=files) for version in VERSIONS}
    time.sleep(2.2)  # shorter than the life of the session
    for version, session in sessions.items():
        assert haproxy.is_fooled("strict", "open.test", session, version, client=files)
        assert haproxy.refuses("strict", "open.test", version, client=files)
