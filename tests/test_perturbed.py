"""Masks made of another by chance: what they keep of its counts, and what they share with it."""

import pytest
import torch

from lotterybench.errors import BadRequest
from lotterybench.kinds.pretrained.downstream import perturbed
from lotterybench.pruning.masks import Masks
from lotterybench.pruning.overlap import overlap
from lotterybench.pruning.perturbed import complement, flip, inverted, random_global, swap
from lotterybench.studies.pretrained import Variant

SHAPES = {"a": (40, 30, 3, 3), "b": (50, 20), "c": (7,)}


def noise(seed=0):
    return torch.Generator().manual_seed(seed)


def masks(density, seed=0):
    generator = noise(seed)
    return Masks(
        {name: torch.rand(shape, generator=generator) < density for name, shape in SHAPES.items()}
    )


@pytest.mark.parametrize("density", [0.02, 0.3, 0.7, 0.98])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5])
def test_a_swap_keeps_the_density_and_exchanges_just_so_many(density, part):
    of = masks(density)
    made = swap(of, part, noise(1))
    count = round(part * min(of.remaining, of.total - of.remaining))
    assert made.remaining == of.remaining
    assert (inverted(made) & of).remaining == count == (made & inverted(of)).remaining


def test_a_whole_swap_of_half_masks_is_the_complement():
    of = Masks({"a": torch.tensor([True, False] * 50)})
    assert swap(of, 1.0, noise()) == inverted(of) == complement(of, noise(3))


@pytest.mark.parametrize("density", [0.044, 0.107, 0.5, 0.9])
def test_a_flip_ends_with_the_density_that_it_says(density):
    of = masks(density)
    made = flip(of, 0.1, noise(1))
    before, after = of.remaining / of.total, made.remaining / made.total
    assert after == pytest.approx(before + 0.1 * (1 - 2 * before), abs=1 / of.total)
    assert (of & inverted(made)).remaining == round(0.1 * of.remaining)
    assert (inverted(of) & made).remaining == round(0.1 * (of.total - of.remaining))


def test_a_flip_of_everything_is_the_inverse_and_of_nothing_the_same():
    of = masks(0.3)
    assert flip(of, 1.0, noise()) == inverted(of)
    assert flip(of, 0.0, noise()) == of


@pytest.mark.parametrize("density", [0.05, 0.3, 0.49])
def test_a_complement_shares_nothing_and_keeps_as_many(density):
    of = masks(density)
    made = complement(of, noise(1))
    assert made.remaining == of.remaining
    assert (made & of).remaining == 0


def test_a_complement_of_a_dense_mask_is_refused():
    with pytest.raises(BadRequest, match="complement has only"):
        complement(masks(0.6), noise())


def test_random_masks_keep_counts_and_overlap_by_chance_alone():
    of = masks(0.3)
    for how in ("random-global", "random-layerwise"):
        made = perturbed(of, Variant(how=how), noise(2))
        assert made.remaining == of.remaining
        assert overlap(of, made).normalised == pytest.approx(0, abs=0.03)
        assert (made.counts == of.counts) == (how == "random-layerwise")
    assert random_global(of, noise(2)) == perturbed(of, Variant(how="random-global"), noise(2))


@pytest.mark.parametrize("how", ["complement", "random-global", "random-layerwise", "flip", "swap"])
def test_equal_noise_gives_equal_masks_and_other_noise_others(how):
    of = masks(0.3)
    made = [perturbed(of, Variant(how=how), noise(seed)) for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]
    assert of == masks(0.3), "what a variant is made of is changed"


@pytest.mark.parametrize("make", [flip, swap])
@pytest.mark.parametrize("part", [-0.1, 1.1, float("nan")])
def test_a_part_outside_0_and_1_is_refused(make, part):
    with pytest.raises(BadRequest, match="not in"):
        make(masks(0.3), part, noise())
