# SPDX-License-Identifier: Apache-2.0
"""Debian's pebble, an ACME server for tests, with its DNS server that answers 127.0.0.1 for every name; both on free ports."""
import json

from harness.net import free_port
from harness.peers import Peer
from harness.pki import Ca


class Pebble:
    def __init__(self, world, folder):
        self.port, self.http_port = free_port(), free_port()
        dns, management = free_port(), free_port()
        ca = Ca("Pebble's own CA")
        self.ca_file = folder / "pebble-ca.pem"
        self.ca_file.write_text(ca.leaf_pem)
        cert, key = ca.issue("localhost", "127.0.0.1").write(folder, "pebble")
        config = folder / "pebble.json"
        config.write_text(json.dumps({"pebble": {
            "listenAddress": f"127.0.0.1:{self.port}", "managementListenAddress": f"127.0.0.1:{management}", "certificate": str(cert),
            "privateKey": str(key), "httpPort": self.http_port, "tlsPort": free_port(), "ocspResponderURL": "",
            "externalAccountBindingRequired": False}}))
        Peer(world, ["pebble-challtestsrv", "-dns01", f"127.0.0.1:{dns}", "-management", f"127.0.0.1:{free_port()}", "-defaultIPv4", "127.0.0.1",
                     "-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", ""], [dns], folder / "challtestsrv.log")
        Peer(world, ["env", "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0", "pebble", "-strict", "-config", config,
                     "-dnsserver", f"127.0.0.1:{dns}"], [self.port, management], folder / "pebble.log")

    @property
    def directory(self):
        return f"https://localhost:{self.port}/dir"
