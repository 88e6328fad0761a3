"""Studies of accelerated training (ReLA): digits, CIFAR at 16 pixels, and as published.

At 16 pixels every arm is BYOL's; SimCLR has what a claim of acceleration needs: full data, as many
steps of it, equal cost, the redrawn half with and without targets, and a random prior, so that a
direction takes about an hour on two cores. Both have all budgets.

Studies of `methods` rank the pool of self-supervised methods on two backbones: full data, half of
it with and without targets, redrawn and fixed, and full data for half of the epochs. The family
that trains the prior is not ranked (protocol §6).
"""

from lotterybench.studies.acceleration import (
    ESSENTIAL,
    FORMS,
    AccelerationStudy,
    Compared,
    Source,
    Training,
)
from lotterybench.studies.transfer import Domain
from lotterybench.tracks.base import study
from lotterybench.tracks.base.selfsup import SGD

PAPER = Training(
    method="byol", backbone="resnet18", epochs=100, lr=1e-3, optimiser="adamw", weight_decay=0.01,
    constant=True,
)  # fmt: skip
# timm's names, weights of ImageNet-1k and of CLIP: a machine without them is told so at once.
MODELS = [
    Source(name="imagenet", how="model", model="timm:resnet50.a1_in1k"),
    Source(name="clip", how="model", model="timm:vit_base_patch16_clip_224.openai"),
]


def compared(byol: Training, rates: dict[str, list[float]], priors: list[str]) -> list[Compared]:
    """Return BYOL with every arm and prior, and SimCLR with the essential ones.

    `rates` are tried at the primary budget; one is taken as it is. The first of `priors` is the
    main one, the last the random one.
    """
    simclr = byol.model_copy(update={"method": "simclr", "lr": rates["simclr"][0]})
    byol = byol.model_copy(update={"lr": rates["byol"][0]})
    tried = {name: given if len(given) > 1 else [] for name, given in rates.items()}
    return [
        Compared(
            name="byol", training=byol, arms=list(FORMS), priors=priors, rates=tried["byol"]
        ),
        Compared(
            name="simclr", training=simclr, arms=[*ESSENTIAL, "base-equal-cost"],
            priors=[priors[0], priors[-1]], rates=tried["simclr"],
        ),
    ]  # fmt: skip


def pool(
    training: Training, backbones: list[str], rates: dict[str, float], priors: list[str]
) -> list[Compared]:
    """Return methods at their rates on each backbone, with the arms that ranking them takes."""
    return [
        Compared(
            name=f"{name}-{backbone}",
            training=training.model_copy(
                update={"method": name, "backbone": backbone, "lr": rate}
            ),
            arms=[*ESSENTIAL, "base-equal-cost", "base-fixed", "rela-fixed"], priors=priors,
        )
        for backbone in backbones
        for name, rate in rates.items()
    ]  # fmt: skip


def trained(name: str, domain: Domain, training: Training) -> Source:
    """Return a prior that BYOL trains on a domain."""
    return Source(name=name, how="trained", domain=domain, training=training)


# Digits have no other base of their kind: the main prior is of the other half of their samples, of
# the same classes, so it stands nearer than another base would.
_DIGITS = Domain(name="digits-a", base="digits", part="A", each=48)
_OTHER = Domain(name="digits-b", base="digits", part="B", each=48)
_TINY = Training(method="byol", backbone="resnet", epochs=16, lr=0.48, batch=64)

study.add(
    "digits-rela-tiny",
    AccelerationStudy(
        schema_version=1,
        name="digits-rela-tiny",
        version=1,
        title="Does ReLA accelerate on digits?",
        kind="acceleration",
        base="digits",
        seeds=3,
        domain=_DIGITS,
        priors=[
            trained("other-half", _OTHER, _TINY),
            trained("same", _DIGITS, _TINY),
            Source(name="random", how="random", backbone="resnet"),
        ],
        # one rate each, of the pool's sweep: no trial of seconds tells more
        methods=compared(
            _TINY, {"byol": [0.48], "simclr": [0.03]}, ["other-half", "same", "random"]
        ),
        looks=4,
        bank=200,
        queries=200,
    ),
)

# The best of three for the resnet on held-out training images, the lower of equals
# (benchmark/derive/learning_rates/digits-{selfsup,simclr}.jsonl). The mobilenet takes them over.
_RATES = {
    "barlow-twins": 0.48, "byol": 0.48, "dcl": 0.03, "dino": 0.03, "moco-v1": 0.03,
    "moco-v2": 0.03, "moco-v3": 0.48, "nnclr": 0.12, "simclr": 0.1, "simsiam": 0.48, "swav": 0.03,
    "vicreg": 0.12,
}  # fmt: skip

study.add(
    "digits-rela-methods",
    AccelerationStudy(
        schema_version=1,
        name="digits-rela-methods",
        version=1,
        title="Does ReLA at 50 % rank self-supervised methods on digits as full data do?",
        kind="acceleration",
        asks="ranking",
        base="digits",
        seeds=3,
        domain=_DIGITS,
        priors=[
            trained("other-half", _OTHER, _TINY),
            Source(name="random", how="random", backbone="resnet"),
            # the floor of that backbone's features; no training takes its targets
            Source(name="random-mobilenet", how="random", backbone="mobilenet"),
        ],
        methods=pool(_TINY, ["resnet", "mobilenet"], _RATES, ["other-half", "random"]),
        budgets=[0.5],
        looks=4,
        bank=200,
        queries=200,
    ),
)


def sixteen(base: str, each: int, other: str, each_of_other: int) -> None:
    """Register the form at 16 pixels: 10,000 images of a base, and as many for each prior.

    Priors train for 40 epochs, so that equal cost is 70 epochs on full data.
    """
    training = Training(method="byol", backbone="resnet8", epochs=60, lr=0.24)
    prior = training.model_copy(update={"epochs": 40})
    own = Domain(name=base, base=base, each=each)
    study.add(
        f"{base}-rela-16px",
        AccelerationStudy(
            schema_version=1,
            name=f"{base}-rela-16px",
            version=1,
            title=f"Does ReLA accelerate on {base} at 16 pixels?",
            kind="acceleration",
            base=base,
            resolution=16,
            seeds=3,
            domain=own,
            priors=[
                trained(other, Domain(name=other, base=other, each=each_of_other), prior),
                trained("same", own, prior),
                Source(name="random", how="random", backbone="resnet8"),
            ],
            # about the rates that the pool's sweep found on full data; see docs/methods.md
            methods=compared(
                training,
                {"byol": [0.12, 0.24, 0.48], "simclr": [0.03, 0.06, 0.12]},
                [other, "same", "random"],
            ),
        ),
    )


def published(base: str, other: str) -> None:
    """Register the paper's form: ResNet-18, 100 epochs of AdamW at a constant rate."""
    own = Domain(name=base, base=base)
    study.add(
        f"{base}-rela",
        AccelerationStudy(
            schema_version=1,
            name=f"{base}-rela",
            version=1,
            title=f"Does ReLA accelerate on {base}?",
            kind="acceleration",
            base=base,
            seeds=3,
            domain=own,
            priors=[
                trained(other, Domain(name=other, base=other), PAPER),
                trained("same", own, PAPER),
                *MODELS,
                Source(name="random", how="random", backbone="resnet18"),
            ],
            # a factor of three about the paper's rate
            methods=compared(
                PAPER,
                {"byol": [1e-3, 3e-4, 3e-3], "simclr": [1e-3, 3e-4, 3e-3]},
                [other, "same", *(model.name for model in MODELS), "random"],
            ),
        ),
    )


_SIXTEEN = Training(method="byol", backbone="resnet8", epochs=60, lr=0.24)
_CIFAR10 = Domain(name="cifar10", base="cifar10", each=1000)
_CIFAR100 = Domain(name="cifar100", base="cifar100", each=100)

study.add(
    "cifar10-rela-methods-16px",
    AccelerationStudy(
        schema_version=1,
        name="cifar10-rela-methods-16px",
        version=1,
        title="Does ReLA at 50 % rank self-supervised methods on cifar10 as full data do?",
        kind="acceleration",
        asks="ranking",
        base="cifar10",
        resolution=16,
        seeds=3,
        domain=_CIFAR10,
        priors=[
            trained("cifar100", _CIFAR100, _SIXTEEN.model_copy(update={"epochs": 40})),
            Source(name="random", how="random", backbone="resnet8"),
            Source(name="random-repvgg", how="random", backbone="repvgg"),
        ],
        methods=pool(_SIXTEEN, ["resnet8", "repvgg"], SGD, ["cifar100"]),
        budgets=[0.5],
    ),
)

sixteen("cifar10", 1000, "cifar100", 100)
sixteen("cifar100", 100, "cifar10", 1000)
published("cifar10", "cifar100")
published("cifar100", "cifar10")
