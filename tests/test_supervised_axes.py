"""The axes of supervised training: each changes what is learned, its default changes nothing."""

import pytest
import torch
from sklearn.datasets import load_digits

from lotterybench.errors import BadRequest
from lotterybench.methods import Task, method
from lotterybench.methods.base.architectures import architecture
from lotterybench.methods.base.data import Resident
from lotterybench.methods.base.loop import train
from lotterybench.methods.base.recipe import recipe

BASE = {"epochs": 2, "lr": 0.1, "backbone": "resnet", "batch": 32}
AXES = {
    "lr": 0.025,
    "weight_decay": 0.05,
    "epochs": 3,
    "width": 0.5,
    "strength": 2.0,
    "mixup": 0.2,
    "smoothing": 0.0,
    "batch": 24,
}
# What a configuration that leaves an axis out has, and may as well say.
NEUTRAL = {
    "weight_decay": architecture("resnet").weight_decay,
    "width": 1.0,
    "strength": 1.0,
    "mixup": 0.0,
    "smoothing": 0.1,
}


@pytest.fixture(scope="module")
def data():
    images, labels = load_digits(return_X_y=True)
    images = torch.from_numpy((images * (255 / 16)).round().astype("uint8")).view(-1, 1, 8, 8)
    return Resident(images, torch.from_numpy(labels).long(), torch.arange(96))


@pytest.fixture(scope="module")
def trained(data):
    """Return a function that trains with changed settings, and remembers what it trained."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    known = {}

    def of(**changed):
        key = tuple(sorted(changed.items()))
        if key not in known:
            task = Task(data, 10, False, "axes")
            known[key] = train(task, method["supervised"](task, **BASE | changed))
        return known[key]

    yield of
    torch.set_num_threads(threads)


def weights(trained):
    found = [*trained.encoder.state_dict().values(), *trained.classifier.state_dict().values()]
    return torch.cat([value.double().flatten() for value in found])


@pytest.mark.parametrize("axis", AXES)
def test_each_axis_changes_what_is_learned(axis, trained):
    plain, changed = weights(trained()), weights(trained(**{axis: AXES[axis]}))
    assert len(changed) != len(plain) or not torch.equal(changed, plain)


@pytest.mark.parametrize("axis", NEUTRAL)
def test_saying_the_default_changes_no_bit(axis, trained):
    said = trained(**{axis: NEUTRAL[axis]})
    assert said is not trained()
    assert torch.equal(weights(said), weights(trained()))


def test_weight_decay_left_to_the_backbone(trained):
    assert torch.equal(weights(trained(weight_decay=None)), weights(trained()))


def test_axes_say_what_they_cost(trained):
    """Epochs are paid for; a narrower net is smaller; the other axes cost nothing."""
    seen = {axis: trained(**{axis: value}).images_seen for axis, value in AXES.items()}
    assert seen.pop("epochs") == 3 * 96
    assert set(seen.values()) == {2 * 96}
    assert len(weights(trained(width=0.5))) < len(weights(trained())) / 2


def test_weight_decay_shrinks_the_weights(trained):
    heavy, light = weights(trained(weight_decay=0.5)), weights(trained(weight_decay=0.0))
    assert heavy.norm() < 0.9 * light.norm()


def test_the_frozen_recipe_tells_every_axis():
    said = recipe("supervised").settings
    assert {name: said[name] for name in ("width", "strength", "mixup", "weight_decay")} == {
        "width": "1.0",
        "strength": "1.0",
        "mixup": "0.0",
        "weight_decay": "None",
    }


def test_axes_that_mean_nothing_are_refused(trained):
    with pytest.raises(BadRequest, match="mixup -1 is not above 0"):
        trained(mixup=-1.0)
    with pytest.raises(BadRequest, match="width 0 is not between"):
        trained(width=0.0)
