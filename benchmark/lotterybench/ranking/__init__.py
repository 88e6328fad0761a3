"""Rank statistics: pure functions of arrays, vectorised over bootstrap draws.

Higher scores are better, −inf is an entry that failed; generators are passed in. The rules are the
protocol's; each function names the section. Named after their files, and to be imported from
there: `regret.regret`, `power.power`.
"""

from lotterybench.ranking.agreement import (
    kendall_tau,
    rank_intervals,
    spearman_rho,
    top_half_tau,
    top_overlap,
    variants,
    weighted_tau,
)
from lotterybench.ranking.base.arrays import DRAWS, Bounds, Floats
from lotterybench.ranking.ceilings import arm_ceiling, item_ceiling, repeat_ceiling
from lotterybench.ranking.claims import claim_word, two_sided
from lotterybench.ranking.components import (
    ranks_subsets,
    seed_ratio,
    split_half_families,
    split_half_seeds,
    variance_components,
)
from lotterybench.ranking.null import holm, rank_p, selector_tau, t_test
from lotterybench.ranking.pairs import pair_agreement, pair_agreement_interval, resolution
from lotterybench.ranking.resampling import (
    bootstrap,
    ceiling_ratio,
    configuration_interval,
    family_interval,
    paired_difference,
    two_level_interval,
)
from lotterybench.ranking.selecting import certify
from lotterybench.ranking.trends import trend_agreement
from lotterybench.ranking.verdicts import Evidence, Verdict, verdict

__all__ = [
    "DRAWS", "Bounds", "Evidence", "Floats", "Verdict", "arm_ceiling", "bootstrap",
    "ceiling_ratio", "certify", "claim_word", "configuration_interval", "family_interval", "holm",
    "item_ceiling", "kendall_tau", "pair_agreement", "pair_agreement_interval",
    "paired_difference", "rank_intervals", "rank_p", "ranks_subsets", "repeat_ceiling",
    "resolution", "seed_ratio", "selector_tau", "spearman_rho", "split_half_families",
    "split_half_seeds", "t_test", "top_half_tau", "top_overlap", "trend_agreement",
    "two_level_interval", "two_sided", "variance_components", "variants", "verdict", "weighted_tau",
]  # fmt: skip
