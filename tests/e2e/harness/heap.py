# SPDX-License-Identifier: Apache-2.0
"""How large a process is: what it has allocated and not freed (tests/lib/heap.c), what is resident, its descriptors and threads. Work that is done
over and over must leave all of it as it was; what stays reachable is no leak to LeakSanitizer, but it is one here."""
import os
import socket

from harness.daemon import SANITIZER_ENV
from harness.net import eventually
from harness.world import BUILD, is_sanitized

# For daemons that are to be measured. What ASan holds back, and libc for each thread, counts as in use, so nothing is held back.
ENV = {"LD_PRELOAD": str(BUILD / "tests" / "lib" / "libheap.so"), "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0",
       "ASAN_OPTIONS": SANITIZER_ENV["ASAN_OPTIONS"] + ":verify_asan_link_order=0:quarantine_size_mb=0:thread_local_quarantine_size_kb=0"}

SHARE = 0.05  # what passes for no growth
SQLITE_MAX = 36 << 20  # two page caches of 16 MiB, which fill as a file grows, and what SQLite has besides


def heap_bytes(daemon):
    """(in use by all but SQLite, by SQLite)."""
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(20)
        asked.connect(f"\0tlsplane-heap-{daemon.pid}")
        whole, sqlite = map(int, asked.recv(64).split())
        return whole - sqlite, sqlite


class Size:
    """heap, rss: without what SQLite has."""

    def __init__(self, daemon):
        self.heap, self.sqlite = heap_bytes(daemon)
        self.rss = daemon.rss_kib() * 1024 - self.sqlite
        self.descriptors, self.threads = (len(os.listdir(f"/proc/{daemon.pid}/{what}")) for what in ("fd", "task"))

    def __repr__(self):
        return f"heap {self.heap:,}, SQLite {self.sqlite:,}, resident {self.rss:,}, {self.descriptors} descriptors, {self.threads} threads"


class Growth:
    """Of several daemons, from the moment that this is made."""

    def __init__(self, *daemons):
        self.before = {daemon: Size(daemon) for daemon in daemons}
        self.after = dict(self.before)

    def problems(self, daemon, share=SHARE):
        """What has grown by more than that share; of descriptors and threads, by one."""
        before, after = self.before[daemon], Size(daemon)
        self.after[daemon] = after
        assert after.sqlite <= SQLITE_MAX, after
        shares = {"heap": share, **({} if is_sanitized() else {"rss": share}), "descriptors": 0, "threads": 0}
        return [f"{what} {getattr(before, what):,} -> {getattr(after, what):,}" for what, least in shares.items()
                if getattr(after, what) > (1 + least) * getattr(before, what)]

    def check(self, share=SHARE, timeout=20):
        """Nobody has grown, once all that is under way is done."""
        for daemon in self.before:
            def look():
                problems = self.problems(daemon, share)
                assert not problems, (problems, self.before[daemon], self.after[daemon])
                return True
            eventually(look, f"{daemon.name} is as large as before", timeout)

    def figures(self):
        """Of each daemon, in percent: how heap and resident memory have grown."""
        return {f"{daemon.name}_{what}_grown_percent": round(100 * (getattr(self.after[daemon], what) / getattr(before, what) - 1), 1)
                for daemon, before in self.before.items() for what in ("heap", "rss")}
