# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: where the binaries are, how a tool is run, certificates and objects, tables."""
import json
import os
import pathlib
import socket
import ssl
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
os.environ.setdefault("TLSPLANE_BUILD", str(ROOT / "build"))
os.environ["PATH"] += ":/usr/sbin:/sbin"
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
BUILD = pathlib.Path(os.environ["TLSPLANE_BUILD"]).resolve()
LOAD_CORE = 1


def tool(name):
    return str(BUILD / "tests" / "bench" / f"bench_{name}")


def run_json(argv, core=LOAD_CORE, timeout=600):
    done = subprocess.run(["taskset", "-c", str(core), *map(str, argv)], capture_output=True, text=True, timeout=timeout, check=False)
    if not done.stdout.strip():
        raise RuntimeError(f"{argv[0]}: {done.returncode} {done.stderr[:500]}")
    return json.loads(done.stdout)


def pin(pid, core):
    """All threads of a process."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})


def openssl_cert(directory, name, algorithm, sni="bench.example"):
    cert, key = directory / f"{name}.crt", directory / f"{name}.key"
    new_key = ["-newkey", "rsa:2048"] if algorithm == "RSA-2048" else ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    subprocess.run(["openssl", "req", "-x509", *new_key, "-nodes", "-keyout", key, "-out", cert, "-days", "90", "-subj", f"/CN={sni}",
                    "-addext", f"subjectAltName=DNS:{sni}"], check=True, capture_output=True)
    return cert, key


def table(title, header, rows):
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]
    print(f"\n{title}\n")
    for row in [header, ["-" * w for w in widths], *rows]:
        print("| " + " | ".join(str(cell).ljust(width) for cell, width in zip(row, widths)) + " |")
    sys.stdout.flush()


def ssl_object(cert, key, sni):
    return {"sni": sni, "cert": cert.read_text(), "key": key.read_text()}


def spread(values):
    return f"{statistics.median(values):.0f} ({min(values):.0f}-{max(values):.0f})"


def handshake(port, sni, deadline=30.0):
    """Seconds until a first handshake with `sni` succeeds."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    start = time.monotonic()
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as raw, context.wrap_socket(raw, server_hostname=sni):
                return time.monotonic() - start
        except OSError:
            if time.monotonic() - start > deadline:
                raise
            time.sleep(0.002)  # not to take the processor from what is waited for
