# SPDX-License-Identifier: Apache-2.0
"""How tlsplanectl reaches the control plane: what it trusts, tries again and gives up, what it says then; and how it is called."""
import re
import signal
import socket
import subprocess
import time

import pytest

from harness.ctl import AWAY, CTL, OK, REFUSED, USAGE, Ctl, Folder, Relay, environment
from harness.net import eventually, free_port


@pytest.fixture(scope="module")
def ctl(shared):
    return Ctl(shared.api)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "site")


def test_a_lost_answer_is_asked_for_again(shared, folder):
    """Same Idempotency-Key: it was done once, and the second answer is the first one's."""
    folder.write("upstreams/lost.json", {"nodes": {"127.0.0.1:1": 1}})
    head = shared.api.head()
    with Relay(shared.api.port, cut=1) as relay:
        done = Ctl(shared.api)("apply", "-f", folder.path, TLSPLANE_URL=f"http://127.0.0.1:{relay.port}")
    keys = [re.search(rb"Idempotency-Key: (\S+)", request).group(1) for request in relay.requests if request.startswith(b"POST")]
    assert len(keys) == 2 and keys[0] == keys[1] and len(keys[0]) >= 32
    assert shared.api.head()[1] == head[1] + 1 and f"applied as revision {head[0]}-{head[1] + 1}" in done.stdout


def test_an_answer_that_never_comes(shared, folder):
    """What may have been done is said to be unknown; what was read only is not."""
    folder.write("upstreams/unknown.json", {"nodes": {"127.0.0.1:1": 1}})
    ctl = Ctl(shared.api)
    with Relay(shared.api.port, cut=9) as relay:
        done = ctl("apply", "-f", folder.path, "--timeout", "2", TLSPLANE_URL=f"http://127.0.0.1:{relay.port}", expect=AWAY)
    assert "whether it was done is not known: http://127" in done.stderr and "can't be reached" in done.stderr
    assert shared.api.get("/v1/upstreams/unknown").status == 200
    assert "not known" not in ctl("token", "create", "--role", "viewer", "--timeout", "2", TLSPLANE_URL=f"http://127.0.0.1:{free_port()}", expect=AWAY).stderr


@pytest.mark.parametrize("words", [("apply", "-f"), ("get", "ssls")], ids=["write", "read"])
def test_interrupted(shared, folder, words):
    """Ctrl-C ends it at once; only in the middle of a change there is something to say."""
    folder.write("upstreams/interrupted.json", {"nodes": {"127.0.0.1:1": 1}})
    is_write = words[0] == "apply"
    words = [*words, folder.path] if is_write else words
    with Relay(shared.api.port, silent=b"POST" if is_write else b"GET") as relay:
        env = {**Ctl(shared.api).env, "TLSPLANE_URL": f"http://127.0.0.1:{relay.port}"}
        with subprocess.Popen([str(CTL), *map(str, words)], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as running:
            eventually(lambda: relay.requests and relay.requests[-1].startswith(relay.silent), "the request is there")
            running.send_signal(signal.SIGINT)
            said = running.communicate(timeout=10)[1]
    assert running.returncode == -signal.SIGINT
    assert said == ("\ntlsplanectl: interrupted; whether it was done is not known\n" if is_write else "")


def test_a_proxy_that_has_nobody_behind_it(shared):
    answer = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>"
    with Relay(shared.api.port, answers=[answer, answer.replace(b"502", b"404")]) as relay:
        url = f"http://127.0.0.1:{relay.port}"
        assert "status 502" in Ctl(shared.api)("get", "ssls", TLSPLANE_URL=url, expect=AWAY).stderr
        assert "status 404, and not the admin API's" in Ctl(shared.api)("get", "ssls", TLSPLANE_URL=url, expect=REFUSED).stderr


def busy(status, seconds):
    body = b'{"type":"urn:tlsplane:error:rate","title":"Too many","status":%d}' % status
    return (b"HTTP/1.1 %d X\r\nRetry-After: %d\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n" % (status, seconds, len(body))) + body


@pytest.mark.parametrize("status", [429, 503])
def test_busy(shared, status):
    ctl = Ctl(shared.api)
    with Relay(shared.api.port, answers=[busy(status, 1)]) as relay:
        ctl("get", "ssls", TLSPLANE_URL=f"http://127.0.0.1:{relay.port}")
        assert len(relay.requests) == 2
    with Relay(shared.api.port, answers=[busy(status, 60)]) as relay:
        ctl("get", "ssls", "--timeout", "5", TLSPLANE_URL=f"http://127.0.0.1:{relay.port}", expect=AWAY)
        assert len(relay.requests) == 1


def test_away(ctl):
    started = time.monotonic()
    done = ctl("get", "ssls", TLSPLANE_URL=f"http://127.0.0.1:{free_port()}", expect=AWAY)
    assert "can't be reached" in done.stderr and time.monotonic() - started < 5
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ctl("get", "ssls", "--timeout", "1", TLSPLANE_URL="http://127.0.0.1:%d" % silent.getsockname()[1], expect=AWAY)


def test_plain_http_elsewhere_is_refused(ctl):
    for url in ("http://192.0.2.1:9180", "http://localhost.evil.example", "http://127.0.0.1@192.0.2.1"):
        assert ctl("get", "ssls", TLSPLANE_URL=url, expect=USAGE).stdout == ""


def test_redirects_and_proxies_get_nothing(shared):
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/v1/ssls\r\nContent-Length: 0\r\n\r\n" % shared.api.port
    ctl = Ctl(shared.api)
    with Relay(shared.api.port, answers=[moved]) as relay:
        assert "not the admin API's JSON" in ctl("get", "ssls", TLSPLANE_URL=f"http://127.0.0.1:{relay.port}", expect=REFUSED).stderr
        assert len(relay.requests) == 1
    with Relay(shared.api.port) as proxy:
        ctl("get", "ssls", http_proxy=f"http://127.0.0.1:{proxy.port}", ALL_PROXY=f"http://127.0.0.1:{proxy.port}")
        assert not proxy.requests


def test_https_and_socket(world, tmp_path):
    """The internal CA's certificate is proof, and without it nothing is sent; the socket beside it needs none."""
    path = tmp_path / "admin.sock"
    plane = world.controlplane("--admin-tls", "--admin-socket", path)
    ctl, url, trusted = Ctl(plane.api), f"https://127.0.0.1:{plane.admin_port}", plane.dir / "ca.pem"
    assert "modern" in ctl("get", "tls_options", "--url", url, "--ca-file", trusted).stdout
    assert "modern" in ctl("get", "tls_options", TLSPLANE_URL=f"{url}/", TLSPLANE_CA_FILE=trusted).stdout
    assert "certificate" in ctl("get", "ssls", "--url", url, expect=REFUSED).stderr
    ctl("get", "ssls", "--url", url, "--ca-file", tmp_path / "nothing.pem", expect=USAGE)
    done = ctl("get", "ssls", "--token-file", tmp_path / "nothing", expect=USAGE)
    assert done.stderr == f"tlsplanectl: the token: open {tmp_path}/nothing: No such file or directory\n"
    assert "modern" in ctl("get", "tls_options", "--url", f"unix:{path}").stdout
    ctl("get", "ssls", "--url", f"unix:{tmp_path}/nothing.sock", expect=AWAY)


# Usage ---------------------------------------------------------------------------------------------------------------

def test_usage():
    def run(*words):
        return subprocess.run([str(CTL), *words], env=environment(TLSPLANE_TOKEN="x"), capture_output=True, text=True, timeout=30, check=False)

    assert run("--version").stdout.startswith("tlsplanectl ")
    assert run("--help").returncode == OK and run("get", "--help").returncode == OK
    for words in ((), ("nope",), ("get",), ("get", "ssls", "--prune"), ("token",), ("get", "ssls", "-o", "yaml"), ("apply", "-f", "x", "--wait", "long")):
        done = run(*words)
        assert done.returncode == USAGE and done.stderr.startswith("tlsplanectl: ") and done.stdout == "", words
    done = subprocess.run([str(CTL), "get", "ssls"], env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == USAGE and "TLSPLANE_TOKEN_FILE" in done.stderr


def test_nobody_reads_on(ctl):
    """As in `tlsplanectl get ssls | head -1`: it ends like any filter, without a word."""
    with subprocess.Popen([str(CTL), "get", "tls_options"], env=ctl.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        running.stdout.close()
        running.stdout = None
        assert (running.communicate(timeout=30)[1], running.returncode) == ("", -signal.SIGPIPE)


def test_standard_output_that_is_full(ctl):
    with open("/dev/full", "w") as full:
        done = subprocess.run([str(CTL), "get", "tls_options"], env=ctl.env, stdout=full, stderr=subprocess.PIPE, text=True, timeout=30, check=False)
    assert done.returncode == REFUSED and "standard output" in done.stderr
