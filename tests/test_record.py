"""Recorded signals against what the network says itself, out of fold, and after a kill."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from pools import described as expected
from torch import nn

from lotterybench.errors import BadRequest, Busy, UnknownName
from lotterybench.manifests import find_base, load_keyring
from lotterybench.methods import Task, method
from lotterybench.methods.base.augment import normalise
from lotterybench.methods.base.boundary import distances
from lotterybench.methods.base.data import Resident
from lotterybench.methods.base.gradients import gradient_norms
from lotterybench.methods.base.loop import Engine, train
from lotterybench.methods.base.observe import Observer
from lotterybench.record import record_signals
from lotterybench.record.recorder import Recorder, described, together
from lotterybench.record.training import Plan, record
from lotterybench.recordings import find_signals, recorded_sets
from lotterybench.records import Proxy
from lotterybench.signals import EPOCHS, SAMPLES
from lotterybench.storage import locked

SMALL = {"backbone": "resnet", "width": 0.25, "epochs": 3, "lr": 0.1, "batch": 256}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LOTTERYBENCH_CACHE", str(tmp_path))
    return tmp_path


def plan(fold=None, folds=3, seed=0, **settings):
    config = SMALL | settings
    proxy = Proxy(
        method="supervised", config=config, families=["supervised/resnet"],
        epochs=config["epochs"], labels=True,
    )  # fmt: skip
    return Plan(find_base("digits")[0], proxy, seed, fold, folds)


def net_with_images(count=60, classes=5, seed=0):
    noise = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (count, 1, 8, 8), dtype=torch.uint8, generator=noise)
    labels = torch.randint(classes, (count,), generator=noise)
    task = Task(Resident(images, labels, torch.arange(count)), classes, False, "run")
    return task, images, labels


class Everything(Observer):
    """Keeps all logits of all epochs, which a recording never does."""

    def __init__(self, images):
        self.images, self.online, self.clean = images, [], []

    def batch(self, epoch, rows, outputs):
        if epoch == len(self.online):
            self.online.append(torch.zeros(len(self.images), outputs.shape[1]))
        self.online[epoch][rows] = outputs

    def epoch(self, epoch, encoder, classifier):
        self.clean.append(classifier(encoder(normalise(self.images))))


def test_signals_are_those_of_all_logits(tmp_path):
    """Every column against numpy on the whole logits of a second, equal training."""
    task, images, labels = net_with_images()
    settings = {"epochs": 3, "lr": 0.05, "backbone": "resnet", "width": 0.25, "batch": 20}
    recorder = Recorder(images, labels, 3, tmp_path)
    train(task, method["supervised"](task, **settings), Engine(observers=[recorder]))
    again, *_ = net_with_images()
    everything = Everything(images)
    train(again, method["supervised"](again, **settings), Engine(observers=[everything]))
    table = pq.read_table(together(tmp_path, 3))
    assert pq.ParquetFile(tmp_path / "epochs.parquet").num_row_groups == 3
    columns = {name: table[name].to_numpy(zero_copy_only=False).reshape(3, -1) for name in EPOCHS}
    y, before = labels.numpy(), None
    for epoch in range(3):
        clean = everything.clean[epoch].numpy().astype(float)
        for name, values in expected(clean, y, before).items():
            if not name.startswith("online"):
                np.testing.assert_allclose(
                    columns[name][epoch].astype(float), values, rtol=2e-3, atol=2e-3, err_msg=name
                )
        online = expected(everything.online[epoch].numpy().astype(float), y)
        np.testing.assert_allclose(
            columns["online_p"][epoch].astype(float), online["p_label"], rtol=1e-3
        )
        assert (columns["online_correct"][epoch] == online["correct"]).all()
        before = clean
    assert (columns["change"][0] == 0).all()
    assert columns["change"][1].max() > 0


def test_extreme_logits_stay_finite():
    """Certain and certainly wrong: half precision neither overflows nor divides by zero."""
    logits = torch.tensor([[1e5, -1e5, 0.0], [-1e5, 1e5, 0.0], [0.0, 0.0, 0.0]])
    labels = torch.tensor([0, 0, 1])
    for before in (None, torch.tensor([[0.0, 1, 0]] * 3).half()):
        found = described(logits, labels, before)
        assert all(torch.isfinite(v.float()).all() for v in found.values())
    assert found["correct"].tolist() == [True, False, False]  # a tie goes to the lower class
    assert found["margin"].tolist() == [65504.0, -65504.0, 0.0]


def test_deepfool_of_a_linear_net_is_the_distance_to_its_nearest_boundary():
    """Brute force over all pairs of classes; the overshoot is not counted as distance."""
    noise = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(4, 12, generator=noise), torch.randn(4, generator=noise)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    with torch.no_grad():
        net[1].weight.copy_(weight)
        net[1].bias.copy_(bias)
    images = torch.randn(50, 3, 2, 2, generator=noise)
    logits = net(images).detach()
    top = logits.argmax(1)
    gap = logits.gather(1, top[:, None]) - logits
    slope = (weight[top][:, None] - weight[None]).norm(dim=2)
    nearest = torch.where(slope > 0, gap / slope, torch.inf).min(1).values
    torch.testing.assert_close(distances(net, images), nearest, rtol=1e-3, atol=1e-3)


def test_gradient_norms_are_those_of_one_image_at_a_time():
    task, images, labels = net_with_images(12)
    made = method["supervised"](task, epochs=1, lr=0.1, backbone="resnet", width=0.25)
    net = nn.Sequential(made.encoder, made.classifier).eval()
    found = gradient_norms(net, normalise(images), labels)
    for row in range(12):
        net.zero_grad()
        logits = net(normalise(images[row : row + 1]))
        nn.functional.cross_entropy(logits, labels[row, None]).backward()
        alone = sum(p.grad.square().sum() for p in net.parameters() if p.grad is not None).sqrt()
        assert found[row].item() == pytest.approx(alone.item(), rel=1e-4)


def test_folds_split_every_class_evenly_and_hold_out_each_sample_once():
    labels = load_keyring("digits").labels["train"]
    held = np.stack([plan(fold).held() for fold in range(3)])
    assert (held.sum(0) == 1).all()
    for label in range(10):
        counts = held[:, labels == label].sum(1)
        assert counts.max() - counts.min() <= 1
    assert not plan().held().any()
    assert (plan(0, seed=1).held() != held[0]).any()


def test_a_fold_trains_without_its_samples(cache, monkeypatch):
    seen = set()

    class Watch(Resident):
        def epoch(self, *arguments):
            for batch in super().epoch(*arguments):
                seen.update(batch[2].tolist())
                yield batch

    monkeypatch.setattr("lotterybench.methods.base.data.Resident", Watch)
    this = plan(1)
    record(this, "cpu")
    assert seen == set(np.flatnonzero(~this.held()).tolist())


def test_a_recording_is_small_and_says_what_it_is_of(cache):
    this = plan()
    done = record(this, "cpu")
    assert set(done.columns) == {*EPOCHS, "embedding", "probabilities", "grand"}
    size = (this.folder / "epochs.parquet").stat().st_size
    assert size / (1201 * 3) <= 16
    names = {file.name for file in this.folder.iterdir() if not file.name.startswith(".")}
    assert names == {
        "recording.json", "epochs.parquet", "embedding.npy", "probabilities.npy", "grand.npy",
    }  # fmt: skip
    assert record(this, "cpu") == done  # not trained again
    with locked(this.folder / "recording"), pytest.raises(Busy, match="another process"):
        record(this, "cpu")


KILLED = """
import sys
import torch
torch.set_num_threads(1)
from test_record import plan
from lotterybench.record.training import record
record(plan(epochs=40), "cpu", every=0.0)
"""


@pytest.mark.slow
def test_a_killed_recording_goes_on_and_ends_with_the_same_bytes(cache, monkeypatch):
    this = plan(epochs=40)
    here = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, "tests"])}
    process = subprocess.Popen([sys.executable, "-c", KILLED], env=here)
    parts = this.folder / "epochs"
    while process.poll() is None and len(list(parts.glob("0*.parquet"))) < 4:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(list(parts.glob("0*.parquet")))
    assert 4 <= done < 40
    assert not (this.folder / "recording.json").exists()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    first = record(this, "cpu")
    monkeypatch.setenv("LOTTERYBENCH_CACHE", str(cache / "undisturbed"))
    second = record(plan(epochs=40), "cpu")
    torch.set_num_threads(threads)
    assert first == second
    assert first.columns == second.columns


@pytest.mark.slow
def test_a_recorded_set_has_every_signal_and_is_found_again(cache):
    found = record_signals("digits", "supervised", dict(SMALL), seeds=2, folds=2, jobs=2)
    assert [one.digest for one in recorded_sets("digits")] == [found.digest]
    stored = find_signals("digits", found.digest[:8])
    of_studies = {"prac_forgotten", "prac_changed"}
    assert stored.names() == [*EPOCHS, *(name for name in SAMPLES if name not in of_studies)]
    for name in EPOCHS:
        assert [values.shape for values in stored.epochs(name)] == [(3, 1201)] * 2
    labels = load_keyring("digits").labels["train"]
    held, final = (stored.samples(name).astype(float) for name in ("held_out", "probabilities"))
    np.testing.assert_allclose(held.sum(1), 1, atol=2e-3)
    ours = (final.argmax(1) == labels).mean()
    assert (held.argmax(1) == labels).mean() < ours + 0.1
    again = record_signals("digits", "supervised", dict(SMALL), seeds=2, folds=2, jobs=1)
    assert again == found
    one = record_signals("digits", "supervised", dict(SMALL), seeds=1, folds=2, jobs=1)
    assert one.digest != found.digest  # its recordings are shared, the set is another
    with pytest.raises(BadRequest, match="several recorded sets of digits have error"):
        find_signals("digits", None, ["error"])


def test_a_proxy_without_labels_gives_features_alone(cache):
    config = {"backbone": "resnet", "epochs": 1, "batch": 256, "lr": 0.1}
    proxy = Proxy(
        method="simclr", config=config, families=["contrastive/resnet"], epochs=1,
        labels=False,
    )  # fmt: skip
    done = record(Plan(find_base("digits")[0], proxy, 0, None, 0), "cpu")
    assert set(done.columns) == {"embedding"}


def test_a_proxy_that_diverges_is_one_line(cache):
    with pytest.raises(
        BadRequest, match=r"seed 0, all samples: the loss was not finite .* smaller"
    ):
        record(plan(lr=1e30), "cpu")


@pytest.mark.parametrize(
    ("arguments", "more", "error", "message"),
    [
        (("digits", "supervise", {}), {}, UnknownName, "did you mean 'supervised'"),
        (("digits", "supervised", {}), {}, BadRequest, "give the proxy's length as --epochs"),
        (("digits", "supervised", SMALL), {"seeds": 0}, BadRequest, "0 seeds were asked for"),
        (("digits", "supervised", SMALL), {"folds": 1}, BadRequest, "held-out signals need at"),
        (("digits", "supervised", SMALL), {"resolution": 3}, BadRequest, "--resolution is 3; dig"),
        (("digits", "supervised", SMALL | {"mixup": 0.2}), {}, BadRequest, "a proxy with mixup"),
        (("digits", "supervised", {"depth": 2}), {}, BadRequest, "supervised has no setting depth"),
        (("digits", "supervised", {"backbone": "resnat", "epochs": 1}), {}, UnknownName, "resnet"),
    ],
)
def test_bad_requests_are_told(cache, arguments, more, error, message):
    with pytest.raises(error, match=message):
        record_signals(*arguments, **more)
