"""The command line: each command does its work, each mistake is one line and exit code 1."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from lotterybench.cli import app
from lotterybench.errors import LotteryBenchError

CODE = "import sys; from lotterybench.cli import main; sys.argv[0] = 'lotterybench'; main()"


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Run a command in this process, in a folder of its own; return its output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(tmp_path / "subsets"))

    def run(*arguments):
        done = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if isinstance(done.exception, LotteryBenchError):
            raise done.exception
        return done

    return run


def process(*arguments, cwd=None):
    """Run a command in a process of its own, as a user does."""
    return subprocess.run(
        [sys.executable, "-c", CODE, *map(str, arguments)],
        capture_output=True, text=True, check=False, cwd=cwd, timeout=120,
    )  # fmt: skip


MISTAKES = [
    ("build digts uniform --count 5 --name x", "no base is named 'digts'; did you mean 'digits'?"),
    ("build digits unform --count 5 --name x", "no selector is named 'unform'"),
    ("build digits uniform --name x", "give exactly one of --count, --fraction and --classes"),
    ("build digits uniform --count 5 --classes 2 --name x", "give exactly one of"),
    ("build digits uniform --fraction 1.5 --name x", "--fraction is 1.5; it lies above 0"),
    ("build digits uniform --count 0 --name x", "--count is 0; it is at least 1"),
    ("build digits uniform --count 5 --name x --set a", "--set 'a' has no '='"),
    ("build digits uniform --count 5 --name x --set a=1", "uniform has no setting a"),
    ("run nonsense", "no track is named 'nonsense'"),
    ("run missing.json", "there is no track file missing.json"),
    ("run digits-supervised --method nonsense", "has no configuration nonsense; it has"),
    ("run digits-supervised --subset digits/nonsense", "no subset is named 'digits/nonsense'"),
    ("run digits-supervised --subset cifar100/uniform-10pct", "is no subset of digits"),
    ("shards digits/nonsense --out x", "no subset is named 'digits/nonsense'"),
    ("shards nonsense --out x", "'nonsense' is no subset id; the form is base/name"),
    ("score nonsense", "no track is named 'nonsense'"),
    ("score digits-supervised --results nowhere", "holds no track.json; run the track"),
    ("list nonsense", "there is no list of 'nonsense'; there are bases"),
    ("list methods --show nonsense", "no method is named 'nonsense'"),
    ("list bases --show x", "--show goes with `list methods`"),
    ("build digits every-kth-class --classes 2 --name x --set offset=foo", "offset is 'foo'"),
    ("build digits every-kth-class --classes 2 --name x --set offset=1.5", "offset is 1.5"),
    ("site build --results nowhere", "nowhere holds no <track>/track.json"),
    ("base nonsense", "no dataset is named 'nonsense'"),
    ("base ./nowhere/at-all", "there is no folder ./nowhere/at-all"),
    ("site serve --out nowhere", "nowhere holds no site; run `lotterybench site build"),
]


@pytest.mark.parametrize(("line", "message"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_mistakes_are_told_in_one_line(call, line, message):
    with pytest.raises(LotteryBenchError) as info:
        call(*line.split())
    assert message in str(info.value)
    assert "\n" not in str(info.value)


def test_a_mistake_exits_with_1_and_a_wrong_option_with_2(tmp_path):
    done = process("build", "digts", "uniform", "--count", 5, "--name", "x", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: no base is named 'digts'; did you mean 'digits'?\n"
    done = process("build", "--nonsense", cwd=tmp_path)
    assert done.returncode == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow  # an interpreter each
@pytest.mark.parametrize(
    "line",
    [
        "build digits uniform --count 5 --name x --out afile",
        "shards digits/uniform-10pct --out afile",
        "run digits-supervised --out afile",
        "base digits --out afile",
        "site build --out afile",
        "check " + "x" * 300,
    ],
)
def test_what_the_system_refuses_is_one_line(tmp_path, line):
    (tmp_path / "afile").write_text("kept")
    done = process(*line.split(), cwd=tmp_path)
    assert done.returncode == 1
    assert (done.stderr or done.stdout).count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "afile").read_text() == "kept"


def test_every_command_has_help():
    shown = CliRunner().invoke(app, ["--help"]).output
    for command in app.registered_commands:
        name = command.name or command.callback.__name__
        assert name in shown
        done = CliRunner().invoke(app, [name, "-h"])
        assert done.exit_code == 0
        assert command.callback.__doc__.split(".")[0].split()[0] in done.output


@pytest.mark.parametrize("what", ["bases", "subsets", "selectors", "methods", "tracks"])
def test_lists(call, what):
    rows = json.loads(call("list", what, "--json").output)
    table = call("list", what).output
    for row in rows:
        assert str(next(iter(row.values()))) in table
    assert len(rows) >= 2


def test_show_method(call):
    rows = json.loads(call("list", "methods", "--show", "simclr", "--json").output)
    settings = {row["setting"]: row["value"] for row in rows}
    assert settings["lr"] == "required"
    assert settings["temperature"] == "0.5"


def test_from_base_to_shards(call, tmp_path):
    assert "1201 train, 596 test" in call("base", "digits").output
    made = call("build", "digits", "class-balanced", "--count", 30, "--name", "mine", "--seed", 3)
    assert "subsets/digits/mine/v1.json: 30 samples" in made.output
    call("build", "digits", "every-kth-class", "--classes", 3, "--name", "kth", "--set", "offset=1")
    done = call("shards", "digits/mine", "digits/kth@1", "--out", "out")
    assert "mine: 30 train, 596 test samples" in done.output
    assert 'load_dataset("out", "mine", split="train")' in done.output
    assert call("check", "subsets", "out").output == "no problems\n"


def test_check_lists_every_problem(call, tmp_path):
    call("build", "digits", "uniform", "--count", 30, "--name", "one")
    call("build", "digits", "uniform-classes", "--classes", 3, "--name", "two")
    for name in ("one", "two"):
        file = tmp_path / f"subsets/digits/{name}/v1.json"
        file.write_text(file.read_text().replace('"seed": 0', '"seed": 1'))
    (tmp_path / "subsets/results.jsonl").write_text('{"half')
    done = call("check", "subsets", "nowhere", "--json")
    assert done.exit_code == 1
    problems = json.loads(done.output)
    assert len(problems) == 4
    assert sum("digest" in problem for problem in problems) == 2
    assert sum("half-written" in problem for problem in problems) == 1
    assert "nowhere: there is no such file or folder" in problems


@pytest.mark.slow
def test_check_takes_a_whole_folder_with_a_site_in_it(call, tmp_path):
    call("build", "digits", "uniform", "--count", 30, "--name", "one")
    call("site", "build", "--out", "subsets/site")
    assert call("check", ".").output == "no problems\n"


def test_check_wants_something_to_check(call, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "holds no base, manifest" in call("check", "empty").output
    (tmp_path / "odd.json").write_text("[]")
    assert call("check", "odd.json").exit_code == 1


def test_score_prints_a_table_and_json(call):
    table = call("score", "cifar100-supervised-16px").output
    found = json.loads(call("score", "cifar100-supervised-16px", "--json").output)
    for entry in found["subsets"]:
        assert f"{entry['subset']}@1" in table
        assert f"{entry['fidelity']['tau']:.2f}" in table


@pytest.mark.slow
def test_site_build_and_check(call, tmp_path):
    assert "site/index.html" in call("site", "build", "--out", "site").output
    assert call("site", "check", "--out", "site").output == "current\n"
    (tmp_path / "site/index.html").write_text("stale")
    done = call("site", "check", "--out", "site")
    assert done.exit_code == 1
    assert "index.html" in done.output


@pytest.mark.slow
def test_the_committed_site_is_current():
    from lotterybench.paths import data_root
    from lotterybench.publication import stale_files

    assert stale_files(None, data_root() / "site" / "public") == []
