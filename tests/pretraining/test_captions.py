"""What is said about rendered people: everything that they have, and nothing that the band does not show."""

from __future__ import annotations

import dataclasses
import re

import pytest

from promptreid.methods.dmpt.words import phrases_of, sentence_of
from promptreid.pretraining import captions
from promptreid.pretraining.captions import caption, sentence, words
from promptreid.pretraining.clip_training import Vocabulary
from promptreid.pretraining.colours import GREYS, HUES, brightness_of, colour_of
from promptreid.pretraining.images import generator
from promptreid.pretraining.images import identity as person_of
from promptreid.synthetic import BANDS, identity

SEED = 90_000
# "light grey" says grey; "light" and "orange" alone say colours as well.
COLOURS = {word for _, name in (*GREYS, *HUES) for word in name.split() if word != "dark"} | {"light", "brown"}


def said(people: int, band: str) -> list[str]:
    return [caption(person_of(SEED, pid), band, generator(SEED, "captions", pid)) for pid in range(people)]


@pytest.mark.parametrize("band", BANDS)
def test_the_same_generator_gives_the_same_caption(band: str) -> None:
    assert said(20, band) == said(20, band)
    assert len(set(said(200, band))) > 130


@pytest.mark.parametrize(
    ("band", "start"),
    [("visible", 0.6), ("near_infrared", 0.8), ("thermal_infrared", 0.8)],
)
def test_most_captions_name_the_band_and_no_caption_another(band: str, start: float) -> None:
    texts = said(300, band)
    own = captions.BAND_NAMES[band][0]
    assert sum(own in text for text in texts) / len(texts) > start
    others = [captions.BAND_NAMES[other][0] for other in BANDS if other != band]
    assert not [text for text in texts if any(re.search(rf"\b{name}\b", text) for name in others)]
    if band != "visible":
        assert all("infrared" in text for text in texts)


def test_colours_are_said_of_visible_pictures_only() -> None:
    def coloured(band: str) -> list[str]:
        return [text for text in said(300, band) if COLOURS & set(re.findall(r"\w+", text))]

    assert len(coloured("visible")) > 200
    assert coloured("near_infrared") == coloured("thermal_infrared") == []


@pytest.mark.parametrize("band", ["near_infrared", "thermal_infrared"])
def test_infrared_pictures_are_dark_or_bright_at_most(band: str) -> None:
    text = " ".join(said(300, band))
    assert "dark " in text
    assert "bright " in text


def test_the_sentences_are_those_that_dmpt_says() -> None:
    expected = [sentence_of(phrase, "person") for phrase in phrases_of(BANDS)]
    assert [sentence(band) for band in BANDS] == expected
    assert expected[2] == "a thermal-infrared photo of a person"
    assert set(expected) <= {text for band in BANDS for text in said(300, band)}


@pytest.mark.parametrize(
    ("field", "values", "phrases"),
    [
        ("hair", identity.HAIR, captions.HAIR_WORDS),
        ("hat", identity.HATS, captions.HAT_WORDS),
        ("bag", identity.BAGS, captions.BAG_WORDS),
    ],
)
def test_every_kind_of_hair_hat_and_bag_is_said(field: str, values: tuple[str, ...], phrases: dict[str, str]) -> None:
    assert set(phrases) == set(values)
    for value in set(values):
        texts = []
        for pid in range(40):
            person = dataclasses.replace(person_of(SEED, pid), **{field: value})
            texts.append(caption(person, "visible", generator(SEED, "captions", pid)))
        mine = sum(phrases[value] in text for text in texts) if phrases[value] else 0
        assert mine > 8 or value == "none"
        foreign = [word for kind, word in phrases.items() if kind != value and word and word not in phrases[value]]
        assert not [text for text in texts for word in foreign if re.search(rf"\b{word}\b", text)]


def test_every_garment_and_pattern_is_said() -> None:
    upper, lower = set(identity.UPPER_PATTERNS), set(identity.LOWER_PATTERNS)
    assert upper | lower == set(captions.WOVEN) | set(captions.PRINTED) | set(captions.PLAIN)
    assert set(identity.LOWER_KINDS) == set(captions.LOWER_WORDS)
    for band in BANDS:
        text = " ".join(said(1500, band))
        tables = (captions.WOVEN, captions.PRINTED, captions.PLAIN, captions.LOWER_WORDS)
        scales = (captions.HEMS, captions.SLEEVES, captions.SHOES, captions.WIDTHS, captions.BUILDS)
        phrases = [phrase for table in tables for phrase in table.values()]
        phrases += [phrase for scale in scales for _, phrase in scale]
        assert not [phrase for phrase in [*phrases, "scarf", "belt"] if phrase not in text]


def test_the_words_are_exactly_those_that_captions_use() -> None:
    found = {word for band in BANDS for text in said(1500, band) for word in re.findall(r"[\w-]+|,", text)}
    assert found <= set(words())
    assert set(words()) - found <= {*captions.OTHER_OBJECTS}


def test_sentences_fit_the_vocabulary_and_the_text_tower() -> None:
    vocabulary = Vocabulary(48)
    texts = [text for band in BANDS for text in said(300, band)]
    tokens = vocabulary(texts)
    assert tokens.shape == (900, 48)
    assert (tokens.argmax(dim=1) == (tokens == len(vocabulary) - 1).int().argmax(dim=1)).all()
    assert (vocabulary.ids[tokens].max(dim=1).values == 49407).all()
    assert (tokens[:, -1] > 0).float().mean() < 0.02  # the end is at the very end: nearly always it is not cut
    with pytest.raises(ValueError, match="'a photo of a zebra' holds a word that is in no caption"):
        vocabulary(["a photo of a person", "a photo of a zebra"])


@pytest.mark.parametrize(
    ("channels", "name"),
    [
        ((20, 20, 20), "black"), ((128, 128, 128), "grey"), ((240, 235, 230), "white"), ((200, 30, 30), "red"),
        ((60, 90, 50), "dark green"), ((170, 195, 255), "light blue"), ((120, 40, 160), "purple"),
        ((230, 220, 40), "yellow"), ((200, 40, 60), "red"), ((150, 100, 60), "orange"),
    ],
)  # fmt: skip
def test_names_of_colours(channels: tuple[int, int, int], name: str) -> None:
    assert colour_of(*channels) == name


def test_names_of_brightness() -> None:
    assert [brightness_of(level, 50, 185) for level in (50, 94, 96, 139, 141, 185)] == [
        "dark", "dark", "", "", "bright", "bright",
    ]  # fmt: skip
