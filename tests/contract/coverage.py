# SPDX-License-Identifier: Apache-2.0
"""What of schema/openapi.yaml did no end-to-end test exercise? coverage.py FOLDER: FOLDER has what the test processes have seen (conftest.py
writes it). Prints each status, parameter, header and field that is missing; exits 1 if one is."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from harness.contract import document, is_hidden, operations, parameters, pointers, resolve  # noqa: E402


def properties(schema, direction, done):
    """("answer" or "request", pointer) of each property that may stand in one."""
    if not isinstance(schema, dict) or id(schema) in done:
        return
    done.add(id(schema))
    if "$ref" in schema:
        yield from properties(resolve(schema), direction, done)
    for name, child in schema.get("properties", {}).items():
        if not is_hidden(child, "writeOnly" if direction == "answer" else "readOnly"):
            yield direction, f"{pointers()[id(schema['properties'])]}/{name}"
            yield from properties(child, direction, done)
    for word in ("items", "additionalProperties", "contentSchema"):
        yield from properties(schema.get(word), direction, done)
    for word in ("oneOf", "anyOf", "allOf"):
        for child in schema.get(word, []):
            yield from properties(child, direction, done)


def described():
    done = {"answer": set(), "request": set()}
    for path, _, row in operations():
        for parameter in parameters(path, row).values():
            yield "parameter", row["operationId"], parameter["name"]
        for media in resolve(row.get("requestBody", {})).get("content", {}).values():
            yield from properties(media["schema"], "request", done["request"])
        for status, response in row["responses"].items():
            yield "status", row["operationId"], status
            response = resolve(response)
            for name in response.get("headers", {}):
                yield "header", f"{pointers()[id(response)]}/{name.lower()}"
            for media in response.get("content", {}).values():
                yield from properties(media["schema"], "answer", done["answer"])


def main(folder):
    seen = {tuple(row) for path in pathlib.Path(folder).glob("*.json") for row in json.loads(path.read_text())}
    wanted = set(described())
    missing = sorted(wanted - seen)
    for row in missing:
        print("no test exercised", *row)
    print(f"openapi.yaml: {len(wanted) - len(missing)} of {len(wanted)} statuses, parameters, headers and fields were exercised")
    return 1 if missing or not wanted else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
