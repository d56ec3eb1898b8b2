"""Convert a checkpoint: python tools/convert_checkpoint.py mip-release transformer_best.pth weights/mip_sysu.

``promptreid convert``, by the name that it has in this checkout.
"""

from promptreid.cli import run_verb

if __name__ == "__main__":
    run_verb("convert")
