"""One's own method beside a pool: from a file to its place, never joined with the pool's."""

import json
import subprocess
import sys

import pytest

from lotterybench.candidates import beside, is_own, standings
from lotterybench.errors import BadRequest
from lotterybench.results import read
from lotterybench.run import run_track
from lotterybench.tracks import find_track

NEAREST = '''
"""The mean image of each class, as a linear classifier."""
import torch
from torch import nn
from lotterybench.methods import Trained


def centroids(task, *, epochs: int = 0, scale: float):
    """Return pixels as features and class means as weights."""
    data = task.data
    pixels = data.images[data.rows].float().flatten(1) * (4 / 255) - 2
    labels = data.labels[data.rows]
    head = nn.Linear(pixels.shape[1], task.classes)
    for k in range(task.classes):
        mean = pixels[labels == k].mean(0)
        with torch.no_grad():
            head.weight[k], head.bias[k] = scale * mean, -scale * mean.square().sum() / 2
    return Trained(nn.Flatten(), head, 0)


def rotten(task, *, epochs: int = 0):
    """Return no encoder."""
    return Trained(nn.Identity(), None, 0)
'''


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(NEAREST)
    return path


@pytest.mark.slow
def test_it_is_run_and_placed_among_the_reference(file, tmp_path):
    track = find_track("digits-supervised")
    whole = beside(track, [f"{file}:centroids"], {"scale": 0.1})
    own = whole.configurations[-1]
    assert own.name.startswith("own-centroids-")
    assert whole.name == f"digits-supervised-{own.name}"
    assert whole.configurations[:-1] == track.configurations
    from lotterybench.kinds import Conduct

    summary = run_track(
        whole, tmp_path / "results", subsets=["digits/uniform-10pct@1"], only=[own.name], seeds=1,
        jobs=1, conduct=Conduct(own=(f"{file}:centroids",)),
    )  # fmt: skip
    assert summary.statuses == {"ok": 2}
    full, tenth = standings(track, whole, summary.folder)
    assert (full.arm, tenth.arm) == ("full", "digits/uniform-10pct@1")
    assert full.score > 80 > tenth.score + 1 or tenth.score > 70
    assert full.place == 1 + sum(
        other > full.score for other in reference_means("digits-supervised", "full.jsonl")
    )
    assert full.among == len(track.scored()) + 1
    assert read(summary.folder / "full.jsonl")[0].method == own.name


def reference_means(track, name):
    from collections import defaultdict

    from lotterybench.paths import reference_results

    scores = defaultdict(list)
    for line in (reference_results() / track / name).read_text().splitlines():
        result = json.loads(line)
        scores[result["configuration"]].append(result["metrics"]["accuracy"])
    return [sum(values) / len(values) for values in scores.values()]


def test_a_change_of_the_file_is_another_track(file):
    track = find_track("digits-supervised")
    first = beside(track, [f"{file}:centroids"], {"scale": 0.1})
    file.write_text(NEAREST + "\n# better\n")
    assert beside(track, [f"{file}:centroids"], {"scale": 0.1}).name != first.name


@pytest.mark.parametrize(
    ("where", "settings", "message"),
    [
        ("centroids", {}, "needs --set scale=…"),
        ("centroids", {"scale": 1, "wings": 2}, "has no setting wings; it has epochs, scale"),
        ("nobody", {}, "has no function 'nobody'"),
    ],
)
def test_wrong_settings_are_told(file, where, settings, message):
    with pytest.raises(BadRequest, match=message):
        beside(find_track("digits-supervised"), [f"{file}:{where}"], settings)


def test_what_is_ones_own_is_told_by_its_name():
    assert is_own("mine.py:train") and is_own("/a/b.py:C")
    assert not is_own("resnet-lr0.05")


@pytest.mark.slow
def test_from_the_command_line(file, tmp_path):
    done = command(
        "run", "digits-supervised", "--method", f"{file}:centroids", "--set", "scale=0.1",
        "--full", "--seeds", "1", "--jobs", "1", "--out", tmp_path / "results",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1 ok" in done.stdout
    assert "of 13 by mean accuracy" in done.stdout
    wrong = command(
        "run", "digits-supervised", "--method", f"{file}:rotten", "--full", "--seeds", "1",
        "--jobs", "1", "--out", tmp_path / "results",
    )  # fmt: skip
    assert "1 crash" in wrong.stdout
    line = next((tmp_path / "results").glob("*rotten*/full.jsonl")).read_text()
    assert "BadShape: the encoder maps 2 images to (2, 1, 8, 8)" in json.loads(line)["reason"]
    mixed = command(
        "run", "digits-supervised", "--method", f"{file}:centroids", "--method", "resnet-lr0.05",
        "--set", "scale=0.1", "--out", tmp_path / "results",
    )  # fmt: skip
    assert mixed.returncode == 1
    assert "give methods of your own apart from the track's" in mixed.stderr


@pytest.mark.slow
def test_the_plan_tells_runs_images_and_time(tmp_path):
    done = command(
        "run", "digits-supervised", "--plan", "--json", "--subset", "digits/uniform-25pct",
        "--full", "--method", "resnet-lr0.05", "--out", tmp_path / "results",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    full, quarter, total = json.loads(done.stdout)
    assert (full["arm"], full["runs"], full["done"]) == ("full", 2, 0)
    assert full["images"] == 2 * 6 * 1201
    assert quarter["images"] == 2 * 6 * 300
    assert total["images"] == full["images"] + quarter["images"]
    assert 0.01 < full["seconds"] < 600
    assert not (tmp_path / "results").exists()


def command(*arguments):
    code = "import sys; from lotterybench.cli import main; sys.argv[0] = 'lotterybench'; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
