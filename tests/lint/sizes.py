# SPDX-License-Identifier: Apache-2.0
"""Files and functions that have grown beyond one idea. The house rule is about 500 and about 50 lines; these are the hard ends."""
import re

from common import all_sources, finding, lines

FILE_MAX = 600
TEST_FILE_MAX = 800  # tables of cases
FUNCTION_MAX = 70

OPENING = re.compile(r"\{\s*$")
NAME = re.compile(r"([A-Za-z_]\w*)\s*\(")


def functions(text):
    """(name, first line, length) of each function: from its opening brace in column 0 to the closing one."""
    start = None
    for number, line in enumerate(text, 1):
        if line == "{":
            start = number
        elif line.startswith("}") and start is not None:
            signature = " ".join(text[max(0, start - 6):start - 1])
            names = NAME.findall(signature)
            yield (names[-1] if names else "?", start, number - start - 1)
            start = None


def check(root):
    for path in all_sources(root):
        text = lines(path)
        limit = TEST_FILE_MAX if path.relative_to(root).parts[0] == "tests" else FILE_MAX
        if len(text) > limit:
            yield finding(root, path, len(text), f"{len(text)} lines, at most {limit}")
        for name, line, length in functions(text):
            if length > FUNCTION_MAX:
                yield finding(root, path, line, f"function with {length} lines (near {name}), at most {FUNCTION_MAX}")
