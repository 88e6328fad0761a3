"""Studies as graphs of stages: each is done whole or not at all, and leaves an artefact."""

from lotterybench.kinds.stages.artefact import Made, finding_of, folder_of
from lotterybench.kinds.stages.graph import carry_out_stages, left_of
from lotterybench.kinds.stages.stage import Here, Stage, work

__all__ = [
    "Here",
    "Made",
    "Stage",
    "carry_out_stages",
    "finding_of",
    "folder_of",
    "left_of",
    "work",
]
