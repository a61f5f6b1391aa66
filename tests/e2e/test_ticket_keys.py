# SPDX-License-Identifier: Apache-2.0
"""Session ticket keys across the fleet: a session of one agent resumes on another, through rotations and restarts, and no longer when an
agent that knew its key has lost the right to. The keys themselves appear nowhere in clear."""
import base64
import re
import sqlite3
import struct
import time

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from harness import resume, tls
from harness.net import eventually, free_port
from harness.resume import VERSIONS
from harness.world import Hammer

SITE = "shop.test"


def stored_keys(controlplane):
    """{(selector, name): secret}, opened from the store as its documentation says."""
    ring = {int(number): bytes.fromhex(key) for number, key in
            (line.split() for line in (controlplane.dir / "keyring").read_text().splitlines()[1:] if line)}
    database = sqlite3.connect(f"file:{controlplane.database}?mode=ro", uri=True)
    try:
        rows = database.execute("SELECT selector, name, sealed FROM ticket_key").fetchall()
    finally:
        database.close()
    keys = {}
    for selector, name, sealed in rows:
        kind, number = struct.unpack(">BI", sealed[:5])
        assert kind == 1
        text = selector.encode()
        aad = b"tlsplane/ticket/v1\0" + struct.pack(">I", len(text)) + text + name
        keys[selector, name] = AESGCM(ring[number]).decrypt(sealed[5:17], sealed[17:], aad)
        assert len(keys[selector, name]) == 64
    return keys


def metric(controlplane, name):
    text = controlplane.api.get("/metrics").expect(200).body.decode()
    return int(re.search(rf"^tlsplane_{name} (\d+)$", text, re.M).group(1))


def visit(made, port, session=None):
    """(resumed, session) of one request that the backend has answered, offering `session`."""
    raw = tls.socket.create_connection(("127.0.0.1", port), timeout=10)
    with made.wrap_socket(raw, server_hostname=SITE, session=session) as connection:
        connection.sendall(tls.REQUEST)
        data = b""
        while part := connection.recv(65536):
            data += part
        assert data.startswith(b"HTTP/1.1 200"), data[:100]
        return connection.session_reused, connection.session


class Fleet:
    """Agents that serve one site, each on a port of its own."""

    def __init__(self, world, ca, *options, names=("a", "b")):
        self.controlplane = world.controlplane(*options)
        self.api, backend = self.controlplane.api, world.backend()
        self.agents = {name: world.agent(self.controlplane, name=name, labels={"name": name}) for name in names}
        self.ports = {name: free_port() for name in names}
        self.api.apply(wait="acked", timeout=30, put=[
            ("upstreams", "web", {"nodes": {f"127.0.0.1:{backend.port}": 1}}),
            ("tls_options", "both", {"min_version": "TLSv1.2"}),
            ("ssls", "shop", ca.issue(SITE).ssl(SITE, tls_options="both")),
            *[("listeners", name, {"bind": f"127.0.0.1:{port}", "upstream": "web", "selector": {"name": name}})
              for name, port in self.ports.items()],
        ]).expect(200, 201)
        for name in names:
            self.wait_resuming(name)

    def wait_resuming(self, name):
        """Keys come beside the configuration: until this agent issues tickets and takes them."""
        made = tls.context(version="1.3")
        eventually(lambda: visit(made, self.ports[name], visit(made, self.ports[name])[1])[0], f"{name} resumes")


@pytest.fixture
def fleet(world, ca):
    return Fleet(world, ca)


@pytest.mark.parametrize("version", VERSIONS)
def test_resumes_on_the_other_agent(fleet, tmp_path, version):
    session = resume.take(fleet.ports["a"], SITE, tmp_path / "session", version)
    seen = resume.offer(fleet.ports["b"], SITE, session, version)
    assert seen.reused and seen.body is not None, seen


def test_no_dip_while_rotating(world, ca):
    """Clients of both versions resume on the two agents in turns as fast as they can, while keys rotate and the leaf is renewed: in no second
    is there a full handshake but the first of each client."""
    fleet = Fleet(world, ca, "--ticket-period", "2")
    ports, seen = list(fleet.ports.values()), []
    clients = [[tls.context(version=version), None] for version in VERSIONS for _ in range(2)]

    def work(index):
        made, session = clients[index]
        resumed, clients[index][1] = visit(made, ports[len(seen) % 2], session)
        seen.append((time.monotonic(), index, resumed))
    before, forced = metric(fleet.controlplane, "ticket_rotations_total"), metric(fleet.controlplane, "ticket_rotations_forced_total")
    started = time.monotonic()
    with Hammer(work, len(clients)) as hammer:
        while time.monotonic() - started < 13:
            fleet.api.put_acked("/v1/ssls/shop", ca.issue(SITE).ssl(SITE, tls_options="both"))
            time.sleep(1)
    assert hammer.failures == [], hammer.failures[:3]
    assert metric(fleet.controlplane, "ticket_rotations_total") >= before + 4
    assert metric(fleet.controlplane, "ticket_rotations_forced_total") == forced
    full = [index for _, index, resumed in seen if not resumed]
    assert sorted(full) == list(range(len(clients))), f"{len(full)} full handshakes of {len(seen)}"
    seconds = [sum(int(at - started) == second for at, _, _ in seen) for second in range(13)]
    assert min(seconds) > 10, seconds  # there was load in each of them


def test_rotation_renews_no_age(world, ca):
    """Each rotation renews the tickets of TLS 1.2 as well; the age stays that of the full handshake, on whichever agent."""
    fleet = Fleet(world, ca, "--ticket-period", "1")
    lifetime, ports = 6, list(fleet.ports.values())
    fleet.api.put_acked("/v1/tls_options/both", {"min_version": "TLSv1.2", "session_tickets": {"lifetime": lifetime}})
    made = {version: tls.context(version=version) for version in VERSIONS}
    sessions = {version: visit(made[version], ports[0])[1] for version in VERSIONS}
    started, tickets, resumed = time.monotonic(), {version: set() for version in VERSIONS}, {version: [] for version in VERSIONS}
    while time.monotonic() - started < lifetime + 2:
        for version in VERSIONS:
            was_resumed, sessions[version] = visit(made[version], ports[len(resumed[version]) % 2], sessions[version])
            resumed[version].append((time.monotonic() - started, was_resumed))
            tickets[version].add(sessions[version].id)  # the hash of the ticket
        time.sleep(0.3)
    for version, seen in resumed.items():
        first = next((at for at, was_resumed in seen if not was_resumed), None)
        assert first is not None and lifetime - 1.5 < first < lifetime + 1, (version, seen)
        assert len(tickets[version]) >= 4, version


@pytest.mark.parametrize("version", VERSIONS)
def test_agent_restarted_without_control_plane(fleet, tmp_path, version):
    session = resume.take(fleet.ports["a"], SITE, tmp_path / "session", version)
    assert fleet.controlplane.daemon.terminate() == 0
    fleet.agents["a"].restart()
    seen = eventually(lambda: resume.offer(fleet.ports["a"], SITE, session, version), "a serves")
    assert seen.reused, seen


@pytest.mark.parametrize("version", VERSIONS)
def test_all_restarted(fleet, tmp_path, version):
    """Both planes: what one agent gave before, the other takes afterwards."""
    session = resume.take(fleet.ports["a"], SITE, tmp_path / "session", version)
    for agent in fleet.agents.values():
        assert agent.daemon.terminate() == 0
    fleet.controlplane.restart()
    for agent in fleet.agents.values():
        agent.start()
        agent.wait_connected(60)
    seen = resume.offer(fleet.ports["b"], SITE, session, version)
    assert seen.reused and seen.body is not None, seen


def test_control_plane_restarted(fleet, tmp_path):
    session = resume.take(fleet.ports["a"], SITE, tmp_path / "session", "1.3")
    before = stored_keys(fleet.controlplane)
    for _ in range(3):
        fleet.controlplane.restart()
        fleet.agents["a"].wait_connected(60)
        fleet.agents["b"].wait_connected(60)
    assert stored_keys(fleet.controlplane) == before
    assert metric(fleet.controlplane, "ticket_rotations_total") == 0
    assert resume.offer(fleet.ports["b"], SITE, session, "1.3").reused


def test_deleted_agent_knows_no_key_in_use(fleet, tmp_path):
    session = resume.take(fleet.ports["a"], SITE, tmp_path / "session", "1.3")
    before = stored_keys(fleet.controlplane)
    fleet.api.delete(f"/v1/agents/{fleet.agents['b'].id}").expect(200, 204)
    eventually(lambda: not set(before) & set(stored_keys(fleet.controlplane)), "the keys are others")
    def offer():
        seen = resume.offer(fleet.ports["a"], SITE, session, "1.3")
        assert seen.body is not None, seen  # a full handshake, never a failure
        return not seen.reused
    eventually(offer, "a has the others")
    fleet.wait_resuming("a")
    fleet.controlplane.daemon.wait_log("ticket keys replaced")


def test_sets_follow_selectors(world, controlplane, ca):
    """An agent that changes sides takes no key along that is still in use."""
    api = controlplane.api
    stays = world.agent(controlplane, name="stays", labels={"site": "a"})
    moves = world.agent(controlplane, name="moves", labels={"site": "a"})
    api.put_acked("/v1/ssls/shop", ca.issue(SITE).ssl(SITE, selector={"site": "a"}))
    eventually(lambda: {"", "site=a"} == {selector for selector, _ in stored_keys(controlplane)}, "a set per selector")
    before = stored_keys(controlplane)
    api.patch(f"/v1/agents/{moves.id}", {"labels": {"site": "b"}}).expect(200)
    def is_fresh():
        now = {key for key in stored_keys(controlplane) if key[0] == "site=a"}
        return now and not now & set(before)
    eventually(is_fresh, "fresh keys for site a")
    assert {key for key in before if key[0] == ""} <= set(stored_keys(controlplane))
    api.delete("/v1/ssls/shop", wait="acked", timeout=30).expect(200, 204)
    eventually(lambda: {selector for selector, _ in stored_keys(controlplane)} == {""}, "its set goes with the last object")
    assert stays.state()["connected"] and moves.state()["connected"]


def spellings(secret):
    """Whole, and the halves that encrypt and authenticate, as anybody would write them."""
    for part in (secret, secret[:32], secret[32:]):
        yield from (part, part[::-1], part.hex().encode(), part.hex().upper().encode(), base64.b64encode(part)[:40],
                    base64.urlsafe_b64encode(part)[:40])


def test_keys_are_nowhere_in_clear(world, ca):
    fleet = Fleet(world, ca, "--ticket-period", "2", "--log-level", "debug")
    keys = {}
    for _ in range(6):
        keys.update(stored_keys(fleet.controlplane))
        time.sleep(0.7)
    assert len(keys) >= 3
    for path in ("/v1/ssls/shop", "/v1/agents", "/v1/revisions", "/metrics", f"/v1/agents/{fleet.agents['a'].id}"):
        fleet.api.get(path).expect(200)
    fleet.agents["a"].metrics()
    fleet.agents["b"].restart()
    where = {str(path): path.read_bytes() for folder in (fleet.controlplane.dir, *(agent.dir for agent in fleet.agents.values()))
             for path in sorted(folder.rglob("*")) if path.is_file()}
    where.update({str(log): log.read_bytes() for log in world.tmp.glob("*.log")})
    where.update({f"answer {number}": answer for number, answer in enumerate(world.transcript)})
    assert any(next(iter(keys))[1] in data for data in where.values())  # names are public: the search can find
    for secret in keys.values():
        for needle in spellings(secret):
            for place, data in where.items():
                assert needle not in data, f"a ticket key is in {place}"


def test_keys_leave_no_trace_in_configuration(fleet):
    """No revision, no digest: what agents are told to hold is the same before and after."""
    head = fleet.api.head()
    before = stored_keys(fleet.controlplane)
    fleet.controlplane.restart("--ticket-period", "1")
    fleet.agents["a"].wait_connected(60)
    eventually(lambda: len(stored_keys(fleet.controlplane)) > len(before) + 1, "some rotations")
    assert fleet.api.head() == head
    assert len(stored_keys(fleet.controlplane)) <= 32


def test_period_is_checked(world):
    controlplane = world.controlplane()
    assert controlplane.daemon.terminate() == 0
    for bad in ("0", "-1", "x", "99999999999"):
        code, text = controlplane.run_to_exit("--ticket-period", bad)
        assert code == 2 and "--ticket-period" in text, text


def test_listed_in_metrics(fleet):
    assert metric(fleet.controlplane, "ticket_sets") == 1
    assert metric(fleet.controlplane, "ticket_rotations_total") == 1
