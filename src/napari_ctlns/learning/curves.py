"""Numbers and pictures for TensorBoard."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
from torch.utils.tensorboard import SummaryWriter

from napari_ctlns.events import Metric


class Curves:
    """Writes what it reports to ``tensorboard/`` of a run too.

    Parameters
    ----------
    run
        The run folder.
    step
        Where the run goes on; what an earlier, broken part wrote beyond is forgotten.
    """

    def __init__(self, run: Path, step: int) -> None:
        self._writer = SummaryWriter(str(run / "tensorboard"), purge_step=step)

    def report(self, step: int, values: Mapping[str, float]) -> Iterator[Metric]:
        """Yield one metric for each value, and draw it."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
            yield Metric(name=name, step=step, value=value)

    def picture(self, name: str, step: int, rgb: npt.NDArray[np.uint8]) -> None:
        """Show a picture (y, x, 3) at a step."""
        self._writer.add_image(name, rgb, step, dataformats="HWC")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._writer.close()
