"""Draw what a trained model does: python tools/show_run.py ranks log/mip_quickstart.

``promptreid show``, by the name that it has in this checkout.
"""

from promptreid.cli import run_verb

if __name__ == "__main__":
    run_verb("show")
