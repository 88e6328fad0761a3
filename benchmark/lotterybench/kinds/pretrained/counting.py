"""How many images a stage trains on, for forecasts: nothing of it is in any key."""

from typing import Any

from lotterybench.manifests import find_base
from lotterybench.studies.pretrained import Pretraining, Target

# Training images of PASCAL VOC by task, of which a stage has one half.
VOC = {"detection": 16551, "segmentation": 1464}


def images_of_stage(does: str, settings: dict[str, Any]) -> int:
    """Return the images of a stage that trains, 0 of any other.

    Copies of images among splits and bases, which no part has, are not subtracted.
    """
    if does == "pretraining":
        how = Pretraining(**settings["pretraining"])
        return _part(settings, "pretraining") * int(how.settings.get("epochs", 0))
    if does == "pretask-round":
        rounds = Pretraining(**settings["pretraining"]).rounds
        assert rounds is not None
        return _part(settings, "finding") * rounds.epochs if settings["level"] else 0
    if does in ("downstream-round", "downstream"):
        part = "finding" if does == "downstream-round" else "downstream"
        target = Target(**settings["target"])
        return _on(settings, target, part) * target.recipe.epochs
    return 0


def _on(settings: dict[str, Any], target: Target, part: str) -> int:
    if target.canvases is None:
        return _part(settings, part)
    if target.canvases.source == "voc":
        return VOC[target.task] // 2
    return int(getattr(target.canvases, part))


def _part(settings: dict[str, Any], part: str) -> int:
    rows = find_base(settings["base"])[0].splits["train"].rows
    share: float = settings["shares"][part]
    return round(share * rows)
