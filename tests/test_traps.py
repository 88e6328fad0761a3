"""What makes readers fail, or load wrong data in silence: each in one line of `check`.

`tests/test_shards.py` and `tests/test_publish.py` have the other traps; `docs/publishing.md` lists
all of them.
"""

import json
import shutil
import tarfile

import numpy as np
import pytest
from test_publish import edited_card, reindexed
from test_shards import edited, encode

from lotterybench.shards import write_shards
from lotterybench.shards.members import write_tar
from lotterybench.verification import verify

REFS = ["digits/uniform-10pct@1", "digits/uniform-25pct@1", "digits/every-2nd-class@1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Nested shards and those of a class list."""
    out = tmp_path_factory.mktemp("traps") / "digits"
    write_shards(REFS, out)
    return out


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "bench")


def config_of(front, name):
    return next(config for config in front["configs"] if config["config_name"] == name)


def files_of_split(front, name):
    return config_of(front, name)["data_files"][0]


def rewritten(folder, name, change):
    """Rewrite the members of a config's first tar through `change(name, content)`."""
    index = json.loads((folder / "shards.json").read_bytes())
    config = next(config for config in index["configs"] if config["name"] == name)
    path = folder / config["shards"]["train"][0]["path"]
    with tarfile.open(path) as tar:
        members = [(member.name, tar.extractfile(member).read()) for member in tar]
    write_tar(path, [change(*member) for member in members])
    reindexed(folder)


def brace_globs(folder):
    def edit(front):
        files_of_split(front, "every-2nd-class")["path"] = ["data/*/train-{00000..00001}.tar"]

    edited_card(folder, edit)
    return ["README.md: configs is not what the index calls for"]


def one_shard_twice_in_the_card(folder):
    def edit(front):
        files_of_split(front, "uniform-25pct")["path"] *= 2

    edited_card(folder, edit)
    return ["README.md: configs is not what the index calls for"]


def one_shard_twice_in_the_index(folder):
    def forge(index):
        config = next(c for c in index["configs"] if c["name"] == "uniform-25pct")
        config["shards"]["train"].append(config["shards"]["train"][0])

    edited(folder, forge)
    return ["uniform-25pct: train "]


def an_increment_left_out(folder):
    """The larger budget loads as the smaller one does."""

    def edit(front):
        files = files_of_split(front, "uniform-25pct")
        files["path"] = files["path"][:1]

    edited_card(folder, edit)
    return ["README.md: configs is not what the index calls for"]


def no_num_examples(folder):
    """With it `datasets` notices a tar that is cut short, in map mode."""

    def edit(front):
        for info in front["dataset_info"]:
            for split in info["splits"]:
                del split["num_examples"]

    edited_card(folder, edit)
    return ["README.md: dataset_info is not what the index calls for"]


def another_num_examples(folder):
    edited_card(folder, lambda front: front["dataset_info"][0]["splits"][0].update(num_examples=9))
    return ["README.md: dataset_info is not what the index calls for"]


def features_inside_configs(folder):
    """`datasets` ignores them for tars, so that labels are plain numbers."""

    def edit(front):
        for config, info in zip(front["configs"], front.pop("dataset_info"), strict=True):
            config["features"] = info["features"]

    edited_card(folder, edit)
    return ["README.md: configs is not what", "README.md: dataset_info is not what"]


def a_name_that_no_config_may_have(folder):
    edited_card(folder, lambda front: front["configs"][0].update(config_name="a/b"))
    return ["README.md: configs is not what the index calls for: the first config is"]


def label_out_of_range(folder):
    change = lambda name, body: (name, b"5" if name.endswith(".cls") else body)  # noqa: E731
    rewritten(folder, "every-2nd-class", change)
    return ["every-2nd-class: train does not hold the manifest's samples and labels"]


def a_class_name_for_a_label(folder):
    change = lambda name, body: (name, b"zero" if name.endswith(".cls") else body)  # noqa: E731
    rewritten(folder, "every-2nd-class", change)
    return ["data/every-2nd-class/train-00000.tar cannot be read: ", "is no label"]


def an_image_of_another_kind(folder):
    """A png named jpg: a column that the first five samples lack is filled or dropped."""
    change = lambda name, body: (name.replace("png", "jpg"), body)  # noqa: E731
    rewritten(folder, "every-2nd-class", change)
    return ["data/every-2nd-class/train-00000.tar cannot be read: ", "pair of .cls and .png"]


def an_extra_member(folder):
    """`datasets` drops a field that comes late, in silence."""

    def change(name, body):
        return (name.replace(".cls", ".json"), b"{}") if name.endswith("2.cls") else (name, body)

    rewritten(folder, "every-2nd-class", change)
    return ["data/every-2nd-class/train-00000.tar cannot be read: ", "pair of .cls and .png"]


def another_image(folder):
    black = encode(np.zeros((8, 8, 1), np.uint8))
    rewritten(folder, "every-2nd-class", lambda n, b: (n, black if n.endswith("png") else b))
    return ["data/every-2nd-class/train-00000.tar: sample ", "is not the keyring's"]


def a_script_of_the_repositorys_name(folder):
    """`datasets` refuses the repository, or takes what is in its cache."""
    (folder / "bench.py").write_text("")
    return ["bench.py is not in shards.json"]


TRAPS = [
    brace_globs, one_shard_twice_in_the_card, one_shard_twice_in_the_index, an_increment_left_out,
    no_num_examples, another_num_examples, features_inside_configs,
    a_name_that_no_config_may_have, label_out_of_range, a_class_name_for_a_label,
    an_image_of_another_kind, an_extra_member, another_image, a_script_of_the_repositorys_name,
]  # fmt: skip


def test_without_a_trap_nothing_is_wrong(folder):
    assert verify(folder) == []


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.__name__)
def test_a_trap_is_a_line(copy, trap):
    wanted = trap(copy)
    problems = verify(copy)
    assert problems
    assert all("\n" not in problem and len(problem) < 400 for problem in problems)
    for words in wanted:
        assert any(words in problem for problem in problems), problems
