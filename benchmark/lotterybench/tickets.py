"""Tickets for users: masks with the weights to train them from, of a study or a saved folder."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from lotterybench.errors import BadRequest, BadResults, UnknownName
from lotterybench.kinds.stages.artefact import DONE, Done
from lotterybench.manifests import find_base
from lotterybench.methods.base.backbones import build
from lotterybench.methods.base.encoders import digest_of_state
from lotterybench.paths import stages_folder, study_file
from lotterybench.pruning.functional import State
from lotterybench.pruning.levels import load_level
from lotterybench.pruning.masks import Masks
from lotterybench.pruning.masks import load as load_masks
from lotterybench.pruning.rounds import masked
from lotterybench.records import SLUG, Record, Sha256, Slug, sha256_of
from lotterybench.storage import write_whole
from lotterybench.studies import Finding, Recipe, TicketStudy

RESULTS = Path("out/results")  # where `lotterybench run` writes
NAME = re.compile(rf"(?P<study>{SLUG})/(?P<arm>{SLUG})-seed(?P<seed>\d+)-level(?P<level>\d+)")
MASKS, WEIGHTS, ABOUT = "masks.safetensors", "weights.safetensors", "ticket.json"
CLASSIFIER = {"@head.weight", "@head.bias"}  # what a level holds beside the encoder
Read = TypeVar("Read")


class AboutTicket(Record):
    """What a ticket is: where it was found, and the network that it is of.

    `level` is the number of prunings, `sparsity` the part of the prunable weights that is pruned.
    `in_chans` and `size` are the images' channels and side. `masks` and `weights` are digests of
    the tensors, `digest` of all other fields.
    """

    study: Slug
    study_version: int = Field(ge=1)
    study_digest: Sha256
    arm: Slug
    seed: int = Field(ge=0)
    level: int = Field(ge=1)
    base: Slug
    base_digest: Sha256
    recipe: Recipe
    in_chans: int = Field(ge=1)
    size: int = Field(ge=1)
    sparsity: float = Field(ge=0, le=1)
    masks: Sha256
    weights: Sha256
    digest: Sha256

    def true_digest(self) -> str:
        """Return what `digest` must be."""
        return sha256_of(self.fields(without=frozenset({"digest"})))

    @property
    def id(self) -> str:
        """What `load_ticket` takes."""
        return f"{self.study}/{self.arm}-seed{self.seed}-level{self.level}"


class SavedTicket(Record):
    """A folder's `ticket.json`: the ticket, and the sha256 of both files beside it."""

    ticket: AboutTicket
    files: dict[str, Sha256]


@dataclass(frozen=True, eq=False)
class Ticket:
    """Masks, and the encoder's state at the rewinding point under them, by timm's own names."""

    masks: Masks
    weights: State
    about: AboutTicket

    def encoder(self) -> nn.Module:
        """Build the network with the ticket's weights, in evaluation mode, on the CPU.

        float (n, in_chans, size, size) to (n, d). Raises `BadResults` for weights of another one.
        """
        about, recipe = self.about, self.about.recipe
        network = build(
            recipe.backbone, in_chans=about.in_chans, size=about.size, seed=0, width=recipe.width
        )
        here = {**dict(network.named_parameters()), **dict(network.named_buffers())}
        shapes, given = ({k: tuple(v.shape) for k, v in of.items()} for of in (here, self.weights))
        if shapes != given:
            odd = min(name for name, _ in shapes.items() ^ given.items())
            raise BadResults(f"{about.id}: {odd} is not as in {recipe.backbone}")
        with torch.no_grad():
            for name, value in here.items():
                value.copy_(self.weights[name])
        return network.eval()

    def save(self, folder: str | Path) -> Path:
        """Write masks, weights and `ticket.json`, which comes last; return the folder."""
        folder = Path(folder)
        self.masks.save(folder / MASKS)
        write_whole(folder / WEIGHTS, save(self.weights))
        files = {name: _sha256(folder / name) for name in (MASKS, WEIGHTS)}
        write_whole(folder / ABOUT, SavedTicket(ticket=self.about, files=files).pretty())
        return folder


def load_ticket(id: str | Path, results: str | Path | None = None) -> Ticket:
    """Load a ticket: `<study>/<arm>-seed<s>-level<k>`, or a folder that `Ticket.save` wrote.

    The first is looked up in `results/<study>` (default: `out/results`, as `lotterybench run`
    writes it), where levels are 1 to the number of rounds. Raises `UnknownName` for a ticket that
    is not there, and `BadResults` for a damaged one.
    """
    if (Path(id) / ABOUT).is_file():
        return _saved(Path(id))
    match = NAME.fullmatch(str(id))
    if not match:
        raise UnknownName(
            f"{str(id)!r} is no ticket: give <study>/<arm>-seed<s>-level<k>, or a folder with "
            f"{ABOUT}"
        )
    wanted = Wanted(match["arm"], int(match["seed"]), int(match["level"]))
    return _of_study(Path(results or RESULTS) / match["study"], wanted)


def _saved(folder: Path) -> Ticket:
    file = folder / ABOUT
    noted = SavedTicket.read(file.read_bytes(), str(file))
    masks = _checked(folder / MASKS, noted.files, load_masks)
    weights = _checked(folder / WEIGHTS, noted.files, _weights)
    same = (noted.ticket.masks, noted.ticket.weights) == (masks.digest, digest_of_state(weights))
    if not same or noted.ticket.true_digest() != noted.ticket.digest:
        raise BadResults(f"{file} is damaged: it does not have the digest that it names")
    return Ticket(masks, weights, noted.ticket)


class Wanted(NamedTuple):
    """A ticket within a study."""

    arm: str
    seed: int
    level: int

    def __str__(self) -> str:
        return f"{self.arm}-seed{self.seed}-level{self.level}"


def _of_study(folder: Path, wanted: Wanted) -> Ticket:
    """Return a study's ticket, of the round that found it or else of the stage that trained it."""
    file = study_file(folder)
    if not file.is_file():
        raise UnknownName(f"there are no results of {folder.name} in {folder.parent}")
    study = TicketStudy.read(file.read_bytes(), str(file))
    place, done = _stage(folder, wanted)
    if done.finding.status != "ok":
        raise BadResults(f"{study.name} has no {wanted}: {done.finding.reason}")
    if done.finding.stage == "ticket":
        masks = _checked(place / MASKS, done.files, load_masks)
        weights = _checked(place / WEIGHTS, done.files, _weights)
    else:
        masks = _checked(place / "next.safetensors", done.files, load_masks)
        level = _checked(place / "level.safetensors", done.files, load_level)
        weights = masked({k: v for k, v in level.point.items() if k not in CLASSIFIER}, masks)
    return Ticket(masks, weights, _about(study, done.finding, wanted, masks, weights))


def _stage(folder: Path, wanted: Wanted) -> tuple[Path, Done]:
    found: dict[str, dict[Wanted, tuple[Path, Done]]] = {"ticket": {}, "round": {}}
    for place, done in _finished(folder):
        one = done.finding
        if one.stage in found and "control" not in one.of:
            level = int(one.of["level"]) + (one.stage == "round")
            found[one.stage][Wanted(one.arm, one.seed, level)] = (place, done)
    there = {**found["ticket"], **found["round"]}
    if wanted not in there:
        known = ", ".join(sorted(map(str, there))[:6]) or "none yet"
        more = f" and {len(there) - 6} more" if len(there) > 6 else ""
        raise UnknownName(f"{folder.name} has no ticket {wanted} here; there are {known}{more}")
    return there[wanted]


def _finished(folder: Path) -> Iterator[tuple[Path, Done]]:
    for file in sorted(stages_folder(folder).glob(f"*/{DONE}")):
        yield file.parent, Done.read(file.read_bytes(), str(file))


def _about(
    study: TicketStudy, found: Finding, wanted: Wanted, masks: Masks, weights: State
) -> AboutTicket:
    base, _ = find_base(study.base)
    draft = AboutTicket(
        study=study.name, study_version=study.version, study_digest=found.study_digest,
        arm=wanted.arm, seed=wanted.seed, level=wanted.level, base=base.id,
        base_digest=found.base_digest, recipe=study.recipes[str(found.of["recipe"])],
        in_chans={"L": 1, "RGB": 3}[base.mode], size=study.resolution or base.size[0],
        sparsity=masks.sparsity, masks=masks.digest, weights=digest_of_state(weights),
        digest="0" * 64,
    )  # fmt: skip
    return draft.model_copy(update={"digest": draft.true_digest()})


def _checked(file: Path, files: Mapping[str, str], read: Callable[[Path], Read]) -> Read:
    """Read a file that has the sha256 noted; raise `BadResults` for any other."""
    if not file.is_file():
        raise BadResults(f"{file} is missing")
    if _sha256(file) != files.get(file.name):
        raise BadResults(f"{file} is damaged: it does not have the sha256 that was noted")
    try:
        return read(file)
    except (BadRequest, SafetensorError) as error:
        raise BadResults(f"{file} cannot be read: {error}") from None


def _weights(file: Path) -> State:
    found: State = load(file.read_bytes())
    return found


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
