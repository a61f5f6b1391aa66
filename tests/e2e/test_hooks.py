# SPDX-License-Identifier: Apache-2.0
"""deploy/hooks/tlsplane-upload.sh, on which the hooks and pipelines stand: what it stores and waits for, what it says when that fails, when it
tries again, and that nobody sees key or token."""
import itertools
import pathlib
import re
import shutil
import signal
import ssl
import subprocess
import time

import pytest

from harness import tls, upload
from harness.net import eventually, free_port
from harness.upload import WAIT, Script, environment
from harness.world import serve

TOKEN = "tlsplane_test_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
_numbers = itertools.count()


@pytest.fixture(scope="module")
def live(shared):
    """The port of a listener for all names."""
    return serve(shared.controlplane, shared.backend)


@pytest.fixture
def files(tmp_path, ca):
    """Makes a pair with its two files: (pair, [cert, key])."""
    def make(*names, **more):
        pair = ca.issue(*names, **more)
        return pair, list(pair.write(tmp_path, f"pair{next(_numbers)}"))
    return make


@pytest.fixture
def settings(shared):
    def make(**more):
        return environment(f"http://127.0.0.1:{shared.api.port}", **{"TLSPLANE_TOKEN": shared.api.token, **more})
    return make


def fake(script, **more):
    return environment(script.url, **{"TLSPLANE_TOKEN": TOKEN, "TLSPLANE_WAIT": "acked", **more})


def stored(wait="acked", **more):
    return {"id": "x.test", "version": 7, "snis": ["x.test"], "x509": {"not_after": "2030-01-01T00:00:00Z"},
            **({"wait": {"state": wait, "agents": [{"id": "a", "state": wait}]}} if wait else {}), **more}


def problem(status, name="unavailable", **more):
    return {"type": f"urn:tlsplane:error:{name}", "title": f"Title {status}", "status": status, "detail": f"detail {status}", **more}


# What it stores -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("shell", upload.SHELLS, ids=lambda shell: shell[0])
def test_live_when_it_ends(shared, live, settings, files, shell):
    name = f"{shell[0]}.test"
    (first, old), (second, new) = files(name, f"*.{name}"), files(name, f"*.{name}")
    for pair, paths in ((first, old), (second, new), (second, new)):
        done = upload.upload(paths, settings(), shell)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        assert re.fullmatch(rf"tlsplane: ssls/{name} \({name} \*\.{name}\), version \d+, valid until \S+: {WAIT} by 1 agent\(s\)\n", done.stdout)
        assert tls.leaf(live, f"www.{name}") == pair.sha256
    assert shared.api.get(f"/v1/ssls/{name}").expect(200).json["x509"]["sha256"] == second.sha256


def test_the_same_again_changes_nothing(shared, settings, files):
    _, paths = files("again.test")
    assert upload.upload(paths, settings()).returncode == 0
    head = shared.api.head()
    assert upload.upload(paths, settings()).returncode == 0 and shared.api.head() == head


def test_function(settings, files, tmp_path):
    """Sourced: the caller's options, variables, traps and directory are as before, and errexit switched off by an "if" hides nothing."""
    _, paths = files("function.test")
    script = tmp_path / "caller.sh"
    script.write_text(f'. {upload.UPLOAD}\nid=mine wait=mine http=mine\ntrap "echo bye" EXIT\n'
                      'if tlsplane_upload /nonexistent "$2"; then exit 9; else echo "first $?"; fi\n'
                      'tlsplane_upload "$1" "$2" || exit 8\necho "$id $wait $http ${TLSPLANE_TOKEN:+kept} [$-]"\n')
    for shell in upload.SHELLS:
        done = upload.run([*shell, script, *paths], settings())
        lines = done.stdout.splitlines()
        assert done.returncode == 0 and lines[0] == "first 2" and lines[-1] == "bye", done.stdout + done.stderr
        assert re.fullmatch(r"mine mine mine kept \[[^eux]*\]", lines[-2])


def test_what_others_configured_stays(shared, settings, files):
    """Labels are joined, TLS options are set when they are named, a selector is for creation alone."""
    api = shared.api
    said = settings(TLSPLANE_ID="kept", TLSPLANE_LABELS="team=a, env=prod", TLSPLANE_SELECTOR="site=nowhere", TLSPLANE_TLS_OPTIONS="modern")
    done = upload.upload(files("kept.test")[1], said)
    assert done.returncode == 0 and "stored; no connected agent holds it" in done.stdout
    made = api.get("/v1/ssls/kept").expect(200).json
    assert (made["labels"], made["selector"], made["tls_options"]) == ({"team": "a", "env": "prod"}, {"site": "nowhere"}, "modern")
    api.patch("/v1/ssls/kept", {"selector": {"site": "here"}, "labels": {"owner": "b"}, "desc": "by hand", "priority": 3}).expect(200)
    pair, paths = files("kept.test", "more.kept.test")
    said["TLSPLANE_LABELS"] = "env=test"
    assert upload.upload(paths, {**said, "TLSPLANE_TLS_OPTIONS": ""}).returncode == 0
    now = api.get("/v1/ssls/kept").expect(200).json
    assert now["x509"]["sha256"] == pair.sha256 and now["snis"] == ["kept.test", "more.kept.test"]
    assert (now["labels"], now["selector"]) == ({"team": "a", "env": "test", "owner": "b"}, {"site": "here"})
    assert (now["desc"], now["priority"], now["tls_options"]) == ("by hand", 3, "modern")


def test_token_of_a_team(shared, live, settings, files):
    """What a pipeline should have: names and a label of its own. It creates, renews and waits; what is another's it can't replace."""
    made = shared.api.post("/v1/tokens", {"role": "editor", "expires_in": 3600, "scope": {"sni_suffixes": ["team.test"], "labels": {"team": "x"}}})
    own = settings(TLSPLANE_TOKEN=made.expect(201).json["token"], TLSPLANE_LABELS="team=x")
    for _ in range(2):
        pair, paths = files("shop.team.test")
        done = upload.upload(paths, own)
        assert done.returncode == 0 and done.stdout.endswith(": served by 1 agent(s)\n"), done.stderr
        assert tls.leaf(live, "shop.team.test") == pair.sha256
    done = upload.upload(files("shop.other.test")[1], own)
    assert done.returncode == 1 and "HTTP 403" in done.stderr and "/snis/0" in done.stderr, done.stderr
    theirs, _ = files("foreign.test")
    shared.api.put("/v1/ssls/foreign", theirs.ssl("foreign.test")).expect(201)
    done = upload.upload(files("shop.team.test")[1], {**own, "TLSPLANE_ID": "foreign"})
    assert done.returncode == 1 and "HTTP 403" in done.stderr and shared.api.get("/v1/ssls/foreign").json["x509"]["sha256"] == theirs.sha256
    done = upload.upload(files("more.team.test")[1], {**own, "TLSPLANE_LABELS": ""})
    assert done.returncode == 1 and "HTTP 403" in done.stderr and "/labels" in done.stderr, done.stderr


def test_an_object_with_one_name(shared, settings, files):
    """Made by others with `sni`: the names follow the certificate."""
    pair, _ = files("single.test")
    shared.api.put("/v1/ssls/single.test", pair.ssl("single.test")).expect(201)
    assert upload.upload(files("single.test", "two.single.test")[1], settings()).returncode == 0
    now = shared.api.get("/v1/ssls/single.test").expect(200).json
    assert now["snis"] == ["single.test", "two.single.test"] and "sni" not in now


def test_names_and_id(shared, settings, files):
    pair, paths = files("*.wild.test", "10.1.2.3", "wild.test")
    assert upload.upload(paths, settings()).returncode == 0
    assert shared.api.get("/v1/ssls/_.wild.test").expect(200).json["snis"] == ["*.wild.test", "wild.test"]
    done = upload.upload(paths, settings(TLSPLANE_ID="other", TLSPLANE_SNIS="a.wild.test,b.wild.test c.elsewhere.test"))
    assert done.returncode == 0 and "warning: /snis/2" in done.stdout
    assert shared.api.get("/v1/ssls/other").expect(200).json["snis"] == ["a.wild.test", "b.wild.test", "c.elsewhere.test"]
    assert pair.sha256 == shared.api.get("/v1/ssls/other").json["x509"]["sha256"]


def test_settings_in_a_file(shared, settings, files, tmp_path):
    """The environment goes before the file."""
    token = tmp_path / "token"
    token.write_text(shared.api.token + "\n")
    config = tmp_path / "upload.env"
    config.write_text(f'# by hand\n\nTLSPLANE_URL=http://127.0.0.1:{shared.api.port}/\nTLSPLANE_TOKEN_FILE="{token}"\nTLSPLANE_WAIT={WAIT}\nTLSPLANE_LABELS=a=1,b=2')
    _, paths = files("file.test")
    bare = settings(TLSPLANE_SETTINGS=config, TLSPLANE_TOKEN=None, TLSPLANE_URL="", TLSPLANE_WAIT=None)
    assert upload.upload(paths, bare).returncode == 0
    assert shared.api.get("/v1/ssls/file.test").expect(200).json["labels"] == {"a": "1", "b": "2"}
    assert upload.upload(paths, {**bare, "TLSPLANE_LABELS": "a=3"}).returncode == 0
    assert shared.api.get("/v1/ssls/file.test").expect(200).json["labels"] == {"a": "3", "b": "2"}
    for line in ("TLSPLANE_ID=x", "TLSPLANE_SNIS=x.test", "TLSPLANE_UR=x", "just text", "PATH=/"):
        config.write_text(line + "\n")
        done = upload.upload(paths, bare)
        assert done.returncode == 2 and f"{config}:1: " in done.stderr, done.stderr


# What it refuses by itself ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("change,text", [
    ({"TLSPLANE_URL": None}, "TLSPLANE_URL is not set"), ({"TLSPLANE_URL": "ftp://x"}, "https://HOST:PORT expected"),
    ({"TLSPLANE_URL": "http://tlsplane.example:9180"}, "plain text"), ({"TLSPLANE_URL": "http://127.0.0.1.evil.example"}, "plain text"),
    ({"TLSPLANE_URL": "http://localhost.evil.example:80/x"}, "plain text"), ({"TLSPLANE_URL": "https://me:secret@x"}, "password"),
    ({"TLSPLANE_TOKEN": None}, "neither TLSPLANE_TOKEN_FILE"), ({"TLSPLANE_TOKEN": "a\nX-Other: b"}, "not a token"),
    ({"TLSPLANE_TOKEN": None, "TLSPLANE_TOKEN_FILE": "/nonexistent"}, "can't read the token"), ({"TLSPLANE_CA_FILE": "/nonexistent"}, "TLSPLANE_CA_FILE"),
    ({"TLSPLANE_WAIT": "yes"}, "served, acked or none"), ({"TLSPLANE_TIMEOUT": "1m"}, "seconds"), ({"TLSPLANE_TIMEOUT": "0"}, "seconds"),
    ({"TLSPLANE_LABELS": "team"}, "NAME=VALUE"), ({"TLSPLANE_ID": "a/b"}, "TLSPLANE_ID"), ({"TLSPLANE_ID": ".."}, "TLSPLANE_ID"),
    ({"TLSPLANE_SETTINGS": "/nonexistent"}, "can't read the settings")])
def test_wrong_settings(files, settings, change, text):
    done = upload.upload(files("settings.test")[1], settings(**change))
    assert done.returncode == 2 and done.stdout == "" and text in done.stderr and "secret" not in done.stderr, done.stderr


def test_wrong_files(files, settings, tmp_path, ca):
    pair, (cert, key) = files("files.test")
    other = tmp_path / "other.pem"
    cases = [((cert,), None, "usage"), ((tmp_path, key), None, "no file"), ((cert, tmp_path / "gone"), None, "is not there"),
             ((key, cert), None, "holds no PEM certificate"), ((other, key), pair.cert_pem + pair.key_pem, "holds a private key"),
             ((cert, other), pair.cert_pem, "holds no PEM private key"), ((cert, other), "", "holds no PEM private key"),
             ((cert, other), pair.encrypted_key_pem, "is encrypted"), ((other, key), ca.leaf_pem, "has no DNS names")]
    for paths, text, expected in cases:
        if text is not None:
            other.write_text(text)
        done = upload.upload(paths, settings())
        assert done.returncode == 2 and expected in done.stderr, (expected, done.stderr)


# What the API refuses: at once, with its reason -------------------------------------------------------------------------

def test_wrong_token(files, settings):
    done = upload.upload(files("token.test")[1], settings(TLSPLANE_TOKEN="wrong"))
    assert done.returncode == 1 and "HTTP 401 Authentication required" in done.stderr and "trying again" not in done.stderr


def test_key_of_another_certificate(shared, files, settings):
    pair, (cert, key) = files("mismatch.test")
    assert upload.upload((cert, key), settings()).returncode == 0
    done = upload.upload((cert, files("mismatch.test")[1][1]), settings())
    assert done.returncode == 1 and "HTTP 422 Invalid configuration" in done.stderr and re.search(r"^  /key: .+", done.stderr, re.M), done.stderr
    assert shared.api.get("/v1/ssls/mismatch.test").expect(200).json["x509"]["sha256"] == pair.sha256


@pytest.mark.parametrize("status", [400, 401, 403, 409, 413, 415, 422, 428, 500, 507])
def test_refused_at_once(files, status):
    body = problem(status, "refused", errors=[{"code": "c", "pointer": "/snis/0", "detail": "not yours \x1b[31m\n"}], instance="urn:tlsplane:request:r-1")
    with Script((status, {"Retry-After": "1"}, body)) as script:
        done = upload.upload(files("x.test")[1], fake(script))
    assert done.returncode == 1 and script.methods == ["PATCH"]
    assert done.stderr == (f"tlsplane: ssls/x.test: HTTP {status} Title {status}: detail {status}\n  /snis/0: not yours ?[31m?\n  request r-1\n")


@pytest.mark.parametrize("answer", [(404, {}, b"<html>no such page</html>"), (302, {"Location": "http://127.0.0.1:1/"}, b""), (200, {}, b"<html>"),
                                    (200, {}, stored(wait=None)), (200, {}, stored(wait="acked"))])
def test_not_the_admin_api(files, answer):
    """Or one that has waited for less than was asked: never a success."""
    with Script(answer) as script:
        done = upload.upload(files("x.test")[1], fake(script, TLSPLANE_WAIT="served"))
    assert done.returncode == 1 and script.methods == ["PATCH"] and done.stdout == ""
    assert "without a reason that could be read" in done.stderr or "doesn't say that the change is served" in done.stderr


def test_agents_that_have_not(files):
    """502: refused by an agent; said with each agent's reason, not tried again."""
    agents = [{"id": "good", "state": "acked"}, {"id": "bad", "state": "nacked", "reason": "too many names",
                                                 "objects": [{"kind": "ssls", "id": "x.test", "field": "/snis", "reason": "limit"}]}]
    with Script((502, {}, problem(502, "refused", revision="1-9", agents=agents))) as script:
        done = upload.upload(files("x.test")[1], fake(script))
    assert done.returncode == 1 and script.methods == ["PATCH"]
    assert done.stderr.splitlines()[1:-1] == ["  agent bad: nacked: too many names", "    ssls/x.test/snis: limit", "  revision 1-9 stands"]


def test_names_that_have_not(files):
    """A token with a scope is told how many agents, not which; and which names show something else, or were changed again."""
    agents = [{"state": "served", "count": 3}, {"state": "not-served", "count": 2}]
    names = {"changed": 2, "checked": 1, "superseded": [{"listener": "https", "sni": "x.test", "key_type": "ecdsa", "revision": "1-10"}]}
    with Script((502, {}, problem(502, "not-served", revision="1-9", agents=agents, names=names))) as script:
        done = upload.upload(files("x.test")[1], fake(script))
        seen = [{"listener": "https", "sni": "x.test", "key_type": "ecdsa", "expected": "aa", "seen": None, "reason": "refused"}]
        script.answers = [(502, {}, problem(502, "not-served", revision="1-9", agents=[{"id": "bad", "state": "not-served", "names": seen}]))]
        again = upload.upload(files("x.test")[1], fake(script))
    assert done.returncode == again.returncode == 1
    assert done.stderr.splitlines()[1:-1] == ["  2 agent(s): not-served", "  x.test on https: changed again by revision 1-10", "  revision 1-9 stands"]
    assert again.stderr.splitlines()[1:3] == ["  agent bad: not-served", "    listener=https sni=x.test key_type=ecdsa expected=aa seen=null reason=refused"]


def test_served_is_asked_for(files):
    with Script((200, {}, stored("served"))) as script:
        done = upload.upload(files("x.test")[1], fake(script, TLSPLANE_WAIT=None, TLSPLANE_TIMEOUT="9999"))
        assert done.returncode == 0 and done.stdout.endswith(": served by 1 agent(s)\n")
        wait = {"state": "served", "agents": [{"state": "served", "count": 5}], "names": {"changed": 1, "checked": 1, "shadowed": ["x.test"]}}
        script.answers = [(200, {}, {**stored(), "wait": wait})]
        done = upload.upload(files("x.test")[1], fake(script, TLSPLANE_WAIT="served"))
        assert done.stdout.startswith("tlsplane: warning: x.test is answered by another") and done.stdout.endswith(": served by 5 agent(s)\n")
        assert upload.upload(files("x.test")[1], fake(script, TLSPLANE_WAIT="none")).stdout.endswith(": stored, not waited for\n")
    assert script.seen[0]["path"] == "/v1/ssls/x.test?wait=served&timeout=300" and script.seen[-1]["path"] == "/v1/ssls/x.test"


# When it tries again --------------------------------------------------------------------------------------------------

def test_create_and_race(files):
    """404: created only if it is still not there; 412: somebody else was quicker, so it is changed after all."""
    with Script((404, {}, problem(404, "not-found")), (412, {}, problem(412, "exists")), (200, {}, stored())) as script:
        done = upload.upload(files("x.test")[1], fake(script, TLSPLANE_SELECTOR="site=eu"))
    assert done.returncode == 0 and script.methods == ["PATCH", "PUT", "PATCH"]
    first, put, last = script.seen
    assert put["headers"]["If-None-Match"] == "*" and put["json"]["selector"] == {"site": "eu"} and "sni" not in put["json"]
    for patch in (first, last):
        assert "If-None-Match" not in patch["headers"] and "selector" not in patch["json"] and patch["json"]["sni"] is None
        assert patch["headers"]["Content-Type"] == "application/merge-patch+json"


def test_create_and_race_for_ever(files):
    script = Script(*[(404, {}, problem(404, "not-found")), (412, {}, problem(412, "exists"))] * 20)
    with script:
        done = upload.upload(files("x.test")[1], fake(script))
    assert done.returncode == 1 and len(script.seen) == 6


@pytest.mark.parametrize("answer", [(429, {}, problem(429, "rate")), (503, {}, problem(503)), (504, {}, problem(504, "not-acked")), (502, {}, b"<html>")])
def test_tried_again(files, answer):
    with Script(answer, (200, {}, stored())) as script:
        started = time.monotonic()
        done = upload.upload(files("x.test")[1], fake(script))
    assert done.returncode == 0 and script.methods == ["PATCH", "PATCH"] and 0.9 < time.monotonic() - started < 6
    assert done.stderr == f"tlsplane: HTTP {answer[0]}; trying again in 1 s\n"
    assert script.seen[0]["json"] == script.seen[1]["json"]


def test_retry_after(files):
    with Script((503, {"Retry-After": "3"}, problem(503)), (200, {}, stored())) as script:
        started = time.monotonic()
        done = upload.upload(files("x.test")[1], fake(script))
    assert done.returncode == 0 and "trying again in 3 s" in done.stderr and time.monotonic() - started > 2.9


def test_bounded(files):
    """Pauses grow; when the time would be over before the next try, the last reason is told. Retry-After as a date is not followed."""
    with Script((503, {"Retry-After": "Wed, 21 Oct 2037 07:28:00 GMT"}, problem(503))) as script:
        done = upload.upload(files("x.test")[1], fake(script, TLSPLANE_TIMEOUT="10"))
    assert re.findall(r"in (\d+) s$", done.stderr, re.M) == ["1", "2", "4"] and len(script.seen) == 4
    assert done.returncode == 3 and "Title 503: detail 503" in done.stderr and "not live within 10 s" in done.stderr


def test_retry_after_beyond_the_time(files):
    with Script((429, {"Retry-After": "3600"}, problem(429, "rate"))) as script:
        done = upload.upload(files("x.test")[1], fake(script))
    assert done.returncode == 3 and "Title 429: detail 429" in done.stderr and len(script.seen) == 1


def test_silent_server(files):
    """A server that takes the request and never answers costs no more than the time that was given."""
    with Script((200, {}, stored()), look=lambda: time.sleep(9)) as script:
        started = time.monotonic()
        done = upload.upload(files("x.test")[1], fake(script, TLSPLANE_TIMEOUT="3"))
        assert done.returncode == 3 and "no answer from" in done.stderr and time.monotonic() - started < 8.5


def test_control_plane_down_then_up(world, files, tmp_path):
    controlplane = world.controlplane()
    agent = world.agent(controlplane)
    port = serve(controlplane, world.backend())
    token = controlplane.api.token
    assert controlplane.daemon.terminate() == 0
    pair, paths = files("down.test")
    with open(tmp_path / "said", "w+", encoding="utf-8") as said:
        running = subprocess.Popen([upload.UPLOAD, *paths], stdout=said, stderr=said,
                                   env=environment(f"http://127.0.0.1:{controlplane.admin_port}", TLSPLANE_TOKEN=token, TLSPLANE_TIMEOUT="60"))
        try:
            eventually(lambda: "trying again in 2 s" in (tmp_path / "said").read_text(), "it has tried twice")
            controlplane.start()
            agent.wait_connected()
            assert running.wait(60) == 0, (tmp_path / "said").read_text()
        finally:
            running.kill()
            running.wait()
    assert "Couldn't connect to server; trying again in 1 s" in (tmp_path / "said").read_text()
    eventually(lambda: tls.leaf(port, "down.test") == pair.sha256, "it is served")  # the agent may have come back after the upload


def test_nobody_there(files):
    done = upload.upload(files("x.test")[1], environment(f"http://127.0.0.1:{free_port()}", TLSPLANE_TOKEN=TOKEN, TLSPLANE_TIMEOUT="3"))
    assert done.returncode == 3 and "Failed to connect" in done.stderr


# HTTPS ----------------------------------------------------------------------------------------------------------------

def test_https(files, tmp_path, ca):
    """Only whom TLSPLANE_CA_FILE names is trusted with key and token; a stranger gets neither, and is not asked twice."""
    cert, key = ca.issue("localhost").write(tmp_path, "front")
    trust = tmp_path / "trust.pem"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    script = Script((200, {}, stored()))
    script.socket = context.wrap_socket(script.socket, server_side=True)
    with script:
        said = {**fake(script), "TLSPLANE_URL": f"https://localhost:{script.server_port}", "TLSPLANE_CA_FILE": str(trust)}
        trust.write_text(ca.leaf_pem)
        assert upload.upload(files("x.test")[1], said).returncode == 0 and len(script.seen) == 1
        trust.write_text(files("stranger.test")[0].leaf_pem)
        done = upload.upload(files("x.test")[1], said)
        assert done.returncode == 1 and "certificate" in done.stderr and len(script.seen) == 1


# Secrets --------------------------------------------------------------------------------------------------------------

def everything_seen(folder, script_file, shell, make_files, *, token_file=False):
    """Runs an upload (503, then 200) with a trace on; returns its secrets and all that could be seen: output, arguments and environment of
    every tool, files on disk while the server had the request."""
    _, paths = make_files("x.test")
    scratch = folder / "scratch"
    scratch.mkdir()
    tools, log = upload.spy_on_tools(folder)
    on_disk = []
    def look():
        on_disk.extend(path.read_text(errors="replace") for path in scratch.rglob("*") if path.is_file())
    with Script((503, {}, problem(503)), (200, {}, stored()), look=look) as script:
        env = {**fake(script), "PATH": str(tools), "TMPDIR": str(scratch)}
        if token_file:
            env.pop("TLSPLANE_TOKEN")
            (folder / "token").write_text(TOKEN + "\n")
            env["TLSPLANE_TOKEN_FILE"] = str(folder / "token")
        done = upload.upload(paths, env, [shutil.which(shell[0]), *shell[1:], "-x"], script_file)
        assert done.returncode == 0 and script.seen[1]["headers"]["Authorization"] == f"Bearer {TOKEN}", done.stderr
        assert script.seen[1]["json"]["key"].strip() == pathlib.Path(paths[1]).read_text().strip()
    assert list(scratch.iterdir()) == []
    calls = log.read_text()
    assert calls.count("\ncurl\n") == 2
    return upload.secrets_of(TOKEN, paths[1]), [done.stdout, done.stderr, calls, *on_disk]


@pytest.mark.parametrize("shell", upload.SHELLS, ids=lambda shell: shell[0])
def test_nobody_sees_secrets(tmp_path, files, shell):
    secrets, texts = everything_seen(tmp_path, upload.UPLOAD, shell, files, token_file=shell == ["bash", "--posix"])
    assert not upload.leaked(secrets, *texts)


@pytest.mark.parametrize("old,new", [
    ("{ set +x; } 2>/dev/null", ":"), ("unset TLSPLANE_TOKEN", ":"), ("--header @/dev/fd/3", '--header "Authorization: Bearer $token"'),
    ('--rawfile key "$2"', '--arg key "$(cat "$2")"'), ("_curl=0\n", 'cat "$2" >"$dir/key"; _curl=0\n')])
def test_leaks_would_be_seen(tmp_path, files, old, new):
    """The test above, against the script with one precaution taken out."""
    text = upload.UPLOAD.read_text()
    assert text.count(old) == 1
    leaky = tmp_path / "tlsplane-upload.sh"
    leaky.write_text(text.replace(old, new))
    try:
        secrets, texts = everything_seen(tmp_path, leaky, ["dash"], files)
    except AssertionError as error:
        pytest.fail(f"the changed script does not run: {error}")
    assert upload.leaked(secrets, *texts)


def test_stopped(tmp_path, files):
    """SIGTERM in the middle of a pause: no file stays behind."""
    with Script((503, {"Retry-After": "2"}, problem(503))) as script:
        running = subprocess.Popen([upload.UPLOAD, *files("x.test")[1]], env={**fake(script), "TMPDIR": str(tmp_path)}, stderr=subprocess.DEVNULL)
        eventually(lambda: script.seen and list(tmp_path.glob("tmp.*")), "it waits")
        running.send_signal(signal.SIGTERM)
        assert running.wait(10) != 0 and not list(tmp_path.glob("tmp.*"))
