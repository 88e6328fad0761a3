"""PrAC studies: tickets found with few samples, on digits, 5,000 images, and as published."""

from lotterybench.studies import Arm, Pruning, Recipe, TicketStudy
from lotterybench.tracks.base import study

# The arms of protocol §10, the paper's own first; 0.08 and the retrained pair are primary.
ARMS = [
    Arm(name="imp", data="full"),
    Arm(name="imp-stopped", data="full", stops=True),
    Arm(name="prac", data="prac", stops=True),
    Arm(name="imp-truncated", data="full", follows="prac", matched=True),
    *(
        arm
        for data in ("random", "el2n", "forgetting")
        for arm in (
            Arm(name=data, data=data, stops=True, follows="prac"),
            Arm(name=f"{data}-matched", data=data, follows="prac", matched=True),
        )
    ),
]

# Each of the switches on which the paper, its code and its readers differ.
SWITCHES = [
    Arm(name="prac-cet", data="prac", stops=True, parts="cet"),
    Arm(name="prac-cep", data="prac", stops=True, parts="cep"),
    Arm(name="prac-just-pruned", data="prac", stops=True, pair="just-pruned"),
    Arm(name="prac-data-only", data="prac", stops=True, scaling="data-only"),
    Arm(name="prac-0.07", data="prac", stops=True, settled=0.07),
    Arm(name="prac-forgotten-twice", data="prac", stops=True, threshold=2),
]


def reused(source: str, target: str) -> list[Arm]:
    """Return the arms that take another architecture's sets, in both of the protocols."""
    return [
        Arm(name=f"{target}-imp", data="full", recipe=target),
        Arm(name=f"{target}-imp-stopped", data="full", recipe=target, stops=True),
        Arm(name=f"{target}-prac", data="prac", recipe=target, stops=True),
        *(
            Arm(
                name=f"{target}-{how}-of-{source}", data=how, recipe=target, stops=True,
                follows="prac",
            )
            for how in ("final-set", "set-by-set")
        ),
    ]  # fmt: skip


study.add(
    "digits-tickets-tiny",
    TicketStudy(
        schema_version=1,
        name="digits-tickets-tiny",
        version=1,
        title="PrAC tickets on digits",
        kind="tickets",
        base="digits",
        seeds=3,
        recipes={
            "main": Recipe(
                backbone="resnet", width=0.5, epochs=12, lr=0.1, batch=64, milestones=[6, 9]
            ),
            "mixer": Recipe(
                backbone="mixer", width=0.5, epochs=12, lr=0.004, batch=64, milestones=[6, 9],
                optimiser="adamw", weight_decay=0.05,
            ),
        },
        pruning=Pruning(rounds=7, rewind=1),
        arms=[*ARMS, *reused("main", "mixer")],
        baselines=["random", "magnitude", "snip", "grasp", "synflow"],
        controls=["reinitialised", "permuted"],
        evaluated=[0, 3, 7],
        at=7,
    ),
)  # fmt: skip
