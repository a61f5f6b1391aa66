# SPDX-License-Identifier: Apache-2.0
"""A private key appears in no answer, no log, no metrics page and no plain file: planted keys of every type are searched for, as PEM and
as the raw bytes that the stores hold when sealed."""
import base64
import json
import os
import resource
import signal
import subprocess

import pytest

from harness import tls
from harness.ctl import CTL, Ctl
from harness.daemon import SANITIZER_ENV
from harness.net import eventually
from harness.world import BUILD, serve


def needles(pair):
    """What would give the key away: lines of its PEM forms, and its secret number, big and little endian, hex and base64."""
    forms = [pair.key_pem] + ([] if pair.key.__class__.__name__.startswith("_Ed25519") else [pair.traditional_key_pem])
    lines = {line.encode() for form in forms for line in form.splitlines()[1:-1] if len(line) > 40}
    lines |= {form.replace("\n", "\\n").encode()[40:120] for form in forms}
    raw = pair.raw_secret
    return lines | {raw, raw[::-1], raw.hex().encode(), raw.hex().upper().encode(), base64.b64encode(raw).rstrip(b"=")[:-1],
                    base64.urlsafe_b64encode(raw).rstrip(b"=")[:-1]}


def assert_nowhere(pairs, where, data):
    for label, pair in pairs.items():
        for needle in needles(pair):
            assert needle not in data, f"the {label} key is in {where}"


def test_the_search_can_find(ca):
    """The test of the test."""
    for kind in ("p256", "ed25519", "rsa2048"):
        pair = ca.issue("x.test", key=kind)
        for leak in (pair.key_pem.encode(), pair.raw_secret, b"log key=" + pair.raw_secret.hex().encode(),
                     pair.key_pem.replace("\n", "\\n").encode()):
            assert any(needle in leak for needle in needles(pair)), kind


def test_planted_keys_are_nowhere(world, controlplane, ca):
    agent = world.agent(controlplane, "--log-level", "debug")
    controlplane.restart("--log-level", "debug")
    agent.wait_connected(60)
    backend, api = world.backend(), controlplane.api
    port = serve(controlplane, backend)
    pairs = {kind: ca.issue(f"{kind}.test", key=kind if kind != "rsa2048" else "rsa2048/secret")
             for kind in ("p256", "p384", "p521", "ed25519", "rsa2048")}
    for kind, pair in pairs.items():
        api.put_acked(f"/v1/ssls/{kind}", pair.ssl(f"{kind}.test"))
        assert tls.leaf(port, f"{kind}.test") == pair.sha256
    # Every way to be refused with a key in the request.
    good = pairs["p256"]
    refused = ca.issue("refused.test")
    pairs["refused"] = refused
    for body in ({"sni": "bad name", "cert": refused.cert_pem, "key": refused.key_pem}, {"cert": refused.key_pem, "key": refused.key_pem},
                 {"sni": refused.key_pem, "cert": refused.key_pem, "key": 1}, {"sni": "x.test", "cert": good.cert_pem, "key": refused.key_pem},
                 {refused.key_pem: 1}, {"sni": "x.test", "cert": refused.cert_pem, "key": refused.key_pem + "x", "certs": refused.key_pem},
                 {"sni": "x.test", "cert": refused.cert_pem, "key": refused.key_pem, "client": {"ca": refused.key_pem}},
                 {"sni": "x.test", "cert": refused.cert_pem, "key": refused.key_pem, "desc": 7}):
        assert api.put("/v1/ssls/refused", body).status in (400, 422)
    text = json.dumps(refused.ssl("x.test"))
    for broken in (text[:-1], text + "}", text.replace("{", "", 1), text[:len(text) // 2]):
        assert api.put("/v1/ssls/refused", broken.encode()).status == 400
    api.put("/v1/tls_options/refused", {"min_version": refused.key_pem, "client_auth": {"ca": refused.key_pem}}).expect(422)
    api.put("/v1/ca_bundles/refused", {"certs": refused.key_pem}).expect(422)
    api.get(f"/v1/ssls/{'x' * 10}", headers={"X-Request-Id": "k"})
    # Ordinary life: read, list, patch, replace, history, restart, deletion.
    for path in ("/v1/ssls", "/v1/ssls/p256", "/v1/revisions", "/v1/agents", f"/v1/agents/{agent.id}", "/metrics"):
        api.get(path).expect(200)
    api.patch("/v1/ssls/p256", {"desc": "x"}, wait="acked", timeout=30).expect(200)
    api.apply(put=[("ssls", "p384", pairs["p384"].ssl("p384.test", desc="again"))], wait="acked", timeout=30).expect(200)
    agent.metrics()
    agent.restart()
    agent.wait_connected(60)
    api.delete("/v1/ssls/rsa2048", wait="acked", timeout=30).expect(200, 204)
    api.delete("/v1/ssls/ed25519", wait="acked", timeout=30).expect(200, 204)
    agent.wait_applied()

    assert len(controlplane.api.transcript) > 20
    for number, answer in enumerate(world.transcript):
        assert_nowhere(pairs, f"answer {number}", answer)
        assert not answer.startswith((b"200", b"201")) or b"PRIVATE KEY" not in answer
    files = [path for folder in (controlplane.dir, agent.dir) for path in sorted(folder.rglob("*")) if path.is_file()]
    assert len(files) >= 5
    for path in [*files, controlplane.log, agent.log]:
        assert_nowhere(pairs, path.name, path.read_bytes())
    for daemon in (controlplane.daemon, agent.daemon):
        for name in ("cmdline", "environ"):
            with open(f"/proc/{daemon.pid}/{name}", "rb") as source:
                assert_nowhere(pairs, name, source.read())
    # And after an orderly end, with the write-ahead logs folded in.
    agent.daemon.terminate()
    controlplane.daemon.terminate()
    for folder in (controlplane.dir, agent.dir):
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                assert_nowhere(pairs, path.name, path.read_bytes())


def test_tokens_are_nowhere(world, controlplane, agent):
    """The admin token and join tokens rest as hashes."""
    join = agent.token_file.read_text().strip().split(".")[2].encode()
    admin = controlplane.api.token.encode()
    for path in [*controlplane.dir.rglob("*"), *agent.dir.rglob("*"), controlplane.log, agent.log]:
        if path.is_file() and path.name != "admin.token":
            data = path.read_bytes()
            assert admin not in data and join not in data, path


@pytest.fixture
def may_dump():
    """Whoever starts now may leave a core of any size, as far as we may say so."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (PermissionError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    assert resource.getrlimit(resource.RLIMIT_CORE)[0] != 0, "no process may leave a core here, so this shows nothing"
    yield
    resource.setrlimit(resource.RLIMIT_CORE, before)


def cores(limited):
    """The environment of a process whose limit of cores ASan does not set to 0; not limited: nor do we."""
    made = {"ASAN_OPTIONS": SANITIZER_ENV["ASAN_OPTIONS"] + ":disable_coredump=0:verify_asan_link_order=0"}
    return made if limited else {**made, "LD_PRELOAD": str(BUILD / "tests" / "lib" / "libfault.so"), "FAULT_CORES": "1"}


def core_limit(pid):
    with open(f"/proc/{pid}/limits", encoding="ascii") as limits:
        return next(line for line in limits if line.startswith("Max core file size")).split()[4]


def is_dumped(pid):
    """Whether this child's death by a signal that asks for a core has left one."""
    os.kill(pid, signal.SIGQUIT)
    return os.WCOREDUMP(os.waitpid(pid, 0)[1])


def test_core_dumps_are_off(may_dump, world):
    """The limit is zero."""
    controlplane = world.controlplane(env=cores(limited=True))
    agent = world.agent(controlplane, env=cores(limited=True))
    ctl = Ctl(controlplane.api)
    with subprocess.Popen([str(CTL), "watch"], env={**ctl.env, **cores(limited=True)}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as watch:
        try:
            eventually(lambda: core_limit(watch.pid) == "0", "tlsplanectl may leave no core")
        finally:
            watch.terminate()
    for daemon in (controlplane.daemon, agent.daemon):
        assert core_limit(daemon.pid) == "0", daemon.name


def test_no_core_without_a_limit(may_dump, world):
    """Nor does a daemon leave one whose limit was not set: it says that it is not to be dumped."""
    controlplane = world.controlplane(env=cores(limited=False))
    agent = world.agent(controlplane, env=cores(limited=False))
    with subprocess.Popen(["sleep", "60"], cwd=world.tmp) as other:
        dumps = is_dumped(other.pid)
    for daemon in (agent.daemon, controlplane.daemon):
        assert core_limit(daemon.pid) != "0"
        daemon.expect_exit(-signal.SIGQUIT)
        assert not is_dumped(daemon.pid), daemon.name
        daemon.process.returncode = -signal.SIGQUIT
    if not dumps:
        pytest.skip("cores of nobody are kept here, so this shows nothing")


def test_agent_that_lost_a_key_has_it_neither_on_disk_nor_in_memory(world, controlplane, backend, ca):
    """The local keyring could open what is sealed, so the sealed bytes go too; and the parsed key leaves the process."""
    agent = world.agent(controlplane, labels={"site": "a"})
    port = serve(controlplane, backend)
    pair = ca.issue("lost.test", key="rsa2048/lost")
    controlplane.api.put_acked("/v1/ssls/lost", pair.ssl("lost.test", selector={"site": "a"}))
    assert tls.fetch(port, "lost.test")[1] == pair.sha256
    assert count_in_memory(agent.daemon.pid, pair.raw_secret) > 0, "the search finds the parsed key while it is in use"
    controlplane.api.patch(f"/v1/agents/{agent.id}", {"labels": {"site": "b"}}).expect(200)
    eventually(lambda: tls.leaf(port, "lost.test") != pair.sha256, "no longer served")
    for _ in range(8):  # each worker has shaken hands since, so none holds on to the old snapshot
        tls.fetch(port, "lost.test")
    eventually(lambda: count_in_memory(agent.daemon.pid, pair.raw_secret) == 0, "gone from memory", 20, interval=0.5)
    assert not [path for path in agent.cache_files if pair.der in path.read_bytes()]


def count_in_memory(pid, secret):
    """Copies of a big number in a process, as OpenSSL keeps it (little endian) or as it travels (big endian)."""
    found = 0
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            span, mode, *_ = line.split()
            start, end = (int(part, 16) for part in span.split("-"))
            if not mode.startswith("rw") or end - start > 1 << 30 or start >= 1 << 63:
                continue
            try:
                memory.seek(start)
                data = memory.read(end - start)
            except (OSError, ValueError, OverflowError):
                continue
            found += data.count(secret) + data.count(secret[::-1])
    return found
