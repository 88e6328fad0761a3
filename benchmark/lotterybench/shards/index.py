"""The index of a shard folder: what it holds, with a sha256 for every tar."""

from lotterybench.records import Record, Sha256, Split

INDEX = "shards.json"
UNFINISHED = ".unfinished"  # marks a folder whose writing was interrupted
OURS = {INDEX, "README.md", "_info.json"}


class Shard(Record):
    """One tar: its path in the folder, how many samples it holds, its size and digest."""

    path: str
    samples: int
    bytes: int
    sha256: Sha256


class Config(Record):
    """What `load_dataset(folder, name)` finds: a manifest, its class names and its shards."""

    name: str
    subset: str
    digest: Sha256
    class_names: list[str]
    shards: dict[Split, list[Shard]]

    def count(self, split: Split) -> int:
        """Return the number of samples in a split."""
        return sum(shard.samples for shard in self.shards[split])


class ShardIndex(Record):
    """Everything a shard folder holds."""

    base: str
    base_digest: Sha256
    configs: list[Config]
    others: list[str]

    def files(self) -> set[str]:
        """Return the paths of all files of the folder."""
        tars = {
            shard.path
            for config in self.configs
            for part in config.shards.values()
            for shard in part
        }
        return tars | set(self.others) | OURS
