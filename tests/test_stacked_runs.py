"""Ranking tracks whose runs are trained in stacks: each run is as if it were alone."""

import json
import signal
import subprocess
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from single_models import module
from single_models import train as train_alone
from test_run import command, track_json

from lotterybench.errors import BadRequest, UnknownName
from lotterybench.forecast import outlook
from lotterybench.items import read_items
from lotterybench.kinds import Conduct, stacked
from lotterybench.kinds.admission import check_track
from lotterybench.kinds.exact.noise import order, stream
from lotterybench.kinds.stacked import STACK, outputs, prepare, stacks_of, steps_of, train_stack
from lotterybench.manifests import find_base, load_keyring
from lotterybench.methods import method
from lotterybench.methods.base import stacked as engine
from lotterybench.results import read
from lotterybench.run import plan, run_track
from lotterybench.sources import images
from lotterybench.tracks import find_track
from lotterybench.trials import Cheaper, Seeds

TRACK = find_track("digits-stacked")
REFS = ["digits/class-balanced-10pct@1", "digits/uniform-5-classes@1"]
FIRSTS = [
    next(e for e in TRACK.configurations if e.config["backbone"] == name)
    for name in engine.BACKBONES
]
SHORT = TRACK.model_copy(
    update={
        "name": "short",
        "seeds": Seeds(full=2, subset=2),
        "subsets": REFS,
        "cheaper": [Cheaper(arm="control", amount=0.1), Cheaper(arm="narrower", amount=0.5)],
        "null": 0,
        "configurations": [
            entry.model_copy(update={"config": entry.config | {"epochs": 1}}) for entry in FIRSTS
        ],
    }
)
TINY = SHORT.model_copy(update={"name": "tiny", "configurations": SHORT.configurations[:2]})


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Every planned run of the short track."""
    return [run for arm in plan(SHORT, tmp_path_factory.mktemp("none")) for run in arm.runs]


def alone(run):
    """Return a run's logits on its test images, and their labels, by a plain loop of torch."""
    base, keyring = find_base("digits")[0], load_keyring("digits")
    train, test = images("digits", "train"), images("digits", "test")
    names = run.subset.classes if run.subset and run.subset.classes else base.class_names
    new = {base.class_names.index(name): place for place, name in enumerate(names)}
    rows = [row for row, label in enumerate(keyring.labels["train"]) if label in new]
    if run.positions is not None:
        rows = sorted(run.positions.tolist())
    count = 1201 * len(names) / 10 if run.positions is None else len(rows)
    steps = round(count * {"control": 0.1}.get(run.arm, 1) / 32)  # of one epoch
    network = engine.backbone(run.config["backbone"])
    width = round(network.width * run.config.get("width", 1))
    start = engine.initial(network, len(names), stream(run.key, run.seed, "init"), width)
    net = module(run.config["backbone"], len(names), width, start)
    shown = order(np.array(rows), steps, 32, stream(run.key, run.seed, "order"))
    pixels, asked = (
        engine.normalised(torch.from_numpy(split.pixels.reshape(-1, 64).copy()))
        for split in (train, test)
    )
    labels = torch.tensor([new.get(label, -1) for label in train.labels.tolist()])
    train_alone(
        net, network.optimiser, run.config["objective"], run.config["lr"], pixels, labels,
        torch.from_numpy(shown),
    )  # fmt: skip
    tested = [row for row, label in enumerate(test.labels.tolist()) if label in new]
    with torch.no_grad():
        logits = net(asked[tested])
    return logits, torch.tensor([new[test.labels[row]] for row in tested]), 32 * steps


@pytest.mark.parametrize("entry", SHORT.configurations, ids=lambda e: e.name)
def test_a_run_is_a_model_trained_alone(entry, runs):
    """In accuracy, up to the images whose two highest logits rounding could swap; on every arm."""
    own = [run for run in runs if run.configuration.name == entry.name and run.seed == 1]
    assert [run.arm for run in own] == ["full", "control", "narrower", "subset", "subset"]
    for run in own if entry.config["backbone"] == "mlp" else [own[1], *own[3:]]:
        (done,) = train_stack((run,))
        logits, labels, seen = alone(run)
        first, second = logits.topk(2, 1).values.T
        right = logits.argmax(1) == labels
        close = int((first - second < 1e-3).sum())
        assert done.result.status == "ok"
        assert done.result.cost.images_seen == seen
        found = round(done.result.metrics["accuracy"] * len(labels) / 100)
        assert abs(found - int(right.sum())) <= close <= 0.02 * len(labels), str(run)


@pytest.mark.parametrize("entry", SHORT.configurations, ids=lambda e: e.name)
def test_neither_neighbours_nor_place_change_a_run(entry, runs):
    """Bit for bit: alone in a stack that copies fill, and late in a stack of others."""
    for subset in REFS:  # 10 and 5 classes: other numbers beyond a vector's multiple
        own = [r for r in runs if r.configuration.name == entry.name and r.subset]
        run = next(r for r in own if r.subset.ref == subset)
        others = tuple(replace(run, seed=seed) for seed in range(7, 7 + STACK - 1))
        by_itself = outputs(run, prepare((run,)))
        assert (by_itself[0] == by_itself[STACK - 1]).all()
        amid = outputs(run, prepare((*others[:11], run, *others[11:])))
        assert np.array_equal(amid[11], by_itself[0])
        assert not np.array_equal(amid[10], by_itself[0])


def test_stacks_hold_every_run_once_and_only_like_ones(runs):
    stacks = stacks_of(runs)
    assert sorted(run.key for stack in stacks for run in stack) == sorted(run.key for run in runs)
    base = find_base("digits")[0]
    for stack in stacks:
        assert len(stack) <= STACK
        assert (
            len({(r.configuration.name, steps_of(r, base), r.config.get("width")) for r in stack})
            == 1
        )
    full = [stack for stack in stacks if stack[0].arm == "full"]
    assert [len(stack) for stack in full] == [2] * len(SHORT.configurations)
    many = [run for run in runs if run.configuration.name == runs[0].configuration.name]
    sizes = [len(stack) for stack in stacks_of(many * 10)]
    assert sum(sizes) == 10 * len(many)
    assert sorted(sizes)[-1] == STACK


def test_steps_follow_from_epochs_and_images(tmp_path):
    """A control's share is of full data's steps, and class subsets of a size take as many."""
    base, _ = find_base("digits")
    arms = plan(TRACK.model_copy(update={"null": 0}), tmp_path)
    steps = {arm.file.stem: {steps_of(run, base) for run in arm.runs} for arm in arms}
    expected = {
        "full": 188, "control-0.1": 19, "control-0.25": 47, "control-0.5": 94, "narrower-0.5": 188,
        "low-resolution-4": 188, "uniform-25pct-v1": 47, "uniform-10pct-v1": 19,
        "uniform-5-classes-v1": 94, "every-2nd-class-v1": 94,
    }  # fmt: skip
    assert {name: steps[name] for name in expected} == {n: {s} for n, s in expected.items()}


def test_low_resolution_networks_see_small_images(tmp_path):
    (arm,) = plan(
        SHORT, tmp_path, subsets=[], full=False,
        cheaper=[Cheaper(arm="low-resolution", amount=4)],
    )  # fmt: skip
    run = next(run for run in arm.runs if run.configuration.name == FIRSTS[1].name)
    assert outputs(run, prepare((run,))).shape == (STACK, 596, 10)
    (done,) = train_stack((run,))
    assert 30 < done.result.metrics["accuracy"] < 100
    assert done.result.arm == "low-resolution"


def test_no_two_runs_share_a_stream(tmp_path):
    """Not across arms, the null, configurations or seeds."""
    track = TRACK.model_copy(update={"null": 2, "configurations": FIRSTS})
    every = [run for arm in plan(track, tmp_path) for run in arm.runs]
    assert {run.arm for run in every} == {"full", "control", "low-resolution", "narrower", "subset"}
    seeds = [stream(run.key, run.seed, name) for run in every for name in ("init", "order")]
    arms = len(track.cheaper) + len(track.subsets) + 3 * track.null  # of three sizes
    assert len(set(seeds)) == len(seeds) == 2 * len(FIRSTS) * (6 + 3 * arms)
    assert max(seeds) > 2**63


CHANCE = 3.9 / np.sqrt(63)  # a correlation of 64 independent pairs: once in 10,000


def residuals(entry, out):
    """Return how 64 seeds of full data and of a control of as many steps deviate from the mean."""
    cheaper = [Cheaper(arm="control", amount=0.9999)]
    track = SHORT.model_copy(update={"cheaper": cheaper, "configurations": [entry, FIRSTS[1]]})
    arms = plan(track, out, seeds=64, only=[entry.name])[:2]
    scores = []
    for arm in arms:
        done = [one for stack in stacks_of(arm.runs) for one in train_stack(stack)]
        scores.append(np.array([one.result.metrics["accuracy"] for one in done]))
    return [each - each.mean() for each in scores]


def test_residuals_are_uncorrelated(tmp_path, monkeypatch):
    """Full data and its control share no luck, though nothing else tells them apart."""
    entry = SHORT.configurations[0]
    assert abs(np.corrcoef(*residuals(entry, tmp_path))[0, 1]) < CHANCE
    monkeypatch.setattr(stacked, "stream", lambda _, seed, name: stream("one for all", seed, name))
    assert np.corrcoef(*residuals(entry, tmp_path))[0, 1] > 0.99


def test_a_network_that_diverges_is_invalid(runs):
    entry = SHORT.configurations[0]
    wild = entry.model_copy(update={"config": entry.config | {"lr": 1e30, "objective": "squared"}})
    run = next(run for run in runs if run.configuration.name == entry.name)
    (done,) = train_stack((replace(run, configuration=wild),))
    assert (done.result.status, done.result.metrics) == ("invalid", {})
    assert done.result.reason == "the network's outputs are not finite"
    assert done.outranked is None


def test_full_data_runs_keep_their_items(runs):
    run = next(run for run in runs if run.arm == "full")
    (done,) = train_stack((run,))
    assert done.outranked.shape == (596, 2)
    wrong = done.outranked.any(1)
    assert 100 * (1 - wrong.mean()) == pytest.approx(done.result.metrics["accuracy"])
    (other,) = train_stack((next(run for run in runs if run.arm == "subset"),))
    assert other.outranked is None


REFUSED = [
    ({"executor": "ray"}, r"--executor \(ray\) goes with single runs"),
    ({"device": "cuda"}, r"--device \(cuda\) goes with single runs"),
    ({"time_limit": 1}, "--time-limit or --memory-limit goes with single runs"),
    ({"memory_limit": 1}, "--time-limit or --memory-limit goes with single runs"),
    ({"save_encoders": True}, "--save-encoder goes with single runs"),
    ({"conduct": Conduct(precision="bf16")}, r"--precision \(bf16\) goes with single runs"),
    ({"conduct": Conduct(compiled=True)}, "--compile goes with single runs"),
    ({"jobs": 0}, "0 worker processes were asked for"),
    ({"only": ["nonsense"]}, "short has no configuration nonsense"),
]


@pytest.mark.parametrize(("given", "message"), REFUSED)
def test_what_stacks_cannot_keep_is_refused_before_anything_is_written(tmp_path, given, message):
    with pytest.raises(BadRequest, match=message) as caught:
        run_track(SHORT, tmp_path / "out", **given)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_shards_are_refused(tmp_path):
    with pytest.raises(BadRequest, match="--shards goes with single runs"):
        run_track(SHORT, tmp_path / "out", conduct=Conduct(shards=tmp_path))
    assert not (tmp_path / "out").exists()


def without(entry, **changes):
    config = {k: v for k, v in (entry.config | changes).items() if v is not None}
    return [entry.model_copy(update={"config": config}), *FIRSTS[1:]]


TRACKS = [
    ({"base": "cifar10"}, "square grey images whose side is a multiple of 4"),
    ({"probe": "frozen"}, "has a frozen probe; small networks are classifiers"),
    ({"resolution": 6}, "6 pixels; take 4 or a multiple of it"),
    ({"configurations": without(FIRSTS[0], batch=None)}, "has backbone"),
    ({"configurations": without(FIRSTS[0], lr="high")}, r"has backbone \(str\)"),
    ({"configurations": without(FIRSTS[0], depth=3)}, "has backbone"),
    (
        {"configurations": [FIRSTS[0], find_track("digits-supervised").configurations[0]]},
        "a track has configurations of the method 'stacked' only, or none",
    ),
]


@pytest.mark.parametrize(("changes", "message"), TRACKS)
def test_tracks_that_cannot_be_stacked_are_refused(changes, message):
    track = SHORT.model_copy(update=changes)
    with pytest.raises(BadRequest, match=message):
        check_track(track, find_base(track.base)[0])


def test_unknown_names_are_hinted(runs):
    entry = SHORT.configurations[0]
    typo = entry.model_copy(update={"config": entry.config | {"backbone": "liner"}})
    run = replace(runs[0], configuration=typo)
    with pytest.raises(UnknownName, match="did you mean 'linear'"):
        train_stack((run,))


def test_one_task_alone_is_refused():
    with pytest.raises(BadRequest, match="trains many runs as one"):
        method["stacked"](None, epochs=1, lr=0.1, backbone="linear")


def test_the_plan_is_priced(tmp_path):
    """As many images as the runs will say that they saw; a stack's seconds are its runs'."""
    arms = plan(TINY, tmp_path, subsets=REFS[:1])
    rows = outlook(arms, "auto", 2)
    assert [row.arm for row in rows] == ["full", REFS[0]]
    assert [(row.runs, row.done) for row in rows] == [(4, 0), (4, 0)]
    assert [row.images for row in rows] == [4 * 38 * 32, 4 * 4 * 32]
    assert all(row.seconds > 0 for row in rows)


def lines(out):
    """Return the content of every file of a finished track but its timings."""
    files = sorted((out / "tiny").iterdir())
    kept = [f for f in files if f.is_file() and f.suffix != ".timings" and f.name[0] != "."]
    return {file.name: file.read_bytes() for file in kept}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The tiny track in one go by two processes."""
    folder = tmp_path_factory.mktemp("undisturbed")
    done = cli(folder, "--jobs", 2)
    assert "20 runs, 0 were there, now 20 ok" in done.stdout
    return folder / "out"


def cli(folder, *options):
    file = track_json(folder, TINY)
    done = subprocess.run(
        command("run", file, "--out", folder / "out", *options),
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
def test_piece_by_piece_gives_the_same_bytes(undisturbed, tmp_path):
    """Runs that come one arm, configuration or seed at a time have the same numbers."""
    found = lines(undisturbed)
    assert {"full.jsonl", "control-0.1.jsonl", "narrower-0.5.jsonl", "track.json"} < set(found)
    first, second = (entry.name for entry in TINY.configurations)
    cli(tmp_path, "--subset", REFS[1], "--method", second, "--seeds", 1, "--jobs", 1)
    cli(tmp_path, "--full", "--seeds", 1, "--jobs", 1)
    cli(tmp_path, "--method", first, "--jobs", 1)
    assert "20 runs, " in cli(tmp_path, "--jobs", 2).stdout
    assert lines(tmp_path / "out") == found
    items = read_items(tmp_path / "out/tiny", TINY)
    for result in read(tmp_path / "out/tiny/full.jsonl"):
        accuracy = 100 * items.right(result.key).mean()
        assert accuracy == pytest.approx(result.metrics["accuracy"])


@pytest.mark.slow
def test_killed_and_repeated_gives_the_same_bytes(undisturbed, tmp_path):
    """kill -9 while results are written: none is lost, none there twice, and the bytes agree."""
    arguments = command("run", track_json(tmp_path, TINY), "--out", tmp_path / "out", "--jobs", 1)
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    file = tmp_path / "out/tiny/full.jsonl"
    deadline = time.monotonic() + 120
    while not (file.exists() and file.read_bytes().count(b"\n") >= 1):
        assert time.monotonic() < deadline
        assert process.poll() is None, "ended before it was killed"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines(tmp_path / "out") != lines(undisturbed)
    cli(tmp_path, "--jobs", 2)
    assert lines(tmp_path / "out") == lines(undisturbed)
    there = [json.loads(line) for line in file.read_text().splitlines()]
    assert all(line in there for line in kept)
