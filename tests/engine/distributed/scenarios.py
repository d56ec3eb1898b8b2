"""What ``test_distributed.py`` looks at: small trainings in 1, 2 and 4 processes, run by one interpreter.

Importing torch takes longer than these trainings, so processes are forked, in a program that does nothing else::

    python tests/engine/distributed/scenarios.py ROOT OUT [NAME ...]

``ROOT`` has rendered SYSU-MM01 and RGBNT201 trees. ``OUT/outcomes.pt`` gets, for each scenario and number of processes,
what each process returned.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.path.insert(0, str(Path(__file__).parents[2] / "helpers"))

from small_runs import ROOT, newest, results, small_config

from promptreid.config import load_config
from promptreid.data.batch import ModalBatch
from promptreid.engine import test_engine as evaluating
from promptreid.engine.distributed import sharded_extraction as shares
from promptreid.engine.distributed.output_gathering import gather_batch
from promptreid.engine.distributed.process_group import first_does, process_group, rank, together
from promptreid.engine.train_engine import PromptEngine
from promptreid.methods.dmpt.loss import DMPTLoss
from promptreid.methods.mip.loss import MIPLoss
from promptreid.models.outputs import PromptOutput
from promptreid.retrieval.description import ModelDescription
from promptreid.retrieval.embed_job import embed_to_file
from promptreid.retrieval.embedder import Embedder
from promptreid.retrieval.object_lists import list_objects
from promptreid.runs.run import run

STEP = PromptEngine.forward_backward
LIMIT = 120  # seconds for a scenario
PLAIN = {
    "train.optim": "sgd", "train.lr": 0.02, "train.warmup_lr": 0.02, "sampler.num_instances": 8, "train.batch_size": 32,
    "data.augment.visible": ["resize"], "data.augment.infrared": ["resize"], "backbone.drop_path": 0.0,
    "train.print_freq": 1, "backbone.vit.depth": 3,
}  # fmt: skip
"""Nothing random but the batches."""
TRIPLES = {
    **{key: value for key, value in PLAIN.items() if not key.startswith("mip.")},
    "data.synthetic.like": "", "data.workers": 0, "data.height": 64, "data.width": 32, "data.augment.interpolation":
    "bilinear", "sampler.num_instances": 4, "test.batch_size": 4, "test.eval_freq": -1, "train.warmup_epochs": 1,
    "model.name": "dmpt_clip_tiny", "model.pretrained": False, "train.cosine.min_lr": 5e-5, "train.amp": False,
    "train.tensorboard.pictures": False,
}  # fmt: skip


class Recorded:
    """The engine of a run, the files of its batches, and what to do before each step."""

    def __init__(self, calm: bool = False, before: Callable[[int, Any], None] = lambda number, data: None) -> None:
        self.engine: Any = None
        self.files: list[list[str]] = []
        self.summaries: list[dict[str, float]] = []
        recorded = self

        def step(engine: PromptEngine, data: dict[str, Any]) -> dict[str, float]:
            recorded.engine = engine
            recorded.files.append([str(path) for path in data["impath"]])
            if calm:
                quieten(engine.model)
            before(len(recorded.files), data)
            recorded.summaries.append(STEP(engine, data))
            return recorded.summaries[-1]

        PromptEngine.forward_backward = step  # type: ignore[method-assign]

    def outcome(self, folder: Path) -> dict[str, Any]:
        own = {name: value.clone() for name, value in self.engine.model.state_dict().items()}
        return {
            "files": self.files, "summaries": self.summaries, "own": own, "folder": folder,
            "weights": newest(folder)["state_dict"], "results": results(folder),
            "selection": (self.engine.selector.score, self.engine.selector.origin, self.engine.selector.waited),
            "rank1": self.engine.rank1, "tested": {k: [r.as_dict() for r in v] for k, v in self.engine.results.items()},
        }  # fmt: skip


def quieten(model: torch.nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.eval()
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0


def error_of(action: Callable[[], Any]) -> tuple[str, Any]:
    try:
        action()
    except SystemExit as error:
        return "SystemExit", error.code
    except Exception as error:
        return type(error).__name__, str(error)
    return "", None


def train(cfg: Any, calm: bool = True, **arguments: Any) -> dict[str, Any]:
    recorded = Recorded(calm)
    run(cfg, **arguments)
    return recorded.outcome(Path(cfg.data.save_dir))


def mip(root: Path, folder: Path) -> Any:
    msel = {"loss.prompt.use_msel": True, "loss.prompt.msel_start_epoch": 2}
    # Under other seeds two distances of the few test images are so near that the last bit of a weight decides a rank.
    epochs = {"train.max_epoch": 5, "train.seed": 5}
    return train(small_config(root, folder / "run", **PLAIN, **msel, **epochs))


def dmpt(root: Path, folder: Path) -> Any:
    places = {"data.root": str(root), "data.save_dir": str(folder / "run")}
    overrides = {**TRIPLES, **places, "train.batch_size": 16, "train.max_epoch": 7, "test.protocols": []}
    return train(load_config(ROOT / "configs" / "dmpt" / "rgbnt201.yaml", overrides=overrides))


def dmpt_beside(root: Path, folder: Path) -> Any:
    """With all that can be trained beside the prompts."""
    places = {"data.root": str(root), "data.save_dir": str(folder / "run")}
    beside = {"dmpt.adapter": 4, "dmpt.adapter_shared": False, "dmpt.exchange": 4, "dmpt.lora": 2, "dmpt.fusion": True}
    overrides = {**TRIPLES, **places, **beside, "train.batch_size": 16, "train.max_epoch": 3, "test.protocols": []}
    return train(load_config(ROOT / "configs" / "dmpt" / "rgbnt201.yaml", overrides=overrides))


def dmpt_single_images(root: Path, folder: Path) -> Any:
    """The attentions of PromptIBind have no gradient."""
    places = {"data.root": str(root), "data.save_dir": str(folder / "run"), "data.sources": ["sysu_mm01"]}
    sampler = {"sampler.train_sampler": "CrossModalSampler", "sampler.num_instances": 8}
    overrides = {**TRIPLES, **places, **sampler, "data.targets": ["sysu_mm01"], "train.max_epoch": 2}
    protocols = {"test.protocols": ["sysu-python indoor 1-shot"], "train.weight_decay": 0.1}
    return train(load_config(ROOT / "configs" / "dmpt" / "rgbnt201.yaml", overrides={**overrides, **protocols}))


def windows(root: Path, folder: Path) -> Any:
    """Accumulation over an epoch's end, other parameters in the first epoch, clipping, averaged weights."""
    changes = {
        "train.accumulation": 3, "train.fixbase_epoch": 1, "train.open_layers": ["classifier", "prompt_head"],
        "train.clip_norm": 0.5, "train.ema": 0.5, "train.max_epoch": 3,
    }  # fmt: skip
    return train(small_config(root, folder / "run", **{**PLAIN, **changes}))


def own_losses(root: Path, folder: Path) -> Any:
    return train(small_config(root, folder / "run", **{**PLAIN, "train.gather": False}))


def gathering(root: Path, folder: Path) -> Any:
    """Losses and gradients of incomplete triples, cut into the processes' shares."""
    processes = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    share = slice(rank() * 4 // processes, (rank() + 1) * 4 // processes)
    present = torch.tensor([[1, 1, 0], [1, 1, 1], [0, 1, 0], [1, 1, 1]], dtype=torch.bool)
    pids = torch.tensor([0, 0, 1, 1])
    generator = torch.Generator().manual_seed(0)
    rows = torch.repeat_interleave(torch.arange(4), present.sum(dim=1))
    mine = (rows >= share.start) & (rows < share.stop)

    def leaf(*shape: int) -> torch.Tensor:
        values = torch.randn(*shape, generator=generator)
        return (values[share] if shape[0] == 4 else values[mine]).requires_grad_()

    leaves = {"logits": [leaf(4, 3) for _ in range(3)], "features": [leaf(4, 5) for _ in range(3)],
              "prompt_logits": [leaf(9, 3) for _ in range(2)], "alignment_logits": leaf(9, 3)}  # fmt: skip
    modality = present.nonzero()[:, 1][mine]
    extra = {"modality": modality, "present": present[share], "prompts": [torch.zeros(int(mine.sum()), 2, 2)]}
    outcome = {}
    for name, criterion in {"mip": MIPLoss(), "dmpt": DMPTLoss()}.items():
        output, every = gather_batch(PromptOutput({**leaves, **extra}), pids[share])
        loss = criterion(output, every)[0]
        flat = [*leaves["logits"], *leaves["features"], *leaves["prompt_logits"], leaves["alignment_logits"]]
        gradients = torch.autograd.grad(loss, flat, allow_unused=True)
        outcome[name] = loss.detach(), gradients, type(output), every, output["prompts"][0].shape
    return outcome


def resuming(root: Path, folder: Path) -> Any:
    """A signal to the last process alone, then --resume; selection on the test set, drop path, augmentation."""
    changes = {"test.select": "test", "test.eval_freq": 1, "train.ema": 0.5, "train.batch_size": 32}
    outcome = {"whole": train(small_config(root, folder / "whole", **changes), calm=False)}
    last, states = torch.distributed.get_world_size() - 1, []

    def before(number: int, data: Any) -> None:
        states.append(torch.get_rng_state())
        if rank() == last and number == 2:
            kill_self()

    for name in ("stopped", "other number"):
        recorded = Recorded(before=before)
        outcome[name] = error_of(lambda name=name: run(small_config(root, folder / name, **changes)))
        outcome[f"{name} after"] = len(recorded.files)
    run(small_config(root, folder / "stopped", **changes), resume="auto")
    return {**outcome, "drawn": states[0]}


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def resumed_by_another_number(root: Path, folder: Path) -> Any:
    """Of the checkpoints of 2 processes, one process refuses that within an epoch and continues that after one."""
    source, changes = folder.parent / "resuming-2", {"test.select": "test", "test.eval_freq": 1, "train.ema": 0.5}
    cfg = small_config(root, folder / "within", **changes, **{"train.batch_size": 32})
    within = error_of(lambda: run(cfg, resume=str(source / "other number")))
    cfg = small_config(root, folder / "after", **changes, **{"train.batch_size": 32})
    after = error_of(lambda: run(cfg, resume=str(source / "whole" / "model" / "model.pth.tar-1")))
    return within, after, (folder / "within").exists(), newest(folder / "after")["epoch"]


def embedding(root: Path, folder: Path) -> Any:
    """The bytes of a file of vectors, whose parts the processes share."""
    model = ModelDescription(
        "mean_colour", "0" * 64, ("visible", "infrared"), 1, 8, 4, (0.5,) * 3, (0.5,) * 3, 3, ((0, 3),)
    )
    reid = Embedder(model, lambda batch: batch["images"].mean(dim=(1, 3, 4)), batch_size=3)
    found = list_objects(str(root / "SYSU-MM01" / "cam1"), model, "visible")
    out = folder / "vectors.safetensors"
    with process_group():
        done = embed_to_file(reid, found, out, part_size=5)
    return len(done), out.read_bytes()


def bad_images(root: Path, folder: Path) -> Any:
    """A broken query, a broken gallery image, and a broken image of each of two trained identities."""
    own = folder / "data" / "SYSU-MM01"
    if rank() == 0:
        shutil.copytree(root / "SYSU-MM01", own)
        lists = [(own / "exp" / f"{name}_id.txt").read_text().strip().split(",") for name in ("test", "train")]
        tested, trained = ([f"{int(pid):04d}/0001.jpg" for pid in pids] for pids in lists)
        seen = [[own / camera / name for name in names if (own / camera / name).exists()]
                for camera, names in (("cam3", tested), ("cam1", tested), ("cam1", trained))]  # fmt: skip
        for path in (seen[0][0], seen[1][-1], *seen[2][:2]):
            path.write_bytes(b"no image")
    first_does(lambda: None)
    skip = {"data.on_bad_image": "skip", "train.max_epoch": 2}
    return train(small_config(folder / "data", folder / "run", **{**PLAIN, **skip}))


def errors(root: Path, folder: Path) -> Any:
    def failing_in(process: int) -> int:
        if rank() == process:
            raise KeyError("odd") if process else ValueError("first")
        return rank()

    cfg = small_config(root, folder / "run", **{**PLAIN, "train.gather": False, "train.max_epoch": 2})

    def spoil(number: int, data: dict[str, Any]) -> None:
        if rank() == 1 and number == 2:
            data["img"] = ModalBatch({**data["img"], "images": data["img"]["images"] * float("nan")})

    Recorded(before=spoil)
    nonfinite = error_of(lambda: run(cfg))
    test = small_config(root, folder / "tested", **{**PLAIN, "train.max_epoch": 2})
    shares.rank = lambda: 0
    doubled = error_of(lambda: run(test))
    evaluating.protocols_of = lambda dataset, names=(): []  # torchreid's own evaluation
    outcome = {
        "nonfinite": nonfinite,
        "doubled": doubled,
        "used folder": error_of(lambda: run(cfg)),
        "missing data": error_of(lambda: run(small_config(root / "nowhere", folder / "other"))),
        "first": error_of(lambda: first_does(lambda: failing_in(0))),
        "together": error_of(lambda: together(lambda: failing_in(1))),
        "values": (first_does(lambda: f"from {rank()}"), together(rank)),
    }
    return {**outcome, "host": train(small_config(root, folder / "host", **{**PLAIN, "train.max_epoch": 2}))}


SCENARIOS: dict[str, tuple[Callable[[Path, Path], Any], tuple[int, ...]]] = {
    "mip": (mip, (1, 2, 4)),
    "dmpt": (dmpt, (1, 2, 4)),
    "dmpt_beside": (dmpt_beside, (1, 2)),
    "dmpt_single_images": (dmpt_single_images, (1, 2)),
    "windows": (windows, (1, 2)),
    "own_losses": (own_losses, (2,)),
    "gathering": (gathering, (1, 2)),
    "resuming": (resuming, (2,)),
    "resumed_by_another_number": (resumed_by_another_number, (1,)),
    "embedding": (embedding, (1, 2)),
    "bad_images": (bad_images, (2,)),
    "errors": (errors, (2,)),
}


def in_processes(number: int, scenario: Callable[[Path, Path], Any], root: Path, folder: Path) -> list[Any]:
    """What the scenario returns in each of ``number`` processes that know one another."""
    folder.mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = {"WORLD_SIZE": str(number), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    children = [_forked(process, group, scenario, root, folder) for process in range(number)]
    deadline = time.monotonic() + LIMIT
    while children and time.monotonic() < deadline:
        children = [child for child in children if os.waitpid(child, os.WNOHANG)[0] == 0]
        time.sleep(0.02)
    for child in children:
        os.kill(child, signal.SIGKILL)
    return [
        torch.load(file, weights_only=False) if file.exists() else "no answer: it has been killed"
        for file in (folder / f"outcome-{process}.pt" for process in range(number))
    ]


def _forked(process: int, group: dict[str, str], scenario: Any, root: Path, folder: Path) -> int:
    child = os.fork()
    if child:
        return child
    try:
        for stream in (1, 2):
            os.dup2(os.open(folder / f"console-{process}.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
        if group["WORLD_SIZE"] != "1":
            os.environ.update(group, RANK=str(process), LOCAL_RANK=str(process))
        with process_group(timeout=LIMIT / 2):
            outcome = scenario(root, folder)
    except BaseException:
        outcome = traceback.format_exc()
    try:
        torch.save(outcome, folder / f"outcome-{process}.tmp")
        os.replace(folder / f"outcome-{process}.tmp", folder / f"outcome-{process}.pt")
    finally:
        os._exit(0)


def main() -> None:
    root, out, *names = sys.argv[1:]
    outcomes, seconds = {}, {}
    for name in names or SCENARIOS:
        scenario, numbers = SCENARIOS[name]
        for number in numbers:
            start = time.monotonic()
            outcomes[name, number] = in_processes(number, scenario, Path(root), Path(out) / f"{name}-{number}")
            seconds[f"{name} {number}"] = round(time.monotonic() - start, 1)
    torch.save(outcomes, Path(out) / "outcomes.pt")
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
