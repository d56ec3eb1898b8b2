"""``python -m promptreid`` is ``promptreid``; torchrun takes it as ``torchrun -m promptreid train ...``."""

from __future__ import annotations

from promptreid.cli import main

if __name__ == "__main__":
    main()
