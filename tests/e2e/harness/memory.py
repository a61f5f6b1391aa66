# SPDX-License-Identifier: Apache-2.0
"""The memory of one process, as scarce as a test wants it (tests/lib/memory.c)."""
import mmap
import struct

from harness.world import BUILD, SANITIZER_ENV

ALL, MAIN, OTHERS = range(3)  # enum threads
EVER = 1 << 40  # an allocation that never comes: they are only counted
FORMAT = "<ii qqqQ"  # struct control


class Memory:
    """Of whoever is started with `env`."""

    def __init__(self, world, name="memory"):
        self.file = world.tmp / f"{name}.control"
        self.file.write_bytes(bytes(struct.calcsize(FORMAT)))
        self.env = {"LD_PRELOAD": str(BUILD / "tests" / "lib" / "libmemory.so"), "MEMORY_CONTROL": str(self.file),
                    "ASAN_OPTIONS": SANITIZER_ENV["ASAN_OPTIONS"] + ":verify_asan_link_order=0"}
        with open(self.file, "r+b") as opened:
            self.control = mmap.mmap(opened.fileno(), struct.calcsize(FORMAT))
        world.closers.append(self.disarm)  # it ends in peace

    def arm(self, at, stays=False, threads=ALL):
        """The at-th allocation from now on (1: the next) fails; stays: and all after it."""
        self.disarm()
        struct.pack_into("<ii", self.control, 0, threads, stays)
        struct.pack_into("<q", self.control, 8, at)

    def disarm(self):
        self.control[:] = bytes(len(self.control))

    @property
    def seen(self):
        """Allocations since arm() or disarm()."""
        return struct.unpack_from("<q", self.control, 16)[0]

    @property
    def struck(self):
        """How many of them failed."""
        return struct.unpack_from("<q", self.control, 24)[0]

    @property
    def site(self):
        """Who asked for the first that failed, an address in the process."""
        return struct.unpack_from("<Q", self.control, 32)[0]
