"""Writes the tables of docs/selectors.md from the registry.

python benchmark/derive/selectors_page.py
"""

from pathlib import Path

from lotterybench.selection import selector
from lotterybench.selection.base import Selector

PAGE = Path(__file__).parents[2] / "docs" / "selectors.md"
HEAD = """# Selectors

Made by `python benchmark/derive/selectors_page.py` from what each selector says of itself; a test
compares. All are arrays in, positions out: labels and recorded [signals](signals.md) go in, nothing
is trained.

N samples, k of them chosen, C classes, d features, E epochs, S recorded seeds, M methods. *Nests*:
with the same seed and settings, a smaller budget's choice lies inside a larger one's. Every
selector of samples that is not balanced already takes `--set balanced=true`, which runs it inside
each class with quotas that differ by one at most. Scores also take `easiest=true` (begin at the
other end) and `skip=0.1` (leave out the first tenth).
"""

PRAC = """`prac` is no score: a round of a PrAC arm of a ticket study chose its set, of a size of
its own, and the selector takes it from the arm's [recorded set](signals.md); `--signals` names it
where there are several. `round` is the round (default: the last), `parts` leaves out CET (hard to
memorise) or CEP (changed by pruning), and `threshold`, the paper's E_F, is what the times forgotten
must exceed. More samples than the set has are refused. The study's own [manifests](how-to.md) are
the same sets whole. All are in-sample by definition, and configurations of the network's families
are never judged on them."""


def rows(kind: str) -> list[tuple[str, Selector]]:
    """Return the selectors of one kind, by name."""
    return [(name, selector[name]) for name in selector if selector[name].kind == kind]


def table(kind: str) -> list[str]:
    """Return a Markdown table of the selectors of one kind."""
    lines = [
        "| selector | first come | reads | time | memory | nests | paper |",
        "|---|---|---|---|---|:-:|---|",
    ]
    for name, how in rows(kind):
        reads = [f"`{signal}`" for signal in how.spec.reads] + ["labels"] * how.labels
        cells = (
            f"`{name}`", how.spec.first, ", ".join(reads) or "–", how.spec.time, how.spec.memory,
            "yes" if how.nests else "–", how.spec.paper or "–",
        )  # fmt: skip
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines


def settings() -> list[str]:
    """Return a line per selector that has settings of its own."""
    general = {"balanced", "easiest", "skip"}
    lines = []
    for name in selector:
        own = {k: v for k, v in selector[name].settings.items() if k not in general}
        if own:
            given = ", ".join(f"`{key}={value.default}`" for key, value in own.items())
            lines.append(f"* `{name}`: {given}")
    return lines


def apart() -> list[str]:
    """Return a line per selector whose paper and public code disagree."""
    return [
        f"* **`{name}`** ({selector[name].spec.paper}): {selector[name].spec.apart}"
        for name in selector
        if selector[name].spec.apart
    ]


def page() -> str:
    """Return the whole page."""
    parts = [
        HEAD,
        "## Samples\n",
        *table("samples"),
        "\n## Classes\n",
        *table("classes"),
        "\n## Settings and their defaults\n",
        *settings(),
        "\n## Where papers and public code disagree, and what is done here\n",
        *apart(),
        "\n## PrAC sets\n",
        PRAC,
        "\n## Not here yet\n",
        "CORDS' adaptive strategies (RETRIEVE, SELCON, MILO, adaptive random and the adaptive\n"
        "forms of GLISTER, GradMatch and CRAIG) select again and again during training, so they\n"
        "are no fixed list. Memorisation and influence from many retrainings, dataset\n"
        "quantisation, bilevel coresets and synthetic images are not here either.",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
