"""Is a data set on disk complete and readable? python tools/check_dataset.py sysu_mm01 /data.

``promptreid check-data``, by the name that it has in this checkout.
"""

from promptreid.cli import run_verb

if __name__ == "__main__":
    run_verb("check-data")
