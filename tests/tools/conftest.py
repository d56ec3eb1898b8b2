"""Makes the released checkpoints of ``tests/models/released.py`` importable."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "models"))
