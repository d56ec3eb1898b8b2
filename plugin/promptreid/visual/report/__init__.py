"""Run report: several runs side by side in one HTML page."""
