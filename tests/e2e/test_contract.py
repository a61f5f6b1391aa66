# SPDX-License-Identifier: Apache-2.0
"""The check that every answer passes (harness/contract.py) can fail."""
import json

import pytest

from harness import contract

JSON = {"Content-Type": "application/json"}


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
