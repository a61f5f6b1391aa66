# SPDX-License-Identifier: Apache-2.0
"""What a data directory holds sealed, opened as the store's documentation says, from a copy of its files: whatever the process did to
them last, and without touching them."""
import shutil
import sqlite3
import struct
import tempfile
from contextlib import closing, contextmanager

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, Hash

FILES = ("keyring", "store.db", "store.db-wal")


def keyring(folder):
    """{number: key} of its keyring file, oldest first."""
    lines = (folder / "keyring").read_text().splitlines()
    assert lines[0] == "tlsplane-keyring-v1"
    return {int(number): bytes.fromhex(key) for number, key in (line.split() for line in lines[1:])}


@contextmanager
def copied(folder):
    with tempfile.TemporaryDirectory() as name:
        for file in FILES:
            if (folder / file).exists():
                shutil.copy(folder / file, name)
        yield type(folder)(name)


def _sealed(database):
    """(what, associated data, sealed) of every sealed value."""
    for kind, name, uid, version, secret in database.execute("SELECT kind, id, uid, from_rev, secret FROM object WHERE secret IS NOT NULL"):
        yield (kind, name, version), b"tlsplane/secret/v1\0" + struct.pack(">I", kind) + uid + struct.pack(">Q", version), secret
    for selector, name, sealed in database.execute("SELECT selector, name, sealed FROM ticket_key"):
        text = selector.encode()
        yield ("ticket", selector, name), b"tlsplane/ticket/v1\0" + struct.pack(">I", len(text)) + text + name, sealed
    for token, key, sealed in database.execute("SELECT token, key, sealed FROM receipt WHERE sealed IS NOT NULL"):
        text = key.encode()
        yield ("receipt", key), b"tlsplane/receipt/v1\0" + token + struct.pack(">I", len(text)) + text, sealed
    meta = dict(database.execute("SELECT key, value FROM meta"))
    digest = Hash(SHA256())
    digest.update(meta["ca_cert"])
    yield ("ca",), b"tlsplane/ca-key/v1\0" + digest.finalize(), meta["ca_key"]


class Vault:
    """keys: numbers in the keyring file; rows: numbers that the store knows; opened: {what: plain text}; sealed_by: {what: number};
    seals: of every value the bytes that no other has (key number, nonce)."""

    def __init__(self, folder):
        with copied(folder) as copy, closing(sqlite3.connect(copy / "store.db")) as database:
            ring = keyring(copy)
            self.keys = list(ring)
            self.rows = [row[0] for row in database.execute("SELECT id FROM sealing_key ORDER BY id")]
            self.opened, self.sealed_by, self.seals = {}, {}, set()
            for what, aad, sealed in _sealed(database):
                form, number = struct.unpack(">BI", sealed[:5])
                assert form == 1
                assert number in ring, f"{what} is sealed by key {number}, the file has {self.keys}"
                self.opened[what] = AESGCM(ring[number]).decrypt(sealed[5:17], sealed[17:], aad)
                self.sealed_by[what] = number
                self.seals.add(sealed[1:17])


def traces(folder, seals):
    """Of these seals, those that some file of the folder still has."""
    texts = [path.read_bytes() for path in folder.iterdir() if path.is_file()]
    return [seal for seal in seals if any(seal in text for text in texts)]
