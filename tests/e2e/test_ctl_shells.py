# SPDX-License-Identifier: Apache-2.0
"""What comes with tlsplanectl: its manual, and completion in the shells that people type into, each on a terminal of its own."""
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import termios
import time

import pytest

from harness.ctl import CTL
from harness.world import ROOT

COMPLETION = ROOT / "deploy" / "completion"


# Manual --------------------------------------------------------------------------------------------------------------

def test_manual():
    """Well-formed, and it names every command and option that --help does."""
    page = ROOT / "deploy" / "man" / "tlsplanectl.1"
    linted = subprocess.run(["mandoc", "-Tlint", str(page)], capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout, linted.stderr) == (0, "", "")
    source = page.read_text()
    options = set(re.findall(r"Fl -([a-z][a-z-]+)", source)) | set(re.findall(r", -([a-z][a-z-]+)$", source, re.M))
    assert set(all_options()) == options | {"help"}
    for command in all_commands():
        assert re.search(rf"^\.It Ic (.*, )?{command}\b", source, re.M), command


def helped(*words):
    return subprocess.run([str(CTL), *words, "--help"], capture_output=True, text=True, check=True).stdout


def all_commands():
    """ "apply", "token create"... from --help."""
    text = helped()
    block = text[text.index("Commands:"):text.index("Options of all")]
    names = [re.match(r"  ([a-z-]+(?: (?:create|list|revoke|delete))?)", line).group(1) for line in block.splitlines()[1:] if line]
    assert "token create" in names and len(names) >= 14
    return names


def all_options():
    return sorted({name for command in all_commands() for name in re.findall(r"--([a-z][a-z-]+)", helped(*command.split()))})


# Completion ----------------------------------------------------------------------------------------------------------

# Asked for words it is the real one, else it writes down what it was called with.
RECORDER = """#!/usr/bin/python3
import json, os, sys
if sys.argv[1:2] == ["__complete"]:
    os.execv({ctl!r}, [{ctl!r}, *sys.argv[1:]])
with open({log!r}, "a") as log:
    log.write(json.dumps(sys.argv[1:]) + chr(10))
"""

# How each is started without anybody's settings, and made to know the words and to show a prompt that can be told from all else.
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], f". {COMPLETION}/tlsplanectl.bash; PS1=RE''ADY%"),
    "zsh": (["zsh", "-f", "-i"], f"fpath=({COMPLETION} $fpath); autoload -Uz compinit; compinit -u -D; unsetopt zle_bracketed_paste; PS1=RE''ADY%%"),
    "fish": (["fish", "--no-config", "-i"], f"source {COMPLETION}/tlsplanectl.fish; function fish_prompt; echo -n RE''ADY%; end"),
}


class Shell:
    """An interactive shell on a terminal, in a folder with one file and one folder that begin like nothing that tlsplanectl knows."""

    def __init__(self, folder, name):
        argv, setup = SHELLS[name]
        self.log = folder / "log"
        (folder / "bin").mkdir()
        (folder / "work" / "site-a").mkdir(parents=True)
        (folder / "work" / "upload.token").touch()
        recorder = folder / "bin" / "tlsplanectl"
        recorder.write_text(RECORDER.format(ctl=str(CTL), log=str(self.log)))
        recorder.chmod(0o755)
        self.leader, follower = pty.openpty()
        env = {"PATH": f"{recorder.parent}:{os.environ['PATH']}", "HOME": str(folder), "LC_ALL": "C.UTF-8", "TERM": "vt100"}
        termios.tcsetwinsize(follower, (24, 200))
        self.process = subprocess.Popen(argv, env=env, cwd=folder / "work", stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(follower)
        self.seen = ""
        self.calls = 0
        self._type(setup + "\r")
        self._wait(lambda: "READY%" in self.seen)

    def _type(self, text):
        os.write(self.leader, text.encode())

    def _wait(self, condition):
        until = time.monotonic() + 15
        while not condition():
            assert time.monotonic() < until, f"the shell has shown: {self.seen!r}"
            if select.select([self.leader], [], [], 0.05)[0]:
                self.seen += os.read(self.leader, 65536).decode(errors="replace")

    def _settle(self):
        """Until nothing more comes for a moment: a shell that is not done yet would take what is typed as text."""
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            if select.select([self.leader], [], [], 0.05)[0]:
                self.seen += os.read(self.leader, 65536).decode(errors="replace")
                until = time.monotonic() + 0.3

    def becomes(self, typed):
        """What tlsplanectl is called with when this is typed, then TAB and Enter."""
        self.calls += 1
        self._settle()
        self._type(f"tlsplanectl {typed}\t")
        self._settle()
        self._type("\r")
        self._wait(lambda: self.log.exists() and len(self.log.read_text().splitlines()) >= self.calls)
        return " ".join(json.loads(self.log.read_text().splitlines()[-1]))

    def close(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self.leader)


@pytest.mark.parametrize("name", SHELLS)
def test_completion(tmp_path, name):
    """Commands, verbs, options, their words (in a word of their own or behind "="), kinds; files where a file is meant, and nowhere else."""
    assert shutil.which(name)
    shell = Shell(tmp_path, name)
    try:
        for typed, expected in (("appl", "apply"), ("token rev", "token revoke"), ("join-token del", "join-token delete"), ("apply --dr", "apply --dry-run"),
                                ("apply --wait ser", "apply --wait served"), ("apply --wait=ser", "apply --wait=served"), ("-o js", "-o json"),
                                ("token create --role vi", "token create --role viewer"), ("get --url http://127.0.0.1:1 upstream_", "get --url http://127.0.0.1:1 upstream_tls"),
                                ("apply -f si", "apply -f site-a"), ("--token-file upl", "--token-file upload.token"), ("--token-file=upl", "--token-file=upload.token"),
                                ("get ssls si", "get ssls si"), ("get ups", "get upstream"), ("xyz", "xyz")):
            assert shell.becomes(typed).rstrip("/") == expected, shell.seen[-300:] # zsh takes a slash at the end back
    finally:
        shell.close()
