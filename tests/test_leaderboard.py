"""The site: the same bytes each time, nothing unescaped, no dead link, numbers that agree."""

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urldefrag

import pytest
import site_boards as make

from lotterybench.errors import BadRequest, UnknownName
from lotterybench.fidelities import PUBLISHED, Board
from lotterybench.leaderboard import in_order, pages, render
from lotterybench.leaderboard.charts import number, seed_mean, share, span
from lotterybench.records import Base, Subset
from lotterybench.standings import Ranked

Site = tuple[list[Board], dict[str, Subset], dict[str, Base]]


class Reading(HTMLParser):
    """Reads a page: refuses tags that are not balanced, keeps links, ids and attributes."""

    VOID = frozenset({"meta", "link", "input", "br", "img", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"<{tag}> names an attribute twice"
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def every(self, attribute: str) -> list[str]:
        return [attrs[attribute] for _, attrs in self.tags if attribute in attrs]


def html_of(site: dict[str, bytes]) -> dict[str, Reading]:
    return {
        path: Reading(content.decode()) for path, content in site.items() if path.endswith(".html")
    }


def rows_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


SITES = {
    "crowd": make.crowd,
    "verdicts": lambda: make.crowd(14, 36),
    "hostile": make.hostile,
    "empty": lambda: ([], {}, {}),
}


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest) -> Site:
    return SITES[request.param]()


def test_the_same_records_give_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    boards, subsets, bases = make.crowd()
    bases = bases | {"another": make.a_base("another")}
    render(boards, subsets, bases, tmp_path / "one")

    def turned(mapping: dict[str, Any]) -> dict[str, Any]:
        return dict(reversed(mapping.items()))

    mixed = [
        board.model_copy(update={"subsets": board.subsets[::-1], "full": board.full[::-1]})
        for board in reversed(boards)
    ]
    paths = render(mixed, turned(subsets), turned(bases), tmp_path / "other")
    for path in paths:
        same = tmp_path / "one" / path.relative_to(tmp_path / "other")
        assert path.read_bytes() == same.read_bytes(), path


def test_every_page_parses_and_has_unique_ids(site: Site) -> None:
    for path, page in html_of(pages(*site)).items():
        ids = page.every("id")
        assert len(set(ids)) == len(ids), path
        for other in page.every("aria-labelledby") + page.every("data-copy"):
            assert set(other.split()) <= set(ids), path


def test_every_link_leads_somewhere(site: Site) -> None:
    files = pages(*site)
    read = html_of(files)
    for path, page in read.items():
        for link in page.every("href") + page.every("src"):
            if link.startswith("https://"):
                continue
            target, fragment = urldefrag(link)
            parts: list[str] = list(PurePosixPath(path).parent.parts) if target else [path]
            for part in PurePosixPath(unquote(target)).parts:
                parts = parts[:-1] if part == ".." else [*parts, part]
            found = "/".join(parts)
            assert found in files, f"{path} links to {link}"
            if fragment:
                assert fragment in read[found].every("id"), f"{path} links to {link}"


def test_nothing_is_fetched_from_elsewhere(site: Site) -> None:
    for path, page in html_of(pages(*site)).items():
        for tag, attrs in page.tags:
            assert not {name for name in attrs if name.startswith("on")}, path
            assert "style" not in attrs and tag != "style", path
            for name in {"src", "srcset", "href", "data", "action"} & attrs.keys():
                outside = re.match(r"[a-z]+:|//", attrs[name], re.IGNORECASE)
                assert not outside or (tag == "a" and attrs[name].startswith("https://")), path
        policy = [attrs for tag, attrs in page.tags if "http-equiv" in attrs]
        assert policy[0]["content"].startswith(
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:"
        )


def test_text_cannot_break_out() -> None:
    files = pages(*make.hostile())
    quiet = pages(*make.crowd(3, 4))
    scripts = {path: content.count(b"<script") for path, content in quiet.items()}
    for path, page in html_of(files).items():
        assert b"<script>alert" not in files[path] and scripts["index.html"] == 1
        assert [tag for tag, _ in page.tags].count("script") == 1, path
        assert "onload" not in {name for _, attrs in page.tags for name in attrs}, path
    board = files["boards/blobs-ranking.html"].decode()
    # As text in the title, and inside an attribute of the description.
    assert "&#34;&#39;&gt;&lt;script&gt;alert(&#39;x&#39;)" in board
    described = [
        attrs["content"]
        for tag, attrs in html_of(files)["boards/blobs-ranking.html"].tags
        if attrs.get("name") == "description"
    ]
    assert make.HOSTILE in described[0]


def test_only_https_becomes_a_link() -> None:
    for source in ("javascript:alert(1)", "http://example.org", "HTTPS://example.org"):
        subset = make.a_subset()
        files = pages([], {subset.ref: subset}, {"blobs": make.a_base(source=source, hub_id=None)})
        page = files["subsets/blobs/uniform-v1.html"].decode()
        assert source in page and f'href="{source}' not in page


def test_pages_stay_small() -> None:
    for path, content in pages(*make.crowd()).items():
        if path.endswith(".html"):
            assert len(content) < 100_000, path
    large = pages(*make.crowd(40, 36))
    assert max(len(large[path]) for path in large if path.endswith(".html")) < 100_000


def test_files_and_pages_hold_the_same_numbers() -> None:
    boards, subsets, bases = make.crowd(14, 36)
    files = pages(boards, subsets, bases)
    stored = json.loads(files["leaderboard.json"])
    again = [Board.model_validate(board) for board in stored["boards"]]
    assert again == sorted(map(in_order, boards), key=lambda board: board.track.name)

    board = boards[0]
    page = files["boards/blobs-ranking.html"].decode()
    table = rows_of(files["boards/blobs-ranking.csv"])
    assert len(table) == len(board.subsets)
    for row in table:
        entry = next(one for one in board.subsets if one.subset == row["subset"])
        if entry.fidelity is None:
            assert row["missing"] == "17" and row["tau"] == row["scope"] == ""
            continue
        one = entry.fidelity
        assert row["tau"] == ("" if one.tau is None else repr(one.tau))
        assert (row["verdict"], row["why"], row["scope"]) == (one.verdict, one.why, one.scope)
        assert row["configurations"] == "36" and row["families"] == "12"
        start = page.index(f"{row['subset']}-v1.html")
        shown = page[start : page.index("</tr>", start)]
        if one.tau is None:
            assert "<b>undefined</b>" in shown
            continue
        assert f"<b>{number(float(row['tau']))}</b>" in shown
        assert one.interval is not None
        assert float(row["tau_low"]) == one.interval.low
        assert span(one.interval) in shown and one.why in page
        assert f"{share(float(row['cost_ratio']))} of full" in shown

    scores = rows_of(files["scores/blobs-ranking.csv"])
    full = {score.configuration: score for score in board.full}
    for row in scores:
        if row["arm"] == "full":
            score = full.pop(row["configuration"])
            assert row["mean"] == repr(score.mean)
            assert [float(text) for text in row["scores"].split()] == score.scores
            assert f">{seed_mean(score)}<" in page
    assert not full
    assert len(scores) == len(board.full) + sum(len(one.scores) for one in board.subsets)


def test_every_published_record_has_its_schema() -> None:
    files = pages([], {}, {})
    for name, record in PUBLISHED.items():
        assert json.loads(files[f"schema/{name}.json"]) == record.model_json_schema()


def test_scopes_are_never_in_one_table() -> None:
    page = pages(*make.crowd())["boards/blobs-ranking.html"].decode()
    for scope, absent in (("full", "wordnet-"), ("subset", "uniform-")):
        start = page.index(f'id="table-{scope}"')
        table = page[start : page.index("</table>", start)]
        assert table.count("<tr data-kind") > 5 and f">{absent}" not in table


def test_what_is_missing_is_said() -> None:
    files = {path: content.decode() for path, content in pages(*make.crowd()).items()}
    board = files["boards/blobs-ranking.html"]
    assert board.count("17 runs missing") == 2
    assert "<b>undefined</b>" in board
    assert "30 runs on full data missing" in files["boards/blobs-later.html"]
    assert "No answer yet: 42 runs are missing." in files["index.html"]
    assert "17 runs missing" in files["subsets/blobs/uniform-06-v1.html"]
    assert "a wrong digest" in files["subsets/blobs/uniform-04-v1.html"]
    assert (
        'href="../../subsets/blobs/uniform-01-v1.html"'
        in (files["subsets/blobs/uniform-00-v1.html"])
    )


def test_a_reason_that_many_rows_share_is_told_once() -> None:
    files = pages(*make.crowd())
    assert files["boards/blobs-ranking.html"].decode().count(make.SMALL_POOL) == 2  # one per scope
    assert make.SMALL_POOL in files["subsets/blobs/uniform-01-v1.html"].decode()


def test_a_board_that_decides_nothing_is_listed_by_name() -> None:
    def names(site: Site) -> list[str]:
        page = pages(*site)["boards/blobs-ranking.html"].decode()
        table = page[page.index('id="table-full"') : page.index("</table>")]
        return re.findall(r">(uniform-\d+)</a>", table)

    assert names(make.crowd()) == sorted(names(make.crowd()))
    boards, *_ = make.crowd(14, 36)
    tau = {one.subset[6:]: one.fidelity.tau for one in boards[0].subsets if one.fidelity}
    shown = [-2.0 if tau[name] is None else tau[name] for name in names(make.crowd(14, 36))]
    assert shown == sorted(shown, reverse=True) and shown[-1] == -2.0


def test_a_board_that_ranks_noise_is_listed_by_name_and_says_why() -> None:
    boards, *rest = make.crowd(14, 36)
    why = "the split-half correlation of τ over seeds is 0.31 for all subsets, below 0.7"
    for ranked, said in ((Ranked(seeds=0.31, why=why), why), (None, "fewer than three complete")):
        noise = boards[0].model_copy(update={"ranked": ranked})
        page = pages([noise], *rest)["boards/blobs-ranking.html"].decode()
        table = page[page.index('id="table-full"') : page.index("</table>")]
        names = re.findall(r">(uniform-\d+)</a>", table)
        assert names == sorted(names)
        assert f"Listed by name: {said}" in page


def test_a_board_tells_of_its_null_and_of_selectors_that_draw_at_random() -> None:
    page = pages(*make.crowd(14, 36))["boards/blobs-ranking.html"].decode()
    assert "0.40 – 0.50 – 0.60" in page
    assert "2 missing" in page
    assert "with the class counts of blobs/uniform-01" in page
    assert "2 of 5 draws (protocol §5)" in page
    assert "p = 0.020" in page
    assert "Of 2 pairs of selectors of equal size, 1 differ" in page
    assert "k-means less el2n easiest=true 0.20." in page
    assert "Random subsets" not in pages(*make.crowd())["boards/blobs-ranking.html"].decode()


def test_what_is_not_given_is_named() -> None:
    boards, subsets, bases = make.crowd(3)
    with pytest.raises(UnknownName, match="uniform-01@1"):
        pages(boards, {}, bases)
    with pytest.raises(UnknownName, match="'blobs'"):
        pages(boards, subsets, {})
    with pytest.raises(BadRequest, match="two boards"):
        pages([boards[0], boards[0]], subsets, bases)
