# SPDX-License-Identifier: Apache-2.0
"""One test's world: a control plane, agents, backends, all below one directory, all ended and judged at the end."""
import os
import pathlib
import re
import threading

from harness.api import Api, parse_revision
from harness.backend import HttpBackend
from harness.daemon import SANITIZER_ENV, Daemon, fields, run_to_exit
from harness.net import eventually, free_port

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("TLSPLANE_BUILD", ROOT / "build-asan")).resolve()
CONTROLPLANE = BUILD / "controlplane" / "tlsplane-controlplane"
AGENT = BUILD / "agent" / "tlsplane-agent"


def future(days):
    """The environment of a process to which it is `days` later. ASan wants to be the first library; it need not be."""
    return {"LD_PRELOAD": str(BUILD / "tests" / "lib" / "libfuture.so"), "FUTURE_SECONDS": str(int(days * 86400)),
            "ASAN_OPTIONS": SANITIZER_ENV["ASAN_OPTIONS"] + ":verify_asan_link_order=0"}


def is_sanitized():
    """Then its memory says nothing, and it is several times slower."""
    return any(name in AGENT.read_bytes() for name in (b"__asan_init", b"__tsan_init"))


def port_of(address):
    return int(address.rsplit(":", 1)[1])


class ControlPlane:
    """Survives restarts: same directory, same ports. `daemon` is the process that runs now."""

    def __init__(self, world, name="controlplane"):
        self.world, self.name = world, name
        self.dir = world.tmp / name
        self.log = world.tmp / f"{name}.log"
        # Its own for good: a port that the kernel chooses may be an outgoing connection's while this restarts.
        self.admin_port, self.channel_port = free_port(), free_port()
        self.daemon = self.api = None

    def argv(self, *more):
        return [CONTROLPLANE, "--data-dir", self.dir, "--admin-listen", f"127.0.0.1:{self.admin_port}",
                "--channel-listen", f"127.0.0.1:{self.channel_port}", *more]

    def start(self, *more, env=None, wait=True):
        self.daemon = Daemon(self.world, self.name, self.argv(*more), self.log, env)
        if not wait:
            return self
        ready = fields(self.daemon.wait_log('msg="control plane ready"', 40))
        self.admin_port, self.channel_port = port_of(ready["admin"]), port_of(ready["channel"])
        self.api = Api(self.admin_port, (self.dir / "admin.token").read_text().strip(), self.world.transcript)
        self.world.closers.append(self.api.close_all)
        return self

    def run_to_exit(self, *more, env=None):
        return run_to_exit(self.world, self.argv(*more), env)

    def kill(self):
        self.daemon.kill()

    def restart(self, *more):
        """After an orderly end."""
        if self.daemon.is_running:
            self.api.close()  # it lingers for who has not closed
            assert self.daemon.terminate() == 0
        return self.start(*more)

    def join_token(self, labels=None, ttl=600, **more):
        document = {"ttl": ttl, **more}
        if labels is not None:
            document["labels"] = labels
        return self.api.post("/v1/join_tokens", document).expect(200, 201).json["token"]

    @property
    def database(self):
        """The store's database file."""
        return next(path for path in sorted(self.dir.iterdir()) if path.read_bytes()[:15] == b"SQLite format 3")


class Agent:
    def __init__(self, world, controlplane, name):
        self.world, self.controlplane, self.name = world, controlplane, name
        self.dir = world.tmp / name
        self.log = world.tmp / f"{name}.log"
        self.token_file = world.tmp / f"{name}.token"
        self.status_port = free_port()
        self.daemon = None
        self._id = None

    def argv(self, *more):
        return [AGENT, "--controlplane", f"127.0.0.1:{self.controlplane.channel_port}", "--data-dir", self.dir, "--status-listen",
                f"127.0.0.1:{self.status_port}", "--workers", "2", "--join-token-file", self.token_file, *more]

    def give_token(self, token):
        self.token_file.write_text(token + "\n")
        self.token_file.chmod(0o600)

    def start(self, *more, env=None, wait=True):
        """wait: until it says that it is ready (the control plane need not answer for that once it is enrolled)."""
        self.daemon = Daemon(self.world, self.name, self.argv(*more), self.log, env)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        self.status_port = port_of(fields(self.daemon.wait_log('msg="agent ready"', 40))["status"])

    def run_to_exit(self, *more, env=None):
        return run_to_exit(self.world, self.argv(*more), env)

    def kill(self):
        self.daemon.kill()

    def restart(self, *more, env=None):
        if self.daemon.is_running:
            assert self.daemon.terminate() == 0
        return self.start(*more, env=env)

    @property
    def id(self):
        """From its own certificate: the SPIFFE name that the control plane gave."""
        if self._id is None:
            pattern = re.compile(rb"spiffe://[^/]+/agent/([A-Za-z0-9._-]+)")
            def look():
                from cryptography import x509
                raw = (self.dir / "agent.crt").read_bytes()
                cert = x509.load_pem_x509_certificate(raw) if raw.startswith(b"-----") else x509.load_der_x509_certificate(raw)
                names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
                return pattern.match(names.get_values_for_type(x509.UniformResourceIdentifier)[0].encode()).group(1).decode()
            self._id = eventually(look, f"{self.name} has a certificate")
        return self._id

    def forget(self):
        """The next look at `id` asks its certificate anew: its folder has become another agent's."""
        self._id = None

    def state(self):
        """As the control plane tells it."""
        return self.controlplane.api.agent(self.id)

    def wait_connected(self, timeout=20):
        eventually(lambda: self.state()["connected"], f"{self.name} is connected", timeout)
        return self

    def applied(self):
        return parse_revision(self.state().get("applied"))

    def wait_applied(self, revision=None, timeout=20):
        """Until it has applied `revision` (None: the head)."""
        wanted = revision or self.controlplane.api.head()
        eventually(lambda: self.applied() >= wanted, f"{self.name} applied {wanted}", timeout)
        return self

    def degraded(self):
        return self.state().get("degraded", [])

    def metrics(self):
        return Api(self.status_port, "", self.world.transcript).get("/metrics", auth=False).expect(200).body.decode()

    @property
    def cache_files(self):
        return [path for path in sorted(self.dir.rglob("*")) if path.is_file()]


class World:
    def __init__(self, tmp):
        self.tmp = tmp
        self.daemons, self.backends, self.transcript = [], [], []
        self.closers = []

    def controlplane(self, *more, name="controlplane", env=None):
        return ControlPlane(self, name).start(*more, env=env)

    def agent(self, controlplane, *more, name="agent", labels=None, env=None, connected=True):
        """Enrolled and connected, with a fresh join token."""
        agent = Agent(self, controlplane, name)
        agent.give_token(controlplane.join_token(labels))
        agent.start(*more, env=env)
        return agent.wait_connected() if connected else agent

    def backend(self, name="backend", port=None):
        return self.add_backend(HttpBackend(name, port))

    def add_backend(self, backend):
        self.backends.append(backend)
        return backend

    def close(self):
        """Ends everything; the texts of what went wrong."""
        problems = []
        for closer in reversed(self.closers):
            closer()
        for daemon in reversed(self.daemons):
            problems.extend(daemon.verdict())
        for backend in self.backends:
            backend.close()
        return problems


def serve(controlplane, backend, *, bind=None, listener="main", upstream="web", listener_extra=None, **apply_more):
    """An upstream and a listener in one revision; the listener's port."""
    port = bind or free_port()
    controlplane.api.apply(put=[
        ("upstreams", upstream, {"nodes": {f"127.0.0.1:{backend.port}": 1}}),
        ("listeners", listener, {"bind": f"127.0.0.1:{port}", "upstream": upstream, **(listener_extra or {})}),
    ], wait="acked", timeout=30, **apply_more).expect(200, 201)
    return port


class Hammer:
    """Threads that call work(index) until stopped; every exception is kept."""

    def __init__(self, work, threads=4):
        self.stopping = threading.Event()
        self.failures, self.rounds = [], [0] * threads
        self.threads = [threading.Thread(target=self._run, args=(work, i), daemon=True) for i in range(threads)]

    def _run(self, work, index):
        while not self.stopping.is_set():
            try:
                work(index)
                self.rounds[index] += 1
            except Exception as error:  # pylint: disable=broad-except
                self.failures.append(error)
                if len(self.failures) > 20:
                    return

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(30)
