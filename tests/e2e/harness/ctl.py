# SPDX-License-Identifier: Apache-2.0
"""tlsplanectl as scripts run it, folders that it reads, and a relay between it and the control plane that loses things."""
import json
import os
import select
import socket
import subprocess
import threading

from harness.world import BUILD

CTL = BUILD / "controlplane" / "ctl" / "tlsplanectl"
OK, REFUSED, USAGE, AWAY, DIFFERENT = 0, 1, 2, 3, 4


def environment(**more):
    made = {"PATH": f"{CTL.parent}:{os.environ['PATH']}", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "TLSPLANE_TIMEOUT": "30", **more}
    return {name: str(value) for name, value in made.items() if value is not None}


class Ctl:
    def __init__(self, api):
        self.env = environment(TLSPLANE_URL=f"http://127.0.0.1:{api.port}", TLSPLANE_TOKEN=api.token)

    def __call__(self, *words, expect=OK, **more):
        done = subprocess.run([str(CTL), *map(str, words)], env={**self.env, **more}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        assert done.returncode == expect, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *words, **more):
        return json.loads(self(*words, "-o", "json", **more).stdout)


class Folder:
    """What `apply -f` reads."""

    def __init__(self, path):
        self.path = path
        path.mkdir()

    def write(self, name, content):
        """A document, or text."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def certificate(self, ident, pair, **more):
        self.write(f"ssls/{ident}.crt", pair.cert_pem)
        self.write(f"ssls/{ident}.key", pair.key_pem)
        self.write(f"ssls/{ident}.json", {"cert_file": f"{ident}.crt", "key_file": f"{ident}.key", **more})


class Relay:
    """Passes connections on to the admin port. before_post is called once, before the first POST; `cut` answers to POSTs get lost; requests
    that begin with `silent` go no further."""

    def __init__(self, port, before_post=None, cut=0, answers=(), silent=None):
        self.target, self.before_post, self.cut, self.answers, self.silent = port, before_post, cut, list(answers), silent
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.requests = []

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client, socket.create_connection(("127.0.0.1", self.target)) as server:
            posting = False
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    if ready is client and data.startswith((b"POST", b"GET", b"DELETE")):
                        self.requests.append(data)
                        posting = data.startswith(b"POST")
                        if posting and self.before_post:
                            self.before_post, call = None, self.before_post
                            call()
                        if self.answers:
                            client.sendall(self.answers.pop(0))
                            continue
                        if self.silent and data.startswith(self.silent):
                            continue
                    if ready is server and posting and self.cut > 0:
                        self.cut -= 1
                        return
                    (server if ready is client else client).sendall(data)
