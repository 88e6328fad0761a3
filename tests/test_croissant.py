"""Croissant: valid, the same bytes each time, read by its own library as the manifests say."""

import io
import json
import shutil

import mlcroissant
import numpy as np
import pytest
from photos import REFS as PHOTOS
from photos import pin_photos
from PIL import Image
from test_shards import REFS, expected, key

from lotterybench.keyrings import file_key, short
from lotterybench.manifests import find_base, load_keyring, load_subset_manifest
from lotterybench.records import SPLITS, Subset
from lotterybench.shards import ShardIndex, shard_problems, write_shards
from lotterybench.shards.croissant import croissant
from lotterybench.shards.index import Config, Shard

FILE = "croissant.json"
pytestmark = [
    pytest.mark.slow,
    # rdflib, which the library parses JSON-LD with, calls a part of itself by its older name
    pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated"),
    # the library leaves closing extracted files to the collector
    pytest.mark.filterwarnings(
        r"ignore:unclosed file <_io.BufferedReader name='.*\.(cls|png|jpg)':ResourceWarning"
    ),
]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of its own: the library finds extracted tars again by their relative path alone."""
    from mlcroissant._src.operation_graph.operations import extract

    kind = type(extract.EXTRACT_PATH)
    monkeypatch.setattr(extract, "EXTRACT_PATH", kind(tmp_path / "croissant"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("croissant") / "digits"
    write_shards([*REFS, "digits/uniform-25pct@1"], out, per_shard=150)
    return out


def described(folder):
    """Return a fresh reader: a second `records()` of one is wrong."""
    return mlcroissant.Dataset(jsonld=str(folder / FILE))


def test_it_is_valid(folder):
    issues = described(folder).metadata.ctx.issues
    assert not issues.errors
    # A date would make the same subsets other bytes another day.
    [warning] = issues.warnings
    assert "datePublished" in warning


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("ref", REFS)
def test_records_are_the_manifests(folder, ref, split):
    name = ref.split("/")[1].split("@")[0] + ("-test" if split == "test" else "")
    keys, labels = expected(ref, split)
    ring = load_keyring("digits").keys[split]
    rows = list(described(folder).records(name))
    assert {field.split("/")[1] for field in rows[0]} == {"key", "image", "label"}
    found = sorted(
        (int(row[f"{name}/key"]), key(row[f"{name}/image"]), row[f"{name}/label"]) for row in rows
    )
    positions = {int(k): place for place, k in enumerate(ring)}
    wanted = sorted(
        (positions[k], k, label) for k, label in zip(keys.tolist(), labels.tolist(), strict=True)
    )
    assert found == wanted


def test_classes_are_named(folder):
    subset, _ = load_subset_manifest("digits/every-2nd-class")
    rows = list(described(folder).records("every-2nd-class/classes"))
    names = [row["every-2nd-class/classes/name"] for row in rows]
    assert names == subset.classes
    assert [row["every-2nd-class/classes/label"] for row in rows] == list(range(5))


def test_every_tar_is_described_once(folder):
    index = ShardIndex.read((folder / "shards.json").read_bytes(), "")
    told = json.loads((folder / FILE).read_text())
    files = [entry for entry in told["distribution"] if entry["@type"] == "cr:FileObject"]
    assert sorted((f["contentUrl"], f["sha256"], f["contentSize"]) for f in files) == sorted(
        (shard.path, shard.sha256, f"{shard.bytes} B") for shard in index.shards()
    )
    nested = [config for config in index.configs if config.family]
    assert len(nested) == 2, "two configs share tars"
    assert told["license"] == "https://creativecommons.org/licenses/by/4.0/"
    base, _ = find_base("digits")
    assert told["citeAs"].startswith(base.citation)


def test_a_changed_tar_is_noticed(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    [first] = (copy / "data/every-2nd-class").glob("test-00000.tar")
    content = bytearray(first.read_bytes())
    content[700] ^= 1
    first.write_bytes(content)
    with pytest.raises(Exception, match=r"Download\(data/every-2nd-class/test-00000.tar\)"):
        list(described(copy).records("every-2nd-class-test"))


def test_it_is_checked_like_every_file(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / FILE).write_bytes((copy / FILE).read_bytes() + b" ")
    assert shard_problems(copy) == [
        "croissant.json was changed: its sha256 is not the one in shards.json"
    ]


def test_photographs(tmp_path, monkeypatch):
    """JPEG files of several sizes come out as they are in the tars."""
    monkeypatch.setenv("LOTTERYBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(tmp_path / "subsets"))
    data, _ = pin_photos(tmp_path)
    write_shards(PHOTOS, tmp_path / "out", per_shard=5)
    keys, labels = expected("photos/few", "train")
    found = {
        int(short([file_key(path.read_bytes())])[0]): path.read_bytes()
        for path in (data / "train").rglob("*.JPEG")
    }
    wanted = {}
    for k, label in zip(keys.tolist(), labels.tolist(), strict=True):
        with Image.open(io.BytesIO(found[k])) as image:
            wanted[np.asarray(image).tobytes()] = label
    rows = list(described(tmp_path / "out").records("few"))
    assert {np.asarray(row["few/image"]).tobytes(): row["few/label"] for row in rows} == wanted


def test_its_size_is_sensible():
    """Ten class lists of 100 classes each, 13 tars of training images."""
    base, _ = find_base("cifar100")
    subset, _ = load_subset_manifest("cifar100/every-10th-class@1")

    def shards(name, split, count):
        return [
            Shard(path=f"data/{name}/{split}-{n:05d}.tar", samples=1, bytes=9, sha256="0" * 64)
            for n in range(count)
        ]

    entries = []
    for number in range(10):
        name = f"a-list-of-classes-{number}"
        names = [f"{number} {one}, with a name as long as ImageNet's" for one in base.class_names]
        config = Config(
            name=name, subset=subset.ref, digest=subset.digest, class_names=names,
            shards={"train": shards(name, "train", 13), "test": shards(name, "test", 2)},
        )  # fmt: skip
        entries.append((config, Subset.model_validate(subset.model_dump())))
    content = croissant(base, "jpg", entries)
    assert len(content) < 300_000
    assert croissant(base, "jpg", entries) == content
    made = mlcroissant.Dataset(jsonld=json.loads(content))
    assert len(made.metadata.record_sets) == 50  # classes, and twice labels and samples, of each
