"""Giving way to the programs that a person is looking at."""

import contextlib
import os
import sys

if sys.platform == "win32":
    import ctypes

    BELOW_NORMAL_PRIORITY_CLASS = 0x00004000

    def lower_priority(pid: int, niceness: int) -> None:  # noqa: ARG001 - one step only here
        """Run a process below normal priority, where the system allows it."""
        set_information = 0x0200
        kernel = ctypes.windll.kernel32
        handle = kernel.OpenProcess(set_information, False, pid)
        if handle:
            kernel.SetPriorityClass(handle, BELOW_NORMAL_PRIORITY_CLASS)
            kernel.CloseHandle(handle)

else:

    def lower_priority(pid: int, niceness: int) -> None:
        """Run a process at this niceness, where the system allows it."""
        with contextlib.suppress(OSError):
            if os.getpriority(os.PRIO_PROCESS, pid) < niceness:
                os.setpriority(os.PRIO_PROCESS, pid, niceness)
