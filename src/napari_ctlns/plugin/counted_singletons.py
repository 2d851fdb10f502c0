"""A guard against PySide6 6.12 on Python 3.11, which together end napari after some while.

Measured with PySide6 6.12.0: each signal emitted from Python gives back a
reference to True that was never taken, and moving the mouse over napari's canvas
some to None. Until Python 3.11 these objects are counted like all others (PEP 683
made them immortal in 3.12), and when the count reaches 0 the interpreter aborts,
with all edits. With PySide6 6.11.3 no emission loses any.
"""

import ctypes
import sys

from qtpy import API_NAME

_MORE_THAN_CAN_BE_LOST = 1 << 40


def keep_singletons_alive() -> None:
    """Take so many references to None, True and False that none can be lost too many."""
    counted = sys.version_info < (3, 12) and sys.implementation.name == "cpython"
    if API_NAME != "PySide6" or not counted:
        return
    for singleton in (None, True, False):
        # an object of CPython begins with the number of its references
        ctypes.c_ssize_t.from_address(id(singleton)).value += _MORE_THAN_CAN_BE_LOST
