"""A DMPT written out: sample by sample and image by image, every block and every attention in full."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from promptreid.methods.dmpt.model import DMPT

Prompts = dict[int, Tensor]
"""Of each slot, (k, D)."""


@torch.no_grad()
def slow_twin(model: DMPT, batch: dict[str, Tensor]) -> Tensor:
    """The features before the BNNecks, slot by slot, (B, M, D_out)."""
    rows = zip(batch["images"], batch["modality"], batch["present"], strict=True)
    return torch.stack([_sample(model, images, modality, present) for images, modality, present in rows])


def _sample(model: DMPT, images: Tensor, modality: Tensor, present: Tensor) -> Tensor:
    options, plan, tower = model.options, model.plan, model.tower
    slots = [slot for slot in range(len(images)) if present[slot]]
    stream = {slot: tower.embed(images[slot : slot + 1])[0] for slot in slots}
    base = len(stream[slots[0]])
    turns = tower.turns((images.shape[-2], images.shape[-1]), images.device)
    held: dict[str, Prompts] = {"words": {}, "bound": {}, "semantic": {}}
    given: Prompts = {}  # B_l^m of the last interaction
    told: dict[str, Prompts] = {}
    for layer in range(1, tower.layers + 1):
        prompted = plan.first <= layer <= plan.last
        if not prompted:
            held = {kind: {} for kind in held}
        for slot in slots if prompted else ():
            _enter(model, layer, slot, modality[slot : slot + 1], stream[slot], held)
            for kind, change in told.items():
                held[kind][slot] = held[kind][slot] + change[slot]
        told = {}
        middle: Prompts = {}  # after the block's attention
        pieces: dict[int, list[Tensor]] = {}
        for slot in slots:
            pieces[slot] = [stream[slot], *(prompts[slot] for prompts in held.values() if slot in prompts)]
            middle[slot] = _attended(model, layer, torch.cat(pieces[slot]), base, turns)
        for slot in slots:
            output = _finished(model, layer, slot, int(modality[slot]), middle, base)
            kinds = [kind for kind in held if slot in held[kind]]
            stream[slot], *others = output.split([len(piece) for piece in pieces[slot]])
            for kind, after in zip(kinds, others, strict=True):
                held[kind][slot] = _gated(model, layer, kind, held[kind][slot], after)
        if layer not in plan.interactions:
            continue
        given = {slot: _bound(model, layer, slot, held, given) for slot in slots}
        if options.bind_direction == "medium":
            asking = {"semantic": ["semantic"], "modality": ["words"], "both": ["semantic", "words"]}
            told = {
                kind: {slot: _answer(model, layer, held[kind][slot], given[slot]) for slot in slots}
                for kind in asking[options.bind_source]
            }
        elif options.bind_output == "semantic":
            told = {"semantic": given}
        elif options.bind_output == "class":
            stream = {slot: torch.cat([t[:1] + given[slot].mean(dim=0), t[1:]]) for slot, t in stream.items()}
        else:
            held["bound"] = dict(given)
    read = {slot: tower.read(stream[slot][None])[0] for slot in slots}
    read = _weighted(model, read, modality)
    return torch.stack([read.get(slot, torch.zeros(tower.out_dim)) for slot in range(len(images))])


def _enter(model: DMPT, layer: int, slot: int, modality: Tensor, tokens: Tensor, held: dict[str, Prompts]) -> None:
    """Modality and semantic prompts before a prompted block."""
    options, plan = model.options, model.plan
    if options.semantic and (options.deep or layer == plan.first):
        held["semantic"][slot] = model.semantic_prompts.prompts[layer - plan.first if options.deep else 0]
    first = options.word_first_layer or plan.first
    if not options.words or layer < first or (layer > first and not options.word_deep):
        return
    words = model.word_prompts(modality, layer - first)[0]
    if options.word_content:
        mean = F.layer_norm(tokens[model.tower.prefix :].mean(dim=0), tokens.shape[1:])
        bottleneck = model.word_content
        words = words + bottleneck.up(F.gelu(bottleneck.down(mean))).reshape(words.shape)
    if options.word_output == "tokens":
        held["words"][slot] = words
    else:
        held["semantic"][slot] = held["semantic"][slot] + model.word_gates.values[layer - plan.first] * words


def _gated(model: DMPT, layer: int, kind: str, before: Tensor, after: Tensor) -> Tensor:
    """What is carried on of a prompt."""
    options, plan = model.options, model.plan
    new = {"words": options.word_deep, "semantic": options.deep, "bound": False}[kind]
    if not options.prompt_gates or new or layer >= plan.last:
        return after
    gate = 1 / (1 + torch.exp(-model.carry_gates.values[layer - plan.first]))
    return gate * after + (1 - gate) * before


def _weighted(model: DMPT, read: Prompts, modality: Tensor) -> Prompts:
    """Features times the weights of the fusion."""
    if not model.options.fusion:
        return read
    powers = {}
    for slot, feature in read.items():
        normed = (feature - feature.mean()) / (feature.var(correction=0) + 1e-5).sqrt()
        of = int(modality[slot])
        powers[slot] = (model.fusion.weight[of] @ normed + model.fusion.offset[of]).exp()
    return {slot: feature * powers[slot] * len(read) / sum(powers.values()) for slot, feature in read.items()}


def _attended(model: DMPT, layer: int, tokens: Tensor, own: int, turns: Tensor | None) -> Tensor:
    """The first half of a block on tokens (n, D)."""
    prompted, number = model.plan.first <= layer <= model.plan.last, layer - model.plan.first
    tower: Any = model.tower
    if turns is not None:
        block = tower.trunk.blocks[layer - 1]
        changed = with_low_rank(block, model.lora[number]) if prompted and model.options.lora else block
        return _attended_turned(changed, tokens, turns)
    block = tower.visual.transformer.resblocks[layer - 1]
    scale, gate = 1.0, None
    if prompted and model.options.attention_temperature:
        scale = 1 / float(model.temperatures.values[number].exp())
    if prompted and model.options.prompt_attention == "apart":
        gate = model.apart_gates.values[number]
    attn = block.attn
    weight = attn.in_proj_weight.clone()
    if prompted and model.options.lora:
        for third, change in ((0, model.lora[number].query), (2, model.lora[number].value)):
            rows = slice(third * len(weight) // 3, (third + 1) * len(weight) // 3)
            weight[rows] += model.options.lora_alpha / model.options.lora * change.up.weight @ change.down.weight
    projected = F.linear(block.ln_1(tokens), weight, attn.in_proj_bias)
    parts = (part.unflatten(1, (attn.num_heads, -1)).transpose(0, 1) for part in projected.chunk(3, dim=1))
    mixed = torch.stack([_head(*head, scale, own, gate) for head in zip(*parts, strict=True)], dim=1).flatten(1)
    return tokens + attn.out_proj(mixed)


def with_low_rank(block: Any, lora: Any) -> Any:
    """A copy of an ``EvaBlock`` whose weights of queries and values have the changes in them."""
    changed = copy.deepcopy(block)
    attn = changed.attn
    weights = (attn.q_proj.weight, None, attn.v_proj.weight) if attn.qkv is None else attn.qkv.weight.chunk(3)
    for weight, change in ((weights[0], lora.query), (weights[2], lora.value)):
        weight += change.scale * change.up.weight @ change.down.weight
    return changed


def _attended_turned(block: Any, tokens: Tensor, turns: Tensor) -> Tensor:
    """The first half of an ``EvaBlock``, by timm's own attention; a prompt turns by the angle 0."""
    half = turns.shape[1] // 2
    still = torch.cat([torch.zeros(half), torch.ones(half)]).expand(len(tokens) - len(turns), -1)
    rope = torch.cat([turns[block.attn.num_prefix_tokens :], still])
    mixed = block.attn(block.norm1(tokens)[None], rope=rope)[0]
    return tokens + (mixed if block.gamma_1 is None else block.gamma_1 * mixed)


def _halves(tower: Any, layer: int) -> tuple[Any, Any, Any]:
    """The second norm of a block, its MLP, and the scale of that."""
    if hasattr(tower, "trunk"):
        block = tower.trunk.blocks[layer - 1]
        return block.norm2, block.mlp, 1.0 if block.gamma_2 is None else block.gamma_2
    block = tower.visual.transformer.resblocks[layer - 1]
    return block.ln_2, block.mlp, 1.0


def _finished(model: DMPT, layer: int, slot: int, modality: int, middle: Prompts, own: int) -> Tensor:
    """The second half, with what is trained beside the MLP."""
    options, number = model.options, layer - model.plan.first
    norm, mlp, scale = _halves(model.tower, layer)
    normed = {other: norm(tokens) for other, tokens in middle.items()}
    output = middle[slot] + scale * mlp(normed[slot])
    if not model.plan.first <= layer <= model.plan.last:
        return output
    if options.adapter:
        adapter, start = model.adapter[number], 0 if options.adapter_shared else modality * options.adapter
        rows = slice(start, start + options.adapter)
        hidden = F.gelu(normed[slot] @ adapter.down.weight[rows].T + adapter.down.bias[rows])
        offset = adapter.offset[0 if options.adapter_shared else modality]
        output = output + options.adapter_scale * (hidden @ adapter.up.weight[:, rows].T + offset)
    others = [other for other in normed if other != slot]
    if options.exchange and others:
        told = [model.exchange[number].up(F.gelu(model.exchange[number].down(normed[other][:own]))) for other in others]
        output = torch.cat([output[:own] + sum(told) / len(told), output[own:]])
    return output


def _head(query: Tensor, key: Tensor, value: Tensor, scale: float, own: int, gate: Tensor | None) -> Tensor:
    scores = scale * query @ key.T / query.shape[1] ** 0.5
    if gate is None or own == len(key):
        return scores.softmax(dim=1) @ value
    apart = scores[:own, :own].softmax(dim=1) @ value[:own]
    apart = apart + gate * scores[:own, own:].softmax(dim=1) @ value[own:]
    return torch.cat([apart, scores[own:].softmax(dim=1) @ value])


def _bound(model: DMPT, layer: int, slot: int, held: dict[str, Prompts], before: Prompts) -> Tensor:
    options = model.options
    attention = model.bind.attentions[model.plan.interactions.index(layer)]
    kinds = {"semantic": ["semantic"], "modality": ["words"], "both": ["semantic", "words"]}[options.bind_source]
    everyone = options.bind_keys == "all"
    read = [prompts for kind in kinds for other, prompts in held[kind].items() if everyone or other != slot]
    prompts = before[slot] if options.bind_residual and before else model.bind.prompts
    return prompts + _told(attention, prompts, torch.cat(read)) if read else prompts


def _answer(model: DMPT, layer: int, prompts: Tensor, bound: Tensor) -> Tensor:
    return _told(model.bind.answers[model.plan.interactions.index(layer)], prompts, bound)


def _told(attention: Any, asking: Tensor, read: Tensor) -> Tensor:
    """``softmax(LN(X) W_Q (LN(Y) W_K)^T / sqrt(d_h)) LN(Y) W_V W_O``."""
    sources = attention.norm_sources(read)
    parts = (attention.query(attention.norm_prompts(asking)), attention.key(sources), attention.value(sources))
    query, key, value = (part.unflatten(1, (attention.heads, -1)).transpose(0, 1) for part in parts)
    weights = (query @ key.transpose(1, 2) / query.shape[-1] ** 0.5).softmax(dim=-1)
    return attention.output((weights @ value).transpose(0, 1).flatten(1))
