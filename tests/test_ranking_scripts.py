"""The study of power and the benchmark of the bootstraps: they run, and say the same twice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[1] / "benchmark"


def run(script, *arguments):
    command = [sys.executable, "-W", "error", str(BENCHMARK / script), "--quick", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def package(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(BENCHMARK))


@pytest.mark.slow
def test_the_study_runs(package, tmp_path):
    run("power/study.py", "--out", str(tmp_path))
    found = json.loads((tmp_path / "study.json").read_text())
    assert all(found.values())
    intervals = {row["interval"] for row in found["coverage"]}
    assert len(intervals) == 11
    assert all(0 <= row["lower"] <= 1 for row in found["coverage"])
    page = (tmp_path / "power.md").read_text()
    assert all(interval in page for interval in intervals)


def test_the_committed_page_is_of_the_committed_figures(package, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARK / "power"))
    from page import page

    found = json.loads((BENCHMARK / "power" / "study.json").read_text())
    assert (BENCHMARK.parent / "docs" / "power.md").read_text() == page(found)
    sys.modules.pop("page")


def test_the_speed_of_bootstraps(package):
    report = json.loads(run("speed/ranking.py"))
    assert report["largest difference"] < 1e-12
    assert report["seconds"]["ours"] > 0
    assert report["scipy / ours"]["least"] > 1
