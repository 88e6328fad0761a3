"""Studies as graphs of stages: done once each, gone on with after any end, and to the byte."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ticket_studies import carried_out, mini, terms_of

from lotterybench.errors import BadRecord, BadRequest, BadResults, Busy
from lotterybench.kinds.stages import left_of
from lotterybench.kinds.stages.artefact import DONE, done_of
from lotterybench.kinds.stages.graph import Ready, carry_out_stages, do
from lotterybench.kinds.stages.stage import Stage
from lotterybench.kinds.tickets import stages_of
from lotterybench.manifests import find_base
from lotterybench.paths import findings_file, report_file, stages_folder, timings_file
from lotterybench.run_study import gather, planned_stages, read_findings, run_study
from lotterybench.score.studies import report
from lotterybench.storage import locked
from lotterybench.studies import Arm, Pruning, read_study
from lotterybench.study_forecast import study_outlook
from lotterybench.tracks import find_study, study
from lotterybench.verification import verify

BASE, _ = find_base("digits")
HERE = Path(__file__).parent


def small(**changes):
    """Return a study of five stages."""
    fields = {
        "name": "small-tickets", "seeds": 1, "arms": [Arm(name="imp", data="full")],
        "pruning": Pruning(rounds=2, rewind=1), "evaluated": [0, 2], "at": 2, "baselines": [],
        "controls": [],
    }  # fmt: skip
    return mini(**{**fields, **changes})


def chain(*names):
    """Return stages that hang on one another, of no work."""
    found = []
    for name in names:
        found.append(Stage("round", name, 0, {}, {"before": found[-1]} if found else {}))
    return found


def test_a_key_covers_everything_but_the_forecast():
    one, need = Stage("round", "a", 0, {"x": 1}), Stage("round", "b", 0, {})
    others = [
        Stage("ticket", "a", 0, {"x": 1}), Stage("round", "b", 0, {"x": 1}),
        Stage("round", "a", 1, {"x": 1}), Stage("round", "a", 0, {"x": 2}),
        Stage("round", "a", 0, {"x": 1}, {"before": need}),
        Stage("round", "a", 0, {"x": 1}, {}, {"level": 1}),
    ]  # fmt: skip
    assert len({stage.key for stage in (one, *others)}) == 7
    assert Stage("round", "a", 0, {"x": 1}, {}, {}, images=5).key == one.key
    far = Stage("round", "c", 0, {}, {"before": others[4]})
    near = Stage("round", "c", 0, {}, {"before": one})
    assert far.key != near.key


def test_stages_are_given_out_when_their_needs_are_done():
    a, b, c = chain("a", "b", "c")
    free = Stage("round", "free", 0, {})
    queue = Ready([a, b, c, free], set())
    assert queue.take() is a
    assert queue.take() is free
    assert queue.take() is None
    queue.finished(a)
    assert queue.take() is b
    assert (queue.take(), len(queue)) == (None, 1)


def test_a_need_that_is_not_planned_before_is_refused(tmp_path):
    a, b = chain("a", "b")
    for stages in ([b], [b, a]):
        with pytest.raises(BadRequest, match="needs its before"):
            list(carry_out_stages(stages, terms_of(small(), tmp_path)))


def test_seeds_that_are_none_are_refused():
    with pytest.raises(BadRequest, match="0 seeds"):
        planned_stages(small(), 0)


@pytest.mark.slow
def test_what_is_done_is_not_done_again_and_what_is_damaged_is(tmp_path):
    stages = stages_of(small(), BASE)
    root = stages_folder(tmp_path)
    carried_out(small(), stages, root)
    assert left_of(stages, root) == []
    first = gather(stages, tmp_path)
    before = findings_file(tmp_path).read_bytes()
    victim = root / stages[0].key[:20] / "level.safetensors"
    victim.write_bytes(victim.read_bytes()[:-1])
    # everything hangs on the first round but the dense network
    assert [s.does for s in left_of(stages, root)] == ["round", "round", "ticket"]
    for stage in left_of(stages, root):
        do(stage, terms_of(small(), root))
    assert gather(stages, tmp_path) == first and findings_file(tmp_path).read_bytes() == before
    assert len(timings_file(findings_file(tmp_path)).read_text().splitlines()) == len(stages)


@pytest.mark.slow
def test_a_training_half_done_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    from lotterybench.kinds.stages import watching

    stage = stages_of(small(), BASE)[1]
    first = stages_of(small(), BASE)[0]
    for root in (tmp_path / "whole", tmp_path / "broken"):
        do(first, terms_of(small(), root))
    whole = do(stage, terms_of(small(), tmp_path / "whole"))
    seen = watching.Best.epoch

    def dies(self, epoch, encoder, classifier):
        if epoch == 1:
            raise KeyboardInterrupt
        return seen(self, epoch, encoder, classifier)

    monkeypatch.setattr(watching.Best, "epoch", dies)
    with pytest.raises(KeyboardInterrupt):
        do(stage, terms_of(small(), tmp_path / "broken", every=0.0))
    folder = tmp_path / "broken" / stage.key[:20]
    assert (folder / "training.safetensors").is_file() and not (folder / DONE).exists()
    monkeypatch.setattr(watching.Best, "epoch", seen)
    again = do(stage, terms_of(small(), tmp_path / "broken", every=0.0))
    assert again.finding == whole.finding and again.files == whole.files
    assert not (folder / "training.safetensors").exists()


@pytest.mark.slow
def test_what_hangs_on_a_failure_fails_with_its_reason(tmp_path):
    bad = small(recipes={"main": mini().recipes["main"].model_copy(update={"lr": 1e12})})
    stages = stages_of(bad, BASE)
    found = carried_out(bad, stages, tmp_path)
    assert {one.status for one in found.values()} == {"invalid"}
    reasons = [found[stage.key].reason for stage in stages]
    assert "not finite" in reasons[0] and reasons[2] == "its round failed"


def test_an_artefact_of_another_stage_is_not_taken(tmp_path):
    stage = Stage("round", "a", 0, {})
    other = tmp_path / stage.key[:20] / DONE
    other.parent.mkdir(parents=True)
    other.write_text("{}")
    with pytest.raises(BadRecord):
        done_of(stage, tmp_path)


def test_findings_that_are_not_there_or_broken_are_one_line(tmp_path):
    with pytest.raises(BadResults, match="no findings"):
        read_findings(tmp_path)
    findings_file(tmp_path).write_text('{"schema_version": 1}\n')
    with pytest.raises(BadRecord, match="line 1"):
        read_findings(tmp_path)


def test_studies_are_read_from_files_by_their_kind(tmp_path):
    for name in study:
        file = tmp_path / f"{name}.json"
        file.write_bytes(study[name].pretty())
        assert find_study(str(file)) == study[name]
    (tmp_path / "track.json").write_text('{"kind": "ranking"}')
    assert find_study(str(tmp_path / "track.json")) is None
    assert find_study("no-such-study") is None
    with pytest.raises(BadRecord, match="which kind"):
        read_study("[]", "x.json")


@pytest.mark.slow
def test_another_version_and_another_process_are_refused(tmp_path):
    run_study(small(evaluated=[0, 1], at=1, pruning=Pruning(rounds=1)), tmp_path, jobs=1)
    with pytest.raises(BadResults, match="freezes another"):
        run_study(small(), tmp_path)
    other = small(name="other-tickets")
    with locked(findings_file(tmp_path / other.name)), pytest.raises(Busy):
        run_study(other, tmp_path)


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from test_stages import small
from lotterybench.run_study import run_study
if __name__ == "__main__":
    run_study(small(), Path({out!r}), jobs=2, every=0.0)
"""


@pytest.mark.slow
def test_a_killed_study_ends_with_the_same_bytes(tmp_path):
    """Killed with all its processes as soon as each further stage is done, and once in between."""
    run_study(small(), tmp_path / "whole", jobs=1)
    out = tmp_path / "killed"
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(here=str(HERE), out=str(out)))
    stages = stages_folder(out / small().name)
    for wanted in (0, 1, 3):
        process = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
        end = time.monotonic() + 240
        while time.monotonic() < end and process.poll() is None:
            begun = list(stages.glob("*/training.safetensors"))
            if len(list(stages.glob(f"*/{DONE}"))) >= wanted and (begun or wanted):
                break
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    run_study(small(), out, jobs=2)
    ours, whole = (
        findings_file(folder / small().name).read_bytes() for folder in (out, tmp_path / "whole")
    )
    assert ours == whole
    for stage in planned_stages(small()):
        one, other = (
            done_of(stage, stages_folder(folder / small().name))
            for folder in (out, tmp_path / "whole")
        )
        assert one.files == other.files


@pytest.mark.slow
def test_check_remakes_the_report_of_a_study(tmp_path):
    plan = small(evaluated=[0, 1], at=1, pruning=Pruning(rounds=1))
    run_study(plan, tmp_path, jobs=1)
    folder = tmp_path / plan.name
    assert verify(folder) == []
    found = report["tickets"](plan, read_findings(folder))
    report_file(folder).write_bytes(found.pretty())
    assert verify(folder) == []
    report_file(folder).write_bytes(found.model_copy(update={"seeds": 9}).pretty())
    (problem,) = verify(folder)
    assert "not what the findings give" in problem
    findings_file(folder).write_text("{}\n")
    assert any("line 1" in line for line in verify(folder))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in study if name.endswith("-tiny")])
def test_a_plan_counts_the_images_and_time_of_what_trains(name, tmp_path):
    rows = study_outlook(study[name], tmp_path, seeds=1, device="cpu", jobs=2)
    stages = planned_stages(study[name], 1)
    assert sum(row.runs for row in rows) == len(stages)
    for row in rows:
        assert row.images == sum(stage.images for stage in stages if stage.does == row.arm)
        assert (row.seconds > 0) == (row.images > 0)
    assert sum(row.images for row in rows) > 100_000
