"""See to the system libraries that Qt and a virtual screen need on Linux, and a verifier of DICOM.

Where all are there, or on Windows and macOS, nothing happens. As root on a
Debian-family system the missing ones are installed. Elsewhere one line says
which are missing and how to install them, and the run goes on: tests that need
a window, or the verifier, are skipped then.
"""

import ctypes
import os
import shutil
import subprocess
import sys

PACKAGES = {
    "dicom3tools": "dciodvfy",
    "libdbus-1-3": "libdbus-1.so.3",
    "libegl1": "libEGL.so.1",
    "libfontconfig1": "libfontconfig.so.1",
    "libgl1": "libGL.so.1",
    "libglib2.0-0": "libglib-2.0.so.0",
    "libxcb-cursor0": "libxcb-cursor.so.0",
    "libxcb-icccm4": "libxcb-icccm.so.4",
    "libxcb-keysyms1": "libxcb-keysyms.so.1",
    "libxcb-shape0": "libxcb-shape.so.0",
    "libxkbcommon-x11-0": "libxkbcommon-x11.so.0",
    "xauth": "xauth",
    "xvfb": "Xvfb",
}
"""Debian's package, and the library or program in it that we need."""

INSTALL = ("apt-get", "install", "-y", "--no-install-recommends")


def is_present(need: str) -> bool:
    """Whether a library can be loaded, or a program is on the path."""
    if ".so." not in need:
        return shutil.which(need) is not None
    try:
        ctypes.CDLL(need)
    except OSError:
        return False
    return True


def missing_packages() -> list[str]:
    """Return the packages of which something is not there."""
    return [package for package, need in PACKAGES.items() if not is_present(need)]


def may_install() -> bool:
    """Whether this is root on a Debian-family system."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(packages: list[str]) -> None:
    """Install ``packages`` with apt; whether it worked is for the caller to see."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (("apt-get", "update"), (*INSTALL, *packages)):
        try:
            subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, timeout=600)
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f"{command[0]} {command[1]}: {error}")


def advice(packages: list[str]) -> str:
    """Say in one line which packages are missing and how to get them."""
    needs = ", ".join(PACKAGES[package] for package in packages)
    command = " ".join(("sudo", *INSTALL, *packages))
    return f"tests of windows or DICOM are skipped: {needs} missing; on Debian or Ubuntu: {command}"


def main() -> None:
    """Check, install where we may, and say what is still missing."""
    if not sys.platform.startswith("linux"):
        return
    missing = missing_packages()
    if missing and may_install():
        install(missing)
        missing = missing_packages()
    if missing:
        print(advice(missing))


if __name__ == "__main__":
    main()
