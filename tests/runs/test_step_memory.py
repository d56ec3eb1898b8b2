"""The memory of a step: what is counted at two small batches, beside counts at other sizes and by other means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import REPO, python
from torch import Tensor

from promptreid.config import load_config
from promptreid.engine.optimizers import build_optimizer
from promptreid.models.live_bytes import LiveBytes
from promptreid.models.saved_activations import kept_bytes
from promptreid.runs.step_memory import StepMemory, _Step, step_memory

CONFIGS = REPO / "configs"
TINY = {"backbone.vit.depth": 3, "backbone.vit.embed_dim": 24, "backbone.vit.num_heads": 2, "data.height": 64,
        "data.width": 32}  # fmt: skip
MODELS = {"mip/sysu_mm01": "mip_vit_base_patch16", "dmpt/rgbnt201": "dmpt_clip_tiny"}
MIXED = {"train.amp": True}
LESS = {"train.amp": True, "train.checkpoint_blocks": True}


def small(name: str, **changes: Any) -> Any:
    settings = {**TINY, "model.name": MODELS[name], "model.pretrained": False, **changes}
    return load_config(CONFIGS / f"{name}.yaml", overrides=settings)


@pytest.mark.parametrize("settings", [{}, LESS], ids=["plain", "recomputed"])
@pytest.mark.parametrize("name", MODELS)
def test_bytes_are_linear_in_the_batch(name: str, settings: dict[str, Any]) -> None:
    """The model's to the byte; those of a step but for the loss's own (B, B) matrices, which are small."""
    step = _Step(small(name, **settings), identities=6)
    with step.options.autocast("cpu"):
        model = {batch: kept_bytes(step.model, step.samples(batch)[0]) for batch in (4, 6, 8, 12)}
    assert model[12] - model[8] == 2 * (model[8] - model[6]) == 2 * (model[6] - model[4]) > 0
    kept = {batch: step.kept(batch) for batch in (4, 6, 12)}
    assert kept[4] + (kept[6] - kept[4]) * 4 == pytest.approx(kept[12], rel=0, abs=10 * 12 * 12 * 4)
    moments = {batch: step.moments(batch) for batch in (4, 6, 12)}
    assert len(moments[4]) == len(moments[6]) == len(moments[12]) > 100
    for few, more, many in zip(*moments.values(), strict=True):
        assert few + (more - few) * 4 == pytest.approx(many, rel=0, abs=20 * 12 * 12 * 4)


@pytest.mark.parametrize("name", MODELS)
def test_the_whole_batch_is_what_a_count_of_it_says(name: str) -> None:
    cfg = small(name, **{"train.batch_size": 16, "test.batch_size": 10})
    found, step = step_memory(cfg, identities=8), _Step(cfg, 8)
    steady = found.weights + found.optimizer
    assert found.batch == 16
    assert found.kept == pytest.approx(step.kept(16), rel=0, abs=20 * 16 * 16 * 4)
    assert found.peak == pytest.approx(steady + max(step.moments(16)), rel=0, abs=20 * 16 * 16 * 4)
    assert found.tested == steady + max(step.tested(10))


def saved_in_graph(loss: Tensor, own: set[int]) -> int:
    """Brute force: every node of autograd's graph, and all that it has saved."""
    waiting, seen, kept = [loss.grad_fn], set(), {}
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        waiting += [other for other, _ in node.next_functions]
        for name in dir(node):
            value = getattr(node, name) if name.startswith("_saved_") or name == "saved_tensors" else None
            for tensor in value if isinstance(value, tuple | list) else [value]:
                # Without what was a Python number, of which autograd makes a tensor when it is asked for.
                if isinstance(tensor, Tensor) and tensor.ndim and tensor.untyped_storage().data_ptr() not in own:
                    kept[tensor.untyped_storage().data_ptr()] = tensor
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


@pytest.mark.parametrize("settings", [{}, MIXED], ids=["plain", "mixed"])
@pytest.mark.parametrize("name", MODELS)
def test_what_is_kept_is_what_autograds_graph_holds(name: str, settings: dict[str, Any]) -> None:
    step = _Step(small(name, **settings), identities=6)
    samples, pids = step.samples(6)
    own = {tensor.untyped_storage().data_ptr() for tensor in (*step._own(), *samples.values())}
    torch.manual_seed(0)
    brute = saved_in_graph(step._loss(samples, pids), own)
    torch.manual_seed(0)
    assert brute > 100_000
    assert step.kept(6) == pytest.approx(brute, rel=0, abs=64), "but for a few single numbers"


@pytest.mark.parametrize(("optimizer", "copies"), [("sgd", 1), ("adam", 2), ("amsgrad", 3)])
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_weights_gradients_and_optimiser_are_those_of_a_real_step(optimizer: str, copies: int, ema: float) -> None:
    cfg = small("dmpt/rgbnt201", **{"train.optim": optimizer, "train.ema": ema})
    found, step = step_memory(cfg, identities=6), _Step(cfg, 6)
    real = build_optimizer(step.model, cfg)
    step._loss(*step.samples(4)).backward()
    real.step()
    parameters = list(step.model.parameters())
    state = sum(value.nbytes for each in real.state.values() for value in each.values() if isinstance(value, Tensor))
    averaged = sum(value.nbytes for value in step.model.state_dict().values()) if ema else 0
    assert found.gradients == sum(parameter.grad.nbytes for parameter in parameters if parameter.grad is not None)
    assert found.optimizer == state + averaged
    assert copies * found.gradients <= state < (copies + 0.01) * found.gradients
    assert found.weights == sum(value.nbytes for value in {*parameters, *step.model.buffers()})


def test_recomputing_and_a_bfloat16_tower_save_memory() -> None:
    def of(**settings: Any) -> StepMemory:
        return step_memory(small("dmpt/rgbnt201", **settings), identities=6)

    plain, halved = of(**{"train.amp": False}), of(**{"dmpt.frozen_dtype": "bfloat16"})
    less = of(**{"dmpt.frozen_dtype": "bfloat16", "train.checkpoint_blocks": True})
    assert less.kept < 0.4 * halved.kept < 0.4 * plain.kept and less.peak < halved.peak < plain.peak
    assert halved.weights < plain.weights and halved.gradients == plain.gradients


def test_a_model_of_torchreid_too() -> None:
    settings = {"model.name": "osnet_x0_25", "data.height": 64, "data.width": 32, "test.batch_size": 8}
    found = step_memory(load_config(CONFIGS / "baselines/osnet_llcm.yaml", overrides=settings), identities=6)
    assert found.peak > found.kept > found.gradients > 0


@pytest.mark.parametrize("batches", [(2, 4), (4, 4), (5, 8), (4, 7)])
def test_sizes_that_cannot_be(batches: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="must be two even numbers from 4 on"):
        step_memory(small("mip/sysu_mm01"), batches=batches)


def test_a_step_that_depends_on_its_batch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Step, "moments", lambda self, batch: [0] * batch)
    with pytest.raises(ValueError, match="a step of 4 samples has 4 operations and one of 6 has 6, so that"):
        step_memory(small("mip/sysu_mm01"), identities=6)


def test_live_bytes_do_not_change_a_step() -> None:
    step = _Step(small("mip/sysu_mm01"), identities=6)
    samples, pids = step.samples(4)
    torch.manual_seed(0)
    plain = step._loss(samples, pids)
    torch.manual_seed(0)
    with LiveBytes(step._own()):
        watched = step._loss(samples, pids)
    assert torch.equal(plain, watched)


@pytest.mark.slow
def test_the_command_prints_a_row_without_and_one_with_the_overlay(tmp_path: Path) -> None:
    pairs = [word for key, value in {**TINY, "model.name": "dmpt_clip_tiny"}.items() for word in (key, str(value))]
    command = [str(REPO / "benchmarks" / "memory.py"), "dmpt/rgbnt201", "--overlay", "profiles/8gb", *pairs]
    rows = [line for line in python(*command).stdout.splitlines() if line.startswith("| dmpt/rgbnt201")]
    assert [row.split(" | ")[1] for row in rows] == ["–", "profiles/8gb"]
    first, second = (float(row.split(" | ")[6]) for row in rows)
    assert second < first
