"""Shards: golden bytes, the manifest's samples through unmodified clients, every damage named."""

import hashlib
import io
import json
import shutil
import struct
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from toys import toy_images, write_toy

from lotterybench.build import build_subset, save_subset
from lotterybench.errors import BadRecord, BadRequest
from lotterybench.keyrings import pixel_key, short
from lotterybench.manifests import (
    find_base,
    find_manifest,
    load_keyring,
    load_subset_manifest,
    save_base,
    save_manifest,
)
from lotterybench.records import Budget
from lotterybench.shards import ShardIndex, shard_problems, write_shards
from lotterybench.shards.members import write_tar
from lotterybench.shards.png import encode
from lotterybench.sources import origin_of, pin
from lotterybench.validity import describe_positions

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


NAMED = st.tuples(st.integers(0, 10**8 - 1), st.sampled_from(["cls", "png", "npy"]))


@given(st.lists(st.tuples(NAMED, st.binary(max_size=1500)), max_size=12))
def test_tars_are_what_tarfile_writes(tmp_path_factory, members):
    named = [(f"{number:08d}.{end}", content) for (number, end), content in members]
    wanted = io.BytesIO()
    with tarfile.open(fileobj=wanted, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in named:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    file = tmp_path_factory.getbasetemp() / "any.tar"
    write_tar(file, named)
    assert file.read_bytes() == wanted.getvalue()


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


def files_of(folder):
    """Return the bytes of every file, and None for every folder, by path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def edited(folder, change):
    """Change the index of a shard folder, as a forger would."""
    index = json.loads((folder / "shards.json").read_text())
    change(index)
    (folder / "shards.json").write_text(json.dumps(index))


def signed(folder):
    """Make the index agree with the files beside the tars."""

    def sign(index):
        for path in index["others"]:
            if (folder / path).is_file():
                index["others"][path] = hashlib.sha256((folder / path).read_bytes()).hexdigest()

    edited(folder, sign)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Return a function that builds a subset of digits in a folder of one's own."""
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(tmp_path / "mine"))

    def build(name, *, count=30, seed=0, version=1, root=tmp_path / "mine"):
        made = build_subset(
            "digits", "uniform", Budget(count=count), name=name, seed=seed, version=version
        )
        return save_subset(*made, root)

    return build


UNSAFE = ["../victim", "data/../../victim", "/victim", "data//x", "./data", "data/a b", ""]


@pytest.mark.parametrize("path", UNSAFE)
@pytest.mark.parametrize("where", ["shard", "others"])
def test_no_path_leaves_the_folder(copy, path, where):
    victim = copy.parent / "victim"
    victim.write_text("precious")
    path = str(victim) if path == "/victim" else path

    def point(index):
        if where == "shard":
            index["configs"][0]["shards"]["train"][0]["path"] = path
        elif isinstance(index["others"], dict):
            index["others"][path] = "0" * 64
        else:
            index["others"].append(path)

    edited(copy, point)
    [problem] = shard_problems(copy)
    assert "a path has parts of letters" in problem
    with pytest.raises(BadRecord, match="a path has parts of letters"):
        write_shards(REFS, copy)
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("field", ["base", "name", "subset"])
def test_names_in_the_index_are_names(copy, field):
    def point(index):
        (index if field == "base" else index["configs"][0])[field] = "../digits"

    edited(copy, point)
    [problem] = shard_problems(copy)
    assert "should match pattern" in problem


def test_nothing_goes_through_a_linked_folder(copy, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("precious")
    (copy / "data/linked").symlink_to(tmp_path / "home")
    (copy / "data/inside").symlink_to(copy / ".git")
    (copy / ".git").mkdir()
    (copy / ".git" / "config").write_text("precious")

    def point(index):
        for path in ("data/linked/thesis.tex", "data/inside/config", ".git/config"):
            index["others"][path] = "0" * 64

    edited(copy, point)
    write_shards(REFS, copy)
    assert (tmp_path / "home" / "thesis.tex").read_text() == "precious"
    assert (copy / ".git" / "config").read_text() == "precious"


OTHERS = [
    "README.md",
    "_info.json",
    "manifests/digits/base.json",
    "manifests/digits/keys.parquet",
    "manifests/digits/every-2nd-class/v1.json",
    "manifests/digits/uniform-10pct/v1.positions.parquet",
]


@pytest.mark.parametrize("path", OTHERS)
def test_every_other_file_is_checked(copy, path):
    file = copy / path
    file.write_bytes(file.read_bytes() + b" ")
    assert shard_problems(copy) == [f"{path} was changed: its sha256 is not the one in shards.json"]
    file.unlink()
    assert shard_problems(copy) == [f"{path} is missing"]


def test_every_other_file_is_listed(copy):
    edited(copy, lambda index: index["others"].pop("README.md"))
    [problem] = shard_problems(copy)
    assert "others does not list README.md" in problem


def test_files_that_are_not_listed_are_named(copy):
    for name in (".cache/huggingface/x", ".gitattributes", "data/test/more.tar", "a\nb"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(b"")
    assert shard_problems(copy) == [
        "'a\\nb' is not in shards.json",
        "data/test/more.tar is not in shards.json",
    ]


@pytest.mark.parametrize("field", ["name", "digest", "class_names"])
def test_a_config_is_its_manifests(copy, field):
    def forge(index):
        config = next(c for c in index["configs"] if c["name"] == "every-2nd-class")
        config[field] = {
            "name": "renamed",
            "digest": "0" * 64,
            "class_names": config["class_names"][::-1],
        }[field]

    edited(copy, forge)
    [problem] = shard_problems(copy)
    told = f"{field} in shards.json is not that of manifests/digits/every-2nd-class/v1.json"
    assert problem.endswith(told)


def test_a_manifest_of_another_version_is_named(copy):
    place = copy / "manifests/digits/every-2nd-class"
    shutil.copy(place / "v1.json", place / "v2.json")

    def forge(index):
        config = next(c for c in index["configs"] if c["name"] == "every-2nd-class")
        config["subset"] = "digits/every-2nd-class@2"
        index["others"]["manifests/digits/every-2nd-class/v2.json"] = index["others"].pop(
            "manifests/digits/every-2nd-class/v1.json"
        )

    edited(copy, forge)
    (place / "v1.json").unlink()
    assert shard_problems(copy) == [
        "every-2nd-class: subset in shards.json is not that of "
        "manifests/digits/every-2nd-class/v2.json"
    ]


def header_only(width, height):
    """Return a PNG whose header promises a size and which holds next to no pixels."""

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + body


def in_palette(body):
    """Return the same picture as a file of another colour type."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(body)) as image:
        image.convert("RGB").save(buffer, "png")
    return buffer.getvalue()


CRAFTED = {
    "bomb": (lambda body: header_only(20_000, 20_000), "exceeds limit"),
    "half a bomb": (lambda body: header_only(12_000, 12_000), "exceeds limit"),
    "large": (lambda body: header_only(9_000, 9_000), "an image is 9000×9000 L, those of digits"),
    "colour": (in_palette, "an image is 8×8 RGB, those of digits are 8×8 L"),
    "gif": (lambda body: b"GIF89a" + body, "cannot identify image file"),
}


@pytest.mark.parametrize("what", CRAFTED)
@pytest.mark.filterwarnings("default")
def test_an_odd_image_is_a_problem(copy, what):
    path = "data/test/test-00000.tar"
    change, message = CRAFTED[what]

    def forge(name, body):
        return name, change(body) if name == "00000003.png" else body

    reindexed(copy, path, repacked((copy / path).read_bytes(), forge))
    [problem] = shard_problems(copy)
    assert problem.startswith(f"{path} cannot be read: ")
    assert message in problem


def odd_tar(what):
    """Return a tar of one sample that shards never have."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        stem = {"name": "-0000001", "pair": "00000002"}.get(what, "00000001")
        label = tarfile.TarInfo("00000001.cls" if what != "name" else f"{stem}.cls")
        label.size = 1
        tar.addfile(label, io.BytesIO(b"x" if what == "label" else b"0"))
        image = tarfile.TarInfo(f"{stem}.png")
        if what == "link":
            image.type, image.linkname = tarfile.SYMTYPE, "00000001.cls"
        if what == "size":
            image.size = 2**33
            out.write(image.tobuf())
        else:
            tar.addfile(image)
    if what == "zipped":
        import gzip

        return gzip.compress(out.getvalue())
    return out.getvalue()


ODD = {
    "name": "does not begin a pair",
    "pair": "does not begin a pair",
    "label": "is no label",
    "link": "is no plain file",
    "size": "says it has 8589934592 bytes",
    "zipped": "cannot be read",
}


@pytest.mark.parametrize("what", ODD)
def test_an_odd_member_is_a_problem(copy, what):
    path = "data/uniform-10pct/train-00000.tar"
    reindexed(copy, path, odd_tar(what))
    [problem] = shard_problems(copy)
    assert problem.startswith(f"{path} cannot be read: ")
    assert ODD[what] in problem


def test_samples_may_not_come_twice(copy):
    def twice(index):
        config = next(c for c in index["configs"] if c["name"] == "uniform-10pct")
        config["shards"]["train"] *= 2

    edited(copy, twice)
    assert shard_problems(copy) == [
        "uniform-10pct: train does not hold the manifest's samples and labels"
    ]


def test_a_config_without_a_test_split_is_refused(copy):
    edited(copy, lambda index: index["configs"][0]["shards"].pop("test"))
    [problem] = shard_problems(copy)
    assert "a config has the splits train and test" in problem


@pytest.mark.parametrize("name", ["v1.json", "v1.positions.parquet"])
def test_an_odd_manifest_is_a_problem(copy, name):
    (copy / "manifests/digits/uniform-10pct" / name).write_bytes(b"{")
    signed(copy)
    [problem] = shard_problems(copy)
    assert problem.startswith("uniform-10pct: ")


@pytest.mark.parametrize("name", ["base.json", "keys.parquet"])
def test_an_odd_base_is_a_problem(copy, name):
    (copy / "manifests/digits" / name).write_bytes(b"{")
    signed(copy)
    assert len(shard_problems(copy)) == 1


def test_a_file_that_cannot_be_read_is_a_problem(copy, monkeypatch):
    """Root may read everything, so the refusal is a stand-in."""
    opened = Path.open

    def refuse(path, *arguments, **options):
        if path.name in ("README.md", "test-00000.tar"):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    assert shard_problems(copy) == [
        "README.md cannot be read: Permission denied",
        "data/every-2nd-class/test-00000.tar cannot be read: Permission denied",
        "data/test/test-00000.tar cannot be read: Permission denied",
    ]


def test_no_folder_is_a_problem(tmp_path):
    assert len(shard_problems(tmp_path / "nowhere")) == 1


def test_manifests_are_copies(tmp_path, mine):
    """Columns of a positions file and the layout of a manifest survive."""
    subset, columns = build_subset("digits", "uniform", Budget(count=30), name="weighted")
    columns = {**columns, "weight": np.linspace(0, 1, 30, dtype=np.float32)}
    subset = subset.model_copy(update={"positions": describe_positions(columns)})
    subset = subset.model_copy(update={"digest": subset.true_digest()})
    file = save_manifest(subset, columns, tmp_path / "mine")
    file.write_text(subset.line())
    out = tmp_path / "out"
    write_shards(["digits/weighted"], out)
    place = out / "manifests/digits/weighted"
    assert (place / "v1.json").read_bytes() == file.read_bytes()
    assert pq.read_table(place / "v1.positions.parquet").column_names == ["position", "weight"]
    _, root = find_base("digits")
    for name in ("base.json", "keys.parquet"):
        assert (out / "manifests/digits" / name).read_bytes() == (
            root / "digits" / name
        ).read_bytes()
    assert shard_problems(out) == []


@pytest.mark.parametrize("path", OTHERS)
def test_an_updated_folder_is_repaired(folder, copy, path):
    (copy / path).write_bytes(b"damaged")
    write_shards(REFS, copy)
    assert files_of(copy) == files_of(folder)


def test_an_updated_folder_is_as_a_fresh_one(copy, tmp_path):
    write_shards(REFS[:1], copy)
    write_shards(REFS[:1], tmp_path / "fresh")
    assert files_of(copy) == files_of(tmp_path / "fresh")


def test_an_interrupted_folder_comes_out_as_a_fresh_one(folder, copy):
    for name in (".unfinished", ".README.md.x1y2", "data/old/.train-00000.tar.x1"):
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_bytes(b"half")
    write_shards(REFS, copy)
    assert files_of(copy) == files_of(folder)


def test_another_manifest_of_the_same_version_is_overwritten(tmp_path, mine):
    first, second = mine("same"), mine("same", seed=1, root=tmp_path / "other")
    write_shards([str(first)], tmp_path / "out")
    write_shards([str(second)], tmp_path / "out")
    copied = tmp_path / "out/manifests/digits/same/v1.json"
    assert copied.read_bytes() == second.read_bytes()
    assert shard_problems(tmp_path / "out") == []


def test_a_folders_own_manifests_can_be_its_source(folder, copy, monkeypatch):
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(copy / "manifests"))
    assert find_manifest(REFS[0]).is_relative_to(copy)
    write_shards(REFS, copy)
    assert files_of(copy) == files_of(folder)


def test_nothing_is_written_before_everything_is_checked(tmp_path, mine, monkeypatch):
    mine("a")
    mine("a-test")
    with pytest.raises(BadRequest, match="the subset a-test and the test split of a"):
        write_shards(["digits/a", "digits/a-test"], tmp_path / "out")
    with pytest.raises(BadRequest, match="given once"):
        write_shards(["digits/a", "digits/a@1"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_cards_version_is_the_subsets(tmp_path, mine):
    mine("grown")
    mine("grown", seed=1, version=2)
    write_shards(["digits/grown"], tmp_path / "out")
    front = yaml.safe_load((tmp_path / "out/README.md").read_text().split("---\n")[1])
    assert [config["version"] for config in front["configs"]] == ["2.0.0"]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Return a function that pins a toy base keyed by file, with a subset `photos/few`."""
    monkeypatch.setenv("LOTTERYBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(tmp_path / "subsets"))

    def make(train, test=None):
        write_toy(tmp_path / "photos", *toy_images(), encode=train)
        if test:
            write_toy(tmp_path / "others", *toy_images(), encode=test)
            name = "test-00000-of-00001.parquet"
            shutil.copy(tmp_path / "others" / name, tmp_path / "photos" / name)
        save_base(*pin(origin_of(str(tmp_path / "photos"), by_file=True)), tmp_path / "subsets")
        made = build_subset("photos", "uniform", Budget(count=9), name="few")
        save_subset(*made, tmp_path / "subsets")

    return make


@pytest.mark.parametrize(("encode", "kind"), [("jpeg", "jpg"), ("png", "png")])
def test_files_are_named_by_what_they_are(tmp_path, photos, encode, kind):
    from datasets import load_dataset

    photos(encode)
    out = tmp_path / "out"
    assert write_shards(["photos/few"], out).image == kind
    with tarfile.open(out / "data/few/train-00000.tar") as tar:
        assert {name.split(".")[1] for name in tar.getnames()} == {"cls", kind}
    assert f"The image (`{kind}`)" in (out / "README.md").read_text()
    assert set(load_dataset(str(out), "few", split="test").features) == {kind, "cls", "__key__"}
    assert shard_problems(out) == []
    edited(out, lambda index: index.update(image="jpg" if kind == "png" else "png"))
    assert "does not begin a pair" in shard_problems(out)[0]


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (("webp",), "photos: train position 0 is neither PNG nor JPEG"),
        (("png", "jpeg"), "photos: test position 0 is a jpg file among png files"),
        (("png", "webp"), "photos: test position 0 is neither PNG nor JPEG"),
    ],
)
def test_files_of_several_kinds_are_refused(tmp_path, photos, kinds, message):
    photos(*kinds)
    with pytest.raises(BadRequest, match=message):
        write_shards(["photos/few"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


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
