"""The command that makes the tars of a sealed release from one's own copy of the base."""

import re
from pathlib import Path
from typing import Annotated

import typer

from lotterybench.errors import BadRequest

RELEASE = re.compile(r"([^/@\s]+/[^/@\s]+)@([^/@\s]+)")


def materialise(
    source: Annotated[
        str, typer.Argument(help="A folder that `shards --seal` wrote, or ORG/NAME@TAG on the Hub.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write to: empty, or begun before.")],
) -> None:
    """Make the tars of a sealed release from your own copy of the base, and check each."""
    from lotterybench.shards import materialise as make

    folder, release = Path(source), RELEASE.fullmatch(source)
    if folder.is_dir():
        index = make(folder, out)
    elif release:
        from lotterybench.hub.sealed import sealed_release

        with sealed_release(release[1], release[2]) as folder:
            index = make(folder, out)
    else:
        raise BadRequest(f"{source} is no folder, and no release: that is ORG/NAME@v1.0.0")
    size = sum(shard.bytes for shard in index.shards())
    print(f"{len(index.shards())} tars, {size / 1e6:.1f} MB, as the sealed release says")
    print(f'\nload_dataset("{out}", "{index.configs[0].name}", split="train")')
