# SPDX-License-Identifier: Apache-2.0
"""Who should not be talking to the channel's port: hung up on, named in the log with the reason, and nothing of them stays."""
import os
import socket
import ssl
import struct
import time

import pytest

from harness import tls
from harness.net import eventually
from harness.world import is_sanitized

ENROLL = 1


def is_accepted(connection, port):
    """The kernel gives a connection its inode when the server takes it out of the backlog."""
    wanted = (f"0100007F:{port:04X}", f"0100007F:{connection.getsockname()[1]:04X}")
    with open("/proc/net/tcp", encoding="ascii") as table:
        return any((row[1], row[2]) == wanted and row[9] != "0" for row in map(str.split, table))


def raw(port, data):
    """What came back until the server hung up."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
        connection.sendall(data)
        return drain(connection)


def raw_end(port, data, taken=True):
    """The same, but hangs up first; taken: once the server has it, because it doesn't look at those who hung up before."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
        connection.sendall(data)
        if taken:
            eventually(lambda: is_accepted(connection, port), "it is taken", 15)
        connection.shutdown(socket.SHUT_WR)
        return drain(connection)


def drain(connection):
    data = b""
    try:
        while part := connection.recv(65536):
            data += part
    except OSError as error:
        assert not isinstance(error, TimeoutError), "the server did not hang up"
    return data


def framed(port, data):
    """As an agent that wants to enrol, which may send frames before anybody knows it. What came back."""
    made = tls.context(version="1.3", alpn=["tlsplane-enroll/1"])
    made.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
    with tls.connect(port, made=made, timeout=15) as connection:
        connection.sendall(data)
        return drain(connection)


def frame(kind, payload, length=None):
    return struct.pack(">IHH", len(payload) if length is None else length, kind, 0) + payload


def half_a_frame(port):
    made = tls.context(version="1.3", alpn=["tlsplane-enroll/1"])
    with tls.connect(port, made=made) as connection:
        connection.sendall(frame(ENROLL, bytes(100))[:50])
        connection.unwrap()


HALF_HELLO = tls.records(tls.client_hello())[:60]
HOSTILE = {  # what it does, and what the log says of it
    "plain HTTP": (lambda port: raw(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "http request"),
    "garbage": (lambda port: raw(port, os.urandom(4096)), "handshake"),
    "half a ClientHello": (lambda port: raw_end(port, HALF_HELLO), "hung up"),
    "nothing": (lambda port: raw_end(port, b""), "hung up"),
    "TLS 1.2": (lambda port: tls.s_client(port, "-tls1_2", "-alpn", "tlsplane/1"), "unsupported protocol"),
    "no ALPN": (lambda port: tls.s_client(port), "alpn|application"),
    "another ALPN": (lambda port: tls.s_client(port, "-alpn", "h2"), "alpn|application"),
    "no certificate": (lambda port: tls.s_client(port, "-alpn", "tlsplane/1"), "certificate"),
    "half a frame": (half_a_frame, "within a message"),
    "a frame beyond the limit": (lambda port: framed(port, frame(ENROLL, b"", 1 << 31)), "bytes"),
    "an unknown type": (lambda port: framed(port, frame(999, b"")), "type"),
    "not a message": (lambda port: framed(port, frame(ENROLL, b"\xff" * 64)), "message"),
    "a message for others": (lambda port: framed(port, frame(18, b"\x08\x01\x10\x01")), "not legal here"),
    "an unknown field": (lambda port: framed(port, frame(18, b"\x08\x01\x10\x01\x98\x06\x01")), "unknown field"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_is_hung_up_on_with_a_reason(shared, what):
    import re
    attack, reason = HOSTILE[what]
    daemon = shared.controlplane.daemon
    before = len(daemon.lines())
    descriptors = len(os.listdir(f"/proc/{daemon.pid}/fd"))

    def told():
        """Again and again: of so many strangers as were just here the log leaves some out."""
        attack(shared.controlplane.channel_port)
        return [line for line in daemon.lines()[before:] if re.search(reason, line, re.I)]

    lines = eventually(told, f"{what}: {reason} in the log", 10)
    assert "127.0.0.1:" in lines[0], lines
    eventually(lambda: len(os.listdir(f"/proc/{daemon.pid}/fd")) <= descriptors, "the connection is gone")
    assert shared.agent.state()["connected"]


@pytest.mark.bounds
def test_nothing_of_them_stays(shared):
    """Flat memory after a thousand of them (the sanitizers look for leaks at the end), and a log that they don't fill."""
    daemon, port = shared.controlplane.daemon, shared.controlplane.channel_port
    quick = [HOSTILE[name][0] for name in ("plain HTTP", "garbage", "half a frame", "not a message")]
    quick.append(lambda port: raw_end(port, HALF_HELLO, taken=False))
    for attack in quick * 20:
        attack(port)
    descriptors, memory = len(os.listdir(f"/proc/{daemon.pid}/fd")), daemon.rss_kib()
    began, before = time.monotonic(), len(daemon.lines())
    for attack in quick * 200:
        attack(port)
    told = [line for line in daemon.lines()[before:] if "127.0.0.1:" in line]
    assert 0 < len(told) <= 10 * (time.monotonic() - began + 2) and len(told) < 500, len(told)
    assert daemon.lines("log lines dropped")
    eventually(lambda: len(os.listdir(f"/proc/{daemon.pid}/fd")) <= descriptors, "all connections are gone")
    assert is_sanitized() or daemon.rss_kib() - memory < 8192  # ASan keeps what was freed in quarantine
    assert shared.agent.state()["connected"]


def test_who_says_nothing_is_hung_up_on(shared):
    """The handshake's deadline; meanwhile others are served."""
    idle = [socket.create_connection(("127.0.0.1", shared.controlplane.channel_port), timeout=30) for _ in range(50)]
    try:
        assert shared.world.agent(shared.controlplane, name="beside").state()["connected"]
        for connection in idle:
            assert drain(connection) == b""
    finally:
        for connection in idle:
            connection.close()
    assert shared.controlplane.daemon.lines("not done after")
