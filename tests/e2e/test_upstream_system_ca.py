# SPDX-License-Identifier: Apache-2.0
"""The machine's own CAs as trust in origins: they are what is trusted where nothing else is named, and an agent that can't read them refuses those
upstreams, serves all others, says so, and needs nobody to mend it."""
import types

from harness.daemon import fields
from harness.edge import NAME, Edge
from harness.net import eventually
from harness.origin import TlsBackend

# How the file can be unfit, and what is said of it.
UNFIT = {"missing": (None, "No such file"), "a directory": (..., ""), "empty": ("", "no certificate in"), "no PEM": ("hello\n", "no certificate in"),
         "cut": ("-----BEGIN CERTIFICATE-----\nMIIB\n", "does not parse")}


class Place:
    """An agent whose CAs of the machine are in `file`; routes to origins of two CAs, which one of them trusts."""

    def __init__(self, world, controlplane, pki, content):
        self.file, self.pki = world.tmp / "machine.pem", pki
        self.fill(content)
        self.agent = world.agent(controlplane, "--system-ca-file", str(self.file))
        self.edge = Edge(types.SimpleNamespace(world=world, api=controlplane.api, agent=self.agent))
        self.good, self.false = (world.add_backend(TlsBackend(pki.folder, pair)) for pair in (pki.good, pki.others.issue(NAME)))

    def fill(self, content):
        """None: it goes away; ...: a directory."""
        if self.file.is_dir():
            self.file.rmdir()
        self.file.unlink(missing_ok=True)
        if content is ...:
            self.file.mkdir()
        elif content is not None:
            part = self.file.with_suffix(".new")
            part.write_text(content)
            part.rename(self.file)

    def route(self, sni, backend, upstream_tls, degraded=False, **upstream):
        name = sni.removesuffix(".test")
        self.edge.apply(*self.edge.upstream_rows(name, backend, upstream_tls, **upstream),
                        ("routes", name, {"snis": [sni], "upstream": name}), degraded=degraded)

    def degraded(self):
        return {(row["kind"], row["id"]): row["reason"] for row in self.agent.degraded()}

    def is_served(self, sni):
        try:
            return self.edge.ask(sni)["name"] == "origin"
        except OSError:
            return False


def test_are_trusted(world, controlplane, pki):
    """Alone, said or not, beside others, and by what is built in; and nobody else is."""
    place = Place(world, controlplane, pki, pki.origins.cert_pem)
    for number, body in enumerate(({}, {"system_ca": True}, {"ca": pki.others.cert_pem, "system_ca": True})):
        place.route(f"good{number}.test", place.good, {**body, "server_name": NAME})
        assert place.is_served(f"good{number}.test"), body
    place.route("false.test", place.false, {"server_name": NAME})
    place.route("own.test", place.good, {"ca": pki.others.cert_pem, "server_name": NAME})
    place.route("without.test", place.good, {"ca": pki.others.cert_pem, "system_ca": False, "server_name": NAME})
    for sni in ("false.test", "own.test", "without.test"):
        place.edge.refused(sni)
    addressed = world.add_backend(TlsBackend(pki.folder, pki.origins.issue("127.0.0.1"), name="addressed"))
    place.route("built-in.test", addressed, None, scheme="tls")
    assert place.edge.ask("built-in.test")["name"] == "addressed"
    place.route("built-in-false.test", place.false, None, scheme="tls")
    place.edge.refused("built-in-false.test")
    assert place.false.seen == [] and place.agent.degraded() == []


def test_unfit(world, controlplane, pki):
    """Each way for an upstream of its own; in the end a whole file, of other CAs: no longer degraded, and as strict as ever."""
    place = Place(world, controlplane, pki, None)
    place.route("named.test", place.good, {"ca": pki.origins.cert_pem, "server_name": NAME})
    assert place.agent.degraded() == []
    snis, before = [f"machine{number}.test" for number in range(len(UNFIT))], place.good.accepted
    for sni, (content, said) in zip(snis, UNFIT.values()):
        place.fill(content)
        place.route(sni, place.good, {"server_name": NAME}, degraded=True)
        reason = place.degraded()["upstream_tls", sni.removesuffix(".test")]
        assert "system CAs" in reason and str(place.file) in reason and said in reason, reason
        place.edge.refused(sni)
    told = [fields(line) for line in place.agent.daemon.lines("msg=degraded")]
    assert [(row["level"], row["id"]) for row in told] == [("warning", sni.removesuffix(".test")) for sni in snis], told
    assert place.good.accepted == before and place.edge.failures("tls_profile") == len(snis), "no node is asked"
    assert place.is_served("named.test")
    assert set(place.degraded()) == {("upstream_tls", sni.removesuffix(".test")) for sni in snis}, "no node is to blame"
    eventually(lambda: all(said in reason for reason in place.degraded().values()), "each is told as it is now", timeout=20)
    place.fill(pki.others.cert_pem)
    eventually(lambda: not place.agent.degraded(), "it mends itself", timeout=20)
    assert len(place.agent.daemon.lines('msg="no longer degraded"')) == len(snis)
    for sni in snis:
        place.edge.refused(sni)
    assert place.edge.failures("tls_chain") == len(snis) and len(place.agent.daemon.lines('msg="agent ready"')) == 1


def test_started_without_them(world, controlplane, pki):
    """Neither the file nor a control plane: the agent serves what needs neither, and the rest from the moment that the file is there."""
    place = Place(world, controlplane, pki, pki.origins.cert_pem)
    place.route("machine.test", place.good, {"server_name": NAME})
    place.route("named.test", place.good, {"ca": pki.origins.cert_pem, "server_name": NAME})
    assert place.is_served("machine.test")
    place.fill(None)
    assert place.is_served("machine.test"), "what has been read stays"
    assert controlplane.daemon.terminate() == 0
    place.agent.restart("--system-ca-file", str(place.file))
    assert place.is_served("named.test")
    place.edge.refused("machine.test")
    place.fill(pki.origins.cert_pem)
    eventually(lambda: place.is_served("machine.test"), "it mends itself", timeout=20)
    place.agent.daemon.wait_log('msg="no longer degraded"')


def test_replaced_while_it_runs(world, controlplane, pki):
    """As an upgrade of the machine's CAs does it: the agent looks once a minute, and at each change of its configuration."""
    place = Place(world, controlplane, pki, pki.others.cert_pem)
    place.route("machine.test", place.good, {"server_name": NAME})
    place.edge.refused("machine.test")
    place.fill(pki.origins.cert_pem)
    place.route("look.test", place.good, {"ca": pki.origins.cert_pem, "server_name": NAME})
    eventually(lambda: place.is_served("machine.test"), "it is trusted now", timeout=20)
    place.fill(pki.others.cert_pem)
    place.route("again.test", place.good, {"ca": pki.origins.cert_pem, "server_name": NAME})
    eventually(lambda: not place.is_served("machine.test"), "and no longer, sessions included", timeout=20)
    assert place.agent.degraded() == []
