"""References of a round: run again, compared with what is recorded, and what blocks a round."""

import json
import shutil
from statistics import fmean

import numpy as np
import pytest
from refereed import no_workers
from test_score import make_result, make_track

from lotterybench.build import build_subset, save_subset
from lotterybench.errors import BadRequest, BadResults
from lotterybench.records import Budget
from lotterybench.results import read
from lotterybench.run import run_track
from lotterybench.submissions.drafts import new_submission
from lotterybench.submissions.records import NOBODY, RECORD
from lotterybench.submissions.referee import drift
from lotterybench.submissions.referee.auditing import acts
from lotterybench.submissions.referee.drift import (
    References,
    blocked_by,
    check_references,
    chosen,
    compared,
    recorded_of,
)
from lotterybench.submissions.referee.ending import close_round
from lotterybench.submissions.referee.records import Rerun, Round
from lotterybench.submissions.referee.rerunning import rerun
from lotterybench.submissions.referee.workplace import Workplace
from lotterybench.trials import Configuration, Seeds, Track

SMALL = Track(
    schema_version=1,
    name="small-references",
    version=1,
    title="A small track with references",
    base="digits",
    kind="ranking",
    probe="classifier",
    metric="accuracy",
    seeds=Seeds(full=3, subset=1),
    configurations=[
        Configuration(
            name=backbone, family=f"supervised/{backbone}", method="supervised",
            config={"backbone": backbone, "lr": 0.05, "epochs": 1},
        )
        for backbone in ("resnet", "mixer")
    ],
    subsets=["digits/uniform-10pct@1"],
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def here():
    with no_workers():
        yield


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """What ships: full data of the small track, every configuration."""
    out = tmp_path_factory.mktemp("recorded")
    run_track(SMALL, out, subsets=[], cheaper=[], null=False, jobs=1, device="cpu")
    return out


@pytest.fixture(scope="module")
def honest(recorded, tmp_path_factory):
    """A round whose references were run again, undisturbed."""
    workplace = Workplace(tmp_path_factory.mktemp("honest") / "round")
    check(workplace, recorded)
    return workplace


def check(workplace, recorded, **more):
    return check_references([SMALL], workplace, recorded=recorded, jobs=1, device="cpu", **more)


def doctored(recorded, folder, points, configurations=("resnet", "mixer"), apart=0.5):
    """Copy recorded results with means that are `points` higher, seeds being `apart`."""
    shutil.copytree(recorded, folder)
    file = folder / SMALL.name / "full.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for name in configurations:
        own = [line for line in lines if line["configuration"] == name]
        mean = fmean(line["metrics"]["accuracy"] for line in own)
        for line in own:
            line["metrics"]["accuracy"] = mean + points + apart * (line["seed"] - 1)
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return folder


def again(honest, folder):
    """Return a copy of a round as it was before its references."""
    shutil.copytree(honest.folder, folder)
    workplace = Workplace(folder)
    before = Round.read(workplace.round.read_bytes(), "round")
    workplace.round.write_bytes(before.model_copy(update={"references": []}).pretty())
    return workplace


@pytest.mark.slow
def test_honest_references_are_identical(honest):
    found = Round.read(honest.round.read_bytes(), "round")
    assert found.blocked == "" and len(found.references) == 2
    assert {one.configuration for one in found.references} == {"resnet", "mixer"}
    for one in found.references:
        assert one.identical and one.holds and one.recorded == one.repeated and one.seeds == 3
    assert not (honest.results / SMALL.name).exists()  # they are no part of the results
    assert [act.act for act in acts(honest)].count("repeated a reference") == 2


@pytest.mark.slow
def test_they_are_run_once_a_round(honest, recorded, monkeypatch):
    def refuse(*arguments, **more):
        raise AssertionError("nothing is to be run")

    monkeypatch.setattr(drift, "run_track", refuse)
    before = honest.round.read_bytes()
    check(honest, recorded)
    assert honest.round.read_bytes() == before


@pytest.mark.slow
def test_a_referee_that_is_killed_goes_on(honest, recorded, tmp_path, monkeypatch):
    workplace = again(honest, tmp_path / "round")
    lines = workplace.folder / "references" / SMALL.name / "full.jsonl"
    whole = lines.read_bytes()
    lines.write_bytes(whole[: whole.index(b"\n") + 40])  # killed in the second line
    killed = pytest.MonkeyPatch()
    killed.setattr(drift, "compared", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        check(workplace, recorded)
    killed.undo()
    check(workplace, recorded)
    assert lines.read_bytes() == whole
    assert workplace.round.read_bytes() == honest.round.read_bytes()


@pytest.fixture
def subset(tmp_path):
    """A submission that needs no sandbox."""
    folder = tmp_path / "even-tenth"
    new_submission("subset", "even-tenth", folder)
    shutil.rmtree(folder / "subsets")
    made = build_subset("digits", "class-balanced", Budget(fraction=0.1), name=folder.name, seed=7)
    save_subset(*made, folder / "subsets")
    text = (folder / RECORD).read_text().replace(NOBODY, "Ada")
    (folder / RECORD).write_text(text)
    return folder


@pytest.mark.slow
def test_what_moved_blocks_the_round_until_it_holds(honest, recorded, tmp_path, subset):
    workplace = again(honest, tmp_path / "round")
    moved = doctored(recorded, tmp_path / "moved", -20)
    found = check(workplace, moved)
    assert all(not one.holds and not one.identical for one in found.references)
    assert found.blocked.count("small-references gives") == 2
    file = tmp_path / "track.json"
    file.write_bytes(SMALL.pretty())
    done = rerun(subset, workplace, tracks=[str(file)], null=0)
    assert done.problems == [] and done.state == "blocked" and done.reason == found.blocked
    assert done.results == [] and not (workplace.results / SMALL.name).exists()
    runs = workplace.folder / "references" / SMALL.name / "full.jsonl"
    before = runs.read_bytes()
    found = check(workplace, recorded)
    assert found.blocked == "" and all(one.identical for one in found.references)
    kept = runs.parent.with_name(f"{SMALL.name}.before-1") / "full.jsonl"
    assert kept.read_bytes() == runs.read_bytes() == before


@pytest.mark.slow
def test_one_that_moved_is_named_alone(honest, recorded, tmp_path):
    workplace = again(honest, tmp_path / "round")
    name = Round.read(honest.round.read_bytes(), "round").references[0].configuration
    moved = doctored(recorded, tmp_path / "moved", 20, [name])
    found = check(workplace, moved)
    assert [one.configuration for one in found.references if not one.holds] == [name]
    assert name in found.blocked and found.blocked.count("gives") == 1


@pytest.mark.slow
def test_a_point_inside_the_interval_holds(honest, recorded, tmp_path):
    """Of recorded seeds half a point apart, a mean that moved by one is no drift."""
    workplace = again(honest, tmp_path / "round")
    found = check(workplace, doctored(recorded, tmp_path / "spread", 1))
    for one in found.references:
        assert one.holds and not one.identical and one.low < one.repeated < one.high
    assert found.blocked == ""


@pytest.mark.slow
def test_a_track_without_lines_has_no_references(honest, tmp_path):
    workplace = again(honest, tmp_path / "round")
    assert check(workplace, tmp_path / "none").references == []
    other = SMALL.model_copy(update={"version": 2})
    folder = tmp_path / "other" / SMALL.name
    folder.mkdir(parents=True)
    (folder / "track.json").write_bytes(other.pretty())
    (folder / "full.jsonl").write_text("")
    assert recorded_of(SMALL, tmp_path / "other") == []


@pytest.mark.slow
def test_a_closed_round_runs_nothing(honest, recorded, tmp_path, subset):
    workplace = again(honest, tmp_path / "round")
    found, unfinished = close_round(workplace)
    assert unfinished == [] and found.secret == workplace.secret.read_text().strip()
    with pytest.raises(BadRequest, match="round is closed"):
        check(workplace, recorded)
    with pytest.raises(BadRequest, match="round is closed"):
        rerun(subset, workplace)
    assert close_round(workplace)[0] == found


def test_they_are_looked_at_once_in_a_call(honest, tmp_path, subset, monkeypatch):
    """A blocked round is not run through again for each submission that waits."""
    file = tmp_path / "track.json"
    file.write_bytes(SMALL.pretty())
    asked = []
    monkeypatch.setattr(drift, "check_references", lambda tracks, **more: asked.append(tracks))
    references = References(honest, tracks=[str(file)])
    references.before(subset)
    references.before(subset)
    assert asked == [[SMALL]]
    References(honest, tracks=["no-such-track"]).before(subset)  # its rerun tells
    References(honest).before(tmp_path)
    done = Rerun(
        schema_version=1, name=subset.name, digest="0" * 64, state="verified", code_digest="0" * 64
    )
    monkeypatch.setattr(honest, "read", lambda name: done, raising=False)
    References(honest, tracks=[str(file)]).before(subset)
    assert asked == [[SMALL]]


# The rule.

TRACK = make_track(families=4, each=2, seeds=2)


def lines(values, statuses=()):
    entry = TRACK.configurations[0]
    found = [make_result(TRACK, entry, seed, value) for seed, value in enumerate(values)]
    for seed, status in enumerate(statuses):
        cut = {"status": status, "metrics": {} if status != "ok" else found[seed].metrics}
        found[seed] = found[seed].model_copy(update=cut)
    return found


def test_the_interval_by_hand():
    found = compared(TRACK, lines([90, 92]), lines([95, 95, 95, 95]))
    # t(1) at 99.5 % is 63.657, s is √2, √(1/2 + 1/4) is .8660
    assert found.recorded == 91 and found.high == pytest.approx(91 + 63.657 * 0.8660 * 2**0.5, 1e-4)
    assert found.holds and not found.identical and found.seeds == 4


def test_the_interval_holds_what_it_says():
    rng = np.random.default_rng(0)
    draws = rng.normal(50, 3, (400, 9))
    held = [compared(TRACK, lines(row[:6]), lines(row[6:])).holds for row in draws]
    assert 0.97 < np.mean(held) < 1
    moved = [compared(TRACK, lines(row[:6]), lines(row[6:] + 20)).holds for row in draws]
    assert np.mean(moved) < 0.05


@pytest.mark.parametrize(
    ("before", "now", "statuses", "holds"),
    [
        ([90], [90], (), True),  # equal
        ([90], [90.1], (), False),  # one recorded seed: no interval
        ([90, 90, 90], [90, 90], (), True),
        ([90, 90, 90], [90, 90.1], (), False),  # no spread: equal or not
        ([80, 100], [80, 99], ("ok", "crash"), False),
        ([80, 100], [80, 99], ("timeout", "crash"), False),
    ],
)
def test_cases(before, now, statuses, holds):
    found = compared(TRACK, lines(before), lines(now, statuses))
    assert found.holds is holds
    assert bool(blocked_by([found])) is not holds


def test_nobody_chooses_the_references():
    runs = [make_result(TRACK, entry, 0, 50) for entry in TRACK.configurations]
    picks = {
        tuple(one.name for one in chosen(TRACK, runs, f"{number:064x}")) for number in range(40)
    }
    assert len(picks) > 20
    for one, other in picks:
        assert one.split("-")[0] != other.split("-")[0]
    first = chosen(TRACK, runs, "0" * 64)
    assert first == chosen(TRACK, runs[::-1], "0" * 64)
    failed = [
        one.model_copy(update={"status": "oom"}) if one.configuration == first[0].name else one
        for one in runs
    ]
    assert first[0] not in chosen(TRACK, failed, "0" * 64)
    anchored = TRACK.model_copy(update={"anchors": [first[0].name]})
    assert first[0].name not in {one.name for one in chosen(anchored, runs, "0" * 64)}


@pytest.mark.slow
def test_runs_that_failed_for_the_machine_are_tried_again(honest, recorded, tmp_path, monkeypatch):
    workplace = again(honest, tmp_path / "round")
    runs = workplace.folder / "references" / SMALL.name / "full.jsonl"
    whole = runs.read_text()

    def fails(*arguments, **more):
        runs.write_text(whole.replace('"status":"ok"', '"status":"infra"', 1))

    with monkeypatch.context() as patch:
        patch.setattr(drift, "run_track", fails)
        with pytest.raises(BadResults, match="for reasons of the machine"):
            check(workplace, recorded)
    found = check(workplace, recorded)
    assert found.blocked == "" and all(one.identical for one in found.references)
    assert {one.status for one in read(runs)} == {"ok"}
