# SPDX-License-Identifier: Apache-2.0
"""Clients with certificates: of every kind that must and must not pass, one handshake each, and connections that are held open."""
import re
import ssl
import time

from harness import tls
from harness.pki import Ca

VERSIONS = ("1.2", "1.3")
ALERT = re.compile(r"(?:SSLV3|TLSV1|TLSV13)_ALERT_(\w+)")
NO_CERTIFICATE = {"1.2": "HANDSHAKE_FAILURE", "1.3": "CERTIFICATE_REQUIRED"}  # RFC 5246 7.4.6, RFC 8446 4.4.2.4


class Clients:
    """`ca` is the one to trust, with two intermediates below it; `files` has the paths of each pair. Depth counts intermediates."""

    def __init__(self, folder):
        self.folder, self.pairs, self.files = folder, {}, {}
        self.ca = Ca("Client CA")
        self.middle = self.ca.intermediate("Client Middle")
        self.lower = self.middle.intermediate("Client Lower")
        self.stranger = Ca("Stranger CA")
        self.namesake = Ca("Client CA")  # the same name, another key
        self.add("good", self.ca.issue("good.client", usage="client"))
        self.add("bare", self.ca.issue("bare.client", usage=None))  # says nothing of its use
        self.add("rsa", self.ca.issue("rsa.client", usage="client", key="rsa2048"))
        self.add("ed25519", self.ca.issue("ed25519.client", usage="client", key="ed25519"))
        self.add("p521", self.ca.issue("p521.client", usage="client", key="p521"))
        self.add("one", self.middle.issue("one.client", usage="client"))
        self.add("two", self.lower.issue("two.client", usage="client"))
        self.add("wrong", self.stranger.issue("good.client", usage="client"))
        self.add("namesake", self.namesake.issue("good.client", usage="client"))
        self.add("self-signed", Ca("good.client"))
        self.add("expired", self.ca.issue("good.client", usage="client", days=-1, starts=-9))
        self.add("not-yet", self.ca.issue("good.client", usage="client", days=9, starts=1))
        self.add("email", self.ca.issue("good.client", usage="email"))
        self.add("server", self.ca.issue("good.client", usage="server"))
        self.add("authority", self.ca.issue("good.client", usage="client", is_ca=True))
        self.add("middle", self.middle)

    def add(self, name, pair):
        self.pairs[name] = pair
        self.files[name] = pair.write(self.folder, name)
        return pair

    def __getitem__(self, name):
        """The paths; None for None: no certificate."""
        return self.files[name] if name else None


# Verified by a require at depth 1 with the CA `Clients.ca`, or the alert that says what is wrong.
PASS = ("good", "bare", "rsa", "ed25519", "p521", "one")
FAIL = {"two": "UNKNOWN_CA", "wrong": "UNKNOWN_CA", "namesake": "UNKNOWN_CA", "self-signed": "UNKNOWN_CA", "expired": "CERTIFICATE_EXPIRED",
        "not-yet": "BAD_CERTIFICATE", "email": "UNSUPPORTED_CERTIFICATE", "server": "UNSUPPORTED_CERTIFICATE",
        "authority": "UNSUPPORTED_CERTIFICATE", "middle": "UNSUPPORTED_CERTIFICATE"}


def attempt(port, sni, client=None, version="1.3", **more):
    """What the backend said, or the alert ("UNKNOWN_CA"). Anything else, such as an end without an alert, raises."""
    try:
        return tls.fetch(port, sni, version=version, client=client, **more)[0]
    except ssl.SSLError as error:
        alert = ALERT.fullmatch(error.reason or "")
        if not alert:
            raise
        return alert.group(1)


def s_client(port, sni, client=None, version="1.3", *more):
    """The same with the real `openssl s_client`."""
    options = [f"-tls1_{version[-1]}", *more]
    if client:
        options += ["-cert", str(client[0]), "-key", str(client[1]), "-cert_chain", str(client[0])]
    return tls.s_client(port, *options, sni=sni)


class Held:
    """An open connection to a site with an echoing backend; data has passed when the constructor returns. made: the context of an earlier one, whose
    session is then offered."""

    def __init__(self, port, sni, client=None, version="1.3", resume=None):
        self.context = resume.context if resume else tls.context(version=version, client=client)
        raw = tls.socket.create_connection(("127.0.0.1", port), timeout=10)
        try:
            self.connection = self.context.wrap_socket(raw, server_hostname=sni, session=resume.session if resume else None)
            self.exchange()
        except BaseException:
            raw.close()
            raise
        assert self.connection.session_reused == (resume is not None)
        self.session = self.connection.session

    def exchange(self):
        """Data passes both ways; raises when not."""
        self.connection.settimeout(10)
        self.connection.sendall(b"there and back")
        seen = b""
        while len(seen) < 14:
            data = self.connection.recv(64)
            if not data:
                raise ConnectionError("closed")
            seen += data
        assert seen == b"there and back"

    def wait_closed(self, deadline):
        """By the agent, until `deadline` (time.monotonic)."""
        self.connection.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            assert self.connection.recv(64) == b""
        except TimeoutError:
            raise AssertionError("still open") from None
        except OSError:
            pass

    def close(self):
        self.connection.close()
