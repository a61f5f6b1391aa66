# SPDX-License-Identifier: Apache-2.0
"""The peers of the benchmarks, from Debian's packages, each configured to do the same as an agent: terminate TLS 1.3 without tickets or
session cache on one worker, relay bytes to one plain backend. All on 127.0.0.1, pinned to one core, ended by pid."""
import os
import pathlib
import shutil
import socket
import subprocess
import time


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


def nginx(work, cert, key, backend_port, core, log):
    port = free_port()
    conf = work / "nginx.conf"
    modules = "/usr/lib/nginx/modules/ngx_stream_module.so"
    conf.write_text(f"""
{'load_module ' + modules + ';' if os.path.exists(modules) else ''}
daemon off; worker_processes 1; pid {work}/nginx.pid; error_log {work}/nginx.log;
events {{ worker_connections 4096; }}
stream {{
  server {{
    listen 127.0.0.1:{port} ssl reuseport;
    ssl_certificate {cert}; ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets off; ssl_session_cache off;
    proxy_pass 127.0.0.1:{backend_port};
  }}
}}
""")
    return Peer("nginx stream", ["nginx", "-c", str(conf), "-p", str(work)], port, core, log)


def haproxy(work, cert, key, backend_port, core, log):
    port = free_port()
    pem = work / "haproxy.pem"
    pem.write_text(pathlib.Path(cert).read_text() + pathlib.Path(key).read_text())
    conf = work / "haproxy.cfg"
    conf.write_text(f"""
global
  nbthread 1
  tune.ssl.cachesize 0
  maxconn 4096
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
listen l
  bind 127.0.0.1:{port} ssl crt {pem} no-tls-tickets
  server s 127.0.0.1:{backend_port}
""")
    return Peer("HAProxy", ["haproxy", "-db", "-f", str(conf)], port, core, log)


def hitch(work, cert, key, backend_port, core, log):
    port = free_port()
    pem = work / "hitch.pem"
    pem.write_text(pathlib.Path(cert).read_text() + pathlib.Path(key).read_text())
    conf = work / "hitch.conf"
    conf.write_text(f"""
frontend = "[127.0.0.1]:{port}"
backend = "[127.0.0.1]:{backend_port}"
pem-file = "{pem}"
workers = 1
daemon = off
user = "nobody"
tls-protos = TLSv1.2 TLSv1.3
""")
    return Peer("hitch", ["hitch", "--config", str(conf)], port, core, log)


ALL = [("nginx stream", "nginx", nginx), ("HAProxy", "haproxy", haproxy), ("hitch", "hitch", hitch)]


def installed(program):
    return shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin") is not None
