"""What the page of submissions says, before it is drawn: all of them, by where they stand."""

from collections.abc import Collection, Sequence
from typing import Any

from lotterybench.fidelities import Board
from lotterybench.leaderboard.charts import number
from lotterybench.records import parse_ref
from lotterybench.schema import canonical_json
from lotterybench.submissions.referee.records import Checked, Rerun

# In the order of the page: anchor, heading, the states in it, and what is said of them.
GROUPS: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    ("waiting", "Waiting", ("running", "pending"), "They are rerun in the order they came."),
    ("verified", "Verified", ("verified",), "They were rerun, and every figure is the rerun’s."),
    ("blocked", "Blocked", ("blocked",), "A reference method gave other results than it is "
     "recorded with, so nothing is verified on this machine until it gives the same again."),
    ("failed", "Failed", ("failed",), "The rerun stopped for a reason that is not the "
     "submission’s. It is tried again."),
    ("rejected", "Rejected", ("rejected",), "They broke a rule or a limit. What is mended is "
     "taken up again."),
    ("past", "Withdrawn and superseded", ("withdrawn",), "They are on no board any more, or a "
     "newer one takes their place. What was measured stays."),
)  # fmt: skip
# The mark before each state: shapes that verdicts have, too.
SHAPES = {
    "verified": "faithful", "pending": "undecided", "running": "undecided", "blocked": "refuted",
    "failed": "refuted", "rejected": "refuted", "withdrawn": "descriptive",
}  # fmt: skip
SAYS = {
    "agrees": "agrees with the rerun",
    "above": "above the rerun",
    "below": "below the rerun",
    "not measured": "not measured by the rerun",
}
SAME = {"files": "the same files", "code": "the same code", "selection": "the same selection"}
SHOWN = 10  # problems or warnings of a submission; all of them are in the data


def submitted_view(
    reruns: Sequence[Rerun], boards: Sequence[Board], pages: Collection[str]
) -> dict[str, Any]:
    """Return what the page says: groups of rows, and a count of each.

    `boards` tell what a rerun gave, `pages` are the paths of the site's pages.
    """
    reruns = in_order(reruns)
    groups = []
    for anchor, heading, states, about in GROUPS:
        rows = [_row(one, boards, pages) for one in reruns if _place(one) in states]
        if rows:
            groups.append({"id": anchor, "heading": heading, "about": about, "rows": rows})
    return {"groups": groups, "count": len(reruns), "shown": SHOWN}


def submitted_json(reruns: Sequence[Rerun]) -> bytes:
    """Return all records as JSON, by name."""
    return canonical_json(
        {"schema_version": 1, "submissions": [one.fields() for one in in_order(reruns)]}
    )


def in_order(reruns: Sequence[Rerun]) -> list[Rerun]:
    """Return records by name, which is theirs alone."""
    return sorted(reruns, key=lambda one: one.name)


def _place(one: Rerun) -> str:
    """Return the state by which a record is listed: a superseded one is of the past."""
    return "withdrawn" if one.superseded_by is not None else one.state


def _row(one: Rerun, boards: Sequence[Board], pages: Collection[str]) -> dict[str, Any]:
    return {
        "one": one,
        "shape": SHAPES[one.state],
        "tracks": [_track(one, name, boards, pages) for name in one.tracks],
        "selected": [_page(ref, pages) for ref in one.selected],
        "claims": [_claim(claim) for claim in one.claims],
        "twins": [(twin.name, SAME[twin.same]) for twin in one.twins],
    }


def _track(
    one: Rerun, name: str, boards: Sequence[Board], pages: Collection[str]
) -> dict[str, Any]:  # fmt: skip
    """Return a track with its page and how well the submission's subset ranks, where there are."""
    entries = [entry for board in boards if board.track.name == name for entry in board.subsets]
    mine = [
        entry.fidelity for entry in entries
        if f"{entry.subset}@{entry.subset_version}" in one.selected and one.state == "verified"
    ]  # fmt: skip
    page = f"boards/{name}.html"
    return {
        "name": name,
        "page": page if page in pages else None,
        "fidelity": mine[0] if mine else None,
    }


def _page(ref: str, pages: Collection[str]) -> tuple[str, str | None]:
    """Return a manifest and its page, None if it has none."""
    name, version = parse_ref(ref)
    page = f"subsets/{name}-v{version}.html"
    return ref, page if page in pages else None


def _claim(found: Checked) -> dict[str, Any]:
    claim = found.claim
    digits = 2 if abs(claim.value) < 100 else 1
    measured = None if found.value is None else number(found.value, digits)
    wide = None
    if found.low is not None and found.high is not None and found.low < found.high:
        wide = f"{number(found.low, digits)} – {number(found.high, digits)}"
    return {
        "claim": claim,
        "claimed": number(claim.value, digits),
        "where": f"{claim.track}, {claim.subset or 'full data'}",
        "measured": measured,
        "wide": wide,
        "n": found.n,
        "says": SAYS[found.says],
        "off": found.says in ("above", "below"),
    }
