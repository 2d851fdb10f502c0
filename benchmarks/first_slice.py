"""How soon a dropped DICOM series is seen, beside how long all of it takes.

    xvfb-run -a python benchmarks/first_slice.py [FOLDER] [--slices 250] [--runs 3]

A new process shows napari with the Scan panel, drags a folder over the canvas for two seconds and
drops it. The first figure is the time from the drop until a slice that was read is drawn, the
second until the scan is whole and can be worked on. The files are in the disk's cache. Without a
folder a series of noise is written.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

CHILD = """
import sys, time
from pathlib import Path
folder = Path(sys.argv[1])
for path in folder.rglob("*"):
    path.is_file() and path.read_bytes()
from napari import Viewer
from qtpy.QtCore import QEventLoop, QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication
from napari.settings import get_settings
from napari_ctlns.plugin.session import session_of
viewer = Viewer()
viewer.window.add_plugin_dock_widget("napari-ctlns", "Scan")
session = session_of(viewer)
get_settings().plugins.extension2reader = {f"{folder}/": "napari-ctlns"}
def wait(seconds):
    loop = QEventLoop()
    QTimer.singleShot(int(1000 * seconds), loop.quit)
    loop.exec()
wait(1)
window = viewer.window._qt_viewer
drawn = []
def note(event):
    if viewer.layers and viewer.layers[0].data[viewer.dims.current_step[0]].max() > -1000:
        drawn.append(time.perf_counter())  # what is on show has been read
window.canvas._scene_canvas.events.draw.connect(note, position="last")
data = QMimeData()
data.setUrls([QUrl.fromLocalFile(str(folder))])
how = (Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
enter, drop = QDragEnterEvent(QPoint(300, 300), *how), QDropEvent(QPointF(300, 300), *how)
QApplication.sendEvent(window, enter)
wait(2)
start = time.perf_counter()
QApplication.sendEvent(window, drop)
until = QEventLoop()
session.scan_changed.connect(until.quit)
until.exec()
print(drawn[0] - start, time.perf_counter() - start)
viewer.close()
"""


def main() -> None:
    """Measure some processes, print the medians and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--slices", type=int, default=250)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder
        if folder is None:
            folder = Path(temporary) / "series"
            write_series(folder, options.slices)
        rows = [first_slice(folder) for _ in range(options.runs)]
    first, whole = (statistics.median(column) for column in zip(*rows, strict=True))
    print(f"first slice drawn after  {first:6.2f} s")
    print(f"the whole scan after     {whole:6.2f} s")
    print(f"ratio: {whole / first:.2f}")


def first_slice(folder: Path) -> tuple[float, float]:
    """Return the seconds from a drop until a slice is drawn, and until the scan is whole."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder)],
        check=True,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    first, whole = (float(word) for word in done.stdout.split()[-2:])
    return first, whole


def write_series(folder: Path, slices: int, size: int = 512) -> None:
    """Write an uncompressed CT series of noise around -700 HU."""
    folder.mkdir()
    chance = np.random.default_rng(0)
    series = generate_uid()
    for number in range(slices):
        ds = pydicom.Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.SeriesInstanceUID, ds.Modality, ds.PatientID = series, "CT", "noise"
        ds.ImagePositionPatient = [0.0, 0.0, 1.25 * number]
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.PixelSpacing, ds.SliceThickness = [0.7, 0.7], 1.25
        ds.Rows = ds.Columns = size
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit, ds.PixelRepresentation = 15, 0
        ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
        ds.PixelData = chance.normal(324, 40, (size, size)).clip(0).astype(np.uint16).tobytes()
        ds.save_as(folder / f"{number:04d}.dcm", enforce_file_format=True)


if __name__ == "__main__":
    main()
