# SPDX-License-Identifier: Apache-2.0
"""Clocks that are set by more than a year, to either side and back, while daemons run and before they start: nobody stops serving, nothing is taken
past its end, and when the clocks are right again everything goes on without a person."""
import datetime
import re
import time

import pytest

from harness import resume, tls
from harness.clock import DAY, Clock
from harness.net import eventually
from harness.resume import VERSIONS
from harness.world import Agent, Hammer, serve

SITE = "clock.test"


class Place:
    """A control plane and an agent with clocks of their own."""

    def __init__(self, world, ca):
        self.world, self.ca = world, ca
        self.clocks = [Clock(world.tmp / f"clock{i}") for i in range(2)]
        self.controlplane = world.controlplane("--admin-rate", "0", env=self.clocks[0].env)
        self.api = self.controlplane.api
        self.agent = world.agent(self.controlplane, env=self.clocks[1].env)
        self.port = serve(self.controlplane, world.backend())
        self.api.put_acked("/v1/tls_options/both", {"min_version": "TLSv1.2", "session_tickets": {"lifetime": 3600}})
        self.change()

    def set(self, controlplane, agent=None):
        for clock, days in zip(self.clocks, (controlplane, controlplane if agent is None else agent)):
            clock.set(days)

    def change(self):
        """Stored, applied, served."""
        pair = self.ca.issue(SITE)
        self.api.put_acked("/v1/ssls/clock", pair.ssl(SITE, tls_options="both"))
        assert tls.fetch(self.port, SITE) == ("backend", pair.sha256)

    def visit(self, _):
        assert tls.fetch(self.port, SITE)[0] == "backend"

    def sessions(self, name):
        resume.wait_for_keys(self.port, SITE, self.world.tmp / "first")
        return {version: resume.take(self.port, SITE, self.world.tmp / f"{name}{version}", version) for version in VERSIONS}

    def resumes(self, sessions):
        seen = {version: resume.offer(self.port, SITE, session, version) for version, session in sessions.items()}
        assert all(one.body == "backend" for one in seen.values()), seen
        return {one.reused for one in seen.values()}

    def restart_controlplane(self):
        """Where there is no limit of numbers: only age cuts history."""
        assert self.controlplane.daemon.terminate() == 0
        self.controlplane.start("--admin-rate", "0", "--history-revisions", "0", env=self.clocks[0].env)
        self.api = self.controlplane.api

    def restart_agent(self, connects=True):
        """It has to be let in anew, with what it has; or not, and serves."""
        self.agent.restart(env=self.clocks[1].env)
        self.visit(0)
        if connects:
            self.agent.wait_connected(60)
            self.change()

    def days_left(self):
        """Of the agent's certificate, in true days."""
        expires = datetime.datetime.fromisoformat(self.agent.state()["certificate_expires"].replace("Z", "+00:00"))
        return round((expires - datetime.datetime.now(datetime.timezone.utc)) / datetime.timedelta(days=1))

    def refused_for_time(self, words):
        line = self.agent.daemon.wait_log(words)
        assert "level=warning" in line or "level=error" in line, line
        self.visit(0)
        assert not self.agent.state()["connected"]


@pytest.fixture
def place(world, ca):
    return Place(world, ca)


@pytest.mark.parametrize("days", [400, -400])
def test_both_are_set_while_they_run(world, place, days):
    before = place.sessions("before")
    assert place.resumes(before) == {True}
    token = place.api.post("/v1/tokens", {"role": "viewer", "expires_in": "1h"}).expect(201).json["token"]
    join = place.controlplane.join_token(ttl=600)
    viewer = place.api.with_token(token)
    viewer.get("/v1/ssls").expect(200)
    # Handshakes go on all the time; what is restarted below is not this agent.
    with Hammer(place.visit, 2) as hammer:
        place.set(days)
        assert place.resumes(before) == {False}
        viewer.get("/v1/ssls").expect(401 if days > 0 else 200)
        place.change()
        after = place.sessions("after")
        assert place.resumes(after) == {True}
        if days > 0:
            newcomer = Agent(world, place.controlplane, "newcomer")
            newcomer.give_token(join)
            newcomer.start(env=place.clocks[1].env, wait=False)
            newcomer.daemon.wait_log("expired")
            newcomer.daemon.expect_exit(*range(1, 126))
            newcomer.daemon.terminate()
            assert not (newcomer.dir / "agent.crt").exists()
        place.set(0)
        place.change()
        assert place.resumes(after) == {False}
        assert place.resumes(place.sessions("again")) == {True}
        viewer.get("/v1/ssls").expect(200)
        for turn in range(30):  # so that handshakes begin on one side of it and end on the other
            place.set(days * (turn % 2))
            time.sleep(0.03)
    assert not hammer.failures, hammer.failures[:3]
    assert sum(hammer.rounds) > 10


def test_certificates_of_the_channel_follow(place):
    """A year ahead the certificates of both ends have expired; set back, those that were made meanwhile are of the future."""
    place.set(400)
    place.restart_agent()
    assert place.days_left() == 490
    place.set(0)
    place.change()
    place.restart_agent()
    assert place.days_left() == 90


def test_one_is_set(place):
    """The open channel goes on. A new one is refused, with the reason, until the clock is right; what the agent holds is served."""
    for controlplane, agent, words in ((0, 400, "certificate has expired"), (0, -400, "certificate is not yet valid"),
                                       (400, 0, "certificate is not yet valid"), (-400, 0, "certificate has expired")):
        place.set(0)
        place.restart_agent()
        place.set(controlplane, agent)
        place.change()
        place.restart_agent(connects=False)
        place.refused_for_time(words)
    place.set(0)
    place.agent.wait_connected(60)
    place.change()


def test_ca_of_the_channel_has_expired(place):
    """After eleven years, or by a clock that says so: no new channel, but what is served is served, restarts included; the open channel goes on."""
    ends = int(re.search(r"^tlsplane_channel_ca_expiry_timestamp_seconds (\d+)$", place.api.get("/metrics", auth=False).body.decode(), re.M).group(1))
    assert 3649 <= (ends - time.time()) / DAY <= 3650
    place.set(11 * 365)
    place.change()
    place.restart_agent(connects=False)
    place.refused_for_time("certificate has expired")
    # A control plane that starts has no certificate for the channel, and serves its API, by which the operator sees why.
    place.restart_controlplane()
    assert "the CA certificate has expired" in place.controlplane.daemon.wait_log("control plane certificate not renewed")
    assert place.api.get("/v1/ssls").status == 200
    place.controlplane.daemon.wait_log("there is no certificate to show")
    place.visit(0)
    place.set(0)
    place.agent.wait_connected(60)
    place.change()


def test_history_and_a_clock_ahead(place):
    """What is older than --history-days by the clock goes, also when that is ahead, and does not come back: history alone, nothing of what is
    served, and not who changed what and when."""
    def diff():
        return place.api.get(f"/v1/revisions/{head}/diff", against=first).status
    first = place.api.head()[1]
    place.change()
    head = place.api.head()[1]
    place.restart_controlplane()
    assert diff() == 200
    place.set(400)
    place.restart_controlplane()
    eventually(lambda: diff() == 410, "history is cut", 30)
    place.set(0)
    assert place.api.get(f"/v1/revisions/{first}").expect(200).json["summary"]
    assert len(place.api.get("/v1/audit", limit=1000).expect(200).json["items"]) >= head - 3
    place.restart_agent()
    assert diff() == 410


@pytest.mark.parametrize("days", [400, -400])
def test_started_with_a_wrong_clock(world, ca, days):
    """A first start in the wrong year: all works there; and when the clock is right at last, so it does without a restart of the control plane, unless
    the year was ahead: its CA is then of the future."""
    clock = Clock(world.tmp / "clock")
    clock.set(days)
    controlplane = world.controlplane(env=clock.env)
    agent = world.agent(controlplane, env=clock.env)
    port = serve(controlplane, world.backend())
    pair = ca.issue(SITE, starts=-800, days=800)
    controlplane.api.put_acked("/v1/ssls/clock", pair.ssl(SITE))
    assert tls.fetch(port, SITE) == ("backend", pair.sha256)
    clock.set(0)
    pair = ca.issue(SITE)
    controlplane.api.put_acked("/v1/ssls/clock", pair.ssl(SITE))
    agent.restart(env=clock.env)
    assert tls.fetch(port, SITE) == ("backend", pair.sha256)
    if days < 0:
        agent.wait_connected(60)
        controlplane.api.put_acked("/v1/ssls/clock", ca.issue(SITE).ssl(SITE))
    else:
        agent.daemon.wait_log("not yet valid")
