"""Streams: the rule against brute force, its manifests, and who refuses them."""

import hashlib
import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lotterybench.build import build_stream, manifest_problems, save_subset
from lotterybench.errors import BadRecord, BadRequest
from lotterybench.listing import rows
from lotterybench.manifests import load_drawn, load_keyring, load_subset_manifest
from lotterybench.records import Budget, PriorTargets, Subset
from lotterybench.run import plan
from lotterybench.streams import (
    digest_of_epoch,
    digest_of_epochs,
    digests_of_epochs,
    positions_of_epoch,
    size_of_epoch,
)
from lotterybench.tracks import track
from lotterybench.verification import verify

FULL = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=30)
TARGETS = PriorTargets(prior="ours:a.safetensors", weights="a" * 64, dimension=4, digest="b" * 64)


def by_brute_force(keys, seed, percent, epoch):
    """Sort by (hash, position) in plain Python and take the first."""
    order = sorted(
        range(len(keys)),
        key=lambda row: (hashlib.sha256(b"%d|%d|" % (seed, epoch) + keys[row][:8]).digest(), row),
    )
    return sorted(order[: len(keys) * percent // 100])


@given(FULL, st.integers(0, 2**40), st.integers(1, 100), st.integers(0, 10**6), st.data())
def test_an_epoch_is_the_smallest_hashes(keys, seed, percent, epoch, data):
    keys = keys + data.draw(st.lists(st.sampled_from(keys), max_size=5))  # exact duplicates
    if len(keys) * percent < 100:
        with pytest.raises(BadRequest, match="is empty"):
            positions_of_epoch(keys, seed, percent / 100, epoch)
        return
    found = positions_of_epoch(keys, seed, percent / 100, epoch)
    assert found.dtype == np.int64
    assert found.tolist() == by_brute_force(keys, seed, percent, epoch)
    short = np.frombuffer(b"".join(key[:8] for key in keys), ">u8").astype(np.uint64)
    for same in ([key[:8] for key in keys], short):
        assert positions_of_epoch(same, seed, percent / 100, epoch).tolist() == found.tolist()


def test_the_rule_is_frozen():
    """Worked out with a shell's sha256sum; published streams hang on it."""
    keys = [bytes([n]) * 8 for n in range(6)]
    assert positions_of_epoch(keys, 3, 0.5, 7).tolist() == [1, 2, 3]
    assert (
        digest_of_epoch(np.array([1, 258])) == hashlib.sha256(b"\x01\0\0\0\x02\x01\0\0").hexdigest()
    )


@given(st.integers(1, 2000), st.integers(1, 1000))
def test_a_ratio_is_the_decimal_that_is_written(count, thousandths):
    """⌊r·n⌋ of 0.29 and 100 is 29; in doubles it would be 28."""
    want = count * thousandths // 1000
    if want:
        assert size_of_epoch(count, thousandths / 1000) == want
        assert want == int(Fraction(thousandths, 1000) * count)


@pytest.fixture(scope="module")
def keys():
    return load_keyring("digits").keys["train"]


def test_epochs_and_seeds_differ_and_repeat(keys):
    drawn = {
        (seed, epoch): tuple(positions_of_epoch(keys, seed, 0.3, epoch))
        for seed in range(3)
        for epoch in (0, 1, 12, 112)
    }
    assert len(set(drawn.values())) == len(drawn)
    assert drawn[1, 12] == tuple(positions_of_epoch(keys, 1, 0.3, 12))
    # seed 1, epoch 12 and seed 11, epoch 2 are not one text
    assert drawn[1, 12] != tuple(positions_of_epoch(keys, 11, 0.3, 2))


def test_smaller_ratios_are_contained_and_all_is_all(keys):
    small, large = (positions_of_epoch(keys, 0, ratio, 5) for ratio in (0.1, 0.5))
    assert set(small) < set(large)
    assert positions_of_epoch(keys, 0, 1, 5).tolist() == list(range(len(keys)))


def test_every_sample_is_drawn_as_often_as_chance_has_it(keys):
    """400 epochs of a quarter: counts of mean 100 and variance 75, and pairs of epochs at .25."""
    drawn = np.zeros((400, len(keys)), bool)
    for epoch in range(400):
        drawn[epoch, positions_of_epoch(keys, 0, 0.25, epoch)] = True
    counts = drawn.sum(0)
    unique = np.array([not np.isin(key, keys[:n]) for n, key in enumerate(keys.tolist())])
    assert abs(counts[unique].var() / 75 - 1) < 0.2  # its sd is √(2 / 1,200) = 0.04
    assert counts.min() > 55 and counts.max() < 145  # 5 sd
    overlap = (drawn[:-1] & drawn[1:]).sum(1) / drawn[0].sum()
    assert abs(overlap.mean() - 0.25) < 0.01
    assert drawn[:8].any(0).mean() == pytest.approx(1 - 0.75**8, abs=0.03)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ratio": 0}, r"ratio is 0; it is above 0 and at most 1"),
        ({"ratio": 1.01}, r"ratio is 1\.01"),
        ({"ratio": -0.5}, r"ratio is -0\.5"),
        ({"ratio": float("nan")}, "ratio is nan"),
        ({"ratio": float("inf")}, "ratio is inf"),
        ({"ratio": 0.3}, r"0\.3 of 3 samples is empty"),
        ({"seed": -1}, "no epoch 0 of seed -1"),
        ({"epoch": -2}, "no epoch -2"),
        ({"keys": [b"short"]}, "key has 5 bytes; it has 8, or all 32"),
        ({"keys": np.zeros(3, np.int64)}, "keys are bytes or uint64, not int64"),
    ],
)
def test_bad_streams_are_told(changed, message):
    asked = {"keys": [b"8 bytes."] * 3, "seed": 0, "ratio": 0.5, "epoch": 0}
    with pytest.raises(BadRequest, match=message) as told:
        positions_of_epoch(**asked | changed)
    assert "\n" not in str(told.value)


def test_digests_name_every_epoch(keys):
    found = digests_of_epochs(keys, 4, 0.5, 3)
    assert found == [digest_of_epoch(positions_of_epoch(keys, 4, 0.5, t)) for t in range(3)]
    assert digest_of_epochs(keys, 4, 0.5, 3) != digest_of_epochs(keys, 5, 0.5, 3)


@pytest.fixture(scope="module")
def stream():
    return build_stream("digits", 0.5, name="half-redrawn", seed=3, targets=TARGETS)


@pytest.fixture
def published(stream, tmp_path, monkeypatch):
    """A stream of digits in a folder of one's own: (manifest's file, record)."""
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(tmp_path))
    return save_subset(stream, None, tmp_path), stream


def test_a_stream_is_published_and_drawn_again(published, keys):
    file, made = published
    again = load_drawn("digits/half-redrawn", 0)[0]
    assert again == made == Subset.read(file.read_bytes(), "x")
    assert len(again.stream.epochs) == 100
    for epoch in (0, 1, 99):
        drawn = positions_of_epoch(keys, again.seed, again.budget.fraction, epoch)
        assert len(drawn) == 600 and digest_of_epoch(drawn) == again.stream.epochs[epoch]
    assert manifest_problems(file) == [] and verify(file) == []
    assert {"subset": "digits/half-redrawn@1", "kind": "stream"}.items() <= next(
        row.items() for row in rows("subsets") if row["subset"] == "digits/half-redrawn@1"
    )
    built = build_stream("digits", 0.5, name="half-redrawn", seed=3, targets=TARGETS)
    assert built.pretty() == file.read_bytes()


def test_what_is_drawn_and_what_for_are_told_apart(published):
    _, made = published
    plain = build_stream("digits", 0.5, name="half-redrawn", seed=3)
    other = build_stream("digits", 0.5, name="half-redrawn", seed=4)
    assert plain.data_digest() == made.data_digest() != other.data_digest()
    assert len({plain.digest, made.digest, other.digest}) == 3
    assert "targets" not in plain.fields()["stream"]


def test_other_manifests_have_no_trace_of_streams():
    subset, _ = load_subset_manifest("digits/uniform-10pct@1")
    assert "stream" not in subset.fields()


WRONG = "epoch {} of the stream does not have the digest that is listed"


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [([0], WRONG.format(0)), ([57], WRONG.format(57)), ([57, 99], f"{WRONG.format(57)} (2 such)")],
)
def test_a_wrong_epoch_is_found(published, wrong, problem):
    file, made = published
    epochs = ["0" * 64 if t in wrong else digest for t, digest in enumerate(made.stream.epochs)]
    forged = made.model_copy(update={"stream": made.stream.model_copy(update={"epochs": epochs})})
    forged = forged.model_copy(update={"digest": forged.true_digest()})
    file.write_bytes(forged.pretty())
    assert manifest_problems(file) == [problem]
    if wrong == [0]:  # loading draws the first epoch only
        with pytest.raises(BadRecord, match="epoch 0 of the stream"):
            load_drawn(file, 0)[0]


def test_a_changed_seed_is_found(published):
    file, made = published
    forged = made.model_copy(update={"seed": 9})
    file.write_bytes(forged.model_copy(update={"digest": forged.true_digest()}).pretty())
    assert manifest_problems(file) == [WRONG.format(0)]
    file.write_bytes(forged.pretty())
    with pytest.raises(BadRecord, match=r"digest .* is wrong"):
        load_drawn(file, 0)[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda told: told.pop("stream"), "kind stream needs the field stream"),
        (lambda told: told.update(kind="samples"), "kind samples needs the field positions"),
        (lambda told: told.update(classes=["0"]), "kind stream has no field classes"),
        (lambda told: told.update(budget={"count": 600}), "a stream's budget is a fraction"),
        (lambda told: told["stream"]["epochs"].pop(), "at least 100 items"),
        (lambda told: told["stream"].update(targets={"prior": "x"}), "weights: Field required"),
    ],
)
def test_broken_stream_records_are_told(published, change, message):
    told = json.loads(published[0].read_bytes())
    change(told)
    with pytest.raises(BadRecord, match=message):
        Subset.read(json.dumps(told), "here")


def test_a_tiny_ratio_in_a_manifest_is_told(published):
    file, made = published
    forged = made.model_copy(update={"budget": Budget(fraction=1e-9)})
    file.write_bytes(forged.model_copy(update={"digest": forged.true_digest()}).pretty())
    assert "is empty" in manifest_problems(file)[0]


def test_fixed_subsets_are_wanted_elsewhere(published, tmp_path):
    """No track and no null takes a stream for a class list or for full data."""
    refusal = r"half-redrawn@1 is a stream, redrawn every epoch.*\(protocol §10\)"
    with pytest.raises(BadRequest, match=refusal):
        load_subset_manifest("digits/half-redrawn@1")
    with pytest.raises(BadRequest, match=refusal):
        plan(track["digits-demo"], tmp_path, subsets=["digits/half-redrawn@1"])
    with pytest.raises(BadRequest, match="of kind samples: it is the same in every epoch"):
        load_drawn("digits/uniform-10pct@1", 0)[0]
