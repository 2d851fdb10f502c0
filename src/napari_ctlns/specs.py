"""What each job needs to know: frozen, JSON, without torch.

A spec crosses to another process as JSON; paths are made absolute by whoever
fills it in, because the other process may work elsewhere.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_ctlns.recipe import Activation, Axes, Fraction, Recipe

Device = Literal["auto", "cpu", "cuda", "mps"]
Split = Literal["train", "val", "test"]


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SplitByFraction(_Spec):
    """Shares of the patients, which add up to 1."""

    by: Literal["fraction"] = "fraction"
    train: Annotated[float, Field(gt=0, le=1)]
    val: Annotated[float, Field(ge=0, lt=1)]
    test: Annotated[float, Field(ge=0, lt=1)]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if abs(self.train + self.val + self.test - 1) > 1e-6:
            raise ValueError("the shares must add up to 1")
        return self


class SplitByCount(_Spec):
    """Fixed numbers of patients for validation and testing; the others are for training."""

    by: Literal["count"] = "count"
    val: Annotated[int, Field(ge=0)]
    test: Annotated[int, Field(ge=0)]


class SplitByFolds(_Spec):
    """``folds`` parts of the patients, as equal as can be, numbered from 0.

    Part ``fold`` is for testing, the one before it, in a circle, for validation, the
    others are for training.
    """

    by: Literal["folds"] = "folds"
    folds: Annotated[int, Field(ge=3)]
    fold: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _there(self) -> Self:
        if self.fold >= self.folds:
            raise ValueError(f"the fold must be one of 0 to {self.folds - 1}")
        return self


SplitRule = Annotated[SplitByFraction | SplitByCount | SplitByFolds, Field(discriminator="by")]
"""How patients are divided by the recipe's seed and their ids."""


class PrepareOptions(_Spec):
    """How scans and their annotations or masks become a dataset.

    Attributes
    ----------
    annotations, masks, lidc_xml
        At most one of them: a CSV like LUNA16's, a folder of masks matched by series
        UID or file stem, or XML files of LIDC-IDRI. None of them: as LUNA16 or the
        Medical Segmentation Decathlon lie in their folders.
    structures
        Which structures of the masks are wanted; none: all.
    lidc_share
        Of the readers who marked a nodule, those who must have drawn a voxel.
    splits
        JSON or CSV that gives patients to train, val and test; None: by fraction,
        in which patients divided before stay where they are.
    test_subset
        Instead of ``splits``: patients by the subset folders of LUNA16, of which this
        one is for testing and the one before it for validation.
    split_rule
        Instead of both: by fractions, by fixed numbers, or one of k folds.
    patients
        CSV with columns ``scan_id, patient_id``.
    skip_bad_rows
        Leave out rows of ``annotations`` that cannot be understood.
    strict
        Refuse a scan that would otherwise be mended with a warning.
    """

    recipe: Recipe
    annotations: Path | None = None
    masks: Path | None = None
    structures: tuple[str, ...] = ()
    lidc_xml: Path | None = None
    lidc_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    splits: Path | None = None
    test_subset: Annotated[int, Field(ge=0)] | None = None
    split_rule: SplitRule | None = None
    patients: Path | None = None
    skip_bad_rows: bool = False
    strict: bool = False


class PrepareSpec(PrepareOptions):
    """Make a dataset from scans and their annotations or masks.

    Attributes
    ----------
    source
        A folder that is searched for scans, or one scan.
    out
        The dataset folder to make, or to add to.
    """

    source: Path
    out: Path


class TrainSpec(_Spec):
    """Train a model on a dataset, writing a run folder."""

    dataset: Path
    out: Path
    recipe: Recipe
    start_from: Path | None = None
    resume: bool = False
    device: Device = "auto"


class LearnSpec(_Spec):
    """Let a model learn from the corrected scans of a dataset, writing a run folder.

    Attributes
    ----------
    model
        Where it starts from; it stays as it is.
    out
        The run folder; the new model is ``best`` in it.
    steps
        How long is learned, about.
    corrected_share
        Of the patches, those of corrected scans; the others are of earlier ones.
    most_earlier
        How many earlier held-out scans are looked at, at most, to see what was forgotten.
    changes
        What is otherwise in the model's recipe, by dotted key.
    """

    dataset: Path
    model: Path
    out: Path
    steps: Annotated[int, Field(ge=1)] = 600
    corrected_share: Annotated[float, Field(gt=0, le=1)] = 0.35
    most_earlier: Annotated[int, Field(ge=0)] = 10
    changes: dict[str, Any] = Field(default_factory=dict)
    resume: bool = False
    device: Device = "auto"


class PredictOptions(_Spec):
    """How models look at a scan, whichever it is.

    Attributes
    ----------
    more_models
        Their probabilities and that of ``model`` are averaged.
    threshold, seed_threshold, min_diameter_mm, fill_holes, split_touching
        None: what the recipe of ``model`` says.
    mirrored
        Look at mirror images too and average (test-time augmentation).
    window
        Voxels (z, y, x); None: the model's own. Another one is refused for
        models whose output depends on the window.
    whole
        Look at the whole scan, not only where the lungs are.
    """

    model: Path
    more_models: tuple[Path, ...] = ()
    threshold: Fraction | None = None
    seed_threshold: Fraction | None = None
    min_diameter_mm: Annotated[float, Field(ge=0)] | None = None
    fill_holes: bool | None = None
    split_touching: bool | None = None
    mirrored: bool = False
    window: tuple[int, int, int] | None = None
    whole: bool = False
    device: Device = "auto"
    strict: bool = False


class PredictSpec(PredictOptions):
    """Find the nodules of one scan with a model, or with several together.

    Attributes
    ----------
    mask
        Where the mask goes, on the scan's own grid; its format by extension.
    probability, table
        Where the probability and the nodule table go, if wanted.
    candidates
        Where the nodules go as candidates like LUNA16's, a CSV, if wanted.
    uncertainty
        Where it goes how far the models, or the answers to mirror images, disagree:
        the standard deviation of their probabilities.
    """

    scan: Path
    mask: Path
    probability: Path | None = None
    uncertainty: Path | None = None
    table: Path | None = None
    candidates: Path | None = None
    series: str | None = None

    @model_validator(mode="after")
    def _disagreeing(self) -> Self:
        if self.uncertainty is not None and not (self.more_models or self.mirrored):
            raise ValueError("one answer cannot disagree; use several models or mirror images")
        return self


Place = tuple[float, float, float]


class ClickSpec(_Spec):
    """Find the nodule that was clicked on with a model that takes clicks.

    Attributes
    ----------
    inside, outside
        Where a person pointed, LPS mm (x, y, z): in the nodule, and beside it.
    diameter_mm, tightness
        As `masks.click.Clicks` has them.
    mask
        Where the nodule goes, on the scan's own grid; its format by extension.
    """

    scan: Path
    model: Path
    inside: Annotated[tuple[Place, ...], Field(min_length=1)]
    mask: Path
    outside: tuple[Place, ...] = ()
    diameter_mm: float | None = None
    tightness: float = 0.0


class ImportSpec(_Spec):
    """Make a model folder of a model that was trained elsewhere.

    Attributes
    ----------
    source
        An nnU-Net v2 folder, a MONAI bundle, or an ONNX file.
    out
        The model folder; several folds become folders in it.
    label
        What masks shall show, by its name or the number of its channel; None: the only one.
    fold
        Of nnU-Net: which one, "0" or "all"; None: all that are there.
    axes
        Towards which side of the patient each axis of its arrays runs; None: as it says
        itself, else as those of DICOM.
    activation
        What makes its answer a probability; None: as it says itself.
    recipe
        Of an ONNX file: how scans are prepared, and the window; None: ``ct-lns``.
    changes
        What is otherwise in the model's recipe, by dotted key.
    """

    source: Path
    out: Path
    label: str | None = None
    fold: str | None = None
    axes: Axes | None = None
    activation: Activation | None = None
    recipe: Recipe | None = None
    changes: dict[str, Any] = Field(default_factory=dict)


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


class PatchesSpec(_Spec):
    """Draw the first patches of an epoch, as training will see them, into a PNG."""

    dataset: Path
    recipe: Recipe
    out: Path
    epoch: Annotated[int, Field(ge=0)] = 0


class TuneSpec(_Spec):
    """Search the values of a recipe that suit a dataset best.

    Attributes
    ----------
    out
        The folder of the search; one that is there goes on.
    trials
        How many in all, those that the folder holds already included.
    workers
        Processes of this machine that train at the same time.
    seed
        Where the values that are drawn are counted from.
    """

    dataset: Path
    out: Path
    recipe: Recipe
    trials: Annotated[int, Field(ge=1)]
    workers: Annotated[int, Field(ge=1)] = 1
    seed: Annotated[int, Field(ge=0)] = 0
    device: Device = "auto"


class PrepareMany(PrepareOptions):
    """Prepare each scan of a cohort into one dataset."""

    job: Literal["prepare"] = "prepare"


class PredictMany(PredictOptions):
    """Find the nodules of each scan; ``probability``: keep what the model thought, too."""

    job: Literal["predict"] = "predict"
    probability: bool = False


class MeasureMany(_Spec):
    """Measure the nodules of each scan in the masks of a folder, matched by name or series."""

    job: Literal["measure"] = "measure"
    masks: Path
    strict: bool = False


class CohortSpec(_Spec):
    """Do one thing with many scans, on Dask.

    Attributes
    ----------
    scans
        Scan files, folders that are searched for scans, and patterns (``*``, ``?``, ``**``).
    out
        The folder of the results and their manifest; one that is there goes on.
    work
        What to do with each scan.
    scheduler
        Address of a Dask scheduler that runs already, whose workers see the same paths;
        None: workers of this machine.
    workers
        Processes of this machine; None: as many as its cores and memory allow.
    """

    scans: Annotated[tuple[str, ...], Field(min_length=1)]
    out: Path
    work: Annotated[PrepareMany | PredictMany | MeasureMany, Field(discriminator="job")]
    scheduler: str | None = None
    workers: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.scheduler is not None and self.workers is not None:
            raise ValueError("--workers are of this machine; leave them out with --scheduler")
        return self
