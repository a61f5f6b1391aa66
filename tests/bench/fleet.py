# SPDX-License-Identifier: Apache-2.0
"""Very many agents on one control plane, all on this machine's cores: what each costs in memory, how soon all are back after a restart while
the API answers, and from one change written to the last acknowledgement. The agents are bench_fleet's: real TLS and protocol, one process."""
import json
import pathlib
import re
import shutil
import statistics
import subprocess
import threading
import time

from api import cpu_seconds, longest_ms, sample
from lib import openssl_cert, spread, ssl_object, table, tool
from lists import Client
from harness.world import World


class Fleet:
    """bench_fleet and what it says."""

    def __init__(self, port, path, log):
        self.process = subprocess.Popen([tool("fleet"), str(port), path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)

    def event(self, name, **fields):
        """The next one like this; what comes before is passed over."""
        for line in self.process.stdout:
            event = json.loads(line)
            if event["event"] == name and all(event[key] == value for key, value in fields.items()):
                return event
        raise RuntimeError(f"the fleet ended with {self.process.wait()}")

    def close(self):
        self.process.kill()
        self.process.wait()


class Asker(threading.Thread):
    """GET /v1/agents over and over, on one connection; `took` in ms."""

    def __init__(self, controlplane):
        super().__init__(daemon=True)
        self.client, self.took, self.stopping, self.trouble = Client(controlplane), [], threading.Event(), None
        self.start()

    def run(self):
        try:
            while not self.stopping.wait(0.1):
                self.took.append(self.client.get("/v1/agents?limit=100")[0] * 1e3)
        except OSError as error:
            self.trouble = error

    def quantiles(self):
        """p50, p99, max"""
        while len(self.took) < 2 and self.is_alive():
            time.sleep(0.01)
        self.stopping.set()
        self.join(60)
        if self.trouble is not None or len(self.took) < 2:
            raise RuntimeError(f"GET /v1/agents: {self.trouble}, {len(self.took)} answers")
        cuts = statistics.quantiles(self.took, n=100, method="inclusive")
        return f"{cuts[49]:.0f}", f"{cuts[98]:.0f}", f"{max(self.took):.0f}"


class Profile:
    """Where a process spends its time, by perf; "-" without it."""

    GROUPS = (("TLS", re.compile(r"libssl|libcrypto")), ("kernel", re.compile(r"\[kernel|\[unknown|\[vdso")), ("SQLite", re.compile("libsqlite")))

    def __init__(self, pid, path):
        self.path, self.process = path, None
        if shutil.which("perf"):
            self.process = subprocess.Popen(["perf", "record", "-q", "-F", "499", "-p", str(pid), "-o", path], stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.3)

    def shares(self):
        """"TLS 40 %, ..." """
        if self.process is None:
            return "-"
        self.process.send_signal(2)
        self.process.wait(60)
        told = subprocess.run(["perf", "report", "-i", self.path, "--sort", "dso", "--stdio"], capture_output=True, text=True, check=False).stdout
        sums = dict.fromkeys([name for name, _ in self.GROUPS] + ["rest"], 0.0)
        for share, dso in re.findall(r"^\s+([\d.]+)%\s+(\S+)", told, re.MULTILINE):
            sums[next((name for name, pattern in self.GROUPS if pattern.search(dso)), "rest")] += float(share)
        return ", ".join(f"{name} {value:.0f} %" for name, value in sums.items()) if any(sums.values()) else "-"


def settle(controlplane, deadline=60):
    """Until no agent is behind and the control plane rests; when that was."""
    end = time.monotonic() + deadline
    while sample(controlplane, "tlsplane_agents_behind") > 0:
        if time.monotonic() > end:
            raise RuntimeError("agents stay behind")
        time.sleep(0.05)
    return time.monotonic()


def storm(world, controlplane, fleet, away):
    """The control plane is ended, and `away` seconds later started again: from its exec until all are back."""
    assert controlplane.daemon.terminate(60) == 0
    time.sleep(away)
    begun = time.monotonic()
    controlplane.start()
    asker, profile = Asker(controlplane), Profile(controlplane.daemon.pid, world.tmp / "storm.perf")
    all_back = fleet.event("connected")
    settled = settle(controlplane)
    cpu = cpu_seconds(controlplane.daemon.pid)
    return [f"{all_back['at'] - begun:.1f}", f"{settled - begun:.1f}", all_back["failures"], f"{cpu:.1f}", *asker.quantiles(), longest_ms(controlplane),
            profile.shares()]


def changes(world, controlplane, fleet, rounds):
    """Seconds from the PUT to the last acknowledgement; ms of the answer; CPU of the control plane per change; shares of it."""
    pairs = [openssl_cert(world.tmp, f"side-{side}", "P-256", "fleet.example") for side in "ab"]
    last, answered, profile = [], [], None
    for i in range(rounds + 1):
        if i == 1: # the first warms up
            last, answered, profile = [], [], Profile(controlplane.daemon.pid, world.tmp / "change.perf")
            cpu = cpu_seconds(controlplane.daemon.pid)
        begun = time.monotonic()
        revision = controlplane.api.put("/v1/ssls/fleet", ssl_object(*pairs[i % 2], "fleet.example")).expect(200, 201).etag
        answered.append((time.monotonic() - begun) * 1e3)
        last.append((fleet.event("acked", revision=int(re.search(r"-(\d+)", revision)[1]))["at"] - begun) * 1e3)
        settle(controlplane)
    return last, answered, (cpu_seconds(controlplane.daemon.pid) - cpu) / rounds, profile.shares()


def waited(world, controlplane):
    """ms of a PUT that waits for all acknowledgements."""
    pair = openssl_cert(world.tmp, "side-w", "P-256", "fleet.example")
    begun = time.monotonic()
    controlplane.api.put("/v1/ssls/fleet", ssl_object(*pair, "fleet.example"), wait="acked", timeout=60).expect(200)
    return (time.monotonic() - begun) * 1e3


def bench_one(work, count, rounds, rest):
    """rest: seconds to come to rest, to rest, to stay away."""
    world = World(work / f"world-fleet-{count}")
    world.tmp.mkdir()
    log = open(work / "fleet.log", "ab")  # noqa: SIM115
    try:
        controlplane = world.controlplane()
        assert controlplane.daemon.terminate() == 0
        begun = time.monotonic()
        subprocess.run([tool("fleet_enrol"), controlplane.dir, str(count), world.tmp / "agents"], check=True, timeout=600)
        enrolled = time.monotonic() - begun
        controlplane.start()
        time.sleep(rest / 4)
        empty = controlplane.daemon.rss_kib()
        fleet = Fleet(controlplane.channel_port, world.tmp / "agents", log)
        world.closers.append(fleet.close)
        fleet.event("connected")
        settle(controlplane)
        time.sleep(rest)
        full = controlplane.daemon.rss_kib()
        begun = cpu_seconds(controlplane.daemon.pid)
        time.sleep(2 * rest)
        idle = (cpu_seconds(controlplane.daemon.pid) - begun) / (2 * rest)
        last, answered, cpu, shares = changes(world, controlplane, fleet, rounds)
        wait_ms = waited(world, controlplane)
        after = controlplane.daemon.rss_kib()
        back = storm(world, controlplane, fleet, rest / 4)
    finally:
        problems = world.close()
        log.close()
    if problems:
        raise RuntimeError(problems[0])
    table(f"{count:,} agents on one control plane", ["figure", "value"], [
        ["enrolled in the store, agents/s", f"{count / enrolled:.0f}"],
        ["control plane RSS without agents, MiB", f"{empty / 1024:.0f}"],
        ["RSS per connected agent, KiB", f"{(full - empty) / count:.1f}"],
        ["the same after changes", f"{(after - empty) / count:.1f}"],
        ["CPU at rest, %", f"{idle * 100:.1f}"],
        ["PUT to last ACK, ms (min-max)", spread(last)],
        ["PUT answered, ms (min-max)", spread(answered)],
        ["PUT with wait=acked answered, ms", f"{wait_ms:.0f}"],
        ["CPU of the control plane per change, ms", f"{cpu * 1e3:.0f}"],
        ["of that", shares],
    ])
    table(f"{count:,} agents come back after a restart", ["all back, s from exec", "all up to date, s", "failed tries", "CPU of the control plane, s",
          "GET /v1/agents p50, ms", "p99", "max", "longest turn of the loop, ms (CPU)", "of the CPU"], [back])


def bench_fleet(work, quick):
    bench_one(work, *((50, 2, 0.2) if quick else (10_000, 20, 5)))
