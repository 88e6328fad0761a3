"""A PrAC study of seconds, carried out in this process."""

from lotterybench.kinds.stages.artefact import done_of
from lotterybench.kinds.stages.graph import Terms, do
from lotterybench.manifests import find_base
from lotterybench.studies import Arm, Pruning, Recipe, TicketStudy


def mini(**changes):
    """Return a study of two rounds on digits: PrAC and what it is compared with."""
    fields = {
        "schema_version": 1, "name": "mini-tickets", "version": 1, "title": "Mini",
        "kind": "tickets", "base": "digits", "seeds": 2,
        "recipes": {
            "main": Recipe(
                backbone="resnet", width=0.25, epochs=3, lr=0.1, batch=128, milestones=[2]
            ),
            "other": Recipe(backbone="repvgg", width=0.25, epochs=2, lr=0.1, batch=128),
        },
        "pruning": Pruning(rounds=3, rewind=1),
        "arms": [
            Arm(name="imp", data="full"),
            Arm(name="imp-stopped", data="full", stops=True, settled=0.5),
            Arm(name="prac", data="prac"),
            Arm(name="random", data="random", follows="prac"),
            Arm(name="random-matched", data="random", follows="prac", matched=True),
            Arm(name="el2n", data="el2n", follows="prac"),
            Arm(name="forgetting", data="forgetting", follows="prac"),
            Arm(name="imp-truncated", data="full", follows="prac", matched=True),
            Arm(name="other-final", data="final-set", recipe="other", follows="prac"),
            Arm(name="other-sets", data="set-by-set", recipe="other", follows="prac"),
        ],
        "baselines": ["random", "magnitude", "snip", "grasp", "synflow"],
        "controls": ["reinitialised", "permuted"],
        "evaluated": [0, 3], "at": 3, "patience": 1,
    }  # fmt: skip
    return TicketStudy(**{**fields, **changes})


def terms_of(study, root, every=60.0):
    """Return the terms on which a study is carried out on one thread of this process."""
    return Terms(study, find_base(study.base)[0].digest, root, "cpu", every)


def carried_out(study, stages, root):
    """Do all stages here, one after the other; return their findings by stage."""
    terms = terms_of(study, root)
    return {stage.key: do(stage, terms).finding for stage in stages}


def finding(stage, root):
    """Return what a stage found."""
    return done_of(stage, root).finding
