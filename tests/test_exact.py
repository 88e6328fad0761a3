"""Enumerating class subsets: nothing missing, nothing shared, and the same bytes however it ran."""

import itertools
import json
import signal
import subprocess
import sys
import time
from math import comb

import numpy as np
import pytest
import torch
from test_run import command, track_json
from typer.testing import CliRunner

from lotterybench.cli import app
from lotterybench.errors import BadRecord, BadRequest, BadResults
from lotterybench.kinds.exact import enumerate_subsets, exact_file, plan_of, read_exact
from lotterybench.kinds.exact.noise import folds, identity, order, stream
from lotterybench.kinds.exact.plan import (
    MIDDLE_FIRST,
    Chunk,
    chunks_of,
    classes_in,
    data_digest,
    steps_of,
    subsets_of,
)
from lotterybench.kinds.exact.training import load_pool, models_of, prepare, trained
from lotterybench.manifests import load_subset_manifest
from lotterybench.run import plan, run_track
from lotterybench.tracks import find_track
from lotterybench.trials import Cheaper, Seeds, Track

TRACK = find_track("digits-exact")
SMALL = TRACK.model_copy(
    update={
        "name": "small-exact",
        "seeds": Seeds(full=6, subset=3),
        "cheaper": [
            Cheaper(arm="control", amount=0.5),
            Cheaper(arm="low-resolution", amount=4),
            Cheaper(arm="narrower", amount=0.5),
        ],
        "configurations": [
            entry.model_copy(update={"config": entry.config | {"epochs": 1}})
            for entry in TRACK.configurations
            if entry.config["backbone"] == "linear" and entry.config["objective"] != "squared"
        ][2:5],
    }
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pool():
    return load_pool(SMALL)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Nine classes and full data, in one go by one process."""
    out = tmp_path_factory.mktemp("undisturbed")
    done = enumerate_subsets(SMALL, out, counts=(9, 10), jobs=1)
    models = 3 * (6 + 3 * 3 + 10 * 3)
    assert done == (out / "small-exact", models, 0, models)
    return out


def files(out):
    return {file.name: file.read_bytes() for file in (out / "small-exact").glob("*.parquet")}


def test_every_class_subset_is_planned_once(tmp_path):
    found = [subset for count in MIDDLE_FIRST for subset in subsets_of(10, count)]
    assert len(found) == len(set(found)) == 1012
    expected = {
        chosen for count in range(2, 10) for chosen in itertools.combinations(range(10), count)
    }
    assert {tuple(classes_in(subset)) for subset in found} == expected
    parts = plan_of(TRACK, tmp_path)
    assert [part.arm for part in parts] == [None, *TRACK.cheaper, *[None] * 8]
    assert [part.size for part in parts if not part.arm] == [10, *MIDDLE_FIRST]
    for part in parts[1:]:
        assert part.planned == comb(10, part.size) * 3 * len(TRACK.configurations)
    assert parts[0].planned == 36 * len(TRACK.configurations)


def test_a_subset_has_the_data_digest_of_its_manifest(pool):
    subset, _ = load_subset_manifest("digits/uniform-5-classes@1")
    chosen = sum(1 << each for each in pool.base.class_indices(subset.classes))
    in_order = [pool.base.class_names[each] for each in classes_in(chosen)]
    same = subset.model_copy(update={"classes": in_order})
    assert data_digest(pool.base, chosen) == same.data_digest()
    assert data_digest(pool.base, 2**10 - 1) == pool.base.digest


def test_the_pool_is_all_images_in_canonical_order(pool):
    assert pool.pixels.shape == (1797, 64)
    assert np.bincount(pool.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


@pytest.mark.parametrize("subset", [0b11, 0b1010101010, 2**10 - 1])
def test_folds_test_each_image_once_and_are_stratified(pool, subset):
    dealt = folds(pool.labels, subset, 5)
    inside = np.isin(pool.labels, classes_in(subset))
    assert ((dealt >= 0) == inside).all()
    assert np.ptp(np.bincount(dealt[inside], minlength=3)) <= 1
    for each in classes_in(subset):
        assert np.ptp(np.bincount(dealt[pool.labels == each], minlength=3)) <= 1
    assert (folds(pool.labels, subset, 6) != dealt).any()


@pytest.mark.parametrize("size", [2, 5, 10])
def test_three_seeds_test_every_image_once_and_never_train_on_it(pool, size):
    entry = TRACK.configurations[0]
    chunk = Chunk(size, entry, (0, 1))
    models = tuple(itertools.islice(models_of(chunk, pool.base), 6))
    assert [model[1:] for model in models] == [(r, f) for r in (0, 1) for f in range(3)]
    given = prepare(chunk, models, pool)
    inside = np.flatnonzero(np.isin(pool.labels, classes_in(models[0].subset)))
    for repeat in (0, 3):
        tested = given.tested[repeat : repeat + 3]
        assert np.array_equal(np.sort(tested[tested >= 0]), inside)
    for number in range(6):
        seen, tested = given.shown[:, number].ravel(), given.tested[number]
        assert not set(seen) & set(tested)
        assert set(seen) | set(tested[tested >= 0]) == set(inside)
        assert given.labels[number][seen].max() == size - 1
    assert len(given.shown) == steps_of(entry, 1797, 10, size)
    assert (given.tested[:3] != given.tested[3:]).any()


def test_each_pass_shows_every_row_once():
    rows = np.arange(100, 150)
    shown = order(rows, 10, 16, 3).ravel()
    for start in range(0, 150, 50):
        assert np.array_equal(np.sort(shown[start : start + 50]), rows)
    assert (shown[:50] != shown[50:100]).any()


def test_no_two_runs_share_a_stream(pool):
    """Not across subsets and full data, configurations, seeds, or streams."""
    seeds = [
        stream(identity(TRACK, pool.base, subset, entry), index, name)
        for subset in (0b11, 0b101, 0b111, 2**10 - 1)
        for entry in TRACK.configurations
        for name, indices in (("folds", 12), ("init", 36), ("order", 36))
        for index in range(indices)
    ]
    assert len(set(seeds)) == len(seeds) == 4 * 54 * 84
    assert max(seeds) > 2**63


def residuals(pool):
    """Return how two configurations' seeds on nine classes deviate from the mean of each."""
    repeats = tuple(range(16))
    counted = [trained(Chunk(9, entry, repeats), pool) for entry in SMALL.configurations[1:]]
    scores = [right / total for right, total, _ in counted]
    return [each - each.mean(1, keepdims=True) for each in scores]


def pooled(pairs):
    return np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs])


CHANCE = 3.9 / np.sqrt(47)  # one correlation of 48 independent pairs: once in 10,000


def test_residuals_are_uncorrelated(pool, monkeypatch):
    """Configurations on one subset, and overlapping subsets, share no luck."""
    left = residuals(pool)
    assert abs(pooled(zip(*left, strict=True))) < CHANCE / np.sqrt(10)
    assert abs(pooled(itertools.combinations(left[0], 2))) < CHANCE / np.sqrt(45)
    monkeypatch.setattr("lotterybench.kinds.exact.training.identity", lambda *_: "one for all")
    assert pooled(zip(*residuals(pool), strict=True)) > 1.5 * CHANCE / np.sqrt(10)


@pytest.mark.slow
def test_results_are_read_as_they_were_counted(undisturbed, pool):
    for size, seeds in ((9, 3), (10, 6)):
        found = read_exact(exact_file(undisturbed / "small-exact", size))
        assert found.configurations == [entry.name for entry in SMALL.configurations]
        assert found.families == [entry.family for entry in SMALL.configurations]
        assert found.subsets.tolist() == subsets_of(10, size)
        assert found.correct.shape == found.totals.shape == (comb(10, size), 3, seeds)
        assert found.about["track_digest"] == SMALL.digest()
        assert found.about["base_digest"] == pool.base.digest
        assert json.loads(found.about["software"])["torch"]
        for subset, totals in zip(found.subsets.tolist(), found.totals, strict=True):
            images = np.isin(pool.labels, classes_in(subset)).sum()
            assert (totals.reshape(3, -1, 3).sum(2) == images).all()
        accuracy = found.correct / found.totals
        assert 0.7 < accuracy.mean() < 0.99
        assert len(np.unique(accuracy)) > 10
    assert not (undisturbed / "small-exact/.chunks").exists()


@pytest.mark.slow
def test_two_workers_write_the_same_bytes_and_more_seeds_extend_them(undisturbed, tmp_path):
    enumerate_subsets(SMALL, tmp_path, counts=(9, 10), jobs=2)
    assert files(tmp_path) == files(undisturbed)
    done = enumerate_subsets(SMALL, tmp_path, counts=(9, 10), seeds=6, jobs=1)
    arms, full, nine = 3 * 3, 6, 10 * 3  # models of a configuration
    assert (done.planned, done.before, done.trained) == (
        3 * (full + 2 * (arms + nine)), 3 * (full + arms + nine), 3 * (arms + nine)
    )  # fmt: skip
    more = read_exact(exact_file(tmp_path / "small-exact", 9))
    fewer = read_exact(exact_file(undisturbed / "small-exact", 9))
    assert np.array_equal(more.correct[:, :, :3], fewer.correct)
    assert more.correct.shape[2] == 6
    assert enumerate_subsets(SMALL, tmp_path, counts=(9, 10)).trained == 0


@pytest.mark.slow
def test_killed_and_repeated_gives_the_same_bytes(undisturbed, tmp_path):
    """kill -9 after some chunks: those are kept, and the files end as those of a whole run."""
    code = (
        "import sys; from pathlib import Path; from lotterybench.kinds.exact import *\n"
        "from lotterybench.tracks import find_track\n"
        "if __name__ == '__main__':\n"
        "    enumerate_subsets(find_track(sys.argv[1]), Path(sys.argv[2]), counts=(9, 10), jobs=1)"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    arguments = [sys.executable, script, track_json(tmp_path, SMALL), tmp_path / "results"]
    chunks = tmp_path / "results/small-exact/.chunks"
    process = subprocess.Popen([str(each) for each in arguments])
    deadline = time.monotonic() + 120
    while len(list(chunks.glob("*/*.parquet"))) < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None, "ended before it was killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = enumerate_subsets(SMALL, tmp_path / "results", counts=(9, 10), jobs=1)
    assert done.before > 0
    assert files(tmp_path / "results") == files(undisturbed)


@pytest.mark.slow
def test_the_command_plans_and_refuses(tmp_path):
    def said(*arguments):
        line = command("run", *arguments, "--out", tmp_path / "results")
        return subprocess.run(line, capture_output=True, text=True, check=False, timeout=300)

    track = track_json(tmp_path, SMALL)
    rows = json.loads(said(track, "--plan", "--json").stdout)
    assert [row["runs"] for row in rows[:5]] == [18, 9, 9, 9, 252 * 3 * 3]
    assert rows[-1]["runs"] == (6 + 3 * 3 + 1012 * 3) * 3
    assert rows[-1]["seconds"] > 0
    refused = said(track, "--subset", "digits/uniform-5-classes@1")
    assert refused.returncode == 1
    assert "only --classes, --out, --seeds, --jobs and --plan" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seeds": 4}, "4 seeds were asked for; small-exact takes a multiple of 3"),
        ({"seeds": 0}, "0 seeds were asked for"),
        ({"counts": (5, 11)}, "11 classes were asked for; subsets of digits are enumerated with 2"),
        ({"jobs": 0}, "0 worker processes were asked for"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, settings, message):
    with pytest.raises(BadRequest, match=message) as info:
        enumerate_subsets(SMALL, tmp_path / "results", **settings)
    assert "\n" not in str(info.value)
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_other_tracks_and_other_origins_are_refused(undisturbed, tmp_path):
    other = SMALL.model_copy(update={"version": 2})
    with pytest.raises(BadResults, match=r"has track_digest .*; results of different origin"):
        enumerate_subsets(other, undisturbed, counts=(9,))
    loose = SMALL.configurations[0].model_copy(update={"config": {"backbone": "linear"}})
    with pytest.raises(BadRequest, match="is of the method 'stacked' and has backbone"):
        enumerate_subsets(SMALL.model_copy(update={"configurations": [loose] * 2}), tmp_path)
    with pytest.raises(BadRequest, match="only --classes, --out"):
        run_track(SMALL, tmp_path, subsets=["digits/uniform-5-classes@1"])
    with pytest.raises(BadRequest, match="no arms of single runs"):
        plan(SMALL, tmp_path)
    fields = SMALL.fields() | {"seeds": {"full": 6, "subset": 4}}
    with pytest.raises(BadRecord, match="seeds in threes"):
        Track.read(json.dumps(fields).encode(), "here")


@pytest.mark.slow
def test_damaged_files_are_one_line(undisturbed, tmp_path):
    with pytest.raises(BadResults, match="there is no file"):
        read_exact(tmp_path / "none.parquet")
    whole = exact_file(undisturbed / "small-exact", 9).read_bytes()
    for content in (b"", whole[:-100], b"PAR1" + whole):
        (tmp_path / "bad.parquet").write_bytes(content)
        with pytest.raises(BadResults, match="cannot be read as an enumeration"):
            read_exact(tmp_path / "bad.parquet")


def test_full_data_is_stacked_over_its_repeats(pool):
    chunks = chunks_of(SMALL, pool.base, 10, range(4))
    assert [chunk.repeats for chunk in chunks] == [(0, 1, 2, 3)] * 3
    assert len({chunk.name for chunk in chunks}) == len(chunks)
    assert chunks_of(SMALL, pool.base, 10, []) == []


def test_the_command_takes_some_numbers_of_classes(tmp_path):
    asked = ["run", "digits-exact", "--classes", "9", "--plan", "--out", str(tmp_path)]
    shown = CliRunner().invoke(app, [*asked, "--json"])
    assert shown.exit_code == 0, shown.output
    arms = [row["arm"] for row in json.loads(shown.stdout)]
    assert arms[0] == "classes-10"
    assert arms[1:-2] == [str(arm) for arm in TRACK.cheaper]
    assert arms[-2:] == ["classes-9", "all"]
    with pytest.raises(BadRequest, match="--classes is of exact tracks"):
        run_track("digits-supervised", tmp_path, classes=[5])
    with pytest.raises(BadRequest, match="11 classes were asked for"):
        run_track("digits-exact", tmp_path, classes=[11])
