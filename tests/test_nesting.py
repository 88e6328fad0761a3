"""Nested budgets and whole bases: shared increments, one release a base, every damage named."""

import hashlib
import shutil
import tarfile
from itertools import pairwise

import numpy as np
import pytest
from pools import toy_pool
from test_shards import edited, expected, files_of, key, reindexed, repacked
from typer.testing import CliRunner

from lotterybench.build import build_subset, save_subset
from lotterybench.cli import app
from lotterybench.errors import BadRequest, UnknownName
from lotterybench.manifests import (
    bases,
    load_drawn,
    load_subset_manifest,
    save_manifest,
    subsets,
)
from lotterybench.records import Budget, parse_ref
from lotterybench.selection import selector
from lotterybench.shards import ShardIndex, shard_problems, write_release, write_shards
from lotterybench.shards.members import write_tar
from lotterybench.shards.nesting import families, increments
from lotterybench.shards.release import only_listed, release_of
from lotterybench.validity import describe_positions

pytestmark = pytest.mark.slow

REFS = [
    "digits/uniform-10pct@1", "digits/uniform-25pct@1", "digits/every-2nd-class@1",
    "digits/class-balanced-10pct@1", "digits/class-balanced-25pct@1",
    "digits/k-center-5pct@0", "digits/k-center-10pct@0", "digits/k-center-20pct@0",
    "digits/ccs-5pct@0", "digits/ccs-10pct@0",
]  # fmt: skip
CHAINS = [
    ["uniform-10pct", "uniform-25pct"],
    ["class-balanced-10pct", "class-balanced-25pct"],
    ["k-center-5pct", "k-center-10pct", "k-center-20pct"],
]
# The golden tar of tests/test_shards.py: a family begins with the bytes of its smallest subset.
SMALLEST = "c7846299b7c9658f143e1f6f50a97f2a9e0c406ded19bdb18a2f770d7a627e44"
RUN = CliRunner()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Shards of three families of digits, of a class list, and of a selector that does not nest."""
    out = tmp_path_factory.mktemp("nested") / "digits"
    write_shards(REFS, out, per_shard=100)
    return out


@pytest.fixture(scope="module")
def index(folder):
    return ShardIndex.read((folder / "shards.json").read_bytes(), "")


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def named(index, name):
    return next(config for config in index.configs if config.name == name)


def rows_of(folder, shards):
    """Return the positions in tars, in their order."""
    found = []
    for shard in shards:
        with tarfile.open(folder / shard.path) as tar:
            found += [int(name[:-4]) for name in tar.getnames() if name.endswith(".cls")]
    return found


# --- the layout ---


def test_families_are_those_that_nest(index):
    told = {config.name: list(config.family) for config in index.configs if config.family}
    assert told == {chain[i]: chain[: i + 1] for chain in CHAINS for i in range(len(chain))}


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: chain[0])
def test_the_larger_is_the_smaller_and_its_own_increment(folder, index, chain):
    configs = [named(index, name) for name in chain]
    before = []
    for config in configs:
        shards = config.shards["train"]
        assert shards[: len(before)] == before and len(shards) > len(before)
        rows = rows_of(folder, shards)
        _, positions = load_subset_manifest(config.subset)
        assert sorted(rows) == sorted(positions.tolist())
        new = rows_of(folder, shards[len(before) :])
        assert new == [row for row in positions.tolist() if row in set(new)]  # in its own order
        before = shards


def test_no_tar_is_written_twice_and_none_stands_for_a_subset_that_it_is_a_part_of(folder, index):
    tars = [path.relative_to(folder).as_posix() for path in folder.rglob("*.tar")]
    assert sorted(tars) == sorted(shard.path for shard in index.shards())
    digests = [hashlib.sha256((folder / path).read_bytes()).hexdigest() for path in tars]
    assert len(set(digests)) == len(digests)
    for chain in CHAINS:
        assert not any((folder / "data" / name).exists() for name in chain)


def test_budgets_that_are_prefixes_keep_the_manifests_order(folder, index):
    """`uniform` chooses one sample after the other, so that nothing moves."""
    for name in CHAINS[0]:
        _, positions = load_subset_manifest(f"digits/{name}@1")
        assert rows_of(folder, named(index, name).shards["train"]) == positions.tolist()


def test_a_family_begins_with_the_tars_of_its_smallest_subset(tmp_path):
    index = write_shards(REFS[:2], tmp_path / "both")
    assert named(index, "uniform-10pct").shards["train"][0].sha256 == SMALLEST
    alone = write_shards(REFS[:1], tmp_path / "alone")
    assert alone.configs[0].shards["train"][0].sha256 == SMALLEST
    assert alone.configs[0].family == ()
    assert b"family" not in (tmp_path / "alone" / "shards.json").read_bytes()


@pytest.mark.parametrize("order", [slice(None, None, -1), slice(1, None, 2)])
def test_the_order_of_names_changes_no_byte(folder, tmp_path, order):
    refs = REFS[order] + [ref for ref in REFS if ref not in REFS[order]]
    write_shards(refs, tmp_path / "again", per_shard=100)
    assert files_of(tmp_path / "again") == files_of(folder)


def test_a_nested_folder_takes_the_place_of_another(folder, copy, tmp_path):
    write_shards(REFS[:1], copy)
    write_shards(REFS[:1], tmp_path / "fresh")
    assert files_of(copy) == files_of(tmp_path / "fresh")
    write_shards(REFS, copy, per_shard=100)
    assert files_of(copy) == files_of(folder)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: chain[0])
def test_load_dataset_gives_each_budgets_samples(folder, index, chain, streaming):
    from datasets import load_dataset

    for name in chain:
        rows = list(load_dataset(str(folder), name, split="train", streaming=streaming))
        keys, labels = expected(named(index, name).subset, "train")
        assert sorted((key(row["png"]), row["cls"]) for row in rows) == sorted(
            zip(keys.tolist(), labels.tolist(), strict=True)
        )
        assert [int(r["__key__"]) for r in rows] == rows_of(
            folder, named(index, name).shards["train"]
        )


# --- which subsets nest ---


def made(count, seed=0, name=None, **changes):
    """Return a uniform subset of digits, with fields of its manifest changed, and its positions."""
    subset, columns = build_subset(
        "digits", "uniform", Budget(count=count), name=name or f"u{count}", seed=seed
    )
    return subset.model_copy(update=changes), columns["position"].astype(np.int64)


def test_names_and_order_do_not_matter():
    small, middle, large = made(10), made(20, name="a"), made(30)
    want = {"u10": ("u10",), "a": ("u10", "a"), "u30": ("u10", "a", "u30")}
    assert families([large, small, middle]) == families([small, middle, large]) == want


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"settings": {"balanced": True}},
        {"selector": "class-balanced"},
        {"selector": "ccs"},
        {"selector": "unheard-of"},
        {"kind": "stream"},
        {"base_digest": "0" * 64},
    ],
    ids=lambda changes: "-".join(map(str, next(iter(changes.items()))))[:24],
)
def test_another_provenance_is_another_family(changes):
    """Whatever the positions: these contain each other."""
    assert families([made(10), made(20)])
    small, (large, positions) = made(10), made(20, **changes)
    assert families([small, (large, positions)]) == {}


def test_a_selector_that_does_not_nest_shares_nothing():
    assert not selector["ccs"].nests
    assert families([made(10, selector="ccs"), made(20, selector="ccs")]) == {}


def test_other_signals_are_another_family():
    subset, positions = made(20)
    told = subset.selected_with.model_copy(update={"signals": "0" * 64})
    assert (
        families([made(10), (subset.model_copy(update={"selected_with": told}), positions)]) == {}
    )


def test_positions_decide_not_the_declaration():
    small, (large, positions) = made(10), made(20)
    rest = np.setdiff1d(np.arange(1000), small[1])
    assert families([small, (large, rest[:20])]) == {}
    apart = np.append(positions[:-1], rest[-1])  # contains the smaller, not the middle one
    middle = made(15)
    other = (large.model_copy(update={"id": "digits/other"}), np.append(small[1], rest[-10:]))
    assert families([small, middle, other]) == {"u10": ("u10",), "u15": ("u10", "u15")}
    assert families([small, (large, apart)]) == {"u10": ("u10",), "u20": ("u10", "u20")}


def test_equal_positions_share_all_tars(tmp_path, monkeypatch):
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(tmp_path / "mine"))
    for name, budget in (("a", Budget(count=120)), ("b", Budget(fraction=0.1))):
        save_subset(*build_subset("digits", "uniform", budget, name=name), tmp_path / "mine")
    index = write_shards(["digits/b", "digits/a"], tmp_path / "out")
    assert named(index, "a").shards == named(index, "b").shards
    assert len(list((tmp_path / "out" / "data").rglob("train-*.tar"))) == 1
    assert shard_problems(tmp_path / "out") == []


def test_budgets_in_another_order_keep_each_increments_own(tmp_path, monkeypatch):
    """The larger lists its samples backwards, and begins with the smaller one's tars."""
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(tmp_path / "mine"))
    (small, few), (large, many) = (
        build_subset("digits", "uniform", Budget(count=count), name=f"u{count}")
        for count in (30, 70)
    )
    many = {"position": many["position"][::-1]}
    large = large.model_copy(update={"positions": describe_positions(many)})
    save_manifest(small, few, tmp_path / "mine")
    save_manifest(large.model_copy(update={"digest": large.true_digest()}), many, tmp_path / "mine")
    index = write_shards(["digits/u70", "digits/u30"], tmp_path / "out", per_shard=25)
    rows = rows_of(tmp_path / "out", named(index, "u70").shards["train"])
    assert rows == [*few["position"], *many["position"][:40]]
    assert shard_problems(tmp_path / "out") == []


def test_increments_refuse_what_does_not_contain():
    with pytest.raises(ValueError, match="b does not contain the next smaller"):
        increments(["a", "b"], {"a": np.array([1, 2]), "b": np.array([2, 3, 4])})


NESTING = [n for n in selector if selector[n].nests and selector[n].kind == "samples"]


@pytest.fixture(scope="module")
def pool():
    """As many samples and classes as digits have to train on, with every signal."""
    return toy_pool(per_class=120, classes=10, epochs=3, seeds=1)


@pytest.mark.parametrize("name", [name for name in NESTING if not selector[name].fixed])
def test_selectors_that_declare_it_nest_at_the_budgets_of_digits(name, pool):
    picked = [selector[name](pool, size, np.random.default_rng(0)) for size in (60, 120, 240, 600)]
    assert all(set(a.tolist()) < set(b.tolist()) for a, b in pairwise(picked))


@pytest.mark.parametrize("base", [base for base in bases() if subsets(base)])
def test_every_committed_budget_of_a_selector_that_nests_is_nested(base):
    """Of one provenance, there is one chain: what is declared holds for all that was built."""
    chosen = [one for one in map(load_drawn, subsets(base)) if not only_listed(one[0])]
    found = families(chosen)
    apart = [s for s, rows in chosen if s.kind == "samples" and s.name not in found]
    told = [
        (s.selector, str(s.settings), s.seed, str(s.selected_with))
        for s in apart
        if s.selector in selector and selector[s.selector].nests
    ]
    assert len(set(told)) == len(told)


# --- damage ---


def test_nothing_is_wrong(folder):
    assert shard_problems(folder) == []


@pytest.mark.parametrize("change", ["no family", "half a family", "another's", "unknown", "order"])
def test_a_forged_family_is_a_problem(copy, change):
    name = "class-balanced-25pct" if change == "no family" else "k-center-20pct"

    def forge(index):
        config = next(c for c in index["configs"] if c["name"] == name)
        if change == "no family":
            del config["family"]
        if change == "half a family":
            config["family"] = config["family"][1:]
        if change == "another's":
            config["family"] = ["uniform-10pct", "k-center-20pct"]
        if change == "unknown":
            config["family"] = ["nothing", "k-center-20pct"]
        if change == "order":
            config["shards"]["train"].reverse()

    edited(copy, forge)
    [problem] = shard_problems(copy)
    assert name in problem
    wanted = {
        "no family": "share data/class-balanced-",
        "unknown": "family names configs of the folder, itself last",
    }
    assert wanted.get(change, "tars of nested configs begin with the smaller's") in problem


def test_a_family_of_strangers_is_a_problem(copy):
    """Tars that begin with a smaller subset's, which the manifest does not contain."""

    def forge(index):
        configs = {config["name"]: config for config in index["configs"]}
        before = configs["uniform-25pct"]
        for name in ("class-balanced-10pct", "class-balanced-25pct"):
            config = configs[name]
            config["family"] = [*before["family"], *config["family"]]
            config["shards"]["train"] = before["shards"]["train"] + config["shards"]["train"]

    edited(copy, forge)
    problems = shard_problems(copy)
    assert problems == [
        f"{name}: class-balanced-10pct does not contain the next smaller subset of its family"
        for name in ("class-balanced-10pct", "class-balanced-25pct")
    ]


@pytest.mark.parametrize("change", ["swapped", "moved", "dropped"])
def test_a_sample_of_another_increment_is_a_problem(copy, index, change):
    """The set of samples of the largest budget is the same; that of a smaller one is not."""
    small, large = (named(index, name) for name in CHAINS[0])
    one = small.shards["train"][0].path
    two = large.shards["train"][-1].path
    members = {}
    for path in (one, two):
        with tarfile.open(copy / path) as tar:
            members[path] = [(m.name, tar.extractfile(m).read()) for m in tar]
    first, last = members[one][:2], members[two][:2]
    members[one] = (last if change == "swapped" else []) + members[one][2:]
    members[two] = (first if change != "dropped" else []) + (
        members[two] if change != "swapped" else members[two][2:]
    )
    for path in (one, two):
        write_tar(copy / path, members[path])
        reindexed(copy, path, (copy / path).read_bytes())

    def count(index):
        for shard in (s for c in index["configs"] for part in c["shards"].values() for s in part):
            if shard["path"] in members:
                shard["samples"] = len(members[shard["path"]]) // 2

    edited(copy, count)
    problems = shard_problems(copy)
    assert any(problem.startswith("uniform-10pct: train ") for problem in problems)
    assert any(problem.startswith("uniform-25pct: train ") for problem in problems)
    assert len(problems) == 2


def test_a_label_out_of_range_is_a_problem(copy, index):
    path = named(index, "uniform-10pct").shards["train"][0].path

    def forge(name, body):
        return name, b"10" if name.endswith("cls") else body

    reindexed(copy, path, repacked((copy / path).read_bytes(), forge))
    assert shard_problems(copy) == [
        f"{name}: train does not hold the manifest's samples and labels" for name in CHAINS[0]
    ]


def test_damage_to_a_shared_tar_is_named_once(copy, index):
    path = named(index, "uniform-10pct").shards["train"][0].path
    (copy / path).unlink()
    assert shard_problems(copy) == [f"{path} is missing"]


def test_a_smaller_budgets_manifest_that_is_damaged_is_named_once(copy):
    (copy / "manifests/digits/uniform-10pct/v1.json").write_bytes(b"{")
    assert shard_problems(copy) == [
        "manifests/digits/uniform-10pct/v1.json was changed: its sha256 is not the one in "
        "shards.json"
    ]


# --- whole bases ---


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The release of digits."""
    out = tmp_path_factory.mktemp("whole") / "digits"
    write_release("digits", out)
    return out


def test_a_release_is_each_frozen_subset_and_every_frozen_manifest(whole):
    index = ShardIndex.read((whole / "shards.json").read_bytes(), "")
    frozen = [ref for ref in subsets("digits") if parse_ref(ref)[1] > 0]
    assert sorted(index.manifests.values()) == sorted(frozen)
    with_tars = {config.subset for config in index.configs}
    assert with_tars <= set(frozen)
    for ref in set(frozen) - with_tars:
        assert "-tickets-" in ref
    assert {"digits/uniform-10pct@1", "digits/every-2nd-class@1"} <= with_tars
    assert shard_problems(whole) == []


def test_every_manifest_in_a_release_is_read_from_it(whole, monkeypatch):
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(whole / "manifests"))
    index = ShardIndex.read((whole / "shards.json").read_bytes(), "")
    for ref in index.manifests.values():
        subset, positions = load_drawn(ref)
        assert subset.ref == ref
        assert positions is None or len(positions) == subset.positions.count


def test_previews_and_what_is_only_listed_are_asked_for():
    plain, shown = release_of("digits"), release_of("digits", previews=True)
    every = release_of("digits", previews=True, every=True)
    names = {parse_ref(ref)[0] for ref in subsets("digits")}
    assert not any(ref.endswith("@0") for ref in plain.sharded + plain.manifests)
    assert "digits/el2n-hard-10pct@0" in shown.sharded
    assert not any("-draw" in ref or "-tickets-" in ref for ref in plain.sharded + shown.sharded)
    assert {parse_ref(ref)[0] for ref in every.sharded} == names
    assert len(every.sharded) == len(names)
    assert shown.manifests == every.manifests == subsets("digits")


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Return a function that adds a subset of digits to folders of one's own."""
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(tmp_path / "mine"))

    def build(name, version=1, **changes):
        budget = Budget(count=30 + version)
        subset, columns = build_subset("digits", "uniform", budget, name=name, version=version)
        return save_subset(subset.model_copy(update=changes), columns, tmp_path / "mine")

    return build


def test_tars_are_of_the_newest_version_unless_it_is_withdrawn(mine):
    mine("grown"), mine("grown", 2), mine("gone", withdrawn="a mistake"), mine("early", 0)
    held = release_of("digits")
    assert "digits/grown@2" in held.sharded and "digits/grown@1" not in held.sharded
    assert {"digits/grown@1", "digits/grown@2", "digits/gone@1"} <= set(held.manifests)
    assert not any("gone" in ref or "early" in ref for ref in held.sharded)
    assert "digits/early@0" not in held.manifests


@pytest.mark.parametrize("damage", ["content", "place", "positions"])
def test_a_manifest_without_tars_is_checked(whole, tmp_path, damage):
    copy = shutil.copytree(whole, tmp_path / "copy")
    place = "manifests/digits/digits-tickets-tiny-validation"
    other = "manifests/digits/digits-tickets-tiny-prac-level0-seed0"
    path = f"{place}/v1.positions.parquet" if damage == "positions" else f"{place}/v1.json"
    if damage == "content":
        (copy / path).write_bytes((copy / path).read_bytes().replace(b'"seed": 0', b'"seed": 1'))
    else:
        shutil.copy(copy / other / path.split("/")[-1], copy / path)
        if damage == "place":
            shutil.copy(copy / other / "v1.positions.parquet", copy / place)

    def sign(index):
        for name in index["others"]:
            index["others"][name] = hashlib.sha256((copy / name).read_bytes()).hexdigest()

    edited(copy, sign)
    [problem] = shard_problems(copy)
    assert problem.startswith(f"{place}/v1.json")
    assert "\n" not in problem


def test_a_base_without_frozen_subsets_says_what_to_do(tmp_path):
    with pytest.raises(BadRequest, match=r"cifar10-5k has no subset of version 1 .*--previews"):
        write_release("cifar10-5k", tmp_path / "out")
    with pytest.raises(UnknownName, match="cifar10"):
        write_release("cifar11", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_writes_the_release(whole, tmp_path):
    out = str(tmp_path / "out")
    done = RUN.invoke(app, ["shards", "--base", "digits", "--out", out])
    assert done.exit_code == 0, done.output
    assert files_of(tmp_path / "out") == files_of(whole)
    assert "uniform-25pct: 300 train, 596 test samples" in done.output
    assert "and 13 more manifests" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "takes names of subsets or --base; neither was given"),
        (["digits/uniform-10pct", "--base", "digits"], "both were given"),
        (["digits/uniform-10pct", "--previews"], "leave --previews out"),
        (["digits/uniform-10pct", "--all"], "leave --all out"),
    ],
)
def test_subsets_or_a_base(tmp_path, arguments, message):
    done = RUN.invoke(app, ["shards", *arguments, "--out", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert message in str(done.exception)
    assert not (tmp_path / "out").exists()
