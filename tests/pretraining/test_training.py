"""Training the small towers: the same bits twice, also when it is stopped in between; refused mistakes."""

from __future__ import annotations

import json
import math
import re
import runpy
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from promptreid.models.backbones.bundled_towers import MINI_CLIP
from promptreid.pretraining import images, recognition
from promptreid.pretraining.clip_training import ClipRecipe, Contrast, create_clip, train_clip
from promptreid.pretraining.loop import Recipe
from promptreid.pretraining.shipping import ship
from promptreid.pretraining.towers import recipe_of
from promptreid.pretraining.vit_training import VitRecipe, train_vit

TOOL = Path(__file__).parents[2] / "tools" / "pretrain_mini.py"
TINY_CLIP: dict[str, Any] = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"layers": 2, "width": 32, "head_width": 16, "patch_size": 32, "image_size": [128, 64]},
    "text_cfg": {"context_length": 48, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1},
}
TINY_VIT = {"depth": 1, "embed_dim": 32, "num_heads": 2, "patch_size": 32, "img_size": [128, 64]}
CLIP_RECIPE = ClipRecipe(seed=90_005, steps=6, batch=8, warmup=2, people=6, images=2, pairs=4)
VIT_RECIPE = VitRecipe(seed=90_005, steps=6, batch=8, warmup=2, people=6, images=2)
STOP = 4  # the step in which a training is stopped, counted from 1: the last checkpoint is that of the second
Train = Callable[[Path], tuple[dict[str, torch.Tensor], list[float]]]


def clip(checkpoint: Path) -> tuple[dict[str, torch.Tensor], list[float]]:
    return train_clip(CLIP_RECIPE, checkpoint, TINY_CLIP, every=2)


def vit(checkpoint: Path) -> tuple[dict[str, torch.Tensor], list[float]]:
    return train_vit(VIT_RECIPE, checkpoint, TINY_VIT, every=2)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("train", [clip, vit])
def test_the_same_bits_twice_and_after_a_stop(train: Train, tmp_path: Path, monkeypatch) -> None:
    state, losses = train(tmp_path / "a.pth")
    torch.manual_seed(1)  # whatever the process's random state is
    again, _ = train(tmp_path / "b.pth")
    assert same(state, again)
    assert len(losses) == 6

    calls, render = [], images.render

    def stop(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == STOP:
            raise KeyboardInterrupt
        return render(*arguments)

    monkeypatch.setattr(recognition, "render", stop)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "c.pth")
    continued, log = train(tmp_path / "c.pth")
    assert len(calls) == 2 * STOP
    assert same(state, continued)
    assert log == losses
    finished, _ = train(tmp_path / "c.pth")
    assert len(calls) == 2 * STOP
    assert same(state, finished)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pth", "b.pth", "c.pth"]


def test_the_process_s_random_state_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    clip(tmp_path / "a.pth")
    assert torch.equal(torch.rand(1), expected)


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    state, _ = clip(tmp_path / "a.pth")
    other, _ = train_clip(replace(CLIP_RECIPE, seed=90_006), tmp_path / "b.pth", TINY_CLIP)
    assert not torch.equal(state["visual.conv1.weight"], other["visual.conv1.weight"])


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    clip(tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"a\.pth is the checkpoint of another recipe; choose another folder"):
        train_clip(replace(CLIP_RECIPE, rate=0.1), tmp_path / "a.pth", TINY_CLIP)


def test_losses_fall(tmp_path: Path) -> None:
    recipe = replace(VIT_RECIPE, steps=40, rate=3e-3, people=4, grey=0.0)
    _, losses = train_vit(recipe, tmp_path / "a.pth", TINY_VIT)
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


def test_colours_go_by_and_by() -> None:
    recipe = VitRecipe(steps=600, grey=0.5, negative=0.25)
    shares = [recipe.colours_at(step).grey for step in (0, 100, 200, 300, 599)]
    assert shares == pytest.approx([0.0, 0.0, 0.25, 0.5, 0.5])
    assert {recipe.colours_at(step).negative for step in (0, 599)} == {0.25}


def test_shares_in_a_vit_s_recipe_are_checked() -> None:
    with pytest.raises(ValueError, match="grey: must be from 0 to 1, not 2"):
        VitRecipe(grey=2)


def test_a_vit_is_trained_on_the_pictures_that_its_recipe_asks_for(tmp_path: Path, monkeypatch) -> None:
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(recognition, "normalise", lambda pictures: seen.append(pictures) or pictures / 255)
    train_vit(replace(VIT_RECIPE, grey=1.0), tmp_path / "a.pth", TINY_VIT)
    grey = [bool((pictures == pictures[:, :1]).all()) for pictures in seen]
    assert grey == [False] * 3 + [True] * 3  # of six steps


def cross_entropy(scores: list[list[float]]) -> float:
    """Mean over rows of the negative log-likelihood of the diagonal, spelt out."""
    rows = [math.log(sum(math.exp(score) for score in row)) - row[at] for at, row in enumerate(scores)]
    return sum(rows) / len(rows)


def symmetric(a: torch.Tensor, b: torch.Tensor, scale: float) -> float:
    scores = [[scale * float(x @ y) for y in b] for x in a]
    return (cross_entropy(scores) + cross_entropy([list(column) for column in zip(*scores, strict=True)])) / 2


def standardised(features: torch.Tensor) -> torch.Tensor:
    columns = (features - features.mean(0)) / (features.var(0, unbiased=False) + 1e-5).sqrt()
    return columns / columns.norm(dim=1, keepdim=True)


@torch.no_grad()
def test_contrast_is_clip_s_loss_of_standardised_features() -> None:
    torch.manual_seed(0)
    model, contrast = create_clip(50, TINY_CLIP).eval(), Contrast(16)
    pictures, tokens = torch.randn(5, 3, 128, 64), torch.randint(1, 50, (5, 48))
    image, text = standardised(model.encode_image(pictures)), standardised(model.encode_text(tokens))
    assert contrast(model, pictures, tokens).item() == pytest.approx(symmetric(image, text, 1 / 0.07), rel=1e-4)
    model.logit_scale.fill_(9.0)
    assert contrast(model, pictures, tokens).item() == pytest.approx(symmetric(image, text, 100.0), rel=1e-4)


@torch.no_grad()
def test_folded_towers_give_standardised_features() -> None:
    torch.manual_seed(0)
    model, contrast = create_clip(50, TINY_CLIP).eval(), Contrast(16)
    pictures, tokens = torch.randn(40, 3, 128, 64), torch.randint(1, 50, (40, 48))
    for _ in range(100):  # until the averages are those of this batch
        contrast(model, pictures, tokens)
    contrast.eval()
    image, text = contrast.image(model.encode_image(pictures)), contrast.text(model.encode_text(tokens))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    contrast.fold(model)
    torch.testing.assert_close(model.encode_image(pictures), image, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(model.encode_text(tokens), text, rtol=1e-3, atol=1e-3)
    assert image.mean(0).abs().max() < 1e-3
    assert (image.std(0) - 1).abs().max() < 0.1
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"visual.ln_post.bias", "visual.proj", "ln_final.bias", "text_projection"}


def test_the_rate_warms_up_and_decays() -> None:
    recipe = Recipe(steps=10, warmup=2, rate=1.0)
    rates = [recipe.rate_at(step) for step in range(10)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[6] == pytest.approx(0.5)
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert 0 < rates[9] < 0.05


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 89_999}, "seed: must be at least 90000, not 89999"),
        ({"steps": 0}, "steps: must be at least 1, not 0"),
        ({"batch": 1}, "batch: must be at least 2, not 1"),
    ],
)
@pytest.mark.parametrize("name", ["mini_clip", "mini_vit"])
def test_mistakes_in_recipes(name: str, changes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipe_of(name, **changes)


@pytest.mark.parametrize("changes", [{"batch": 10}, {"images": 1}, {"people": 8}])
def test_a_vit_s_batch_must_hold_whole_people(changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="images each of different people among"):
        VitRecipe(**{"batch": 64, "images": 4, **changes})


def test_mistakes_in_a_clip_s_recipe() -> None:
    with pytest.raises(ValueError, match="pairs: must be at least 2, not 1"):
        ClipRecipe(pairs=1)
    with pytest.raises(ValueError, match="recognition: must not be negative, not -1"):
        ClipRecipe(recognition=-1)


def test_recognition_alone_teaches_the_image_tower_alone(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(Contrast, "forward", lambda *_: torch.zeros(()))
    monkeypatch.setattr(Contrast, "fold", lambda *_: None)
    taught, _ = train_clip(CLIP_RECIPE, tmp_path / "a.pth", TINY_CLIP)
    torch.manual_seed(CLIP_RECIPE.seed)
    fresh = create_clip(len(taught["token_ids"]), TINY_CLIP).state_dict()
    for name in fresh:
        assert torch.equal(taught[name], fresh[name]) != name.startswith("visual."), name


def test_recognition_can_be_left_out(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(recognition.Recogniser, "forward", None)  # not called
    state, _ = train_clip(replace(CLIP_RECIPE, recognition=0.0), tmp_path / "a.pth", TINY_CLIP)
    torch.manual_seed(CLIP_RECIPE.seed)
    fresh = create_clip(len(state["token_ids"]), TINY_CLIP).state_dict()
    assert not [name for name in fresh if torch.equal(state[name], fresh[name])]


def test_there_is_no_third_tower() -> None:
    with pytest.raises(ValueError, match="towers: there is no 'mini_bert'; choose from mini_clip, mini_vit"):
        recipe_of("mini_bert")
    assert recipe_of("mini_vit", steps=None, batch=None) == VitRecipe()


def test_shipped_files_are_half_precision_and_describe_themselves(tmp_path: Path) -> None:
    state, losses = clip(tmp_path / "a.pth")
    path = ship("some", state, TINY_CLIP, CLIP_RECIPE, losses, tmp_path / "out")
    record = json.loads(path.with_suffix(".json").read_text())
    assert record["sha256"] == sha256(path.read_bytes()).hexdigest()
    assert record["bytes"] == path.stat().st_size
    assert record["recipe"] == asdict(CLIP_RECIPE)
    assert record["recipe_sha256"] == CLIP_RECIPE.digest()
    assert record["losses"]["means"] == [round(sum(losses) / 6, 4)]
    assert record["seed"] == 90_005
    assert record["versions"]["torch"] == metadata.version("torch")
    read = load_file(path)
    assert read["visual.proj"].dtype == torch.float16
    assert read["token_ids"].dtype == torch.int32
    torch.testing.assert_close(read["visual.proj"].float(), state["visual.proj"], rtol=1e-3, atol=1e-4)
    assert ship("some", state, TINY_CLIP, CLIP_RECIPE, losses, tmp_path / "other").read_bytes() == path.read_bytes()
    assert sorted(file.name for file in path.parent.iterdir()) == ["some.json", "some.safetensors"]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """The exit code of the tool, run in this process."""
    monkeypatch.setattr(sys, "argv", [str(TOOL), *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(TOOL), run_name="__main__")
    return int(caught.value.code or 0)


@pytest.mark.slow
def test_the_tool(monkeypatch, capsys, tmp_path: Path) -> None:
    command = ["--steps", "2", "--batch", "4", "--seed", "90007"]
    assert run(monkeypatch, "--out", tmp_path / "a", *command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(rf"{tmp_path}/a/mini_clip\.safetensors: \d+ bytes", lines[0])
    assert re.fullmatch(rf"{tmp_path}/a/mini_vit\.safetensors: \d+ bytes", lines[1])
    assert run(monkeypatch, "--out", tmp_path / "b", "--towers", "mini_vit", *command) == 0
    for file in ("mini_vit.safetensors", "mini_vit.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    record = json.loads((tmp_path / "a" / "mini_clip.json").read_text())
    assert record["architecture"] == MINI_CLIP
    assert record["threads"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", "7"], "seed: must be at least 90000, not 7"),
        (["--towers", "mini_bert"], "towers: there is no 'mini_bert'"),
        (["--steps", "0"], "steps: must be at least 1, not 0"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(monkeypatch, capsys, tmp_path, arguments, message) -> None:
    assert run(monkeypatch, "--out", tmp_path / "a", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())
