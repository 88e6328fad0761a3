"""A module imports only from layers below its own; inside a family, only from its base."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "benchmark" / "lotterybench"
LAYERS = [
    {"errors"},
    {
        "schema",
        "records",
        "trials",
        "estimates",
        "enumerations",
        "standings",
        "studies",
        "fidelities",
        "registry",
        "paths",
        "storage",
        "progress",
        "provenance",
    },
    {
        "keyrings",
        "streams",
        "validity",
        "manifests",
        "results",
        "ranking",
        "signals",
        "recordings",
        "choose_pool",
        "wordnet",
        "items",
    },
    {"sources", "selection", "methods", "pruning", "tracks"},
    {"build", "shards", "stream_targets"},
    {"hub"},
    {"kinds", "nulls"},
    {"executors"},
    {"run", "run_study", "tickets", "score", "record", "published"},
    {"leaderboard", "submissions"},
    {
        "listing",
        "loading",
        "publication",
        "verification",
        "forecast",
        "study_forecast",
        "candidates",
        "pilot",
        "compare",
    },
    {"demo"},
    {"cli"},
    {"__main__"},
]
# Within a layer these depend on one another, in this order and no other.
WITHIN = {
    "errors": [],
    "registry": [],
    "progress": [],
    "paths": [],
    "storage": [],
    "provenance": ["paths"],
    "schema": [],
    "records": ["schema"],
    "trials": ["records"],
    "estimates": ["records"],
    "enumerations": ["estimates", "records"],
    "standings": ["estimates", "records"],
    "fidelities": ["enumerations", "estimates", "records", "standings", "trials"],
    "studies": ["records", "trials"],
    "study_forecast": ["forecast"],
    "keyrings": [],
    "streams": [],
    "validity": ["keyrings", "streams"],
    "manifests": ["keyrings", "streams", "validity"],
    "results": [],
    "items": ["manifests"],
    "ranking": [],
    "signals": [],
    "recordings": ["signals"],
    "choose_pool": ["recordings", "signals"],
    "wordnet": [],
    "shards": ["stream_targets"],
    "leaderboard": ["submissions"],
}
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
FAMILIES = {"ranking", "sources", "selection", "methods", "pruning", "tracks", "executors"}
FILES = sorted(PACKAGE.rglob("*.py"))


def part(path):
    """Return the module or family that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree):
    """Yield the dotted names inside the package that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            assert node.module != "lotterybench", "imports from the package's top"
            if (node.module or "").startswith("lotterybench."):
                yield node.module
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith("lotterybench") for alias in node.names)


def allowed(importer, family, name):
    """Say whether a file (path inside the package) of `family` may import `lotterybench.name`."""
    pieces = name.split(".")[1:]
    other = pieces[0]
    if other != family:
        same_rank = RANK[other] == RANK[family]
        return other in WITHIN.get(family, []) if same_rank else RANK[other] < RANK[family]
    if family not in FAMILIES or importer.name == "__init__.py":
        return True
    in_base = importer.parts[1].removesuffix(".py") == "base"
    return pieces[1] == "base" or (not in_base and pieces[1] in WORKERS.get(family, set()))


# Files of a family that others of it may import beside its base: steps, not members.
WORKERS = {
    "ranking": {"agreement", "resampling", "null", "power"},
    "pruning": {"criteria", "functional", "keeping", "masks", "rounds"},
    "sources": {"known", "listing", "naming", "pinned"},
    "executors": {"deaths", "devices", "serve", "worker"},
}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_only_from_below(path):
    if path == PACKAGE / "__init__.py":
        return
    inside = path.relative_to(PACKAGE)
    for name in imports(ast.parse(path.read_text())):
        assert allowed(inside, part(path), name), f"{inside} imports {name}"


def test_every_module_has_a_layer():
    assert {part(path) for path in FILES} - {"__init__"} == set(RANK)


def test_the_rule_can_fail():
    assert not allowed(Path("records.py"), "records", "lotterybench.run")
    assert not allowed(Path("methods/simclr.py"), "methods", "lotterybench.methods.supervised")
    assert not allowed(Path("methods/simclr.py"), "methods", "lotterybench.sources")
    assert not allowed(Path("sources/base.py"), "sources", "lotterybench.sources.known")
    assert allowed(Path("sources/pinned.py"), "sources", "lotterybench.sources.known")
    assert allowed(Path("methods/simclr.py"), "methods", "lotterybench.methods.base.loop")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_are_short_and_named(path):
    assert len(path.read_text().splitlines()) <= 310
    assert path.stem not in {"utils", "util", "helpers", "common", "misc"}
    assert ast.get_docstring(ast.parse(path.read_text())), "no module docstring"
