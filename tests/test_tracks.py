"""Tracks that are large enough for a verdict, and the page that lists all tracks."""

import re
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lotterybench.errors import BadData
from lotterybench.kinds.admission import check_track
from lotterybench.manifests import find_record, load_subset_manifest
from lotterybench.methods import Task, method
from lotterybench.methods.base import architectures, probes
from lotterybench.methods.base.architectures import architecture
from lotterybench.methods.base.data import Resident
from lotterybench.methods.base.loop import train
from lotterybench.methods.base.recipe import settings_of
from lotterybench.pilot import nearest_control, random_subset
from lotterybench.ranking.null import MIN_NULL_PRIMARY
from lotterybench.ranking.verdicts import MIN_CONFIGURATIONS, MIN_FAMILIES, MIN_SEEDS
from lotterybench.records import Base
from lotterybench.run import plan
from lotterybench.score.pool import Scored
from lotterybench.sources.known import ROWS
from lotterybench.tracks import track
from lotterybench.tracks.base import selfsup

PAGE = Path(__file__).parents[1] / "docs" / "tracks.md"
LARGE = [
    "cifar10-5k-selfsup-16px",
    "cifar10-5k-supervised",
    "cifar10-5k-supervised-16px",
    "cifar10-supervised",
    "cifar10-supervised-16px",
    "cifar100-selfsup",
    "cifar100-selfsup-16px",
    "cifar100-supervised",
    "cifar100-supervised-16px-v2",
    "imagenet1k-selfsup",
    "tiny-imagenet-selfsup",
    "tiny-imagenet-selfsup-16px",
]
DECLARED = [name for name in LARGE if track[name].base in ("imagenet-1k", "tiny-imagenet")]
PINNED = [name for name in LARGE if name not in DECLARED]
SIDES = {"imagenet-1k": 64, "tiny-imagenet": 64}  # in pixels; all others have 32
NETS = [name for name in track if track[name].configurations[0].method != "stacked"]


def side(entry):
    return entry.resolution or SIDES.get(entry.base, 32)


def cost(subset):
    """Return the part of full data that a subset costs."""
    if subset.positions:
        return subset.positions.count / ROWS[subset.base][0]
    return len(subset.classes) / len(find_record(subset.base)[0].class_names)


@cache
def manifest(ref):
    return load_subset_manifest(ref)[0]


def manifests(entry):
    return [manifest(ref) for ref in entry.subsets]


@pytest.mark.parametrize("name", NETS)
def test_families_are_objective_and_group(name):
    entry = track[name]
    for one in entry.configurations:
        group = architecture(str(one.config["backbone"])).group
        objective = method.facts(one.method)["objective"]
        assert one.family == f"{'anchor' if one.name in entry.anchors else objective}/{group}"


@pytest.mark.parametrize("name", LARGE)
def test_a_verdict_is_in_reach_on_every_subset(name):
    """Also without the families that recorded the signals by which a subset was chosen."""
    entry = track[name]
    assert (entry.seeds.full, entry.seeds.subset) == MIN_SEEDS
    assert entry.null >= MIN_NULL_PRIMARY
    for subset in manifests(entry):
        proxy = subset.selected_with.proxy
        left = [e for e in entry.scored() if not proxy or e.family not in proxy.families]
        assert len(left) >= MIN_CONFIGURATIONS
        assert len({e.family for e in left}) >= MIN_FAMILIES


@pytest.mark.parametrize("name", LARGE)
def test_subsets_have_controls_of_their_cost_and_a_primary_budget(name):
    entry = track[name]
    found = manifests(entry)
    assert {subset.base for subset in found} == {entry.base}
    assert {round(cost(subset), 6) for subset in found} == {arm.amount for arm in entry.cheaper}
    assert {arm.arm for arm in entry.cheaper} == {"control"}
    primary = [subset for subset in found if entry.primary in subset.name]
    assert len({subset.selector for subset in primary}) >= 4
    assert entry.primary in random_subset(entry).name
    assert nearest_control(entry) is not None


@pytest.mark.parametrize("name", LARGE)
def test_the_choose_pool_is_large_and_apart(name):
    entry = track[name]
    families = {e.name: e.family for e in entry.configurations}
    chosen = {families[name] for name in entry.choose}
    assert not chosen & {e.family for e in entry.scored()}
    assert len(entry.choose) in (0, 12)
    cheap = "supervised-16px" not in name and "-16px" in name
    assert bool(entry.choose) == (cheap or side(entry) == 32)


@pytest.mark.parametrize("name", LARGE)
def test_methods_and_backbones_take_the_settings(name):
    entry = track[name]
    check_track(entry, SimpleNamespace(id=entry.base, size=(SIDES.get(entry.base, 32),) * 2))
    settings = [(e.method, sorted(e.config.items())) for e in entry.configurations]
    assert all(settings.count(one) == 1 for one in settings), "the same training under two names"
    for one in entry.configurations:
        width = float(one.config.get("width", 1.0))
        architectures.check(str(one.config["backbone"]), size=side(entry), width=width)
        assert one.axis is None or one.axis in one.config
        if one.method != "random-init":
            assert {"lr", "epochs", "batch"} <= set(one.config) <= {*settings_of(one.method)}
        if one.name not in entry.anchors:
            labels = entry.probe == "classifier"
            assert method.facts(one.method)["labels"] == labels
            assert method.facts(one.method)["objective"] != "masked"


@pytest.mark.parametrize("name", LARGE)
def test_trends_have_steps_enough(name):
    """Eight are asked for (protocol §3); each axis has levels that differ."""
    entry = track[name]
    pool = entry.scored()
    axes = Scored(pool, {}).axes()
    assert sum(len(axis) - 1 for axis in axes) >= 12
    assert {place for axis in axes for place in axis} == {
        place for place, one in enumerate(pool) if one.axis
    }
    for axis in axes:
        levels = [pool[place].config[pool[place].axis] for place in axis]
        assert len(set(levels)) == len(levels)


def test_self_supervised_rates_are_the_methods_defaults():
    for name, rate in selfsup.SGD.items():
        assert rate == method.facts(name)["rates"]["sgd"]
    assert method.facts("supervised")["rates"]["sgd"] == selfsup.SUPERVISED
    swept = {"sgd": architecture("resnet8").rate, "adamw": architecture("vit").rate}
    for body in [*selfsup.AT_16_PIXELS, *selfsup.AT_32_PIXELS, *selfsup.AT_64_PIXELS]:
        facts = architecture(body.backbone)
        assert (body.group, body.optimiser) == (facts.group, facts.optimiser)
        assert body.scale == facts.rate / swept[facts.optimiser]


@pytest.mark.parametrize("name", PINNED)
def test_it_is_planned_where_images_are_known(name, tmp_path):
    entry = track[name]
    arms = plan(entry, tmp_path, null=False)
    assert isinstance(find_record(entry.base)[0], Base)
    trained = [e for e in entry.configurations if "epochs" in e.config]
    assert sum(len(arm.runs) for arm in arms) == (
        len(entry.configurations) * (6 + 3 * len(entry.subsets)) + 3 * len(trained)
    )
    shortest = min(run.config["epochs"] for arm in arms if arm.cheaper for run in arm.runs)
    assert shortest == max(1, round(min(e.config["epochs"] for e in trained) / 10))


@pytest.mark.parametrize("name", DECLARED)
def test_it_is_refused_in_one_line_where_they_are_not(name, tmp_path):
    with pytest.raises(BadData) as info:
        plan(track[name], tmp_path)
    base = track[name].base
    assert str(info.value) == (
        f"{base} is declared only: pin it with `lotterybench base` where the data are"
    )
    assert not list(tmp_path.iterdir())


def rows():
    """Return the cells of the page's table by track."""
    found = [line.strip("|").split("|") for line in PAGE.read_text().splitlines()]
    cells = [[cell.strip() for cell in line] for line in found if len(line) > 5]
    return {line[0].strip("`"): line[1:] for line in cells if line[0].startswith("`")}


def test_the_page_lists_every_track_as_it_is():
    table = rows()
    assert set(table) == set(track)
    for name, (base, pixels, pool, families, seeds, subsets, null, budget, *_) in table.items():
        entry = track[name]
        scored = entry.scored()
        assert base == entry.base
        assert pixels == str({"digits": 8}.get(entry.base, side(entry)))
        assert pool == (
            f"{len(scored)} + {len(entry.choose)}" if entry.choose else str(len(scored))
        )
        assert families == str(len({e.family for e in scored}))
        assert seeds == f"{entry.seeds.full} + {entry.seeds.subset}"
        assert subsets == ("all" if entry.kind == "exact" else str(len(entry.subsets)))
        assert null == (str(entry.null) if entry.null else "–")
        assert budget == (entry.primary or "–")


@pytest.mark.parametrize("name", LARGE)
def test_the_page_tells_epochs_and_images(name):
    """Images through the networks on full data, controls, own subsets and nulls.

    A second null, matched on class counts, is drawn for each subset with uneven classes: the two
    of CIFAR-10's and of CIFAR-100's samples that read a proxy's signals.
    """
    entry, found = track[name], manifests(track[name])
    uneven = [s for s in found if s.selector in ("el2n", "k-center") and s.base != "cifar10-5k"]
    strata = {(subset.kind, cost(subset)) for subset in found}
    drawn = [of for _, of in strata] + [cost(subset) for subset in uneven]
    arms = sum(map(cost, found)) + entry.null * sum(drawn)
    total = 0
    for one in entry.configurations:
        epochs = one.config.get("epochs", 0)
        whole = entry.seeds.full * epochs + entry.seeds.subset * arms * epochs
        short = [arm.applied(one.config)["epochs"] for arm in entry.cheaper if epochs]
        views = 1 if one.method == "supervised" else 2
        total += views * ROWS[entry.base][0] * (whole + entry.seeds.subset * sum(short))
    epochs = str(entry.configurations[0].config["epochs"])
    assert rows()[name][8:10] == [epochs, f"{total / 1e9:.2f}"]


def first_of_each():
    """Return a configuration of every objective, backbone and size in pixels of the tracks."""
    found = {}
    for name in LARGE:
        entry = track[name]
        for one in entry.scored():
            objective, backbone = one.family.split("/")[0], str(one.config["backbone"])
            found.setdefault((objective, backbone, side(entry)), one)
    return [pytest.param(one, key[2], id="-".join(map(str, key))) for key, one in found.items()]


@pytest.mark.slow
@pytest.mark.parametrize(("one", "size"), first_of_each())
def test_every_family_trains(one, size):
    noise = torch.Generator().manual_seed(0)
    images = torch.randint(256, (24, 3, size, size), dtype=torch.uint8, generator=noise)
    data = Resident(images, torch.arange(24) % 4, torch.arange(24))
    task = Task(data, classes=4, mirror=True, run=f"tracks/{one.name}")
    trained = train(task, method[one.method](task, **{**one.config, "epochs": 1, "batch": 12}))
    features = probes.features(trained.encoder, images)
    assert len(trained.curve) == 1
    assert features.isfinite().all()
    assert features.std(0).max() > 0
    if trained.classifier is not None:
        assert trained.classifier(features).isfinite().all()


def test_the_page_is_linked():
    readme = (PAGE.parents[1] / "README.md").read_text()
    assert re.search(r"\(docs/tracks\.md\)", readme)
