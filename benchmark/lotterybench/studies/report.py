"""What every report of a study begins with."""

from typing import Literal

from lotterybench.records import Record, Sha256, Slug


class StudyReport(Record):
    """A study's report, made of its findings alone.

    `says` is what may be said of it, in sentences; `failed` names stages that came to no result,
    and why.
    """

    schema_version: Literal[1] = 1
    study: Slug
    study_version: int
    study_digest: Sha256
    says: list[str] = []
    failed: list[str] = []
