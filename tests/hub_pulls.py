"""Pull requests in the double of the Hub, and the form of its answers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

DAY = "2025-01-01T00:00:00.000Z"


class Refusal(Exception):
    """An answer with an error's status."""

    def __init__(self, status, message, code=None):
        self.status, self.message, self.code = status, message, code


class Answer(NamedTuple):
    """What is sent back."""

    body: bytes
    headers: Mapping = MappingProxyType({})
    status: int = 200


def as_json(value, headers=None):
    return Answer(
        json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})}
    )


@dataclass
class Pull:
    """A pull request: who opened it, what it says, its status, the commit it is at, its events."""

    number: int
    title: str
    description: str
    author: str
    status: str
    head: str
    events: list = field(default_factory=list)

    def add(self, kind, author, data):
        """Put an event at the end; return it as the Hub tells it."""
        number = f"{len(self.events) + 1:024x}"
        event = {"id": number, "type": kind, "createdAt": DAY, "data": data}
        self.events.append(event | {"author": {"name": author}})
        return self.events[-1]

    def comments(self):
        """Return who said what, in order."""
        return [
            (event["author"]["name"], event["data"]["latest"]["raw"])
            for event in self.events
            if event["type"] == "comment"
        ]


def opened(hub, repo, head, oid, author):
    """Open a pull request at a commit; return its number."""
    number = len(repo.pulls) + 1
    status = "draft" if hub.drafts else "open"
    repo.pulls[number] = Pull(
        number, head["summary"], head.get("description", ""), author, status, oid
    )
    repo.pulls[number].add("comment", author, said(head.get("description", "")))
    return number


def committed_to(repo, revision):
    """Return the pull request that a commit goes to, or refuse."""
    number = revision.removeprefix("refs/pr/")
    pull = repo.pulls.get(int(number)) if number.isdigit() else None
    if pull is None:
        raise Refusal(400, "only main and pull requests here")
    if pull.status not in ("open", "draft"):
        raise Refusal(403, "This pull request is closed")
    return pull


def may(repo, query, named, user):
    """Say whether somebody who may not write here may do this: open a pull request, or mend one."""
    if query.get("create_pr") == "1":
        return named.get("revision") == "main"
    number = named.get("number") or named.get("revision", "").removeprefix("refs/pr/")
    if not number:  # large files, which no branch has yet
        return True
    pull = repo.pulls.get(int(number)) if number.isdigit() else None
    return pull is not None and pull.author == user


def whoami(hub, request):
    if request.user is None:
        raise Refusal(401, "Invalid username or password.")
    return as_json({"type": "user", "name": request.user})


def said(text):
    """Return what a comment's event holds."""
    return {"edited": False, "hidden": False, "latest": {"raw": text, "html": "", "updatedAt": DAY}}


def told(repo, pull):
    """Return a pull request as lists have it."""
    return {
        "title": pull.title, "num": pull.number, "author": {"name": pull.author},
        "createdAt": DAY, "status": pull.status, "isPullRequest": True,
        "repo": {"name": repo.name, "type": "dataset"},
    }  # fmt: skip


def listing(hub, request, repo, query):
    def matches(pull):
        status = query.get("status", "all")
        is_of = status == "all" or (pull.status == "open") == (status == "open")
        return is_of and query.get("author", pull.author) == pull.author

    found = [pull for pull in reversed(repo.pulls.values()) if matches(pull)]
    start = int(query.get("p", 0)) * hub.page
    shown = [told(repo, pull) for pull in found[start : start + hub.page]]
    return as_json({"discussions": shown, "count": len(found), "start": start})


def numbered(repo, number):
    """Return a pull request by its number, or refuse."""
    if int(number) not in repo.pulls:
        raise Refusal(404, "Discussion not found")
    return repo.pulls[int(number)]


def details(hub, request, repo, query, number):
    pull = numbered(repo, number)
    more = {"changes": {"base": "refs/heads/main"}, "filesWithConflicts": [], "diff": ""}
    return as_json(told(repo, pull) | more | {"events": pull.events})


def comment(hub, request, repo, query, number):
    if request.user is None:
        raise Refusal(401, "Invalid username or password.")
    text = request.json()["comment"]
    event = numbered(repo, number).add("comment", request.user, said(text))
    return as_json({"newMessage": event})


def status(hub, request, repo, query, number):
    pull = numbered(repo, number)
    pull.status = request.json()["status"]
    event = pull.add("status-change", request.user, {"status": pull.status})
    return as_json({"newStatus": event})


def history(hub, request, repo, query, revision):
    found, oid = [], repo.find(revision).oid
    while oid is not None:
        one = repo.commits[oid]
        told = {"id": oid, "title": one.message, "message": "", "date": DAY, "authors": []}
        found.append(told)
        oid = one.parent
    start = int(query.get("p", 0)) * hub.page
    headers = {}
    if start + hub.page < len(found):
        rest = f"{hub.url}{request.path.partition('?')[0]}?p={int(query.get('p', 0)) + 1}"
        headers["Link"] = f'<{rest}>; rel="next"'
    return as_json(found[start : start + hub.page], headers)
