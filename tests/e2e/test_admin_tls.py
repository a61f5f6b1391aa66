# SPDX-License-Identifier: Apache-2.0
"""How the admin API is reached: plain HTTP on loopback, HTTPS with the internal CA's or an object's certificate, a Unix socket; with real curl."""
import datetime
import os
import socket
import ssl
import stat
import subprocess

import pytest
from cryptography import x509

from harness.clock import Clock
from harness.net import eventually, free_port, receive_all
from harness.world import future

NODES = '{"nodes": {"127.0.0.1:9": 1}}'


def curl(*more, check=True):
    done = subprocess.run(["curl", "-sS", "--http1.1", "--max-time", "20", "-w", "\n%{http_code}", *map(str, more)], capture_output=True, text=True, timeout=30)
    if check:
        assert done.returncode == 0, done.stderr
    body, _, status = done.stdout.rpartition("\n")
    return (int(status or 0), body, done)


@pytest.fixture
def start(world):
    """Starts control planes with options; ends them with the world."""
    from harness.world import ControlPlane

    def made(*more, host="127.0.0.1", again=None, env=None):
        plane = again or ControlPlane(world, "front")
        if again and plane.daemon.is_running:
            assert plane.daemon.terminate() == 0
        plane.admin_port = plane.admin_port or free_port()
        plane.argv = lambda *_: [*ControlPlane.argv(plane), "--admin-listen", f"{host}:{plane.admin_port}", *more]
        plane.start(env=env)
        plane.token = (plane.dir / "admin.token").read_text().strip()
        plane.auth = ("-H", f"Authorization: Bearer {plane.token}")
        return plane
    return made


def leaf(port, sni=None, ca=None, version=None):
    """The certificate that a handshake shows; ca: checked against it, for the name sni or the address."""
    context = ssl.create_default_context(cafile=str(ca)) if ca else ssl._create_unverified_context()
    if version:
        context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        with context.wrap_socket(raw, server_hostname=sni or "127.0.0.1") as connection:
            return x509.load_der_x509_certificate(connection.getpeercert(True))


class TestInternalCa:
    def test_curl(self, start):
        """`--cacert DATA/ca.pem` is all that it takes; peer addresses in logs are the client's."""
        plane = start("--admin-tls", "--log-level", "debug")
        base = f"https://127.0.0.1:{plane.admin_port}"
        ca = plane.dir / "ca.pem"
        assert curl("--cacert", ca, f"{base}/healthz")[0] == 200
        assert curl("--cacert", ca, f"https://localhost:{plane.admin_port}/healthz")[0] == 200
        assert curl("--cacert", ca, *plane.auth, "-X", "PUT", "--json", NODES, f"{base}/v1/upstreams/web")[0] == 201
        status, body, _ = curl("--cacert", ca, *plane.auth, f"{base}/v1/revisions?limit=1")
        assert status == 200 and '"source":"127.0.0.1:' in body, body
        assert curl(f"{base}/healthz", check=False)[2].returncode == 60  # not in anybody's trust store
        assert curl("--cacert", ca, "--resolve", f"other.test:{plane.admin_port}:127.0.0.1", f"https://other.test:{plane.admin_port}/healthz",
                    check=False)[2].returncode == 60
        assert curl(f"http://127.0.0.1:{plane.admin_port}/healthz", check=False)[2].returncode != 0
        plane.daemon.wait_log("admin_scheme=https")

    def test_names(self, start):
        plane = start("--admin-tls", "--admin-name", "admin.test,other.test")
        for name in ("admin.test", "other.test"):
            where = f"{name}:{plane.admin_port}"
            assert curl("--cacert", plane.dir / "ca.pem", "--resolve", f"{where}:127.0.0.1", f"https://{where}/healthz")[0] == 200
        cert = leaf(plane.admin_port)
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["admin.test", "other.test", "localhost"]
        assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
        assert not names.get_values_for_type(x509.UniformResourceIdentifier)  # no role on the channel
        usage = cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert list(usage) == [x509.ObjectIdentifier("1.3.6.1.5.5.7.3.1")]

    def test_versions(self, start):
        plane = start("--admin-tls")
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            leaf(plane.admin_port, version=version)
        context = ssl._create_unverified_context()
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        with socket.create_connection(("127.0.0.1", plane.admin_port), timeout=10) as raw, pytest.raises(ssl.SSLError):
            context.wrap_socket(raw, server_hostname="x")

    def test_renewed_by_itself(self, start):
        """Started in the present, asked in the far future of one process: the certificate has moved on without a restart."""
        plane = start("--admin-tls")
        first = leaf(plane.admin_port)
        assert leaf(plane.admin_port) == first  # until half of its life
        assert (first.not_valid_after - first.not_valid_before).days == 90
        start("--admin-tls", again=plane, env=future(60))
        later = leaf(plane.admin_port)
        assert later.not_valid_before > first.not_valid_before


    def test_follows_the_clock(self, start, tmp_path):
        """Which is set by more than a year while it runs, to either side and back."""
        clock = Clock(tmp_path / "clock")
        plane = start("--admin-tls", env=clock.env)
        for days in (400, 0, -400, 0):
            clock.set(days)
            shown, there = leaf(plane.admin_port), datetime.datetime.utcnow() + datetime.timedelta(days=days)
            assert shown.not_valid_before <= there <= shown.not_valid_after, days


class TestSslObject:
    def test_followed_live(self, start, ca, tmp_path):
        """Absent: the internal CA's. Put, replaced: shown at the next handshake. Gone, disabled, of type client: the last good one stays."""
        root = tmp_path / "root.pem"
        root.write_text(ca.cert_pem)
        plane = start("--admin-ssl", "front", "--admin-name", "api.test")
        assert leaf(plane.admin_port, "api.test", plane.dir / "ca.pem")
        assert plane.daemon.wait_log("admin certificate cannot be taken")
        url = f"https://127.0.0.1:{plane.admin_port}/v1/ssls/front"

        def put(pair, **more):
            import json
            body = tmp_path / "body.json"
            body.write_text(json.dumps(pair.ssl("api.test", **more)))
            return curl("-k", *plane.auth, "-X", "PUT", "--json", f"@{body}", url)[0]

        def shown():
            return leaf(plane.admin_port, "api.test", root)

        first, second = ca.issue("api.test"), ca.issue("api.test", key="rsa2048")
        assert put(first) == 201
        assert shown() == first.cert
        assert put(second) == 200
        assert shown() == second.cert
        assert put(first, status=0) == 200
        assert shown() == second.cert
        assert put(first) == 200
        assert shown() == first.cert
        assert curl("-k", *plane.auth, "-X", "DELETE", url)[0] == 200
        assert shown() == first.cert
        assert len(plane.daemon.lines("admin certificate cannot be taken")) == 3 and 'shown="the last good one"' in plane.daemon.text()
        assert put(second) == 201
        assert shown() == second.cert
        start("--admin-ssl", "front", "--admin-name", "api.test", again=plane)
        assert shown() == second.cert

    def test_open_connections_stay(self, start, ca):
        plane = start("--admin-ssl", "front")
        context = ssl._create_unverified_context()
        with socket.create_connection(("127.0.0.1", plane.admin_port), timeout=10) as raw, context.wrap_socket(raw) as connection:
            import json
            body = json.dumps(ca.issue("api.test").ssl("api.test"))
            for _ in range(2):
                connection.sendall((f"PUT /v1/ssls/front HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {plane.token}\r\n"
                                    f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
                assert connection.recv(65536).startswith(b"HTTP/1.1 20")
        assert leaf(plane.admin_port).issuer == ca.cert.subject


class TestOffLoopback:
    def test_tls_alone(self, start):
        plane = start(host="0.0.0.0")
        assert curl("--cacert", plane.dir / "ca.pem", f"https://127.0.0.1:{plane.admin_port}/healthz")[0] == 200
        assert curl(f"http://127.0.0.1:{plane.admin_port}/healthz", check=False)[2].returncode != 0

    def test_insecure_on_request(self, start):
        plane = start("--insecure-plain-http", host="0.0.0.0")
        assert curl(f"http://127.0.0.1:{plane.admin_port}/healthz")[0] == 200
        assert len(plane.daemon.lines("speaks plain HTTP for all to read")) == 1
        start("--insecure-plain-http", host="127.0.0.1", again=plane)
        assert len(plane.daemon.lines("speaks plain HTTP for all to read")) == 0

    @pytest.mark.parametrize("more", [("--insecure-plain-http", "--admin-tls"), ("--insecure-plain-http", "--admin-ssl", "x"), ("--admin-ssl", "../x"),
                                      ("--admin-ssl", ""), ])
    def test_contradictions(self, world, more):
        from harness.world import ControlPlane
        code, text = ControlPlane(world, "wrong").run_to_exit(*more)
        assert code == 2 and more[0] in text, (code, text)

    def test_names_that_are_none(self, world):
        from harness.world import ControlPlane
        for name in ("a b", "a,,b", "", "a/b", ",".join(["n"] * 17)):
            code, text = ControlPlane(world, "wrong").run_to_exit("--admin-tls", "--admin-name", name)
            assert code == 2 and "--admin-name" in text, (name, code, text)


class TestSocket:
    def test_curl(self, start, tmp_path):
        path = tmp_path / "admin.sock"
        plane = start("--admin-socket", path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_ISSOCK(path.stat().st_mode)
        for host in ("localhost", "whatever.test"):  # no page can reach it: any Host
            assert curl("--unix-socket", path, f"http://{host}/healthz")[0] == 200
        assert curl("--unix-socket", path, "http://localhost/v1/ssls")[0] == 401
        assert curl("--unix-socket", path, *plane.auth, "-X", "PUT", "--json", NODES, "http://localhost/v1/upstreams/unix")[0] == 201
        status, body, _ = curl("--unix-socket", path, *plane.auth, "http://localhost/v1/revisions?limit=1")
        assert status == 200 and f'"source":"unix:uid={os.getuid()},pid=' in body, body
        assert plane.api.get("/v1/upstreams/unix").status == 200  # both at once
        assert plane.daemon.terminate() == 0
        assert not path.exists()

    def test_with_tls(self, start, tmp_path):
        path = tmp_path / "admin.sock"
        plane = start("--admin-socket", path, "--admin-tls")
        assert curl("--unix-socket", path, "http://localhost/healthz")[0] == 200
        assert curl("-k", f"https://127.0.0.1:{plane.admin_port}/healthz")[0] == 200

    def test_left_behind(self, start, tmp_path):
        """After a kill the socket is there and dead: replaced. A living one, or a file, is left alone."""
        path = tmp_path / "admin.sock"
        plane = start("--admin-socket", path)
        plane.kill()
        assert path.exists()
        plane.start()
        assert curl("--unix-socket", path, "http://localhost/healthz")[0] == 200
        from harness.world import ControlPlane
        code, text = ControlPlane(plane.world, "other").run_to_exit("--admin-socket", path)
        assert code == 1 and "admin.sock" in text, text
        assert curl("--unix-socket", path, "http://localhost/healthz")[0] == 200
        file = tmp_path / "precious"
        file.write_text("x")
        assert ControlPlane(plane.world, "another").run_to_exit("--admin-socket", file)[0] == 1
        assert file.read_text() == "x"

    def test_a_path_too_long(self, world, tmp_path):
        from harness.world import ControlPlane
        code, text = ControlPlane(world, "long").run_to_exit("--admin-socket", tmp_path / ("x" * 120))
        assert code == 1 and "bytes" in text, (code, text)


class TestRebinding:
    @pytest.mark.parametrize("host, status", [
        ("127.0.0.1", 200), ("127.0.0.1:1", 200), ("[::1]:80", 200), ("localhost", 200), ("LOCALHOST.:9", 200), ("admin.test", 200), ("ADMIN.test:99", 200),
        ("192.0.2.1", 200), ("evil.test", 421), ("127.0.0.1.evil.test", 421), ("localhost.evil.test", 421), ("admin.test.evil.test", 421)])
    def test_host(self, start, host, status):
        plane = start("--admin-name", "admin.test")
        with socket.create_connection(("127.0.0.1", plane.admin_port), timeout=10) as connection:
            connection.sendall(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answer = receive_all(connection)
        assert answer.split(b" ")[1] == str(status).encode(), answer
        if status != 200:
            assert b"application/problem+json" in answer and host.encode() not in answer.split(b"\r\n\r\n")[1]
