"""What submitted code is tried on: digits, and signals of a small proxy trained on the spot.

The proxy is multinomial logistic regression on pixels, by numpy alone: little work gives every
signal that a selector may ask for, so that a check needs no recording.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lotterybench.manifests import load_keyring
from lotterybench.signals import EPOCHS
from lotterybench.sources import images

BASE = "digits"
EPOCH_COUNT, SEEDS, FOLDS, BATCH, RATE = 5, 2, 3, 32, 0.5
Floats = NDArray[np.float64]


class Proxy(NamedTuple):
    """What one training gave: weights, and probabilities (E, N, C) clean and online."""

    weights: Floats
    clean: Floats
    online: Floats


def sample_axis(signal: str) -> int:
    """Return the axis of a signal's array that counts samples."""
    return -1 if signal in EPOCHS else 0


def training_split() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return images uint8 (N, C, H, W) and labels int64 (N,), in the order of the keyring."""
    pixels = images(BASE, "train").pixels
    labels = load_keyring(BASE).labels["train"].astype(np.int64)
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)), labels


def test_images() -> NDArray[np.uint8]:
    """Return the test images, uint8 (N, C, H, W); their labels are nobody's to see."""
    return np.ascontiguousarray(images(BASE, "test").pixels.transpose(0, 3, 1, 2))


def signals(names: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Return signals by name: (S, E, N) of those per epoch, else (N,) or (N, d); float32."""
    found: dict[str, NDArray[Any]] = {}
    for name in names:
        values = _of_epochs(name) if name in EPOCHS else _of_samples()[name]
        found[name] = np.ascontiguousarray(values, np.float32)
    return found


@lru_cache(maxsize=1)
def _rows() -> tuple[Floats, NDArray[np.int64]]:
    """Return pixels in 0..1 with a column of ones, float64 (N, pixels + 1), and labels."""
    pixels, labels = training_split()
    flat = pixels.reshape(len(pixels), -1) / 255.0
    return np.column_stack([flat, np.ones(len(flat))]), labels


@lru_cache(maxsize=1)
def _whole() -> list[Proxy]:
    """Return a proxy of each seed, trained on all samples."""
    x, labels = _rows()
    return [_train(x, labels, seed, np.ones(len(x), bool)) for seed in range(SEEDS)]


def _of_epochs(name: str) -> Floats:
    """Return a signal per epoch of each seed, (S, E, N)."""
    return np.stack([_series(name, run, _rows()[1]) for run in _whole()])


@lru_cache(maxsize=1)
def _of_samples() -> dict[str, NDArray[Any]]:
    """Return the signals of one number or vector per sample."""
    x, labels = _rows()
    fold = _folds(labels)
    parts = [_train(x, labels, part, fold != part) for part in range(FOLDS)]
    held = np.stack([_softmax(x @ run.weights) for run in parts])[fold, np.arange(len(x))]
    first = _whole()[0].weights
    p = _softmax(x @ first)
    error = np.linalg.norm(p - np.eye(p.shape[1])[labels], axis=1)
    return {
        "embedding": x @ first,
        "probabilities": p,
        "held_out": held,
        "grand": error * np.linalg.norm(x, axis=1),
        "deepfool": _deepfool(x, np.stack([run.weights for run in parts])[fold]),
        "split_embedding": x @ parts[0].weights,
        "split_probabilities": _softmax(x @ parts[0].weights),
        "validation": fold == 0,
    }


def _train(x: Floats, labels: NDArray[np.int64], seed: int, used: NDArray[np.bool_]) -> Proxy:
    rng = np.random.default_rng(seed)
    one_hot = np.eye(int(labels.max()) + 1)[labels]
    w = rng.normal(0, 0.01, (x.shape[1], one_hot.shape[1]))
    online = np.zeros((EPOCH_COUNT, *one_hot.shape))
    clean = np.zeros_like(online)
    for epoch in range(EPOCH_COUNT):
        order = rng.permutation(np.flatnonzero(used))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            p = online[epoch, rows] = _softmax(x[rows] @ w)
            w = w - RATE * x[rows].T @ (p - one_hot[rows]) / len(rows)
        clean[epoch] = _softmax(x @ w)
    return Proxy(w, clean, online)


def _series(name: str, run: Proxy, labels: NDArray[np.int64]) -> Floats:
    """Return a signal per epoch, (E, N), as `lotterybench.signals` defines it."""
    p = run.online if name.startswith("online") else run.clean
    rows = np.arange(len(labels))
    own = p[:, rows, labels]
    others = p.copy()
    others[:, rows, labels] = -1
    other = others.max(axis=2)
    log = np.log(np.maximum(p, 1e-30))
    before = np.concatenate([log[:1], log[:-1]])
    values: dict[str, Floats] = {
        "p_label": own,
        "p_other": other,
        "margin": np.log(np.maximum(own, 1e-30)) - np.log(np.maximum(other, 1e-30)),
        "entropy": -(p * log).sum(2),
        "error": np.linalg.norm(p - np.eye(p.shape[2])[labels], axis=2),
        "change": (p * (log - before)).sum(2),
        "correct": (own > other).astype(float),
        "online_p": own,
        "online_correct": (own > other).astype(float),
    }
    return values[name]


def _folds(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the fold of each sample: every class is split evenly, by turn."""
    fold = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        fold[rows] = np.arange(len(rows)) % FOLDS
    return fold


def _deepfool(x: Floats, weights: Floats) -> Floats:
    """Return the distance to the nearest boundary; of a linear model it has a closed form."""
    logits = np.einsum("np,npc->nc", x, weights)
    top = logits.argmax(1)
    rows = np.arange(len(x))
    gap = logits[rows, top][:, None] - logits
    normal = weights[rows, :-1, top][:, :, None] - weights[:, :-1]  # the bias is no pixel
    away = gap / np.maximum(np.linalg.norm(normal, axis=1), 1e-12)
    away[rows, top] = np.inf
    nearest: Floats = away.min(1)
    return nearest


def _softmax(logits: Floats) -> Floats:
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    found: Floats = raised / raised.sum(-1, keepdims=True)
    return found
