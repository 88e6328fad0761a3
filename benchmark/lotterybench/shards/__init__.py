"""Subsets as WebDataset tars in a folder that `datasets.load_dataset` reads as it is.

    README.md             the card; its YAML names each subset as a config with its ClassLabels
    _info.json            the same splits for timm's `wds/` reader
    shards.json           sha256 of every file, bytes and samples of every tar
    manifests/            copies of base.json, keys.parquet and the manifests
    data/<subset>/        train-00000.tar …, and test-00000.tar … for class lists
    data/test/            the test split that all sample subsets share
    targets/              of streams with targets: those of all training images, as .npy

A member's name is the sample's position in the keyring, so a sample has one name everywhere. Of a
stream the tars hold epoch 0, and with targets each training sample has its own as a `.npy` member.
"""

from lotterybench.shards.check import shard_problems
from lotterybench.shards.index import INDEX, UNFINISHED, ShardIndex
from lotterybench.shards.write import write_shards

__all__ = ["INDEX", "UNFINISHED", "ShardIndex", "shard_problems", "write_shards"]
