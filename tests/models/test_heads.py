from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from promptreid.models.backbones.partial_block import Context
from promptreid.models.backbones.vit import import_timm
from promptreid.models.heads import BNNeck, GlobalHead, JigsawHead, PromptHead, identity_classifier, jigsaw_runs

import_timm()
DIM = 16


def make_block():
    from timm.models.vision_transformer import Block

    torch.manual_seed(0)
    return Block(DIM, num_heads=2, qkv_bias=True)


def slow_runs(count: int, shift: int, groups: int, divide: int) -> list[list[int]]:
    """Which patches stand in which run, after TransReID's description, with lists."""
    order = list(range(shift - 1, count)) + list(range(shift - 1))
    if len(order) % groups:
        order.append(order[-2])
    part = len(order) // groups
    shuffled = [order[group * part + place] for place in range(part) for group in range(groups)]
    length = count // divide
    return [shuffled[run * length : (run + 1) * length] for run in range(divide)]


@settings(max_examples=60, deadline=None)
@given(st.integers(5, 60), st.integers(1, 5), st.integers(1, 2), st.integers(1, 5))
def test_runs_against_lists(count, shift, groups, divide):
    patches = torch.arange(count)[None, :, None]
    runs = jigsaw_runs(patches, shift, groups, divide)
    assert runs[0, ..., 0].tolist() == slow_runs(count, shift, groups, divide)


def test_the_runs_of_a_person_image():
    """21 x 10 patches: four runs of 52, two patches left over."""
    runs = jigsaw_runs(torch.arange(210)[None, :, None], 5, 2, 4)[0, ..., 0]
    assert runs.shape == (4, 52)
    assert runs[0, :4].tolist() == [4, 109, 5, 110]
    assert len(runs.unique()) == 208


@pytest.mark.parametrize("sizes", [(3, 1, 2, 4), (4, 5, 2, 4), (10, 1, 4, 2)])
def test_grids_that_cannot_be_split_are_refused(sizes):
    count, *rest = sizes
    with pytest.raises(ValueError, match=f"JPM cannot split {count} patch tokens"):
        jigsaw_runs(torch.zeros(1, count, 2), *rest)


def test_the_jigsaw_head_against_the_full_blocks():
    block, norm = make_block(), nn.LayerNorm(DIM)
    head, tokens = JigsawHead(block, norm), torch.randn(2, 1 + 10, DIM)
    token, patches = tokens[:, :1], tokens[:, 1:]
    features = head(tokens)
    assert len(features) == head.count == 5
    torch.testing.assert_close(features[0], norm(block(tokens))[:, 0])
    for feature, run in zip(features[1:], slow_runs(10, 5, 2, 4), strict=True):
        torch.testing.assert_close(feature, norm(block(torch.cat([token, patches[:, run]], dim=1)))[:, 0])


def test_heads_are_copies_that_train_apart():
    block = make_block()
    head = JigsawHead(block, nn.LayerNorm(DIM))
    pointers = {part.block.mlp.fc1.weight.data_ptr() for part in (head.b1, head.b2)} | {block.mlp.fc1.weight.data_ptr()}
    assert len(pointers) == 3
    assert torch.equal(head.b1.block.mlp.fc1.weight, head.b2.block.mlp.fc1.weight)


def test_the_global_head_alone():
    block, norm = make_block(), nn.LayerNorm(DIM)
    head, tokens = GlobalHead(block, norm), torch.randn(2, 7, DIM)
    (feature,) = head(tokens)
    assert head.count == 1
    torch.testing.assert_close(feature, norm(block(tokens))[:, 0])


def test_the_bnneck_is_a_batch_norm_without_a_trained_bias():
    neck, reference = BNNeck(DIM), nn.BatchNorm1d(DIM)
    for _ in range(3):
        features = torch.randn(8, DIM) * 3 + 1
        torch.testing.assert_close(neck(features), reference(features))
    torch.testing.assert_close(neck.eval()(features), reference.eval()(features))
    assert [name for name, _ in neck.named_parameters()] == ["weight"]
    assert "bias" in neck.state_dict()


def test_the_bnneck_can_be_synchronised():
    assert isinstance(nn.SyncBatchNorm.convert_sync_batchnorm(BNNeck(DIM)).norm, nn.SyncBatchNorm)


def test_the_classifier_is_small_and_without_bias():
    classifier = identity_classifier(768, 395)
    assert classifier.bias is None
    assert classifier.weight.std().item() == pytest.approx(0.001, rel=0.01)


@pytest.mark.parametrize("pooling", ["mean", "flatten", "query"])
def test_pooled_copies_equal_pooled_prompts(pooling):
    """One prompt standing for four is treated as four alike."""
    head = PromptHead(2, 4, 5, pooling, make_block(), nn.LayerNorm(DIM), DIM).eval()
    one = torch.randn(3, 1, DIM)
    torch.testing.assert_close(head.pool(Context(one, 4)), head.pool(Context(one.expand(3, 4, DIM))))
    logits = head([Context(one, 4), Context(torch.randn(3, 4, DIM))])
    assert [layer.shape for layer in logits] == [(3, 5)] * 2


def test_the_three_poolings():
    block, norm = make_block(), nn.LayerNorm(DIM)
    prompts = torch.randn(3, 4, DIM)
    heads = {name: PromptHead(1, 4, 5, name, block, norm, DIM) for name in ("mean", "flatten", "query")}
    torch.testing.assert_close(heads["mean"].pool(Context(prompts)), prompts.mean(dim=1))
    torch.testing.assert_close(heads["flatten"].pool(Context(prompts)), prompts.reshape(3, -1))
    query = heads["query"].query.expand(3, 1, DIM)
    expected = norm(block(torch.cat([query, prompts], dim=1)))[:, 0]
    torch.testing.assert_close(heads["query"].pool(Context(prompts)), expected)
