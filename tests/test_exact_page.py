"""The committed enumeration, its report and its page say the same."""

import importlib.util
from pathlib import Path

import pytest

from lotterybench.enumerations import ExactReport
from lotterybench.kinds.exact import exact_file, read_exact
from lotterybench.kinds.exact.plan import subsets_of
from lotterybench.paths import reference_results
from lotterybench.score import exact_report
from lotterybench.tracks import find_track
from lotterybench.verification import verify

ROOT = Path(__file__).parents[1]
FOLDER = reference_results() / "digits-exact"
SCRIPT = ROOT / "benchmark" / "derive" / "exact_page.py"
LARGEST = 8_000_000  # bytes


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("exact_page", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def report(script):
    return ExactReport.read(script.REPORT.read_bytes(), "report.json")


def test_every_class_subset_of_digits_is_there():
    track = find_track("digits-exact")
    for count in range(2, 11):
        found = read_exact(exact_file(FOLDER, count))
        assert found.subsets.tolist() == subsets_of(10, count)
        assert found.configurations == [entry.name for entry in track.configurations]
        assert found.about["track_digest"] == track.digest()
        assert found.correct.shape[2] >= (36 if count == 10 else 3)
    for arm in track.cheaper:
        assert exact_file(FOLDER, 10, arm).is_file()
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < LARGEST
    assert verify(FOLDER) == []


def test_the_page_is_made_of_the_report(script, report):
    assert script.PAGE.read_text(encoding="utf-8") == script.page(report)
    assert [count.subsets for count in report.counts] == [45, 120, 210, 252, 210, 120, 45, 10]


@pytest.mark.slow
def test_the_report_is_made_of_the_results(report):
    assert exact_report(FOLDER) == report
