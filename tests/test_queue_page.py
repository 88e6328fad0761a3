"""The page of submissions: where each stands, in words and links that strangers cannot bend."""

import json
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import site_boards as make
from test_leaderboard import html_of
from test_site_browser import Quiet, chromium, tab

from lotterybench.errors import BadRecord
from lotterybench.leaderboard import pages, render
from lotterybench.leaderboard.charts import number
from lotterybench.leaderboard.submitted import GROUPS
from lotterybench.publication import render_site, stale_files
from lotterybench.submissions.referee.records import Rerun

__all__ = ["chromium", "tab"]
ZERO = make.ZERO
HOSTILE = make.HOSTILE
PAGE = "submissions.html"


def a_rerun(name: str, state: str = "verified", **changes: Any) -> Rerun:
    record = {
        "schema_version": 1, "name": name, "kind": "selector", "digest": "ab" * 32,
        "base": "blobs", "tracks": ["blobs-ranking"], "state": state, "code_digest": ZERO,
        "status": "ok" if state == "verified" else None,
        "pull": {"repo": "org/submissions", "number": 7, "author": "ada", "commit": "c" * 40},
    }  # fmt: skip
    return Rerun.model_validate(record | changes)


def a_claim(says: str, claimed: float = 0.9, **found: Any) -> dict[str, Any]:
    claim = {
        "track": "blobs-ranking", "subset": "blobs/uniform-01@1", "figure": "tau-b",
        "value": claimed, "how": "3 seeds, 12 methods",
    }  # fmt: skip
    return {"claim": claim, "says": says, **found}


def every() -> list[Rerun]:
    """Records in every state, with everything that the page tells of them."""
    measured = {"value": 0.714, "low": 0.551, "high": 0.822, "n": "12 configurations"}
    return [
        a_rerun("hard-and-even", isolation="rerun-sandboxed", selected=["blobs/uniform-01@1"],
                claims=[a_claim("above", **measured), a_claim("agrees", 0.7, **measured),
                        a_claim("not measured", 0.2)],
                twins=[{"name": "even-harder", "same": "code"}], supersedes="hard-samples"),
        a_rerun("hard-samples", isolation="rerun-sandboxed", superseded_by="hard-and-even"),
        a_rerun("small-simclr", kind="method", isolation="rerun-unsandboxed",
                tracks=["blobs-ranking", "blobs-elsewhere"]),
        a_rerun("first", "running"), a_rerun("next", "pending", tracks=[]),
        a_rerun("broken", "rejected", status="crash", reason="ValueError: no such signal",
                problems=[f"mine.py imports thing {number} in line {number}"
                          for number in range(14)], warnings=["the code was not run"]),
        a_rerun("waits", "failed", status="infra", reason="signals of blobs are not recorded: run "
                "`lotterybench signals blobs`"),
        a_rerun("held", "blocked", reason="reference methods moved: simclr of blobs-ranking gives "
                "70.10, recorded 91.00 (expected 90.10 to 91.90)"),
        a_rerun("regretted", "withdrawn", status="withdrawn", withdrawn="a bug in the selector",
                tracks=[], pull=None, kind="subset"),
    ]  # fmt: skip


def hostile() -> list[Rerun]:
    """A record of which every text that a person may write is an attempt to break out."""
    claim = a_claim("below", 0.5, n=HOSTILE)
    claim["claim"] |= {"how": HOSTILE}
    return [
        a_rerun(name, state, reason=HOSTILE, problems=[HOSTILE] * 12, warnings=[HOSTILE],
                claims=[claim], withdrawn=HOSTILE if state == "withdrawn" else None,
                pull={"repo": HOSTILE, "number": 1, "author": HOSTILE, "commit": HOSTILE})
        for name, state in (("evil", "rejected"), ("worse", "withdrawn"))
    ]  # fmt: skip


def page_of(reruns: list[Rerun]) -> str:
    return pages(*make.crowd(3, 4), submitted=reruns)[PAGE].decode()


def section(page: str, anchor: str) -> str:
    start = page.index(f'<h2 id="{anchor}"')
    return page[start : page.index("</section>", start)]


def test_each_stands_where_it_is() -> None:
    page = page_of(every())
    where = {
        "waiting": ["first", "next"], "verified": ["hard-and-even", "small-simclr"],
        "blocked": ["held"], "failed": ["waits"], "rejected": ["broken"],
        "past": ["hard-samples", "regretted"],
    }  # fmt: skip
    assert [one[0] for one in GROUPS] == list(where)
    for anchor, names in where.items():
        part = section(page, anchor)
        assert [name for name in names if f'id="submission-{name}"' in part] == names
        assert part.count("<tr id=") == len(names)
    assert "14 problems" in page and "4 more in" in page
    assert "a bug in the selector" in section(page, "past")
    assert 'href="#submission-hard-and-even"' in section(page, "past")


def test_claims_stand_beside_the_rerun() -> None:
    part = section(page_of(every()), "verified")
    assert "tau-b 0.90 claimed, above the rerun: 0.71 (0.55 – 0.82)" in part
    assert "tau-b 0.70 claimed, agrees with the rerun: 0.71 (0.55 – 0.82)" in part
    assert "tau-b 0.20 claimed, not measured by the rerun<" in part
    assert "rerun-sandboxed" in part and "rerun-unsandboxed" in part
    assert "the same code as even-harder" in part and "abababababab<" in part


def test_what_the_rerun_gave_stands_there() -> None:
    fidelity = make.crowd(3, 4)[0][0].subsets[1].fidelity
    assert fidelity is not None and fidelity.subset == "blobs/uniform-01"
    part = section(page_of(every()), "verified")
    assert f"τ-b {number(fidelity.tau)}, {fidelity.verdict}<" in part
    undone = [one.model_copy(update={"state": "running"}) for one in every()]
    assert "<small>τ-b" not in page_of(undone)


def test_links_lead_to_what_is_there() -> None:
    files = pages(*make.crowd(3, 4), submitted=every())
    page = html_of(files)[PAGE]
    inside = {link for link in page.every("href") if not link.startswith(("#", "https://"))}
    assert "boards/blobs-ranking.html" in inside and "boards/blobs-elsewhere.html" not in inside
    assert "subsets/blobs/uniform-01-v1.html" in inside
    assert {link.partition("#")[0] for link in inside} <= files.keys()
    own = set(page.every("id"))
    assert {link[1:] for link in page.every("href") if link.startswith("#")} <= own
    assert len(own) == len(page.every("id"))
    assert not [link for link in page.every("href") if link.startswith("https:")]


def test_text_cannot_break_out() -> None:
    files = pages(*make.crowd(3, 4), submitted=hostile())
    page = html_of(files)[PAGE]
    text = files[PAGE].decode()
    assert "<script>alert" not in text and text.count("&lt;script&gt;alert") >= 20
    assert [tag for tag, _ in page.tags].count("script") == 1
    for _, attrs in page.tags:
        assert not {name for name in attrs if name.startswith("on")} and "style" not in attrs
    assert json.loads(files["submissions.json"])["submissions"][0]["reason"] == HOSTILE


def test_without_submissions_nothing_is_said_of_them() -> None:
    quiet, told = pages(*make.crowd(3, 4)), pages(*make.crowd(3, 4), submitted=[])
    assert told.keys() - quiet.keys() == {PAGE, "submissions.json"}
    assert b"submissions.html" not in b"".join(
        content for path, content in quiet.items() if path.endswith(".html")
    )
    for path, content in told.items():
        if path.endswith(".html"):
            assert b'submissions.html">Submissions</a>' in content, path
    assert b"Nothing has been handed in yet" in told[PAGE]


def test_the_order_of_the_records_makes_no_difference() -> None:
    given = every()
    one, other = (pages([], {}, {}, submitted=them) for them in (given, given[::-1]))
    assert one == other
    stored = json.loads(one["submissions.json"])["submissions"]
    assert [Rerun.model_validate(record) for record in stored] == sorted(
        given, key=lambda one: one.name
    )


def test_schemas_are_those_of_the_records() -> None:
    files = pages([], {}, {})
    assert json.loads(files["schema/rerun.json"]) == Rerun.model_json_schema()
    assert {"schema/round.json", "schema/act.json"} <= files.keys()


def test_a_crowd_stays_small() -> None:
    crowd = [a_rerun(f"number-{number}", warnings=["x" * 200] * 40) for number in range(25)]
    assert len(page_of(crowd)) < 100_000


def test_the_records_of_a_folder_of_results(results: Path, tmp_path: Path) -> None:
    for one in every():
        file = results / "submissions" / one.name / "rerun.json"
        file.parent.mkdir(parents=True)
        file.write_bytes(one.pretty())
    out = tmp_path / "site"
    render_site(results, out)
    assert 'id="submission-hard-and-even"' in (out / PAGE).read_text()
    assert stale_files(results, out) == []
    file.write_bytes(every()[-1].model_copy(update={"withdrawn": "another"}).pretty())
    assert stale_files(results, out) == [PAGE, "submissions.json"]
    file.write_text("{}")
    with pytest.raises(BadRecord, match="not a valid rerun"):
        render_site(results, out)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder of results with a track and no lines yet."""
    folder = tmp_path / "results"
    track = make.a_track(4, base="digits", subsets=[])
    place = folder / track.name
    place.mkdir(parents=True)
    (place / "track.json").write_bytes(track.pretty())
    (place / "full.jsonl").write_text("")
    return folder


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_it_fits_a_screen(chromium: Any, tmp_path: Path, width: int, scheme: str) -> None:
    render(*make.crowd(3, 4), tmp_path, submitted=[*every(), *hostile()])
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    view = {"width": width, "height": 900}
    context = chromium.new_context(viewport=view, color_scheme=scheme)
    try:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/{PAGE}")
        page.screenshot(path=tmp_path / f"{width}-{scheme}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        outside = page.evaluate(
            "[...document.querySelectorAll('main *')].filter(one => "
            "one.getBoundingClientRect().right > innerWidth + 1).length"
        )
        assert outside == 0
    finally:
        context.close()
        server.shutdown()
        server.server_close()
