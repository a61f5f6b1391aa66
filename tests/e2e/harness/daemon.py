# SPDX-License-Identifier: Apache-2.0
"""One process of ours: started with its standard error in a file, watched, ended by its pid. A death that the test did not ask for and
any report of a sanitizer fail the test (World.close)."""
import os
import pathlib
import re
import signal
import subprocess
import time

from harness.net import PATIENCE, eventually

SANITIZER = re.compile(r"ERROR: AddressSanitizer|ERROR: LeakSanitizer|runtime error:|Assertion .* failed|AddressSanitizer:DEADLYSIGNAL|"
                       r"WARNING: ThreadSanitizer")
TSAN_SUPPRESSIONS = pathlib.Path(__file__).resolve().parents[2] / "lib/tsan.supp"
SANITIZER_ENV = {
    "ASAN_OPTIONS": "detect_leaks=1:exitcode=99:allocator_may_return_null=1:detect_stack_use_after_return=0",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=98",
    "LSAN_OPTIONS": "exitcode=97",
    "TSAN_OPTIONS": f"exitcode=66:history_size=5:suppressions={TSAN_SUPPRESSIONS}",
}
FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)')


def fields(line):
    """The fields of a key=value log line."""
    return {key: value[1:-1] if value.startswith('"') else value for key, value in FIELD.findall(line)}


class Daemon:
    def __init__(self, world, name, argv, log, env=None):
        self.world, self.name, self.argv, self.log = world, name, [str(a) for a in argv], log
        self.expected = {0}  # exit codes that are fine at teardown
        self.from_byte = log.stat().st_size if log.exists() else 0
        clean = {k: v for k, v in os.environ.items() if not k.startswith("TLSPLANE_")}
        with open(log, "ab") as sink:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink,
                                            env={**clean, **SANITIZER_ENV, **(env or {})}, cwd=world.tmp)
        world.daemons.append(self)

    @property
    def pid(self):
        return self.process.pid

    @property
    def is_running(self):
        return self.process.poll() is None

    def text(self, whole=False):
        """What this process (whole: and those before it with the same log) has logged."""
        with open(self.log, "rb") as source:
            source.seek(0 if whole else self.from_byte)
            return source.read().decode(errors="replace")

    def lines(self, needle=""):
        return [line for line in self.text().splitlines() if needle in line]

    def wait_log(self, needle, timeout=20):
        """The first line that contains needle. Fails at once when the process is gone without it."""
        def look():
            running = self.is_running
            found = self.lines(needle)
            if not found and not running:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode} before logging {needle!r}:\n{self.text()[-3000:]}")
            return found
        try:
            return eventually(look, f"{self.name} logs {needle!r}", timeout)[0]
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.text()[-3000:]}") from None

    def wait_exit(self, timeout=20):
        timeout *= PATIENCE
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {timeout} s") from None

    def terminate(self, timeout=20):
        """SIGTERM; returns the exit code."""
        if self.is_running:
            self.process.send_signal(signal.SIGTERM)
        return self.wait_exit(timeout)

    def kill(self):
        """SIGKILL, as a power cut would."""
        self.expected.add(-signal.SIGKILL)
        if self.is_running:
            self.process.kill()
        self.process.wait()

    def expect_exit(self, *codes):
        self.expected.update(codes)

    def rss_kib(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))

    def verdict(self):
        """At teardown: what is wrong with this process, as texts."""
        if self.is_running:
            try:
                self.terminate(15)
            except AssertionError:
                self.process.kill()
                self.process.wait()
                yield f"{self.name} did not end on SIGTERM"
        if self.process.returncode not in self.expected:
            yield f"{self.name} ended with {self.process.returncode}, expected {sorted(self.expected)}:\n{self.text()[-3000:]}"
        report = SANITIZER.search(self.text())
        if report:
            yield f"{self.name}:\n{self.text()[max(0, report.start() - 500):][:6000]}"


def run_to_exit(world, argv, env=None, timeout=20):
    """For start-up errors: (exit code, output)."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("TLSPLANE_")}
    started = time.monotonic()
    run = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                         env={**clean, **SANITIZER_ENV, **(env or {})}, timeout=timeout * PATIENCE, cwd=world.tmp)
    text = run.stdout.decode(errors="replace")
    assert not SANITIZER.search(text), text
    assert run.returncode >= 0, f"killed by signal {-run.returncode} after {time.monotonic() - started:.1f} s\n{text}"
    return run.returncode, text
