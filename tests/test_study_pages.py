"""The pages of studies are made of their committed reports, and every report has its page."""

import pytest
from study_page import committed, page_file, page_of

from lotterybench.tracks import study


def test_studies_of_every_kind_are_committed():
    assert {study[name].kind for name in committed()} >= {"tickets", "transfer", "pretrained"}


@pytest.mark.parametrize("name", committed())
def test_a_committed_page_is_that_of_its_report(name):
    assert page_file(name).read_text(encoding="utf-8") == page_of(name)
