"""Shards of streams: epoch 0's samples and their targets through unmodified clients, and damage."""

import hashlib
import io
import json
import shutil
import tarfile

import numpy as np
import pytest
from taught import DIMENSION, targets_again, write_prior, write_taught
from test_shards import edited, files_of, key, reindexed, repacked, signed

from lotterybench.build import build_stream, save_subset
from lotterybench.errors import BadRequest
from lotterybench.manifests import load_drawn, load_keyring
from lotterybench.records import Subset
from lotterybench.shards import ShardIndex, shard_problems, write_shards
from lotterybench.stream_targets import (
    digest_of_targets,
    read_targets,
    targets_by,
    write_targets,
)
from lotterybench.streams import positions_of_epoch

REFS = ["digits/taught", "digits/rela-50pct@0", "digits/uniform-10pct@1"]
TAR = "data/taught/train-00000.tar"
MANIFEST = "manifests/digits/taught/v1.json"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a published stream, its prior and another prior."""
    folder = tmp_path_factory.mktemp("taught")
    prior = write_prior(folder / "prior.safetensors")
    write_prior(folder / "other.safetensors", seed=1)
    write_taught(folder / "subsets", prior)
    return folder


@pytest.fixture(autouse=True)
def published(place, monkeypatch):
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(place / "subsets"))


@pytest.fixture(scope="module")
def prior(place):
    return f"ours:{place / 'prior.safetensors'}"


@pytest.fixture(scope="module")
def folder(place, prior):
    """Shards of two streams, one with targets, and of a fixed subset."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOTTERYBENCH_SUBSETS", str(place / "subsets"))
        write_shards(REFS, place / "shards", prior=prior)
    return place / "shards"


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


@pytest.fixture(scope="module")
def again(prior):
    return targets_again(prior)


def first_epoch():
    """Return the positions, keys and labels of epoch 0 of half of digits."""
    ring = load_keyring("digits")
    rows = positions_of_epoch(ring.keys["train"], 0, 0.5, 0)
    return rows, ring.keys["train"][rows].tolist(), ring.labels["train"][rows].tolist()


# --- what clients read ---


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("name", ["taught", "rela-50pct"])
def test_load_dataset_gives_the_first_epoch_and_its_targets(folder, again, name, streaming):
    from datasets import List, Value, load_dataset

    data = load_dataset(str(folder), name, split="train", streaming=streaming)
    found, (rows, keys, labels) = list(data), first_epoch()
    assert [int(row["__key__"]) for row in found] == rows.tolist()
    assert [key(row["png"]) for row in found] == keys
    assert [row["cls"] for row in found] == labels
    if name == "rela-50pct":
        assert set(data.features) == {"png", "cls", "__key__"}
        return
    assert data.features["npy"] == List(Value("float16"), length=DIMENSION)
    got = np.array([row["npy"] for row in found], np.float16)
    np.testing.assert_array_equal(got, again.values.numpy()[rows])
    test = load_dataset(str(folder), name, split="test", streaming=streaming)
    assert [row["npy"] for row in test] == [None] * 596


def test_webdataset_reads_the_targets(folder, again):
    import webdataset as wds

    urls = sorted(str(path) for path in (folder / "data/taught").glob("train-*.tar"))
    data = wds.WebDataset(urls, shardshuffle=False).decode("pil")
    found = list(data.to_tuple("__key__", "cls", "npy"))
    rows, _, labels = first_epoch()
    assert [(int(name), label) for name, label, _ in found] == list(
        zip(rows.tolist(), labels, strict=True)
    )
    got = np.stack([target for _, _, target in found])
    assert got.dtype == np.float16
    np.testing.assert_array_equal(got, again.values.numpy()[rows])


def test_names_of_members_have_one_dot(folder):
    """`datasets` and webdataset take all that follows the first dot for the column."""
    with tarfile.open(folder / TAR) as tar:
        names = tar.getnames()
    triples = zip(names[::3], names[1::3], names[2::3], strict=True)
    for cls, png, npy in triples:
        assert (cls.split("."), png.split("."), npy.split(".")) == tuple(
            [cls[:8], kind] for kind in ("cls", "png", "npy")
        )


def test_the_file_of_targets_is_what_the_manifest_names(folder, again):
    index = ShardIndex.read((folder / "shards.json").read_bytes(), "")
    taught = next(config for config in index.configs if config.name == "taught")
    told = load_drawn("digits/taught", 0)[0].stream.targets
    assert taught.targets == told.digest == again.digest
    assert told.dimension == DIMENSION
    assert told.prior == "ours:prior.safetensors"  # and no folder of anyone's
    values = np.load(folder / taught.targets_path)
    np.testing.assert_array_equal(values, again.values.numpy())
    assert all(c.targets is None for c in index.configs if c.name != "taught")


def test_the_card_says_what_a_stream_is(folder):
    card = (folder / "README.md").read_text()
    for name in ("taught", "rela-50pct"):
        assert f"**`{name}` is a stream**: it draws 0.5 of the training samples anew" in card
        assert f'load_subset("digits/{name}", epoch=3)' in card
    assert "saves updates, not data" in card
    assert "float16 (6,), made by" in card
    assert "uniform-10pct` is a stream" not in card


# --- writing and checking ---


def test_a_second_writing_gives_the_same_bytes(folder, prior, tmp_path):
    write_shards(REFS[::-1], tmp_path / "again", prior=prior)
    assert files_of(tmp_path / "again") == files_of(folder)
    [file] = (folder / "targets").glob("*.npy")
    write_shards(REFS, tmp_path / "again", prior=str(file))
    assert files_of(tmp_path / "again") == files_of(folder)


def test_nothing_is_wrong(folder):
    assert shard_problems(folder) == []


def test_stale_targets_go(copy):
    write_shards(["digits/rela-50pct"], copy)
    assert not (copy / "targets").exists()
    assert shard_problems(copy) == []


def test_digest_by_hand():
    """Over several blocks, and of other byte orders and layouts, that of the plain array."""
    values = np.random.default_rng(0).normal(size=(20_001, 3)).astype("<f2")
    want = hashlib.sha256(b"20001|3|" + values.tobytes()).hexdigest()
    for same in (values, values.astype(">f2"), np.asfortranarray(values)):
        assert digest_of_targets(same) == want
    assert digest_of_targets(values.reshape(3, -1)) != want


def flipped(body):
    return body[:-1] + bytes([body[-1] ^ 1])


def whole(change, name, body, first):
    """Return what becomes of a member of the tar whose first sample is `first`."""
    if name != f"{first}.npy":
        return name, body
    if change == "none":
        return f"{first}.txt", body
    if change == "bit":
        return name, flipped(body)
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.zeros((1, DIMENSION), "<f2"))
    return name, buffer.getvalue() if change == "shape" else b"no array"


@pytest.mark.parametrize("change", ["bit", "shape", "nonsense", "none"])
def test_a_forged_target_is_found(copy, change):
    content = (copy / TAR).read_bytes()
    with tarfile.open(copy / TAR) as tar:
        first = tar.getnames()[0].split(".")[0]
    reindexed(copy, TAR, repacked(content, lambda n, b: whole(change, n, b, first)))
    [problem] = shard_problems(copy)
    wanted = f"{TAR}: sample {first} has another's target"
    if change == "none":
        wanted = f"{TAR} cannot be read: {first} has no target behind its .png"
    assert problem == wanted


@pytest.mark.parametrize("change", ["bit", "rows", "type", "nonsense"])
def test_a_forged_file_of_targets_is_found(copy, change):
    [file] = (copy / "targets").glob("*.npy")
    values = np.load(file)
    if change == "nonsense":
        file.write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': (((((")
    else:
        changed = {
            "bit": -values, "rows": values[:-1], "type": values.astype("<f4"),
        }[change]  # fmt: skip
        np.save(file, changed)
    signed(copy)
    [problem] = shard_problems(copy)
    assert str(file.relative_to(copy)) in problem
    assert "\n" not in problem


def test_targets_are_those_of_the_manifest(copy):
    """Leaving targets out of the index leaves members that do not belong there."""

    def forge(index):
        for config in index["configs"]:
            config.pop("targets", None)

    edited(copy, forge)
    problems = shard_problems(copy)
    assert f"taught: targets in shards.json is not that of {MANIFEST}" in problems
    assert any("does not begin a pair" in problem for problem in problems)
    assert any(problem.endswith(".npy is not in shards.json") for problem in problems) is False


def test_a_wrong_dimension_is_found(copy):
    """It would make `datasets` refuse every sample."""
    file = copy / MANIFEST
    made = Subset.read(file.read_bytes(), "")
    told = made.stream.targets.model_copy(update={"dimension": 5})
    made = made.model_copy(update={"stream": made.stream.model_copy(update={"targets": told})})
    made = made.model_copy(update={"digest": made.true_digest()})
    file.write_bytes(made.pretty())

    def forge(index):
        next(c for c in index["configs"] if c["name"] == "taught")["digest"] = made.digest

    edited(copy, forge)
    signed(copy)
    assert shard_problems(copy) == [f"taught: {MANIFEST} says that targets have 5 components"]


def test_another_epoch_is_not_the_manifests(copy):
    """A tar of epoch 1 under the name of epoch 0."""
    path = "data/rela-50pct/train-00000.tar"
    index = json.loads((copy / "shards.json").read_text())
    other = "data/uniform-10pct/train-00000.tar"
    assert any(other in json.dumps(config) for config in index["configs"])
    reindexed(copy, path, (copy / other).read_bytes())

    def count(index):
        for config in index["configs"]:
            if config["name"] == "rela-50pct":
                config["shards"]["train"][0]["samples"] = 120

    edited(copy, count)
    assert shard_problems(copy) == [
        "rela-50pct: train does not hold the manifest's samples and labels"
    ]


# --- what is refused ---


def test_targets_need_a_prior_and_a_prior_needs_targets(place, prior, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(BadRequest, match=r"taught@1 names targets of ours:prior.*--prior.*§10"):
        write_shards(["digits/taught"], out)
    with pytest.raises(BadRequest, match="rela-50pct@0 names no targets; a stream that does"):
        write_shards(["digits/rela-50pct"], out, prior=prior)
    other = f"ours:{place / 'other.safetensors'}"
    with pytest.raises(BadRequest, match=r"other weights .* than ours:prior.safetensors"):
        write_shards(["digits/taught"], out, prior=other)
    assert not out.exists()


def test_a_file_of_other_targets_is_refused(again, tmp_path):
    values = again.values.numpy().copy()
    values[3, 2] += np.float16(0.5)
    write_targets(tmp_path / "a.npy", values)
    with pytest.raises(BadRequest, match=r"a\.npy gives other targets \(.* than digits/taught@1"):
        write_shards(["digits/taught"], tmp_path / "out", prior=str(tmp_path / "a.npy"))
    (tmp_path / "b.npy").write_bytes(b"")
    for name, what in (("b.npy", "is no file of targets"), ("c.npy", "is no file of targets")):
        with pytest.raises(BadRequest, match=what) as told:
            write_shards(["digits/taught"], tmp_path / "out", prior=str(tmp_path / name))
        assert "\n" not in str(told.value)


def test_files_of_targets_repeat_and_are_mapped(tmp_path, again):
    digests = {write_targets(tmp_path / name, again.values.numpy()) for name in ("a", "b")}
    assert digests == {hashlib.sha256((tmp_path / "a").read_bytes()).hexdigest()}
    assert isinstance(read_targets(tmp_path / "a"), np.memmap)
    np.save(tmp_path / "c.npy", np.zeros(3, "<f2"))
    with pytest.raises(BadRequest, match=r"holds float16 \(3,\); targets are float16 \(N, d\)"):
        read_targets(tmp_path / "c.npy")


def test_dimensions(prior):
    told, values = targets_by("digits", prior)
    assert told.dimension == values.shape[1] > DIMENSION
    assert targets_by("digits", prior, 10_000)[0] == told
    with pytest.raises(BadRequest, match="1 dimension or more; 0 were asked for"):
        targets_by("digits", prior, 0)


def test_streams_of_all_are_all(tmp_path, monkeypatch):
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(tmp_path / "subsets"))
    save_subset(build_stream("digits", 1, name="all"), None, tmp_path / "subsets")
    index = write_shards(["digits/all"], tmp_path / "out")
    assert index.configs[0].count("train") == len(load_keyring("digits").keys["train"])
    assert shard_problems(tmp_path / "out") == []
