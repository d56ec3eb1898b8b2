"""Make Market1501-MM from Market-1501: python tools/make_market_mm.py data/market1501 --out data/Market1501-MM.

``promptreid market-mm``, by the name that it has in this checkout.
"""

from promptreid.cli import run_verb

if __name__ == "__main__":
    run_verb("market-mm")
