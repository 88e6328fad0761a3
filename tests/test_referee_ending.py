"""Submissions withdrawn and superseded, rounds closed: the board changes, the evidence stays."""

import shutil

import pytest
from hub_double import AUTHOR, WRITER
from refereed import TINY, again, no_workers
from releases import content
from typer.testing import CliRunner

from lotterybench.build import build_subset, manifest_problems, save_subset
from lotterybench.cli import app
from lotterybench.errors import BadRequest
from lotterybench.paths import manifest_file
from lotterybench.publication import render_site
from lotterybench.records import Budget, Subset
from lotterybench.score import board
from lotterybench.submissions.checking import check_submission
from lotterybench.submissions.drafts import new_submission
from lotterybench.submissions.reading import read_record
from lotterybench.submissions.records import NOBODY, RECORD
from lotterybench.submissions.referee.auditing import acts
from lotterybench.submissions.referee.ending import close_round, superseding_problems, withdraw
from lotterybench.submissions.referee.records import Pull, Round
from lotterybench.submissions.referee.seeds import commitment
from lotterybench.submissions.referee.workplace import Workplace
from lotterybench.submissions.sending import send

REPO = "org/lotterybench-submissions"
ADA = 'contact = "ada@example.org"'


@pytest.fixture(scope="module", autouse=True)
def here():
    with no_workers():
        yield


def a_subset(folder, name, seed=7, supersedes=None, contact=ADA):
    """Write a submitted subset of a fixed seed."""
    place = folder / name
    new_submission("subset", name, place)
    shutil.rmtree(place / "subsets")
    made = build_subset("digits", "class-balanced", Budget(fraction=0.1), name=name, seed=seed)
    save_subset(*made, place / "subsets")
    text = (place / RECORD).read_text().replace(NOBODY, "Ada")
    text = text.replace('name = "Ada"', f'name = "Ada"\n{contact}')
    if supersedes:
        text = text.replace("kind =", f'supersedes = "{supersedes}"\nkind =', 1)
    (place / RECORD).write_text(text)
    return place


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A round with one verified subset."""
    home = tmp_path_factory.mktemp("ending")
    (home / "tiny.json").write_bytes(TINY.pretty())
    workplace = Workplace(home / "round")
    found = again(a_subset(home, "old"), workplace, null=0)
    assert (found.state, found.problems) == ("verified", [])
    return home


@pytest.fixture
def place(done, tmp_path):
    """A copy of that round."""
    shutil.copytree(done, tmp_path / "home")
    return Workplace(tmp_path / "home" / "round")


def manifest_of(place, name="old"):
    file = manifest_file(place.subsets, f"digits/{name}", 1)
    return file, Subset.read(file.read_bytes(), file.name)


def rows(place):
    return [entry.subset for entry in board(place.results / "tiny").subsets]


def page(place, tmp_path):
    render_site(place.results, tmp_path / "site")
    return (tmp_path / "site" / "submissions.html").read_text()


def test_what_is_withdrawn_leaves_the_board_and_keeps_its_lines(place, tmp_path):
    lines = place.results / "tiny" / "old-v1.jsonl"
    before, digest = lines.read_bytes(), manifest_of(place)[1].digest
    assert rows(place) == ["digits/old"]
    found = withdraw("old", "a bug <b>in</b> it", place, who="ada")
    assert (found.state, found.status) == ("withdrawn", "withdrawn")
    assert place.read("old") == found and lines.read_bytes() == before
    assert rows(place) == []
    file, subset = manifest_of(place)
    assert subset.withdrawn == "a bug <b>in</b> it" and subset.digest == digest
    assert manifest_problems(file) == []
    text = page(place, tmp_path)
    assert "a bug &lt;b&gt;in&lt;/b&gt; it" in text[text.index('id="past"') :]
    assert not (tmp_path / "site" / "subsets").exists()
    last = acts(place)[-1]
    assert (last.act, last.who, last.name) == ("withdrew", "ada", "old")


def test_a_withdrawal_is_final_and_may_be_repeated(place):
    withdraw("old", "a bug", place)
    count = len(acts(place))
    assert withdraw("old", "a bug", place) == place.read("old")
    with pytest.raises(BadRequest, match="was withdrawn before: a bug"):
        withdraw("old", "no bug", place)
    assert again(place.folder.parent / "old", place, null=0).state == "withdrawn"
    assert [act.act for act in acts(place)[count:] if act.act == "withdrew"] == []


@pytest.mark.parametrize("reason", ["", "two\nlines", "bell\a", " space", "x" * 201, "\u202eabc"])
def test_a_reason_is_a_line(place, reason):
    before = place.record("old").read_bytes()
    with pytest.raises(BadRequest) as caught:
        withdraw("old", reason, place)
    assert str(caught.value).isprintable() and place.record("old").read_bytes() == before


@pytest.mark.parametrize("name", ["nobody", "../old", "old/../old"])
def test_a_name_that_is_none(place, name):
    with pytest.raises(BadRequest, match=r"there is no submission .* there are old"):
        withdraw(name, "a bug", place)


def test_a_newer_one_takes_its_place(place, tmp_path):
    lines = place.results / "tiny" / "old-v1.jsonl"
    before = lines.read_bytes()
    found = again(a_subset(tmp_path, "new", 8, supersedes="old"), place, null=0)
    assert (found.state, found.supersedes, found.problems) == ("verified", "old", [])
    there = place.read("old")
    assert (there.state, there.superseded_by) == ("verified", "new")
    file, subset = manifest_of(place)
    assert subset.superseded_by == "digits/new@1" and manifest_problems(file) == []
    assert lines.read_bytes() == before and set(rows(place)) == {"digits/new", "digits/old"}
    text = page(place, tmp_path)
    assert 'href="#submission-new"' in text[text.index('id="past"') :]


def test_somebody_elses_stays_where_it_is(place, tmp_path):
    folder = a_subset(tmp_path, "new", 8, supersedes="old", contact='contact = "eve@example.org"')
    found = again(folder, place, null=0)
    assert (found.state, found.status) == ("rejected", "invalid")
    assert "old is somebody else's" in found.problems[0]
    assert place.read("old").superseded_by is None and manifest_of(place)[1].superseded_by is None


def record(**changes):
    text = (
        'schema_version = 1\nname = "new"\nkind = "subset"\nlicence = "CC0-1.0"\n'
        'authors = [{ name = "Eve" }]\ndescription = "d"\nentry = "a.json"\nbase = "digits"\n'
        'supersedes = "old"\nbudget = { fraction = 0.1 }\n'
    )
    found, faults = read_record(text.encode())
    assert faults == []
    return found.model_copy(update=changes)


def test_whose_place_may_be_taken(place):
    pull = Pull(repo=REPO, number=1, author="ada", commit="c" * 40)
    place.write(place.read("old").model_copy(update={"pull": pull}))
    same = pull.model_copy(update={"number": 2, "commit": "d" * 40})
    assert superseding_problems(record(), same, place) == []
    assert superseding_problems(record(supersedes=None), None, place) == []
    for other in (None, same.model_copy(update={"author": "eve"})):
        assert "somebody else" in superseding_problems(record(), other, place)[0]
    elsewhere = same.model_copy(update={"repo": "org/other"})  # of the same name: another person
    assert "somebody else" in superseding_problems(record(), elsewhere, place)[0]
    assert "no submission none" in superseding_problems(record(supersedes="none"), same, place)[0]
    assert "is a subset of digits" in superseding_problems(record(kind="method"), same, place)[0]
    place.write(place.read("old").model_copy(update={"superseded_by": "newer"}))
    assert "by newer already" in superseding_problems(record(), same, place)[0]


def test_nobody_takes_their_own_place(tmp_path):
    text = (a_subset(tmp_path, "mine", supersedes="mine") / RECORD).read_bytes()
    found, faults = read_record(text)
    assert found is None and "supersedes: it is its own name" in faults[0]


def test_a_round_that_is_closed_shows_its_secret(place, tmp_path):
    done = CliRunner().invoke(app, ["rerun", "--close", "--out", str(place.folder)])
    assert done.exit_code == 0, done.output
    found = Round.read(place.round.read_bytes(), "round")
    assert found.secret in done.stdout and commitment(bytes.fromhex(found.secret)) == (
        found.commitment
    )
    assert close_round(place)[0] == found
    assert [act.act for act in acts(place)].count("closed the round") == 1
    with pytest.raises(BadRequest, match="round is closed"):
        again(a_subset(tmp_path, "late", 9), place, null=0)
    assert again(place.folder.parent / "old", place, null=0).state == "verified"  # nothing is run
    assert withdraw("old", "later", place).state == "withdrawn"


def test_there_is_no_round_to_close(tmp_path):
    with pytest.raises(BadRequest, match="no round to close"):
        close_round(Workplace(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_the_command_withdraws(place):
    done = CliRunner().invoke(
        app, ["rerun", "--withdraw", "old", "--reason", "a bug", "--out", str(place.folder)]
    )
    assert done.exit_code == 0 and "old is withdrawn: a bug" in done.stdout


def test_a_pull_request_is_rerun_and_committed(hub, tmp_path):
    """The queue with the real rerun: what main holds is what was sent, and what was measured."""
    repo = hub.create(REPO)
    found = check_submission(a_subset(tmp_path, "even-tenth"), run=False)
    send(found, REPO, token=AUTHOR)
    (tmp_path / "token").write_text(WRITER)
    (tmp_path / "tiny.json").write_bytes(TINY.pretty())
    place = Workplace(tmp_path / "round")
    queue = [
        "rerun", "--queue", REPO, "--out", str(place.folder), "--null", "0", "--as", "ada",
        "--track", str(tmp_path / "tiny.json"), "--token-file", str(tmp_path / "token"),
    ]  # fmt: skip
    done = CliRunner().invoke(app, queue)
    assert done.exit_code == 0, done.output
    tree = content(hub, repo.find("main").tree)
    own = {path: text for path, text in tree.items() if path.startswith("submissions/")}
    assert own == {f"submissions/even-tenth/{p}": t for p, t in found.folder.files.items()}
    lines = (place.results / "tiny" / "even-tenth-v1.jsonl").read_bytes()
    assert tree["results/tiny/even-tenth-v1.jsonl"] == lines and b"submission:even-tenth" in lines
    assert "subsets/digits/even-tenth/v1.json" in tree
    assert tree["reruns/even-tenth/rerun.json"] == place.record("even-tenth").read_bytes()
    assert repo.pulls[1].status == "closed" and repo.main in repo.pulls[1].comments()[-1][1]
    withdraw("even-tenth", "a bug", place)
    before = repo.main
    for _ in range(2):  # main is told once
        assert CliRunner().invoke(app, queue).exit_code == 0
    assert repo.commits[repo.main].parent == before
    told = content(hub, repo.find("main").tree)
    changed = {path for path in told if told[path] != tree[path]}
    assert changed == {"reruns/even-tenth/rerun.json", "subsets/digits/even-tenth/v1.json"}
    assert told.keys() == tree.keys() and b"a bug" in told["reruns/even-tenth/rerun.json"]
    assert send(found, REPO, token=AUTHOR).state == "merged"  # by its files, not by its branch
    changed = check_submission(a_subset(tmp_path / "two", "even-tenth", 8), run=False)
    with pytest.raises(BadRequest, match="with other files, and it does not change any more"):
        send(changed, REPO, token=AUTHOR)
