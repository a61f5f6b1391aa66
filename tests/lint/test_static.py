# SPDX-License-Identifier: Apache-2.0
"""Each analyzer that is installed finds a planted fault through static.py; a known finding is silent, and one that is gone is told."""
import json
import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import static  # noqa: E402

PROGRAM = {"gcc": "char *p = malloc(4);\n\tif (p == 0)\n\t\treturn 1;\n\tfree(p);\n\treturn p[0];", "tidy": "char a[4];\n\treturn memcmp(a, \"abcd\", 4) == 1;",
           "cppcheck": "int a[2];\n\ta[0] = 0;\n\treturn a[argc > 0 ? 2 : 0];"}
PROGRAM["clang"] = PROGRAM["gcc"]
COMMANDS = {"gcc": "gcc", "clang": "clang-14", "tidy": "clang-tidy-14", "cppcheck": "cppcheck"}


@pytest.mark.parametrize("tool", sorted(COMMANDS))
def test_planted_fault(tool, tmp_path, monkeypatch):
    if shutil.which(COMMANDS[tool]) is None:
        pytest.skip(f"{COMMANDS[tool]} is not installed (tests/run.sh static installs it)")
    monkeypatch.setattr(static, "ROOT", tmp_path)
    shutil.copy(pathlib.Path(__file__).resolve().parents[2] / ".clang-tidy", tmp_path)
    source = tmp_path / "common/a.c"
    source.parent.mkdir()
    source.write_text("#include <stdlib.h>\n#include <string.h>\nint main(int argc, char **argv)\n{\n\t" + PROGRAM[tool] + "\n}\n")
    (tmp_path / "compile_commands.json").write_text(json.dumps([{"directory": str(tmp_path), "file": "common/a.c", "command": "cc -O1 -c common/a.c -o a.o"}]))
    found = static.run_all([tool], tmp_path)
    rows = [(tool, "*", "common/a.c")]
    assert list(static.judge(found, [], [tool])), "the fault was not found"
    assert not list(static.judge(found, rows, [tool]))
    assert len(list(static.judge(set(), rows, [tool]))) == 1
    assert not list(static.judge(set(), rows, []))
