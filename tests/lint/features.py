# SPDX-License-Identifier: Apache-2.0
"""deploy/features.md: every test that it names exists (the file, and in it the function, the START_TEST or Class::method), and a feature
without a test is one that is refused."""
import re

from common import finding, lines

PAGE = "deploy/features.md"
NAMED = re.compile(r"`((?:e2e|unit)/[^`]*)`")
TEST = re.compile(r"((?:e2e|unit)/[\w/]+\.(py|c))(?:::(\w+))?(?:::(\w+))?$")
REFUSED = ("**no**", "**not yet possible**")


def block_of(source, name):
    """The body of a class of Python, or "" when there is none."""
    match = re.search(rf"^class {name}\b.*?(?=^\S|\Z)", source, re.M | re.S)
    return match.group(0) if match else ""


def missing(root, text):
    """Why the test is not there, or None."""
    match = TEST.match(text)
    if match is None:
        return f"{text} is not written as FILE, FILE::NAME or FILE::CLASS::NAME"
    path, suffix, name, method = match.groups()
    file = root / "tests" / path
    if not file.is_file():
        return f"there is no tests/{path}"
    if name is None:
        return None
    source = file.read_text(encoding="utf-8")
    if suffix == "c":
        return None if re.search(rf"^START_TEST\({name}\)", source, re.M) and not method else f"tests/{path} has no START_TEST({name})"
    if method:
        return None if re.search(rf"^    def {method}\(", block_of(source, name), re.M) else f"tests/{path} has no {name}::{method}"
    return None if re.search(rf"^(def {name}\(|class {name}\b)", source, re.M) else f"tests/{path} has no {name}"


def check(root):
    page = root / PAGE
    if not page.exists():
        return
    for number, line in enumerate(lines(page), 1):
        for text in NAMED.findall(line):
            reason = missing(root, text)
            if reason:
                yield finding(root, page, number, reason)
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        if line.startswith("|") and cells[-1] == "-" and not cells[1].startswith(REFUSED):
            yield finding(root, page, number, f"no test shows \"{cells[0]}\", and it is not refused")
