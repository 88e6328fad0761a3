"""What the referee writes under a pull request: our words, and strangers' escaped."""

from collections.abc import Sequence

from lotterybench.submissions.referee.records import Checked, Rerun
from lotterybench.submissions.summary import escaped

TOLD = 50  # problems or claims that a comment lists
LONGEST = 300  # characters of one of them
SAYS = {
    "verified": "It was rerun, and what came out is committed.",
    "rejected": "It was not taken. Mend it, and push to this pull request: it is taken up again.",
    "failed": "The rerun failed for a reason that is not the submission's. It is tried again.",
    "blocked": "The round is blocked: a reference method gave other results than before. It is "
    "tried again when the referee's machine is in order.",
    "withdrawn": "It was withdrawn.",
}
CLAIMS = {
    "agrees": "agrees with the rerun",
    "above": "above the rerun",
    "below": "below the rerun",
    "not measured": "not measured",
}


def mark_of(commit: str, digest: str, state: str) -> str:
    """Return the line by which the referee finds its own comment again."""
    return f"Commit {commit}, digest {digest}: {state}."


def reply_to(rerun: Rerun, commit: str, published: str | None = None) -> tuple[str, str]:
    """Return a comment in Markdown on what was read at `commit`, and the mark that is in it.

    `published` is the commit on main that holds what was rerun.
    """
    mark = mark_of(commit, rerun.digest, rerun.state)
    lines = [f"**{rerun.state}.** {SAYS.get(rerun.state, '')}".rstrip(), ""]
    rows = [
        ("status", rerun.status or ""),
        ("reason", _short(rerun.reason)),
        ("tracks", ", ".join(rerun.tracks)),
        ("isolation", rerun.isolation or ""),
        ("commit on main", published or ""),
        ("withdrawn", _short(rerun.withdrawn or "")),
    ]
    lines += [f"* {key}: {escaped(value)}" for key, value in rows if value]
    lines += _listed("problem", [escaped(_short(one)) for one in rerun.problems])
    lines += _listed("warning", [escaped(_short(one)) for one in rerun.warnings])
    lines += _listed("claim", [_claim(one) for one in rerun.claims])
    lines += _listed("same", [f"{escaped(one.name)}, by its {one.same}" for one in rerun.twins])
    return "\n".join([*lines, "", mark]), mark


def _listed(what: str, texts: Sequence[str]) -> list[str]:
    more = [f"* {len(texts) - TOLD} more of these"] if len(texts) > TOLD else []
    return [f"* {what}: {text}" for text in texts[:TOLD]] + more


def _claim(one: Checked) -> str:
    claim = one.claim
    found = "" if one.value is None else f"; the rerun gave {one.value:.3g}"
    if one.low is not None and one.high is not None and one.low < one.high:
        found += f" ({one.low:.3g} to {one.high:.3g})"
    where = f"{claim.track}, {claim.subset or 'full data'}"
    told = f"{claim.figure} {claim.value:g} on {where}: {CLAIMS[one.says]}{found}"
    return escaped(told)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
