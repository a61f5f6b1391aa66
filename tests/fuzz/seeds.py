# SPDX-License-Identifier: Apache-2.0
"""Writes seed inputs for each target below the folder given: seeds.py FOLDER makes FOLDER/NAME/*. Made at run time, so that no
binary and no private key rests in the repository."""
import datetime
import json
import pathlib
import ssl
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes  # noqa: E402
from cryptography.hazmat.primitives.serialization import Encoding  # noqa: E402
from harness.pki import Ca  # noqa: E402


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number, value):
    """One protobuf field: a number, text or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def message(*values):
    return b"".join(field(number, value) for number, value in values)


def frame(kind, payload):
    return len(payload).to_bytes(4, "big") + kind.to_bytes(2, "big") + b"\0\0" + payload


def names():
    return [b"a.test", b"*.wild.test", b"*", b"B\xc3\xbcCHER.test.", b"xn--bcher-kva.test", b"_a.b-c.test", b"127.0.0.1:80", b"[::1]:443",
            b"region=eu,site=a", b"a" * 63 + b".test", b"10.0.0.1", b"a..b", b"a\r\nb", b"xn--a"]


def target():
    return [b"/v1/ssls", b"/v1/ssls/a%2db?limit=5&cursor=1-2-x", b"/v1/../x", b"/%2e%2e/", b"http://host/v1/ssls?x", b"/a/b/c?d=%41&e",
            b"*", b"/%", b"/?=&&=", b"//", b"/a%00"]


def gate():
    get, put = b"GET / HTTP/1.1\r\nHost: a\r\n", b"PUT /x HTTP/1.1\r\nHost: a\r\n"
    return [get + b"\r\n" + get + b"X: y\r\n\r\n", put + b"Content-Length: 3\r\n\r\nabc" + get + b"\r\n", get + b"X: y\r\n folded\r\n\r\n",
            put + b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n" + get + b"\r\n", b"\r\n" + put + b"Expect: 100-continue\r\nContent-Length: 0\r\n\r\n"]


def documents():
    pair, ca = Ca("Seed").issue("seed.test"), Ca("Seed CA")
    yield 0, pair.ssl("seed.test")
    yield 0, pair.ssl("a.test", "*.b.test", client={"ca": ca.cert_pem, "depth": 2}, ssl_protocols=["TLSv1.2"], priority=3, labels={"a": "b"},
                      selector={"site": "a"}, desc="x", status=1, tls_options="modern")
    yield 1, {"min_version": "TLSv1.2", "max_version": "TLSv1.3", "cipher_suites": ["TLS_AES_128_GCM_SHA256", 49199],
              "curve_preferences": ["X25519", 23], "alpn_protocols": ["h2"], "sni_strict": True, "default_ssl": "x", "handshake_timeout": 5,
              "prefer_server_ciphers": True, "client_auth": {"verify": "require", "ca": ca.cert_pem}}
    yield 2, {"bind": "127.0.0.1:8443", "protocol": "tcp", "upstream": "web", "tls_options": "modern", "max_connections": 5}
    yield 3, {"nodes": {"127.0.0.1:80": 1, "[::1]:80": 2, "host.test:80": 0}}
    yield 1, {"min_version": "TLSv1.2", "session_tickets": {"count": 3, "lifetime": 60}, "max_handshakes": 5, "handshakes_per_second": 6,
              "client_auth": {"verify": "verify_and_map", "ca_bundle": "b", "allow": [{"dns": "*.a.test", "uri": ["spiffe://x/*"]},
              {"email": "*@a.test", "cn": "n"}, {"dn": "CN=n,O=o", "ip": "10.0.0.0/8"}], "pins": ["00" * 32], "deny_spki": ["11" * 32],
              "deny_serials": ["0a:bc"], "stale_crls": "accept", "send_ca_names": False, "on_tighten": "keep"}}
    yield 0, {"type": "client", "cert": pair.cert_pem, "key": pair.key_pem}
    yield 4, {"certs": ca.cert_pem}
    yield 5, {"snis": ["a.test", "*.b.test", "**.c.test", "*", ""], "listeners": ["l"], "mode": "terminate", "tls_options": "modern", "upstream": "web",
              "upstream_tls": "origin", "allow_clients": ["10.0.0.0/8", "::1"], "priority": -3, "selector": {"site": "a"}}
    yield 5, {"snis": ["raw.test"], "mode": "passthrough", "upstream": "web"}
    yield 6, {"client_ssl": "c", "ca": ca.cert_pem, "verify": "ENFORCED", "properties": "ALL", "sni_policy": "name", "server_name": "a.test",
              "verify_name_policy": "name", "verify_name": "10.0.0.1", "pins": ["00" * 32], "min_version": "TLSv1.2", "max_version": "TLSv1.3",
              "cipher_suites": ["TLS_AES_128_GCM_SHA256"], "curve_preferences": ["X25519"], "alpn_protocols": ["h2"], "handshake_timeout": 5,
              "session_reuse": False, "stale_crls": "accept", "depth": 2}
    yield 6, {"ca_bundle": "b", "system_ca": True, "allow": [{"dns": "*.a.test", "uri": ["spiffe://x/*"]}]}
    yield 7, {"labels": {"site": "a"}, "desc": "x"}
    yield 8, {"ttl": 60, "labels": {"site": "a"}, "agent_id": "edge-1"}
    yield 4, {"certs": ca.cert_pem, "crls": crl(ca).public_bytes(Encoding.PEM).decode()}


def patches():
    """(kind, document, NUL, merge patch)"""
    documents_of = {}
    for kind, document in documents():
        documents_of.setdefault(kind, document)
    for kind, patch in ((0, {"labels": {"a": None, "b": "c"}, "desc": None}), (1, {"alpn_protocols": ["h2"], "client_auth": None}), (2, {"upstream": 7}),
                        (3, {"nodes": {"127.0.0.1:80": None, "x.test:443": 3}}), (4, {"crls": ""}), (5, {"snis": ["x.test"], "listeners": None}),
                        (6, {"pins": None, "verify": "DISABLED"}), (7, {"labels": {"site": None}}), (8, {"ttl": 5})):
        yield bytes([kind]) + json.dumps(documents_of[kind]).encode() + b"\0" + json.dumps(patch).encode()


def bodies():
    leaf = Ca("Seed").issue("seed.test")
    pair = message((1, 2), (2, leaf.der), (3, bytes.fromhex(leaf.spki_sha256)))
    return [b"\0" + message((1, "seed.test"), (2, 1), (3, pair), (5, b"\x83\x06\x84\x06"), (6, "modern"), (7, 2)),
            b"\x01" + message((1, 0x0303), (2, 0x0304), (3, varint(0x1301)), (4, varint(29)), (5, "h2"), (9, message((1, 4), (2, leaf.der)))),
            b"\x02" + message((1, "127.0.0.1"), (2, 443), (3, "tcp"), (4, "web")),
            b"\x03" + message((1, message((1, "a.test"), (2, 80), (3, 1)))), b"\x04" + message((1, leaf.der)),
            b"\x05" + message((1, "a.test"), (1, "*.b.test"), (2, "l"), (3, 1), (4, "modern"), (5, "web"), (6, "origin"), (8, 5)),
            b"\x06" + message((1, "c"), (2, leaf.der), (5, 1), (7, 1), (8, "a.test"), (12, bytes(32)), (13, 0x0303), (15, varint(0x1301)), (17, "h2")),
            b"\x07" + message((1, message((1, bytes(32)), (2, bytes(32)), (3, 5))), (2, "t"), (3, 7)),
            b"\x08" + message((1, bytes(32)), (2, 9), (3, "edge-1"))]


def messages():
    digest = message((1, "site=a"), (2, bytes(32)))
    envelope = message((1, 4), (2, "web"), (3, bytes(20)), (4, 7), (5, ""), (6, b""))
    return [frame(1, message((1, "id"), (2, b"secret"), (3, b"csr"), (4, "0.1"), (5, 1700000000))),
            frame(3, message((1, 2), (2, "busy"), (3, 500))), frame(4, message((1, b"csr"))),
            frame(10, message((1, 1), (2, "0.1"), (3, "3.0"), (4, 1), (5, 2), (6, bytes(32)), (7, digest), (8, 1), (9, 2), (10, "host"))),
            frame(11, message((1, 1), (2, 2), (3, 15), (4, 1700000000))), frame(12, message((1, 1), (2, 2), (3, bytes(32)), (4, "a=b"), (6, 1))),
            frame(13, message((1, message((1, 1), (2, "x"), (3, ""))), (2, envelope))), frame(14, message((1, digest))),
            frame(15, message((1, 1), (2, 2))), frame(16, message((1, 1), (2, 2), (3, 4), (4, "no"), (5, message((1, 1), (2, "x"), (4, "why"))))),
            frame(17, message((1, "a=b"))), frame(18, message((1, 1), (2, 2), (3, digest), (4, 1))),
            frame(20, message((1, 3), (2, message((1, "site=a"), (2, message((1, bytes(16)), (2, bytes(64)), (3, 1), (4, 2), (5, 3))))))),
            frame(2, message((1, b"crt"), (2, b"ca"), (3, "id"))), frame(5, message((1, b"crt"), (2, b"ca"))), frame(21, message((1, 3))),
            frame(22, message((1, 3), (2, message((1, "l"), (2, "a.test"), (3, bytes(32)))))), frame(23, message((1, 3), (2, message((1, 0), (2, "x"))))),
            frame(19, message((1, message((1, 3), (2, "l"), (4, "in use"), (5, 1))), (2, 3)))]


def snapshots():
    """Whole updates: every kind of object, in one and in two."""
    leaf = Ca("Seed").issue("seed.test")
    key = leaf.key.private_numbers().private_value.to_bytes(32, "big")
    secret = message((1, message((1, 2), (2, key))))

    def begin(revision, *more):
        return frame(12, message((1, 1), (2, revision), (3, bytes(32)), *more, (6, 9)))

    def put(kind, name, body, *more):
        return (2, message((1, kind), (2, name), (3, bytes(16) + name.encode()[:4].rjust(4)), (4, 1), (5, ""), (6, body[1:]), *more))

    end = frame(14, message((1, message((1, ""), (2, bytes(32))))))
    shapes = bodies()
    objects = [put(1, "a", shapes[0], (7, secret)), put(2, "modern", shapes[1]), put(3, "l", shapes[2]), put(4, "web", shapes[3]), put(5, "ca", shapes[4]),
               put(6, "r", b"\x05" + message((1, "a.test"), (4, "web"))), put(7, "default", b"\x06" + message((1, "a"), (2, "ca")))]
    whole = begin(2) + frame(13, message(*objects)) + end
    least = begin(2) + frame(13, message(objects[3])) + end
    yield whole
    yield least + begin(3) + frame(13, message((1, message((1, 4), (2, "web"), (3, ""))))) + end
    yield least + begin(3, (4, "")) + end
    yield from (begin(2) + frame(13, message(*row)) + end for row in ([objects[0]], [objects[1]], [objects[2], objects[3]], [objects[4]], [objects[5], objects[3]],
                                                                     [objects[6]]))


def hellos():
    """The first byte: how long the pieces are."""
    for name in ("a.test", "x.wild.test", "raw.test", "x.no.test", None):
        for least, most in ((ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2), (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3),
                            (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.minimum_version, context.maximum_version = least, most
            context.set_alpn_protocols(["h2", "http/1.1"])
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            try:
                context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
            except ssl.SSLWantReadError:
                pass
            hello = outgoing.read()
            yield b"\x04" + hello
            yield b"\0" + hello[:3] + b"\0\x10" + hello[5:21] + hello[:3] + (len(hello) - 21).to_bytes(2, "big") + hello[21:]  # two records
    yield b"\xff\x16\x03\1\0\4\1\xff\xff\xff"


def queries():
    rows = [(0, ""), (1, "strict=true&dry_run=true&wait=served&timeout=5s"), (2, "purge=keys"), (3, "limit=5&cursor=1-2-a"), (4, "label=team%3Da&status=1&limit=500"),
            (5, "sni=%2A.a.test&type=server&expires_before=30d&issuer=x&fingerprint=" + "ab" * 32 + "&key_type=rsa-2048&sort=expiry&cursor=1-2-1700000000.a"),
            (6, "actor=a&kind=ssls&id=b&after=1-57&wait=30s"), (7, "against=1-42"), (8, "after=7&outcome=denied&since=2026-11-21T00:00:00Z&until=2027-01-01T00:00:00Z"),
            (9, "agent=a&listener=https&sni=shop.example&alpn=h2,http/1.1&client_ip=10.0.0.1")]
    return [bytes([kind]) + text.encode() for kind, text in rows] + [b"\x021-57", b'\1W/"1-2", "1-3"']


def feeds():
    put = {"kind": "upstreams", "id": "web", "value": {"nodes": {"127.0.0.1:80": 1}}}
    lines = [{"op": "put", **put}, {"op": "delete", "kind": "ssls", "id": "a", "if_match": '"1-2"'}, {"op": "put", **put, "if_none_match": "*"}]
    whole = {"put": [put, {**put, "id": "b", "if_match": "*"}], "delete": [{"kind": "routes", "id": "r"}]}
    text = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    return [b"\0" + text, b"\0\r\n \n" + text + b"{", b"\1" + json.dumps(whole).encode(), b"\1{}", b"\1[]", b"\0{\"op\": 1}\n7\n"]


def apisix():
    pair = Ca("Seed").issue("seed.test")
    one = {"id": 7, "snis": ["A.test"], "cert": pair.cert_pem, "key": pair.key_pem}
    return [json.dumps(value).encode() for value in (
        one, {**one, "id": "b", "certs": [pair.cert_pem], "keys": [pair.key_pem], "client": {"ca": pair.cert_pem, "depth": 2, "skip_mtls_uri_regex": ["x"]}},
        {"sni": "a.test", "cert": pair.cert_pem, "ssl_protocols": ["TLSv1.3", "TLSv1.2"], "status": 0, "type": "server", "labels": {"a": "b"}},
        {**one, "ttl": 5}, {**one, "create_time": 1}, {**one, "cert": "$secret://x"}, [1], None, pair.cert_pem)]


def answers():
    problem = {"errors": [{"code": "key-mismatch", "pointer": "/1/value/key", "detail": "wrong \x1b\u202e", "index": 1}], "omitted": 7, "time": 1700000000,
               "warnings": [{"code": "expired", "pointer": "", "detail": "d"}], "names": {"changed": 2, "shadowed": ["a.test\x9b"], "superseded": [
                   {"listener": "l", "sni": "", "key_type": "rsa", "revision": "1-9"}]},
               "agents": [{"id": "a", "state": "degraded", "objects": [{"kind": "listeners", "id": "l", "reason": "\x07"}]},
                          {"id": "b", "state": "not-served", "names": [{"listener": "l", "sni": "x", "expected": "01", "seen": None, "reason": "r"}]}]}
    token = {"id": "t", "role": "editor", "expires_in": "90d", "desc": "x", "scope": {"sni_suffixes": ["*.a.test"], "labels": {"a": "b"}}}
    return [json.dumps(value).encode() for value in (problem, token, {"role": "viewer", "expires_in": 60}, {"time": "2026-11-21T08:24:50Z"})]


def keys():
    ca = Ca("Seed CA")
    for kind in ("p256", "p384", "p521", "ed25519", "rsa2048"):
        pair = ca.issue("seed.test", "*.seed.test", "10.0.0.1", key=kind, uris=["spiffe://x/agent/y"])
        yield pair.cert_pem.encode()
        yield pair.key_pem.encode()
        if kind != "ed25519":
            yield pair.traditional_key_pem.encode()
        yield pair.cert.public_bytes(Encoding.DER)
    yield (ca.issue("x.test").cert_pem + ca.cert_pem).encode()
    yield ca.issue("x.test").encrypted_key_pem.encode()
    yield crl(ca).public_bytes(Encoding.DER)
    yield crl(ca).public_bytes(Encoding.PEM)


def crl(ca):
    now = datetime.datetime.now(datetime.timezone.utc)
    entry = x509.RevokedCertificateBuilder().serial_number(7).revocation_date(now).build()
    made = x509.CertificateRevocationListBuilder().issuer_name(ca.cert.subject).last_update(now).next_update(now + datetime.timedelta(days=1))
    return made.add_revoked_certificate(entry).add_extension(x509.CRLNumber(1), False).sign(ca.key, hashes.SHA256())


def peers():
    leaf = Ca("Seed CA").issue("seed.test", "*.seed.test", "10.0.0.1", uris=["spiffe://x/agent/y"])
    return [leaf.der, leaf.cert.subject.public_bytes(), b"a.test", b"*.a.test", b"spiffe://x/*", b"urn:x", b"Ann@A.test", b"*@a.test", b"CN=a,O=b",
            b"/C=c/O=o\\/p/CN=n", b"CN=\"a, b\" + UID=#0c0161; OID.2.5.4.10=\\c3\\bc\\ ", b"2.5.4.45=#030201fe"]


def proxy_headers():
    start = b"\r\n\r\n\0\r\nQUIT\n"
    return [b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n", b"PROXY UNKNOWN x\r\n",
            start + b"\x21\x11\0\x0c" + bytes(12), start + b"\x21\x21\0\x28" + bytes(40), start + b"\x20\0\0\0"]


def facts():
    start = b"\1" + (1 << 30).to_bytes(8, "big") + (1 << 31).to_bytes(8, "big")
    cert = bytes(32) + b"x" * 32
    return [start + b"\0\0", start + b"\1\1" + cert + b"\0", start + b"\0\2" + cert + b"\1\x7f" + cert + b"\x14" + b"\1" * 20]


def main():
    out = pathlib.Path(sys.argv[1])
    stream = messages()
    seeds = {"names": names(), "target": target(), "gate": gate(), "bodies": bodies(), "messages": stream, "keys": list(keys()), "facts": facts(), "peer": peers(),
             "proxy_header": proxy_headers(), "json": [bytes([kind]) + json.dumps(value).encode() for kind, value in documents()] + list(patches()),
             "frame": [b"\x02" + b"".join(stream), *(b"\x10" + one for one in stream)], "snapshot": list(snapshots()), "hello": list(hellos()),
             "query": queries(), "feed": feeds(), "apisix": apisix(), "answers": answers()}
    for name, values in seeds.items():
        (out / name).mkdir(parents=True, exist_ok=True)
        for number, value in enumerate(values):
            (out / name / f"seed{number:02}").write_bytes(value)


if __name__ == "__main__":
    main()
