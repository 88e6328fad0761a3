"""A dataset repository on the Hub: the requests of a release, each failure as one line.

`HF_ENDPOINT` says which server it is. Lines hold neither the token nor a path of this machine;
the client's own messages may, so that no line repeats them.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_session
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.hf_api import RepoFile

from lotterybench.errors import BadRequest, HubError, LotteryBenchError
from lotterybench.hub.release import Held, Release, Tree

TIMEOUT = 120.0  # seconds without a byte; the client itself would wait for ever
PART = r"\w(?:[\w.-]*\w)?"
NAME = re.compile(rf"(?!.*(?:--|\.\.)){PART}/{PART}", re.ASCII)  # the client's own rule
LONGEST = 96  # characters of a repository's name
SAID = 200  # characters of a server's message that are repeated
BAD_CARD = "Invalid metadata in README.md."  # how the client's error begins
MEANING = {
    401: "the token is missing, expired or wrong, or no repository has this name "
    "(401): log in with `hf auth login`, or give --token-file",
    403: "the token may not write to this repository (403)",
    404: "there is no such dataset repository, or the token may not see it (404): create it first",
    429: "the Hub limits the rate of requests (429): wait some minutes",
}


class Moved(LotteryBenchError):
    """Main is no longer at the commit that a plan was made from."""


class Taken(LotteryBenchError):
    """The tag exists."""


class Refused(HubError):
    """The Hub answered, and did not do what was asked."""


class Refs(NamedTuple):
    """The commit of the branch main, and those of the tags, by name."""

    main: str
    tags: dict[str, str]


class Repository:
    """One dataset repository; without a token, the client looks for the user's."""

    def __init__(self, name: str, token: str | None) -> None:
        if not NAME.fullmatch(name) or name.endswith(".git") or len(name) > LONGEST:
            raise BadRequest(
                f"--repo is {name!r}; it is ORG/NAME, of letters, digits and single ._- between "
                f"them, at most {LONGEST} characters"
            )
        self.name = name
        self._api = HfApi(token=token)

    def refs(self) -> Refs:
        """Return where main and the tags are; raise `HubError` if there is no main."""
        with asking("reading the tags"):
            found = self._api.list_repo_refs(self.name, repo_type="dataset")
        main = [branch.target_commit for branch in found.branches if branch.name == "main"]
        if not main:
            raise HubError(f"{self.name} has no branch main with a commit")
        return Refs(main[0], {tag.name: tag.target_commit for tag in found.tags})

    def tree(self, commit: str) -> Tree:
        """Return all files of a commit, by path."""
        with asking("reading the files"):
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
def asking(what: str) -> Iterator[None]:
    """Give requests a time limit, and turn whatever they raise into a line."""
    hooks = get_session().event_hooks["request"]
    hooks.append(_limit)
    try:
        yield
    except LotteryBenchError:
        raise
    except Exception as error:  # the network's, the client's and the storage's, of many classes
        kind = Refused if _is_refusal(error) else HubError
        raise kind(f"{what}: {_reason(error)}") from None
    finally:
        hooks.remove(_limit)


def _limit(request: Any) -> None:
    """Let a request without a time limit have one; some of the client's calls ask for none."""
    limits = request.extensions["timeout"]
    request.extensions["timeout"] = {kind: limit or TIMEOUT for kind, limit in limits.items()}


def _is_refusal(error: Exception) -> bool:
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code < 500
    return str(error).startswith(BAD_CARD)


def _reason(error: BaseException) -> str:
    """Say what went wrong without repeating addresses, headers or paths."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__  # "error while uploading", around the reason
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set; unset it to go online"
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status >= 500:
            return f"the Hub fails ({status})"
        return MEANING.get(status) or f"the Hub refuses ({status}{_said(error.server_message)})"
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
