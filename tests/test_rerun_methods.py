"""Submitted methods rerun: trained where no test image is, scored outside, never twice."""

import json

import numpy as np
import pytest
from method_reruns import (
    DIGEST,
    PIXELS,
    RECORDED,
    SECRET,
    TINY,
    method,
    play_here,
    rerun,
    rerun_draft,
    trained,
)
from sandboxed import need_sandbox

from lotterybench.errors import BadResults
from lotterybench.kinds.data import selected, tensors
from lotterybench.kinds.evaluation import evaluate
from lotterybench.kinds.runs import Conduct
from lotterybench.results import read
from lotterybench.submissions import playing
from lotterybench.submissions.method import ENCODER, LARGEST, WIDEST, by_itself
from lotterybench.submissions.referee.probing import METRICS, candidate, scored, unsuitable
from lotterybench.submissions.referee.stopping import Stopped
from lotterybench.submissions.referee.training import (
    ALONE,
    Setting,
    epochs_of,
    limits,
    planned,
)
from lotterybench.submissions.referee.workplace import Workplace
from lotterybench.tracks import track

ALL_SUBSETS = TINY.model_copy(update={"primary": None})
HONEST = trained("return Pixels()")


def fast(
    monkeypatch, tmp_path, code, record=RECORDED, tiny=TINY, before=lambda given: None, **more
):
    """Rerun a method of ours in this process."""
    play_here(monkeypatch, before)
    submission, folder = method(tmp_path / "files", code, record)
    return rerun(submission, folder, tmp_path / "place", tiny, **more)


def content(files):
    return {file.name: file.read_bytes() for file in files}


# Scores.


@pytest.mark.parametrize("which", [0, 1, 2], ids=["full", "samples", "classes"])
def test_scores_are_those_of_our_own_evaluation(tmp_path, one_thread, which):
    """Features that come in another order, of an encoder of ours, are worth what it is worth."""
    import torch

    from lotterybench.methods.base import probes
    from lotterybench.methods.base.backbones import build
    from lotterybench.methods.base.shape import Trained

    record, _ = method(tmp_path / "files", HONEST)
    run = [*planned(record, ALL_SUBSETS, Workplace(tmp_path)).values()][which][0]
    encoder = build("resnet", in_chans=1, size=8, seed=3).eval()
    expected = evaluate(run, Trained(encoder, None, 0), "cpu", Conduct()).metrics
    parts = [
        probes.features(encoder, tensors("digits", split, 8, "cpu")[0]).numpy()
        for split in ("train", "test")
    ]
    order = np.random.default_rng(0).permutation(sum(map(len, parts)))
    found = scored(run, np.concatenate(parts)[order], order, "cpu", 7)
    assert found.status == "ok" and found.metrics == expected and found.images_seen == 7
    assert ("within" in found.metrics) == (which == 2)
    assert torch.get_num_threads() == 1


EXTREME = {
    "zero": lambda x: 0 * x, "all the same": lambda x: 0 * x + 1, "tiny": lambda x: 1e-30 * x,
    "denormal": lambda x: 1e-44 * x, "large": lambda x: x / np.abs(x).max() * LARGEST,
    "one dimension": lambda x: x[:, :1], "copies": lambda x: np.repeat(x[:, :1], 64, 1),
    "of all sizes": lambda x: x * np.logspace(-30, 8, x.shape[1]),
    "one alone": lambda x: np.where(np.arange(len(x)) == 5, LARGEST, 0)[:, None] + 0 * x,
}  # fmt: skip


@pytest.mark.parametrize("what", EXTREME)
def test_features_of_any_size_have_scores_or_a_reason(tmp_path, what):
    record, _ = method(tmp_path / "files", HONEST)
    run = [*planned(record, ALL_SUBSETS, Workplace(tmp_path)).values()][2][0]
    made = EXTREME[what](np.random.default_rng(0).normal(size=(1797, 32)))
    found = scored(run, made.astype(np.float32), np.arange(1797), "cpu", 1)
    assert (found.status == "ok") == bool(found.metrics) != bool(found.reason)
    if found.status == "ok":  # noise is worth as much as guessing
        assert found.metrics["knn"] < 25 and found.metrics["linear"] < 25


OURS = """
from lotterybench.methods.base.augment import normalise
from lotterybench.methods.base.backbones import build
from torch import nn


class Ours(nn.Module):
    def __init__(self, seed):
        super().__init__()
        self.body = build("resnet", in_chans=1, size=8, seed=3)

    def forward(self, images):
        return self.body(normalise(images))


def train(images, labels, seed, budget):
    return Ours(seed)
"""


def test_what_comes_through_the_boxes_is_scored_as_our_own(tmp_path, monkeypatch, one_thread):
    from lotterybench.methods.base.backbones import build
    from lotterybench.methods.base.shape import Trained

    files = fast(monkeypatch, tmp_path, OURS, tiny=ALL_SUBSETS, seeds=1)
    runs = planned(method(tmp_path / "again", OURS)[0], ALL_SUBSETS, Workplace(tmp_path / "place"))
    encoder = build("resnet", in_chans=1, size=8, seed=3).eval()
    for file, (run, *_) in runs.items():
        expected = evaluate(run, Trained(encoder, None, 0), "cpu", Conduct()).metrics
        (line,) = read(file)
        assert file in files and line.metrics.keys() == expected.keys()
        for name, value in expected.items():  # batches of another size sum in another order
            assert line.metrics[name] == pytest.approx(value, abs=0.3), (file.name, name)


def test_lines_say_where_they_come_from(tmp_path, monkeypatch):
    record = RECORDED.replace(
        "[budget]", "labels = true\nsettings = { rate = 0.5, of = [1, 2] }\n[budget]"
    )
    code = HONEST.replace("budget)", "budget, *, rate, of)")
    files = fast(monkeypatch, tmp_path, code, record)
    assert [file.name for file in files] == ["full.jsonl", "uniform-10pct-v1.jsonl"]
    full, subset = map(read, files)
    assert [line.seed for line in full] == [0, 1] and [line.seed for line in subset] == [0]
    for line in (*full, *subset):
        assert (line.track, line.track_digest) == (TINY.name, TINY.digest())
        assert (line.configuration, line.family) == ("mine", "submission/mine")
        assert (line.method, line.origin) == ("submission", "submission:mine")
        assert line.config == {"rate": 0.5, "of": "[1,2]", "labels": True}
        assert (line.isolation, line.code_digest) == ("rerun-sandboxed", DIGEST)
        assert line.status == "ok" and line.metrics.keys() >= set(METRICS)
        assert line.epochs == 1 and line.scope == "full"
    assert (full[0].cost.images_seen, subset[0].cost.images_seen) == (1201, 120)
    assert (full[0].subset, subset[0].subset) == (None, "digits/uniform-10pct")
    for file in files:
        timings = [json.loads(line) for line in file.with_suffix(".timings").read_text().split()]
        assert [one["key"] for one in timings] == [line.key for line in read(file)]
    logs = {file.name for file in (tmp_path / "place/submissions/mine/logs").rglob("*.txt")}
    assert logs == {"full-0.txt", "full-1.txt", "uniform-10pct-v1-0.txt"}
    assert not (tmp_path / "place/submissions/mine/boxes").exists()


@pytest.mark.parametrize("name", list(track))
def test_tracks_whose_score_is_of_features_take_methods(name):
    one = track[name]
    assert (unsuitable(one) == "") == (one.probe != "classifier" and one.metric in METRICS)
    assert "\n" not in unsuitable(one)


def test_other_tracks_are_told_in_a_line(tmp_path):
    record, folder = method(tmp_path / "files", HONEST)
    with pytest.raises(Stopped) as stopped:
        rerun(record, folder, tmp_path / "place", track["digits-supervised"])
    assert stopped.value.status == "invalid" and "ranks a classifier" in stopped.value.reason
    assert not (tmp_path / "place").exists()


def test_the_budget_is_the_tracks():
    assert epochs_of(TINY) == 1
    entries = [
        entry.model_copy(update={"config": {**entry.config, "epochs": epochs}})
        for entry, epochs in zip(TINY.configurations * 2, (3, 3, 9, 9), strict=True)
    ]
    assert epochs_of(TINY.model_copy(update={"configurations": entries})) == 9
    assert epochs_of(TINY.model_copy(update={"configurations": entries[:3]})) == 3


# What the boxes are given.


def test_what_each_box_is_given(tmp_path, monkeypatch):
    """Training images alone where it trains; all of them, mixed and without labels, afterwards."""
    boxes = []

    def note(given):
        task = json.loads((given / "task.json").read_text())
        arrays = {file.stem: np.load(file) for file in given.glob("*.npy")}
        names = sorted(file.name for file in given.iterdir())
        boxes.append((given.parent.name, names, task, arrays))

    record = RECORDED.replace("[budget]", "labels = true\n[budget]")
    tiny = ALL_SUBSETS.model_copy(update={"subsets": ["digits/uniform-5-classes@1"]})
    fast(monkeypatch, tmp_path, HONEST, record, tiny, note)
    assert [name for name, *_ in boxes] == ["train", "encode", "alone"] * 3
    train = tensors("digits", "train", 8, "cpu")[0].numpy()
    test = tensors("digits", "test", 8, "cpu")[0].numpy()
    runs = planned(method(tmp_path / "again", HONEST, record)[0], tiny, Workplace(tmp_path))
    seeds, orders = set(), set()
    for run, at in zip([one for arm in runs.values() for one in arm], range(0, 9, 3), strict=True):
        (_, names, task, given), (_, shown, _, mixed), (_, few, _, alone) = boxes[at : at + 3]
        assert names == ["code", "images.npy", "labels.npy", "task.json"]
        assert shown == few == ["code", "encoder.pt", "images-0.npy", "task.json"]
        new, rows = selected(run, run_base(), tensors("digits", "train", 8, "cpu")[1])
        expected = sorted(
            (image.tobytes(), label)
            for image, label in zip(train[rows.numpy()], new.numpy()[rows.numpy()], strict=True)
        )
        images = [image.tobytes() for image in given["images"]]
        assert sorted(zip(images, given["labels"].tolist(), strict=True)) == expected
        assert images != [image.tobytes() for image in train[rows.numpy()]]
        assert task["budget"] == {"epochs": 1, "seconds": 60, "device": "cpu"}
        everything = [image.tobytes() for image in mixed["images-0"]]
        whole = [image.tobytes() for image in np.concatenate([train, test])]
        assert everything != whole and sorted(everything) == sorted(whole)
        assert len(alone["images-0"]) == ALONE
        assert {image.tobytes() for image in alone["images-0"]} <= set(whole)
        seeds.add(task["calls"][0]["seed"])
        orders.add(tuple(everything))
    assert len(seeds) == len(orders) == 3 and max(seeds) > 1000


def run_base():
    from lotterybench.manifests import find_base

    return find_base("digits")[0]


def test_seeds_come_from_the_secret(tmp_path, monkeypatch):
    """The same secret gives the same boxes, another secret others."""

    def given_with(name, **options):
        found = []

        def note(given):
            found.append({f.name: f.read_bytes() for f in given.iterdir() if f.is_file()})

        fast(monkeypatch, tmp_path / name, HONEST, before=note, seeds=1, **options)
        return [{k: v for k, v in one.items() if k != "encoder.pt"} for one in found]

    first = given_with("one")
    assert given_with("two") == first
    for other in (given_with("three", secret=b"t" * 32), given_with("four", digest="e" * 64)):
        assert all(one != another for one, another in zip(first, other, strict=True))


def test_the_files_beside_the_entry_are_there_for_every_box(tmp_path, monkeypatch):
    record, folder = method(
        tmp_path / "files", "from beside import Pixels\n" + HONEST.removeprefix(PIXELS)
    )
    (folder / "beside.py").write_text(PIXELS)
    play_here(monkeypatch)
    files = rerun(record, folder, tmp_path / "place", seeds=1)
    assert [line.status for file in files for line in read(file)] == ["ok", "ok"]


@pytest.mark.parametrize(("device", "gpu"), [("cpu", None), ("cuda", 0), ("cuda:1", 1)])
def test_limits_grow_with_the_base(tmp_path, device, gpu):
    record, _ = method(tmp_path / "files", HONEST)
    setting = Setting(
        record, {}, TINY, Workplace(tmp_path), "sandboxed", device, 2, SECRET, DIGEST, None
    )
    small, large = (np.zeros((rows, 3, 32, 32), np.uint8) for rows in (1000, 70_000))
    few, many = limits(record, small, setting), limits(record, large, setting)
    assert few.gpu == many.gpu == gpu
    assert few.wall_seconds == many.wall_seconds == 60 + playing.START
    assert many.cpu_seconds >= 2 * many.wall_seconds
    assert many.memory_bytes - few.memory_bytes == 16 * (large.nbytes - small.nbytes)
    for one, rows in ((few, 1000), (many, 70_000)):  # the largest outputs fit
        assert one.file_bytes >= max(ENCODER, rows * WIDEST * 4)
        assert one.disk_bytes > one.file_bytes
    assert (gpu is None) == (limits(record, small, setting).memory_bytes < 5 * 2**30)


# What goes wrong.


def test_an_encoder_is_of_limited_size(tmp_path, monkeypatch):
    monkeypatch.setattr("lotterybench.submissions.method.ENCODER", 100)
    with pytest.raises(Stopped, match=r"encoder.pt has \d+ bytes; at most 100 are expected"):
        fast(monkeypatch, tmp_path, HONEST)


def test_results_of_another_version_are_not_joined(tmp_path, monkeypatch):
    fast(monkeypatch, tmp_path / "one", HONEST, seeds=1)
    record, folder = method(tmp_path / "files", HONEST)
    with pytest.raises(BadResults, match="another version of tiny-methods"):
        rerun(record, folder, tmp_path / "one/place", TINY.model_copy(update={"version": 2}))


FAULTY = {
    "holds numbers that are not finite": "return Wrong(lambda_=0)",
    "has the shape 1797 x 8 x 8": "return Wrong(lambda_=1)",
    f"expected 1797 x 1..{WIDEST}": "return Wrong(lambda_=2)",
    "expected -1073741824.0 to 1073741824.0": "return Wrong(lambda_=3)",
    "depend on the images beside it": "return Wrong(lambda_=4)",
    "on its place among them": "return Wrong(lambda_=5)",
    "the encoder cannot be stored": "encoder = Pixels(); encoder.f = lambda: 1; return encoder",
    "it returned int, not a torch module": "return 3",
    "ValueError: no (mine.py line": "raise ValueError('no')",
    "1797 images gave 3": "return Wrong(lambda_=6)",
}
WRONG = (
    PIXELS
    + """
class Wrong(nn.Module):
    def __init__(self, lambda_):
        super().__init__()
        self.kind, self.seen = lambda_, 0

    def forward(self, images):
        x = images.float().flatten(1) / 255
        self.seen += len(x)
        if self.kind == 0:
            return x.log() - x.log()
        if self.kind == 1:
            return images.float().flatten(1, 2)
        if self.kind == 2:
            return x.repeat(1, 65)
        if self.kind == 3:
            return 1e10 * x
        if self.kind == 4:
            return x - x.mean(0)
        if self.kind == 5:
            return x + self.seen / 1000
        return x[:3]
"""
)
# Where the fault is another status than `invalid`, which is for outputs.
CRASHES = ("stored", "returned", "ValueError")


@pytest.mark.parametrize("wanted", FAULTY)
def test_a_method_that_fails_is_a_line_and_no_more(tmp_path, monkeypatch, wanted):
    code = f"{WRONG}\n\ndef train(images, labels, seed, budget):\n    {FAULTY[wanted]}\n"
    with pytest.raises(Stopped) as stopped:
        fast(monkeypatch, tmp_path, code)
    words = wanted.replace(" x ", " × ") if "images gave" not in wanted else "has the shape"
    assert words in stopped.value.reason, stopped.value.reason
    place = tmp_path / "place/results/tiny-methods/candidates/mine"
    (line,) = read(place / "full.jsonl")
    assert line.status == stopped.value.status and words in line.reason and line.metrics == {}
    crash = any(word in wanted for word in CRASHES)
    assert line.status == ("crash" if crash else "invalid") and line.reason.isprintable()
    assert not (place / "uniform-10pct-v1.jsonl").exists()
    again = []
    with pytest.raises(Stopped):  # it is not tried again
        fast(monkeypatch, tmp_path / "x", code, before=again.append)
    play_here(monkeypatch, again.append)
    with pytest.raises(Stopped) as repeated:
        rerun(*method(tmp_path / "y", code), tmp_path / "place")
    assert repeated.value.reason == stopped.value.reason


def test_a_failure_on_a_subset_is_a_result(tmp_path, monkeypatch):
    code = trained("assert len(images) > 200, 'too few'\n    return Pixels()")
    full, subset = map(read, fast(monkeypatch, tmp_path, code))
    assert {line.status for line in full} == {"ok"}
    assert (subset[0].status, "too few" in subset[0].reason) == ("crash", True)


def test_a_method_that_fails_for_half_of_the_seeds_is_rejected(tmp_path, monkeypatch):
    """The first run decides alone; of the others, one in six may fail."""
    code = trained(
        "global_count = len(list(__import__('pathlib').Path(r'{}').glob('*')))\n"
        "    assert not global_count, 'not twice'\n    return Pixels()"
    )
    flag = tmp_path / "flags"
    flag.mkdir()

    def note(given):
        if given.parent.name == "alone":
            (flag / "once").touch()

    with pytest.raises(Stopped, match=r"1 of 2 runs on full data failed; seed 1: .*not twice"):
        fast(monkeypatch, tmp_path, code.replace("{}", str(flag)), before=note)


@pytest.mark.parametrize(
    ("apart", "same"), [(0, True), (1e-4, True), (1e-2, False), (np.nan, False)]
)
def test_by_itself(apart, same):
    features = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    moved = features.copy()
    moved[2, 1] += apart * np.abs(features).max()
    assert by_itself(features, moved) == same
    assert not by_itself(features, moved[:, :2])


# Interrupted, and repeated.


class Killed(BaseException):
    """The end of the referee, which nothing inside it handles."""


@pytest.mark.parametrize("at", range(9))
def test_killed_anywhere_and_repeated_gives_the_same_bytes(tmp_path, monkeypatch, undisturbed, at):
    played, killed = [], []

    def note(given):
        played.append(given.parent.name)
        if not killed and len(played) == at + 1:
            killed.append(at)
            raise Killed

    with pytest.raises(Killed):
        fast(monkeypatch, tmp_path, HONEST, before=note)
    boxes = tmp_path / "place/submissions/mine/boxes"
    (boxes / "train").mkdir(parents=True, exist_ok=True)  # as kill -9 leaves it
    lines = tmp_path / "place/results/tiny-methods/candidates/mine/full.jsonl"
    if lines.is_file():  # and a line half written
        with lines.open("a") as file:
            file.write('{"arm":"full","base_dig')
    del played[: at + 1]
    files = rerun(*method(tmp_path / "again", HONEST), tmp_path / "place")
    assert content(files) == undisturbed
    assert len(played) == 9 - at // 3 * 3  # what has a line is not run again
    assert rerun(*method(tmp_path / "third", HONEST), tmp_path / "place") == files
    assert content(files) == undisturbed and len(played) == 9 - at // 3 * 3


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The lines of the honest method, run in one go."""
    with pytest.MonkeyPatch.context() as patch:
        return content(fast(patch, tmp_path_factory.mktemp("whole"), HONEST))


def test_what_the_machine_did_is_tried_again(tmp_path, monkeypatch, undisturbed):
    from method_reruns import here

    def ended(given, out, budget, isolation, threads=1):
        done = here(given, out, budget, isolation, threads)
        if given.parent.name == "encode":
            return done.model_copy(update={"status": "infra", "reason": "it was ended"})
        return done

    monkeypatch.setattr(playing, "play", ended)
    record, folder = method(tmp_path / "files", HONEST)
    with pytest.raises(Stopped) as stopped:
        rerun(record, folder, tmp_path / "place")
    assert (stopped.value.status, "it was ended" in stopped.value.reason) == ("infra", True)
    play_here(monkeypatch)
    assert content(rerun(record, folder, tmp_path / "place")) == undisturbed


@pytest.mark.parametrize("change", [{"digest": "e" * 64}, {"isolation": "none"}])
def test_lines_of_other_files_are_not_joined(tmp_path, monkeypatch, change):
    record, folder = method(tmp_path / "files", HONEST)
    play_here(monkeypatch)
    rerun(record, folder, tmp_path / "place", seeds=1)
    with pytest.raises(BadResults, match=r"full.jsonl line 1 has (code_digest|isolation)") as told:
        rerun(record, folder, tmp_path / "place", seeds=1, **change)
    assert str(tmp_path) not in str(told.value)


def test_candidates_are_in_no_pool(tmp_path):
    entry = candidate(method(tmp_path / "files", HONEST)[0])
    assert entry.family == "submission/mine" and entry.method == "submission"
    assert all(entry.method != one.method for name in track for one in track[name].configurations)


# In the sandbox.


@pytest.fixture(scope="module")
def drafted(tmp_path_factory):
    """The draft of a method, rerun in the sandbox."""
    need_sandbox()
    folder = tmp_path_factory.mktemp("drafted")
    return folder, rerun_draft(folder)


@pytest.mark.slow
def test_a_draft_is_rerun(drafted):
    folder, files = drafted
    for line in [line for file in files for line in read(file)]:
        assert (line.status, line.reason) == ("ok", None), line.reason
        assert line.isolation == "rerun-sandboxed" and line.metrics["knn"] > 50
    log = (folder / "place/submissions/my-own/logs/tiny-methods/full-0.txt").read_text()
    assert [line.split(":")[0] for line in log.splitlines() if line.startswith("==")] == [
        "== train", "== encode", "== alone",
    ]  # fmt: skip


# Each: what `train` does, and the status and words of the run.
HOSTILE = {
    "sleeps when it is shown images": (
        "return Sleeps()", "timeout", "it took longer than",
    ),
    "runs code where it is read": (
        "return Runs()", "crash", "Read-only file system",
    ),
    "looks for test images": (
        "found = look(); assert not found, found; return Pixels()", "ok", "",
    ),
}  # fmt: skip
PROGRAMS = (
    PIXELS
    + """
import os
import time


class Sleeps(nn.Module):
    def forward(self, images):
        time.sleep(1000)


def escape(canary):
    open(canary, "w").write("escaped")
    return Pixels()


class Runs(Pixels):
    def __reduce__(self):
        return escape, ("CANARY",)


def look():
    found = []
    try:
        from sklearn.datasets import load_digits
        found.append(load_digits().data.shape)
    except (ImportError, OSError):
        pass
    for place, _, names in os.walk(os.environ["INPUTS"]):
        found += [f"{place}/{name}" for name in names if name.endswith((".npy", ".parquet"))]
    allowed = os.environ["INPUTS"] + "/trial/images.npy"
    return [one for one in found if one != allowed]
"""
)


@pytest.mark.slow
@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_methods_are_contained(tmp_path, monkeypatch, what):
    need_sandbox()
    body, status, words = HOSTILE[what]
    canary = tmp_path / "canary"
    canary.write_text("whole")
    code = f"{PROGRAMS}\n\ndef train(images, labels, seed, budget):\n    {body}\n"
    record, folder = method(tmp_path / "files", code.replace("CANARY", f"/usr/lib/{canary.name}"))
    if status == "timeout":
        monkeypatch.setattr(playing, "START", 30)
        record = record.model_copy(
            update={"budget": record.budget.model_copy(update={"seconds": 5})}
        )
    tiny = TINY.model_copy(update={"subsets": []})
    try:
        rerun(record, folder, tmp_path / "place", tiny, seeds=1)
    except Stopped as stopped:
        assert words in stopped.reason, stopped.reason
    lines = tmp_path / "place/results/tiny-methods/candidates/mine/full.jsonl"
    (line,) = read(lines)
    assert line.status == status, line
    if status != "ok":  # it trained well: the fault is where its encoder is opened
        log = tmp_path / "place/submissions/mine/logs/tiny-methods/full-0.txt"
        assert log.read_text().startswith("== train: ok")


@pytest.mark.slow
def test_the_attacks_succeed_without_a_sandbox(tmp_path):
    """Who trusts the code finds the test images in a package, and files written."""
    canary = tmp_path / "canary"
    body = "return Runs() if look() else Pixels()"
    code = f"{PROGRAMS}\n\ndef train(images, labels, seed, budget):\n    {body}\n"
    record, folder = method(tmp_path / "files", code.replace("CANARY", str(canary)))
    tiny = TINY.model_copy(update={"subsets": []})
    (file,) = rerun(record, folder, tmp_path / "place", tiny, seeds=1, isolation="none")
    assert canary.read_text() == "escaped"
    assert read(file)[0].isolation == "rerun-unsandboxed"


@pytest.mark.slow
def test_the_whole_referee_takes_a_method_up(tmp_path):
    """From the folder to its record, its claim beside what was measured, and the board's page."""
    from test_leaderboard import Reading

    from lotterybench.publication import render_site
    from lotterybench.submissions.referee.rerunning import rerun as referee

    need_sandbox()
    tiny = TINY.model_copy(update={"subsets": []})
    file = tmp_path / "tiny.json"
    file.write_bytes(tiny.pretty())
    claimed = """
[[claims]]
track = "digits-selfsup"
figure = "accuracy"
value = 99
how = "2 seeds"
"""
    _, folder = method(tmp_path / "mine", HONEST, RECORDED + claimed)
    workplace = Workplace(tmp_path / "round")
    found = referee(folder, workplace, tracks=[str(file)], seeds=2, device="cpu")
    assert (found.state, found.status, found.problems) == ("verified", "ok", []), found
    assert found.results == ["tiny-methods/candidates/mine/full.jsonl"]
    assert found.isolation == "rerun-sandboxed" and found.claims[0].says == "not measured"
    assert referee(folder, workplace, tracks=[str(file)], seeds=2, device="cpu") == found
    render_site(workplace.results, tmp_path / "site")
    page = (tmp_path / "site/boards/tiny-methods.html").read_text()
    Reading(page)
    table = page[page.index('id="candidates"') :]
    assert ">mine<" in table and "verified" in table and "sandbox" in table
