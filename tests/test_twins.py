"""Submissions that are the same are named, whatever they are called; others are not."""

import pytest
from submitted import SELECTOR

from lotterybench.build import build_subset, save_subset
from lotterybench.manifests import load_subset_manifest
from lotterybench.submissions.referee.twins import code_digest_of, twins_of
from lotterybench.submissions.referee.workplace import Workplace
from lotterybench.validity import describe_positions

CODE = """
import numpy as np

DEEP = 3


def _scores(values):
    return values.mean(axis=0)


def select(signals, labels, size, rng):
    order = np.argsort(_scores(signals["margin"]), kind="stable")
    return order[:size]
"""
RENAMED = '''
"""Something of my own."""
import numpy as np

HOW_DEEP = 3  # no reason


def average(numbers):
    """Return the mean."""
    return numbers.mean(axis=0)


def choose(signals, labels, size, rng):

    ranking = np.argsort(average(signals["margin"]), kind="stable")
    return (ranking[:size])
'''
OTHERS = {
    "another number": CODE.replace("DEEP = 3", "DEEP = 4"),
    "another signal": CODE.replace('"margin"', '"entropy"'),
    "another function of numpy": CODE.replace("argsort", "argpartition"),
    "another end": CODE.replace("[:size]", "[-size:]"),
    "another import": CODE.replace("import numpy as np", "import numpy.linalg as np"),
}


def take(workplace, name, files):
    for path, text in files.items():
        file = workplace.files(name) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text)
    return files


def submission(code, name="mine"):
    record = SELECTOR.replace('name = "mine"', f'name = "{name}"')
    return {"submission.toml": record.encode(), "mine.py": code.encode()}


@pytest.fixture
def workplace(tmp_path):
    place = Workplace(tmp_path)
    take(place, "first", submission(CODE, "first"))
    return place


def test_the_same_files_and_the_same_code_are_told_apart(workplace):
    for name, code, same in (("copy", CODE, "files"), ("disguised", RENAMED, "code")):
        found = twins_of(name, submission(code, name), None, workplace)
        assert [(twin.name, twin.same) for twin in found] == [("first", same)]


@pytest.mark.parametrize("what", OTHERS)
def test_other_code_is_no_twin(workplace, what):
    assert code_digest_of(submission(OTHERS[what])) != code_digest_of(submission(CODE))
    assert twins_of("other", submission(OTHERS[what], "other"), None, workplace) == []


def test_a_submission_is_no_twin_of_itself(workplace):
    assert twins_of("first", submission(CODE, "first"), None, workplace) == []


@pytest.mark.parametrize("code", ["def f(:\n", "\0", "(" * 5000])
def test_code_that_cannot_be_read_has_no_digest(code):
    assert code_digest_of({"mine.py": code.encode()}) is None


def test_code_in_several_files_is_the_same_under_other_names_of_files():
    one, other = {"a.py": b"x = 1\n", "b.py": b"y = 2\n"}, {"d.py": b"x = 1\n", "c.py": b"y = 2\n"}
    assert code_digest_of(one) == code_digest_of(other) != code_digest_of({"a.py": b"x = 1\n"})


@pytest.mark.parametrize("known", ["digits/uniform-10pct@1", "digits/uniform-5-classes@1"])
def test_an_equal_selection_is_named_in_any_order(tmp_path, known):
    place, (recipe, _) = Workplace(tmp_path / "round"), load_subset_manifest(known)
    for name, seed in (("mine", 99), ("copied", recipe.seed)):
        subset, columns = build_subset(
            "digits", recipe.selector, recipe.budget, name=name, seed=seed, settings=recipe.settings
        )
        if columns is None:
            changed = {"classes": subset.classes[::-1]}
        else:
            columns = {"position": columns["position"][::-1].copy()}
            changed = {"positions": describe_positions(columns)}
        subset = subset.model_copy(update=changed)
        subset = subset.model_copy(update={"digest": subset.true_digest()})
        manifest = save_subset(subset, columns, place.subsets)
        names = [(twin.name, twin.same) for twin in twins_of(name, {}, manifest, place)]
        assert ((recipe.name, "selection") in names) == (name == "copied")
        assert "mine" not in dict(names)
