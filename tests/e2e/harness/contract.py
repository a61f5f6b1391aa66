# SPDX-License-Identifier: Apache-2.0
"""schema/openapi.yaml as a contract: every request that is accepted and every answer, of every test, is held against it. A parameter, field,
status, header or type that the document does not describe fails the test that met it; a field that nobody declared is such a fault, a leaked
key among them. What was met is kept in `seen`, for harness/coverage.py to tell what of the document no test has exercised."""
import functools
import json
import pathlib
import re
import threading
from urllib.parse import parse_qsl

import yaml
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import RefResolver, extend

DOCUMENT = pathlib.Path(__file__).resolve().parents[3] / "schema" / "openapi.yaml"
BODY_MAX = 1 << 18  # beyond, validation in Python takes longer than the test
TRANSPORT = {"date", "connection", "content-type", "content-length", "transfer-encoding"}  # of any HTTP; the document need not say them

seen = set()  # ("status", operationId, status), ("parameter", operationId, name), ("header", pointer), ("answer" or "request", pointer of a property)
_state = threading.local()


def once(make):
    """Made by the first who asks and by nobody else: what is known by identity must not be there twice, whichever threads came first."""
    lock, made = threading.Lock(), []

    @functools.wraps(make)
    def get():
        with lock:
            if not made:
                made.append(make())
            return made[0]
    return get


@once
def document():
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(DOCUMENT.read_text(encoding="utf-8"), loader)


@once
def templates():
    """[(pattern, path, path item)], paths without braces first. {path} stands for any number of segments."""
    rows = sorted(document()["paths"].items(), key=lambda row: ("{" in row[0], "{path}" in row[0]))
    return [(re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path).replace(r"\{path\}", ".+"))), path, item)
            for path, item in rows]


@once
def pointers():
    """Of each mapping of the document, by identity: where it stands."""
    found = {}

    def walk(node, pointer):
        if isinstance(node, dict):
            found.setdefault(id(node), pointer)
            for name, child in node.items():
                walk(child, f"{pointer}/{name}")
        elif isinstance(node, list):
            for index, child in enumerate(node):
                walk(child, f"{pointer}/{index}")
    walk(document(), "#")
    return found


def resolve(node):
    while "$ref" in node:
        target = document()
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def is_hidden(described, word):
    """word: readOnly or writeOnly."""
    return bool(described.get(word) or resolve(described).get(word))


# Validators ----------------------------------------------------------------------------------------------------------

def _note(direction, properties, instance):
    if not getattr(_state, "mute", 0) and isinstance(instance, dict):
        pointer = pointers().get(id(properties))
        seen.update((direction, f"{pointer}/{name}") for name in instance if name in properties)


def _answer_properties(checker, properties, instance, schema):
    """As ever, and what is write-only is in no answer."""
    _note("answer", properties, instance)
    yield from Draft202012Validator.VALIDATORS["properties"](checker, properties, instance, schema)
    for name, described in properties.items():
        if isinstance(instance, dict) and name in instance and is_hidden(described, "writeOnly"):
            yield ValidationError(f"{name} is write-only")


def _request_properties(checker, properties, instance, schema):
    _note("request", properties, instance)
    yield from Draft202012Validator.VALIDATORS["properties"](checker, properties, instance, schema)


def _request_enum(checker, words, instance, schema):
    """Words are read in any case, as the document says."""
    if instance not in words and str(instance).lower() not in [str(word).lower() for word in words]:
        yield ValidationError(f"{instance!r} is not one of {words!r}")


def _branches(keyword):
    """Only the branches that fit are noted."""
    def check_branches(checker, branches, instance, schema):
        _state.mute = getattr(_state, "mute", 0) + 1
        try:
            fitting = [branch for branch in branches if checker.evolve(schema=branch).is_valid(instance)]
            errors = [] if fitting else list(Draft202012Validator.VALIDATORS[keyword](checker, branches, instance, schema))
        finally:
            _state.mute -= 1
        yield from errors
        for branch in fitting:
            yield from checker.descend(instance, branch)
    return check_branches


# One that fits is enough, for oneOf too: DryRun and Ssl share no required member, other branches differ in type.
BRANCHES = {"oneOf": _branches("oneOf"), "anyOf": _branches("anyOf")}
AnswerValidator = extend(Draft202012Validator, {"properties": _answer_properties, **BRANCHES})
RequestValidator = extend(Draft202012Validator, {"properties": _request_properties, "enum": _request_enum, **BRANCHES})


@functools.cache
def answer_validator(path, method, status, content_type):
    """The schema's validator; None when a body of this type is not described."""
    response = resolve(document()["paths"][path][method]["responses"][status])
    media = response.get("content", {}).get(content_type)
    if media is None:
        return None
    return AnswerValidator(media["schema"].get("contentSchema", media["schema"]), resolver=RefResolver("", document()))


@functools.cache
def request_validator(path, method, content_type):
    """As above; a body of a type that is not described is read as JSON (what `curl -d` says without being told)."""
    described = document()["paths"][path][method].get("requestBody")
    if described is None:
        return None
    content = resolve(described)["content"]
    schema = content.get(content_type, content.get("application/json"))["schema"]
    return RequestValidator(schema.get("contentSchema", schema), resolver=RefResolver("", document()))


def validate(checker, body, is_lines):
    texts = [line for line in body.splitlines() if line.strip()] if is_lines else [body]
    return [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:300]}" for text in texts for e in checker.iter_errors(json.loads(text))]


# Exchanges -----------------------------------------------------------------------------------------------------------

METHODS = ("get", "put", "post", "patch", "delete", "head")


def operations():
    """[(path, method, operation)] of the document."""
    return [(path, method, item[method]) for path, item in document()["paths"].items() for method in METHODS if method in item]


def operation(method, path):
    """(path of the document, its method, operation), or None for what is not described; HEAD is GET where it has no operation of its own."""
    for pattern, name, item in templates():
        if pattern.fullmatch(path):
            for word in (method, "get") if method == "head" else (method,):
                if word in item:
                    return name, word, item[word]
    return None


def parameters(path, described):
    """{(in, name in lower case): parameter}."""
    rows = [resolve(row) for row in [*document()["paths"][path].get("parameters", []), *described.get("parameters", [])]]
    return {(row["in"], row["name"].lower()): row for row in rows}


def _value(schema, texts):
    """What the texts of a query parameter mean."""
    schema = resolve(schema)
    if schema.get("type") == "array":
        return texts
    if schema.get("type") == "integer" and re.fullmatch(r"-?\d+", texts[0]):
        return int(texts[0])
    if schema.get("type") == "boolean":
        return {"true": True, "false": False}.get(texts[0], texts[0])
    return texts[0]


def _check_query(what, path, described, query, is_strict):
    """Where it is not strict, as in APISIX, what is not understood is ignored."""
    known = parameters(path, described)
    given = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        given.setdefault(name, []).append(text)
    for name, texts in given.items():
        row = known.get(("query", name.lower()))
        if row is None and not is_strict:
            continue
        assert row is not None, f"{what}, and took the parameter {name}, which openapi.yaml does not describe"
        faults = [e.message for e in RequestValidator(row["schema"], resolver=RefResolver("", document())).iter_errors(_value(row["schema"], texts))]
        assert not faults or not is_strict, f"{what}, and took {name}={texts}, which openapi.yaml does not describe: {faults}"
        seen.add(("parameter", described["operationId"], name))


def check_request(method, target, headers, body, status):
    """Of a request that was accepted. Raises AssertionError. body: bytes or None; all of it, or None when it was no whole one."""
    path, _, query = target.partition("?")
    found = operation(method.lower(), path)
    if found is None or not 200 <= status < 400:
        return
    name, word, described = found
    what = f"{method} {target} was answered {status}"
    _check_query(what, name, described, query, is_strict=not name.startswith("/apisix/"))
    for key, row in parameters(name, described).items():
        if row["in"] == "path" or (row["in"] == "header" and key[1] in {header.lower() for header in headers}):
            seen.add(("parameter", described["operationId"], row["name"]))
    content_type = next((text for header, text in headers.items() if header.lower() == "content-type"), "application/json").partition(";")[0]
    checker = request_validator(name, word, content_type)
    if checker is None or not body or len(body) > BODY_MAX:
        return
    faults = validate(checker, body, content_type == "application/x-ndjson")
    assert not faults, f"{what}, and took a body that openapi.yaml does not describe: {faults[:5]}"


def _check_headers(what, response, headers):
    known = {name.lower(): row for name, row in response.get("headers", {}).items()}
    for name, text in headers.items():
        row = known.get(name.lower())
        assert row is not None or name.lower() in TRANSPORT, f"{what} with the header {name}, which openapi.yaml does not describe"
        if row is not None:
            schema = resolve(row)["schema"]
            faults = [e.message for e in RequestValidator(schema, resolver=RefResolver("", document())).iter_errors(_value(schema, [text]))]
            assert not faults, f"{what} with {name}: {text}, which openapi.yaml does not describe: {faults}"
            seen.add(("header", f"{pointers()[id(response)]}/{name.lower()}"))


def check(method, target, status, headers, body):
    """Of an answer. Raises AssertionError. Paths and methods of no operation succeed at nothing."""
    path = target.partition("?")[0]
    found = operation(method.lower(), path)
    what = f"{method} {path} answered {status}"
    if found is None:
        assert status >= 400 or method == "OPTIONS", f"{what}, which openapi.yaml does not describe: {body[:500]!r}"
        return
    name, word, described = found
    assert str(status) in described["responses"], f"{what}, which openapi.yaml does not describe: {body[:500]!r}"
    response = resolve(described["responses"][str(status)])
    _check_headers(what, response, headers)
    seen.add(("status", described["operationId"], str(status)))
    if method.lower() == "head" or not body:
        assert method.lower() == "head" or not response.get("content"), f"{what} without a body"
        return
    content_type = headers.get("Content-Type", "").partition(";")[0]
    checker = answer_validator(name, word, str(status), content_type)
    assert checker is not None, f"{what} as {content_type}, which openapi.yaml does not describe"
    if not content_type.endswith("json") or len(body) > BODY_MAX:
        return
    faults = validate(checker, body, content_type == "application/x-ndjson")
    assert not faults, f"{what} with a body that openapi.yaml does not describe: {faults[:5]}"
