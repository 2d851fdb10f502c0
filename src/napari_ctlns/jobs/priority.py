"""Giving way to the programs that a person is looking at."""

import contextlib
import os
import sys
from pathlib import Path

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


def lower_session_priority(pid: int, niceness: int) -> None:
    """Let a process, and the session of its own that it leads, give way to all others.

    Linux may share the processor out among sessions first (``man 7 sched``,
    autogroups). Then niceness only counts within each of them, so the session's
    own is set too; and as that assures the session of a share, its threads can
    go idle-only, so that whoever wakes up interrupts them at once. Measured while
    a network is trained: napari draws a slice as fast as on an idle machine,
    and without it a third slower (docs/performance.md).
    """
    lower_priority(pid, niceness)
    with contextlib.suppress(OSError):  # other systems and kernels have no such groups
        Path(f"/proc/{pid}/autogroup").write_text(str(niceness), encoding="ascii")
        os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
