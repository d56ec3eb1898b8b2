"""The blocks of DMPT's tower with prompts between them (P3, B5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from promptreid.methods.dmpt.bind import PromptIBind
from promptreid.methods.dmpt.content import ContentPrompts
from promptreid.methods.dmpt.gates import BlockScalars
from promptreid.methods.dmpt.options import DMPTOptions
from promptreid.methods.dmpt.plan import Plan
from promptreid.methods.dmpt.semantic import SemanticPrompts
from promptreid.methods.dmpt.tuning import TunedBlocks
from promptreid.models.backbones.block_form import BlockForm
from promptreid.models.backbones.partial_block import recomputed
from promptreid.models.backbones.shaped_attention import Shaping
from promptreid.models.backbones.towers import Tower
from promptreid.models.present_images import Slots, size_of

WORDS, BIND, SEMANTIC = "words", "bind", "semantic"  # the order in which they stand behind the patches
Watch = Callable[[int, Tensor, Mapping[str, int]], object]
"""Is told the number of a block, from 1, the tokens before it (n, K, D), and how many prompts of each kind these end
with, in their order."""
OPEN = 4.0  # logit of a gate of carried prompts at the start: 0.98 of the block's output


class Encoded(NamedTuple):
    """What the blocks gave for n images.

    Attributes:
        tokens: Of the image, after the last block: what the feature is read from, or all.
        bound: B_l^m after each interaction layer, (n, b, D).
        words: The modality prompts after the last block, (n, M, D), if they were asked for.
    """

    tokens: Tensor
    bound: list[Tensor]
    words: Tensor | None


class PromptParts(TunedBlocks):
    """The prompts of a DMPT and what acts on them; a base of the model, so that they are its children.

    Attributes:
        word_first: First block with modality prompts, counted from 1.
    """

    word_first: int
    semantic_prompts: SemanticPrompts | None
    word_prompts: nn.Module | None
    bind: PromptIBind | None
    word_content: ContentPrompts | None
    word_gates: BlockScalars | None
    carry_gates: BlockScalars | None
    apart_gates: BlockScalars | None
    temperatures: BlockScalars | None
    checkpoint_blocks: bool

    def add_prompts(self, tower: Any, options: DMPTOptions, word_prompts: nn.Module | None) -> None:
        """Make all that the options ask for.

        Raises:
            ValueError: Options that do not fit the tower.
        """
        self.options = options
        self.plan = plan = options.plan(tower.layers)
        self.word_first = options.word_first_layer or plan.first
        dim, std, blocks = tower.dim, options.prompt_std, plan.last - plan.first + 1
        sets = blocks if options.deep else 1
        self.semantic_prompts = SemanticPrompts(sets, options.semantic_length, dim, std) if options.semantic else None
        self.word_prompts = word_prompts
        self.bind = _bind(options, plan, tower) if options.bind else None
        self.word_content = (
            ContentPrompts(dim, options.word_length, options.word_content) if options.word_content else None
        )
        self.word_gates = BlockScalars(blocks) if options.words and not options.word_tokens else None
        self.carry_gates = BlockScalars(blocks, OPEN) if options.prompt_gates else None
        self.apart_gates = BlockScalars(blocks) if options.prompt_attention == "apart" else None
        self.temperatures = BlockScalars(blocks) if options.attention_temperature else None
        self.checkpoint_blocks = False  # recompute the blocks in the backward pass

    @property
    def tower(self) -> Tower:
        """The tower, frozen or not."""
        raise NotImplementedError

    def encode(
        self,
        tokens: Tensor,
        done: int,
        slots: Slots,
        whole: bool = False,
        words: bool = False,
        watch: Watch | None = None,
    ) -> Encoded:
        """The blocks after the first ``done``, with prompts.

        Args:
            tokens: Prefix and patch tokens (n, P + N, D).
            done: Blocks that they have been through.
            slots: Of the images.
            whole: Whether all of them are wanted after the last block, not just what the feature is read from.
            words: Whether the modality prompts are, too.
            watch: Is called before each block.
        """
        run = recomputed(self.tower.run, self.checkpoint_blocks)
        turns = self.tower.turns(size_of(slots.images), tokens.device)
        read = tokens.shape[1] if whole or self.tower.reads_all else 1
        held: dict[str, Tensor] = {}
        told: dict[str, Tensor] = {}  # what the interaction after the block before adds to prompts
        bound: list[Tensor] = []
        for layer in range(done + 1, self.tower.layers + 1):
            held, told = self._entering(layer, tokens, held, told, slots), {}
            last = layer == self.tower.layers
            wanted = self._wanted(layer, words)
            order = sorted(held, key=lambda kind: kind not in wanted)
            kept = [kind for kind in order if kind in wanted]
            own = tokens.shape[1]
            lengths = [own if kept or not last else read, *(held[kind].shape[1] for kind in kept)]
            sequence = torch.cat([tokens, *(held[kind] for kind in order)], dim=1) if held else tokens
            if watch is not None:
                watch(layer, sequence, {kind: held[kind].shape[1] for kind in order})
            # What nobody reads is not computed: prompts that are replaced, at the end all but the class token.
            form = self.block_form(layer, own, slots, turns)
            parts = run(layer - 1, sequence, sum(lengths), form).split(lengths, dim=1)
            tokens, held = parts[0], self._carried(layer, held, dict(zip(kept, parts[1:], strict=True)))
            if self.bind is not None and layer in self.plan.interactions:
                bound.append(self.bind(layer, self._offered(held), slots, bound[-1] if bound else None))
                tokens, held, told = self._received(layer, tokens, held, bound[-1])
        return Encoded(tokens[:, :read], bound, held.get(WORDS) if words else None)

    def _entering(
        self, layer: int, tokens: Tensor, held: dict[str, Tensor], told: dict[str, Tensor], slots: Slots
    ) -> dict[str, Tensor]:
        """The prompts that enter a block, in their order behind the patches."""
        options, plan = self.options, self.plan
        if not plan.first <= layer <= plan.last:
            return {}
        entering = dict(held)
        fresh = self._modality_prompts(layer, tokens, slots)
        if fresh is not None and options.word_tokens:
            entering[WORDS] = fresh
        if self.semantic_prompts is not None and (options.deep or layer == plan.first):
            number = layer - plan.first if options.deep else 0
            entering[SEMANTIC] = self.semantic_prompts(number, tokens.shape[0]).to(tokens.dtype)
        if fresh is not None and self.word_gates is not None:
            gate = self.word_gates(layer - plan.first).to(tokens.dtype)
            entering[SEMANTIC] = entering[SEMANTIC] + gate * fresh
        for kind, change in told.items():
            entering[kind] = entering[kind] + change.to(tokens.dtype)
        return {kind: entering[kind] for kind in (WORDS, BIND, SEMANTIC) if kind in entering}

    def _modality_prompts(self, layer: int, tokens: Tensor, slots: Slots) -> Tensor | None:
        """Those that are new in this block, (n, M, D), if any."""
        if self.word_prompts is None or not (layer == self.word_first or self.has_own_words(layer)):
            return None
        prompts: Tensor = self.word_prompts(slots.modality, layer - self.word_first).to(tokens.dtype)
        return (
            prompts
            if self.word_content is None
            else prompts + self.word_content(tokens[:, self.tower.prefix :]).to(tokens.dtype)
        )

    def has_own_words(self, layer: int) -> bool:
        """Whether a block has modality prompts of its own."""
        return self.options.word_deep and layer >= self.word_first

    def _wanted(self, layer: int, words: bool) -> set[str]:
        """The kinds of prompts whose outputs of a block are read."""
        if layer >= self.plan.last:
            return {WORDS} if words and layer == self.tower.layers else set()
        interacts = layer in self.plan.interactions
        asked = interacts and self.options.bind_source != "semantic"
        kinds = {WORDS: asked or not self.has_own_words(layer + 1), SEMANTIC: interacts or not self.options.deep}
        return {BIND, *(kind for kind, read in kinds.items() if read)}

    def shaping(self, layer: int, own: int) -> Shaping | None:
        """The form of a block's attention, where it is another than usual."""
        if not self.plan.first <= layer <= self.plan.last:
            return None
        number = layer - self.plan.first
        gate = None if self.apart_gates is None else self.apart_gates(number)
        scale = None if self.temperatures is None else self.temperatures(number).neg().exp()
        return None if gate is None and scale is None else Shaping(own, gate, scale)

    def block_form(self, layer: int, own: int, slots: Slots, turns: Tensor | None) -> BlockForm:
        """How a block runs.

        Args:
            layer: Its number, from 1.
            own: How many tokens of each image are its own, prefix and patches; they stand first.
            slots: Of the images.
            turns: The tower's, for images of their size.
        """
        return BlockForm(turns, self.shaping(layer, own), self.beside(layer, own, slots))

    def _carried(self, layer: int, before: dict[str, Tensor], after: dict[str, Tensor]) -> dict[str, Tensor]:
        """What a block made of the prompts, (n, k, D) each; gated where they go on to the next one."""
        if self.carry_gates is None or layer >= self.plan.last:
            return after
        gate = self.carry_gates(layer - self.plan.first).sigmoid()
        new = {WORDS: self.has_own_words(layer + 1), SEMANTIC: self.options.deep}
        return {
            kind: value if new.get(kind) else torch.lerp(before[kind].to(value.dtype), value, gate.to(value.dtype))
            for kind, value in after.items()
        }

    def _offered(self, held: dict[str, Tensor]) -> Tensor:
        """What the others may read of each image after an interaction layer, (n, s, D)."""
        parts = [held[kind] for kind in self._asking()]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def _asking(self) -> tuple[str, ...]:
        """The kinds of prompts that the bind prompts read, and that ask a medium."""
        return {"semantic": (SEMANTIC,), "modality": (WORDS,), "both": (SEMANTIC, WORDS)}[self.options.bind_source]

    def _received(
        self, layer: int, tokens: Tensor, held: dict[str, Tensor], bound: Tensor
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """Tokens and prompts after bind prompts (n, b, D) were given, and what is added to the next prompts."""
        output = self.options.bind_output
        if self.bind is not None and self.bind.answers is not None:
            return tokens, held, {kind: self.bind.answer(layer, held[kind], bound) for kind in self._asking()}
        if output == "semantic":
            return tokens, held, {SEMANTIC: bound}
        if output == "class":
            mean = bound.to(tokens.dtype).mean(dim=1, keepdim=True)
            return torch.cat([tokens[:, :1] + mean, tokens[:, 1:]], dim=1), held, {}
        return tokens, {**held, BIND: bound.to(tokens.dtype)}, {}


def _bind(options: DMPTOptions, plan: Plan, tower: Any) -> PromptIBind:
    medium = options.bind_direction == "medium"
    sizes = (options.bind_length, tower.dim, tower.heads, options.prompt_std)
    return PromptIBind(plan.interactions, *sizes, options.bind_keys, medium, options.bind_residual)
