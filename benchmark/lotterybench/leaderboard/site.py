"""The leaderboard site: pages and data files rendered from boards, byte for byte the same."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lotterybench.errors import BadRecord, BadRequest
from lotterybench.fidelities import PUBLISHED, Board, Score
from lotterybench.leaderboard.candidates import candidate_rows
from lotterybench.leaderboard.charts import counted, number, seed_mean, setting, share, span, spread
from lotterybench.leaderboard.files import comparison_csv, score_csv, subset_csv
from lotterybench.leaderboard.others import published_view
from lotterybench.leaderboard.submitted import submitted_json, submitted_view
from lotterybench.leaderboard.view import Shelf, board_view, index_view, subset_page, subset_view
from lotterybench.paths import assets, templates
from lotterybench.published import Comparison, Study
from lotterybench.records import Base, Record, Subset, canonical_json
from lotterybench.storage import write_whole
from lotterybench.submissions.records import Submission
from lotterybench.submissions.referee.records import Act, Rerun, Round
from lotterybench.submissions.referee.standing import Standing

LISTING = "files.json"
SCHEMAS: dict[str, type[Record]] = {
    **PUBLISHED, "comparison": Comparison, "submission": Submission, "rerun": Rerun,
    "round": Round, "act": Act,
}  # fmt: skip
ASSETS = ("board.js", "mark.svg", "style.css")


def render(
    boards: Sequence[Board],
    subsets: Mapping[str, Subset],
    bases: Mapping[str, Base],
    out: Path,
    *,
    published: Study | None = None,
    submitted: Sequence[Rerun] | None = None,
    candidates: Mapping[str, Sequence[Standing]] | None = None,
) -> list[Path]:
    """Write the site folder and remove what an earlier rendering wrote and this one does not.

    `subsets` maps `base/name@version` to its manifest, `bases` an id to its base; `published` are
    comparisons of what others published, `submitted` the records of submissions, each on a page of
    their own if given, `candidates` submitted methods by the name of the track that they are shown
    on. Only files listed in `out/files.json` are ever removed. Returns the paths written, sorted.
    Raises `BadRequest` if two boards share a name, `UnknownName` if a board's subset or base is
    not given, `BadRecord` if `files.json` is damaged.
    """
    content = pages(
        boards, subsets, bases, published=published, submitted=submitted, candidates=candidates
    )
    before = _listed(out)
    # The list comes first, with old and new names: a rendering that is interrupted leaves no
    # file behind that the next one does not know of.
    write_whole(out / LISTING, _listing({*before, *content}))
    for path in sorted(content.keys() - {LISTING}):
        write_whole(out / path, content[path])
    for path in sorted(before - content.keys()):
        _remove(out, path)
    write_whole(out / LISTING, content[LISTING])
    return [out / path for path in sorted(content)]


def pages(
    boards: Sequence[Board],
    subsets: Mapping[str, Subset],
    bases: Mapping[str, Base],
    *,
    published: Study | None = None,
    submitted: Sequence[Rerun] | None = None,
    candidates: Mapping[str, Sequence[Standing]] | None = None,
) -> dict[str, bytes]:
    """Return every file of the site as relative path to content, in the order of the paths.

    The order of the boards, of what is in them and of the mappings makes no difference. Raises
    `BadRequest` if two boards share a name, `UnknownName` if a board's subset or base is not
    given.
    """
    boards = sorted(map(in_order, boards), key=lambda board: board.track.name)
    for one, other in pairwise(boards):
        if one.track.name == other.track.name:
            raise BadRequest(f"two boards are named {one.track.name!r}; give one of them")
    shelf = Shelf(boards, subsets, bases)
    kinds = {subset.ref: subset.kind for subset in shelf.subsets}
    draw = partial(_drawing(), others=published is not None, submitted=submitted is not None)
    found: dict[str, bytes] = {
        "index.html": draw("index", "", **index_view(shelf)),
        "leaderboard.json": canonical_json(
            {"schema_version": 1, "boards": [board.fields() for board in boards]}
        ),
    }
    for board in boards:
        name = board.track.name
        beside = candidate_rows((candidates or {}).get(name, ()))
        found[f"boards/{name}.html"] = draw(
            "board", "../", **board_view(shelf, board), candidates=beside
        )
        found[f"boards/{name}.csv"] = subset_csv(board, kinds)
        found[f"scores/{name}.csv"] = score_csv(board)
    for subset in shelf.subsets:
        found[subset_page(subset)] = draw("subset", "../../", **subset_view(shelf, subset))
    if published is not None:
        found["published.html"] = draw("published", "", **published_view(published))
        found["published.csv"] = comparison_csv(published)
        found["published.json"] = canonical_json({"schema_version": 1, **published.fields()})
    if submitted is not None:
        said = submitted_view(submitted, boards, {*found})
        found["submissions.html"] = draw("submissions", "", **said)
        found["submissions.json"] = submitted_json(submitted)
    for name, record in SCHEMAS.items():
        found[f"schema/{name}.json"] = _json(record.model_json_schema())
    for name in ASSETS:
        found[f"assets/{name}"] = (assets() / name).read_bytes()
    found[LISTING] = _listing({*found, LISTING})
    return dict(sorted(found.items()))


def stale(pages: Mapping[str, bytes], out: Path) -> list[str]:
    """Return the paths at which the folder differs from the pages, sorted; [] if it is current.

    These are files that are absent, that hold something else, or that an earlier rendering
    listed and this one does not write. Raises `BadRecord` if `files.json` is damaged.
    """
    wrong = {
        path
        for path, content in pages.items()
        if not (out / path).is_file() or (out / path).read_bytes() != content
    }
    return sorted(wrong | {path for path in _listed(out) - pages.keys() if (out / path).exists()})


def in_order(board: Board) -> Board:
    """Return a board with its subsets by name and version, and its scores by configuration."""

    def by_name(scores: Sequence[Score]) -> list[Score]:
        return sorted(scores, key=lambda score: score.configuration)

    entries = sorted(board.subsets, key=lambda entry: (entry.subset, entry.subset_version))
    entries = [entry.model_copy(update={"scores": by_name(entry.scores)}) for entry in entries]
    return board.model_copy(update={"full": by_name(board.full), "subsets": entries})


@cache
def _drawing() -> Callable[..., bytes]:
    environment = Environment(
        loader=FileSystemLoader(templates()),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"number": number, "share": share, "span": span, "counted": counted}
    environment.filters |= {"setting": setting, "seed_mean": seed_mean, "spread": spread}
    environment.globals["schemas"] = sorted(SCHEMAS)

    def draw(template: str, root: str, **context: Any) -> bytes:
        page = environment.get_template(f"{template}.html.j2")
        return page.render(root=root, **context).encode()

    return draw


def _json(thing: Any) -> bytes:
    return (json.dumps(thing, indent=2, sort_keys=True) + "\n").encode()


def _listing(paths: set[str]) -> bytes:
    return _json(sorted(paths))


def _listed(out: Path) -> set[str]:
    """Return the paths that an earlier rendering wrote; each lies inside the folder."""
    file = out / LISTING
    if not file.is_file():
        return set()
    try:
        paths = json.loads(file.read_bytes())
    except ValueError:
        paths = None
    if not isinstance(paths, list) or not all(map(_inside, paths)):
        raise BadRecord(f"{file} is not a list of the site's files; remove it and render again")
    return set(paths)


def _inside(path: object) -> bool:
    if not isinstance(path, str):
        return False
    pure = PurePosixPath(path)
    return bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts


def _remove(out: Path, path: str) -> None:
    """Remove one file and the folders that it leaves empty; never through a link."""
    file = out / path
    folders = [folder for folder in file.parents if folder != out and out in folder.parents]
    if any(folder.is_symlink() for folder in folders):
        return
    if file.is_file() or file.is_symlink():
        file.unlink()
    for folder in folders:
        if not folder.is_dir() or any(folder.iterdir()):
            break
        folder.rmdir()
