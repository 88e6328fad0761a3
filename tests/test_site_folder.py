"""The site's folder: what a rendering writes, removes and leaves alone."""

from pathlib import Path

import pytest
import site_boards as make

from lotterybench.errors import BadRecord
from lotterybench.leaderboard import pages, render, site, stale


def test_rendering_removes_only_what_it_wrote(tmp_path: Path) -> None:
    boards, subsets, bases = make.crowd(3)
    render(boards, subsets, bases, tmp_path)
    (tmp_path / "mine.html").write_text("kept")
    (tmp_path / "subsets/blobs/note.txt").write_text("kept")
    assert stale(pages(boards, subsets, bases), tmp_path) == []

    fewer = pages([], {}, bases)
    left = stale(fewer, tmp_path)
    assert "boards/blobs-ranking.html" in left and "mine.html" not in left
    written = render([], {}, bases, tmp_path)
    assert stale(fewer, tmp_path) == []
    assert not (tmp_path / "boards").exists()
    present = {path for path in tmp_path.rglob("*") if path.is_file()}
    kept = {tmp_path / "mine.html", tmp_path / "subsets/blobs/note.txt"}
    assert present == {*written, *kept}


def test_a_changed_or_absent_file_is_stale(tmp_path: Path) -> None:
    site = make.crowd(3)
    render(*site, tmp_path)
    (tmp_path / "index.html").write_text("other")
    (tmp_path / "assets/style.css").unlink()
    assert stale(pages(*site), tmp_path) == ["assets/style.css", "index.html"]
    assert stale(pages(*site), tmp_path / "nowhere") == sorted(pages(*site))


@pytest.mark.parametrize("listing", ['["../precious"]', '["/etc/precious"]', '"ab"', "{", "[1]"])
def test_a_damaged_listing_deletes_nothing(tmp_path: Path, listing: str) -> None:
    (tmp_path / "precious").write_text("kept")
    out = tmp_path / "site"
    out.mkdir()
    (out / "files.json").write_text(listing)
    with pytest.raises(BadRecord, match="render again"):
        render([], {}, {}, out)
    assert (tmp_path / "precious").exists()


def test_nothing_is_removed_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/precious").write_text("kept")
    out = tmp_path / "site"
    out.mkdir()
    (out / "linked").symlink_to(tmp_path / "elsewhere")
    (out / "files.json").write_text('["linked/precious"]')
    render([], {}, {}, out)
    assert (tmp_path / "elsewhere/precious").exists()


def test_an_interrupted_rendering_is_cleaned_up_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = site.write_whole

    def break_at_scores(path: Path, content: bytes) -> None:
        if path.parent.name == "scores":
            raise KeyboardInterrupt
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(site, "write_whole", break_at_scores)
        with pytest.raises(KeyboardInterrupt):
            render(*make.crowd(3), tmp_path)
    assert (tmp_path / "boards/blobs-ranking.html").exists()
    render([], {}, {}, tmp_path)
    assert not (tmp_path / "boards").exists()
