import pytest

from napari_ctlns.atomic import atomic_path, write_text
from napari_ctlns.errors import OutputError


def test_text_is_written_whole_with_its_line_ends(tmp_path):
    target = tmp_path / "new" / "a.csv"
    write_text(target, "µm\r\nmm\n")
    assert target.read_bytes() == "µm\r\nmm\n".encode()
    assert [p.name for p in target.parent.iterdir()] == ["a.csv"]


def test_the_temporary_name_keeps_the_suffixes_and_hides(tmp_path):
    with atomic_path(tmp_path / "mask.nii.gz") as temporary:
        assert temporary.name.endswith(".nii.gz")
        assert temporary.name.startswith(".")
        temporary.write_bytes(b"1")


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old", "utf-8")

    def fail():
        with atomic_path(target) as temporary:
            temporary.write_text("new", "utf-8")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert target.read_text("utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_takes_its_place_whole(tmp_path):
    with atomic_path(tmp_path / "model") as temporary:
        temporary.mkdir()
        (temporary / "weights").write_bytes(b"1")
    assert (tmp_path / "model" / "weights").read_bytes() == b"1"


def test_an_unwritable_place_is_told_in_words(tmp_path):
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(OutputError, match="cannot write"):
        write_text(tmp_path / "file" / "a.txt", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        write_text(tmp_path / "folder", "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]
