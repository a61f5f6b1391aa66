# SPDX-License-Identifier: Apache-2.0
"""The peers of the benchmarks, from Debian's packages, each configured to do the same as an agent: terminate TLS 1.3 without session cache
on one worker, relay bytes to one plain backend. All on 127.0.0.1, pinned to one core, ended by pid."""
import collections
import os
import pathlib
import resource
import shutil
import socket
import subprocess
import time

Setup = collections.namedtuple("Setup", "work cert key backend_port core log tickets")
DESCRIPTORS = 60_000  # 10,000 idle and 10,000 active connections


def descriptors():
    """How many each server may open; as many as are wanted where we may raise the limit."""
    have = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if have < DESCRIPTORS:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
        except (ValueError, OSError):
            return have
    return min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], DESCRIPTORS)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, process, deadline=10.0):
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[:3]} ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"nothing listens on {port}")


def descendants(pid):
    """pid and all processes below it: peers fork workers."""
    found = [pid]
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) in found:
            found.append(int(path.parent.name))
    return found


class Peer:
    """A server under test: a process, and the port it serves."""

    def __init__(self, name, argv, port, core, log):
        self.name, self.port = name, port
        self.process = subprocess.Popen(["taskset", "-c", str(core), *argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for_port(port, self.process)

    def pids(self):
        return descendants(self.process.pid)

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def nginx(setup):
    port = free_port()
    conf = setup.work / "nginx.conf"
    modules = "/usr/lib/nginx/modules/ngx_stream_module.so"
    conf.write_text(f"""
{'load_module ' + modules + ';' if os.path.exists(modules) else ''}
daemon off; worker_processes 1; pid {setup.work}/nginx.pid; error_log {setup.work}/nginx.log;
events {{ worker_connections {descriptors() - 100}; }}
stream {{
  server {{
    listen 127.0.0.1:{port} ssl reuseport;
    ssl_certificate {setup.cert}; ssl_certificate_key {setup.key};
    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets {'on' if setup.tickets else 'off'}; ssl_session_cache off;
    proxy_pass 127.0.0.1:{setup.backend_port};
  }}
}}
""")
    return Peer("nginx stream", ["nginx", "-c", str(conf), "-p", str(setup.work)], port, setup.core, setup.log)


def haproxy(setup):
    port = free_port()
    pem = setup.work / "haproxy.pem"
    pem.write_text(setup.cert.read_text() + setup.key.read_text())
    conf = setup.work / "haproxy.cfg"
    conf.write_text(f"""
global
  nbthread 1
  tune.ssl.cachesize 0
  maxconn {(descriptors() - 100) // 2}
defaults
  mode tcp
  timeout connect 5s
  timeout client 300s
  timeout server 300s
listen l
  bind 127.0.0.1:{port} ssl crt {pem}{'' if setup.tickets else ' no-tls-tickets'}
  server s 127.0.0.1:{setup.backend_port}
""")
    return Peer("HAProxy", ["haproxy", "-db", "-f", str(conf)], port, setup.core, setup.log)


def hitch(setup):
    port = free_port()
    pem = setup.work / "hitch.pem"
    pem.write_text(setup.cert.read_text() + setup.key.read_text())
    conf = setup.work / "hitch.conf"
    conf.write_text(f"""
frontend = "[127.0.0.1]:{port}"
backend = "[127.0.0.1]:{setup.backend_port}"
pem-file = "{pem}"
workers = 1
daemon = off
user = "nobody"
tls-protos = TLSv1.2 TLSv1.3
""")
    return Peer("hitch", ["hitch", "--config", str(conf)], port, setup.core, setup.log)


ALL = [("nginx stream", "nginx", nginx), ("HAProxy", "haproxy", haproxy), ("hitch", "hitch", hitch)]


def installed(program):
    return shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin") is not None
