"""What reports of studies are made of: their first fields, and means over replicates."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lotterybench.errors import BadResults
from lotterybench.ranking import replicates
from lotterybench.studies import Finding, Study, failures
from lotterybench.studies.figures import Figure


def begun(study: Study, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return what the report begins with; raise `BadResults` for findings of another study."""
    if any(one.study_digest != study.digest() for one in findings):
        raise BadResults(f"there are findings of another study than {study.name} as it is here")
    return {
        "study": study.name, "study_version": study.version, "study_digest": study.digest(),
        "failed": failures(findings),
    }  # fmt: skip


def figure(values: Iterable[float]) -> Figure:
    """Return the mean of replicates with its t interval; raise `BadRequest` for none."""
    return Figure(**replicates.mean(np.array(list(values), np.float64))._asdict())


def figure_or_none(values: Iterable[float]) -> Figure | None:
    """Return the mean of replicates, or None for none."""
    held = list(values)
    return figure(held) if held else None
