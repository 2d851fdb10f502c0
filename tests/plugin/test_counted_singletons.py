"""The process survives what a Qt binding does to the reference counts of None, True and False."""

import subprocess
import sys

CHILD = """
from qtpy.QtCore import QTimer
from napari_ctlns.plugin.counted_singletons import keep_singletons_alive
keep_singletons_alive()
timer = QTimer()
for _ in range(100_000):
    timer.timeout.emit()
print("alive", None, True, False)
"""


def test_many_signals_do_not_end_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["alive", "None", "True", "False"], done.stderr
