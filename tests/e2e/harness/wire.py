# SPDX-License-Identifier: Apache-2.0
"""Bytes that no client library sends: ClientHellos of any length and shape, a client that cuts its first flight into pieces, and records under the
keys of an established TLS 1.3 connection."""
import os
import socket
import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from harness.tls import HalfClosing, client_hello, context, extension, records, sni_extension

HELLO_MAX = 24 * 1024  # of a ClientHello, header included, that the agent takes
PADDING = 0x5555       # an extension that nobody knows

# What may stand in a ClientHello, by name: its extensions besides those of client_hello. Legal ones and others.
SHAPES = {
    "exact": [sni_extension(b"a.test")], "upper case": [sni_extension(b"A.TEST")], "trailing dot": [sni_extension(b"a.test.")],
    "unknown": [sni_extension(b"unknown.test")], "none": [],
    "wildcard": [sni_extension(b"x.wild.test")], "two levels": [sni_extension(b"x.y.wild.test")], "bare": [sni_extension(b"wild.test")],
    "literal star": [sni_extension(b"*.wild.test")], "star": [sni_extension(b"*")],
    "NUL": [sni_extension(b"a.test\0.evil")], "CRLF": [sni_extension(b"a.test\r\nX: 1")], "ANSI": [sni_extension(b"\x1b[31ma")],
    "comma": [sni_extension(b"a.test,dns:b.test")], "UTF-8": [sni_extension("bücher.test".encode())],
    "A-label": [sni_extension(b"xn--bcher-kva.test")], "IPv4": [sni_extension(b"127.0.0.1")], "IPv6": [sni_extension(b"::1")],
    "empty": [sni_extension(b"")], "255 bytes": [sni_extension(b"a" * 251 + b".com")], "256 bytes": [sni_extension(b"a" * 252 + b".com")],
    "16000 bytes": [sni_extension(b"a" * 16000)], "two names": [sni_extension(b"a.test", b"b.test")],
    "twice": [sni_extension(b"a.test"), sni_extension(b"a.test")], "list too long": [extension(0, b"\0\xff\0\0\x06a.test")],
    "list too short": [extension(0, b"\0\x03\0\0\x06a.test")], "no list": [extension(0, b"")], "other type": [sni_extension((1, b"a.test"))],
    "GREASE": [sni_extension(b"a.test"), extension(0x0a0a, b"")],
    "ECH outer": [sni_extension(b"a.test"), extension(0xfe0d, b"\0\0\x01\0\x01\x05\0\x20" + bytes(32) + b"\0\x90" + bytes(144))],
    "ALPN unknown": [sni_extension(b"a.test"), extension(16, b"\0\x04\x03foo")], "ALPN empty": [sni_extension(b"a.test"), extension(16, b"\0\0")],
    "ALPN": [sni_extension(b"a.test"), extension(16, b"\0\x03\x02h2")],
    "huge": [sni_extension(b"a.test"), extension(PADDING, bytes(60000))],
}


def padded_hello(length, *extensions):
    """A ClientHello of exactly this length, its header included."""
    bare = len(client_hello(*extensions)) + 4
    return client_hello(*extensions, extension(PADDING, bytes(length - bare)))


def _hello(suites, compression, *extensions):
    block = b"".join(extensions)
    body = (b"\x03\x03" + os.urandom(32) + b"\0" + struct.pack(">H", len(suites)) + suites + bytes([len(compression)]) + compression
            + struct.pack(">H", len(block)) + block)
    return b"\x01" + len(body).to_bytes(3, "big") + body


def hello_12(*extensions, compression=b"\0"):
    """A ClientHello of TLS 1.2."""
    return _hello(b"\xc0\x2b\xc0\x2f", compression, *extensions, extension(10, b"\0\x02\0\x17"), extension(11, b"\x01\0"),
                  extension(13, b"\0\x04\x04\x03\x08\x04"))


def hello_without_share(*extensions):
    """A ClientHello of TLS 1.3 that is answered by a HelloRetryRequest."""
    return _hello(b"\x13\x01", b"\0", *extensions, extension(10, b"\0\x02\0\x1d"), extension(13, b"\0\x04\x04\x03\x08\x04"),
                  extension(43, b"\x02\x03\x04"), extension(51, b"\0\0"))


def send_in_segments(connection, data, size):
    """Each size bytes a segment of its own, as far as the kernel lets us."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for i in range(0, len(data), size):
        connection.sendall(data[i:i + size])


def receive_message(connection, wanted):
    """The first plain handshake message of this type; a ConnectionError that says what came instead."""
    pending = b""
    while True:
        head = _receive(connection, 5)
        body = _receive(connection, int.from_bytes(head[3:], "big"))
        if head[0] != 22:
            raise ConnectionError(f"a record of type {head[0]}: {body[:16].hex()}")
        pending += body
        while len(pending) >= 4 and len(pending) >= 4 + (length := int.from_bytes(pending[1:4], "big")):
            if pending[0] == wanted:
                return pending[4:4 + length]
            pending = pending[4 + length:]


def _receive(connection, size):
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ConnectionError("the peer ended")
        data += part
    return data


class Fragmented(HalfClosing):
    """A real client whose first flight goes out in records of `record` bytes and in segments of `segment` bytes; None: as it is."""

    def __init__(self, port, sni, record=None, segment=None, made=None):
        self.record, self.segment, self.is_first = record, segment, True
        super().__init__(port, sni, made=made)

    def _flush(self):
        if not self.is_first or not self.outgoing.pending:
            super()._flush()
            return
        self.is_first = False
        data = self.outgoing.read()
        if self.record:
            data = records(data[5:], self.record)
        send_in_segments(self.raw, data, self.segment or len(data))


class Keys:
    """The client's sending direction of a TLS 1.3 connection with AES-128-GCM, which has sent nothing yet (RFC 8446 5.2, 7.1 to 7.3)."""

    def __init__(self, secret):
        self._set(secret)

    @staticmethod
    def _expand(secret, label, size):
        info = struct.pack(">HB", size, 6 + len(label)) + b"tls13 " + label + b"\0"
        return HKDFExpand(algorithm=hashes.SHA256(), length=size, info=info).derive(secret)

    def _set(self, secret):
        self.secret, self.sequence = secret, 0
        self.key, self.iv = AESGCM(self._expand(secret, b"key", 16)), self._expand(secret, b"iv", 12)

    def update(self):
        self._set(self._expand(self.secret, b"traffic upd", 32))

    def seal(self, kind, data):
        nonce = (int.from_bytes(self.iv, "big") ^ self.sequence).to_bytes(12, "big")
        self.sequence += 1
        head = b"\x17\x03\x03" + struct.pack(">H", len(data) + 1 + 16)
        return head + self.key.encrypt(nonce, data + bytes([kind]), head)

    def key_update(self, asks):
        """A record with one KeyUpdate; what follows is under the next key."""
        record = self.seal(22, b"\x18\0\0\x01" + bytes([asks]))
        self.update()
        return record


def open_13(port, sni, folder):
    """(an established TLS 1.3 connection, its Keys)."""
    log = folder / "keys.log"
    log.unlink(missing_ok=True)
    made = context(version="1.3")
    made.keylog_filename = str(log)
    client = HalfClosing(port, sni, made=made)
    assert client.tls.cipher()[0] == "TLS_AES_128_GCM_SHA256", client.tls.cipher()
    line = next(line for line in log.read_text().splitlines() if line.startswith("CLIENT_TRAFFIC_SECRET_0 "))
    return client, Keys(bytes.fromhex(line.split()[2]))
