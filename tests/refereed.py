"""What the tests of the referee share: a small track, its runs in this process, submissions."""

from contextlib import contextmanager
from tempfile import TemporaryDirectory

import pytest

from lotterybench.executors import Ended, Started, executor
from lotterybench.submissions.drafts import new_submission
from lotterybench.submissions.referee.rerunning import rerun
from lotterybench.trials import Configuration, Seeds, Track

TINY = Track(
    schema_version=1,
    name="tiny",
    version=1,
    title="Two small networks",
    base="digits",
    kind="ranking",
    probe="classifier",
    metric="accuracy",
    seeds=Seeds(full=1, subset=1),
    configurations=[
        Configuration(
            name=backbone, family=f"supervised/{backbone}", method="supervised",
            config={"backbone": backbone, "lr": 0.01, "epochs": 1},
        )
        for backbone in ("mixer", "vit")
    ],
)  # fmt: skip
NULL = 2


def in_this_process(runs, terms):
    """Carry runs out as a worker does, one after the other, without starting one."""
    from lotterybench.kinds import execute

    for run in runs:
        yield Started(run)
        yield Ended(run, next(execute([run], "cpu", terms.conduct)))


@contextmanager
def no_workers():
    """Have runs carried out here: a process that imports torch takes seconds to start.

    The cache is one of its own: signals that other tests recorded would be shown to selectors.
    """
    with TemporaryDirectory() as cache, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOTTERYBENCH_CACHE", cache)
        patch.setitem(executor._things, "local", in_this_process)
        yield


def again(folder, workplace, **more):
    """Rerun a submission on the small track."""
    given = {"tracks": [str(workplace.folder.parent / "tiny.json")], "null": NULL, "who": "tester"}
    return rerun(folder, workplace, **{**given, **more})


def draft(kind, name, folder, **files):
    """Write a draft; `files` are written over its own, with __ for a dot in their names."""
    new_submission(kind, name, folder)
    for file, text in files.items():
        (folder / file.replace("__", ".")).write_text(text)
    return folder


def content(results):
    """Return the files of a folder of results by path, without what each call writes anew."""
    return {
        file.relative_to(results).as_posix(): file.read_bytes()
        for file in sorted(results.rglob("*"))
        if file.is_file() and file.suffix != ".timings" and not file.name.endswith(".lock")
    }
