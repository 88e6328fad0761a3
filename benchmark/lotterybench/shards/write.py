"""Writing shards: tars, card and index of a set of subsets of one base."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from lotterybench.errors import BadRequest
from lotterybench.fidelities import Fidelity
from lotterybench.manifests import find_base, find_manifest, load_drawn
from lotterybench.paths import base_file, keyring_file, manifest_file, positions_file
from lotterybench.progress import bar
from lotterybench.records import Base, Subset
from lotterybench.shards.beside import complete, left_over, timm_name
from lotterybench.shards.figures import figures_of
from lotterybench.shards.index import MANIFESTS, UNFINISHED, ShardIndex
from lotterybench.shards.samples import Rows
from lotterybench.shards.writer import Writer
from lotterybench.storage import write_whole
from lotterybench.stream_targets import Half, targets_for, told_by

Told = Callable[[str], Iterable[Fidelity]]  # from a base to what results say of its subsets
PER_SHARD = 500  # samples; 2 MB of 32×32 images, so that small subsets still feed several workers


class Choice(NamedTuple):
    """A subset to shard: its manifest, its positions (None for a class list) and its file.

    Of a stream the positions are epoch 0's; `targets` are those of all training images.
    """

    subset: Subset
    positions: Rows | None
    file: Path
    targets: Half | None = None


def write_shards(
    refs: Sequence[str],
    out: Path,
    *,
    per_shard: int = PER_SHARD,
    prior: str | None = None,
    manifests: Sequence[str] = (),
    fidelity: Told | None = None,
    seal: bool = False,
) -> ShardIndex:
    """Write the shards of subsets of one base into a folder; equal arguments, equal bytes.

    `refs` are ids (`base/name`, `base/name@2`) or manifest files, in any order; of a stream, epoch
    0 is written. Nested subsets share tars (`families`). `prior` gives the targets of streams that
    name some (`targets_for`). `manifests` are ids of manifests to copy without tars. The card tells
    what `fidelity`, asked for the base, says of the subsets. With `seal`, the index says what the
    tars are, and none stays (`materialise`). A folder that holds older shards is brought up to
    date; one of anything else is refused (`BadRequest`).
    """
    chosen = [Choice(*load_drawn(ref), find_manifest(ref)) for ref in refs]
    copied = [(load_drawn(ref)[0], find_manifest(ref)) for ref in manifests if ref not in refs]
    _check([choice.subset for choice in chosen], [subset for subset, _ in copied])
    copied += [(choice.subset, choice.file) for choice in chosen]
    before = left_over(out)
    chosen = _with_targets(chosen, prior)
    base, root = find_base(chosen[0].subset.base)
    told = fidelity(base.id) if fidelity is not None else ()
    figures = figures_of(told, [choice.subset for choice in chosen])
    copies = _copies(base, root, copied)
    writer = Writer(base, out, per_shard, [(c.subset, c.positions) for c in chosen], seal=seal)
    write_whole(out / UNFINISHED, b"")
    entries = [
        (writer.config(choice.subset, choice.positions, choice.targets), choice.subset)
        for choice in bar(chosen, len(chosen), f"writing shards of {base.id}")
    ]
    entries.sort(key=lambda entry: (entry[0].count("train"), entry[0].name))
    return complete(
        out, base, writer.image, entries, copies=copies, targets=writer.targets, before=before,
        figures=figures, sealed=seal,
    )  # fmt: skip


def _with_targets(chosen: Sequence[Choice], prior: str | None) -> list[Choice]:
    """Add their targets to streams that name some; refuse a prior too many or too few."""
    found = []
    for choice in chosen:
        stream = choice.subset.stream
        if stream is not None and stream.targets is not None:
            if prior is None:
                raise BadRequest(
                    f"{choice.subset.ref} names targets of {stream.targets.prior}; give them with "
                    "--prior, a prior or the .npy file of its targets (protocol §10)"
                )
            choice = choice._replace(targets=targets_for(choice.subset, prior))
        found.append(choice)
    if prior is not None and chosen and all(choice.targets is None for choice in found):
        told_by(chosen[0].subset)
    return found


def _check(subsets: Sequence[Subset], listed: Sequence[Subset]) -> None:
    """Refuse subsets, and manifests `listed` beside them, that cannot share a folder."""
    bases = sorted({subset.base for subset in (*subsets, *listed)})
    if len(bases) != 1:
        raise BadRequest(
            f"one folder holds one base; the subsets are of {', '.join(bases) or 'none'}"
        )
    names = [subset.name for subset in subsets]
    if len(set(names)) < len(names) or "test" in names:
        raise BadRequest("each subset may be given once, and none may be named test")
    for name in names:
        if timm_name(name, "test") in names:
            raise BadRequest(
                f"for timm, the subset {name}-test and the test split of {name} have one name; "
                "write them to two folders"
            )


def _copies(base: Base, root: Path, chosen: Sequence[tuple[Subset, Path]]) -> dict[str, bytes]:
    """Return the bytes of the base's and the subsets' files, by their path in the folder."""
    target = Path(MANIFESTS)
    sources = {
        base_file(target, base.id): base_file(root, base.id),
        keyring_file(target, base.id): keyring_file(root, base.id),
    }
    for subset, file in chosen:
        manifest = manifest_file(target, subset.id, subset.version)
        sources[manifest] = file
        if subset.positions is not None:
            sources[positions_file(manifest)] = positions_file(file)
    return {path.as_posix(): source.read_bytes() for path, source in sources.items()}
