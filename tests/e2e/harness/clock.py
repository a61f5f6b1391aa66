# SPDX-License-Identifier: Apache-2.0
"""Wall clocks that are set while daemons run (tests/lib/future.c)."""
import os
import struct

from harness.world import future

DAY = 86400


class Clock:
    """Of those who were started with its environment."""

    def __init__(self, path):
        self.path = path
        path.write_bytes(bytes(8))

    @property
    def env(self):
        return {**future(0), "FUTURE_FILE": str(self.path)}

    def set(self, days):
        """So many days off the true time, from now on."""
        file = os.open(self.path, os.O_WRONLY)
        os.pwrite(file, struct.pack("q", int(days * DAY)), 0)
        os.close(file)
