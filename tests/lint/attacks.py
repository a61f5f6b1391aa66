# SPDX-License-Identifier: Apache-2.0
"""tests/attacks.md: every test that it names exists, every line names one and says what has shown it to fail, and no attack of the catalogue is left out."""
import re

from common import finding, lines
from features import NAMED, missing

PAGE = "tests/attacks.md"
LAST = 55
ROW = re.compile(r"^\| (A\d+b?|-) \| (.+?) \| (.+?) \| (.+) \|$")

SHOWN = re.compile(r"\b(?:mutants?|controls?)\b")


def check(root):
    page = root / PAGE
    if not page.exists():
        return
    seen = set()
    for number, line in enumerate(lines(page), 1):
        for text in NAMED.findall(line):
            reason = missing(root, text)
            if reason:
                yield finding(root, page, number, reason)
        row = ROW.match(line)
        if row:
            seen.add(row.group(1))
            if not NAMED.search(row.group(3)):
                yield finding(root, page, number, f"no test makes \"{row.group(2)}\"")
            if not SHOWN.search(row.group(4)):
                yield finding(root, page, number, f"nothing has shown that the test of \"{row.group(2)}\" can fail")
        elif line.startswith(("| A", "| -")):
            yield finding(root, page, number, "not a line of id, attack, tests, and what shows that they can fail")
    for number in range(1, LAST + 1):
        if f"A{number}" not in seen:
            yield finding(root, page, 1, f"A{number} is left out")
