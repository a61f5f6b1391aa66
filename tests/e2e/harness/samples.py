# SPDX-License-Identifier: Apache-2.0
"""A control plane with an object of each kind, and for each operation of openapi.yaml a request that it accepts: where generated tests begin."""
import copy
import json
import re

from harness import contract

KINDS = ("upstreams", "upstream_tls", "ca_bundles", "tls_options", "listeners", "routes", "ssls")
ELIDED = "MIIB...|MIGH..."  # how the document's examples write what is inside PEM


def examples(media):
    """The examples of a media type, or of a parameter, that are in the document."""
    return [resolved["value"] for resolved in map(contract.resolve, media.get("examples", {}).values())]


def kind_of(path):
    return (path.split("/") + ["", ""])[3 if path.startswith("/apisix") else 2]


class Samples:
    """`agent`: the id of an enrolled agent. Everything else is made here, under the id "sample"."""

    def __init__(self, api, ca, agent):
        self.api, self.agent, self.count = api, agent, 0
        self.pair, self.authority = ca.issue("shop.example", "shop.example.com", "*.shop.example.com"), ca.cert_pem
        self.bodies = {
            "upstreams": {"nodes": {"127.0.0.1:9": 1}}, "upstream_tls": {"server_name": "origin.test"}, "ca_bundles": {"certs": ca.cert_pem},
            "tls_options": {"min_version": "TLSv1.2"}, "listeners": {"bind": "127.0.0.1:1", "upstream": "sample"}, "routes": {"snis": ["route.test"]},
            "ssls": self.pair.ssl("shop.example")}
        api.apply(put=[(kind, "sample", self.body(kind)) for kind in KINDS]).expect(200)
        self.revision = api.head()[1]  # changed more than one object
        self.join_token = api.post("/v1/join_tokens", {"ttl": 600}).expect(201).json["id"]
        api.post("/v1/tokens", {"id": "sample", "role": "viewer"}).expect(201)

    def body(self, kind):
        """Always another one. Fit for a new object, too: no two listeners have one address."""
        self.count += 1
        body = {**copy.deepcopy(self.bodies[kind]), "desc": f"made {self.count}"}
        if kind == "listeners":
            body["bind"] = f"127.99.{self.count // 250}.{self.count % 250 + 1}:1"
        return body

    def fill(self, value):
        """An example of the document with a real certificate, key or CA in place of what it elides, and an address that is free."""
        if isinstance(value, dict):
            if "bind" in value:
                value = {**value, "bind": self.body("listeners")["bind"]}
            return {name: self.authority if name in ("certs", "ca") and isinstance(child, str) else self.fill(child) for name, child in value.items()}
        if isinstance(value, list):
            return [self.fill(child) for child in value]
        if isinstance(value, str) and "-----BEGIN" in value and re.search(ELIDED, value):
            return self.pair.key_pem if "PRIVATE KEY" in value else self.pair.cert_pem
        return value

    def new(self, kind):
        """The id of a fresh object, to be changed or deleted."""
        if kind == "join_tokens":
            return self.api.post("/v1/join_tokens", {"ttl": 600}).expect(201).json["id"]
        if kind == "tokens":
            return self.api.post("/v1/tokens", {"role": "viewer"}).expect(201).json["id"]
        return self.api.post(f"/v1/{kind}", self.body(kind)).expect(201).json["id"]

    def path(self, template, method="get"):
        """DELETE gets an object of its own."""
        kind = kind_of(template)
        if "{id}" in template:
            ids = {"agents": self.agent, "join_tokens": self.join_token}
            template = template.replace("{id}", self.new(kind) if method == "delete" and kind != "agents" else ids.get(kind, "sample"))
        if "{revision}" in template:
            template = template.replace("{revision}", str(self.revision if method == "get" else self.api.head()[1]))
        return template.replace("{name}", "ssls" if "validate" in template else "ssl").replace("{path}", "desc")

    def request_body(self, path, method):
        """As JSON; None: it takes none."""
        kind = kind_of(path)
        if path.endswith("/{path}"):
            return "changed"
        if path in ("/apisix/admin/ssls", "/apisix/admin/ssls/{id}", "/apisix/admin/schema/validate/{name}") and method in ("put", "post"):
            return {**self.body("ssls"), **({"id": "sample"} if path.endswith("/ssls") and method == "put" else {})}
        if path == "/apisix/admin/configs/validate":
            return {"ssls": [{**self.body("ssls"), "id": "sample"}]}
        if method == "patch":
            self.count += 1
            return {"labels": {"site": f"s{self.count}"}} if kind == "agents" else {"desc": f"changed {self.count}"}
        if method in ("put", "post") and kind in KINDS:
            return self.body(kind)
        if method == "put" or path == "/v1/apply":
            return {"put": [{"kind": kind, "id": "sample", "value": self.body(kind)} for kind in KINDS]}
        return {"/v1/tokens": {"role": "viewer"}, "/v1/join_tokens": {"ttl": 60}}.get(path) if method == "post" else None

    def query(self, path):
        return {"agent": self.agent, "listener": "sample"} if path == "/v1/resolve" else {}

    def send(self, path, method, *, api=None, target=None, body=None, **more):
        """The request that is accepted, but for what is given."""
        if body is None:
            body = self.request_body(path, method)
        if not isinstance(body, (bytes, type(None))):
            body = json.dumps(body).encode()
        return (api or self.api).call(method.upper(), target or self.path(path, method), body, **{**self.query(path), **more})
