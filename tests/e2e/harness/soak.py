# SPDX-License-Identifier: Apache-2.0
"""Tests that have a short form, for every run, and a long one (tests/soak.sh); and the figures that they come to."""
import os

IS_SOAK = bool(os.environ.get("TLSPLANE_SOAK"))


def scaled(short, long):
    return long if IS_SOAK else short


def figure(what, **numbers):
    """One line of the soak's summary."""
    path = os.environ.get("TLSPLANE_FIGURES")
    if path:
        with open(path, "a", encoding="utf-8") as sink:
            sink.write(f"{what}: {', '.join(f'{name.replace(chr(95), chr(32))} {number:,}' for name, number in numbers.items())}\n")
