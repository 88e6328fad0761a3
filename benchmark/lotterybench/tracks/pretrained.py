"""Studies of tickets in pre-trained networks: digits, CIFAR-10 at 16 pixels, and as published."""

from lotterybench.studies import Pruning, Recipe
from lotterybench.studies.pretrained import (
    Canvases,
    Parts,
    PretrainedStudy,
    Pretraining,
    Rounds,
    Target,
    Variant,
)
from lotterybench.tracks.base import study

# The paper's three, its complement of as many weights, and two that keep the density.
VARIANTS = [
    Variant(how="complement"),
    Variant(how="random-global"),
    Variant(how="random-layerwise"),
    Variant(how="flip", part=0.1),
    Variant(how="swap", part=0.1),
]


def pretrainings(
    supervised: tuple[float, int], simclr: tuple[float, int], moco: tuple[float, int],
    rounds: int, rates: tuple[float, float, float], batch: int,
) -> list[Pretraining]:  # fmt: skip
    """Return random initialisation and three pre-trainings: (lr, epochs) each, rates of rounds."""
    found = [Pretraining(name="none", method="random-init")]
    for name, (lr, epochs), rate in zip(
        ("supervised", "simclr", "moco-v2"), (supervised, simclr, moco), rates, strict=True
    ):
        found.append(
            Pretraining(
                name=name,
                method=name,
                settings={"lr": lr, "epochs": epochs, "batch": batch},
                rounds=Rounds(epochs=rounds, lr=rate, batch=batch),
            )
        )
    return found


def targets(
    classification: Recipe, detection: Recipe, segmentation: Recipe, canvases: Canvases
) -> list[Target]:
    """Return the three tasks on one base; margins are half a point of accuracy, AP50 and mIoU."""
    return [
        Target(name="classification", task="classification", recipe=classification),
        Target(name="detection", task="detection", recipe=detection, canvases=canvases),
        Target(name="segmentation", task="segmentation", recipe=segmentation, canvases=canvases),
    ]


def _small(epochs: int, batch: int, lr: float = 0.05) -> Recipe:
    """Return a small net's recipe: the rate falls at half and at three quarters, as the paper's."""
    return Recipe(
        backbone="resnet8", epochs=epochs, lr=lr, batch=batch,
        milestones=[epochs // 2, epochs * 3 // 4],
    )  # fmt: skip


def _dense(epochs: int, batch: int) -> Recipe:
    """Return the recipe of scenes: AdamW, as a few hundred steps of SGD learn no boxes.

    Its rate falls once, late. Small nets learn many scenes of one large object each in few epochs;
    of small objects they learn the background alone (mean IoU of 8 to 9 with ten classes).
    """
    return _small(epochs, batch, 0.003).model_copy(
        update={"optimiser": "adamw", "weight_decay": 0.05, "milestones": [epochs - 1]}
    )


study.add(
    "digits-pretrained-tiny",
    PretrainedStudy(
        schema_version=1,
        name="digits-pretrained-tiny",
        version=1,
        title="Tickets in networks pre-trained on digits",
        kind="pretrained",
        base="digits",
        resolution=16,
        seeds=3,
        backbone="resnet8",
        parts=Parts(pretraining=0.34, finding=0.33, downstream=0.33),
        pretrainings=pretrainings(
            (0.12, 15), (0.12, 40), (0.12, 40), rounds=3, rates=(0.01, 0.01, 0.01), batch=64
        ),
        targets=targets(
            _small(6, 64), _dense(4, 16), _dense(4, 16),
            Canvases(
                side=16, finding=320, downstream=640, test=200, most=1, smallest=1.25,
                largest=1.75,
            ),
        ),
        # four of the paper's rounds in one: 0.8⁴ of what is left stays
        pruning=Pruning(rounds=2, share=0.59, stem=False),
        levels=[0, 1, 2],
        dense=5,
        variants=VARIANTS,
        perturbed=[1],
        perturbed_on=["classification"],
    ),
)  # fmt: skip

study.add(
    "cifar-pretrained-16px",
    PretrainedStudy(
        schema_version=1,
        name="cifar-pretrained-16px",
        version=1,
        title="Tickets in networks pre-trained on CIFAR-10 at 16 pixels",
        kind="pretrained",
        base="cifar10",
        resolution=16,
        seeds=5,
        backbone="resnet8",
        parts=Parts(pretraining=0.4, finding=0.08, downstream=0.1),
        pretrainings=pretrainings(
            (0.12, 10), (0.03, 20), (0.12, 20), rounds=2, rates=(0.01, 0.01, 0.01), batch=128
        ),
        targets=targets(
            _small(6, 128, 0.1), _dense(5, 16), _dense(5, 16),
            Canvases(
                side=24, finding=1000, downstream=1600, test=1000, most=1, smallest=1.0,
                largest=1.5,
            ),
        ),
        # two of the paper's rounds in one: 0.8² of what is left stays
        pruning=Pruning(rounds=6, share=0.36, stem=False),
        levels=[0, 2, 4, 6],
        variants=VARIANTS,
        perturbed=[4],
        perturbed_on=["classification"],
    ),
)  # fmt: skip

# Table 1 of Chen et al. 2021; what ImageNet is there is CIFAR-100 here. 103K and 30K iterations of
# their batches are 50 epochs of VOC07+12 and 82 of VOC12's training images. Detection's rate falls
# in two steps, where theirs falls as a cosine.
_CIFAR = Recipe(
    backbone="resnet50", epochs=182, lr=0.1, batch=256, weight_decay=2e-4, milestones=[91, 136]
)

study.add(
    "cifar-pretrained",
    PretrainedStudy(
        schema_version=1,
        name="cifar-pretrained",
        version=1,
        title="Tickets in a ResNet-50 pre-trained on CIFAR-100",
        kind="pretrained",
        base="cifar100",
        seeds=8,
        backbone="resnet50",
        parts=Parts(pretraining=0.4, finding=0.3, downstream=0.3),
        pretrainings=pretrainings(
            (0.1, 200), (0.03, 800), (0.12, 800), rounds=10, rates=(1e-4, 1e-4, 3e-4), batch=256
        ),
        targets=[
            Target(name="cifar10", task="classification", recipe=_CIFAR, base="cifar10"),
            Target(name="cifar100", task="classification", recipe=_CIFAR),
            Target(
                name="voc-detection", task="detection",
                recipe=Recipe(
                    backbone="resnet50", epochs=50, lr=1e-4, batch=8, weight_decay=5e-4,
                    milestones=[25, 38],
                ),
                canvases=Canvases(side=128, source="voc"),
            ),
            Target(
                name="voc-segmentation", task="segmentation",
                recipe=Recipe(
                    backbone="resnet50", epochs=82, lr=0.01, batch=4, milestones=[49, 60],
                ),
                canvases=Canvases(side=128, source="voc"),
            ),
        ],
        pruning=Pruning(rounds=18, stem=False),
        levels=list(range(19)),
        transfers=True,
        crossed=["none"],
        variants=VARIANTS,
        perturbed=[10],
        perturbed_on=["cifar100"],
    ),
)  # fmt: skip
