"""Sealed releases: no image in them, and the same tars from whoever's copy of the base."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import tarfile
import time

import pytest
import yaml
from hub_double import WRITER
from photos import REFS, pin_photos
from releases import REPO, V1, content, inside
from typer.testing import CliRunner

from lotterybench.cli import app
from lotterybench.errors import BadData, BadRequest, BadShards, LotteryBenchError
from lotterybench.hub import publish
from lotterybench.keyrings import file_key, short
from lotterybench.manifests import load_keyring
from lotterybench.shards import ShardIndex, materialise, shard_problems, write_shards


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A toy base of photographs, a folder of its shards and a sealed one."""
    root = tmp_path_factory.mktemp("photos")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOTTERYBENCH_DATA", str(root / "data"))
        patch.setenv("LOTTERYBENCH_SUBSETS", str(root / "subsets"))
        pin_photos(root)
        write_shards(REFS, root / "open", per_shard=5)
        write_shards(REFS, root / "sealed", per_shard=5, seal=True)
    return root


@pytest.fixture
def user(made, tmp_path, monkeypatch):
    """A user with a copy of the base and of the sealed folder, who pinned nothing."""
    shutil.copytree(made / "data", tmp_path / "data")
    shutil.copytree(made / "sealed", tmp_path / "sealed")
    monkeypatch.setenv("LOTTERYBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("LOTTERYBENCH_SUBSETS", raising=False)
    return tmp_path


def needed(made):
    """Return the training files of the copy that a subset needs, and one that none needs."""
    ring = load_keyring("photos").keys["train"].tolist()
    index = ShardIndex.read((made / "sealed/shards.json").read_bytes(), "")
    assert {config.name for config in index.configs} == {"few", "half", "pets"}
    held = set()
    for file in (made / "open").rglob("train-*.tar"):
        with tarfile.open(file) as tar:
            held |= {ring[int(name[:8])] for name in tar.getnames()}
    files = sorted((made / "data/photos/train").rglob("*.JPEG"))
    keys = {file: int(short([file_key(file.read_bytes())])[0]) for file in files}
    return [f for f in files if keys[f] in held], [f for f in files if keys[f] not in held]


@pytest.fixture
def split_files(made, monkeypatch):
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(made / "subsets"))
    used, spare = needed(made)
    monkeypatch.delenv("LOTTERYBENCH_SUBSETS")
    assert used and spare
    root = made / "data"
    return [f.relative_to(root) for f in used], [f.relative_to(root) for f in spare]


def test_a_sealed_folder_holds_no_image(made):
    files = inside(made / "sealed")
    opened = inside(made / "open")
    assert not any(b"\xff\xd8\xff" in body for body in files.values())
    assert set(files) == {p for p in opened if p.startswith("manifests/")} | {
        "README.md", "shards.json",
    }  # fmt: skip
    ours, theirs = (json.loads(f["shards.json"])["configs"] for f in (files, opened))
    assert ours == theirs  # path, samples, bytes and sha256 of every tar
    assert shard_problems(made / "sealed") == []


def test_its_card_names_no_config_and_says_what_to_do(made):
    text = (made / "sealed/README.md").read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    assert not {"configs", "dataset_info"} & set(front)
    assert front["viewer"] is False
    assert "lotterybench materialise" in text and "{{" not in text and "None" not in text


@pytest.mark.parametrize("config", [None, "few", "pets"])
def test_nothing_loads_by_mistake(made, config):
    """Keys and positions are Parquet, manifests JSON: neither is taken for the data."""
    from datasets import load_dataset

    with pytest.raises(Exception, match=r"few|pets|generating|data files"):
        load_dataset(str(made / "sealed"), config)


def test_the_tars_are_those_that_were_sealed(made, user):
    from datasets import load_dataset

    out = user / "out"
    materialise(user / "sealed", out)
    assert inside(out) == inside(made / "open")
    assert shard_problems(out) == []
    data = load_dataset(str(out), "pets", split="train")
    assert len(data) == 24 and data.features["cls"].names == ["bird", "cat"]
    assert {image.size for image in data["jpg"]} > {data[0]["jpg"].size}  # of several sizes


def test_order_names_and_spare_images_do_not_matter(made, user, split_files):
    _, spare = split_files
    folder = user / "data/photos"
    (user / "data" / spare[0]).write_bytes(b"\xff\xd8\xff another image, which no subset needs")
    for number, file in enumerate(sorted(folder.rglob("*.JPEG"))):
        digest = hashlib.sha256(str(number).encode()).hexdigest()[:12]
        file.rename(file.with_name(f"{digest}.jpeg"))
    some = next((folder / "test/cat").iterdir())
    shutil.copy(some, folder / "train/cat/extra.jpg")
    shutil.move(next((folder / "train/bird").iterdir()), folder / "train/dog/moved.jpg")
    materialise(user / "sealed", user / "out")
    assert inside(user / "out") == inside(made / "open")


@pytest.mark.parametrize("how", ["replaced", "missing"])
def test_a_sample_that_differs_is_named(made, user, split_files, how):
    used, _ = split_files
    file = user / "data" / used[3]
    key = int(short([file_key(file.read_bytes())])[0])
    if how == "replaced":
        file.write_bytes(file.read_bytes() + b"\0")
    else:
        file.unlink()
    with pytest.raises(BadData, match="copy of photos at hand lacks 1 of") as caught:
        materialise(user / "sealed", user / "out")
    line = str(caught.value)
    assert f"key {key:016x}, {used[3].parent.name})" in line
    named = f"not of photos: {used[3].parent.name}/{used[3].name}"
    assert line.endswith(named) if how == "replaced" else "not of photos" not in line
    assert "\n" not in line and str(user) not in line
    assert not list((user / "out").rglob("train-*.tar"))
    shutil.copy(made / "data" / used[3], file)
    materialise(user / "sealed", user / "out")
    assert inside(user / "out") == inside(made / "open")


def test_tars_that_are_there_are_kept(made, user):
    out = user / "out"
    materialise(user / "sealed", out)
    tars = sorted(out.rglob("*.tar"))
    tars[0].write_bytes(b"half")
    tars[1].unlink()
    stamps = {tar: tar.stat().st_mtime_ns for tar in tars[2:]}
    materialise(user / "sealed", out)
    assert inside(out) == inside(made / "open")
    assert {tar: tar.stat().st_mtime_ns for tar in tars[2:]} == stamps
    shutil.rmtree(user / "data")
    materialise(user / "sealed", out)  # with all there, no copy is asked for
    assert inside(out) == inside(made / "open")


@pytest.mark.slow
def test_after_a_kill_the_same_bytes(made, user):
    """The process is killed once the first tar lies there; each takes a tenth of a second."""
    code = (
        "import time\n"
        "from lotterybench.shards import materialise as m\n"
        "write = m.__globals__['_write']\n"
        "def slow(*arguments):\n"
        "    write(*arguments)\n"
        "    time.sleep(0.1)\n"
        "m.__globals__['_write'] = slow\n"
        "import sys; from pathlib import Path\n"
        "m(Path(sys.argv[1]), Path(sys.argv[2]))\n"
    )
    out = user / "out"
    run = subprocess.Popen([sys.executable, "-c", code, str(user / "sealed"), str(out)])
    while not list(out.rglob("*.tar")) and run.poll() is None:
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    run.wait()
    there = {tar: tar.stat().st_mtime_ns for tar in out.rglob("[!.]*.tar")}
    assert there and len(there) < len(list((made / "open").rglob("*.tar")))
    assert shard_problems(out) == ["the shards are unfinished: repeat the command that wrote them"]
    (out / "data/.train-00000.tar.x1y2").write_bytes(b"a draft that a kill leaves")
    materialise(user / "sealed", out)
    assert inside(out) == inside(made / "open")
    assert {tar: tar.stat().st_mtime_ns for tar in there} == there


# What is refused.


def forged(folder, change):
    index = json.loads((folder / "shards.json").read_text())
    change(index)
    (folder / "shards.json").write_text(json.dumps(index))


def test_a_sealed_index_that_is_wrong_is_told(user):
    def change(index):
        for config in index["configs"]:
            for shard in config["shards"]["test"]:
                shard["sha256"] = "0" * 64

    forged(user / "sealed", change)
    with pytest.raises(BadShards, match=r"test-00000.tar comes out otherwise than the sealed"):
        materialise(user / "sealed", user / "out")
    assert not list((user / "out").rglob("test-*.tar"))


def test_a_sealed_index_with_other_counts_is_a_problem(user):
    def change(index):
        config = next(c for c in index["configs"] if c["name"] == "pets")
        config["shards"]["train"].pop()

    forged(user / "sealed", change)
    [problem] = shard_problems(user / "sealed")
    assert problem == "pets: train has 20 samples, not 24"
    with pytest.raises(BadShards, match="pets: train has 20 samples"):
        materialise(user / "sealed", user / "out")
    assert not (user / "out").exists()


def test_a_changed_manifest_is_a_problem(user):
    file = user / "sealed/manifests/photos/few/v1.json"
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(BadShards, match=r"few/v1\.json was changed"):
        materialise(user / "sealed", user / "out")


def test_where_it_is_written(made, user):
    with pytest.raises(BadRequest, match="give another --out"):
        materialise(user / "sealed", user / "sealed")
    (user / "thesis").mkdir()
    (user / "thesis/thesis.tex").write_text("precious")
    with pytest.raises(BadRequest, match="holds other files than shards"):
        materialise(user / "sealed", user / "thesis")
    assert inside(user / "thesis") == {"thesis.tex": b"precious"}
    with pytest.raises(BadRequest, match="is not sealed: its tars are there"):
        materialise(made / "open", user / "out")
    with pytest.raises(BadRequest, match=r"there is no shards.json in"):
        materialise(user / "thesis", user / "out")


def test_a_folder_may_be_sealed_and_opened_again(made, tmp_path, monkeypatch):
    """Nothing of one is left in the other."""
    monkeypatch.setenv("LOTTERYBENCH_DATA", str(made / "data"))
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(made / "subsets"))
    for seal in (False, True, False):
        write_shards(REFS, tmp_path / "out", per_shard=5, seal=seal)
        assert inside(tmp_path / "out") == inside(made / ("sealed" if seal else "open"))


# On the Hub.


def test_shards_of_a_sealed_base_are_not_published(hub, repo, made):
    with pytest.raises(BadRequest, match="images of photos may not be published"):
        publish(made / "open", REPO, V1, token=WRITER)
    assert hub.lines == []


def test_from_a_release(hub, repo, made, user):
    publish(made / "sealed", REPO, V1, token=WRITER)
    assert content(hub, repo.find(V1).tree) == inside(made / "sealed")
    run = CliRunner().invoke(app, ["materialise", f"{REPO}@{V1}", "--out", str(user / "out")])
    assert run.exit_code == 0, run.output
    assert "as the sealed release says" in run.output
    assert inside(user / "out") == inside(made / "open")


@pytest.mark.parametrize("source", ["nowhere", "org/bench", "org/bench@v9.9.9", "org/bench@main"])
def test_no_such_release(hub, repo, user, source):
    run = CliRunner().invoke(app, ["materialise", source, "--out", str(user / "out")])
    assert isinstance(run.exception, LotteryBenchError)
    assert str(run.exception).count("\n") == 0 and not (user / "out").exists()


def test_a_release_with_tars_is_not_downloaded(hub, repo, folders, user):
    publish(folders[0], REPO, V1, token=WRITER)
    hub.forget()
    run = CliRunner().invoke(app, ["materialise", f"{REPO}@{V1}", "--out", str(user / "out")])
    assert "is not sealed" in str(run.exception)
    assert not any(".tar" in line for line in hub.lines)


def test_a_pixel_base_can_be_sealed_too(tmp_path):
    """By the commands, as the how-to tells."""
    sealed, made, opened = (str(tmp_path / name) for name in ("sealed", "made", "open"))
    for arguments in (
        ["shards", "digits/uniform-10pct", "--seal", "--out", sealed],
        ["materialise", sealed, "--out", made],
        ["shards", "digits/uniform-10pct", "--out", opened],
        ["check", sealed, made],
    ):
        run = CliRunner().invoke(app, arguments)
        assert run.exit_code == 0, run.output
    assert inside(tmp_path / "made") == inside(tmp_path / "open")
    assert not list((tmp_path / "sealed").rglob("*.tar"))
