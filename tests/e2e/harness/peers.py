# SPDX-License-Identifier: Apache-2.0
"""Other people's servers as peers of the agent: the real `openssl s_server` and HAProxy, ended with the world."""
import os
import shutil
import subprocess

from harness.net import eventually, free_port, is_listening


class Peer:
    """A server that runs in the foreground; there when each of `ports` accepts connections. Its output is in `log`."""

    def __init__(self, world, argv, ports, log):
        self.log = log
        with open(log, "wb") as sink:
            self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, cwd=world.tmp)
        world.closers.append(self.close)
        for port in ports:
            eventually(lambda p=port: self.check() and is_listening(p), f"{argv[0]} listens on {port}")

    def check(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"ended with {self.process.returncode}: {self.log.read_text(errors='replace')[-2000:]}")
        return True

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def s_server(world, folder, pair, *options, name="s_server"):
    """`openssl s_server -www`: each answer is a page that tells session and client certificate. Its port."""
    cert, key = pair.write(folder, name)
    port = free_port()
    Peer(world, ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", cert, "-cert_chain", cert, "-key", key, "-www", "-quiet", *options],
         [port], folder / f"{name}.log")
    return port


def haproxy(world, folder, ports, sections, name="haproxy"):
    """HAProxy with these sections (text of its configuration below the defaults)."""
    config = folder / f"{name}.cfg"
    config.write_text("global\n    maxconn 100\ndefaults\n    timeout connect 5s\n    timeout client 20s\n    timeout server 20s\n" + sections)
    program = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")  # not everybody's PATH has it
    return Peer(world, [program, "-db", "-q", "-f", config], ports, folder / f"{name}.log")
