# SPDX-License-Identifier: Apache-2.0
"""Runs every check over the tree; prints findings, exits 1 if there are any."""
import importlib
import pathlib
import sys

CHECKS = ("layers", "sizes", "style", "shell", "readme_paths", "features", "attacks", "openapi")


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    bad = 0
    for name in sys.argv[1:] or CHECKS:
        findings = list(importlib.import_module(name).check(root))
        print(f"lint {name}: {'ok' if not findings else f'{len(findings)} findings'}")
        for text in findings:
            print("  " + text)
        bad += len(findings)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
