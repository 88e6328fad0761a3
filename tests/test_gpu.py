"""The same runs on an accelerator: they end, and agree with the CPU's on what is easy."""

import pytest
from method_reruns import rerun_draft
from sandboxed import need_sandbox
from test_executors import deed, track_of
from test_run import SMALL, track_json
from toys import need

from lotterybench.kinds import Conduct
from lotterybench.methods.base.own import load_own
from lotterybench.results import read
from lotterybench.run import run_track

GREEDY = """
import torch
from lotterybench.methods.supervised import train

def greedy(task, *, epochs, part):
    free, total = torch.cuda.mem_get_info()
    held = torch.empty(int(part * total), dtype=torch.uint8, device=task.device)
    return train(task, epochs=epochs, lr=0.05, backbone="resnet", batch=32)
"""


def need_cuda():
    import torch

    need("gpu", torch.cuda.is_available(), "no CUDA device")


@pytest.mark.gpu
def test_a_track_runs_on_the_gpu(tmp_path):
    need_cuda()
    summary = run_track(str(track_json(tmp_path)), tmp_path / "results", device="cuda", jobs=2)
    assert summary.statuses == {"ok": 24}
    for result in read(tmp_path / "results/small/full.jsonl"):
        assert result.cost.device.startswith("cuda: ")
    assert SMALL.name in str(summary.folder)


@pytest.mark.gpu
def test_a_run_beyond_its_share_of_the_card_ends_alone(tmp_path):
    """Two workers have half a card's memory each; one run wants three fifths."""
    need_cuda()
    (tmp_path / "own.py").write_text(GREEDY)
    own = f"{tmp_path / 'own.py'}:greedy"
    name = load_own(own)
    parts = {"greedy": 0.6, "modest": 0.1, "also-modest": 0.2}
    track = track_of(*(deed(entry, name, epochs=1, part=part) for entry, part in parts.items()))
    run_track(
        str(track_json(tmp_path, track)), tmp_path, device="cuda:0", jobs=2,
        conduct=Conduct(own=(own,)),
    )  # fmt: skip
    found = {r.configuration: r.status for r in read(tmp_path / "rough/full.jsonl")}
    assert found == {"greedy": "oom", "modest": "ok", "also-modest": "ok"}


@pytest.mark.gpu
def test_a_submitted_method_is_rerun_on_one_bound_gpu(tmp_path):
    """As on the processor (test_rerun_methods), but that the sandbox shows one card."""
    need_cuda()
    need_sandbox()
    for line in [line for file in rerun_draft(tmp_path, "cuda:0") for line in read(file)]:
        assert (line.status, line.reason) == ("ok", None), line.reason
        assert line.isolation == "rerun-sandboxed" and line.metrics["knn"] > 50
        assert line.cost.device.startswith("cuda: ")
