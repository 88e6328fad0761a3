"""The card of a shard folder: YAML that `datasets` reads, and text that people read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lotterybench.paths import templates
from lotterybench.records import Base, Split, Subset
from lotterybench.shards.index import Config, ShardIndex
from lotterybench.storage import write_whole


def write_card(path: Path, base: Base, index: ShardIndex, subsets: Sequence[Subset]) -> None:
    """Write README.md; the order of configs is the index's, smallest first."""
    # Plain text: cards are Markdown, and every value in it comes from a checked record.
    environment = Environment(
        loader=FileSystemLoader(templates()),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    by_ref = {subset.ref: subset for subset in subsets}
    text = environment.get_template("card.md.j2").render(
        front=yaml.safe_dump(_front(base, index), sort_keys=False, allow_unicode=True),
        base=base,
        configs=[(config, by_ref[config.subset]) for config in index.configs],
    )
    write_whole(path, text.encode())


def _front(base: Base, index: ShardIndex) -> dict[str, Any]:
    total = sum(config.count("train") for config in index.configs)
    return {
        "pretty_name": f"lotterybench: {base.title}",
        "license": base.licence.lower() if base.licence.startswith("CC-") else "other",
        "task_categories": ["image-classification"],
        "size_categories": [_size_category(total)],
        "tags": ["lotterybench", "webdataset", "subset-selection", "benchmark"],
        "configs": [_config(config) for config in index.configs],
        "dataset_info": [_info(base, config) for config in index.configs],
    }


def _config(config: Config) -> dict[str, Any]:
    """Return one config; explicit, ordered shard lists, since globs would sort and may overlap."""
    return {
        "config_name": config.name,
        "version": "1.0.0",
        "data_files": [
            {"split": split, "path": [shard.path for shard in shards]}
            for split, shards in config.shards.items()
        ],
    }


def _info(base: Base, config: Config) -> dict[str, Any]:
    """Return the features and counts; `datasets` takes ClassLabels from here and nowhere else."""
    image = "png" if base.key_kind == "pixels" else "jpg"
    names = {str(label): name for label, name in enumerate(config.class_names)}

    def split(name: Split) -> dict[str, Any]:
        size = sum(shard.bytes for shard in config.shards[name])
        return {"name": name, "num_bytes": size, "num_examples": config.count(name)}

    splits = [split(name) for name in config.shards]
    size = sum(entry["num_bytes"] for entry in splits)
    return {
        "config_name": config.name,
        "features": [
            {"name": image, "dtype": "image"},
            {"name": "cls", "dtype": {"class_label": {"names": names}}},
            {"name": "__key__", "dtype": "string"},
        ],
        "splits": splits,
        "download_size": size,
        "dataset_size": size,
    }


def _size_category(samples: int) -> str:
    for limit, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K")):
        if samples < limit:
            return name
    return "100K<n<1M"
