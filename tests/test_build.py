"""Manifests from selectors: what is refused, written, and found broken again."""

import json

import numpy as np
import pytest
from pools import write_recorded

from lotterybench.build import build_subset, manifest_problems, save_subset
from lotterybench.errors import BadRecord, BadRequest, UnknownName
from lotterybench.manifests import load_subset_manifest
from lotterybench.records import Budget
from lotterybench.selection import selector
from lotterybench.validity import describe_positions


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("digits", "uniform", Budget(classes=3)), "uniform selects samples: give --count or"),
        (("digits", "uniform-classes", Budget(count=3)), "uniform-classes selects classes: give"),
        (
            ("digits", "uniform-classes", Budget(classes=11)),
            "11 classes were asked for; digits has 10",
        ),
        (("digits", "uniform", Budget(count=1202)), "1202 samples were asked for; digits has 1201"),
        (("digits", "uniform", Budget(fraction=0.0001)), "0 samples were asked for"),
    ],
)
def test_bad_requests_are_told(arguments, message):
    with pytest.raises(BadRequest, match=message):
        build_subset(*arguments, name="x")


def test_unknown_names_and_settings():
    with pytest.raises(UnknownName, match="did you mean 'uniform'"):
        build_subset("digits", "uniforn", Budget(count=1), name="x")
    with pytest.raises(UnknownName, match="did you mean 'digits'"):
        build_subset("digit", "uniform", Budget(count=1), name="x")
    with pytest.raises(BadRequest, match="uniform has no setting offset; it has balanced"):
        build_subset("digits", "uniform", Budget(count=1), name="x", settings={"offset": 1})
    with pytest.raises(BadRequest, match="digits/No Slug"):
        build_subset("digits", "uniform", Budget(count=1), name="No Slug")


@pytest.fixture(scope="module")
def signals(tmp_path_factory):
    """A cache with made-up signals of digits."""
    cache = tmp_path_factory.mktemp("cache")
    return write_recorded("digits", cache), cache


# Those that read results of methods are built in tests/test_rank_greedy.py.
FREE = [name for name in selector if not (selector[name].fixed or selector[name].methods)]


@pytest.mark.parametrize("chosen", FREE)
def test_two_builds_give_the_same_bytes(chosen, tmp_path, signals, monkeypatch):
    monkeypatch.setenv("LOTTERYBENCH_CACHE", str(signals[1]))
    budget = Budget(classes=4) if selector[chosen].kind == "classes" else Budget(fraction=0.1)
    written = []
    for folder in ("one", "two"):
        base = "cifar100" if selector[chosen].spec.tree else "digits"
        save_subset(*build_subset(base, chosen, budget, name="x", seed=4), tmp_path / folder)
        files = sorted((tmp_path / folder).rglob("*.*"))
        written.append([file.read_bytes() for file in files])
    assert written[0] == written[1]


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """A samples manifest and a class list in a folder of their own."""
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(tmp_path))
    subset, columns = build_subset("digits", "class-balanced", Budget(count=50), name="mine")
    file = save_subset(subset, columns, tmp_path)
    listed = save_subset(
        *build_subset("digits", "uniform-classes", Budget(classes=3), name="listed"), tmp_path
    )
    return subset, columns["position"].astype(np.int64), file, listed


def rewritten(file, positions):
    """Store other positions beside a manifest, and let its digests agree with them."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    from lotterybench.records import Subset

    columns = {"position": np.asarray(positions).astype(np.uint32)}
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    file.with_suffix(".positions.parquet").write_bytes(buffer.getvalue())
    subset = Subset.read(file.read_bytes(), "x")
    subset = subset.model_copy(update={"positions": describe_positions(columns)})
    file.write_bytes(subset.model_copy(update={"digest": subset.true_digest()}).pretty())


def test_a_good_manifest_loads(saved):
    subset, positions, file, listed = saved
    assert manifest_problems(file) == manifest_problems(listed) == []
    there, order = load_subset_manifest("digits/mine")
    assert there == subset
    np.testing.assert_array_equal(order, positions)


def test_duplicate_position_is_refused(saved):
    _, positions, file, _ = saved
    rewritten(file, [*positions[:-1], positions[0]])
    with pytest.raises(BadRecord, match=f"position {positions[0]} occurs 2 times"):
        load_subset_manifest("digits/mine")


def test_out_of_range_position_is_refused(saved):
    _, positions, file, _ = saved
    rewritten(file, [*positions[:-1], 1201])
    with pytest.raises(BadRecord, match=r"position 1201 is outside 0\.\.1200"):
        load_subset_manifest(file)


def test_wrong_count_is_refused(saved):
    _, positions, file, _ = saved
    rewritten(file, positions[:-1])
    with pytest.raises(BadRecord, match="49 positions, the budget asks for 50"):
        load_subset_manifest(file)


def test_unkept_quota_is_refused(saved):
    _, _, file, _ = saved
    labels = load_labels()
    rewritten(file, np.flatnonzero(labels < 5)[:50])
    assert "promises a difference of one at most" in manifest_problems(file)[0]


def test_a_class_with_fewer_samples_than_its_quota_is_told():
    for chosen, settings in (("class-balanced", {}), ("uniform", {"balanced": True})):
        with pytest.raises(BadRequest, match="2 has 118 samples; its quota is 119"):
            build_subset("digits", chosen, Budget(count=1190), name="all", settings=settings)


def test_a_manifest_in_another_ones_place_is_refused(saved):
    import shutil

    *_, listed = saved
    other = shutil.copytree(listed.parent, listed.parent.with_name("other"))
    with pytest.raises(BadRecord, match="the manifest of digits/listed@1, in another one's"):
        load_subset_manifest("digits/other@1")
    assert "lies in another one's place" in manifest_problems(other / "v1.json")[0]


def test_a_kind_has_its_own_field(saved):
    _, _, file, listed = saved
    for path, kind in ((file, "classes"), (listed, "samples"), (listed, "stream")):
        text = path.read_text()
        path.write_text(json.dumps(json.loads(text) | {"kind": kind}))
        with pytest.raises(BadRecord, match="is not a valid subset"):
            load_subset_manifest(path)
        path.write_text(text)


def load_labels():
    from lotterybench.manifests import load_keyring

    return load_keyring("digits").labels["train"]


def test_wrong_digest_is_refused(saved):
    _, _, file, listed = saved
    for path in (file, listed):
        text = path.read_text()
        digest = text.split('"digest": "')[1][:64]
        path.write_text(text.replace(digest, "0" * 64))
        with pytest.raises(BadRecord, match="digest 000000000000… is wrong"):
            load_subset_manifest(path)


def test_swapped_positions_file_is_refused(saved):
    _, positions, file, _ = saved
    text = file.read_bytes()
    rewritten(file, positions[::-1])
    file.write_bytes(text)
    with pytest.raises(BadRecord, match="does not have the sha256"):
        load_subset_manifest(file)
    file.with_suffix(".positions.parquet").unlink()
    with pytest.raises(BadRecord, match="cannot be read"):
        load_subset_manifest(file)


def test_another_base_is_refused(saved):
    *_, listed = saved
    text = listed.read_text()
    digest = text.split('"base_digest": "')[1][:64]
    listed.write_text(text.replace(digest, "1" * 64))
    with pytest.raises(BadRecord, match="base_digest 111111111111… is not that of digits"):
        load_subset_manifest(listed)


def test_all_faults_are_in_one_line(saved):
    _, positions, file, _ = saved
    rewritten(file, [*positions[:-2], 5000, positions[0]])
    file.write_text(file.read_text().replace('"seed": 0', '"seed": 3'))
    with pytest.raises(BadRecord) as info:
        load_subset_manifest(file)
    for fault in ("digest", "occurs 2 times", "outside"):
        assert fault in str(info.value)
    assert "\n" not in str(info.value)


def test_a_released_version_is_never_edited(saved, tmp_path):
    _, _, file, _ = saved
    before = file.read_bytes()
    again = build_subset("digits", "class-balanced", Budget(count=50), name="mine")
    save_subset(*again, tmp_path)
    assert file.read_bytes() == before
    other = build_subset("digits", "class-balanced", Budget(count=50), name="mine", seed=1)
    with pytest.raises(BadRecord, match="a change is a new version: give --version 2"):
        save_subset(*other, tmp_path)
    assert file.read_bytes() == before


def test_newest_version_is_found(saved, tmp_path):
    newer = build_subset("digits", "uniform", Budget(count=9), name="mine", version=10)
    save_subset(*newer, tmp_path)
    assert load_subset_manifest("digits/mine")[0].version == 10
    assert load_subset_manifest("digits/mine@1")[0].version == 1
    with pytest.raises(UnknownName, match="no subset is named 'digits/mine@3'"):
        load_subset_manifest("digits/mine@3")


def test_what_a_selector_was_shown_is_written_down(signals, monkeypatch):
    recorded, cache = signals
    monkeypatch.setenv("LOTTERYBENCH_CACHE", str(cache))
    subset, _ = build_subset("digits", "el2n", Budget(count=20), name="x", signals=recorded.digest)
    shown = subset.selected_with
    assert shown.signals == recorded.digest
    assert shown.proxy == recorded.proxy
    assert shown.proxy.families == ["supervised/resnet"]
    assert (shown.proxy_seeds, shown.labels, shown.methods) == ([0, 1], True, [])
    plain, _ = build_subset("digits", "uniform", Budget(count=20), name="x")
    assert plain.selected_with.fields() == {}


def test_signals_of_another_base_or_keyring_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("LOTTERYBENCH_CACHE", str(tmp_path))
    with pytest.raises(BadRequest, match=r"no signals of digits with error are recorded here; run"):
        build_subset("digits", "el2n", Budget(count=5), name="x")
    for field in ("base", "keyring"):
        other = write_recorded("digits", tmp_path / field, change={f"{field}_digest": "1" * 64})
        monkeypatch.setenv("LOTTERYBENCH_CACHE", str(tmp_path / field))
        with pytest.raises(BadRequest, match=rf"of another {field} \(111111111111…\) than the"):
            build_subset("digits", "el2n", Budget(count=5), name="x", signals=other.digest[:9])
    with pytest.raises(UnknownName, match="no recorded set is named 'beef'"):
        build_subset("digits", "el2n", Budget(count=5), name="x", signals="beef")
    with pytest.raises(BadRequest, match="uniform reads no signals; leave --signals out"):
        build_subset("digits", "uniform", Budget(count=5), name="x", signals="beef")


def test_a_changed_recording_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("LOTTERYBENCH_CACHE", str(tmp_path))
    write_recorded("digits", tmp_path)
    folder = tmp_path / "signals/digits/part-0-None"
    for name, chosen in (("embedding.npy", "k-means-nearest"), ("epochs.parquet", "el2n")):
        kept = (folder / name).read_bytes()
        (folder / name).write_bytes((tmp_path / "signals/digits/part-1-None" / name).read_bytes())
        with pytest.raises(BadRecord, match=f"{name} was changed"):
            build_subset("digits", chosen, Budget(count=30), name="x")
        (folder / name).write_bytes(kept[: len(kept) // 2])
        with pytest.raises(BadRecord, match=f"{name} cannot be read"):
            build_subset("digits", chosen, Budget(count=30), name="x")
        (folder / name).write_bytes(kept)
    (folder / "recording.json").unlink()
    with pytest.raises(BadRecord, match="is missing: record the signals again"):
        build_subset("digits", "el2n", Budget(count=30), name="x")
