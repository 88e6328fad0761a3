"""A dataset repository on the Hub and its cache: the requests of a release, failures as one line.

`HF_ENDPOINT` says which server it is. Lines hold neither the token nor a path of this machine;
the client's own messages may, so that no line repeats them.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    constants,
    get_session,
    hf_hub_url,
    snapshot_download,
    try_to_load_from_cache,
)
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented, not in __all__
    build_hf_headers,
    hf_raise_for_status,
    http_backoff,
)

from lotterybench.errors import BadRequest, HubError, LotteryBenchError, NoSpace
from lotterybench.hub.release import Held, Release, Tree
from lotterybench.storage import FULL, write_whole

TIMEOUT = 120.0  # seconds without a byte; the client itself would wait for ever
PATIENCE = 15.0  # the same for a reader, whom the cache may serve
PART = r"\w(?:[\w.-]*\w)?"
NAME = re.compile(rf"(?!.*(?:--|\.\.)){PART}/{PART}", re.ASCII)  # the client's own rule
LONGEST = 96  # characters of a repository's name
COMMIT = re.compile(r"[0-9a-f]{40}")
SAID = 200  # characters of a server's message that are repeated
BAD_CARD = "Invalid metadata in README.md."  # how the client's error begins
LIMITED = "the Hub limits the rate of requests (429): wait some minutes"
WRITING = {
    401: "the token is missing, expired or wrong, or no repository has this name "
    "(401): log in with `hf auth login`, or give --token-file",
    403: "the token may not write to this repository (403)",
    404: "there is no such dataset repository, or the token may not see it (404): create it first",
    429: LIMITED,
}
READING = {
    401: "the token is missing, expired or wrong, or no repository has this name "
    "(401): log in with `hf auth login`",
    403: "the token may not read this repository (403)",
    404: "there is no such dataset repository, commit or file, or the token may not see it (404)",
    429: LIMITED,
}


class Moved(LotteryBenchError):
    """Main is no longer at the commit that a plan was made from."""


class Taken(LotteryBenchError):
    """The tag exists."""


class Refused(HubError):
    """The Hub answered, and did not do what was asked."""


class Absent(Refused):
    """The Hub answered that what was asked for is not there, or not for this token."""


class Refs(NamedTuple):
    """The commit of the branch main, and those of the tags, by name."""

    main: str
    tags: dict[str, str]


class Repository:
    """One dataset repository; without a token, the client looks for the user's.

    `meaning` says what statuses mean to who asks.
    """

    def __init__(
        self, name: str, token: str | None, meaning: Mapping[int, str] = WRITING
    ) -> None:  # fmt: skip
        if not NAME.fullmatch(name) or name.endswith(".git") or len(name) > LONGEST:
            raise BadRequest(
                f"the repository is {name!r}; it is ORG/NAME, of letters, digits and single ._- "
                f"between them, at most {LONGEST} characters"
            )
        self.name = name
        self._api, self._token, self._meaning = HfApi(token=token), token, meaning

    def refs(self) -> Refs:
        """Return where main and the tags are; raise `HubError` if there is no main."""
        with asking("reading the tags", self._meaning):
            found = self._api.list_repo_refs(self.name, repo_type="dataset")
        main = [branch.target_commit for branch in found.branches if branch.name == "main"]
        if not main:
            raise HubError(f"{self.name} has no branch main with a commit")
        return Refs(main[0], {tag.name: tag.target_commit for tag in found.tags})

    def tree(self, commit: str) -> Tree:
        """Return all files of a commit, by path."""
        with asking("reading the files", self._meaning):
            entries = self._api.list_repo_tree(
                self.name, recursive=True, revision=commit, repo_type="dataset"
            )
            return {
                entry.path: Held(
                    entry.size, entry.blob_id, None if entry.lfs is None else entry.lfs.sha256
                )
                for entry in entries
                if isinstance(entry, RepoFile)
            }

    def download(self, commit: str, paths: Iterable[str], *, anew: bool = False) -> None:
        """Put those of these files that a commit has into the cache; `anew`, if they lie there."""
        with asking("getting the files", self._meaning):
            snapshot_download(
                self.name, repo_type="dataset", revision=commit, token=self._token,
                allow_patterns=list(paths), force_download=anew,
            )  # fmt: skip

    def read(self, commit: str, path: str) -> bytes:
        """Return a commit's file, from the Hub, without keeping it."""
        with asking(f"reading {path}", self._meaning):
            url = hf_hub_url(self.name, path, repo_type="dataset", revision=commit)
            answer = http_backoff("GET", url, headers=build_hf_headers(token=self._token))
            hf_raise_for_status(answer)
            content: bytes = answer.content
        return content

    def cached(self, commit: str, path: str) -> Path | None:
        """Return where a commit's file lies in the cache; None if it does not."""
        found = try_to_load_from_cache(self.name, path, repo_type="dataset", revision=commit)
        return Path(found) if isinstance(found, str) else None

    def cached_tags(self) -> dict[str, str]:
        """Return the commits of tags as of their last download, of those that left files."""
        found = {}
        for file in sorted(self._cache().glob("refs/*")):
            commit = file.read_text(errors="replace").strip()
            if COMMIT.fullmatch(commit) and (self._cache() / "snapshots" / commit).is_dir():
                found[file.name] = commit
        return found

    def remember(self, tag: str, commit: str) -> None:
        """Let the cache say what a tag names, as the client does; a cache may be read-only."""
        file = self._cache() / "refs" / tag
        with suppress(OSError):
            if not file.is_file() or file.read_text() != commit:
                write_whole(file, commit.encode())

    def _cache(self) -> Path:
        return Path(constants.HF_HUB_CACHE) / repo_folder_name(
            repo_id=self.name, repo_type="dataset"
        )

    def send(self, release: Release, paths: list[str]) -> list[CommitOperationAdd]:
        """Upload the large ones of these files; nothing refers to them before the commit."""
        with asking("sending the files"):
            files = [CommitOperationAdd(path, release.files[path].path) for path in paths]
            self._api.preupload_lfs_files(
                self.name, files, repo_type="dataset", revision="main", free_memory=False
            )
        return files

    def commit(
        self, files: list[CommitOperationAdd], deleted: list[str], *, parent: str, message: str
    ) -> str:
        """Commit sent files on top of `parent`, all or none; raise `Moved` if main is elsewhere."""
        with asking("making the commit"):
            gone = [CommitOperationDelete(path, is_folder=False) for path in deleted]
            try:
                return self._api.create_commit(
                    self.name, [*files, *gone], commit_message=message, repo_type="dataset",
                    revision="main", parent_commit=parent,
                ).oid  # fmt: skip
            except HfHubHTTPError as error:
                if error.response.status_code == 412:
                    raise Moved(f"{self.name}: main is not at {parent}") from None
                raise

    def tag(self, name: str, commit: str) -> None:
        """Name a commit; raise `Taken` if the name is."""
        with asking("making the tag"):
            try:
                self._api.create_tag(self.name, tag=name, revision=commit, repo_type="dataset")
            except HfHubHTTPError as error:
                if error.response.status_code == 409:
                    raise Taken(f"{self.name} has a tag {name}") from None
                raise


@contextmanager
def asking(what: str, meaning: Mapping[int, str] = WRITING) -> Iterator[None]:
    """Give requests a time limit, and turn whatever they raise into a line."""
    hooks = get_session().event_hooks["request"]
    limit = partial(_limit, PATIENCE if meaning is READING else TIMEOUT)
    hooks.append(limit)
    try:
        yield
    except LotteryBenchError:
        raise
    except Exception as error:  # the network's, the client's and the storage's, of many classes
        cause = _cause(error)
        if isinstance(cause, OSError) and cause.errno in FULL:
            raise NoSpace(f"{what}: no space left; free some and repeat the command") from None
        raise _kind(cause)(f"{what}: {_reason(cause, meaning)}") from None
    finally:
        hooks.remove(limit)


def _limit(seconds: float, request: Any) -> None:
    """Let a request without a time limit have one; some of the client's calls ask for none."""
    limits = request.extensions["timeout"]
    request.extensions["timeout"] = {kind: limit or seconds for kind, limit in limits.items()}


def _cause(error: BaseException) -> BaseException:
    """Return the reason inside the client's own words for where it struck."""
    # "error while uploading", and "not in the cache" where the Hub failed
    while isinstance(error, RuntimeError | LocalEntryNotFoundError) and error.__cause__:
        error = error.__cause__
    return error


def _kind(error: BaseException) -> type[HubError]:
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        return Absent if status in (403, 404) else Refused if status < 500 else HubError
    return Refused if str(error).startswith(BAD_CARD) else HubError


def _reason(error: BaseException, meaning: Mapping[int, str]) -> str:
    """Say what went wrong without repeating addresses, headers or paths."""
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set; unset it to go online"
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status >= 500:
            return f"the Hub fails ({status})"
        return meaning.get(status) or f"the Hub refuses ({status}{_said(error.server_message)})"
    if str(error).startswith(BAD_CARD):
        return f"the Hub refuses the card{_said(str(error).removeprefix(BAD_CARD))}"
    if isinstance(error, UnicodeError) or type(error).__name__ == "LocalProtocolError":
        return "the token cannot be sent: it is ASCII, without spaces"
    if isinstance(error, ValueError):
        return "the Hub's answer cannot be read"
    if isinstance(error, OSError) or type(error).__module__.startswith("httpx"):
        return f"the Hub cannot be reached or does not answer ({type(error).__name__})"
    return f"the Hub's client fails ({type(error).__name__})"


def _said(message: str | None) -> str:
    """Return a server's message as part of a line."""
    words = " ".join((message or "").split())
    return f": {''.join(filter(str.isprintable, words))[:SAID]}" if words else ""
