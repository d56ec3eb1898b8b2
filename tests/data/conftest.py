"""Imported first, so that these tests may import torchvision beside a CPU build of torch."""

from __future__ import annotations

import sys
from pathlib import Path

import promptreid  # noqa: F401

sys.path.append(str(Path(__file__).parent))  # for the helper modules of this folder
