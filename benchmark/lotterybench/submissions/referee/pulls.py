"""The queue's pull requests on the Hub: read at one commit, answered, their bytes committed.

A pull request is never merged: its branch may have moved since it was read. What is committed are
the bytes that were rerun.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from huggingface_hub import CommitOperationAdd, DiscussionComment
from huggingface_hub.errors import HfHubHTTPError

from lotterybench.errors import HubError
from lotterybench.hub.repository import WRITING, Moved, Repository, asking
from lotterybench.schema import SLUG
from lotterybench.submissions.files import Folder, listed_problems
from lotterybench.submissions.pull_requests import PullRequest, PullRequests
from lotterybench.submissions.sending import changed_files
from lotterybench.submissions.words import shown

TITLE = re.compile(rf"Submission: ({SLUG})")  # as `summary.title_of` writes it
LONGEST = 80  # characters of a name
STRAYS = 3  # paths outside its folder that a line names


class Waiting(NamedTuple):
    """An open pull request with a submission: its number, name and author, and where it is now."""

    number: int
    name: str
    author: str
    commit: str

    @property
    def folder(self) -> str:
        """Where its files lie, with a slash at the end."""
        return f"submissions/{self.name}/"


class Incoming(PullRequests):
    """The pull requests of one repository of submissions, for who may write there."""

    def __init__(self, repo: str, token: str | None) -> None:
        super().__init__(repo, token)
        self._repository = Repository(repo, token)
        self._main: dict[str, str] = {}  # titles of the commits on main
        self._me: str | None = None

    def waiting(self) -> list[Waiting]:
        """Return the open pull requests titled as submissions are, of anybody, oldest first."""
        with asking("reading the pull requests"):
            found = [
                (one.num, named[1], one.author)
                for one in self._api.get_repo_discussions(
                    self.name, discussion_type="pull_request", discussion_status="open",
                    repo_type="dataset",
                )
                if one.is_pull_request
                and one.status == "open"
                and (named := TITLE.fullmatch(one.title))
                and len(named[1]) <= LONGEST
            ]  # fmt: skip
        return [
            Waiting(number, name, author, self.head(PullRequest(number, "open").revision))
            for number, name, author in sorted(found)
        ]

    def read(self, pull: Waiting) -> Folder:
        """Return a pull request's files at its commit, by path inside its folder.

        Nothing is got of one that has a problem: that changes anything but its own new folder, or
        has files that are too large, too many or of a kind that is not taken.
        """
        tree = self._repository.tree(pull.commit)
        before = self._repository.tree(self._parent(pull.commit))
        changed = {
            path for path in tree.keys() | before.keys() if tree.get(path) != before.get(path)
        }
        problems = self._place_problems(pull, changed, {*before})
        held = {path: one for path, one in tree.items() if path.startswith(pull.folder)}
        if not held:
            problems.append(f"there is nothing under {pull.folder}")
        start = len(pull.folder)
        problems += listed_problems({path[start:]: one.size for path, one in held.items()})
        if problems:
            return Folder({}, problems)
        files = {path: self._repository.read(pull.commit, path) for path in sorted(held)}
        if changed_files(held, files) != ({}, []):
            raise HubError(
                f"reading pull request {pull.number}: its files are not those that the Hub lists; "
                "repeat the command"
            )
        return Folder({path[start:]: content for path, content in files.items()}, [])

    def _place_problems(self, pull: Waiting, changed: set[str], before: set[str]) -> list[str]:
        strays = sorted(path for path in changed if not path.startswith(pull.folder))
        found = []
        if strays:
            named = ", ".join(shown(path) for path in strays[:STRAYS])
            more = f" and {len(strays) - STRAYS} more" if len(strays) > STRAYS else ""
            found.append(
                f"it changes {named}{more}: a pull request adds files under {pull.folder} alone, "
                "and one submission"
            )
        if any(path.startswith(pull.folder) for path in before):
            found.append(
                f"there is a submission {pull.name} already, and it does not change any more; give "
                f'this one another name, with supersedes = "{pull.name}" if it takes its place'
            )
        return found

    def _parent(self, commit: str) -> str:
        """Return the commit of main that a branch left."""
        with asking("reading the commits"):
            found = self._api.list_repo_commits(
                self.name, repo_type="dataset", revision=commit
            )  # the newest first
        for again in (False, True):
            main = self.history(anew=again)
            for one in found:
                if one.commit_id in main:
                    return one.commit_id
        raise HubError(f"reading the commits: {commit[:12]} has none in common with main")

    def history(self, *, anew: bool = False) -> Mapping[str, str]:
        """Return the titles of the commits on main, by id, the newest first."""
        if anew or not self._main:
            with asking("reading the commits"):
                found = self._api.list_repo_commits(self.name, repo_type="dataset", revision="main")
            self._main = {one.commit_id: one.title for one in found}
        return self._main

    def status(self, number: int) -> str:
        """Return a pull request's status: `open`, `draft`, `closed` or `merged`."""
        with asking("reading the pull request"):
            found = self._api.get_discussion_details(self.name, number, repo_type="dataset")
        return str(found.status)

    def say(self, number: int, text: str, mark: str) -> bool:
        """Comment, unless a comment of the same account has this mark; say whether it was done.

        `mark` is a line of the text.
        """
        self._me = self._me or self.author()
        with asking("reading the pull request"):
            found = self._api.get_discussion_details(self.name, number, repo_type="dataset")
        for event in found.events:
            if (
                isinstance(event, DiscussionComment)
                and event.author == self._me
                and mark in event.content.splitlines()
            ):
                return False
        with asking("writing the comment"):
            self._api.comment_discussion(self.name, number, text, repo_type="dataset")
        return True

    def close(self, number: int) -> None:
        """Close a pull request."""
        with asking("closing the pull request"):
            self._api.change_discussion_status(self.name, number, "closed", repo_type="dataset")

    def main(self) -> str:
        """Return the commit that main is at."""
        return self._repository.refs().main

    def changed(self, commit: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return those of these files that a commit does not hold like this."""
        tree = self._repository.tree(commit)
        return changed_files({path: tree[path] for path in files if path in tree}, files)[0]

    def commit(self, files: Mapping[str, bytes], *, parent: str, message: str) -> str:
        """Commit files to main on top of `parent`; raise `Moved` if it is elsewhere."""
        adding = [CommitOperationAdd(path, content) for path, content in sorted(files.items())]
        with asking("making the commit", WRITING):
            try:
                made = self._api.create_commit(
                    self.name, adding, commit_message=message, repo_type="dataset",
                    revision="main", parent_commit=parent,
                )  # fmt: skip
            except HfHubHTTPError as error:
                if error.response.status_code == 412:
                    raise Moved(f"{self.name}: main is not at {parent}") from None
                raise
        return made.oid

    def page(self, number: int) -> str:
        """Return the address of a pull request."""
        return self.address(PullRequest(number, "open"))
