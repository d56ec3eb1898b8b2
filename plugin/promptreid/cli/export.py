"""Write a trained model as a file for another runtime: promptreid export RUN --to onnx --out mip.onnx.

The file is compared with the model before it is left there, and is loaded by promptreid.load. docs/export.md says more.
"""

from __future__ import annotations

import argparse
import logging

from promptreid.cli.parsing import Parser, positive


def arguments(parser: Parser) -> None:
    """What the command line takes."""
    parser.add_argument("source", metavar="RUN", help="a run's folder, a checkpoint or a file of weights")
    parser.add_argument("--to", required=True, choices=("onnx", "openvino", "torchscript"), help="the kind of file")
    parser.add_argument("--out", required=True, metavar="FILE", help="the file to write: .onnx, .xml or .torchscript")
    parser.add_argument(
        "--dtype",
        choices=("fp32", "fp16", "bf16", "int8"),
        default="fp32",
        help="the precision of the file; default: fp32",
    )
    parser.add_argument(
        "--config", metavar="FILE", help="configuration of the training, if the file of weights does not hold it"
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="folder of the data sets: int8 is calibrated on training images, and its loss of mAP measured on test "
        "images; default: the run's data.root",
    )
    parser.add_argument(
        "--calibration-images",
        type=positive,
        default=128,
        metavar="N",
        help="training samples that int8 is calibrated on; default: 128",
    )


def run(args: argparse.Namespace) -> None:
    """Export, and print what the file is worth."""
    from promptreid.retrieval.export.export import export_model

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    done = export_model(
        args.source,
        args.out,
        args.to,
        args.dtype,
        config=args.config,
        data=args.data,
        calibration_images=args.calibration_images,
    )
    for line in done.agreement.lines():
        print(line)
    if done.accuracy is not None:
        protocol, before, after = done.accuracy
        print(
            f"{protocol}: mAP {before:.2%} in PyTorch, {after:.2%} in the file, a loss of {100 * (before - after):.2f}"
        )
    elif args.dtype != "fp32":
        print("mAP was not measured: give the folder of the data sets with --data")
    for path, size in done.files.items():
        print(f"{path}: {size / 1e6:.1f} MB")
    print(f"load it: promptreid.load({args.out!r})")
