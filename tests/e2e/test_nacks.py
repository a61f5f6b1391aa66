# SPDX-License-Identifier: Apache-2.0
"""What an agent refuses of its control plane. No control plane of this release writes such objects, so the store is changed behind its
back, while it is down: what was served is served on, the reason is in GET /v1/agents/ID, and the next good write mends it."""
import hashlib
import sqlite3
import struct

import pytest

from harness import tls
from harness.net import eventually
from harness.world import serve

KINDS = {"tls_options": 2, "listeners": 3, "upstreams": 4, "routes": 6}


def varint(number):
    return (bytes([number & 127 | 128]) + varint(number >> 7)) if number > 127 else bytes([number])


def field(number, value):
    """One protobuf field: a number, text or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def lv(data):
    return struct.pack(">I", len(data)) + data


NODE = field(1, field(1, "127.0.0.1") + field(2, 9) + field(3, 1))
NAMES = b"".join(field(1, f"n{i}.test") for i in range(6000))
BAD = {  # kind, what is written, what stands in the store for it, code of the NACK, part of its reason
    "bytes that are no message": ("upstreams", {"nodes": {"127.0.0.1:9": 1}}, b"\xff\xff\xff", "undecodable", ""),
    "a field of a later release": ("upstreams", {"nodes": {"127.0.0.1:9": 1}}, NODE + field(99, 7), "unknown", "99"),
    "a value of a later release": ("routes", {"snis": ["later.test"]}, field(1, "later.test") + field(3, 77), "unknown", ""),
    "a suite that it lacks": ("tls_options", {}, field(1, 0x0303) + field(2, 0x0304) + field(3, varint(0x1399)), "unknown", "/cipher_suites"),
    "an upstream that is not there": ("listeners", {"bind": "127.0.0.1:1", "upstream": "web"},
                                      field(1, "127.0.0.1") + field(2, 1) + field(3, "tcp") + field(4, "nowhere"), "profile", "nowhere"),
    "too many names": ("routes", {"snis": ["many.test"]}, NAMES, "unknown", "1 to 1000 entries"),
}


def replace_body(path, kind, name, body):
    """The current state of an object gets another body, and all digests that tell of it are right."""
    with sqlite3.connect(path) as store:
        row, uid, version, selector, before = store.execute(
            "SELECT row_id, uid, from_rev, selector, digest FROM object WHERE kind = ? AND id = ? AND to_rev IS NULL", (kind, name)).fetchone()
        after = hashlib.sha256(b"tlsplane/object/v1\0" + struct.pack(">I", kind) + lv(uid) + struct.pack(">Q", version) + lv(name.encode()) +
                               lv(selector.encode()) + lv(body)).digest()
        held, = store.execute("SELECT digest FROM selector WHERE selector = ?", (selector,)).fetchone()
        total = (int.from_bytes(held, "big") - int.from_bytes(before, "big") + int.from_bytes(after, "big")) % (1 << 256)
        store.execute("UPDATE object SET body = ?, digest = ? WHERE row_id = ?", (body, after, row))
        store.execute("UPDATE selector SET digest = ? WHERE selector = ?", (total.to_bytes(32, "big"), selector))
    store.close()


@pytest.fixture(scope="module")
def place(shared, ca):
    shared.port = serve(shared.controlplane, shared.backend)
    shared.pair = ca.issue("stays.test")
    shared.api.put_acked("/v1/ssls/stays", shared.pair.ssl("stays.test"))
    return shared


@pytest.mark.parametrize("what", BAD)
def test_what_it_can_not_take(place, what):
    kind, document, body, code, reason = BAD[what]
    controlplane, agent = place.controlplane, place.agent
    assert agent.daemon.terminate(20) == 0
    controlplane.api.put(f"/v1/{kind}/bad", document).expect(201)
    assert controlplane.daemon.terminate(20) == 0
    replace_body(controlplane.dir / "store.db", KINDS[kind], "bad", body)
    controlplane.start()
    agent.start()
    head = "-".join(map(str, controlplane.api.head()))
    nack = eventually(lambda: (agent.state().get("last_nack") or {}).get("revision") == head and agent.state()["last_nack"], "it is refused", 20)
    assert nack["code"] == code and reason in str(nack), nack
    assert all((row["kind"], row["id"]) == (kind, "bad") for row in nack["objects"]), nack
    assert tls.fetch(place.port, "stays.test") == ("backend", place.pair.sha256)
    controlplane.api.delete(f"/v1/{kind}/bad").expect(200, 204)
    agent.wait_applied(timeout=30)
    assert not agent.state()["behind"] and not agent.degraded()


def test_a_store_whose_digests_are_wrong(place):
    """A damaged row: the sum that comes with it tells, whatever it holds now."""
    controlplane, agent = place.controlplane, place.agent
    assert agent.daemon.terminate(20) == 0
    controlplane.api.put("/v1/upstreams/bad", {"nodes": {"127.0.0.1:9": 1}}).expect(201)
    assert controlplane.daemon.terminate(20) == 0
    with sqlite3.connect(controlplane.dir / "store.db") as store:
        assert store.execute("UPDATE object SET body = ? WHERE id = 'bad' AND to_rev IS NULL", (NODE.replace(b"127.0.0.1", b"127.0.0.2"),)).rowcount == 1
    store.close()
    controlplane.start()
    agent.start()
    agent.daemon.wait_log("digests are wrong again")
    assert tls.fetch(place.port, "stays.test") == ("backend", place.pair.sha256)
    controlplane.api.put("/v1/upstreams/bad", {"nodes": {"127.0.0.1:8": 1}}).expect(200)
    agent.wait_applied(timeout=30)
