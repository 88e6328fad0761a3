"""What a board's page says of submitted methods that it does not rank, before it is drawn."""

from collections.abc import Sequence
from typing import Any

from lotterybench.leaderboard.charts import NONE, number
from lotterybench.submissions.referee.standing import OnArm, Standing

ISOLATIONS = {
    "rerun-sandboxed": "sandbox",
    "rerun-unsandboxed": "no sandbox",
    "self-reported": "self-reported",
}


def candidate_rows(standings: Sequence[Standing]) -> list[dict[str, Any]]:
    """Return a row per candidate, the best mean on full data first, failed ones last."""

    def order(one: Standing) -> tuple[bool, float, str]:
        mean = one.full.score.mean
        return mean is None, -(mean or 0), one.name

    return [
        {
            "name": one.name,
            "labels": one.line.config.get("labels") is True,
            "settings": {key: value for key, value in one.line.config.items() if key != "labels"},
            "full": _cell(one.full),
            "subsets": [_cell(arm) for arm in one.subsets],
            "ranks": one.ranks,
            "of": one.of,
            "isolation": ISOLATIONS[one.isolation],
            "state": one.state or NONE,
        }
        for one in sorted(standings, key=order)
    ]


def _cell(arm: OnArm) -> dict[str, Any]:
    low, high = arm.bounds or (None, None)
    failures, seeds = arm.score.failures, len(arm.score.scores) + arm.score.failures
    return {
        "subset": arm.subset.partition("/")[2] if arm.subset else None,
        "score": arm.score,
        "failed": f"{failures} of {seeds}" if failures else "",
        "span": f"{number(low)} – {number(high)}" if arm.bounds else "",
    }
