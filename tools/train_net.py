"""Train and test a model: python tools/train_net.py --config-file configs/mip/quickstart.yaml [KEY VALUE ...].

``promptreid train``, by the name that it has in this checkout.
"""

from promptreid.cli import run_verb

if __name__ == "__main__":
    run_verb("train")
