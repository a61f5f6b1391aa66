# SPDX-License-Identifier: Apache-2.0
"""Nothing grows: memory, descriptors and threads of both daemons after whole snapshots that replace each other, changes, connections and hostile
clients are what they were after the first few."""
import pathlib
import socket
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import heap, tls
from harness.heap import Growth, heap_bytes
from harness.net import eventually, free_port, receive_all
from harness.soak import figure, scaled
from harness.tls import client_hello, extension, records, sni_extension
from harness.wire import HELLO_MAX, SHAPES, hello_12, hello_without_share, padded_hello
from harness.world import serve
from test_hammer import Target


@pytest.fixture
def controlplane(world):
    return world.controlplane(env=heap.ENV)


@pytest.fixture
def agent(world, controlplane):
    return world.agent(controlplane, env=heap.ENV)


def test_a_leak_would_be_seen(controlplane, agent):
    """The control: what is stored and held is memory that is reachable."""
    grown = Growth(controlplane.daemon, agent.daemon)
    grown.check()
    before = heap_bytes(agent.daemon)[0]
    controlplane.api.apply(put=[("upstreams", f"u{n}", {"nodes": {"127.0.0.1:9": 1}, "desc": "x" * 200}) for n in range(200)], wait="acked",
                           timeout=30).expect(200)
    assert heap_bytes(agent.daemon)[0] - before > 200 * 200
    with pytest.raises(AssertionError, match="heap"):
        grown.check(timeout=1)
    with socket.create_connection(("127.0.0.1", controlplane.channel_port)):
        eventually(lambda: "descriptors" in str(grown.problems(controlplane.daemon)), "a connection is a descriptor")


def test_whole_snapshots(controlplane, agent, backend, ca):
    """The agent gets other labels, and with them another holding, of which no object was in the one before."""
    objects, swaps, api = scaled(40, 1000), scaled(60, 1000), controlplane.api
    port, key = free_port(), ca.issue("x").key
    leaves = {}
    for name in ("a", "b"):
        here = {"selector": {"set": name}}
        sites = [(n, ca.issue(f"n{n}.test", private=key)) for n in range(objects)]
        leaves[name] = sites[-1][1].sha256
        api.apply(put=[("upstreams", f"web-{name}", {"nodes": {f"127.0.0.1:{backend.port}": 1}, **here}),
                       ("tls_options", f"own-{name}", {"min_version": "TLSv1.2", **here}),
                       ("listeners", f"main-{name}", {"bind": f"127.0.0.1:{port}", "upstream": f"web-{name}", "tls_options": f"own-{name}", **here}),
                       *[("ssls", f"{name}-{n}", pair.ssl(f"n{n}.test", **here)) for n, pair in sites]]).expect(200)

    def swap(number):
        name = "ab"[number % 2]
        api.patch(f"/v1/agents/{agent.id}", {"labels": {"set": name, "turn": str(number)}}, wait="acked", timeout=60).expect(200)
        assert tls.leaf(port, f"n{objects - 1}.test") == leaves[name]
    for number in range(10):
        swap(number)
    grown = Growth(controlplane.daemon, agent.daemon)
    for number in range(10, swaps):
        swap(number)
    grown.check()
    figure("whole snapshots swapped", swaps=swaps, objects_of_each=objects + 3, **grown.figures())


def test_changes_and_connections(controlplane, agent, ca):
    """Five objects change in each revision, while clients connect."""
    connections, changes, target = scaled(1000, 100_000), scaled(100, 10_000), Target(controlplane, ca)

    def work(connections, changes):
        seen, told = target.hammer(connections)
        assert seen["failed"] == 0, told
        while target.number < changes:
            target.advance()
    work(connections // 5, changes // 5)
    grown = Growth(controlplane.daemon, agent.daemon)
    work(connections, changes)
    grown.check()
    figure("changes and connections", changes=target.number, connections=connections, **grown.figures())


# Hostile clients ------------------------------------------------------------------------------------------------------

GARBAGE = b"\x17\x03\x03\x00\x40" + bytes(64)


def hostile():
    """{what: (sent at once, sent after the first answer or None)}."""
    plain, old = records(client_hello(sni_extension(b"x.test"))), records(hello_12(sni_extension(b"x.test")))
    again = records(hello_without_share(sni_extension(b"x.test")))
    shapes = {what: records(client_hello(*extensions)) for what, extensions in SHAPES.items()}
    return {**{f"hello, {what}": (data, None) for what, data in shapes.items()},
            **{f"half of a hello, {what}": (data[:len(data) // 2], None) for what, data in shapes.items()},
            "nothing": (b"", None), "no TLS": (tls.REQUEST, None), "no length": (b"\x16\x03\x01\0\x05\x01\xff\xff\xff\xff", None),
            "SSL 2": (b"\x80\x2e\x01\0\x02" + bytes(41), None), "an alert": (b"\x15\x03\x01\0\x02\x02\x28", None),
            "away after ServerHello": (plain, b""), "a Finished that is none": (plain, b"\x14\x03\x03\0\x01\x01" + GARBAGE),
            "a key exchange that is none": (old, b"\x16\x03\x03\0\x46\x10\0\0\x42\x41" + bytes(65)), "an alert after ServerHello": (old, b"\x15\x03\x03\0\x02\x02\x28"),
            "the same hello twice": (plain, plain), "no share, twice": (again, again),
            "records of a byte": (records(client_hello(sni_extension(b"x.test")), 1), None),
            "the longest": (records(padded_hello(HELLO_MAX, sni_extension(b"x.test"))), b"")}


def hostile_to_http():
    head = b"POST /v1/apply HTTP/1.1\r\nHost: localhost\r\n"
    return {"another host": (tls.REQUEST, None), "a wrong credential": (head + b"Authorization: Bearer x\r\n\r\n", b""), "half of a head": (head, None),
            "half of a body": (head + b"Content-Length: 100000\r\n\r\n{", None), "a head without end": (head + b"X: " + b"x" * 100_000, None),
            "a chunk that is none": (head + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", None), "no request": (b"\0" * 100 + b"\r\n\r\n", None),
            "both lengths": (head + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", None), "TLS": (records(client_hello()), None)}


def visit(port, at_once, then, to_its_end):
    """One hostile connection, which ends with a reset. What it was answered first."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        try:
            connection.sendall(at_once)
            if then is not None:
                answer = connection.recv(65536)
                connection.sendall(then)
            if to_its_end:
                connection.shutdown(socket.SHUT_WR)
                receive_all(connection)
        except ConnectionError:
            pass
    return answer


def visit_all(port, count, kinds):
    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(lambda n: visit(port, *kinds[n // 2 % len(kinds)], n % 2), range(count)):
            pass


def cpu_of(daemon, work):
    """Seconds of the processor's time that it took for this."""
    def used():
        return sum(int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{daemon.pid}/task").iterdir()) / 1e9
    before = used()
    work()
    return used() - before


def test_hostile_clients_of_an_agent(controlplane, agent, backend, ca):
    """None of them leaves anything, none costs more than a client who is served."""
    port, kinds, each, count = serve(controlplane, backend), hostile(), scaled(20, 500), scaled(3000, 100_000)
    controlplane.api.put_acked("/v1/ssls/x", ca.issue("x.test").ssl("x.test"))
    controlplane.api.put_acked("/v1/tls_options/default", {"min_version": "TLSv1.2"})
    visit_all(port, count // 10, list(kinds.values()))
    assert all(visit(port, *kind, True)[:1] == b"\x16" for kind in kinds.values() if kind[1] is not None)
    grown = Growth(agent.daemon)
    served = cpu_of(agent.daemon, lambda: [tls.fetch(port, "x.test") for _ in range(each)])
    cost = {what: cpu_of(agent.daemon, lambda: visit_all(port, each, [kind])) / served for what, kind in kinds.items()}
    assert max(cost.values()) < 1, {what: round(share, 2) for what, share in cost.items()}
    visit_all(port, count, list(kinds.values()))
    grown.check()
    assert tls.fetch(port, "x.test")[0] == "backend"
    figure("hostile clients of an agent", connections=count + each * len(kinds), kinds=len(kinds), dearest_of_a_handshake=round(max(cost.values()), 2), **grown.figures())


def test_hostile_clients_of_a_control_plane(controlplane, agent):
    """Of its channel and of its API."""
    count, enrol = scaled(1500, 100_000), records(client_hello(extension(16, b"\0\x12\x11tlsplane-enroll/1")))
    channel = [*hostile().values(), (enrol, b""), (enrol, enrol), (enrol, b"\x14\x03\x03\0\x01\x01" + GARBAGE)]
    http = list(hostile_to_http().values())

    def visit_both(count):
        visit_all(controlplane.channel_port, count, channel)
        visit_all(controlplane.admin_port, count, http)
    visit_both(count // 5)
    assert visit(controlplane.channel_port, enrol, b"", True)[:1] == b"\x16" and visit(controlplane.admin_port, *http[1], True)[9:12] in (b"401", b"429")
    grown = Growth(controlplane.daemon)
    visit_both(count)
    grown.check()
    assert agent.state()["connected"]
    figure("hostile clients of a control plane", connections=2 * count, **grown.figures())
