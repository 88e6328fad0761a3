"""Tracks: what is ranked, on what, how. Names only; no torch."""

from lotterybench.tracks import acceleration as acceleration
from lotterybench.tracks import cifar10 as cifar10
from lotterybench.tracks import cifar100 as cifar100
from lotterybench.tracks import digits as digits
from lotterybench.tracks import digits_exact as digits_exact
from lotterybench.tracks import digits_stacked as digits_stacked
from lotterybench.tracks import imagenet1k as imagenet1k
from lotterybench.tracks import pretrained as pretrained
from lotterybench.tracks import tickets as tickets
from lotterybench.tracks import tiny_imagenet as tiny_imagenet
from lotterybench.tracks import transfer as transfer
from lotterybench.tracks.base import find_study, find_track, study, track

__all__ = ["find_study", "find_track", "study", "track"]
