"""From a fidelity's figures to its verdict, with everything that a reader should know of it."""

from __future__ import annotations

from lotterybench.fidelities import Fidelity, Interval
from lotterybench.ranking import Bounds
from lotterybench.ranking.verdicts import Evidence, verdict
from lotterybench.score.comparison import SHORT, Comparison


def judged(this: Comparison, found: Fidelity) -> Fidelity:
    """Return a fidelity with the verdict that its figures allow, and the reason."""
    control, null, matched, pilot = found.control, found.null, found.null_matched, this.pilot
    evidence = Evidence(
        families=found.families,
        configurations=found.configurations,
        seeds_full=found.seeds_full,
        seeds_subset=found.seeds_subset,
        q_full=pilot.q_full if pilot else None,
        q_subset=pilot.q_subset if pilot else None,
        power=pilot.power if pilot else None,
        cost_ratio=found.total_ratio or found.cost_ratio,
        tau=found.tau,
        bounds=_bounds(found.interval),
        control=control.tau if control else None,
        difference=_bounds(control.interval) if control else None,
        p=null.p_holm if null else None,
        null=null.count if null else 0,
        primary=this.primary,
        uneven=found.uneven,
        p_matched=matched.p_holm if matched else None,
        null_matched=matched.count if matched else 0,
    )
    word, why = verdict(evidence)
    few = found.interval is None and found.tau is not None
    lacks = ["an interval needs 6 families (protocol §3)"] if few else []
    if control is not None and control.short:
        lacks.append(f"the control has fewer than {SHORT} epochs (protocol §5)")
    if found.selection_cost is None:
        lacks.append("the manifest does not tell what its selection cost (protocol §5)")
    return found.model_copy(update={"verdict": word, "why": "; ".join([why, *lacks, *this.notes])})


def _bounds(interval: Interval | None) -> Bounds | None:
    return None if interval is None else Bounds(interval.low, interval.high)
