"""An API server for kubectl, as far as the scripts need one: no real one is to be had here.

kubectl itself is the real one. It finds the resources here by discovery, as on a cluster, and
creates, patches, lists, watches and deletes objects. Nothing is scheduled and nothing runs: what
becomes of pods is told by ``Fate``.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from api_objects import KINDS, Object, Objects, merged

_PLURALS = {plural: (kind, version, namespaced) for kind, plural, version, namespaced in KINDS}
_SHORT_NAMES = {"services": ["svc"], "replicasets": ["rs"]}
_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


@dataclass
class Api:
    """One stand-in while it serves.

    Attributes:
        url: where it listens.
        objects: what the cluster has.
        forbidden: plurals that nobody may touch.
        token: the bearer token that is asked for; empty: none.
        changes: method and path of each request that changed something.
        tokens: each bearer token that came.
    """

    url: str = ""
    objects: Objects = field(default_factory=Objects)
    forbidden: set[str] = field(default_factory=set)
    token: str = ""
    changes: list[tuple[str, str]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)

    def add_node(self, name: str, **labels: str) -> None:
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        self.objects.put("nodes", _object("Node", "v1", name, labels=labels) | {"status": ready})

    def add(self, plural: str, name: str, namespace: str) -> None:
        kind, version, _ = _PLURALS[plural]
        self.objects.put(plural, _object(kind, version, name, namespace=namespace))

    def deployment(self) -> Object:
        found = self.objects.get("deployments", "iot-pipeline", "iot-producer")
        assert found is not None
        return found

    def names(self, plural: str) -> list[str]:
        return [o["metadata"]["name"] for o in self.objects.listed(plural, "")]


def _object(kind: str, version: str, name: str, **meta: Any) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **meta}}


def _discovery(path: str) -> Object | None:
    """What /api, /apis, /api/v1, /apis/apps/v1 … and /openapi/v3 answer."""
    versions = sorted({version for _, _, version, _ in KINDS})
    groups = [v for v in versions if "/" in v]
    if path == "/version":
        return {"major": "1", "minor": "32", "gitVersion": "v1.32.4"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        listed = []
        for version in groups:
            preferred = {"groupVersion": version, "version": version.split("/")[1]}
            listed.append(
                {
                    "name": version.split("/")[0],
                    "versions": [preferred],
                    "preferredVersion": preferred,
                }
            )
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}
    if path == "/openapi/v3":
        paths = {_root(v)[1:]: {"serverRelativeURL": f"/openapi/v3{_root(v)}"} for v in versions}
        return {"paths": paths}
    for version in versions:
        kinds = [k for k in KINDS if k[2] == version]
        if path == _root(version):
            resources = [
                {
                    "name": plural,
                    "singularName": kind.lower(),
                    "namespaced": namespaced,
                    "kind": kind,
                    "shortNames": _SHORT_NAMES.get(plural, []),
                    "verbs": _VERBS,
                }
                for kind, plural, _, namespaced in kinds
            ]
            return {
                "kind": "APIResourceList",
                "groupVersion": version,
                "resources": resources,
            }
        if path == f"/openapi/v3{_root(version)}":
            # Enough for kubectl to learn that the server validates fields itself.
            return {"openapi": "3.0.0", "paths": dict(map(_patchable, kinds))}
    return None


def _root(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _patchable(kind: tuple[str, str, str, bool]) -> tuple[str, Object]:
    name, plural, version, _ = kind
    group, _, number = version.rpartition("/")
    operation = {
        "parameters": [{"name": "fieldValidation", "in": "query"}],
        "x-kubernetes-group-version-kind": {"group": group, "version": number, "kind": name},
        "responses": {},
    }
    return f"{_root(version)}/{plural}/{{name}}", {"patch": operation}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: Api

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PATCH = do_DELETE = do_PUT = do_GET  # noqa: N815 # http.server finds them by name

    def _answer(self) -> None:
        url = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(url.query).items()}
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        bearer = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        self.api.tokens.add(bearer)
        if self.api.token and not bearer.startswith(self.api.token):
            return self._status(401, "Unauthorized", "Unauthorized")
        if self.command == "GET" and (found := _discovery(url.path)) is not None:
            return self._send(200, found)
        place = _place(url.path)
        if place is None:
            return self._status(404, "NotFound", "the server could not find the requested resource")
        plural, namespace, name, rest = place
        if plural in self.api.forbidden:
            message = f'{plural} is forbidden: User "tests" cannot {self.command} it'
            return self._status(403, "Forbidden", message)
        if self.command != "GET":
            self.api.changes.append((self.command, url.path))
        sent = json.loads(body) if body else {}
        return self._serve(plural, namespace, name, rest, sent)

    def _serve(self, plural: str, namespace: str, name: str, rest: str, sent: Object) -> None:
        objects = self.api.objects
        if self.command == "GET" and rest == "log":
            return self._send(200, objects.fate.log, "text/plain")
        if self.command == "GET" and not name:
            return self._list(plural, namespace)
        if plural in ("deployments", "pods") and self.command == "GET":
            objects.look()
        found = objects.get(plural, namespace, name or sent.get("metadata", {}).get("name", ""))
        if self.command == "POST":
            if found is not None:
                return self._status(409, "AlreadyExists", f"{plural} already exists")
            if namespace and objects.get("namespaces", "", namespace) is None:
                return self._status(404, "NotFound", f'namespaces "{namespace}" not found')
            if namespace:
                sent["metadata"]["namespace"] = namespace
            return self._send(201, objects.put(plural, sent))
        if found is None:
            return self._status(404, "NotFound", f'{plural} "{name}" not found')
        if self.command == "PATCH":
            found.pop("status", None)
            return self._send(200, objects.put(plural, merged(found, sent)))
        if self.command == "DELETE":
            return self._send(200, objects.delete(plural, namespace, name))
        return self._send(200, found)

    def _list(self, plural: str, namespace: str) -> None:
        if self.query.get("watch") in ("true", "1"):
            return self._watch(plural, namespace)
        if plural == "pods":
            self.api.objects.look()
        items = self.api.objects.listed(plural, namespace)
        field_selector = self.query.get("fieldSelector", "")
        if field_selector.startswith("metadata.name="):
            wanted = field_selector.partition("=")[2]
            items = [o for o in items if o["metadata"]["name"] == wanted]
        for pair in filter(None, self.query.get("labelSelector", "").split(",")):
            label, _, value = pair.partition("=")
            items = [o for o in items if o["metadata"].get("labels", {}).get(label) == value]
        kind, version, _ = _PLURALS[plural]
        return self._send(
            200,
            {
                "apiVersion": version,
                "kind": f"{kind}List",
                "metadata": {"resourceVersion": "1"},
                "items": items,
            },
        )

    def _watch(self, plural: str, namespace: str) -> None:
        """One object, until it is gone: what kubectl delete waits for."""
        name = self.query.get("fieldSelector", "").partition("=")[2]
        gone = _object(*_PLURALS[plural][:2], name, namespace=namespace)
        while self.api.objects.get(plural, namespace, name) is not None:
            self.api.objects.look()
            time.sleep(0.02)
        self._send(200, {"type": "DELETED", "object": gone})

    def _status(self, code: int, reason: str, message: str) -> None:
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
        self._send(code, status | {"reason": reason, "message": message, "code": code})

    def _send(self, code: int, body: Object | str, kind: str = "application/json") -> None:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _place(path: str) -> tuple[str, str, str, str] | None:
    """Plural, namespace, name and what follows, of a path under /api or /apis; None if unknown."""
    parts = path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    namespace = ""
    if len(parts) > 2 and parts[0] == "namespaces" and parts[2] in _PLURALS:
        namespace, parts = parts[1], parts[2:]
    if not parts or parts[0] not in _PLURALS:
        return None
    padded = [*parts, "", ""]
    return padded[0], namespace, padded[1], padded[2]


@contextmanager
def serving(certificate: Path | None = None, key: Path | None = None) -> Iterator[Api]:
    """A stand-in on a free port of loopback, with TLS if it is given a certificate."""
    api = Api()
    handler = type("Handler", (_Handler,), {"api": api})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    scheme = "http"
    if certificate is not None:
        scheme = "https"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    api.url = f"{scheme}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def write_kubeconfig(path: Path, url: str, context: str = "tests") -> None:
    """A kubeconfig (JSON is YAML) with one context."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": context, "cluster": {"server": url}}],
        "users": [{"name": "tests", "user": {}}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": "tests"}}],
    }
    path.write_text(json.dumps(config))
