"""From a labels layer to what others read: SR, page, mesh, candidates; without Qt.

The jobs here are for threads, as those of `measuring`: they copy the labels first.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_ctlns.events import Control, Event, Finished, Progress, Started
from napari_ctlns.findings import Findings
from napari_ctlns.plugin.finding_rows import as_read
from napari_ctlns.plugin.measuring import measured
from napari_ctlns.plugin.saving import leave_out_rejected, mask_on_scan
from napari_ctlns.volume import Volume

if TYPE_CHECKING:
    import pandas as pd

    from napari_ctlns.measurement.guidelines import Circumstances


@dataclass(frozen=True, eq=False)
class Reported:
    """What is reported: a mask on its scan, both as they are now.

    Attributes
    ----------
    mask
        What the labels layer shows, not copied.
    scan
        The scan it is drawn on.
    findings
        Of the layer.
    before
        The table that was there, which knows the probabilities of what was not edited.
    circumstances
        What guidelines are asked with; None: they are not asked.
    growth
        What became of the nodules since an earlier scan, if that is known.
    """

    mask: Volume
    scan: Volume
    findings: Findings
    before: "pd.DataFrame | None" = None
    circumstances: "Circumstances | None" = None
    growth: "pd.DataFrame | None" = None


_Write = Callable[[Volume, "pd.DataFrame"], None]
_STEPS = 3


def sr_job(what: Reported, path: Path, control: Control) -> Iterator[Event]:
    """Save measurements as DICOM Structured Report, a new SEG beside it.

    As of every job here, `Finished` has ``path``, and ``left_out``: how many nodules are not in
    the file because they were rejected.

    Raises
    ------
    OutputError
        If the scan is not DICOM, or the file cannot be written.
    """
    from napari_ctlns.reporting.dicom_sr import of_dicom_series, write_sr

    of_dicom_series(what.scan, path)

    def write(mask: Volume, table: "pd.DataFrame") -> None:
        # the labels may be others by now than in the file they were read from
        write_sr(table, what.scan.mask(mask.array), what.scan, path, what.findings)

    yield from _reported(what, path, control, write)


def page_job(what: Reported, path: Path, control: Control) -> Iterator[Event]:
    """Save the page of a scan.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    from napari_ctlns.reporting.page import Options, check_page, write_page

    check_page(path)

    def write(mask: Volume, table: "pd.DataFrame") -> None:
        options = Options(what.circumstances, _growth_of(what.growth, table))
        write_page(path, what.scan, mask, table, what.findings, options)

    yield from _reported(what, path, control, write)


def mesh_job(what: Reported, path: Path) -> Iterator[Event]:
    """Save the surfaces of the nodules.

    Raises
    ------
    MaskError
        If there are none.
    OutputError
        If the file cannot be written.
    """
    from napari_ctlns.reporting.meshes import write_meshes

    yield Started(title=f"Save {path.name}")
    mask, left_out = _read(what)
    write_meshes(mask, path)
    yield Finished(result={"path": path, "left_out": left_out})


def candidates_job(what: Reported, path: Path) -> Iterator[Event]:
    """Save the nodules as candidates with probabilities.

    Raises
    ------
    OutputError
        If a nodule has no probability, or the file cannot be written.
    """
    from napari_ctlns.formats import write_candidates
    from napari_ctlns.measurement.candidates import candidates_of

    yield Started(title=f"Save {path.name}")
    mask, left_out = _read(what)
    table = measured(mask, what.scan, what.before)
    write_candidates(path, candidates_of(table, what.scan.scan_id))
    yield Finished(result={"path": path, "left_out": left_out})


def _reported(what: Reported, path: Path, control: Control, write: _Write) -> Iterator[Event]:
    """Measure all there is to measure, and let it be written."""
    from napari_ctlns.reporting.measuring import with_lungs

    yield Started(title=f"Save {path.name}")
    yield Progress(done=0, total=_STEPS, unit="step")
    mask, left_out = _read(what)
    table = measured(mask, what.scan, what.before)
    yield Progress(done=1, total=_STEPS, unit="step")
    if not control.stop_requested():
        table = as_read(with_lungs(table, mask, what.scan), what.findings)
        yield Progress(done=2, total=_STEPS, unit="step")
    if control.stop_requested():
        yield Finished(stopped=True)
        return
    write(mask, table)
    yield Finished(result={"path": path, "left_out": left_out})


def _read(what: Reported) -> tuple[Volume, int]:
    """Return a copy of the mask without what was rejected, and how many nodules that is."""
    mask = mask_on_scan(what.mask, what.scan)
    return mask, leave_out_rejected(mask, what.findings)


def _growth_of(growth: "pd.DataFrame | None", table: "pd.DataFrame") -> "pd.DataFrame | None":
    """Return the rows of growth that are of these nodules; None if one of them has none."""
    if growth is None:
        return None
    own = growth[growth["later_label"].isna() | growth["later_label"].isin(list(table["label"]))]
    volumes = own.dropna(subset=["later_label"]).set_index("later_label")["later_volume_mm3"]
    told = volumes.reindex(table["label"]).to_numpy(float)
    return own if np.allclose(told, table["volume_mm3"], rtol=1e-3) else None
