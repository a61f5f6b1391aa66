# SPDX-License-Identifier: Apache-2.0
"""Handshakes without end while several objects change at once: each is given one revision, whole, and none an older one than somebody before it."""
import json
import subprocess
import threading

import pytest

from harness.net import free_port
from harness.soak import figure, scaled
from harness.world import BUILD

HAMMER = BUILD / "tests" / "lib" / "hammer"
SITES = ("one.test", "two.test", "three.test")


class Target:
    """Five objects that make a generation: three certificates, the options' only protocol, the upstream (see tests/lib/hammer.c)."""

    def __init__(self, controlplane, ca):
        self.api, self.ca, self.number = controlplane.api, ca, 0
        self.port, self.backends = free_port(), (free_port(), free_port())
        self.keys = {site: ca.issue(site).key for site in SITES}
        self.change([self.generation(0) + [("listeners", "main", {"bind": f"127.0.0.1:{self.port}", "upstream": "web", "tls_options": "own"})]])

    def generation(self, number):
        pairs = {site: self.ca.issue(site, common_name=f"generation-{number}", private=self.keys[site]) for site in SITES}
        return [*(("ssls", site.split(".")[0], pair.ssl(site)) for site, pair in pairs.items()),
                ("tls_options", "own", {"min_version": "TLSv1.3", "alpn_protocols": [f"g{number % 2}"]}),
                ("upstreams", "web", {"nodes": {f"127.0.0.1:{self.backends[number % 2]}": 1}})]

    def change(self, parts):
        for part in parts:
            self.api.apply(put=part, wait="acked", timeout=30).expect(200, 201)

    def advance(self, split=lambda objects: [objects]):
        self.number += 1
        self.change(split(self.generation(self.number)))

    def hammer(self, count, split=lambda objects: [objects]):
        """What the clients have seen, the generations that they were given meanwhile, one as soon as all agents have the one before."""
        argv = [HAMMER, "--port", self.port, "--backends", ",".join(map(str, self.backends)), "--count", count, "--threads", 6, *SITES]
        with subprocess.Popen([str(word) for word in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as clients:
            told = []
            reader = threading.Thread(target=lambda: told.extend(clients.communicate()))
            reader.start()
            try:
                while clients.poll() is None:
                    self.advance(split)
            finally:
                clients.kill()
                reader.join()
        return json.loads(told[0]), told[1]


@pytest.fixture
def target(controlplane, agent, ca):
    return Target(controlplane, ca)


def test_every_handshake_sees_one_revision(target, agent):
    count = scaled(50_000, 1_000_000)
    before = agent.daemon.rss_kib()
    seen, told = target.hammer(count)
    assert (seen["handshakes"], seen["failed"], seen["mixed"], seen["backwards"]) == (count, 0, 0, 0), told
    assert target.number - 1 <= seen["newest"] <= target.number and target.number > 100
    agent.wait_applied()
    figure("handshakes during changes of five objects", **seen, revisions=target.number, rss_grown_kib=agent.daemon.rss_kib() - before)


@pytest.mark.parametrize("wrong,split", [
    ("mixed", lambda objects: [objects[:3], objects[3:]]),
    ("backwards", lambda objects: [[*objects[:1], *objects[3:]], objects[1:3]]),
])
def test_half_a_change_would_be_seen(target, wrong, split):
    """The control: the same objects in two revisions."""
    seen, told = target.hammer(2000, split)
    assert seen["failed"] == 0 and seen[wrong] > 0, told
