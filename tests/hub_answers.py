"""What the double of the Hub answers: repositories in memory, and a function for each request."""

import base64
import hashlib
import json
import re
import time
from typing import NamedTuple
from urllib.parse import parse_qs

import hub_pulls
from hub_pulls import Answer as Answer
from hub_pulls import Refusal as Refusal
from hub_pulls import as_json as as_json

PULLS = "pulls"  # the right to open pull requests, and to change one's own
LARGE = (".tar", ".parquet")  # what a dataset's .gitattributes gives to the large-file storage
DAY = "2025-01-01T00:00:00.000Z"


class Entry(NamedTuple):
    """A file of a commit: its bytes, or the sha256 and size of a large one."""

    content: bytes | None
    sha256: str | None = None
    large_size: int = 0

    @property
    def size(self):
        return self.large_size if self.content is None else len(self.content)

    @property
    def blob(self):
        """The id of what git stores: the bytes, or a large file's pointer."""
        pointer = (
            f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\n"
            f"size {self.large_size}\n"
        ).encode()
        content = pointer if self.content is None else self.content
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Commit(NamedTuple):
    """A commit: its id, its parent's, its message and its files."""

    oid: str
    parent: str | None
    message: str
    tree: dict


class Repo:
    """A repository: its commits, main, the tags and the pull requests by number."""

    def __init__(self, name):
        self.name, self.commits, self.tags, self.main = name, {}, {}, None
        self.pulls = {}

    def add(self, tree, message):
        """Put a commit on main."""
        self.main = self.store(self.main, tree, message)
        return self.main

    def store(self, parent, tree, message):
        """Keep a commit; return its id."""
        files = sorted((path, entry.blob) for path, entry in tree.items())
        oid = hashlib.sha1(repr((parent, message, files)).encode()).hexdigest()
        self.commits[oid] = Commit(oid, parent, message, dict(tree))
        return oid

    def find(self, revision):
        """Return the commit that a branch, a tag or an id means, or refuse."""
        named = {f"refs/pr/{number}": pull.head for number, pull in self.pulls.items()}
        oid = {"main": self.main, **self.tags, **named}.get(revision, revision)
        if oid not in self.commits:
            raise Refusal(404, "Revision not found", "RevisionNotFound")
        return self.commits[oid]

    def state(self):
        """Return everything that a release may change."""
        return self.main, dict(self.tags), len(self.commits)


def create_repo(hub, request):
    asked = request.json()
    name = f"{asked['organization']}/{asked['name']}"
    if asked["type"] != "dataset":
        raise Refusal(400, "only datasets here")
    if name in hub.repos:
        raise Refusal(409, "You already created this dataset repo")
    hub.create(name)
    return as_json({"url": f"{hub.url}/datasets/{name}"})


def validate_yaml(hub, request):
    return as_json({"errors": [], "warnings": []})


def preupload(hub, request, repo, query, revision):
    tree, found = repo.find(revision).tree, []
    for file in request.json()["files"]:
        large = file["path"].endswith(LARGE)
        held = tree.get(file["path"])
        entry = {"path": file["path"], "uploadMode": "lfs" if large else "regular"}
        entry["shouldIgnore"] = file["path"] in hub.ignored
        if held is not None:
            entry["oid"] = held.sha256 or held.blob
        found.append(entry)
    return as_json({"files": found})


def lfs_batch(hub, request, repo, query):
    objects = []
    for thing in request.json()["objects"]:
        entry = {"oid": thing["oid"], "size": thing["size"]}
        if thing["oid"] not in hub.objects:
            upload = {"href": f"{hub.url}/storage/{thing['oid']}"}
            entry["actions"] = {"upload": upload, "verify": {"href": f"{hub.url}/storage/verify"}}
        objects.append(entry)
    return as_json({"transfer": "basic", "objects": objects})


def lfs_put(hub, request, oid):
    if hashlib.sha256(request.body).hexdigest() != oid:
        raise Refusal(400, "the content has another sha256")
    hub.objects[oid] = request.body
    return Answer(b"")


def lfs_verify(hub, request):
    asked = request.json()
    if len(hub.objects.get(asked["oid"], b"")) != asked["size"]:
        raise Refusal(404, "no such object")
    return as_json({})


def commit(hub, request, repo, query, revision):
    lines = [json.loads(line) for line in request.body.splitlines()]
    head, tree = lines[0]["value"], dict(repo.find(revision).tree)
    pull = None if revision == "main" else hub_pulls.committed_to(repo, revision)
    branch = repo.main if pull is None else pull.head
    if head.get("parentCommit", branch) != branch:
        raise Refusal(412, "A commit has happened since. Please refresh and try again.")
    for line in lines[1:]:
        kind, value = line["key"], line["value"]
        if kind == "file":
            tree[value["path"]] = Entry(base64.b64decode(value["content"]))
        elif kind == "lfsFile":
            if value["oid"] not in hub.objects and hub.xet is None:
                raise Refusal(400, "the large file was not uploaded")
            tree[value["path"]] = Entry(None, value["oid"], value["size"])
        elif kind == "deletedFile":
            if tree.pop(value["path"], None) is None:
                raise Refusal(404, "A file with this name doesn't exist", "EntryNotFound")
        else:
            raise Refusal(400, f"no {kind} here")
    told = {"success": True}
    if query.get("create_pr") == "1":
        oid = repo.store(repo.main, tree, head["summary"])
        number = hub_pulls.opened(hub, repo, head, oid, request.user)
        told["pullRequestUrl"] = f"{hub.url}/datasets/{repo.name}/discussions/{number}"
    elif pull is not None:
        oid = pull.head = repo.store(pull.head, tree, head["summary"])
    else:
        oid = repo.add(tree, head["summary"])
    where = f"{hub.url}/datasets/{repo.name}/commit/{oid}"
    return as_json({"commitOid": oid, "commitUrl": where, **told})


def refs(hub, request, repo, query):
    def named(kind, every):
        return [
            {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": oid}
            for name, oid in every.items()
        ]

    branches = named("heads", {"main": repo.main})
    return as_json({"branches": branches, "tags": named("tags", repo.tags), "converts": []})


def info(hub, request, repo, query, revision="main"):
    found = repo.find(revision)
    files = [{"rfilename": path} for path in sorted(found.tree)]
    return as_json({"id": repo.name, "sha": found.oid, "lastModified": DAY, "siblings": files})


def listing(path, entry):
    """Return a file as listings have it."""
    found = {"type": "file", "oid": entry.blob, "size": entry.size, "path": path}
    if entry.sha256 is not None:
        found["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": 130}
    return found


def entries(found):
    """Return a commit's files and folders by path, as listings have them."""
    every = {path: listing(path, entry) for path, entry in found.tree.items()}
    for path in found.tree:
        for place in [path[:end] for end, sign in enumerate(path) if sign == "/"]:
            oid = hashlib.sha1(place.encode()).hexdigest()
            every[place] = {"type": "directory", "oid": oid, "size": 0, "path": place}
    seen = {"id": found.oid, "title": found.message, "date": DAY}
    return {path: {**entry, "lastCommit": seen} for path, entry in sorted(every.items())}


def tree(hub, request, repo, query, revision, folder=""):
    every = entries(repo.find(revision))
    if folder and folder not in every:
        raise Refusal(404, "Entry not found", "EntryNotFound")
    inside = [every[path] for path in every if not folder or path.startswith(f"{folder}/")]
    if query.get("recursive") != "true":
        depth = folder.count("/") + 1 if folder else 0
        inside = [entry for entry in inside if entry["path"].count("/") == depth]
    start = int(query.get("cursor", 0))
    headers = {}
    if start + hub.page < len(inside):
        rest = f"{hub.url}{request.path.partition('?')[0]}?cursor={start + hub.page}"
        rest += f"&recursive={query.get('recursive', 'false')}"
        headers["Link"] = f'<{rest}>; rel="next"'
    return as_json(inside[start : start + hub.page], headers)


def paths_info(hub, request, repo, query, revision):
    every = entries(repo.find(revision))
    asked = parse_qs(request.body.decode()).get("paths", [])
    return as_json([every[path] for path in asked if path in every])


def tag(hub, request, repo, query, revision):
    name = request.json()["tag"]
    if name in repo.tags:
        raise Refusal(409, "Tag reference exists already")
    repo.tags[name] = repo.find(revision).oid
    return as_json({})


def xet_token(hub, request, repo, query, revision):
    if hub.xet is None:
        raise Refusal(404, "this double has no xet storage")
    expires, store = int(time.time()) + 3600, f"local://{hub.xet}"
    names = {"X-Xet-Access-Token": "xet", "X-Xet-Token-Expiration": str(expires)}
    return as_json(
        {"accessToken": "xet", "exp": expires, "casUrl": store}, {**names, "X-Xet-Cas-Url": store}
    )


def resolve(hub, request, repo, query, revision, path):
    found = repo.find(revision)
    entry = found.tree.get(path)
    headers = {"X-Repo-Commit": found.oid}
    if entry is None:
        raise Refusal(404, "Entry not found", "EntryNotFound")
    headers["ETag"] = f'"{entry.sha256 or entry.blob}"'
    if entry.sha256 is not None:
        headers["X-Linked-Etag"], headers["X-Linked-Size"] = headers["ETag"], str(entry.size)
    if entry.sha256 in hub.xet_hashes:
        headers["X-Xet-Hash"] = hub.xet_hashes[entry.sha256]
        token = f"{hub.url}/api/datasets/{repo.name}/xet-read-token/{found.oid}"
        headers["Link"] = f'<{token}>; rel="xet-auth"'
    if request.command == "HEAD":
        return Answer(b"", {**headers, "Content-Length": str(entry.size)})
    content = hub.objects[entry.sha256] if entry.content is None else entry.content
    span = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    if span is None:
        return Answer(content, headers)
    start, end = int(span[1]), min(int(span[2] or len(content)), len(content) - 1)
    headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
    return Answer(content[start : end + 1], headers, 206)


DATASET = "/api/datasets/(?P<id>[^/]+/[^/]+)"
REVISION = "(?P<revision>[^/]+)"
# Method, path, whether it needs the right to write (or to open pull requests), and what answers.
ROUTES = [
    ("POST", "/api/repos/create", True, create_repo),
    ("POST", "/api/validate-yaml", False, validate_yaml),
    ("POST", f"{DATASET}/preupload/{REVISION}", PULLS, preupload),
    ("POST", "/datasets/(?P<id>[^/]+/[^/]+).git/info/lfs/objects/batch", PULLS, lfs_batch),
    ("PUT", "/storage/(?P<oid>[0-9a-f]{64})", False, lfs_put),  # the address itself is the right
    ("POST", "/storage/verify", PULLS, lfs_verify),
    ("POST", f"{DATASET}/commit/{REVISION}", PULLS, commit),
    ("POST", f"{DATASET}/tag/{REVISION}", True, tag),
    ("GET", f"{DATASET}/refs", False, refs),
    ("GET", f"{DATASET}(/revision/{REVISION})?", False, info),
    ("GET", f"{DATASET}/tree/{REVISION}(/(?P<folder>.+))?", False, tree),
    ("GET", f"{DATASET}/commits/{REVISION}", False, hub_pulls.history),
    ("POST", f"{DATASET}/paths-info/{REVISION}", False, paths_info),
    ("GET", f"{DATASET}/xet-write-token/{REVISION}", True, xet_token),
    ("GET", f"{DATASET}/xet-read-token/{REVISION}", False, xet_token),
    (
        "GET HEAD",
        f"/datasets/(?P<id>[^/]+/[^/]+)/resolve/{REVISION}/(?P<path>.+)",
        False,
        resolve,
    ),
    ("GET", "/api/whoami-v2", False, hub_pulls.whoami),
    ("GET", f"{DATASET}/discussions", False, hub_pulls.listing),
    ("GET", f"{DATASET}/discussions/(?P<number>[0-9]+)", False, hub_pulls.details),
    # Anybody with a token may say something.
    ("POST", f"{DATASET}/discussions/(?P<number>[0-9]+)/comment", False, hub_pulls.comment),
    ("POST", f"{DATASET}/discussions/(?P<number>[0-9]+)/status", PULLS, hub_pulls.status),
]
