"""Writing loses nothing: whole files or none, whole lines or none, one writer at a time."""

import resource
import subprocess
import sys
from contextlib import contextmanager

import pytest

from lotterybench.errors import Busy, NoSpace
from lotterybench.storage import append_line, locked, staged, write_whole


def test_a_file_appears_whole(tmp_path):
    path = tmp_path / "deep" / "file"
    write_whole(path, b"content")
    assert path.read_bytes() == b"content"
    assert oct(path.stat().st_mode & 0o777) == "0o644"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_a_failed_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    write_whole(path, b"old")
    with pytest.raises(RuntimeError), staged(path) as draft:
        draft.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@contextmanager
def little_space():
    """Let this process write no file beyond 100 bytes, as on a disk that is almost full.

    No fixture: pytest's own report may go to a longer file while one stands.
    """
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def test_a_full_disk_keeps_whole_lines(tmp_path):
    path = tmp_path / "lines"
    append_line(path, "a" * 60)
    told = r"no space left to write .*lines; what was written before is"
    with pytest.raises(NoSpace, match=told), little_space():
        append_line(path, "b" * 60)
    assert path.read_text() == "a" * 60 + "\n"


def test_a_full_disk_keeps_the_old_file(tmp_path):
    path = tmp_path / "file"
    write_whole(path, b"old")
    with pytest.raises(NoSpace), little_space():
        write_whole(path, b"x" * 200)
    assert path.read_bytes() == b"old"


def test_other_errors_are_not_disguised(tmp_path):
    with pytest.raises(IsADirectoryError):
        append_line(tmp_path, "x")


def test_a_second_process_is_refused_and_a_dead_one_holds_nothing(tmp_path):
    path = tmp_path / "file"
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom lotterybench.storage import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(Busy, match="another process is writing"), locked(path):
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with locked(path):
        pass


def test_locks_are_not_results(tmp_path):
    with locked(tmp_path / "full.jsonl"):
        assert [p.name for p in tmp_path.iterdir()] == [".full.jsonl.lock"]
