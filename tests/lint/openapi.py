# SPDX-License-Identifier: Apache-2.0
"""schema/openapi.yaml: a linter of OpenAPI finds nothing, and its paths and methods are those of the tables in controlplane."""
import re
import subprocess

import yaml

REDOCLY = "tests/.cache/redocly/node_modules/.bin/redocly"
DOCUMENT = "schema/openapi.yaml"
TABLES = ("controlplane/api/routes.c", "controlplane/apisix/routes.c")
METHODS = {"get", "put", "post", "patch", "delete", "head", "options"}


def expand(source):
    """The rows of the table with its macros replaced, until none is left."""
    source = re.sub(r"/\*.*?\*/|//[^\n]*", "", source, flags=re.S).replace("\\\n", " ")
    macros = {name: ([word.strip() for word in arguments.split(",")], body)
              for name, arguments, body in re.findall(r"^#define (\w+)\(([^)]*)\)(.*)$", source, re.M)}
    table = re.search(r"routes\[\] = \{(.*?)\n\};", source, re.S).group(1)
    call = re.compile(r"\b(" + "|".join(map(re.escape, macros)) + r")\(([^()]*)\)") if macros else None

    def replace(match):
        names, body = macros[match.group(1)]
        for name, value in zip(names, match.group(2).split(",")):
            body = re.sub(rf"\b{name}\b", value.strip().replace("\\", r"\\"), body)
        return body
    while call and call.search(table):
        table = call.sub(replace, table)
    return re.sub(r'"\s+"', "", table)


def served(root):
    return {row for table in TABLES for row in re.findall(r'\{\s*"([A-Z]+)",\s*"([^"]+)"', expand((root / table).read_text(encoding="utf-8")))}


def documented(root):
    document = yaml.safe_load((root / DOCUMENT).read_text(encoding="utf-8"))
    return {(method.upper(), path) for path, item in document["paths"].items() for method in item if method in METHODS}


def check_routes(root):
    table, document = served(root), documented(root)
    for method, path in sorted(table - document):
        yield f"{DOCUMENT}: {method} {path} is served and not described"
    for method, path in sorted(document - table):
        yield f"{DOCUMENT}: {method} {path} is described and not served"
    if not table:
        yield f"{' '.join(TABLES)}: no route found"


def check_linter(root):
    if not (root / REDOCLY).exists():
        yield f"{REDOCLY} is missing (tests/run.sh lint installs it)"
        return
    run = subprocess.run([str(root / REDOCLY), "lint", "--format=stylish", str(root / DOCUMENT)], capture_output=True, text=True, check=False,
                         env={"PATH": "/usr/local/bin:/usr/bin:/bin", "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true",
                              "HOME": "/nonexistent"}, cwd=root)
    if run.returncode != 0:
        yield f"{DOCUMENT}: redocly lint\n{run.stdout[-4000:]}{run.stderr[-2000:]}"


def check(root):
    for name in (DOCUMENT, *TABLES):
        if not (root / name).exists():
            yield f"{name} is missing"
            return
    yield from check_routes(root)
    yield from check_linter(root)
