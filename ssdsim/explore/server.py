"""A server on this machine alone: the page, and answers to what it asks."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import token_urlsafe
from threading import Lock
from typing import Any

import msgspec

from ssdsim.errors import ConfigError, require
from ssdsim.explore.answer import Answer, Explorer, Want
from ssdsim.page.write import html

HOST = "127.0.0.1"
MOST_BYTES = 64 * 1024
"""Of a request: options and their values."""
LATER = ("detail", "baselines", "surface")
"""What may take a second, and must not hold up what is asked next."""
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address has the token in it
}


class Request(msgspec.Struct):
    """What the page asks.

    Attributes
    ----------
    settings
        Options with their values.
    want
        What of.
    number
        Rises from one question of a page to its next; older ones are not answered any more.
    page
        Which page asks: a browser may have several.

    """

    settings: dict[str, str | int | float | bool | None]
    want: Want
    number: int = 0
    page: str = ""


@dataclass
class Desk:
    """Answers one question at a time, of each page and kind the latest.

    Attributes
    ----------
    explorer
        Answers.
    token
        Who does not know it is told nothing.
    newest
        By page, the number of its latest question.

    """

    explorer: Explorer
    token: str = field(default_factory=lambda: token_urlsafe(24))
    newest: dict[str, int] = field(default_factory=dict)
    busy: Lock = field(default_factory=Lock)
    slow: Lock = field(default_factory=Lock)

    def page(self) -> str:
        """Return the page."""
        with self.busy:
            return html(self.explorer.page(self.token), asks="'self'")

    def answer(self, request: Request) -> Answer:
        """Return the answer; that it is stale, if the page has asked another thing meanwhile."""
        latest = max(request.number, self.newest.get(request.page, 0))
        self.newest[request.page] = latest
        with self.slow if request.want in LATER else self.busy:
            if request.number < self.newest[request.page]:
                return {"ok": False, "stale": True, "number": request.number}
            found = self.explorer.answer(request.settings, request.want)
        return {**found, "number": request.number}


class Server(ThreadingHTTPServer):
    """Listens on the loopback interface; a thread a connection.

    Raises `ConfigError` if the port is taken.
    """

    daemon_threads = True

    def __init__(self, desk: Desk, port: int = 0) -> None:
        require(0 <= port < 1 << 16, "--port", port, "needs a number from 0 to 65535")
        self.desk = desk
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            right = f"cannot be listened on ({error.strerror}); choose another"
            raise ConfigError(f"--port={port}: {right}") from error

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a page that was closed before it was answered."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def port(self) -> int:
        """The port."""
        return int(self.server_address[1])

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.port}/{self.desk.token}/"


class _Handler(BaseHTTPRequestHandler):
    """Answers whoever knows the token and speaks to this machine by a name of its own."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 600

    def do_GET(self) -> None:
        """Send the page."""
        if self._admitted(""):
            try:
                self._send(HTTPStatus.OK, self.server.desk.page().encode(), "text/html")
            except ConfigError as error:
                self._send(HTTPStatus.CONFLICT, f"{error}\n".encode(), "text/plain")

    def do_POST(self) -> None:
        """Answer a question."""
        if not self._admitted("answer"):
            return
        size = self.headers.get("Content-Length", "")
        if not size.isdigit() or int(size) > MOST_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        try:
            request = msgspec.json.decode(self.rfile.read(int(size)), type=Request)
        except msgspec.DecodeError:
            self._refuse(HTTPStatus.BAD_REQUEST)
            return
        content = json.dumps(self.server.desk.answer(request), allow_nan=False)
        self._send(HTTPStatus.OK, content.encode(), "application/json")

    def _admitted(self, name: str) -> bool:
        """Return whether a request is for this server's own address; refuse it if not."""
        names = {f"{host}:{self.server.port}" for host in (HOST, "localhost")}
        path, token = self.path.partition("?")[0], self.server.desk.token
        if self.headers.get("Host") not in names:
            self._refuse(HTTPStatus.FORBIDDEN)
        elif path != f"/{token}/{name}":
            self._refuse(HTTPStatus.NOT_FOUND)
        else:
            return True
        return False

    def _refuse(self, status: HTTPStatus) -> None:
        self.close_connection = True  # what it still sends is not read
        self._send(status, f"{status.phrase}\n".encode(), "text/plain")

    def _send(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self.send_response(status)
        own: Mapping[str, Any] = {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": len(content),
            **HEADERS,
        }
        for name, value in own.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its base calls it so
        """Say nothing: the address has the token in it."""
