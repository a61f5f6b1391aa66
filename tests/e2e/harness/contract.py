# SPDX-License-Identifier: Apache-2.0
"""schema/openapi.yaml as a contract: every answer of every test is held against it. An answer whose status, content type, headers or body
the document does not describe fails the test that got it; a field that nobody declared is such a fault, a leaked key among them."""
import functools
import json
import pathlib
import re

import yaml
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import RefResolver, extend

DOCUMENT = pathlib.Path(__file__).resolve().parents[3] / "schema" / "openapi.yaml"
BODY_MAX = 1 << 18  # beyond, validation in Python takes longer than the test


@functools.cache
def document():
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(DOCUMENT.read_text(encoding="utf-8"), loader)


@functools.cache
def templates():
    """[(pattern, path item)], paths without braces first."""
    rows = sorted(document()["paths"].items(), key=lambda row: "{" in row[0])
    return [(re.compile(re.sub(r"\\\{\w+\\\}", r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", re.escape(path))), path, item) for path, item in rows]


def _properties(checker, properties, instance, schema):
    """As ever, and what is write-only is in no answer."""
    yield from Draft202012Validator.VALIDATORS["properties"](checker, properties, instance, schema)
    for name, described in properties.items():
        if isinstance(instance, dict) and name in instance and resolve(described).get("writeOnly"):
            yield ValidationError(f"{name} is write-only")


AnswerValidator = extend(Draft202012Validator, {"properties": _properties})


def resolve(node):
    while "$ref" in node:
        target = document()
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


@functools.cache
def validator(path, method, status, content_type):
    """The schema's validator; None when a body of this type is not described."""
    response = resolve(document()["paths"][path][method]["responses"][status])
    media = response.get("content", {}).get(content_type)
    if media is None:
        return None
    return AnswerValidator(media.get("schema", {}), resolver=RefResolver("", document()))


def operation(method, path):
    """(path of the document, operation), or None for what is not described; HEAD is GET."""
    for pattern, name, item in templates():
        if pattern.fullmatch(path):
            return (name, item["get" if method == "head" else method]) if ("get" if method == "head" else method) in item else None
    return None


def check(method, target, status, headers, body):
    """Raises AssertionError. Paths and methods of no operation are not judged here (they answer 404 and 405)."""
    method, path = method.lower(), target.partition("?")[0]
    found = operation(method, path)
    if found is None:
        return
    name, described = found
    what = f"{method.upper()} {path} answered {status}"
    assert str(status) in described["responses"], f"{what}, which openapi.yaml does not describe: {body[:500]!r}"
    content_type = headers.get("Content-Type", "").partition(";")[0]
    if method == "head" or not body:
        return
    checker = validator(name, "get" if method == "head" else method, str(status), content_type)
    assert checker is not None, f"{what} as {content_type}, which openapi.yaml does not describe"
    if not content_type.endswith("json") or len(body) > BODY_MAX:
        return
    documents = body.splitlines() if content_type == "application/x-ndjson" else [body]
    faults = [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:300]}" for text in documents for e in checker.iter_errors(json.loads(text))]
    assert not faults, f"{what} with a body that openapi.yaml does not describe: {faults[:5]}"
