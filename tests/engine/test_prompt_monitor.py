"""The prompts' scalars and warnings, and that measuring them leaves a training as it was."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from promptreid.config import load_config
from promptreid.engine.checkpoints import files as checkpoint
from promptreid.engine.prompt_monitor import PromptMonitor
from promptreid.methods.baselines.vits import transreid
from promptreid.methods.mip.model import MIP, build_mip, mip_paper, mip_release
from promptreid.runs.run import run

QUICKSTART = Path(__file__).resolve().parents[2] / "configs" / "mip" / "quickstart.yaml"
PIDS = torch.arange(6) // 3  # two identities, three images of each
VIT = {"depth": 3, "embed_dim": 16, "num_heads": 2, "patch_size": 8, "img_size": (32, 16)}


@pytest.fixture(autouse=True)
def log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def make_model(**settings: Any) -> MIP:
    torch.manual_seed(0)
    return build_mip(2, "prompt", pretrained=False, vit=VIT, stride=8, **settings)


def make_output(prompts: Callable[[int], Tensor]) -> dict[str, Any]:
    torch.manual_seed(0)
    return {"prompts": [prompts(layer) for layer in range(2)], "prompt_logits": [torch.eye(2)[PIDS]] * 2}


def healthy(layer: int) -> Tensor:
    return torch.randn(6, 4, 16) + 5 * PIDS[:, None, None]


def copies(layer: int) -> Tensor:
    return healthy(layer)[:, :1].expand(-1, 4, -1) if layer else healthy(layer)


def modality_alone(layer: int) -> Tensor:
    return torch.randn(4, 16) + torch.tensor([-5, 0, 5])[:, None, None].repeat(2, 1, 1)


def warnings_of(monitor: PromptMonitor, model: nn.Module, prompts: Any, log: pytest.LogCaptureFixture) -> list[str]:
    log.clear()
    monitor.keep(make_output(prompts), PIDS)
    monitor.report(model)
    return [record.getMessage() for record in log.records if record.levelno == logging.WARNING]


def test_scalars_and_one_line(caplog: pytest.LogCaptureFixture) -> None:
    monitor = PromptMonitor()
    monitor.keep(make_output(healthy), PIDS)
    scalars = monitor.report(make_model())
    names = ("distance", "spread", "identity_ratio", "accuracy")
    assert list(scalars) == [f"{name}/layer_0{layer}" for name in names for layer in (1, 2)]
    assert scalars["accuracy/layer_02"] == 1.0
    assert scalars["identity_ratio/layer_01"] > 2
    (line,) = caplog.messages
    assert line.startswith("prompts, over the layers: distance ")
    assert line.endswith("accuracy 1 to 1")


def test_a_step_is_reported_once() -> None:
    monitor = PromptMonitor()
    assert monitor.report(make_model()) == {}
    monitor.keep(make_output(healthy), PIDS)
    assert monitor.report(nn.DataParallel(make_model()))
    assert monitor.report(make_model()) == {}


@pytest.mark.parametrize("model", [nn.Linear(1, 1), make_model(options=transreid())], ids=["foreign", "promptless"])
def test_models_without_prompts_report_nothing(model: nn.Module, caplog: pytest.LogCaptureFixture) -> None:
    monitor = PromptMonitor()
    monitor.keep({"logits": []}, PIDS)
    assert monitor.report(model) == {}
    assert not caplog.messages


def test_undefined_values_are_left_out() -> None:
    monitor = PromptMonitor()
    monitor.keep(make_output(healthy), torch.arange(6))  # an image per identity
    assert not any(name.startswith("identity_ratio") for name in monitor.report(make_model()))


def test_copies_are_warned_of_once_until_they_are_gone(caplog: pytest.LogCaptureFixture) -> None:
    monitor, model = PromptMonitor(), make_model(options=mip_paper())
    (message,) = warnings_of(monitor, model, copies, caplog)
    assert message.startswith("COLLAPSED PROMPTS: the instance prompts of layer 2 are copies of one another")
    assert not warnings_of(monitor, model, copies, caplog)
    assert not warnings_of(monitor, model, healthy, caplog)
    assert warnings_of(monitor, model, copies, caplog) == [message]


def test_zero_queries_make_copies_by_design(caplog: pytest.LogCaptureFixture) -> None:
    release = make_model(options=mip_release())
    assert not warnings_of(PromptMonitor(), release, copies, caplog)
    bank = make_model(options=mip_release(generator="bank"))
    assert warnings_of(PromptMonitor(), bank, copies, caplog)


def test_lost_identities_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    model = make_model()
    (message,) = warnings_of(PromptMonitor(), model, modality_alone, caplog)
    assert "every layer vary less than 0.5 times as much between identities" in message
    one_layer = {0: modality_alone, 1: healthy}
    assert not warnings_of(PromptMonitor(), model, lambda layer: one_layer[layer](layer), caplog)


def test_measuring_uses_neither_random_numbers_nor_gradients() -> None:
    model, monitor = make_model(), PromptMonitor()
    output = make_output(healthy)
    output["prompt_logits"] = [torch.eye(2)[PIDS].requires_grad_()] * 2
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    monitor.keep(output, PIDS)
    monitor.report(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
    assert all(parameter.grad is None for parameter in [*model.parameters(), *output["prompt_logits"]])


def test_prompts_without_a_gradient_are_warned_of_by_their_family(caplog: pytest.LogCaptureFixture) -> None:
    class Words(nn.Module):
        prompt_family = "words"

        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.ones(3))

    model, words = make_model(), Words()
    model.words = words
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    model.modality_prompts.library.grad += 2.0
    words.table.grad = None
    monitor = PromptMonitor()
    scalars = monitor.report(model)
    expected = 2.0 * model.modality_prompts.library.numel() ** 0.5
    assert scalars == pytest.approx({"gradient/prompts": expected, "gradient/generator": 0, "gradient/words": 0})
    assert [message.split(":")[0] for message in caplog.messages] == ["NO GRADIENT"] * 2
    assert "'generator'" in caplog.text and "'words'" in caplog.text and "'prompts'" not in caplog.text
    words.table.grad = torch.ones(3)
    caplog.clear()
    assert monitor.report(model)["gradient/words"] == pytest.approx(3**0.5)
    assert not caplog.messages


def test_prompts_that_are_not_trained_now_need_no_gradient(caplog: pytest.LogCaptureFixture) -> None:
    model = make_model()
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name.startswith("classifier")
        parameter.grad = torch.ones_like(parameter) if parameter.requires_grad else None
    PromptMonitor().report(model)
    assert not caplog.messages


def train(root: Path, save_dir: Path) -> Path:
    """Two epochs with dropout and drop path, so that a random number drawn between two steps would show."""
    tiny = {
        "data.root": str(root), "data.save_dir": str(save_dir), "data.synthetic.like": "", "data.workers": 0,
        "data.height": 64, "data.width": 32, "backbone.vit.depth": 3, "backbone.vit.embed_dim": 16,
        "backbone.vit.num_heads": 2,
        "backbone.stride": 8, "backbone.drop_path": 0.1, "mip.prompt_length": 3, "train.max_epoch": 2,
        "train.tensorboard.pictures": False,
        "train.warmup_epochs": 1,
        "train.batch_size": 16, "test.protocols": ["sysu-python indoor 1-shot"],
    }  # fmt: skip
    run(load_config(QUICKSTART, overrides=tiny))
    return save_dir


@pytest.fixture(scope="module")
def watched(sysu_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(sysu_root, tmp_path_factory.mktemp("runs") / "watched")


def test_a_run_without_the_monitor_ends_with_the_same_bits(
    watched: Path, sysu_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PromptMonitor, "keep", lambda *arguments: None)
    monkeypatch.setattr(PromptMonitor, "report", lambda *arguments: {})
    plain = train(sysu_root, tmp_path / "plain")
    assert "over the layers" not in (plain / "log.txt").read_text()
    states = [checkpoint.load_newest(folder / "model")[1] for folder in (watched, plain)]
    for part in ("state_dict", "optimizer"):
        first, second = (dict(_leaves(state[part])) for state in states)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first), part


def _leaves(tree: Any, name: str = "") -> Any:
    """Every tensor of nested dicts and lists, with its path."""
    if isinstance(tree, Tensor):
        yield name, tree
    elif isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _leaves(value, f"{name}/{key}")


def test_each_epoch_of_a_run_has_its_scalars_and_its_line(watched: Path) -> None:
    events = EventAccumulator(str(watched)).Reload()
    tags = {tag for tag in events.Tags()["scalars"] if tag.startswith("Prompts/")}
    names = ("distance", "spread", "identity_ratio", "accuracy")
    measured = {f"Prompts/{name}/layer_0{layer}" for name in names for layer in (1, 2)}
    assert tags == measured | {"Prompts/gradient/prompts", "Prompts/gradient/generator"}
    assert all([event.step for event in events.Scalars(tag)] == [0, 1] for tag in tags)
    assert (watched / "log.txt").read_text().count("prompts, over the layers: distance ") == 2


def test_rows_of_a_compiled_model_without_an_image_are_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    """A compiled model has a row for each slot; what is reported is that of the rows of an eager one."""
    generator = torch.Generator().manual_seed(0)
    prompts = torch.randn(6, 3, 8, generator=generator)
    present = torch.tensor([[True, True], [True, False], [True, True]])
    modality, pids = torch.tensor([0, 1, 0, -100, 0, 1]), torch.tensor([4, 4, 5])
    there = modality >= 0
    kept = []
    for rows, kinds in ((prompts, modality), (prompts[there], modality[there])):
        monitor = PromptMonitor()
        monitor.keep({"prompts": [rows], "modality": kinds, "present": present}, pids)
        kept.append(monitor._output)
    assert torch.equal(kept[0]["prompts"][0], kept[1]["prompts"][0])
    assert torch.equal(kept[0]["pids"], kept[1]["pids"])
