"""Whether a shard folder's card makes `load_dataset` read what the index lists."""

from pathlib import Path
from typing import Any

import yaml

from lotterybench.manifests import load_base
from lotterybench.records import Subset
from lotterybench.shards import ShardIndex
from lotterybench.shards.card import card
from lotterybench.shards.index import CARD

FENCE = "---\n"


def card_problems(folder: Path, index: ShardIndex) -> list[str]:
    """Compare the card's configs and features with those that the index calls for; [] if equal.

    `datasets` chooses the reader by the files of the first config, and takes class names and
    counts from the card alone: a card that departs loads nothing, or loads in silence what the
    manifests do not say. The card's text and its other entries are free.
    """
    entries = [
        (config, Subset.read((folder / config.manifest).read_bytes(), config.manifest))
        for config in index.configs
    ]
    base = load_base(folder / index.base_path)
    wanted = _front(card(base, index.image, entries, sealed=index.sealed))
    try:
        told = _front((folder / CARD).read_bytes())
    except (ValueError, yaml.YAMLError):  # no front matter, not UTF-8, or not YAML
        return [f"{CARD} has no readable YAML between two lines of ---"]
    found = []
    for field in ("configs", "dataset_info"):
        if told.get(field) != wanted.get(field):
            found.append(f"{CARD}: {field} is not what the index calls for{_where(told, wanted)}")
    return found


def _front(content: bytes) -> dict[str, Any]:
    """Return a card's YAML; raise `ValueError` if it has none."""
    text = content.decode()
    if not text.startswith(FENCE) or f"\n{FENCE}" not in text:
        raise ValueError("no front matter")
    front = yaml.safe_load(text[len(FENCE) :].split(f"\n{FENCE}", 1)[0])
    if not isinstance(front, dict):
        raise ValueError("no mapping")
    return front


def _where(told: dict[str, Any], wanted: dict[str, Any]) -> str:
    """Say which config comes first if it is another; else nothing."""
    if "configs" not in wanted:
        return ": a sealed folder has no tars to name"
    first = wanted["configs"][0]["config_name"]
    configs = told.get("configs")
    names = [
        entry.get("config_name")
        for entry in (configs if isinstance(configs, list) else [])
        if isinstance(entry, dict)
    ]
    return f": the first config is {first}" if names[:1] != [first] else ""
