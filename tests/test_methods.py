"""Every registered method on digits: it trains, repeats bit for bit, and leaves no trace."""

import inspect

import pytest
import torch
from sklearn.datasets import load_digits

from lotterybench.errors import BadRequest, UnknownName
from lotterybench.methods import Task, method
from lotterybench.methods.base import probes

LABELLED = [name for name in method if method.facts(name)["labels"]]
SETTINGS = {
    "supervised": {"backbone": "resnet", "epochs": 6, "lr": 0.4, "batch": 32},
    "simclr": {"backbone": "convmixer", "epochs": 6, "lr": 0.02, "batch": 64},
    "random-init": {"backbone": "convmixer"},
}


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits():
    images, labels = load_digits(return_X_y=True)
    images = torch.from_numpy((images * (255 / 16)).round().astype("uint8")).view(-1, 1, 8, 8)
    return images, torch.from_numpy(labels).long()


def task(digits, rows=slice(0, 1000), run="run one", classes=10):
    images, labels = digits
    return Task(images, labels, torch.arange(len(labels))[rows], classes, False, run)


def weights(trained):
    modules = [trained.encoder, trained.classifier or torch.nn.Identity()]
    found = [value for module in modules for value in module.state_dict().values()]
    return torch.cat([value.double().flatten() for value in found])


def knn(trained, digits, of=slice(1000, None)):
    images, labels = digits
    bank, queries = (probes.features(trained.encoder, images[at]) for at in (slice(0, 1000), of))
    return probes.knn(bank, labels[:1000], queries, labels[of], classes=10)


def test_all_methods_are_tested():
    assert set(SETTINGS) == set(method)


@pytest.mark.parametrize("name", method)
def test_it_trains_and_beats_its_own_start(name, digits):
    images, labels = digits
    trained = method[name](task(digits), **SETTINGS[name])
    assert not trained.encoder.training
    start = method["random-init"](task(digits), backbone=SETTINGS[name]["backbone"])
    views = {"supervised": 1, "simclr": 2, "random-init": 0}[name]
    assert trained.images_seen == views * 1000 * SETTINGS[name].get("epochs", 0)
    assert (trained.classifier is not None) == method.facts(name)["labels"]
    if name == "random-init":
        assert torch.equal(weights(trained), weights(start))
        return
    assert knn(trained, digits) > knn(start, digits) + 3
    if trained.classifier is not None:
        assert probes.accuracy(trained, images[1000:], labels[1000:]) > 80


@pytest.mark.parametrize("name", method)
def test_the_run_decides_every_bit(name, digits):
    settings = SETTINGS[name] | ({"epochs": 1} if "epochs" in SETTINGS[name] else {})
    before = torch.get_rng_state()
    first = weights(method[name](task(digits, slice(0, 150)), **settings))
    assert torch.equal(before, torch.get_rng_state()), "the global generator was used"
    torch.rand(3)
    assert torch.equal(first, weights(method[name](task(digits, slice(0, 150)), **settings)))
    other = weights(method[name](task(digits, slice(0, 150), run="run two"), **settings))
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", method)
def test_only_the_rows_are_read(name, digits):
    """Images and labels outside the rows may change without changing a bit."""
    images, labels = digits
    settings = SETTINGS[name] | ({"epochs": 1} if "epochs" in SETTINGS[name] else {})
    spoilt = images.clone(), labels.clone()
    spoilt[0][100:], spoilt[1][100:] = 0, 0
    first = method[name](task(digits, slice(0, 100)), **settings)
    second = method[name](task(spoilt, slice(0, 100)), **settings)
    assert torch.equal(weights(first), weights(second))


@pytest.mark.parametrize("name", [name for name in method if name not in LABELLED])
def test_methods_that_declare_no_labels_read_none(name, digits):
    images, labels = digits
    settings = SETTINGS[name] | ({"epochs": 1} if "epochs" in SETTINGS[name] else {})
    first = method[name](task(digits, slice(0, 100)), **settings)
    second = method[name](task((images, 0 * labels), slice(0, 100)), **settings)
    assert torch.equal(weights(first), weights(second))


@pytest.mark.parametrize("name", method)
def test_it_has_the_shape_of_a_method(name):
    parameters = inspect.signature(method[name]).parameters
    assert next(iter(parameters)) == "task"
    assert {"epochs", "lr"} <= set(parameters)
    assert all(p.kind is p.KEYWORD_ONLY for key, p in parameters.items() if key != "task")


def test_colour_images_train_too():
    noise = torch.Generator().manual_seed(0)
    images = torch.randint(256, (40, 3, 16, 16), dtype=torch.uint8, generator=noise)
    small = Task(images, torch.arange(40) % 4, torch.arange(40), 4, True, "colour")
    for name in ("supervised", "simclr"):
        trained = method[name](small, epochs=1, lr=0.01, backbone="vit", batch=16)
        assert probes.features(trained.encoder, images).isfinite().all()


def test_wrong_settings_are_refused(digits):
    with pytest.raises(UnknownName, match="backbone"):
        method["supervised"](task(digits), epochs=1, lr=0.1, backbone="alexnet")
    with pytest.raises(BadRequest, match="at least 1 epoch"):
        method["simclr"](task(digits), epochs=0, lr=0.1, backbone="vit")
