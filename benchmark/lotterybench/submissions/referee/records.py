"""What the referee writes down: a round, each rerun, and who did what when."""

from typing import Literal

from pydantic import Field

from lotterybench.schema import Record, Sha256, Slug
from lotterybench.submissions.records import Claim, Kind, SubsetRef
from lotterybench.trials import Isolation, Status

# `pending` until it is taken up; `rejected` for what it is, `failed` for reasons that are not its.
State = Literal["pending", "running", "verified", "rejected", "failed", "blocked", "withdrawn"]


class Checked(Record):
    """A claim beside what the rerun gave: its value, its one-sided 95 % bounds, and on how many.

    `says` is `agrees` if the claimed value lies within the rerun's bounds, `above` or `below` if
    it lies outside them, and `not measured` if the rerun has no such figure.
    """

    claim: Claim
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: str = ""
    says: Literal["agrees", "above", "below", "not measured"]


class Pull(Record):
    """The pull request that a submission came by; `commit` is the one that was read."""

    repo: str
    number: int = Field(ge=1)
    author: str
    commit: str


class Twin(Record):
    """Another submission that is the same: by its files, by its code alone, by what it selects."""

    name: Slug
    same: Literal["files", "code", "selection"]


class Rerun(Record):
    """One submission's rerun: where it stands, why, and what came of it.

    `digest` is that of the files that were taken; `selected` are the manifests that it gave, as
    `base/name@version`, and `results` the files with its lines, by path inside the folder of
    results. `code_digest` is of the referee. Nothing in it depends on how long something took, so
    that a rerun that was killed and one that was not have the same record.
    """

    schema_version: Literal[1]
    name: Slug
    kind: Kind | None = None
    digest: Sha256
    base: Slug | None = None
    tracks: list[Slug] = []
    state: State
    status: Status | None = None
    reason: str = ""
    problems: list[str] = []
    warnings: list[str] = []
    isolation: Isolation | None = None
    selected: list[SubsetRef] = []
    results: list[str] = []
    claims: list[Checked] = []
    twins: list[Twin] = []
    pull: Pull | None = None
    supersedes: Slug | None = None
    superseded_by: Slug | None = None
    withdrawn: str | None = None
    seed_commitment: Sha256 | None = None
    software: dict[str, str] = {}
    hardware: str = ""
    code_digest: Sha256


class Drift(Record):
    """A reference method that was run again: its mean then and now, and how far it may move."""

    track: Slug
    configuration: Slug
    recorded: float
    repeated: float
    low: float
    high: float
    seeds: int
    identical: bool
    holds: bool


class Round(Record):
    """A round of reruns: the secret that all seeds come from, and what its references gave.

    `commitment` is the sha256 of the secret, known before; `secret` is shown when the round ends.
    """

    schema_version: Literal[1]
    commitment: Sha256
    secret: str | None = None
    references: list[Drift] = []
    blocked: str = ""


class Act(Record):
    """One line of the audit trail: when (UTC), who, what, to which submission, on what machine."""

    schema_version: Literal[1]
    time: str
    who: str
    act: str
    name: Slug | None = None
    digest: Sha256 | None = None
    code_digest: Sha256
    software: dict[str, str]
    hardware: str
    detail: dict[str, str | float | int | None] = {}
