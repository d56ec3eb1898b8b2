"""Features of test images: python tools/extract_features.py --out FILE.npz --config-file FILE [KEY VALUE ...].

``promptreid extract``, by the name that it has in this checkout.
"""

from promptreid.cli import run_verb

if __name__ == "__main__":
    run_verb("extract")
