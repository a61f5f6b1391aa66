# SPDX-License-Identifier: Apache-2.0
"""Starting and stopping: what makes a daemon refuse to start, and that it says so in one clear line."""
import os
import re
import socket
import sqlite3
import subprocess
import time

import pytest

from harness.daemon import run_to_exit
from harness.net import eventually, free_port
from harness.world import AGENT, CONTROLPLANE, Agent, ControlPlane


def refused(result, *words):
    """A non-zero exit and all of the words in what it said."""
    code, text = result
    assert code not in (0, None), text
    for word in words:
        assert re.search(word, text, re.I), (word, text)
    assert "control plane ready" not in text and "agent ready" not in text


class TestBoth:
    @pytest.mark.parametrize("binary", [CONTROLPLANE, AGENT])
    def test_help_and_version(self, world, binary):
        code, text = run_to_exit(world, [binary, "--help"])
        assert code == 0 and "--data-dir" in text and "TLSPLANE_DATA_DIR" in text and "--log-format" in text
        code, text = run_to_exit(world, [binary, "--version"])
        assert code == 0 and re.search(r"\d+\.\d+\.\d+", text)

    @pytest.mark.parametrize("binary", [CONTROLPLANE, AGENT])
    @pytest.mark.parametrize("flags", [["--colour"], ["--data-dir"], ["word"], ["--log-level", "loud"], ["--log-format", "xml"]])
    def test_bad_flag(self, world, binary, flags):
        refused(run_to_exit(world, [binary, "--data-dir", world.tmp / "d", *flags]))
        assert not (world.tmp / "d" / "cache.db").exists()


class TestControlPlane:
    @pytest.mark.parametrize("flag", ["--admin-listen", "--channel-listen"])
    def test_port_taken(self, world, flag):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            refused(ControlPlane(world).run_to_exit(flag, f"127.0.0.1:{port}"), str(port), "in use")

    def test_address_of_another_machine(self, world):
        refused(ControlPlane(world).run_to_exit("--admin-listen", "10.1.2.3:0"), "admin API", "listen on 10.1.2.3")

    @pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", ":1", "::1:80", ""])
    def test_bad_address(self, world, address):
        for flag in ("--admin-listen", "--channel-listen"):
            refused(ControlPlane(world).run_to_exit(flag, address), flag.strip("-"))

    def test_data_dir_in_use(self, world, controlplane):
        other = ControlPlane(world, "other")
        other.dir = controlplane.dir
        refused(other.run_to_exit(), "in use|another process")
        controlplane.api.get("/readyz").expect(200)

    def test_data_dir_cannot_be_made(self, world):
        (world.tmp / "file").write_text("x")
        instance = ControlPlane(world)
        instance.dir = world.tmp / "file" / "data"
        refused(instance.run_to_exit(), "file")

    def test_newer_schema(self, world, controlplane):
        controlplane.daemon.terminate()
        with sqlite3.connect(controlplane.database) as database:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            assert version > 0
            database.execute(f"PRAGMA user_version = {version + 1000}")
        database.close()
        refused(controlplane.run_to_exit(), "newer")

    def test_wrong_keyring(self, world, controlplane):
        other = world.controlplane(name="other")
        other.daemon.terminate()
        controlplane.daemon.terminate()
        keyrings = [next(path for path in (instance.dir).iterdir() if "keyring" in path.name) for instance in (controlplane, other)]
        keyrings[0].write_bytes(keyrings[1].read_bytes())
        refused(controlplane.run_to_exit(), "keyring")

    def test_missing_or_open_keyring(self, world, controlplane):
        controlplane.daemon.terminate()
        keyring = next(path for path in controlplane.dir.iterdir() if "keyring" in path.name)
        assert keyring.stat().st_mode & 0o777 == 0o600
        keyring.chmod(0o644)
        refused(controlplane.run_to_exit(), "keyring")
        keyring.unlink()
        refused(controlplane.run_to_exit(), "keyring")

    def test_damaged_database(self, world, controlplane):
        controlplane.daemon.terminate()
        for suffix in ("-wal", "-shm"):
            controlplane.database.with_name(controlplane.database.name + suffix).unlink(missing_ok=True)
        with open(controlplane.database, "r+b") as database:
            database.seek(100)
            database.write(os.urandom(8000))
        refused(controlplane.run_to_exit())

    def test_files_of_the_first_start(self, controlplane):
        assert controlplane.dir.stat().st_mode & 0o777 == 0o700
        token = controlplane.dir / "admin.token"
        assert token.stat().st_mode & 0o777 == 0o600
        for path in controlplane.dir.iterdir():
            assert path.name == "admin.token" or token.read_bytes().strip() not in path.read_bytes(), path
            assert path.name == "ca.pem" or not path.stat().st_mode & 0o077, path

    def test_environment(self, world):
        port = free_port()
        instance = ControlPlane(world)
        environment = {"TLSPLANE_ADMIN_LISTEN": f"127.0.0.1:{port}", "TLSPLANE_DATA_DIR": str(instance.dir), "TLSPLANE_LOG_FORMAT": "json"}
        from harness.daemon import Daemon
        daemon = Daemon(world, "env", [CONTROLPLANE, "--channel-listen", "127.0.0.1:0"], world.tmp / "env.log", environment)
        line = daemon.wait_log("control plane ready", 40)
        assert f'"admin":"127.0.0.1:{port}"' in line and line.startswith("{")

    def test_bad_environment(self, world):
        refused(ControlPlane(world).run_to_exit(env={"TLSPLANE_LOG_LEVEL": "loud"}), "log")

    def test_state_survives_a_restart(self, controlplane, ca):
        created = controlplane.api.put("/v1/ssls/stay", ca.issue("stay.test").ssl("stay.test")).expect(201)
        token = controlplane.api.token
        controlplane.restart()
        assert controlplane.api.token == token
        assert controlplane.api.get("/v1/ssls/stay").expect(200).etag == created.etag

    def test_sigterm_finishes_requests_under_way(self, world, controlplane):
        body = b'{"nodes": {"127.0.0.1:9": 1}}'
        with socket.create_connection(("127.0.0.1", controlplane.admin_port), timeout=10) as connection:
            connection.sendall(f"PUT /v1/upstreams/late HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {controlplane.api.token}\r\n"
                               f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[:10])
            time.sleep(0.2)  # the head must have been read before the signal; nothing tells when
            controlplane.daemon.process.terminate()
            eventually(lambda: not can_connect(controlplane.admin_port), "no longer accepts")
            connection.sendall(body[10:])
            answer = connection.recv(4096)
        assert answer.startswith(b"HTTP/1.1 201"), answer
        assert controlplane.daemon.wait_exit() == 0
        controlplane.start()
        controlplane.api.get("/v1/upstreams/late").expect(200)

    def test_sigterm_with_idle_connections_and_agents(self, controlplane, agent):
        with socket.create_connection(("127.0.0.1", controlplane.admin_port)), socket.create_connection(
                ("127.0.0.1", controlplane.channel_port)):
            started = time.monotonic()
            assert controlplane.daemon.terminate() == 0
            assert time.monotonic() - started < 12


def can_connect(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


class TestAgent:
    def test_status_off_loopback(self, world, controlplane):
        agent = Agent(world, controlplane, "agent")
        agent.give_token(controlplane.join_token())
        refused(agent.run_to_exit("--status-listen", "0.0.0.0:0"), "status|loopback")

    def test_status_port_taken(self, world, controlplane):
        agent = Agent(world, controlplane, "agent")
        agent.give_token(controlplane.join_token())
        refused(agent.run_to_exit("--status-listen", f"127.0.0.1:{controlplane.admin_port}"), "in use")

    def test_without_a_control_plane_address(self, world):
        refused(run_to_exit(world, [AGENT, "--data-dir", world.tmp / "a"]), "controlplane")

    @pytest.mark.parametrize("token", [None, "", "x", "tlsplane1.a.b", "tlsplane1.a.b.zz", "tlsplane9.a.b." + "0" * 64])
    def test_missing_or_malformed_token(self, world, token):
        """One line, exit code 1, and nobody was called."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.settimeout(0.2)
            agent = Agent(world, type("Deaf", (), {"channel_port": listening.getsockname()[1]})(), "agent")
            if token is not None:
                agent.give_token(token)
            code, text = agent.run_to_exit()
            assert code == 1 and text.count("\n") == 1 and f"join token file {agent.token_file}" in text, (code, text)
            with pytest.raises(TimeoutError):
                listening.accept()

    def test_token_that_is_a_folder(self, world, controlplane):
        agent = Agent(world, controlplane, "agent")
        agent.token_file.mkdir()
        code, text = agent.run_to_exit()
        assert code == 1 and text.count("\n") == 1 and "join token file" in text, (code, text)

    def test_neither_token_file_nor_identity(self, world, controlplane):
        code, text = run_to_exit(world, [AGENT, "--data-dir", world.tmp / "a", "--controlplane", "127.0.0.1:1", "--status-listen", "127.0.0.1:0"])
        assert code == 1 and text.count("\n") == 1 and "join-token-file" in text, (code, text)

    def test_a_refused_token_can_be_replaced(self, world, controlplane):
        """The token is read again for each attempt: nobody has to restart an agent whose token had expired."""
        agent = Agent(world, controlplane, "agent")
        made = controlplane.api.post("/v1/join_tokens", {"ttl": 60}).expect(201).json
        controlplane.api.delete(f"/v1/join_tokens/{made['id']}").expect(200, 204)
        agent.give_token(made["token"])
        agent.start()
        agent.daemon.wait_log("refused: ")
        agent.give_token(controlplane.join_token())
        agent.wait_connected(40)

    def test_cache_without_an_identity_is_served(self, world, controlplane, agent, ca):
        """The identity's files are lost and no token is left: what it has is served, and a token that comes enrols it again."""
        from harness import tls
        from harness.world import serve
        port = serve(controlplane, world.backend())
        pair = ca.issue("orphan.test")
        controlplane.api.put_acked("/v1/ssls/orphan", pair.ssl("orphan.test"))
        before = agent.id
        agent.daemon.terminate()
        for name in ("agent.crt", "agent.key", "ca.crt"):
            (agent.dir / name).unlink()
        agent.token_file.unlink()
        agent.start()
        agent.daemon.wait_log("not enrolled; serving the cache")
        assert tls.fetch(port, "orphan.test") == ("backend", pair.sha256)
        agent.give_token(controlplane.join_token())
        agent._id = None
        agent.wait_connected(40)
        assert agent.id != before

    @pytest.mark.parametrize("workers", ["0", "x", "-1", "100000"])
    def test_workers(self, world, controlplane, workers):
        agent = Agent(world, controlplane, "agent")
        agent.give_token(controlplane.join_token())
        refused(agent.run_to_exit("--workers", workers), "workers")

    def test_data_dir_in_use(self, world, controlplane, agent):
        other = Agent(world, controlplane, "other")
        other.dir = agent.dir
        other.give_token(controlplane.join_token())
        refused(other.run_to_exit(), "in use|another process")
        assert agent.state()["connected"]

    def test_sigterm_exits_0(self, agent):
        assert agent.daemon.terminate() == 0

    def test_files(self, agent):
        eventually(lambda: (agent.dir / "cache.db").exists(), "cache")
        for path in agent.cache_files:
            assert path.suffix == ".crt" or not path.stat().st_mode & 0o077, path
        assert agent.dir.stat().st_mode & 0o777 == 0o700


class TestMetrics:
    def promtool(self, text):
        run = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True, check=False)
        assert run.returncode == 0, run.stdout.decode() + run.stderr.decode() + text

    def test_control_plane(self, controlplane, agent, ca):
        controlplane.api.put_acked("/v1/ssls/m", ca.issue("m.test").ssl("m.test"))
        answer = controlplane.api.get("/metrics").expect(200)
        assert answer.headers["Content-Type"].startswith("text/plain")
        self.promtool(answer.body.decode())
        assert re.search(r"^tlsplane_\w*agents\w*connected\w* 1$|^tlsplane_\w*connected\w*agents\w* 1$", answer.body.decode(), re.M), answer

    def test_how_long_turns_take(self, controlplane):
        """Of the loop and of the writer: each is counted, in its bound; the longest is no shorter than a bound that it is above."""
        def read():
            text = controlplane.api.get("/metrics").expect(200).body.decode()
            return {name: float(value) for name, value in re.findall(r"^(tlsplane_\w+_turn\w*(?:\{[^}]*\})?) (\S+)$", text, re.M)}
        before = read()
        for i in range(20):
            controlplane.api.put(f"/v1/upstreams/turn{i}", {"nodes": {"127.0.0.1:9": 1}}).expect(201)
        after = read()
        for what in ("loop_turn", "loop_turn_cpu", "writer_turn"):
            name = f"tlsplane_{what}"
            assert after[f"{name}_seconds_count"] >= before[f"{name}_seconds_count"] + 20, what
            assert after[f"{name}_seconds_sum"] > before[f"{name}_seconds_sum"]
            bounds = {float(re.search('le="(.*)"', key)[1]): value for key, value in after.items() if key.startswith(f"{name}_seconds_bucket")}
            counts = [bounds[bound] for bound in sorted(bounds)]
            assert counts == sorted(counts) and counts[-1] == after[f"{name}_seconds_count"]
            longest = after[f"{name}_longest_seconds"]
            assert all((bounds[bound] == counts[-1]) == (longest <= bound) for bound in bounds), (longest, bounds)

    def test_agent(self, world, controlplane, agent, ca):
        from harness import tls
        from harness.world import serve
        port = serve(controlplane, world.backend())
        controlplane.api.put_acked("/v1/ssls/m", ca.issue("m.test").ssl("m.test"))
        tls.fetch(port, "m.test")
        text = agent.metrics()
        self.promtool(text)
        assert re.search(r"handshakes\w*(\{[^}]*\})? [1-9]", text), text
        from harness.api import Api
        assert Api(agent.status_port, "", world.transcript).get("/healthz", auth=False).status == 200
