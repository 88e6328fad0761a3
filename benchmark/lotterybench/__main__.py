"""`python -m lotterybench`: the command line, also as one of torchrun's processes."""

import os
import sys

from lotterybench.cli import main
from lotterybench.errors import LotteryBenchError
from lotterybench.kinds.ranks import dismiss, follow, ranked


def start() -> None:
    """Run the command line on rank 0, or alone; other ranks follow it."""
    if not ranked():
        main()
    elif os.environ["RANK"] == "0":
        try:
            main()
        finally:
            dismiss()
    else:
        try:
            follow()
        except LotteryBenchError as error:
            sys.exit(f"error: {error}")


if __name__ == "__main__":
    start()
