"""Running a track: killed and repeated, doubled, interrupted, it ends in the same bytes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lotterybench.build import build_subset, save_subset
from lotterybench.errors import BadRecord, BadRequest, BadResults, LotteryBenchError
from lotterybench.kinds.data import reduced
from lotterybench.manifests import load_subset_manifest
from lotterybench.results import append, arrange, read, read_curves
from lotterybench.run import plan
from lotterybench.tracks import find_track, track
from lotterybench.trials import Configuration, Curve, Seeds, Track

REFS = ["digits/uniform-10pct@1", "digits/uniform-5-classes@1"]
SMALL = Track(
    schema_version=1,
    name="small",
    version=1,
    title="A small track",
    base="digits",
    kind="ranking",
    probe="classifier",
    metric="accuracy",
    seeds=Seeds(full=2, subset=2),
    configurations=[
        Configuration(
            name=f"{backbone}-lr{lr}", family=f"supervised/{backbone}", method="supervised",
            config={"backbone": backbone, "lr": lr, "epochs": 1},
        )
        for backbone in ("resnet", "mixer")
        for lr in (0.05, 0.001)
    ],
    subsets=REFS,
)  # fmt: skip


def command(*arguments):
    """Return a command line that runs the tool in a fresh interpreter."""
    code = "import sys; from lotterybench.cli import main; sys.argv[0] = 'lotterybench'; main()"
    return [sys.executable, "-c", code, *map(str, arguments)]


def run(folder, *arguments, file=None):
    """Run the small track to its end; return the finished process."""
    return subprocess.run(
        command("run", file or track_json(folder), "--out", folder / "results", *arguments),
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def track_json(folder, track=SMALL):
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{track.name}.json"
    file.write_bytes(track.pretty())
    return file


def lines(folder):
    """Return the content of every results file and every file of curves below a folder."""
    files = sorted((folder / "results/small").glob("*.[jc]*"))
    return {file.name: file.read_bytes() for file in files if file.suffix in (".jsonl", ".curves")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The small track, run in one go by two processes."""
    folder = tmp_path_factory.mktemp("undisturbed")
    done = run(folder, "--jobs", 2)
    assert done.returncode == 0, done.stderr
    assert "24 runs, 0 were there, now 24 ok" in done.stdout
    return folder


@pytest.mark.slow
def test_every_run_has_a_line(undisturbed):
    arms = {arm.file.name: arm for arm in plan(SMALL, undisturbed / "results")}
    assert list(arms) == ["full.jsonl", "uniform-10pct-v1.jsonl", "uniform-5-classes-v1.jsonl"]
    curves = {name.replace("jsonl", "curves") for name in arms}
    assert set(lines(undisturbed)) == set(arms) | curves
    for name in arms:
        results = read(undisturbed / "results/small" / name)
        assert [r.key for r in results] == [r.key for r in arms[name].runs]
        assert {r.status for r in results} == {"ok"}
        timings = (undisturbed / "results/small" / name).with_suffix(".timings")
        keys = [json.loads(line)["key"] for line in timings.read_text().splitlines()]
        assert sorted(keys) == sorted(r.key for r in results)
        drawn = read_curves((undisturbed / "results/small" / name).with_suffix(".curves"))
        assert list(drawn) == [r.key for r in results]
        for result in results:
            assert [line.epoch for line in drawn[result.key]] == [result.epochs] == [1]
            assert 0 < drawn[result.key][0].loss < 10


@pytest.mark.slow
def test_lines_say_where_they_come_from(undisturbed):
    subset, _ = load_subset_manifest(REFS[1])
    result = read(undisturbed / "results/small/uniform-5-classes-v1.jsonl")[0]
    assert result.subset_digest == subset.digest
    assert result.track_digest == SMALL.digest()
    assert result.scope == "subset"
    assert result.software["torch"]
    assert result.cost.images_seen == 602
    full = read(undisturbed / "results/small/full.jsonl")[0]
    assert full.scope == "full"
    assert full.cost.images_seen == 1201


@pytest.mark.slow
def test_killed_and_repeated_gives_the_same_bytes(undisturbed, tmp_path):
    """kill -9 in mid-suite, also of a half-written line: none lost, none twice, same bytes."""
    arguments = command("run", track_json(tmp_path), "--out", tmp_path / "results", "--jobs", 1)
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    file = tmp_path / "results/small/full.jsonl"
    deadline = time.monotonic() + 120
    while not (file.exists() and file.read_bytes().count(b"\n") >= 2):
        assert time.monotonic() < deadline
        assert process.poll() is None, "ended before it was killed"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = file.read_bytes().splitlines()
    with file.open("ab") as out:
        out.write(b'{"arm":"full","base')
    with file.with_suffix(".curves").open("ab") as out:
        out.write(b'{"epoch":1,')
    again = run(tmp_path, "--jobs", 2)
    assert again.returncode == 0, again.stderr
    assert "a half-written line was set aside" in again.stdout
    assert (tmp_path / "results/small/full.jsonl.torn").read_bytes() == b'{"arm":"full","base'
    assert (tmp_path / "results/small/full.curves.torn").read_bytes() == b'{"epoch":1,'
    assert set(kept) <= set(file.read_bytes().splitlines())
    assert lines(tmp_path) == lines(undisturbed)


@pytest.mark.slow
def test_repeating_changes_nothing(undisturbed):
    before = lines(undisturbed)
    done = run(undisturbed)
    assert "24 runs, 24 were there, now none" in done.stdout
    assert lines(undisturbed) == before


@pytest.mark.slow
def test_infra_is_tried_again(undisturbed, tmp_path):
    """A run that failed for reasons outside the method leaves no line when it is repeated."""
    import shutil

    shutil.copytree(undisturbed / "results", tmp_path / "results")
    file = tmp_path / "results/small/full.jsonl"
    first, *rest = file.read_text().splitlines()
    failed = json.loads(first) | {"status": "infra", "reason": "OSError", "metrics": {}}
    file.write_text("\n".join([json.dumps(failed), *rest]) + "\n")
    done = run(tmp_path)
    assert "24 runs, 23 were there, now 1 ok" in done.stdout, done.stderr
    assert lines(tmp_path) == lines(undisturbed)


@pytest.mark.slow
def test_curves_come_out_the_same_however_they_were_written(undisturbed, tmp_path):
    """Appended in any order, an interrupted attempt's lines before those that count."""
    small = undisturbed / "results/small"
    results, drawn = read(small / "full.jsonl"), read_curves(small / "full.curves")
    file, timings = tmp_path / "full.jsonl", tmp_path / "full.timings"
    wrong = Curve(key=results[0].key, epoch=1, loss=9.0, lr=9.0)
    lost = Curve(key="0" * 64, epoch=1, loss=9.0, lr=9.0)
    file.with_suffix(".curves").write_text(f"{wrong.line()}\n{lost.line()}\n")
    for result in reversed(results):
        append(file, result, 0.1, timings, drawn[result.key])
    arrange(file, SMALL)
    for suffix in (".jsonl", ".curves"):
        there = (small / "full").with_suffix(suffix)
        assert file.with_suffix(suffix).read_bytes() == there.read_bytes()
    with file.with_suffix(".curves").open("a") as out:
        out.write("nonsense\n")
    with pytest.raises(BadResults, match=r"full\.curves line 9 is not a valid curve"):
        arrange(file, SMALL)


LOGGED = """
import os
from dataclasses import replace
from lotterybench.methods.supervised import train

def logged(task, *, epochs, lr, backbone="resnet", batch=32):
    made = train(task, epochs=epochs, lr=lr, backbone=backbone, batch=batch)
    def note(batch):
        with open(os.environ["LOG"], "a") as log:
            log.write(f"{batch.step}\\n")
    return replace(made, after_step=note)
"""


@pytest.mark.slow
def test_killed_in_mid_run_it_goes_on_from_a_checkpoint(tmp_path):
    """kill -9 of the whole command in one training: the repetition skips the steps that were done.

    The method notes every step that it takes.
    """
    from lotterybench.methods.base.own import load_own

    own = f"{tmp_path / 'own.py'}:logged"
    (tmp_path / "own.py").write_text(LOGGED)
    entry = Configuration(
        name="logged", family="supervised/resnet", method=load_own(own),
        config={"lr": 0.05, "epochs": 8},
    )  # fmt: skip
    track = SMALL.model_copy(update={"configurations": [entry, SMALL.configurations[0]]})
    file = track_json(tmp_path, track)

    def start(out, log):
        code = (
            "from pathlib import Path; from lotterybench.kinds import Conduct\n"
            "from lotterybench.run import run_track\n"
            f"run_track({str(file)!r}, Path({str(tmp_path / out)!r}) / 'results', subsets=[],"
            " only=['logged'], seeds=1, device='cpu', jobs=1,"
            f" conduct=Conduct(own=({own!r},), every=0.05))"
        )
        return subprocess.Popen(
            [sys.executable, "-c", code], env=os.environ | {"LOG": str(tmp_path / log)}
        )

    def steps(log):
        return [int(line) for line in (tmp_path / log).read_text().splitlines()]

    assert start("whole", "whole.log").wait(300) == 0
    first = start("torn", "first.log")
    kept = tmp_path / "torn/results/small/.checkpoints"
    deadline = time.monotonic() + 200
    while not (kept.is_dir() and list(kept.glob("*.safetensors")) and len(steps("first.log")) > 59):
        assert time.monotonic() < deadline
        assert first.poll() is None, "ended before it was killed"
        time.sleep(0.01)
    first.kill()
    first.wait()
    assert lines(tmp_path / "torn") == {}
    assert start("torn", "second.log").wait(300) == 0
    assert not kept.exists()
    everything, second = steps("whole.log"), steps("second.log")
    assert everything == list(range(len(everything)))
    assert 0 < second[0] <= steps("first.log")[-1] + 1
    assert second == everything[second[0] :]
    assert lines(tmp_path / "torn") == lines(tmp_path / "whole")
    assert len(lines(tmp_path / "torn")) == 2


@pytest.mark.slow
def test_limits_are_those_of_the_command_line(tmp_path):
    """Nothing is trained in a tenth of a second: the first run imports torch's models."""
    done = run(tmp_path, "--full", "--seeds", 1, "--method", "resnet-lr0.05", "--time-limit", 0.1)
    assert done.returncode == 0, done.stderr
    assert "1 runs, 0 were there, now 1 timeout" in done.stdout
    (result,) = read(tmp_path / "results/small/full.jsonl")
    assert result.reason == "not done after 0.1 s, the time limit"
    again = run(tmp_path, "--precision", "fp64")
    assert again.stderr == "error: --precision is 'fp64'; it is fp32 or bf16\n"


@pytest.mark.slow
def test_encoders_are_kept_where_asked_for(tmp_path):
    done = run(
        tmp_path, "--full", "--seeds", 1, "--method", "resnet-lr0.05", "--save-encoder", "--jobs", 1
    )
    assert done.returncode == 0, done.stderr
    files = list((tmp_path / "results/small/encoders").iterdir())
    assert [file.name for file in files] == ["resnet-lr0.05-full-seed0.safetensors"]
    assert not (tmp_path / "results/small/.checkpoints").exists()


@pytest.mark.slow
def test_workers_leave_with_their_parent(tmp_path):
    arguments = command("run", track_json(tmp_path), "--out", tmp_path / "results", "--jobs", 1)
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    children = []
    deadline = time.monotonic() + 60
    while len(children) < 2 and time.monotonic() < deadline:  # the worker and the tracker
        listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        children = [int(pid) for pid in listed.split()]
        time.sleep(0.1)
    assert len(children) == 2
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while any(alive(pid) for pid in children):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.1)


def alive(pid):
    """Say whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_ctrl_c_is_one_line_and_quick(tmp_path):
    arguments = command("run", track_json(tmp_path), "--out", tmp_path / "results", "--jobs", 1)
    process = subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's job ignores it
    )
    file = tmp_path / "results/small/full.jsonl"
    deadline = time.monotonic() + 120
    while not (file.exists() and file.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers, too
    _, said = process.communicate(timeout=90)
    assert process.returncode == 1
    assert said == "error: stopped; repeat the command to continue\n"
    assert len(read(file)) >= 1


def test_two_processes_do_not_share_a_file(tmp_path):
    from lotterybench.storage import locked

    with locked(tmp_path / "results/small/full.jsonl"):
        done = run(tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: another process is writing")
    assert done.stderr.count("\n") == 1
    assert lines(tmp_path) == {}


@pytest.mark.slow
def test_a_full_disk_keeps_whole_lines_and_continues(undisturbed, tmp_path):
    """Files may hold 3,000 bytes: two lines fit, the third run's does not."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, -1))\n"
        "from lotterybench.cli import main; main()"
    )
    arguments = ["run", track_json(tmp_path), "--out", tmp_path / "results", "--jobs", 1]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments), "--full"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: no space left to write")
    assert done.stderr.count("\n") == 1
    kept = lines(tmp_path)["full.jsonl"]
    assert 0 < len(kept) <= 3_000
    assert kept.endswith(b"\n")
    assert run(tmp_path, "--full").returncode == 0
    assert lines(tmp_path)["full.jsonl"] == lines(undisturbed)["full.jsonl"]


@pytest.mark.slow
def test_another_version_of_the_track_is_not_joined(undisturbed):
    file = track_json(undisturbed / "changed", SMALL.model_copy(update={"title": "Changed"}))
    done = run(undisturbed, file=file)
    assert done.returncode == 1
    assert "freezes another small (version 1) than this software has" in done.stderr


@pytest.mark.slow
def test_a_failing_method_is_a_status_and_the_suite_goes_on(tmp_path):
    """A backbone that does not exist, and a learning rate that diverges."""
    bad = SMALL.configurations[0].model_copy(
        update={"name": "bad", "config": {"backbone": "wings", "lr": 0.1, "epochs": 1}}
    )
    wild = SMALL.configurations[0].model_copy(
        update={"name": "wild", "config": {"backbone": "resnet", "lr": 1e30, "epochs": 2}}
    )
    track = SMALL.model_copy(
        update={
            "configurations": [bad, wild, SMALL.configurations[0]],
            "seeds": Seeds(full=1, subset=1),
        }
    )
    done = run(tmp_path, "--full", file=track_json(tmp_path, track))
    assert done.returncode == 0, done.stderr
    assert "1 crash, 1 invalid, 1 ok" in done.stdout
    results = read(tmp_path / "results/small/full.jsonl")
    assert "wings" in results[0].reason
    assert [r.status for r in results] == ["crash", "invalid", "ok"]


def test_only_and_seeds_restrict_the_plan(tmp_path):
    arms = plan(SMALL, tmp_path, subsets=[REFS[0]], full=False, only=["mixer-lr0.05"], seeds=3)
    assert [(arm.file.name, len(arm.runs)) for arm in arms] == [("uniform-10pct-v1.jsonl", 3)]
    with pytest.raises(
        BadRequest, match=r"small has no configuration mixer; it has resnet-lr0\.05"
    ):
        plan(SMALL, tmp_path, only=["mixer"])
    with pytest.raises(BadRequest, match="digits/uniform-10pct@1 is given twice"):
        plan(SMALL, tmp_path, subsets=["digits/uniform-10pct", REFS[0]])
    with pytest.raises(BadRequest, match="is no subset of digits, the base of small"):
        plan(SMALL, tmp_path, subsets=["cifar100/uniform-10pct"])


def test_two_subsets_of_equal_content_are_not_run_together(tmp_path, monkeypatch):
    """Their runs have equal keys: in one command, one of them would be left without results."""
    recipe, _ = load_subset_manifest("digits/uniform-5-classes@1")
    again = build_subset(
        "digits", recipe.selector, recipe.budget, name="again", seed=recipe.seed, version=1
    )
    save_subset(*again, tmp_path / "subsets")
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(tmp_path / "subsets"))
    pair = ["digits/uniform-5-classes@1", "digits/again@1"]
    with pytest.raises(BadRequest, match=r"digits/again@1 selects what digits/uniform-5-classes"):
        plan(SMALL, tmp_path, subsets=pair)
    assert len(plan(SMALL, tmp_path, subsets=pair[1:])) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "simclrr"}, "no method is named 'simclrr'; did you mean 'simclr'"),
        (
            {"config": {"epochs": 1, "wings": 2}},
            "supervised has no setting wings; it has epochs, lr",
        ),
    ],
)
def test_what_would_fail_in_every_run_is_told_before(tmp_path, change, message):
    entry = SMALL.configurations[0].model_copy(update=change)
    wrong = SMALL.model_copy(update={"configurations": [entry, SMALL.configurations[1]]})
    with pytest.raises(LotteryBenchError, match=message):
        plan(wrong, tmp_path)


def test_a_resolution_that_does_not_divide_is_told(tmp_path):
    with pytest.raises(BadRequest, match="reduces to 3 pixels; that does not divide digits's 8"):
        plan(SMALL.model_copy(update={"resolution": 3}), tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "knn"}, "a classifier probe measures accuracy"),
        ({"subsets": ["digits/uniform-10pct"]}, "subsets are frozen with their version"),
        ({"anchors": ["nobody"]}, "anchors must be some"),
    ],
)
def test_a_track_file_that_contradicts_itself_is_told(tmp_path, change, message):
    file = track_json(tmp_path, SMALL.model_copy(update=change))
    with pytest.raises(BadRecord, match=message):
        find_track(str(file))


def test_no_two_runs_share_noise(tmp_path):
    """Streams differ between seeds, configurations, arms and tracks."""
    from lotterybench.methods import stream

    runs = [run for arm in plan(SMALL, tmp_path) for run in arm.runs]
    other = SMALL.model_copy(update={"name": "other"})
    runs += [run for arm in plan(other, tmp_path) for run in arm.runs]
    seeds = [stream(run.key, name) for run in runs for name in ("init", "order", "augment", "head")]
    assert len(set(seeds)) == len(seeds) == 48 * 4


def test_equal_selections_share_their_data_digest():
    """Streams hang on what is selected, not on what the subset is called."""
    subset, _ = load_subset_manifest(REFS[0])
    renamed = subset.model_copy(update={"id": "digits/other-name", "version": 7, "seed": 5})
    assert renamed.data_digest() == subset.data_digest()


@pytest.mark.parametrize("channels", [1, 3])
def test_reduction_is_the_area_mean(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 32, channels), dtype=np.uint8)
    small = reduced(pixels, 16)
    for n, y, x, c in np.ndindex(small.shape):
        square = pixels[n, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2, c].astype(float)
        assert small[n, y, x, c] == np.floor(square.mean() + 0.5)
    np.testing.assert_array_equal(reduced(pixels, 32), pixels)
    with pytest.raises(ValueError, match="cannot be reduced to 12"):
        reduced(pixels, 12)


def test_finding_tracks(tmp_path):
    assert find_track(str(track_json(tmp_path))) == SMALL
    for name in track:
        assert find_track(name).name == name


@pytest.mark.slow
def test_unknown_device_is_told(tmp_path):
    done = run(tmp_path, "--device", "abacus")
    assert done.returncode == 1
    assert "device 'abacus' cannot be used here" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_another_base_version_is_not_joined(undisturbed, tmp_path):
    import shutil

    shutil.copytree(undisturbed / "results", tmp_path / "results")
    file = tmp_path / "results/small/full.jsonl"
    file.write_text(file.read_text().replace(read(file)[0].base_digest, "9" * 64, 1))
    done = run(tmp_path)
    assert done.returncode == 1
    assert "line 1 has base_digest '9999" in done.stderr
    assert lines(tmp_path)["full.jsonl"] == file.read_bytes()
