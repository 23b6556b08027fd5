"""Runs the command line as ``python -m napari_fastsam``."""

import sys

from napari_fastsam.cli import main

sys.exit(main())
