"""Pools with all signals, made up but consistent with one another, for tests of selectors."""

import numpy as np

from lotterybench.selection import Pool
from lotterybench.signals import Arrays


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def described(logits, labels, before=None):
    """Return the per-epoch signals of logits (N, C), as a recording computes them."""
    rows, p = np.arange(len(labels)), softmax(logits)
    others = np.where(np.arange(logits.shape[1]) == labels[:, None], -np.inf, logits)
    q = p if before is None else softmax(before)
    return {
        "p_label": p[rows, labels],
        "p_other": np.where(np.isinf(others), 0, p).max(1),
        "margin": logits[rows, labels] - others.max(1),
        "entropy": -(p * np.log(p)).sum(1),
        "error": np.sqrt(((p - np.eye(logits.shape[1])[labels]) ** 2).sum(1)),
        "change": (p * np.log(p / q)).sum(1),
        "correct": logits.argmax(1) == labels,
        "online_p": p[rows, labels],
        "online_correct": logits.argmax(1) == labels,
    }


def toy_pool(per_class=20, classes=5, dims=8, epochs=12, seeds=2, seed=0, half=True):
    """Return a pool of `per_class` samples of each class in random order, with every signal.

    Class centres are 3 apart or so, samples spread by 1: some are hard, most are not. `half`
    stores signals as float16, as recordings do.
    """
    rng = np.random.default_rng(seed)
    count = per_class * classes
    labels = rng.permutation(np.repeat(np.arange(classes), per_class))
    centres = rng.normal(size=(classes, dims)) * 1.5
    embedding = centres[labels] + rng.normal(size=(count, dims))
    by_epoch = {}
    for _ in range(seeds):
        before, columns = None, {}
        for epoch in range(epochs):
            sharp = 0.5 * (epoch + 1) / epochs
            logits = sharp * embedding @ centres.T + 0.5 * rng.normal(size=(count, classes))
            for name, values in described(logits, labels, before).items():
                columns.setdefault(name, []).append(values)
            before = logits
        for name, rows in columns.items():
            by_epoch.setdefault(name, []).append(np.stack(rows))
    final = softmax(0.5 * embedding @ centres.T)
    held = softmax(0.3 * embedding @ centres.T + 0.3 * rng.normal(size=(count, classes)))
    by_sample = {
        "embedding": embedding,
        "probabilities": final,
        "held_out": held,
        "grand": rng.gamma(2.0, size=count),
        "deepfool": rng.gamma(2.0, size=count),
        "split_embedding": embedding + 0.1 * rng.normal(size=embedding.shape),
        "split_probabilities": final,
        "validation": rng.random(count) < 0.3,
    }  # fmt: skip
    if half:
        by_epoch = {k: [stored(v) for v in values] for k, values in by_epoch.items()}
        by_sample = {k: stored(v) for k, v in by_sample.items()}
    by_method = made_methods(embedding @ centres.T, labels, np.random.default_rng([seed, 1]))
    by_sample |= made_rounds(count, np.random.default_rng([seed, 2]))
    names = tuple(f"name {label}" for label in range(classes))
    # a binary tree of synsets: class 5 is root/n1/n10/n101, and so on
    depth = max(1, (classes - 1).bit_length())
    paths = tuple(
        ("entity", *(f"n{label >> (depth - level):0{level}b}" for level in range(1, depth + 1)))
        for label in range(classes)
    )
    signals = Arrays(by_epoch, by_sample, by_method)
    return Pool(labels, classes, signals, names=names, paths=paths)


def made_methods(logits, labels, rng, methods=12, seeds=2):
    """Return the signals of a choose pool, of methods that blur logits (N, C) more and more."""
    shape = (len(labels), seeds, logits.shape[1])
    blurred = [
        0.3 * logits[:, None] + 0.1 * (at + 5) * rng.normal(size=shape) for at in range(methods)
    ]
    held = [stored(softmax(each)) for each in blurred]
    right = [(each.argmax(2) == labels[:, None]).sum(1) for each in held]
    return {"held_out_seeds": held, "right": right}


def made_rounds(count, rng, rounds=3):
    """Return the signals of a PrAC arm whose last set is of all samples."""
    forgotten = rng.integers(0, 6, (count, rounds))
    changed = rng.random((count, rounds)) < 0.3
    changed[forgotten[:, -1] == 0, -1] = True
    return {"prac_forgotten": forgotten.astype(float), "prac_changed": changed.astype(float)}


def stored(values):
    return values if values.dtype == bool else values.astype(np.float16)


def write_recorded(base, cache, seeds=2, folds=3, change=None):
    """Write a recorded set of made-up signals of a pinned base into a cache; return it.

    `change` may alter the fields of the set before it is written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from lotterybench.manifests import find_base, load_keyring
    from lotterybench.recordings import Recorded, Recording, column_digest
    from lotterybench.records import Proxy

    found, _ = find_base(base)
    labels = load_keyring(base).labels["train"].astype(np.int64)
    classes, epochs = len(found.class_names), 12
    config = {"backbone": "resnet8", "epochs": epochs, "lr": 0.1}
    proxy = Proxy(
        method="supervised", config=config, families=["supervised/resnet"], epochs=epochs,
        labels=True,
    )  # fmt: skip
    common = {
        "schema_version": 1, "base": base, "base_digest": found.digest,
        "keyring_digest": found.keyring_digest, "proxy": proxy,
    }  # fmt: skip
    parts = {}
    for seed in range(seeds):
        for fold in (None, *range(folds)):
            rng = np.random.default_rng([seed, 0 if fold is None else fold + 1])
            centres = np.random.default_rng(0).normal(size=(classes, 16))
            embedding = centres[labels] + rng.normal(size=(len(labels), 16))
            arrays = {"embedding": embedding, "probabilities": softmax(embedding @ centres.T / 2)}
            table = {}
            if fold is None:
                arrays["grand"] = rng.gamma(2.0, size=len(labels))
                arrays |= made_rounds(len(labels), rng)
                before = None
                for epoch in range(epochs):
                    logits = embedding @ centres.T * (epoch + 1) / 24
                    logits += rng.normal(size=logits.shape) / 2
                    for name, values in described(logits, labels, before).items():
                        table.setdefault(name, []).append(stored(values))
                    before = logits
            else:
                arrays["deepfool"] = rng.gamma(2.0, size=len(labels))
                arrays["held"] = np.arange(len(labels)) % folds == fold
            folder = cache / "signals" / base / f"part-{seed}-{fold}"
            folder.mkdir(parents=True)
            columns = {}
            for name, values in arrays.items():
                np.save(folder / f"{name}.npy", stored(values))
                columns[name] = column_digest(name, stored(values))
            if table:
                flat = {name: np.concatenate(rows) for name, rows in table.items()}
                pq.write_table(pa.table(flat), folder / "epochs.parquet")
                columns |= {
                    name: column_digest(name, values.reshape(epochs, -1))
                    for name, values in flat.items()
                }
            recording = Recording(
                **common, seed=seed, fold=fold, folds=0 if fold is None else folds,
                columns=columns, device="cpu: made up", software={}, code_digest="0" * 64,
            )  # fmt: skip
            (folder / "recording.json").write_bytes(recording.pretty())
            parts[folder.name] = recording.content()
    recorded = Recorded(
        **common | (change or {}), seeds=list(range(seeds)), folds=folds, parts=parts,
        digest="0" * 64,
    )  # fmt: skip
    recorded = recorded.model_copy(update={"digest": recorded.true_digest()})
    (cache / "signals" / base / f"{recorded.digest[:16]}.json").write_bytes(recorded.pretty())
    return recorded
