"""Selectors: arrays in, positions or classes out."""

from lotterybench.selection import beta as beta
from lotterybench.selection import by_accuracy as by_accuracy
from lotterybench.selection import by_tree as by_tree
from lotterybench.selection import cal as cal
from lotterybench.selection import classes as classes
from lotterybench.selection import craig as craig
from lotterybench.selection import d2 as d2
from lotterybench.selection import data_oob as data_oob
from lotterybench.selection import dynamics as dynamics
from lotterybench.selection import facility_location as facility_location
from lotterybench.selection import glister as glister
from lotterybench.selection import gradmatch as gradmatch
from lotterybench.selection import grand as grand
from lotterybench.selection import graph_cut as graph_cut
from lotterybench.selection import herding as herding
from lotterybench.selection import infomax as infomax
from lotterybench.selection import k_center as k_center
from lotterybench.selection import k_means as k_means
from lotterybench.selection import kernel_thinning as kernel_thinning
from lotterybench.selection import knn_shapley as knn_shapley
from lotterybench.selection import log_determinant as log_determinant
from lotterybench.selection import matched as matched
from lotterybench.selection import moderate as moderate
from lotterybench.selection import named_lists as named_lists
from lotterybench.selection import prac as prac
from lotterybench.selection import probcover as probcover
from lotterybench.selection import prototypes as prototypes
from lotterybench.selection import proxy_data as proxy_data
from lotterybench.selection import rank_greedy as rank_greedy
from lotterybench.selection import scores as scores
from lotterybench.selection import semdedup as semdedup
from lotterybench.selection import strata as strata
from lotterybench.selection import typiclust as typiclust
from lotterybench.selection import uniform as uniform
from lotterybench.selection.base import Pool, Selector, score, selector

__all__ = ["Pool", "Selector", "score", "selector"]
