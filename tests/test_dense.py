"""Dense tasks: scenes against what was pasted, losses and metrics against loops and COCO's code."""

import contextlib
import copy
import io

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import jaccard_score
from torch import nn
from torchvision.ops import box_iou, generalized_box_iou_loss, sigmoid_focal_loss

from lotterybench.errors import BadData, BadRequest
from lotterybench.methods import Task
from lotterybench.methods.base import Schedule
from lotterybench.methods.base.backbones import BACKBONES, build, dimension
from lotterybench.methods.base.data import Resident
from lotterybench.methods.base.dense import composed
from lotterybench.methods.base.dense.average_precision import (
    THRESHOLDS,
    ap50,
    average_precision,
    mean_iou,
    precisions,
)
from lotterybench.methods.base.dense.composed import compose
from lotterybench.methods.base.dense.detection import (
    Detections,
    assigned,
    decoded,
    detect,
    detection,
    detection_loss,
    middles,
)
from lotterybench.methods.base.dense.grids import channels_of, evaluating, grid_of
from lotterybench.methods.base.dense.scenes import (
    IGNORED,
    NONE,
    Scenes,
    mirrored,
    mirrored_boxes,
)
from lotterybench.methods.base.dense.segmentation import segment, segmentation, segmentation_loss
from lotterybench.methods.base.dense.voc import CLASSES, voc_boxes, voc_masks
from lotterybench.methods.base.loop import Engine, train

# Constant images whose value tells their row; no background is as bright, or as far from grey.
GREY = torch.arange(200, 250, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
PURPLE = torch.full((50, 3, 32, 32), 255, dtype=torch.uint8)
PURPLE[:, 1] = torch.arange(50, dtype=torch.uint8).view(-1, 1, 1)
ROWS = torch.arange(50)


pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]


def made(images=GREY, labels=ROWS, rows=ROWS, *, count=40, seed=0, **settings):
    noise = np.random.default_rng(seed)
    return compose(images, labels, rows, count=count, generator=noise, **settings)


def told(images):
    """The class of every pixel, as the pixels of `GREY` and `PURPLE` tell it."""
    if images.shape[1] == 1:
        grey = images[:, 0].int()
        return torch.where(grey >= 200, grey - 199, 0)
    red, green, blue = images.int().unbind(1)
    return torch.where((red == 255) & (blue == 255) & (green < 50), green + 1, 0)


def tight(mask):
    down, along = np.nonzero(mask.numpy())
    return [along.min(), down.min(), along.max() + 1, down.max() + 1]


@pytest.mark.parametrize("side", [16, 32, 45])
@pytest.mark.parametrize("images", [GREY, PURPLE], ids=["grey", "coloured"])
def test_masks_and_boxes_are_exactly_what_is_visible(images, side):
    found = made(images, side=side)
    assert found.images.shape == (40, images.shape[1], side, side)
    assert found.images.dtype == found.masks.dtype == torch.uint8
    assert torch.equal(found.masks.int(), told(found.images))
    assert torch.equal(found.rows, found.labels)  # the base has a class for each row
    assert not found.difficult.any()
    for mask, boxes, labels in zip(found.masks, found.boxes, found.labels, strict=True):
        there = labels[labels != NONE]
        assert len(there) >= 1 and (labels[: len(there)] != NONE).all()
        assert set(mask.unique().tolist()) - {0} == {1 + label for label in there.tolist()}
        assert not boxes[len(there) :].any()
        for box, label in zip(boxes, there, strict=False):
            if (there == label).sum() == 1:
                assert box.tolist() == tight(mask == 1 + label)


def test_scenes_vary_in_number_size_and_overlap():
    found = made(count=200)
    counts = (found.labels != NONE).sum(1)
    assert set(counts.tolist()) == {1, 2, 3}
    alone = (found.boxes[..., 2] - found.boxes[..., 0])[counts == 1, 0]
    assert set(alone.tolist()) == set(range(8, 17))


@pytest.mark.parametrize("images", [GREY, PURPLE], ids=["grey", "coloured"])
def test_at_least_half_of_every_object_is_visible(images, monkeypatch):
    """All objects are squares of 16 pixels, so what is missing of one is hidden."""
    monkeypatch.setattr(composed, "SHAPES", {"square": lambda x, y: (x + y) < 9})
    found = made(images, count=300, scales=(1, 1))
    seen = [
        int((mask == 1 + label).sum())
        for mask, labels in zip(found.masks, found.labels, strict=True)
        for label in labels[labels != NONE]
        if (labels == label).sum() == 1
    ]
    assert min(seen) >= 128 and max(seen) == 256
    assert len([count for count in seen if count < 256]) > 20


def test_photographs_are_cut_to_shapes_that_are_not_their_boxes():
    found = made(PURPLE, count=300, most=1, scales=(1, 1))
    pixels = (found.masks > 0).sum((1, 2))
    sides = found.boxes[:, 0, 2:] - found.boxes[:, 0, :2]
    assert len(pixels.unique()) == 4 and pixels.min() >= 100
    assert (pixels < sides.prod(1)).all() and sides.min() >= 14 and sides.max() == 16


def test_digits_are_their_bright_pixels(digits):
    images, labels = digits
    found = made(images, labels, torch.arange(300), count=300, most=1, scales=(0.5, 0.5))
    for scene in range(300):
        digit = images[found.rows[scene, 0], 0]
        bright = digit >= 3 / 8 * digit.max()
        left, top, right, bottom = tight(bright)
        bright, digit = bright[top:bottom, left:right], digit[top:bottom, left:right]
        x, y, x_end, y_end = found.boxes[scene, 0].int().tolist()
        mask = found.masks[scene, y:y_end, x:x_end]
        assert torch.equal(mask > 0, bright)
        assert (mask[bright] == 1 + labels[found.rows[scene, 0]]).all()
        assert torch.equal(found.images[scene, 0, y:y_end, x:x_end][bright], digit[bright])


def test_equal_generators_give_equal_bytes(digits):
    for images in (digits[0][:50], PURPLE):
        one, two, other = made(images), made(images), made(images, seed=1)
        for name in Scenes.__dataclass_fields__:
            assert torch.equal(getattr(one, name), getattr(two, name))
        assert not torch.equal(one.images, other.images)


def test_rows_are_used_in_turn_and_no_others_are():
    rows = torch.arange(3, 20, 2)
    found = made(rows=rows, count=3 * len(rows), most=1)
    assert found.rows.flatten().bincount(minlength=50).tolist() == [
        3 * (row in rows.tolist()) for row in range(50)
    ]
    halves = [made(rows=ROWS[start::2]).rows for start in (0, 1)]
    one, two = (set(half[half != NONE].tolist()) for half in halves)
    assert one and two and not one & two


@pytest.mark.parametrize(("size", "side"), [(32, 16), (32, 13), (8, 5), (16, 16), (9, 8)])
def test_shrinking_is_the_mean_by_area(size, side):
    image = np.random.default_rng(0).integers(0, 256, (3, size, size), dtype=np.uint8)
    fine = image.repeat(side, 1).repeat(side, 2).astype(int)
    sums = fine.reshape(3, side, size, side, size).sum((2, 4))
    assert np.array_equal(composed._resized(image, side), (2 * sums + size**2) // (2 * size**2))


@pytest.mark.parametrize(("size", "side"), [(8, 11), (8, 16), (16, 32), (7, 8)])
def test_growing_takes_the_nearest_pixel(size, side):
    image = np.random.default_rng(0).integers(0, 256, (3, size, size), dtype=np.uint8)
    want = nn.functional.interpolate(torch.from_numpy(image)[None], side, mode="nearest-exact")
    assert np.array_equal(composed._resized(image, side), want[0].numpy())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"images": GREY.float()}, "not uint8"),
        ({"images": GREY[:, :, :4]}, "not uint8"),
        ({"images": GREY.expand(-1, 2, -1, -1)}, "2 channels"),
        ({"labels": ROWS[:4]}, "4 labels of 50 images"),
        ({"labels": ROWS + 230}, "classes 0 to 253"),
        ({"labels": ROWS - 1}, "classes 0 to 253"),
        ({"rows": ROWS[:0]}, "0 to 49"),
        ({"rows": ROWS + 1}, "0 to 49"),
        ({"rows": ROWS - 1}, "0 to 49"),
        ({"count": 0}, "0 scenes"),
        ({"most": 0}, "up to 0"),
        ({"most": 10}, "up to 10"),
        ({"side": 12}, "12 pixels"),
        ({"scales": (1.0, 0.5)}, "scales"),
        ({"scales": (0.1, 0.5)}, "scales"),
        ({"images": torch.zeros(50, 1, 8, 8, dtype=torch.uint8)}, "no bright pixel"),
    ],
)
def test_what_cannot_be_composed_is_refused(changes, says):
    with pytest.raises(BadRequest, match=says):
        made(**changes)


def test_mirrored_boxes_are_those_of_mirrored_masks():
    found = made(PURPLE, count=60)
    chosen = torch.arange(60) % 3 == 0
    masks = mirrored(found.masks, chosen)
    boxes = mirrored_boxes(found.boxes, chosen, found.side)
    assert torch.equal(told(mirrored(found.images, chosen)), masks.int())
    assert torch.equal(masks[~chosen], found.masks[~chosen])
    for mask, places, labels in zip(masks, boxes, found.labels, strict=True):
        for place, label in zip(places, labels, strict=True):
            if label != NONE and (labels == label).sum() == 1:
                assert place.tolist() == tight(mask == 1 + label)


# PASCAL VOC


def annotation(objects):
    entries = "".join(
        f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>{box[0]}</xmin>"
        f"<ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox>"
        "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax>"
        "</bndbox></part></object>"
        for name, difficult, box in objects
    )
    return f"<annotation><size><width>40</width></size>{entries}</annotation>"


def devkit(root, year, kind, part, names, *, objects=(), mask=None):
    """Write images 40 pixels wide and 20 high, red on the left half and blue on the right."""
    place = root / "voc" / "VOCdevkit" / f"VOC{year}"
    folders = ("JPEGImages", "Annotations", "SegmentationClass", f"ImageSets/{kind}")
    for folder in folders:
        (place / folder).mkdir(parents=True, exist_ok=True)
    (place / f"ImageSets/{kind}/{part}.txt").write_text("".join(f"{name}\n" for name in names))
    picture = np.zeros((20, 40, 3), np.uint8)
    picture[:, :20, 0], picture[:, 20:, 2] = 255, 255
    for name in names:
        Image.fromarray(picture).save(place / f"JPEGImages/{name}.jpg", quality=95)
        (place / f"Annotations/{name}.xml").write_text(annotation(objects))
        if mask is not None:
            image = Image.fromarray(mask, "L").convert("P")
            image.putdata(mask.flatten().tolist())
            image.save(place / f"SegmentationClass/{name}.png")
    return place


@pytest.fixture
def voc(tmp_path, monkeypatch):
    monkeypatch.setenv("LOTTERYBENCH_DATA", str(tmp_path))
    cat, dog = ("cat", 0, (1, 1, 20, 20)), ("dog", 1, (21, 11, "40.0", 20))
    devkit(tmp_path, 2007, "Main", "trainval", ["000005", "000007"], objects=[cat, dog])
    devkit(tmp_path, 2007, "Main", "test", ["000001"], objects=[cat])
    devkit(tmp_path, 2012, "Main", "trainval", ["2008_000002"])
    mask = np.zeros((20, 40), np.uint8)
    mask[:, 10:20], mask[:, 20:30], mask[:, 30:] = 20, 255, 1
    devkit(tmp_path, 2012, "Segmentation", "train", ["2007_000032"], mask=mask)
    devkit(tmp_path, 2012, "Segmentation", "val", ["2007_000033"], mask=mask)
    return tmp_path


def test_voc_boxes_are_scaled_with_their_images(voc):
    found = voc_boxes("train", side=10)
    cat, dog = CLASSES.index("cat"), CLASSES.index("dog")
    assert found.images.shape == (3, 3, 10, 10)
    assert found.labels.tolist() == [[cat, dog], [cat, dog], [NONE, NONE]]
    assert found.boxes[0].tolist() == [[0, 0, 5, 10], [5, 5, 10, 10]]
    assert found.difficult.tolist() == [[False, True], [False, True], [False, False]]
    assert found.rows.tolist() == [[5, 5], [7, 7], [NONE, NONE]]
    assert (found.masks == IGNORED).all()
    left, right = found.images[0, :, 5, 1].int(), found.images[0, :, 5, 8].int()
    assert left[0] > 200 > 50 > left[2] and right[2] > 200 > 50 > right[0]
    assert voc_boxes("test", side=10).rows.tolist() == [[1]]


def test_the_outlines_of_voc_are_no_class(voc):
    """They were once read as the last class, tvmonitor: 255 − 1 clipped to 20."""
    found = voc_masks("train", side=20)
    want = [0] * 5 + [1 + CLASSES.index("tvmonitor")] * 5 + [IGNORED] * 5 + [1] * 5
    assert found.masks[0, 3].tolist() == want
    assert found.labels.shape == (1, 0)
    said = found.masks.clone()
    said[found.masks == IGNORED] = 20
    assert mean_iou(said, found.masks) == 100
    said[found.masks == 20] = 7
    assert mean_iou(said, found.masks) == pytest.approx(200 / 3)
    logits = torch.randn(1, 21, 20, 20, requires_grad=True)
    segmentation_loss(logits, found.masks).backward()
    assert not logits.grad[:, :, :, 10:15].any() and logits.grad[:, :, :, :10].all()
    assert len(voc_masks("test", side=20)) == 1


@pytest.mark.parametrize("read", [voc_boxes, voc_masks])
def test_a_missing_voc_says_where_it_is_looked_for(read, tmp_path, monkeypatch):
    monkeypatch.delenv("LOTTERYBENCH_DATA", raising=False)
    with pytest.raises(BadData, match=r"voc/VOCdevkit/VOC20.. inside LOTTERYBENCH_DATA"):
        read("train", side=16)
    monkeypatch.setenv("LOTTERYBENCH_DATA", str(tmp_path))
    with pytest.raises(BadData, match=f"{tmp_path}/voc/VOCdevkit/VOC20.., which is no folder"):
        read("train", side=16)


def test_a_damaged_voc_is_one_line(voc):
    place = voc / "voc" / "VOCdevkit" / "VOC2007"
    xml = place / "Annotations" / "000007.xml"
    for text, says in [
        ("<annotation><object>", "000007"),
        (annotation([("unicorn", 0, (1, 1, 2, 2))]), "000007.jpg is not VOC's"),
        (annotation([("cat", 0, (9, 1, 2, 2))]), "000007.jpg is not VOC's"),
        (annotation([("cat", 0, ("x", 1, 2, 2))]), "000007.jpg is not VOC's"),
        ("<annotation><object>cat</object></annotation>", "000007.jpg is not VOC's"),
    ]:
        xml.write_text(text)
        with pytest.raises(BadData, match=says) as caught:
            voc_boxes("train", side=16)
        assert "\n" not in str(caught.value)
    (place / "JPEGImages" / "000005.jpg").write_bytes(b"no image")
    with pytest.raises(BadData, match="000005"):
        voc_boxes("train", side=16)
    (place / "ImageSets" / "Main" / "trainval.txt").unlink()
    with pytest.raises(BadData, match="2007 trainval cannot be read"):
        voc_boxes("train", side=16)
    mask = voc / "voc/VOCdevkit/VOC2012/SegmentationClass/2007_000032.png"
    for wrong in (np.full((20, 40), 21, np.uint8), np.zeros((20, 40, 3), np.uint8)):
        Image.fromarray(wrong).save(mask)
        with pytest.raises(BadData, match="palette image"):
            voc_masks("train", side=16)


# Encoders and heads


def task(scenes, classes=50, *, mirror=False, run="one"):
    return Task(scenes.data(), classes, mirror, run)


QUICK = ("resnet8", "vit", "vit-tiny")  # a map, tokens, and tokens behind one of the class


@pytest.mark.parametrize(
    "name",
    [*QUICK, *(pytest.param(n, marks=pytest.mark.slow) for n in BACKBONES if n not in QUICK)],
)
def test_the_grid_is_the_encoders_own_its_channels_first(name):
    """Of every encoder a head reads a grid of cells, whichever way its own lies in memory."""
    scenes = made(count=2)
    encoder = build(name, in_chans=1, size=32, seed=0).eval()
    images = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        grid, raw = grid_of(encoder, images), encoder.forward_features(images)
    cells = grid.shape[-1]
    assert grid.shape == (2, channels_of(encoder, task(scenes)), cells, cells)
    before = raw.shape[1] - cells**2 if raw.ndim == 3 else 0  # tokens that are of no cell
    assert before == (name in ("vit-tiny", "xcit-nano"))
    assert grid[0].numel() == raw[0, before:].numel()
    assert grid[1, :, cells - 1, 0].tolist() in (
        [raw[1, -cells].tolist()] if raw.ndim == 3 else
        [raw[1, -1, 0].tolist(), raw[1, :, -1, 0].tolist()]
    )  # fmt: skip
    if name == "resnet8":
        torch.testing.assert_close(grid.mean((2, 3)), encoder(images))
        assert grid.shape[1] == dimension(encoder)


def learned(make, scenes, *, engine=None, run="one", mirror=False, **settings):
    small = {"epochs": 2, "lr": 0.05, "backbone": "resnet8", "batch": 16, "width": 0.5}
    of = task(scenes, mirror=mirror, run=run)
    learner = make(of, scenes, **small | settings)
    return learner, train(of, learner, engine)


def state(module):
    found = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return torch.cat([value.detach().double().flatten() for value in found.values()])


@pytest.mark.parametrize("make", [detection, segmentation])
def test_the_run_decides_it(make):
    scenes = made(PURPLE, side=16)
    (one, trained), (two, _), (other, _) = (
        learned(make, scenes, run=run, mirror=True) for run in ("one", "one", "two")
    )
    assert torch.equal(state(one.net), state(two.net))
    assert not torch.equal(state(one.net), state(other.net))
    assert trained.encoder is one.encoder is one.net[0]
    assert trained.classifier is one.classifier is one.net[1]
    assert isinstance(one.schedule, Schedule) and one.schedule.weight_decay == 5e-4


class Stop(Exception):
    """The interruption."""


@pytest.mark.parametrize("make", [detection, segmentation])
def test_stopped_it_ends_in_the_same_bits(make, tmp_path):
    scenes = made(PURPLE, side=16)
    straight, _ = learned(make, scenes, mirror=True)
    engine = Engine(checkpoint=tmp_path / "half", every=0)

    def stopping(*args, **settings):
        learner = make(*args, **settings)

        def loss(batch):
            if batch.step == 3:
                raise Stop
            return learner.loss(batch)

        return type(learner)(**(vars(learner) | {"loss": loss}))

    with pytest.raises(Stop):
        learned(stopping, scenes, engine=engine, mirror=True)
    resumed, _ = learned(make, scenes, engine=engine, mirror=True)
    assert torch.equal(state(straight.net), state(resumed.net))


@pytest.mark.parametrize("make", [detection, segmentation])
def test_targets_of_other_images_are_refused(make):
    scenes, other = made(), made(side=16, count=40)
    settings = {"epochs": 1, "lr": 0.1, "backbone": "resnet8"}
    with pytest.raises(BadRequest, match=r"\(1, 16, 16\), the task's images are \(1, 32, 32\)"):
        make(task(scenes), other, **settings)
    with pytest.raises(BadRequest, match="30 targets for 40 images"):
        make(task(scenes), made(count=30), **settings)
    highest = int(scenes.labels.max())
    with pytest.raises(BadRequest, match=f"class {highest}; the task's are 0 to {highest - 1}"):
        make(task(scenes, classes=highest), scenes, **settings)
    make(task(scenes, classes=highest + 1), scenes, **settings)


def test_targets_are_those_of_the_rows_trained_on():
    """Scenes outside the rows do not count; a row's targets go with it."""
    scenes = made(count=60, side=16)
    rows = torch.arange(10, 50)
    changed = copy.deepcopy(scenes)
    changed.boxes[:10] += 3
    changed.labels[50:] = 0
    changed.masks[50:] = 4
    for make in (detection, segmentation):
        ends = []
        for targets in (scenes, changed, made(count=60, side=16, seed=1)):
            data = Resident(scenes.images, torch.zeros(60, dtype=torch.long), rows)
            of = Task(data, 50, False, "one")
            learner = make(of, targets, epochs=1, lr=0.05, backbone="resnet8", width=0.5, batch=16)
            train(of, learner)
            ends.append(state(learner.net))
        assert torch.equal(ends[0], ends[1]) and not torch.equal(ends[0], ends[2])


# The loss of detection


def assigned_slowly(boxes, labels, cells, side):
    cell = side / cells
    chosen = []
    for row in range(cells):
        for column in range(cells):
            x, y = (column + 0.5) * cell, (row + 0.5) * cell
            able = []
            for number, (left, top, right, bottom) in enumerate(boxes):
                if labels[number] == NONE:
                    continue
                middle = (left + right) / 2, (top + bottom) / 2
                holds = (column, row) == tuple(min(int(m / cell), cells - 1) for m in middle)
                near = max(abs(x - middle[0]), abs(y - middle[1])) < 1.5 * cell
                inside = left < x < right and top < y < bottom
                if holds or (near and inside):
                    able.append((not holds, (right - left) * (bottom - top), number))
            chosen.append(min(able)[2] if able else NONE)
    return chosen


@pytest.mark.parametrize("cells", [4, 8, 11])
def test_cells_learn_the_objects_that_a_loop_gives_them(cells):
    scenes = made(PURPLE, count=30, most=5)
    found = assigned(scenes.boxes, scenes.labels, cells, 32)
    for row in range(30):
        want = assigned_slowly(scenes.boxes[row].tolist(), scenes.labels[row], cells, 32)
        assert found[row].tolist() == want


def test_every_object_is_learnt_however_thin():
    box = torch.tensor([[[3.0, 0, 5, 1], [31, 31, 32, 32], [0, 0, 32, 32]]])
    found = assigned(box, torch.zeros(1, 3, dtype=torch.long), 8, 32)
    assert set(found.unique().tolist()) == {NONE, 0, 1, 2}


def test_the_loss_is_that_of_a_loop():
    torch.manual_seed(0)
    scenes = made(PURPLE, count=12)
    said = torch.randn(12, 54, 8, 8)
    logits, boxes = decoded(said, 32)
    chosen = assigned(scenes.boxes, scenes.labels, 8, 32)
    want = 0.0
    for row in range(12):
        wanted, apart = torch.zeros(64, 50), 0.0
        for cell in range(64):
            number = chosen[row, cell]
            if number != NONE:
                wanted[cell, scenes.labels[row, number]] = 1
                apart += generalized_box_iou_loss(boxes[row, cell], scenes.boxes[row, number])
        learning = int((chosen[row] != NONE).sum())
        focal = sigmoid_focal_loss(logits[row], wanted, reduction="sum")
        want += (focal + apart) / learning / 12
    got = detection_loss(said, scenes.boxes, scenes.labels, 32)
    torch.testing.assert_close(got, want)
    parts = [
        detection_loss(said[part], scenes.boxes[part], scenes.labels[part], 32)
        for part in (slice(0, 3), slice(3, 12))
    ]
    torch.testing.assert_close(got, (3 * parts[0] + 9 * parts[1]) / 12)  # processes may share it


@pytest.mark.parametrize("most", [0, 2])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_scenes_without_objects_and_wild_nets_give_finite_gradients(most, scale):
    said = (scale * torch.randn(3, 9, 8, 8)).requires_grad_()
    labels = torch.full((3, most), NONE)
    boxes = torch.zeros(3, most, 4)
    if most:
        labels[0, 1], boxes[0, 1] = 4, torch.tensor([4.0, 4, 9, 9])
    detection_loss(said, boxes, labels, 32).backward()
    assert said.grad.isfinite().all() and said.grad.any()


class Says(nn.Module):
    """A head that says the same whatever it reads, and counts its calls in training mode."""

    def __init__(self, said):
        super().__init__()
        self.said, self.trained = said, 0

    def forward(self, grid):
        self.trained += self.training
        return self.said.expand(len(grid), -1, -1, -1)


class Sees(nn.Module):
    def forward_features(self, images):
        return images


def spoken(objects, classes=3, cells=8, side=32):
    """What a head says that has learnt (cell, box, class, score) perfectly."""
    said = torch.full((1, classes + 4, cells * cells), -20.0)
    middle, cell = middles(cells, side, torch.device("cpu")), side / cells
    for at, box, label, score in objects:
        box = torch.tensor(box)
        said[0, label, at] = torch.tensor(score).logit()
        said[0, -4:-2, at] = ((box[:2] + box[2:]) / 2 - middle[at]) / cell
        said[0, -2:, at] = ((box[2:] - box[:2]) / cell).log()
    return said.view(1, classes + 4, cells, cells)


def test_detections_are_the_boxes_said_without_their_doubles():
    one, near, far = [4.0, 4, 14, 14], [4.0, 4, 14, 15], [20.0, 20, 30, 26]
    head = Says(
        spoken([
            (9, one, 1, 0.9), (10, near, 1, 0.8), (11, near, 2, 0.7), (45, far, 1, 0.6),
            (50, far, 0, 0.04), (63, [28.0, 28, 40, 40], 0, 0.3),
        ])
    )  # fmt: skip
    images = torch.zeros(2, 1, 32, 32, dtype=torch.uint8)
    for found in detect(Sees(), head, images):
        assert found.labels.tolist() == [1, 2, 1, 0]
        torch.testing.assert_close(found.scores, torch.tensor([0.9, 0.7, 0.6, 0.3]))
        want = torch.tensor([one, near, far, [28, 28, 32, 32]])
        torch.testing.assert_close(found.boxes, want, atol=1e-4, rtol=0)
    assert len(detect(Sees(), head, images, surer=0.02)[0].scores) == 5
    assert len(detect(Sees(), head, images, apart=0.95)[0].scores) == 5
    assert detect(Sees(), head, images, most=2)[0].labels.tolist() == [1, 2]
    assert detect(Sees(), head, images[:0]) == []
    assert head.trained == 0 and head.training


def test_looking_changes_nothing():
    scenes = made()
    for make, look in ((detection, detect), (segmentation, segment)):
        learner = make(task(scenes), scenes, epochs=1, lr=0.1, backbone="resnet8")
        learner.net[0].stem.eval()
        before = state(learner.net), [part.training for part in learner.net.modules()]
        look(learner.encoder, learner.classifier, scenes.images)
        assert torch.equal(state(learner.net), before[0])
        assert [part.training for part in learner.net.modules()] == before[1]
    with pytest.raises(Stop), evaluating(learner.net):
        raise Stop
    assert learner.net.training


def test_segments_are_the_classes_most_likely():
    said = torch.zeros(1, 4, 8, 8)
    said[0, 2, :, :3], said[0, 3, 5:] = 5, 9
    found = segment(Sees(), Says(said), torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
    assert found.dtype == torch.uint8 and found.shape == (2, 8, 8)
    want = torch.zeros(8, 8)
    want[:, :3], want[5:] = 2, 3
    assert torch.equal(found[1].float(), want)


def test_images_without_a_known_pixel_teach_nothing():
    logits = torch.randn(2, 4, 8, 8, requires_grad=True)
    masks = torch.full((2, 8, 8), IGNORED, dtype=torch.uint8)
    masks[0] = 1
    loss = segmentation_loss(logits, masks)
    want = nn.functional.cross_entropy(logits[:1], masks[:1].long()) / 2
    torch.testing.assert_close(loss, want)
    loss.backward()
    assert logits.grad[0].all() and not logits.grad[1].any()


# Metrics


def guessed(seed, count=30, classes=4, most=4, difficult=0.0):
    """Random scenes, and detections that are objects moved a little, doubled, or made up."""
    noise = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(*shape, generator=noise)

    corner = rand(count, most, 2) * 20
    boxes = torch.cat((corner, corner + 4 + 8 * rand(count, most, 2)), dim=2)
    labels = (rand(count, most) * (classes + 1)).long() - 1
    blank = torch.zeros(count, 32, 32, dtype=torch.uint8)
    scenes = Scenes(
        blank[:, None],
        blank,
        boxes,
        labels,
        labels,
        (rand(count, most) < difficult) & (labels >= 0),
    )
    found = []
    for row in range(count):
        places = torch.cat((boxes[row], boxes[row])) + 3 * rand(2 * most, 4) * rand(2 * most, 1)
        said = torch.where(rand(2 * most) < 0.8, labels[row].repeat(2), 1).clamp(min=0)
        scores = (8 * rand(2 * most)).round() / 8  # many are equal
        kept = rand(2 * most) < (0 if row % 7 == 3 else 0.8)
        found.append(Detections(places[kept], said[kept], scores[kept]))
    return found, scenes


def precision_slowly(found, scenes, threshold, label):
    """One class at one IoU: detections in order take objects, one at a time."""
    entries = [
        (-float(score), image, place)
        for image, each in enumerate(found)
        for place, score in sorted(enumerate(each.scores), key=lambda entry: -float(entry[1]))
        if each.labels[place] == label
    ]
    entries.sort(key=lambda entry: entry[0])
    there = [
        (image, place)
        for image in range(len(scenes))
        for place in range(scenes.labels.shape[1])
        if scenes.labels[image, place] == label
    ]
    must = [at for at in there if not scenes.difficult[at]]
    taken, hits = set(), []
    for _, image, place in entries:
        best, best_iou, best_spared = None, threshold, True
        for at in sorted(there, key=lambda at: bool(scenes.difficult[at])):
            if at[0] != image or at in taken:
                continue
            spared = bool(scenes.difficult[at])
            if best is not None and not best_spared and spared:
                break
            one, other = found[image].boxes[place][None], scenes.boxes[at][None]
            iou = float(box_iou(one.double(), other.double()))
            if iou >= best_iou:
                best, best_iou, best_spared = at, iou, spared
        if best is not None:
            taken.add(best)
        if best is None or not best_spared:
            hits.append(best is not None)
    curve = []
    for recall in np.linspace(0, 1, 101):
        right, best = 0, 0.0
        for rank, hit in enumerate(hits, 1):
            right += hit
            if right / len(must) >= recall:
                best = max(best, right / rank)
        curve.append(best)
    return 100 * np.mean(curve) if must else np.nan


@pytest.mark.parametrize("difficult", [0.0, 0.4])
@pytest.mark.parametrize("seed", range(3))
def test_precision_is_that_of_a_loop(seed, difficult):
    found, scenes = guessed(seed, difficult=difficult)
    got = precisions(found, scenes, THRESHOLDS[[0, 5, 9]])
    want = [
        [precision_slowly(found, scenes, threshold, label) for label in range(4)]
        for threshold in THRESHOLDS[[0, 5, 9]]
    ]
    np.testing.assert_allclose(got, want, atol=1e-9, rtol=0)
    assert 1 < got[0].mean() < 99


def coco(found, scenes):
    """The same by COCO's own code, difficult objects being those that it ignores."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    class Sparing(COCOeval):
        def _prepare(self):
            super()._prepare()
            for truths in self._gts.values():
                for truth in truths:
                    truth["ignore"] = truth["difficult"]

    def boxed(box):
        left, top, right, bottom = box.double().tolist()
        return [left, top, right - left, bottom - top]

    there = [
        {"id": number, "image_id": int(image), "category_id": int(scenes.labels[image, place]),
         "bbox": boxed(scenes.boxes[image, place]), "area": 1.0, "iscrowd": 0,
         "difficult": int(scenes.difficult[image, place])}
        for number, (image, place) in enumerate(torch.nonzero(scenes.labels != NONE).tolist(), 1)
    ]  # fmt: skip
    said = [
        {"image_id": image, "category_id": int(label), "bbox": boxed(box), "score": float(score)}
        for image, each in enumerate(found)
        for box, label, score in zip(*each, strict=True)
    ]
    truth = COCO()
    truth.dataset = {
        "info": {}, "images": [{"id": image} for image in range(len(scenes))],
        "annotations": there,
        "categories": [{"id": label} for label in range(int(scenes.labels.max()) + 1)],
    }  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        judge = Sparing(truth, truth.loadRes(said), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge


@pytest.mark.parametrize("difficult", [0.0, 0.4])
@pytest.mark.parametrize("seed", range(4))
def test_precision_is_that_of_pycocotools(seed, difficult):
    found, scenes = guessed(seed, difficult=difficult)
    judge = coco(found, scenes)
    assert average_precision(found, scenes) == pytest.approx(100 * judge.stats[0], abs=1e-6)
    assert ap50(found, scenes) == pytest.approx(100 * judge.stats[1], abs=1e-6)
    each = judge.eval["precision"][:, :, :, 0, 2].mean(1)
    np.testing.assert_allclose(precisions(found, scenes, THRESHOLDS), 100 * each, atol=1e-6)
    assert 1 < average_precision(found, scenes) < 99


def test_precision_of_all_and_of_nothing():
    _, scenes = guessed(0)
    perfect = [
        Detections(boxes[labels >= 0], labels[labels >= 0], torch.ones(int((labels >= 0).sum())))
        for boxes, labels in zip(scenes.boxes, scenes.labels, strict=True)
    ]
    none = [Detections(torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0))] * len(scenes)
    assert average_precision(perfect, scenes) == pytest.approx(100)
    assert average_precision(none, scenes) == ap50(none, scenes) == 0
    with pytest.raises(BadRequest, match="29 images and 30 scenes"):
        ap50(perfect[1:], scenes)
    scenes.difficult[:] = True
    with pytest.raises(BadRequest, match="no object"):
        ap50(perfect, scenes)
    scenes.labels[:] = NONE
    with pytest.raises(BadRequest, match="no object"):
        ap50(perfect, scenes)


def test_the_order_of_an_images_detections_does_not_matter():
    found, scenes = guessed(1)
    apart = [each._replace(scores=torch.rand(len(each.scores))) for each in found]
    turned = [Detections(*(part.flip(0) for part in each)) for each in apart]
    assert average_precision(apart, scenes) == average_precision(turned, scenes)


def test_mean_iou_is_scikit_learns_over_the_classes_there():
    noise = np.random.default_rng(0)
    wanted = noise.choice([0, 1, 2, 5, IGNORED], (6, 9, 9)).astype(np.uint8)
    said = np.where(noise.random((6, 9, 9)) < 0.6, np.minimum(wanted, 5), 3).astype(np.uint8)
    known = wanted != IGNORED
    want = jaccard_score(
        wanted[known], said[known], labels=[0, 1, 2, 5], average="macro", zero_division=0
    )
    got = mean_iou(torch.from_numpy(said), torch.from_numpy(wanted))
    assert got == pytest.approx(100 * want, abs=1e-9)


def test_mean_iou_refuses_what_has_none():
    masks = torch.full((2, 4, 4), IGNORED, dtype=torch.uint8)
    with pytest.raises(BadRequest, match="no pixel"):
        mean_iou(masks, masks)
    with pytest.raises(BadRequest, match="found"):
        mean_iou(masks[:1], masks)


# Real images


def scores(digits, classes, *, count, **settings):
    """AP50 and mean IoU on scenes of other digits: of saying nothing, untrained, and trained."""
    images, labels = digits
    chosen = torch.nonzero(labels < classes).flatten()
    rows, others = chosen[: len(chosen) // 2], chosen[len(chosen) // 2 :]
    scenes = made(images, labels, rows, count=count, most=2)
    test = made(images, labels, others, count=100, most=2, seed=1)
    found = {"nothing": [0.0, mean_iou(torch.zeros_like(test.masks), test.masks)]}
    for when in ("before", "after"):
        found[when] = []
        for make in (detection, segmentation):
            of = task(scenes, classes)
            learner = make(of, scenes, backbone="resnet8", batch=32, **settings)
            if when == "after":
                train(of, learner)
            modules = learner.encoder, learner.classifier
            found[when].append(
                ap50(detect(*modules, test.images, surer=0.0), test)
                if make is detection
                else mean_iou(segment(*modules, test.images), test.masks)
            )
    return found


def gains(found):
    """What training adds to the better of an untrained net and saying nothing."""
    kinds = (found[kind] for kind in ("nothing", "before", "after"))
    return [after - max(before, nothing) for nothing, before, after in zip(*kinds, strict=True)]


def test_heads_learn_digits(digits):
    found = scores(digits, 2, count=200, epochs=8, lr=0.2, width=0.5)
    detected, segmented = gains(found)
    assert detected > 15 and segmented > 5, found


@pytest.mark.slow
def test_heads_learn_ten_digits_in_a_minute(digits):
    found = scores(digits, 10, count=1000, epochs=30, lr=0.1)
    detected, segmented = gains(found)
    assert detected > 25 and segmented > 10, found
