# SPDX-License-Identifier: Apache-2.0
import json
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import contract  # noqa: E402
from harness.edge import NAME, Edge, OriginPki  # noqa: E402
from harness.origin import TlsBackend  # noqa: E402
from harness.pki import Ca  # noqa: E402
from harness.world import AGENT, CONTROLPLANE, World  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "bounds: limits of memory or CPU that a sanitizer hides; tests/run.sh runs them with the release build, too")


def pytest_sessionstart(session):
    missing = [str(path) for path in (CONTROLPLANE, AGENT) if not path.exists()]
    if missing:
        pytest.exit(f"not built: {', '.join(missing)} (TLSPLANE_BUILD names the build directory)", returncode=2)


def pytest_sessionfinish(session):
    """tests/contract/coverage.py reads what the processes of a whole run have seen of the document."""
    folder = os.environ.get("TLSPLANE_CONTRACT_SEEN")
    if folder:
        (pathlib.Path(folder) / f"{os.getpid()}.json").write_text(json.dumps(sorted(contract.seen)))


@pytest.fixture
def world(tmp_path):
    """Fails the test at its end when a daemon died, did not end on SIGTERM with 0, or a sanitizer reported something."""
    made = World(tmp_path)
    yield made
    problems = made.close()
    assert not problems, "\n\n".join(problems)


@pytest.fixture(scope="session")
def ca():
    return Ca("Test CA")


@pytest.fixture
def controlplane(world):
    return world.controlplane()


@pytest.fixture
def api(controlplane):
    return controlplane.api


@pytest.fixture
def agent(world, controlplane):
    return world.agent(controlplane)


@pytest.fixture
def backend(world):
    return world.backend()


class Shared:
    """A control plane, an agent and a backend for a whole file of tests that don't break them. Each test uses ids and ports of its own."""

    def __init__(self, world, with_agent):
        self.world = world
        self.controlplane = world.controlplane()
        self.api = self.controlplane.api
        self.agent = world.agent(self.controlplane) if with_agent else None
        self.backend = world.backend() if with_agent else None


def _shared(tmp_path_factory, with_agent):
    world = World(tmp_path_factory.mktemp("shared"))
    try:
        yield Shared(world, with_agent)
    finally:
        problems = world.close()
    assert not problems, "\n\n".join(problems)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    yield from _shared(tmp_path_factory, True)


@pytest.fixture(scope="module")
def shared_api(tmp_path_factory):
    for made in _shared(tmp_path_factory, False):
        yield made.api


@pytest.fixture(scope="module")
def edge(shared):
    return Edge(shared)


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return OriginPki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def trusting(pki):
    """The upstream_tls that fits the good origin."""
    def make(**more):
        return {"ca": pki.origins.cert_pem, "server_name": NAME, **more}
    return make


@pytest.fixture
def origin(edge, pki):
    """Makes origins; they end with the file."""
    def make(pair=None, **more):
        return edge.world.add_backend(TlsBackend(pki.folder, pair or pki.good, **more))
    return make
