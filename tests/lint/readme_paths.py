# SPDX-License-Identifier: Apache-2.0
"""Every path that a README names exists. Words in capitals stand for a name (`tests/unit/LAYER/test_FILE.c`); `common/model/resource`
may be the module of resource.h; a bare file name may stand anywhere in the product."""
import re

from common import finding, lines

CODE = re.compile(r"`([^`]+)`")
SUFFIXES = "md|sh|c|h|py|proto|yaml|yml|build|sql|service"
TOPS = "common|controlplane|agent|schema|tests|deploy"
PATH = re.compile(rf"(\./)?(({TOPS}|\.ci|sql)/[\w.*/-]*|[\w./-]+\.({SUFFIXES}))$")
READMES = ("README.md", "deploy/README.md")
PRODUCT = ("common", "controlplane", "agent", "schema", "deploy")


def candidates(text):
    """Paths in back-ticked code: each word of it that looks like one."""
    for code in CODE.findall(text):
        for word in code.split():
            if PATH.match(word):
                yield word


def exists(root, base, path):
    pattern = re.sub(r"[A-Z]{3,}", "*", path) if path != "README.md" else path
    pattern = pattern.removeprefix("./").rstrip("/")
    if "/" not in pattern:
        return any(any((root / folder).rglob(pattern)) for folder in PRODUCT) or any(root.glob(pattern))
    return any(any(folder.glob(pattern)) or any(folder.glob(pattern + ".h")) for folder in (base, root, root / "schema"))


def check(root):
    for name in READMES:
        readme = root / name
        if not readme.exists():
            continue
        for number, line in enumerate(lines(readme), 1):
            for path in candidates(line):
                if not exists(root, readme.parent, path):
                    yield finding(root, readme, number, f"{path} does not exist")
