"""The referee's queue through the real client to a double of the Hub: bytes, comments, faults."""

import copy
import json

import pytest
from hub_double import AUTHOR, READER, WRITER, Entry
from markdown_it import MarkdownIt
from releases import content
from submitted import SELECTOR, written
from typer.testing import CliRunner

from lotterybench.cli import app
from lotterybench.errors import BadRequest, BadResults, HubError
from lotterybench.storage import locked, write_whole
from lotterybench.submissions.checking import check_submission
from lotterybench.submissions.files import LARGEST_TEXT
from lotterybench.submissions.referee.auditing import acts, open_audit
from lotterybench.submissions.referee.pulls import Incoming, Waiting
from lotterybench.submissions.referee.queue import Bench, look, take_up
from lotterybench.submissions.referee.records import Pull, Rerun
from lotterybench.submissions.referee.replies import reply_to
from lotterybench.submissions.referee.taking import keep, make_way, read_in
from lotterybench.submissions.referee.workplace import Workplace
from lotterybench.submissions.sending import send

REPO = "org/lotterybench-submissions"
CODE = "def select(signals, labels, size, rng):\n    return rng.permutation(1201)[:size]\n"
OTHER = CODE.replace("[:size]", "[-size:]")
ZERO = "0" * 64
PATIENCE = 0.5  # seconds without an answer until a faulty request counts as lost


@pytest.fixture
def repo(hub):
    """An empty repository of submissions in the double."""
    return hub.create(REPO)


@pytest.fixture
def workplace(tmp_path):
    return Workplace(tmp_path / "round")


@pytest.fixture
def author(hub, repo, tmp_path):
    """Return what sends a selector by its name; `token` is whose it is."""

    def sent(name="mine", code=CODE, token=AUTHOR):
        text = SELECTOR.replace('"mine"', f'"{name}"')
        folder = written(tmp_path / f"draft-{name}", text, mine__py=code)
        found = check_submission(folder, run=False)
        return send(found, REPO, token=token), found

    return sent


class Referee:
    """What stands for the rerun: it takes files in as the referee does, and ends as it is told."""

    def __init__(self, workplace):
        self.workplace, self.order, self.ends, self.during = workplace, [], {}, {}
        self.seen = []

    def again(self, folder, pull):
        name = folder.name
        self.order.append(name)
        self.seen.append({one.name: one.state for one in self.workplace.reruns()})
        with locked(self.workplace.folder / "round"):
            taken, audit = read_in(folder), open_audit(self.workplace, "tester")
            make_way(taken, self.workplace, pull, audit)
            keep(taken, self.workplace, audit)
            self.during.pop(name, lambda: None)()
            end = self.ends.get(name, {"state": "verified", "status": "ok"})
            if isinstance(end, Exception):
                raise end
            line = self.workplace.results / "toy" / f"{name}-v1.jsonl"
            write_whole(line, f"{taken.digest}\n".encode())
            write_whole(line.with_suffix(".timings"), b"1 s\n")
            manifest = self.workplace.subsets / "digits" / name / "v1.json"
            write_whole(manifest, f"{taken.digest} selects\n".encode())
            done = Rerun(
                schema_version=1, name=taken.name, digest=taken.digest, pull=pull, tracks=["toy"],
                selected=[f"digits/{name}@1"], results=[f"toy/{name}-v1.jsonl"],
                code_digest=ZERO, **end,
            )  # fmt: skip
            self.workplace.write(done)
            return done

    def bench(self, references=lambda record: None):
        return Bench(self.again, references)


@pytest.fixture
def referee(workplace):
    return Referee(workplace)


def call(referee, token=WRITER):
    """Take the queue up once; return the turns by name."""
    turns = list(take_up(REPO, referee.workplace, referee.bench(), token=token, who="tester"))
    return {turn.name: turn for turn in turns}


def state(repo):
    """Return everything that the queue may change on the Hub."""
    return repo.main, {number: vars(pull) for number, pull in copy.deepcopy(repo.pulls).items()}


def said(repo, number=1):
    """Return the comments of the referee."""
    return [text for who, text in repo.pulls[number].comments() if who == "writer"]


def push(repo, number=1, folder="submissions/mine", **files):
    """Let the author commit files; names have __ for a dot, None takes one away."""
    pull = repo.pulls[number]
    tree = dict(repo.find(f"refs/pr/{number}").tree)
    for name, text in files.items():
        path = f"{folder}/{name.replace('__', '.')}".lstrip("/")
        if text is None:
            del tree[path]
        else:
            tree[path] = Entry(text.encode() if isinstance(text, str) else text)
    pull.head = repo.store(pull.head, tree, f"push {len(repo.commits)}")


def expected(workplace, name, found):
    """Return what main holds of a verified submission."""
    files = {f"submissions/{name}/{path}": text for path, text in found.folder.files.items()}
    for path in (f"toy/{name}-v1.jsonl", f"toy/{name}-v1.timings"):
        files[f"results/{path}"] = (workplace.results / path).read_bytes()
    manifest = f"subsets/digits/{name}/v1.json"
    files[manifest] = (workplace.results / manifest).read_bytes()
    return files | {f"reruns/{name}/rerun.json": workplace.record(name).read_bytes()}


def test_what_is_verified_is_committed_by_its_bytes_and_closed(hub, repo, author, referee):
    _, found = author()
    head, first = repo.pulls[1].head, repo.main
    turn = call(referee)["mine"]
    assert (turn.state, turn.fault, turn.digest) == ("verified", "", found.digest)
    assert turn.published == repo.main and repo.commits[repo.main].parent == first
    tree = content(hub, repo.find("main").tree)
    assert tree == expected(referee.workplace, "mine", found)
    pull = repo.pulls[1]
    assert pull.status == "closed" and pull.head == head  # never "merged"
    (text,) = said(repo)
    assert repo.main in text and found.digest in text and "**verified.**" in text
    record = referee.workplace.read("mine")
    assert record.pull == Pull(repo=REPO, number=1, author="author", commit=head)
    trail = [(act.act, act.detail.get("commit")) for act in acts(referee.workplace)]
    assert ("read", head) in trail and ("committed", repo.main) in trail


def test_the_oldest_comes_first_and_all_wait_before_it(repo, author, referee):
    for name in ("zebra", "apple", "mine"):
        author(name)
    call(referee)
    assert referee.order == ["zebra", "apple", "mine"]
    assert referee.seen[0] == dict.fromkeys(("zebra", "apple", "mine"), "pending")


def test_a_second_call_does_nothing(hub, repo, author, referee):
    author()
    author("bad")
    referee.ends["bad"] = {"state": "rejected", "status": "invalid", "reason": "no"}
    call(referee)
    before = state(repo)
    hub.forget()
    turns = call(referee)
    assert list(turns) == ["bad"] and state(repo) == before
    assert not [line for line in hub.lines if line.startswith("POST")]
    assert referee.order == ["mine", "bad"]


def test_what_is_rejected_stays_open_until_it_is_mended(hub, repo, author, referee):
    author()
    referee.ends["mine"] = {
        "state": "rejected", "status": "invalid", "reason": "too few", "problems": ["one", "two"],
    }  # fmt: skip
    call(referee)
    assert repo.pulls[1].status == "open" and len(said(repo)) == 1
    assert "too few" in said(repo)[0] and "* problem: two" in said(repo)[0]
    del referee.ends["mine"]
    _, found = author(code=OTHER)
    assert call(referee)["mine"].state == "verified"
    assert content(hub, repo.find("main").tree) == expected(referee.workplace, "mine", found)
    assert len(said(repo)) == 2


def test_a_pull_request_that_moves_is_taken_up_again(hub, repo, author, referee):
    author()
    main = repo.main
    referee.during["mine"] = lambda: push(repo, mine__py=OTHER)
    turn = call(referee)["mine"]
    assert turn.state == "pending" and "it moved" in turn.reason and repo.main == main
    assert said(repo) == []
    assert call(referee)["mine"].state == "verified"
    tree = content(hub, repo.find("main").tree)
    assert tree["submissions/mine/mine.py"] == OTHER.encode()
    assert referee.order == ["mine", "mine"]


def test_a_pull_request_that_is_closed_meanwhile_is_not_committed(repo, author, referee):
    author()
    main = repo.main
    referee.during["mine"] = lambda: setattr(repo.pulls[1], "status", "closed")
    assert "is closed; nothing was committed" in call(referee)["mine"].fault
    assert repo.main == main


def test_one_that_fails_stops_no_other(repo, author, referee):
    for name in ("first", "second", "mine"):
        author(name)
    referee.ends |= {"first": RuntimeError("a bug"), "second": BadResults("no data here")}
    turns = call(referee)
    assert "RuntimeError" in turns["first"].fault and turns["second"].fault == "no data here"
    assert turns["mine"].state == "verified"
    log = referee.workplace.logs("first") / "referee.txt"
    assert "a bug" in log.read_text()
    referee.ends.clear()
    turns = call(referee)
    assert {turn.state for turn in turns.values()} == {"verified"}
    assert {pull.status for pull in repo.pulls.values()} == {"closed"}


@pytest.mark.parametrize("end", ["failed", "blocked"])
def test_what_is_not_its_fault_is_said_and_tried_again(repo, author, referee, end):
    author()
    referee.ends["mine"] = {"state": end, "status": None, "reason": "the machine"}
    call(referee)
    assert call(referee)["mine"].state == end
    assert repo.pulls[1].status == "open" and len(said(repo)) == 1
    referee.ends.clear()
    assert call(referee)["mine"].state == "verified"
    assert len(referee.order) == 3


def test_references_come_first_and_only_for_what_is_rerun(repo, author, referee):
    author()
    order = []
    bench = Bench(
        lambda folder, pull: order.append("rerun") or referee.again(folder, pull),
        lambda record: order.append(record.name),
    )
    list(take_up(REPO, referee.workplace, bench, token=WRITER))
    assert order == ["mine", "rerun"]


# What a pull request may not be.


def stray(repo):
    push(repo, folder="", README__md="mine")


def second(repo):
    push(repo, folder="submissions/other", mine__py=CODE)


def large(repo):
    push(repo, notes__txt=b"x" * (LARGEST_TEXT + 1))


def strange(repo):
    push(repo, run__sh="rm")


def hidden(repo):
    push(repo, __env="x")


def crowded(repo):
    push(repo, **{f"f{number}__txt": "x" for number in range(70)})


def gone(repo):
    push(repo, mine__py=None, submission__toml=None)


def deleted(repo):
    push(repo, folder="", __gitattributes=None)


BAD = {
    stray: "it changes 'README.md'", second: "it changes 'submissions/other/mine.py'",
    large: "notes.txt has more than 1024 KiB", strange: "run.sh is none of the files",
    hidden: ".env' is hidden", crowded: "there are 72 files; 64 are allowed",
    gone: "there is nothing under submissions/mine/", deleted: "it changes '.gitattributes'",
}  # fmt: skip


@pytest.mark.parametrize("change", BAD, ids=lambda one: one.__name__)
def test_what_is_no_submission_is_rejected_unread(hub, repo, author, referee, change):
    author()
    change(repo)
    main = repo.main
    turn = call(referee)["mine"]
    assert (turn.state, turn.status) == ("rejected", "invalid") and referee.order == []
    record = referee.workplace.read("mine")
    assert any(BAD[change] in problem for problem in record.problems), record.problems
    assert not [line for line in hub.lines if "/resolve/" in line]
    assert repo.main == main and repo.pulls[1].status == "open" and len(said(repo)) == 1
    call(referee)
    assert len(said(repo)) == 1
    repo.pulls[1].head = main  # the author begins anew
    author(code=OTHER)
    assert call(referee)["mine"].state == "verified"


def test_a_name_that_its_record_does_not_have(repo, author, referee):
    author()
    push(repo, submission__toml=SELECTOR.replace('"mine"', '"yours"'))
    call(referee)
    assert "names it yours" in referee.workplace.read("mine").problems[0]
    assert referee.workplace.read("yours") is None and referee.order == []


def test_a_change_of_what_is_on_main(hub, repo, author, referee):
    author()
    call(referee)
    push_to_new(repo, "mine", OTHER)
    turn = call(referee)["mine"]
    assert turn.state == "refused" and "belongs to pull request 1" in turn.reason
    assert referee.workplace.read("mine").state == "verified"
    fresh = Referee(Workplace(referee.workplace.folder / "next"))
    assert call(fresh)["mine"].state == "rejected"
    assert "there is a submission mine already" in fresh.workplace.read("mine").problems[0]


def push_to_new(repo, name, code):
    """Open a pull request from main with other code under a name."""
    import hub_pulls

    tree = {**repo.find("main").tree, f"submissions/{name}/mine.py": Entry(code.encode())}
    oid = repo.store(repo.main, tree, "again")
    hub = type("Hub", (), {"drafts": False})
    return hub_pulls.opened(hub, repo, {"summary": f"Submission: {name}"}, oid, "author")


def test_a_name_belongs_to_who_came_first(repo, author, referee):
    author()
    author(code=OTHER, token=WRITER)
    turns = list(take_up(REPO, referee.workplace, referee.bench(), token=WRITER))
    assert [turn.state for turn in turns] == ["verified", "refused"]
    assert "belongs to pull request 1" in said(repo, 2)[-1]
    assert referee.workplace.read("mine").pull.number == 1


def test_the_name_of_a_rejected_one_that_was_closed_is_free(repo, author, referee):
    author()
    referee.ends["mine"] = {"state": "rejected", "status": "invalid", "reason": "no"}
    call(referee)
    repo.pulls[1].status = "closed"
    referee.ends.clear()
    author(code=OTHER, token=WRITER)
    assert call(referee)["mine"].state == "verified"
    assert referee.workplace.read("mine").pull.number == 2


def test_other_pull_requests_and_drafts_are_left_alone(hub, repo, author, referee):
    author()
    author("wip")
    repo.pulls[1].title = "Mend a typo"
    repo.pulls[2].status = "draft"
    before = state(repo)
    assert call(referee) == {} and state(repo) == before


# The Hub's side.


def on(hub, pattern, act, times=1):
    """Let something happen just before the requests that have `pattern` in their line."""
    left = [None] * times

    def before(line):
        if pattern in line and left:
            left.pop()
            act()

    hub.before = before


def moved_main(repo):
    tree = {**repo.find("main").tree, f"note-{len(repo.commits)}": Entry(b"x")}
    repo.add(tree, f"note {len(repo.commits)}")


def test_a_main_that_moves(hub, repo, author, referee):
    author()
    on(hub, "/commit/main", lambda: moved_main(repo))
    assert call(referee)["mine"].published == repo.main
    tree = content(hub, repo.find("main").tree)
    assert {path for path in tree if path.startswith("note")} and "reruns/mine/rerun.json" in tree


def test_a_main_that_keeps_moving(hub, repo, author, referee):
    author()
    on(hub, "/commit/main", lambda: moved_main(repo), times=9)
    assert "keeps moving" in call(referee)["mine"].fault
    assert "reruns/mine/rerun.json" not in repo.find("main").tree


def test_main_has_other_files_of_that_name(repo, author, referee):
    author()
    tree = {**repo.find("main").tree, "submissions/mine/x.py": Entry(b"x")}
    repo.add(tree, "somebody else's")
    main = repo.main
    assert "has other files under submissions/mine/" in call(referee)["mine"].fault
    assert repo.main == main and repo.pulls[1].status == "open"


def test_many_pages(hub, repo, author, referee):
    hub.page = 2
    for number in range(5):
        author(f"mine-{number}")
    assert len(call(referee)) == 5


def test_a_token_that_may_only_read(repo, author, referee):
    author()
    turn = call(referee, token=READER)["mine"]
    assert "may not write to this repository" in turn.fault and READER not in turn.fault
    assert call(referee)["mine"].published == repo.main


def test_taken_files_that_changed_are_not_committed(repo, author, referee):
    author()
    main = repo.main

    def tampered():
        (referee.workplace.files("mine") / "mine.py").write_text("evil")

    referee.during["mine"] = tampered
    assert "are not those that were rerun" in call(referee)["mine"].fault
    assert repo.main == main


# A fault at every request; then the call is repeated.


@pytest.fixture(params=["verified", "rejected"])
def run(request, hub, repo, author, referee):
    """Return what makes the repository and the workplace anew, and the number of requests."""
    _, found = author()
    if request.param == "rejected":
        referee.ends["mine"] = {"state": "rejected", "status": "invalid", "reason": "no"}
    start = copy.deepcopy(repo)
    places = iter(range(10**6))

    def anew():
        hub.forget()
        hub.repos[REPO] = copy.deepcopy(start)
        referee.workplace = Workplace(referee.workplace.folder.with_name(f"at-{next(places)}"))
        return hub.repos[REPO]

    anew()
    assert call(referee)["mine"].state == request.param
    return anew, found, len(hub.lines), request.param


def faulted(hub, referee, run, **fault):
    """Take up with a fault, then without: everything is there once, and nothing else ever."""
    anew, found, _, end = run
    repo = anew()
    first = repo.main
    hub.fault(**fault)
    try:
        words = [turn.fault for turn in call(referee).values()]
    except HubError as error:
        words = [str(error)]
    for line in words:
        assert line.isprintable() and hub.url not in line and WRITER not in line
    if repo.main != first:
        assert content(hub, repo.find("main").tree) == expected(referee.workplace, "mine", found)
    hub.forget()
    call(referee)
    assert len(said(repo)) == 1
    if end == "rejected":
        assert repo.main == first and repo.pulls[1].status == "open"
        return
    assert repo.commits[repo.main].parent == first and repo.pulls[1].status == "closed"
    assert content(hub, repo.find("main").tree) == expected(referee.workplace, "mine", found)
    assert repo.main in said(repo)[0]


@pytest.mark.parametrize("match", ["POST .*/commit/", "POST .*/comment", "POST .*/status"])
def test_an_answer_lost_where_something_is_written(hub, referee, run, match):
    faulted(hub, referee, run, kind="reset", match=match, after=True)


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", [429, 500, "reset", "hang"])
def test_a_fault_at_every_request(hub, referee, run, monkeypatch, kind, after):
    monkeypatch.setattr("lotterybench.hub.repository.TIMEOUT", PATIENCE)
    for number in range(1, run[2] + 1):
        faulted(hub, referee, run, kind=kind, at=number, after=after)


@pytest.mark.slow
def test_a_hub_that_fails_from_some_request_on(hub, referee, run):
    for number in range(1, run[2] + 1):
        faulted(hub, referee, run, kind=500, since=number)


# What is said.

HOSTILE = "<script>x</script> [x](javascript:y) @everyone ![](https://a.b/c.png) # `a`"


def test_a_reply_says_everything_and_does_nothing():
    claim = {"track": "digits-selfsup", "figure": "tau-b", "value": 0.9, "how": HOSTILE}
    record = Rerun.model_validate(
        {
            "schema_version": 1, "name": "mine", "digest": ZERO, "state": "rejected",
            "status": "invalid", "reason": HOSTILE, "problems": [HOSTILE] * 60,
            "warnings": ["x" * 5000], "code_digest": ZERO,
            "claims": [{"claim": claim, "value": 0.5, "low": 0.4, "high": 0.6, "says": "above"}],
            "twins": [{"name": "other", "same": "code"}],
        }
    )  # fmt: skip
    text, mark = reply_to(record, "c" * 40)
    assert text.endswith(mark) and "@" not in text and len(text) < 60_000
    html = MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(text)
    tags = {part.split(">")[0].strip("/") for part in html.split("<")[1:]}
    assert tags == {"p", "strong", "ul", "li"}
    assert "10 more of these" in text and "above the rerun" in text and "by its code" in text


def test_a_stranger_cannot_keep_the_referee_from_speaking(hub, repo, author, referee):
    _, found = author()
    referee.ends["mine"] = {"state": "rejected", "status": "invalid", "reason": "no"}
    record = Rerun(
        schema_version=1, name="mine", digest=found.digest, state="rejected", code_digest=ZERO
    )
    text, mark = reply_to(record, repo.pulls[1].head)
    repo.pulls[1].add("comment", "author", {
        "edited": False, "hidden": False, "latest": {"raw": text, "html": ""},
    })  # fmt: skip
    call(referee)
    assert len(said(repo)) == 1 and mark in said(repo)[0]


def test_bytes_that_are_not_those_listed(hub, repo, author):
    author()
    pull = Waiting(1, "mine", "author", repo.pulls[1].head)
    entry = repo.commits[pull.commit].tree["submissions/mine/mine.py"]
    served = Entry(b"x" * entry.size)

    def swap():
        repo.commits[pull.commit].tree["submissions/mine/mine.py"] = served

    on(hub, "/resolve/", swap)
    with pytest.raises(HubError, match="not those that the Hub lists"):
        Incoming(REPO, WRITER).read(pull)


# The command line.


def invoke(*arguments):
    done = CliRunner().invoke(app, ["rerun", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_a_dry_run_only_lists(hub, repo, author, workplace, tmp_path):
    author()
    author("bad")
    token = tmp_path / "token"
    token.write_text(f"{WRITER}\n")
    before = state(repo)
    done = invoke(
        "--queue", REPO, "--out", workplace.folder, "--dry-run", "--token-file", token, "--json"
    )
    rows = json.loads(done.stdout)
    assert [(row["number"], row["name"], row["reason"]) for row in rows] == [
        (1, "mine", "to be taken up"), (2, "bad", "to be taken up"),
    ]  # fmt: skip
    assert state(repo) == before and not workplace.folder.exists()


def test_a_dry_run_tells_what_was_done(repo, author, referee):
    author()
    author("bad")
    referee.ends["bad"] = {"state": "rejected", "status": "invalid", "reason": "no"}
    call(referee)
    assert [turn.reason for turn in look(REPO, referee.workplace, token=WRITER)] == ["done"]
    push(repo, 2, folder="submissions/bad", mine__py=OTHER)
    (turn,) = look(REPO, referee.workplace, token=WRITER)
    assert turn.reason == "it moved: to be read again"


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["folder", "--queue", REPO], ["--queue", REPO, "--close"], ["--dry-run", "folder"],
        ["--reason", "x", "folder"], ["--withdraw", "mine"],
    ],
)  # fmt: skip
def test_options_that_do_not_go_together(arguments, tmp_path):
    with pytest.raises(BadRequest):
        invoke(*arguments, "--out", tmp_path / "round")
    assert not (tmp_path / "round").exists()
