"""`lotterybench check ORG/NAME@TAG`: everything that is wrong with a release, where it lies."""

import json
import shutil

import pytest
from hub_double import Entry
from releases import REPO, V1, V2, deliver, inside, point_at
from test_hub_loading import FIRST, asked, blob, flip
from test_publish import TRAPS, a_script
from typer.testing import CliRunner

from lotterybench.cli import app
from lotterybench.hub import check_release

STRAYS = ["bench.py", ".huggingface.yaml", "dataset_infos.json"]


def check(*arguments):
    """Run the command; return its exit code, what it prints and what it notes."""
    done = CliRunner().invoke(app, ["check", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def test_a_release_that_holds(hub, repo, folders):
    commit = deliver(hub, repo, folders[0], V1)
    code, said, noted = check(f"{REPO}@{V1}")
    assert (code, said) == (
        0,
        "no problems\n",
    ) and f"checked org/bench v1.0.0, commit {commit}" in (noted)
    assert asked(hub) == set(inside(folders[0]))
    assert check_release(REPO, commit).problems == []


@pytest.mark.parametrize(
    "trap", [trap for trap in TRAPS if trap is not a_script], ids=lambda trap: trap.__name__
)
def test_what_a_folder_has_wrong_a_release_has(hub, repo, folders, tmp_path, trap):
    wanted = trap(shutil.copytree(folders[0], tmp_path / "copy"))
    deliver(hub, repo, tmp_path / "copy", V1)
    code, said, _ = check(f"{REPO}@{V1}")
    assert code == 1 and wanted in said
    assert all(line.startswith("org/bench v1.0.0: ") for line in said.splitlines())


def test_every_problem_is_named(hub, repo, folders):
    changes = dict.fromkeys(STRAYS, b"{}") | {"_info.json": b"{}", FIRST: None}
    deliver(hub, repo, folders[0], V1, **changes)
    code, said, _ = check(f"{REPO}@{V1}", "--json")
    problems = json.loads(said)
    assert code == 1 and len(problems) == 5
    for name in STRAYS:
        line = f"{name} lies there, with which load_dataset does not go by the card"
        assert f"org/bench v1.0.0: {line}" in problems
    assert f"org/bench v1.0.0: {FIRST} is missing" in problems


def test_files_of_older_releases_may_stay(hub, repo, folders):
    older = {path: text for path, text in inside(folders[0]).items() if "/old/" in path}
    assert older
    deliver(hub, repo, folders[1], V2, **older)
    assert check_release(REPO, V2).problems == []


def test_the_newest_is_checked_if_no_tag_is_given(hub, repo, folders):
    deliver(hub, repo, folders[0], "v9.0.0")
    deliver(hub, repo, folders[1], "v10.0.0")
    assert check_release(REPO, None).label == "org/bench v10.0.0"
    assert check(REPO)[0] == 0


def test_damage_of_the_cache_is_not_the_releases(hub, repo, folders, cache):
    deliver(hub, repo, folders[0], V1)
    assert check_release(REPO, V1).problems == []
    for path in ("shards.json", FIRST, "README.md"):
        flip(blob(cache, path), at=100)
        assert check_release(REPO, V1).problems == []


def test_what_the_hub_sends_is_compared_with_what_it_lists(hub, repo, folders):
    deliver(hub, repo, folders[0], V1)
    entry = repo.find(V1).tree[FIRST]
    hub.objects[entry.sha256] = hub.objects[entry.sha256][:-1] + b"x"
    [first, second] = check_release(REPO, V1).problems
    assert first == f"{FIRST}: what the Hub sends is not the one that the repository lists"
    assert f"{FIRST} was changed" in second


def test_a_path_wins_over_a_repository(hub, folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folders[0], tmp_path / REPO)
    assert check(REPO)[:2] == (0, "no problems\n") and hub.lines == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (f"{REPO}@v9.0.0", "org/bench@v9.0.0: org/bench has no release v9.0.0; it has v1.0.0"),
        (f"{REPO}@main", "the revision is 'main'"),
        (f"{REPO}@{'0' * 40}", "there is no such dataset repository, commit or file"),
        ("org/other", "there is no such file or folder; as a repository: reading the tags: there"),
        ("out/of/here", "there is no such file or folder"),
        ("./org/bench", "there is no such file or folder"),
        ("org/bench@", "there is no such file or folder"),
    ],
)
def test_what_is_not_there(hub, repo, folders, given, words):
    deliver(hub, repo, folders[0], V1)
    code, said, _ = check(given)
    assert code == 1 and words in said and len(said.splitlines()) == 1


@pytest.mark.parametrize("kind", [401, 429, 500, "reset"])
def test_a_check_needs_the_hub(hub, repo, folders, kind):
    deliver(hub, repo, folders[0], V1)
    assert check(f"{REPO}@{V1}")[0] == 0
    hub.fault(kind)
    code, said, _ = check(f"{REPO}@{V1}")
    assert code == 1 and said.startswith("org/bench@v1.0.0: reading the tags: ")


def test_an_unreachable_hub(hub, monkeypatch):
    point_at(monkeypatch, "http://127.0.0.1:9")
    code, said, _ = check(f"{REPO}@{V1}")
    assert code == 1 and "the Hub cannot be reached" in said and "127" not in said


def test_a_stray_beside_no_index(hub, repo, tmp_path):
    (tmp_path / "empty").mkdir()
    deliver(hub, repo, tmp_path / "empty", V1)
    repo.find(V1).tree["bench.py"] = Entry(b"")
    found = check_release(REPO, V1).problems
    assert len(found) == 2 and found[1] == "there is no shards.json"
