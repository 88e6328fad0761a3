"""A method of one's own from a file, what it may return, and encoders that others can load."""

import pytest
import torch
from torch import nn

from lotterybench.errors import BadRequest
from lotterybench.methods import Task, Trained, method
from lotterybench.methods.base import probes
from lotterybench.methods.base.backbones import build
from lotterybench.methods.base.data import Resident
from lotterybench.methods.base.encoders import BadShape, check_shapes, load_encoder, save_encoder
from lotterybench.methods.base.own import load_own

PIXELS = '''
"""Pixels are features."""
import torch
from lotterybench.methods import Trained

def pixels(task, *, epochs=0, lr=0.0):
    """Return the pixels themselves."""
    return Trained(torch.nn.Flatten(), None, 0)
'''


def test_a_function_of_a_file_becomes_a_method(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(PIXELS)
    name = load_own(f"{file}:pixels")
    assert name.startswith("own-pixels-") and name in method
    assert load_own(f"{file}:pixels") == name
    file.write_text(PIXELS + "\n# changed\n")
    assert load_own(f"{file}:pixels") != name


@pytest.mark.parametrize(
    ("content", "where", "message"),
    [
        (None, "nothing.py:train", "there is no file"),
        (PIXELS, "mine.py:voxels", "has no function 'voxels'"),
        ("1 +", "mine.py:train", "cannot be imported: SyntaxError"),
        ("import nowhere", "mine.py:train", "cannot be imported: ModuleNotFoundError"),
        ("train = 3", "mine.py:train", "has no function 'train'"),
        (PIXELS, "mine.py", "there is no file ''"),
    ],
)
def test_what_is_no_method_is_told(tmp_path, content, where, message):
    if content is not None:
        (tmp_path / "mine.py").write_text(content)
    with pytest.raises(BadRequest, match=message):
        load_own(f"{tmp_path}/{where}" if ":" in where else where)


def task():
    images = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
    return Task(Resident(images, torch.arange(4), torch.arange(4)), 4, True, "shapes")


class Twice(nn.Module):
    def forward(self, images):
        return images, images


class Whole(nn.Module):
    def forward(self, images):
        return images.flatten(1).long()


@pytest.mark.parametrize(
    ("encoder", "classifier", "message"),
    [
        (nn.Identity(), None, r"2 images to \(2, 3, 8, 8\), not to features"),
        (Twice(), None, "2 images to tuple"),
        (Whole(), None, "features are torch.int64, not floats"),
        (nn.Flatten(0), None, r"2 images to \(384,\)"),
        (nn.Flatten(), nn.Linear(192, 3), r"2 features to \(2, 3\), not to logits \(2, 4\)"),
        (torch.sin, None, "a method returns modules"),
    ],
)
def test_wrong_shapes_are_told(encoder, classifier, message):
    with pytest.raises(BadShape, match=message):
        check_shapes(Trained(encoder, classifier, 0), task())


def test_right_shapes_are_taken():
    check_shapes(Trained(nn.Flatten(), nn.Linear(192, 4), 0), task())


@pytest.mark.parametrize("backbone", ["resnet", "vit"])
def test_a_saved_encoder_is_loaded_by_us_and_by_timm(tmp_path, backbone):
    from timm.models import load_checkpoint

    encoder = build(backbone, in_chans=3, size=16, seed=5).eval()
    images = torch.arange(2 * 3 * 16 * 16).view(2, 3, 16, 16).to(torch.uint8)
    file = tmp_path / "encoder.safetensors"
    about = f'{{"backbone": "{backbone}", "in_chans": 3, "size": 16}}'
    save_encoder(encoder, file, {"encoder": about})
    want = probes.features(encoder, images)
    assert torch.equal(probes.features(load_encoder(file), images), want)
    other = build(backbone, in_chans=3, size=16, seed=6).eval()
    assert not torch.equal(probes.features(other, images), want)
    load_checkpoint(other, str(file))
    assert torch.equal(probes.features(other, images), want)


def test_what_is_no_encoder_file_is_told(tmp_path):
    file = tmp_path / "encoder.safetensors"
    with pytest.raises(BadRequest, match="is no encoder file"):
        load_encoder(file)
    file.write_bytes(b"x" * 100)
    with pytest.raises(BadRequest, match="is no encoder file"):
        load_encoder(file)
    save_encoder(nn.Linear(2, 2), file, {})
    with pytest.raises(BadRequest, match="does not say which backbone"):
        load_encoder(file)
