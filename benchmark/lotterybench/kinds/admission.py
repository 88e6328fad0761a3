"""What a track may ask for: refused are runs that would all fail, or must not be ranked."""

from lotterybench.errors import BadRequest
from lotterybench.kinds.stacked import check_stacked, is_stacked
from lotterybench.methods import method
from lotterybench.methods.base.architectures import architecture
from lotterybench.methods.base.recipe import settings_of
from lotterybench.records import Base
from lotterybench.trials import Track


def check_track(track: Track, base: Base) -> None:
    """Raise for what would fail in every run, or must not be ranked.

    That is an unknown method or setting, an odd resolution, and a masked autoencoder in a pool
    that is not fine-tuned: frozen, it anchors the bottom and inflates rank correlations.
    """
    if is_stacked(track):
        check_stacked(track, base)
        return
    sides = [track.resolution] if track.resolution else []
    sides += [int(arm.amount) for arm in track.cheaper if arm.arm == "low-resolution"]
    for side in sides:
        if base.size[0] % side:
            raise BadRequest(
                f"{track.name} reduces to {side} pixels; that does not divide "
                f"{base.id}'s {base.size[0]}"
            )
    for side in sides[bool(track.resolution) :]:
        _check_lower(track, side, base)
    _check_anchors(track)
    for entry in track.configurations:
        known = settings_of(entry.method)
        masked = method.facts(entry.method).get("objective") == "masked"
        if masked and track.probe != "finetuned" and entry.name not in track.anchors:
            raise BadRequest(
                f"{entry.name} is ranked by fine-tuning only; make it an anchor (protocol §1)"
            )
        strange = sorted(set(entry.config) - set(known))
        if strange:
            raise BadRequest(
                f"{entry.name}: {entry.method} has no setting {', '.join(strange)}; "
                f"it has {', '.join(known)}"
            )


def _check_anchors(track: Track) -> None:
    """Raise for what is an anchor by its kind and would be ranked (protocol §1).

    That is random initialisation, and what reads labels beside methods that do not.
    """
    ranked = track.scored()
    reads = [bool(method.facts(entry.method).get("labels")) for entry in ranked]
    mixed = track.probe != "classifier" and not all(reads)
    for entry, labels in zip(ranked, reads, strict=True):
        if entry.method == "random-init" or (labels and mixed):
            what = "reads labels, others do not" if labels else "is not trained"
            raise BadRequest(
                f"{entry.name} {what}: it is not ranked, make it an anchor (protocol §1)"
            )


def _check_lower(track: Track, side: int, base: Base) -> None:
    """Raise for a low-resolution arm that is not lower, or too low for a backbone."""
    if side >= (track.resolution or base.size[0]):
        raise BadRequest(f"{track.name} has {side} pixels already; a lower resolution is below")
    for entry in track.configurations:
        backbone = entry.config.get("backbone")
        smallest = architecture(str(backbone)).smallest if backbone else 1
        if side < smallest:
            raise BadRequest(
                f"{entry.name}: {backbone} takes images of {smallest} pixels or more, not {side}"
            )
