"""The command that trains: its options, and its one line of summary."""

from pathlib import Path
from typing import Annotated

import typer

from lotterybench.cli.options import Out, precision_of
from lotterybench.errors import LotteryBenchError


def run(
    track: Annotated[str, typer.Argument(help="Name of a track, or a track.json.")],
    subset: Annotated[list[str] | None, typer.Option(help="Only this subset (repeatable).")] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Full data (with or without --subset).")
    ] = False,
    method: Annotated[list[str] | None, typer.Option(help="Only this configuration.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Seeds (default: the track's).")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda (all cards), cuda:1 …")] = "auto",
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Worker processes; with ray, runs that share a GPU.")
    ] = None,
    executor: Annotated[
        str | None, typer.Option(help="local (this machine; default), or ray (a cluster).")
    ] = None,
    ray_address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Cluster (default: RAY_ADDRESS).")
    ] = None,
    time_limit: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds that a run may take.")
    ] = None,
    memory_limit: Annotated[
        float | None, typer.Option(metavar="GIB", help="Resident memory that a run may take.")
    ] = None,
    save_encoder: Annotated[
        bool, typer.Option("--save-encoder", help="Keep trained encoders.")
    ] = False,
    precision: Annotated[
        str | None, typer.Option(help="fp32 or bf16 (default: bf16 on cuda).")
    ] = None,
    compiled: Annotated[bool, typer.Option("--compile", help="Use torch.compile.")] = False,
    shards: Annotated[
        Path | None, typer.Option(help="Stream training images from these shards.")
    ] = None,
    out: Out = Path("out/results"),
) -> None:
    """Train what a track plans and has no result for; interrupt and repeat as you like."""
    from lotterybench.kinds import Conduct
    from lotterybench.run import run_track

    everything = not subset and not full
    conduct = Conduct(precision=precision_of(precision), compiled=compiled, shards=shards)
    try:
        summary = run_track(
            track, out, subsets=None if everything else (subset or []), full=everything or full,
            only=method, seeds=seeds, device=device, jobs=jobs, executor=executor,
            address=ray_address, time_limit=time_limit, memory_limit=memory_limit,
            conduct=conduct, save_encoders=save_encoder,
        )  # fmt: skip
    except KeyboardInterrupt:
        raise LotteryBenchError("stopped; repeat the command to continue") from None
    for file in summary.torn:
        print(f"a half-written line was set aside in {file}")
    done = ", ".join(f"{count} {status}" for status, count in sorted(summary.statuses.items()))
    print(
        f"{summary.folder}: {summary.planned} runs, "
        f"{summary.before} were there, now {done or 'none'}"
    )
