"""Write the constraints anew: what pip resolves today for all that tox uses, and the oldest.

Run it with Python 3.11 on Linux, in an environment of its own, from the
repository root: ``python tools/renew_constraints.py``. Nothing is installed.
``python tools/renew_constraints.py oldest`` writes the second file alone.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PINNED_BY_HAND = ["torch==2.13.0"]
HEADER = """\
# The set of versions that is tested, on Linux with Python 3.11:
#     pip install -c constraints.txt -e .
# Written by tools/renew_constraints.py. The CUDA packages that some builds of
# torch bring along are left open, and so is what only Windows or macOS needs.
"""
OLDEST_HEADER = """\
# The oldest version of each dependency that pyproject.toml allows: `tox -e oldest` tests these.
# Written by tools/renew_constraints.py.
"""


def oldest(project: dict[str, Any]) -> str:
    """Return the lower bound of each dependency, those of the extras too, as constraints."""
    extras = project["project"]["optional-dependencies"].values()
    lines = [*project["project"]["dependencies"], *(line for extra in extras for line in extra)]
    bounds = {re.sub(r">=([\d.]+).*", r"==\1", line) for line in lines if ">=" in line}
    return OLDEST_HEADER + "".join(f"{line}\n" for line in sorted(bounds, key=str.lower))


def wanted(project: dict[str, Any]) -> list[str]:
    """Return every requirement of the package, its build and its tools."""
    groups = [line for group in project["dependency-groups"].values() for line in group]
    build = [*project["build-system"]["requires"], "editables"]
    return [*PINNED_BY_HAND, *project["project"]["dependencies"], *groups, *build]


def resolve(requirements: list[str]) -> list[tuple[str, str]]:
    """Return (name, public version) of all that pip would install, by name."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"]
    command += ["--quiet", "--report", "-", *requirements]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8")
    installed = [item["metadata"] for item in json.loads(done.stdout)["install"]]
    pins = {
        re.sub(r"[-_.]+", "-", item["name"]).lower(): item["version"].partition("+")[0]
        for item in installed
    }
    return sorted(pins.items())


def is_cuda(name: str) -> bool:
    """Whether a package only comes with the CUDA builds of torch."""
    return name.startswith(("nvidia-", "cuda-")) or name == "triton"


def main() -> None:
    """Resolve and write."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (ROOT / "constraints-oldest.txt").write_text(oldest(project), "utf-8")
    if "oldest" in sys.argv[1:]:
        return
    pins = [
        f"{name}=={version}\n" for name, version in resolve(wanted(project)) if not is_cuda(name)
    ]
    (ROOT / "constraints.txt").write_text(HEADER + "".join(pins), "utf-8")
    print(f"{len(pins)} versions pinned")


if __name__ == "__main__":
    main()
