"""A double of the Hub's API for datasets: in memory, on a thread, with faults on demand.

It answers the requests that `huggingface_hub` and `datasets` make for publishing and loading, in
the form that the client's source reads, and refuses what it does not know. Not here: merging,
several parts of one large file, redirects to other hosts, gating.

    with Hub() as hub:
        hub.create("org/name")
        hub.fault(500, at=3)                      # the third request from now
        hub.fault("reset", match=r"POST .*/commit/", after=True)  # carried out, answer lost
"""

import json
import re
import socket
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import hub_pulls
from hub_answers import LARGE, PULLS, ROUTES, Answer, Entry, Refusal, Repo, as_json

# The tokens that it knows: of who may write, read, and read and open pull requests.
WRITER, READER, AUTHOR = "hf_writer", "hf_reader", "hf_author"
USERS = {WRITER: "writer", READER: "reader", AUTHOR: "author"}
HANGS = 30  # seconds for which a hanging request is held
# What the client takes for an expired token, rather than for a repository that is not there.
BAD_TOKEN = "Invalid credentials in Authorization header"


class Fault(NamedTuple):
    """What goes wrong: a status, "reset" or "hang"; where; before or after it is carried out."""

    kind: int | str
    at: int | None
    since: int | None
    match: str | None
    after: bool

    def hits(self, number, line):
        if self.match is not None and not re.search(self.match, line):
            return False
        return (self.at in (None, number)) and (self.since is None or number >= self.since)


class Hub:
    """The server; `lines` is the log of requests since `forget`, `before` is called on each."""

    def __init__(self, *, page=1000):
        self.repos, self.objects, self.page = {}, {}, page
        self.ignored, self.xet, self.xet_hashes = set(), None, {}
        self.drafts = False  # whether pull requests begin as drafts
        self.lines, self.faults = [], []
        self.before: Callable[[str], None] = lambda line: None
        self.lock, self.freed = threading.Lock(), threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.hub, self.server.daemon_threads = self, True
        self.server.handle_error = lambda *_: None  # clients that hang up are expected here
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        serve = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        serve.start()
        return self

    def __exit__(self, *_):
        self.freed.set()
        self.server.shutdown()
        self.server.server_close()

    def create(self, name):
        """Make a repository as the Hub does, with a first commit that says what is large."""
        repo = self.repos[name] = Repo(name)
        large = "".join(f"*{end} filter=lfs diff=lfs merge=lfs -text\n" for end in LARGE)
        repo.add({".gitattributes": Entry(large.encode())}, "initial commit")
        return repo

    def fault(self, kind, *, at=None, since=None, match=None, after=False):
        """Let a request fail; numbers count from 1 since `forget`, `match` is "METHOD path"."""
        self.faults.append(Fault(kind, at, since, match, after))

    def forget(self):
        """Clear the log and the faults."""
        self.lines, self.faults = [], []

    def note(self, line):
        """Log a request; return the fault that hits it, or None."""
        with self.lock:
            self.lines.append(line)
            number = len(self.lines)
        self.before(line)
        return next((fault for fault in self.faults if fault.hits(number, line)), None)


class Handler(BaseHTTPRequestHandler):
    """One connection; every request goes to the first of `ROUTES` that matches."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def handle_any(self):
        hub: Hub = self.server.hub
        self.body = self.read_body()
        if self.path == "/api/agent-harnesses":  # the client's own, at most once a day
            self.reply(Answer(b"", {}, 404))
            return
        fault = hub.note(f"{self.command} {self.path}")
        if fault and not fault.after and self.fail(fault):
            return
        try:
            with hub.lock:
                answer = self.dispatch(hub)
        except Refusal as refusal:
            headers = {"X-Error-Message": refusal.message}
            if refusal.code:
                headers["X-Error-Code"] = refusal.code
            answer = as_json({"error": refusal.message}, headers)._replace(status=refusal.status)
        if not (fault and fault.after and self.fail(fault)):
            self.reply(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

    def read_body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def fail(self, fault):
        """Carry out a fault; a status is answered, the others end the connection."""
        if isinstance(fault.kind, int):
            self.reply(Answer(b'{"error": "injected"}', {}, fault.kind))
            return True
        if fault.kind == "hang":
            self.server.hub.freed.wait(HANGS)
        # To linger for no time sends a reset instead of an orderly end.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True
        return True

    def reply(self, answer):
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "Content-Length" not in answer.headers:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def dispatch(self, hub):
        """Answer a request: check the token, then the route's right, then carry it out."""
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in ("", *USERS):
            raise Refusal(401, BAD_TOKEN)
        self.user = USERS.get(token)
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        for method, pattern, writes, answer in ROUTES:
            found = re.fullmatch(pattern, url.path)
            if found is None or self.command not in method.split():
                continue
            named = {key: unquote(value or "") for key, value in found.groupdict().items()}
            repo = hub.repos.get(named.pop("id", None))
            pulls = writes == PULLS and token == AUTHOR
            if (
                writes
                and token != WRITER
                and not (pulls and (repo is None or hub_pulls.may(repo, query, named, self.user)))
            ):
                raise Refusal(403 if token else 401, "You do not have the right to write")
            if "id" not in found.groupdict():
                return answer(hub, self, **named)
            if repo is None:
                raise Refusal(404, "Repository not found", "RepoNotFound")
            return answer(hub, self, repo, query, **named)
        raise Refusal(404, f"the double does not know {self.command} {url.path}")

    def json(self):
        return json.loads(self.body)
