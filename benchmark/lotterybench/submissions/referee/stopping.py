"""Why a rerun goes no further: what the submission did, as a status and a line."""

from lotterybench.trials import Status


class Stopped(Exception):
    """The end of a rerun by what was submitted; `infra` is for reasons that are not its."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status: Status = status
        self.reason = reason
