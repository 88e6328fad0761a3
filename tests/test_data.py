"""Everything committed keeps its own rules and comes out of the code again."""

import json

import numpy as np
import pytest

from lotterybench import manifests
from lotterybench.build import build_stream, build_subset
from lotterybench.kinds.tickets.split import split_of
from lotterybench.manifests import load_drawn
from lotterybench.methods.base.architectures import ARCHITECTURES
from lotterybench.paths import data_root, keyring_file, reference_results, timings_file
from lotterybench.record import record_signals
from lotterybench.records import Base, canonical_json
from lotterybench.results import read
from lotterybench.run_study import read_findings
from lotterybench.score import boards
from lotterybench.tracks import study, track
from lotterybench.verification import verify

SUBSETS = manifests.subsets()
BASES = manifests.bases()
PINNED = [name for name in BASES if isinstance(manifests.find_record(name)[0], Base)]


def test_there_is_something():
    assert {"digits", "cifar10", "cifar100"} <= set(BASES)
    assert len(SUBSETS) >= 12


@pytest.mark.parametrize("name", PINNED)
def test_keyrings_are_small(name):
    base, root = manifests.find_base(name)
    samples = sum(split.rows for split in base.splits.values())
    assert keyring_file(root, name).stat().st_size <= 10 * samples
    assert manifests.load_keyring(name).digest() == base.keyring_digest


def rebuilds(subset, positions):
    """Check that a manifest's own words give the same selection again."""
    again, rebuilt = build_subset(
        subset.base, subset.selector, subset.budget, name=subset.name, seed=subset.seed,
        version=subset.version, settings=subset.settings, signals=subset.selected_with.signals,
    )  # fmt: skip
    assert again.data_digest() == subset.data_digest(), subset.ref
    if positions is not None:
        np.testing.assert_array_equal(rebuilt["position"], positions)


@pytest.mark.parametrize("base", BASES)
def test_manifests_without_signals_are_rebuilt_from_their_own_words(base):
    for ref in manifests.subsets(base):
        subset, positions = load_drawn(ref)
        shown = subset.selected_with
        elsewhere = shown.signals or shown.recordings or "study" in subset.settings
        if not elsewhere and subset.stream is None:
            rebuilds(subset, positions)


REDRAWN = [
    pytest.param(name, marks=[] if name in {"digits", "cifar10-5k"} else pytest.mark.slow)
    for name in ("digits", "cifar10-5k", "cifar10", "cifar100")
]


@pytest.mark.parametrize("base", REDRAWN)
def test_streams_are_drawn_again_from_their_own_words(base):
    """The released halves have no targets: weights of priors are not published."""
    stream = load_drawn(f"{base}/rela-50pct@0", 0)[0]
    assert (stream.budget.fraction, stream.seed, stream.stream.targets) == (0.5, 0, None)
    again = build_stream(
        base, stream.budget.fraction, name=stream.name, seed=stream.seed, version=stream.version
    )
    apart = {"created_with", "digest"}
    assert again.fields(without=apart) == stream.fields(without=apart)


def of_studies():
    return [
        (subset, positions)
        for subset, positions in map(load_drawn, SUBSETS)
        if "study" in subset.settings
    ]


def test_sets_of_studies_are_as_large_as_their_findings_say():
    """Each committed PrAC set against the line of the round that found it."""
    checked = set()
    for subset, _ in of_studies():
        if subset.selector != "prac":
            continue
        results = reference_results() / subset.settings["study"]
        (line,) = [f for f in read_findings(results) if f.key == subset.settings["stage"]]
        columns = manifests.load_positions(manifests.find_manifest(subset.ref))
        found = (len(columns["position"]), columns["cet"].sum(), columns["cep"].sum())
        assert found == tuple(line.metrics[name] for name in ("set", "cet", "cep")), subset.id
        assert (line.arm, line.seed, line.study_digest) == (
            subset.settings["arm"]["name"], subset.seed, subset.settings["study_digest"]
        )  # fmt: skip
        checked.add((subset.base, subset.seed, subset.settings["level"]))
    assert len(checked) == sum(
        study[name].seeds * study[name].pruning.rounds
        for name in ("digits-tickets-tiny", "cifar10-5k-tickets-16px")
    )


def test_no_round_of_a_study_looks_at_the_samples_held_out():
    held = {s.settings["study"]: set(p) for s, p in of_studies() if s.selector == "held-out"}
    assert set(held) == {"digits-tickets-tiny", "cifar10-5k-tickets-16px"}
    for subset, positions in of_studies():
        if subset.selector == "prac":
            assert not held[subset.settings["study"]] & set(positions), subset.id
    for name, positions in held.items():
        plan = study[name]
        base, _ = manifests.find_base(plan.base)
        again = split_of(base, plan.validation, plan.split).validation
        np.testing.assert_array_equal(sorted(positions), again)


@pytest.mark.slow
def test_signals_recorded_again_give_the_same_subsets_of_digits(tmp_path, monkeypatch):
    """The recordings that the committed manifests name, made anew, and all they select."""
    monkeypatch.setenv("LOTTERYBENCH_CACHE", str(tmp_path))
    found = [load_drawn(ref) for ref in manifests.subsets("digits")]
    shown = {s.selected_with.signals: s.selected_with for s, _ in found if s.selected_with.signals}
    assert len(shown) == 2
    for digest, entry in shown.items():
        made = record_signals(
            "digits", entry.proxy.method, dict(entry.proxy.config), seeds=len(entry.proxy_seeds)
        )
        if made.digest != digest:
            pytest.skip("another processor or torch gives other last bits: nothing to compare")
    for subset, positions in found:
        if subset.selected_with.signals is not None:
            rebuilds(subset, positions)


@pytest.mark.parametrize("base", BASES)
def test_no_two_canonical_subsets_are_the_same(base):
    """Of equal size: another selector, or another draw, is another set of samples."""
    there = {}
    for ref in manifests.subsets(base):
        subset, positions = load_drawn(ref)
        if subset.version == 0 and positions is not None:
            chosen = (len(positions), np.sort(positions).tobytes())
            assert chosen not in there, (ref, there.get(chosen))
            there[chosen] = ref


def test_the_subsets_are_small():
    files = [file for file in (data_root() / "subsets").rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 12_000_000


@pytest.mark.slow
def test_everything_committed_checks():
    assert verify(data_root() / "subsets") == []
    assert verify(reference_results()) == []


@pytest.mark.parametrize("name", track)
def test_tracks_name_what_exists(name):
    from lotterybench.methods import method

    entry = track[name]
    assert entry.name == name
    assert entry.base in BASES
    assert set(entry.subsets) <= set(SUBSETS)
    for configuration in entry.configurations:
        assert configuration.method in (method if entry.kind == "ranking" else {"stacked"})
        backbone = configuration.config.get("backbone")
        if backbone is not None:  # the exact tracks' own are no group's
            group = ARCHITECTURES[backbone].group if backbone in ARCHITECTURES else backbone
            assert configuration.family.split("/")[1] == group
    per_family = {}
    for configuration in entry.scored():
        per_family[configuration.family] = per_family.get(configuration.family, 0) + 1
    assert max(per_family.values()) <= 4


@pytest.mark.parametrize("name", track)
def test_frozen_tracks_are_the_registered_ones(name):
    file = reference_results() / name / "track.json"
    if not file.is_file():
        pytest.skip(f"{name} has no reference results yet")
    assert json.loads(file.read_bytes()) == track[name].fields()


def test_reference_results_are_complete():
    found = boards(reference_results())
    names = {board.track.name for board in found}
    assert names >= {"cifar100-supervised-16px", "digits-selfsup", "digits-supervised"}
    for board in found:
        assert board.missing_full == 0
        assert board.subsets
        assert all(entry.missing == 0 for entry in board.subsets)


@pytest.mark.parametrize(
    "file",
    sorted(
        set(reference_results().glob("*/*.jsonl"))
        - set(reference_results().glob("*/findings.jsonl"))
    ),
    ids=lambda f: f"{f.parent.name}/{f.name}",
)
def test_reference_lines_have_their_provenance(file):
    """One software and one code digest a file, timings for every run, and chance beaten."""
    results = read(file)
    assert len({(r.code_digest, canonical_json(r.software)) for r in results}) == 1
    timed = {json.loads(line)["key"] for line in timings_file(file).read_text().splitlines()}
    assert {r.key for r in results} <= timed
    for result in results:
        assert result.status == "ok"
        assert result.origin == "reference"
        assert result.cost.device
        assert set(result.software) >= {"python", "torch", "timm", "lightly", "lotterybench"}


def test_cifar100_has_learned_something():
    """A board of chance has no spread: most configurations are far above 1 % on full data."""
    found = next(b for b in boards(reference_results()) if b.track.base == "cifar100")
    means = [score.mean for score in found.full]
    assert np.median(means) > 10
    assert max(means) > 30
