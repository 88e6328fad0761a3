"""Pools of self-supervised methods: a family per objective group and group of backbones."""

from typing import NamedTuple

from lotterybench.trials import Configuration, Setting

BATCH = 128
# Peak rates of SGD: the methods' defaults, swept on resnet8 (docs/methods.md).
SGD = {
    "barlow-twins": 0.12,
    "byol": 0.48,
    "dcl": 0.03,
    "dino": 0.12,
    "moco-v1": 0.48,
    "moco-v2": 0.12,
    "moco-v3": 0.03,
    "nnclr": 0.48,
    "simclr": 0.03,
    "simsiam": 0.48,
    "swav": 0.48,
    "vicreg": 0.03,
}
# One for all: the best of three for BYOL, and for MAE, on the small vit (docs/tracks.md).
ADAMW = 0.002
SUPERVISED = 0.12  # SGD's rate of the supervised anchor


class Body(NamedTuple):
    """A backbone, its group and optimiser; `scale` is its rate over that of the net swept."""

    group: str
    backbone: str
    optimiser: str
    scale: float = 1.0


class Recipe(NamedTuple):
    """A method of an objective group; its levels of `axis` (of `lr`: factors of its rate)."""

    objective: str
    method: str
    axis: str | None = None
    levels: tuple[float, ...] = ()


# What is ranked: with three backbones 51 configurations of 15 families.
RECIPES = [
    Recipe("contrastive", "simclr", "lr", (0.25, 1.0)),
    Recipe("contrastive", "dcl"),
    Recipe("contrastive", "nnclr"),
    Recipe("momentum-contrast", "moco-v1"),
    Recipe("momentum-contrast", "moco-v2"),
    Recipe("momentum-contrast", "moco-v3"),
    Recipe("distillation", "byol", "lr", (0.25, 1.0)),
    Recipe("distillation", "simsiam"),
    Recipe("distillation", "dino"),
    Recipe("redundancy", "barlow-twins"),
    Recipe("redundancy", "vicreg", "strength", (0.5, 1.0)),
    Recipe("clustering", "swav", "smallest", (0.08, 0.2, 0.5)),
]
# What subsets may be chosen with, on a backbone of another group: each method once.
CHOOSE = [Recipe(recipe.objective, recipe.method) for recipe in RECIPES]

# Small nets for 16 × 16 pixels, faster ones of timm's for 32 × 32, larger for 64 × 64. The last of
# each is the choose pool's. Scales are ratios of the rates in `methods/base/architectures.py`.
AT_16_PIXELS = [
    Body("resnet", "resnet8", "sgd"),
    Body("repvgg", "repvgg", "sgd"),
    Body("vit", "vit", "adamw"),
    Body("mobilenet", "mobilenet", "sgd"),
]
AT_32_PIXELS = [
    Body("resnet", "resnet20", "sgd"),
    Body("regnet", "regnety-002", "sgd", 0.5),
    Body("vit", "vit-tiny", "adamw", 0.25),
    Body("mobilenet", "mobilenetv3-small", "sgd", 0.5),
]
AT_64_PIXELS = [
    Body("resnet", "resnet18", "sgd", 0.5),
    Body("regnet", "regnety-002", "sgd", 0.5),
    Body("vit", "vit-tiny", "adamw", 0.25),
]


def pool(bodies: list[Body], recipes: list[Recipe], *, epochs: int) -> list[Configuration]:
    """Return each recipe on each backbone, once or at every level of its axis."""
    return [
        _entry(body, recipe, level, epochs)
        for body in bodies
        for recipe in recipes
        for level in recipe.levels or (None,)
    ]


def _entry(body: Body, recipe: Recipe, level: float | None, epochs: int) -> Configuration:
    rate = (SGD[recipe.method] if body.optimiser == "sgd" else ADAMW) * body.scale
    config: dict[str, Setting] = {
        "backbone": body.backbone, "lr": rate, "epochs": epochs, "batch": BATCH,
    }  # fmt: skip
    name = f"{recipe.method}-{body.backbone}"
    if recipe.axis is not None and level is not None:
        value = rate * level if recipe.axis == "lr" else level
        config[recipe.axis] = value
        name += f"-{recipe.axis}{value:g}"
    return Configuration(
        name=name,
        family=f"{recipe.objective}/{body.group}",
        method=recipe.method,
        config=config,
        axis=recipe.axis,
    )


def anchors(body: Body, *, epochs: int) -> list[Configuration]:
    """Return what is shown and never ranked: an untrained encoder and one trained with labels."""
    family = f"anchor/{body.group}"
    trained: dict[str, Setting] = {
        "backbone": body.backbone, "lr": SUPERVISED * body.scale, "epochs": epochs, "batch": BATCH,
    }  # fmt: skip
    untrained: dict[str, Setting] = {"backbone": body.backbone}
    return [
        Configuration(name="random-init", family=family, method="random-init", config=untrained),
        Configuration(name="supervised", family=family, method="supervised", config=trained),
    ]
