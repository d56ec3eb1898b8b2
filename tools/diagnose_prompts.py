"""Measure MIP's prompts before and after training: python tools/diagnose_prompts.py --config-file FILE.

``promptreid diagnose``, by the name that it has in this checkout.
"""

from promptreid.cli import run_verb

if __name__ == "__main__":
    run_verb("diagnose")
