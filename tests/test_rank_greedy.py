"""Subsets chosen with results of methods: the greedy choice, and the rules that keep it honest."""

from itertools import combinations

import numpy as np
import pytest
from pools import made_methods, softmax, toy_pool
from scipy import stats
from test_judging import judged, write_arm
from test_score import make_track
from typer.testing import CliRunner

from lotterybench.build import build_subset, save_subset
from lotterybench.choose_pool import choose_pool
from lotterybench.cli import app
from lotterybench.errors import BadRequest
from lotterybench.manifests import find_base, load_keyring, load_subset_manifest
from lotterybench.paths import track_file
from lotterybench.ranking.base.gaussian import Pool as Effects
from lotterybench.ranking.base.gaussian import observed, proxy_of
from lotterybench.ranking.base.kernels import correlations
from lotterybench.ranking.selecting import certify
from lotterybench.recordings import Recorded, Recording, column_digest
from lotterybench.records import Budget, Proxy
from lotterybench.selection import Pool, selector
from lotterybench.signals import Arrays

rng = np.random.default_rng
BACKBONES = ("convmixer", "mixer", "mobilenet", "resnet8")


def tau(one, other):
    """Return τ-b, of equal ones the same float; less than any where it is undefined."""
    found = stats.kendalltau(one, other).statistic
    return -2 if np.isnan(found) else round(float(found), 9)


def share_right(held, labels, chosen):
    """Count what one method tells right among some classes, one sample and seed at a time."""
    chosen = sorted(chosen)
    return sum(
        chosen[int(np.argmax(probabilities[chosen]))] == label
        for sample, label in zip(held, labels, strict=True)
        if label in chosen
        for probabilities in sample
    )


def crude(classes, per_class, seed, methods=12):
    """Return a pool whose probabilities are coarse, so that many are equal."""
    draw = rng(seed)
    labels = draw.permutation(np.repeat(np.arange(classes), per_class))
    logits = 4 * np.eye(classes)[labels] + draw.normal(size=(len(labels), classes))
    found = made_methods(logits, labels, draw, methods)
    held = [np.round(p.astype(float), 1) for p in found["held_out_seeds"]]
    right = [(p.argmax(2) == labels[:, None]).sum(1) for p in held]
    return Pool(labels, classes, Arrays(by_method={"held_out_seeds": held, "right": right}))


def first_best(candidates, value):
    """Return the first candidate of the largest value."""
    values = [value(candidate) for candidate in candidates]
    return candidates[values.index(max(values))]


@pytest.mark.parametrize("seed", range(4))
def test_classes_are_those_of_brute_force(seed):
    pool = crude(classes=6, per_class=7, seed=seed)
    held = pool.signals.by_method["held_out_seeds"]
    full = [share_right(p, pool.labels, range(6)) for p in held]

    def value(chosen):
        return tau(full, [share_right(p, pool.labels, chosen) for p in held])

    expected = list(first_best(list(combinations(range(6), 2)), value))
    while len(expected) < 6:
        left = [label for label in range(6) if label not in expected]
        expected.append(first_best(left, lambda label: value([*expected, label])))
    found = selector["rank-greedy-classes"](pool, 6, rng(0)).tolist()
    assert found == expected
    assert len({value(pair) for pair in combinations(range(6), 2)}) > 5


@pytest.mark.parametrize(("seed", "block"), [(0, 8_192), (1, 7), (2, 16)])
def test_samples_are_those_of_brute_force(seed, block, monkeypatch):
    """Whether candidates are looked at in one block or in several."""
    monkeypatch.setattr("lotterybench.selection.rank_greedy.BLOCK", block)
    pool = crude(classes=4, per_class=9, seed=seed)
    right = np.stack(pool.signals.by_method["right"])
    full, expected = right.sum(1), []
    while len(expected) < 20:
        left = [row for row in range(36) if row not in expected]
        expected.append(first_best(left, lambda row: tau(full, right[:, [*expected, row]].sum(1))))
    assert selector["rank-greedy"](pool, 20, rng(0)).tolist() == expected


def test_it_ranks_the_pool_better_than_random_samples_and_classes():
    pool = toy_pool(per_class=60, classes=8, seed=5)
    right = np.stack(pool.signals.by_method["right"])
    held = pool.signals.by_method["held_out_seeds"]
    full = right.sum(1)
    picked = selector["rank-greedy"](pool, 40, rng(0))
    drawn = [tau(full, right[:, rng(s).permutation(480)[:40]].sum(1)) for s in range(50)]
    assert tau(full, right[:, picked].sum(1)) > max(drawn)
    classes = selector["rank-greedy-classes"](pool, 3, rng(0))
    every = [
        tau(full, [share_right(p, pool.labels, some) for p in held])
        for some in list(combinations(range(8), 3))[::4]
    ]
    own = tau(full, [share_right(p, pool.labels, classes) for p in held])
    assert own > np.quantile(every, 0.9)


def test_methods_that_do_not_differ_are_no_fault():
    """No order, no τ: the first come first."""
    same = Arrays(by_method={"right": [np.tile([0, 1, 2], 10)] * 12})
    pool = Pool(np.arange(30) % 3, 3, same)
    assert selector["rank-greedy"](pool, 5, rng(0)).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", ["rank-greedy", "rank-greedy-classes"])
def test_eleven_configurations_are_too_few(name):
    pool = crude(classes=3, per_class=5, seed=0, methods=11)
    with pytest.raises(BadRequest, match=r"has 11 configurations; .* needs 12 \(protocol §6\)"):
        selector[name](pool, 2, rng(0))


def write_set(cache, backbone="resnet8", rate=0.1, noise=1.0, *, changes=None, proxy=None):
    """Write a recorded set of digits with held-out predictions alone; return its digest.

    Networks are perfect on the samples that they were trained on.
    """
    base, _ = find_base("digits")
    labels = load_keyring("digits").labels["train"].astype(np.int64)
    fields = {
        "method": "supervised", "config": {"backbone": backbone, "lr": rate}, "epochs": 5,
        "families": [f"supervised/{name}" for name in sorted({backbone, backbone.strip("8")})],
        "labels": True,
    }  # fmt: skip
    common = {
        "schema_version": 1, "base": "digits", "base_digest": base.digest,
        "keyring_digest": base.keyring_digest, "proxy": Proxy(**fields | (proxy or {})),
    }  # fmt: skip
    seeds, folds = (changes or {}).get("seeds", [0, 1]), 2
    parts = {}
    for seed in seeds:
        draw = rng([seed, int(1000 * noise)])
        for fold in (None, *range(folds)):
            held = np.arange(len(labels)) % folds == fold
            logits = 9.0 * np.eye(10)[labels]
            blurred = logits + 9 * noise * draw.normal(size=logits.shape)
            arrays = {
                "probabilities": softmax(np.where(held[:, None], blurred, logits)),
                "held": held,
            }
            arrays = {k: v if v.dtype == bool else v.astype("f2") for k, v in arrays.items()}
            tag = f"{backbone}-{rate}-{noise}-{seed}-{fold}-{len(seeds)}"
            folder = cache / "signals/digits" / tag
            folder.mkdir(parents=True, exist_ok=True)
            for name, values in arrays.items():
                np.save(folder / f"{name}.npy", values)
            recording = Recording(
                **common, seed=seed, fold=fold, folds=0 if fold is None else folds,
                columns={name: column_digest(name, values) for name, values in arrays.items()},
                device="cpu: made up", software={}, code_digest="0" * 64,
            )  # fmt: skip
            (folder / "recording.json").write_bytes(recording.pretty())
            parts[folder.name] = recording.content()
    draft = Recorded(
        **common | {"seeds": seeds, "folds": folds, "parts": parts, "digest": "0" * 64}
        | (changes or {})
    )  # fmt: skip
    recorded = draft.model_copy(update={"digest": draft.true_digest()})
    file = cache / "signals/digits" / f"{recorded.digest[:16]}.json"
    file.write_bytes(recorded.pretty())
    return recorded.digest


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache with recorded sets of 12 configurations of digits, of 4 backbones."""
    folder = tmp_path_factory.mktemp("cache")
    for at in range(12):
        write_set(folder, BACKBONES[at % 4], 0.1 * (at // 4 + 1), 0.3 + 0.02 * at)
    return folder


@pytest.fixture
def recorded(cache, monkeypatch):
    """The digests of the sets, in a cache that is in use."""
    monkeypatch.setenv("LOTTERYBENCH_CACHE", str(cache))
    files = sorted((cache / "signals/digits").glob("*.json"))
    return [Recorded.read(file.read_bytes(), file.name).digest for file in files]


def built(budget=None, chosen="rank-greedy-classes", **options):
    return build_subset("digits", chosen, budget or Budget(classes=4), name="ranked", **options)


def test_what_chose_is_written_down(recorded, cache):
    subset, _ = built()
    shown = subset.selected_with
    assert shown.recordings == sorted(recorded)
    assert shown.families == [
        f"supervised/{name}" for name in ("convmixer", "mixer", "mobilenet", "resnet", "resnet8")
    ]
    assert len(set(shown.methods)) == 12
    assert "supervised backbone=mixer epochs=5 lr=0.1" in shown.methods
    assert (shown.seeds, shown.labels, shown.signals, shown.proxy) == ([0, 1], True, None, None)
    rows = find_base("digits")[0].splits["train"].rows
    sets = [
        Recorded.read(file.read_bytes(), file.name)
        for file in (cache / "signals/digits").glob("*.json")
    ]
    assert shown.images == sum(s.proxy.epochs * rows * 2 * s.folds for s in sets) > 0


def test_equal_recordings_give_equal_manifests(recorded):
    """In whichever order they are named; and each is rebuilt from its own words."""
    for budget, chosen in (
        (Budget(classes=4), "rank-greedy-classes"),
        (Budget(count=30), "rank-greedy"),
    ):
        subset, columns = built(budget, chosen)
        again, _ = built(budget, chosen, signals=recorded[::-1])
        assert again == subset
        rebuilt, same = built(budget, chosen, signals=subset.selected_with.recordings)
        assert rebuilt.digest == subset.digest
        assert (columns is None) == (budget.classes is not None)
        if columns is not None:
            np.testing.assert_array_equal(columns["position"], same["position"])


def test_only_held_out_predictions_are_read(recorded):
    """In-sample these networks are perfect: then no method would miss a sample."""
    base, _ = find_base("digits")
    labels = load_keyring("digits").labels["train"].astype(np.int64)
    pool = choose_pool(base, [], labels)
    right = np.stack(list(pool.methods("right")))
    assert right.shape == (12, 1201)
    assert (right.mean(1) < 1.95).all()
    held = [p.argmax(2) == labels[:, None] for p in pool.methods("held_out_seeds")]
    np.testing.assert_array_equal(right, [each.sum(1) for each in held])
    with pytest.raises(BadRequest, match="the signal margin is needed; there are held_out_seeds"):
        pool.epochs("margin")


def test_a_pool_of_unequal_sets_is_refused(recorded, cache, tmp_path, monkeypatch):
    def refused(message, *arguments, **options):
        with monkeypatch.context() as patch:
            patch.setenv("LOTTERYBENCH_CACHE", str(tmp_path / message[:9]))
            write_set(tmp_path / message[:9], "mixer")
            write_set(tmp_path / message[:9], "resnet8", 0.1, *arguments, **options)
            with pytest.raises(BadRequest, match=message):
                built()

    refused(r"the choose pool mixes seeds \[0.*\(protocol §1\)", changes={"seeds": [0]})
    refused("mixes epochs", proxy={"epochs": 7})
    refused("mixes resolution", proxy={"resolution": 4})
    refused("another base", changes={"base_digest": "1" * 64})
    refused("are of one configuration", proxy={"config": {"backbone": "mixer", "lr": 0.1},
            "families": ["supervised/mixer"]})  # fmt: skip


def test_bad_requests_are_told(recorded, tmp_path):
    with pytest.raises(BadRequest, match=r"has 1 configurations; .* needs 12 \(protocol §6\)"):
        built(signals=recorded[0])
    with pytest.raises(BadRequest, match=r"has 11 configurations; .* needs 12 \(protocol §6\)"):
        built(signals=recorded[1:])
    with pytest.raises(BadRequest, match=r"are of one configuration; give the others"):
        built(signals=[*recorded, recorded[0]])
    with pytest.raises(BadRequest, match=r"scores on test images\. .* \(protocol §6\)"):
        built(signals=str(tmp_path))
    with pytest.raises(BadRequest, match="el2n reads one recorded set; 2 were given"):
        built(Budget(count=9), "el2n", signals=recorded[:2])
    with pytest.raises(BadRequest, match="uniform reads no results of methods; leave --track out"):
        built(Budget(count=9), "uniform", track="digits-supervised")


def test_nothing_recorded_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("LOTTERYBENCH_CACHE", str(tmp_path))
    with pytest.raises(BadRequest, match=r"has 0 configurations; .* needs 12 \(protocol §6\)"):
        built()


def track_of(families, each=3, **changes):
    """Return a track whose first family is one that chooses."""
    track = make_track(families=families, each=each, **changes)
    entries = [
        entry.model_copy(update={"family": "supervised/resnet"}) if at < each else entry
        for at, entry in enumerate(track.configurations)
    ]
    return track.model_copy(update={"configurations": entries})


def test_a_track_that_scores_them_is_refused(recorded, tmp_path):
    file = tmp_path / "shared.json"
    file.write_bytes(track_of(3).pretty())
    with pytest.raises(BadRequest, match=r"scores the family supervised/resnet, .*\(protocol §6\)"):
        built(track=str(file))
    file.write_bytes(track_of(3, choose=["c0-0", "c0-1", "c0-2"]).pretty())
    subset, _ = built(track=str(file))
    assert subset == built()[0]


@pytest.mark.parametrize(
    ("families", "enough"), [(12, False), pytest.param(13, True, marks=pytest.mark.slow)]
)
def test_families_that_chose_are_not_scored(recorded, families, enough, tmp_path, monkeypatch):
    """Whatever their configurations are called; a track that is too small after that says so."""
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(tmp_path / "subsets"))
    save_subset(*built(Budget(count=100), "rank-greedy"), tmp_path / "subsets")
    ref = "digits/ranked@1"
    track = track_of(families, seeds=2, subsets=[ref])
    assert not {e.name for e in track.configurations} & {
        *load_subset_manifest(ref)[0].selected_with.methods
    }
    track_file(tmp_path).write_bytes(track.pretty())
    values = rng(0).normal(70, 10, (3 * families, 1)) + rng(1).normal(size=(3 * families, 2))
    there = values.copy()
    there[:3] = there[:3][::-1]  # the family that is left out would lower τ
    write_arm(tmp_path, track, values)
    write_arm(tmp_path, track, there, ref)
    found = judged(tmp_path)[ref]
    why = "family supervised/resnet chose the subset (protocol §6)"
    assert found.left_out == dict.fromkeys(("c0-0", "c0-1", "c0-2"), why)
    assert found.configurations == 3 * families - 3
    assert found.tau == pytest.approx(1)
    assert found.verdict == "descriptive"
    assert ("a verdict needs 36 of 12" in found.why) == (not enough)


def test_the_command_line_builds_one(recorded, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    named = [part for digest in recorded for part in ("--signals", digest[:12])]
    line = ["build", "digits", "rank-greedy-classes", "--classes", "4", "--name", "ranked"]
    done = CliRunner().invoke(app, [*line, *named, "--out", "mine"])
    assert done.exit_code == 0, done.output
    assert "4 classes" in done.output
    file = next((tmp_path / "mine").rglob("v1.json"))
    assert load_subset_manifest(file)[0] == built()[0]


@pytest.mark.slow
def test_the_best_of_many_equal_subsets_is_no_better_on_other_families():
    """252 proxies of equal truth: the best of a half gains there, and nothing where certified."""
    inside, held, population, middle = [], [], [], []
    pool = Effects(families=12, each=3)
    learn = pool.groups() < 6
    for seed in range(12):
        draw = rng(seed)
        truth = pool.effects(draw, 1)
        subsets = observed(proxy_of(np.repeat(truth, 252, 0), 0.85, pool, draw), 0.25, 3, draw)
        full = observed(truth, 0.1, 6, draw)[0]
        own = correlations(full[learn], subsets[:, learn]).tau
        inside.append(own.max() - own.mean())
        found = certify(full, subsets, pool.groups(), draw, draws=2)
        held.append(found.tau)
        population.append(found.population)
        other = correlations(full[~learn], subsets[:, ~learn]).tau
        middle.append(np.mean(other < other[own.argmax()]))
    assert 0.1 < np.mean(inside) < 0.14  # 0.94 for 0.82
    assert abs(np.mean(held) - np.mean(population)) < 0.02
    assert 0.25 < np.mean(middle) < 0.75
