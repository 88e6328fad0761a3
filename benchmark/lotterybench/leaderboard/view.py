"""What the pages and the data files of the leaderboard say, before it is drawn."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lotterybench.fidelities import Board, Fidelity, SubsetScores
from lotterybench.leaderboard.charts import (
    Axis,
    counted,
    number,
    rank_spans,
    ranks,
    slopes,
)
from lotterybench.leaderboard.standings import standings_view, why_by_name
from lotterybench.records import Base, Subset
from lotterybench.registry import unknown
from lotterybench.trials import Configuration

VERDICTS = ("ticket", "faithful", "undecided", "refuted", "descriptive")  # best first
SCOPES = ("full", "subset")
SHARED = 2  # a reason that this many rows give is told once, as a note under the table
SHOWN_CLASSES = 200


class Shelf:
    """The boards, subsets and bases of one site, in order, with their names looked up.

    Raises `UnknownName` if a board's subset or base, or a subset's base, is not given.
    """

    def __init__(
        self, boards: Sequence[Board], subsets: Mapping[str, Subset], bases: Mapping[str, Base]
    ) -> None:
        self.boards = boards
        self.subsets = sorted(subsets.values(), key=lambda one: (one.base, one.name, one.version))
        self.bases = dict(sorted(bases.items()))
        self._by_ref = {subset.ref: subset for subset in self.subsets}
        for board in boards:
            self.base(board.track.base)
            for entry in board.subsets:
                self.subset(entry)
        for subset in self.subsets:
            self.base(subset.base)

    def subset(self, entry: SubsetScores) -> Subset:
        """Return the manifest of a board's entry."""
        ref = f"{entry.subset}@{entry.subset_version}"
        if ref not in self._by_ref:
            raise unknown("subset", ref, list(self._by_ref))
        return self._by_ref[ref]

    def base(self, name: str) -> Base:
        """Return a base by id."""
        if name not in self.bases:
            raise unknown("base", name, list(self.bases))
        return self.bases[name]

    def page_of(self, ref: str | None) -> str | None:
        """Return the page of `base/name@version`, or None if the site has none."""
        return subset_page(self._by_ref[ref]) if ref in self._by_ref else None

    def seen_on(self, subset: Subset) -> list[tuple[Board, SubsetScores]]:
        """Return the boards that have a subset, each with its entry."""
        return [
            (board, entry)
            for board in self.boards
            for entry in board.subsets
            if (entry.subset, entry.subset_version) == (subset.id, subset.version)
        ]


def subset_page(subset: Subset) -> str:
    """Return the path of a subset's page inside the site."""
    return f"subsets/{subset.id}-v{subset.version}.html"


def asked(subset: Subset, base: Base) -> str:
    """Say how much of the training split a subset was asked to take."""
    budget = subset.budget
    if budget.classes is not None:
        return f"{budget.classes} of {counted(len(base.class_names), 'class')}"
    if budget.count is not None:
        return counted(budget.count, "training image")
    return f"{100 * (budget.fraction or 0):.4g} % of the training images"


def index_view(shelf: Shelf) -> dict[str, Any]:
    """Return what the first page says: a row per track, and the subsets by base."""
    return {
        "tracks": [
            {
                "track": board.track,
                "base": shelf.base(board.track.base),
                "answer": answer(board),
                "axis": Axis.over(_fidelities(board)),
                "dots": {
                    scope: sorted(one.tau for one in group if one.tau is not None)
                    for scope, group in by_scope(board).items()
                },
                "scored": len(board.track.scored()),
                "families": len({entry.family for entry in board.track.scored()}),
                "subsets": len(board.subsets),
                "missing": _missing(board),
            }
            for board in shelf.boards
        ],
        "bases": [
            {
                "base": base,
                "subsets": [
                    {
                        "subset": subset,
                        "page": subset_page(subset),
                        "asked": asked(subset, base),
                        "boards": [board.track.name for board, _ in shelf.seen_on(subset)],
                    }
                    for subset in shelf.subsets
                    if subset.base == base.id
                ],
            }
            for base in shelf.bases.values()
        ],
    }


def by_scope(board: Board) -> dict[str, list[Fidelity]]:
    """Return the fidelities of a board by scope, without scopes that it lacks."""
    groups = {scope: [one for one in _fidelities(board) if one.scope == scope] for scope in SCOPES}
    return {scope: group for scope, group in groups.items() if group}


def answer(board: Board) -> list[str]:
    """Say in sentences what a board shows today, and what it does not."""
    done, missing = _fidelities(board), _missing(board)
    if not board.subsets:
        return ["No subset has been run on this track yet."]
    if not done:
        return [f"No answer yet: {_are(missing, 'run')} missing." if missing else "No answer yet."]
    said = []
    count: Counter[str] = Counter(fidelity.verdict for fidelity in done)
    if count["descriptive"] == len(done):
        said.append("No verdict: this board is descriptive.")
    else:
        found = [f"{count[verdict]} {verdict}" for verdict in VERDICTS if verdict in count]
        if count["ticket"]:
            found[0] = counted(count["ticket"], "ticket")
        said.append(f"Of {counted(len(done), 'subset')}: {', '.join(found)}.")
    for scope, group in by_scope(board).items():
        taus = [fidelity.tau for fidelity in group if fidelity.tau is not None]
        where = "on all classes" if scope == "full" else "on their own classes"
        if taus:
            ends = list(dict.fromkeys([number(min(taus)), number(max(taus))]))
            said.append(
                f"τ\u00a0is {' to '.join(ends)} over {counted(len(taus), 'subset')} tested {where}."
            )
    if missing:
        said.append(f"{_are(missing, 'run')} still missing.")
    return said


def board_view(shelf: Shelf, board: Board) -> dict[str, Any]:
    """Return what a board's page says: a group of rows per scope, what waits, the pool."""
    axis = Axis.over(_fidelities(board))
    groups = []
    for scope in by_scope(board):
        rows: list[dict[str, Any]] = [
            {
                "subset": shelf.subset(entry),
                "page": subset_page(shelf.subset(entry)),
                "fidelity": entry.fidelity,
                "strip": axis.strip(entry.fidelity),
                "order": VERDICTS.index(entry.fidelity.verdict),
                "note": 0,
            }
            for entry in board.subsets
            if entry.fidelity is not None and entry.fidelity.scope == scope
        ]
        reasons = Counter(row["fidelity"].why for row in rows)
        notes = sorted(why for why, count in reasons.items() if why and count >= SHARED)
        for row in rows:
            if row["fidelity"].why in notes:
                row["note"] = 1 + notes.index(row["fidelity"].why)
        decided = any(row["fidelity"].verdict != "descriptive" for row in rows)
        # Subsets tested on their own classes are never ordered by tau; nor is a board
        # whose order of tau says little (protocol §7, §9).
        holds = board.ranked is not None and board.ranked.holds
        by_tau = scope == "full" and decided and holds
        if by_tau:
            rows.sort(key=lambda row: _falling(row["fidelity"].tau))
        listed = why_by_name(board, decided) if scope == "full" and not by_tau else ""
        groups.append(
            {"scope": scope, "rows": rows, "notes": notes, "by_tau": by_tau, "listed": listed}
        )
    scored = board.track.scored()
    return {
        "track": board.track,
        "digest": board.track_digest,
        "base": shelf.base(board.track.base),
        "answer": answer(board),
        "axis": axis,
        "groups": groups,
        "waiting": [
            {"subset": shelf.subset(entry), "page": subset_page(shelf.subset(entry)),
             "missing": entry.missing}
            for entry in board.subsets
            if entry.fidelity is None
        ],
        "decided": any(one.verdict != "descriptive" for one in _fidelities(board)),
        "missing_full": board.missing_full,
        "scored": len(scored),
        "families": len({entry.family for entry in scored}),
        "total": len(board.subsets),
        "kinds": sorted({shelf.subset(entry).kind for entry in board.subsets}),
        "pool": _pool(board),
        **standings_view(board),
    }  # fmt: skip


def _pool(board: Board) -> list[dict[str, Any]]:
    """Return a row per configuration, best full-data mean first, anchors last."""
    scores = {score.configuration: score for score in board.full}
    place = ranks(board.full)
    reach = {} if board.missing_full else rank_spans(board.full)

    def order(entry: Configuration) -> tuple[bool, float, str]:
        return entry.name in board.track.anchors, place.get(entry.name, len(place)), entry.name

    return [
        {
            "entry": entry,
            "anchor": entry.name in board.track.anchors,
            "score": scores.get(entry.name),
            "ranks": reach.get(entry.name),
        }
        for entry in sorted(board.track.configurations, key=order)
    ]


def subset_view(shelf: Shelf, subset: Subset) -> dict[str, Any]:
    """Return what a subset's page says: its manifest, and per track its fidelity and scores."""
    base = shelf.base(subset.base)
    seen = shelf.seen_on(subset)
    return {
        "subset": subset,
        "base": base,
        "asked": asked(subset, base),
        "newer": shelf.page_of(subset.superseded_by),
        "classes": subset.classes or [],
        "shown_classes": SHOWN_CLASSES,
        "axis": Axis.over(entry.fidelity for _, entry in seen if entry.fidelity),
        "tracks": [_track_on_subset(board, entry) for board, entry in seen],
    }


def _track_on_subset(board: Board, entry: SubsetScores) -> dict[str, Any]:
    full = {score.configuration: score for score in board.full}
    here = {score.configuration: score for score in entry.scores}
    complete = entry.fidelity is not None
    place_full = ranks(board.full) if complete else {}
    place_here = ranks(entry.scores) if complete else {}
    names = sorted(full.keys() | here.keys(), key=lambda one: (place_full.get(one, 10**6), one))
    return {
        "track": board.track,
        "entry": entry,
        "fidelity": entry.fidelity,
        "slopes": slopes(board.full, entry.scores) if complete else [],
        "rows": [
            {
                "name": name,
                "family": (full.get(name) or here[name]).family,
                "anchor": (full.get(name) or here[name]).anchor,
                "full": full.get(name),
                "here": here.get(name),
                "rank_full": place_full.get(name),
                "rank_here": place_here.get(name),
            }
            for name in names
        ],
    }


def _fidelities(board: Board) -> list[Fidelity]:
    return [entry.fidelity for entry in board.subsets if entry.fidelity is not None]


def _falling(tau: float | None) -> float:
    return 2.0 if tau is None else -tau


def _missing(board: Board) -> int:
    return board.missing_full + sum(entry.missing for entry in board.subsets)


def _are(count: int, thing: str) -> str:
    return f"{counted(count, thing)} {'is' if count == 1 else 'are'}"
