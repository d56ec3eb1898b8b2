"""The run report: what several runs did, side by side, in one HTML page."""
