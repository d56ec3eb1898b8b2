"""Render a synthetic data set: python tools/make_synthetic.py --like sysu_mm01 --out DIR --ids 200 --seed 0.

``promptreid render``, by the name that it has in this checkout.
"""

from promptreid.cli import run_verb

if __name__ == "__main__":
    run_verb("render")
