# SPDX-License-Identifier: Apache-2.0
"""Rotation of the keyring while everything runs: what is sealed stays the same, is sealed anew, and the old key goes; however often and
wherever the process is killed in between."""
import http.client
import random
import sqlite3
import threading
import time
from contextlib import closing

import pytest

from harness import tls
from harness.disk import KILL, ORDERING, Disk
from harness.net import eventually
from harness.pki import make_key
from harness.vault import Vault, traces
from harness.world import serve


def rotate(controlplane):
    return controlplane.api.post("/v1/keyring/rotate")


def audited(controlplane):
    """(actor, outcome) of every attempt, in order."""
    with closing(sqlite3.connect(controlplane.database)) as database:
        return database.execute("SELECT actor, outcome FROM audit WHERE action = 'rotate keyring' ORDER BY row_id").fetchall()


def wait_idle(controlplane, timeout=60):
    """Until there is one key; its number."""
    def look():
        told = controlplane.api.get("/v1/keyring").expect(200).json
        return told if told["state"] == "idle" else None
    told = eventually(look, "the rotation ends", timeout)
    assert told["left"] == 0 and len(told["keys"]) == 1 and told["keys"][0]["is_sealing"], told
    return told["keys"][0]["id"]


@pytest.fixture
def filled(controlplane, ca):
    """Objects with keys: current ones, replaced ones, deleted ones."""
    private = make_key()
    for i in range(12):
        controlplane.api.put(f"/v1/ssls/s{i}", ca.issue(f"s{i}.test", private=private).ssl(f"s{i}.test")).expect(201)
    for i in range(6):
        controlplane.api.put(f"/v1/ssls/s{i}", ca.issue(f"s{i}.test").ssl(f"s{i}.test")).expect(200)
    for i in range(3):
        controlplane.api.delete(f"/v1/ssls/s{i}").expect(200)
    return controlplane


def test_everything_is_sealed_anew(world, filled, agent, backend, ca):
    port = serve(filled, backend)
    shown = ca.issue("shown.test")
    filled.api.put_acked("/v1/ssls/shown", shown.ssl("shown.test"))
    eventually(lambda: [what for what in Vault(filled.dir).opened if what[0] == "ticket"], "ticket keys are made")
    before, head = Vault(filled.dir), filled.api.head()
    assert len(before.opened) >= 20 and set(before.sealed_by.values()) == {1}

    told = rotate(filled).expect(202).json
    assert told["keys"][-1]["id"] == 2 and told["keys"][-1]["is_sealing"]
    assert wait_idle(filled) == 2
    after = Vault(filled.dir)
    assert after.keys == after.rows == [2]
    assert after.opened == before.opened and set(after.sealed_by.values()) == {2}
    assert traces(filled.dir, before.seals) == [], "what the old key sealed can still be found"
    assert filled.api.head() == head, "a rotation is no revision"
    assert audited(filled) == [("admin", "begun"), ("tlsplane", "ended")]

    # The same without its key takes the stored one; an agent that knows nothing gets the keys; a restart finds all in order.
    changed = shown.ssl("shown.test", desc="changed")
    del changed["key"]
    filled.api.put("/v1/ssls/shown", changed).expect(200)
    other = world.agent(filled, name="other")
    other.wait_applied()
    filled.restart()
    agent.wait_connected(60).wait_applied()
    assert tls.leaf(port, "shown.test") == shown.sha256
    assert rotate(filled).expect(202).json["keys"][-1]["id"] == 3
    assert wait_idle(filled) == 3


def test_a_reader_that_stays_is_waited_for(filled):
    """It sees what the old key sealed; so the old key stays, nothing else waits, and a second rotation is refused until the first is over."""
    before = Vault(filled.dir)
    reader = sqlite3.connect(filled.database)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM object").fetchone()
    rotate(filled).expect(202)
    told = eventually(lambda: (t := filled.api.get("/v1/keyring").json)["state"] == "waiting" and t, "it waits")
    assert told["left"] == 0 and "reads" in told["trouble"], told
    assert [key["id"] for key in told["keys"]] == [1, 2]
    refused = rotate(filled).expect(409).json
    assert "already" in refused["detail"]
    assert audited(filled) == [("admin", "begun"), ("admin", "conflict")]
    started = time.monotonic()
    filled.api.put("/v1/upstreams/u", {"nodes": {"127.0.0.1:1": 1}}).expect(201)
    assert time.monotonic() - started < 8
    assert Vault(filled.dir).keys == [1, 2]
    reader.close()
    assert wait_idle(filled) == 2
    assert traces(filled.dir, before.seals) == []


def test_a_damaged_secret_keeps_the_old_key(filled):
    """Nobody can open it, so it can't be sealed anew: told, all else is done, and the key that sealed it stays."""
    filled.daemon.terminate()
    with closing(sqlite3.connect(filled.database)) as database, database:
        row, secret = database.execute("SELECT row_id, secret FROM object WHERE id = 's7'").fetchone()
        database.execute("UPDATE object SET secret = ? WHERE row_id = ?", (secret[:40] + bytes(len(secret) - 40), row))
    filled.start()
    rotate(filled).expect(202)
    told = eventually(lambda: (t := filled.api.get("/v1/keyring").json)["state"] == "waiting" and t, "it waits")
    assert told["left"] == 1 and "ssls/s7" in told["trouble"], told
    assert filled.daemon.lines("can't be sealed anew")
    assert [key["id"] for key in told["keys"]] == [1, 2]
    with closing(sqlite3.connect(filled.database)) as database:
        assert database.execute("SELECT count(*) FROM object WHERE substr(secret, 2, 4) = x'00000001'").fetchone() == (1,)


def under_load(controlplane, turn, bodies, answered, stop):
    def write(worker):
        number = 0
        while not stop.is_set():
            name = f"w{turn}-{worker}-{number}"
            try:
                answer = controlplane.api.put(f"/v1/ssls/{name}", {**bodies[number % len(bodies)], "sni": f"{name}.test"})
            except Exception:  # a cut answer: not answered  # pylint: disable=broad-except
                return
            if answer.status == 201:
                answered[name] = answer.etag
            number += 1
    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(2)]
    for thread in threads:
        thread.start()
    return threads


def test_killed_at_random_under_writes(filled, ca):
    """Ten times, at whatever instant: all answered writes are there, every secret opens, and in the end one key is left."""
    private = make_key()
    bodies = [ca.issue(f"w{i}.test", private=private).ssl(f"w{i}.test") for i in range(30)]
    chance, answered = random.Random(4), {}
    for turn in range(10):
        stop = threading.Event()
        threads = under_load(filled, turn, bodies, answered, stop)
        goal = len(answered) + 5
        eventually(lambda: len(answered) > goal, "writes are answered")
        try:
            assert rotate(filled).status in (202, 409)
        finally:
            time.sleep(chance.uniform(0, 0.15))
            filled.kill()
            stop.set()
            for thread in threads:
                thread.join()
        vault = Vault(filled.dir)
        assert set(vault.rows) <= set(vault.keys), "the store needs a key that the file lacks"
        filled.start()
        lost = [name for name, etag in answered.items() if filled.api.get(f"/v1/ssls/{name}").etag != etag]
        assert not lost, f"{len(lost)} of {len(answered)} answered writes are gone: {lost[:5]}"
    newest = wait_idle(filled)
    vault = Vault(filled.dir)
    assert vault.keys == [newest] and newest > 2
    assert set(vault.sealed_by.values()) == {newest}


def killed_at(controlplane, number):
    """Rotates in a process that dies before its number-th call that orders or names what it writes. True: it lived through the whole rotation."""
    disk = Disk(controlplane.world, controlplane.dir)
    controlplane.start(env=disk.env)
    controlplane.daemon.expect_exit(-9)
    disk.arm(ORDERING, number, KILL)
    try:
        rotate(controlplane).expect(202)
        while controlplane.api.get("/v1/keyring").expect(200).json["state"] != "idle":
            time.sleep(0.005)
        controlplane.kill()
        return True
    except (OSError, http.client.HTTPException):
        controlplane.daemon.wait_exit()
        return False


def test_killed_at_every_step(filled, ca):
    """Before each call that changes a file, from the writing of the keyring to its last: nothing is lost, and the next start ends it."""
    private = make_key()
    filled.api.apply(put=[("ssls", f"m{i}", ca.issue(f"m{i}.test", private=private).ssl(f"m{i}.test")) for i in range(80)]).expect(200)
    plain = Vault(filled.dir).opened
    filled.kill()
    steps, seen, oldest = 0, set(), 1
    while not killed_at(filled, steps + 1):
        steps += 1
        vault = Vault(filled.dir)
        assert vault.opened.items() >= plain.items(), f"step {steps}"
        assert set(vault.rows) <= set(vault.keys), f"step {steps}"
        seen.add(tuple(tuple(number - oldest for number in sorted(set(numbers)))
                       for numbers in (vault.keys, vault.rows, vault.sealed_by.values())))
        filled.start()
        newest = wait_idle(filled)
        assert Vault(filled.dir).keys == [newest]
        filled.kill()
        oldest = newest
        assert steps < 500
    # (keys in the file, keys that the store needs, keys that seal something), 0 the old one: it was killed in all of these.
    assert seen == {((0,), (0,), (0,)), ((0, 1), (0,), (0,)), ((0, 1), (0, 1), (0,)), ((0, 1), (0, 1), (0, 1)), ((0, 1), (0, 1), (1,)),
                    ((0, 1), (1,), (1,)), ((1,), (1,), (1,))}, (steps, seen)
    assert Vault(filled.dir).opened.items() >= plain.items()
