"""The readers that people use, over one folder of nested shards: every sample exactly once."""

import json
from collections import Counter

import numpy as np
import pytest
from test_shards import expected

from lotterybench.manifests import load_keyring
from lotterybench.shards import ShardIndex, write_shards

REFS = ["digits/uniform-10pct@1", "digits/uniform-25pct@1", "digits/every-2nd-class@1"]
NAMES = ["uniform-10pct", "uniform-25pct", "every-2nd-class"]
NESTED = "uniform-25pct"
WORKERS = [0, 2]
# Readers leave files open in workers that end; webdataset asks for an epoch's length of streams.
pytestmark = [pytest.mark.filterwarnings("ignore::ResourceWarning"), pytest.mark.slow]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two nested budgets and a class list of digits, in tars of 40."""
    out = tmp_path_factory.mktemp("readers") / "digits"
    write_shards(REFS, out, per_shard=40)
    return out


@pytest.fixture(scope="module")
def index(folder):
    return ShardIndex.read((folder / "shards.json").read_bytes(), "")


def config_of(index, name):
    return next(config for config in index.configs if config.name == name)


def urls_of(folder, index, name, split="train"):
    """Return a config's tars, as the index and the card list them."""
    return [str(folder / shard.path) for shard in config_of(index, name).shards[split]]


def wanted(index, name, split="train"):
    """Return the keys and labels that a config must give, in the order of its manifest."""
    keys, labels = expected(config_of(index, name).subset, split)
    return list(zip(keys.tolist(), labels.tolist(), strict=True))


def found(rows, split="train"):
    """Return keys and labels of rows (`__key__`, label)."""
    ring = load_keyring("digits").keys[split]
    return [(int(ring[int(name)]), int(label)) for name, label in rows]


def once(rows, index, name, split="train"):
    """Compare without regard to order; counts matter."""
    assert Counter(found(rows, split)) == Counter(wanted(index, name, split))


# --- webdataset ---


def pairs(urls, **settings):
    import webdataset as wds

    data = wds.WebDataset(urls, shardshuffle=False, **settings)
    return data.decode("pil").to_tuple("__key__", "cls")


@pytest.mark.parametrize("name", NAMES)
def test_webdataset_gives_the_manifests_order(folder, index, name):
    assert found(pairs(urls_of(folder, index, name))) == wanted(index, name)


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("shuffled", [False, True])
def test_webloader(folder, index, workers, shuffled):
    import webdataset as wds

    urls = urls_of(folder, index, NESTED)
    data = wds.WebDataset(urls, shardshuffle=len(urls) if shuffled else False, seed=1)
    data = data.shuffle(50, seed=1) if shuffled else data
    data = data.decode("pil").to_tuple("__key__", "cls").batched(16, partial=True)
    loader = wds.WebLoader(data, batch_size=None, num_workers=workers)
    rows = [row for names, labels in loader for row in zip(names, labels, strict=True)]
    once(rows, index, NESTED)
    if workers == 0:
        assert (found(rows) == wanted(index, NESTED)) == (not shuffled)


@pytest.mark.parametrize("workers", WORKERS)
def test_webdataset_on_two_ranks(folder, index, workers, monkeypatch):
    """Each rank, and each of its workers, has tars of its own."""
    import webdataset as wds

    rows, parts = [], []
    for rank in range(2):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "2")
        data = pairs(
            urls_of(folder, index, NESTED),
            nodesplitter=wds.split_by_node, workersplitter=wds.split_by_worker,
        )  # fmt: skip
        parts.append(list(wds.WebLoader(data, batch_size=None, num_workers=workers)))
        rows += parts[-1]
    assert all(parts)
    once(rows, index, NESTED)


# its own default is what it warns of
@pytest.mark.filterwarnings("ignore:String specifications for transformations:UserWarning")
@pytest.mark.parametrize("name", NAMES)
def test_wids_reads_at_random(folder, index, name):
    """Its list of shards is `shards.json`'s, or timm's, with other names."""
    import wids

    told = [
        {"url": str(folder / shard.path), "nsamples": shard.samples}
        for shard in config_of(index, name).shards["train"]
    ]
    split = json.loads((folder / "_info.json").read_bytes())["splits"][name]
    assert told == [
        {"url": str(folder / path), "nsamples": length}
        for path, length in zip(split["filenames"], split["shard_lengths"], strict=True)
    ]
    data = wids.ShardListDataset(told)
    assert len(data) == len(wanted(index, name))
    order = np.random.default_rng(0).permutation(len(data))
    rows = {int(at): (data[int(at)]["__key__"], data[int(at)][".cls"]) for at in order}
    assert found(rows[at] for at in range(len(data))) == wanted(index, name)
    assert data[0][".png"].size == (8, 8)


# --- datasets ---


def loaded(folder, name, streaming, split="train"):
    from datasets import load_dataset

    return load_dataset(str(folder), name, split=split, streaming=streaming)


def rows_of(data):
    return [(row["__key__"], row["cls"]) for row in data]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("name", NAMES)
def test_datasets_gives_the_manifests_order(folder, index, name, split, streaming):
    data = loaded(folder, name, streaming, split)
    assert found(rows_of(data), split) == wanted(index, name, split)
    assert data.features["cls"].names == config_of(index, name).class_names


@pytest.mark.parametrize("streaming", [False, True])
def test_datasets_shuffled(folder, index, streaming):
    data = loaded(folder, NESTED, streaming)
    rows = rows_of(data.shuffle(seed=1))
    once(rows, index, NESTED)
    assert found(rows) != wanted(index, NESTED)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("workers", WORKERS)
def test_torch_loader_over_datasets(folder, index, workers, streaming):
    from torch.utils.data import DataLoader

    data = loaded(folder, NESTED, streaming).select_columns(["__key__", "cls"])
    batches = list(DataLoader(data, batch_size=32, num_workers=workers))
    rows = [
        row
        for batch in batches
        for row in zip(batch["__key__"], batch["cls"].tolist(), strict=True)
    ]
    once(rows, index, NESTED)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("world", [2, 3])
def test_datasets_on_several_ranks(folder, index, world, streaming):
    """With 8 tars, two ranks get tars of their own and three skip what is another's."""
    from datasets.distributed import split_dataset_by_node

    assert len(urls_of(folder, index, NESTED)) == 8
    parts = [
        rows_of(split_dataset_by_node(loaded(folder, NESTED, streaming), rank, world))
        for rank in range(world)
    ]
    assert all(parts)
    once([row for part in parts for row in part], index, NESTED)


@pytest.mark.parametrize("workers", WORKERS)
def test_a_sampler_of_torch_on_two_ranks(folder, index, workers):
    from torch.utils.data import DataLoader, DistributedSampler

    data = loaded(folder, NESTED, False).select_columns(["__key__", "cls"])
    assert len(data) % 2 == 0  # else a sample would come twice
    rows = []
    for rank in range(2):
        sampler = DistributedSampler(data, num_replicas=2, rank=rank)
        for batch in DataLoader(data, batch_size=32, sampler=sampler, num_workers=workers):
            rows += zip(batch["__key__"], batch["cls"].tolist(), strict=True)
    once(rows, index, NESTED)


# --- timm ---


def timm_loader(folder, name, workers, *, training, batch=32):
    """Return timm's own loader of a split of `_info.json`, with nothing random but the order."""
    from timm.data import create_dataset, create_loader

    data = create_dataset(
        "wds/", root=str(folder), split=name, is_training=training, batch_size=batch
    )  # fmt: skip
    return data, create_loader(
        data, (3, 8, 8), batch, is_training=training, no_aug=True, num_workers=workers,
        use_prefetcher=False, persistent_workers=False, mean=(0, 0, 0), std=(1, 1, 1),
        interpolation="nearest", crop_pct=1.0, pin_memory=False,
    )  # fmt: skip


def seen(loader):
    """Return how often each image came with each label."""
    return Counter(
        (image.mul(255).round().byte().numpy().tobytes(), int(label))
        for images, labels in loader
        for image, label in zip(images, labels, strict=True)
    )


def shown(folder, name, split="train"):
    """Return how often a split holds each image with each label, as RGB in torch's order."""
    return Counter(
        (np.asarray(row["png"].convert("RGB")).transpose(2, 0, 1).tobytes(), row["cls"])
        for row in loaded(folder, name, False, split)
    )


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("name", ["uniform-25pct", "uniform-25pct-test", "every-2nd-class"])
def test_timm_evaluates_on_each_sample_once(folder, name, workers):
    stem = name.removesuffix("-test")
    data, loader = timm_loader(folder, name, workers, training=False)
    want = shown(folder, stem, "train" if stem == name else "test")
    assert seen(loader) == want
    assert want.total() - len(data) < max(1, workers)  # it counts whole samples a worker


@pytest.mark.parametrize("workers", WORKERS)
def test_timm_trains_on_whole_batches_of_nothing_else(folder, workers):
    """It fills every worker's last batch with samples that come twice; which ones is drawn."""
    _, loader = timm_loader(folder, NESTED, workers, training=True, batch=20)
    got, want = seen(loader), shown(folder, NESTED)
    assert got.keys() <= want.keys()
    assert got.total() % 20 == 0
    assert want.total() <= got.total() < want.total() + 20 * max(1, workers)
