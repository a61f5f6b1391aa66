# SPDX-License-Identifier: Apache-2.0
"""deploy/hooks as their callers run them, in an environment of their own; what they print, and what others could see of them."""
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import threading

from harness.world import ROOT

HOOKS = ROOT / "deploy" / "hooks"
UPLOAD = HOOKS / "tlsplane-upload.sh"
SHELLS = (["dash"], ["bash", "--posix"], ["busybox", "sh"])
TOOLS = ("cat", "curl", "date", "dirname", "grep", "head", "id", "jq", "mktemp", "openssl", "readlink", "rm", "sed", "sleep", "tail", "tr")


WAIT = "served"


def environment(url, **more):
    """Nothing of the caller's but PATH; more: settings, None takes one away."""
    made = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "TLSPLANE_SETTINGS": "/dev/null", "TLSPLANE_URL": url,
            "TLSPLANE_WAIT": WAIT, "TLSPLANE_TIMEOUT": "30", **more}
    return {name: str(value) for name, value in made.items() if value is not None}


def run(argv, env, cwd=None, timeout=120):
    return subprocess.run([str(a) for a in argv], env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=timeout, check=False)


def upload(pair_paths, env, shell=(), script=UPLOAD, **more):
    return run([*shell, script, *pair_paths], env, **more)


def secrets_of(token, *key_paths):
    """The texts that must be seen nowhere: the token, and of each key the lines of base64 with its secret number, which are the first two
    (below stands the public one, as in any CSR)."""
    lines = [line for path in key_paths for line in pathlib.Path(path).read_text().splitlines()[1:3]]
    assert token and lines and all(len(line) == 64 for line in lines)
    return [token, *lines]


def leaked(secrets, *texts):
    return [secret for secret in secrets for text in texts if secret in text]


def spy_on_tools(folder):
    """A PATH in which every tool writes down its arguments and environment, then does its work. Whatever else a hook might call is not
    there, so that nothing goes unseen. Returns (PATH, log)."""
    log = folder / "argv.log"
    log.write_text("")
    tools = folder / "tools"
    tools.mkdir()
    for name in TOOLS:
        wrapper = tools / name
        wrapper.write_text(f'#!/bin/sh\n{{ /usr/bin/printf "%s\\n" {name} "$@"; /usr/bin/env; }} >>"{log}"\nexec {shutil.which(name)} "$@"\n')
        wrapper.chmod(0o755)
    return tools, log


class Script(http.server.ThreadingHTTPServer):
    """An admin API that answers what the test wrote down: rows (status, headers, document or bytes), the last of them for ever. `seen`
    keeps the requests; `look` is called while one is under way."""

    daemon_threads = True

    def __init__(self, *answers, port=0, look=None):
        self.answers, self.seen, self.look = list(answers), [], look
        super().__init__(("127.0.0.1", port), _Handler)
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def methods(self):
        return [request["method"] for request in self.seen]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
        self.thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        script = self.server
        script.seen.append({"method": self.command, "path": self.path, "headers": self.headers, "json": json.loads(body) if body else None})
        if script.look:
            script.look()
        status, headers, document = script.answers.pop(0) if len(script.answers) > 1 else script.answers[0]
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": len(data), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(data)

    do_PUT = do_PATCH = do_GET = answer

    def log_message(self, *_):
        pass
