"""What a PrAC arm leaves for users: each round's set as a manifest, and all rounds as signals."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadRecord, BadResults
from lotterybench.kinds.stages import Stage, folder_of
from lotterybench.kinds.stages.artefact import DONE, Done
from lotterybench.kinds.tickets.sets import PracSet, load_set
from lotterybench.kinds.tickets.split import Split, split_of
from lotterybench.manifests import find_base, save_manifest
from lotterybench.methods import method
from lotterybench.methods.base.architectures import architecture
from lotterybench.paths import signals_folder, stages_folder, study_subsets
from lotterybench.provenance import code_digest
from lotterybench.recordings import Recorded, Recording, column_digest, save_recorded
from lotterybench.records import Base, Budget, Proxy, SelectedWith, Subset
from lotterybench.storage import write_whole
from lotterybench.studies import Finding, Study
from lotterybench.studies.tickets import Arm
from lotterybench.validity import Columns, describe_positions, manifest_of

UNCOUNTED = -(2**15)  # an arm without CET writes down the counts of its set alone


@dataclass(frozen=True)
class Round:
    """A finished round of a PrAC arm: its stage, and the study's folder."""

    study: Study
    stage: Stage
    results: Path

    @property
    def folder(self) -> Path:
        """Where its artefact lies."""
        return folder_of(self.stage, stages_folder(self.results))

    @cached_property
    def finding(self) -> Finding:
        """What came of it."""
        file = self.folder / DONE
        return Done.read(file.read_bytes(), str(file)).finding

    @cached_property
    def found(self) -> PracSet:
        """The set that it chose."""
        return load_set(self.folder / "set.safetensors")

    @cached_property
    def base(self) -> Base:
        """The base."""
        return find_base(self.stage.settings["base"])[0]

    @property
    def split(self) -> Split:
        """The samples to train on, and those held out."""
        return split_of(self.base, self.stage.settings["validation"], self.stage.settings["split"])

    @property
    def arm(self) -> Arm:
        """The arm."""
        return Arm(**self.stage.settings["arm"])

    @property
    def level(self) -> int:
        """How often the network was pruned before the round."""
        return int(self.stage.settings["level"])

    @property
    def carried(self) -> bool:
        """Whether the round found fewer than two samples, so that its own went on."""
        easy = self.found.cet & (self.found.forgotten <= self.arm.threshold)
        return bool(self.found.cet.any() if self.arm.parts == "cep" else easy.any())

    def chain(self) -> list[Round]:
        """Return the arm's rounds up to this one, the first first."""
        before = self.stage.needs.get("before")
        return [*(Round(self.study, before, self.results).chain() if before else []), self]


def export(study: Study, stage: Stage, results: Path) -> None:
    """Save a finished round's set as a manifest below `results/subsets`; of other stages nothing.

    After an arm's last round its signals are saved as well. What is there already stays as it is.
    Raises `BadResults` where another set lies in its place.
    """
    if stage.does != "round" or stage.settings.get("arm", {}).get("data") != "prac":
        return
    one = Round(study, stage, results)
    if one.finding.status != "ok":
        return
    _save(*_manifest(one), one)
    if one.level == 0:
        _save(*_held_out(one), one)
    if one.level + 1 == one.stage.settings["pruning"]["rounds"]:
        save_signals(one)


def _save(subset: Subset, columns: Columns, of: Round) -> None:
    root = study_subsets(of.results)
    try:
        save_manifest(subset, columns, root)
    except BadRecord:
        raise BadResults(
            f"{root / subset.id} holds another set than {of.stage} has found: "
            "remove it, or give another --out"
        ) from None


def _manifest(of: Round) -> tuple[Subset, Columns]:
    """Return a round's set; flags are of what it found, none where its own samples went on."""
    found, flagged = of.found, not of.carried
    columns: Columns = {
        "position": found.positions.astype(np.uint32),
        "cet": found.cet & flagged,
        "cep": found.cep & flagged,
        "forgotten": found.forgotten,
    }
    shown = SelectedWith(
        proxy=proxy_of(of), proxy_seeds=[of.stage.seed], proxy_folds=0, labels=True
    )
    name = f"{of.study.name}-{of.stage.arm}-level{of.level}-seed{of.stage.seed}"
    settings = _settings(of)
    return _subset(of, name, "prac", columns, settings, shown, of.finding.code_digest), columns


def _settings(of: Round) -> dict[str, Any]:
    """Return everything that determines a round's set."""
    metrics = of.finding.metrics
    given = {k: v for k, v in of.stage.settings.items() if k not in ("base", "base_digest")}
    ran = {
        "trained_on": int(metrics["samples"]),
        "sparsity": round(1 - metrics["density"], 6),
        "epochs": int(metrics["epochs"]),
        "planned_epochs": int(metrics["planned-epochs"]),
        "stopped_early": bool(metrics["settled"]),
        "in_sample": True,  # as all training dynamics (protocol §6)
    }
    return {
        **_study(of), **given, "epsilon": of.arm.settled, "threshold": of.arm.threshold, **ran,
        **({"carried_over": True} if of.carried else {}), "stage": of.stage.key,
    }  # fmt: skip


def _study(of: Round) -> dict[str, Any]:
    return {
        "study": of.study.name,
        "study_version": of.study.version,
        "study_digest": of.study.digest(),
    }


def _held_out(of: Round) -> tuple[Subset, Columns]:
    """Return the study's validation samples, which no round trains on or chooses from."""
    columns: Columns = {"position": of.split.validation.astype(np.uint32)}
    settings = _study(of) | {key: of.stage.settings[key] for key in ("validation", "split")}
    name, code = f"{of.study.name}-validation", code_digest("kinds/tickets/split.py")
    return _subset(of, name, "held-out", columns, settings, SelectedWith(), code), columns


def _subset(
    of: Round, name: str, selector: str, columns: Columns, settings: dict[str, Any],
    shown: SelectedWith, code: str,
) -> Subset:  # fmt: skip
    return manifest_of(
        of.base, name, code=code, version=of.study.version, kind="samples", selector=selector,
        settings=settings, seed=of.stage.seed if selector == "prac" else 0,
        budget=Budget(count=len(columns["position"])), positions=describe_positions(columns),
        selected_with=shown,
    )  # fmt: skip


def proxy_of(of: Round) -> Proxy:
    """Return the trainings up to a round as a proxy, of the families that tracks know.

    `epochs` are the passes over all samples of the base that its images make together, rounded
    up: three forward passes count as a training image.
    """
    recipe, passes = of.stage.settings["recipe"], sum(r.finding.passes() for r in of.chain())
    objective, group = (
        method.facts("supervised")["objective"], architecture(recipe["backbone"]).group,
    )  # fmt: skip
    return Proxy(
        method="supervised",
        config={**recipe, "study": of.study.name, "arm": of.stage.arm},
        families=sorted({f"{objective}/{name}" for name in (recipe["backbone"], group)}),
        epochs=ceil(passes / 3 / of.base.splits["train"].rows),
        resolution=of.stage.settings["resolution"],
        labels=True,
    )


def save_signals(last: Round) -> Recorded:
    """Save what the rounds of an arm said of each sample as a recorded set; return it.

    The recording's folder is named by its content, and so stays as it is.
    """
    base, done = last.base, last.finding
    columns = signals_of(last.chain(), base.splits["train"].rows)
    common: dict[str, Any] = {
        "schema_version": 1, "base": base.id, "base_digest": base.digest,
        "keyring_digest": base.keyring_digest, "proxy": proxy_of(last), "folds": 0,
    }  # fmt: skip
    recording = Recording(
        **common, seed=last.stage.seed,
        columns={name: column_digest(name, values) for name, values in columns.items()},
        precision=done.precision, device=done.device, software=done.software,
        code_digest=done.code_digest,
    )  # fmt: skip
    content = recording.content()
    folder = signals_folder() / base.id / content[:16]
    if not (folder / "recording.json").is_file():
        for name, values in columns.items():
            buffer = io.BytesIO()
            np.save(buffer, values, allow_pickle=False)
            write_whole(folder / f"{name}.npy", buffer.getvalue())
        write_whole(folder / "recording.json", recording.pretty())
    draft = Recorded(
        **common, seeds=[last.stage.seed], parts={folder.name: content}, digest="0" * 64
    )
    recorded = draft.model_copy(update={"digest": draft.true_digest()})
    save_recorded(recorded)
    return recorded


def signals_of(rounds: list[Round], rows: int) -> dict[str, NDArray[Any]]:
    """Return `prac_forgotten` and `prac_changed` of an arm's rounds, (rows, rounds) each.

    A set holds no counts of samples outside it, but says by its threshold how large these are at
    most: 0 of the paper's arms.
    """
    arm = rounds[0].arm
    forgotten = np.full((rows, len(rounds)), -1, np.int16)
    changed = np.full((rows, len(rounds)), -1 if arm.parts == "cet" else 0, np.int8)
    outside = UNCOUNTED if arm.parts == "cep" else -1 - arm.threshold if arm.threshold else 0
    trained_on = rounds[0].split.train
    for at, one in enumerate(rounds):
        forgotten[trained_on, at] = outside
        forgotten[one.found.positions, at] = one.found.forgotten
        if arm.parts != "cet":
            changed[one.found.positions, at] = one.found.cep
        trained_on = one.found.positions
    return {"prac_forgotten": forgotten, "prac_changed": changed}
