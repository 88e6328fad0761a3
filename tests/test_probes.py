"""Probes against scikit-learn and numpy."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from lotterybench.errors import BadRequest
from lotterybench.methods import Trained
from lotterybench.methods.base import probes, ridge
from lotterybench.methods.base.augment import normalise

CLASSES = 5


@pytest.fixture(scope="module")
def data():
    """Overlapping clouds with one dead feature: bank, its labels, queries, their labels."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(CLASSES, 12))
    labels = rng.integers(CLASSES, size=500)
    features = centres[labels] + 1.5 * rng.normal(size=(500, 12))
    features[:, 3] = 0.7
    features, labels = torch.from_numpy(features).float(), torch.from_numpy(labels)
    return features[:350], labels[:350], features[350:], labels[350:]


@pytest.mark.parametrize(("k", "chunk"), [(1, 1024), (20, 1024), (20, 7), (1000, 64)])
def test_knn_is_sklearns(data, k, chunk):
    bank, bank_labels, queries, labels = data
    neighbours = KNeighborsClassifier(
        min(k, len(bank)), metric="cosine", weights=lambda d: np.exp((1 - d) / 0.1)
    ).fit(bank.double(), bank_labels)
    want = 100 * neighbours.score(queries.double(), labels)
    got = probes.knn(bank, bank_labels, queries, labels, classes=CLASSES, k=k, chunk=chunk)
    assert got == pytest.approx(want, abs=1e-9)
    assert 20 < got < 100


@pytest.mark.parametrize("penalty", probes.PENALTIES)
def test_ridge_is_sklearns(data, penalty):
    bank, bank_labels, queries, _ = data
    x, y = bank.double().numpy(), np.eye(CLASSES)[bank_labels]
    spread = np.where(x.std(0) > 1e-8, x.std(0), 1)
    fitted = SklearnRidge(alpha=penalty * len(x)).fit((x - x.mean(0)) / spread, y)
    want = fitted.predict((queries.double().numpy() - x.mean(0)) / spread)
    got = probes.Ridge(bank, bank_labels, CLASSES).predict(queries, penalty)
    np.testing.assert_allclose(got.numpy(), want, atol=1e-10)


def test_linear_probe_takes_the_penalty_that_does_best_held_out(data):
    bank, bank_labels, queries, labels = data
    noise = torch.Generator().manual_seed(3)
    got = probes.linear_probe(bank, bank_labels, queries, labels, classes=CLASSES, generator=noise)
    noise.manual_seed(3)
    shuffled = torch.randperm(350, generator=noise)
    held, kept = shuffled[:35], shuffled[35:]
    trial = probes.Ridge(bank[kept], bank_labels[kept], CLASSES)
    scores = [
        probes.percent(trial.predict(bank[held], penalty), bank_labels[held])
        for penalty in probes.PENALTIES
    ]
    best = probes.PENALTIES[4 - int(np.argmax(scores[::-1]))]
    final = probes.Ridge(bank, bank_labels, CLASSES).predict(queries, best)
    assert got == probes.percent(final, labels)
    assert got > 100 / CLASSES + 20


def test_effective_rank():
    noise = torch.Generator().manual_seed(0)
    axes = torch.linalg.qr(torch.randn(200, 8, generator=noise))[0]
    axes = torch.linalg.qr(axes - axes.mean(0))[0]
    for rank in (1, 3, 8):
        assert probes.effective_rank(axes[:, :rank] @ torch.eye(8)[:rank]) == pytest.approx(rank)
    features = torch.randn(200, 8, generator=noise)
    values = np.linalg.svd((features - features.mean(0)).numpy(), compute_uv=False)
    share = values / values.sum()
    want = np.exp(-(share * np.log(share)).sum())
    assert probes.effective_rank(features) == pytest.approx(want, rel=1e-5)
    assert probes.effective_rank(torch.ones(10, 4)) == 0


def test_features_are_normalised_and_independent_of_the_batch():
    images = torch.randint(256, (10, 1, 8, 8), dtype=torch.uint8,
                           generator=torch.Generator().manual_seed(0))  # fmt: skip
    got = probes.features(nn.Flatten(), images, batch=3)
    assert torch.equal(got, normalise(images).flatten(1))


def test_accuracy_is_in_percent():
    images = torch.zeros(4, 1, 1, 2, dtype=torch.uint8)
    images[1:, 0, 0, 1] = 255
    trained = Trained(nn.Flatten(), nn.Identity(), 0)
    assert probes.accuracy(trained, images, torch.tensor([0, 1, 1, 0])) == 75.0
    with pytest.raises(BadRequest, match="no classifier"):
        probes.accuracy(Trained(nn.Flatten(), None, 0), images, torch.zeros(4).long())


@pytest.fixture
def small(monkeypatch):
    """Let everything be large: features lie in a file, probes work in parts."""
    for bound in ("MAPPED", "AT_ONCE", "DOUBLES"):
        monkeypatch.setattr(probes, bound, 300)
    monkeypatch.setattr(ridge, "DOUBLES", 300)


def judged(data):
    bank, bank_labels, queries, labels = data
    noise = torch.Generator().manual_seed(3)
    linear = probes.linear_probe(
        bank, bank_labels, queries, labels, classes=CLASSES, generator=noise
    )
    knn = probes.knn(bank, bank_labels, queries, labels, classes=CLASSES, chunk=40)
    return knn, linear, probes.effective_rank(queries), probes.feature_spread(queries)


def test_in_parts_all_is_the_same(data, request):
    whole = judged(data)
    fitted = probes.Ridge(*data[:2], CLASSES).predict(data[2], 0.01)
    request.getfixturevalue("small")
    assert judged(data) == pytest.approx(whole, rel=1e-6)
    in_parts = probes.Ridge(*data[:2], CLASSES).predict(data[2], 0.01)
    torch.testing.assert_close(in_parts, fitted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("chunk", [7, 40])
@pytest.mark.parametrize("k", [1, 20, 1000])
def test_neighbours_in_parts_are_the_nearest(data, small, k, chunk):
    bank, _, queries, _ = data
    directions = torch.nn.functional.normalize(queries[:chunk])
    k = min(k, len(bank))
    values, places = probes._nearest_in_parts(bank, k)(directions)
    wanted = directions @ torch.nn.functional.normalize(bank).T
    torch.testing.assert_close(values, wanted.topk(k, dim=1).values)
    torch.testing.assert_close(values, wanted.gather(1, places))
    assert all(len(set(row)) == k for row in places.tolist())


def test_large_features_lie_in_a_file(small, monkeypatch):
    """Batches may come in any order."""
    mapped, memmap = [], np.memmap
    monkeypatch.setattr(np, "memmap", lambda *a, **k: mapped.append(k) or memmap(*a, **k))
    images = torch.randint(256, (50, 1, 4, 4), dtype=torch.uint8,
                           generator=torch.Generator().manual_seed(0))  # fmt: skip
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    batches = [(images[rows], rows) for rows in torch.split(order, 8)]
    found = probes.features_of(nn.Flatten(), batches, 50)
    assert torch.equal(found, normalise(images).flatten(1))
    assert mapped == [{"shape": (50, 16)}]
    trained = Trained(nn.Flatten(), nn.Identity(), 0)
    labels = found.argmax(1)
    labels[:5] = (labels[:5] + 1) % 16
    shown = [(images[rows], labels[rows]) for rows in torch.split(order, 8)]
    assert probes.accuracy_of(trained, shown) == probes.accuracy(trained, images, labels) == 90
