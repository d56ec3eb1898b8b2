"""Train with one key at several values: python tools/sweep.py --config-file F --key KEY --values V1 V2.

``promptreid sweep``, by the name that it has in this checkout.
"""

from promptreid.cli import run_verb

if __name__ == "__main__":
    run_verb("sweep")
