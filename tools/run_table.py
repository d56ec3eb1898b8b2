"""Train, test and write one of the tables: python tools/run_table.py mip_ablation --seeds 3 [KEY VALUE ...].

``promptreid table``, by the name that it has in this checkout.
"""

from promptreid.cli import run_verb

if __name__ == "__main__":
    run_verb("table")
