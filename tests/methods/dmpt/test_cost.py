"""What the frozen tower saves: parameters, checkpoint, memory of a training step."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
import torch
import yaml
from dmpt_models import TOWER, tiny_dmpt, triples

from promptreid.methods.dmpt.build import build_dmpt
from promptreid.methods.dmpt.options import dmpt
from promptreid.models.parameter_count import Count, count_parameters
from promptreid.models.saved_activations import kept_bytes

PAGE = Path(__file__).resolve().parents[3] / "docs" / "dmpt.md"
HEADS = ("necks", "classifier")
BLOCK = 768
# Twelve blocks, wide enough that prompts, bind and heads are a small share, as in a ViT-B.
DEEP = {**TOWER, "vision_cfg": {"image_size": 128, "layers": 12, "width": 192, "head_width": 64, "patch_size": 16}}


@pytest.fixture(scope="module")
def base():
    """The default model on ViT-B/16, for the 171 training identities of RGBNT201; the text tower's part as a shape."""
    return build_dmpt(171, pretrained=False, text_from_state=True)


def test_trained_parameters_by_component(base):
    counts = count_parameters(base)
    linear, norm = BLOCK * BLOCK + BLOCK, 2 * BLOCK
    assert counts["semantic_prompts"] == Count(12 * 8 * BLOCK, 0)
    assert counts["bind"] == Count(4 * BLOCK + 2 * (4 * linear + 2 * norm), 0)
    assert counts["word_prompts"] == Count(512 * 512 + 512 + 512 * BLOCK + BLOCK, 0)
    assert counts["necks"] == Count(3 * 512, 0)
    assert counts["classifier"] == Count(171 * 3 * 512, 0)
    assert counts["backbone"] == Count(0, 86_192_640)
    assert set(counts) == {"semantic_prompts", "word_prompts", "bind", "necks", "classifier", "backbone"}
    assert sum(part.trainable for part in counts.values()) == sum(p.numel() for p in base.parameters())


def test_the_stated_share_of_trained_parameters(base):
    """6.5 % of the tower, whether or not identity heads count."""
    counts = count_parameters(base)
    stated = 0.065 * counts["backbone"].frozen
    everything = sum(part.trainable for part in counts.values())
    without_heads = everything - sum(counts[head].trainable for head in HEADS)
    assert without_heads == 5_464_320
    assert everything == 5_728_512
    assert abs(without_heads / stated - 1) < 0.05
    assert abs(everything / stated - 1) < 0.05


def test_the_linear_map_is_further_from_it():
    with torch.device("meta"):
        counts = count_parameters(
            build_dmpt(171, pretrained=False, options=dmpt(word_mapping="linear"), text_from_state=True)
        )
    assert sum(part.trainable for name, part in counts.items() if name not in HEADS) == 5_201_664


def test_the_page_has_the_parameters_of_each_key():
    text = PAGE.read_text(encoding="utf-8").partition("### Parameters of each key")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(.+?)` \| ([\d ]+) \| ([+\- \d]+) \|$", text, flags=re.MULTILINE)
    assert len(rows) >= 20
    for keys, trained, more in rows:
        options = dmpt(**yaml.safe_load(f"{{{keys}}}"))
        with torch.device("meta"):
            counts = count_parameters(build_dmpt(171, pretrained=False, options=options, text_from_state=True))
        count = sum(part.trainable for name, part in counts.items() if name not in HEADS)
        assert count == int(trained.replace(" ", "")), keys
        assert count - 5_464_320 == int(more.replace(" ", "")), keys


def test_a_checkpoint_holds_the_tuned_part_alone(base):
    file = io.BytesIO()
    torch.save(base.state_dict(), file)
    assert file.tell() < 30e6
    assert sum(b.numel() * b.element_size() for b in base.backbone.module.buffers()) > 330e6
    assert not any(name.startswith("backbone.module") for name in base.state_dict())


def test_a_training_step_keeps_less_than_full_fine_tuning_on_the_same_tokens():
    batch = triples(2, size=(128, 64))
    frozen, full = (kept_bytes(tiny_dmpt(tower=DEEP, frozen=state), batch) for state in (True, False))
    assert frozen <= 0.70 * full, frozen / full


@pytest.mark.parametrize("last", [1, 3, 6])
def test_prompts_in_the_last_blocks_leave_the_others_without_graph(last):
    batch = triples(2, size=(128, 64))
    options = {"tower": DEEP, "words": False, "bind": False, "alignment": False}
    whole = kept_bytes(tiny_dmpt(**options), batch)
    part = kept_bytes(tiny_dmpt(first_layer=13 - last, **options), batch)
    assert part < (last / 12 + 0.05) * whole


def test_no_block_before_the_first_prompt_is_in_the_graph():
    model = tiny_dmpt(first_layer=3).train()
    needs = []
    for block in model.tower.visual.transformer.resblocks:
        block.ln_1.register_forward_hook(lambda module, inputs, output: needs.append(output.requires_grad))
    model(triples())
    assert needs == [False, False, True, True]
    needs.clear()
    embedded = tiny_dmpt(first_layer=3, sie_weight=1.0, cameras=2).train()
    for block in embedded.tower.visual.transformer.resblocks:
        block.ln_1.register_forward_hook(lambda module, inputs, output: needs.append(output.requires_grad))
    embedded(triples())
    assert needs == [True] * 4, "a camera embedding at the input brings all of them back"
