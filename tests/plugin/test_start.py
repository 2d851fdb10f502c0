"""Opening napari with all panels, as a person starts it: what comes along and what must not."""

import subprocess
import sys

CHILD = """
import sys
from napari import Viewer
viewer = Viewer()
PANELS = ("Scan", "Annotations", "Train", "Predict", "Nodules", "Growth", "Rulers")
for panel in PANELS:
    viewer.window.add_plugin_dock_widget("napari-ctlns", panel, tabify=True)
from qtpy.QtCore import QEventLoop, QTimer
loop = QEventLoop()
QTimer.singleShot(2500, loop.quit)  # the plot comes a little later
loop.exec()
print(*sorted({name.partition(".")[0] for name in sys.modules}))
viewer.close()
"""


def test_the_window_is_opened_without_what_learns(qtbot: object) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert {"napari", "napari_ctlns", "pyqtgraph"} <= loaded
    assert not loaded & {"torch", "monai", "openvino"}
    # half a second each: they come when they are needed
    assert not loaded & {"pandas", "SimpleITK", "pydicom"}
