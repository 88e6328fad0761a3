"""The registry of tracks, and reading one that is frozen in a file."""

from pathlib import Path

from lotterybench.errors import UnknownName
from lotterybench.registry import Registry
from lotterybench.studies import Study, read_study
from lotterybench.trials import Configuration, Setting, Track

track: Registry[Track] = Registry("track")
study: Registry[Study] = Registry("study")


def find_track(name: str) -> Track:
    """Return a registered track, or the one in a `.json` file."""
    if not name.endswith(".json"):
        return track[name]
    file = Path(name)
    if not file.is_file():
        raise UnknownName(f"there is no track file {name}")
    return Track.read(file.read_bytes(), name)


def find_study(name: str) -> Study | None:
    """Return a registered study, or the one in a `.json` file; None for what is no study."""
    if not name.endswith(".json"):
        return study[name] if name in study else None
    file = Path(name)
    return read_study(file.read_bytes(), name) if file.is_file() else None


def grid(
    method: str, objective: str, backbones: dict[str, tuple[float, ...]], **shared: Setting
) -> list[Configuration]:
    """Return one configuration per backbone and learning rate; a backbone is a family."""
    return [
        Configuration(
            name=f"{method}-{backbone}-lr{rate:g}".replace("supervised-", ""),
            family=f"{objective}/{backbone}",
            method=method,
            config={"backbone": backbone, "lr": rate, **shared},
            axis="lr",
        )
        for backbone, rates in backbones.items()
        for rate in rates
    ]
