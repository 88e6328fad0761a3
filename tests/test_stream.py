"""Streams from tars: every sample once, for any number of processes and workers, and repeatably."""

import io
import itertools
import shutil
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image
from toys import toy_images

from lotterybench.errors import BadShards
from lotterybench.methods import Task, method
from lotterybench.methods.base.data import Resident, Share, batch_sizes
from lotterybench.methods.base.loop import Engine, train
from lotterybench.methods.base.stream import Streamed, Tar, decoded
from lotterybench.shards.members import write_tar
from lotterybench.shards.png import encode

pytestmark = pytest.mark.filterwarnings("ignore:This process .* multi-threaded:DeprecationWarning")
CPU = torch.device("cpu")
LENGTHS = (50, 7, 50, 1, 30, 50, 19)  # samples of the tars
COUNT = sum(LENGTHS)


@pytest.fixture(scope="module")
def images():
    """Random images and labels; the sample at place i is named by the position 3 i + 5."""
    return toy_images(COUNT)


@pytest.fixture(scope="module")
def folder(images, tmp_path_factory):
    out = tmp_path_factory.mktemp("tars")
    place = 0
    for number, length in enumerate(LENGTHS):
        members = []
        for at in range(place, place + length):
            members.append((f"{3 * at + 5:08d}.cls", str(images[1][at]).encode()))
            members.append((f"{3 * at + 5:08d}.png", encode(images[0][at])))
        write_tar(out / f"{number}.tar", members)
        place += length
    return out


@pytest.fixture
def stream(folder):
    def make(workers=0, lengths=LENGTHS, where=folder, buffer=8 * 8 * 3 * 64 * 3):
        tars = tuple(Tar(where / f"{i}.tar", length) for i, length in enumerate(lengths))
        return Streamed(tars, "png", "RGB", 8, CPU, workers, buffer)

    return make


def order(seed=0):
    return torch.Generator().manual_seed(seed)


def epochs(data, share=None, batch=24, skip=0, several=1, seed=0):
    """Return the batches of each of several epochs."""
    shuffle = order(seed)
    return [
        list(data.epoch(number, batch, shuffle, share or Share(), skip))
        for number in range(several)
    ]


def same(left, right):
    """Say whether two lists of batches hold the same in the same order."""
    return len(left) == len(right) and all(
        whole == other_whole and all(map(torch.equal, parts, others))
        for (*parts, whole), (*others, other_whole) in zip(left, right, strict=True)
    )


@pytest.fixture(scope="module")
def alone(folder):
    """Two epochs read by one process without workers."""
    tars = tuple(Tar(folder / f"{i}.tar", length) for i, length in enumerate(LENGTHS))
    return epochs(Streamed(tars, "png", "RGB", 8, CPU, 0, 8 * 8 * 3 * 64 * 3), several=2)


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_sample_once_an_epoch(stream, images, alone, world, workers):
    ranks = [epochs(stream(workers), Share(rank, world), several=2) for rank in range(world)]
    pixels, labels = (torch.from_numpy(part) for part in images)
    sizes = batch_sizes(COUNT, 24)
    for number in range(2):
        seen = []
        for batches, rank in zip((r[number] for r in ranks), range(world), strict=True):
            assert [whole for *_, whole in batches] == sizes
            for found, names, rows, whole in batches:
                part = Share(rank, world).of(whole)
                assert len(found) == len(names) == len(rows) == part.stop - part.start
                assert found.dtype == torch.uint8 and rows.dtype == names.dtype == torch.int64
                place = (rows - 5) // 3
                assert torch.equal(found, pixels[place].permute(0, 3, 1, 2))
                assert torch.equal(names, labels[place])
                seen += rows.tolist()
        assert sorted(seen) == [3 * at + 5 for at in range(COUNT)]
        if world != 3:  # what divides 8 leaves every batch as it is
            whole = [
                [torch.cat(parts) for parts in zip(*(part[:3] for part in batch), strict=True)]
                for batch in zip(*(r[number] for r in ranks), strict=True)
            ]
            assert all(
                all(map(torch.equal, mine, theirs[:3]))
                for mine, theirs in zip(whole, alone[number], strict=True)
            )


def test_fewer_tars_than_readers(stream):
    """Seven samples in one tar, read by 3 processes of 2 workers each."""
    few = stream(2)
    few = Streamed(few.tars[1:2], "png", "RGB", 8, CPU, 2)
    for world in (1, 2, 3):
        ranks = [epochs(few, Share(rank, world), batch=3)[0] for rank in range(world)]
        assert sorted(torch.cat([b[2] for r in ranks for b in r]).tolist()) == list(
            range(155, 176, 3)
        )


def test_epochs_are_shuffled_anew_and_repeat(stream, alone):
    first, second = ([row for _, _, rows, _ in epoch for row in rows.tolist()] for epoch in alone)
    assert first != second
    for rows in (first, second):  # not in the order of the tars
        assert abs(np.corrcoef(np.arange(COUNT), rows)[0, 1]) < 0.5
    together = [
        {pair for batch in epoch for pair in itertools.combinations(sorted(batch[2].tolist()), 2)}
        for epoch in alone
    ]
    # Chance is .12; lanes of 3 or 4 neighbours, as 207 samples make them, allow no better.
    assert len(together[0] & together[1]) / len(together[0]) < 0.25
    assert all(map(same, epochs(stream(), several=2), alone))
    assert not same(epochs(stream(), seed=1)[0], alone[0])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("skip", [1, 5, 8])
def test_a_resumed_epoch_goes_on(stream, alone, workers, skip):
    data = stream(workers)
    assert same(epochs(data, skip=skip)[0], alone[0][skip:])
    assert same(epochs(data)[0], alone[0])  # and lasting workers begin anew


def test_what_is_skipped_is_not_decoded(stream, monkeypatch):
    from lotterybench.methods.base import stream as module

    data, calls = stream(), []
    monkeypatch.setattr(module, "decoded", lambda *a: calls.append(1) or decoded(*a))
    rest = epochs(data, skip=7)[0]
    assert len(calls) == sum(len(rows) for _, _, rows, _ in rest) < COUNT / 4


def test_the_buffer_is_bounded(stream, monkeypatch):
    """At no time do more images wait than the buffer has room for, beside a batch."""
    from lotterybench.methods.base import stream as module

    made = []
    monkeypatch.setattr(module, "decoded", lambda *a: made.append(1) or decoded(*a))
    given, most = 0, 0
    for _, _, rows, _ in stream(buffer=3 * 64 * 192).epoch(0, 8, order(), Share(), 0):
        given += len(rows)
        most = max(most, len(made) - given)
    assert 0 < most <= 3 * 64


@pytest.mark.parametrize("workers", [0, 2])
def test_a_pass_gives_every_sample_once(stream, images, workers):
    rows = torch.cat([rows for _, _, rows in stream(workers).once()])
    assert rows.sort().values.tolist() == [3 * at + 5 for at in range(COUNT)]
    found, labels, rows = next(stream(0).once())
    place = (rows - 5) // 3
    assert torch.equal(found, torch.from_numpy(images[0])[place].permute(0, 3, 1, 2))
    assert torch.equal(labels, torch.from_numpy(images[1])[place])


def test_held_in_memory_it_is_the_resident_base(stream, images):
    held = stream().held()
    rows = torch.arange(5, 3 * COUNT + 5, 3)
    pixels = torch.zeros(3 * COUNT + 5, 3, 8, 8, dtype=torch.uint8)
    labels = torch.zeros(3 * COUNT + 5).long()
    pixels[rows], labels[rows] = (
        torch.from_numpy(images[0]).permute(0, 3, 1, 2), torch.from_numpy(images[1])
    )  # fmt: skip
    resident = Resident(pixels, labels, rows)
    assert same(epochs(held, several=1)[0], epochs(resident, several=1)[0])
    assert (held.count, held.shape) == (COUNT, (3, 8, 8))


def jpeg(width, height, mode="RGB"):
    """Return a smooth picture's file and its pixels."""
    ramp = np.linspace(0, 255, width)[None, :, None] * np.linspace(0.2, 1, height)[:, None, None]
    pixels = np.repeat(ramp, 3, 2).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "PNG")
    return buffer.getvalue(), pixels


@pytest.mark.parametrize(("width", "height"), [(90, 60), (60, 90), (33, 31), (20, 47), (61, 61)])
def test_any_size_becomes_square(width, height):
    """The middle is kept: against torch's anti-aliased bicubic of the shorter side, then a crop."""
    content, pixels = jpeg(width, height)
    got = torch.from_numpy(decoded(content, "RGB", 24)).float()
    scale = 24 / min(width, height)
    tall, wide = round(height * scale), round(width * scale)
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(pixels).permute(2, 0, 1)[None].float(), (tall, wide), mode="bicubic",
        antialias=True,
    )[0]  # fmt: skip
    top, left = (tall - 24) // 2, (wide - 24) // 2
    want = resized[:, top : top + 24, left : left + 24].clamp(0, 255)
    assert got.shape == (3, 24, 24)
    assert (got - want).abs().mean() < 3 and (got - want).abs().max() < 12


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_multiples_are_reduced_as_a_base_in_memory_is(factor):
    from lotterybench.kinds.data import reduced

    pixels = toy_images(20, side=8 * factor)[0]
    want = reduced(pixels, 8)
    for image, small in zip(pixels, want, strict=True):
        assert np.array_equal(decoded(encode(image), "RGB", 8), small.transpose(2, 0, 1))


def test_modes():
    content, pixels = jpeg(8, 8, "L")
    assert decoded(content, "L", 8).shape == (1, 8, 8)
    assert np.array_equal(decoded(content, "RGB", 8), pixels.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("damage", "workers"),
    [("truncated", 0), ("missing", 0), ("short", 0), ("no image", 2), ("short", 2)],
)
def test_a_damaged_tar_is_one_line(stream, folder, tmp_path, workers, damage):
    copy, lengths = shutil.copytree(folder, tmp_path / "copy"), LENGTHS
    tar = copy / "2.tar"
    if damage == "truncated":
        tar.write_bytes(tar.read_bytes()[:-30_000])
    elif damage == "missing":
        tar.unlink()
    elif damage == "no image":
        write_tar(tar, [(f"{i:08d}.{end}", b"1") for i in range(50) for end in ("cls", "png")])
    else:
        lengths = (*LENGTHS[:-1], 25)
    with pytest.raises(BadShards) as caught:
        epochs(stream(workers, lengths, copy))
    assert "\n" not in str(caught.value) and str(caught.value)


@pytest.mark.slow
def test_a_method_trains_on_a_stream_as_in_memory(stream, images):
    """Overfitting 207 images works as well from tars, and dropout's stream is not touched."""

    def trained(data, engine=None):
        task = Task(data, 3, True, "run")
        learner = method["supervised"](task, epochs=2, lr=0.01, backbone="mixer", batch=24)
        return train(task, learner, engine or Engine())

    pixels, labels = torch.from_numpy(images[0]).permute(0, 3, 1, 2), torch.from_numpy(images[1])
    held = trained(Resident(pixels.contiguous(), labels, torch.arange(COUNT)))
    streamed = [trained(stream(workers)) for workers in (0, 2)]
    assert streamed[0].curve == streamed[1].curve
    assert held.images_seen == streamed[0].images_seen
    assert held.curve[0].loss == pytest.approx(streamed[0].curve[0].loss, rel=0.1)


def test_tars_that_the_tests_write_are_webdataset(folder):
    with tarfile.open(folder / "1.tar") as tar:
        assert tar.getnames()[:2] == ["00000155.cls", "00000155.png"]


def track_of(base, probe, subsets=()):
    from lotterybench.trials import Configuration, Seeds, Track

    metric = "accuracy" if probe == "classifier" else "knn"
    return Track(
        schema_version=1, name="small", version=1, title="A small track", base=base, kind="ranking",
        probe=probe, metric=metric, seeds=Seeds(full=1, subset=1), subsets=list(subsets),
        configurations=[
            Configuration(
                name=name, family=f"supervised/{name}", method="supervised",
                config={"backbone": name, "lr": 0.005, "epochs": 1},
            )
            for name in ("vit", "mixer")
        ],
    )  # fmt: skip


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Shards of all of digits and of two subsets, in a home of their own."""
    from lotterybench.build import build_subset, save_subset
    from lotterybench.records import Budget
    from lotterybench.shards import write_shards

    home = tmp_path_factory.mktemp("digits")
    patch = pytest.MonkeyPatch()
    patch.setenv("LOTTERYBENCH_SUBSETS", str(home / "subsets"))
    made = build_subset("digits", "uniform", Budget(fraction=1.0), name="uniform-100pct")
    save_subset(*made, home / "subsets")
    refs = ["digits/uniform-10pct@1", "digits/uniform-5-classes@1"]
    write_shards(["digits/uniform-100pct", *refs], home / "shards")
    yield home / "shards", refs
    patch.undo()


@pytest.mark.parametrize("probe", ["classifier", "frozen"])
@pytest.mark.slow
def test_runs_from_shards_are_those_in_memory(shards, tmp_path, probe):
    """Full data, a sample and a class list: a set that memory holds gives the same numbers."""
    from lotterybench.kinds import Conduct, execute
    from lotterybench.run import plan
    from lotterybench.trials import WITHIN

    folder, refs = shards
    arms = plan(track_of("digits", probe, refs), tmp_path, subsets=refs, only=["vit"], seeds=1)
    runs = [run for arm in arms for run in arm.runs]
    assert len(runs) == 3
    for held, streamed in zip(
        execute(runs, "cpu"), execute(runs, "cpu", Conduct(shards=folder)), strict=True
    ):
        assert held.result.status == streamed.result.status == "ok", streamed.result.reason
        assert held.curve == streamed.curve
        assert set(held.result.metrics) - set(streamed.result.metrics) <= {WITHIN}  # is of items
        for name, value in held.result.metrics.items():
            if name == WITHIN:
                continue
            assert streamed.result.metrics[name] == pytest.approx(value, abs=1e-3)


@pytest.mark.slow
def test_folders_that_do_not_fit_are_refused(shards, tmp_path, toy):
    from lotterybench.kinds.streaming import Folder
    from lotterybench.manifests import find_base, load_subset_manifest
    from lotterybench.run import plan

    folder, _ = shards
    base, _ = find_base("digits")
    with pytest.raises(BadShards, match="no finished shards"):
        Folder(tmp_path, base)
    with pytest.raises(BadShards, match="another base than toy"):
        Folder(folder, find_base("toy")[0])
    copy = shutil.copytree(folder, tmp_path / "copy")
    next(copy.glob("data/test/*.tar")).unlink()
    with pytest.raises(BadShards, match="missing or truncated"):
        Folder(copy, base)
    subset, _ = load_subset_manifest("digits/class-balanced-25pct@1")
    run = plan(track_of("digits", "frozen"), tmp_path, subsets=[subset.ref], full=False)[0].runs[0]
    with pytest.raises(BadShards, match=r"no shards of digits/class-balanced-25pct@1"):
        Folder(folder, base).of(run)
    index = Folder(folder, base)
    index.index = index.index.model_copy(update={"configs": index.index.configs[:1]})
    with pytest.raises(BadShards, match=r"no shards of all of digits: .*--fraction 1\.0"):
        index.whole()
