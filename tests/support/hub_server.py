"""A model hub on this machine: the addresses of it that huggingface_hub asks for when it fetches, and when it uploads."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@contextmanager
def serve(folder: Path, repository: str, revision: str) -> Iterator[tuple[str, list[str]]]:
    """Serve the files of ``folder`` as one repository at one revision; give the hub's address and the files asked for."""
    fetched: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        """Answers ``/api/models/R/tree/REVISION`` and ``/R/resolve/REVISION/FILE``."""

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            path = self.path.partition("?")[0]
            file = folder / path.rpartition("/")[2]
            if path == f"/api/models/{repository}/tree/{revision}":
                content = json.dumps([describe(item) for item in sorted(folder.iterdir())]).encode()
            elif path.startswith(f"/{repository}/resolve/{revision}/") and file.is_file():
                content = file.read_bytes()
                fetched.append(file.name)
            else:
                self._send(404, b"", {"X-Error-Code": "RevisionNotFound"}, body=body)
                return
            etag = hashlib.sha256(content).hexdigest()
            self._send(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": revision}, body=body)

        def _send(self, status: int, content: bytes, headers: dict[str, str], *, body: bool) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            """Keep the test's output clean."""

    with running(Handler) as endpoint:
        yield endpoint, fetched


@contextmanager
def running(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """A server on this machine; give its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def accept(folder: Path, repository: str, revision: str) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """Take uploads to one repository into ``folder``; give the hub's address and the requests to make a repository."""
    made: list[dict[str, object]] = []

    class Handler(BaseHTTPRequestHandler):
        """Answers what ``create_repo`` and ``upload_folder`` ask; every file travels within the commit."""

        def do_POST(self) -> None:
            path = self.path.partition("?")[0]
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Authorization") != "Bearer hf_valid":
                self._send(401, {"error": "Invalid username or password."})
            elif path == "/api/repos/create":
                made.append(json.loads(body))
                self._send(200, {"url": f"http://{self.headers['Host']}/{repository}", "name": repository})
            elif path == f"/api/models/{repository}/preupload/main":
                wanted = json.loads(body)["files"]
                files = [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in wanted]
                self._send(200, {"files": files})
            elif path == f"/api/models/{repository}/commit/main":
                for line in body.splitlines():
                    entry = json.loads(line)
                    if entry["key"] == "file":
                        (folder / entry["value"]["path"]).write_bytes(base64.b64decode(entry["value"]["content"]))
                address = f"http://{self.headers['Host']}/{repository}/commit/{revision}"
                self._send(200, {"success": True, "commitOid": revision, "commitUrl": address})
            elif path == "/api/validate-yaml":
                self._send(200, {"errors": [], "warnings": []})
            else:
                self._send(404, {"error": "not here"})

        def _send(self, status: int, content: dict[str, object]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Keep the test's output clean."""

    with running(Handler) as endpoint:
        yield endpoint, made


def describe(file: Path) -> dict[str, object]:
    """One line of a repository's tree."""
    content = file.read_bytes()
    return {"type": "file", "path": file.name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
