"""Sentences about rendered people, of the kind that CLIP learns from: short, varied and never complete.

A caption names some of a person's attributes, drawn anew for each picture. Colours are named in visible pictures only;
the infrared ones show brightness at most.
"""

from __future__ import annotations

from collections.abc import Sequence

from numpy.random import Generator

from promptreid.pretraining.colours import GREYS, HAIRS, HUES, SHADES, Paint, painter
from promptreid.synthetic.draws import chance, pick, shuffled
from promptreid.synthetic.identity import Identity
from promptreid.synthetic.materials import Part

# How each band is called; the first name is the one of its sentence "a ... photo of a person".
BAND_NAMES = {
    "visible": ("visible", "visible", ""),
    "near_infrared": (*("near-infrared",) * 4, "infrared"),
    "thermal_infrared": (*("thermal-infrared",) * 4, "infrared"),
}
NOUNS = ("photo", "photo", "picture", "image")
OBJECTS = ("person", "person", "pedestrian")
OTHER_OBJECTS = ("vehicle",)  # in no caption, but sentences about modalities may say it
MENTION = 0.6  # of each attribute
COLOURED = 0.8  # of the garments that are mentioned
BARE = 0.25  # share of captions without any attribute
LONGEST = 6  # most items in a caption

HAIR_WORDS = {"bald": "bald head", "short": "short hair", "long": "long hair", "bun": "hair in a bun", "afro": "afro"}
HAT_WORDS = {"none": "", "cap": "cap", "brim": "hat with a brim", "beanie": "beanie"}
BAG_WORDS = {"none": "", "backpack": "backpack", "sling": "shoulder bag", "handbag": "handbag", "tote": "tote bag"}
LOWER_WORDS = {"trousers": "trousers", "shorts": "shorts", "skirt": "skirt", "long_skirt": "long skirt"}
# Patterns that stand before the garment, and those that stand behind it.
WOVEN = {
    "bars": "horizontally striped",
    "stripes": "vertically striped",
    "diagonal": "diagonally striped",
    "checks": "checked",
    "dots": "dotted",
}
PRINTED = {
    "yoke": "yoke",
    "band": "band across",
    "open": "open front",
    "logo": "logo",
    "sides": "sides",
    "seam": "seams",
    "cuffs": "cuffs",
}
PLAIN = {"plain": "plain"}
# Upper bounds: of the hem in body heights, the sleeve as a share of the arm, the shoe's top, the leg's width, the
# waist.
HEMS = ((0.455, "cropped top"), (0.49, "shirt"), (0.55, "sweater"), (0.63, "jacket"), (0.73, "coat"), (2, "long coat"))
SLEEVES = ((0.1, "sleeveless"), (0.5, "short-sleeved"), (0.8, "half-sleeved"), (2, "long-sleeved"))
SHOES = ((0.85, "boots"), (0.93, "ankle boots"), (2, "shoes"))
WIDTHS = ((1, "narrow"), (1.3, ""), (2, "wide"))
BUILDS = ((0.068, "slim"), (0.084, ""), (2, "stout"))
LINKS = ("in", "wearing", "with", "and", "a", "of", "belt", "scarf", "other", "sleeves", ",", "an")


def _step(scale: Sequence[tuple[float, str]], value: float) -> str:
    return next(word for bound, word in scale if value < bound)


def _join(*words: str) -> str:
    return " ".join(word for word in words if word)


def _with_article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _pattern(kind: str, accent: str, rng: Generator) -> tuple[str, str]:
    """What a pattern puts before and behind its garment."""
    if not chance(rng, MENTION):
        return "", ""
    if kind in PRINTED:
        return "", _join("with", accent, PRINTED[kind])
    if kind in WOVEN:
        return _join("and", accent, WOVEN[kind]) if accent and chance(rng, 0.5) else WOVEN[kind], ""
    return PLAIN[kind], ""


def _upper(person: Identity, paint: Paint, rng: Generator) -> str:
    upper = person.upper
    before, behind = _pattern(upper.pattern.kind, paint(Part.UPPER_ACCENT), rng)
    sleeve = _step(SLEEVES, upper.sleeve) if chance(rng, MENTION) else ""
    colour = paint(Part.UPPER) if before.startswith("and") or chance(rng, COLOURED) else ""
    if not colour:
        before = before.removeprefix("and ")
    garment = _with_article(_join(sleeve, colour, before, _step(HEMS, upper.hem)))
    if upper.sleeve_accent and upper.sleeve and not behind and chance(rng, MENTION):
        behind = _join("with", paint(Part.UPPER_ACCENT) or "other", "sleeves")
    return _join(garment, behind)


def _lower(person: Identity, paint: Paint, rng: Generator) -> str:
    lower = person.lower
    before, behind = _pattern(lower.pattern.kind, paint(Part.LOWER_ACCENT), rng)
    colour = paint(Part.LOWER) if before.startswith("and") or chance(rng, COLOURED) else ""
    if not colour:
        before = before.removeprefix("and ")
    width = _step(WIDTHS, lower.width) if chance(rng, MENTION) else ""
    garment = _join(width, colour, before, LOWER_WORDS[lower.kind])
    return _join(_with_article(garment) if "skirt" in lower.kind else garment, behind)


def worn(person: Identity, band: str, rng: Generator) -> list[str]:
    """What a person wears, one phrase each, in drawn detail."""
    paint = painter(person.palette, band)
    items = [_upper(person, paint, rng), _lower(person, paint, rng)]
    items.append(_join(paint(Part.SHOES), _step(SHOES, person.lower.shoe_top)))
    if person.hat != "none":
        items.append(_with_article(_join(paint(Part.HAT), HAT_WORDS[person.hat])))
    if person.scarf:
        items.append(_with_article(_join(paint(Part.SCARF), "scarf")))
    if person.upper.belt:
        items.append(_with_article(_join(paint(Part.BELT), "belt")))
    return items


def carried(person: Identity, band: str) -> list[str]:
    """What else there is to a person: hair and bag, one phrase each."""
    paint = painter(person.palette, band)
    colour = paint(Part.HAIR) if "hair" in HAIR_WORDS[person.hair] else ""
    hair = _join(colour, HAIR_WORDS[person.hair])
    items = [hair if "hair" in hair else _with_article(hair)]
    if person.bag != "none":
        items.append(_with_article(_join(paint(Part.BAG), BAG_WORDS[person.bag])))
    return items


def sentence(band: str, name: str | None = None, noun: str = "photo", who: str = "person") -> str:
    """The sentence of a band without attributes: "a near-infrared photo of a person"."""
    kind = _join(BAND_NAMES[band][0] if name is None else name, noun)
    return f"{_with_article(kind)} of {_with_article(who)}"


def caption(person: Identity, band: str, rng: Generator) -> str:
    """A sentence about a picture of ``person`` in ``band``; the same generator state gives the same sentence."""
    name, noun, who = pick(rng, BAND_NAMES[band]), pick(rng, NOUNS), pick(rng, OBJECTS)
    if chance(rng, BARE):
        return sentence(band)
    if chance(rng, MENTION):
        who = _join(_step(BUILDS, person.body.waist), who)
    clothes = [item for item in worn(person, band, rng) if chance(rng, MENTION)]
    things = [item for item in carried(person, band) if chance(rng, MENTION)]
    clothes = shuffled(rng, clothes)[: LONGEST - len(things)]
    start = sentence(band, name, noun, who)
    if chance(rng, 0.25):  # as a list of key words
        return ", ".join([_join(name, noun), who, *clothes, *things])
    dressed = _join(pick(rng, ("in", "wearing")), " and ".join(clothes)) if clothes else ""
    return _join(start, dressed, _join("with", " and ".join(things)) if things else "")


def words() -> list[str]:
    """Every word that a caption or a sentence of a band can hold, sorted."""
    tables = (HAIR_WORDS, HAT_WORDS, BAG_WORDS, LOWER_WORDS, WOVEN, PRINTED, PLAIN)
    scales = (HEMS, SLEEVES, SHOES, WIDTHS, BUILDS, GREYS, HUES, HAIRS)
    phrases = [phrase for table in tables for phrase in table.values()]
    phrases += [phrase for scale in scales for _, phrase in scale]
    phrases += [name for names in BAND_NAMES.values() for name in names]
    phrases += [*NOUNS, *OBJECTS, *OTHER_OBJECTS, *SHADES, *LINKS]
    return sorted({word for phrase in phrases for word in phrase.split()})
