"""Several processes train one model: the same weights as one, one writer, and everything ends together."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import QUICKSTART, ROOT, assert_same_run, newest, small_config
from torch import Tensor, nn

from promptreid.config import load_config
from promptreid.engine.distributed.output_gathering import gather_batch
from promptreid.engine.distributed.process_group import gather_to_first, largest, mean_of, process_group, world_size
from promptreid.methods.base import method_of
from promptreid.runs.build import build_datamanager, build_engine, build_model, synchronise_batch_norm
from promptreid.runs.run import run

sys.path.append(str(Path(__file__).parent))

from scenarios import TRIPLES

pytestmark = pytest.mark.slow

Outcomes = dict[tuple[str, int], list[Any]]
SCRIPT = Path(__file__).with_name("scenarios.py")
ENVIRONMENT = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of pytest-xdist have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def data(shared: Path) -> Path:
    """Rendered SYSU-MM01 and RGBNT201 trees; read only."""
    from promptreid.synthetic import FOLDERS, write_tree

    root = shared / "distributed-data"
    with once(root) as first:
        for name, ids, size in (("sysu_mm01", 20, (32, 16)), ("rgbnt201", 16, (64, 32))) if first else ():
            write_tree(name, root / FOLDERS[name], ids=ids, seed=3, frames=2, size=size, renderer=1)
    return root


@pytest.fixture(scope="session")
def outcomes(data: Path, shared: Path) -> Outcomes:
    """What each process of each scenario returned."""
    out = shared / "distributed-runs"
    with once(out) as first:
        if first:
            done = subprocess.run(
                [sys.executable, str(SCRIPT), str(data), str(out)],
                env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(out / "outcomes.pt", weights_only=False)


@contextmanager
def once(folder: Path) -> Iterator[bool]:
    """Whether the block is the first, among workers too, to fill ``folder``; others wait until it has."""
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder.with_suffix(".done")
        yield not done.exists()
        done.touch()


@pytest.fixture
def of(outcomes: Outcomes) -> Callable[[str, int], list[Any]]:
    def get(name: str, processes: int) -> list[Any]:
        found = outcomes[name, processes]
        failed = [one for one in found if isinstance(one, str)]
        assert not failed, failed[0]
        return found

    return get


def largest_difference(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    assert first.keys() == second.keys()
    return max(float((first[name].double() - second[name].double()).abs().max()) for name in first)


EXACT = [
    ("mip", 2),
    ("mip", 4),
    ("dmpt", 2),
    ("dmpt", 4),
    ("dmpt_beside", 2),
    ("dmpt_single_images", 2),
    ("windows", 2),
]


@pytest.mark.parametrize(("name", "processes"), EXACT)
def test_several_processes_train_like_one(name: str, processes: int, of: Callable[..., list[Any]]) -> None:
    one, *_ = of(name, 1)
    several = of(name, processes)
    steps = {"mip": 20, "dmpt": 20, "dmpt_beside": 8, "dmpt_single_images": 8, "windows": 12}[name]
    assert len(one["files"]) >= steps
    for batch, shares in zip(one["files"], zip(*(each["files"] for each in several), strict=True), strict=True):
        assert [path for share in shares for path in share] == batch
        assert {len(share) for share in shares} == {len(batch) // processes}
    assert largest_difference(one["weights"], several[0]["weights"]) < 1e-5
    for each in several:
        assert largest_difference(one["own"], each["own"]) < 1e-5
        assert [part["loss"] for part in each["summaries"]] == pytest.approx(
            [part["loss"] for part in one["summaries"]], abs=1e-5
        )
    assert not any(name.startswith("module.") for name in several[0]["weights"])


@pytest.mark.parametrize(("name", "processes"), EXACT)
def test_several_processes_test_like_one(name: str, processes: int, of: Callable[..., list[Any]]) -> None:
    """All of them alike, and like one process but for near ties: trained weights differ in their last digits."""
    one, *_ = of(name, 1)
    assert one["tested"]
    first, *others = of(name, processes)
    for each in others:
        assert (each["tested"], each["results"], each["rank1"]) == (first["tested"], first["results"], first["rank1"])
    assert scores(first["tested"]) == pytest.approx(scores(one["tested"]), abs=0.02)


def scores(tested: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    """The mAP and mINP of each data set's protocols."""
    return {
        f"{name} {result['protocol']} {what}": result[what]
        for name, results in tested.items()
        for result in results
        for what in ("mAP", "mINP")
    }


def test_only_the_first_process_writes_and_reports(of: Callable[..., list[Any]]) -> None:
    for name in ("mip", "dmpt"):
        first, *_ = of(name, 4)
        folder = first["folder"]
        assert len((folder / "metrics.jsonl").read_text().splitlines()) == len(first["files"]) + len(
            [result for results in first["tested"].values() for result in results]
        )
        assert len(list(folder.glob("events.out.tfevents.*"))) == 1
        assert (folder / "log.txt").read_text().count("Elapsed") == 1
        for process in (1, 2, 3):
            assert (folder.parent / f"console-{process}.txt").read_text() == ""


def test_each_process_of_its_own_loss_keeps_one_model(of: Callable[..., list[Any]]) -> None:
    """Fewer negatives are seen, so the hardest ones are easier; what is logged is the mean."""
    (one, *_), (first, second) = of("windows", 1), of("own_losses", 2)
    assert largest_difference(first["own"], second["own"]) == 0
    assert first["summaries"] == second["summaries"]
    assert first["summaries"][0]["triplet"] < one["summaries"][0]["triplet"] - 0.1
    assert first["summaries"][0]["identity"] == pytest.approx(one["summaries"][0]["identity"], abs=1e-5)


@pytest.mark.parametrize("name", ["mip", "dmpt"])
def test_the_gathered_batch_has_the_loss_and_the_gradients_of_the_whole(
    name: str, of: Callable[..., list[Any]]
) -> None:
    """Of incomplete triples, so that processes have different numbers of images."""
    (whole,), parts = of("gathering", 1), of("gathering", 2)
    loss, gradients, kind, pids, _ = whole[name]
    for part in parts:
        assert torch.equal(part[name][0], loss)
        assert part[name][2] is kind
        assert torch.equal(part[name][3], pids)
    assert [part[name][4][0] for part in parts] == [5, 4]  # prompts stay where they are
    for number, gradient in enumerate(gradients):
        shares = [part[name][1][number] for part in parts]
        if gradient is None:
            assert shares == [None, None]
        else:
            assert torch.allclose(torch.cat(shares), gradient, atol=1e-7)
    assert sum(gradient is not None for gradient in gradients) >= 7


def test_a_signal_to_one_process_ends_all_after_the_same_step(of: Callable[..., list[Any]]) -> None:
    first, second = of("resuming", 2)
    for each in (first, second):
        assert each["stopped"] == ("SystemExit", 143)
        assert each["stopped after"] == 2
    state = newest(first["whole"]["folder"].parent / "other number")
    assert (state["epoch"], state["step"], state["processes"], len(state["rng_of_others"])) == (0, 2, 2, 1)
    assert not torch.equal(state["rng"]["torch"], state["rng_of_others"][0]["torch"])


def test_a_resumed_run_of_two_ends_like_one_left_alone(of: Callable[..., list[Any]]) -> None:
    folder = of("resuming", 2)[0]["whole"]["folder"]
    assert_same_run(folder, folder.parent / "stopped")


def test_processes_agree_on_the_selection_and_end_with_the_first_ones_statistics(
    of: Callable[..., list[Any]],
) -> None:
    first, second = (each["whole"] for each in of("resuming", 2))
    assert first["selection"] == second["selection"]
    assert first["selection"][0] > 0
    assert largest_difference(first["own"], second["own"]) == 0
    assert not torch.equal(of("resuming", 2)[0]["drawn"], of("resuming", 2)[1]["drawn"])


def test_another_number_of_processes_continues_only_after_an_epoch(of: Callable[..., list[Any]]) -> None:
    within, after, created, epoch = of("resumed_by_another_number", 1)[0]
    assert within[0] == "ValueError"
    assert "by 2 processes, and now there are 1: resume with 2" in within[1]
    assert not created
    assert (after, epoch) == (("", None), 2)


def test_images_that_cannot_be_read_are_left_out_by_all_processes_together(of: Callable[..., list[Any]]) -> None:
    first, second = of("bad_images", 2)
    record = first["results"]["results-sysu_mm01.json"]
    assert [reason.split("/")[-3] for reason in record["left_out"]] == ["cam3", "cam1"]
    assert first["tested"] == second["tested"]
    assert "2 images left out (1 query, 1 of the gallery)" in first["tested"]["sysu_mm01"][0]["note"]
    assert largest_difference(first["own"], second["own"]) == 0
    read = {path for each in (first, second) for batch in each["files"] for path in batch}
    assert read and not any(Path(path).read_bytes() == b"no image" for path in read)


def test_errors_reach_all_processes(of: Callable[..., list[Any]]) -> None:
    first, second = of("errors", 2)
    for case in ("used folder", "missing data", "first"):
        assert first[case] == second[case]
        assert first[case][0] in ("ValueError", "FileNotFoundError")
    assert (first["together"], second["together"]) == (("RuntimeError", "'odd'"), ("KeyError", "'odd'"))
    assert (first["values"], second["values"]) == (("from 0", 0), ("from 0", 1))
    for each in (first, second):
        assert each["nonfinite"][0] == "ValueError"
        assert "the loss is nan in epoch 1, batch 2" in each["nonfinite"][1]
        assert each["doubled"][0] == "RuntimeError"
        assert "shares are not the" in each["doubled"][1]
    record = json.loads((first["host"]["folder"].parent / "run" / "nonfinite-batch.json").read_text())
    assert len(record["files"]) == 32


def test_torchreids_own_test_runs_in_the_first_process(of: Callable[..., list[Any]]) -> None:
    first, second = (each["host"] for each in of("errors", 2))
    assert first["rank1"] == second["rank1"] > 0
    assert first["tested"] == {}


DYING = """
import os, runpy, sys
import torch
torch.set_num_threads(1)
from promptreid.engine.train_engine import PromptEngine
step = PromptEngine.forward_backward
def dying(self, data):
    if os.environ["RANK"] == "1" and self.position.batches == 5:
        os._exit(7)
    return step(self, data)
PromptEngine.forward_backward = dying
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_torchrun_ends_the_others_when_a_process_dies(tmp_path: Path) -> None:
    """The command line as users have it, with images that the first process renders."""
    (tmp_path / "dying.py").write_text(DYING)
    changes = {
        "data.root": tmp_path / "data", "data.save_dir": tmp_path / "run", "data.workers": 0, "data.height": 32,
        "data.width": 16, "data.synthetic.ids": 20, "data.synthetic.frames": 2, "data.synthetic.size": "[32,16]",
        "backbone.vit.depth": 2, "backbone.vit.embed_dim": 16, "backbone.vit.num_heads": 2, "mip.prompt_length": 2,
        "backbone.stride": 4,
        "train.batch_size": 32, "train.checkpoint_steps": 1,
    }  # fmt: skip
    pairs = [str(part) for pair in changes.items() for part in pair]
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         str(tmp_path / "dying.py"), str(ROOT / "tools" / "train_net.py"), "--config-file", str(QUICKSTART), *pairs],
        env=ENVIRONMENT, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert time.monotonic() - start < 120
    assert "exitcode  : 7" in done.stderr, done.stderr[-3000:]
    assert done.stdout.count("rendering 20 identities") == 1
    state = newest(tmp_path / "run")
    assert state["batches"] in (4, 5)
    assert not list((tmp_path / "run").glob("results-*"))


def test_one_process_alone_is_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")  # as other launchers set it; torchrun sets more
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    values = torch.rand(3, 2, requires_grad=True)
    with process_group():
        assert world_size() == 1
        assert (largest(3), mean_of(values), gather_to_first(values)) == (3, values, [values])
        assert gather_batch({"a": values}, values)[0]["a"] is values


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": 0, "WORLD_SIZE": 2, "LOCAL_RANK": 99, "MASTER_ADDR": "-", "MASTER_PORT": 0}.items():
        monkeypatch.setenv(name, str(value))
    with (
        pytest.raises(ValueError, match=r"LOCAL_RANK 99: this machine has \d+ GPUs .* --nproc-per-node"),
        process_group(use_gpu=True),
    ):
        pass


def test_synchronised_batch_norm_needs_gpus_and_keeps_names(data: Path, tmp_path: Path) -> None:
    cfg = small_config(data, tmp_path / "run", **{"train.sync_bn": True})
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match=r"train\.sync_bn needs GPUs"):
            run(cfg)
    model = build_model(cfg, build_datamanager(cfg, use_gpu=False), use_gpu=False)
    before = list(model.state_dict())
    model = synchronise_batch_norm(model, use_gpu=True)
    assert list(model.state_dict()) == before
    kinds = {type(module) for module in model.modules()}
    assert nn.SyncBatchNorm in kinds
    assert nn.BatchNorm1d not in kinds


UNUSED = {
    "MIP": ("mip", {}, True),
    "without IAEL's weight": ("mip", {"loss.prompt.weight_iael": 0.0}, False),
    "of torchreid's losses": ("mip", {"loss.name": "triplet"}, False),
    "BNNecks apart": ("mip", {"mip.modality_bn": True}, False),
    "DMPT": ("dmpt", {}, True),
    "DMPT and all beside it": (
        "dmpt",
        {"dmpt.adapter": 4, "dmpt.adapter_shared": False, "dmpt.exchange": 4, "dmpt.lora": 2, "dmpt.fusion": True},
        True,
    ),
    "classifiers apart": ("dmpt", {"dmpt.classifier": "single"}, False),
    "without the alignment's weight": ("dmpt", {"loss.prompt.weight_alignment": 0.0}, False),
}


@pytest.mark.parametrize("case", UNUSED)
def test_parameters_without_gradient_are_looked_for_where_there_may_be_some(
    case: str, data: Path, tmp_path: Path
) -> None:
    """And where none are looked for, none are."""
    kind, changes, uses_all = UNUSED[case]
    if kind == "mip":
        cfg = small_config(data, tmp_path, **changes)
    else:
        places = {"data.root": str(data), "data.save_dir": str(tmp_path), "test.protocols": [], "train.batch_size": 8}
        cfg = load_config(ROOT / "configs" / "dmpt" / "rgbnt201.yaml", overrides={**TRIPLES, **places, **changes})
    manager = build_datamanager(cfg, use_gpu=False)
    engine = build_engine(cfg, manager, build_model(cfg, manager, use_gpu=False), use_gpu=False)
    assert method_of(engine.model).every_step_uses_all(engine.model, engine.criterion) == uses_all
    engine.set_model_mode("train")
    engine.forward_backward(next(iter(engine.train_loader)))
    without = [name for name, value in engine.model.named_parameters() if value.grad is None]
    assert not (uses_all and without)


def test_processes_share_the_parts_of_an_embedding(of: Callable[[str, int], list[Any]]) -> None:
    ((count, alone),) = of("embedding", 1)
    assert count > 10
    assert of("embedding", 2) == [(count, alone)] * 2
