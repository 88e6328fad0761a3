"""Publishing through the real client to a double of the Hub: whole releases or none."""

import copy
import hashlib
import io
import json
import shutil
import tarfile
import time
from collections import Counter

import pytest
import yaml
from hub_double import HANGS, READER, WRITER, Entry
from releases import REPO, V1, V2, content, inside
from typer.testing import CliRunner

from lotterybench.cli import app
from lotterybench.errors import BadRequest, HubError, LotteryBenchError
from lotterybench.hub import publish
from lotterybench.shards import ShardIndex, shard_problems

# Seconds without an answer until a faulty request counts as lost; far above one of the double's.
PATIENCE = 0.5


@pytest.fixture
def damaged(folders, tmp_path):
    """A copy of the first folder to damage."""
    return shutil.copytree(folders[0], tmp_path / "copy")


def methods(hub):
    """Count the requests by method."""
    return Counter(line.split()[0] for line in hub.lines)


def failure(hub, folder, *arguments, **settings):
    """Return the line with which publishing fails; it tells nothing of this machine."""
    settings = {"token": WRITER} | settings
    with pytest.raises(LotteryBenchError) as caught:
        publish(folder, *arguments, **settings)
    line = str(caught.value)
    assert line.isprintable() and len(line) < 700
    for secret in (str(folder), hub.url, settings["token"] or WRITER):
        assert secret not in line
    return line


def test_a_release_is_one_commit_with_the_folders_bytes(hub, repo, folders):
    first = repo.main
    done = publish(folders[0], REPO, V1, token=WRITER)
    assert repo.tags == {V1: done.commit} and repo.main == done.commit
    assert [commit.parent for commit in repo.commits.values()] == [None, first]
    assert content(hub, repo.find(V1).tree) == inside(folders[0])
    assert done.state == "new" and done.plan.added == sorted(inside(folders[0]))
    assert done.plan.bytes == sum(map(len, inside(folders[0]).values()))


def test_a_second_call_only_reads(hub, repo, folders):
    publish(folders[0], REPO, V1, token=WRITER)
    before = repo.state()
    hub.forget()
    assert publish(folders[0], REPO, V1, token=READER).state == "before"
    assert repo.state() == before and set(methods(hub)) == {"GET"}


@pytest.mark.parametrize("delete", [False, True])
def test_a_dry_run_tells_what_a_release_then_does(hub, repo, folders, delete):
    publish(folders[0], REPO, V1, token=WRITER)
    before = repo.state()
    hub.forget()
    told = publish(folders[1], REPO, V2, delete=delete, dry_run=True, token=READER)
    assert told.state == "planned" and told.commit is None
    assert repo.state() == before and set(methods(hub)) == {"GET"}
    assert publish(folders[1], REPO, V2, delete=delete, token=WRITER).plan == told.plan


def test_only_what_changed_is_sent_and_older_files_stay(hub, repo, folders):
    publish(folders[0], REPO, V1, token=WRITER)
    hub.forget()
    plan = publish(folders[1], REPO, V2, token=WRITER).plan
    old, new = inside(folders[0]), inside(folders[1])
    assert plan.kept == sorted(old.keys() - new.keys()) and plan.kept
    assert plan.added == sorted(new.keys() - old.keys())
    assert plan.changed == sorted(
        path for path in old.keys() & new.keys() if old[path] != new[path]
    )
    assert plan.unchanged == sorted(
        path for path in old.keys() & new.keys() if old[path] == new[path]
    )
    assert methods(hub)["PUT"] == sum(path.endswith((".tar", ".parquet")) for path in plan.added)
    assert content(hub, repo.find(V2).tree) == old | new
    assert content(hub, repo.find(V1).tree) == old


def test_delete_leaves_the_folder_alone(hub, repo, folders):
    publish(folders[0], REPO, V1, token=WRITER)
    publish(folders[1], REPO, V2, delete=True, token=WRITER)
    assert content(hub, repo.find(V2).tree) == inside(folders[1])
    assert ".gitattributes" in repo.find(V2).tree


def test_a_tag_never_changes(hub, repo, folders):
    publish(folders[0], REPO, V1, token=WRITER)
    before = repo.state()
    hub.forget()
    assert "has v1.0.0 already, and it differs in" in failure(hub, folders[1], REPO, V1)
    assert repo.state() == before and set(methods(hub)) == {"GET"}


def test_with_delete_a_tag_with_more_files_is_another(hub, repo, folders):
    publish(folders[0], REPO, V1, token=WRITER)
    publish(folders[1], REPO, V2, token=WRITER)
    assert publish(folders[1], REPO, V2, token=WRITER).state == "before"
    assert "differs in data/old" in failure(hub, folders[1], REPO, V2, delete=True)


def test_long_listings_come_in_pages(hub, repo, folders):
    hub.page = 4
    assert publish(folders[0], REPO, V1, token=WRITER).state == "new"
    assert publish(folders[0], REPO, V1, token=WRITER).state == "before"
    assert sum("cursor=" in line for line in hub.lines) > 2


@pytest.mark.parametrize(
    "tag", ["1.0.0", "v1.0", "v1.0.0-rc1", "v01.0.0", "v1.0.0\n", "v1.0.٣", "main", "", "../v1.0.0"]
)
def test_tags_are_versions(hub, repo, folders, tag):
    assert "it is vMAJOR.MINOR.PATCH" in failure(hub, folders[0], REPO, tag)
    assert hub.lines == []


@pytest.mark.parametrize("name", ["bench", "a/b/c", "org/", "/bench", "org/be nch", "org/../x", ""])
def test_repositories_have_names(hub, folders, name):
    assert "it is ORG/NAME" in failure(hub, folders[0], name, V1)
    assert hub.lines == []


# Folders that are not published, and why; `reindexed` makes their digests right.


def reindexed(folder):
    """Let the index of a damaged folder name the files that lie there."""
    index = json.loads((folder / "shards.json").read_bytes())
    sha256 = {path: hashlib.sha256(text).hexdigest() for path, text in inside(folder).items()}
    index["others"] = {path: sha256[path] for path in index["others"]}
    for config in index["configs"]:
        for shard in (shard for part in config["shards"].values() for shard in part):
            shard |= {
                "sha256": sha256[shard["path"]], "bytes": (folder / shard["path"]).stat().st_size
            }  # fmt: skip
    (folder / "shards.json").write_bytes(
        ShardIndex.read(json.dumps(index).encode(), "index").pretty()
    )


def truncated(folder):
    file = folder / "data/small/train-00000.tar"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    return "data/small/train-00000.tar is truncated"


def flipped(folder):
    file = folder / "data/small/train-00000.tar"
    found = bytearray(file.read_bytes())
    found[1000] ^= 1
    file.write_bytes(found)
    return "data/small/train-00000.tar was changed"


def cut_after_a_sample(folder):
    file = folder / "data/small/train-00000.tar"
    file.write_bytes(file.read_bytes()[:2048])  # a whole number of members, as `datasets` likes it
    reindexed(folder)
    return "data/small/train-00000.tar"


def dotted_key(folder):
    file = folder / "data/small/train-00000.tar"
    with tarfile.open(file) as old:
        members = [(member, old.extractfile(member).read()) for member in old]
    with tarfile.open(file, "w", format=tarfile.USTAR_FORMAT) as new:
        for member, text in members:
            member.name = f"n01.{member.name}"
            new.addfile(member, io.BytesIO(text))
    reindexed(folder)
    return "does not begin a pair of .cls and .png"


def edited_card(folder, edit):
    card = folder / "README.md"
    _, front, text = card.read_text().split("---\n", 2)
    front = yaml.safe_load(front)
    edit(front)
    card.write_text(f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n{text}")
    reindexed(folder)


def mixed_builders(folder):
    keys = [{"split": "train", "path": "manifests/toy/keys.parquet"}]
    table = {"config_name": "keys", "data_files": keys}
    edited_card(folder, lambda front: front["configs"].insert(0, table))
    return "README.md: configs is not what the index calls for: the first config is small"


def another_first_config(folder):
    edited_card(folder, lambda front: front["configs"].reverse())
    return "README.md: configs is not what the index calls for: the first config is small"


def missing_first_files(folder):
    def edit(front):
        front["configs"][0]["data_files"][0]["path"] = ["data/small/train-00009.tar"]

    edited_card(folder, edit)
    return "README.md: configs is not"


def no_class_names(folder):
    edited_card(folder, lambda front: front.pop("dataset_info"))
    return "README.md: dataset_info is not"


def no_card(folder):
    (folder / "README.md").write_text("---\n: [\n---\n")
    reindexed(folder)
    return "README.md has no readable YAML"


def a_script(folder):
    (folder / "bench.py").write_text("")
    return "bench.py is not in shards.json"


def no_index(folder):
    (folder / "shards.json").unlink()
    return "there is no shards.json"


TRAPS = [
    truncated, flipped, cut_after_a_sample, dotted_key, mixed_builders, another_first_config,
    missing_first_files, no_class_names, no_card, a_script, no_index,
]  # fmt: skip


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.__name__)
def test_a_folder_with_problems_sends_nothing(hub, repo, damaged, trap):
    wanted = trap(damaged)
    assert wanted in failure(hub, damaged, REPO, V1)
    assert hub.lines == []


def test_a_reindexed_folder_is_published(hub, repo, damaged):
    edited_card(damaged, lambda front: front.update(pretty_name="Another"))
    assert shard_problems(damaged) == []
    assert publish(damaged, REPO, V1, token=WRITER).state == "new"


@pytest.mark.parametrize("name", ["bench.py", ".huggingface.yaml", "dataset_infos.json"])
def test_files_that_overrule_the_card_do_not_stay(hub, repo, folders, name):
    repo.add({**repo.find("main").tree, name: Entry(b"")}, "stray")
    assert f"would hold {name}" in failure(hub, folders[0], REPO, V1)
    assert set(methods(hub)) == {"GET"}
    publish(folders[0], REPO, V1, delete=True, token=WRITER)
    assert name not in repo.find(V1).tree


# What the Hub or the network refuses.


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("hf_expired", "reading the tags: the token is missing, expired or wrong"),
        (READER, "sending the files: the token may not write to this repository (403)"),
        (None, "sending the files: the token is missing, expired or wrong"),
        ("hf_\n", "reading the tags: the token cannot be sent"),
        ("hf_ü", "reading the tags: the token cannot be sent"),
    ],
)
def test_tokens(hub, repo, folders, monkeypatch, token, words):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    before = repo.state()
    line = failure(hub, folders[0], REPO, V1, token=token)
    assert line.startswith(words)
    assert line.endswith("nothing was changed; repeat the command to continue")
    assert repo.state() == before and hub.objects == {}


def test_no_such_repository(hub, folders):
    assert "there is no such dataset repository" in failure(hub, folders[0], "org/other", V1)


def test_offline(hub, repo, folders, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in failure(hub, folders[0], REPO, V1)


def test_an_unreachable_hub(hub, repo, folders, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert "cannot be reached" in failure(hub, folders[0], REPO, V1)
    assert hub.lines == []


@pytest.mark.parametrize("pattern", ["/refs", "/tree/", "/commit/"])
def test_a_hub_that_does_not_answer(hub, repo, folders, monkeypatch, pattern):
    monkeypatch.setattr("lotterybench.hub.repository.TIMEOUT", PATIENCE / 10)
    hub.fault("hang", match=pattern)
    began = time.monotonic()
    assert "does not answer (ReadTimeout)" in failure(hub, folders[0], REPO, V1)
    assert time.monotonic() - began < HANGS and len(repo.commits) == 1


def on(hub, pattern, act, times=1):
    """Let something happen just before the requests that have `pattern` in their line."""
    left = [None] * times

    def before(line):
        if pattern in line and left:
            left.pop()
            act()

    hub.before = before


def test_main_moves_to_a_commit_with_the_same_files(hub, repo, folders):
    on(hub, "/commit/", lambda: repo.add(repo.find("main").tree, "empty"))
    done = publish(folders[0], REPO, V1, token=WRITER)
    assert [commit.message for commit in repo.commits.values()] == [
        "initial commit", "empty", "Release v1.0.0",
    ]  # fmt: skip
    assert done.commit == repo.tags[V1] and content(hub, repo.find(V1).tree) == inside(folders[0])


def test_main_moves_to_other_files(hub, repo, folders):
    on(hub, "/commit/", lambda: repo.add({**repo.find("main").tree, "x": Entry(b"x")}, "theirs"))
    line = failure(hub, folders[0], REPO, V1)
    assert "and holds other files now" in line and "nothing was changed" in line
    assert len(repo.commits) == 2 and repo.tags == {}


def test_main_keeps_moving(hub, repo, folders):
    on(hub, "/commit/", lambda: repo.add(repo.find("main").tree, "empty"), times=9)
    assert "keeps moving" in failure(hub, folders[0], REPO, V1)
    assert len(repo.commits) == 3 and repo.tags == {}


def test_a_commit_whose_answer_was_lost_is_found_and_tagged(hub, repo, folders):
    hub.fault("reset", match="POST .*/commit/", after=True)
    assert "the commit may be there" in failure(hub, folders[0], REPO, V1)
    assert len(repo.commits) == 2 and repo.tags == {}
    hub.forget()
    done = publish(folders[0], REPO, V1, token=WRITER)
    assert done.state == "tagged" and repo.tags == {V1: repo.main} and len(repo.commits) == 2
    assert methods(hub)["POST"] == 1


def test_somebody_makes_the_tag_on_the_same_files(hub, repo, folders):
    on(hub, "/tag/", lambda: repo.tags.update({V1: repo.main}))
    assert publish(folders[0], REPO, V1, token=WRITER).state == "new"


def test_somebody_makes_the_tag_on_other_files(hub, repo, folders):
    first = repo.main
    on(hub, "/tag/", lambda: repo.tags.update({V1: first}))
    assert "somebody else made v1.0.0" in failure(hub, folders[0], REPO, V1)
    assert repo.tags == {V1: first}


def test_what_the_hub_leaves_out_is_noticed(hub, repo, folders):
    hub.ignored.add("data/test/test-00000.tar")
    line = failure(hub, folders[0], REPO, V1)
    assert "does not hold what was sent: data/test/test-00000.tar" in line
    assert "the tag v1.0.0 is missing" in line and repo.tags == {}


def test_a_file_that_arrived_changed_is_noticed(hub, repo, folders):
    def spoil():
        tree = repo.find("main").tree
        if "_info.json" in tree:  # committed, and about to be looked at
            tree["_info.json"] = Entry(b"x" * tree["_info.json"].size)

    on(hub, "/tree/", spoil, times=2)
    assert "does not hold what was sent: _info.json" in failure(hub, folders[0], REPO, V1)
    assert repo.tags == {}


def test_a_folder_that_changes_while_it_is_sent(hub, repo, damaged):
    file = damaged / "README.md"
    on(hub, "PUT ", lambda: file.write_bytes(file.read_bytes() + b"\n"))
    assert "README.md changed while the folder was sent" in failure(hub, damaged, REPO, V1)
    assert len(repo.commits) == 1


# A fault at every request of a second release.


@pytest.fixture
def second(hub, folders):
    """Return a function that makes a repository with the first release anew, and the baseline."""
    publish_to = hub.create(REPO)
    publish(folders[0], REPO, V1, token=WRITER)
    repo, objects = copy.deepcopy(publish_to), dict(hub.objects)

    def anew():
        hub.forget()
        hub.repos[REPO], hub.objects = copy.deepcopy(repo), dict(objects)
        return hub.repos[REPO]

    again = anew()
    publish(folders[1], REPO, V2, token=WRITER)
    return anew, again.state(), len(hub.lines)


def faulted(hub, folders, second, number, **fault):
    """Publish with a fault, check that nothing is half there, and repeat without it."""
    anew, baseline, _ = second
    repo = anew()
    hub.fault(**fault)
    try:
        publish(folders[1], REPO, V2, token=WRITER)
        failed = False
    except HubError as error:
        failed = True
        assert str(error).isprintable() and hub.url not in str(error)
    assert content(hub, repo.find(V1).tree) == inside(folders[0]), number
    assert set(repo.tags) <= {V1, V2} and repo.tags[V1] == second_parent(repo)
    if V2 in repo.tags:
        assert content(hub, repo.find(V2).tree) == inside(folders[0]) | inside(folders[1])
    else:
        assert failed
    hub.forget()
    publish(folders[1], REPO, V2, token=WRITER)
    assert repo.state() == baseline, number
    return failed


def second_parent(repo):
    """Return the id of the first release's commit."""
    return list(repo.commits)[1]


def test_an_answer_lost_at_the_requests_that_write(hub, folders, second):
    failed = [
        faulted(hub, folders, second, number, kind="reset", at=number, after=True)
        for number in range(second[2] - 2, second[2] + 1)  # the commit, its listing, the tag
    ]
    assert failed == [True, False, True]  # the client itself repeats a listing


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", [429, 500, 503, "reset", "hang"])
def test_a_fault_at_every_request(hub, folders, second, monkeypatch, kind, after):
    monkeypatch.setattr("lotterybench.hub.repository.TIMEOUT", PATIENCE)
    for number in range(1, second[2] + 1):
        faulted(hub, folders, second, number, kind=kind, at=number, after=after)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [429, 500, "reset"])
def test_a_hub_that_fails_from_some_request_on(hub, folders, second, kind):
    for number in range(1, second[2] + 1):
        assert faulted(hub, folders, second, number, kind=kind, since=number)


# The command line.


@pytest.fixture
def call(monkeypatch):
    """Run the command in this process, with the token of the environment."""
    monkeypatch.setenv("HF_TOKEN", WRITER)

    def run(*arguments):
        done = CliRunner().invoke(app, ["publish", *map(str, arguments)])
        if isinstance(done.exception, LotteryBenchError):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


def test_the_command(call, hub, repo, folders):
    to = ("--repo", REPO, "--tag")
    assert "a dry run; nothing is changed" in call(folders[0], *to, V1, "--dry-run")
    assert "+ data/small/train-00000.tar\n" in call(folders[0], *to, V1)
    assert "was published before" in call(folders[0], *to, V1)
    plan = json.loads(call(folders[1], *to, V2, "--delete", "--dry-run", "--json"))["plan"]
    assert plan["deleted"] and not plan["kept"] and "tree" not in plan
    shown = call(folders[1], *to, V2)
    assert "~ README.md\n" in shown
    assert "? data/old/train-00000.tar (not in the folder; stays)\n" in shown


def test_a_token_file(call, hub, repo, folders, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    arguments = (folders[0], "--repo", REPO, "--tag", V1, "--token-file")
    file = tmp_path / "token"
    for text, words in ((b"", "holds no token"), (b"a b", "holds no"), (b"\xff", "cannot be read")):
        file.write_bytes(text)
        with pytest.raises(BadRequest, match=words):
            call(*arguments, file)
    with pytest.raises(BadRequest, match="cannot be read"):
        call(*arguments, tmp_path / "nowhere")
    file.write_text(f"{WRITER}\n")
    call(*arguments, file)
    assert V1 in repo.tags
