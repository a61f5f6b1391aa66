# SPDX-License-Identifier: Apache-2.0
"""The disk of one process, as bad as a test wants it (tests/lib/disk.c): calls that fail, or that it dies at; and a log of all it does."""
import errno
import mmap
import struct

from harness.world import BUILD, SANITIZER_ENV

CALLS = ("read", "look", "open", "write", "truncate", "sync", "name", "unlink")  # enum call
KILL, FAIL, SHORT = range(3)  # enum action
CHANGES = CALLS[2:]  # what makes a difference to what is on disk, or may
ORDERING = ("open", "truncate", "sync", "name", "unlink")  # without the writes between them
FORMAT = "<iiii qqq"  # struct control
EVER = 1 << 40  # a call that never comes: they are only counted


class Disk:
    """Of whoever is started with `env`, below `folder`. log: begins one. lies: how the paths end that are never synced ("": any)."""

    def __init__(self, world, folder, name="disk", log=False, lies=None):
        self.file, self.log = world.tmp / f"{name}.control", world.tmp / f"{name}.log"
        self.file.write_bytes(bytes(struct.calcsize(FORMAT)))
        self.env = {"LD_PRELOAD": str(BUILD / "tests" / "lib" / "libdisk.so"), "DISK_FOLDER": str(folder), "DISK_CONTROL": str(self.file),
                    "ASAN_OPTIONS": SANITIZER_ENV["ASAN_OPTIONS"] + ":verify_asan_link_order=0"}
        if log:
            self.log.unlink(missing_ok=True)
            self.env["DISK_LOG"] = str(self.log)
        if lies is not None:
            self.env["DISK_LIES"] = lies
        with open(self.file, "r+b") as opened:
            self.control = mmap.mmap(opened.fileno(), struct.calcsize(FORMAT))
        world.closers.append(self.disarm)  # it ends in peace

    def arm(self, calls, at, action=FAIL, error=errno.EIO, stays=False):
        """The at-th from now on (1: the next) of these calls."""
        self.disarm()
        marked = sum(1 << CALLS.index(call) for call in calls)
        struct.pack_into("<iiii", self.control, 0, marked, action, error, stays)
        struct.pack_into("<qqq", self.control, 16, at, 0, 0)

    def disarm(self):
        self.control[:] = bytes(len(self.control))

    @property
    def seen(self):
        return struct.unpack_from("<q", self.control, 24)[0]

    @property
    def struck(self):
        """How many calls went wrong since arm()."""
        return struct.unpack_from("<q", self.control, 32)[0]

    @property
    def logged(self):
        """Bytes of the log: whatever is answered from now on was written before."""
        return self.log.stat().st_size
