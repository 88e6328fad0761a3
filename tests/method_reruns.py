"""Submitted methods on a tiny track: what their tests share, on the processor and on a GPU."""

import contextlib
import io
import sys

from submitted import SELECTOR

from lotterybench.submissions import player, playing
from lotterybench.submissions.drafts import new_submission
from lotterybench.submissions.reading import read_record
from lotterybench.submissions.records import RECORD
from lotterybench.submissions.referee.training import rerun_method
from lotterybench.submissions.referee.workplace import Workplace
from lotterybench.submissions.sandbox import Outcome
from lotterybench.trials import Configuration, Seeds, Track

SECRET, DIGEST = b"s" * 32, "d" * 64
TINY = Track(
    schema_version=1,
    name="tiny-methods",
    version=1,
    title="A tiny track of encoders",
    base="digits",
    kind="ranking",
    resolution=8,
    probe="frozen",
    metric="knn",
    seeds=Seeds(full=2, subset=1),
    configurations=[
        Configuration(
            name=f"simclr-lr{rate}", family=f"contrastive/{rate}", method="simclr",
            config={"backbone": "resnet", "lr": rate, "epochs": 1},
        )
        for rate in (0.1, 0.2)
    ],
    subsets=["digits/uniform-10pct@1", "digits/uniform-5-classes@1"],
    primary="10pct",
)  # fmt: skip
RECORDED = SELECTOR.replace('"selector"', '"method"').replace("fraction = 0.1\n", "")
RECORDED = RECORDED.replace("mine.py:select", "mine.py:train")
PIXELS = """
import torch
from torch import nn


class Pixels(nn.Module):
    def forward(self, images):
        return images.float().flatten(1)

"""


def method(folder, code, record=RECORDED):
    """Write a method's files; return its record and the folder."""
    folder.mkdir(parents=True)
    (folder / RECORD).write_text(record)
    (folder / "mine.py").write_text(code)
    found, problems = read_record(record.encode())
    assert problems == []
    return found, folder


def trained(body):
    """Return the code of a method whose `train` does what `body` says."""
    return f"{PIXELS}\ndef train(images, labels, seed, budget):\n    {body}\n"


def rerun(record, code, folder, track=TINY, **options):
    """Rerun a method in a workplace of its own; return the files of lines."""
    options = {"isolation": "sandboxed", "device": "cpu", "secret": SECRET, "digest": DIGEST} | (
        options
    )
    return rerun_method(record, code, track, Workplace(folder), **options)


def rerun_draft(folder, device="cpu"):
    """Rerun the draft of `submit new method` in the sandbox; return the files of its lines."""
    new_submission("method", "my-own", folder / "draft")
    record, problems = read_record((folder / "draft" / RECORD).read_bytes())
    assert problems == []
    return rerun(record, folder / "draft", folder / "place", device=device)


def here(given, out, budget, isolation, threads=1):
    """Play in this process, without a box: for methods of ours, and much sooner done."""
    out.mkdir(parents=True)
    path, log = list(sys.path), io.StringIO()
    with contextlib.redirect_stderr(log):
        code = player.main(given, out)
    sys.path[:] = path
    for name in ("submitted", "beside"):
        sys.modules.pop(name, None)
    return Outcome(
        status="crash" if code else "ok", reason="it ended" if code else "", exit_code=code,
        wall_seconds=0, cpu_seconds=0, memory_bytes=0, isolation="none", log=log.getvalue(),
    )  # fmt: skip


def play_here(monkeypatch, before=lambda given: None):
    """Let methods play in this process; `before` is called with what each box is given."""

    def play(given, out, budget, isolation, threads=1):
        before(given)
        return here(given, out, budget, isolation, threads)

    monkeypatch.setattr(playing, "play", play)
