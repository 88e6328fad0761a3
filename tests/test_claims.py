"""Claims beside what a rerun gave: figures found where they are, and said to lie where they lie."""

import pytest

from lotterybench.score import board
from lotterybench.submissions.records import FIGURES, Claim
from lotterybench.submissions.referee.claims import Measured, checked_claims

OWN = "digits/uniform-10pct@1"


@pytest.fixture(scope="module")
def judged():
    """The board of a track that ships, and the fidelity of a subset on it."""
    from lotterybench.paths import reference_results

    found = board(reference_results() / "digits-supervised")
    entry = next(one for one in found.subsets if one.subset == OWN.partition("@")[0])
    return found, entry.fidelity


def a_claim(figure, value, subset=OWN, track="digits-supervised"):
    return Claim(track=track, subset=subset, figure=figure, value=value, how="two seeds")


def beside(found, *claims, scores=None):
    return checked_claims(claims, OWN, {found.track.name: found}, scores)


def test_every_figure_that_can_be_claimed_is_found(judged):
    found, one = judged
    wanted = {
        "tau-b": (one.tau, one.interval), "rho": (one.rho, one.rho_interval),
        "weighted-tau": (one.weighted_tau, None), "top-half-tau": (one.top_half_tau, None),
        "pair-agreement": (one.pairs.agreement, one.pairs.interval),
        "regret": (one.regret.lost, None), "cost-ratio": (one.cost_ratio, None),
    }  # fmt: skip
    assert wanted.keys() == FIGURES.keys() - {"accuracy"}
    for figure, (value, interval) in wanted.items():
        (checked,) = beside(found, a_claim(figure, 0.5))
        if value is None:
            assert checked.says == "not measured"
            continue
        assert checked.value == value
        assert (checked.low, checked.high) == (
            (interval.low, interval.high) if interval else (None, None)
        )
        assert f"{one.configurations} configurations of {one.families} families" in checked.n


def test_a_claim_agrees_within_the_bounds_of_the_rerun_and_no_further(judged):
    found, one = judged
    low, high = one.interval.low, one.interval.high
    says = [
        beside(found, a_claim("tau-b", value))[0].says
        for value in (low - 0.02, low, one.tau, high, min(1, high + 0.02))
    ]
    assert says == ["below", "agrees", "agrees", "agrees", "above" if high < 0.985 else "agrees"]


def test_figures_without_bounds_agree_to_two_decimals(judged):
    found, one = judged
    says = [
        beside(found, a_claim("cost-ratio", one.cost_ratio + by))[0].says
        for by in (-0.02, -0.004, 0, 0.004, 0.02)
    ]
    assert says == ["below", "agrees", "agrees", "agrees", "above"]


def test_what_was_not_rerun_is_not_measured(judged):
    found, _ = judged
    strange = [
        a_claim("tau-b", 0.5, subset=None), a_claim("tau-b", 0.5, subset="digits/nothing@1"),
        a_claim("tau-b", 0.5, track="digits-selfsup"), a_claim("accuracy", 50.0),
    ]  # fmt: skip
    assert [one.says for one in beside(found, *strange)] == ["not measured"] * 4


def test_accuracies_are_those_of_the_method_by_track_and_subset(judged):
    found, _ = judged
    scores = {
        ("digits-supervised", None): Measured(90.0, 88.0, 92.0, "4 seeds"),
        ("digits-supervised", OWN): Measured(70.0, None, None, "1 seed"),
    }
    claims = [a_claim("accuracy", 95.0, subset=None), a_claim("accuracy", 70.0)]
    full, there = beside(found, *claims, scores=scores)
    assert (full.says, full.value, full.n) == ("above", 90.0, "4 seeds")
    assert (there.says, there.low) == ("agrees", None)
