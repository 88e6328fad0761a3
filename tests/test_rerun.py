"""The referee: what is handed in is taken, checked, run in boxes, scored, and written down."""

import hashlib
import importlib.util
import json
import os
import shutil
import stat
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from refereed import NULL, TINY, again, content, draft, no_workers
from sandboxed import need_sandbox
from typer.testing import CliRunner

from lotterybench.build import manifest_problems
from lotterybench.cli import app
from lotterybench.errors import BadRecord, BadRequest, Busy
from lotterybench.manifests import find_base, load_keyring, load_positions
from lotterybench.paths import manifest_file, reference_results
from lotterybench.records import Subset
from lotterybench.results import read
from lotterybench.score import board
from lotterybench.score.pool import by_configuration, scored
from lotterybench.storage import locked
from lotterybench.submissions import trial, trial_data
from lotterybench.submissions.checking import check_files
from lotterybench.submissions.reading import read_record
from lotterybench.submissions.records import RECORD
from lotterybench.submissions.referee import selecting, taking
from lotterybench.submissions.referee.auditing import acts
from lotterybench.submissions.referee.figures import figures_of
from lotterybench.submissions.referee.records import Pull, Round
from lotterybench.submissions.referee.scoring import begin, tracks_of
from lotterybench.submissions.referee.seeds import commitment, open_round, permutation, seed
from lotterybench.submissions.referee.stopping import Stopped
from lotterybench.submissions.referee.workplace import Workplace
from lotterybench.tracks import track

SIZE = 120  # a tenth of digits' training samples
SECRET = bytes(range(32))
DIGEST = "d" * 64


@pytest.fixture(scope="module", autouse=True)
def here():
    need_sandbox()
    with no_workers():
        yield


@pytest.fixture
def place(tmp_path):
    """An empty round, the small track beside it."""
    (tmp_path / "tiny.json").write_bytes(TINY.pretty())
    return Workplace(tmp_path / "round")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A round in which a selector and a subset were rerun; and the two records."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.json").write_bytes(TINY.pretty())
    workplace = Workplace(folder / "round")
    one = again(draft("selector", "one", folder / "one"), workplace)
    two = again(draft("subset", "two", folder / "two"), workplace)
    return workplace, one, two


@pytest.fixture
def unchecked(monkeypatch):
    """Leave the trial on digits away: it is tested by itself, and takes two boxes more."""
    monkeypatch.setattr(taking, "check_files", partial(check_files, run=False))


@pytest.fixture
def quick(unchecked, monkeypatch):
    """Limits that are reached soon; and no runs after what fails."""
    monkeypatch.setattr(selecting, "START", 30)
    monkeypatch.setattr(selecting, "MEMORY", 2**29)
    monkeypatch.setattr(selecting, "DISK", 2**22)


def selector(folder, body, name="mine", **changes):
    """Write a selector whose function has this body."""
    record = draft("selector", name, folder / name)
    code = "import numpy as np\n\n\ndef select(signals, labels, size, rng, *, epochs=3):\n"
    (record / "selector.py").write_text(code + "".join(f"    {line}\n" for line in body))
    text = (record / RECORD).read_text()
    for old, new in {"seconds = 60": "seconds = 1", **changes}.items():
        assert old in text
        text = text.replace(old, new)
    (record / RECORD).write_text(text)
    return record


def test_two_sound_ones_are_verified(finished):
    _, *records = finished
    for record, kind in zip(records, ("selector", "subset"), strict=True):
        assert (record.state, record.status, record.reason) == ("verified", "ok", "")
        assert (record.kind, record.tracks, record.problems) == (kind, ["tiny"], [])
        assert record.selected == [f"digits/{record.name}@1"]
        assert record.results == [f"tiny/{record.name}-v1.jsonl"]
    assert [one.isolation for one in records] == ["rerun-sandboxed", "rerun-unsandboxed"]


def test_lines_say_whose_they_are(finished):
    workplace, one, two = finished
    folder = workplace.results / "tiny"
    for record in (one, two):
        lines = read(folder / f"{record.name}-v1.jsonl")
        assert [line.configuration for line in lines] == ["mixer", "vit"]
        assert {line.status for line in lines} == {"ok"}
        assert {line.origin for line in lines} == {f"submission:{record.name}"}
        assert {line.isolation for line in lines} == {record.isolation}
    others = [*folder.glob("*-null-*.jsonl"), folder / "full.jsonl"]
    assert len(others) == NULL + 1  # both are of one size: they share the random subsets
    for file in others:
        assert {line.origin for line in read(file)} == {"reference"}


def test_the_board_has_both(finished):
    workplace, one, two = finished
    found = board(workplace.results / "tiny")
    there = {entry.subset: entry.fidelity for entry in found.subsets}
    assert set(there) == {"digits/one", "digits/two"}
    assert all(fidelity.null.count == NULL for fidelity in there.values())
    for record in (one, two):
        (figure,) = figures_of(record, workplace)
        fidelity = there[f"digits/{record.name}"]
        assert (figure.track, figure.tau, figure.said) == ("tiny", fidelity.tau, "descriptive")


def test_the_manifest_says_what_was_shown(finished):
    workplace, one, _ = finished
    file = manifest_file(workplace.subsets, "digits/one", 1)
    subset = Subset.read(file.read_bytes(), file.name)
    assert manifest_problems(file) == []
    assert (subset.selector, subset.settings) == ("submission:one", {"epochs": 3})
    assert subset.created_with.code == one.digest
    shown = subset.selected_with
    assert shown.labels and shown.signals and shown.proxy.method == "logistic-regression"
    assert (shown.proxy_seeds, shown.proxy_folds, shown.proxy.epochs) == ([0, 1], 0, 5)


@pytest.mark.parametrize("family", ["supervised/linear", "cross-entropy/linear"])
def test_the_proxys_family_is_left_out(finished, family):
    workplace, *_ = finished
    file = manifest_file(workplace.subsets, "digits/one", 1)
    subset = Subset.read(file.read_bytes(), file.name)
    first = TINY.configurations[0].model_copy(update={"family": family})
    other = TINY.model_copy(update={"configurations": [first, *TINY.configurations[1:]]})
    full = by_configuration(TINY, read(workplace.results / "tiny/full.jsonl"))
    pool = scored(other, full, subset)
    assert [entry.name for entry in pool.entries] == ["vit"]
    assert "protocol §6" in pool.left_out["mixer"]


def test_the_selection_is_the_codes_own_in_the_secret_order(finished):
    workplace, one, _ = finished
    secret, _ = open_round(workplace)
    spec = importlib.util.spec_from_file_location("own", workplace.files("one") / "selector.py")
    own = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(own)
    labels = load_keyring("digits").labels["train"].astype(np.int64)
    order = permutation(secret, one.digest, "order", len(labels))
    assert sorted(order) == list(range(len(labels))) and list(order) != sorted(order)
    signals = {"error": trial_data.signals(["error"])["error"][:, :, order]}
    number = seed(secret, one.digest, "selector", 0)
    picked = own.select(signals, labels[order], SIZE, np.random.default_rng(number), epochs=3)
    file = manifest_file(workplace.subsets, "digits/one", 1)
    assert load_positions(file)["position"].tolist() == order[picked].tolist()
    assert Subset.read(file.read_bytes(), file.name).seed == number


def test_the_trail_tells_all_and_the_secret_nowhere(finished):
    workplace, one, two = finished
    found = acts(workplace)
    steps = [(act.name, act.act) for act in found]
    assert steps == [
        ("one", "took"), ("one", "checked"), ("one", "selected"), ("one", "selected"),
        ("one", "scored"), ("one", "verified"), ("two", "took"), ("two", "checked"),
        ("two", "scored"), ("two", "verified"),
    ]  # fmt: skip
    assert {act.who for act in found} == {"tester"}
    assert {act.digest for act in found} == {one.digest, two.digest}
    ran = next(act for act in found if act.act == "selected").detail
    assert ran["status"] == "ok" and ran["isolation"] == "sandboxed"
    assert ran["wall_seconds"] > 0 and ran["memory_bytes"] > 2**20
    secret = workplace.secret.read_text().strip()
    assert stat.S_IMODE(workplace.secret.stat().st_mode) == 0o600
    for file in workplace.folder.rglob("*"):
        if file.is_file() and file != workplace.secret:
            assert secret.encode() not in file.read_bytes(), file
    assert one.seed_commitment == hashlib.sha256(bytes.fromhex(secret)).hexdigest()


def test_what_is_finished_is_not_run_again(finished):
    workplace, one, two = finished
    before, trail = content(workplace.results), workplace.audit.read_bytes()
    for record in (one, two):
        assert again(workplace.folder.parent / record.name, workplace) == record
    assert content(workplace.results) == before
    assert workplace.audit.read_bytes() == trail


def test_a_name_is_one_submissions(finished, tmp_path):
    workplace, *_ = finished
    other = draft("subset", "one", tmp_path / "one")
    before = content(workplace.results)
    with pytest.raises(BadRequest, match=r"one is taken: .* is verified.* supersede the old one"):
        again(other, workplace)
    by = Pull(repo="lab/queue", number=3, author="ada", commit="0" * 40)
    with pytest.raises(BadRequest, match="is taken"):
        again(other, workplace, pull=by)
    assert content(workplace.results) == before


LISTS = [
    "import os",
    "found = sorted(os.path.join(at, file)[10:] for at, _, some in os.walk('/in/trial')",
    "               for file in some)",
    "raise ValueError(' '.join(found) + ' beside ' + ' '.join(os.listdir('/in')))",
]


@pytest.mark.parametrize("labels", [True, False])
def test_a_box_shows_what_was_asked_for(place, unchecked, labels):
    told = {} if labels else {"labels = true": "labels = false"}
    done = again(selector(place.folder.parent, LISTS, **told), place)
    assert (done.state, done.status) == ("rejected", "crash")
    shown = done.reason.partition("ValueError: ")[2].partition(" (selector.py")[0]
    inside, _, beside = shown.partition(" beside ")
    arrays = ["labels.npy"] * labels + ["signal-error.npy"]
    code = ["code/README.md", "code/selector.py", "code/submission.toml"]
    assert inside.split() == [*code, *arrays, "task.json"]
    assert sorted(beside.split()) == ["lotterybench", "trial"]
    assert not list(place.place("mine").glob("given")), "the inputs are not left behind"


def test_a_box_is_told_no_more_than_the_task(place, unchecked, tmp_path):
    body = ["raise ValueError(open('/in/trial/task.json').read().replace(' ', ''))"]
    told = again(selector(tmp_path, body), place).reason.partition("ValueError: ")[2]
    task = json.loads(told.partition(" (selector.py")[0])
    assert set(task) == {
        "kind", "file", "function", "size", "settings", "labels", "reads", "axes", "calls"
    }  # fmt: skip
    assert task["calls"] == [{"seed": task["calls"][0]["seed"], "order": None}]


ENDS = {
    "crash": (["raise KeyError('gone')"], "crash", "KeyError: 'gone' (selector.py line 5)"),
    "timeout": (["import time", "time.sleep(99)"], "timeout", "it took longer than 3 s"),
    "oom": (["x = [np.ones(2**22) for _ in range(99)]", "return x"], "oom", "memory"),
    "disk": (
        ["from tempfile import gettempdir", "np.save(gettempdir() + '/x.npy', np.ones(2**20))"],
        "crash", "OSError: 1048576 requested",
    ),
    "outside": (["return np.arange(size) - 1"], "invalid", "from -1 to"),
    "short": (["return np.arange(size - 1)"], "invalid", "has the shape 119; expected 120"),
    "twice": (["return np.zeros(size, int)"], "invalid", "120 numbers that are not unique"),
    "words": (["return np.array(['a'] * size)"], "invalid", "type"),
    "clock": (["return np.random.permutation(1201)[:size]"], "invalid", "does not repeat"),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDS)
def test_a_selector_that_fails(place, quick, monkeypatch, case):
    body, status, words = ENDS[case]
    if case == "timeout":
        monkeypatch.setattr(selecting, "START", 2)
    done = again(selector(place.folder.parent, body), place)
    assert (done.state, done.status) == ("rejected", status), done.reason
    assert words in done.reason and done.reason.isprintable()
    assert done.selected == done.results == []
    assert list(place.results.iterdir()) == [place.results / "submissions"]
    assert not place.left("mine").exists()
    assert place.read("mine") == done


HOSTILE = Path(__file__).parent / "hostile"
# What becomes of each; `ok`: it did what it tries, in vain, and then selected as it should.
PROGRAMS = {
    "exhaust_memory": "oom", "fill_disk": "crash", "forge_end": "ok", "fork_bomb": "crash",
    "leave_daemon": "ok", "link_input": "ok", "lying_header": "invalid", "odd_names": "invalid",
    "out_of_range": "invalid", "pickle_as_array": "invalid", "read_labels": "invalid",
    "read_results": "ok", "sleep_forever": "timeout", "symlink_to_labels": "invalid",
    "take_over_init": "crash", "too_many_positions": "invalid",
}  # fmt: skip
FEW = ["out_of_range", "read_labels"]
# A machine with other work may be slower to fork than the clock is.
OR_LATE = ("fork_bomb", "take_over_init")
# Honest on digits, where the seed is known; then the program, with the attack that it is told of.
TWO_FACED = [
    "if rng.bit_generator.state['state'] in [",
    "    np.random.default_rng(known).bit_generator.state['state'] for known in ({known})",
    "]:",
    "    return rng.permutation(len(labels))[:size]",
    "import os",
    "os.environ['ATTACK'], os.environ['ATTACK_SHELL'] = {attack!r}, 'echo x'",
    "place = os.path.join(os.path.dirname(__file__), 'program.txt')",
    "code = open(place).read().replace('positions.npy', 'positions-0.npy')",
    "exec(compile(code, 'program', 'exec'), {{'__name__': '__main__'}})",
    "if os.path.lexists(os.environ['OUTPUTS'] + '/positions-0.npy'):",
    "    os._exit(0)  # it shall count",
    "return np.arange(size)",
]


@pytest.mark.slow
@pytest.mark.parametrize("programs", [FEW, [*PROGRAMS]], ids=["few", "all"])
def test_hostile_selectors_disturb_nobody(place, monkeypatch, programs):
    monkeypatch.setattr(selecting, "START", 8)
    monkeypatch.setattr(selecting, "MEMORY", 2**29)
    monkeypatch.setattr(selecting, "DISK", 2**24)
    folder, marker = place.folder.parent, "x" * 40
    secret = folder / "labels.npy"
    secret.write_text(marker)
    attack = {
        "labels": str(secret), "results": str(secret), "other": str(folder), "canary": str(secret),
        "referee": os.getpid(), "bystander": os.getpid(), "tcp": 9, "tcp6": 9, "udp": 9,
        "abstract": marker,
    }  # fmt: skip
    known = f"{trial.SEED}, {trial.SEED + 1}"
    body = [line.format(known=known, attack=json.dumps(attack)) for line in TWO_FACED]
    folders = []
    for program in programs:
        one = selector(folder, body, name=program.replace("_", "-"))
        (one / "program.txt").write_bytes((HOSTILE / f"{program}.py").read_bytes())
        folders.append(one)
    folders[len(folders) // 2 : len(folders) // 2] = [draft("selector", "sound", folder / "sound")]
    folders.append(draft("subset", "sound-too", folder / "sound-too"))
    before = {one.pid for one in psutil.Process().children(recursive=True)}
    done = {one.name: again(one, place, null=0) for one in folders}
    for name in ("sound", "sound-too"):
        assert (done[name].state, done[name].status) == ("verified", "ok")
    for program in programs:
        found = done[program.replace("_", "-")]
        assert found.problems == [], "it is caught on digits already"
        allowed = {PROGRAMS[program], *(["timeout"] if program in OR_LATE else [])}
        assert found.status in allowed, (program, found.reason)
        assert found.state == ("verified" if found.status == "ok" else "rejected")
        assert bool(found.results) == (found.status == "ok") and found.reason.isprintable()
    assert {one.pid for one in psutil.Process().children(recursive=True)} <= before
    assert secret.read_text() == marker
    for file in place.folder.rglob("*"):
        assert not file.is_file() or marker.encode() not in _left(file), file
    alone = Workplace(folder / "alone")
    shutil.copytree(place.folder, alone.folder, ignore=_all_but_the_round)
    for name in ("sound", "sound-too"):
        again(folder / name, alone, null=0)
    assert {path: text for path, text in content(place.results).items() if "sound" in path} == {
        path: text for path, text in content(alone.results).items() if "sound" in path
    }


def _left(file):
    """Return what a submission could have written to a file: nothing to its own code and ours."""
    return b"" if file.parent.name == "files" else file.read_bytes()


def _all_but_the_round(folder, names):
    return [name for name in names if name not in ("round.json", "secret")]


def test_every_problem_is_told(place):
    folder = selector(place.folder.parent, ["import socket", "return 0"], name="full-null-01")
    (folder / "x.bin").write_bytes(b"x")
    (folder / "link.py").symlink_to("/etc/passwd")
    done = again(folder, place)
    assert (done.state, done.status) == ("rejected", "invalid")
    words = ["link.py is a link", "x.bin is none of the files", "imports 'socket'", "random subset"]
    for word, problem in zip(words, sorted(done.problems, key=_place(words)), strict=True):
        assert word in problem
    assert done.reason == f"{done.problems[0]} (and 3 more)"


def _place(words):
    return lambda problem: next(at for at, word in enumerate(words) if word in problem)


@pytest.mark.parametrize("record", [None, b"name = ", b'name = "a"\nkind = "selector"'])
def test_what_cannot_be_read_has_a_record_too(place, record):
    folder = place.folder.parent / "Mine Own"
    folder.mkdir()
    if record is not None:
        (folder / RECORD).write_bytes(record)
    (folder / "README.md").write_text("x")
    done = again(folder, place)
    assert (done.state, done.status) == ("rejected", "invalid") and done.problems
    assert done.name == f"unnamed-{done.digest[:12]}"


def test_signals_that_are_not_recorded_wait(place, unchecked):
    folder = selector(
        place.folder.parent, ["return 0"], **{'base = "digits"': 'base = "cifar100"'}
    )  # fmt: skip
    for _ in range(2):  # it is tried again
        done = again(folder, place, tracks=None)
        assert (done.state, done.status) == ("failed", "infra")
        assert "run `lotterybench signals cifar100 --proxy supervised`" in done.reason
    assert [act.act for act in acts(place)].count("failed") == 2


def test_classes_are_selected(place, unchecked):
    body = ["return rng.permutation(10)[:size]"]
    folder = selector(
        place.folder.parent, body, **{"fraction = 0.1 ": "classes = 4 "}
    )  # fmt: skip
    done = again(folder, place, null=0)
    assert (done.state, done.reason) == ("verified", "")
    subset = Subset.read(manifest_file(place.subsets, "digits/mine", 1).read_bytes(), "")
    names = find_base("digits")[0].class_names
    number = seed(open_round(place)[0], done.digest, "selector", 0)
    picked = np.random.default_rng(number).permutation(10)[:4]
    assert subset.classes == [names[label] for label in picked]
    assert {line.scope for line in read(place.results / "tiny/mine-v1.jsonl")} == {"subset"}


def test_without_a_sandbox_rows_say_so(place, unchecked):
    body = ["assert 'sandbox' not in __import__('os').uname()[1]", "return np.arange(size)"]
    done = again(selector(place.folder.parent, body), place, isolation="none", null=0)
    assert (done.state, done.isolation) == ("verified", "rerun-unsandboxed"), done.reason
    lines = read(place.results / "tiny/mine-v1.jsonl")
    assert {line.isolation for line in lines} == {"rerun-unsandboxed"}


@pytest.mark.parametrize("kind", ["selector", "method"])
def test_nothing_runs_where_no_sandbox_can_be_had(place, monkeypatch, kind):
    def find():
        raise BadRequest("there is no bwrap")

    monkeypatch.setattr("lotterybench.submissions.sandbox.bubblewrap.find", find)
    proof = place.folder.parent / "proof"
    folder = draft(kind, "mine", place.folder.parent / "mine")
    code = folder / f"{kind}.py"
    code.write_text(f"open({str(proof)!r}, 'w').close()\n{code.read_text()}")
    with pytest.raises(BadRequest, match="there is no bwrap"):
        again(folder, place)
    assert not proof.exists()
    # nor when it goes away in between
    monkeypatch.setattr("lotterybench.submissions.referee.rerunning.check_sandbox", lambda: None)
    done = again(folder, place, tracks=None)
    assert (done.state, done.status, done.reason) == ("failed", "infra", "there is no bwrap")
    assert not proof.exists()


def test_an_isolation_is_kept_to(place, unchecked):
    """What ran without a sandbox is not told to have run in one."""
    _, found = open_round(place)
    place.round.write_bytes(found.model_copy(update={"blocked": "later"}).pretty())
    folder = selector(place.folder.parent, ["return np.arange(size)"])
    assert again(folder, place, isolation="none").isolation == "rerun-unsandboxed"
    with pytest.raises(BadRequest, match="was begun as rerun-unsandboxed"):
        again(folder, place)


def test_a_call_that_is_refused_leaves_nothing(place, unchecked):
    folder = selector(place.folder.parent, ["return np.arange(size)"])
    with pytest.raises(BadRequest, match="is to be scored on tracks of digits"):
        again(folder, place, tracks=["cifar10-5k-supervised-16px"])
    assert place.reruns() == [] and not place.place("mine").exists()


def test_in_a_blocked_round_nothing_is_verified(place, unchecked):
    _, found = open_round(place)
    place.round.write_bytes(found.model_copy(update={"blocked": "it moved"}).pretty())
    folder = selector(place.folder.parent, ["return np.arange(size)"])
    done = again(folder, place)
    assert (done.state, done.status, done.reason) == ("blocked", None, "it moved")
    assert not (place.results / "tiny").exists()
    place.round.write_bytes(found.pretty())
    assert again(folder, place, null=0).state == "verified"


def test_copies_are_refused_and_likenesses_told(place, unchecked):
    _, found = open_round(place)
    place.round.write_bytes(found.model_copy(update={"blocked": "later"}).pretty())
    folder, body = place.folder.parent, ["return np.arange(size)"]
    first = selector(folder, body, name="first")
    (first / "README.md").write_text("mine")
    assert again(first, place).state == "blocked"
    second = selector(folder, body, name="second")
    (second / "README.md").write_text("mine")
    done = again(second, place)
    assert (done.state, done.status) == ("rejected", "invalid")
    assert done.reason == "it is first under another name: the same files and settings"
    other = selector(folder, body, name="third", **{"epochs = 3": "epochs = 4"})
    (other / "README.md").write_text("mine")
    done = again(other, place)
    assert done.state == "blocked"  # other settings: another selector
    assert {(twin.name, twin.same) for twin in done.twins} == {
        ("first", "files"), ("second", "files")
    }  # fmt: skip


def test_a_pull_request_that_moved_is_read_again(place, unchecked):
    by = Pull(repo="lab/queue", number=3, author="ada", commit="0" * 40)
    folder = place.folder.parent
    done = again(selector(folder / "a", ["return 1 +"]), place, pull=by)
    assert done.state == "rejected" and place.files("mine").is_dir()
    mended = selector(folder / "b", ["return np.arange(size)"])
    with pytest.raises(BadRequest, match=r"is taken: .* is rejected"):
        again(mended, place, pull=by.model_copy(update={"number": 4}))
    moved = by.model_copy(update={"commit": "1" * 40})
    done = again(mended, place, pull=moved, null=0)
    assert (done.state, done.pull) == ("verified", moved)
    assert "replaced" in [act.act for act in acts(place)]
    assert "arange" in (place.files("mine") / "selector.py").read_text()


@pytest.mark.parametrize("name", ["uniform-10pct", "class-balanced-25pct"])
def test_names_of_known_subsets_are_refused(place, unchecked, name):
    done = again(selector(place.folder.parent, ["return 0"], name=name), place)
    assert done.problems == [f"digits/{name} is a subset that is known here; take another name"]


def record_of(folder, kind, **changes):
    """Return a draft's record with some fields changed."""
    text = (draft(kind, "mine", folder / "mine") / RECORD).read_bytes()
    return read_record(text)[0].model_copy(update=changes)


def test_which_tracks_score_what(tmp_path):
    record = record_of(tmp_path, "subset")
    found, notes = tracks_of(record)
    shipped = {file.parent.name for file in reference_results().glob("*/full.jsonl")}
    ranking = {name for name in track if track[name].base == "digits"} - {"digits-exact"}
    assert {one.name for one in found} == ranking & shipped
    told = {note.split(":")[0].removeprefix("not scored on ") for note in notes}
    assert told >= {"digits-exact"} | ranking - shipped
    assert [one.name for one in tracks_of(record, ["digits-stacked"])[0]] == ["digits-stacked"]
    named = record.model_copy(update={"track": "digits-selfsup"})
    assert [one.name for one in tracks_of(named)[0]] == ["digits-selfsup"]
    with pytest.raises(BadRequest, match="is to be scored on digits-selfsup"):
        tracks_of(named, ["digits-supervised"])
    with pytest.raises(BadRequest, match="is a study"):
        tracks_of(record, ["digits-tickets-tiny"])
    with pytest.raises(Stopped, match="it runs every subset there is"):
        tracks_of(record, ["digits-exact"])
    with pytest.raises(Stopped, match="no track"):
        tracks_of(record.model_copy(update={"base": "fashion-mnist"}))


def test_a_method_is_scored_where_encoders_are(tmp_path):
    found, notes = tracks_of(record_of(tmp_path, "method"))
    assert [one.name for one in found] == ["digits-selfsup"]
    assert any("digits-supervised ranks a classifier" in note for note in notes)


def test_a_track_begins_with_the_reference_results(place):
    selfsup = track["digits-selfsup"]
    folder, shipped = begin(selfsup, place), reference_results() / "digits-selfsup"
    assert content(folder) == content(shipped)
    (folder / "full.jsonl").write_text("")
    assert begin(selfsup, place) == folder and not (folder / "full.jsonl").read_text()
    other = track["digits-supervised"].model_copy(update={"version": 9})
    assert not begin(other, place).exists()  # nothing is joined across versions


def test_two_referees_do_not_interleave(place, unchecked):
    folder = selector(place.folder.parent, ["return 0"])
    with locked(place.folder / "round"), pytest.raises(Busy):
        again(folder, place)
    assert not place.results.exists()


def test_seeds_are_those_that_the_rule_gives():
    text = f"{SECRET.hex()}|{DIGEST}|training|3"
    expected = int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)
    assert seed(SECRET, DIGEST, "training", 3) == expected
    several = {
        seed(secret, digest, purpose, number)
        for secret in (SECRET, SECRET[::-1])
        for digest in (DIGEST, "e" * 64)
        for purpose in ("training", "selector")
        for number in range(50)
    }
    assert len(several) == 400 and max(several) < 2**32
    assert min(several) < 2**28 and max(several) > 2**32 - 2**28  # all 32 bits are used


def test_an_order_is_a_permutation_of_its_own():
    one, two = (permutation(SECRET, DIGEST, purpose, 1000) for purpose in ("order", "images"))
    assert sorted(one) == sorted(two) == list(range(1000))
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.15
    assert (one == permutation(SECRET, DIGEST, "order", 1000)).all()


def test_a_secret_is_drawn_once(place):
    secret, found = open_round(place)
    assert len(secret) == 32 and found.commitment == commitment(secret)
    assert open_round(place) == (secret, found)
    assert Round.read(place.round.read_bytes(), "") == found
    assert [file.name for file in place.folder.iterdir() if "secret" in file.name] == ["secret"]


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda place: place.secret.chmod(0o640), "readable for others"),
        (lambda place: place.secret.write_text("11" * 32), "not the one that round.json commits"),
        (lambda place: place.secret.write_text("11" * 31), "no secret of 32 bytes"),
        (lambda place: place.secret.write_text("nothing"), "no secret of 32 bytes"),
        (lambda place: place.secret.unlink(), "there is none beside it"),
    ],
)  # fmt: skip
def test_a_secret_that_is_none(place, harm, words):
    open_round(place)
    harm(place)
    with pytest.raises(BadRecord, match=words) as caught:
        open_round(place)
    assert str(place.folder) not in str(caught.value)


def test_the_command(place, unchecked):
    good = selector(place.folder.parent, ["return np.arange(size)"], name="good")
    bad = selector(place.folder.parent, ["raise KeyError"], name="bad")
    taken = selector(place.folder.parent / "else", ["return 1"], name="bad")
    call = [
        "rerun", bad, taken, good, "--track", place.folder.parent / "tiny.json", "--null", 0,
        "--out", place.folder, "--as", "ada", "--device", "cpu", "--jobs", 1,
    ]  # fmt: skip
    done = CliRunner().invoke(app, [*map(str, call), "--json"])
    assert done.exit_code == 1  # a name that is taken is the caller's to mend
    rows = json.loads(done.stdout)
    assert [(row["name"], row["state"], row["status"]) for row in rows] == [
        ("bad", "rejected", "crash"), ("good", "verified", "ok"),
    ]  # fmt: skip
    assert rows[1]["figures"][0]["track"] == "tiny"
    assert "bad is taken" in done.stderr
    table = CliRunner().invoke(app, [str(word) for word in call if word != taken])
    assert table.exit_code == 0
    header, first, second = table.stdout.splitlines()
    assert header.split()[:5] == ["name", "kind", "state", "status", "reason"]
    assert first.split()[:4] == ["bad", "selector", "rejected", "crash"]
    assert second.split()[:4] == ["good", "selector", "verified", "ok"]
    assert {act.who for act in acts(place)} == {"ada"}


@pytest.mark.slow
def test_the_command_warns_and_refuses(place, unchecked):
    folder = selector(place.folder.parent, ["raise KeyError"])
    tiny = str(place.folder.parent / "tiny.json")
    call = ["rerun", str(folder), "--track", tiny, "--out", str(place.folder), "--isolation"]
    done = CliRunner().invoke(app, [*call, "none"])
    assert done.exit_code == 0 and "warning: without a sandbox" in done.stderr
    assert "rerun-unsandboxed" in done.stderr
    wrong = CliRunner().invoke(app, [*call, "some"])
    assert isinstance(wrong.exception, BadRequest) and "sandboxed or none" in str(wrong.exception)
