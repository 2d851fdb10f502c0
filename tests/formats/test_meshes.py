"""Mesh files, read again by small readers of their own: no line of the writer is in them."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ctlns.cli import main
from napari_ctlns.errors import MaskError, OutputError
from napari_ctlns.formats import write_volume
from napari_ctlns.formats.meshes import write_surfaces
from napari_ctlns.measurement import measure
from napari_ctlns.reporting.meshes import write_meshes
from napari_ctlns.volume import Geometry, Volume

AXES = {
    "LPS": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "RAS": ((-1, 0, 0), (0, -1, 0), (0, 0, 1)),
    "mirrored": ((-1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "permuted": ((0, 0, 1), (1, 0, 0), (0, -1, 0)),
    "oblique": ((0.8, -0.6, 0), (0.6, 0.8, 0), (0, 0, 1)),
}


def read_stl(path):
    """The triangles (m, 3, 3) and the normals (m, 3) of a binary STL."""
    data = path.read_bytes()
    (count,) = struct.unpack_from("<I", data, 80)
    assert len(data) == 84 + 50 * count
    rows = [struct.unpack_from("<12fH", data, 84 + 50 * k) for k in range(count)]
    values = np.array([row[:12] for row in rows]).reshape(-1, 4, 3)
    return values[:, 1:], values[:, 0]


def read_obj(path):
    """The triangles of each object of an OBJ."""
    vertices, objects = [], {}
    for line in path.read_text("ascii").splitlines():
        kind, *words = line.split()
        if kind == "o":
            faces = objects[words[0]] = []
        elif kind == "v":
            vertices.append([float(word) for word in words])
        elif kind == "f":
            faces.append([int(word) - 1 for word in words])
    return {name: np.array(vertices)[np.array(faces)] for name, faces in objects.items()}


def enclosed(triangles):
    """What triangles enclose that face outwards, by the divergence theorem."""
    around = triangles - triangles.mean(axis=(0, 1))
    return np.linalg.det(around).sum() / 6


def is_closed(triangles):
    """Whether each edge is run through once each way."""
    corners = [[tuple(np.round(p, 3)) for p in triangle] for triangle in triangles.tolist()]
    ways = [(t[k], t[(k + 1) % 3]) for t in corners for k in range(3)]
    return len(set(ways)) == len(ways) and set(ways) == {(b, a) for a, b in ways}


def two_balls(direction, labels=(3, 8)):
    """Two balls on an anisotropic grid whose source ran along other axes."""
    own = Geometry((11, 18, 25), (2.0, 1.0, 0.8), (-110.5, 42.0, -300.25), direction)
    geometry = own.oriented()
    places = np.moveaxis(np.indices(geometry.shape), 0, -1) * geometry.spacing
    array = np.zeros(geometry.shape, np.uint8)
    for label, share, radius in zip(labels, (0.3, 0.7), (3.5, 3.0), strict=True):
        middle = np.array(geometry.size_mm) * share
        array[((places - middle) ** 2).sum(axis=-1) < radius**2] = label
    return Volume(array, geometry, "mask", "scan", "patient")


@pytest.mark.parametrize("axes", AXES)
def test_both_formats_hold_closed_surfaces_where_the_nodules_lie(tmp_path, axes):
    mask = two_balls(AXES[axes])
    ct = Volume(np.zeros(mask.array.shape, np.int16), mask.geometry)
    table = measure(mask, ct).set_index("label")
    write_meshes(mask, tmp_path / "n.obj")
    write_meshes(mask, tmp_path / "n.stl")
    objects = read_obj(tmp_path / "n.obj")
    assert list(objects) == ["nodule_3", "nodule_8"]
    for name, triangles in objects.items():
        row = table.loc[int(name[7:])]
        assert is_closed(triangles)
        assert enclosed(triangles) == pytest.approx(row["mesh_volume_mm3"], rel=1e-3)
        assert enclosed(triangles) == pytest.approx(row["volume_mm3"], rel=0.12)
        middle = [row[f"centroid_{axis}_mm"] for axis in "xyz"]
        low, high = triangles.min(axis=(0, 1)), triangles.max(axis=(0, 1))
        np.testing.assert_allclose((low + high) / 2, middle, atol=0.7)
    triangles, normals = read_stl(tmp_path / "n.stl")
    assert is_closed(triangles)
    both = np.concatenate(list(objects.values()))
    np.testing.assert_allclose(triangles, both, atol=1e-4)
    across = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    assert (np.einsum("ij,ij->i", across, normals) > 0).all()
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(0, 26), min_size=1), st.sampled_from(list(AXES)))
def test_any_handful_of_voxels_is_enclosed(tmp_path_factory, voxels, axes):
    array = np.zeros((3, 3, 3), np.uint8)
    array.flat[list(voxels)] = 1
    grid = Geometry((3, 3, 3), (2.0, 1.0, 0.5), (5.0, 6.0, 7.0), AXES[axes])
    path = tmp_path_factory.mktemp("mesh") / "n.obj"
    write_meshes(Volume(array, grid, "mask"), path)
    (triangles,) = read_obj(path).values()
    assert 0 < enclosed(triangles) <= len(voxels) * grid.voxel_volume + 1e-6


def test_one_nodule_alone_and_without_steps(tmp_path, capsys):
    mask = two_balls(AXES["LPS"])
    write_volume(mask, tmp_path / "m.nii.gz")
    words = ["mesh", str(tmp_path / "m.nii.gz"), "--out", str(tmp_path / "n.obj"), "--label", "8"]
    assert main(words) == 0
    (steps,) = read_obj(tmp_path / "n.obj").values()
    assert main([*words, "--smooth"]) == 0
    (smooth,) = read_obj(tmp_path / "n.obj").values()
    assert enclosed(smooth) == pytest.approx(enclosed(steps), rel=1e-3)

    def area(t):
        return np.linalg.norm(np.cross(t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]), axis=1).sum()

    assert area(smooth) < area(steps)
    capsys.readouterr()
    assert main([*words, "--label", "5"]) == 2
    assert "no label 5 in the mask; its labels are: 3, 8" in capsys.readouterr().err


def test_what_is_no_mesh_is_refused_and_leaves_nothing(tmp_path):
    mask = two_balls(AXES["LPS"])
    with pytest.raises(OutputError, match=r"a mesh is a \.stl or \.obj file"):
        write_meshes(mask, tmp_path / "n.ply")
    with pytest.raises(MaskError, match="no nodule in the mask"):
        write_meshes(Volume(mask.array * 0, mask.geometry, "mask"), tmp_path / "n.stl")
    (tmp_path / "d.stl").mkdir()
    with pytest.raises(OutputError, match="a folder of that name"):
        write_surfaces(tmp_path / "d.stl", {})
    assert [p.name for p in tmp_path.iterdir()] == ["d.stl"]
