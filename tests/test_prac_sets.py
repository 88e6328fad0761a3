"""PrAC sets and tickets as users load them: manifests, signals, the selector, and saved tickets."""

import copy
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

import lotterybench
from lotterybench.build import build_subset
from lotterybench.errors import BadRequest, BadResults, LotteryBenchError, UnknownName
from lotterybench.kinds.stages import Here, Made, folder_of
from lotterybench.kinds.stages.artefact import seal
from lotterybench.kinds.stages.watching import NEVER, Memory
from lotterybench.kinds.tickets import stages_of
from lotterybench.kinds.tickets.exported import Round, export
from lotterybench.kinds.tickets.sets import (
    changed,
    hard,
    load_set,
    save_set,
    times_forgotten,
    union,
)
from lotterybench.kinds.tickets.split import split_of
from lotterybench.manifests import find_base, load_positions, load_subset_manifest, subsets
from lotterybench.methods.base.backbones import build
from lotterybench.methods.base.data import batch_sizes
from lotterybench.paths import stages_folder, study_file, study_subsets
from lotterybench.pruning.criteria import magnitude
from lotterybench.pruning.keeping import keep
from lotterybench.pruning.levels import save_level
from lotterybench.pruning.masks import Masks
from lotterybench.pruning.prunable import prunable
from lotterybench.pruning.rounds import Level, masked
from lotterybench.recordings import find_signals, recorded_sets
from lotterybench.records import Budget
from lotterybench.score.spending import selection_cost
from lotterybench.selection import Pool, selector
from lotterybench.signals import Arrays
from lotterybench.storage import write_whole
from lotterybench.studies import Arm, Pruning, Recipe, TicketStudy
from lotterybench.verification import verify

rng = np.random.default_rng
ARMS = {
    "prac": {},
    "prac-cet": {"parts": "cet"},
    "prac-cep": {"parts": "cep"},
    "prac-twice": {"threshold": 2, "pair": "just-pruned"},
}


def study(**changes):
    """Three rounds of a small network on digits, for each way to choose sets."""
    recipe = Recipe(backbone="resnet", width=0.25, epochs=2, lr=0.1, batch=64)
    fields = {
        "schema_version": 1, "name": "mini", "version": 1, "title": "mini", "kind": "tickets",
        "base": "digits", "seeds": 1, "recipes": {"main": recipe},
        "pruning": Pruning(rounds=3, share=0.5, rewind=1), "evaluated": [0, 2], "at": 2,
        "arms": [Arm(name=name, data="prac", **how) for name, how in ARMS.items()],
    }  # fmt: skip
    return TicketStudy(**(fields | changes))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LOTTERYBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Made_up:
    """A study whose rounds were made up, not trained: what each saw of every sample is known."""

    def __init__(self, folder, plan=None, empty=()):
        self.study, self.folder = plan or study(), folder
        self.base, _ = find_base("digits")
        self.split = split_of(self.base, self.study.validation, self.study.split)
        self.counts, self.differs, self.stages = {}, {}, {}
        write_whole(study_file(folder), self.study.pretty())
        for stage in stages_of(self.study, self.base):
            if stage.does == "round":
                arm, level = Arm(**stage.settings["arm"]), stage.settings["level"]
                self.stages[arm.name, level] = stage
                self.round(stage, arm, level, (arm.name, level) in empty)

    def trained_on(self, name, level):
        if level == 0:
            return self.split.train
        return self.set_of(name, level - 1).positions

    def set_of(self, name, level):
        return load_set(self.place(name, level) / "set.safetensors")

    def place(self, name, level):
        return folder_of(self.stages[name, level], stages_folder(self.folder))

    def round(self, stage, arm, level, empty):
        """Do as a round does, with made-up counts and predictions."""
        r, rows = rng([level, len(arm.name)]), self.base.splits["train"].rows
        trained = self.trained_on(arm.name, level)
        counts = np.full(rows, -1, np.int16)
        often = 1 if empty else 5
        counts[trained] = r.choice([*range(often), *([] if empty else [NEVER])], len(trained))
        everything = torch.from_numpy(self.split.train)
        dense = torch.from_numpy(r.integers(0, 10, len(everything)))
        off = torch.from_numpy(r.random(len(everything)) < (0 if empty or not level else 0.3))
        sparse = (dense + off) % 10
        self.counts[arm.name, level] = counts
        self.differs[arm.name, level] = set(self.split.train[off.numpy()].tolist())
        none = everything[:0]
        cet = hard(torch.from_numpy(counts), torch.from_numpy(trained), arm.threshold)
        cet = none if arm.parts == "cep" else cet
        cep = none if arm.parts == "cet" else changed(dense, sparse, everything)
        found = union(cet, cep, torch.from_numpy(counts))
        if len(found.positions) < 2:  # as a round does
            found = union(torch.from_numpy(trained), none, torch.from_numpy(counts))
        here = Here(self.place(arm.name, level), {}, "cpu")
        here.folder.mkdir(parents=True, exist_ok=True)
        save_set(found, here.folder / "set.safetensors")
        if arm.name == "prac":
            self.network(here.folder, level)
        metrics = {
            "samples": len(trained), "epochs": 2, "planned-epochs": 2, "settled": 0.0,
            "density": 0.5**level,
        }  # fmt: skip
        made = Made(metrics, images=2 * len(trained), looked=300)
        seal(self.study, self.base.digest, stage, here, made, 1.0)

    def network(self, folder, level):
        """Write a level and the masks of the next; the classifier is in the level, too."""
        body = build("resnet", in_chans=1, size=8, seed=7, width=0.25)
        weights = prunable(body)
        masks, after = (keep(magnitude(weights), 0.5**k) for k in (level, level + 1))
        held = {**dict(body.named_parameters()), **dict(body.named_buffers())}
        point = {name: value.detach().contiguous() for name, value in held.items()}
        point |= {"@head.weight": torch.ones(10, 4), "@head.bias": torch.zeros(10)}
        save_level(Level(level, masks, point, point), folder / "level.safetensors")
        after.save(folder / "next.safetensors")

    def export(self):
        for stage in self.stages.values():
            export(self.study, stage, self.folder)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A made-up study, exported, and the cache that its signals are in."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOTTERYBENCH_CACHE", str(folder / "cache"))
        found = Made_up(folder / "results" / "mini")
        found.export()
    return found, folder


@pytest.fixture
def made(shared, monkeypatch):
    """The made-up study, to be read only."""
    found, folder = shared
    monkeypatch.setenv("LOTTERYBENCH_CACHE", str(folder / "cache"))
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(study_subsets(found.folder)))
    return found


@pytest.fixture
def copied(shared, tmp_path, cache, monkeypatch):
    """A copy of it that may be changed."""
    found, folder = shared
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    mine = copy.copy(found)
    mine.folder = tmp_path / "results" / "mini"
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(study_subsets(mine.folder)))
    return mine


def signals_named(made, arm):
    return next(one for one in recorded_sets("digits") if one.proxy.config["arm"] == arm).digest


def brute_force(counts, differs, parts="both", threshold=0):
    """Return a set in the selector's order, sample by sample."""
    ranked = []
    for at, count in enumerate(counts.tolist()):
        cet = parts != "cep" and count > threshold
        cep = parts != "cet" and at in differs
        if cet or cep:
            ranked.append(((0 if cep else 1) if cet else 2, -count if cet else 0, at))
    return [at for _, _, at in sorted(ranked)]


# Sets as manifests.


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("level", [1, 2])
def test_a_manifest_is_the_rounds_set(made, arm, level):
    subset, positions = load_subset_manifest(f"digits/mini-{arm}-level{level}-seed0")
    columns = load_positions(
        study_subsets(made.folder) / "digits" / subset.name / "v1.json"
    )  # fmt: skip
    types = {name: str(values.dtype) for name, values in columns.items()}
    assert types == {"position": "uint32", "cet": "bool", "cep": "bool", "forgotten": "int16"}
    how, counts, differs = ARMS[arm], made.counts[arm, level], made.differs[arm, level]
    parts, threshold = how.get("parts", "both"), how.get("threshold", 0)
    assert positions.tolist() == sorted(brute_force(counts, differs, parts, threshold))
    for at, cet, cep, count in zip(*columns.values(), strict=True):
        assert count == counts[at]
        assert cet == (parts != "cep" and counts[at] > threshold)
        assert cep == (parts != "cet" and int(at) in differs)
    assert subset.selector == "prac"
    assert subset.budget.count == len(positions)
    assert not set(positions) & set(made.split.validation)


def test_a_manifest_says_what_determines_the_set(made):
    subset, _ = load_subset_manifest("digits/mini-prac-twice-level1-seed0")
    stage = made.stages["prac-twice", 1]
    assert subset.settings == {
        "study": "mini", "study_version": 1, "study_digest": made.study.digest(),
        "resolution": None, "validation": 0.1, "split": "random",
        "recipe": stage.settings["recipe"], "pruning": stage.settings["pruning"],
        "arm": stage.settings["arm"], "level": 1, "patience": 5, "epsilon": 0.08, "threshold": 2,
        "trained_on": len(made.trained_on("prac-twice", 1)), "sparsity": 0.5, "epochs": 2,
        "planned_epochs": 2, "stopped_early": False, "in_sample": True, "stage": stage.key,
    }  # fmt: skip
    shown = subset.selected_with
    assert (shown.labels, shown.proxy_seeds, shown.proxy_folds) == (True, [0], 0)
    assert shown.proxy.families == ["supervised/resnet"]
    # two rounds of two epochs, and 300 images that went forward in each
    trained = 2 * sum(len(made.trained_on("prac-twice", level)) for level in (0, 1)) + 200
    rows = made.base.splits["train"].rows
    assert 0 <= selection_cost(subset, rows) - trained < rows


def test_all_manifests_hold_and_are_found(made):
    names = [f"digits/mini-{arm}-level{k}-seed0@1" for arm in ARMS for k in range(3)]
    assert set(names) | {"digits/mini-validation@1"} < set(subsets("digits"))
    assert verify(study_subsets(made.folder)) == []


def test_the_command_checks_them_and_tells_of_a_changed_one(copied, capsys):
    from typer.testing import CliRunner

    from lotterybench.cli import app

    root = study_subsets(copied.folder)
    assert CliRunner().invoke(app, ["check", str(root)]).exit_code == 0
    file = root / "digits" / "mini-prac-level2-seed0" / "v1.json"
    file.write_text(file.read_text().replace('"epsilon": 0.08', '"epsilon": 0.07'))
    done = CliRunner().invoke(app, ["check", str(root)])
    assert done.exit_code == 1
    assert "digest" in done.output


def test_validation_samples_are_a_manifest_that_is_no_prac_set(made):
    subset, positions = load_subset_manifest("digits/mini-validation")
    assert positions.tolist() == made.split.validation.tolist()
    assert subset.selector == "held-out"
    assert not subset.selected_with.labels
    assert set(positions) | set(made.split.train) == set(range(made.base.splits["train"].rows))


def everything_below(*folders):
    return {file: file.read_bytes() for of in folders for file in of.rglob("*") if file.is_file()}


def test_exporting_again_changes_nothing_whatever_the_software(copied, cache, monkeypatch):
    before = everything_below(copied.folder, cache)
    monkeypatch.setattr("lotterybench.validity.package_version", lambda: "9.9")
    monkeypatch.setattr("lotterybench.kinds.tickets.exported.code_digest", lambda *_: "f" * 64)
    copied.export()
    assert everything_below(copied.folder, cache) == before


def test_another_set_in_its_place_is_one_line(copied):
    place = copied.place("prac", 1)
    found = load_set(place / "set.safetensors")
    save_set(found._replace(positions=found.positions + 1), place / "set.safetensors")
    with pytest.raises(BadResults, match=r"mini-prac-level1-seed0 holds another set than round"):
        copied.export()


def test_only_finished_rounds_of_prac_are_exported(tmp_path, cache):
    arms = [Arm(name="imp", data="full"), Arm(name="prac", data="prac")]
    found = Made_up(tmp_path / "mini", study(arms=arms))
    stage = found.stages["prac", 0]
    here = Here(found.place("prac", 0), {}, "cpu")
    failed = Made(status="invalid", reason="the loss was not finite")
    seal(found.study, found.base.digest, stage, here, failed, 1.0)
    export(found.study, stage, found.folder)
    export(found.study, found.stages["imp", 0], found.folder)
    assert not study_subsets(found.folder).exists()


def test_a_round_that_found_nothing_says_that_its_own_samples_went_on(tmp_path, cache, monkeypatch):
    """Too few are hard and none changed: no flags, and the selector has nothing to give."""
    found = Made_up(tmp_path / "mini", empty={("prac", 2), ("prac-cep", 1)})
    found.export()
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(study_subsets(found.folder)))
    for arm, level in (("prac", 2), ("prac-cep", 0), ("prac-cep", 1)):
        subset, positions = load_subset_manifest(f"digits/mini-{arm}-level{level}-seed0")
        file = study_subsets(found.folder) / "digits" / subset.name / "v1.json"
        columns = load_positions(file)
        assert subset.settings["carried_over"] is True
        assert positions.tolist() == found.trained_on(arm, level).tolist()
        assert not (columns["cet"] | columns["cep"]).any()
    last = signals_named(found, "prac")
    with pytest.raises(BadRequest, match="5 samples were asked for; no sample is in the set after"):
        build_subset("digits", "prac", Budget(count=5), name="x", signals=last)
    subset, _ = load_subset_manifest("digits/mini-prac-level1-seed0")
    assert "carried_over" not in subset.settings


def test_a_name_that_is_too_long_is_one_line(tmp_path, cache):
    found = Made_up(tmp_path / "long", study(name="n" * 80, arms=[Arm(name="a" * 80, data="prac")]))
    with pytest.raises(BadRequest, match=r"digits/nnn.*at most 160 characters"):
        found.export()


# The selector.


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("level", [1, 2])
def test_the_selector_takes_the_exported_set(made, arm, level):
    """At its full size the same samples as the manifest, in the order of brute force."""
    settings = {key: value for key, value in ARMS[arm].items() if key != "pair"}
    _, positions = load_subset_manifest(f"digits/mini-{arm}-level{level}-seed0")
    full = Budget(count=len(positions))
    given = {"signals": signals_named(made, arm), "settings": {**settings, "round": level}}
    subset, columns = build_subset("digits", "prac", full, name="x", **given)
    expected = brute_force(made.counts[arm, level], made.differs[arm, level], **settings)
    assert columns["position"].tolist() == expected
    assert sorted(expected) == positions.tolist()
    assert subset.selected_with.proxy_folds == 0
    assert subset.selected_with.labels
    small = build_subset("digits", "prac", Budget(fraction=0.05), name="y", **given)[1]
    assert small["position"].tolist() == expected[:60]
    if level == 2:  # the last is the default
        given["settings"] = settings
        assert build_subset("digits", "prac", full, name="x", **given)[1]["position"].tolist() == (
            expected
        )
    with pytest.raises(BadRequest, match=f"the set after round {level} .* has {len(positions)}"):
        build_subset("digits", "prac", Budget(count=len(positions) + 1), name="x", **given)


@pytest.mark.parametrize("threshold", [0, 1, 3, NEVER - 1])
@pytest.mark.parametrize("parts", ["both", "cet", "cep"])
def test_any_threshold_above_the_arms_is_exact(made, parts, threshold):
    pool = Pool(np.zeros(1201, np.int64), 1, find_signals("digits", signals_named(made, "prac")))
    counts, differs = made.counts["prac", 1], made.differs["prac", 1]
    expected = brute_force(counts, differs, parts, threshold)
    size = len(expected)
    got = selector["prac"](pool, size, rng(0), round=1, parts=parts, threshold=threshold)
    assert got.tolist() == expected


def test_what_an_arm_did_not_write_down_is_refused(made):
    def pool(arm):
        return Pool(np.zeros(1201, np.int64), 1, find_signals("digits", signals_named(made, arm)))

    prac = selector["prac"]
    with pytest.raises(BadRequest, match="a threshold of 1: give threshold=2 or more"):
        prac(pool("prac-twice"), 9, rng(0), threshold=1)
    with pytest.raises(BadRequest, match="a threshold of 7: give parts=cep"):
        prac(pool("prac-cep"), 9, rng(0), threshold=7)
    with pytest.raises(BadRequest, match="compared no predictions: give parts=cet"):
        prac(pool("prac-cet"), 9, rng(0))
    with pytest.raises(BadRequest, match="round is 3; the recording has the rounds 0 to 2"):
        prac(pool("prac"), 9, rng(0), round=3)
    with pytest.raises(BadRequest, match="threshold is -1; it is at least 0"):
        prac(pool("prac"), 9, rng(0), threshold=-1)
    with pytest.raises(BadRequest, match=r"several recorded sets of digits .*prac-cet of mini"):
        build_subset("digits", "prac", Budget(count=9), name="x")
    with pytest.raises(BadRequest, match="parts is 'all'"):
        build_subset("digits", "prac", Budget(count=9), name="x", settings={"parts": "all"})


def test_thresholds_that_leave_none_never_give_all():
    """The public code's `argsort()[-rest:]` with rest 0 is every sample."""
    signals = Arrays(
        {}, {"prac_forgotten": np.zeros((30, 1), np.int16), "prac_changed": np.zeros((30, 1))}
    )
    pool = Pool(np.zeros(30, np.int64), 1, signals)
    for threshold in (0, 5):
        with pytest.raises(BadRequest, match=f"no sample is in .* and threshold {threshold}"):
            selector["prac"](pool, 1, rng(0), threshold=threshold)
    with pytest.raises(BadRequest, match="0 samples were asked for"):
        selector["prac"](pool, 0, rng(0))


def test_signals_of_a_study_are_left_alone_by_other_selectors(made):
    with pytest.raises(BadRequest, match="no signals of digits with error are recorded"):
        build_subset("digits", "el2n", Budget(count=9), name="x")
    last = Round(made.study, made.stages["prac", 2], made.folder)
    assert last.finding.key == last.stage.key
    stored = find_signals("digits", signals_named(made, "prac"))
    assert stored.names() == ["prac_forgotten", "prac_changed"]
    forgotten = stored.samples("prac_forgotten")
    assert (forgotten.dtype, forgotten.shape) == (np.int16, (1201, 3))
    for level in range(3):
        assert forgotten[:, level].tolist() == made.counts["prac", level].tolist()


# Tickets.


@pytest.fixture
def ticket(made):
    return lotterybench.load_ticket("mini/prac-seed0-level2", made.folder.parent)


def test_a_ticket_is_masks_and_weights_at_the_rewinding_point(made, ticket):
    body = build("resnet", in_chans=1, size=8, seed=7, width=0.25)
    weights = prunable(body)
    masks = keep(magnitude(weights), 0.25)
    masks.apply(weights)
    images = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(ticket.encoder()(images), body.eval()(images))
    assert ticket.masks == masks
    assert not any(name.startswith("@head.") for name in ticket.weights)
    ticket.encoder().load_state_dict(ticket.weights)  # timm's own names
    about = ticket.about
    assert (about.study, about.arm, about.seed, about.level) == ("mini", "prac", 0, 2)
    assert (about.recipe, about.sparsity) == (made.study.recipes["main"], masks.sparsity)
    assert about.id == "mini/prac-seed0-level2"


def test_a_ticket_survives_saving(ticket, tmp_path):
    folder = ticket.save(tmp_path / "mine")
    again = lotterybench.load_ticket(folder)
    assert again.about == ticket.about
    assert again.masks == ticket.masks
    assert again.weights.keys() == ticket.weights.keys()
    assert all(torch.equal(again.weights[k], v) for k, v in ticket.weights.items())
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert set(files) == {"masks.safetensors", "weights.safetensors", "ticket.json"}
    again.save(folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == files


def test_a_damaged_ticket_is_one_line(ticket, tmp_path):
    def refused(change, line):
        folder = ticket.save(tmp_path / "mine")
        change(folder)
        with pytest.raises(LotteryBenchError, match=line) as caught:
            lotterybench.load_ticket(folder)
        assert "\n" not in str(caught.value)

    def flip(name):
        def change(folder):
            content = bytearray((folder / name).read_bytes())
            content[-1] ^= 1
            (folder / name).write_bytes(content)

        return change

    def edit(*pair):
        def change(folder):
            file = folder / "ticket.json"
            file.write_text(file.read_text().replace(*pair))

        return change

    def exchange(folder):
        """Other masks, with the sha256 they have."""
        import hashlib

        file = folder / "masks.safetensors"
        Masks.dense({k: v for k, v in ticket.weights.items() if k in ticket.masks.kept}).save(file)
        noted = json.loads((folder / "ticket.json").read_text())
        noted["files"]["masks.safetensors"] = hashlib.sha256(file.read_bytes()).hexdigest()
        (folder / "ticket.json").write_text(json.dumps(noted))

    refused(flip("masks.safetensors"), "masks.safetensors is damaged")
    refused(flip("weights.safetensors"), "weights.safetensors is damaged")
    refused(lambda folder: (folder / "weights.safetensors").unlink(), "is missing")
    refused(edit('"seed": 0', '"seed": 1'), "ticket.json is damaged")
    refused(edit('"arm"', '"army"'), "ticket.json is not a valid savedticket")
    refused(edit('"width": 0.25', '"width": 0.5'), "ticket.json is damaged")
    refused(exchange, "ticket.json is damaged")
    refused(lambda folder: (folder / "ticket.json").unlink(), "is no ticket: give <study>")


def test_weights_of_another_network_are_one_line(ticket):
    wider = ticket.about.recipe.model_copy(update={"width": 2.0})
    other = replace(ticket, about=ticket.about.model_copy(update={"recipe": wider}))
    with pytest.raises(BadResults, match="is not as in resnet"):
        other.encoder()


def test_a_ticket_that_is_not_there_is_one_line(copied):
    results = copied.folder.parent
    for name, line in (
        ("mini/prac-seed1-level2", "mini has no ticket prac-seed1-level2 here; there are prac-"),
        ("mini/prac-seed0-level0", "has no ticket prac-seed0-level0"),
        ("other/prac-seed0-level1", "no results of other in"),
        ("mini/prac", "'mini/prac' is no ticket"),
        ("../mini/prac-seed0-level1", "is no ticket"),
    ):
        with pytest.raises(UnknownName, match=line):
            lotterybench.load_ticket(name, results)
    (copied.place("prac", 1) / "next.safetensors").write_bytes(b"nonsense")
    with pytest.raises(BadResults, match=r"next\.safetensors is damaged"):
        lotterybench.load_ticket("mini/prac-seed0-level2", results)


def test_results_lie_where_run_writes_them(copied, monkeypatch):
    monkeypatch.chdir(copied.folder.parent)
    copied.folder.parent.joinpath("out").mkdir()
    copied.folder.parent.joinpath("out/results").symlink_to(copied.folder.parent)
    assert lotterybench.load_ticket("mini/prac-seed0-level1").about.level == 1


# The paper's numbers that need no training.

TABLE_A3 = {  # sparsity: CEP, CET, PrAC, overlap in per cent of CEP
    20.00: (1501, 24159, 24168, 99.40), 36.00: (1481, 21708, 21728, 98.65),
    48.80: (3935, 19542, 19838, 92.48), 59.04: (3782, 17674, 18161, 87.12),
    67.23: (4723, 16091, 16712, 86.85), 73.79: (5514, 14771, 16026, 77.24),
    79.03: (4420, 14357, 15202, 80.88), 83.22: (4602, 13909, 14880, 78.90),
    86.58: (5391, 13741, 14980, 77.02), 89.26: (5360, 14168, 15376, 77.46),
    91.41: (5098, 14365, 15247, 82.70), 93.13: (5840, 14553, 15804, 78.58),
    94.50: (5728, 14959, 16062, 80.74), 95.60: (6370, 15290, 16360, 83.20),
    96.48: (6616, 15369, 16499, 82.92),
}  # fmt: skip


@pytest.mark.parametrize("level", range(15))
def test_unions_of_table_a3(level):
    sparsity, (cep, cet, prac, overlap) = list(TABLE_A3.items())[level]
    assert sparsity == pytest.approx(100 * (1 - 0.8 ** (level + 1)), abs=0.005)
    assert max(cet, cep) <= prac <= cet + cep
    both = cet + cep - prac
    assert 100 * both / cep == pytest.approx(overlap, abs=0.01)
    found = union(
        torch.arange(cet), torch.arange(cet - both, prac), torch.ones(45_000, dtype=torch.int16)
    )
    assert len(found.positions) == prac
    sizes = (found.cet.sum(), found.cep.sum(), (found.cet & found.cep).sum())
    assert sizes == (cet, cep, both)


def test_iterations_of_the_paper():
    assert 182 * len(batch_sizes(45_000, 128)) == 64_064
    assert 7 * 64_064 == 448_448
    assert 100 * (1 - 72_327 / 448_448) == pytest.approx(83.87, abs=0.005)


SEQUENCES = {(0, 1, 1, 0, 1, 0): 2, (0,) * 6: float("inf"), (0, 0, 1, 1): 0}


@pytest.mark.parametrize(("right", "times"), SEQUENCES.items())
def test_forgetting_of_the_paper(right, times):
    assert times_forgotten(np.array(right)) == times
    memory = Memory(torch.tensor([1, 0]), early=1)
    for epoch, yes in enumerate(right):
        logits = torch.tensor([[0.0, 1.0]]) if yes else torch.tensor([[1.0, 0.0]])
        memory.batch(epoch, torch.tensor([0]), logits)
    assert memory.counts().tolist() == [NEVER if times == float("inf") else times, -1]


def test_forgetting_batch_by_batch_is_brute_force():
    """In another order each epoch, in batches of any size, and half of the samples unseen."""
    r = rng(4)
    rows, epochs = 60, 9
    right = r.random((epochs, rows)) < np.linspace(0, 1, rows)
    labels = r.integers(0, 3, rows)
    seen = np.sort(r.permutation(rows)[:40])
    memory = Memory(torch.from_numpy(labels), early=2)
    for epoch in range(epochs):
        order = r.permutation(seen)
        for part in np.split(order, np.sort(r.choice(np.arange(1, 40), 5, replace=False))):
            said = np.where(right[epoch, part], labels[part], (labels[part] + 1) % 3)
            logits = torch.nn.functional.one_hot(torch.from_numpy(said), 3).float()
            memory.batch(epoch, torch.from_numpy(part), logits)
    for at, count in enumerate(memory.counts().tolist()):
        times = times_forgotten(right[:, at])
        assert count == (-1 if at not in seen else NEVER if times == float("inf") else times)


# A study that is run.

RUN = """
from pathlib import Path
from test_prac_sets import study
from lotterybench.run_study import run_study
from lotterybench.studies import Arm

if __name__ == "__main__":
    arms = [Arm(name="prac", data="prac", stops=True)]
    run_study(study(arms=arms), Path({out!r}), jobs=1, device="cpu")
"""


@pytest.mark.slow
def test_a_run_that_is_killed_and_repeated_leaves_the_same_sets(tmp_path, cache, monkeypatch):
    """Sets appear while it runs; each is one that an undisturbed run has, byte for byte."""
    here = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, "tests"])}
    written = {}
    for way in ("killed", "undisturbed"):
        out = tmp_path / way
        here["LOTTERYBENCH_CACHE"] = str(tmp_path / f"cache-{way}")
        root = study_subsets(out / "mini")
        command = [sys.executable, "-c", RUN.format(out=str(out))]
        if way == "killed":
            process = subprocess.Popen(command, env=here, start_new_session=True)
            while process.poll() is None and not list(root.rglob("*level0*/v1.json")):
                time.sleep(0.05)
            assert process.poll() is None, "it ended before its first set was there"
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            assert not list(root.rglob("*level2*/v1.json"))
        subprocess.run(command, env=here, check=True)
        signals = tmp_path / f"cache-{way}" / "signals"
        written[way] = [
            {file.relative_to(of): file.read_bytes() for file in of.rglob("*") if file.is_file()}
            for of in (root, signals)
        ]
    assert written["killed"] == written["undisturbed"]
    assert len(written["killed"][0]) == 2 * 4
    assert verify(root) == []
    monkeypatch.setenv("LOTTERYBENCH_CACHE", here["LOTTERYBENCH_CACHE"])
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(root))
    for level in range(3):
        _, positions = load_subset_manifest(f"digits/mini-prac-level{level}-seed0")
        columns = build_subset(
            "digits", "prac", Budget(count=len(positions)), name="x", settings={"round": level}
        )[1]
        assert sorted(columns["position"].tolist()) == positions.tolist()
    results = tmp_path / "killed"
    ticket = lotterybench.load_ticket("mini/prac-seed0-level2", results)
    stage = next(
        file.parent
        for file in stages_folder(results / "mini").glob("*/done.json")
        if json.loads(file.read_bytes())["finding"]["stage"] == "ticket"
    )
    saved = ticket.save(tmp_path / "saved")
    for name in ("masks.safetensors", "weights.safetensors"):
        assert (saved / name).read_bytes() == (stage / name).read_bytes()
    masked(ticket.weights, ticket.masks)
