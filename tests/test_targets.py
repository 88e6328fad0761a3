"""Priors, whitening and targets: against sklearn and brute force, their cache, and bad input."""

import json
import subprocess
import sys
import urllib.error
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.decomposition import PCA, IncrementalPCA
from torch import nn
from toys import need

from lotterybench.errors import BadRequest, NoSpace, UnknownName
from lotterybench.methods.base import probes, zoos
from lotterybench.methods.base.encoders import save_encoder
from lotterybench.methods.base.priors import Prior, digest_of_weights, features, find_prior
from lotterybench.methods.base.targets import targets_of
from lotterybench.methods.base.whitening import Moments, Whitening

SPEED = Path(__file__).parents[1] / "benchmark" / "speed"
BASE = "b" * 64
SHAPE = (3, 8, 8)


def clouds(rows, width, seed=0, mean=0.0):
    """Return correlated features whose variances are apart, float32 (rows, width)."""
    rng = np.random.default_rng(seed)
    turned, _ = np.linalg.qr(rng.normal(size=(width, width)))
    spread = 2.0 ** -np.arange(width)
    return torch.from_numpy(
        (mean + rng.normal(size=(rows, width)) * spread @ turned).astype(np.float32)
    )


def moments_of(blocks):
    found = Moments()
    for block in blocks:
        found.add(block)
    return found


def whitened(z, dimension, **settings):
    return Whitening.of(moments_of([z]), dimension, **settings)(z)


def alike(ours, theirs):
    """Return the largest difference, whatever the signs of the axes."""
    signs = np.sign((ours * theirs).sum(0))
    return np.abs(ours * signs - theirs).max()


# --- moments and whitening ---


@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.sampled_from([0.0, 1e4]))
@settings(deadline=None)
def test_moments_are_those_of_all_blocks_together(sizes, mean):
    z = clouds(sum(sizes) + 2, 5, mean=mean)
    found = moments_of(torch.split(z, [*sizes, 2]))
    want = z.double().numpy()
    assert found.count == len(z)
    np.testing.assert_allclose(found.mean.numpy(), want.mean(0), rtol=1e-12)
    np.testing.assert_allclose(
        found.covariance.numpy(), np.cov(want.T, bias=True), rtol=1e-9, atol=1e-12
    )


def test_a_large_mean_cancels_nothing():
    """By sums of squares the variance 1e-6 of values near 1e4 would be rounding alone."""
    z = 1e4 + 1e-3 * np.random.default_rng(0).normal(size=(3000, 2))
    found = moments_of(torch.split(torch.from_numpy(z), 7)).covariance.numpy()
    np.testing.assert_allclose(found, np.cov(z.T, bias=True), rtol=1e-6, atol=1e-14)
    assert not np.allclose(z.T @ z / 3000 - np.outer(z.mean(0), z.mean(0)), found, rtol=1e-3)


@pytest.mark.parametrize("dimension", [1, 4, 8])
def test_whitening_is_sklearns(dimension):
    z = clouds(2000, 8, mean=3.0)
    found = whitened(z, dimension, epsilon=0).numpy()  # sklearn has no ε
    # sklearn divides by n − 1
    want = PCA(dimension, whiten=True, svd_solver="full").fit_transform(z.double().numpy())
    assert alike(found, want * np.sqrt(2000 / 1999)) < 1e-4
    if dimension == 8:  # with fewer, IncrementalPCA forgets what a batch has beside
        steps = IncrementalPCA(8, whiten=True, batch_size=100).fit(z.double().numpy())
        assert alike(found, steps.transform(z.double().numpy()) * np.sqrt(2000 / 1999)) < 1e-4


@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(30, 300))
@settings(deadline=None, max_examples=30)
def test_whitened_features_have_mean_0_variance_1_and_no_correlation(seed, dimension, rows):
    z = clouds(rows, 12, seed, mean=-1.0)
    found = whitened(z, dimension, epsilon=0).double().numpy()
    assert found.shape == (rows, dimension)
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(found.T @ found / rows, np.eye(dimension), atol=2e-3)


def test_the_size_of_blocks_does_not_matter():
    z = clouds(500, 6)
    one = Whitening.of(moments_of([z]), 4)(z)
    many = Whitening.of(moments_of(torch.split(z, 3)), 4)
    torch.testing.assert_close(many(z), one, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(torch.cat([many(part) for part in torch.split(z, 9)]), many(z))


def test_dead_and_repeated_dimensions_are_zero():
    """A constant feature, one that is twice another, and fewer rows than features."""
    z = clouds(300, 4)
    dead = torch.cat((z, torch.full((300, 1), 7.0), 2 * z[:, :1], torch.zeros(300, 1)), 1)
    for scaled in (dead, 1e6 * dead):
        found = whitened(scaled, 7)
        assert bool(torch.isfinite(found).all())
        np.testing.assert_allclose(found[:, :4].var(0, correction=0), 1, atol=1e-3)
        assert found[:, 4:].abs().max() == 0
    few = whitened(clouds(5, 8), 8)
    assert bool(torch.isfinite(few).all()) and few[:, 4:].abs().max() == 0


def test_epsilon_damps_what_hardly_varies():
    z = clouds(1000, 3)
    found = whitened(z, 3, epsilon=0.25**2).var(0, correction=0)
    variance = PCA(3).fit(z.double().numpy()).explained_variance_ * 999 / 1000
    np.testing.assert_allclose(found, variance / (variance + 0.25**2), rtol=1e-4)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([torch.ones(1, 2)], "needs two rows of features; there are 1"),
        ([], "needs two rows of features; there are 0"),
        ([torch.full((9, 2), 0.1), torch.full((5, 2), 0.1)], "are the same for all images"),
        ([torch.zeros(9, 2)], "are the same for all images"),
        ([torch.ones(3, 2), torch.ones(3, 4)], r"features are \(n, 2\), this block is \(3, 4\)"),
        ([torch.ones(3)], r"features are \(n, p\), this block is \(3,\)"),
        ([torch.tensor([[1.0, float("nan")]])], "NaN or infinity"),
        ([torch.tensor([[1.0, float("inf")]])], "NaN or infinity"),
    ],
)
def test_features_that_cannot_be_whitened_are_told(blocks, message):
    with pytest.raises(BadRequest, match=message):
        Whitening.of(moments_of(blocks), 2)


@pytest.mark.parametrize(("dimension", "epsilon"), [(0, 1e-8), (2, -1.0), (2, float("nan"))])
def test_odd_whitenings_are_told(dimension, epsilon):
    with pytest.raises(BadRequest, match="takes 1 dimension or more and an ε of 0 or more"):
        Whitening.of(moments_of([clouds(9, 3)]), dimension, epsilon)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_images():
    """Imports are 0.5 GB of it; the features alone would be 0.5 GB more."""
    ran = subprocess.run(
        [sys.executable, str(SPEED / "whitening.py"), "--rows", "256000", "--peer-rows", "1024"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = json.loads(ran.stdout)
    assert told["peak MB"] < 1000
    assert told["peak MB"] - told["peak MB before"] < 200 < told["features MB"]
    assert told["largest difference from sklearn"] < 1e-4


# --- priors ---


def pixels(count=12, shape=SHAPE, seed=0):
    noise = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, *shape), generator=noise, dtype=torch.uint8)


@pytest.fixture
def untrained(monkeypatch):
    """Let timm and torchvision make their models with random weights: none can be fetched here."""
    create, get = timm.create_model, torchvision.models.get_model

    def seeded(make):
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            return make()

    monkeypatch.setattr(
        timm, "create_model",
        lambda name, pretrained, **other: seeded(lambda: create(name, pretrained=False, **other)),
    )  # fmt: skip
    monkeypatch.setattr(
        torchvision.models, "get_model", lambda name, weights: seeded(lambda: get(name))
    )


def one_by_one(transform, images):
    """Apply a transform for PIL images to each image."""
    return torch.stack(
        [transform(Image.fromarray(image.permute(1, 2, 0).numpy())) for image in images]
    )


@pytest.mark.parametrize("name", ["test_resnet", "test_vit3"])
def test_timm_priors_see_what_timm_shows_them(untrained, name):
    prior = find_prior(f"timm:{name}", (3, 40, 56))
    # PIL clips what bicubic interpolation overshoots after each of two passes, torch at the end
    images = pixels(3, (3, 40, 56)) // 2 + 64
    config = timm.data.resolve_model_data_config(timm.create_model(name, pretrained=True))
    want = one_by_one(timm.data.create_transform(**config, is_training=False), images)
    found = prior.prepare(images)
    assert found.shape == want.shape == (3, *prior.takes)
    # PIL and torch round to a level of 255 each time
    level = 1 / (255 * min(config["std"]))
    assert (found - want).abs().max() < 2.5 * level
    assert (found - want).abs().mean() < 0.5 * level
    block = torch.cat(list(features(prior, images, 2)))
    assert block.shape == (3, prior.width) and block.dtype == torch.float32
    assert json.loads(prior.preprocessing)["mean"] == list(config["mean"])


def test_torchvision_priors_see_what_torchvision_shows_them(untrained):
    name, width = "mobilenet_v3_small", 1024
    prior = find_prior(f"torchvision:{name}")
    images = pixels(2, (3, 40, 56))
    transform = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    want = one_by_one(transform, images)
    assert (prior.prepare(images) - want).abs().max() < 2.5 / (255 * 0.224)
    assert prior.width == width and prior.takes == (3, 224, 224)
    assert torch.cat(list(features(prior, images))).shape == (2, width)


def test_torchvision_features_are_those_before_the_head(untrained):
    prior = find_prior("torchvision:resnet18")
    model = torchvision.models.get_model("resnet18", weights=None).eval()
    shown = prior.prepare(pixels(2))
    seen = []
    model.fc.register_forward_hook(lambda module, given, found: seen.append(given[0]))
    with torch.no_grad():
        model(shown)
        torch.testing.assert_close(prior.encoder(shown), seen[0])


class Tower(nn.Module):
    """An image tower as open_clip has it."""

    def __init__(self, mode="shortest"):
        super().__init__()
        self.preprocess_cfg = {
            "size": 16, "mode": "RGB", "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.25, 0.3),
            "interpolation": "bicubic", "resize_mode": mode, "fill_color": 0,
        }  # fmt: skip
        self.last = nn.Linear(3 * 16 * 16, 5)

    def forward(self, images):
        return self.last(images.flatten(1))


def test_open_clip_priors_keep_their_own_normalisation(monkeypatch):
    fake = SimpleNamespace(
        list_pretrained=lambda: [("ViT-B-16", "openai")],
        create_model_from_pretrained=lambda arch, tag, return_transform: SimpleNamespace(
            visual=Tower()
        ),
    )
    monkeypatch.setitem(sys.modules, "open_clip", fake)
    prior = find_prior("open_clip:ViT-B-16/openai", (3, 40, 56))
    images = pixels(3, (3, 40, 56))
    from torchvision import transforms

    want = one_by_one(
        transforms.Compose(
            [
                transforms.Resize(16, transforms.InterpolationMode.BICUBIC),
                transforms.CenterCrop(16),
                transforms.ToTensor(),
                transforms.Normalize((0.4, 0.5, 0.6), (0.2, 0.25, 0.3)),
            ]
        ),
        images,
    )
    assert (prior.prepare(images) - want).abs().max() < 2.5 / (255 * 0.2)
    assert prior.width == 5
    with pytest.raises(UnknownName, match="no open_clip model is named 'ViT-B-16/openia'"):
        find_prior("open_clip:ViT-B-16/openia")


def save(path, seed=0, **about):
    encoder = find_prior(f"random:resnet@{seed}", SHAPE).encoder
    told = {"backbone": "resnet", "in_chans": 3, "size": 8, **about}
    save_encoder(encoder, path, {"encoder": json.dumps(told)})
    return encoder


def test_our_encoders_are_priors_and_told_by_their_weights(tmp_path):
    file = tmp_path / "mine.safetensors"
    encoder = save(file, seed=3)
    prior = find_prior(f"ours:{file}", SHAPE)
    assert prior.name == "ours:mine.safetensors"  # no folder of anyone's
    images = pixels(20)
    torch.testing.assert_close(
        torch.cat(list(features(prior, images, 7))), probes.features(encoder, images)
    )
    assert prior.weights == find_prior("random:resnet@3", SHAPE).weights
    assert prior.weights != find_prior("random:resnet@4", SHAPE).weights
    assert find_prior("random:resnet@3", SHAPE, width=2).width == 2 * prior.width


def test_a_prior_is_frozen():
    prior = find_prior("random:resnet@0", SHAPE)
    before = prior.weights
    for _ in range(2):
        block = next(features(prior, pixels(), 12))
        assert not block.requires_grad
    assert digest_of_weights(prior.encoder) == before
    assert not prior.encoder.training
    assert not any(value.requires_grad for value in prior.encoder.parameters())


def test_the_digest_of_weights_sees_names_shapes_and_statistics():
    def built(**changed):
        return nn.Sequential(nn.Linear(2, 2, **changed), nn.BatchNorm1d(2))

    with torch.no_grad():
        nets = [built(), built(), built(), built(bias=False)]
        for net in nets:
            net[0].weight.fill_(1)
            if net[0].bias is not None:
                net[0].bias.zero_()
        nets[2][1].running_mean += 1
    first, same, moved, unbiased = map(digest_of_weights, nets)
    assert first == same and len({first, moved, unbiased}) == 3
    assert digest_of_weights(nn.Linear(2, 3)) != digest_of_weights(nn.Linear(3, 2))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("resnet18", "'resnet18' is no prior; the forms are timm:NAME, torchvision:NAME"),
        ("timm:", "is no prior"),
        ("jax:resnet18", "is no prior"),
        ("timm:resnet81", "no timm model is named 'resnet81'; did you mean 'resnet18'"),
        ("torchvision:resnet81", "no torchvision model is named 'resnet81'; did you mean"),
        ("random:resnet", "names no seed; the form is random:BACKBONE@SEED"),
        ("random:resnet@x", "names no seed"),
        ("random:resnot@1", "no backbone is named 'resnot'"),
        ("ours:nowhere.safetensors", "nowhere.safetensors is no encoder file"),
        ("open_clip:ViT-B-32/openai", r"needs open_clip: pip install 'lotterybench\[clip\]'"),
    ],
)
def test_unknown_priors_are_told(monkeypatch, spec, message):
    monkeypatch.setitem(sys.modules, "open_clip", None)  # as where it is not installed
    with pytest.raises((BadRequest, UnknownName), match=message) as told:
        find_prior(spec, SHAPE)
    assert "\n" not in str(told.value)


def test_random_priors_need_the_shape():
    with pytest.raises(BadRequest, match="needs the shape of the images"):
        find_prior("random:resnet@0")


@pytest.mark.parametrize("name", ["squeezenet1_0", "raft_small"])
def test_models_without_image_features_are_told(untrained, name):
    with pytest.raises(BadRequest, match=f"torchvision:{name} ") as told:
        find_prior(f"torchvision:{name}")
    assert "\n" not in str(told.value)


def test_weights_that_cannot_be_fetched_are_told(monkeypatch):
    def unplugged(*args, **kwargs):
        raise urllib.error.URLError("no network\nhere")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", unplugged)
    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", unplugged)
    for spec in ("timm:test_resnet", "torchvision:resnet18"):  # the Hub is offline in tests
        with pytest.raises(BadRequest, match=f"the weights of {spec} cannot be fetched") as told:
            find_prior(spec)
        assert "\n" not in str(told.value) and "ours:PATH" in str(told.value)


def test_images_of_another_shape_are_told(tmp_path, untrained):
    save(tmp_path / "a.safetensors")
    ours = f"ours:{tmp_path / 'a.safetensors'}"
    with pytest.raises(BadRequest, match="takes images of 8 × 8 pixels; these have 16 × 16"):
        find_prior(ours, (3, 16, 16))
    with pytest.raises(BadRequest, match="takes images of 3 channels; these have 1"):
        find_prior(ours, (1, 8, 8))
    with pytest.raises(BadRequest, match="timm:test_resnet takes images of 3 channels"):
        find_prior("timm:test_resnet", (1, 8, 8))
    with pytest.raises(BadRequest, match="shown uint8 images"):
        find_prior(ours)(pixels().float())


@pytest.mark.parametrize(
    ("about", "message"),
    [({"backbone": "vit"}, "holds other weights"), ({"size": None}, "which backbone")],
)
def test_crafted_encoder_files_are_told(tmp_path, about, message):
    if about.get("size", 8) is None:
        encoder = find_prior("random:resnet@0", SHAPE).encoder
        save_encoder(encoder, tmp_path / "a.safetensors", {"encoder": "[1]"})
    else:
        save(tmp_path / "a.safetensors", **about)
    with pytest.raises(BadRequest, match=message):
        find_prior(f"ours:{tmp_path / 'a.safetensors'}")


# --- targets ---


def prior_of(seed=0):
    return find_prior(f"random:resnet@{seed}", SHAPE)


def test_targets_are_the_whitened_features_of_the_rows():
    prior, images = prior_of(), pixels(80)
    rows = torch.arange(5, 80, 2)
    made = targets_of(prior, images, rows.flip(0), 6, BASE)
    z = probes.features(prior.encoder, images[rows]).double().numpy()
    want = PCA(6, whiten=True, svd_solver="full").fit_transform(z) * np.sqrt(len(z) / (len(z) - 1))
    values = made.values.double().numpy()
    assert made.values.dtype == torch.float16 and values.shape == (80, 6)
    assert alike(values[rows], want) < 1e-3 * np.abs(want).max()  # halves have 11 bits
    assert np.abs(np.delete(values, rows, axis=0)).max() == 0
    np.testing.assert_allclose(values[rows].T @ values[rows] / len(rows), np.eye(6), atol=2e-3)
    changed = images.clone()
    changed[0] = 0  # an image that is not trained on
    assert targets_of(prior, changed, rows, 6, BASE).digest == made.digest


def test_targets_have_no_more_dimensions_than_the_prior():
    prior = prior_of()
    assert targets_of(prior, pixels(200), torch.arange(200), 10**6, BASE).values.shape == (
        200, prior.width,
    )  # fmt: skip


@pytest.fixture
def seen(monkeypatch):
    """Count the images that priors are shown."""
    shown = []
    look = Prior.__call__

    def counted(self, images):
        shown.append(len(images))
        return look(self, images)

    monkeypatch.setattr(Prior, "__call__", counted)
    return shown


def test_targets_are_cached_and_the_prior_looks_once(tmp_path, seen):
    images, rows = pixels(50), torch.arange(0, 50, 2)
    first = targets_of(prior_of(), images, rows, 4, BASE, tmp_path)
    assert sum(seen) == 25
    again = targets_of(prior_of(), images, rows.flip(0), 4, BASE, tmp_path)
    assert sum(seen) == 25
    assert torch.equal(first.values, again.values)
    assert (first.digest, first.key, first.seconds) == (again.digest, again.key, again.seconds)
    bare = targets_of(prior_of(), images, rows, 4, BASE)
    assert torch.equal(bare.values, first.values) and bare.digest == first.digest
    again.values[0] = 1  # a mapped file stays as it is
    assert torch.equal(targets_of(prior_of(), images, rows, 4, BASE, tmp_path).values, bare.values)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".npy"]


def test_the_cache_notices_everything_that_targets_are_made_of(tmp_path, seen):
    images, rows = pixels(40), torch.arange(40)
    asked = {
        "prior": prior_of(), "images": images, "rows": rows, "dimension": 4, "base_digest": BASE,
    }  # fmt: skip
    other = prior_of()
    prepared = Prior(
        other.name, other.encoder, lambda images: other.prepare(images) / 2, "halved",
        other.weights, other.width, other.takes, other.resizes,
    )  # fmt: skip
    variants = [
        {}, {"prior": prior_of(1)}, {"prior": prepared}, {"dimension": 3}, {"rows": rows[1:]},
        {"base_digest": "c" * 64}, {"epsilon": 0.5}, {"images": pixels(41)},
    ]  # fmt: skip
    made = [targets_of(**{**asked, **changed}, cache=tmp_path) for changed in variants]
    assert len({one.key for one in made}) == len(variants)
    assert sum(seen) == 40 * len(variants) - 1
    again = [targets_of(**{**asked, **changed}, cache=tmp_path) for changed in variants]
    assert [one.digest for one in again] == [one.digest for one in made]
    assert sum(seen) == 40 * len(variants) - 1


def test_the_cache_tells_networks_of_equal_weights_apart(tmp_path):
    def made(activation):
        net = nn.Sequential(nn.Flatten(), nn.Linear(192, 6), activation)
        with torch.no_grad():
            net[1].weight.copy_(torch.randn(6, 192, generator=torch.Generator().manual_seed(0)))
            net[1].bias.zero_()
        weights, like = digest_of_weights(net), prior_of()
        prior = Prior("a", net, like.prepare, "the same", weights, 6, SHAPE, False)
        return weights, targets_of(prior, pixels(), torch.arange(12), 2, BASE, tmp_path)

    (weights, first), (same, other) = made(nn.ReLU()), made(nn.Tanh())
    assert weights == same and first.key != other.key and first.digest != other.digest


def test_the_name_of_a_prior_is_not_what_it_is(tmp_path, seen):
    save(tmp_path / "a.safetensors")
    for spec in (f"ours:{tmp_path / 'a.safetensors'}", "random:resnet@0"):
        targets_of(find_prior(spec, SHAPE), pixels(), torch.arange(12), 2, BASE, tmp_path / "kept")
    assert sum(seen) == 12


DAMAGES = {
    "a flipped bit": lambda npy, about: npy.write_bytes(
        npy.read_bytes()[:-1] + bytes([npy.read_bytes()[-1] ^ 1])
    ),
    "a torn file": lambda npy, about: npy.write_bytes(npy.read_bytes()[:-9]),
    "an empty file": lambda npy, about: npy.write_bytes(b""),
    "a pickle": lambda npy, about: np.save(npy, np.array([{}]), allow_pickle=True),
    "other targets": lambda npy, about: np.save(npy, np.zeros((3, 3), np.float16)),
    "no digest": lambda npy, about: about.write_bytes(b"{}"),
    "no record": lambda npy, about: about.unlink(),
    "a list": lambda npy, about: about.write_bytes(b"[]"),
    "half a record": lambda npy, about: about.write_bytes(about.read_bytes()[:9]),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_made_again(tmp_path, seen, damage):
    images, rows = pixels(30), torch.arange(30)
    first = targets_of(prior_of(), images, rows, 4, BASE, tmp_path)
    want = first.values.clone()
    DAMAGES[damage](next(tmp_path.glob("*.npy")), next(tmp_path.glob("*.json")))
    again = targets_of(prior_of(), images, rows, 4, BASE, tmp_path)
    assert torch.equal(again.values, want) and again.digest == first.digest
    assert sum(seen) == 60


def test_an_interrupted_pass_leaves_nothing_and_is_repeated(tmp_path, monkeypatch):
    images, rows = pixels(64), torch.arange(64)
    want = targets_of(prior_of(), images, rows, 4, BASE, batch=16)
    look, calls = Prior.__call__, []

    def killed(self, images):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return look(self, images)

    monkeypatch.setattr(Prior, "__call__", killed)
    with pytest.raises(KeyboardInterrupt):
        targets_of(prior_of(), images, rows, 4, BASE, tmp_path, batch=16)
    assert list(tmp_path.iterdir()) == []
    again = targets_of(prior_of(), images, rows, 4, BASE, tmp_path, batch=16)
    assert again.digest == want.digest


def test_a_full_disk_is_told(tmp_path):
    import resource

    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, old[1]))
    try:
        with pytest.raises(NoSpace, match="no space left"):
            targets_of(prior_of(), pixels(64), torch.arange(64), 4, BASE, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert list(tmp_path.iterdir()) == []


def test_features_larger_than_memory_pass_through_a_file(tmp_path, monkeypatch):
    images, rows = pixels(100), torch.arange(3, 90)
    want = targets_of(prior_of(), images, rows, 4, BASE)
    monkeypatch.setattr("lotterybench.methods.base.targets.HELD", 64)
    monkeypatch.setattr("lotterybench.methods.base.targets.BLOCK", 7)
    for cache in (None, tmp_path):
        made = targets_of(prior_of(), images, rows, 4, BASE, cache)
        assert torch.equal(made.values, want.values) and made.digest == want.digest


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rows": torch.tensor([1, 1, 2])}, "1 of the 3 rows occur before"),
        ({"rows": torch.tensor([1, 30])}, "rows go from 1 to 30; there are 30 images"),
        ({"rows": torch.tensor([-1, 3])}, "rows go from -1 to 3"),
        ({"rows": torch.tensor([4])}, "fitted on 2 images or more; 1 were given"),
        ({"rows": torch.arange(4).float()}, "rows are int64"),
        ({"dimension": 0}, "1 dimension or more; 0 were asked for"),
        ({"images": pixels(30, (1, 8, 8))}, "takes images of 3 channels; these have 1"),
        ({"images": pixels(30, (3, 16, 16))}, "takes images of 8 × 8 pixels"),
        ({"images": torch.zeros(30, 3, 8, 8, dtype=torch.uint8)}, "are the same for all images"),
    ],
)
def test_bad_targets_are_told(tmp_path, changed, message):
    asked = {
        "prior": prior_of(), "images": pixels(30), "rows": torch.arange(30), "dimension": 4,
        "base_digest": BASE, "cache": tmp_path,
    }  # fmt: skip
    with pytest.raises(BadRequest, match=message):
        targets_of(**asked | changed)
    assert list(tmp_path.iterdir()) == []


def test_a_prior_of_nans_is_told(tmp_path):
    prior = prior_of()
    with torch.no_grad():
        next(prior.encoder.parameters()).fill_(float("nan"))
    with pytest.raises(BadRequest, match="random:resnet@0 gives NaN or infinite features"):
        targets_of(prior, pixels(), torch.arange(12), 4, BASE, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.gpu
def test_targets_on_an_accelerator_are_the_cpus(tmp_path):
    need("gpu", torch.cuda.is_available(), "no CUDA device")
    images, rows = pixels(80), torch.arange(1, 80)
    want = targets_of(prior_of(), images, rows, 4, BASE).values
    prior = find_prior("random:resnet@0", SHAPE, device="cuda")
    assert prior.weights == prior_of().weights
    for where in ("cpu", "cuda"):  # of the images
        made = targets_of(prior, images.to(where), rows.to(where), 4, BASE, tmp_path / where)
        torch.testing.assert_close(made.values, want, atol=0.02, rtol=0.02)


def test_errors_of_a_fetch_are_one_short_line():
    line = zoos.one_line(RuntimeError("a\nb " + "x" * 999))
    assert line.startswith("RuntimeError: a b x") and len(line) < 200
    assert zoos.one_line(RuntimeError()) == "RuntimeError"
