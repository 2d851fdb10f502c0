"""OpenVINO, imported so that nothing phones home."""

import sys
import warnings
from typing import Any


def import_openvino() -> Any:
    """Import OpenVINO without its telemetry: nothing here phones home.

    A module that is None in ``sys.modules`` cannot be imported; OpenVINO then
    takes its own stub for it.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import openvino
    return openvino
