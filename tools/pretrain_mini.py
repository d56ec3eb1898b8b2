"""Train two small towers, a CLIP and a ViT, on rendered people: python tools/pretrain_mini.py --out DIR.

``promptreid pretrain``, by the name that it has in this checkout.
"""

from promptreid.cli import run_verb

if __name__ == "__main__":
    run_verb("pretrain")
