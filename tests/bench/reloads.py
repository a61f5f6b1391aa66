# SPDX-License-Identifier: Apache-2.0
"""From a new certificate handed over to its leaf served, beside the ways of others: HAProxy's runtime API (in memory only, nothing durable), a
reload of nginx and of hitch. One client in Python for all makes one handshake after another; its own share is a few milliseconds. Each has
the same certificates, as many as a table row says. A peer may miss a signal that comes while it still reloads: after some seconds it is told
again, as an operator would."""
import functools
import http.client
import json
import os
import pathlib
import signal
import socket
import ssl
import statistics
import subprocess
import time

from lib import openssl_cert, ssl_object, table, tool
import peers
from harness.world import World

NAME = "n0.bench.example"
DEADLINE = 120
REPEAT = 5


def make_files(directory, count):
    """count certificates with keys as DIR/nI.pem; the first is the one that changes."""
    directory.mkdir()
    subprocess.run([tool("make_objects"), directory, str(count), str(count)], check=True)
    source = directory / "apply-0000.json"
    for item in json.loads(source.read_text())["put"]:
        (directory / f"{item['id']}.pem").write_text(item["value"]["cert"] + item["value"]["key"])
    source.unlink()
    (directory / "ca.pem").unlink()


def leaf(port):
    """DER of what is served; None when the handshake failed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without the system's CAs, which take longer to read than all else
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as raw, context.wrap_socket(raw, server_hostname=NAME) as tls:
            return tls.getpeercert(binary_form=True)
    except OSError:
        return None


def measure(port, hand_over, pairs, rounds):
    """(ms of each round, failed handshakes)"""
    took, failed = [], 0
    for i in range(rounds + 1):
        cert, key = pairs[i % 2]
        wanted = ssl.PEM_cert_to_DER_cert(cert.read_text())
        begun = told = time.monotonic()
        hand_over(cert, key)
        while (seen := leaf(port)) != wanted:
            failed += seen is None
            if time.monotonic() - begun > DEADLINE:
                raise RuntimeError("the new leaf did not appear")
            if time.monotonic() - told > REPEAT:
                told = time.monotonic()
                hand_over(cert, key)
        took.append((time.monotonic() - begun) * 1e3)
    return took[1:], failed


def text_of(cert, key):
    return cert.read_text() + key.read_text()


def haproxy(work, files):
    port, control = peers.free_port(), work / "haproxy.sock"
    (work / "live.cfg").write_text(f"""
global
  stats socket {control} level admin
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
listen l
  bind 127.0.0.1:{port} ssl crt {files}
  server s 127.0.0.1:9
""")

    def command(text):
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(str(control))
            admin.sendall(text.encode())
            return b"".join(iter(lambda: admin.recv(65536), b"")).decode()

    def hand_over(cert, key):
        command(f"set ssl cert {files}/n0.pem <<\n{text_of(cert, key)}\n")
        told = command(f"commit ssl cert {files}/n0.pem\n")
        if "Success" not in told:
            raise RuntimeError(told)

    return ["haproxy", "-db", "-f", str(work / "live.cfg")], port, lambda process: hand_over


def by_reload(files):
    """Of a server that reads the file again at SIGHUP."""
    def of(process):
        def hand_over(cert, key):
            fresh = files / "fresh"
            fresh.write_text(text_of(cert, key))
            fresh.rename(files / "n0.pem")
            os.kill(process.pid, signal.SIGHUP)
        return hand_over
    return of


def nginx(work, files):
    port = peers.free_port()
    servers = "".join(f"server {{ listen 127.0.0.1:{port} ssl; server_name {path.stem}.bench.example; ssl_certificate {path}; "
                      f"ssl_certificate_key {path}; return 204; }}\n" for path in sorted(files.glob("*.pem")))
    (work / "live.conf").write_text(f"""
daemon off; worker_processes 1; pid {work}/live.pid; error_log {work}/live.log;
events {{ worker_connections 1024; }}
http {{ access_log off; server_names_hash_max_size 65536; server_names_hash_bucket_size 128; {servers} }}
""")
    return ["nginx", "-c", str(work / "live.conf"), "-p", str(work)], port, by_reload(files)


def hitch(work, files):
    port = peers.free_port()
    (work / "live-hitch.conf").write_text(f"""
frontend = "[127.0.0.1]:{port}"
backend = "[127.0.0.1]:9"
pem-dir = "{files}"
workers = 1
daemon = off
user = "nobody"
""")
    return ["hitch", "--config", str(work / "live-hitch.conf")], port, by_reload(files)


PEERS = (("HAProxy, set and commit ssl cert", "haproxy", haproxy), ("nginx, reload", "nginx", nginx), ("hitch, reload", "hitch", hitch))


def measure_peer(work, make, size, pairs, rounds):
    files = work / "files"
    make_files(files, size)
    files.chmod(0o755)
    with open(work / "peer.log", "ab") as log:
        argv, port, hand_over_of = make(work, files)
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            peers.wait_for_port(port, process, 300)
            return measure(port, hand_over_of(process), pairs, rounds)
        finally:
            process.terminate()
            process.wait(60)


def measure_ours(world, place, load, size, pairs, rounds):
    controlplane, agent, port = place(world)
    load(world, controlplane, size)
    agent.wait_applied(timeout=300)
    connection = http.client.HTTPConnection("127.0.0.1", controlplane.admin_port) # the tests' own client looks at every answer closely

    def hand_over(cert, key):
        connection.request("PUT", "/v1/ssls/n0", json.dumps(ssl_object(cert, key, NAME)), {"Authorization": f"Bearer {controlplane.api.token}"})
        answer = connection.getresponse()
        told = answer.read()
        if answer.status != 200:
            raise RuntimeError(told)

    return measure(port, hand_over, pairs, rounds)


def in_world(work, label, run):
    world = World(pathlib.Path(work) / label)
    world.tmp.mkdir()
    try:
        done = run(world)
    finally:
        problems = world.close()
    if problems:
        raise RuntimeError(problems[0])
    return done


def bench_reloads(work, quick, place, load):
    """place, load: as in scale.py."""
    rows = []
    for size, rounds in (((10, 3),) if quick else ((10, 20), (10_000, 3))):
        home = work / f"reloads-{size}"
        home.mkdir()
        home.chmod(0o755)
        pairs = [openssl_cert(home, side, "P-256", NAME) for side in "ab"]
        ours = in_world(work, f"world-reloads-{size}", functools.partial(measure_ours, place=place, load=load, size=size, pairs=pairs, rounds=rounds))
        done = {"tlsplane, PUT (durable)": ours}
        for name, program, make in PEERS:
            if peers.installed(program):
                own = home / program
                own.mkdir()
                own.chmod(0o755)
                done[name] = measure_peer(own, make, size, pairs, rounds)
        rows += [[f"{size:,}", name, f"{statistics.median(took):.1f}", f"{min(took):.1f}", f"{max(took):.1f}", failed]
                 for name, (took, failed) in done.items()]
    table("From a new certificate handed over to its leaf served", ["certificates", "server", "median ms", "min", "max", "failed handshakes"], rows)
