"""Pull requests to a dataset repository on the Hub: the few requests that sending needs."""

from collections.abc import Mapping
from typing import NamedTuple

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError
from huggingface_hub.hf_api import RepoFile

from lotterybench.errors import BadRequest, HubError
from lotterybench.hub.release import Held
from lotterybench.hub.repository import WRITING, Absent, Moved, Repository, asking

MEANING = {
    **WRITING,
    403: "the token may not open pull requests there, or change this one (403)",
}


class PullRequest(NamedTuple):
    """A pull request: its number and `open`, `draft`, `merged` or `closed`."""

    number: int
    status: str

    @property
    def revision(self) -> str:
        """Where its files are."""
        return f"refs/pr/{self.number}"


class PullRequests:
    """Those of one dataset repository; without a token, the client looks for the user's."""

    def __init__(self, repo: str, token: str | None) -> None:
        self.name = Repository(repo, token).name  # the rules for names are its own
        self._api = HfApi(token=token)

    def author(self) -> str:
        """Return who the token belongs to."""
        with asking("reading whose the token is", MEANING):
            try:
                return str(self._api.whoami()["name"])
            except LocalTokenNotFoundError:
                raise BadRequest(
                    "there is no token: log in with `hf auth login`, or give --token-file"
                ) from None

    def by(self, author: str, title: str) -> list[PullRequest]:
        """Return an author's pull requests with this title, the oldest first."""
        with asking("reading the pull requests", MEANING):
            found = [
                PullRequest(one.num, one.status)
                for one in self._api.get_repo_discussions(
                    self.name, author=author, discussion_type="pull_request", repo_type="dataset"
                )
                if one.is_pull_request and one.title == title and one.author == author
            ]
        return sorted(found)

    def head(self, revision: str) -> str:
        """Return the commit that a branch or a pull request is at."""
        with asking("reading the commit", MEANING):
            found = self._api.dataset_info(self.name, revision=revision).sha
        if found is None:
            raise HubError("reading the commit: the Hub names none")
        return found

    def files(self, commit: str, folder: str) -> dict[str, Held]:
        """Return the files of a folder in a commit, by path; {} if it is not there."""
        try:
            with asking("reading the files", MEANING):
                entries = self._api.list_repo_tree(
                    self.name, folder, recursive=True, revision=commit, repo_type="dataset"
                )
                return {
                    entry.path: Held(
                        entry.size, entry.blob_id, None if entry.lfs is None else entry.lfs.sha256
                    )
                    for entry in entries
                    if isinstance(entry, RepoFile)
                }
        except Absent:
            return {}

    def open(self, files: Mapping[str, bytes], title: str, description: str) -> PullRequest:
        """Open a pull request with these files, all or none."""
        with asking("opening the pull request", MEANING):
            made = self._api.create_commit(
                self.name, _added(files), commit_message=title, commit_description=description,
                repo_type="dataset", create_pr=True,
            )  # fmt: skip
        if made.pr_num is None:
            raise HubError("opening the pull request: the Hub names no number")
        return PullRequest(int(made.pr_num), "open")

    def update(
        self, pull: PullRequest, files: Mapping[str, bytes], gone: list[str], *, parent: str,
        message: str,
    ) -> None:  # fmt: skip
        """Commit to a pull request on top of `parent`; raise `Moved` if it is elsewhere."""
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            *_added(files), *(CommitOperationDelete(path, is_folder=False) for path in gone),
        ]  # fmt: skip
        with asking("updating the pull request", MEANING):
            try:
                self._api.create_commit(
                    self.name, operations, commit_message=message, repo_type="dataset",
                    revision=pull.revision, parent_commit=parent,
                )  # fmt: skip
            except HfHubHTTPError as error:
                if error.response.status_code == 412:
                    raise Moved(f"{pull.revision} is not at {parent}") from None
                raise

    def ready(self, pull: PullRequest) -> None:
        """Turn a draft into a pull request that is open."""
        with asking("marking the pull request as ready", MEANING):
            self._api.change_discussion_status(self.name, pull.number, "open", repo_type="dataset")

    def address(self, pull: PullRequest) -> str:
        """Return the page of a pull request."""
        return f"{self._api.endpoint}/datasets/{self.name}/discussions/{pull.number}"


def _added(files: Mapping[str, bytes]) -> list[CommitOperationAdd]:
    return [CommitOperationAdd(path, content) for path, content in files.items()]
