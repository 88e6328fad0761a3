"""Releases on the Hugging Face Hub: made, checked where they lie, and read by their tag.

release.py      what a folder would change in a repository
card.py         whether the card is the one that the shards call for
repository.py   the few requests that a release needs; their failures as one line
publishing.py   commit, check, tag
revisions.py    which commit a tag names
snapshot.py     a commit's files, from the cache or the Hub, each by its sha256
tars.py         the samples of a tar
download.py     one subset of a release, checked
checking.py     a whole release, checked
"""

from lotterybench.hub.checking import Checked, check_release
from lotterybench.hub.publishing import Published, publish
from lotterybench.hub.release import Plan

__all__ = ["Checked", "Plan", "Published", "check_release", "publish"]
