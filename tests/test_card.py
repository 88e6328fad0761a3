"""The card: what `datasets` needs, what people need, and figures that results told."""

import json
import re

import pytest
import yaml
from photos import pin_photos

from lotterybench.errors import BadRecord
from lotterybench.estimates import Interval
from lotterybench.fidelities import Fidelity
from lotterybench.manifests import bases, find_record, load_subset_manifest
from lotterybench.publication import fidelities
from lotterybench.shards import ShardIndex, shard_problems, write_shards
from lotterybench.shards.figures import figures_of, read_figures, written
from lotterybench.shards.licence import about, cited

REFS = ["digits/uniform-10pct@1", "digits/every-2nd-class@1"]


def fidelity(ref, **changes):
    """Return what a track might say of a subset of digits."""
    subset, _ = load_subset_manifest(ref)
    fields = {
        "track": "toy-track", "track_version": 1, "track_digest": "0" * 64, "subset": subset.id,
        "subset_version": subset.version, "subset_digest": subset.digest, "scope": "full",
        "metric": "accuracy", "configurations": 12, "families": 6, "seeds_full": 3,
        "seeds_subset": 3, "cost_ratio": 0.1, "verdict": "undecided", "why": "it is a toy",
        "tau": 0.8125, "interval": Interval(low=0.5, high=0.9375, resampled="families"),
    }  # fmt: skip
    return Fidelity(**fields | changes)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    out = tmp_path_factory.mktemp("card") / "plain"
    write_shards(REFS, out)
    return out


def text_of(folder):
    return (folder / "README.md").read_text()


def front_of(folder):
    return yaml.safe_load(text_of(folder).split("---\n")[1])


def test_without_results_nothing_is_claimed(plain):
    text = text_of(plain)
    assert text.count("not measured yet") == len(REFS)
    assert not re.search(r"\d\.\d\d \[", text)
    assert not (plain / "fidelity.json").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "| 0.81 [0.50, 0.94] | 12 (6) | undecided |"),
        (
            {"interval": None, "families": 4},
            "| 0.81, no interval (fewer than six families) | 12 (4)",
        ),
        ({"tau": None, "interval": None}, "| undefined | 12 (6) | undecided |"),
    ],
)
def test_figures_come_with_their_bounds(plain, tmp_path, changes, words):
    told = []

    def results(base):
        told.append(base)
        return [fidelity(REFS[0], **changes)]

    write_shards(REFS, tmp_path / "out", fidelity=results)
    assert told == ["digits"]
    text = text_of(tmp_path / "out")
    assert words in text and text.count("not measured yet") == 1
    assert shard_problems(tmp_path / "out") == []
    same = {p.relative_to(plain) for p in plain.rglob("*.tar")}
    assert all((tmp_path / "out" / p).read_bytes() == (plain / p).read_bytes() for p in same)
    write_shards(REFS, tmp_path / "out")  # without them, as if they never had been
    assert text_of(tmp_path / "out") == text_of(plain)
    assert not (tmp_path / "out/fidelity.json").exists()


def test_figures_of_another_subset_are_left_out():
    subset, _ = load_subset_manifest(REFS[0])
    other = fidelity(REFS[0], subset_digest="1" * 64)
    older = fidelity(REFS[0], subset_version=7)
    assert figures_of([other, older, fidelity(REFS[1])], [subset]) == []


def test_figures_survive_their_file():
    subset, _ = load_subset_manifest(REFS[0])
    both = [fidelity(REFS[0]), fidelity(REFS[0], track="another", tau=None, interval=None)]
    found = figures_of(both, [subset])
    assert [one.track for one in found] == ["another", "toy-track"]
    assert read_figures(written(found), "x") == found
    for content in (b"{", b"{}", b"[{}]"):
        with pytest.raises(BadRecord, match=r"fidelity\.json"):
            read_figures(content, "fidelity.json")


@pytest.mark.slow
def test_the_reference_results_tell_of_digits():
    from lotterybench.paths import reference_results

    found = fidelities(reference_results(), "digits")
    assert {one.subset.split("/")[0] for one in found} == {"digits"}
    subsets = [load_subset_manifest(ref)[0] for ref in REFS]
    assert {one.subset for one in figures_of(found, subsets)} == set(REFS)


def test_the_front_matter_has_what_the_hub_knows(plain):
    front = front_of(plain)
    assert front["license"] == "cc-by-4.0" and "license_name" not in front
    assert front["source_datasets"] == ["extended|other-digits"]
    assert front["annotations_creators"] == ["found"]
    names = [config["config_name"] for config in front["configs"]]
    assert names == [info["config_name"] for info in front["dataset_info"]]


def test_sections_that_a_card_has(plain):
    text = text_of(plain)
    for heading in ("How far each can be trusted", "Verify", "Uses", "Source and licence",
                    "Citation", "Limits"):  # fmt: skip
        assert text.count(f"## {heading}\n") == 1
    index = ShardIndex.read((plain / "shards.json").read_bytes(), "")
    for config in index.configs:
        assert f"`{config.digest[:16]}`" in text
    assert "\n\n\n" not in text and "{%" not in text


@pytest.mark.parametrize("name", bases())
def test_every_base_says_its_licence(name):
    base, _ = find_record(name)
    found = about(base)
    assert re.fullmatch(r"other|cc-[a-z-]+-\d\.\d", found.id)
    assert (found.id == "other") == (found.name is not None)
    assert cited(base).startswith(base.citation) and "lotterybench" in cited(base)


def test_a_base_under_terms(tmp_path, monkeypatch):
    """The card of shards that stay at home says so; that of a sealed folder has no shards."""
    monkeypatch.setenv("LOTTERYBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(tmp_path / "subsets"))
    pin_photos(tmp_path)
    file = tmp_path / "subsets/photos/base.json"
    fields = json.loads(file.read_bytes()) | {"licence": "ImageNet terms of access"}
    file.write_text(json.dumps(fields))
    for seal in (False, True):
        write_shards(["photos/few"], tmp_path / "out", seal=seal)
        front, text = front_of(tmp_path / "out"), text_of(tmp_path / "out")
        assert front["license"] == "other" and front["license_name"] == "imagenet"
        assert front["license_link"] == "https://image-net.org/download.php"
        assert ("configs" in front) != seal
        assert ("keep these shards to yourself" in text) != seal
        assert ("No image is in this release" in text) == seal
