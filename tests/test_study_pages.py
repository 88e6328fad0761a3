"""The pages of studies are made of their committed reports, and every report has its page."""

import re
from pathlib import Path

import pytest
from study_page import committed, page_file, page_of

from lotterybench.tracks import study

DOCS = Path(__file__).parents[1] / "docs"


def test_studies_of_every_kind_are_committed():
    assert {study[name].kind for name in committed()} >= {"tickets", "transfer", "pretrained"}


@pytest.mark.parametrize("name", committed())
def test_a_committed_page_is_that_of_its_report(name):
    assert page_file(name).read_text(encoding="utf-8") == page_of(name)


def test_the_table_of_what_was_run_names_every_study_with_its_seeds():
    page = (DOCS / "tickets.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| \[[^]]+\]\((\S+)\.md\) \| (\d+) \|", page, re.MULTILINE)
    assert dict(told) == {name: str(study[name].seeds) for name in committed()}
