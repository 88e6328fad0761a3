"""What the README and the how-tos tell is run, in order, in a copy of the checkout."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FENCE = re.compile(
    r"(<!-- not run: (?P<why>[^>]+) -->\n)?```(?P<kind>bash|python)\n(?P<code>.*?)```", re.S
)
PAGES = [
    "README.md", "docs/how-to.md", "docs/running.md", "docs/submitting.md", "docs/tickets.md",
    "docs/refereeing.md",
]  # fmt: skip


def blocks(page):
    """Return (kind, code, reason not to run it) for every code block of a page."""
    text = (ROOT / page).read_text()
    return [(m["kind"], m["code"], m["why"]) for m in FENCE.finditer(text)]


@pytest.fixture
def checkout(tmp_path):
    """A copy of what git knows or would take, and the virtual environment that runs the tests."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    for name in listed:
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tmp_path / name)
    venv = Path(sys.executable).parents[1]
    os.utime(tmp_path / "pyproject.toml", (0, 0))  # older than the stamps: nothing to install
    for stamp in (".installed", ".installed-dev"):
        if not (venv / stamp).exists():
            (venv / stamp).touch()
    (tmp_path / ".venv").symlink_to(venv)
    return tmp_path


def run_page(page, checkout):
    folder = checkout
    environment = {
        **os.environ,
        "PATH": f"{folder / '.venv/bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(folder / "benchmark"),
    }
    environment.pop("LOTTERYBENCH_SUBSETS", None)
    for kind, code, why in blocks(page):
        if why is not None:
            continue
        if kind == "bash":
            code = re.sub(r"^make test\b", "make --dry-run test", code, flags=re.M)
            arguments = ["bash", "-euo", "pipefail", "-c", code]
        else:
            arguments = [sys.executable, "-c", code]
        done = subprocess.run(
            arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False,
            timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, f"{page}: {code}\n{done.stdout}\n{done.stderr}"
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_pages_run_as_they_stand(page, checkout):
    folder = run_page(page, checkout)
    if page == "README.md":
        assert (folder / "out/demo/site/index.html").is_file()


def test_the_readme_begins_with_two_commands():
    kind, code, why = blocks("README.md")[0]
    assert (kind, why) == ("bash", None)
    assert [line.split("#")[0].strip() for line in code.splitlines()] == ["make demo", "make test"]


def test_only_the_hub_is_not_run():
    """The list of blocks that no test runs may only shrink."""
    reasons = [why for page in PAGES for _, _, why in blocks(page) if why]
    assert all(
        any(part in why for part in ("Hub", "GPU", "real images", "cluster")) for why in reasons
    )


@pytest.mark.parametrize(
    "page", ["README.md", *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", text):
        assert ((ROOT / page).parent / target).exists(), target
    for target in re.findall(r'src="(?!https?://)([^"]+)"', text):
        assert ((ROOT / page).parent / target).exists(), target


def test_the_page_of_selectors_is_current():
    sys.path.insert(0, str(ROOT / "benchmark" / "derive"))
    try:
        from selectors_page import page
    finally:
        sys.path.pop(0)
    assert (ROOT / "docs/selectors.md").read_text() == page()


def test_every_command_is_documented():
    from lotterybench.cli import app

    text = "".join((ROOT / page).read_text() for page in PAGES)
    for command in app.registered_commands:
        assert f"lotterybench {command.name or command.callback.__name__}" in text
