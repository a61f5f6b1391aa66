# SPDX-License-Identifier: Apache-2.0
"""House rules that a machine can see: calls nobody may make, marks of unfinished work, licence line, white space, comments."""
import re

from common import PRODUCT, all_sources, files, finding, lines, product_sources

BANNED = {
    "strcpy": "unbounded; snprintf or a buf",
    "strcat": "unbounded; snprintf or a buf",
    "strncpy": "may not terminate; snprintf or memcpy",
    "sprintf": "unbounded; snprintf",
    "vsprintf": "unbounded; vsnprintf",
    "gets": "unbounded",
    "strtok": "hidden state; strchr or a cursor",
    "system": "a shell",
    "popen": "a shell",
    "atoi": "no error; options_parse_u32 or strtoull",
    "atol": "no error; strtoull",
    "alloca": "unbounded stack",
    "rand": "crypto_random",
    "localtime": "not thread-safe; gmtime_r",
    "gmtime": "not thread-safe; gmtime_r",
    "strerror_l": "strerror",
}
CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
COMPARED = re.compile(r"(?<!\w)(?:mem|strn?|strn?case)cmp\s*\((?:[^()]|\([^()]*\))*(?<!\w)secret(?!\w)")  # "secret" among its arguments
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
STRING = re.compile(r'"(?:\\.|[^"\\])*"')
COMMENT = re.compile(r"//.*|/\*.*?\*/")
SPDX = "SPDX-License-Identifier: Apache-2.0"
COLUMNS = 120
TEXT = {".c", ".h", ".py", ".sh", ".build", ".proto", ".sql", ".yaml", ".yml", ".service"}


def code_only(line):
    return COMMENT.sub("", STRING.sub('""', line))


def check_calls(root):
    for path in product_sources(root):
        comment = False
        for number, line in enumerate(lines(path), 1):
            if not comment:
                for name in CALL.findall(code_only(line)):
                    yield finding(root, path, number, f"{name}() is banned: {BANNED[name]}")
                if COMPARED.search(code_only(line)):
                    yield finding(root, path, number, "a secret compared in the time that its first difference takes; secret_is_equal")
            comment = (comment or "/*" in line) and "*/" not in line


def check_texts(root):
    for path in files(root, PRODUCT + ("tests", "schema", "deploy"), TEXT):
        text = lines(path)
        if not any(SPDX in line for line in text[:2]):
            yield finding(root, path, 1, f"the file does not open with {SPDX}")
        for number, line in enumerate(text, 1):
            if line != line.rstrip():
                yield finding(root, path, number, "white space at the end of the line")
            if UNFINISHED.search(line) and path.parent.name != "lint":
                yield finding(root, path, number, "a mark of unfinished work")


def check_headers(root):
    """A public header says what it is for before it declares anything."""
    for path in product_sources(root):
        if path.suffix != ".h":
            continue
        text = lines(path)
        if not any(line.startswith("/*") for line in text[1:3]):
            yield finding(root, path, 2, "a header opens with a comment: what it is for")
        if "#pragma once" not in text:
            yield finding(root, path, 1, "no #pragma once")


def check_columns(root):
    for path in all_sources(root):
        for number, line in enumerate(lines(path), 1):
            width = len(line.expandtabs(4))
            if width > COLUMNS + 20:
                yield finding(root, path, number, f"{width} columns, at most {COLUMNS} (hard end {COLUMNS + 20})")


def check(root):
    yield from check_calls(root)
    yield from check_texts(root)
    yield from check_headers(root)
    yield from check_columns(root)
