"""The folders that `lotterybench submit new` writes are sound as they are."""

import json
import os

import pytest
from sandboxed import need_sandbox
from submitted import call

from lotterybench.errors import BadRequest
from lotterybench.paths import templates
from lotterybench.submissions.checking import check_submission
from lotterybench.submissions.drafts import _files, new_submission
from lotterybench.submissions.files import read_folder
from lotterybench.submissions.records import KINDS, RECORD

KIND_MARKS = [
    "subset", "selector", pytest.param("method", marks=pytest.mark.slow),  # trains twice
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_draft_is_sound(tmp_path, kind):
    written = new_submission(kind, "my-own", tmp_path / "s")
    found = check_submission(tmp_path / "s", run=False)
    assert found.problems == [] and found.record.name == "my-own" and found.record.kind == kind
    assert sorted(found.folder.files) == [
        file.relative_to(tmp_path / "s").as_posix() for file in written
    ]


@pytest.mark.parametrize("kind", KIND_MARKS)
def test_a_drafts_code_runs(tmp_path, kind):
    need_sandbox()
    new_submission(kind, "my-own", tmp_path / "s")
    found = check_submission(tmp_path / "s")
    assert found.problems == found.warnings == []
    assert (found.trial is None) == (kind == "subset")


@pytest.mark.parametrize("kind", KINDS)
def test_drafts_repeat(tmp_path, kind):
    for place in ("one", "two"):
        new_submission(kind, "my-own", tmp_path / place)
    assert read_folder(tmp_path / "one").files == read_folder(tmp_path / "two").files


def test_every_template_is_used():
    used = {template for kind in KINDS for template in _files(kind)}
    assert {file.name for file in (templates() / "submission").iterdir()} == used


def test_the_draft_of_a_subset_can_be_trained_on(tmp_path, monkeypatch):
    from lotterybench.manifests import load_subset_manifest

    new_submission("subset", "my-own", tmp_path / "s")
    roots = [str(tmp_path / "s/subsets"), os.environ.get("LOTTERYBENCH_SUBSETS", "")]
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", os.pathsep.join(roots))
    subset, positions = load_subset_manifest("digits/my-own@1")
    assert subset.selector == "class-balanced" and len(positions) == 120


def test_the_command(tmp_path):
    done = call("new", "selector", "mine", "--out", tmp_path / "s")
    assert done.stdout.splitlines()[-1] == f"lotterybench submit check {tmp_path / 's'}"
    told = json.loads(call("check", tmp_path / "s", "--no-run", "--json").stdout)
    assert told["problems"] == [] and told["kind"] == "selector"


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("model", "mine", "'model' is no kind; there are subset, selector, method"),
        ("method", "Mine", "the name is 'Mine'; it is lower-case"),
        ("method", "../x", "the name is '../x'; it is lower-case"),
        ("method", "a\x1b[31m", "it is lower-case"),
        ("method", "", "it is lower-case"),
    ],
)
def test_what_is_no_draft(tmp_path, kind, name, words):
    with pytest.raises(BadRequest) as caught:
        new_submission(kind, name, tmp_path / "s")
    assert words in str(caught.value) and str(caught.value).isprintable()
    assert not (tmp_path / "s").exists()


def test_a_folder_with_something_in_it_stays(tmp_path):
    (tmp_path / RECORD).write_text("mine")
    with pytest.raises(BadRequest, match="is no empty folder"):
        new_submission("selector", "mine", tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [RECORD]
