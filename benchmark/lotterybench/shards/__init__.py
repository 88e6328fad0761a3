"""Subsets as WebDataset tars in a folder that `datasets.load_dataset` reads as it is.

    README.md             the card; its YAML names each subset as a config with its ClassLabels
    _info.json            the same splits for timm's `wds/` reader
    shards.json           sha256 of every file, bytes and samples of every tar
    croissant.json        the tars, images, labels and classes for readers of Croissant
    fidelity.json         how well the subsets rank methods, if that was told
    manifests/            copies of base.json, keys.parquet and the manifests; some have no tars
    data/<subset>/        train-00000.tar …, and test-00000.tar … for class lists
    data/<family>/t…/     train-00000.tar …: an increment of nested subsets (see `nesting`)
    data/test/            the test split that all sample subsets share
    targets/              of streams with targets: those of all training images, as .npy

A member's name is the sample's position in the keyring, so a sample has one name everywhere. Of a
stream the tars hold epoch 0, and with targets each training sample has its own as a `.npy` member.

A sealed folder, of a base whose images may not be published, holds no tars, and neither _info.json
nor croissant.json: `materialise` makes all of it from a copy of the base.
"""

from lotterybench.shards.check import shard_problems
from lotterybench.shards.index import INDEX, UNFINISHED, ShardIndex
from lotterybench.shards.materialise import materialise
from lotterybench.shards.release import write_release
from lotterybench.shards.write import write_shards

__all__ = [
    "INDEX",
    "UNFINISHED",
    "ShardIndex",
    "materialise",
    "shard_problems",
    "write_release",
    "write_shards",
]
