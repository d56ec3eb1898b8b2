"""Imported first, so that these tests may import torchvision beside a CPU build of torch."""

from __future__ import annotations

import promptreid  # noqa: F401
