# SPDX-License-Identifier: Apache-2.0
"""Sessions taken in one place and offered in another, with the real `openssl s_client`: ways are a ticket or (without tickets) a session id."""
from harness import tls
from harness.net import eventually

VERSIONS = ("1.2", "1.3")
WAYS = ("ticket", "session-id")


def options(version, way, client=None):
    made = [f"-tls1_{version[-1]}"]
    if way == "session-id":
        made.append("-no_ticket")
    if client:
        cert, key = client
        made += ["-cert", str(cert), "-key", str(key), "-cert_chain", str(cert)]
    return made


def take(port, sni, file, version, way="ticket", client=None):
    """A session into file, from a full handshake that the backend has answered."""
    file.unlink(missing_ok=True)
    seen = tls.s_client(port, *options(version, way, client), "-sess_out", str(file), sni=sni)
    assert seen.body is not None and not seen.reused, seen
    return file


def offer(port, sni, file, version, way="ticket", client=None, *more):
    """What becomes of a connection that offers the session. Without one in file (the server gave none) there is nothing to offer."""
    offered = ["-sess_in", str(file)] if file.exists() else []
    return tls.s_client(port, *options(version, way, client), *offered, *more, sni=sni)


def wait_for_keys(port, sni, file):
    """The agent has ticket keys: they come after the objects, and until then there are no tickets."""
    def is_resumed():
        take(port, sni, file, "1.2")
        return offer(port, sni, file, "1.2").reused
    eventually(is_resumed, f"sessions of {sni} resume")
