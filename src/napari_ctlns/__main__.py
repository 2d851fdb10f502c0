"""``python -m napari_ctlns`` is ``ctlns``."""

import sys

from napari_ctlns.cli import main

if __name__ == "__main__":
    sys.exit(main())
