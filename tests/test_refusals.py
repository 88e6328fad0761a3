"""Every rule of the protocol that code can enforce: refused, or no verdict, with its section."""

import json

import numpy as np
import pytest
from test_judging import CONTROL, write_arm
from test_score import make_track

from lotterybench.compare import side_by_side
from lotterybench.errors import BadRecord, BadRequest, BadResults
from lotterybench.fidelities import Fidelity, Pilot
from lotterybench.manifests import load_subset_manifest
from lotterybench.nulls import random_subsets
from lotterybench.paths import null_folder, pilot_file, track_file
from lotterybench.ranking.base.arrays import Bounds
from lotterybench.ranking.verdicts import Evidence, verdict
from lotterybench.results import results_file
from lotterybench.run import plan
from lotterybench.score import board
from lotterybench.score.comparison import Comparison
from lotterybench.score.judged import judged
from lotterybench.score.pool import Scored
from lotterybench.tracks import find_track
from lotterybench.trials import Configuration, Seeds, Track

UNEVEN, EVEN = "digits/el2n-easy-10pct@0", "digits/facility-location-10pct@0"
CLASSES = ["digits/uniform-5-classes@1", "digits/every-2nd-class@1"]

# What no track record may say.

FIVE = [{"name": f"c{number}", "family": "f/0", "method": "supervised"} for number in range(5)]
TRACKS = {
    "§1 a family of five": {"configurations": FIVE},
    "§6 a choose pool of a scored family": {"choose": ["c0-0"]},
}


@pytest.mark.parametrize("rule", TRACKS)
def test_a_track_that_breaks_a_rule_is_no_record(rule):
    fields = make_track().fields() | TRACKS[rule]
    with pytest.raises(BadRecord, match=rf"\(protocol {rule.split()[0]}\)"):
        Track.read(json.dumps(fields), "here")


# What no run may rank.


def method_pool(probe, metric, **methods):
    """Return a track that ranks one configuration of each method, by name."""
    return Track(
        schema_version=1, name="odd", version=1, title="Odd", base="cifar10", kind="ranking",
        probe=probe, metric=metric, seeds=Seeds(full=1, subset=1),
        configurations=[
            Configuration(name=name, family=f"f/{name}", method=name, config=config)
            for name, config in methods.items()
        ],
    )  # fmt: skip


NET = {"backbone": "resnet", "epochs": 1, "lr": 0.1}
UNRANKED = {
    "masked autoencoders frozen": (
        method_pool("frozen", "knn", mae={"epochs": 1, "lr": 0.1}, simclr=NET),
        "mae is ranked by fine-tuning only",
    ),
    "random initialisation": (
        method_pool("frozen", "knn", **{"random-init": {"backbone": "resnet"}}, simclr=NET),
        "random-init is not trained",
    ),
    "supervised among self-supervised": (
        method_pool("frozen", "knn", supervised=NET, simclr=NET),
        "supervised reads labels, others do not",
    ),
}


@pytest.mark.parametrize("name", UNRANKED)
def test_what_is_an_anchor_is_never_ranked(name, tmp_path):
    track, words = UNRANKED[name]
    with pytest.raises(BadRequest, match=rf"{words}.*make it an anchor \(protocol §1\)"):
        plan(track, tmp_path)
    odd = [entry.name for entry in track.configurations if entry.name != "simclr"]
    anchored = track.model_copy(update={"anchors": odd})
    assert plan(anchored, tmp_path)


def test_pools_of_one_kind_are_ranked(tmp_path):
    assert plan(method_pool("frozen", "knn", simclr=NET, byol=NET), tmp_path)
    assert plan(method_pool("classifier", "accuracy", supervised=NET, supcon=NET), tmp_path)


# What is never joined.


@pytest.fixture
def folder(tmp_path):
    """A track's folder with complete full data and one subset: 6 families of 2, 2 seeds."""
    track = make_track(subsets=[EVEN])
    track_file(tmp_path).write_bytes(track.pretty())
    values = np.random.default_rng(0).normal(70, 10, (12, 2))
    write_arm(tmp_path, track, values)
    write_arm(tmp_path, track, values, EVEN)
    return tmp_path


LINES = {
    "of another version": ({"track_version": 2, "track_digest": "1" * 64}, "§1"),
    "of another pool": ({"track_digest": "1" * 64}, "§1"),
    "of another track": ({"track": "other"}, "§1"),
    "of other data": ({"base_digest": "1" * 64}, "§1"),
    "of another subset": ({"subset_digest": "1" * 64}, "§1"),
    "of another scope": ({"scope": "subset"}, "§7"),
    "of another family": ({"family": "f/9"}, "§1"),
    "of another configuration": ({"configuration": "c9-9"}, "§1"),
    "of other settings": ({"config": {"lr": 9.0, "epochs": 3}}, "§1"),
    "of another metric": ({"metrics": {"knn": 70.0}}, "§1"),
}


@pytest.mark.parametrize("what", LINES)
def test_a_line_of_something_else_is_not_joined(folder, what):
    changes, section = LINES[what]
    file = results_file(folder, load_subset_manifest(EVEN)[0])
    first, *rest = file.read_text().splitlines()
    file.write_text("\n".join([json.dumps(json.loads(first) | changes), *rest]) + "\n")
    with pytest.raises(BadResults, match=rf"line 1 .*\(protocol {section}\)"):
        board(folder)


def test_seeds_beyond_the_plan_do_not_count(folder):
    track = make_track(subsets=[EVEN])
    before = board(folder).subsets[0].fidelity
    values = np.random.default_rng(0).normal(70, 10, (12, 2))
    more = np.concatenate([values, np.zeros((12, 1))], axis=1)
    write_arm(folder, track, more, EVEN)
    after = board(folder).subsets[0].fidelity
    assert after.tau == before.tau
    assert "12 runs of seeds beyond the plan do not count (protocol §1)" in after.why


def test_a_pilot_of_another_pool_is_refused(folder):
    pilot = Pilot(
        schema_version=1, track="made-up", track_digest="1" * 64, configurations=["c0-0"], seeds=3,
        subset=EVEN, q_full=0.1, q_subset=0.1, power=0.9, ticket=0.9,
    )  # fmt: skip
    pilot_file(folder).write_bytes(pilot.pretty())
    with pytest.raises(BadResults, match=r"is of another made-up.*\(protocol §2\)"):
        board(folder)


def test_a_null_that_somebody_chose_is_refused(folder):
    track = make_track(subsets=[EVEN], null=1)
    random_subsets(track.model_copy(update={"null": 2}), folder)
    track_file(folder).write_bytes(track.pretty())
    file = next(null_folder(folder).rglob("*null-01/v1.json"))
    for arm in folder.glob("*.jsonl"):
        arm.unlink()
    values = np.random.default_rng(0).normal(70, 10, (12, 2))
    write_arm(folder, track, values)
    assert file.is_file()
    with pytest.raises(BadResults, match=r"no random subset that the track's.*\(protocol §5\)"):
        board(folder)


# What has no verdict, or not the best one.

FINE = Evidence(
    families=12, configurations=48, seeds_full=6, seeds_subset=3, q_full=0.05, q_subset=0.1,
    power=0.9, cost_ratio=0.1, tau=0.9, bounds=Bounds(0.8, 0.95), control=0.6,
    difference=Bounds(0.1, 0.4), p=0.01, null=39,
)  # fmt: skip
LESS = {
    "too few families": ({"families": 11}, "descriptive", "§1"),
    "too few configurations": ({"configurations": 35}, "descriptive", "§1"),
    "a run without a status": ({"missing": 1}, "descriptive", "§1"),
    "too few full seeds": ({"seeds_full": 5}, "descriptive", "§2"),
    "too few subset seeds": ({"seeds_subset": 2}, "descriptive", "§2"),
    "no pilot": ({"power": None}, "descriptive", "§2"),
    "too noisy for 3 seeds": ({"q_subset": 0.4}, "descriptive", "§2"),
    "too little power": ({"power": 0.79}, "descriptive", "§2"),
    "same steps": ({"cost_ratio": 1.0}, "descriptive", "§5"),
    "no control": ({"difference": None, "control": None}, "undecided", "§5"),
    "no null": ({"p": None, "null": 0}, "faithful", "§5"),
    "a small null": ({"null": 19}, "faithful", "§5"),
    "a null too small for the primary budget": ({"primary": True, "null": 38}, "faithful", "§5"),
    "uneven classes without their null": ({"uneven": True}, "faithful", "§5"),
    "a small matched null": (
        {"uneven": True, "p_matched": 0.01, "null_matched": 19}, "faithful", "§5",
    ),
    "a matched null too small for the primary budget": (
        {"uneven": True, "p_matched": 0.01, "null_matched": 38, "primary": True}, "faithful", "§5",
    ),
}  # fmt: skip


@pytest.mark.parametrize("lack", LESS)
def test_what_lacks_something_has_no_such_verdict(lack):
    changes, word, section = LESS[lack]
    found = verdict(FINE._replace(**changes))
    assert found.verdict == word
    assert f"(protocol {section})" in found.why


def test_both_nulls_must_be_beaten():
    matched = {"uneven": True, "null_matched": 39, "primary": True}
    assert verdict(FINE).verdict == "ticket"
    both = verdict(FINE._replace(**matched, p_matched=0.04))
    assert both.verdict == "ticket"
    assert "(p = 0.010, with its class counts 0.040)" in both.why
    one = verdict(FINE._replace(**matched, p_matched=0.06))
    assert one.verdict == "faithful"
    assert "not better than random with its class counts (p = 0.060 after Holm)" in one.why


# What a fidelity says of itself.


def a_fidelity(**changes):
    return Fidelity.model_validate(
        {
            "track": "made-up", "track_version": 1, "track_digest": "1" * 64,
            "subset": "digits/x", "subset_version": 1, "subset_digest": "1" * 64,
            "scope": "full", "metric": "accuracy", "configurations": 4, "families": 2,
            "seeds_full": 2, "seeds_subset": 2, "tau": 0.5, "cost_ratio": 0.1,
            "verdict": "descriptive", "why": "",
        }
        | changes
    )  # fmt: skip


SAID = {
    "too few families for an interval": ({}, "§3"),
    "a selection of unknown cost": ({"selection_cost": None}, "§5"),
    "a control below three epochs": (
        {"control": {"arm": "control-0.1", "amount": 0.1, "short": True}}, "§5",
    ),
    "a selection that costs the saving": ({"total_ratio": 1.2}, "§5"),
}  # fmt: skip


@pytest.mark.parametrize("what", SAID)
def test_a_fidelity_says_what_it_lacks(what):
    changes, section = SAID[what]
    this = Comparison(
        make_track(), load_subset_manifest(EVEN)[0], Scored([], {}), {}, {},
    )  # fmt: skip
    assert f"(protocol {section})" in judged(this, a_fidelity(**changes)).why


def test_families_that_chose_are_left_out_with_the_section(tmp_path):
    subset = load_subset_manifest(UNEVEN)[0]
    families = subset.selected_with.proxy.families
    track = make_track(families=7, subsets=[UNEVEN])
    entries = [
        entry.model_copy(update={"family": families[0]} if i < 2 else {})
        for i, entry in enumerate(track.configurations)
    ]
    track = track.model_copy(update={"configurations": entries})
    track_file(tmp_path).write_bytes(track.pretty())
    values = np.random.default_rng(0).normal(70, 10, (14, 2))
    values[3] = np.nan
    write_arm(tmp_path, track, values)
    write_arm(tmp_path, track, np.abs(values), UNEVEN)
    left_out = board(tmp_path).subsets[0].fidelity.left_out
    assert left_out["c0-0"].endswith("chose the subset (protocol §6)")
    assert left_out["c1-1"].endswith("(protocol §1)")
    assert len(left_out) == 3


# What is never compared.


@pytest.fixture(scope="module")
def two_scopes(tmp_path_factory):
    """Subsets tested on everything, and on classes of unequal number of test images."""
    folder = tmp_path_factory.mktemp("scopes")
    track = make_track(subsets=[EVEN, *CLASSES])
    track_file(folder).write_bytes(track.pretty())
    values = np.random.default_rng(0).normal(70, 10, (12, 2))
    for ref in (None, EVEN, *CLASSES):
        write_arm(folder, track, values, ref)
        if ref in CLASSES:
            file = results_file(folder, load_subset_manifest(ref)[0])
            lines = [json.loads(line) for line in file.read_text().splitlines()]
            file.write_text("".join(f"{json.dumps(li | {'scope': 'subset'})}\n" for li in lines))
    return folder


@pytest.mark.parametrize(
    ("one", "other", "error", "words"),
    [
        (
            EVEN,
            CLASSES[0],
            BadRequest,
            r"at scope full, .* at scope subset.*\(protocol §7\)",
        ),
        (*CLASSES, BadRequest, r"tested on \d+ images, .* on \d+;.*\(protocol §7\)"),
        ("digits-supervised", EVEN, BadRequest, r"is a track; τ of tracks.*\(protocol §1\)"),
        (EVEN, EVEN, BadRequest, "is given twice"),
        (EVEN, UNEVEN, BadResults, "made-up has no complete results of digits/el2n-easy"),
    ],
)
def test_what_is_not_alike_is_not_compared(two_scopes, one, other, error, words):
    with pytest.raises(error, match=words):
        side_by_side(one, other, two_scopes)


def test_subsets_tested_on_their_own_classes_are_never_ordered(two_scopes):
    assert board(two_scopes).ranked is None


def test_registered_tracks_break_no_rule(tmp_path):
    """What ships is allowed; and the control of these tests is one that a track may plan."""
    assert CONTROL.arm == "control"
    assert find_track("digits-selfsup").anchors
    assert plan(find_track("digits-selfsup"), tmp_path)
