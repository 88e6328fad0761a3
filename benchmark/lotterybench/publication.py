"""The site of a results folder: score every track in it, gather what the pages need, render."""

from pathlib import Path

from lotterybench.fidelities import Board, Fidelity
from lotterybench.leaderboard import pages, render, stale
from lotterybench.manifests import find_base, load_subset_manifest
from lotterybench.paths import published_folder, reference_results, submitted_subsets
from lotterybench.published import Study, study
from lotterybench.records import Base, Subset
from lotterybench.score import boards
from lotterybench.submissions.referee.records import Rerun
from lotterybench.submissions.referee.standing import Standing, standings


def render_site(results: Path | None, out: Path) -> list[Path]:
    """Render the boards of a results folder (None: the reference results); return the files."""
    found, others = _content(results), _published(results)
    return render(
        *found, out, published=others, submitted=_submitted(results),
        candidates=_candidates(results, found[0]),
    )  # fmt: skip


def stale_files(results: Path | None, out: Path) -> list[str]:
    """Return how a rendered site differs from what the results give now; [] if it is current."""
    found, others = _content(results), _published(results)
    made = pages(
        *found, published=others, submitted=_submitted(results),
        candidates=_candidates(results, found[0]),
    )  # fmt: skip
    return stale(made, out)


def fidelities(results: Path, base: str) -> list[Fidelity]:
    """Return how well a base's subsets rank methods, of every track in a results folder."""
    return [
        entry.fidelity
        for found in boards(results, base)
        for entry in found.subsets
        if entry.fidelity is not None
    ]


def _content(
    results: Path | None,
) -> tuple[list[Board], dict[str, Subset], dict[str, Base]]:
    folder = results or reference_results()
    found = boards(folder)
    refs = [f"{entry.subset}@{entry.subset_version}" for b in found for entry in b.subsets]
    subsets = {ref: load_subset_manifest(ref, submitted_subsets(folder))[0] for ref in refs}
    bases = {b.track.base: find_base(b.track.base)[0] for b in found}
    return found, subsets, bases


def _published(results: Path | None) -> Study | None:
    """Return what is compared of tables that others published, if the folder holds any."""
    folder = published_folder(results or reference_results())
    return study(folder) if folder.is_dir() else None


def _submitted(results: Path | None) -> list[Rerun] | None:
    """Return the records of submissions, None if the folder is of no round."""
    folder = (results or reference_results()) / "submissions"
    if not folder.is_dir():
        return None
    files = sorted(folder.glob("*/rerun.json"))
    return [Rerun.read(file.read_bytes(), str(file)) for file in files]


def _candidates(results: Path | None, found: list[Board]) -> dict[str, list[Standing]]:
    """Return the submitted methods that boards show beside their pool, by track."""
    folder = results or reference_results()
    return {one.track.name: standings(folder / one.track.name, one) for one in found}
