# SPDX-License-Identifier: Apache-2.0
"""Each analyzer that is installed finds a planted fault through static.py; a known finding is silent, and one that is gone is told."""
import json
import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import static  # noqa: E402

COMMANDS = {"gcc": "gcc", "clang": "clang-14", "tidy": "clang-tidy-14", "cppcheck": "cppcheck"}
FAULTS = [  # tool, what it must say, and of what
    ("gcc", "use-after-free", "char *p = malloc(4);\n\tif (p == 0)\n\t\treturn 1;\n\tfree(p);\n\treturn p[0];"),
    ("gcc", "malloc-leak", "char *p = strdup(argv[0]);\n\treturn p == 0 ? 1 : p[0];"),
    ("gcc", "null-dereference", "int *p = argc > 1 ? &argc : 0;\n\treturn *p;"),
    ("clang", "unix.Malloc", "char *p = malloc(4);\n\tif (p == 0)\n\t\treturn 1;\n\tfree(p);\n\treturn p[0];"),
    ("clang", "core.NullDereference", "int *p = argc > 1 ? &argc : 0;\n\treturn *p;"),
    ("clang", "security.insecureAPI.strcpy", "char a[4];\n\tstrcpy(a, argv[0]);\n\treturn a[0];"),
    ("tidy", "bugprone-suspicious-string-compare", "char a[4];\n\treturn memcmp(a, \"abcd\", 4) == 1;"),
    ("tidy", "cert-flp30-c", "for (float f = 0; f < 1; f += 0.1F)\n\t\targc++;\n\treturn argc;"),
    ("cppcheck", "arrayIndexOutOfBounds", "int a[2];\n\ta[0] = 0;\n\treturn a[argc > 0 ? 2 : 0];"),
    ("cppcheck", "uninitvar", "int a;\n\treturn a;"),
]


@pytest.mark.parametrize(("tool", "check", "program"), FAULTS, ids=[f"{tool} {check}" for tool, check, _ in FAULTS])
def test_planted_fault(tool, check, program, tmp_path, monkeypatch):
    if shutil.which(COMMANDS[tool]) is None:
        pytest.skip(f"{COMMANDS[tool]} is not installed (tests/run.sh static installs it)")
    monkeypatch.setattr(static, "ROOT", tmp_path)
    shutil.copy(pathlib.Path(__file__).resolve().parents[2] / ".clang-tidy", tmp_path)
    source = tmp_path / "common/a.c"
    source.parent.mkdir()
    source.write_text("#include <stdlib.h>\n#include <string.h>\nint fault(int argc, char **argv)\n{\n\t" + program + "\n}\n")
    (tmp_path / "compile_commands.json").write_text(json.dumps([{"directory": str(tmp_path), "file": "common/a.c", "command": "cc -O1 -c common/a.c -o a.o"}]))
    found = static.run_all([tool], tmp_path)
    rows = [(tool, "*", "common/a.c")]
    assert check in [name for _, name, _, _, _ in found], sorted(found)
    assert list(static.judge(found, [], [tool]))
    assert not list(static.judge(found, rows, [tool]))
    assert len(list(static.judge(set(), rows, [tool]))) == 1
    assert not list(static.judge(set(), rows, []))


def test_header_counts_for_the_source():
    text = "common/a.h:3:1: warning: words [-Wanalyzer-check]\nagent/b.c:4:1: warning: words [-Wanalyzer-check]\n"
    assert static.parse("gcc", text, static.ROOT, "agent/b.c") == {("gcc", "check", "agent/b.c", 1, "words (common/a.h:3)"), ("gcc", "check", "agent/b.c", 4, "words")}
