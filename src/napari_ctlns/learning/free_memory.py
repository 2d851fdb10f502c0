"""How much memory a device has left."""

import contextlib
import ctypes
import os
import sys
from pathlib import Path

import torch


def free_bytes(device: torch.device) -> int | None:
    """Return how many bytes a device has left, None where the system does not tell.

    For a CPU that is the memory which programs can be given without swapping, and no
    more than a container may take.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return _free_main_memory()


if sys.platform == "win32":

    class _Status(ctypes.Structure):
        """Windows' MEMORYSTATUSEX."""

        _fields_ = [
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "free")),
            *((f"other{number}", ctypes.c_ulonglong) for number in range(5)),
        ]

    def _free_main_memory() -> int | None:
        status = _Status(length=ctypes.sizeof(_Status))
        if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
            return None
        return int(status.free)

else:

    def _free_main_memory() -> int | None:
        known = [free for free in (_meminfo(), _container()) if free is not None]
        if known:
            return min(known)
        with contextlib.suppress(ValueError, OSError):  # macOS does not know the name
            return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return None


def _meminfo(path: Path = Path("/proc/meminfo")) -> int | None:
    """Return what Linux calls available: free, or a cache that it can drop."""
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text("ascii").splitlines():
            name, _, amount = line.partition(":")
            if name == "MemAvailable":
                return int(amount.split()[0]) * 1024
    return None


def _container(folder: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return what is left of a container's memory (cgroup version 2), None without a limit."""
    with contextlib.suppress(OSError, ValueError):  # no such files, or "max"
        limit = int((folder / "memory.max").read_text("ascii"))
        return max(limit - int((folder / "memory.current").read_text("ascii")), 0)
    return None
