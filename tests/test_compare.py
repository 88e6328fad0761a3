"""The chance that an order on a subset holds on full data, from a track's own pairs."""

import json

import numpy as np
import pytest
from scipy import stats
from test_judging import CHOSEN, RANDOM, write_arm
from test_score import make_track
from typer.testing import CliRunner

from lotterybench.cli import app
from lotterybench.compare import compare, read_scores, side_by_side
from lotterybench.errors import BadRequest, BadResults
from lotterybench.paths import track_file
from lotterybench.ranking.resampling import paired_difference
from lotterybench.score.fidelity import BOOTSTRAP_SEED


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """24 configurations of 8 families; the subset adds noise of 5 points to methods 10 apart."""
    place = tmp_path_factory.mktemp("results")
    rng = np.random.default_rng(0)
    track = make_track(families=8, each=3, seeds=2, subsets=[CHOSEN[0], RANDOM[0]])
    track_file(place).write_bytes(track.pretty())
    truth = rng.normal(70, 10, (24, 1))
    write_arm(place, track, truth + np.zeros((24, 2)))
    write_arm(place, track, truth + 5 * rng.normal(size=(24, 1)) + np.zeros((24, 2)), CHOSEN[0])
    return place


def test_a_larger_difference_is_surer(folder):
    found = compare(CHOSEN[0], {"a": 90.0, "b": 89.5, "c": 60.0}, folder)
    assert [(o.better, o.worse) for o in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    near, far, also = found
    assert near.points == pytest.approx(0.5)
    assert 0.5 <= near.holds < 0.8
    assert far.holds > 0.95
    assert far.holds >= also.holds >= near.holds
    assert all(order.low <= order.holds for order in found)
    assert near.pairs > far.pairs


def test_the_share_is_that_of_the_tracks_own_pairs(folder):
    """At a difference above which all pairs agree it is 1; averaged over all it is the mean."""
    from lotterybench.compare import _chance, _pairs

    rng = np.random.default_rng(1)
    full, there = rng.normal(size=30), rng.normal(size=30)
    gaps, alike, _, _ = _pairs(full, there)
    brute = [
        float((full[i] - full[j]) * (there[i] - there[j]) > 0)
        for i in range(30)
        for j in range(i + 1, 30)
    ]
    assert alike.tolist() == brute
    fitted = _chance(gaps, np.maximum(alike, 0.5), np.ones(len(gaps)), gaps)
    assert fitted.mean() == pytest.approx(np.maximum(alike, 0.5).mean())
    assert (np.diff(fitted[np.argsort(gaps)]) >= 0).all()


def test_what_cannot_be_compared_is_told(folder, tmp_path):
    with pytest.raises(BadRequest, match="1 scores were given; an order needs two"):
        compare(CHOSEN[0], {"a": 1.0}, folder)
    with pytest.raises(BadResults, match=r"has no complete results of digits/uniform-10pct-draw00"):
        compare(RANDOM[0], {"a": 1.0, "b": 2.0}, folder)
    file = tmp_path / "scores.csv"
    for text in (
        "method,score\na,x\n",
        "name,score\na,1\n",
        "method,score\na,nan\n",
        "method\na\n",
    ):
        file.write_text(text)
        with pytest.raises(BadRequest, match="line 2: needs a method and a score, a number"):
            read_scores(file)
    with pytest.raises(BadRequest, match="cannot be read"):
        read_scores(tmp_path / "nowhere.csv")


def test_rows_of_one_method_are_its_seeds(tmp_path):
    file = tmp_path / "scores.csv"
    file.write_text("method,score\nmine,80\nmine,82\nother,70\n")
    assert read_scores(file) == {"mine": 81.0, "other": 70.0}


def test_the_command_prints_orders(tmp_path):
    file = tmp_path / "scores.csv"
    file.write_text("method,score\nmine,88\nother,60\n")
    asked = ["compare", "digits-supervised", "--subset", "digits/uniform-25pct"]
    shown = CliRunner().invoke(app, [*asked, "--scores", str(file)])
    assert shown.exit_code == 0, shown.exception
    assert "holds on full data" in shown.stdout
    assert "mine" in shown.stdout


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """24 configurations of 8 families, a good and a poor subset; two of them not scored on it."""
    place = tmp_path_factory.mktemp("pair")
    rng = np.random.default_rng(3)
    track = make_track(families=8, each=3, seeds=2, subsets=CHOSEN)
    track_file(place).write_bytes(track.pretty())
    truth = rng.normal(70, 10, (24, 1))
    arms = [truth + noise * rng.normal(size=(24, 1)) + np.zeros((24, 2)) for noise in (0, 2, 20)]
    arms[0][5] = np.nan
    for ref, values in zip((None, *CHOSEN), arms, strict=True):
        write_arm(place, track, values, ref)
    return place, arms


def test_two_subsets_are_compared_on_the_same_families(pair):
    place, arms = pair
    found = side_by_side(*CHOSEN, place)
    kept = [row for row in range(24) if row != 5]
    full, good, poor = (arm[kept].mean(1) for arm in arms)
    groups = np.repeat(np.arange(8), 3)[kept]
    taus = [stats.kendalltau(full, side).statistic for side in (good, poor)]
    assert (found.configurations, found.families) == (23, 8)
    assert [one.subset for one in found.sides] == CHOSEN
    assert [one.tau for one in found.sides] == pytest.approx(taus)
    expected = paired_difference(full, good, poor, groups, np.random.default_rng(BOOTSTRAP_SEED))
    assert found.difference.difference == pytest.approx(taus[0] - taus[1])
    assert found.difference.interval.low == pytest.approx(expected.bounds.low)
    assert found.difference.p == pytest.approx(expected.p)
    assert found.difference.p < 0.05
    back = side_by_side(CHOSEN[1].split("@")[0], CHOSEN[0], place)
    assert back.difference.difference == pytest.approx(-found.difference.difference)
    assert back.difference.interval.high == pytest.approx(-found.difference.interval.low)


def test_the_command_compares_two_subsets():
    asked = ["compare", "digits-supervised", "digits/uniform-25pct", "digits/class-balanced-25pct"]
    shown = CliRunner().invoke(app, asked)
    assert shown.exit_code == 0, shown.exception
    assert "difference" in shown.stdout
    assert "configurations in 6 families" in shown.stdout
    as_json = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)
    assert as_json["sides"][0]["subset"] == "digits/uniform-25pct@1"


@pytest.mark.parametrize(
    "more", [[], ["digits/uniform-25pct"], ["a/b", "a/c", "a/d"], ["a/b", "a/c", "--subset", "a/b"]]
)
def test_the_command_wants_one_of_its_two_uses(more):
    shown = CliRunner().invoke(app, ["compare", "digits-supervised", *more])
    assert isinstance(shown.exception, BadRequest)
    assert "give two subsets" in str(shown.exception)
