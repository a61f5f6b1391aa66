# SPDX-License-Identifier: Apache-2.0
"""What every check needs: the product's files and how a finding is written. A check is a function of the tree's root that yields
findings; it judges nothing else, so the self-test can point it at a tree with a planted fault."""
import pathlib

PRODUCT = ("common", "controlplane", "agent")
SKIPPED = {".git", ".cache", "node_modules", "__pycache__", "quickstart-data"}


def finding(root, path, line, text):
    return f"{pathlib.Path(path).relative_to(root)}:{line}: {text}"


def files(root, folders, suffixes):
    """Files below the folders with one of the suffixes, sorted; build and cache directories are not looked into."""
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            parts = path.relative_to(root).parts
            if SKIPPED.intersection(parts) or any(part.startswith("build") and part != "build.sh" for part in parts[:1]):
                continue
            if path.is_file() and path.suffix in suffixes:
                yield path


def product_sources(root):
    return files(root, PRODUCT, {".c", ".h"})


def all_sources(root):
    return files(root, PRODUCT + ("tests",), {".c", ".h"})


def lines(path):
    return path.read_text(encoding="utf-8").splitlines()
