"""Test items: what outranks the truth, kept beside results, the same however a suite went."""

import signal
import subprocess
import time
from itertools import combinations

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from test_probes import CLASSES, data  # noqa: F401
from test_run import SMALL, command, run, track_json
from test_score import make_result, make_track

from lotterybench.errors import BadResults
from lotterybench.items import Items, join, keep, none_of, packed, read_items
from lotterybench.kinds import Conduct, Run, execute
from lotterybench.kinds.evaluation import evaluate
from lotterybench.kinds.ranking import train_run
from lotterybench.manifests import find_base, load_keyring, load_subset_manifest
from lotterybench.methods import Trained
from lotterybench.methods.base import outranked, probes
from lotterybench.methods.base.architectures import ARCHITECTURES
from lotterybench.methods.base.backbones import build
from lotterybench.methods.base.finetune import finetuned
from lotterybench.methods.base.flops import forward_flops
from lotterybench.methods.base.outranked import Outranked, outranking
from lotterybench.paths import items_file, items_folder
from lotterybench.results import read
from lotterybench.run import run_track
from lotterybench.trials import Cheaper, Configuration, Seeds

BYTES = 2  # of ten classes
LABELS = load_keyring("digits").labels["test"].astype(np.int64)


def test_right_is_the_argmax_of_every_set_of_classes():
    """Ties, infinities and what is no number, against argmax over each set with the true class."""
    noise = torch.Generator().manual_seed(0)
    scores = torch.randint(-2, 3, (400, 5), generator=noise).float()
    odd = torch.randint(0, 12, (400, 5), generator=noise)
    scores[odd == 0], scores[odd == 1], scores[odd == 2] = torch.nan, torch.inf, -torch.inf
    labels = torch.randint(0, 5, (400,), generator=noise)
    bits = packed(outranking(scores, labels).numpy())
    for size in range(1, 6):
        for among in combinations(range(5), size):
            named = torch.tensor(among)[scores[:, among].argmax(1)]
            there = torch.isin(labels, torch.tensor(among))
            want = (named == labels)[there].numpy()
            np.testing.assert_array_equal(none_of(bits[there.numpy()], among, 5), want)


def test_classes_beyond_a_byte():
    rng = np.random.default_rng(0)
    above = rng.random((300, 19)) < 0.1
    labels = rng.integers(19, size=300)
    items = Items(labels, 19, {"a": packed(above)})
    np.testing.assert_array_equal(items.right("a"), ~above.any(1))
    for among in ([3], [0, 8, 18], [7, 8, 15, 16], list(range(19))):
        places = np.isin(labels, among)
        np.testing.assert_array_equal(items.right("a", among), ~above[places][:, among].any(1))


def test_watching_changes_no_metric_and_agrees_with_it(data):  # noqa: F811
    bank, bank_labels, queries, labels = data

    def knn(**more):
        return probes.knn(bank, bank_labels, queries, labels, classes=CLASSES, chunk=40, **more)

    def linear(**more):
        noise = torch.Generator().manual_seed(3)
        return probes.linear_probe(
            bank, bank_labels, queries, labels, classes=CLASSES, generator=noise, **more
        )

    images = torch.randint(
        256, (300, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    names = torch.arange(300) % CLASSES
    encoder = build("mixer", in_chans=1, size=8, seed=3).eval()

    def tuned(**more):
        return finetuned(
            encoder, images, names, images[:90], names[:90], classes=CLASSES, mirror=False,
            run="one", epochs=1, **more,
        )  # fmt: skip

    with torch.no_grad():
        head = torch.nn.Linear(encoder(torch.zeros(2, 1, 8, 8)).shape[1], CLASSES)

    def classifier(**more):
        return probes.accuracy(Trained(encoder, head, 0), images, names, **more)

    for measure in (knn, linear, tuned, classifier):
        watch = Outranked()
        assert measure(watch=watch) == measure()
        right = none_of(watch.packed(), range(CLASSES), CLASSES)
        assert 100 * right.mean() == pytest.approx(measure(), abs=1e-9)
        assert 0 < right.mean() < 1


FROZEN = SMALL.model_copy(
    update={
        "probe": "frozen", "metric": "knn", "seeds": Seeds(full=1, subset=1), "subsets": [],
        "configurations": [
            Configuration(
                name="start", family="anchor/mixer", method="random-init",
                config={"backbone": "mixer"},
            ),
            Configuration(name="b", family="b", method="supervised", config={"epochs": 1}),
        ],
    }
)  # fmt: skip


def planned(track=FROZEN, ref=None, cheaper=None):
    subset, positions = load_subset_manifest(ref) if ref else (None, None)
    base = find_base("digits")[0]
    return Run(track, subset, positions, base.digest, track.configurations[0], 0, cheaper)


@pytest.mark.parametrize("metric", ["knn", "linear"])
def test_full_data_has_items_by_the_tracks_metric(metric):
    track = FROZEN.model_copy(update={"metric": metric})
    (done,) = execute([planned(track)], "cpu")
    assert done.outranked.shape == (len(LABELS), BYTES)
    right = none_of(done.outranked, range(10), 10)
    assert 100 * right.mean() == pytest.approx(done.result.metrics[metric], abs=1e-9)
    assert "within" not in done.result.metrics


def test_other_arms_have_none(monkeypatch):
    """Class subsets have their own classes' accuracy instead, which argmax over these confirms."""
    assert next(execute([planned(ref="digits/uniform-10pct@1")], "cpu")).outranked is None
    narrower = planned(cheaper=Cheaper(arm="narrower", amount=0.5))
    assert next(execute([narrower], "cpu")).outranked is None
    shown = []

    class Spy(Outranked):
        def __call__(self, scores, labels):
            shown.append((scores, labels))
            super().__call__(scores, labels)

    monkeypatch.setattr(outranked, "Outranked", Spy)
    one = planned(ref="digits/uniform-5-classes@1")
    found = evaluate(one, train_run(one, "cpu", Conduct())[0], "cpu", Conduct())
    assert found.outranked is None
    scores, labels = (torch.cat(parts) for parts in zip(*shown, strict=True))
    among = torch.tensor(find_base("digits")[0].class_indices(one.subset.classes)).sort().values
    there = torch.isin(labels, among)
    named = among[scores[there][:, among].argmax(1)]
    want = 100 * (named == labels[there]).double().mean().item()
    assert found.metrics["within"] == pytest.approx(want, abs=1e-9)
    assert found.metrics["within"] > found.metrics["knn"]


@pytest.fixture
def made():
    """A track, a result line for each run on full data, and bits of each."""
    rng = np.random.default_rng(0)
    track = make_track(families=2, each=2)
    runs = [
        make_result(track, entry, seed, 50.0) for entry in track.configurations for seed in (0, 1)
    ]
    size = (len(LABELS), BYTES)
    bits = {run.key: rng.integers(0, 256, size).astype(np.uint8) & 0b11000000 for run in runs}
    return track, runs, bits


def test_joined_in_the_order_of_results_however_they_came(made, tmp_path):
    track, runs, bits = made
    at_once, in_parts = tmp_path / "one", tmp_path / "two"
    for run_ in runs:
        keep(at_once, run_.key, bits[run_.key])
    join(at_once, track, runs)
    content = items_file(at_once).read_bytes()
    assert not items_folder(at_once).exists()
    join(at_once, track, runs)  # nothing was kept since
    assert items_file(at_once).read_bytes() == content
    for last in (2, 5, 8):
        for run_ in runs[max(0, last - 3) : last][::-1]:
            keep(in_parts, run_.key, bits[run_.key])
        join(in_parts, track, [*runs[:last]])
    assert items_file(in_parts).read_bytes() == content
    shuffled = tmp_path / "three"
    for first in (4, 0):  # the later runs are joined first
        for run_ in runs[first : first + 4]:
            keep(shuffled, run_.key, bits[run_.key])
        join(shuffled, track, runs[first:])
    assert items_file(shuffled).read_bytes() == content
    found = read_items(at_once, track)
    assert list(found.outranked) == [run_.key for run_ in runs]
    assert found.classes == 10
    np.testing.assert_array_equal(found.labels, LABELS)
    for key, row in bits.items():
        np.testing.assert_array_equal(found.outranked[key], row)


def test_runs_without_a_good_result_leave_no_row(made, tmp_path):
    track, runs, bits = made
    for key, row in bits.items():
        keep(tmp_path, key, row)
    failed = runs[1].model_copy(update={"status": "crash", "metrics": {}})
    join(tmp_path, track, [runs[0], failed, *runs[3:]])
    found = read_items(tmp_path, track).outranked
    assert list(found) == [run_.key for run_ in [runs[0], *runs[3:]]]
    assert read_items(tmp_path / "older", track) is None
    join(tmp_path / "older", track, runs)
    assert not (tmp_path / "older").exists()


def test_what_is_damaged_or_foreign_is_one_line(made, tmp_path):
    track, runs, bits = made
    for key, row in bits.items():
        keep(tmp_path, key, row)
    join(tmp_path, track, runs)
    file = items_file(tmp_path)
    content = file.read_bytes()

    def refused(message):
        with pytest.raises(BadResults, match=message) as info:
            read_items(tmp_path, track)
        assert "\n" not in str(info.value)

    for damaged in (b"", b"PAR1", content[:200], content[:-100]):
        file.write_bytes(damaged)
        refused(r"full\.items\.parquet cannot be read as test items")
    file.write_bytes(content)
    table = pq.read_table(file)
    pq.write_table(table.replace_schema_metadata({}), file)
    refused("cannot be read as test items")
    pq.write_table(table.take([0, 1, 1]), file)
    refused("is not one row per run, with the test images of digits")
    file.write_bytes(content)
    other = track.model_copy(update={"title": "Other"})
    with pytest.raises(BadResults, match="is of another made-up, or of another digits"):
        read_items(tmp_path, other)
    keep(tmp_path, runs[0].key, bits[runs[0].key][:5])
    with pytest.raises(BadResults, match=r"is uint8 \(5, 2\), not uint8 \(\d+, 2\)"):
        join(tmp_path, track, runs)
    (items_folder(tmp_path) / f"{runs[0].key}.npy").write_bytes(b"nothing")
    with pytest.raises(BadResults, match="cannot be read as a run's items"):
        join(tmp_path, track, runs)
    assert file.read_bytes() == content


def items(folder):
    return items_file(folder / "results/small").read_bytes()


@pytest.mark.slow
def test_killed_and_repeated_gives_the_same_items(tmp_path):
    """kill -9 after some runs; the rest by two processes, without --full first, then all."""
    done = run(tmp_path / "whole", "--full", "--jobs", 1)
    assert done.returncode == 0, done.stderr
    torn = tmp_path / "torn"
    arguments = command("run", track_json(torn), "--out", torn / "results", "--full", "--jobs", 1)
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    file = torn / "results/small/full.jsonl"
    deadline = time.monotonic() + 200
    while not (file.exists() and file.read_bytes().count(b"\n") >= 2):
        assert time.monotonic() < deadline
        assert process.poll() is None, "ended before it was killed"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = list(items_folder(file.parent).glob("*.npy"))
    assert {result.key for result in read(file)} <= {path.stem for path in kept}
    assert run(torn, "--full", "--method", "mixer-lr0.05", "--jobs", 2).returncode == 0
    assert run(torn, "--full", "--jobs", 2).returncode == 0
    assert items(torn) == items(tmp_path / "whole")
    assert not items_folder(file.parent).exists()
    results, found = read(file), read_items(file.parent, SMALL)
    assert list(found.outranked) == [result.key for result in results]
    for result in results:
        right = 100 * found.right(result.key).mean()
        assert right == pytest.approx(result.metrics["accuracy"], abs=1e-9)


@pytest.mark.slow
def test_results_that_came_before_items_stay_without(tmp_path):
    track = SMALL.model_copy(update={"seeds": Seeds(full=1, subset=1)})
    run_track(track, tmp_path, subsets=[], device="cpu", jobs=1)
    items_file(tmp_path / "small").unlink()
    more = {"subsets": [], "device": "cpu", "jobs": 1}
    run_track(track, tmp_path, **more)
    assert not items_file(tmp_path / "small").exists()
    run_track(track, tmp_path, seeds=2, **more)
    found = read_items(tmp_path / "small", track)
    second = [r.key for r in read(tmp_path / "small/full.jsonl") if r.seed == 1]
    assert list(found.outranked) == second


def test_flops_are_those_of_one_image_and_draw_nothing():
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Dropout(), torch.nn.Flatten(),
        torch.nn.Linear(8 * 16, 5),
    )  # fmt: skip
    before = torch.get_rng_state()
    assert forward_flops(layers.eval(), (3, 4, 4)) == 2 * (16 * 8 * 27 + 128 * 5)
    assert forward_flops(torch.nn.Flatten(), (3, 4, 4)) == 0
    for name in ("resnet", "vit"):
        large = build(name, in_chans=3, size=32, seed=0).eval()
        small = build(name, in_chans=3, size=16, seed=0).eval()
        thin = build(name, in_chans=3, size=32, seed=0, width=0.5).eval()
        whole = forward_flops(large, (3, 32, 32))
        assert 0.1 < forward_flops(small, (3, 16, 16)) / whole < 0.35
        assert 0.1 < forward_flops(thin, (3, 32, 32)) / whole < 0.5
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_flops_are_what_torch_counts(name):
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    encoder = build(name, in_chans=3, size=32, seed=0).eval()
    math = sdpa_kernel(SDPBackend.MATH)
    with torch.no_grad(), math, FlopCounterMode(display=False) as counted:
        encoder(torch.zeros(2, 3, 32, 32))
    assert forward_flops(encoder, (3, 32, 32)) == counted.get_total_flops() / 2


@pytest.mark.slow
def test_results_tell_the_flops_of_their_encoder():
    config = {"backbone": "resnet", "lr": 0.1, "epochs": 1, "batch": 256}
    one = SMALL.configurations[0].model_copy(update={"config": config})
    track = SMALL.model_copy(update={"configurations": [one, SMALL.configurations[1]]})
    narrower = Cheaper(arm="narrower", amount=0.5)
    whole, thin = (
        next(execute([planned(track, cheaper=arm)], "cpu")).result for arm in (None, narrower)
    )
    encoder = build("resnet", in_chans=1, size=8, seed=5).eval()
    assert whole.cost.flops == forward_flops(encoder, (1, 8, 8))
    assert 0 < thin.cost.flops < whole.cost.flops
    assert thin.cost.images_seen == whole.cost.images_seen
