"""A hub for tests on this computer: the part of the Hugging Face hub's HTTP interface that its own client needs to
create a repository, commit to it, list it and download from it. Files stay in memory."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_onnx import write_network

REPOSITORY = re.compile(
    r"(?:/api/models)?/([\w.-]+/[\w.-]+)/(revision|tree|preupload|commit|resolve)/([\w.-]+)/?([^?]*)"
)


class Hub(ThreadingHTTPServer):
    """commits: by repository, all commits, each its hash and files, the last one being main. requests: method and path
    of each request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.commits: dict[str, list[tuple[str, dict[str, bytes]]]] = {}
        self.private: set[str] = set()
        self.requests: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def commit(self, repository: str, files: dict[str, bytes]) -> str:
        number = len(self.commits.setdefault(repository, []))
        sha = hashlib.sha1(f"{repository} {number}".encode()).hexdigest()
        self.commits[repository].append((sha, files))
        return sha

    def files(self, repository: str) -> dict[str, bytes]:
        return self.commits[repository][-1][1]


@contextmanager
def running_hub() -> Iterator[Hub]:
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


def use(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Make the client ask this hub, as HF_ENDPOINT does before it is imported."""
    constants = import_module("huggingface_hub.constants")
    monkeypatch.setattr(constants, "ENDPOINT", address)
    files = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)


def write_model(folder: Path) -> Path:
    """A model folder that finds seventeen colours, and a file that does not belong to it."""
    path = write_network(folder, name="seventeen colours", licence="MIT", measured={"AP, dev": 0.5})
    path.rename(folder / "model.onnx")
    spec = path.with_suffix(".json")
    (folder / "model.json").write_text(spec.read_text().replace("colours.onnx", "model.onnx"))
    spec.unlink()
    (folder / "notes.txt").write_text("not for others")
    return folder


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(b"")

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _answer(self, body: bytes) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        match = REPOSITORY.match(self.path)
        if self.path == "/api/repos/create":
            self._create(json.loads(body))
        elif self.path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif match is None or match[1] not in self.server.commits:
            self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        else:
            self._of_repository(*match.groups(), body)

    def _create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}" if wanted.get("organization") else wanted["name"]
        if "Authorization" not in self.headers:
            self._json({"error": "Invalid username or password."}, 401)
        elif name in self.server.commits:
            self._json({"error": "You already created this model repo", "url": f"{self.server.address}/{name}"}, 409)
        else:
            self.server.commit(name, {".gitattributes": b"\n"})
            if wanted.get("private") or wanted.get("visibility") == "private":
                self.server.private.add(name)
            self._json({"url": f"{self.server.address}/{name}", "id": name})

    def _of_repository(self, name: str, what: str, revision: str, path: str, body: bytes) -> None:
        commits = dict(self.server.commits[name]) | {"main": self.server.files(name)}
        sha = self.server.commits[name][-1][0] if revision == "main" else revision
        if revision not in commits:
            self._json({"error": "Invalid rev id"}, 404, {"X-Error-Code": "RevisionNotFound"})
            return
        files = commits[revision]
        if what == "revision":
            self._json({"id": name, "sha": sha, "siblings": [{"rfilename": file} for file in files]})
        elif what == "tree":
            self._json(
                [{"type": "file", "path": file, "size": len(one), "oid": _oid(one)} for file, one in files.items()]
            )
        elif what == "preupload":
            regular = {"uploadMode": "regular", "shouldIgnore": False}
            self._json({"files": [{"path": file["path"]} | regular for file in json.loads(body)["files"]]})
        elif what == "commit":
            self._commit(name, files, [json.loads(line) for line in body.splitlines()])
        else:
            self._send(200, files[path], {"ETag": f'"{_oid(files[path])}"', "X-Repo-Commit": sha})

    def _commit(self, name: str, files: dict[str, bytes], lines: list[dict[str, Any]]) -> None:
        files = dict(files)
        for line in lines:
            if line["key"] == "file":
                files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "deletedFile":
                del files[line["value"]["path"]]
        sha = self.server.commit(name, files)
        self._json({"success": True, "commitOid": sha, "commitUrl": f"{self.server.address}/{name}/commit/{sha}"})

    def _json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json"} | (headers or {}))

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _oid(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
