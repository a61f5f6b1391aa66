# SPDX-License-Identifier: Apache-2.0
"""TLS clients: Python's ssl for speed, the real curl and `openssl s_client` for behaviour, raw bytes for what no client would send.

A TLS 1.3 client reports success before the server has refused it. So every function here that says "ok" has seen data of the backend."""
import hashlib
import os
import re
import socket
import ssl
import struct
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

VERSIONS = {"1.0": ssl.TLSVersion.TLSv1, "1.1": ssl.TLSVersion.TLSv1_1, "1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"


def context(ca=None, version=None, client=None, alpn=None):
    """ca: PEM text to verify against, None: not verified. client: (cert path, key path)."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # an end without close_notify is a cut answer, not an end
    if ca is None:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    else:
        made.load_verify_locations(cadata=ca)
    if version:
        made.minimum_version = made.maximum_version = VERSIONS[version]
    if client:
        made.load_cert_chain(*client)
    if alpn:
        made.set_alpn_protocols(alpn)
    return made


def connect(port, sni=None, host="127.0.0.1", timeout=10, made=None, **more):
    """A connected SSLSocket; the caller closes it."""
    raw = socket.create_connection((host, port), timeout=timeout)
    try:
        return (made or context(**more)).wrap_socket(raw, server_hostname=sni)
    except BaseException:
        raw.close()
        raise


def leaf(port, sni=None, **more):
    """SHA-256 of the leaf that is served, hex."""
    with connect(port, sni, **more) as connection:
        return hashlib.sha256(connection.getpeercert(True)).hexdigest()


def fetch(port, sni=None, request=REQUEST, **more):
    """(body, leaf sha256) of one request through the agent. ssl.SSLError or OSError when refused, at whatever moment."""
    with connect(port, sni, **more) as connection:
        seen = hashlib.sha256(connection.getpeercert(True)).hexdigest()
        connection.sendall(request)
        data = b""
        while True:
            part = connection.recv(65536)
            if not part:
                break
            data += part
    head, _, body = data.partition(b"\r\n\r\n")
    if not re.match(rb"HTTP/1\.[01] 200", head):
        raise ConnectionError(f"no answer of the backend: {data[:100]!r}")
    return body.decode(), seen


class HalfClosing:
    """A peer over memory BIOs, which can send its close_notify and go on reading (Python's SSLSocket can't): a client of port, or with
    `accepted` (socket, SSLContext) the server's side of that connection."""

    def __init__(self, port=None, sni="x", version=None, accepted=None, made=None):
        self.raw, made = accepted or (socket.create_connection(("127.0.0.1", port), timeout=20), made or context(version=version))
        made.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = made.wrap_bio(self.incoming, self.outgoing, server_side=accepted is not None,
                                 server_hostname=None if accepted else sni)
        self._drive(self.tls.do_handshake)

    def _flush(self):
        if self.outgoing.pending:
            self.raw.sendall(self.outgoing.read())

    def _drive(self, step, *arguments):
        while True:
            try:
                result = step(*arguments)
                self._flush()
                return result
            except ssl.SSLWantReadError:
                self._flush()
                data = self.raw.recv(65536)
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()

    def send(self, data):
        self._drive(self.tls.write, data)

    def recv(self, size=65536):
        """b"" for the peer's close_notify; an end without one is an SSLError about EOF."""
        try:
            return self._drive(self.tls.read, size)
        except ssl.SSLZeroReturnError:
            return b""

    def end_sending(self):
        """close_notify alone; the TCP connection stays as it is."""
        try:
            self.tls.unwrap()
        except (ssl.SSLWantReadError, ssl.SSLSyscallError):
            pass
        self._flush()

    def recv_all(self):
        """Until the peer's close_notify."""
        parts = []
        while True:
            data = self.recv()
            if not data:
                return b"".join(parts)
            parts.append(data)

    def close(self):
        self.raw.close()


class SClient:
    """What `openssl s_client` printed."""

    def __init__(self, text, code):
        self.text, self.code = text, code

    def _find(self, pattern):
        match = re.search(pattern, self.text, re.M)
        return match.group(1) if match else None

    @property
    def alert(self):
        number = self._find(r"SSL alert number (\d+)")
        return int(number) if number else None

    @property
    def version(self):
        """From the summary line, "TLSv1.3"; None without a handshake."""
        found = self._find(r"^(?:New|Reused), (TLSv[\d.]+|SSLv3), Cipher is (?!\(NONE\))")  # the suite's, not the handshake's
        return (self._find(r"^    Protocol  : (TLSv[\d.]+)") or found) if found else None

    @property
    def cipher(self):
        return self._find(r"^(?:New|Reused), (?:TLSv[\d.]+|SSLv3), Cipher is ([^\s(]+)")

    @property
    def alpn(self):
        return self._find(r"^ALPN protocol: (.+)$")

    @property
    def group(self):
        return self._find(r"^Server Temp Key: (.+)$")

    @property
    def peer_signature(self):
        return self._find(r"^Peer signature type: (.+)$")

    @property
    def tickets(self):
        return self.text.count("TLS session ticket:")

    @property
    def reused(self):
        return "\nReused, " in self.text

    @property
    def certificates(self):
        return [x509.load_pem_x509_certificate(pem.encode())
                for pem in re.findall(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", self.text, re.S)]

    @property
    def leaf(self):
        certs = self.certificates
        return hashlib.sha256(certs[0].public_bytes(Encoding.DER)).hexdigest() if certs else None

    @property
    def body(self):
        """Of an HTTP answer; None when the backend was not reached."""
        match = re.search(r"HTTP/1\.1 200 OK\r?\n.*?Content-Length: (\d+).*?\r?\n\r?\n", self.text, re.S)
        return self.text[match.end():match.end() + int(match.group(1))] if match else None

    def __repr__(self):
        return f"<s_client rc={self.code} alert={self.alert} {self.text[-1500:]}>"


def s_client(port, *options, sni=None, data=REQUEST, timeout=20, host="127.0.0.1", plain=False):
    """Sends one request and waits for the peer to end; every option of s_client may follow. plain: s_client's own reading of its
    input (R renegotiates), which ends at the end of the input."""
    name = ["-servername", sni] if sni is not None else ["-noservername"]
    run = subprocess.run(["openssl", "s_client", "-connect", f"{host}:{port}", *name, "-showcerts",
                          *([] if plain else ["-ign_eof"]), *options], input=data,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, check=False)
    return SClient(run.stdout.decode(errors="replace"), run.returncode)


def curl(port, sni, *options, ca=None, timeout=20, path="/"):
    """(exit code, body, stderr) of the real curl; ca: path of a PEM file."""
    trust = ["--cacert", str(ca)] if ca else ["--insecure"]
    run = subprocess.run(["curl", "--silent", "--show-error", "--max-time", str(timeout), *trust, "--resolve", f"{sni}:{port}:127.0.0.1",
                          *options, f"https://{sni}:{port}{path}"], capture_output=True, timeout=timeout + 5, check=False)
    return run.returncode, run.stdout.decode(errors="replace"), run.stderr.decode(errors="replace")


# Raw ClientHello. -----------------------------------------------------------------------------------------------------

def extension(number, body):
    return struct.pack(">HH", number, len(body)) + body


def sni_extension(*names):
    """names: bytes, or (type, bytes)."""
    rows = [name if isinstance(name, tuple) else (0, name) for name in names]
    entries = b"".join(struct.pack(">BH", kind, len(name)) + name for kind, name in rows)
    return extension(0, struct.pack(">H", len(entries)) + entries)


def base_extensions():
    return [extension(10, b"\0\x02\0\x1d"), extension(11, b"\x01\0"), extension(13, b"\0\x08\x08\x04\x04\x01\x04\x03\x08\x07"),
            extension(43, b"\x04\x03\x04\x03\x03"), extension(51, b"\0\x24\0\x1d\0\x20" + os.urandom(32))]


def client_hello(*extensions, suites=b"\x13\x01\x13\x02\xc0\x2f\xc0\x30\xc0\x2b"):
    block = b"".join([*extensions, *base_extensions()])
    body = (b"\x03\x03" + os.urandom(32) + b"\x20" + os.urandom(32) + struct.pack(">H", len(suites)) + suites + b"\x01\0"
            + struct.pack(">H", len(block)) + block)
    return b"\x01" + len(body).to_bytes(3, "big") + body


def records(message, size=16384):
    return b"".join(b"\x16\x03\x01" + struct.pack(">H", len(message[i:i + size])) + message[i:i + size]
                    for i in range(0, len(message), size))


def send_raw(port, data, timeout=5, host="127.0.0.1"):
    """"ServerHello", "alert:N", "EOF", "RST" or "TIMEOUT": what comes back first."""
    with socket.create_connection((host, port), timeout=timeout) as connection:
        try:
            connection.sendall(data)
            head = b""
            while len(head) < 7:
                part = connection.recv(7 - len(head))
                if not part:
                    return "EOF"
                head += part
        except TimeoutError:
            return "TIMEOUT"
        except OSError:
            return "RST"
    if head[0] == 0x15:
        return f"alert:{head[6]}"
    return "ServerHello" if head[0] == 0x16 else head.hex()
