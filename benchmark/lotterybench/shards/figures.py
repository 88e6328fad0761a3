"""What results say of a folder's subsets: τ with its interval, how many configurations, verdict."""

import json
from collections.abc import Iterable, Sequence
from typing import Literal

from lotterybench.errors import BadRecord
from lotterybench.estimates import Interval
from lotterybench.fidelities import Fidelity
from lotterybench.records import Record, Sha256, Slug, Subset


class Figure(Record):
    """How well a subset ranks the configurations of a track, as its board says (protocol §3, §8).

    `tau` is None where it is undefined, `interval` where there are fewer than six families.
    """

    track: Slug
    track_version: int
    track_digest: Sha256
    subset: str
    subset_digest: Sha256
    scope: Literal["full", "subset"]
    metric: str
    configurations: int
    families: int
    tau: float | None = None
    interval: Interval | None = None
    verdict: Literal["faithful", "ticket", "refuted", "undecided", "descriptive"]
    why: str

    @property
    def words(self) -> str:
        """τ with its interval, or why there is none."""
        if self.tau is None:
            return "undefined"
        if self.interval is None:
            return f"{self.tau:.2f}, no interval (fewer than six families)"
        return f"{self.tau:.2f} [{self.interval.low:.2f}, {self.interval.high:.2f}]"


def figures_of(fidelities: Iterable[Fidelity], subsets: Iterable[Subset]) -> list[Figure]:
    """Return what is known of these very subsets, by subset and track; others are left out."""
    digests = {subset.ref: subset.digest for subset in subsets}
    kept = set(Figure.model_fields) - {"subset"}
    found = []
    for one in fidelities:
        ref = f"{one.subset}@{one.subset_version}"
        if digests.get(ref) == one.subset_digest:
            fields = {name: getattr(one, name) for name in kept}
            found.append(Figure(**fields, subset=ref))
    return sorted(found, key=lambda one: (one.subset, one.track, one.scope))


def written(figures: Sequence[Figure]) -> bytes:
    """Return figures as the JSON file of a folder."""
    return (json.dumps([one.fields() for one in figures], indent=1) + "\n").encode()


def read_figures(content: bytes, where: str) -> list[Figure]:
    """Read figures; raise `BadRecord` for a file that holds other things."""
    try:
        entries = json.loads(content)
    except ValueError:
        entries = None
    if not isinstance(entries, list):
        raise BadRecord(f"{where} is no list of figures")
    return [Figure.read(json.dumps(entry), where) for entry in entries]
