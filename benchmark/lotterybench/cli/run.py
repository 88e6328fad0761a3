"""The command that trains: its options, and its one line of summary."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lotterybench.cli.options import Json, Out, precision_of, settings_of
from lotterybench.cli.study import carry_on, emit_outlook
from lotterybench.errors import BadRequest, LotteryBenchError

if TYPE_CHECKING:
    from lotterybench.trials import Track


def run(
    track: Annotated[str, typer.Argument(help="Name of a track, or a track.json.")],
    subset: Annotated[list[str] | None, typer.Option(help="Only this subset (repeatable).")] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Full data (with or without --subset).")
    ] = False,
    method: Annotated[
        list[str] | None,
        typer.Option(help="Only this configuration; or FILE.py:NAME, a method of your own."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of your own method."),
    ] = None,
    plan_only: Annotated[
        bool, typer.Option("--plan", help="Only tell runs, images and time on this device.")
    ] = False,
    pilot: Annotated[
        bool,
        typer.Option("--pilot", help="Only 8 configurations, 3 seeds: can there be a verdict?"),
    ] = False,
    null: Annotated[
        bool, typer.Option("--null/--no-null", help="The random subsets that the track plans.")
    ] = True,
    seeds: Annotated[int | None, typer.Option(min=1, help="Seeds (default: the track's).")] = None,
    classes: Annotated[
        list[int] | None, typer.Option(help="Of an exact track: only subsets of so many classes.")
    ] = None,
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
    as_json: Json = False,
    out: Out = Path("out/results"),
) -> None:
    """Train what a track plans and has no result for; interrupt and repeat as you like."""
    from lotterybench.candidates import beside, is_own, standings
    from lotterybench.kinds import Conduct
    from lotterybench.run import plan, run_track
    from lotterybench.tracks import find_study, find_track

    study = find_study(track)
    if study is not None:
        others = (
            subset, full, method, settings, pilot, not null, classes, executor, ray_address,
            time_limit, memory_limit, save_encoder, precision, compiled, shards,
        )  # fmt: skip
        if any(others):
            raise BadRequest(
                f"{study.name} is a study of tickets; of it only --plan, --seeds, --device, "
                "--jobs, --json and --out may be given"
            )
        carry_on(study, out, seeds, device, jobs, plan_only, as_json)
        return
    pool = whole = find_track(track)
    if pilot:
        if subset or full or method or plan_only or seeds or classes:
            raise BadRequest("--pilot chooses its own runs; give only --device, --jobs and --out")
        emit_pilot(whole, out, device, jobs, as_json)
        return
    own = tuple(name for name in method or () if is_own(name))
    if own:
        if len(own) < len(method or ()):
            raise BadRequest("give methods of your own apart from the track's configurations")
        whole = beside(pool, own, settings_of(settings))
        method = [entry.name for entry in whole.configurations[len(pool.configurations) :]]
    elif settings:
        raise BadRequest("--set goes with a method of your own, as FILE.py:NAME")
    everything = not subset and not full
    subsets, full = None if everything else (subset or []), full or everything
    conduct = Conduct(precision=precision_of(precision), compiled=compiled, shards=shards, own=own)
    if plan_only:
        from lotterybench.forecast import enumeration_outlook, outlook

        if whole.kind == "exact":
            emit_outlook(enumeration_outlook(whole, out, seeds, jobs, classes), as_json)
            return
        arms = plan(whole, out, subsets=subsets, full=full, only=method, seeds=seeds, null=null)
        emit_outlook(outlook(arms, device, jobs, conduct), as_json)
        return
    try:
        summary = run_track(
            whole, out, subsets=subsets, full=full, only=method, seeds=seeds, device=device,
            jobs=jobs, executor=executor, address=ray_address, time_limit=time_limit,
            memory_limit=memory_limit, conduct=conduct, save_encoders=save_encoder, null=null,
            classes=classes,
        )  # fmt: skip
    except KeyboardInterrupt:
        raise LotteryBenchError("stopped; repeat the command to continue") from None
    if as_json:
        print(json.dumps(asdict(summary), indent=2, default=str))
        return
    for file in summary.torn:
        print(f"a half-written line was set aside in {file}")
    done = ", ".join(f"{count} {status}" for status, count in sorted(summary.statuses.items()))
    print(
        f"{summary.folder}: {summary.planned} runs, "
        f"{summary.before} were there, now {done or 'none'}"
    )
    for found in standings(pool, whole, summary.folder) if own else ():
        place = f"place {found.place} of {found.among}" if found.place else "no reference results"
        print(
            f"{found.configuration} on {found.arm}: {found.metric} {found.score:.2f} "
            f"({found.seeds} seeds), {place} by mean {found.metric}"
        )


def emit_pilot(track: Track, out: Path, device: str, jobs: int | None, as_json: bool) -> None:
    """Run a track's pilot and print what it says."""
    from lotterybench.pilot import run_pilot

    found = run_pilot(track, out, device=device, jobs=jobs)
    if as_json:
        print(json.dumps(found.fields(), indent=2))
        return
    control = "no control" if found.tau_control is None else f"{found.tau_control:.2f}"
    print(
        f"q is {found.q_full:.2f} on full data and {found.q_subset:.2f} on {found.subset}; "
        f"τ of the control: {control}\n"
        f"a perfect proxy would be called faithful {found.power:.0%} of the time, "
        f"a ticket {found.ticket:.0%}"
    )
