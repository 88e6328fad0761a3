"""Shards: golden bytes, the manifest's samples through unmodified clients, every damage named."""

import hashlib
import io
import json
import subprocess
import sys
import tarfile

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lotterybench.errors import BadRequest
from lotterybench.keyrings import pixel_key, short
from lotterybench.manifests import find_base, load_keyring, load_subset_manifest
from lotterybench.shards import ShardIndex, shard_problems, write_shards
from lotterybench.shards.png import encode

REFS = ["digits/uniform-10pct@1", "digits/every-2nd-class@1", "digits/class-balanced-25pct@1"]
# Bytes of released shards. They hold on every machine: nothing in them is compressed.
GOLDEN = {
    "data/uniform-10pct/train-00000.tar": (
        "c7846299b7c9658f143e1f6f50a97f2a9e0c406ded19bdb18a2f770d7a627e44"
    ),
    "data/every-2nd-class/test-00000.tar": (
        "7f526c7af08f36ebe83dc5e58ba06832645183dd6c17205976d91076794be7eb"
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Shards of two sample subsets and a class list of digits."""
    out = tmp_path_factory.mktemp("shards") / "digits"
    write_shards(REFS, out)
    return out


@pytest.fixture
def copy(folder, tmp_path):
    """A copy of the shard folder to damage."""
    import shutil

    return shutil.copytree(folder, tmp_path / "copy")


@pytest.mark.parametrize(("name", "digest"), GOLDEN.items())
def test_golden_tars(folder, name, digest):
    assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_a_second_writing_gives_the_same_bytes(folder, tmp_path):
    write_shards(REFS[::-1], tmp_path / "again")
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            assert (tmp_path / "again" / file.relative_to(folder)).read_bytes() == file.read_bytes()


def test_nothing_is_wrong(folder):
    assert shard_problems(folder) == []


SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]))


@given(SHAPES, st.integers(0, 2**32 - 1))
def test_png_round_trip(shape, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    with Image.open(io.BytesIO(encode(pixels))) as image:
        image.load()
        np.testing.assert_array_equal(np.asarray(image).reshape(shape), pixels)


def test_png_of_several_blocks():
    pixels = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    with Image.open(io.BytesIO(encode(pixels))) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)


def expected(ref, split):
    """Return the keys and labels that a subset's split must hold, in order."""
    subset, positions = load_subset_manifest(ref)
    base, _ = find_base(subset.base)
    ring = load_keyring(subset.base)
    labels = ring.labels[split].astype(int)
    if subset.classes is not None:
        classes = base.class_indices(subset.classes)
        rows = np.flatnonzero(np.isin(labels, classes))
        return ring.keys[split][rows], np.searchsorted(classes, labels[rows])
    rows = positions if split == "train" else np.arange(len(labels))
    return ring.keys[split][rows], labels[rows]


def key(image):
    """Return the short key of a decoded image."""
    return int(short([pixel_key(np.asarray(image))])[0])


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("ref", REFS)
def test_load_dataset_gives_the_manifests_samples(folder, ref, split, streaming):
    from datasets import ClassLabel, load_dataset

    subset, _ = load_subset_manifest(ref)
    data = load_dataset(str(folder), subset.name, split=split, streaming=streaming)
    rows = list(data)
    keys, labels = expected(ref, split)
    assert [key(row["png"]) for row in rows] == keys.tolist()
    assert [row["cls"] for row in rows] == labels.tolist()
    assert isinstance(data.features["cls"], ClassLabel)
    base, _ = find_base(subset.base)
    assert data.features["cls"].names == (subset.classes or base.class_names)
    ring = load_keyring(subset.base).keys[split]
    assert [int(ring[int(row["__key__"])]) for row in rows] == keys.tolist()


@pytest.mark.parametrize("ref", REFS)
def test_webdataset_reads_them(folder, ref):
    import webdataset as wds

    subset, _ = load_subset_manifest(ref)
    urls = sorted(str(p) for p in (folder / "data" / subset.name).glob("train-*.tar"))
    rows = list(wds.WebDataset(urls, shardshuffle=False).decode("pil").to_tuple("png", "cls"))
    keys, labels = expected(ref, "train")
    grey = [np.asarray(image.convert("L")) for image, _ in rows]
    assert [int(short([pixel_key(pixels)])[0]) for pixels in grey] == keys.tolist()
    assert [label for _, label in rows] == labels.tolist()


def test_timm_reads_them(folder):
    from timm.data import create_dataset

    info = json.loads((folder / "_info.json").read_text())["splits"]
    assert set(info) == {
        name + suffix
        for name in ("uniform-10pct", "every-2nd-class", "class-balanced-25pct")
        for suffix in ("", "-test")
    }
    data = create_dataset(
        "wds/", root=str(folder), split="every-2nd-class", is_training=False, batch_size=1
    )
    labels = sorted(label for _, label in data)
    assert labels == sorted(expected("digits/every-2nd-class@1", "train")[1].tolist())


def test_members_are_plain_and_sorted(folder):
    for file in folder.rglob("*.tar"):
        with tarfile.open(file) as tar:
            members = tar.getmembers()
        for member in members:
            facts = member.mtime, member.uid, member.gid, member.uname, member.gname, member.mode
            assert facts == (0, 0, 0, "", "", 0o644)
            assert member.name.count(".") == 1
        for pair in zip(members[::2], members[1::2], strict=True):
            assert [m.name.split(".")[1] for m in pair] == ["cls", "png"]


def test_card_has_what_datasets_needs(folder):
    text = (folder / "README.md").read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    sizes = [info["splits"][0]["num_examples"] for info in front["dataset_info"]]
    assert sizes == sorted(sizes), "the smallest config comes first"
    assert [c["config_name"] for c in front["configs"]] == [
        i["config_name"] for i in front["dataset_info"]
    ]
    assert "{{" not in text
    assert "None" not in text


def test_shards_are_cut_and_stale_ones_go(tmp_path):
    out = tmp_path / "shards"
    index = write_shards(["digits/uniform-25pct"], out, per_shard=100)
    assert [shard.samples for shard in index.configs[0].shards["train"]] == [100, 100, 100]
    index = write_shards(["digits/uniform-25pct"], out, per_shard=200)
    files = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    assert files == index.files()
    assert shard_problems(out) == []


def test_a_truncated_tar_is_named(copy):
    """`datasets` streams such a tar without a word, with fewer rows."""
    tar = copy / "data/uniform-10pct/train-00000.tar"
    size = tar.stat().st_size
    tar.write_bytes(tar.read_bytes()[: size // 2])
    problem = f"data/uniform-10pct/train-00000.tar is truncated: {size // 2} of {size} bytes"
    assert shard_problems(copy) == [problem]


def test_a_flipped_bit_is_named(copy):
    tar = copy / "data/uniform-10pct/train-00000.tar"
    content = bytearray(tar.read_bytes())
    content[3000] ^= 1
    tar.write_bytes(content)
    assert shard_problems(copy) == [
        "data/uniform-10pct/train-00000.tar was changed: its sha256 is not the one in shards.json"
    ]


def test_a_missing_tar_is_named(copy):
    (copy / "data/test/test-00000.tar").unlink()
    assert shard_problems(copy) == ["data/test/test-00000.tar is missing"]


def reindexed(copy, path, content):
    """Replace a tar and make the index agree with it, as a forger would."""
    (copy / path).write_bytes(content)
    index = json.loads((copy / "shards.json").read_text())
    for config in index["configs"]:
        for shards in config["shards"].values():
            for shard in shards:
                if shard["path"] == path:
                    shard["sha256"] = hashlib.sha256(content).hexdigest()
                    shard["bytes"] = len(content)
    (copy / "shards.json").write_text(json.dumps(index))


def repacked(content, change):
    """Rewrite a tar's members through `change(name, content)`."""
    out = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(content)) as old,
        tarfile.open(fileobj=out, mode="w") as new,
    ):
        for member in old:
            name, body = change(member.name, old.extractfile(member).read())
            info = tarfile.TarInfo(name)
            info.size = len(body)
            new.addfile(info, io.BytesIO(body))
    return out.getvalue()


@pytest.mark.parametrize("change", ["pixels", "label", "name", "nonsense"])
def test_a_forged_sample_is_found(copy, change):
    path = "data/uniform-10pct/train-00000.tar"
    with tarfile.open(copy / path) as tar:
        first = tar.getnames()[0].split(".")[0]

    def forge(name, body):
        if not name.startswith(first):
            return name, body
        if change == "pixels" and name.endswith("png"):
            return name, encode(np.zeros((8, 8, 1), np.uint8))
        if change == "label" and name.endswith("cls"):
            return name, b"9" if body != b"9" else b"8"
        if change == "name":
            return name.replace(first, "00001199"), body
        if change == "nonsense" and name.endswith("png"):
            return name, b"no image"
        return name, body

    reindexed(copy, path, repacked((copy / path).read_bytes(), forge))
    problems = shard_problems(copy)
    assert len(problems) == 1
    wanted = {
        "pixels": "is not the keyring's",
        "label": "does not hold the manifest's samples and labels",
        "name": "is not the keyring's",
        "nonsense": "cannot be read: cannot identify image file",
    }
    assert wanted[change] in problems[0]


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(BadRequest, match="holds other files than shards"):
        write_shards(["digits/uniform-10pct"], tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_one_base_a_folder(tmp_path):
    with pytest.raises(BadRequest, match="the subsets are of cifar100, digits"):
        write_shards(["digits/uniform-10pct", "cifar100/uniform-10pct"], tmp_path / "x")
    with pytest.raises(BadRequest, match="given once"):
        write_shards(["digits/uniform-10pct", "digits/uniform-10pct@1"], tmp_path / "x")


def test_a_full_disk_leaves_no_half_tar(tmp_path):
    """A file-size limit is what a full disk looks like to one process."""
    out = tmp_path / "shards"
    script = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "import sys; from lotterybench.cli import main\n"
        f"sys.argv = ['lotterybench', 'shards', 'digits/uniform-10pct', '--out', {str(out)!r}]\n"
        "main()"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert run.stderr.startswith("error: no space left to write")
    assert run.stderr.count("\n") == 1
    assert not list(out.rglob("*.tar"))
    assert shard_problems(out) == ["the shards are unfinished: repeat the command that wrote them"]
    write_shards(["digits/every-2nd-class"], out)
    assert shard_problems(out) == []
    files = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    assert files == ShardIndex.read((out / "shards.json").read_bytes(), "").files()


@pytest.mark.slow
def test_real_cifar100_shards(real_data, tmp_path):
    """Every released CIFAR-100 subset loads with just its manifest's images."""
    from datasets import load_dataset

    refs = ["cifar100/uniform-10pct@1", "cifar100/every-10th-class@1"]
    index = write_shards(refs, tmp_path / "shards")
    assert index.base == "cifar100"
    assert shard_problems(tmp_path / "shards") == []
    for ref in refs:
        name = ref.split("/")[1].split("@")[0]
        data = load_dataset(str(tmp_path / "shards"), name, split="train")
        keys, labels = expected(ref, "train")
        assert [key(row["png"]) for row in data] == keys.tolist()
        assert data["cls"] == labels.tolist()
