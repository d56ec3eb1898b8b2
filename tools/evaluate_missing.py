"""Test under missing modalities: python tools/evaluate_missing.py --config-file FILE [KEY VALUE ...].

``promptreid missing``, by the name that it has in this checkout.
"""

from promptreid.cli import run_verb

if __name__ == "__main__":
    run_verb("missing")
