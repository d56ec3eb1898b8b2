"""One page of several runs, side by side: python tools/report_runs.py log/one log/other --out report.html.

``promptreid report``, by the name that it has in this checkout.
"""

from promptreid.cli import run_verb

if __name__ == "__main__":
    run_verb("report")
