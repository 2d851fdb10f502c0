"""How much memory a training has taken."""

import os
import sys
from pathlib import Path

import torch

_MIB = 2**20


def device_memory_mb(device: torch.device) -> float:
    """Return how many MiB training takes.

    On CUDA the most that tensors held, on MPS what they hold now, else the memory of this
    process that is not swapped out (on macOS the most it was).
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / _MIB
    if device.type == "mps":
        return torch.mps.current_allocated_memory() / _MIB
    return _resident_bytes() / _MIB


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    class _Counters(ctypes.Structure):
        _fields_ = [
            ("cb", wintypes.DWORD),
            ("PageFaultCount", wintypes.DWORD),
            *((name, ctypes.c_size_t) for name in ("PeakWorkingSetSize", "WorkingSetSize")),
            *((f"Quota{number}", ctypes.c_size_t) for number in range(4)),
            *((name, ctypes.c_size_t) for name in ("PagefileUsage", "PeakPagefileUsage")),
        ]

    def _resident_bytes() -> int:
        kernel = ctypes.WinDLL("kernel32")
        kernel.GetCurrentProcess.restype = wintypes.HANDLE
        ask = kernel.K32GetProcessMemoryInfo
        ask.argtypes = [wintypes.HANDLE, ctypes.POINTER(_Counters), wintypes.DWORD]
        counters = _Counters(cb=ctypes.sizeof(_Counters))
        ask(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.cb)
        return int(counters.WorkingSetSize)

elif sys.platform == "darwin":
    import resource

    def _resident_bytes() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

else:

    def _resident_bytes() -> int:
        pages = Path("/proc/self/statm").read_text("ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
