# SPDX-License-Identifier: Apache-2.0
"""The checks can fail: each is pointed at a small tree with one planted fault, and at the same tree without it."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import attacks  # noqa: E402
import features  # noqa: E402
import layers  # noqa: E402
import openapi  # noqa: E402
import readme_paths  # noqa: E402
import shell  # noqa: E402
import sizes  # noqa: E402
import style  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"
HEADER = SPDX + "/* What it is for. */\n#pragma once\n"
ROUTES = """#define LIST(word) {"GET", "/v1/" word, 1}
#define BOTH(word) LIST(word), \\
	{"PUT", "/v1/" word "/{id}", 2}
static const struct route routes[] = {
	{"GET", "/healthz", 0}, /* {"GET", "/comment", 0} */
	BOTH("ssls"),
};
"""
OPENAPI = "paths:\n  /healthz: {get: {}}\n  /v1/ssls: {get: {}, parameters: []}\n  /v1/ssls/{id}: {put: {}}\n"


@pytest.fixture
def tree(tmp_path):
    """A clean tree: the README's table, a folder per row, no code."""
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("## Architecture")[1].split("`controlplane/controlplane.c`")[0]
    (tmp_path / "README.md").write_text(table)
    write(tmp_path, "tests/lint/layers.py", "", header="# SPDX-License-Identifier: Apache-2.0\n")
    for folder in layers.TABLE:
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "schema").mkdir()
    (tmp_path / "controlplane/store/store_write.h").write_text(HEADER)
    return tmp_path


def write(tree, path, text, header=HEADER):
    (tree / path).parent.mkdir(parents=True, exist_ok=True)
    (tree / path).write_text(header + text)


def found(check, tree):
    return list(check.check(tree))


@pytest.mark.parametrize("check", [layers, sizes, style, shell, readme_paths, features, attacks])
def test_a_clean_tree_is_clean(check, tree):
    write(tree, "common/base/good.c", '#include "base/good.h"\n\n#include <stdio.h>\n\nint good(void)\n{\n\treturn 0;\n}\n')
    assert found(check, tree) == []


@pytest.mark.parametrize("path,include", [
    ("common/base/a.c", '"crypto/cert.h"'), ("common/base/a.c", "<openssl/evp.h>"), ("common/base/a.c", "<uv.h>"),
    ("common/crypto/a.c", '"model/kind.h"'), ("common/model/a.c", '"store/store.h"'), ("common/net/a.h", "<jansson.h>"),
    ("controlplane/api/a.c", '"store/store_write.h"'), ("controlplane/api/a.c", "<sqlite3.h>"),
    ("controlplane/publish/a.c", '"store/store_write.h"'), ("controlplane/store/a.c", '"change/change.h"'),
    ("controlplane/controlplane.c", '"store/store_write.h"'), ("controlplane/change/a.c", "<microhttpd.h>"),
    ("agent/tls/a.c", '"snapshot/snapshot.h"'), ("agent/sync/a.c", "<openssl/ssl.h>"), ("agent/sync/a.c", "<jansson.h>"),
    ("agent/status/a.c", '"cache/cache.h"'), ("agent/proxy/a.c", '"proxy.h"'), ("agent/cache/a.c", '"proxy/proxy.h"')])
def test_forbidden_include(tree, path, include):
    write(tree, path, f"#include {include}\n")
    assert len(found(layers, tree)) == 1


@pytest.mark.parametrize("path,include", [
    ("controlplane/change/a.c", '"store/store_write.h"'), ("controlplane/store/a.c", '"store/store_write.h"'),
    ("agent/tls/a.c", "<openssl/ssl.h>"), ("agent/snapshot/a.c", "<uv.h>"), ("common/model/a.c", "<idn2.h>"),
    ("controlplane/controlplane.c", '"api/api.h"')])
def test_allowed_include(tree, path, include):
    write(tree, path, f"#include {include}\n")
    assert found(layers, tree) == []


def test_readme_and_table_must_agree(tree):
    readme = tree / "README.md"
    readme.write_text(readme.read_text().replace("| base crypto model resolve | libssl |", "| base crypto model http | libssl |"))
    assert any("agent/tls" in text for text in found(layers, tree))


def test_folder_without_a_row(tree):
    (tree / "agent/extra").mkdir()
    assert any("agent/extra" in text for text in found(layers, tree))


def test_sizes(tree):
    body = "\tcall();\n"
    write(tree, "common/base/a.c", "int f(void)\n{\n" + body * sizes.FUNCTION_MAX + "}\n")
    assert found(sizes, tree) == []
    write(tree, "common/base/a.c", "int f(void)\n{\n" + body * (sizes.FUNCTION_MAX + 1) + "}\n")
    assert len(found(sizes, tree)) == 1
    write(tree, "common/base/a.c", "\n" * sizes.FILE_MAX)
    assert len(found(sizes, tree)) == 1


@pytest.mark.parametrize("line", [
    "\tstrcpy(a, b);", "\tx = atoi(text);", "\tsystem(text);", "\tsprintf (a, b);", "int a; ", "/* TODO: later */", "\treturn; // FIXME",
    "/* " + "a" * 160 + " */", "\treturn memcmp(f(a), token->secret, 32) == 0;", "\tr = strcmp(secret->data, b);"])
def test_style(tree, line):
    write(tree, "common/base/a.c", line + "\n")
    assert len(found(style, tree)) == 1


@pytest.mark.parametrize("line", [
    "\tsnprintf(a, 1, b);", '\tlog("strcpy(a)");', "/* strcpy(a) would not do */", "\tx->system(1);", "\tmy_strcpy(a, b);",
    "\treturn memcmp(a, b, 32) == 0 && secret->len > 0;", "\tr = memcmp(token->secret_sha256, b, 32);"])
def test_style_lets_pass(tree, line):
    write(tree, "common/base/a.c", line + "\n")
    assert found(style, tree) == []


def test_licence_comment_and_guard(tree):
    write(tree, "common/base/a.h", "", header="/* What it is for. */\n#pragma once\n")
    assert any("SPDX" in text for text in found(style, tree))
    write(tree, "common/base/a.h", "", header=SPDX + "#pragma once\n")
    assert any("comment" in text for text in found(style, tree))
    write(tree, "common/base/a.h", "", header=SPDX + "/* What it is for. */\n")
    assert any("pragma" in text for text in found(style, tree))


@pytest.mark.parametrize("path,text", [
    ("deploy/a.sh", "#!/bin/sh\nSPDX\nrm $1\n"), ("tests/a.sh", "#!/bin/sh\nSPDX\n[[ -f x ]] && echo y\n"),
    (shell.ACTION, "runs:\n  steps:\n    - run: rm $1\n"), (shell.JOB, ".job:\n  script:\n    - rm $1\n")])
def test_shell(tree, path, text):
    good = text.replace("$1", '"$1"').replace("[[ -f x ]]", "[ -f x ]").replace("SPDX", "# SPDX-License-Identifier: Apache-2.0")
    write(tree, path, good, header="")
    assert found(shell, tree) == []
    write(tree, path, text.replace("SPDX", "# SPDX-License-Identifier: Apache-2.0"), header="")
    assert len(found(shell, tree)) == 1


def test_readme_paths(tree):
    (tree / "README.md").write_text("See `common/base/gone.c`.\n")
    assert len(found(readme_paths, tree)) == 1
    write(tree, "common/base/gone.c", "")
    assert found(readme_paths, tree) == []


@pytest.mark.parametrize("row,is_found", [
    ("| a | b | `e2e/test_a.py` |", True), ("| a | b | `e2e/test_b.py` |", False),
    ("| a | b | `e2e/test_a.py::test_one`, `unit/base/test_a.c` |", True), ("| a | b | `e2e/test_a.py::test_on` |", False),
    ("| a | b | `e2e/test_a.py::test_two` |", False), ("| a | b | `e2e/test_a.py::TestA::test_two` |", True),
    ("| a | b | `e2e/test_a.py::TestA` |", True), ("| a | b | `e2e/test_a.py::TestA::test_one` |", False),
    ("| a | b | `unit/base/test_a.c::shown` |", True), ("| a | b | `unit/base/test_a.c::hidden` |", False),
    ("| a | b | `e2e/test_a.py test_one` |", False), ("| a | b | - |", False), ("| a | **no**: b | - |", True), ("|---|---|---|", True)])
def test_tests_of_the_features(tree, row, is_found):
    write(tree, "tests/e2e/test_a.py", "class TestA:\n    def test_two(self):\n        pass\n\n\ndef test_one():\n    pass\n")
    write(tree, "tests/unit/base/test_a.c", "START_TEST(shown)\n")
    write(tree, "deploy/features.md", row + "\n", header="")
    assert (found(features, tree) == []) == is_found


def test_routes_are_compared(tree):
    (tree / "controlplane/api/routes.c").write_text(ROUTES)
    (tree / "controlplane/apisix/routes.c").write_text('static const struct route routes[] = {\n\t{"HEAD", "/other", 0},\n};\n')
    (tree / "schema/openapi.yaml").write_text(OPENAPI + "  /other: {head: {}}\n")
    assert openapi.served(tree) == {("GET", "/healthz"), ("GET", "/v1/ssls"), ("PUT", "/v1/ssls/{id}"), ("HEAD", "/other")}
    assert list(openapi.check_routes(tree)) == []
    (tree / "schema/openapi.yaml").write_text(OPENAPI.replace("/healthz", "/health"))
    assert len(list(openapi.check_routes(tree))) == 3


def test_the_openapi_linters_can_fail(tree):
    if not (ROOT / openapi.TOOLS).exists():
        pytest.fail(f"{openapi.TOOLS} is missing (tests/run.sh lint installs it)")
    (tree / "tests/.cache").symlink_to(ROOT / "tests/.cache")
    (tree / "tests/contract").symlink_to(ROOT / "tests/contract")
    text = (ROOT / "schema/openapi.yaml").read_text(encoding="utf-8")
    (tree / "schema/openapi.yaml").write_text(text.replace("state: resealing", "state: asleep").replace("format: int64", "format: int", 1))
    found = list(openapi.check_linters(tree))
    assert [name for name in openapi.LINTERS if any(f"{name} lint" in text for text in found)] == list(openapi.LINTERS), found


def test_examples_are_asked_for(tree):
    media = "        application/json: {schema: {type: string}%s}\n"
    document = "paths:\n  /a:\n    put:\n      requestBody: {$ref: '#/components/requestBodies/A'}\n      responses: {}\ncomponents:\n  requestBodies:\n    A:\n      content:\n"
    (tree / "schema/openapi.yaml").write_text(document + media % "")
    assert [text for text in openapi.check_examples(tree) if "PUT /a body application/json has no example" in text]
    (tree / "schema/openapi.yaml").write_text(document + media % ", example: x")
    assert not list(openapi.check_examples(tree))


ATTACKS = "".join(f"| A{number} | bytes | `e2e/test_a.py::test_a` | control |\n" for number in range(1, attacks.LAST + 1))


@pytest.mark.parametrize("text,faults", [
    (ATTACKS, 0), (ATTACKS + "| - | another | `e2e/test_a.py` | mutant |\n", 0), (ATTACKS.replace("| A7 |", "| A8 |"), 1), (ATTACKS + "| A56 | no test | - | - |\n", 2),
    (ATTACKS + "| - | open | `e2e/test_a.py` | open: only its counterpart |\n", 1), (ATTACKS + "| - | open proxy | `e2e/test_a.py` | control: an open one; mutant: opened |\n", 0), (ATTACKS + "| - | half | `e2e/test_a.py` | the good one passes |\n", 1),
    (ATTACKS + "| - | gone | `e2e/test_a.py::test_b` | control |\n", 1), (ATTACKS + "| A1 | too short | `e2e/test_a.py` |\n", 1)])
def test_attacks_have_tests(tree, text, faults):
    write(tree, "tests/e2e/test_a.py", "def test_a():\n    pass\n", header="# SPDX-License-Identifier: Apache-2.0\n")
    write(tree, "tests/attacks.md", text, header="")
    assert len(found(attacks, tree)) == faults
