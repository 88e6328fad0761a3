"""The same runs on an accelerator: they end, and agree with the CPU's on what is easy."""

import pytest
from test_run import SMALL, track_json

from lotterybench.results import read
from lotterybench.run import run_track


@pytest.mark.gpu
def test_a_track_runs_on_the_gpu(tmp_path):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    summary = run_track(str(track_json(tmp_path)), tmp_path / "results", device="cuda", jobs=2)
    assert summary.statuses == {"ok": 24}
    for result in read(tmp_path / "results/small/full.jsonl"):
        assert result.cost.device.startswith("cuda: ")
    assert SMALL.name in str(summary.folder)
