"""Transfer studies: tickets of one data set on another, on digits, at 16 pixels, as published.

The paper also has SVHN, Fashion-MNIST, ImageNet and Places365; no base here holds these.
"""

from lotterybench.studies import Pruning, Recipe
from lotterybench.studies.transfer import CONTROLS, Domain, Source, TransferStudy
from lotterybench.tracks.base import study

# Halves of the ten digits, five digits each, two classes, none: 200 samples in all of them but one.
DIGITS = [
    Domain(name="a", base="digits", part="A", each=20),
    Domain(name="b", base="digits", part="B", each=20),
    Domain(name="low", base="digits", each=40, classes=tuple("01234")),
    Domain(name="high", base="digits", each=40, classes=tuple("56789")),
    Domain(name="parity", base="digits", each=20, labels="parity"),
    Domain(name="shuffled", base="digits", each=20, labels="shuffled"),
    Domain(name="a-half", base="digits", part="A", each=10),
]

study.add(
    "digits-transfer-tiny",
    TransferStudy(
        schema_version=1,
        name="digits-transfer-tiny",
        version=1,
        title="One ticket for many tasks of digits",
        kind="transfer",
        base="digits",
        seeds=3,
        domains=DIGITS,
        recipes={
            "sgd": Recipe(
                backbone="resnet", epochs=5, lr=0.1, batch=50, milestones=[3, 4], strength=0.0
            ),
            "adam": Recipe(
                backbone="resnet", epochs=5, lr=3e-3, batch=50, milestones=[3, 4],
                optimiser="adam", strength=0.0,
            ),
        },
        pruning=Pruning(rounds=6, rewind=1),
        levels=[2, 5],
        sources=[
            *(Source(domain=domain.name) for domain in DIGITS),
            Source(domain="a-half", updates_of="a"),
            Source(domain="a", in_each=True),
        ],
        targets=["a", "b", "low", "high", "parity"],
    ),
)  # fmt: skip

# Size, classes and updates crossed: A and B differ in samples alone, A and its half in size (at
# equal epochs, or equal updates), A and CIFAR-100 in classes at 2,500 samples each.
SIXTEEN = [
    Domain(name="cifar10-a", base="cifar10", part="A", each=250),
    Domain(name="cifar10-b", base="cifar10", part="B", each=250),
    Domain(name="cifar100", base="cifar100", each=25),
    Domain(name="cifar10-a-half", base="cifar10", part="A", each=125),
]

study.add(
    "cifar-transfer-16px",
    TransferStudy(
        schema_version=1,
        name="cifar-transfer-16px",
        version=1,
        title="One ticket for CIFAR-10 and CIFAR-100 at 16 pixels",
        kind="transfer",
        base="cifar10",
        resolution=16,
        seeds=3,
        domains=SIXTEEN,
        recipes={
            "sgd": Recipe(
                backbone="resnet8", epochs=15, lr=0.1, batch=125, milestones=[9, 13], strength=0.5
            ),
            "adam": Recipe(
                backbone="resnet8", epochs=15, lr=3e-3, batch=125, milestones=[9, 13],
                optimiser="adam", strength=0.5,
            ),
        },
        pruning=Pruning(rounds=6, rewind=1),
        levels=[3, 6],
        sources=[
            *(Source(domain=domain.name) for domain in SIXTEEN),
            Source(domain="cifar10-a-half", updates_of="cifar10-a"),
            Source(domain="cifar10-a", in_each=True),
        ],
        targets=["cifar10-a", "cifar10-b", "cifar100"],
    ),
)  # fmt: skip

# The paper's form, as its replication has it: both halves of 25,000, and both bases whole.
WHOLE = [
    Domain(name="cifar10", base="cifar10"),
    Domain(name="cifar100", base="cifar100"),
    Domain(name="cifar10-a", base="cifar10", part="A"),
    Domain(name="cifar10-b", base="cifar10", part="B"),
]


def published(name: str, backbone: str, epochs: int, milestones: list[int], small: bool) -> None:
    """Register the paper's form with one of its two networks."""
    shared = {"backbone": backbone, "epochs": epochs, "milestones": milestones, "batch": 512}
    controls = [control for control in CONTROLS if small or control != "small"]
    study.add(
        name,
        TransferStudy(
            schema_version=1,
            name=name,
            version=1,
            title=f"One ticket for CIFAR-10, its halves and CIFAR-100, {backbone}",
            kind="transfer",
            base="cifar10",
            seeds=6,
            domains=WHOLE,
            recipes={
                "sgd": Recipe.model_validate({**shared, "lr": 0.1}),
                "adam": Recipe.model_validate({**shared, "lr": 3e-4, "optimiser": "adam"}),
            },
            pruning=Pruning(rounds=30, rewind=1),
            levels=list(range(2, 30, 3)),
            sources=[
                *(Source(domain=domain.name) for domain in WHOLE),
                Source(domain="cifar10-a", updates_of="cifar10"),
            ],
            targets=[domain.name for domain in WHOLE],
            controls=controls,
        ),
    )  # fmt: skip


published("cifar-transfer", "vgg19-bn", 160, [80, 120], small=True)
# its widths are fixed, so there is no narrower one
published("cifar-transfer-resnet50", "resnet50", 90, [50, 65, 80], small=False)
