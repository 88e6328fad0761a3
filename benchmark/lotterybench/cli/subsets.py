"""The commands that make subsets: `build` writes a manifest, `shards` the tars of some."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from lotterybench.cli.options import Out, budget_of, settings_of
from lotterybench.errors import BadRequest
from lotterybench.records import Subset

STREAM = "redrawn"  # where a selector's name stands: no selector, but the rule of streams


def build(
    base: Annotated[str, typer.Argument(help="Id of a pinned base.")],
    selector: Annotated[
        str,
        typer.Argument(
            help="Name of a selector (see `list selectors`), or redrawn: a stream, drawn anew for "
            "every epoch."
        ),
    ],
    name: Annotated[str, typer.Option(help="Name of the subset, as uniform-10pct.")],
    count: Annotated[int | None, typer.Option(help="Number of samples.")] = None,
    fraction: Annotated[float | None, typer.Option(help="Fraction of the training split.")] = None,
    classes: Annotated[int | None, typer.Option(help="Number of classes.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    version: Annotated[int, typer.Option(min=0, help="0 is a preview.")] = 1,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A selector's setting.")
    ] = None,
    signals: Annotated[
        list[str] | None,
        typer.Option(help="Recorded signals to read, by digest (see `list signals`)."),
    ] = None,
    track: Annotated[
        str | None, typer.Option(help="A track that must score none of the methods that choose.")
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(help="What makes a stream's targets, as timm:NAME."),
    ] = None,
    dimension: Annotated[
        int | None, typer.Option(help="Components of the targets (default: the prior's width).")
    ] = None,
    out: Out = Path("subsets"),
) -> None:
    """Select a subset of a base and write its manifest."""
    from lotterybench.build import build_subset, save_subset

    if selector == STREAM:
        others = {
            "--count": count, "--classes": classes, "--set": settings, "--signals": signals,
            "--track": track,
        }  # fmt: skip
        subset, size = _stream(base, fraction, others, prior, dimension, name, seed, version)
        columns = None
    else:
        _refuse({"--prior": prior, "--dimension": dimension}, f"{selector} is no stream")
        subset, columns = build_subset(
            base, selector, budget_of(count, fraction, classes), name=name, seed=seed,
            version=version, settings=settings_of(settings), signals=signals, track=track,
        )  # fmt: skip
        listed = f"{len(subset.classes or [])} classes"
        size = f"{subset.positions.count} samples" if subset.positions else listed
    file = save_subset(subset, columns, out)
    print(f"{file}: {size}, digest {subset.digest[:12]}")


def shards(
    out: Annotated[Path, typer.Option(help="Folder to write to: empty, or shards of before.")],
    subsets: Annotated[
        list[str] | None, typer.Argument(help="base/name, base/name@2, or a manifest.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(help="Instead of subsets, a base: tars of its frozen subsets (version 1 up)."),
    ] = None,
    previews: Annotated[
        bool, typer.Option("--previews", help="With --base: subsets of version 0, too.")
    ] = False,
    every: Annotated[
        bool,
        typer.Option("--all", help="With --base: null draws and ticket sets get tars, too."),
    ] = False,
    per_shard: Annotated[int, typer.Option(min=1, help="Samples in a tar.")] = 500,
    prior: Annotated[
        str | None,
        typer.Option(help="What made the targets that a stream names, or the .npy file of them."),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(help="Folder with a folder per track: the card tells what they found."),
    ] = None,
    seal: Annotated[
        bool,
        typer.Option("--seal", help="Write what the tars must be, but no tars (see materialise)."),
    ] = False,
) -> None:
    """Write subsets of one base as WebDataset tars that `load_dataset` reads."""
    from lotterybench.shards import write_release, write_shards

    told = None
    if results is not None:
        from lotterybench.publication import fidelities

        told = partial(fidelities, results)
    if (base is None) == (not subsets):
        given = "both were given" if subsets else "neither was given"
        raise BadRequest(f"shards takes names of subsets or --base; {given}")
    if base is None:
        _refuse(
            {"--previews": previews or None, "--all": every or None},
            "subsets that are named are written, whatever they are",
        )
        index = write_shards(
            subsets or [], out, per_shard=per_shard, prior=prior, fidelity=told, seal=seal
        )
    else:
        index = write_release(
            base, out, previews=previews, every=every, per_shard=per_shard, prior=prior,
            fidelity=told, seal=seal,
        )  # fmt: skip
    for config in index.configs:
        print(f"{config.name}: {config.count('train')} train, {config.count('test')} test samples")
    listed = len(index.manifests) - len(index.configs)
    if listed:
        print(f"and {listed} more manifests in {out}/manifests")
    if seal:
        size = sum(shard.bytes for shard in index.shards()) / 1e6
        print(f"\nsealed: {len(index.shards())} tars, {size:.1f} MB, that no longer lie here")
        return
    print(f'\nload_dataset("{out}", "{index.configs[0].name}", split="train")')


def _stream(
    base: str, fraction: float | None, others: dict[str, Any], prior: str | None,
    dimension: int | None, name: str, seed: int, version: int,
) -> tuple[Subset, str]:  # fmt: skip
    """Return a stream's manifest, and its size in words."""
    from lotterybench.build import build_stream
    from lotterybench.manifests import find_base
    from lotterybench.streams import size_of_epoch

    _refuse(others, "redrawn takes --fraction alone (protocol §10)")
    if fraction is None:
        raise BadRequest("redrawn needs --fraction, the part that an epoch draws (protocol §10)")
    if prior is None:
        _refuse({"--dimension": dimension}, "there are no targets without --prior")
    record, _ = find_base(base)
    size = size_of_epoch(record.splits["train"].rows, fraction)  # before a prior looks at all
    targets = None
    if prior is not None:
        from lotterybench.stream_targets import targets_by

        targets, _ = targets_by(base, prior, dimension)
    subset = build_stream(base, fraction, name=name, seed=seed, version=version, targets=targets)
    told = f", {targets.dimension} targets each" if targets else ""
    return subset, f"{size} samples an epoch{told}"


def _refuse(options: dict[str, Any], why: str) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise BadRequest(f"{why}; leave {', '.join(given)} out")
