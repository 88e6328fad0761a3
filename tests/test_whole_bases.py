"""The releases of whole bases: the same bytes twice, and each subset through the real client."""

import json

import numpy as np
import pytest
from hub_double import WRITER
from releases import V1, environment, process
from test_shards import expected, files_of

from lotterybench.errors import BadRequest
from lotterybench.hub import publish
from lotterybench.manifests import find_base, load_keyring, load_subset_manifest
from lotterybench.records import SPLITS
from lotterybench.shards import ShardIndex, shard_problems, write_release, write_shards

LOAD = """
import json, sys
from datasets import ClassLabel, load_dataset
for name in sys.argv[2:]:
    for split in ("train", "test"):
        data = load_dataset(sys.argv[1], name, split=split, revision="v1.0.0")
        label = data.features["cls"]
        assert isinstance(label, ClassLabel)
        print(json.dumps([name, split, data["__key__"][:], data["cls"][:], label.names]))
"""


def loads(hub, folder, home):
    """Publish a folder; compare each of its configs, loaded from the double, with its manifest."""
    index = ShardIndex.read((folder / "shards.json").read_bytes(), "")
    repo = f"org/lotterybench-{index.base}"
    hub.create(repo)
    assert publish(folder, repo, V1, token=WRITER).state == "new"
    names = [config.name for config in index.configs]
    done = process(LOAD, repo, *names, env=environment(hub.url, home))
    assert done.returncode == 0, done.stderr
    rows = {(name, split): told for name, split, *told in map(json.loads, done.stdout.splitlines())}
    assert len(rows) == 2 * len(index.configs)
    base, _ = find_base(index.base)
    for config in index.configs:
        subset, _ = load_subset_manifest(config.subset)
        for split in SPLITS:
            keys, labels = expected(config.subset, split)
            named, given, classes = rows[config.name, split]
            ring = load_keyring(index.base).keys[split]
            assert ring[np.array(named, np.int64)].tolist() == keys.tolist()
            assert given == labels.tolist()
            assert classes == (subset.classes or base.class_names)


@pytest.mark.slow
def test_the_release_of_digits_loads_by_its_tag(hub, tmp_path):
    write_release("digits", tmp_path / "shards")
    loads(hub, tmp_path / "shards", tmp_path / "home")


@pytest.mark.slow
def test_the_release_of_cifar100(hub, real_data, tmp_path):
    """All frozen subsets of real images: twice the same bytes, nothing wrong, and loaded."""
    for number in ("one", "two"):
        write_release("cifar100", tmp_path / number)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    assert shard_problems(tmp_path / "one") == []
    loads(hub, tmp_path / "one", tmp_path / "home")


def test_previews_need_a_tag_of_major_version_0(hub, tmp_path):
    write_shards(["digits/k-center-5pct@0"], tmp_path / "shards")
    hub.create("org/bench")
    with pytest.raises(BadRequest, match=r"v1\.0\.0 would hold previews .*k-center-5pct/v0\.json"):
        publish(tmp_path / "shards", "org/bench", V1, token=WRITER)
    assert hub.lines == []
    assert publish(tmp_path / "shards", "org/bench", "v0.3.0", token=WRITER).state == "new"
