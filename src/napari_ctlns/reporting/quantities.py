"""The columns of the nodule table in the codes of DICOM.

Features of the IBSI have its own codes (PS3.16 CID 7477), axes those of CID 7470. Intensities
are attenuation coefficients with a derivation (CID 7464), as every reader of TID 1500 knows
them. What no standard names has a code of ours: scheme ``99CTLNS``, PS3.16 chapter 8.
"""

from dataclasses import dataclass

Coded = tuple[str, str, str]
"""Value, scheme and meaning of a code."""

OWN_SCHEME = "99CTLNS"

_MM, _MM2, _MM3 = (
    ("mm", "UCUM", "mm"),
    ("mm2", "UCUM", "square millimeter"),
    ("mm3", "UCUM", "cubic millimeter"),
)
_HU = ("[hnsf'U]", "UCUM", "Hounsfield unit")
_HU2 = ("[hnsf'U]2", "UCUM", "square Hounsfield unit")
_ONE = ("1", "UCUM", "no units")
_PERCENT = ("%", "UCUM", "Percent")

_DIAMETER = ("81827009", "SCT", "Diameter")
_ATTENUATION = ("112031", "DCM", "Attenuation Coefficient")
_MEAN = ("373098007", "SCT", "Mean")
_MEDIAN = ("373099004", "SCT", "Median")


def own(value: str, meaning: str) -> Coded:
    """Return a code of our own scheme, of 16 characters at most (PS3.5, SH)."""
    return (value, OWN_SCHEME, meaning)


@dataclass(frozen=True)
class Quantity:
    """How DICOM names a column: concept, unit, derivation, and by what its values are multiplied.

    ``of_model`` says that a model is its source, not this package's measuring.
    """

    concept: Coded
    unit: Coded
    derivation: Coded | None = None
    factor: float = 1.0
    of_model: bool = False


QUANTITIES: dict[str, Quantity] = {
    "voxels": Quantity(own("VOXELS", "Number of voxels"), ("{voxels}", "UCUM", "voxels")),
    "volume_mm3": Quantity(("YEKZ", "IBSI", "Volume from Voxel Summation"), _MM3),
    "mesh_volume_mm3": Quantity(("RNU0", "IBSI", "Volume of Mesh"), _MM3),
    "surface_area_mm2": Quantity(("C0JK", "IBSI", "Surface Area of Mesh"), _MM2),
    "sphericity": Quantity(("QCFX", "IBSI", "Sphericity"), _ONE),
    "equivalent_diameter_mm": Quantity(
        own("EQUIV_DIAMETER", "Diameter of sphere of equal volume"), _MM
    ),
    "long_axis_mm": Quantity(("103339001", "SCT", "Long axis"), _MM),
    "short_axis_mm": Quantity(("103340004", "SCT", "Short axis"), _MM),
    "mean_diameter_mm": Quantity(_DIAMETER, _MM, _MEAN),
    "max_3d_diameter_mm": Quantity(("L0JK", "IBSI", "Maximum 3D Diameter of a Mesh"), _MM),
    "mean_hu": Quantity(_ATTENUATION, _HU, _MEAN),
    "sd_hu": Quantity(_ATTENUATION, _HU, ("386136009", "SCT", "Standard Deviation")),
    "min_hu": Quantity(_ATTENUATION, _HU, ("255605001", "SCT", "Minimum")),
    "max_hu": Quantity(_ATTENUATION, _HU, ("56851009", "SCT", "Maximum")),
    "mean_probability": Quantity(
        ("111012", "DCM", "Certainty of Finding"), _PERCENT, factor=100, of_model=True
    ),
    "major_axis_mm": Quantity(("TDIC", "IBSI", "Major Axis in 3D Length"), _MM),
    "minor_axis_mm": Quantity(("P9VJ", "IBSI", "Minor Axis in 3D Length"), _MM),
    "least_axis_mm": Quantity(("7J51", "IBSI", "Least Axis in 3D Length"), _MM),
    "elongation": Quantity(("Q3CK", "IBSI", "Elongation"), _ONE),
    "flatness": Quantity(("N17B", "IBSI", "Flatness"), _ONE),
    "median_hu": Quantity(_ATTENUATION, _HU, _MEDIAN),
    "p10_hu": Quantity(("QG58", "IBSI", "10th Intensity Percentile"), _HU),
    "p90_hu": Quantity(("8DWT", "IBSI", "90th Intensity Percentile"), _HU),
    "variance_hu2": Quantity(("ECT3", "IBSI", "Intensity Variance"), _HU2),
    "skewness": Quantity(("KE2A", "IBSI", "Intensity Skewness"), _ONE),
    "kurtosis": Quantity(("IPH6", "IBSI", "Intensity Kurtosis"), _ONE),
    "iqr_hu": Quantity(("SALO", "IBSI", "Intensity Interquartile Range"), _HU),
    "range_hu": Quantity(("2OJQ", "IBSI", "Intensity Range"), _HU),
    "mean_absolute_deviation_hu": Quantity(
        ("4FUA", "IBSI", "Intensity Mean Absolute Deviation"), _HU
    ),
    "robust_mean_absolute_deviation_hu": Quantity(
        ("1128", "IBSI", "Intensity Robust Mean Absolute Deviation"), _HU
    ),
    "median_absolute_deviation_hu": Quantity(
        ("N72L", "IBSI", "Intensity Median Absolute Deviation"), _HU
    ),
    "coefficient_of_variation": Quantity(
        ("7TET", "IBSI", "Intensity Coefficient of Variation"), _ONE
    ),
    "quartile_dispersion": Quantity(
        ("9S40", "IBSI", "Intensity Quartile Coefficient of Dispersion"), _ONE
    ),
    "energy_hu2": Quantity(("N8CA", "IBSI", "Intensity Energy"), _HU2),
    "rms_hu": Quantity(("5ZWQ", "IBSI", "Root Mean Square Intensity"), _HU),
    "solid_volume_mm3": Quantity(own("SOLID_VOLUME", "Volume of solid part"), _MM3),
    "solid_diameter_mm": Quantity(own("SOLID_DIAMETER", "Mean diameter of solid part"), _MM),
    "pleura_distance_mm": Quantity(own("PLEURA_DISTANCE", "Distance to pleura"), _MM),
    "contrast_hu": Quantity(own("CONTRAST", "Attenuation above that of surroundings"), _HU),
}
"""The columns that a Structured Report has. Where a nodule lies its segment tells."""

TYPE = own("NODULE_TYPE", "Type of nodule by attenuation")
TYPES: dict[str, Coded] = {
    "solid": own("SOLID", "Solid"),
    "part-solid": own("PART_SOLID", "Part-solid"),
    "ground-glass": own("GROUND_GLASS", "Ground-glass"),
}
NODULE: Coded = ("27925004", "SCT", "Nodule")
ABNORMAL: Coded = ("49755003", "SCT", "Morphologically Abnormal Structure")
LUNG: Coded = ("39607008", "SCT", "Lung")
SIDES: dict[str, Coded] = {
    "left": ("7771000", "SCT", "Left"),
    "right": ("24028007", "SCT", "Right"),
}
CT_CHEST: Coded = ("24627-2", "LN", "CT Chest")
