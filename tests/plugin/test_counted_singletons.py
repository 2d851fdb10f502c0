"""The process survives what a Qt binding does to the reference counts of None, True and False."""

import subprocess
import sys

CHILD = """
from qtpy.QtCore import QCoreApplication, QEvent, QObject
class Filter(QObject):
    def eventFilter(self, watched, event):
        return False
app = QCoreApplication([])
watched, filter_ = QObject(), Filter()
watched.installEventFilter(filter_)
from napari_ctlns.plugin.counted_singletons import keep_singletons_alive
keep_singletons_alive()
for _ in range(20_000):
    app.sendEvent(watched, QEvent(QEvent.Type.User))
print("alive", None, True, False)
"""


def test_many_filtered_events_do_not_end_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["alive", "None", "True", "False"], done.stderr
