"""Score features, or test a run: python tools/evaluate.py FEATURES --protocol "sysu-python all 1-shot" [--rerank].

``promptreid evaluate``, by the name that it has in this checkout.
"""

from promptreid.cli import run_verb

if __name__ == "__main__":
    run_verb("evaluate")
