"""What a phantom shall be: frozen, JSON, checked."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Kernel = Literal["soft", "sharp"]
Shape = Literal["lidc", "sphere", "ellipsoid", "lobulated", "spiculated"]
Density = Literal["solid", "part-solid", "ground-glass"]
Attachment = Literal["isolated", "vessel", "pleura"]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Millimetres = Annotated[float, Field(gt=0, allow_inf_nan=False)]

WHOLE_CHEST_MM = (300.0, 280.0, 360.0)
SLAB_MM = (96.0, 220.0, 300.0)


class PhantomSpec(BaseModel):
    """A chest with nodules.

    The same seed gives the same anatomy at any spacing, and, for the same extent
    and kinds of nodules, the same nodules in millimetres.

    Attributes
    ----------
    seed
        What everything random follows from.
    spacing
        Millimetres between voxel centres (z, y, x).
    extent_mm
        Millimetres covered (z, y, x), around the middle of the lungs; None: a
        whole chest. Nodules lie wholly inside.
    n_nodules
        How many nodules; they never overlap.
    diameter_mm
        Smallest and largest diameter (of the sphere of equal volume); between
        them diameters are spread evenly in their logarithm.
    shapes, densities, attachments
        Relative frequency of each kind; a kind that is left out does not occur.
    noise_hu
        Standard deviation of the noise.
    kernel
        ``"soft"``: a slightly blurred picture with coarse noise; ``"sharp"``: fine noise.
    field_of_view
        Whether voxels outside the circle as wide as the picture hold -2048, as many
        scanners write them.
    scan_id
        ``phantom-`` and the seed, if not given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: Annotated[int, Field(ge=0)] = 0
    spacing: tuple[Millimetres, Millimetres, Millimetres] = (1.25, 0.75, 0.75)
    extent_mm: tuple[Millimetres, Millimetres, Millimetres] | None = None
    n_nodules: Annotated[int, Field(ge=0, le=200)] = 6
    diameter_mm: tuple[Millimetres, Millimetres] = (4.0, 25.0)
    shapes: Mapping[Shape, Weight] = {
        "lidc": 0.7,
        "ellipsoid": 0.1,
        "lobulated": 0.1,
        "spiculated": 0.1,
    }
    densities: Mapping[Density, Weight] = {"solid": 0.4, "part-solid": 0.25, "ground-glass": 0.35}
    attachments: Mapping[Attachment, Weight] = {"isolated": 0.35, "vessel": 0.35, "pleura": 0.3}
    noise_hu: Annotated[float, Field(ge=0, le=500)] = 30.0
    kernel: Kernel = "soft"
    field_of_view: bool = False
    scan_id: str = ""

    @field_validator("spacing")
    @classmethod
    def _resolves_something(cls, spacing: tuple[float, float, float]) -> tuple[float, float, float]:
        if not all(0.2 <= s <= 10 for s in spacing):
            raise ValueError("spacing must be between 0.2 and 10 mm")
        return spacing

    @field_validator("shapes", "densities", "attachments")
    @classmethod
    def _some_weight(cls, weights: Mapping[str, float]) -> Mapping[str, float]:
        if not sum(weights.values()) > 0:
            raise ValueError("at least one kind needs a weight above 0")
        return weights

    @field_validator("scan_id")
    @classmethod
    def _a_file_name(cls, scan_id: str) -> str:
        if any(c in scan_id for c in '/\\:*?"<>|') or scan_id.startswith("."):
            raise ValueError(
                'scan_id becomes a file name and must not hold any of / \\ : * ? " < >'
            )
        return scan_id

    @model_validator(mode="after")
    def _possible(self) -> Self:
        low, high = self.diameter_mm
        if not 2 <= low <= high <= 60:
            raise ValueError("diameter_mm must rise and lie between 2 and 60 mm")
        if not all(24 <= mm <= 600 for mm in self.extent):
            raise ValueError("extent_mm must be between 24 and 600 mm")
        return self

    @property
    def extent(self) -> tuple[float, float, float]:
        """Millimetres covered along (z, y, x)."""
        return self.extent_mm or WHOLE_CHEST_MM

    @property
    def name(self) -> str:
        """The scan id, by default made from the seed."""
        return self.scan_id or f"phantom-{self.seed:04d}"


def cohort_specs(
    scans: int,
    seed: int = 0,
    spacing: tuple[float, float, float] = (1.25, 0.75, 0.75),
    extent_mm: tuple[float, float, float] | None = None,
    n_nodules: int = 6,
) -> tuple[PhantomSpec, ...]:
    """Return specs of a cohort that varies as scanners do.

    Parameters
    ----------
    scans
        How many.
    seed
        Of the first scan; the others follow, so cohorts 1000 apart share none.
    spacing, extent_mm
        Of every scan, (z, y, x).
    n_nodules
        In every scan.
    """
    return tuple(_varied(seed * 1000 + i, spacing, extent_mm, n_nodules) for i in range(scans))


def _varied(
    seed: int,
    spacing: tuple[float, float, float],
    extent_mm: tuple[float, float, float] | None,
    n_nodules: int,
) -> PhantomSpec:
    """One scan in three has a sharp kernel; noise runs through 20 to 36 HU."""
    return PhantomSpec(
        seed=seed,
        spacing=spacing,
        extent_mm=extent_mm,
        n_nodules=n_nodules,
        kernel="sharp" if seed % 3 == 2 else "soft",
        noise_hu=20.0 + 4.0 * (seed * 7 % 5),
        field_of_view=extent_mm is None and seed % 4 == 3,
    )


def weighted(weights: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """Yield kinds in a fixed order with probabilities that sum to 1."""
    total = sum(weights.values())
    for kind in sorted(weights):
        yield kind, weights[kind] / total
