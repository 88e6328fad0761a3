"""From result lines to fidelity: what is joined, what is refused, how failures count."""

import json

import numpy as np
import pytest
from scipy import stats

from lotterybench.errors import BadResults
from lotterybench.manifests import find_base, load_subset_manifest
from lotterybench.paths import track_file
from lotterybench.results import append, arrange, mend, read, results_file
from lotterybench.score import board
from lotterybench.trials import Configuration, Cost, Result, Seeds, Track

REF = "digits/uniform-10pct@1"


def make_track(families=6, each=2, seeds=2, **changes):
    return Track(
        schema_version=1,
        name="made-up",
        version=1,
        title="Made up",
        base="digits",
        kind="ranking",
        probe="classifier",
        metric="accuracy",
        seeds=Seeds(full=seeds, subset=seeds),
        configurations=[
            Configuration(
                name=f"c{family}-{number}", family=f"f/{family}", method="supervised",
                config={"lr": float(number), "epochs": 3},
            )
            for family in range(families)
            for number in range(each)
        ],
        subsets=[REF],
    ).model_copy(update=changes)  # fmt: skip


def make_result(track, entry, seed, value, ref=None, status="ok", seen=100):
    subset = load_subset_manifest(ref)[0] if ref else None
    base, _ = find_base("digits")
    return Result(
        schema_version=1,
        track=track.name,
        track_version=track.version,
        track_digest=track.digest(),
        arm="subset" if ref else "full",
        scope="full",
        base_digest=base.digest,
        subset=subset.id if ref else None,
        subset_version=subset.version if ref else None,
        subset_digest=subset.digest if ref else None,
        data_digest=subset.data_digest() if ref else base.digest,
        configuration=entry.name,
        family=entry.family,
        method=entry.method,
        config=entry.config,
        epochs=3,
        seed=seed,
        status=status,
        metrics={"accuracy": value} if status == "ok" else {},
        cost=Cost(images_seen=seen, device="cpu"),
        software={},
        code_digest="0" * 64,
        origin="reference",
        isolation="rerun-unsandboxed",
    )


def write(folder, track, full, subset, **options):
    """Write a results folder from score arrays (configurations, seeds)."""
    folder.mkdir(parents=True, exist_ok=True)
    track_file(folder).write_bytes(track.pretty())
    for ref, values in ((None, full), (REF, subset)):
        file = file_of(folder, ref)
        for entry, row in zip(track.configurations, values, strict=True):
            for seed, value in enumerate(row):
                result = make_result(track, entry, seed, float(value), ref, **options)
                append(file, result, 0.1, file.with_suffix(".timings"))


def file_of(folder, ref):
    return results_file(folder, load_subset_manifest(ref)[0] if ref else None)


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    means = rng.normal(70, 10, 12)
    full = means[:, None] + rng.normal(size=(12, 2))
    return full, means[:, None] * 0.8 + 3 * rng.normal(size=(12, 2))


def test_fidelity_is_of_seed_means(tmp_path, scores):
    full, subset = scores
    track = make_track()
    write(tmp_path, track, full, subset)
    found = board(tmp_path).subsets[0].fidelity
    means = full.mean(axis=1), subset.mean(axis=1)
    assert found.tau == pytest.approx(stats.kendalltau(*means).statistic)
    assert found.rho == pytest.approx(stats.spearmanr(*means).statistic)
    assert found.ceiling == pytest.approx(stats.kendalltau(full[:, 0], full[:, 1]).statistic)
    assert found.interval.resampled == "families"
    assert found.interval.low < found.tau < found.interval.high
    assert (found.configurations, found.families) == (12, 6)
    assert found.cost_ratio == 1
    assert found.verdict == "descriptive"
    assert "12 configurations of 6 families; a verdict needs 36 of 12" in found.why


def test_scoring_twice_gives_the_same_bytes(tmp_path, scores):
    write(tmp_path, make_track(), *scores)
    assert board(tmp_path).line() == board(tmp_path).line()


def test_too_few_families_have_no_interval(tmp_path, scores):
    full, subset = scores
    write(tmp_path, make_track(families=5), full[:10], subset[:10])
    found = board(tmp_path).subsets[0].fidelity
    assert found.interval is None
    assert found.sensitivity.resampled == "configurations"
    assert "an interval needs 6 families" in found.why


def test_all_tied_is_undefined(tmp_path, scores):
    full, _ = scores
    write(tmp_path, make_track(), full, np.ones((12, 2)))
    found = board(tmp_path).subsets[0].fidelity
    assert found.tau is None
    assert found.rho is None
    assert found.interval is None


def test_one_seed_has_no_ceiling(tmp_path, scores):
    full, subset = scores
    write(tmp_path, make_track(seeds=1), full[:, :1], subset[:, :1])
    assert board(tmp_path).subsets[0].fidelity.ceiling is None


def test_anchors_are_shown_and_not_scored(tmp_path, scores):
    full, subset = scores
    full[0], subset[0] = 1.0, 99.0
    write(tmp_path, make_track(anchors=["c0-0"]), full, subset)
    found = board(tmp_path)
    assert found.full[0].anchor
    assert found.subsets[0].fidelity.configurations == 11
    expected = stats.kendalltau(full[1:].mean(axis=1), subset[1:].mean(axis=1)).statistic
    assert found.subsets[0].fidelity.tau == pytest.approx(expected)


def replace(file, number, **changes):
    """Change one line of a results file."""
    lines = file.read_text().splitlines()
    lines[number] = json.dumps(json.loads(lines[number]) | changes)
    file.write_text("\n".join(lines) + "\n")


def test_failure_on_the_subset_ranks_last(tmp_path, scores):
    full, subset = scores
    write(tmp_path, make_track(), full, subset)
    replace(file_of(tmp_path, REF), 4, status="oom", metrics={})
    found = board(tmp_path).subsets[0]
    lowered = subset.mean(axis=1)
    lowered[2] = -1e9
    assert found.fidelity.failures == 1
    assert found.fidelity.tau == pytest.approx(
        stats.kendalltau(full.mean(axis=1), lowered).statistic
    )
    assert found.scores[2].mean is None
    assert found.scores[2].failures == 1


def test_failure_on_full_data_leaves_the_pool(tmp_path, scores):
    full, subset = scores
    write(tmp_path, make_track(), full, subset)
    replace(file_of(tmp_path, None), 0, status="crash", metrics={})
    found = board(tmp_path).subsets[0].fidelity
    assert found.configurations == 11
    assert found.left_out == {"c0-0": "failed on full data (1 of 2 seeds ended well) (protocol §1)"}


def test_missing_runs_leave_no_fidelity(tmp_path, scores):
    write(tmp_path, make_track(), *scores)
    file = file_of(tmp_path, REF)
    file.write_text("\n".join(file.read_text().splitlines()[:-3]) + "\n")
    replace(file, 0, status="infra", metrics={})
    found = board(tmp_path)
    assert found.subsets[0].fidelity is None
    assert found.subsets[0].missing == 4
    assert found.missing_full == 0


def test_a_gap_on_full_data_leaves_no_fidelity_and_is_counted_once(tmp_path, scores):
    write(tmp_path, make_track(), *scores)
    file = file_of(tmp_path, None)
    file.write_text("\n".join(file.read_text().splitlines()[:-2]) + "\n")
    found = board(tmp_path)
    assert (found.missing_full, found.subsets[0].missing) == (2, 0)
    assert found.subsets[0].fidelity is None


def test_one_arm_cannot_stand_in_for_another(tmp_path, scores):
    write(tmp_path, make_track(), *scores)
    file_of(tmp_path, None).write_bytes(file_of(tmp_path, REF).read_bytes())
    with pytest.raises(BadResults, match=r"full\.jsonl line 1 has arm 'subset', not 'full'"):
        board(tmp_path)


def test_a_results_file_under_another_name_is_told(tmp_path, scores):
    write(tmp_path, make_track(), *scores)
    (tmp_path / "full-backup.jsonl").write_bytes(file_of(tmp_path, None).read_bytes())
    with pytest.raises(BadResults, match=r"full-backup.jsonl holds results of full data"):
        board(tmp_path)


def test_seeds_beyond_the_plan_do_not_count(tmp_path, scores):
    full, subset = scores
    write(tmp_path, make_track(), full, subset)
    planned = board(tmp_path).subsets[0]
    track = make_track()
    for seed in range(2, 9):
        extra = make_result(track, track.configurations[0], seed, 99.0, REF)
        append(file_of(tmp_path, REF), extra, 0.1, tmp_path / "x.timings")
    after = board(tmp_path).subsets[0]
    why = f"{planned.fidelity.why}; 7 runs of seeds beyond the plan do not count (protocol §1)"
    assert after.fidelity == planned.fidelity.model_copy(update={"why": why})
    assert after.scores == planned.scores


def test_equal_counts_tie_whatever_the_order_of_summing(tmp_path, scores):
    """Means of 2 seeds of 596 images: floats of equal sums differ in their last bits."""
    rng = np.random.default_rng(0)
    right = rng.integers(300, 600, (12, 2))
    swapped = right[:, ::-1].copy()
    swapped[:, 0] += 1
    swapped[:, 1] -= 1
    write(tmp_path, make_track(), 100 * right / 596, 100 * swapped / 596)
    assert board(tmp_path).subsets[0].fidelity.tau == 1


def test_another_code_or_device_is_told(tmp_path, scores):
    write(tmp_path, make_track(), *scores)
    replace(file_of(tmp_path, REF), 3, code_digest="7" * 64, cost={"images_seen": 1, "device": "x"})
    why = board(tmp_path).subsets[0].fidelity.why
    assert "the runs are of 2 code versions" in why
    assert "the runs are of 2 devices" in why


def test_a_failure_saves_nothing(tmp_path, scores):
    """The cost ratio is of configurations that ended on both sides."""
    write(tmp_path, make_track(), *scores)
    replace(
        file_of(tmp_path, REF),
        0,
        status="oom",
        metrics={},
        cost={"images_seen": 0, "device": "cpu"},
    )
    assert board(tmp_path).subsets[0].fidelity.cost_ratio == 1


def test_cost_is_of_images_seen(tmp_path, scores):
    full, subset = scores
    write(tmp_path, make_track(), full, subset)
    for number in range(24):
        replace(file_of(tmp_path, REF), number, cost={"images_seen": 25, "device": "cpu"})
    assert board(tmp_path).subsets[0].fidelity.cost_ratio == 0.25


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"track_digest": "1" * 64}, "results of different pools are never joined"),
        ({"track_version": 2, "track_digest": "2" * 64}, "version 2"),
        ({"track": "other"}, "is of track other"),
        ({"scope": "subset"}, "has scope 'subset', not 'full'"),
        ({"arm": "full"}, "has arm 'full', not 'subset'"),
        ({"base_digest": "3" * 64}, "has base_digest '3333"),
        ({"data_digest": "4" * 64}, "has data_digest '4444"),
        ({"subset_digest": "5" * 64}, "has subset_digest '5555"),
        ({"subset": "digits/other"}, "has subset 'digits/other'"),
        ({"configuration": "zzz"}, "configuration 'zzz' that made-up does not have"),
        ({"family": "f/other"}, "configuration 'c1-0' that made-up does not have"),
    ],
)
def test_what_does_not_belong_is_refused(tmp_path, scores, changes, message):
    write(tmp_path, make_track(), *scores)
    replace(file_of(tmp_path, REF), 5, **changes)
    with pytest.raises(BadResults, match=message) as info:
        board(tmp_path)
    assert "line 6" in str(info.value)
    assert "\n" not in str(info.value)


def test_a_half_written_last_line_is_told_and_mended(tmp_path, scores):
    write(tmp_path, make_track(), *scores)
    file = file_of(tmp_path, REF)
    content = file.read_bytes()
    file.write_bytes(content[:-20])
    with pytest.raises(BadResults, match=r"ends in a half-written line \(24\); repeat the run"):
        board(tmp_path)
    aside = mend(file)
    lines = content.splitlines(keepends=True)
    assert file.read_bytes() == b"".join(lines[:-1])
    assert aside.read_bytes() == lines[-1][:-20]
    assert mend(file) is None
    assert len(read(file)) == 23


def test_a_damaged_line_inside_is_not_mended(tmp_path, scores):
    write(tmp_path, make_track(), *scores)
    file = file_of(tmp_path, REF)
    lines = file.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3][:50] + b"\n"
    file.write_bytes(b"".join(lines))
    assert mend(file) is None
    with pytest.raises(BadResults, match="line 4 is not a valid result"):
        board(tmp_path)
    assert file.read_bytes() == b"".join(lines)


def test_the_same_run_twice_is_refused(tmp_path, scores):
    write(tmp_path, make_track(), *scores)
    file = file_of(tmp_path, None)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines, lines[2]]))
    with pytest.raises(BadResults, match="lines 3 and 25 are the same run"):
        board(tmp_path)


def test_arranging_sorts_by_configuration_and_seed(tmp_path, scores):
    track = make_track()
    write(tmp_path, track, *scores)
    file = file_of(tmp_path, None)
    ordered = file.read_bytes()
    file.write_bytes(b"".join(reversed(ordered.splitlines(keepends=True))))
    arrange(file, track)
    assert file.read_bytes() == ordered


def test_without_a_track_file(tmp_path):
    with pytest.raises(BadResults, match=r"holds no track.json; run the track"):
        board(tmp_path)
