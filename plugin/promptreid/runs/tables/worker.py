"""One training of a table in a process of its own: ``python -m promptreid.runs.tables.worker``.

Standard input is a JSON object: ``config``, a whole configuration as YAML, whether the row is ``trained`` and tested
under ``missing`` modalities, and the code's ``commit``.
"""

from __future__ import annotations

import json
import sys

import yaml  # type: ignore[import-untyped]

from promptreid.config import load_config
from promptreid.config.keys import flatten
from promptreid.errors import message_of
from promptreid.runs.tables.rows import Training, complete_training
from promptreid.runs.tables.table import Row


def main(text: str) -> int:
    """Complete the training; the exit code, 2 after an error of the user's."""
    order = json.loads(text)
    cfg = load_config(overrides=flatten(yaml.safe_load(order["config"])))
    row = Row("", "", "", trained=order["trained"])
    try:
        training = Training(row, cfg, cfg.data.synthetic.seed, cfg.train.seed, order["missing"])
        complete_training(training, order["commit"])
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{message_of(error)}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.stdin.read()))
