# SPDX-License-Identifier: Apache-2.0
"""Copies of the store, made while it is written and its keyring rotated, and put back: with agents that lived on meanwhile."""
import itertools
import shutil
import sqlite3
from contextlib import closing

import pytest

from harness import tls
from harness.disk import KILL, ORDERING, Disk
from harness.net import eventually
from harness.vault import Vault, keyring
from harness.world import ControlPlane, Hammer, serve


@pytest.fixture
def copy(world):
    """Where a backup goes; laid out as a data directory, so that it can be looked into as one."""
    folder = world.tmp / "copy"
    folder.mkdir()
    return folder


def backup(controlplane, folder):
    code, text = controlplane.run_to_exit("--backup", folder / "store.db", "--backup-keyring", folder / "keyring")
    assert code == 0, text
    return folder


def restored(world, controlplane, folder, *more, name="restored"):
    """A control plane on a new data directory, at the addresses of the old one."""
    made = ControlPlane(world, name)
    made.admin_port, made.channel_port = controlplane.admin_port, controlplane.channel_port
    code, text = made.run_to_exit("--restore", folder / "store.db", "--restore-keyring", folder / "keyring", "--new-epoch", *more)
    assert code == 0, text
    return made


def test_an_agent_follows_the_restored_store(world, controlplane, agent, backend, ca, copy):
    """What was written after the copy is given up; the agent serves on through all of it, is not taken for diverged, and is led by the
    restored store at once, without --new-epoch at its start."""
    port = serve(controlplane, backend)
    first, second, third = (ca.issue("r.test") for _ in range(3))
    controlplane.api.put_acked("/v1/ssls/r", first.ssl("r.test"))
    backup(controlplane, copy)
    for path in copy.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path
    controlplane.api.put_acked("/v1/ssls/r", second.ssl("r.test"))
    controlplane.api.put_acked("/v1/ssls/later", ca.issue("later.test").ssl("later.test"))
    at = controlplane.api.head()
    controlplane.kill()

    made = restored(world, controlplane, copy)
    assert tls.fetch(port, "r.test") == ("backend", second.sha256)
    made.start()
    agent.controlplane = made
    agent.wait_connected(60)
    eventually(lambda: tls.leaf(port, "r.test") == first.sha256, "the restored state is served", 60)
    assert tls.leaf(port, "later.test") not in (second.sha256, third.sha256)
    assert not agent.state().get("diverged") and not made.daemon.lines("level=error")
    assert made.api.head() > at
    made.api.put_acked("/v1/ssls/r", third.ssl("r.test"))
    assert tls.fetch(port, "r.test") == ("backend", third.sha256)
    # Its own token, and those of the copy.
    token = (controlplane.dir / "admin.token").read_text().strip()
    assert token != made.api.token
    made.api.get("/v1/ssls/r", headers={"Authorization": f"Bearer {token}"}, auth=False).expect(200)
    made.restart()
    agent.wait_connected(60).wait_applied()


def test_a_token_that_is_brought_stays(world, controlplane, copy):
    backup(controlplane, copy)
    made = ControlPlane(world, "restored")
    made.dir.mkdir(mode=0o700)
    shutil.copy(controlplane.dir / "admin.token", made.dir)
    code, text = made.run_to_exit("--restore", copy / "store.db", "--restore-keyring", copy / "keyring", "--new-epoch")
    assert code == 0, text
    made.start()
    assert made.api.token == controlplane.api.token
    made.api.get("/v1/ssls").expect(200)


def test_copies_under_writes_and_rotations(world, controlplane, ca, copy):
    """Every copy has the keys of all that it holds, no half of a change, and what was answered before it was begun."""
    pairs = [ca.issue(f"p{i}.test") for i in range(8)]
    numbers = itertools.count()

    def write(index):
        number = next(numbers)
        pair = pairs[number % len(pairs)]
        controlplane.api.apply(put=[("ssls", f"a{index}", pair.ssl("a.test", desc=str(number))),
                                    ("ssls", f"b{index}", pair.ssl("b.test", desc=str(number)))]).expect(200)
        if number % 3 == 0:
            assert controlplane.api.post("/v1/keyring/rotate").status in (202, 409)
    rings = set()
    with Hammer(write, threads=2) as hammer:
        eventually(lambda: min(hammer.rounds) > 3, "writes are answered")
        for turn in range(8):
            (copy / str(turn)).mkdir()
            before = controlplane.api.head()[1]
            backup(controlplane, copy / str(turn))
            vault = Vault(copy / str(turn))
            assert vault.keys == vault.rows, "the keyring has exactly the keys that are needed"
            rings.add(tuple(vault.keys))
            with closing(sqlite3.connect(copy / str(turn) / "store.db")) as database:
                descriptions = dict(database.execute("SELECT id, descr FROM object WHERE to_rev IS NULL AND kind = 1"))
                assert database.execute("SELECT max(number) FROM revision").fetchone()[0] >= before
                assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
            for index in range(2):
                assert descriptions[f"a{index}"] == descriptions[f"b{index}"]
    assert not hammer.failures, hammer.failures[:3]
    assert len(rings) > 3, rings


def test_in_the_middle_of_a_rotation(world, controlplane, ca, copy):
    """Held there by a reader that sees the old log. The copy has both keys, and the restored store ends the rotation by itself."""
    controlplane.api.put("/v1/ssls/x", ca.issue("x.test").ssl("x.test")).expect(201)
    with closing(sqlite3.connect(controlplane.database)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM object").fetchone()
        controlplane.api.post("/v1/keyring/rotate").expect(202)
        eventually(lambda: controlplane.api.get("/v1/keyring").json["state"] == "waiting", "it waits for the reader")
        backup(controlplane, copy)
    plain = Vault(copy).opened
    assert Vault(copy).keys == [1, 2]
    eventually(lambda: controlplane.api.get("/v1/keyring").json["state"] == "idle", "the rotation ends")
    controlplane.daemon.terminate()
    made = restored(world, controlplane, copy)
    assert list(keyring(made.dir)) == [1, 2]
    made.start()
    eventually(lambda: made.api.get("/v1/keyring").json["state"] == "idle", "the rotation of the restored store ends")
    assert Vault(made.dir).keys == [2] and Vault(made.dir).opened.items() >= plain.items()


def refused(result, *needles, code=1):
    assert result[0] == code, result
    for needle in needles:
        assert needle in result[1], result[1]


class TestRefusals:
    def test_options(self, controlplane, copy):
        refused(controlplane.run_to_exit("--restore", copy / "store.db"), "--new-epoch", code=2)
        refused(controlplane.run_to_exit("--backup-keyring", copy / "k"), "--backup", code=2)
        refused(controlplane.run_to_exit("--restore-keyring", copy / "k"), "--restore", code=2)
        refused(controlplane.run_to_exit("--backup", copy / "a", "--restore", copy / "b", "--new-epoch"), "one of them", code=2)
        refused(controlplane.run_to_exit("--backup", copy / "a", "--new-epoch"), "--new-epoch", code=2)

    def test_nothing_is_replaced(self, world, controlplane, copy):
        (copy / "store.db").write_text("mine")
        (copy / "other").write_text("mine")
        refused(controlplane.run_to_exit("--backup", copy / "store.db"), "there already")
        refused(controlplane.run_to_exit("--backup", copy / "new", "--backup-keyring", copy / "other"), "there already")
        assert sorted(path.name for path in copy.iterdir()) == ["other", "store.db"]
        assert {path.read_text() for path in copy.iterdir()} == {"mine"}
        (copy / "store.db").unlink()
        (copy / "other").unlink()
        backup(controlplane, copy)
        refused(controlplane.run_to_exit("--restore", copy / "store.db", "--new-epoch"), "in use by another process")
        controlplane.daemon.terminate()
        before = Vault(controlplane.dir).opened
        refused(controlplane.run_to_exit("--restore", copy / "store.db", "--new-epoch"), "has a store")
        assert Vault(controlplane.dir).opened == before

    def test_what_is_no_backup(self, world, controlplane, copy):
        backup(controlplane, copy)
        other = world.controlplane(name="other")
        (world.tmp / "others").mkdir()
        backup(other, world.tmp / "others")
        fresh = ControlPlane(world, "fresh")
        whole = (copy / "store.db").read_bytes()
        with closing(sqlite3.connect(copy / "newer.db")) as database:
            database.deserialize(whole)
            database.execute("PRAGMA user_version = 999")
            (copy / "newer.db").write_bytes(database.serialize())
        with closing(sqlite3.connect(copy / "foreign.db")) as database, database:
            database.execute("CREATE TABLE t (x)")
        (copy / "text.db").write_text("no database at all\n" * 100)
        (copy / "cut.db").write_bytes(whole[:len(whole) // 2])
        (copy / "hurt.db").write_bytes(whole[:8192] + bytes(4096) + whole[12288:])
        for name, ring, needle in (("newer.db", copy, "newer release"), ("foreign.db", copy, "not the backup of a store"), ("text.db", copy, "not a database"),
                                   ("cut.db", copy, "malformed"), ("hurt.db", copy, "damaged"), ("missing.db", copy, "unable to open"),
                                   ("store.db", world.tmp / "others", "not the keyring that sealed")):
            result = fresh.run_to_exit("--restore", copy / name, "--restore-keyring", ring / "keyring", "--new-epoch")
            refused(result, needle)
            assert not (fresh.dir / "store.db").exists(), name
            shutil.rmtree(fresh.dir, ignore_errors=True)
        refused(fresh.run_to_exit("--restore", copy / "store.db", "--new-epoch"), "keyring is missing")
        refused(ControlPlane(world, "nowhere").run_to_exit("--backup", copy / "x"), "No such file")


def test_restore_killed_at_every_step(world, controlplane, ca, copy):
    """Wherever it is killed: no start takes what is there for a store, or it is all there and in its new epoch; and it can be done again."""
    for i in range(20):
        controlplane.api.put(f"/v1/ssls/s{i}", ca.issue(f"s{i}.test").ssl(f"s{i}.test")).expect(201)
    backup(controlplane, copy)
    head, plain = controlplane.api.head(), Vault(copy).opened
    made = ControlPlane(world, "restored")
    options = ("--restore", copy / "store.db", "--restore-keyring", copy / "keyring", "--new-epoch")
    disk, refusals = Disk(world, made.dir), 0
    for step in itertools.count(1):
        disk.arm(ORDERING, step, KILL)
        made.start(*options, wait=False, env=disk.env)
        made.daemon.expect_exit(-9)
        code = made.daemon.wait_exit()
        assert code in (0, -9) and step < 300, made.daemon.text()
        if not (made.dir / "store.db").exists():
            if (made.dir / "store.db.restore").exists():
                refused(made.run_to_exit(), "was not finished")
                refusals += 1
            again, text = made.run_to_exit(*options)
            assert again == 0, text
        assert not (made.dir / "store.db.restore").exists()
        assert Vault(made.dir).opened.items() >= plain.items()
        with closing(sqlite3.connect(made.dir / "store.db")) as database:
            assert database.execute("SELECT epoch, number FROM revision ORDER BY number DESC LIMIT 1").fetchone() > (head[0] + 1, head[1])
        if code == 0:
            break
        shutil.rmtree(made.dir)
    assert refusals > 5, (step, refusals)
    made.start()
    assert made.api.head() > head and made.api.get("/v1/ssls/s7").expect(200)
