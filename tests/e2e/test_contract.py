# SPDX-License-Identifier: Apache-2.0
"""The checks that every exchange passes (harness/contract.py), what writes wrong requests (harness/generate.py), and what counts them
(tests/contract/coverage.py) can fail."""
import json
import pathlib
import subprocess
import sys

import pytest

from harness import contract, generate

JSON = {"Content-Type": "application/json"}
COVERAGE = pathlib.Path(__file__).resolve().parents[1] / "contract" / "coverage.py"


@pytest.fixture(scope="module")
def good(shared_api, ca):
    return shared_api.put("/v1/ssls/contract", ca.issue("contract.test").ssl("contract.test")).expect(201).json


def check(body, status=200, headers=None, method="GET", path="/v1/ssls/contract"):
    contract.check(method, path, status, headers or JSON, json.dumps(body).encode())


def test_a_real_answer_passes(good):
    check(good)


@pytest.mark.parametrize("change", [
    {"colour": "red"}, {"key": "-----BEGIN PRIVATE KEY-----"}, {"keys": ["x"]}, {"version": "x"}, {"priority": "high"}, {"snis": 7}])
def test_a_changed_answer_does_not(good, change):
    with pytest.raises(AssertionError):
        check({**good, **change})


def test_undescribed_status_and_type(good):
    with pytest.raises(AssertionError):
        check(good, status=299)
    with pytest.raises(AssertionError):
        check(good, headers={"Content-Type": "text/html"})


def test_undescribed_header_and_path(good):
    with pytest.raises(AssertionError, match="header Server"):
        check(good, headers={**JSON, "Server": "x"})
    with pytest.raises(AssertionError, match="ETag: 7"):
        check(good, headers={**JSON, "ETag": "7"})
    check({}, status=404, path="/v1/nothing")
    with pytest.raises(AssertionError):
        check({}, status=200, path="/v1/nothing")


@pytest.mark.parametrize("target,body", [
    ("/v1/upstreams/x?colour=red", {"nodes": {"a:1": 1}}), ("/v1/upstreams/x?wait=never", {"nodes": {"a:1": 1}}),
    ("/v1/upstreams/x", {"nodes": {"a:1": 1}, "colour": "red"}), ("/v1/upstreams/x", {}), ("/v1/upstreams/x", {"nodes": {"a:1": 1}, "scheme": "udp"})])
def test_what_should_not_have_been_accepted(target, body):
    contract.check_request("PUT", "/v1/upstreams/x?wait=acked", JSON, b'{"nodes": {"a:1": 1}, "scheme": "TLS"}', 200)
    contract.check_request("PUT", target, JSON, json.dumps(body).encode(), 422)
    with pytest.raises(AssertionError):
        contract.check_request("PUT", target, JSON, json.dumps(body).encode(), 200)


def test_what_is_generated():
    schema = {"type": "object", "additionalProperties": False, "required": ["a"], "properties": {
        "a": {"type": "array", "maxItems": 1, "items": {"type": "integer", "maximum": 7}}, "b": {"type": "string", "readOnly": True}}}
    made = {(pointer, why) for pointer, why, _ in generate.wrong_bodies(schema, {"a": [1], "b": "x"})}
    assert {("/a", "missing"), ("/no_such_field", "unknown"), ("/a", "too many"), ("/a/0", "beyond maximum"), ("/a/0", "a stranger, None")} <= made
    assert not [row for row in made if row[0] == "/b"]
    assert all(not generate.is_valid(schema, wrong) for _, _, wrong in generate.wrong_bodies(schema, {"a": [1], "b": "x"}))
    assert generate.wrong_texts({"type": "integer", "minimum": 0, "maximum": 9}) == ["no such word!", "", "-1", "99999999999", "\u00fc", "-1", "10"]


def test_what_nobody_exercised_is_told(tmp_path):
    (tmp_path / "1.json").write_text(json.dumps([["status", "getHealth", "200"]]))
    run = subprocess.run([sys.executable, "-B", COVERAGE, tmp_path], capture_output=True, text=True, check=False)
    assert run.returncode == 1 and "no test exercised status getHealth 400\n" in run.stdout and "getHealth 200\n" not in run.stdout
    assert "no test exercised answer #/components/schemas/Health/properties/status\n" in run.stdout
