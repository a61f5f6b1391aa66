# SPDX-License-Identifier: Apache-2.0
"""DELETE ...?purge=keys: keys leave history and the store's files, everything else of history stays."""
import contextlib
import sqlite3
import threading
import time

import pytest

from harness.tls import leaf
from harness.world import serve


def number(answer):
    return int(answer.headers["Tlsplane-Revision"].split("-")[1])


@contextlib.contextmanager
def reading(controlplane):
    """Somebody who sees the store as it is now, for as long as this lasts."""
    with contextlib.closing(sqlite3.connect(f"file:{controlplane.database}?mode=ro", uri=True, isolation_level=None)) as store:
        store.execute("BEGIN")
        store.execute("SELECT count(*) FROM object").fetchone()
        yield store


def sealed(controlplane, name):
    """The secrets of all states of an SSL object, as they rest."""
    with reading(controlplane) as store:
        return [row[0] for row in store.execute("SELECT secret FROM object WHERE kind = 1 AND id = ? ORDER BY from_rev", (name,))]


def in_files(controlplane, secret):
    """Any 24 bytes of it: a page may end in the middle."""
    found = [secret[at:at + 24] for at in range(0, len(secret) - 24, 8)]
    content = b"".join(path.read_bytes() for path in sorted(controlplane.dir.iterdir()) if path.is_file())
    return any(piece in content for piece in found)


def put(api, ca, name, times=1):
    for _ in range(times):
        answer = api.put(f"/v1/ssls/{name}", ca.issue(f"{name}.test").ssl(f"{name}.test")).expect(200, 201)
    return number(answer)


def rows_of(api, action):
    return [row["outcome"] for row in api.get("/v1/audit", limit=1000).expect(200).json["items"] if row["action"] == action]


def test_keys_leave_history_and_files(controlplane, api, ca):
    target = put(api, ca, "leaves", times=3)
    put(api, ca, "stays")
    secrets, other = sealed(controlplane, "leaves"), sealed(controlplane, "stays")[0]
    assert len(secrets) == 3 and all(in_files(controlplane, secret) for secret in secrets)

    done = api.delete("/v1/ssls/leaves", purge="keys").expect(200).json
    assert done["purged"] == 3 and done["id"] == "leaves"
    assert sealed(controlplane, "leaves") == [None] * 3
    assert not any(in_files(controlplane, secret) for secret in secrets)
    assert in_files(controlplane, other)
    revision = api.get(f"/v1/revisions/{done['revision']}").expect(200).json
    assert revision["summary"] == "purge keys: delete ssls/leaves" and revision["changes_total"] == 1
    assert rows_of(api, "purge keys: delete ssls/leaves") == ["ok"]

    # What it was is still told; to go back there is refused, and names who can't.
    assert [item["op"] for item in api.get(f"/v1/revisions/{done['revision']}/diff", against=target).expect(200).json["items"]] == ["create", "delete"]
    refused = api.post(f"/v1/revisions/{target}/rollback").expect(409)
    assert refused.codes == ["purged"] and refused.pointers == ["/ssls/leaves"]
    # All else can go back; and so can the object once it has a key again.
    api.post(f"/v1/revisions/{target + 1}/rollback", {"objects": [{"kind": "ssls", "id": "stays"}]}).expect(200)
    later = put(api, ca, "leaves")
    api.delete("/v1/ssls/leaves").expect(200)
    api.post(f"/v1/revisions/{later}/rollback").expect(200)
    assert api.get("/v1/ssls/leaves").status == 200


def test_of_what_is_deleted_already(controlplane, api, ca):
    put(api, ca, "gone", times=2)
    api.delete("/v1/ssls/gone").expect(200)
    secrets = sealed(controlplane, "gone")
    head = number(api.get("/v1/revisions"))
    assert api.delete("/v1/ssls/gone").status == 404
    assert api.delete("/v1/ssls/gone", purge="keys", headers={"If-Match": '"1-1"'}).status == 412
    assert api.delete("/v1/ssls/gone", purge="keys", dry_run="true").expect(200).json["changed"] is False
    assert sealed(controlplane, "gone") == secrets

    assert api.delete("/v1/ssls/gone", purge="keys").expect(200).json == {"id": "gone", "revision": f"1-{head}", "purged": 2}
    assert not any(in_files(controlplane, secret) for secret in secrets)
    assert api.delete("/v1/ssls/gone", purge="keys").expect(200).json["purged"] == 0
    assert number(api.get("/v1/revisions")) == head  # history is not longer for it
    assert rows_of(api, "purge keys: delete ssls/gone") == ["precondition-failed", "ok", "unchanged"]
    assert api.delete("/v1/ssls/never", purge="keys").status == 404


def test_what_is_refused_erases_nothing(controlplane, api, ca):
    target = put(api, ca, "used")
    api.put("/v1/ssls/origin", {**ca.issue("origin.test", usage="client").ssl(), "type": "client"}).expect(201)
    api.put("/v1/upstream_tls/uses", {"client_ssl": "origin"}).expect(201)
    for query in ({}, {"dry_run": "true"}):
        assert api.delete("/v1/ssls/origin", purge="keys", **query).expect(409).codes == ["referenced"]
    assert api.delete("/v1/ssls/used", purge="keys", dry_run="true").expect(200).json["changed"] is True
    assert api.delete("/v1/ssls/used", purge="keys", headers={"If-Match": '"1-1"'}).status == 412
    for name, query in (("ssls/used", {"purge": "all"}), ("ssls/used", {"purge": ""}), ("upstream_tls/uses", {"purge": "keys"})):
        assert api.delete(f"/v1/{name}", **query).status == 400
    for role, scope in (("editor", None), ("editor", {"sni_suffixes": ["used.test"]}), ("viewer", None)):
        token = api.post("/v1/tokens", {"role": role, **({"scope": scope} if scope else {})}).expect(201).json["token"]
        assert api.delete("/v1/ssls/used", purge="keys", headers={"Authorization": f"Bearer {token}"}).status == 403
    assert all(sealed(controlplane, "used") + sealed(controlplane, "origin"))
    api.delete("/v1/ssls/used").expect(200)
    api.post(f"/v1/revisions/{target}/rollback", {"objects": [{"kind": "ssls", "id": "used"}]}).expect(200)


class Waiting:
    def __init__(self, work):
        self.answer = None
        self.thread = threading.Thread(target=lambda: setattr(self, "answer", work()), daemon=True)
        self.thread.start()

    def take(self):
        self.thread.join(20)
        assert self.answer is not None
        return self.answer


def test_it_is_answered_when_nobody_reads_the_old_state(controlplane, api, ca):
    put(api, ca, "read", times=2)
    secrets = sealed(controlplane, "read")
    with reading(controlplane):
        purge = Waiting(lambda: api.delete("/v1/ssls/read", purge="keys", wait="acked"))
        time.sleep(1)
        # The change stands and others go on; that it is done is not claimed yet, and it would not be true.
        assert purge.answer is None and api.get("/v1/ssls/read").status == 404
        put(api, ca, "meanwhile")
        assert any(in_files(controlplane, secret) for secret in secrets)
    assert purge.take().expect(200).json["purged"] == 2
    assert not any(in_files(controlplane, secret) for secret in secrets)


def test_a_closing_control_plane_says_that_it_is_not_done(world, ca):
    controlplane = world.controlplane()
    api = controlplane.api
    put(api, ca, "closing")
    secret = sealed(controlplane, "closing")[0]
    with reading(controlplane):
        purge = Waiting(lambda: api.delete("/v1/ssls/closing", purge="keys"))
        time.sleep(0.5)
        assert controlplane.daemon.terminate() == 0
        assert purge.take().expect(503).headers["Retry-After"] == "1"
        assert in_files(controlplane, secret)
    controlplane.start()
    assert controlplane.api.delete("/v1/ssls/closing", purge="keys").expect(200).json["purged"] == 0
    assert not in_files(controlplane, secret)


def test_agents_lose_it_too(world, controlplane, ca):
    backend, agent = world.backend(), world.agent(controlplane)
    port = serve(controlplane, backend)
    pair = ca.issue("erased.test")
    controlplane.api.put_acked("/v1/ssls/erased", pair.ssl("erased.test"))
    assert leaf(port, "erased.test") == pair.sha256
    assert controlplane.api.delete("/v1/ssls/erased", purge="keys", wait="acked").expect(200).json["wait"]["state"] == "acked"
    assert leaf(port, "erased.test") != pair.sha256
    agent.restart()
    agent.wait_applied()
