"""A trained model for another runtime: python tools/export_model.py RUN --to onnx --out mip.onnx.

``promptreid export``, by the name that it has in this checkout.
"""

from promptreid.cli import run_verb

if __name__ == "__main__":
    run_verb("export")
