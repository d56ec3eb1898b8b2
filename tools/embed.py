"""Embed images with a trained model: python tools/embed.py MODEL SOURCE --out FILE.

``promptreid embed``, by the name that it has in this checkout.
"""

from promptreid.cli import run_verb

if __name__ == "__main__":
    run_verb("embed")
