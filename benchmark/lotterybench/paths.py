"""Every folder and file name of the project."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def data_root() -> Path:
    """Return the folder that holds `subsets/`, `reference_results/` and `site/`.

    A wheel carries them inside the package as `_data`; in a checkout they are the repository's
    own folders, two levels up.
    """
    shipped = PACKAGE / "_data"
    return shipped if shipped.is_dir() else PACKAGE.parents[1]


def subset_roots() -> list[Path]:
    """Return the folders searched for bases and manifests, first match wins.

    `LOTTERYBENCH_SUBSETS` may name more (separated like PATH) that come before the shipped one.
    """
    named = os.environ.get("LOTTERYBENCH_SUBSETS", "")
    return [Path(part) for part in named.split(os.pathsep) if part] + [data_root() / "subsets"]


def data_folder() -> Path | None:
    """Return the folder of local copies of the bases (`LOTTERYBENCH_DATA`), if one is named."""
    named = os.environ.get("LOTTERYBENCH_DATA")
    return Path(named) if named else None


def cache_folder() -> Path:
    """Return the folder for decoded bases: `LOTTERYBENCH_CACHE`, else the user's cache."""
    named = os.environ.get("LOTTERYBENCH_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lotterybench"


def signals_folder() -> Path:
    """Return the folder of recorded signals, inside the cache."""
    return cache_folder() / "signals"


def targets_folder() -> Path:
    """Return the folder of targets that priors gave, inside the cache."""
    return cache_folder() / "targets"


def base_file(root: Path, base: str) -> Path:
    """Return where the record of a base lies."""
    return root / base / "base.json"


def keyring_file(root: Path, base: str) -> Path:
    """Return where the keyring of a base lies."""
    return root / base / "keys.parquet"


def manifest_file(root: Path, subset: str, version: int) -> Path:
    """Return where version `version` of subset `base/name` lies."""
    return root / subset / f"v{version}.json"


def positions_file(manifest: Path) -> Path:
    """Return the positions file that goes with a manifest."""
    return manifest.with_suffix(".positions.parquet")


def wordnet_file() -> Path:
    """Return the WordNet tree of the known classes."""
    return data_root() / "subsets" / "wordnet.json"


def class_lists_file() -> Path:
    """Return the class lists that others published."""
    return data_root() / "subsets" / "class_lists.json"


def reference_results() -> Path:
    """Return the folder of the results that ship with the package."""
    return data_root() / "reference_results"


def published_folder(results: Path) -> Path:
    """Return where tables that others published lie, inside a folder of results."""
    return results / "published"


def track_file(results: Path) -> Path:
    """Return the frozen track record inside a track's results folder."""
    return results / "track.json"


def pilot_file(results: Path) -> Path:
    """Return what the pilot found, inside a track's results folder."""
    return results / "pilot.json"


def null_folder(results: Path) -> Path:
    """Return where the manifests of a track's random subsets lie, inside its results folder."""
    return results / "null"


def submitted_subsets(results: Path) -> Path:
    """Return where the manifests of submitted subsets lie, inside a folder of results."""
    return results / "subsets"


def timings_file(results: Path) -> Path:
    """Return the measured seconds of a results file, kept apart so that results repeat exactly."""
    return results.with_suffix(".timings")


def curves_file(results: Path) -> Path:
    """Return the training curves of a results file's runs."""
    return results.with_suffix(".curves")


def items_file(results: Path) -> Path:
    """Return the test items of the runs on full data, inside a track's results folder."""
    return results / "full.items.parquet"


def items_folder(results: Path) -> Path:
    """Return where test items of single runs are kept until all are joined."""
    return results / ".items"


def checkpoints_folder(results: Path) -> Path:
    """Return where trainings half done are kept, inside a track's results folder."""
    return results / ".checkpoints"


def chunks_folder(results: Path) -> Path:
    """Return where an enumeration half done is kept, inside a track's results folder."""
    return results / ".chunks"


def study_file(results: Path) -> Path:
    """Return the frozen record of a study, inside its results folder."""
    return results / "study.json"


def report_file(results: Path) -> Path:
    """Return the report that was made of a folder's results, if it was."""
    return results / "report.json"


def findings_file(results: Path) -> Path:
    """Return the findings of a study's stages, inside its results folder."""
    return results / "findings.jsonl"


def stages_folder(results: Path) -> Path:
    """Return where the artefacts of a study's stages lie, inside its results folder."""
    return results / "stages"


def study_subsets(results: Path) -> Path:
    """Return the folder of the subsets that a study chose, inside its results folder."""
    return results / "subsets"


def encoders_folder(results: Path) -> Path:
    """Return where trained encoders are kept, inside a track's results folder."""
    return results / "encoders"


def templates() -> Path:
    """Return the folder of the site's page templates."""
    return data_root() / "site" / "templates"


def assets() -> Path:
    """Return the folder of the site's stylesheet and script."""
    return data_root() / "site" / "assets"
