"""The registry of tracks, and reading one that is frozen in a file."""

from pathlib import Path

from lotterybench.errors import UnknownName
from lotterybench.registry import Registry
from lotterybench.studies import Study
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
