"""The five words of a claim: by cases, and how often each is said of a known truth."""

import numpy as np
import pytest

from lotterybench.errors import BadRequest
from lotterybench.ranking.claims import TwoSided, claim_word, two_sided


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (9.5, 10.5, "reproduced"),
        (9.0, 11.0, "reproduced"),  # the edges belong to the tolerance
        (8.9, 10.0, "inconclusive"),
        (10.5, 11.5, "inconclusive"),
        (8.0, 12.0, "inconclusive"),  # wider than the tolerance: nothing is shown
        (11.0, 12.0, "inconclusive"),
        (11.1, 12.0, "contradicted"),
        (7.0, 8.9, "contradicted"),
    ],
)
def test_words(low, high, word):
    assert claim_word(10, 1, TwoSided(low, high)) == word
    assert claim_word(-10, 1, TwoSided(-high, -low)) == word
    assert claim_word(10, 1, TwoSided(low, high), same_setting=False) == "different setting"


def test_what_was_not_run_says_so_first():
    assert claim_word(10, 1, None) == "not yet run"
    assert claim_word(10, 1, None, same_setting=False) == "not yet run"


@pytest.mark.parametrize("tolerance", [0, -1, float("nan")])
def test_a_tolerance_lies_above_0(tolerance):
    with pytest.raises(BadRequest, match=r"lies above 0 \(protocol §11\)"):
        claim_word(10, tolerance, TwoSided(9, 11))


def test_intervals_are_two_sided_and_leave_out_what_is_undefined():
    draws = np.append(np.linspace(0, 1, 1001), [np.nan, np.inf])
    assert two_sided(draws) == pytest.approx((0.025, 0.975))
    assert two_sided(np.array([np.nan])) is None


@pytest.mark.parametrize(
    ("truth", "word", "least", "most"),
    [
        (10.0, "reproduced", 0.9, 1.0),
        (11.0, "reproduced", 0.0, 0.05),  # the edge: a false "reproduced" is rare
        (13.0, "contradicted", 0.9, 1.0),
        (11.0, "contradicted", 0.0, 0.05),  # and so is a false "contradicted"
    ],
)
def test_wrong_words_are_rare(truth, word, least, most):
    rng, said = np.random.default_rng(0), 0
    for _ in range(400):
        mean = rng.normal(truth, 0.25)
        said += claim_word(10, 1, two_sided(rng.normal(mean, 0.25, 400))) == word
    assert least <= said / 400 <= most
