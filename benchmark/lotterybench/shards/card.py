"""The card of a shard folder: YAML that `datasets` reads, and text that people read."""

from collections.abc import Sequence
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lotterybench.paths import templates
from lotterybench.records import Base, Split, Subset
from lotterybench.shards.figures import Figure
from lotterybench.shards.index import Config, ImageKind, Shard
from lotterybench.shards.licence import OURS, about

Entry = tuple[Config, Subset]  # a config and the manifest that it shards


def card(
    base: Base,
    image: ImageKind,
    entries: Sequence[Entry],
    *,
    figures: Sequence[Figure] = (),
    sealed: bool = False,
) -> bytes:
    """Return README.md; `datasets` takes the first config for the default one.

    `figures` are what results say of the subsets. The card of a `sealed` folder names no configs:
    one whose tars are missing would break the loading of every other.
    """
    # Plain text: cards are Markdown, and every value in it comes from a checked record.
    environment = Environment(
        loader=FileSystemLoader(templates()),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    text = environment.get_template("card.md.j2").render(
        front=yaml.safe_dump(
            _front(base, image, entries, sealed), sort_keys=False, allow_unicode=True
        ),
        base=base,
        image=image,
        configs=entries,
        sealed=sealed,
        figures=[(c, [one for one in figures if one.subset == s.ref]) for c, s in entries],
        budgets={config.name: _budget(subset) for config, subset in entries},
        bytes=sum(shard.bytes for shard in _tars(entries)),
        licence=about(base),
        ours=OURS,
        streams=[(c, s, s.stream.targets) for c, s in entries if s.stream is not None],
    )
    return text.encode()


def _tars(entries: Sequence[Entry]) -> set[Shard]:
    return {shard for c, _ in entries for shards in c.shards.values() for shard in shards}


def _front(base: Base, image: ImageKind, entries: Sequence[Entry], sealed: bool) -> dict[str, Any]:
    total = sum(config.count("train") for config, _ in entries)
    licence = about(base)
    other = {"license_name": licence.name, "license_link": licence.url} if licence.name else {}
    found = {
        "pretty_name": f"lotterybench: {base.title}",
        "license": licence.id,
        **{field: value for field, value in other.items() if value},
        "task_categories": ["image-classification"],
        "size_categories": [_size_category(total)],
        "source_datasets": [f"extended|{base.hub_id or f'other-{base.id}'}"],
        "annotations_creators": ["found"],
        "tags": ["lotterybench", "webdataset", "subset-selection", "benchmark"],
    }
    if sealed:  # the viewer would look for data among the manifests
        return found | {"viewer": False}
    return found | {
        "configs": [_config(config, subset) for config, subset in entries],
        "dataset_info": [_info(image, *entry) for entry in entries],
    }


def _config(config: Config, subset: Subset) -> dict[str, Any]:
    """Return one config; explicit, ordered shard lists, since globs would sort and may overlap."""
    return {
        "config_name": config.name,
        "version": f"{subset.version}.0.0",
        "data_files": [
            {"split": split, "path": [shard.path for shard in shards]}
            for split, shards in config.shards.items()
        ],
    }


def _info(image: ImageKind, config: Config, subset: Subset) -> dict[str, Any]:
    """Return the features and counts; `datasets` takes ClassLabels from here and nowhere else."""
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
            *_target(subset),
            {"name": "__key__", "dtype": "string"},
        ],
        "splits": splits,
        "download_size": size,
        "dataset_size": size,
    }


def _target(subset: Subset) -> list[dict[str, Any]]:
    """Return the feature of a stream's targets; the test split, which has none, gives None."""
    if subset.stream is None or subset.stream.targets is None:
        return []
    return [{"name": "npy", "list": "float16", "length": subset.stream.targets.dimension}]


def _budget(subset: Subset) -> str:
    """Return what a manifest's budget asks for, in words."""
    budget = subset.budget
    if budget.fraction is not None:
        return f"{100 * budget.fraction:.6g} %"
    return f"{budget.count} samples" if budget.count else f"{budget.classes} classes"


def _size_category(samples: int) -> str:
    for limit, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K")):
        if samples < limit:
            return name
    return "100K<n<1M"
