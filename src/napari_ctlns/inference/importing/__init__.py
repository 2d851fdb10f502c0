"""Models that others made become model folders: nnU-Net v2, MONAI bundles, ONNX files.

Their checkpoints are pickles, which can run code; they are read once, by torch's reader
that knows weights alone. What their configurations would compute is never computed.
"""

from napari_ctlns.inference.importing.job import import_model

__all__ = ["import_model"]
