"""Loading subsets: the manifest's samples with their images, any epoch, and refusals."""

import json
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest
from datasets import ClassLabel, Image, List, Value
from taught import DIMENSION, targets_again, write_prior, write_taught
from test_shards import expected, key
from test_streams import by_brute_force
from toys import toy_images, write_toy

from lotterybench import load_subset
from lotterybench.build import build_subset, save_subset
from lotterybench.errors import BadData, BadRecord, BadRequest, UnknownName
from lotterybench.manifests import find_base, find_manifest, load_keyring, save_base
from lotterybench.records import Budget, Subset
from lotterybench.shards import write_shards
from lotterybench.sources import encoded, origin_of, pin
from lotterybench.stream_targets import write_targets

FIXED = ["digits/uniform-10pct@1", "digits/every-2nd-class@1", "digits/ccs-5pct@0"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a published stream, its prior, another prior, and priors of other images."""
    folder = tmp_path_factory.mktemp("taught")
    prior = write_prior(folder / "prior.safetensors")
    write_prior(folder / "other.safetensors", seed=1)
    write_prior(folder / "rgb.safetensors", in_chans=3)
    write_prior(folder / "large.safetensors", size=16)
    write_taught(folder / "subsets", prior)
    return folder


@pytest.fixture
def published(place, monkeypatch):
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(place / "subsets"))
    return place


def hexed(keys):
    return [f"{key:016x}" for key in keys]


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("ref", FIXED)
def test_fixed_subsets_are_the_manifests(ref, split):
    data = load_subset(ref, split)
    keys, labels = expected(ref, split)
    assert data["key"][:] == hexed(keys.tolist())
    assert [key(image) for image in data["image"]] == keys.tolist()
    assert data["label"][:] == labels.tolist()
    subset = Subset.read(find_manifest(ref).read_bytes(), ref)
    base, _ = find_base("digits")
    assert data.features["image"] == Image()
    assert data.features["label"] == ClassLabel(names=subset.classes or base.class_names)
    assert list(data.features) == [
        "image", "label", *["base_label"] * bool(subset.classes), "key"
    ]  # fmt: skip
    if subset.classes is not None:
        names = [subset.classes[label] for label in labels]
        assert [base.class_names[label] for label in data["base_label"]] == names
        assert set(data["label"]) == set(range(len(subset.classes)))
    assert data.split == split


def test_images_stay_files_until_they_are_read(tmp_path):
    """The same bytes as the shards have."""
    import webdataset as wds

    write_shards(["digits/uniform-10pct@1"], tmp_path)
    tar = str(tmp_path / "data/uniform-10pct/train-00000.tar")
    theirs = [sample["png"] for sample in wds.WebDataset(tar, shardshuffle=False)]
    data = load_subset("digits/uniform-10pct@1").cast_column("image", Image(decode=False))
    assert [image["bytes"] for image in data["image"]] == theirs


@pytest.mark.parametrize("epoch", [0, 3, 99, 100, 12345])
def test_any_epoch_of_a_stream(epoch):
    ring = load_keyring("digits")
    full = [int(short).to_bytes(8, "big") for short in ring.keys["train"]]
    rows = by_brute_force(full, 0, 50, epoch)
    data = load_subset("digits/rela-50pct", epoch=epoch)
    assert data["key"][:] == hexed(ring.keys["train"][rows].tolist())
    assert data["label"][:] == ring.labels["train"][rows].tolist()
    assert [key(image) for image in data["image"]] == ring.keys["train"][rows].tolist()


def test_epochs_differ_and_repeat():
    first, again, fourth = (load_subset("digits/rela-50pct", epoch=t) for t in (0, 0, 3))
    assert first["key"][:] == again["key"][:] != fourth["key"][:]
    assert first._fingerprint == again._fingerprint != fourth._fingerprint
    assert len(first) == len(fourth) == 600


def test_without_an_epoch_a_stream_gives_the_first_and_says_so():
    with pytest.warns(
        UserWarning, match=r"rela-50pct@0 is a stream.* this is epoch 0.*§10"
    ) as told:
        data = load_subset("digits/rela-50pct")
    assert len(told) == 1
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert data["key"][:] == load_subset("digits/rela-50pct", epoch=0)["key"][:]
        assert len(load_subset("digits/rela-50pct", "test")) == 596
        load_subset("digits/uniform-10pct")


@pytest.mark.slow
def test_it_is_said_once_on_standard_error():
    code = (
        "from lotterybench import load_subset\n"
        "for _ in range(3): print(len(load_subset('digits/rela-50pct')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.split() == ["600"] * 3
    assert done.stderr.count("is a stream") == 1


def test_targets_are_a_column(published, tmp_path):
    prior = f"ours:{published / 'prior.safetensors'}"
    again = targets_again(prior)
    write_targets(tmp_path / "all.npy", again.values.numpy())
    ring = load_keyring("digits").keys["train"]
    for epoch, given in ((0, prior), (3, tmp_path / "all.npy")):
        data = load_subset("digits/taught", epoch=epoch, targets=given)
        rows = by_brute_force([int(k).to_bytes(8, "big") for k in ring], 0, 50, epoch)
        assert data.features["target"] == List(Value("float16"), length=DIMENSION)
        got = np.array(data["target"][:], np.float16)
        np.testing.assert_array_equal(got, again.values.numpy()[rows])
    assert "target" not in load_subset("digits/taught", epoch=0).features


REFUSED = [
    ({"ref": "digits/uniform-10pct@1", "epoch": 3}, "of kind samples: it is the same in every"),
    ({"ref": "digits/every-2nd-class@1", "epoch": 0}, "of kind classes: it is the same in every"),
    ({"split": "test", "epoch": 3}, "the test split is the same in every epoch"),
    ({"split": "test", "targets": "x.npy"}, "targets are of training images alone"),
    ({"split": "valid"}, "there is no split 'valid'; there are train, test"),
    ({"epoch": -1}, "no epoch -1 of seed 0; both count from 0"),
    ({"epoch": 1.5}, "an epoch is a whole number, not 1.5"),
    ({"ref": "digits/rela-50pct", "epoch": 0, "targets": "x.npy"}, "names no targets; a stream"),
    ({"ref": "digits/uniform-10pct@1", "targets": "x.npy"}, "names no targets; a stream"),
    ({"epoch": 0, "targets": "x.npy"}, "x.npy is no file of targets"),
    ({"epoch": 0, "targets": "nonsense"}, "'nonsense' is no prior; the forms are"),
    ({"epoch": 0, "targets": "ours:PLACE/other.safetensors"}, "other.safetensors has other"),
    ({"epoch": 0, "targets": "ours:PLACE/rgb.safetensors"}, "takes images of 3 channels"),
    ({"epoch": 0, "targets": "ours:PLACE/large.safetensors"}, "images of 16 × 16 pixels"),
]


@pytest.mark.parametrize(("asked", "message"), REFUSED)
def test_refusals_are_one_line(published, asked, message):
    asked = {"ref": "digits/taught", **asked}
    if "targets" in asked:
        asked["targets"] = asked["targets"].replace("PLACE", str(published))
    with pytest.raises(BadRequest, match=message) as told:
        load_subset(**asked)
    assert "\n" not in str(told.value)


def test_other_refusals():
    with pytest.raises(UnknownName, match="no subset is named 'digits/nonsense'"):
        load_subset("digits/nonsense")
    with pytest.raises(BadData, match="imagenet-1k is declared only"):
        load_subset("imagenet-1k/every-kth-class-100-classes")


def test_an_epoch_of_another_digest_is_refused(published, tmp_path):
    told = json.loads(find_manifest("digits/taught").read_bytes())
    told["stream"]["epochs"][57] = "0" * 64
    forged = Subset.read(json.dumps(told), "")
    forged = forged.model_copy(update={"digest": forged.true_digest()})
    file = tmp_path / "v1.json"
    file.write_bytes(forged.pretty())
    assert len(load_subset(file, epoch=56)) == 600
    with pytest.raises(BadRecord, match="taught@1: epoch 57 does not have the digest"):
        load_subset(file, epoch=57)


def test_files_of_their_own_stay_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setenv("LOTTERYBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(tmp_path / "subsets"))
    write_toy(tmp_path / "photos", *toy_images(), encode="jpeg")
    save_base(*pin(origin_of(str(tmp_path / "photos"), by_file=True)), tmp_path / "subsets")
    save_subset(
        *build_subset("photos", "uniform", Budget(count=9), name="few"), tmp_path / "subsets"
    )
    data = load_subset("photos/few").cast_column("image", Image(decode=False))
    there = encoded("photos", "train")
    ring = hexed(load_keyring("photos").keys["train"].tolist())
    wanted = [there[ring.index(name)] for name in data["key"]]
    assert [image["bytes"] for image in data["image"]] == wanted
    shutil.rmtree(tmp_path / "photos")
    with pytest.raises(BadData):
        load_subset("photos/few")


# --- the command line ---


def test_the_commands_make_streams_with_and_without_targets(published, tmp_path):
    from typer.testing import CliRunner

    from lotterybench.cli import app

    def call(*arguments):
        done = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert done.exit_code == 0, (done.output, done.exception)
        return done.output

    prior = f"ours:{published / 'prior.safetensors'}"
    options = ["--fraction", 0.5, "--seed", 3, "--out", tmp_path / "mine"]
    said = call("build", "digits", "redrawn", "--name", "plain", *options)
    assert "600 samples an epoch, digest" in said
    aimed = ["--name", "aimed", "--prior", prior, "--dimension", 4]
    said = call("build", "digits", "redrawn", *aimed, *options)
    assert "600 samples an epoch, 4 targets each, digest" in said
    made = Subset.read((tmp_path / "mine/digits/aimed/v1.json").read_bytes(), "")
    assert (made.seed, made.stream.targets.dimension) == (3, 4)
    call(
        "shards", tmp_path / "mine/digits/aimed/v1.json", tmp_path / "mine/digits/plain/v1.json",
        "--prior", prior, "--out", tmp_path / "shards",
    )  # fmt: skip
    assert "no problems" in call("check", tmp_path / "shards", tmp_path / "mine")


STREAM = "build digits redrawn --name x "
MISTAKES = [
    (STREAM, "redrawn needs --fraction, the part that an epoch draws (protocol §10)"),
    (STREAM + "--fraction 0", "a stream's ratio is 0.0; it is above 0 and at most 1"),
    (STREAM + "--fraction 1.5", "a stream's ratio is 1.5; it is above 0 and at most 1"),
    (STREAM + "--fraction 0.0001", "is empty; give a larger ratio"),
    (STREAM + "--fraction 0.5 --count 5", "takes --fraction alone (protocol §10); leave --count"),
    (STREAM + "--classes 5", "takes --fraction alone (protocol §10); leave --classes out"),
    (STREAM + "--fraction 0.5 --set a=1", "leave --set out"),
    (STREAM + "--fraction 0.5 --dimension 5", "no targets without --prior; leave --dimension out"),
    (STREAM + "--fraction 0.5 --prior nonsense", "'nonsense' is no prior; the forms are"),
    (STREAM + "--fraction 0.5 --prior ours:PLACE/rgb.safetensors", "takes images of 3 channels"),
    (STREAM + "--fraction 0.5 --prior ours:PLACE/large.safetensors", "of 16 × 16 pixels"),
    (STREAM + "--fraction 0.5 --prior ours:nowhere.safetensors", "is no encoder file"),
    (STREAM + "--fraction 0.5 --prior random:resnet@0 --dimension 0", "1 dimension or more"),
    ("build digits redrawn --name A_b --fraction 0.5", "digits/A_b: String should match"),
    ("build imagenet-1k redrawn --name x --fraction 0.5", "imagenet-1k is declared only"),
    ("build digits uniform --name x --count 5 --prior random:resnet@0", "uniform is no stream"),
]


@pytest.mark.parametrize(("line", "message"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_mistakes_are_told_in_one_line(published, tmp_path, monkeypatch, line, message):
    from typer.testing import CliRunner

    from lotterybench.cli import app

    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, line.replace("PLACE", str(published)).split())
    assert message in str(done.exception)
    assert "\n" not in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_cannot_be_had_are_one_line(tmp_path, monkeypatch):
    import timm
    from typer.testing import CliRunner

    from lotterybench.cli import app

    def refuse(*arguments, **options):
        raise OSError("no network\nat all")

    monkeypatch.setattr(timm, "create_model", refuse)
    line = f"{STREAM} --fraction 0.5 --prior timm:resnet18 --out {tmp_path}"
    done = CliRunner().invoke(app, line.split())
    assert isinstance(done.exception, BadRequest)
    assert "timm:resnet18" in str(done.exception) and "\n" not in str(done.exception)
    assert list(tmp_path.iterdir()) == []
