# SPDX-License-Identifier: Apache-2.0
"""Bodies that say everything there is to say: each member that openapi.yaml gives to a request, in one body or, where two exclude each
other, in several."""
import time

PIN = "00112233445566778899aabbccddeeff" * 2
COMMON = {"labels": {"team": "web"}, "desc": "whole", "status": 1}
RULES = [{"dns": ["*.whole.test", "whole.test"], "uri": "spiffe://whole/*", "email": "*@whole.test", "ip": "10.0.0.0/8", "cn": "whole",
          "dn": "CN=whole"}]


def client(**more):
    return {"verify": "require", "depth": 2, "allow": RULES, "pins": [PIN], "deny_serials": ["0a:0b"], "deny_spki": [PIN], "stale_crls": "accept",
            "send_ca_names": False, "map_identity": True, "on_tighten": "keep", **more}


def bodies(ca):
    """{kind: [body]}; they refer to each other as "whole" and "whole-client", and stand in the order in which they can be put."""
    pair, more = ca.issue("whole.test", "*.whole.test"), ca.issue("whole.test", "*.whole.test", key="rsa2048")
    certificate = {"cert": pair.cert_pem, "key": pair.key_pem}
    many = {"min_version": "TLSv1.2", "max_version": "TLSv1.3", "cipher_suites": ["TLS_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"],
            "curve_preferences": ["x25519", "secp256r1"], "alpn_protocols": ["h2", "http/1.1"], "handshake_timeout": 2.5}
    return {
        "ca_bundles": [{"certs": ca.cert_pem, "crls": ca.crl(), "selector": {"site": "whole"}, **COMMON}, {"certs": ca.cert_pem}],
        "upstream_tls": [
            {"ca": ca.cert_pem, "system_ca": True, "depth": 3, "verify": "ENFORCED", "properties": "ALL", "server_name": "api.whole.test", "allow": RULES,
             "pins": [PIN], "session_reuse": False, "stale_crls": "accept", "selector": {"site": "whole"}, **many, **COMMON},
            {"ca_bundle": "whole", "sni_policy": "inbound", "verify_name_policy": "host"},
            {"server_name": "a.test", "verify_name": "b.test"}, {"insecure": True}, {"insecureSkipVerify": True}, {"allow_insecure_connections": True}],
        "upstreams": [
            {"nodes": [{"host": "127.0.0.1", "port": 9, "weight": 1}], "connect_timeout": 2.5, "scheme": "tls", "upstream_tls": "whole",
             "send_proxy_protocol": "v2", "max_fails": 2, "fail_timeout": 1.5, "selector": {"site": "whole"}, **COMMON},
            {"nodes": {"127.0.0.1:9": 1}}],
        "tls_options": [
            {"prefer_server_ciphers": True, "sni_strict": False, "client_auth": client(ca_bundle="whole"), "max_handshakes": 100,
             "session_tickets": {"enabled": True, "count": 1, "lifetime": 600}, "handshakes_per_second": 100, "selector": {"site": "whole"}, **many, **COMMON},
            {"client_auth": client(ca=ca.cert_pem), "session_tickets": False}],
        "ssls": [
            {"type": "server", "snis": ["whole.test", "*.whole.test"], **certificate, "certs": [more.cert_pem], "keys": [more.key_pem],
             "client": client(ca=ca.cert_pem), "ssl_protocols": ["TLSv1.3"], "tls_options": "whole", "priority": 3, "spelled": ["status", "type"],
             "selector": {"site": "whole"}, **COMMON},
            {"sni": "whole.test", **certificate, "client": client(ca_bundle="whole")}],
        "listeners": [
            {"bind": "127.0.0.1:1", "protocol": "tcp", "upstream": "whole", "tls_options": "whole", "max_connections": 100,
             "accept_proxy_protocol": ["10.0.0.0/8"], "max_handshakes": 10, "handshakes_per_second": 10, "selector": {"site": "whole"}, **COMMON}],
        "routes": [
            {"snis": ["whole.test"], "listeners": ["whole"], "mode": "terminate", "tls_options": "whole", "upstream": "whole", "upstream_tls": "whole",
             "allow_clients": ["10.0.0.0/8"], "priority": 3, "selector": {"site": "whole"}, **COMMON}],
        "join_tokens": [{"ttl": 60, "agent_id": "whole-agent", "labels": {"site": "whole"}, "desc": "whole"}],
        "tokens": [{"id": "whole", "role": "editor", "scope": {"sni_suffixes": ["*.whole.test"], "labels": {"team": "web"}}, "desc": "whole", "expires_in": "90d"},
                   {"role": "viewer", "expires_at": int(time.time()) + 86400}, {"role": "viewer", "expires_in": 60}],
    }


def apisix(ca):
    pair = ca.issue("whole.test")
    return {"snis": ["whole.test"], "cert": pair.cert_pem, "key": pair.key_pem, "priority": 2, "tls_options": "modern", "selector": {"site": "whole"},
            "type": "server", "status": 1, "ssl_protocols": ["TLSv1.3"], "client": client(ca=ca.cert_pem), "labels": {"team": "web"}, "desc": "whole"}
