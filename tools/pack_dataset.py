"""Decode and resize a data set once: python tools/pack_dataset.py sysu_mm01 reid-data --size 256 128 --out sysu.npy.

``promptreid pack``, by the name that it has in this checkout.
"""

from promptreid.cli import run_verb

if __name__ == "__main__":
    run_verb("pack")
