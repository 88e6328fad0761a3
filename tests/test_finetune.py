"""Fine-tuning as a probe, and the signs of collapse."""

import pytest
import torch
from test_run import SMALL

from lotterybench.errors import BadRequest
from lotterybench.kinds.evaluation import LEAST_RANK, LEAST_SPREAD, flags_of
from lotterybench.methods.base import probes
from lotterybench.methods.base.backbones import build
from lotterybench.methods.base.finetune import finetuned
from lotterybench.results import read
from lotterybench.run import plan, run_track
from lotterybench.trials import Configuration, Seeds


def tuned(encoder, digits, run="run one", epochs=5):
    images, labels = digits
    return finetuned(
        encoder, images[:600], labels[:600], images[1000:], labels[1000:], classes=10,
        mirror=False, run=run, epochs=epochs, batch=16,
    )  # fmt: skip


def test_it_trains_a_copy_of_the_encoder_with_labels(digits):
    encoder = build("mixer", in_chans=1, size=8, seed=3).eval().requires_grad_(False)
    before = [value.clone() for value in encoder.state_dict().values()]
    once = tuned(encoder, digits, epochs=1)
    accuracy = tuned(encoder, digits)
    assert accuracy > max(50, once + 20)
    assert all(map(torch.equal, before, encoder.state_dict().values()))
    assert not encoder.training and not any(p.requires_grad for p in encoder.parameters())


def test_the_run_decides_it(digits):
    encoder = build("mixer", in_chans=1, size=8, seed=3).eval()
    assert tuned(encoder, digits, epochs=1) == tuned(encoder, digits, epochs=1)
    assert tuned(encoder, digits, epochs=1) != tuned(encoder, digits, "run two", epochs=1)


def pool(probe):
    settings = {"backbone": "vit", "epochs": 1}
    mae = Configuration(
        name="mae", family="masked/vit", method="mae", config=settings | {"lr": 1e-3}
    )
    start = Configuration(
        name="start", family="anchor/vit", method="random-init", config={"backbone": "vit"}
    )
    return SMALL.model_copy(
        update={
            "probe": probe,
            "metric": "finetuned" if probe == "finetuned" else "knn",
            "configurations": [mae, start],
            "anchors": ["start"],
            "seeds": Seeds(full=1, subset=1),
            "subsets": [],
        }
    )


@pytest.mark.slow
def test_masked_methods_are_ranked_by_fine_tuning(tmp_path):
    summary = run_track(pool("finetuned"), tmp_path)
    assert summary.statuses == {"ok": 2}
    for result in read(tmp_path / "small/full.jsonl"):
        assert set(result.metrics) == {
            "knn", "linear", "effective_rank", "feature_spread", "finetuned",
        }  # fmt: skip
        assert 30 < result.metrics["finetuned"] <= 100


def test_masked_methods_are_not_ranked_frozen(tmp_path):
    with pytest.raises(BadRequest, match="mae is ranked by fine-tuning only; make it an anchor"):
        plan(pool("frozen"), tmp_path)
    shown = pool("frozen").model_copy(update={"anchors": ["mae", "start"]})
    assert len(plan(shown, tmp_path)) == 1


def test_signs_of_collapse():
    noise = torch.Generator().manual_seed(0)
    spread = torch.randn(200, 16, generator=noise)
    line = spread[:, :1] * torch.ones(16) + 1e-4 * spread
    point = torch.ones(200, 16) + 1e-6 * spread
    found = {
        name: flags_of(
            {
                "effective_rank": probes.effective_rank(features),
                "feature_spread": probes.feature_spread(features),
            }
        )
        for name, features in (("spread", spread), ("line", line), ("point", point))
    }
    assert found["spread"] == ()
    assert "low-rank" in found["line"]
    assert "no-spread" in found["point"]
    assert flags_of({"accuracy": 50.0}) == ()
    assert LEAST_RANK == 5 and 0 < LEAST_SPREAD < 0.1
