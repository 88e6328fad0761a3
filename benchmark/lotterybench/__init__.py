"""Which small part of a dataset ranks training methods the way the whole dataset does?

The public names are imported on first use, so that `import lotterybench` stays light:

    build_subset    base + selector + budget → manifest and positions
    write_shards    manifests → a folder that `datasets.load_dataset` reads
    load_subset     a manifest, or one of a release → its images and labels, as a dataset
    publish         a folder of shards → a tagged release on the Hub
    run_track       a track's runs that have no result yet → results files
    fidelity        results → how well each subset ranks the configurations
    load_ticket     a study's ticket → masks, weights, and the network with them
    verify          a file or folder → every problem found
    render          results → the leaderboard site
"""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "build_subset": "lotterybench.build:build_subset",
    "fidelity": "lotterybench.score:score_track",
    "load_subset": "lotterybench.loading:load_subset",
    "load_ticket": "lotterybench.tickets:load_ticket",
    "publish": "lotterybench.hub:publish",
    "render": "lotterybench.publication:render_site",
    "run_track": "lotterybench.run:run_track",
    "verify": "lotterybench.verification:verify",
    "write_shards": "lotterybench.shards:write_shards",
}
__all__ = [
    "build_subset",
    "fidelity",
    "load_subset",
    "load_ticket",
    "publish",
    "render",
    "run_track",
    "verify",
    "write_shards",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'lotterybench' has no attribute {name!r}")
    module, attribute = _PUBLIC[name].split(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
