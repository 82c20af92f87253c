"""A small server on this machine that receives the browser's redirect from the vendor: one answer, then it stops."""

from __future__ import annotations

import html
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from string import Template
from urllib.parse import urlsplit

from books.core.faults import Exit, Halt
from books.operations.consent import Consent, NotTheAnswerError, Redirect, too_late
from books.transport.access import Code

REQUEST_SECONDS = 10
POLL_SECONDS = 0.05
"""How often the server checks whether it is to stop."""

PAGE_SECONDS = 60
"""How long the browser waits for the result; reading the company takes a second."""

HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Loopback:
    """Listens at the redirect address. The page it shows says whether the company was connected."""

    def __init__(self, redirect: Redirect, consent: Consent) -> None:
        self._redirect = redirect
        self._consent = consent
        self._answers: queue.Queue[Code | Halt] = queue.Queue()
        self._answered = False
        self._decided, self._shown = threading.Event(), threading.Event()
        self._page = ("Nothing was connected", "The command in the terminal has ended. Run it again.", 200)

    def open(self) -> None:
        """Start to listen.

        Raises:
            Halt: MISCONFIGURED; the port is taken.
        """
        port = self._redirect.port or 0
        try:
            self._server = _Server(("127.0.0.1", port), _handler(self))
        except OSError as error:
            raise _port_taken(port, error) from error
        threading.Thread(target=self._server.serve_forever, args=(POLL_SECONDS,), daemon=True).start()

    def close(self) -> None:
        """Send the waiting browser its page, then stop listening."""
        self._decided.set()
        if self._answered:
            self._shown.wait(REQUEST_SECONDS)
        self._server.shutdown()
        self._server.server_close()

    def wait(self, seconds: float) -> Code:
        """Wait for the answer and return it.

        Raises:
            Halt: it was a refusal, or none came in time.
        """
        try:
            answer = self._answers.get(timeout=seconds)
        except queue.Empty:
            raise too_late() from None
        if isinstance(answer, Halt):
            raise answer
        return answer

    def show(self, title: str, words: str, *, status: int = 200) -> None:
        """Set the page that the browser shows at the end."""
        self._page = (title, words, status)

    def written(self, status: int) -> None:
        """Note that a page was sent; after the final one the server may stop."""
        if self._decided.is_set() and status == self._page[2]:
            self._shown.set()

    def respond(self, target: str) -> tuple[int, bytes]:
        """Return status and page for one request; the page for the answer waits until the result is known."""
        if urlsplit(target).path != self._redirect.path:
            return 404, page("Page not found", "This address belongs to `books connect`.")
        try:
            answer: Code | Halt = self._consent.read(target)
        except NotTheAnswerError as stray:
            return 400, page("This is not the answer", f"{stray}.")
        except Halt as halt:
            answer = halt
        self._answered = True
        self._answers.put(answer)
        self._decided.wait(PAGE_SECONDS)
        title, words, status = self._page
        return status, page(title, words)


class _Server(ThreadingHTTPServer):
    """Browsers open connections ahead of need and leave them idle: each has a thread, and none delays the end."""

    daemon_threads = True


@contextmanager
def listening(redirect: Redirect, consent: Consent) -> Iterator[Loopback]:
    """Listen for the answer; whatever the result, the browser shows it."""
    loopback = Loopback(redirect, consent)
    loopback.open()
    try:
        yield loopback
    except Halt as halt:
        loopback.show("Not connected", f"{halt.message}. {halt.remedy}", status=400)
        raise
    finally:
        loopback.close()


def _port_taken(port: int, error: OSError) -> Halt:
    return Halt(
        f"port {port} on this machine cannot be used: {error.strerror}",
        exit_code=Exit.MISCONFIGURED,
        code="port_taken",
        remedy="end the program that uses it (perhaps another `books connect`), run `books connect --paste`, or set "
        "BOOKS_REDIRECT_URI to http://localhost with another port that is registered for the app too",
    )


def _handler(loopback: Loopback) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_SECONDS

        def do_GET(self) -> None:
            status, body = loopback.respond(self.path)
            self.send_response(status)
            for name, value in HEADERS.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            loopback.written(status)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
            """Log nothing: the address contains the code."""

    return Handler


def page(title: str, words: str) -> bytes:
    """Return our page for the browser; both texts are escaped."""
    template = Template(files("books.cli").joinpath("connect.html").read_text(encoding="utf-8"))
    return template.substitute(title=html.escape(title), words=html.escape(words)).encode()
