# SPDX-License-Identifier: Apache-2.0
"""What clients were told, and whether a store keeps it. A History collects writes while anything may happen to the control plane; `judge`
looks at the files that are left, without the program that wrote them."""
import hashlib
import http.client
import itertools
import random
import shutil
import sqlite3
import struct
import tempfile
import threading
from contextlib import closing

from harness.api import Api, parse_revision
from harness.vault import Vault, copied

TRIO = 3  # objects that are only ever written together


class History:
    """told: {request id: revision number} of all writes that were answered with 2xx; refused: {request id: status}; sent: all of them."""

    def __init__(self, seed=1):
        self.sent, self.told, self.refused, self.newest = [], {}, {}, 0
        self.tags = {}  # id: the tag of the last answered write, then those of later ones without an answer
        self.lock, self.numbers, self.chance = threading.Lock(), itertools.count(1), random.Random(seed)
        self.problems = []

    def write(self, api, method, path, body, ids=(), tag=None):
        """One write; of one id only one at a time. It may have been done when its answer is cut off, not when it is refused. Returns the
        answer, None without one."""
        with self.lock:
            request, floor = f"h-{next(self.numbers)}", self.newest
            self.sent.append(request)
            for name in ids:
                self.tags.setdefault(name, [None]).append(tag)
        try:
            answer = api.call(method, path, body, headers={"X-Request-Id": request}, deadline=30)
        except (OSError, http.client.HTTPException):
            return None
        with self.lock:
            if answer.status not in (200, 201):
                self.refused[request] = answer.status
                for name in ids:
                    self.tags[name].pop()
                return answer
            number = parse_revision(answer.headers["Tlsplane-Revision"])[1]
            self.told[request] = number
            self.newest = max(self.newest, number)
            if number <= floor:
                self.problems.append(f"{request} was told revision {number}, others had been told {floor} before it was sent")
            for name in ids:
                self.tags[name] = [tag]
        return answer

    def turn(self, api, worker, bodies):
        """Some write, by its worker alone to its objects."""
        with self.lock:
            tag, what, name = f"t{next(self.numbers)}", self.chance.random(), f"w{worker}-{self.chance.randrange(4)}"
        if what < 0.15:
            return self.write(api, "DELETE", f"/v1/upstreams/{name}", None, [name], None)
        if what < 0.6:
            return self.write(api, "PUT", f"/v1/upstreams/{name}", {"nodes": {"127.0.0.1:9": 1}, "desc": tag}, [name], tag)
        trio = [f"trio{worker}-{i}" for i in range(TRIO)]
        put = [{"kind": "ssls", "id": one, "value": {**bodies[i], "sni": f"{one}.test", "desc": tag}} for i, one in enumerate(trio)]
        return self.write(api, "POST", "/v1/apply", {"put": put}, trio, tag)

    def load(self, controlplane, bodies, workers=2):
        """Writes until the server is gone, or the returned event is set."""
        stop = threading.Event()

        def work(worker):
            api = Api(controlplane.admin_port, controlplane.api.token, [])
            api.is_admin = False  # answers are checked against the document elsewhere; here they shall be many
            while not stop.is_set() and self.turn(api, worker, bodies) is not None:
                pass
        threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in range(workers)]
        for thread in threads:
            thread.start()

        def end():
            stop.set()
            for thread in threads:
                thread.join(60)
        return end

    def check(self, folder, told=None):
        """told: the request ids that must be there (None: all that were answered). Returns what judge() found."""
        found = judge(folder)
        with self.lock:
            assert not self.problems, self.problems[:5]
            expected = self.told if told is None else {request: self.told.get(request) for request in told}
        lost = [request for request in expected if request not in found.requests]
        assert not lost, f"{len(lost)} of {len(expected)} answered writes are gone: {lost[:5]}; head {found.head}"
        moved = {request: (number, found.requests[request]) for request, number in expected.items()
                 if number is not None and found.requests[request] != number}
        assert not moved, f"(revision that was told, revision in the store): {moved}"
        return found

    def check_objects(self, found):
        """Each object is as the last answered write left it, or a later one that had no answer."""
        for name, tags in self.tags.items():
            seen = found.descs.get(name)
            assert seen in tags, f"{name} is {seen}, may be {tags}"
        for worker in {name.split("-")[0] for name in self.tags if name.startswith("trio")}:
            assert len({found.descs.get(f"{worker}-{i}") for i in range(TRIO)}) == 1, f"half a revision: {worker}"


class Found:
    """head: number of the newest revision; requests: {request id: revision}; descs: {id: desc} of current objects of configuration."""

    def __init__(self, head, requests, descs):
        self.head, self.requests, self.descs = head, requests, descs


def _lv(data):
    return struct.pack(">I", len(data)) + data


def chain_after(before, epoch, number, changes):
    """As channel.proto defines it. changes: (kind, id, uid, digest or None)."""
    text = b"tlsplane/chain/v1\0" + before + struct.pack(">QQ", epoch, number)
    for kind, name, uid, digest in sorted((kind, name.encode(), uid, digest) for kind, name, uid, digest in changes):
        text += struct.pack(">I", kind) + _lv(name) + _lv(uid) + (b"\2" + bytes(32) if digest is None else b"\1" + digest)
    return hashlib.sha256(text).digest()


def _changes(database):
    """{revision: [(kind, id, uid, digest or None)]}; a row of `change` for each."""
    begun = {(row[0], row[1], row[2]): row[3:] for row in database.execute("SELECT from_rev, kind, id, uid, digest FROM object")}
    ended = {(row[0], row[1], row[2]): row[3] for row in database.execute("SELECT to_rev, kind, id, uid FROM object WHERE to_rev IS NOT NULL")}
    made = {}
    for key in database.execute("SELECT revision, kind, id FROM change"):
        uid, digest = begun[key] if key in begun else (ended[key], None)
        made.setdefault(key[0], []).append((key[1], key[2], uid, digest))
    return made


def judge(folder):
    """Everything that must hold in a store, whatever happened: pages, chain, one revision per number, an audit row for each, secrets. Of
    revisions that history does not reach back to (the store keeps 10,000) what they changed is gone; their hashes stand."""
    Vault(folder)  # opens every secret
    with copied(folder) as copy, closing(sqlite3.connect(copy / "store.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        changes, chain, requests, last = _changes(database), bytes(32), {}, 0
        audited, (floor,) = {}, database.execute("SELECT coalesce(max(value), 0) FROM meta WHERE key = 'history_floor'").fetchone()
        for number, request in database.execute("SELECT revision, request_id FROM audit WHERE revision IS NOT NULL"):
            assert number not in audited, f"revision {number} is audited twice"
            audited[number] = request
        for number, epoch, stored, request, count in database.execute(
                "SELECT number, epoch, chain, request_id, changes FROM revision ORDER BY number"):
            assert number == last + 1, f"revision {number} follows {last}"
            if number > floor:
                assert len(changes.get(number, [])) == count, f"revision {number}"
                chain = chain_after(chain, epoch, number, changes.get(number, []))
                assert chain == stored, f"the chain is broken at revision {number}"
            chain, last = stored, number
            assert audited.pop(number, None) == request, f"revision {number} is not audited"
            assert not request or request not in requests, f"{request} was done twice"
            requests[request] = number
        assert not audited, f"audited, but not done: {audited}"
        descs = dict(database.execute("SELECT id, descr FROM object WHERE to_rev IS NULL AND kind < 64"))
        return Found(last, requests, descs)


def judge_cache(folder):
    """The same of an agent's cache; (epoch, revision) of what a start would serve."""
    with tempfile.TemporaryDirectory() as copy:
        for name in ("cache.db", "cache.db-wal"):
            if (folder / name).exists():
                shutil.copy(folder / name, copy)
        with closing(sqlite3.connect(f"{copy}/cache.db")) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            number, epoch, revision = database.execute("SELECT current, current_epoch, current_revision FROM state").fetchone()
            since, until = database.execute("SELECT max(since), max(until) FROM objects").fetchone()
            assert max(since or 0, until or 0) <= number + 1, "rows of a generation that nobody knows"
            return epoch, revision
