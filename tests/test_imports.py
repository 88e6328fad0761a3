"""What must stay light imports neither torch nor datasets."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "timm", "lightly", "torchvision", "datasets")
LIGHT = {
    "import": "import lotterybench",
    "list methods": "from lotterybench.listing import LISTS, rows\n[rows(what) for what in LISTS]",
    "list --show": "from lotterybench.listing import rows\nrows('methods', 'simclr')",
    "check": "from pathlib import Path; from lotterybench.paths import data_root\n"
    "from lotterybench.verification import verify\n"
    "assert verify(data_root() / 'subsets' / 'digits') == []",
    "score": "from lotterybench.paths import reference_results\n"
    "from lotterybench.score import boards\nassert boards(reference_results())",
    "site": "from pathlib import Path; import tempfile\n"
    "from lotterybench.publication import render_site\n"
    "render_site(None, Path(tempfile.mkdtemp()))",
    "build": "from lotterybench.build import build_subset\n"
    "from lotterybench.records import Budget\n"
    "build_subset('digits', 'uniform', Budget(count=5), name='x')",
}


def loaded_after(*codes):
    """Return which heavy packages a fresh interpreter has loaded after each piece of code."""
    told = f"\nimport sys\nprint('loaded', [m for m in {HEAVY} if m in sys.modules])\n"
    script = "".join(f"{code}{told}" for code in codes)
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120
    )
    assert run.returncode == 0, run.stderr
    lines = [line for line in run.stdout.splitlines() if line.startswith("loaded ")]
    return [line.removeprefix("loaded ") for line in lines]


@pytest.fixture(scope="module")
def found():
    """What is loaded after each: the first that is heavy is to blame for those behind it."""
    return dict(zip(LIGHT, loaded_after(*LIGHT.values()), strict=True))


@pytest.mark.parametrize("what", LIGHT)
def test_light(found, what):
    assert found[what] == "[]"


@pytest.mark.slow
def test_the_test_can_fail():
    assert loaded_after("pass", "import timm") == ["[]", "['torch', 'timm', 'torchvision']"]


def test_public_names_resolve_and_are_documented():
    import lotterybench

    assert sorted(lotterybench._PUBLIC) == lotterybench.__all__
    for name in lotterybench.__all__:
        assert callable(getattr(lotterybench, name))
        assert f"    {name} " in lotterybench.__doc__
        assert name in dir(lotterybench)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        lotterybench.nonsense  # noqa: B018
