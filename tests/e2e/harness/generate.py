# SPDX-License-Identifier: Apache-2.0
"""Wrong requests out of right ones, by openapi.yaml alone: each place of a body and each parameter made wrong in each way that its schema
knows. Nothing is drawn at random."""
import copy

from jsonschema import Draft202012Validator
from jsonschema.validators import RefResolver

from harness import contract

LENGTH_MAX = 70000  # longer texts, and lists of more than ITEMS_MAX, cost more than they show
ITEMS_MAX = 1100
STRANGERS = (None, True, 7.5, "\u00fc \t", [], [[]], {"x": {}})  # of each type one; no text of the API has blanks and tabs for a word


def is_valid(schema, value):
    return Draft202012Validator(schema, resolver=RefResolver("", contract.document())).is_valid(value)


def merged(schema):
    """With what its references say; what stands beside a reference wins."""
    if "$ref" in schema:
        return {**merged(contract.resolve(schema)), **{name: child for name, child in schema.items() if name != "$ref"}}
    return schema


def _branches(schema, value):
    """The schemas that hold for this value."""
    schema = merged(schema)
    yield schema
    for word in ("oneOf", "anyOf"):
        yield from (inner for branch in schema.get(word, []) if is_valid(branch, value) for inner in _branches(branch, value))
    for branch in schema.get("allOf", []):
        yield from _branches(branch, value)


def _limits(schema, value):
    if isinstance(value, str) and schema.get("maxLength", LENGTH_MAX) < LENGTH_MAX:
        yield "too long", "x" * (schema["maxLength"] + 1)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        for word, step in (("minimum", -1), ("maximum", 1)):
            if word in schema:
                yield f"beyond {word}", schema[word] + step
    if isinstance(value, list) and schema.get("maxItems", ITEMS_MAX) < ITEMS_MAX and value:
        yield "too many", value * (schema["maxItems"] // len(value) + 1)


def wrong_values(schema, value):
    """[(in which way, wrong value)] in place of a right one; what the schema allows after all is left out."""
    whole = merged(schema)
    rows = [(f"a stranger, {stranger!r}", stranger) for stranger in STRANGERS]
    for branch in _branches(schema, value):
        rows += _limits(branch, value)
    return [(why, wrong) for why, wrong in rows if not is_valid(whole, wrong)]


def _put(document, path, value):
    made = copy.deepcopy(document)
    at = made
    for step in path[:-1]:
        at = at[step]
    if path:
        at[path[-1]] = value
    return made if path else value


def _drop(document, path):
    made = copy.deepcopy(document)
    at = made
    for step in path[:-1]:
        at = at[step]
    del at[path[-1]]
    return made


def wrong_bodies(schema, body, path=()):
    """(pointer, in which way, wrong body) for each place of a right body, itself included."""
    at = body
    for step in path:
        at = at[step]
    pointer = "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)
    for why, wrong in wrong_values(schema, at):
        yield pointer, why, _put(body, path, wrong)
    done = set()
    for branch in _branches(schema, at):
        if isinstance(at, dict):
            for name in branch.get("required", []):
                if name in at:
                    yield f"{pointer}/{name}", "missing", _drop(body, (*path, name))
            if branch.get("additionalProperties") is False:
                yield f"{pointer}/no_such_field", "unknown", _put(body, (*path, "no_such_field"), 1)
            for name, child in branch.get("properties", {}).items():
                if name in at and name not in done and not contract.is_hidden(child, "readOnly"):
                    done.add(name)
                    yield from wrong_bodies(child, body, (*path, name))
        elif isinstance(at, list) and at and "items" in branch and 0 not in done:
            done.add(0)
            yield from wrong_bodies(branch["items"], body, (*path, 0))


def wrong_texts(schema):
    """Values of a query parameter that its schema doesn't allow."""
    schema = merged(schema)
    inner = merged(schema["items"]) if schema.get("type") == "array" else schema
    texts = ["no such word!", "", "-1", "99999999999", "x" * (inner["maxLength"] + 1) if inner.get("maxLength", LENGTH_MAX) < 8000 else "\u00fc"]
    texts += [str(inner[word] + step) for word, step in (("minimum", -1), ("maximum", 1)) if word in inner]

    def mean(text):
        number = int(text) if inner.get("type") == "integer" and text.lstrip("-").isdigit() else text
        return [number] if schema.get("type") == "array" else number
    return [text for text in texts if not is_valid(schema, mean(text))]
