# SPDX-License-Identifier: Apache-2.0
"""schema/openapi.yaml: Redocly and Spectral with its OWASP rules find nothing (tests/contract says which rules), its paths and methods are
those of the tables in controlplane, and whatever is asked with a body, or answered, has an example. That examples fit is Redocly's to see."""
import hashlib
import re
import subprocess

import yaml

TOOLS = "tests/.cache/contract"
RULES = "tests/contract"
DOCUMENT = "schema/openapi.yaml"
LINTERS = {
    "redocly": ["lint", "--format=stylish", f"--config={RULES}/redocly.yaml"],
    "spectral": ["lint", "--quiet", "--fail-severity=hint", "--display-only-failures", f"--ruleset={TOOLS}/spectral.yaml"]}
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


def digest(root):
    """Of what the linters' verdict hangs on: they take a while."""
    files = [root / DOCUMENT, *sorted((root / RULES).glob("*.yaml")), root / RULES / "package-lock.json"]
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()


def check_linters(root):
    tools, bad = root / TOOLS, False
    if not (tools / "node_modules" / ".bin" / "spectral").exists():
        yield f"{TOOLS} is missing (tests/run.sh lint installs it)"
        return
    stamp = tools / "linted"
    if stamp.exists() and stamp.read_text(encoding="ascii") == digest(root):
        return
    (tools / "spectral.yaml").write_bytes((root / RULES / "spectral.yaml").read_bytes())  # it finds its rule sets beside itself
    for name, arguments in LINTERS.items():
        run = subprocess.run([str(tools / "node_modules" / ".bin" / name), *arguments, str(root / DOCUMENT)], capture_output=True, text=True,
                             check=False, cwd=root, env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", "REDOCLY_TELEMETRY": "off",
                                                         "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"})
        if run.returncode != 0:
            bad = True
            yield f"{DOCUMENT}: {name} lint\n{run.stdout[-4000:]}{run.stderr[-2000:]}"
    if not bad:
        stamp.write_text(digest(root), encoding="ascii")


def resolve(document, node):
    while "$ref" in node:
        target = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def media_of(document):
    """(where, media type object) of every body that the document describes."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method not in METHODS:
                continue
            bodies = {"body": operation.get("requestBody", {}), **operation["responses"]}
            for name, body in bodies.items():
                for kind, media in resolve(document, body).get("content", {}).items():
                    yield f"{method.upper()} {path} {name} {kind}", media


def check_examples(root):
    document = yaml.safe_load((root / DOCUMENT).read_text(encoding="utf-8"))
    found = dict(media_of(document))
    for where, media in found.items():
        if "example" not in media and not media.get("examples"):
            yield f"{DOCUMENT}: {where} has no example"
    if not found:
        yield f"{DOCUMENT}: no body found"


def check(root):
    for name in (DOCUMENT, *TABLES):
        if not (root / name).exists():
            yield f"{name} is missing"
            return
    yield from check_routes(root)
    yield from check_examples(root)
    yield from check_linters(root)
