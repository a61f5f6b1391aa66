# SPDX-License-Identifier: Apache-2.0
"""History is kept for so many revisions and so many days; what is below is gone, and said so; agents notice nothing."""
import contextlib
import sqlite3
import time

import pytest

from harness.tls import leaf
from harness.world import serve


def upstream(port):
    return {"nodes": {f"127.0.0.1:{port}": 1}}


def number(answer):
    return int(answer.headers["Tlsplane-Revision"].split("-")[1])


def rows(controlplane, sql, *values):
    with contextlib.closing(sqlite3.connect(f"file:{controlplane.database}?mode=ro", uri=True)) as store:
        return store.execute(sql, values).fetchall()


def floor(controlplane):
    found = rows(controlplane, "SELECT value FROM meta WHERE key = 'history_floor'")
    return found[0][0] if found else 0


def restart(controlplane, *more):
    """History is looked at soon after a start."""
    return controlplane.restart(*more)


def wait_swept(controlplane, wanted, timeout=30):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = rows(controlplane, "SELECT value FROM meta WHERE key = 'history_swept'")
        if found and found[0][0] >= wanted:
            return
        time.sleep(0.05)
    raise AssertionError(f"not swept to {wanted}: {rows(controlplane, 'SELECT key, value FROM meta')}")


def test_kept_by_number(world, ca):
    controlplane = world.controlplane()
    api = controlplane.api
    pair = ca.issue("kept.test")
    first = number(api.put("/v1/ssls/kept", pair.ssl("kept.test")).expect(201))
    api.post("/v1/join_tokens", {}).expect(201)
    for i in range(30):
        api.put("/v1/upstreams/u", upstream(i + 1)).expect(200, 201)
    api.put("/v1/ssls/kept", ca.issue("kept.test").ssl("kept.test")).expect(200)
    head = number(api.get("/v1/revisions"))
    page = api.get("/v1/ssls", label="x", limit=1)
    assert page.status == 200
    old_cursor = api.get("/v1/revisions", limit=1).json["next"]
    assert floor(controlplane) == 0

    api = restart(controlplane, "--history-revisions", "10").api
    wait_swept(controlplane, head - 10)
    kept = head - 10
    assert floor(controlplane) == kept
    # Above the floor all is as it was; at it too.
    assert api.get(f"/v1/revisions/{head}/diff", against=kept).expect(200).json["items"]
    assert api.get(f"/v1/revisions/{kept + 1}").expect(200).json["changes"] is not None
    assert api.get("/v1/revisions", after=kept).expect(200).json["items"]
    # Below it the rows stay, with who and when; what they changed does not.
    whole = api.get(f"/v1/revisions/{first}").expect(200).json
    assert whole["changes"] is None and whole["changes_total"] == 1 and whole["summary"] == "put ssls/kept"
    for answer in (api.get(f"/v1/revisions/{head}/diff", against=kept - 1), api.get(f"/v1/revisions/{kept}/diff"),
                   api.get("/v1/revisions", after=kept - 1), api.get("/v1/revisions", after=first, wait="10s"),
                   api.post(f"/v1/revisions/{first}/rollback"), api.post(f"/v1/revisions/{kept - 1}/rollback")):
        assert answer.expect(410).json["type"] == "urn:tlsplane:error:gone"
    assert api.get("/v1/revisions", cursor=old_cursor).status == 200  # revision rows stay

    assert rows(controlplane, "SELECT count(*) FROM object WHERE to_rev <= ? AND kind < 64", kept) == [(0,)]
    assert rows(controlplane, "SELECT count(*) FROM change WHERE revision <= ?", kept) == [(0,)]
    assert rows(controlplane, "SELECT count(*) FROM revision") == [(head,)]
    assert rows(controlplane, "SELECT count(*) FROM facet f WHERE NOT EXISTS (SELECT 1 FROM object o WHERE o.row_id = f.row_id)") == [(0,)]
    # A rollback to the floor itself works, key included.
    api.post(f"/v1/revisions/{kept}/rollback").expect(200)
    assert api.get("/v1/ssls/kept").json["x509"]["sha256"] == pair.sha256


def test_a_cursor_below_the_floor_is_gone(world, ca):
    controlplane = world.controlplane()
    for i in range(5):
        controlplane.api.put(f"/v1/upstreams/u{i}", {**upstream(1), "labels": {"n": "1"}}).expect(201)
    cursors = {None: controlplane.api.get("/v1/upstreams", limit=2).json["next"],
               "n=1": controlplane.api.get("/v1/upstreams", limit=2, label="n=1").json["next"]}
    for i in range(20):
        controlplane.api.put("/v1/upstreams/u4", upstream(i + 2)).expect(200)
    head = number(controlplane.api.get("/v1/revisions"))
    restart(controlplane, "--history-revisions", "3")
    wait_swept(controlplane, head - 3)
    for label, cursor in cursors.items():
        query = {"label": label} if label else {}
        assert controlplane.api.get("/v1/upstreams", cursor=cursor, **query).expect(410).json["type"] == "urn:tlsplane:error:gone"
        assert controlplane.api.get("/v1/upstreams", **query).status == 200


def test_kept_by_age(world):
    controlplane = world.controlplane()
    for i in range(10):
        controlplane.api.put("/v1/upstreams/u", upstream(i + 1)).expect(200, 201)
    head = number(controlplane.api.get("/v1/revisions"))
    restart(controlplane, "--history-days", "30", "--history-revisions", "0")
    time.sleep(1)
    assert floor(controlplane) == 0
    assert controlplane.daemon.terminate() == 0
    with contextlib.closing(sqlite3.connect(controlplane.database)) as store, store:
        store.execute("DROP TRIGGER revision_keep_update")
        store.execute("UPDATE revision SET time = time - 31 * 86400 WHERE number <= ?", (head - 4,))
    controlplane.start("--history-days", "30", "--history-revisions", "0")
    wait_swept(controlplane, head - 4)
    assert floor(controlplane) == head - 4
    assert controlplane.api.get(f"/v1/revisions/{head}/diff", against=head - 4).status == 200
    assert controlplane.api.get(f"/v1/revisions/{head}/diff", against=head - 5).status == 410
    # Without limits nothing goes.
    restart(controlplane, "--history-days", "0", "--history-revisions", "0")
    time.sleep(1)
    assert floor(controlplane) == head - 4


def test_a_kill_while_history_is_cut(world):
    controlplane = world.controlplane()
    for n in range(6):
        controlplane.api.apply(put=[("upstreams", f"u{i}", upstream(n + i + 1)) for i in range(1500)]).expect(200)
    head = number(controlplane.api.get("/v1/revisions"))
    assert controlplane.daemon.terminate() == 0
    for _ in range(4):
        controlplane.start("--history-revisions", "2")
        deadline = time.monotonic() + 10
        while floor(controlplane) == 0 and time.monotonic() < deadline:
            time.sleep(0.005)
        controlplane.kill()
    controlplane.start("--history-revisions", "2")
    wait_swept(controlplane, head - 2)
    assert rows(controlplane, "SELECT count(*) FROM object WHERE to_rev <= ? AND kind < 64", head - 2) == [(0,)]
    assert len(controlplane.api.get(f"/v1/revisions/{head}", limit=500).expect(200).json["changes"]) == 500
    assert controlplane.api.get("/v1/upstreams/u7").expect(200).json["nodes"] == upstream(5 + 7 + 1)["nodes"]


@pytest.mark.parametrize("restarted", [False, True])
def test_an_agent_from_before_the_floor_is_sent_everything(world, ca, restarted):
    """It was away while history was cut: what it lacks is no longer there as a difference."""
    controlplane = world.controlplane()
    backend = world.backend()
    agent = world.agent(controlplane)
    port = serve(controlplane, backend)
    goes = ca.issue("goes.test")
    controlplane.api.put_acked("/v1/ssls/goes", goes.ssl("goes.test"))
    assert leaf(port, "goes.test") == goes.sha256
    controlplane.api.put_acked("/v1/ssls/stays", ca.issue("stays.test").ssl("stays.test"))
    agent.daemon.terminate()
    controlplane.api.delete("/v1/ssls/goes").expect(200)
    new = ca.issue("stays.test")
    controlplane.api.put("/v1/ssls/stays", new.ssl("stays.test")).expect(200)
    for i in range(12):
        controlplane.api.put("/v1/upstreams/other", upstream(i + 1)).expect(200, 201)
    head = number(controlplane.api.get("/v1/revisions"))
    restart(controlplane, "--history-revisions", "3")
    wait_swept(controlplane, head - 3)
    if restarted:
        restart(controlplane, "--history-revisions", "3")
    agent.start()
    agent.wait_applied()
    assert leaf(port, "stays.test") == new.sha256
    assert leaf(port, "goes.test") != goes.sha256  # the default certificate
    controlplane.api.put_acked("/v1/ssls/after", ca.issue("after.test").ssl("after.test"))


def test_a_connected_agent_notices_nothing(world, ca):
    controlplane = world.controlplane("--history-revisions", "2")
    agent = world.agent(controlplane)
    backend = world.backend()
    port = serve(controlplane, backend)
    quiet = ca.issue("quiet.test")
    controlplane.api.put_acked("/v1/ssls/quiet", {**quiet.ssl("quiet.test"), "selector": {"tlsplane": "never"}, "status": 0})
    for i in range(40):
        pair = ca.issue("moves.test")
        controlplane.api.put_acked("/v1/ssls/moves", pair.ssl("moves.test"))
        assert leaf(port, "moves.test") == pair.sha256
    assert not agent.daemon.lines("resync")
