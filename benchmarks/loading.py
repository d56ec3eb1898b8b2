"""Images per second of the train loader, decoded from JPEG files against read from a pack, side by side.

    python benchmarks/loading.py --images 2000 --source 288 144 --size 256 128 --workers 0 2 --runs 5
    python benchmarks/loading.py --decoders --runs 11

The second one measures decoding alone, by Pillow, OpenCV and, where it is installed, simplejpeg.

Makes its own images: smooth noise, which compresses about as well as photographs. The runs of all rows take turns, so
that whatever else the machine does meets them alike; each figure is the median. Files are in the page cache, as they
are from the second epoch on wherever the data set fits into memory.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from promptreid.data import jpeg
from promptreid.data.images import FORMATS, MAX_PIXELS
from promptreid.data.manager import ModalDataManager
from promptreid.data.packing import files_of, write_pack
from promptreid.data.transforms import Augmentation

CHAINS = {
    "resize only": ("resize",),
    "MIP's chain": ("random_flip", "pad_crop", "jitter_or_blur", "pixel_erase", "random_grey"),
}
CAMERAS = 6


def write_images(folder: Path, count: int, size: tuple[int, int]) -> None:
    """A tree in SYSU-MM01's layout: ``count`` images of ``count / 60`` identities, the last two of them for testing."""
    identities = max(6, count // (10 * CAMERAS))
    frames = -(-count // (identities * CAMERAS))
    rng = np.random.default_rng(0)
    for pid in range(1, identities + 1):
        for camera in range(1, CAMERAS + 1):
            cell = folder / f"cam{camera}" / f"{pid:04d}"
            cell.mkdir(parents=True)
            for frame in range(1, frames + 1):
                coarse = rng.integers(0, 256, (size[0] // 6, size[1] // 6, 3), dtype=np.uint8)
                smooth = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
                Image.fromarray(smooth).save(cell / f"{frame:04d}.jpg", quality=90)
    (folder / "exp").mkdir()
    ids = [str(pid) for pid in range(1, identities + 1)]
    for name, some in (("train_id", ids[:-3]), ("val_id", ids[-3:-2]), ("test_id", ids[-2:])):
        (folder / "exp" / f"{name}.txt").write_text(",".join(some))


def loader(root: Path, size: tuple[int, int], chain: tuple[str, ...], workers: int, pack: str) -> Any:
    """The train loader of a run: random batches of 64, augmented with ``chain``."""
    with contextlib.redirect_stdout(io.StringIO()):  # torchreid's summary
        manager = ModalDataManager(
            root=str(root),
            sources=["sysu_mm01"],
            height=size[0],
            width=size[1],
            use_gpu=False,
            batch_size_train=64,
            workers=workers,
            persistent_workers=workers > 0,
            pack=pack,
            augment=Augmentation(visible=chain, infrared=chain),
        )
    return manager.train_loader


def images_per_second(batches: Any) -> float:
    """One epoch."""
    start, images = time.perf_counter(), 0
    for batch in batches:
        images += len(batch["pid"])
    return images / (time.perf_counter() - start)


def medians(rows: dict[Any, Any], runs: int) -> dict[Any, float]:
    """The median speed of each loader over ``runs`` rounds, after one that isn't counted."""
    measured: dict[Any, list[float]] = {name: [] for name in rows}
    for number in range(runs + 1):
        for name, batches in rows.items():
            speed = images_per_second(batches)
            if number:
                measured[name].append(speed)
    return {name: statistics.median(values) for name, values in measured.items()}


def encode(size: tuple[int, int], quality: int, subsampling: str, count: int = 200) -> list[bytes]:
    """JPEG files of smooth noise, in memory."""
    rng = np.random.default_rng(0)
    files = []
    for _ in range(count):
        coarse = rng.integers(0, 256, (size[0] // 6, size[1] // 6, 3), dtype=np.uint8)
        smooth = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
        file = io.BytesIO()
        Image.fromarray(smooth).save(file, "JPEG", quality=quality, subsampling=subsampling)
        files.append(file.getvalue())
    return files


def by_pillow(file: bytes) -> Image.Image:
    with Image.open(io.BytesIO(file), formats=FORMATS) as image:
        return image.convert("RGB")


def by_opencv(file: bytes) -> Image.Image:
    return Image.fromarray(cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR_RGB))


def by_simplejpeg(file: bytes) -> Image.Image:
    image = jpeg.decode(file, MAX_PIXELS)
    if image is None:
        raise ValueError("simplejpeg left this file to Pillow")
    return image


def report_decoders(size: tuple[int, int], runs: int) -> None:
    """Images per second of processor time, the ratio to Pillow, and the largest difference from Pillow's pixels."""
    decoders: dict[str, Callable[[bytes], Image.Image]] = {"Pillow": by_pillow, "OpenCV": by_opencv}
    with contextlib.suppress(ModuleNotFoundError):
        jpeg.check_installed()
        decoders["simplejpeg"] = by_simplejpeg
    print(
        f"{'quality':>7s} {'chroma':>6s} {'kB':>5s}  images/s (ratio to Pillow, largest difference), median of {runs}"
    )
    for quality, subsampling in ((75, "4:2:0"), (90, "4:2:0"), (90, "4:4:4"), (95, "4:4:4")):
        files = encode(size, quality, subsampling)
        speeds: dict[str, list[float]] = {name: [] for name in decoders}
        for _ in range(runs):
            for name, decode in decoders.items():
                start = time.process_time()
                for file in files:
                    decode(file)
                speeds[name].append(len(files) / (time.process_time() - start))
        cells = []
        for name, decode in decoders.items():
            ratio = statistics.median(speeds[name]) / statistics.median(speeds["Pillow"])
            difference = max(
                int(abs(np.asarray(decode(f), int) - np.asarray(by_pillow(f), int)).max()) for f in files[:50]
            )
            cells.append(f"{name} {statistics.median(speeds[name]):.0f} ({ratio:.2f}, {difference})")
        kilobytes = statistics.mean(map(len, files)) / 1e3
        print(f"{quality:7d} {subsampling:>6s} {kilobytes:5.1f}  {'  '.join(cells)}")


def main() -> None:
    args = parse()
    torch.set_num_threads(1)
    if args.decoders:
        cv2.setNumThreads(1)
        report_decoders(tuple(args.size), args.runs)
        return
    source, size = tuple(args.source), tuple(args.size)
    with tempfile.TemporaryDirectory() as folder:
        root, pack = Path(folder), Path(folder) / "pack.npy"
        write_images(root / "SYSU-MM01", args.images, source)
        pack_all(root, pack, source, size)
        rows = {
            (chain, workers, bool(file)): loader(root, size, CHAINS[chain], workers, file)
            for chain in CHAINS
            for workers in args.workers
            for file in ("", str(pack))
        }
        report(medians(rows, args.runs), args.workers, args.runs)


def pack_all(root: Path, pack: Path, source: tuple[int, int], size: tuple[int, int]) -> None:
    dataset = loader(root, size, CHAINS["resize only"], 0, "").dataset
    files = files_of([*dataset.train, *dataset.query, *dataset.gallery])
    start = time.perf_counter()
    write_pack(pack, root, files, size[0], size[1], "bilinear")
    seconds = time.perf_counter() - start
    average = statistics.mean(Path(path).stat().st_size for path in files) / 1e3
    print(f"{len(files)} files of {source[0]} x {source[1]}, on average {average:.1f} kB")
    print(f"packed at {size[0]} x {size[1]} in {seconds:.1f} s, {pack.stat().st_size / 1e6:.0f} MB")


def report(speed: dict[Any, float], workers: list[int], runs: int) -> None:
    print(f"{'images/s, median of ' + str(runs):24s} {'workers':>7s} {'decoded':>9s} {'packed':>9s} {'ratio':>6s}")
    for chain in CHAINS:
        for count in workers:
            decoded, packed = speed[chain, count, False], speed[chain, count, True]
            print(f"{chain:24s} {count:7d} {decoded:9.0f} {packed:9.0f} {packed / decoded:6.2f}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=2000, metavar="N")
    parser.add_argument("--source", nargs=2, type=int, default=(288, 144), metavar=("H", "W"), help="of the files")
    parser.add_argument("--size", nargs=2, type=int, default=(256, 128), metavar=("H", "W"), help="trained at")
    parser.add_argument("--workers", nargs="+", type=int, default=[0, 2], metavar="N")
    parser.add_argument("--decoders", action="store_true", help="measure decoding alone, of files of --size")
    parser.add_argument("--runs", type=int, default=5, metavar="N")
    return parser.parse_args()


if __name__ == "__main__":
    main()
