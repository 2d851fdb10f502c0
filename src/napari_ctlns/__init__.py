"""Interactive segmentation of lung nodules in CT, for napari and the command line."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("napari-ctlns")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"

__all__ = ["__version__"]
