"""Inputs near to valid ones, by random edits: for hypothesis, and for machines without a fuzzer that sees coverage."""

from __future__ import annotations

import random

from tests.fuzz.outcome import Target

_EDITS = 6
_INTERESTING = (b"\0", b"\xff", b"\x7f", b"\x80", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"9" * 400)


def mutated(target: Target, seeds: list[bytes], rng: random.Random) -> bytes:
    """A seed with a few edits, or random bytes.

    Args:
        target: whose words are put in.
        seeds: valid inputs, and those that were of interest.
        rng: decides.
    """
    if not seeds or rng.random() < 0.05:
        return rng.randbytes(rng.randrange(target.most))
    content = bytearray(rng.choice(seeds))
    for _ in range(rng.randrange(1, _EDITS)):
        _edit(content, target, seeds, rng)
    return bytes(content[: max(target.most, 1 << 16)])


def _edit(content: bytearray, target: Target, seeds: list[bytes], rng: random.Random) -> None:
    place = rng.randrange(len(content) + 1)
    kind = rng.randrange(7)
    end = min(len(content), place + rng.randrange(1, 64))
    if kind == 0 and content:
        content[place % len(content)] = rng.randrange(256)
    elif kind == 1:
        del content[place:end]
    elif kind == 2:
        content[place:place] = content[place:end] * rng.randrange(1, 8)
    elif kind == 3:
        content[place:place] = rng.choice(target.words or _INTERESTING)
    elif kind == 4:
        word = rng.choice((*target.words, *_INTERESTING))
        content[place : place + len(word)] = word
    elif kind == 5 and content:
        content[place % len(content)] ^= 1 << rng.randrange(8)
    else:
        other = rng.choice(seeds)
        start = rng.randrange(len(other) + 1)
        content[place:end] = other[start : start + rng.randrange(64)]
