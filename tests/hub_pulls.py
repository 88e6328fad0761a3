"""Pull requests in the double of the Hub, and the form of its answers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
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
    """A pull request: who opened it, what it says, its status and the commit it is at."""

    number: int
    title: str
    description: str
    author: str
    status: str
    head: str


def opened(hub, repo, head, oid, author):
    """Open a pull request at a commit; return its number."""
    number = len(repo.pulls) + 1
    status = "draft" if hub.drafts else "open"
    repo.pulls[number] = Pull(
        number, head["summary"], head.get("description", ""), author, status, oid
    )
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


def listing(hub, request, repo, query):
    found = [
        pull for pull in reversed(repo.pulls.values())
        if query.get("author", pull.author) == pull.author
    ]  # fmt: skip
    start = int(query.get("p", 0)) * hub.page
    told = [
        {
            "title": pull.title, "num": pull.number, "author": {"name": pull.author},
            "createdAt": DAY, "status": pull.status, "isPullRequest": True,
            "repo": {"name": repo.name, "type": "dataset"},
        }
        for pull in found[start : start + hub.page]
    ]  # fmt: skip
    return as_json({"discussions": told, "count": len(found), "start": start})


def status(hub, request, repo, query, number):
    pull = repo.pulls.get(int(number))
    if pull is None:
        raise Refusal(404, "Discussion not found")
    pull.status = request.json()["status"]
    event = {
        "id": "1", "type": "status-change", "createdAt": DAY, "author": {"name": request.user},
        "data": {"status": pull.status},
    }  # fmt: skip
    return as_json({"newStatus": event})
