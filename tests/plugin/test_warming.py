import subprocess
import sys

WHILE_IT_READS = """
import threading
import pint
from napari_ctlns.plugin.warming import read_units

thread = threading.Thread(target=read_units)
thread.start()
while thread.is_alive():
    registry = pint.get_application_registry().get()
    if type(registry) is not pint.registry.LazyRegistry:
        assert registry.Unit("mm") and registry.Unit("pixel")
        break
thread.join()
assert pint.get_application_registry().Unit("pixel") == pint.Unit("pixel")
known = pint.get_application_registry().get()
read_units()
assert pint.get_application_registry().get() is known
"""


def test_no_other_thread_sees_half_a_table_of_units() -> None:
    """pint keeps its table for the whole process, hence one of its own."""
    subprocess.run([sys.executable, "-c", WHILE_IT_READS], check=True, timeout=120)
