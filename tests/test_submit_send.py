"""Sending a submission through the real client to a double of the Hub: one pull request, whole."""

import copy
import json
from collections import Counter

import pytest
from hub_double import AUTHOR, READER, WRITER, Entry
from markdown_it import MarkdownIt
from releases import content
from submitted import SELECTOR, call, written
from typer.testing import CliRunner

from lotterybench.cli import app
from lotterybench.errors import BadRequest, HubError, LotteryBenchError
from lotterybench.submissions.checking import check_submission
from lotterybench.submissions.drafts import new_submission
from lotterybench.submissions.reading import read_record
from lotterybench.submissions.records import NOBODY
from lotterybench.submissions.sending import send
from lotterybench.submissions.summary import description_of, escaped, title_of

REPO = "org/lotterybench-submissions"
PATIENCE = 0.5  # seconds without an answer until a faulty request counts as lost
CODE = "def select(signals, labels, size, rng):\n    return rng.permutation(1201)[:size]\n"


@pytest.fixture
def repo(hub):
    """An empty repository of submissions in the double."""
    return hub.create(REPO)


@pytest.fixture
def checked(tmp_path):
    """A checked selector."""
    return check_submission(written(tmp_path / "mine", mine__py=CODE), run=False)


@pytest.fixture
def changed(tmp_path):
    """The same selector with another code and another file."""
    code = CODE.replace("[:size]", "[-size:]")
    return check_submission(written(tmp_path / "new", mine__py=code, README__md="# 2"), run=False)


def files_of(found):
    return {f"submissions/mine/{path}": text for path, text in found.folder.files.items()}


def state(repo):
    """Return everything that sending may change."""
    return repo.main, {number: vars(pull) for number, pull in copy.deepcopy(repo.pulls).items()}


def failure(hub, found, *, token=AUTHOR, name=REPO):
    """Return the line with which sending fails; it tells no secret."""
    with pytest.raises(LotteryBenchError) as caught:
        send(found, name, token=token)
    line = str(caught.value)
    assert line.isprintable() and len(line) < 500
    assert hub.url not in line and (token or AUTHOR) not in line
    return line


def test_a_submission_is_one_pull_request_with_the_folders_bytes(hub, repo, checked):
    main = repo.main
    sent = send(checked, REPO, token=AUTHOR)
    assert (sent.state, sent.number, sent.digest) == ("new", 1, checked.digest)
    assert sent.address == f"{hub.url}/datasets/{REPO}/discussions/1"
    pull = repo.pulls[1]
    assert content(hub, repo.find("refs/pr/1").tree) == files_of(checked)
    assert repo.main == main and pull.author == "author" and pull.status == "open"
    assert pull.title == "Submission: mine" and checked.digest in pull.description


def test_a_second_call_only_reads(hub, repo, checked):
    send(checked, REPO, token=AUTHOR)
    before = state(repo)
    hub.forget()
    assert send(checked, REPO, token=AUTHOR).state == "before"
    assert state(repo) == before
    assert set(Counter(line.split()[0] for line in hub.lines)) == {"GET"}


def test_a_changed_submission_updates_its_pull_request(hub, repo, checked, changed):
    send(changed, REPO, token=AUTHOR)
    sent = send(checked, REPO, token=AUTHOR)
    assert (sent.state, sent.number) == ("updated", 1) and len(repo.pulls) == 1
    assert content(hub, repo.find("refs/pr/1").tree) == files_of(checked)  # the README is gone
    assert send(checked, REPO, token=AUTHOR).state == "before"
    assert send(changed, REPO, token=AUTHOR).state == "updated"
    assert content(hub, repo.find("refs/pr/1").tree) == files_of(changed)


def test_a_manifest_goes_through_the_storage_of_large_files(hub, repo, tmp_path):
    new_submission("subset", "mine", tmp_path / "s")
    record = tmp_path / "s/submission.toml"
    record.write_text(record.read_text().replace(NOBODY, "Ada"))
    found = check_submission(tmp_path / "s")
    assert send(found, REPO, token=AUTHOR).state == "new"
    assert content(hub, repo.find("refs/pr/1").tree) == files_of(found) and len(hub.objects) == 1
    assert send(found, REPO, token=AUTHOR).state == "before"


def test_drafts_are_marked_as_ready(hub, repo, checked):
    hub.drafts = True
    assert send(checked, REPO, token=AUTHOR).state == "new"
    assert repo.pulls[1].status == "open"
    repo.pulls[1].status = "draft"
    assert send(checked, REPO, token=AUTHOR).state == "before"
    assert repo.pulls[1].status == "open"


def test_other_peoples_pull_requests_are_left_alone(hub, repo, checked, changed):
    send(changed, REPO, token=WRITER)
    before = vars(copy.deepcopy(repo.pulls[1]))
    assert send(checked, REPO, token=AUTHOR).number == 2
    assert vars(repo.pulls[1]) == before


def test_one_among_many(hub, repo, checked, tmp_path):
    hub.page = 2
    for number in range(5):
        text = SELECTOR.replace('"mine"', f'"other-{number}"')
        other = written(tmp_path / f"other-{number}", text, mine__py=CODE)
        send(check_submission(other, run=False), REPO, token=AUTHOR)
        if number == 1:
            send(checked, REPO, token=AUTHOR)
    assert send(checked, REPO, token=AUTHOR).number == 3 and len(repo.pulls) == 6


def merge(repo):
    repo.add(repo.find("refs/pr/1").tree, "merged")
    repo.pulls[1].status = "merged"


def test_merged_is_merged(hub, repo, checked, changed):
    send(checked, REPO, token=AUTHOR)
    merge(repo)
    before = state(repo)
    assert send(checked, REPO, token=AUTHOR).state == "merged"
    line = failure(hub, changed)
    assert "mine was merged as pull request 1" in line and "as mine-2" in line
    assert "of somebody else" in failure(hub, changed, token=WRITER)
    assert state(repo) == before


def test_closed_is_closed(hub, repo, checked):
    send(checked, REPO, token=AUTHOR)
    repo.pulls[1].status = "closed"
    before = state(repo)
    assert "pull request 1 of org/lotterybench-submissions was closed" in failure(hub, checked)
    assert state(repo) == before
    repo.pulls[1].status = "open"
    assert send(checked, REPO, token=AUTHOR).state == "before"


def test_a_name_that_is_somebody_elses(hub, repo, checked):
    repo.add({**repo.find("main").tree, "submissions/mine/x": Entry(b"x")}, "theirs")
    assert "has a submission mine of somebody else" in failure(hub, checked)
    assert repo.pulls == {}


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("hf_expired", "reading whose the token is: the token is missing, expired or wrong"),
        (READER, "opening the pull request: the token may not open pull requests there"),
        ("hf_ü", "the token cannot be sent"),
        (None, "there is no token: log in"),
    ],
)
def test_tokens(hub, repo, checked, monkeypatch, token, words):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    before = state(repo)
    assert words in failure(hub, checked, token=token)
    assert state(repo) == before


@pytest.mark.parametrize("name", ["bench", "org/../x", "", "a/b/c"])
def test_repositories_have_names(hub, checked, name):
    assert "it is ORG/NAME" in failure(hub, checked, name=name)
    assert hub.lines == []


def test_no_such_repository(hub, checked):
    assert "there is no such dataset repository" in failure(hub, checked)


def test_what_has_problems_is_not_sent(hub, repo, tmp_path):
    found = check_submission(written(tmp_path / "s", mine__py="1 +"), run=False)
    assert "the submission has 1 problems" in failure(hub, found)
    text = SELECTOR.replace("Ada Lovelace", NOBODY)
    found = check_submission(written(tmp_path / "t", text, mine__py=CODE), run=False)
    assert "the author is still" in failure(hub, found)
    assert hub.lines == []


def test_what_the_hub_leaves_out_is_noticed(hub, repo, checked):
    hub.ignored.add("submissions/mine/mine.py")
    assert "pull request 1 does not hold what was sent" in failure(hub, checked)


def on(hub, pattern, act, times=1):
    """Let something happen just before the requests that have `pattern` in their line."""
    left = [None] * times

    def before(line):
        if pattern in line and left:
            left.pop()
            act()

    hub.before = before


def pushed(repo):
    """Let somebody else commit to the pull request."""
    pull = repo.pulls[1]
    tree = {**repo.find("refs/pr/1").tree, "submissions/mine/note.md": Entry(b"note")}
    pull.head = repo.store(pull.head, tree, "theirs")


def test_a_pull_request_that_moves_is_read_again(hub, repo, checked, changed):
    send(checked, REPO, token=AUTHOR)
    on(hub, "/commit/refs", lambda: pushed(repo))
    assert send(changed, REPO, token=AUTHOR).state == "updated"
    assert content(hub, repo.find("refs/pr/1").tree) == files_of(changed)


def test_a_pull_request_that_keeps_moving(hub, repo, checked, changed):
    send(checked, REPO, token=AUTHOR)
    steps = iter(range(9))

    def act():
        repo.pulls[1].head = repo.store(
            repo.pulls[1].head, repo.find("refs/pr/1").tree, f"empty {next(steps)}"
        )

    on(hub, "/commit/refs", act, times=9)
    assert "keeps moving" in failure(hub, changed)
    assert content(hub, repo.find("refs/pr/1").tree) == files_of(checked)


# A fault at every request: of opening, and of updating.


@pytest.fixture(params=["new", "updated"])
def run(request, hub, checked, changed):
    """Return what makes the repository anew, what is sent, what then lies there, the requests."""
    repo = hub.create(REPO)
    if request.param == "updated":
        send(checked, REPO, token=AUTHOR)
    start = copy.deepcopy(repo)

    def anew():
        hub.forget()
        hub.repos[REPO] = copy.deepcopy(start)
        return hub.repos[REPO]

    found = changed if request.param == "updated" else checked
    anew()
    assert send(found, REPO, token=AUTHOR).state == request.param
    return anew, found, len(hub.lines)


def faulted(hub, run, **fault):
    """Send with a fault: it is done, or a line says so; nothing is half there; repeat it."""
    anew, found, _ = run
    repo = anew()
    before = {number: repo.find(f"refs/pr/{number}").tree for number in repo.pulls}
    hub.fault(**fault)
    try:
        send(found, REPO, token=AUTHOR)
        failed = False
    except HubError as error:
        failed = True
        assert str(error).isprintable() and hub.url not in str(error)
        assert "repeat the command to continue" in str(error)
    assert len(repo.pulls) <= 1
    for number in repo.pulls:
        tree = repo.find(f"refs/pr/{number}").tree
        assert content(hub, tree) == files_of(found) or tree == before.get(number)
    hub.forget()
    send(found, REPO, token=AUTHOR)
    assert list(repo.pulls) == [1] and content(hub, repo.find("refs/pr/1").tree) == files_of(found)
    return failed


def test_an_answer_lost_where_it_is_written(hub, run):
    assert faulted(hub, run, kind="reset", match="POST .*/commit/", after=True)


@pytest.mark.parametrize("kind", [429, 500])
def test_a_refusal_where_it_is_written(hub, run, kind):
    assert faulted(hub, run, kind=kind, match="POST .*/commit/")


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", [429, 500, 503, "reset", "hang"])
def test_a_fault_at_every_request(hub, run, monkeypatch, kind, after):
    monkeypatch.setattr("lotterybench.hub.repository.TIMEOUT", PATIENCE)
    for number in range(1, run[2] + 1):
        faulted(hub, run, kind=kind, at=number, after=after)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [429, 500, "reset"])
def test_a_hub_that_fails_from_some_request_on(hub, run, kind):
    for number in range(1, run[2] + 1):
        assert faulted(hub, run, kind=kind, since=number)


# What the pull request says.

HOSTILE = [
    "<script>alert(1)</script>", "[x](javascript:alert(1))", "![](https://a.b/c.png)", "@everyone",
    "# heading", "* item", "1. item", "    code", "`code`", "| a | b |", "---", "a\\*b",
    "&lt;b&gt;", "https://example.org", "www.example.org", "~~gone~~", "<https://a.b>", "[a]: https://a.b",
    "$x$",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_shown_as_it_is(text):
    html = MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(f"> {escaped(text)}")
    plain = " ".join(text.split())
    shown = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert html == f"<blockquote>\n<p>{shown}</p>\n</blockquote>\n"
    assert "@" not in escaped(text)


def test_a_description_says_everything_and_does_nothing():
    text = SELECTOR.replace('"What it does."', json.dumps("\n\n".join(HOSTILE)))
    text += (
        '[[claims]]\ntrack = "digits-selfsup"\nfigure = "tau-b"\nvalue = 0.5\n'
        'how = "<b>[x](y)</b>"\n'
    )
    record, faults = read_record(text.encode())
    assert faults == []
    html = MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(
        description_of(record, "0" * 64)
    )
    tags = {part.split(">")[0].strip("/") for part in html.split("<")[1:]}
    assert tags == {"ul", "li", "blockquote", "p", "code"}
    assert html.count("<code>") == 1  # our own
    assert "Ada Lovelace" in html and "0" * 64 in html and title_of(record) == "Submission: mine"


# The command line.


def test_the_command(hub, repo, tmp_path, monkeypatch):
    folder, token = written(tmp_path / "mine", mine__py=CODE), tmp_path / "token"
    token.write_text(f"{AUTHOR}\n")
    to = ("send", folder, "--repo", REPO, "--no-run", "--token-file", token)
    done = call(*to)
    assert (
        f"pull request 1 of {REPO}: opened\n{hub.url}/datasets/{REPO}/discussions/1" in done.stdout
    )
    assert "held these files already" in call(*to).stdout
    assert json.loads(call(*to, "--json").stdout)["state"] == "before"
    (folder / "mine.py").write_text("1 +")
    hub.forget()
    done = CliRunner().invoke(app, ["submit", *map(str, to)])
    assert done.exit_code == 1 and "mine.py is no Python" in done.stdout and hub.lines == []
    token.write_text("a b")
    with pytest.raises(BadRequest, match="holds no token"):
        call(*to)
