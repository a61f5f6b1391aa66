# SPDX-License-Identifier: Apache-2.0
"""What a handshake gets, beyond names (test_names.py) and parameters (test_parameters.py): every type of key, the chain, options taken whole, and
from when a change holds; with the real `openssl s_client`."""
import pytest

from harness import tls
from harness.names import Names
from harness.net import free_port

ALERT_PROTOCOL_VERSION, ALERT_UNRECOGNIZED_NAME = 70, 112


@pytest.fixture(scope="module")
def names(shared, ca):
    return Names(shared, ca)


@pytest.mark.parametrize("key", ["p256", "p384", "p521", "ed25519", "rsa2048", "rsa4096"])
def test_every_key_type(names, ca, key):
    pair = ca.issue("key.test", key=key)
    name, = names.put({"min_version": "TLSv1.2"}, pair=pair)
    for version in ("-tls1_2", "-tls1_3"):
        seen = names.ask(name, version)
        assert (seen.leaf, seen.body) == (pair.sha256, "backend"), seen


def test_chain_is_sent_whole_and_in_order(names, ca):
    middle = ca.intermediate("Middle")
    pair = middle.issue("chain.test")
    names.api.put_acked("/v1/ssls/chain", pair.ssl("chain.test"))
    assert names.ask("chain.test").certificates == [pair.cert, middle.cert]
    assert tls.fetch(names.port, "chain.test", ca=ca.cert_pem)[0] == "backend"


def test_options_of_the_object_are_taken_whole(names):
    """What the listener's say besides does not count: neither the version nor the protocols."""
    port = free_port()
    whole, = names.put({"min_version": "TLSv1.2", "max_version": "TLSv1.2"})
    names.api.apply(put=[("tls_options", "of-listener", {"min_version": "TLSv1.3", "alpn_protocols": ["h2"]}), (
        "listeners", "whole", {"bind": f"127.0.0.1:{port}", "upstream": names.listener, "tls_options": "of-listener"})], wait="acked", timeout=30).expect(200)
    seen = tls.s_client(port, "-tls1_2", "-alpn", "http/1.1", sni=whole)
    assert seen.body == "backend" and seen.alpn is None, seen
    assert tls.s_client(port, "-tls1_3", sni=whole).alert == ALERT_PROTOCOL_VERSION


def test_options_change_for_the_next_handshake(names):
    name, = names.put({"min_version": "TLSv1.2"})
    assert names.ask(name, "-tls1_2").body == "backend"
    names.api.put_acked(f"/v1/tls_options/{name.removesuffix('.test')}", {"min_version": "TLSv1.3"})
    assert names.ask(name, "-tls1_2").alert == ALERT_PROTOCOL_VERSION
    assert names.ask(name, "-tls1_3").body == "backend"


def test_default_object_decides_about_unknown_names(names):
    """sni_strict of the object named `default` holds for listeners that name no options; without it, such names get the generated certificate."""
    assert names.ask("unknown.test").body == "backend"
    try:
        names.api.put_acked("/v1/tls_options/default", {"min_version": "TLSv1.2", "sni_strict": True})
        assert names.ask("unknown.test").alert == ALERT_UNRECOGNIZED_NAME
    finally:
        names.api.delete("/v1/tls_options/default", wait="acked", timeout=30).expect(200)
    assert names.ask("unknown.test").body == "backend"
