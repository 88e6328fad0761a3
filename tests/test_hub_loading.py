"""Loading releases through the real client: the samples of the manifest, or one clear line."""

import hashlib
import json
import os
import pickle
import shutil
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Image, IterableDataset
from datasets.distributed import split_dataset_by_node
from hub_double import WRITER
from releases import REPO, V1, V2, deliver, inside, point_at
from taught import DIMENSION, write_prior, write_taught
from toys import toy_images, write_toy

from lotterybench import load_subset
from lotterybench.build import build_subset, save_subset
from lotterybench.errors import BadRequest, BadShards, HubError, LotteryBenchError, UnknownName
from lotterybench.hub.revisions import TAG, repo_of, resolve
from lotterybench.manifests import save_base
from lotterybench.records import Budget
from lotterybench.shards import ShardIndex, write_shards
from lotterybench.sources import origin_of, pin

FIRST, SECOND = "data/old/train-00000.tar", "data/old/train-00001.tar"
NOWHERE = "http://127.0.0.1:9"
DIGITS = ["digits/uniform-10pct@1", "digits/every-2nd-class@1", "digits/taught@1"]


@pytest.fixture
def released(hub, repo, folders):
    """The first toy release, delivered; return its commit."""
    return deliver(hub, repo, folders[0], V1)


@pytest.fixture(scope="module")
def digits_release(tmp_path_factory):
    """A folder of shards of digits: samples, a class list, and a stream with targets."""
    home = tmp_path_factory.mktemp("digits")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOTTERYBENCH_SUBSETS", str(home / "subsets"))
        prior = write_prior(home / "prior.safetensors")
        write_taught(home / "subsets", prior)
        write_shards(DIGITS, home / "shards", per_shard=100, prior=prior)
    return home


def load(subset="toy/old", split="train", *, revision=V1, repo=REPO, **settings):
    return load_subset(subset, split, revision=revision, repo=repo, **settings)


def rows(data):
    """Return the samples by key, with pixels as bytes; several may share a key."""
    return Counter(
        (row["key"], row["label"], row.get("base_label"), row["image"].mode,
         row["image"].tobytes())
        for row in data
    )  # fmt: skip


def failure(hub, *arguments, kind=LotteryBenchError, **settings):
    """Return the line with which loading fails; it tells nothing of this machine."""
    with pytest.raises(kind) as caught:
        list(load(*arguments, **settings))
    line = str(caught.value)
    assert line.isprintable() and len(line) < 700
    for secret in (hub.url, WRITER, "huggingface.co", "127.0.0.1", str(Path.home()), "cache/data"):
        assert secret not in line
    return line


def asked(hub):
    """Return the files that were asked for."""
    return {
        line.split("/resolve/")[1].split("/", 1)[1] for line in hub.lines if "/resolve/" in line
    }


def blob(cache, path):
    """Return the file of the cache that a release's file is."""
    [file] = cache.glob(f"datasets--*/snapshots/*/{path}")
    return file.resolve()


def flip(file, at=700):
    found = bytearray(file.read_bytes())
    found[at] ^= 1
    file.write_bytes(found)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder of shards of a base keyed by its JPEG files."""
    monkeypatch.setenv("LOTTERYBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(tmp_path / "subsets"))
    write_toy(tmp_path / "photos", *toy_images(), encode="jpeg")
    save_base(*pin(origin_of(str(tmp_path / "photos"), by_file=True)), tmp_path / "subsets")
    subset = build_subset("photos", "uniform", Budget(count=9), name="few")
    save_subset(*subset, tmp_path / "subsets")
    write_shards(["photos/few"], tmp_path / "shards")
    return tmp_path / "shards"


def quietly(**settings):
    """Load, with notes that are looked at elsewhere."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return load(**settings)


# What a release gives is what the manifest gives.


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("ref", DIGITS)
def test_the_samples_are_the_local_ones(hub, repo, digits_release, monkeypatch, ref, split):
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(digits_release / "subsets"))
    deliver(hub, repo, digits_release / "shards", V1)
    epoch = 0 if ref.startswith("digits/taught") and split == "train" else None
    ours = load_subset(ref, split, epoch=epoch)
    wanted = rows(ours)
    data = load(ref, split, epoch=epoch)
    stream = load(ref, split, epoch=epoch, streaming=True)
    assert rows(data) == wanted and sum(wanted.values()) == len(ours) == len(data)
    assert [row["key"] for row in stream] == data["key"][:]
    assert rows(stream) == wanted
    own = {name: kind for name, kind in data.features.items() if name != "target"}
    assert own == ours.features and data.features == stream.features
    assert isinstance(data, Dataset) and isinstance(stream, IterableDataset)
    assert data.split == stream.split == split
    assert ("target" in data.features) == (epoch == 0)


def test_targets_are_those_of_the_samples(hub, repo, digits_release, monkeypatch):
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(digits_release / "subsets"))
    deliver(hub, repo, digits_release / "shards", V1)
    [file] = (digits_release / "shards/targets").glob("*.npy")
    ours = load_subset("digits/taught", epoch=0, targets=file)
    wanted = {row["key"]: row["target"] for row in ours.remove_columns("image")}
    for streaming in (False, True):
        data = load("digits/taught", epoch=0, streaming=streaming).remove_columns("image")
        assert {row["key"]: row["target"] for row in data} == wanted
    assert {len(target) for target in wanted.values()} == {DIMENSION}


def test_images_are_the_files_of_the_tars_in_their_order(hub, released, folders):
    import webdataset as wds

    tars = sorted(map(str, (folders[0] / "data/old").glob("train-*.tar")))
    theirs = list(wds.WebDataset(tars, shardshuffle=False))
    assert len(tars) == 2
    data = load().cast_column("image", Image(decode=False))
    assert [image["bytes"] for image in data["image"]] == [sample["png"] for sample in theirs]
    assert data["label"][:] == [int(sample["cls"]) for sample in theirs]
    assert data.features["label"] == ClassLabel(names=["class-0", "class-1", "class-2"])


def test_files_of_their_own_stay_as_they_are(hub, repo, photos):
    deliver(hub, repo, photos, V1)
    plain = Image(decode=False)
    ours = load_subset("photos/few").cast_column("image", plain)
    data = load("photos/few").cast_column("image", plain)
    wanted = {row["key"]: row["image"]["bytes"] for row in ours}
    assert {row["key"]: row["image"]["bytes"] for row in data} == wanted
    assert all(text.startswith(b"\xff\xd8\xff") for text in wanted.values())


def test_one_fingerprint_for_equal_shards(hub, repo, folders):
    deliver(hub, repo, folders[0], V1)
    deliver(hub, repo, folders[0], V2, **{"note.txt": b"more"})
    assert load()._fingerprint == load(revision=V2)._fingerprint != load(split="test")._fingerprint


@pytest.mark.parametrize("streaming", [False, True])
def test_formats(hub, released, streaming):
    import torch

    plain = list(load(streaming=streaming))
    for row, tensors in zip(plain, load(streaming=streaming, format="torch"), strict=True):
        image = np.asarray(row["image"])
        assert tensors["image"].dtype == torch.uint8 and tensors["label"].dtype == torch.int64
        np.testing.assert_array_equal(tensors["image"].numpy(), image.transpose(2, 0, 1))
        assert tensors["label"].item() == row["label"] and tensors["key"] == row["key"]
    for row, arrays in zip(plain, load(streaming=streaming, format="numpy"), strict=True):
        np.testing.assert_array_equal(arrays["image"], np.asarray(row["image"]))


def test_local_subsets_have_formats_and_streams_too():
    whole = load_subset("digits/uniform-10pct")
    assert load_subset("digits/uniform-10pct", format="torch")[0]["image"].shape == (1, 8, 8)
    stream = load_subset("digits/rela-50pct", epoch=1, streaming=True)
    assert stream.n_shards == 2
    assert [row["key"] for row in stream] == load_subset("digits/rela-50pct", epoch=1)["key"][:]
    assert len(list(load_subset("digits/uniform-10pct", streaming=True))) == len(whole)


# What is downloaded, and from which commit.


@pytest.mark.parametrize("split", ["train", "test"])
def test_only_the_subsets_files_are_asked_for(hub, released, folders, split):
    load(split=split)
    tars = [path for path in inside(folders[0]) if path.endswith(".tar")]
    wanted = {path for path in tars if path.startswith(f"data/old/{split}")}
    wanted |= {path for path in tars if split == "test" and path.startswith("data/test/")}
    records = {"manifests/toy/base.json", "manifests/toy/keys.parquet", "shards.json"}
    manifest = {"manifests/toy/old/v1.json", "manifests/toy/old/v1.positions.parquet"}
    assert asked(hub) == wanted | records | manifest
    hub.forget()
    load(split=split)
    assert all(line.endswith("/refs") for line in hub.lines) and len(hub.lines) == 1


def test_streaming_keeps_no_tar(hub, released, cache):
    assert len(list(load(streaming=True))) == 12
    assert {FIRST, SECOND} <= asked(hub)
    assert not list(cache.glob("datasets--*/snapshots/*/data"))
    hub.forget()
    load()
    assert len(list(load(streaming=True))) == 12
    assert sum(FIRST in line for line in hub.lines if line.startswith("GET")) == 1


def test_a_commit_needs_no_tag(hub, repo, released):
    repo.tags.clear()
    assert len(load(revision=released)) == 12
    hub.forget()
    assert len(load(revision=released)) == 12 and hub.lines == []


def test_the_newest_is_the_highest_version_and_said_aloud(hub, repo, folders):
    for tag in ("v9.0.0", "v10.2.0", "v10.10.0", "v2.0.0", "nightly", "v99"):
        which = folders[0] if tag == "v10.10.0" else folders[1]
        deliver(hub, repo, which, tag)
    said = r"org/bench v10\.10\.0 is the newest release; say revision='v10\.10\.0'"
    with pytest.warns(UserWarning, match=said) as told:
        assert len(load_subset("toy/old", repo=REPO)) == 12
    assert len(told) == 1 and told[0].filename == __file__


def test_without_a_local_manifest_the_hub_is_asked(hub, folders, monkeypatch):
    monkeypatch.setenv("LOTTERYBENCH_ORG", "some-lab")
    repo = hub.create("some-lab/lotterybench-toy")
    deliver(hub, repo, folders[0], V1)
    with pytest.warns(UserWarning, match="some-lab/lotterybench-toy v1.0.0 is the newest"):
        assert len(load_subset("toy/old")) == 12
    assert len(load_subset("toy/old@1", revision=V1)) == 12
    monkeypatch.delenv("LOTTERYBENCH_ORG")
    assert repo_of("toy") == "lotterybench/lotterybench-toy"
    with pytest.raises(UnknownName, match=r"no subset is named 'toy/old'.* nor does lotterybench/"):
        load_subset("toy/old")


def test_with_a_local_manifest_nobody_is_asked(hub):
    load_subset("digits/uniform-10pct")
    assert hub.lines == []


def test_a_tag_that_moved_is_what_the_hub_says(hub, repo, released, folders):
    assert load()["key"][:]
    before = rows(load("toy/small"))
    moved = deliver(hub, repo, folders[1], V1)
    assert moved != released
    assert "has no toy/old; it has small, new" in failure(hub)
    assert rows(load("toy/small")) == before and rows(load("toy/new"))


# Refusals.

REFUSED = [
    ({"revision": "1.0.0"}, "the revision is '1.0.0'; it is a release's tag, as v1.0.0"),
    ({"revision": "main"}, "the revision is 'main'"),
    ({"revision": "v1.0.0\n"}, "the revision is"),
    ({"revision": "v9.0.0"}, "org/bench has no release v9.0.0; it has v1.0.0"),
    ({"repo": "bench"}, "the repository is 'bench'; it is ORG/NAME"),
    ({"subset": "toy/nonsense"}, "org/bench v1.0.0 has no toy/nonsense; it has small, old"),
    ({"subset": "digits/old"}, "org/bench v1.0.0 holds subsets of toy; digits/old is one of"),
    ({"subset": "toy/old@2"}, "org/bench v1.0.0 holds toy/old@1, not toy/old@2"),
    ({"subset": "old"}, "'old' is no subset of a release; the form is base/name"),
    ({"subset": "somewhere/v1.json"}, "is no subset of a release"),
    ({"split": "valid"}, "there is no split 'valid'; there are train, test"),
    ({"format": "jax"}, "there is no format 'jax'; there are torch, numpy"),
    ({"epoch": 3}, "a release holds epoch 0 of streams"),
    ({"targets": "x.npy"}, "a release has the targets of its streams; leave targets out"),
]


@pytest.mark.parametrize(("settings", "words"), REFUSED, ids=[str(case[0]) for case in REFUSED])
def test_mistakes_are_one_line(hub, released, settings, words):
    with pytest.raises(BadRequest) as caught:
        load(**settings)
    assert words in str(caught.value) and str(caught.value).isprintable()


def test_a_stream_says_its_epoch(hub, repo, digits_release):
    deliver(hub, repo, digits_release / "shards", V1)
    with pytest.warns(UserWarning, match="taught@1 is a stream.* this is epoch 0"):
        load("digits/taught")
    assert "a release holds epoch 0 of streams" in failure(hub, "digits/taught", epoch=1)


def test_a_repository_without_releases(hub, repo):
    assert "org/bench has no release" in failure(hub)
    assert "there is no such dataset repository" in failure(hub, repo="org/other")


def test_a_commit_that_is_not_there(hub, released):
    assert "there is no such dataset repository, commit" in failure(hub, revision="0" * 40)


def test_a_repository_of_something_else(hub, repo, tmp_path):
    (tmp_path / "other").mkdir()
    deliver(hub, repo, tmp_path / "other", V1)
    assert "org/bench v1.0.0 has no shards.json" in failure(hub)


# Damage, there and here.


def test_a_byte_that_is_flipped_there(hub, repo, folders):
    text = bytearray((folders[0] / SECOND).read_bytes())
    text[700] ^= 1
    deliver(hub, repo, folders[0], V1, **{SECOND: bytes(text)})
    for streaming in (False, True):
        line = failure(hub, kind=BadShards, streaming=streaming)
        assert line == f"org/bench v1.0.0: {SECOND} was changed: its sha256 is not the one in " \
            "shards.json"  # fmt: skip
    assert len(load("toy/small")) == 6


def test_a_tar_that_is_truncated_there(hub, repo, folders):
    text = (folders[0] / SECOND).read_bytes()
    deliver(hub, repo, folders[0], V1, **{SECOND: text[:2048]})
    for streaming in (False, True):
        line = failure(hub, kind=BadShards, streaming=streaming)
        assert f"{SECOND} is truncated: 2048 of {len(text)} bytes" in line


def test_streaming_gives_no_sample_of_a_bad_tar(hub, repo, folders):
    text = (folders[0] / SECOND).read_bytes()
    deliver(hub, repo, folders[0], V1, **{SECOND: text[:-1] + b"x"})
    seen = []
    with pytest.raises(BadShards, match="was changed"):
        for row in load(streaming=True):
            seen.append(row["key"])
    index = ShardIndex.read((folders[0] / "shards.json").read_bytes(), "")
    [old] = [config for config in index.configs if config.name == "old"]
    assert len(seen) == old.shards["train"][0].samples < old.count("train")


def test_a_file_that_is_missing_there(hub, repo, folders):
    deliver(hub, repo, folders[0], V1, **{SECOND: None})
    assert f"org/bench v1.0.0 has no {SECOND}" in failure(hub, kind=BadShards)
    assert "there is no such dataset repository, commit or file" in failure(hub, streaming=True)


@pytest.mark.parametrize("path", [SECOND, "shards.json", "manifests/toy/keys.parquet"])
def test_a_byte_that_is_flipped_here(hub, released, cache, monkeypatch, path):
    wanted = rows(load())
    file = blob(cache, path)
    stamp = file.stat()
    flip(file, at=0 if path == "shards.json" else 700)
    with monkeypatch.context() as away:
        point_at(away, NOWHERE)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            line = failure(hub, revision=released, kind=BadShards)
    assert f"{path} in the cache" in line and "it cannot be downloaded anew: getting" in line
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # a date says nothing
    hub.forget()
    with pytest.warns(UserWarning, match="was damaged and is downloaded anew"):
        assert rows(load()) == wanted
    assert asked(hub) == {path}
    assert rows(load()) == wanted


def test_a_tar_that_is_truncated_here(hub, released, cache):
    wanted = rows(load())
    file = blob(cache, SECOND)
    file.write_bytes(file.read_bytes()[:1024])
    with pytest.warns(UserWarning, match=f"{SECOND} in the cache was damaged"):
        assert rows(load()) == wanted


def index_of(folder, edit):
    """Return the bytes of a folder's index after an edit of the config old."""
    found = json.loads((folder / "shards.json").read_bytes())
    edit(found, next(config for config in found["configs"] if config["name"] == "old"))
    return json.dumps(found).encode()


def other_name(index, old):
    small = next(config for config in index["configs"] if config["name"] == "small")
    small["name"], old["name"] = old["name"], small["name"]
    return "gives toy/small@1 the name of toy/old"


def another_s_tars(index, old):
    small = next(config for config in index["configs"] if config["name"] == "small")
    old["shards"]["train"] = small["shards"]["train"]
    return "share data/small/train-00000.tar"


def a_tar_less(index, old):
    old["shards"]["train"].pop()
    return "train of toy/old@1 has 12 samples, shards.json says 8"


def other_samples(index, old):
    old["shards"]["train"] = [{**old["shards"]["train"][0], "samples": 12}]
    return "train-00000.tar holds 8 samples, shards.json says 12"


def tars_twice(index, old):
    old["shards"]["train"] *= 2
    old["shards"]["train"] = old["shards"]["train"][1:4]
    return "train of toy/old@1 has 12 samples, shards.json says 16"


def other_count(index, old):
    first, second = old["shards"]["train"]
    first["samples"], second["samples"] = second["samples"], first["samples"]
    return "train-00000.tar holds 8 samples, shards.json says 4"


def other_digest(index, old):
    old["digest"] = "0" * 64
    return "digest of old is not what shards.json and the records agree on"


def other_base(index, old):
    index["base_digest"] = "0" * 64
    return "base of old is not what"


def other_classes(index, old):
    old["class_names"].reverse()
    return "class_names of old is not what"


def other_images(index, old):
    index["image"] = "jpg"
    return "has no .jpg where it should be"


def a_path_outside(index, old):
    old["shards"]["train"][0]["path"] = "../../etc/passwd"
    return "a path has parts of letters"


def no_json(index, old):
    index["configs"] = 5
    return "configs"


FORGED = [
    other_name, another_s_tars, a_tar_less, other_samples, tars_twice, other_count, other_digest,
    other_base, other_classes, other_images, a_path_outside, no_json,
]  # fmt: skip


@pytest.mark.parametrize("edit", FORGED, ids=lambda edit: edit.__name__)
def test_an_index_that_does_not_hold(hub, repo, folders, edit):
    words = []
    text = index_of(folders[0], lambda index, old: words.append(edit(index, old)))
    deliver(hub, repo, folders[0], V1, **{"shards.json": text})
    assert words[0] in failure(hub, kind=BadShards)


def test_a_sealed_release_has_no_images(hub, repo, folders):
    sealed = index_of(folders[0], lambda index, old: index.update(sealed=True))
    deliver(hub, repo, folders[0], V1, **{"shards.json": sealed})
    assert "org/bench v1.0.0 is sealed: it holds no image" in failure(hub, kind=BadRequest)


@pytest.mark.parametrize(
    "path",
    ["keys.parquet", "base.json", "old/v1.json", "old/v1.positions.parquet"],
)
def test_records_that_are_no_records(hub, repo, folders, path):
    path, text = f"manifests/toy/{path}", b"PAR1 nonsense PAR1"
    changed = {path: hashlib.sha256(text).hexdigest()}
    index = index_of(folders[0], lambda index, old: index["others"].update(changed))
    deliver(hub, repo, folders[0], V1, **{path: text, "shards.json": index})
    assert failure(hub, kind=BadShards).startswith("org/bench v1.0.0: ")


# A Hub that fails, cannot be reached, or is not to be asked.


def offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def unreachable(monkeypatch):
    point_at(monkeypatch, NOWHERE)


def expired(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_expired")


AWAY = [offline, unreachable, expired, 401, 429, 500, 503, "reset", "hang"]
WHY = {
    offline: "HF_HUB_OFFLINE is set", unreachable: "the Hub cannot be reached",
    expired: "the token is missing, expired or wrong", 401: "the token is missing, expired or",
    429: "limits the rate of requests (429)", 500: "the Hub fails (500)",
    503: "the Hub fails (503)", "reset": "the Hub cannot be reached", "hang": "(ReadTimeout)",
}  # fmt: skip


@pytest.fixture(params=AWAY, ids=lambda how: getattr(how, "__name__", str(how)))
def lose(request, hub, monkeypatch):
    """A function that makes the Hub go away, and why it then cannot be asked."""

    def away():
        monkeypatch.setattr("lotterybench.hub.repository.PATIENCE", 0.5)  # all that follows fails
        if callable(request.param):
            request.param(monkeypatch)
        else:
            hub.fault(request.param)

    away.why = WHY[request.param]
    return away


def test_the_release_that_is_cached_loads(hub, released, lose):
    wanted = rows(load())
    lose()
    said = f"taking org/bench v1.0.0 from the cache, commit {released[:12]}"
    with pytest.warns(UserWarning, match=said) as told:
        assert rows(load()) == wanted
    assert len(told) == 1 and lose.why in str(told[0].message)
    assert rows(quietly(streaming=True)) == wanted
    assert rows(load(revision=released)) == wanted  # a commit needs nobody


def test_another_release_is_never_taken(hub, repo, folders, lose):
    deliver(hub, repo, folders[0], V1)
    deliver(hub, repo, folders[1], V2)
    load("toy/small", revision=V2)
    lose()
    line = failure(hub, "toy/small")
    assert lose.why in line and "the cache holds v2.0.0 of org/bench, not v1.0.0" in line
    newest = failure(hub, "toy/small", revision=None)
    assert "which release is newest is unknown" in newest and "v2.0.0" in newest


def test_nothing_is_cached(hub, released, lose):
    lose()
    line = failure(hub, repo="org/other", revision=V2)
    assert "the cache holds no release of org/other" in line


@pytest.mark.filterwarnings("ignore:.*taking org/bench:UserWarning")
def test_a_cache_that_is_half_there(hub, repo, folders, lose):
    deliver(hub, repo, folders[0], V1)
    load("toy/small")
    lose()
    line = failure(hub, "toy/old")
    assert "the cache lacks 2 of 4 files of org/bench v1.0.0: manifests/toy/old/v1.json" in line


def test_a_cache_that_is_half_there_is_completed(hub, released, cache):
    wanted = rows(load())
    [link] = cache.glob(f"datasets--*/snapshots/*/{SECOND}")
    link.resolve().rename(link.resolve().with_name("x.incomplete"))
    link.unlink()
    hub.forget()
    hub.fault(500, match=f"/resolve/.*{SECOND}")
    assert f"the Hub fails (500); the cache lacks 1 of 2 files of org/bench v1.0.0: {SECOND}" in (
        failure(hub, kind=HubError)
    )
    hub.forget()
    assert rows(load()) == wanted
    assert asked(hub) == {SECOND}


@pytest.mark.parametrize("kind", [429, 500, "reset"])
def test_a_fault_at_every_request(hub, released, cache, kind):
    wanted = rows(load())
    shutil.rmtree(cache)
    hub.forget()
    load()
    requests = len(hub.lines)
    assert requests > 10
    for number in range(1, requests + 1, 4):
        shutil.rmtree(cache)
        hub.forget()
        hub.fault(kind, since=number)
        assert "org/bench" in failure(hub, kind=HubError)
        hub.forget()
        assert rows(load()) == wanted


def test_streaming_repeats_what_was_lost(hub, released):
    stream = load(streaming=True)
    hub.forget()
    hub.fault("reset", at=1)
    hub.fault(503, at=2)
    assert len(list(stream)) == 12


def test_a_full_disk_is_said(hub, released, monkeypatch):
    import errno

    from huggingface_hub import file_download

    def full(*arguments, **settings):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(file_download, "http_get", full)
    assert "no space left" in failure(hub)


# Ranks, workers and epochs.


def keys_of(stream):
    return [row["key"] for row in stream]


def test_streams_split_by_tar(hub, repo, digits_release):
    deliver(hub, repo, digits_release / "shards", V1)
    stream = load("digits/taught", epoch=0, streaming=True)
    whole = keys_of(stream)
    assert stream.n_shards == 6 and len(whole) == 600
    parts = [keys_of(split_dataset_by_node(stream, rank, 2)) for rank in range(2)]
    assert Counter(parts[0] + parts[1]) == Counter(whole)
    assert [len(part) for part in parts] == [300, 300]


def test_streams_travel_to_processes(hub, released):
    stream = load(streaming=True)
    assert keys_of(pickle.loads(pickle.dumps(stream))) == keys_of(stream)


def test_epochs_shuffle_and_go_on(hub, repo, digits_release):
    deliver(hub, repo, digits_release / "shards", V1)
    stream = load("digits/uniform-10pct", streaming=True).shuffle(seed=0, buffer_size=20)
    first = keys_of(stream)
    stream.set_epoch(1)
    second = keys_of(stream)
    assert first != second and Counter(first) == Counter(second)
    plain = load("digits/uniform-10pct", streaming=True)
    whole, seen = keys_of(plain), []
    for row in plain:
        seen.append(row["key"])
        if len(seen) == 110:
            state = plain.state_dict()
            break
    again = load("digits/uniform-10pct", streaming=True)
    again.load_state_dict(state)
    assert seen + keys_of(again) == whole


def test_two_workers_of_two_ranks_see_every_sample_once(hub, repo, digits_release):
    from torch.utils.data import DataLoader

    deliver(hub, repo, digits_release / "shards", V1)
    stream = load("digits/taught", epoch=0, streaming=True, format="torch")
    seen = []
    for rank in range(2):
        part = split_dataset_by_node(stream, rank, 2)
        batches = list(DataLoader(part, batch_size=50, num_workers=2))
        assert all(batch["image"].shape[1:] == (1, 8, 8) for batch in batches)
        seen += [key for batch in batches for key in batch["key"]]
    assert Counter(seen) == Counter(keys_of(stream))


def test_the_form_of_tags():
    assert TAG.fullmatch("v10.0.2") and not TAG.fullmatch("v01.0.0")


def test_what_a_resolved_revision_is(hub, released):
    found = resolve(REPO, V1)
    assert (found.commit, found.tag, found.label, found.notes) == (
        released, V1, "org/bench v1.0.0", (),
    )  # fmt: skip
