"""Make descriptors smaller: python tools/compress_descriptors.py fit TRAIN --dim 64 --store int8 --out FILE.

``promptreid compress``, by the name that it has in this checkout.
"""

from promptreid.cli import run_verb

if __name__ == "__main__":
    run_verb("compress")
