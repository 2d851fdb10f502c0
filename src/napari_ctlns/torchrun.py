"""Which of several training processes this is; told without torch."""

import os


def rank_and_size() -> tuple[int, int]:
    """Return the number of this process, from 0, and how many ``torchrun`` started together.

    Other launchers set some of these variables too, but only with an address to meet at
    is there anything to join.
    """
    if "MASTER_ADDR" not in os.environ:
        return 0, 1
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
