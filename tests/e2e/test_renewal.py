# SPDX-License-Identifier: Apache-2.0
"""Agent certificates grow old: renewed at half of their life, and after it by whoever was away too long. Both daemons live in the future
(tests/lib/future.c), for the price of a restart."""
import datetime
import shutil

import pytest

from harness import tls
from harness.net import eventually
from harness.pki import Ca
from harness.world import future, serve


@pytest.fixture
def site(world, controlplane, agent, ca):
    """(port, pair): something to serve meanwhile."""
    port = serve(controlplane, world.backend())
    pair = ca.issue("stay.test")
    controlplane.api.put_acked("/v1/ssls/stay", pair.ssl("stay.test"))
    return port, pair


def travel(controlplane, agent, days, meanwhile=lambda: None):
    agent.daemon.terminate()
    meanwhile()
    controlplane.daemon.terminate()
    controlplane.start(env=future(days))
    agent.start(env=future(days))


def days_left(agent):
    """Of the certificate that the agent is known by, from now."""
    expires = datetime.datetime.fromisoformat(agent.state()["certificate_expires"].replace("Z", "+00:00"))
    return round((expires - datetime.datetime.now(datetime.timezone.utc)) / datetime.timedelta(days=1))


def works(controlplane, agent, port, ca):
    """A change reaches it."""
    pair = ca.issue("stay.test")
    controlplane.api.put_acked("/v1/ssls/stay", pair.ssl("stay.test"))
    assert tls.fetch(port, "stay.test") == ("backend", pair.sha256)
    agent.wait_applied()


def test_half_of_its_life(world, controlplane, agent, site, ca):
    port, pair = site
    certificate = (agent.dir / "agent.crt").read_bytes()
    assert days_left(agent) == 90
    travel(controlplane, agent, 44)
    agent.wait_connected()
    assert days_left(agent) == 90 and (agent.dir / "agent.crt").read_bytes() == certificate
    shutil.copytree(agent.dir, world.tmp / "old")
    travel(controlplane, agent, 46)
    eventually(lambda: agent.state()["connected"] and days_left(agent) == 46 + 90, "renewed")
    assert tls.fetch(port, "stay.test") == ("backend", pair.sha256)
    assert (agent.dir / "agent.crt").read_bytes() != certificate
    assert not [path.name for path in agent.dir.glob("next.*")]
    works(controlplane, agent, port, ca)
    # The new one has connected: the old key counts no more, wherever a copy of it lies.
    agent.daemon.terminate()
    current, agent.dir = agent.dir, world.tmp / "old"
    agent.start(env=future(46))
    agent.daemon.wait_log("has another key by now")
    agent.daemon.terminate()
    agent.dir = current
    agent.start(env=future(47)).wait_connected()
    works(controlplane, agent, port, ca)


def test_renewed_after_the_backup(world, controlplane, agent, site, ca):
    """A restored store has forgotten the renewal; the agent has only the new key, and must not be locked out."""
    port, _ = site
    controlplane.daemon.terminate()
    shutil.copytree(controlplane.dir, world.tmp / "backup")
    controlplane.start()
    agent.wait_connected()
    travel(controlplane, agent, 46)
    eventually(lambda: agent.state()["connected"] and days_left(agent) == 46 + 90, "renewed")
    controlplane.daemon.terminate()
    shutil.rmtree(controlplane.dir)
    shutil.copytree(world.tmp / "backup", controlplane.dir)
    controlplane.start("--new-epoch", env=future(46))
    agent.wait_connected(60)
    assert controlplane.daemon.lines("newer than its record")
    works(controlplane, agent, port, ca)


def test_killed_before_the_new_one_has_connected(controlplane, agent, site, ca):
    """The reply is stored, nobody has connected with it: both keys count, and the restart goes on from there."""
    travel(controlplane, agent, 46)
    agent.daemon.wait_log("agent certificate renewed")
    agent.kill()
    agent.start(env=future(46)).wait_connected()
    assert days_left(agent) == 46 + 90
    works(controlplane, agent, site[0], ca)


def test_expired(controlplane, agent, site, ca):
    """An outage longer than the certificate's life strands nobody: it serves, renews, and is back without a person."""
    port, pair = site
    travel(controlplane, agent, 100)
    assert tls.fetch(port, "stay.test") == ("backend", pair.sha256)
    agent.wait_connected()
    assert [line for line in controlplane.daemon.lines() if "certificate has expired" in line]
    assert days_left(agent) == 100 + 90
    works(controlplane, agent, port, ca)


def test_expired_and_deleted(controlplane, agent, site):
    """Expired is let through for renewal, revoked is not."""
    port, pair = site
    travel(controlplane, agent, 100, lambda: controlplane.api.delete(f"/v1/agents/{agent.id}").expect(200, 204))
    agent.daemon.wait_log("was deleted")
    assert tls.fetch(port, "stay.test") == ("backend", pair.sha256)
    assert not controlplane.api.agents()


def test_expired_certificate_of_another_ca(world, controlplane):
    """That the leaf has expired is all that is overlooked."""
    stranger = Ca("Stranger").issue(usage="client", common_name="agent", uris=["spiffe://tlsplane/agent/x"], starts=-60, days=-1)
    made = tls.context(client=stranger.write(world.tmp, "stranger"), alpn=["tlsplane/1"])
    with pytest.raises(OSError):
        with tls.connect(controlplane.channel_port, made=made) as connection:
            if connection.recv(1) == b"":
                raise ConnectionError("closed without a word")
    eventually(lambda: [line for line in controlplane.daemon.lines() if "peer refused" in line and "certificate" in line], "a reason in the log")
