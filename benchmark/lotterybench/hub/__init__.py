"""Releases on the Hugging Face Hub: one commit, checked there, then a tag.

release.py      what a folder would change in a repository
card.py         whether the card is the one that the shards call for
repository.py   the few requests that a release needs; their failures as one line
publishing.py   commit, check, tag
"""

from lotterybench.hub.publishing import Published, publish
from lotterybench.hub.release import Plan

__all__ = ["Plan", "Published", "publish"]
