# SPDX-License-Identifier: Apache-2.0
"""tlsplanectl as people and scripts run it, against a real control plane and agent: what it changes, prints and ends with."""
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from harness import tls
from harness.ctl import AWAY, CTL, DIFFERENT, OK, REFUSED, USAGE, Ctl, Folder, Relay
from harness.net import free_port
from harness.world import serve

ESCAPE = "\x1b[31m"


@pytest.fixture(scope="module")
def ctl(shared):
    return Ctl(shared.api)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "site")


def lines(text):
    return text.splitlines()


# apply and diff ------------------------------------------------------------------------------------------------------

def test_a_folder_is_served(shared, ctl, folder, ca):
    """Created, unchanged, then a renewed certificate: shown by fingerprints, live when it ends, one revision each."""
    port, first, second = free_port(), ca.issue("folder.test"), ca.issue("folder.test")
    folder.write("net.json", [{"kind": "upstreams", "id": "folder", "nodes": {f"127.0.0.1:{shared.backend.port}": 1}},
                              {"kind": "listeners", "id": "folder", "bind": f"127.0.0.1:{port}", "upstream": "folder"}])
    folder.certificate("folder", first, snis=["Folder.TEST"])
    shown = ctl("diff", "-f", folder.path, expect=DIFFERENT).stdout
    assert "+ ssls/folder" in shown and "+ listeners/folder" in shown and "3 to create, 0 to update" in shown
    assert shared.api.get("/v1/ssls/folder").status == 404
    head = shared.api.head()
    done = ctl("apply", "-f", folder.path, "--wait", "acked")
    assert re.search(r"applied as revision \d+-\d+, acked by 1 agent", done.stdout)
    assert shared.api.head()[1] == head[1] + 1 and tls.leaf(port, "folder.test") == first.sha256
    assert "0 to create, 0 to update, 0 to delete, 3 unchanged" in ctl("diff", "-f", folder.path).stdout
    again = ctl("apply", "-f", folder.path, "--wait", "acked").stdout
    assert "unchanged at revision" in again and "acked by 1 agent" in again and shared.api.head()[1] == head[1] + 1
    folder.certificate("folder", second, snis=["folder.test"])
    shown = ctl("diff", "-f", folder.path, expect=DIFFERENT).stdout
    assert f"cert: sha256 {first.sha256[:16]}" in shown and f"-> sha256 {second.sha256[:16]}" in shown
    assert f"key: spki {first.spki_sha256[:16]} -> {second.spki_sha256[:16]}" in shown and "1 to update, 0 to delete, 2 unchanged" in shown
    assert "served by 1 agent, 1 of 1 changed names looked at" in ctl("apply", "-f", folder.path, "--wait", "served").stdout
    assert tls.leaf(port, "folder.test") == second.sha256
    assert ctl.json("diff", "-f", folder.path) == {"items": []}


def test_no_key_is_seen(shared, ctl, folder, ca):
    pair = ca.issue("secret.test")
    folder.certificate("secret", pair, snis=["secret.test"])
    texts = []
    for words in (("diff", "-f", folder.path), ("diff", "-f", folder.path, "-o", "json")):
        texts.append(ctl(*words, expect=DIFFERENT))
    texts += [ctl("apply", "-f", folder.path), ctl("get", "ssls", "secret", "-o", "json"), ctl("get", "ssl/secret")]
    folder.write("ssls/secret.key", ca.issue("other.test").key_pem)
    texts.append(ctl("apply", "-f", folder.path, expect=REFUSED))
    body = [line for line in pair.key_pem.splitlines() if "---" not in line]
    for done in texts:
        assert not [line for line in body + ["PRIVATE", shared.api.token] if line in done.stdout + done.stderr]


def test_mistakes_are_told_with_their_file(shared, ctl, folder, ca):
    head = shared.api.head()
    folder.certificate("mistake", ca.issue("mistake.test"), snis=["mistake.test"])
    folder.write("ssls/mistake.key", ca.issue("other.test").key_pem)
    folder.write("listeners/mistake.json", {"bnd": "127.0.0.1:1"})
    done = ctl("apply", "-f", folder.path, expect=REFUSED)
    assert "2 of 2 objects" in done.stderr and "ssls/mistake.json) /key" in done.stderr and "listeners/mistake.json) /bnd" in done.stderr
    shutil.rmtree(folder.path)
    folder.write("listeners/mistake.json", {"bind": "127.0.0.1:1", "upstream": "nowhere"})
    done = ctl("apply", "-f", folder.path, expect=REFUSED)
    assert "error: listeners/mistake (" in done.stderr and "/upstream upstreams/nowhere does not exist" in done.stderr
    folder.write("listeners/mistake.json", "{")
    assert "listeners/mistake.json: " in ctl("apply", "-f", folder.path, expect=USAGE).stderr
    folder.write("listeners/mistake.json", {"ca_file": "gone.pem"})
    assert ctl("apply", "-f", folder.path, expect=USAGE).stderr == (
        f"tlsplanectl: {folder.path}/listeners/mistake.json: open {folder.path}/listeners/gone.pem: No such file or directory\n")
    assert shared.api.head() == head


def test_refusals_for_programs(shared, ctl, folder):
    """-o json: the problem document alone on standard output, the same for people on standard error; nothing of what was no failure."""
    folder.write("listeners/refused.json", {"bind": "127.0.0.1:1", "upstream": "nowhere"})
    done = ctl("apply", "-f", folder.path, "-o", "json", expect=REFUSED)
    problem = json.loads(done.stdout)
    assert problem["status"] == 422 and problem["errors"][0]["pointer"] == "/0/value/upstream" and "nowhere does not exist" in done.stderr
    assert json.loads(ctl("get", "ssls", "nowhere", "-o", "json", expect=REFUSED).stdout)["type"] == "urn:tlsplane:error:not-found"
    assert json.loads(ctl("diff", "-f", folder.path, "-o", "json", expect=DIFFERENT).stdout)["items"][0]["op"] == "create"
    assert ctl("get", "ssls", "nowhere", expect=REFUSED).stdout == ""


def test_what_was_shown_is_what_is_done(shared, folder, ca):
    """Somebody else changes the object between the comparison and the request: refused, and theirs stays."""
    api = shared.api
    folder.certificate("race", ca.issue("race.test"), snis=["race.test"], desc="mine")
    Ctl(api)("apply", "-f", folder.path)
    theirs = ca.issue("race.test")
    folder.certificate("race", ca.issue("race.test"), snis=["race.test"], desc="again mine")

    def meddle():
        api.put("/v1/ssls/race", theirs.ssl("race.test", desc="theirs")).expect(200)

    with Relay(api.port, before_post=meddle) as relay:
        ctl = Ctl(api)
        done = ctl("apply", "-f", folder.path, TLSPLANE_URL=f"http://127.0.0.1:{relay.port}", expect=REFUSED)
    assert "(412)" in done.stderr and "ssls/race" in done.stderr
    assert api.get("/v1/ssls/race").expect(200).json["desc"] == "theirs"


def test_dry_run(shared, ctl, folder, ca):
    head = shared.api.head()
    folder.certificate("dry", ca.issue("dry.test"), snis=["dry.test"])
    assert "dry run: it would be accepted" in ctl("apply", "-f", folder.path, "--dry-run").stdout
    assert ctl.json("apply", "-f", folder.path, "--dry-run")["dry_run"] is True
    assert shared.api.head() == head and shared.api.get("/v1/ssls/dry").status == 404


def test_strict(shared, ctl, folder, ca):
    folder.certificate("strict", ca.issue("other.test"), snis=["strict.test"])
    assert "warning: ssls/strict (" in ctl("apply", "-f", folder.path, "--dry-run").stdout
    assert "error: ssls/strict (" in ctl("apply", "-f", folder.path, "--strict", expect=REFUSED).stderr
    assert shared.api.get("/v1/ssls/strict").status == 404


def test_prune(shared, ctl, folder, ca):
    """What has the labels and is not in the folder goes, of every kind; what others own stays."""
    label = {"owner": "prune"}
    folder.certificate("prune-a", ca.issue("a.prune.test"), snis=["a.prune.test"], labels=label)
    folder.certificate("prune-b", ca.issue("b.prune.test"), snis=["b.prune.test"], labels={**label, "env": "x"})
    folder.write("upstreams/prune.json", {"nodes": {"127.0.0.1:1": 1}, "labels": label})
    ctl("apply", "-f", folder.path, "--prune", "-l", "owner=prune")
    shared.api.put("/v1/ssls/prune-other", ca.issue("o.prune.test").ssl("o.prune.test", labels={"owner": "other"})).expect(201)
    (folder.path / "ssls/prune-b.json").unlink()
    (folder.path / "upstreams/prune.json").unlink()
    assert "0 to delete" in ctl("diff", "-f", folder.path).stdout
    shown = ctl("diff", "-f", folder.path, "--prune", "-l", "owner=prune", expect=DIFFERENT).stdout
    assert "- ssls/prune-b\n" in shown and "- upstreams/prune\n" in shown and "2 to delete, 1 unchanged" in shown
    head = shared.api.head()
    ctl("apply", "-f", folder.path, "--prune", "-l", "owner=prune")
    assert shared.api.head()[1] == head[1] + 1
    assert [shared.api.get(f"/v1/{path}").status for path in ("ssls/prune-a", "ssls/prune-b", "upstreams/prune", "ssls/prune-other")] == [200, 404, 404, 200]


def test_a_team_keeps_its_own(shared, ctl, folder, ca):
    """A token for one team's names, which sees SSL objects alone, applies and prunes; what is not the team's it can neither see nor replace."""
    api = shared.api
    token = ctl("token", "create", "--role", "editor", "--sni-suffix", "*.own.test", "-l", "team=own", "--expires-in", "3600").stdout.strip()
    api.put("/v1/ssls/own-foreign", ca.issue("foreign.test").ssl("foreign.test")).expect(201)
    for name in ("a", "b"):
        folder.certificate(f"own-{name}", ca.issue(f"{name}.own.test"), snis=[f"{name}.own.test"], labels={"team": "own"})
    prune = ("apply", "-f", folder.path, "--prune", "-l", "team=own")
    ctl(*prune, TLSPLANE_TOKEN=token)
    (folder.path / "ssls/own-b.json").unlink()
    done = ctl(*prune, "--wait", "served", TLSPLANE_TOKEN=token)
    assert "1 to delete, 1 unchanged" in done.stdout and "served by 1 agent," in done.stdout
    folder.certificate("own-foreign", ca.issue("a.own.test"), snis=["a.own.test"], labels={"team": "own"})
    assert "(403)" in ctl(*prune, TLSPLANE_TOKEN=token, expect=REFUSED).stderr
    assert [api.get(f"/v1/ssls/own-{name}").status for name in ("a", "b", "foreign")] == [200, 404, 200]


def test_prune_wants_to_be_meant(shared, ctl, folder, ca):
    ctl("apply", "-f", folder.path, "--prune", expect=USAGE)
    assert "no object" in ctl("apply", "-f", folder.path, "--prune", "-l", "owner=none", expect=USAGE).stderr
    ctl("apply", "-f", folder.path, "--prune", "-l", "owner=none", "--allow-empty")
    folder.certificate("meant", ca.issue("meant.test"), snis=["meant.test"])
    assert "--prune needs --label" in ctl("apply", "-f", folder.path, "--prune", expect=USAGE).stderr
    assert "lacks labels" in ctl("apply", "-f", folder.path, "--prune", "-l", "owner=none", expect=USAGE).stderr
    assert "--label is for --prune" in ctl("apply", "-f", folder.path, "-l", "owner=none", expect=USAGE).stderr
    assert shared.api.get("/v1/ssls/meant").status == 404


def test_a_wait_that_fails(shared, ctl, folder):
    """A listener whose port is taken: the change stands, the agent and its reason are told."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        folder.write("x.json", [{"kind": "upstreams", "id": "taken", "nodes": {"127.0.0.1:1": 1}},
                                {"kind": "listeners", "id": "taken", "bind": "127.0.0.1:%d" % taken.getsockname()[1], "upstream": "taken"}])
        done = ctl("apply", "-f", folder.path, "--wait", "acked", expect=REFUSED)
    assert f"agent {shared.agent.id}: degraded" in done.stderr and "in use" in done.stderr
    shared.api.apply(delete=[("listeners", "taken")]).expect(200)


def test_many(shared, ctl, folder):
    """More than one page, read by pages, not one by one; deleted again by pruning."""
    rows = [{"kind": "upstreams", "id": f"many-{i}", "nodes": {"127.0.0.1:1": 1 + i % 9}, "labels": {"owner": "many"}} for i in range(1100)]
    folder.write("many.json", rows)
    assert "1100 to create" in ctl("apply", "-f", folder.path).stdout
    listed = ctl.json("get", "upstreams")
    assert len([item for item in listed["items"] if item["id"].startswith("many-")]) == 1100 and listed["next"] is None
    assert len(lines(ctl("get", "upstreams", "--limit", "7").stdout)) == 8
    rows[7]["nodes"] = {"127.0.0.1:2": 1}
    folder.write("many.json", rows)
    shared.api.delete("/v1/upstreams/many-9").expect(200)
    with Relay(shared.api.port) as relay:
        shown = ctl("diff", "-f", folder.path, TLSPLANE_URL=f"http://127.0.0.1:{relay.port}", expect=DIFFERENT).stdout
    assert "+ upstreams/many-9\n" in shown and "~ upstreams/many-7\n" in shown and "1 to create, 1 to update, 0 to delete, 1098 unchanged" in shown
    assert len(relay.requests) < 10
    assert "applied as" in ctl("apply", "-f", folder.path).stdout and shared.api.get("/v1/upstreams/many-7").json["nodes"] == {"127.0.0.1:2": 1}
    folder.write("many.json", rows[:1])
    assert "1099 to delete, 1 unchanged" in ctl("apply", "-f", folder.path, "--prune", "-l", "owner=many").stdout
    assert not [item for item in ctl.json("get", "upstreams")["items"] if item["id"].startswith("many-") and item["id"] != "many-0"]


# History -------------------------------------------------------------------------------------------------------------

def test_rollback(shared, ctl, ca):
    api = shared.api
    first, second = ca.issue("roll.test"), ca.issue("roll.test")
    api.put("/v1/ssls/roll", first.ssl("roll.test")).expect(201)
    api.put("/v1/upstreams/roll", {"nodes": {"127.0.0.1:1": 1}}).expect(201)
    good = api.head()
    api.put("/v1/ssls/roll", second.ssl("roll.test")).expect(200)
    api.put("/v1/upstreams/roll", {"nodes": {"127.0.0.1:1": 2}}).expect(200)
    shown = ctl("diff", good[1], api.head()[1], expect=DIFFERENT).stdout
    assert f"sha256 {first.sha256[:16]}" in shown and f"-> sha256 {second.sha256[:16]}" in shown and "2 objects changed" in shown
    assert [item["id"] for item in ctl.json("diff", good[1], api.head()[1], expect=DIFFERENT)["items"]] == ["roll", "roll"]
    assert "+ upstreams/roll" in ctl("diff", good[1], expect=DIFFERENT).stdout
    assert "0 objects changed" in ctl("diff", good[1], good[1]).stdout
    assert "2 objects to change" in ctl("rollback", good[1], "--dry-run").stdout
    done = ctl("rollback", good[1], "ssls/roll")
    assert "1 object to change" in done.stdout and "upstreams" not in done.stdout and "applied as revision" in done.stdout
    assert api.get("/v1/ssls/roll").json["x509"]["sha256"] == first.sha256
    assert api.get("/v1/upstreams/roll").json["nodes"] == {"127.0.0.1:1": 2}
    ctl("rollback", good[1], "--wait", "acked")
    assert api.get("/v1/upstreams/roll").json["nodes"] == {"127.0.0.1:1": 1}
    assert "unchanged at revision" in ctl("rollback", good[1]).stdout


def test_rollback_does_what_was_shown(shared):
    api = shared.api
    api.put("/v1/upstreams/meddled", {"nodes": {"127.0.0.1:1": 1}}).expect(201)
    good = api.head()
    api.put("/v1/upstreams/meddled", {"nodes": {"127.0.0.1:1": 2}}).expect(200)

    def meddle():
        api.put("/v1/upstreams/meddled", {"nodes": {"127.0.0.1:1": 3}}).expect(200)

    with Relay(api.port, before_post=meddle) as relay:
        assert "(412)" in Ctl(api)("rollback", good[1], TLSPLANE_URL=f"http://127.0.0.1:{relay.port}", expect=REFUSED).stderr
    assert api.get("/v1/upstreams/meddled").json["nodes"] == {"127.0.0.1:1": 3}


def test_history_mistakes(ctl):
    assert "(404)" in ctl("diff", "99999", expect=REFUSED).stderr
    ctl("diff", expect=USAGE)
    ctl("diff", "x", expect=USAGE)
    ctl("diff", "1", "--prune", expect=USAGE)
    ctl("rollback", "1", "ssls", expect=USAGE)
    ctl("rollback", "1", "agents/x", expect=USAGE)
    ctl("rollback", "../x", expect=USAGE)


def test_watch(shared, ctl):
    before = shared.api.head()
    words = ["watch", "--after", f"{before[0]}-{before[1]}", "-o", "json", "--timeout", "1"]
    with subprocess.Popen([str(CTL), *words], env=ctl.env, stdout=subprocess.PIPE, text=True) as watching:
        try:
            time.sleep(2.5) # nothing happens for longer than an answer may take
            shared.api.put("/v1/upstreams/watched", {"nodes": {"127.0.0.1:1": 1}}).expect(201)
            assert json.loads(watching.stdout.readline())["summary"] == "put upstreams/watched"
            shared.api.delete("/v1/upstreams/watched").expect(200)
            assert json.loads(watching.stdout.readline())["summary"] == "delete upstreams/watched"
        finally:
            watching.send_signal(signal.SIGTERM)


# Reading -------------------------------------------------------------------------------------------------------------

def test_get(shared, ctl, ca):
    pair = ca.issue("get.test", "*.get.test")
    shared.api.put("/v1/ssls/get-one", pair.ssl("get.test", "*.get.test", labels={"team": "get"})).expect(201)
    table = lines(ctl("get", "ssls").stdout)
    row = next(line for line in table if line.startswith("get-one"))
    assert table[0].split()[:4] == ["ID", "NAMES", "KEY", "EXPIRES"] and "get.test,*.get.test" in row and "team=get" in row
    assert table[0].index("NAMES") == row.index("get.test,")
    raw = shared.api.get("/v1/ssls/get-one")
    assert ctl("get", "ssls", "get-one", "-o", "json").stdout.rstrip("\n") == raw.body.decode().rstrip("\n")
    assert f"  sha256: {pair.sha256}" in ctl("get", "ssl/get-one").stdout
    whole = shared.api.get("/v1/ssls", limit=500).json
    assert ctl.json("get", "ssls") == whole
    for word in ("tls-options", "ca_bundles", "listeners", "upstreams", "routes", "upstream_tls", "agents", "join_tokens", "tokens", "revisions"):
        assert len(lines(ctl("get", word).stdout)) >= 1
        assert isinstance(ctl.json("get", word)["items"], list)
    assert "(404)" in ctl("get", "ssls", "nowhere", expect=REFUSED).stderr
    ctl("get", "nothing", expect=USAGE)


def test_filters(shared, ctl, ca):
    early, late = ca.issue("early.filter.test", days=20), ca.issue("late.filter.test", days=400)
    shared.api.put("/v1/ssls/filter-early", early.ssl("early.filter.test", labels={"team": "filter"})).expect(201)
    shared.api.put("/v1/ssls/filter-late", late.ssl("late.filter.test", labels={"team": "filter"}, status=0)).expect(201)

    def ids(*words):
        return [item["id"] for item in ctl.json("get", "ssls", *words)["items"]]

    both = ["filter-early", "filter-late"]
    assert ids("-l", "team=filter") == both and ids("-l", "team=filter", "--status", "0") == ["filter-late"]
    assert ids("--sni", "early.filter.test") == ["filter-early"] and ids("--fingerprint", late.sha256) == ["filter-late"]
    assert ids("-l", "team=filter", "--expires-before", "30d") == ["filter-early"]
    assert ids("-l", "team=filter", "--sort", "-expiry") == both[::-1]
    assert ids("-l", "team=filter", "--issuer", "Test CA", "--key-type", "p256", "--type", "server") == both
    table = lines(ctl("expiring", "-l", "team=filter").stdout)
    assert [line.split()[0] for line in table] == ["ID", "filter-early"] and re.search(r" (19|20)d ", table[1])
    assert [line.split()[0] for line in lines(ctl("expiring", "500d", "-l", "team=filter").stdout)[1:]] == both


def test_agents_and_resolve(shared, ctl, ca):
    port = serve(shared.controlplane, shared.backend, listener="resolve", upstream="resolve")
    shared.api.put("/v1/ssls/resolve", ca.issue("resolve.test").ssl("resolve.test"), wait="acked").expect(201)
    row = next(line for line in lines(ctl("agents").stdout) if line.startswith(shared.agent.id))
    assert " ok " in row
    assert f"id: {shared.agent.id}" in ctl("agents", shared.agent.id).stdout
    text = ctl("resolve", shared.agent.id, "resolve", "resolve.test", "--alpn", "h2,http/1.1", "--client-ip", "192.0.2.1").stdout
    assert "outcome: terminate" in text and "  id: resolve" in text and port
    assert ctl.json("resolve", shared.agent.id, "resolve")["sni"] is None
    assert "(404)" in ctl("resolve", "nobody", "resolve", expect=REFUSED).stderr


# Tokens --------------------------------------------------------------------------------------------------------------

def test_tokens(shared, ctl):
    made = ctl("token", "create", "--id", "ctl-made", "--role", "editor", "--sni-suffix", "*.ctl.test", "-l", "team=ctl", "--expires-in", "90d",
               "--desc", "for a test")
    token = made.stdout.strip()
    assert lines(made.stdout) == [token] and "ctl-made" in made.stderr and token not in made.stderr
    listed = ctl("token", "list").stdout
    row = next(line for line in lines(listed) if line.startswith("ctl-made"))
    assert "editor" in row and "*.ctl.test" in row and "team=ctl" in row and token not in listed
    ctl("get", "ssls", TLSPLANE_TOKEN=token)
    assert "(403)" in ctl("get", "upstreams", TLSPLANE_TOKEN=token, expect=REFUSED).stderr
    ctl("token", "revoke", "ctl-made")
    assert "(401)" in ctl("get", "ssls", TLSPLANE_TOKEN=token, expect=REFUSED).stderr
    assert "--role is missing" in ctl("token", "create", expect=USAGE).stderr
    assert "/role" in ctl("token", "create", "--role", "king", expect=REFUSED).stderr


def test_join_tokens(shared, ctl):
    made = ctl("join-token", "create", "--ttl", "60", "-l", "site=ctl,env=x", "--desc", "for a test")
    token = made.stdout.strip()
    ident = token.split(".")[1]
    assert lines(made.stdout) == [token] and ident in made.stderr
    document = ctl.json("get", "join_tokens", ident)
    assert document["labels"] == {"site": "ctl", "env": "x"} and "token" not in document
    assert ident in ctl("join-token", "list").stdout
    ctl("join-token", "delete", ident)
    assert ident not in ctl("join-token", "list").stdout
    assert ctl.json("join-token", "create")["token"]


# People --------------------------------------------------------------------------------------------------------------

def test_nothing_that_a_terminal_obeys(shared, ctl):
    shared.api.put("/v1/upstreams/evil", {"nodes": {"127.0.0.1:1": 1}, "desc": f"{ESCAPE}red\x9b2J\u202e", "labels": {"a": "b"}}).expect(201)
    for words in (("get", "upstreams"), ("get", "upstreams", "evil"), ("diff", "1", shared.api.head()[1])):
        done = subprocess.run([str(CTL), *map(str, words)], env=ctl.env, capture_output=True, text=True, timeout=30, check=False)
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", done.stdout + done.stderr)
    assert "\\x1b[31mred\\x9b2J\\u{202e}" in ctl("get", "upstreams", "evil").stdout
    shown = on_terminal(ctl, ["get", "upstreams", "evil", "-o", "json"])[1]
    assert "\x1b" not in shown and "\\u001B[31mred" in shown
    shared.api.delete("/v1/upstreams/evil").expect(200)


def on_terminal(ctl, words, answer=None, thinking=0):
    """(exit status, what a terminal was sent)"""
    leader, follower = pty.openpty()
    with subprocess.Popen([str(CTL), *map(str, words)], env=ctl.env, stdin=follower, stdout=follower, stderr=follower, close_fds=True) as running:
        os.close(follower)
        text = b""
        while True:
            try:
                data = os.read(leader, 65536)
            except OSError:
                break
            if not data:
                break
            text += data
            if answer is not None and text.rstrip().endswith(b"[y/N]"):
                time.sleep(thinking)
                os.write(leader, answer)
                answer = None
        os.close(leader)
        return running.wait(30), text.decode()


def test_progress(shared):
    """On a terminal it tells that it waits, and wipes that away."""
    with Relay(shared.api.port, silent=b"GET") as relay:
        ctl = Ctl(shared.api)
        ctl.env["TLSPLANE_URL"] = f"http://127.0.0.1:{relay.port}"
        status, text = on_terminal(ctl, ["get", "ssls", "--timeout", "3"])
    assert status == AWAY and re.search("\r\x1b\\[Kwaiting for the answer: [12] s\r\x1b\\[K", text), text


def test_somebody_is_asked(shared, ctl, folder):
    folder.write("upstreams/asked.json", {"nodes": {"127.0.0.1:1": 1}})
    status, text = on_terminal(ctl, ["apply", "-f", folder.path], b"n\n")
    assert "comparing: 0 of 1" in text and "comparing" not in ctl("diff", "-f", folder.path, expect=DIFFERENT).stderr
    assert status == REFUSED and "+ upstreams/asked" in text and "nothing was changed" in text
    assert shared.api.get("/v1/upstreams/asked").status == 404
    status, text = on_terminal(ctl, ["apply", "-f", folder.path, "--timeout", "2"], b"y\n", thinking=3)
    assert status == OK, text # the time to think is not the control plane's
    assert shared.api.get("/v1/upstreams/asked").status == 200
    folder.write("upstreams/asked.json", {"nodes": {"127.0.0.1:1": 2}})
    status, text = on_terminal(ctl, ["apply", "-f", folder.path, "--yes"])
    assert status == OK and "[y/N]" not in text
    status, text = on_terminal(ctl, ["rollback", shared.api.head()[1] - 1], b"\n")
    assert status == REFUSED and "[y/N]" in text
