# SPDX-License-Identifier: Apache-2.0
"""Certificates of every shape that the tests need, made in memory."""
import datetime
import hashlib
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
_rsa_keys = {}


def make_key(kind="p256"):
    """p256, p384, p521, ed25519, or rsaBITS. RSA keys cost time: one per size and index ("rsa2048", "rsa2048/2") in a test run."""
    if kind.startswith("rsa"):
        if kind not in _rsa_keys:
            _rsa_keys[kind] = rsa.generate_private_key(public_exponent=65537, key_size=int(kind[3:].split("/")[0]))
        return _rsa_keys[kind]
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    curve = {"p256": ec.SECP256R1, "p384": ec.SECP384R1, "p521": ec.SECP521R1, "secp256k1": ec.SECP256K1}[kind]
    return ec.generate_private_key(curve())


def name_of(text):
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


class Pair:
    """A certificate with its key and the chain above it (without the root)."""

    def __init__(self, cert, key, chain=()):
        self.cert, self.key, self.chain = cert, key, tuple(chain)

    @staticmethod
    def _pem(cert):
        return cert.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def cert_pem(self):
        """Leaf first, then the chain."""
        return self._pem(self.cert) + "".join(self._pem(c) for c in self.chain)

    @property
    def leaf_pem(self):
        return self._pem(self.cert)

    @property
    def key_pem(self):
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                      serialization.NoEncryption()).decode()

    @property
    def traditional_key_pem(self):
        """SEC1 or PKCS#1."""
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                                      serialization.NoEncryption()).decode()

    @property
    def encrypted_key_pem(self):
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                      serialization.BestAvailableEncryption(b"secret")).decode()

    @property
    def der(self):
        return self.cert.public_bytes(serialization.Encoding.DER)

    @property
    def sha256(self):
        return hashlib.sha256(self.der).hexdigest()

    @property
    def spki_sha256(self):
        spki = self.cert.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(spki).hexdigest()

    @property
    def raw_secret(self):
        """The bytes that must appear nowhere: scalar, seed, or a prime of RSA."""
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            return self.key.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
        numbers = self.key.private_numbers()
        if isinstance(self.key, rsa.RSAPrivateKey):
            return numbers.p.to_bytes((numbers.p.bit_length() + 7) // 8, "big")
        return numbers.private_value.to_bytes((self.key.curve.key_size + 7) // 8, "big")

    def write(self, folder, name):
        """NAME.pem (chain) and NAME.key; returns both paths."""
        cert, key = folder / f"{name}.pem", folder / f"{name}.key"
        cert.write_text(self.cert_pem)
        key.write_text(self.key_pem)
        return cert, key

    def ssl(self, *snis, **more):
        """The SSL object that serves this pair."""
        body = {"cert": self.cert_pem, "key": self.key_pem, **more}
        if len(snis) == 1:
            body["sni"] = snis[0]
        elif snis:
            body["snis"] = list(snis)
        return body


def _signing_hash(key):
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


class Ca(Pair):
    def __init__(self, common_name="Test CA", key="p256", parent=None, path_length=None, days=3650):
        private = make_key(key)
        now = datetime.datetime.utcnow()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = (x509.CertificateBuilder().subject_name(subject)
                   .issuer_name(parent.cert.subject if parent else subject)
                   .public_key(private.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now - DAY).not_valid_after(now + days * DAY)
                   .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
                   .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False))
        signer = parent.key if parent else private
        chain = (parent.cert, *parent.chain)[:-1] if parent and parent.parent is None else ((parent.cert, *parent.chain) if parent else ())
        super().__init__(builder.sign(signer, _signing_hash(signer)), private, chain)
        self.parent = parent

    def crl(self, *revoked, days=30, starts=-1):
        """PEM; revoked: pairs. days counts from now and may be negative."""
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateRevocationListBuilder().issuer_name(self.cert.subject)
                   .last_update(now + starts * DAY).next_update(now + days * DAY)
                   .add_extension(x509.CRLNumber(1), critical=False))
        for pair in revoked:
            builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(pair.cert.serial_number)
                                                      .revocation_date(now + starts * DAY).build())
        return builder.sign(self.key, _signing_hash(self.key)).public_bytes(serialization.Encoding.PEM).decode()

    def intermediate(self, common_name):
        return Ca(common_name, parent=self)

    def issue(self, *names, key="p256", days=90, starts=-1, usage="server", common_name=None, extra=(), private=None, uris=(), emails=(),
              subject=None, is_ca=False):
        """A leaf for dNSNames or IP addresses. days and starts count from now and may be negative. subject: an x509.Name. is_ca: says CA:TRUE."""
        private = private or make_key(key)
        now = datetime.datetime.utcnow()
        subject = subject or x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name or (names[0] if names else "leaf"))])
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.cert.subject)
                   .public_key(private.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now + starts * DAY).not_valid_after(now + days * DAY)
                   .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False))
        usages = {"server": [ExtendedKeyUsageOID.SERVER_AUTH], "client": [ExtendedKeyUsageOID.CLIENT_AUTH], None: None,
                  "email": [ExtendedKeyUsageOID.EMAIL_PROTECTION],
                  "both": [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]}[usage]
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        alternatives = ([name_of(name) for name in names] + [x509.UniformResourceIdentifier(uri) for uri in uris]
                        + [x509.RFC822Name(email) for email in emails])
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        for extension in extra:
            builder = builder.add_extension(extension, critical=False)
        chain = (self.cert, *self.chain) if self.parent else ()
        return Pair(builder.sign(self.key, _signing_hash(self.key)), private, chain)
