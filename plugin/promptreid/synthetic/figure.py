"""From a person and a pose to layers of polygons, painted one over the other.

Coordinates are body heights: x to the right from the middle of the body, y down from the crown (0) to the soles (1).
"""

from __future__ import annotations

from math import sqrt

from promptreid.synthetic.frames import Frame, Pose
from promptreid.synthetic.identity import Identity
from promptreid.synthetic.layers import Layer
from promptreid.synthetic.materials import Part
from promptreid.synthetic.patterns import Point, Polygon, octagon, pattern_polygons, rectangle

NECK, SHOULDER, CHEST, WAIST, HIP, KNEE, ANKLE = 0.145, 0.185, 0.29, 0.41, 0.50, 0.73, 0.95
UPPER_ARM, FOREARM = 0.165, 0.15


def _between(start: Point, end: Point, share: float) -> Point:
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


def limb(start: Point, end: Point, wide: float, narrow: float) -> Polygon:
    """A straight piece of arm or leg with half widths ``wide`` at ``start`` and ``narrow`` at ``end``."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = sqrt(dx * dx + dy * dy)
    nx, ny = -dy / length, dx / length
    return [
        (start[0] + nx * wide, start[1] + ny * wide), (end[0] + nx * narrow, end[1] + ny * narrow),
        (end[0] - nx * narrow, end[1] - ny * narrow), (start[0] - nx * wide, start[1] - ny * wide),
    ]  # fmt: skip


def _legs(person: Identity, pose: Pose) -> list[tuple[Point, Point, Point]]:
    """Hip, knee and ankle of both legs."""
    legs = []
    for side in (-1, 1):
        hip = (side * 0.52 * person.body.hip, person.body.crotch)
        stride = side * pose.stride
        lift = pose.lift if (stride > 0) == (side > 0) else 0.0
        knee = (hip[0] + 0.45 * stride, KNEE - lift / 2)
        legs.append((hip, knee, (hip[0] + stride, ANKLE - lift)))
    return legs


def _leg_pieces(leg: tuple[Point, Point, Point], until: float, thigh: float, calf: float) -> list[Polygon]:
    """A leg, or the trouser leg on it, from the hip down to the height ``until``."""
    hip, knee, ankle = leg
    if until <= knee[1]:
        return [limb(hip, _between(hip, knee, (until - hip[1]) / (knee[1] - hip[1])), thigh, thigh)]
    below = min(1.0, (until - knee[1]) / (ankle[1] - knee[1]))
    joint = (thigh + calf) / 2
    return [limb(hip, knee, thigh, joint), limb(knee, _between(knee, ankle, below), joint, calf)]


def _shoes(person: Identity, legs: list[tuple[Point, Point, Point]]) -> Layer:
    polygons: list[Polygon] = []
    for side, (_, knee, ankle) in zip((-1, 1), legs, strict=True):
        size = 0.028 * person.lower.shoe_size
        polygons.append(octagon(ankle[0] + side * 0.3 * size, ankle[1] + 0.02, 1.25 * size, 0.03))
        if person.lower.shoe_top < ANKLE:
            share = (person.lower.shoe_top - knee[1]) / (ankle[1] - knee[1])
            polygons.append(limb(_between(knee, ankle, share), ankle, 1.2 * size, size))
    return Layer(Part.SHOES, polygons)


def _skirt(person: Identity, pose: Pose) -> Polygon:
    hip, hem = person.body.hip, person.lower.hem
    wide = hip * (0.95 + 0.35 * person.lower.width) + abs(pose.stride) * 0.4
    return [
        (-person.body.waist, WAIST), (person.body.waist, WAIST), (hip, HIP), (wide, hem), (-wide, hem), (-hip, HIP),
    ]  # fmt: skip


def _lower(person: Identity, pose: Pose) -> list[Layer]:
    body, lower, legs = person.body, person.lower, _legs(person, pose)
    bare = [piece for leg in legs for piece in _leg_pieces(leg, ANKLE, 0.040 * body.limb, 0.022 * body.limb)]
    seat = [
        (-body.waist, WAIST), (body.waist, WAIST), (body.hip, HIP), (body.hip, body.crotch + 0.02),
        (-body.hip, body.crotch + 0.02), (-body.hip, HIP),
    ]  # fmt: skip
    if lower.kind in ("skirt", "long_skirt"):
        cloth = [_skirt(person, pose)]
    else:
        thigh, calf = 0.046 * body.limb * (0.6 + 0.4 * lower.width), 0.032 * body.limb * lower.width
        cloth = [seat] + [piece for leg in legs for piece in _leg_pieces(leg, lower.hem, thigh, calf)]
    layers = [Layer(Part.SKIN, bare), _shoes(person, legs), Layer(Part.LOWER, cloth)]
    if lower.pattern.kind == "seam":
        seams = [piece for leg in legs for piece in _leg_pieces(leg, lower.hem, 0.014, 0.012)]
        return [*layers, Layer(Part.LOWER_ACCENT, seams, Part.LOWER)]
    return [*layers, Layer(Part.LOWER_ACCENT, pattern_polygons(lower.pattern, WAIST, lower.hem), Part.LOWER)]


def _torso(person: Identity) -> list[Layer]:
    body, upper = person.body, person.upper
    right = [(0.6 * body.head, NECK + 0.015), (body.shoulder, SHOULDER), (0.92 * body.shoulder, CHEST)]
    right += [(1.04 * body.waist, WAIST)] if upper.hem > WAIST + 0.02 else []
    right += [(1.06 * body.hip, HIP)] if upper.hem > HIP + 0.02 else []
    right += [((1.08 * body.hip if upper.hem > HIP else 1.06 * body.waist) * upper.flare, upper.hem)]
    outline = right + [(-x, y) for x, y in reversed(right)]
    layers = [
        Layer(Part.UPPER, [outline]),
        Layer(Part.UPPER_ACCENT, pattern_polygons(upper.pattern, SHOULDER, upper.hem), Part.UPPER),
    ]
    if upper.belt:
        layers.append(Layer(Part.BELT, [rectangle(-0.2, WAIST - 0.018, 0.2, WAIST + 0.018)], Part.UPPER))
        layers.append(Layer(Part.BELT, [rectangle(-0.2, WAIST - 0.018, 0.2, WAIST + 0.018)], Part.UPPER_ACCENT))
    return layers


def _arms(person: Identity, pose: Pose) -> tuple[list[Layer], list[Point]]:
    """The arms, and where the hands are."""
    body, sleeve = person.body, person.upper.sleeve
    skin: list[Polygon] = []
    cloth: list[Polygon] = []
    hands: list[Point] = []
    for index, side in enumerate((-1, 1)):
        shoulder = (side * 0.93 * body.shoulder, SHOULDER + 0.025)
        elbow = (shoulder[0] + side * (0.012 + pose.swing[index]), shoulder[1] + UPPER_ARM)
        hand = (elbow[0] + side * (pose.swing[index] / 2 - pose.elbow[index]), elbow[1] + FOREARM)
        thick = 0.026 * body.limb
        skin += [limb(shoulder, elbow, thick, 0.8 * thick), limb(elbow, hand, 0.8 * thick, 0.6 * thick)]
        skin.append(octagon(hand[0], hand[1] + 0.012, 0.018, 0.022))
        if sleeve > 0:
            upper_end = _between(shoulder, elbow, min(1.0, 2 * sleeve))
            cloth += [octagon(*shoulder, 1.15 * thick, 0.03), limb(shoulder, upper_end, 1.2 * thick, 1.15 * thick)]
        if sleeve > 0.5:
            cloth.append(limb(elbow, _between(elbow, hand, 2 * sleeve - 1), 1.15 * thick, thick))
        hands.append(hand)
    part = Part.UPPER_ACCENT if person.upper.sleeve_accent else Part.UPPER
    return [Layer(Part.SKIN, skin), Layer(part, cloth)], hands


def _head(person: Identity, from_behind: bool) -> list[Layer]:
    size, centre = person.body.head, 0.078
    face = octagon(0.0, centre, 0.78 * size, size * 1.12)
    layers = [Layer(Part.SKIN, [rectangle(-0.45 * size, centre, 0.45 * size, NECK + 0.03), face])]
    if person.scarf:
        layers.append(Layer(Part.SCARF, [octagon(0.0, NECK + 0.012, 1.15 * size, 0.028)]))
    layers.append(Layer(Part.HAIR, _hair(person, from_behind, size, centre)))
    return [*layers, Layer(Part.HAT, _hat(person.hat, size, centre))]


def _hair(person: Identity, from_behind: bool, size: float, centre: float) -> list[Polygon]:
    if person.hair == "bald":
        return []
    cap = octagon(0.0, centre - 0.55 * size, 0.88 * size, 0.66 * size)
    polygons = [octagon(0.0, centre - 0.1 * size, 0.86 * size, 1.05 * size) if from_behind else cap]
    if person.hair == "afro":
        polygons.append(octagon(0.0, centre - 0.6 * size, 1.4 * size, 0.85 * size))
    if person.hair == "bun":
        polygons.append(octagon(0.0, centre - 1.35 * size, 0.5 * size, 0.42 * size))
    if person.hair == "long":
        bottom = centre + 1.6 * size * person.hair_length
        for side in (-1, 1):
            inner, outer = side * (0.0 if from_behind else 0.5 * size), side * 1.05 * size
            polygons.append(rectangle(min(inner, outer), centre - 0.5 * size, max(inner, outer), bottom))
    return polygons


def _hat(hat: str, size: float, centre: float) -> list[Polygon]:
    if hat == "none":
        return []
    crown = octagon(0.0, centre - 0.75 * size, 0.95 * size, 0.6 * size)
    if hat == "brim":
        return [crown, rectangle(-1.6 * size, centre - 0.55 * size, 1.6 * size, centre - 0.25 * size)]
    if hat == "cap":
        return [crown, rectangle(0.0, centre - 0.55 * size, 1.5 * size, centre - 0.28 * size)]
    return [crown, octagon(0.0, centre - 1.4 * size, 0.3 * size, 0.25 * size)]


def _bag_behind(person: Identity, from_behind: bool) -> list[Layer]:
    """The part of a backpack that shows on both sides of the body of someone who comes towards the camera."""
    if person.bag != "backpack" or from_behind:
        return []
    wide = person.body.shoulder + 0.018 * person.bag_size
    return [Layer(Part.BAG, [octagon(0.0, 0.3, wide, 0.11 * person.bag_size)])]


def _bag(person: Identity, from_behind: bool, hands: list[Point]) -> list[Layer]:
    side, size, body = person.bag_side, person.bag_size, person.body
    if person.bag == "backpack":
        if from_behind:
            return [Layer(Part.BAG, [octagon(0.0, 0.31, 0.85 * body.shoulder * size, 0.115 * size)])]
        straps = [rectangle(x - 0.012, SHOULDER - 0.015, x + 0.012, 0.37) for x in (-0.055, 0.055)]
        return [Layer(Part.BAG, straps)]
    if person.bag == "sling":
        strap = limb((-side * 0.07, SHOULDER - 0.015), (side * body.hip, 0.47), 0.012, 0.012)
        return [Layer(Part.BAG, [strap, octagon(side * 1.1 * body.hip, 0.50, 0.045 * size, 0.05 * size)])]
    if person.bag in ("handbag", "tote"):
        x, y = hands[(side + 1) // 2]
        half, depth = (0.042 * size, 0.07 * size) if person.bag == "handbag" else (0.055 * size, 0.15 * size)
        handle = rectangle(x - 0.008, y, x + 0.008, y + 0.05)
        return [Layer(Part.BAG, [handle, rectangle(x - half, y + 0.04, x + half, y + 0.04 + depth)])]
    return []


def figure(person: Identity, frame: Frame) -> list[Layer]:
    """The layers of a person at one moment, from the back to the front."""
    arms, hands = _arms(person, frame.pose)
    return [
        *_bag_behind(person, frame.from_behind),
        *_lower(person, frame.pose),
        *_torso(person),
        *arms,
        *_head(person, frame.from_behind),
        *_bag(person, frame.from_behind, hands),
    ]
