# SPDX-License-Identifier: Apache-2.0
"""Origins: an HTTPS server that tells what it saw of the agent, and one that tells what PROXY header came before the bytes."""
import hashlib
import json
import ssl
import struct

from harness.backend import Backend

PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n"


def answer(connection, document):
    """One HTTP answer with a JSON body."""
    body = json.dumps(document).encode()
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))


def read_head(connection, pending=b""):
    while b"\r\n\r\n" not in pending:
        data = connection.recv(65536)
        if not data:
            raise ConnectionError("the client ended before its request")
        pending += data
    return pending


class TlsBackend(Backend):
    """Serves pair; answers each request with {"name", "sni", "version", "cipher", "alpn", "peer" (SHA-256 of the client's certificate or null), "resumed"}.
    client_ca: PEM; then a client certificate is demanded. Failed handshakes are kept as texts in `failures`."""

    def __init__(self, folder, pair, client_ca=None, name="origin", port=None, version=None, alpn=(), ciphers=None):
        self.name, self.failures, self.seen = name, [], []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*pair.write(folder, f"{name}-origin"))
        if client_ca:
            self.context.load_verify_locations(cadata=client_ca)
            self.context.verify_mode = ssl.CERT_REQUIRED
        if version:
            self.context.minimum_version = self.context.maximum_version = version
        if alpn:
            self.context.set_alpn_protocols(list(alpn))
        if ciphers:
            self.context.set_ciphers(ciphers)
        self.context.sni_callback = self._on_sni
        super().__init__(port)

    @staticmethod
    def _on_sni(connection, sni, _context):
        connection.asked_for = sni

    def serve(self, connection):
        try:
            secured = self.context.wrap_socket(connection, server_side=True)
        except (ssl.SSLError, OSError) as error:
            self.failures.append(str(error))
            return
        with secured:
            secured.settimeout(30)
            read_head(secured)
            peer = secured.getpeercert(True)
            told = {"name": self.name, "sni": getattr(secured, "asked_for", None), "version": secured.version(), "cipher": secured.cipher()[0],
                    "alpn": secured.selected_alpn_protocol(), "peer": hashlib.sha256(peer).hexdigest() if peer else None,
                    "resumed": secured.session_reused}
            self.seen.append(told)
            answer(secured, told)
            try:
                secured.unwrap()
            except (ssl.SSLError, OSError):
                pass


def parse_proxy(data):
    """(header as a dictionary or None, what follows). Strict: what is not a whole header raises."""
    if data.startswith(b"PROXY "):
        line, _, rest = data.partition(b"\r\n")
        words = line.decode("ascii").split(" ")
        header = {"version": 1, "protocol": words[1]}
        if words[1] != "UNKNOWN":
            header.update(source=words[2], destination=words[3], source_port=int(words[4]), destination_port=int(words[5]))
        return header, rest
    if data.startswith(PROXY_V2):
        return parse_proxy_v2(data)
    return None, data


def parse_proxy_v2(data):
    command, family, length = struct.unpack(">BBH", data[12:16])
    body, rest = data[16:16 + length], data[16 + length:]
    assert len(body) == length and command in (0x20, 0x21), data[:64]
    header = {"version": 2, "command": command & 15, "family": family}
    size = {0x11: 12, 0x21: 36, 0x00: 0}[family]
    if size:
        half = (size - 4) // 2
        header.update(source=_address(body[:half]), destination=_address(body[half:2 * half]),
                      source_port=struct.unpack(">H", body[size - 4:size - 2])[0], destination_port=struct.unpack(">H", body[size - 2:size])[0])
    header["tlvs"] = tlvs(body[size:])
    return header, rest


def _address(raw):
    import ipaddress
    return str(ipaddress.ip_address(raw))


def tlvs(data):
    """{type: value}; the value of SSL (0x20) is {"client", "verify", "sub": {type: value}}."""
    found = {}
    while data:
        kind, length = struct.unpack(">BH", data[:3])
        value, data = data[3:3 + length], data[3 + length:]
        assert len(value) == length
        found[kind] = {"client": value[0], "verify": struct.unpack(">I", value[1:5])[0], "sub": tlvs(value[5:])} if kind == 0x20 else value
    return found


def take_proxy(connection):
    """(the PROXY header that the connection begins with or None, what was read beyond it). Not a byte more is read than the header is
    long: what follows may be TLS."""
    data = receive_exactly(connection, 12)
    if data.startswith(b"PROXY "):
        while not data.endswith(b"\n"):
            data += receive_exactly(connection, 1)
    elif data == PROXY_V2:
        data += receive_exactly(connection, 4)
        data += receive_exactly(connection, struct.unpack(">H", data[14:16])[0])
    return parse_proxy(data)


def receive_exactly(connection, size):
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ConnectionError("the peer ended early")
        data += part
    return data


class ProxyBackend(Backend):
    """Keeps the PROXY header of each connection in `headers` (None: there was none) and answers one request. With a TLS context the
    header stands before TLS, and what is no TLS behind it is a text in `failures`."""

    def __init__(self, port=None, context=None):
        self.headers, self.failures, self.context = [], [], context
        super().__init__(port)

    def serve(self, connection):
        header, rest = take_proxy(connection)
        self.headers.append(header)
        if self.context is None:
            read_head(connection, rest)
            answer(connection, {"name": "proxied"})
            return
        try:
            secured = self.context.wrap_socket(connection, server_side=True)
        except (ssl.SSLError, OSError) as error:
            self.failures.append(str(error))
            return
        with secured:
            read_head(secured)
            answer(secured, {"name": "proxied"})
            try:
                secured.unwrap()
            except (ssl.SSLError, OSError):
                pass
