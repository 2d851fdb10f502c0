"""What each job needs to know: frozen, JSON, without torch.

A spec crosses to another process as JSON; paths are made absolute by whoever
fills it in, because the other process may work elsewhere.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_ctlns.recipe import Fraction, Recipe

Device = Literal["auto", "cpu", "cuda", "mps"]
Split = Literal["train", "val", "test"]


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PrepareSpec(_Spec):
    """Make a dataset from scans and their annotations or masks.

    Attributes
    ----------
    source
        A folder that is searched for scans, or one scan.
    out
        The dataset folder to make, or to add to.
    annotations, masks, lidc_xml
        At most one of them: a CSV like LUNA16's, a folder of masks matched by series
        UID or file stem, or XML files of LIDC-IDRI. None of them: as LUNA16 or the
        Medical Segmentation Decathlon lie in their folders.
    structures
        Which structures of the masks are wanted; none: all.
    lidc_share
        Of the readers who marked a nodule, those who must have drawn a voxel.
    splits
        JSON or CSV that gives patients to train, val and test; None: by fraction.
    test_subset
        Instead of ``splits``: patients by the subset folders of LUNA16, of which this
        one is for testing and the one before it for validation.
    patients
        CSV with columns ``scan_id, patient_id``.
    skip_bad_rows
        Leave out rows of ``annotations`` that cannot be understood.
    strict
        Refuse a scan that would otherwise be mended with a warning.
    """

    source: Path
    out: Path
    recipe: Recipe
    annotations: Path | None = None
    masks: Path | None = None
    structures: tuple[str, ...] = ()
    lidc_xml: Path | None = None
    lidc_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    splits: Path | None = None
    test_subset: Annotated[int, Field(ge=0)] | None = None
    patients: Path | None = None
    skip_bad_rows: bool = False
    strict: bool = False


class TrainSpec(_Spec):
    """Train a model on a dataset, writing a run folder."""

    dataset: Path
    out: Path
    recipe: Recipe
    start_from: Path | None = None
    resume: bool = False
    device: Device = "auto"


class PredictSpec(_Spec):
    """Find the nodules of one scan with a model.

    Attributes
    ----------
    mask
        Where the mask goes, on the scan's own grid; its format by extension.
    probability, table
        Where the probability and the nodule table go, if wanted.
    threshold, min_diameter_mm
        None: what the model's recipe says.
    window
        Voxels (z, y, x); None: the model's own. Another one is refused for
        models whose output depends on the window.
    whole
        Look at the whole scan, not only where the lungs are.
    """

    scan: Path
    model: Path
    mask: Path
    probability: Path | None = None
    table: Path | None = None
    threshold: Fraction | None = None
    min_diameter_mm: Annotated[float, Field(ge=0)] | None = None
    window: tuple[int, int, int] | None = None
    whole: bool = False
    device: Device = "auto"
    series: str | None = None
    strict: bool = False


class EvaluateSpec(_Spec):
    """Compare a model's masks with the true ones of a dataset's split."""

    model: Path
    dataset: Path
    split: Split = "test"
    out: Path | None = None
    device: Device = "auto"


class EstimateSpec(_Spec):
    """Say what memory training by a recipe would need on a device."""

    recipe: Recipe
    device: Device = "auto"
