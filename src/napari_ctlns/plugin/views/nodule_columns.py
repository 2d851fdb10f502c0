"""The columns of the work list: titles, meanings, digits, and values as a person reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

UNKNOWN = "–"  # noqa: RUF001 - a dash, as tables have it


@dataclass(frozen=True)
class Column:
    """How a column is shown: its title, what it means, and digits after the point."""

    title: str
    meaning: str
    digits: int = 1


SHOWN = (
    "label",
    "picture",
    "mean_diameter_mm",
    "volume_mm3",
    "probability",
    "status",
    "type",
)
"""The columns that are shown unless all are wanted; the note besides, where there is room."""

COLUMNS: Mapping[str, Column] = {
    "label": Column("Label", "Its number and colour in the labels layer", 0),
    "picture": Column("View", "The axial slice that has most of it, 22 mm wide or more"),
    "mean_diameter_mm": Column(
        "Diam.\nmm",
        "Diameter: mean of long and short axis, unrounded",
    ),
    "volume_mm3": Column("Volume\nmm³", "Voxels times the volume of one", 0),
    "probability": Column(
        "Prob.", "Probability: what the model thought of it on average when it found it", 2
    ),
    "status": Column(
        "Status",
        "New, edited since it was found, accepted or rejected; of a new one also whether it has "
        "the shape of a vessel or of the lung wall, and so may be no nodule",
    ),
    "type": Column(
        "Type",
        "Solid, part-solid or ground-glass; grey and slanted as its HU say, until a reader sets it",
    ),
    "note": Column("Note", "What a reader wrote; double-click to change it"),
    "long_axis_mm": Column("Long\nmm", "Long axis: longest diameter on any axial slice (RECIST)"),
    "short_axis_mm": Column(
        "Short\nmm", "Short axis: longest diameter at right angles to the long axis, on its slice"
    ),
    "max_3d_diameter_mm": Column("3D\nmm", "Longest distance between two surface points"),
    "equivalent_diameter_mm": Column("Equiv.\nmm", "Diameter of the sphere of its volume"),
    "voxels": Column("Voxels", "How many voxels it has", 0),
    "mesh_volume_mm3": Column("Mesh\nmm³", "Volume inside its surface mesh (IBSI RNU0)", 0),
    "surface_area_mm2": Column("Surface\nmm²", "Area of its surface mesh (IBSI C0JK)", 0),
    "sphericity": Column("Sphericity", "1 is a sphere (IBSI QCFX)", 2),
    "mean_hu": Column("Mean\nHU", "Mean of the HU inside", 0),
    "sd_hu": Column("SD\nHU", "Standard deviation of the HU inside", 0),
    "min_hu": Column("Lowest\nHU", "Lowest HU inside", 0),
    "max_hu": Column("Highest\nHU", "Highest HU inside", 0),
    "centroid_x_mm": Column("Centre x\nmm", "Mean of its voxels, LPS: towards the left"),
    "centroid_y_mm": Column("Centre y\nmm", "Mean of its voxels, LPS: towards the back"),
    "centroid_z_mm": Column("Centre z\nmm", "Mean of its voxels, LPS: towards the head"),
    "touches_border": Column("At border", "Whether it reaches the border of the scan"),
    "mean_probability": Column(
        "Mean\nprob.", "Mean of the model's probability over it; not known once it was edited", 2
    ),
    "solid_diameter_mm": Column("Solid\nmm", "Mean diameter of its solid part"),
    "solid_volume_mm3": Column("Solid\nmm³", "Volume of its solid part", 0),
    "major_axis_mm": Column("Major\nmm", "Major axis of its ellipsoid (IBSI TDIC)"),
    "minor_axis_mm": Column("Minor\nmm", "Minor axis of its ellipsoid (IBSI P9VJ)"),
    "least_axis_mm": Column("Least\nmm", "Least axis of its ellipsoid (IBSI 7J51)"),
    "elongation": Column("Elongation", "Minor to major axis; 1 is as wide as long (IBSI Q3CK)", 2),
    "flatness": Column("Flatness", "Least to major axis; 1 is not flat (IBSI N17B)", 2),
    "median_hu": Column("Median\nHU", "Median of the HU inside (IBSI Y12H)", 0),
    "p10_hu": Column("10 %\nHU", "A tenth of its voxels has no more HU (IBSI QG58)", 0),
    "p90_hu": Column("90 %\nHU", "Nine tenths of its voxels have no more HU (IBSI 8DWT)", 0),
    "surroundings_hu": Column("Around\nHU", "The HU of the lung around it", 0),
    "contrast_hu": Column("Contrast\nHU", "By how much it is denser than what is around it", 0),
    "side": Column("Lung", "The lung it lies in; the lungs are found when all columns are shown"),
    "pleura_distance_mm": Column(
        "To pleura\nmm", "How far it is from the border of the lungs, when they were found"
    ),
    "cut_by_edge": Column("Cut", "Whether the edge of the scan cuts it"),
    "reader": Column("Reader", "Who judged it last"),
    "time": Column("When", "When it was judged last"),
}
"""How each column of the nodule table is shown, and what findings and details add to it."""


def in_words(name: str, value: Any) -> str:
    """Return a value of the table as a person reads it."""
    if value is None or value != value:  # NaN
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value or UNKNOWN
    return f"{value:.{COLUMNS[name].digits}f}"
