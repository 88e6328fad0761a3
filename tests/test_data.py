"""Everything committed keeps its own rules and comes out of the code again."""

import json

import numpy as np
import pytest

from lotterybench import manifests
from lotterybench.build import build_subset
from lotterybench.manifests import load_subset_manifest
from lotterybench.paths import data_root, keyring_file, reference_results
from lotterybench.score import boards
from lotterybench.tracks import track
from lotterybench.verify import verify

SUBSETS = manifests.subsets()
BASES = manifests.bases()


def test_there_is_something():
    assert {"digits", "cifar10", "cifar100"} <= set(BASES)
    assert len(SUBSETS) >= 12


@pytest.mark.parametrize("name", BASES)
def test_keyrings_are_small(name):
    base, root = manifests.find_base(name)
    samples = sum(split.rows for split in base.splits.values())
    assert keyring_file(root, name).stat().st_size <= 10 * samples
    assert manifests.load_keyring(name).digest() == base.keyring_digest


@pytest.mark.parametrize("ref", SUBSETS)
def test_manifests_are_rebuilt_from_their_own_words(ref):
    subset, positions = load_subset_manifest(ref)
    again, rebuilt = build_subset(
        subset.base, subset.selector, subset.budget, name=subset.name, seed=subset.seed,
        version=subset.version, settings=subset.settings,
    )  # fmt: skip
    assert again.data_digest() == subset.data_digest()
    if positions is not None:
        np.testing.assert_array_equal(rebuilt, positions)


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
        assert configuration.method in method
        backbone = configuration.config.get("backbone")
        if backbone is not None:
            assert configuration.family.split("/")[1] == backbone
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
    assert "cifar100-supervised-16px" in [board.track.name for board in found]
    for board in found:
        assert board.missing_full == 0
        assert all(entry.missing == 0 for entry in board.subsets)
        assert {entry.status for entry in []} == set()
