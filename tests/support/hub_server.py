"""A model hub on this machine: the two addresses of it that huggingface_hub asks for."""

from __future__ import annotations

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

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", fetched
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def describe(file: Path) -> dict[str, object]:
    """One line of a repository's tree."""
    content = file.read_bytes()
    return {"type": "file", "path": file.name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
