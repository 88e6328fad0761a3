"""Masks, the criteria that make them, rounds of pruning, and what they are compared with."""

import copy
import hashlib
import itertools
import json
import math

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import prune

from lotterybench.errors import BadRequest
from lotterybench.methods.base.backbones import BACKBONES, build, dimension
from lotterybench.pruning.controls import permuted, random_masks, reinitialised
from lotterybench.pruning.criteria import grasp, magnitude, random, snip
from lotterybench.pruning.enforcing import enforced
from lotterybench.pruning.functional import copied
from lotterybench.pruning.keeping import keep, keep_in_each
from lotterybench.pruning.levels import load_level, save_level
from lotterybench.pruning.masks import Masks, load
from lotterybench.pruning.overlap import distance, overlap, overlap_by_tensor
from lotterybench.pruning.prunable import Rules, prunable
from lotterybench.pruning.rounds import Plan, Point, Trained, prune_in_rounds
from lotterybench.pruning.synflow import synflow, synflow_scores


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def tiny(seed=0, bias=True, smooth=False):
    """A network of 3 × 4 × 4 images and 3 classes, with a norm."""
    generator = seeded(seed)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=bias),
        nn.BatchNorm2d(4),
        nn.Tanh() if smooth else nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16, 5, bias=bias),
        nn.Tanh() if smooth else nn.ReLU(),
        nn.Linear(5, 3, bias=bias),
    )
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 2)
        net[1].weight.fill_(1)
    return net


def batch(n=12):
    generator = seeded(9)
    return torch.randn(n, 3, 4, 4, generator=generator), torch.arange(n) % 3


def weights_of(net):
    return prunable(net, Rules(classifier="6"))


def some_masks(density=0.4, seed=1):
    return random_masks(weights_of(tiny()), density, seeded(seed))


# --- what may be pruned


def test_the_declared_set():
    net = build("resnet8", in_chans=3, size=32, seed=0)
    named = dict(net.named_parameters())
    whole = prunable(net)
    assert list(whole) == [name for name in named if named[name].ndim > 1]
    assert not any("bn" in name or "bias" in name for name in whole)
    assert all(whole[name] is named[name] for name in whole)
    left = prunable(net, Rules(stem=False, shortcuts=False))
    gone = [
        "stem.conv.weight",
        "stages.1.0.shortcut.conv.weight",
        "stages.2.0.shortcut.conv.weight",
    ]
    assert [name for name in whole if name not in left] == gone


def test_a_stages_downsampling_is_no_shortcut_and_a_blocks_is():
    stage = prunable(build("convnext", in_chans=3, size=32, seed=0), Rules(shortcuts=False))
    assert any("downsample" in name for name in stage)
    block = prunable(build("resnet18", in_chans=3, size=32, seed=0), Rules(shortcuts=False))
    assert not any("downsample" in name for name in block)


def test_the_classifier_is_left_out():
    assert list(prunable(tiny(), Rules(classifier="6"))) == ["0.weight", "4.weight"]
    assert list(prunable(tiny())) == ["0.weight", "4.weight", "6.weight"]
    with pytest.raises(BadRequest, match="no module fc"):
        prunable(tiny(), Rules(classifier="fc"))
    with pytest.raises(BadRequest, match="no weight to prune"):
        prunable(nn.BatchNorm2d(3))


def test_a_chain_of_equal_layers_has_one_stem():
    chain = nn.Sequential(*(nn.Linear(8, 8) for _ in range(3)))
    assert list(prunable(chain, Rules(stem=False))) == ["1.weight", "2.weight"]


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_the_stem_is_what_reads_the_image(name):
    net = build(name, in_chans=3, size=32, seed=0).eval()
    image, readers = torch.rand(1, 3, 32, 32), set()
    for path, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_pre_hook(
                lambda _, seen, path=path: (
                    readers.add(f"{path}.weight")
                    if seen[0].untyped_storage().data_ptr() == image.untyped_storage().data_ptr()
                    else None
                )
            )
    with torch.no_grad():
        net(image)
    whole, rest = prunable(net), prunable(net, Rules(stem=False))
    assert set(whole) - set(rest) == readers
    assert list(whole) == [n for n, _ in net.named_parameters() if n in whole]


# --- masks


def test_masks_travel_packed_and_whole(tmp_path):
    masks = some_masks()
    masks.save(tmp_path / "a.safetensors")
    masks.save(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    back = load(tmp_path / "a.safetensors")
    assert list(back.kept) == list(masks.kept)
    assert all(torch.equal(back.kept[name], mask) for name, mask in masks.kept.items())
    assert back == masks and back.digest == masks.digest
    assert sum(len(of) for of in masks.packed().values()) == math.ceil(108 / 8) + 10
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_digest_is_of_names_shapes_and_bits():
    bits = torch.tensor([[True, False, True], [False, True, True]])
    masks = Masks({"b": bits, "a": bits})
    text = b'[["a",[2,3]],["b",[2,3]]]' + bytes([0b10101100]) * 2
    assert masks.digest == hashlib.sha256(text).hexdigest()
    assert masks.digest == ("77a916a26e66cc8b5f8659aaff3d0f7c27140896230a9724e7421226d2cfeb01")
    assert Masks({"a": bits, "b": bits}).digest == masks.digest
    assert Masks({"a": bits, "b": bits.t()}).digest != masks.digest
    assert Masks({"a": bits, "c": bits}).digest != masks.digest
    assert Masks({"a": bits, "b": ~bits}).digest != masks.digest


def test_what_is_no_file_of_masks_is_refused(tmp_path):
    path, masks = tmp_path / "m.safetensors", some_masks()
    masks.save(path)
    with safe_open(path, "pt") as file:
        bits = {name: file.get_tensor(name) for name in file.keys()}
    good = masks.about()
    first, shape = good["shapes"][0]
    broken = [
        (bits, None),
        (bits, good | {"digest": "0"}),
        (bits, good | {"shapes": [[first, [10**15]]]}),
        (bits, good | {"shapes": [[first, [-1, -108]]]}),
        (bits, good | {"shapes": [["other", shape]]}),
        (bits, {"digest": good["digest"]}),
        ({name: of.float() for name, of in bits.items()}, good),
        (bits | {first: bits[first] ^ 1}, good),
        (bits | {"more": bits[first].clone()}, good),
    ]
    for tensors, about in broken:
        save_file(tensors, path, {"masks": json.dumps(about)})
        with pytest.raises(BadRequest, match="is no file of masks"):
            load(path)
    path.write_bytes(b"nothing")
    with pytest.raises(BadRequest, match="is no file of masks"):
        load(path)
    with pytest.raises(BadRequest, match="is no file of masks"):
        load(tmp_path / "missing")


def test_applied_masks_count_exactly():
    net, masks = tiny(), some_masks()
    with torch.no_grad():
        net[0].weight[~masks.kept["0.weight"]] = float("nan")
    before = copied(net)
    masks.apply(dict(net.named_parameters()))
    for name, now in copied(net).items():
        kept = masks.kept.get(name, torch.ones_like(now, dtype=torch.bool))
        assert torch.equal(now, torch.where(kept, before[name], torch.zeros_like(now)))
    assert masks.total == 108 + 80
    assert masks.remaining == round(0.4 * 188) == sum(int(m.sum()) for m in masks.kept.values())
    assert masks.sparsity == 1 - masks.remaining / 188
    assert masks.densities["4.weight"] == int(masks.kept["4.weight"].sum()) / 80


def test_masks_of_other_tensors_are_refused():
    masks = some_masks()
    with pytest.raises(BadRequest, match=r"no tensor of that name"):
        masks.apply({"0.weight": torch.ones(4, 3, 3, 3)})
    with pytest.raises(BadRequest, match=r"has the shape \(2,\), its mask \(4, 3, 3, 3\)"):
        masks.apply({"0.weight": torch.ones(2), "4.weight": torch.ones(5, 16)})
    with pytest.raises(BadRequest, match=r"torch.bool"):
        Masks({"w": torch.ones(3)})
    part = Masks({"0.weight": masks.kept["0.weight"]})
    for joined in (lambda: masks & part, lambda: part & masks, lambda: part | masks):
        with pytest.raises(BadRequest, match=r"4\.weight"):
            joined()


# --- how masks agree


def test_overlap_with_itself_and_with_nothing():
    masks = some_masks()
    same = overlap(masks, masks)
    assert same.jaccard == 1 and same.normalised == 1 and same.z > 3
    none = keep(random(weights_of(tiny()), seeded()), 0)
    assert overlap(none, none) == (None, None, None, None)
    dense = Masks.dense(weights_of(tiny()))
    assert overlap(dense, dense) == (1, 1, None, None)
    assert distance(masks, none) == masks.remaining and distance(masks, masks) == 0
    by_tensor = overlap_by_tensor(masks, some_masks(seed=2))
    assert by_tensor["0.weight"] == overlap(
        Masks({"0.weight": masks.kept["0.weight"]}),
        Masks({"0.weight": some_masks(seed=2).kept["0.weight"]}),
    )


def test_the_expected_overlap_is_that_of_simulated_independent_masks():
    weights = {"a": torch.zeros(30), "b": torch.zeros(7), "c": torch.zeros(5)}
    ours, theirs = {"a": 0.3, "b": 0.9, "c": 0.2}, {"a": 0.5, "b": 0.6, "c": 0.8}
    generator = seeded(3)
    found = [
        overlap(random_masks(weights, ours, generator), random_masks(weights, theirs, generator))
        for _ in range(1000)
    ]
    drawn = torch.tensor([one.jaccard for one in found])
    chance = found[0].chance
    assert all(one.chance == chance for one in found)
    assert abs(drawn.mean() - chance) < 3 * drawn.std() / 1000**0.5
    z = torch.tensor([one.z for one in found])
    assert abs(z.mean()) < 0.1 and abs(z.std() - 1) < 0.1


def test_the_expected_overlap_is_close_to_its_exact_value():
    """All pairs of masks of 3 of 6 and 2 of 5 weights."""
    first = Masks({"a": torch.arange(6) < 3, "b": torch.arange(5) < 2})
    exact = []
    for a in itertools.combinations(range(6), 3):
        for b in itertools.combinations(range(5), 2):
            both = sum(i < 3 for i in a) + sum(i < 2 for i in b)
            exact.append(both / (10 - both))
    assert overlap(first, first).chance == pytest.approx(sum(exact) / len(exact), abs=0.01)


def test_published_overlaps_at_five_rounds_lie_below_chance():
    """Two independent masks at .8^5 agree on 19.6 %, not on the 6.55 % that Chen et al. report."""
    weights = {"a": torch.zeros(100_000)}
    masks = random_masks(weights, 0.8**5, seeded())
    assert overlap(masks, masks).chance == pytest.approx(0.8**5 / (2 - 0.8**5), abs=1e-4)


# --- keeping


@pytest.mark.parametrize("density", [0, 0.001, 0.1, 0.33, 0.5, 0.8**7, 0.999, 1])
@pytest.mark.parametrize("choose", [keep, keep_in_each])
def test_counts_are_exact_whatever_the_ties(choose, density):
    scores = {
        "a": torch.zeros(7, 10),
        "b": torch.randint(3, (13,), generator=seeded()).float(),
        "c": torch.full((4, 1, 2), math.inf),
    }
    masks = choose(scores, density)
    assert masks.remaining == round(density * 91)
    if choose is keep_in_each:
        for name, count in masks.counts.items():
            assert abs(count - density * scores[name].numel()) < 1


def test_ties_go_to_the_earlier_tensor_and_position():
    scores = {"b": torch.tensor([1.0, 0, 1]), "a": torch.tensor([1.0, 1, 2])}
    assert keep(scores, 0.5).kept["b"].tolist() == [True, False, True]
    assert keep(scores, 0.5).kept["a"].tolist() == [False, False, True]
    assert keep_in_each(scores, 0.5).counts == {"b": 2, "a": 1}
    many = keep({"w": torch.zeros(50_000)}, 0.3).kept["w"]
    assert torch.equal(many, torch.arange(50_000) < 15_000)
    swapped = keep({"a": scores["a"], "b": scores["b"]}, 0.5)
    assert swapped.kept["a"].tolist() == [True, True, True]


def test_the_best_are_kept_by_brute_force():
    scores = random(weights_of(tiny()), seeded())
    masks = keep(scores, 0.3)
    everything = sorted((s for of in scores.values() for s in of.flatten().tolist()), reverse=True)
    bar = everything[masks.remaining - 1]
    for name, of in scores.items():
        assert torch.equal(masks.kept[name], of >= bar)


def test_further_pruning_ranks_only_what_is_left():
    scores = random(weights_of(tiny()), seeded())
    first = keep({name: -of for name, of in scores.items()}, 0.5)
    second = keep(scores, 0.2, within=first)
    assert (second & first) == second and second.remaining == round(0.2 * 188)
    with pytest.raises(BadRequest, match="150 weights are to be kept, but 94 are left"):
        keep(scores, 150 / 188, within=first)
    with pytest.raises(
        BadRequest, match=r"97 weights of 0\.weight are to be kept, but \d+ are left"
    ):
        keep_in_each(scores, 0.9, within=first)


def test_rounds_in_each_tensor_nest_even_where_it_is_tiny():
    scores = {f"w{n}": torch.rand(n, generator=seeded(n)) for n in (1, 1, 2, 3, 5, 40)}
    total, masks = sum(of.numel() for of in scores.values()), None
    for level in range(1, 15):
        masks = keep_in_each(scores, 0.8**level, within=masks)
        assert masks.remaining == round(0.8**level * total)


def test_each_tensor_takes_its_own_density():
    scores = random(weights_of(tiny()), seeded())
    masks = keep_in_each(scores, {"0.weight": 0.25, "4.weight": 0})
    assert masks.counts == {"0.weight": 27, "4.weight": 0}
    with pytest.raises(BadRequest, match="densities are of"):
        keep_in_each(scores, {"0.weight": 0.25})


@pytest.mark.parametrize("density", [-0.1, 1.1, math.nan])
def test_densities_out_of_range_are_refused(density):
    with pytest.raises(BadRequest, match=r"is not in \[0, 1\]"):
        keep({"w": torch.ones(3)}, density)
    with pytest.raises(BadRequest, match=r"is not in \[0, 1\]"):
        synflow(tiny(), weights_of(tiny()), (3, 4, 4), density)


def test_nan_ranks_nothing():
    scores = {"a": torch.ones(2), "b": torch.tensor([1.0, math.nan, 2, math.nan])}
    for choose in (keep, keep_in_each):
        with pytest.raises(BadRequest, match=r"^2 of 4 scores of b are NaN; they rank nothing$"):
            choose(scores, 0.5)


# --- criteria


def test_magnitude_is_torchs_global_pruning():
    net = tiny()
    weights = weights_of(net)
    for pruned in (0.2, 0.5, 0.93):
        masks = keep(magnitude(weights), 1 - pruned)
        theirs = copy.deepcopy(net)
        layers = [(theirs[0], "weight"), (theirs[4], "weight")]
        prune.global_unstructured(layers, prune.L1Unstructured, amount=188 - masks.remaining)
        assert torch.equal(masks.kept["0.weight"], theirs[0].weight_mask.bool())
        assert torch.equal(masks.kept["4.weight"], theirs[4].weight_mask.bool())


def moved(net, weights, change):
    """The network's loss in float64, norms on the batch, with some weights changed."""
    images, labels = batch()
    values = {f: p.detach() for f, p in net.named_parameters()} | change
    return lambda heat=1.0: F.cross_entropy(
        torch.func.functional_call(net, values, (images.double(),)) / heat, labels
    )


def test_snip_is_the_slope_of_the_loss_by_the_mask():
    net = tiny(smooth=True).double()
    weights, (images, labels) = weights_of(net), batch()
    scores = snip(net, weights, images.double(), labels)
    for name, place in [
        ("0.weight", (1, 2, 0, 1)),
        ("0.weight", (3, 0, 2, 2)),
        ("4.weight", (4, 7)),
    ]:
        step = torch.zeros_like(weights[name])
        step[place] = 1e-5
        up, down = (
            moved(net, weights, {name: weights[name].detach() * (1 + sign * step)})().item()
            for sign in (1, -1)
        )
        assert scores[name][place].item() == pytest.approx(abs(up - down) / 2e-5, rel=1e-5)


def test_grasp_is_what_gradient_flow_loses_by_finite_differences():
    net = tiny(smooth=True).double()
    weights, (images, labels) = weights_of(net), batch()
    scores = grasp(net, weights, images.double(), labels, temperature=2)

    def flow(name, step):
        values = {n: w.detach().clone() for n, w in weights.items()}
        values[name] += step
        values = {n: w.requires_grad_() for n, w in values.items()}
        slopes = torch.autograd.grad(moved(net, weights, values)(2), list(values.values()))
        return sum((slope**2).sum().item() for slope in slopes)

    for name, place in [
        ("0.weight", (1, 2, 0, 1)),
        ("0.weight", (3, 0, 2, 2)),
        ("4.weight", (4, 7)),
    ]:
        step = torch.zeros_like(weights[name])
        step[place] = 1e-5
        slope = (flow(name, step) - flow(name, -step)) / 2e-5  # of gᵀg, hence twice H g
        expected = weights[name][place].item() * slope / 2
        assert scores[name][place].item() == pytest.approx(expected, rel=1e-4)


def test_grasp_keeps_what_gradient_flow_needs():
    """The paper's sign: removing the lowest scores must leave more flow than the highest."""
    net = tiny(smooth=True).double()
    weights, (images, labels) = weights_of(net), batch()
    scores = grasp(net, weights, images.double(), labels, temperature=1)

    def flow(masks):
        values = {n: (w.detach() * masks.kept[n]).requires_grad_() for n, w in weights.items()}
        slopes = torch.autograd.grad(moved(net, weights, values)(), list(values.values()))
        return sum((slope**2).sum().item() for slope in slopes)

    worst = keep({name: -score for name, score in scores.items()}, 0.95)
    assert flow(keep(scores, 0.95)) > flow(worst)


@pytest.mark.parametrize("score", [snip, grasp])
def test_scoring_leaves_the_network_as_it_was(score):
    net = tiny()
    net[1].eval()
    before, modes = copied(net), [m.training for m in net.modules()]
    with torch.no_grad():
        once = score(net, weights_of(net), *batch())
        again = score(net, weights_of(net), *batch())
    synflow_scores(net, weights_of(net), (3, 4, 4))
    assert all(torch.equal(once[name], again[name]) for name in once)
    assert all(torch.equal(before[name], now) for name, now in copied(net).items())
    assert [m.training for m in net.modules()] == modes
    assert all(parameter.grad is None for parameter in net.parameters())


def test_scores_are_of_the_networks_own_weights():
    encoder = build("resnet8", in_chans=3, size=16, seed=0)
    whole = nn.Sequential(encoder, nn.Linear(dimension(encoder), 3))
    images, labels = torch.rand(4, 3, 16, 16, generator=seeded()), torch.arange(4) % 3
    scores = snip(whole, prunable(encoder), images, labels)
    assert list(scores) == list(prunable(encoder))
    with pytest.raises(BadRequest, match="is no parameter of this Sequential"):
        snip(whole, prunable(build("resnet8", in_chans=3, size=16, seed=0)), images, labels)


def test_attention_has_second_derivatives_here():
    encoder = build("vit", in_chans=3, size=8, seed=0)
    whole = nn.Sequential(encoder, nn.Linear(dimension(encoder), 3))
    images, labels = torch.rand(4, 3, 8, 8, generator=seeded()), torch.arange(4) % 3
    masks = keep(grasp(whole, prunable(encoder), images, labels), 0.3)
    assert masks.remaining == round(0.3 * masks.total)


def test_synaptic_flow_is_conserved():
    """Tanaka et al. 2020, theorem 2: every layer's scores have one sum, that of the outputs."""
    chain = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.ReLU(), nn.Flatten(),
        nn.Linear(16, 5, bias=False), nn.ReLU(), nn.Linear(5, 3, bias=False),
    )  # fmt: skip
    for masks in (None, random_masks(prunable(chain), 0.6, seeded())):
        scores = synflow_scores(chain, prunable(chain), (3, 4, 4), masks)
        sums = [score.sum().item() for score in scores.values()]
        assert sums[0] > 0
        assert sums == pytest.approx([sums[0]] * 3, rel=1e-12)
        assert all((score >= 0).all() for score in scores.values())


def test_synflow_is_flow_by_the_products_of_paths():
    """Two layers, by hand: of w, the score is |w| times what leads to it and from it."""
    net = nn.Sequential(nn.Linear(2, 3, bias=False), nn.ReLU(), nn.Linear(3, 2, bias=False))
    first, second = net[0].weight.detach().abs().double(), net[2].weight.detach().abs().double()
    scores = synflow_scores(net, prunable(net), (2,))
    torch.testing.assert_close(scores["0.weight"], first * second.sum(0)[:, None])
    torch.testing.assert_close(scores["2.weight"], second * first.sum(1)[None, :])


def test_synflow_knows_no_sign():
    net, turned = tiny(), tiny()
    with torch.no_grad():
        for parameter in turned.parameters():
            parameter.neg_()
    ours, theirs = (synflow_scores(of, weights_of(of), (3, 4, 4)) for of in (net, turned))
    assert same(ours, theirs) and all((score > 0).all() for score in ours.values())


def test_synflow_in_rounds_starves_no_layer():
    net = build("resnet8", in_chans=3, size=16, seed=0)
    weights = prunable(net)
    masks = synflow(net, weights, (3, 16, 16), 0.01, rounds=30)
    assert masks.remaining == round(0.01 * masks.total)
    assert min(masks.counts.values()) > 0
    assert masks == synflow(net, weights, (3, 16, 16), 0.01, rounds=30)


def test_synflow_refuses_norms_that_let_no_flow_through():
    net = build("convnext", in_chans=3, size=32, seed=0)
    with pytest.raises(BadRequest, match="which lets no flow through"):
        synflow(net, prunable(net), (3, 32, 32), 0.5)
    with pytest.raises(BadRequest, match="0 rounds"):
        synflow(tiny(), weights_of(tiny()), (3, 4, 4), 0.5, rounds=0)


# --- training under masks

OPTIMISERS = {
    "momentum": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, 0.01, weight_decay=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1),
    "adamw-fused": lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1, fused=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, 0.01, momentum=0.9, weight_decay=0.01),
}


def steps(net, optimizer, count=5):
    images, labels = batch()
    for _ in range(count):
        optimizer.zero_grad()
        F.cross_entropy(net(images), labels).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()


def pruned_values(net, masks, optimizer):
    """All values and optimiser states of pruned weights."""
    for name, weight in weights_of(net).items():
        out = ~masks.kept[name]
        yield weight[out]
        for state in optimizer.state[weight].values():
            if isinstance(state, torch.Tensor) and state.shape == weight.shape:
                yield state[out]


@pytest.mark.parametrize("name", OPTIMISERS)
def test_pruned_weights_stay_zero_and_leave_no_state(name):
    net, masks = tiny(), some_masks()
    start = copied(net)
    with enforced(weights_of(net), masks):
        optimizer = OPTIMISERS[name](net.parameters())
        steps(net, optimizer)
    values = list(pruned_values(net, masks, optimizer))
    assert len(values) > 2 and not any(value.any() for value in values)
    kept = masks.kept["4.weight"]
    assert (net[4].weight[kept] != start["4.weight"][kept]).any()


@pytest.mark.parametrize("name", OPTIMISERS)
def test_an_optimiser_that_remembers_pruned_weights_forgets_them(name):
    net, masks = tiny(), some_masks()
    optimizer = OPTIMISERS[name](net.parameters())
    steps(net, optimizer)
    assert any(value.any() for value in pruned_values(net, masks, optimizer))
    with enforced(weights_of(net), masks, optimizer):
        steps(net, optimizer)
        assert not any(value.any() for value in pruned_values(net, masks, optimizer))


def test_training_under_masks_that_keep_all_is_plain_training_and_the_end_frees():
    plain, held = tiny(), tiny()
    steps(plain, OPTIMISERS["momentum"](plain.parameters()))
    with enforced(weights_of(held), Masks.dense(weights_of(held))):
        steps(held, OPTIMISERS["momentum"](held.parameters()))
    assert all(torch.equal(copied(plain)[name], now) for name, now in copied(held).items())
    masks = some_masks()
    with enforced(weights_of(held), masks):
        pass
    steps(held, OPTIMISERS["momentum"](held.parameters()))
    assert held[4].weight[~masks.kept["4.weight"]].any()


def test_clipping_sees_no_gradient_of_pruned_weights():
    net, masks = tiny(), some_masks()
    images, labels = batch()
    with enforced(weights_of(net), masks):
        F.cross_entropy(net(images), labels).backward()
    for name, weight in weights_of(net).items():
        assert not weight.grad[~masks.kept[name]].any() and weight.grad.any()


# --- rounds


def trainer(calls=None, length=6):
    """Train `tiny` from a state for `length` steps, less those before `begin`."""

    def train(start, masks, *, begin, capture):
        if calls is not None:
            calls.append((start, masks, begin, capture))
        net = tiny()
        net.load_state_dict(start)
        point, first = None, begin.steps(2)
        with enforced(weights_of(net), masks):
            optimizer = OPTIMISERS["momentum"](net.parameters())
            for step in range(first, length):
                if capture is not None and step == capture.steps(2):
                    point = copied(net)
                steps(net, optimizer, 1)
        return Trained(copied(net), point)

    return train


def levels_of(plan, train=None, after=None):
    net = tiny()
    dense = Masks.dense(weights_of(net))
    return list(prune_in_rounds(plan, copied(net), dense, train or trainer(), after=after))


def same(first, second):
    return set(first) == set(second) and all(torch.equal(first[n], second[n]) for n in first)


@pytest.mark.parametrize("in_each", [False, True])
def test_densities_are_counted_exactly_and_masks_nest(in_each):
    levels = levels_of(Plan(6, in_each=in_each))
    assert [level.number for level in levels] == list(range(7))
    for before, level in itertools.pairwise(levels):
        assert level.masks.remaining == round(0.8**level.number * 188)
        assert (level.masks & before.masks) == level.masks
        pruned = {name: ~mask for name, mask in level.masks.kept.items()}
        assert not any(level.final[name][out].any() for name, out in pruned.items())
    assert [round(100 * (1 - Plan(6).density(k)), 2) for k in range(1, 7)] == [
        20.0, 36.0, 48.8, 59.04, 67.23, 73.79,
    ]  # fmt: skip


@pytest.mark.parametrize("point", [Point(), Point(3), Point(2, "epochs")])
def test_weights_go_back_to_the_point_to_the_byte(point):
    calls = []
    levels = levels_of(Plan(2, point=point), trainer(calls))
    expected = copied(tiny())
    if point.after:
        net = tiny()
        steps(net, OPTIMISERS["momentum"](net.parameters()), point.steps(2))
        expected = copied(net)
    assert all(same(level.point, expected) for level in levels)
    assert [call[2] for call in calls] == [Point(), point, point]
    for start, masks, *_ in calls[1:]:
        masks.apply(wanted := {name: value.clone() for name, value in expected.items()})
        assert same(start, wanted)


def test_learning_rate_rewinding_keeps_the_weights():
    calls = []
    levels = levels_of(Plan(1, point=Point(4), weights=False), trainer(calls))
    wanted = {name: value.clone() for name, value in levels[0].final.items()}
    levels[1].masks.apply(wanted)
    assert same(calls[1][0], wanted) and calls[1][2] == Point(4)
    levels_of(Plan(1, point=Point(4), rate=False), trainer(calls))
    assert calls[3][2] == Point()


def test_level_zero_is_plain_training():
    net = tiny()
    steps(net, OPTIMISERS["momentum"](net.parameters()), 6)
    assert same(levels_of(Plan(0))[0].final, copied(net))


@pytest.mark.parametrize("weights", [False, True])
def test_a_saved_level_goes_on_to_the_same_masks(tmp_path, weights):
    plan = Plan(4, point=Point(1, "epochs"), weights=weights)
    whole = levels_of(plan)
    path = tmp_path / "level.safetensors"
    save_level(whole[2], path)
    saved = load_level(path)
    assert saved.number == 2 and same(saved.point, whole[2].point)
    rest = levels_of(plan, after=saved)
    assert [level.number for level in rest] == [3, 4]
    for ours, theirs in zip(rest, whole[3:], strict=True):
        assert ours.masks == theirs.masks and same(ours.final, theirs.final)
    content = path.read_bytes()
    save_level(saved, path)
    assert path.read_bytes() == content
    path.write_bytes(content[:-1])
    with pytest.raises(BadRequest, match="no file of a pruning level"):
        load_level(path)
    some_masks().save(path)
    with pytest.raises(BadRequest, match="no file of a pruning level"):
        load_level(path)


def test_rounds_refuse_what_they_cannot_do():
    with pytest.raises(BadRequest, match="a share between 0 and 1"):
        Plan(3, share=1)
    with pytest.raises(BadRequest, match="after -1 steps"):
        Point(-1)
    with pytest.raises(BadRequest, match="without a state after 99 steps"):
        levels_of(Plan(1, point=Point(99)))


# --- controls


def test_permuted_masks_keep_each_tensors_count_and_follow_the_generator():
    masks = keep(magnitude(weights_of(tiny())), 0.2)
    shuffled = permuted(masks, seeded(5))
    assert shuffled.counts == masks.counts and shuffled != masks
    assert shuffled == permuted(masks, seeded(5)) != permuted(masks, seeded(6))
    places = sum(permuted(masks, seeded(s)).kept["4.weight"].double() for s in range(400)) / 400
    assert abs(places - masks.densities["4.weight"]).max() < 0.1


def test_random_masks_know_nothing_of_the_ticket():
    """At a ticket's densities they are put on the dense weights of the point: none is 0."""
    level = levels_of(Plan(5, point=Point(2)))[5]
    weights = {name: level.point[name] for name in level.masks.kept}
    drawn = random_masks(weights, level.masks.densities, seeded())
    assert drawn.counts == level.masks.counts
    state = {name: value.clone() for name, value in level.point.items()}
    drawn.apply(state)
    assert sum(int(state[name].count_nonzero()) for name in drawn.kept) == drawn.remaining
    assert not (drawn & level.masks) == drawn


def test_new_weights_under_the_same_masks():
    masks = some_masks()
    first, again, other = (reinitialised(tiny, masks, seeded(s)) for s in (0, 0, 1))
    assert same(copied(first), copied(again)) and not same(copied(first), copied(other))
    for net in (first, other):
        assert {n: int(w.count_nonzero()) for n, w in weights_of(net).items()} == masks.counts


def test_nothing_draws_from_torchs_own_generator():
    net = build("resnet8", in_chans=3, size=16, seed=0)
    weights, before = prunable(net), torch.get_rng_state()
    masks = random_masks(weights, 0.5, seeded())
    permuted(masks, seeded())
    reinitialised(lambda s: build("resnet8", in_chans=3, size=16, seed=s), masks, seeded())
    synflow(net, weights, (3, 16, 16), 0.5, rounds=2)
    assert torch.equal(torch.get_rng_state(), before)
