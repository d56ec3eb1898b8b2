from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from dmpt_models import TOWER

from promptreid.methods.dmpt.alignment import ContextAlignment, TextAlignment
from promptreid.methods.dmpt.words import TextConstant, phrases_of, sentence_of, text_layers, word_constants
from promptreid.models.backbones.clip_image import clip_config, import_open_clip
from promptreid.models.backbones.clip_text import ClipText, create_text

NAMES = ("visible", "near_infrared", "thermal_infrared")
PHRASES = ["visible", "near-infrared", "thermal-infrared"]


def text_tower(**changes) -> ClipText:
    torch.manual_seed(0)
    config = clip_config("ViT-B-16-quickgelu", {**TOWER, "text_cfg": {**TOWER["text_cfg"], **changes}})
    return ClipText(create_text(config)).eval()


@pytest.fixture(scope="module")
def text() -> ClipText:
    return text_tower()


def test_phrases_and_sentences():
    assert phrases_of(NAMES) == PHRASES
    assert sentence_of("near-infrared", "person") == "a near-infrared photo of a person"
    assert sentence_of("infrared", "vehicle") == "an infrared photo of a vehicle"
    assert phrases_of(("event", "visible"), {"event": "event-camera", "visible": "colour"}) == [
        "event-camera",
        "colour",
    ]
    with pytest.raises(ValueError, match=r"no words for the modalities \['depth_map'\].*'depth_map': 'depth-map'"):
        phrases_of(("visible", "depth_map"))
    with pytest.raises(ValueError, match="no words"):
        phrases_of(("visible",), {"visible": " "})


@torch.no_grad()
def test_features_are_open_clips(text):
    sentences = [sentence_of(phrase, "person") for phrase in PHRASES]
    tokens = text.tokenise(sentences)
    theirs = import_open_clip().tokenizer.SimpleTokenizer(context_length=20)(sentences)
    assert torch.equal(tokens, theirs)
    ours = text.project(text.states(tokens), tokens)
    assert torch.allclose(ours, F.normalize(text.text(theirs), dim=-1), atol=1e-6)


@torch.no_grad()
def test_without_a_causal_mask_the_padding_counts():
    text = text_tower(no_causal_mask=True)
    tokens = text.tokenise(["a photo"])
    assert torch.allclose(text.project(text.states(tokens), tokens), F.normalize(text.text(tokens), dim=-1), atol=1e-6)


@torch.no_grad()
def test_context_stands_between_start_and_words(text):
    """Words given as their embeddings are the same as words."""
    words = text.embeddings(torch.tensor(text.pieces("blurry bright")))
    tokens = text.tokenise(["photo of a person"], room=2)
    with_context = text.project(text.states(tokens, words), tokens, 2)
    whole = text.tokenise(["blurry bright photo of a person"])
    assert torch.allclose(with_context, text.project(text.states(whole), whole), atol=1e-6)


def test_long_sentences_are_refused_and_not_cut(text):
    fits = "a " * 18
    assert text.tokenise([fits]).shape == (1, 20)
    with pytest.raises(
        ValueError, match="takes 21 tokens with start, end and 0 words of context; the text tower has 20"
    ):
        text.tokenise([fits + "a"])
    with pytest.raises(ValueError, match="takes 21 tokens with start, end and 1 words of context"):
        text.tokenise([fits], room=1)


def test_vocabularies_that_are_not_clips():
    with pytest.raises(ValueError, match="vocab_size=100 is smaller than CLIP's vocabulary of 49408"):
        text_tower(vocab_size=100)
    with pytest.raises(ValueError, match="text tower cannot be used"):
        text_tower(pool_type="last")


@torch.no_grad()
def test_states_are_taken_at_the_words_and_filled_up_with_the_end(text):
    constants = word_constants(text, PHRASES, "person", 4)
    assert constants.shape == (3, 4, 16)
    for phrase, row in zip(PHRASES, constants, strict=True):
        tokens = text.tokenise([sentence_of(phrase, "person")])
        states = text.states(tokens)[0]
        pieces = text.pieces(phrase)
        end = len(text.pieces(sentence_of(phrase, "person"))) + 1
        # start, "a", then the phrase
        expected = [*states[2 : 2 + len(pieces)], *[states[end]] * (4 - len(pieces))]
        assert torch.allclose(row, torch.stack(expected), atol=1e-6)
    assert torch.equal(constants[0, 1], constants[0, 3])
    assert not torch.allclose(constants[0, 0], constants[1, 0])


@torch.no_grad()
def test_other_sources(text):
    embeddings = word_constants(text, PHRASES, "person", 4, "embeddings")
    visible, end = text.text.token_embedding.weight[text.pieces("visible")[0]], text.text.token_embedding.weight[49407]
    assert torch.equal(embeddings[0], torch.stack([visible, end, end, end]))
    sentence = word_constants(text, PHRASES, "vehicle", 4, "sentence")
    tokens = text.tokenise([sentence_of(phrase, "vehicle") for phrase in PHRASES])
    assert torch.equal(sentence, text.project(text.states(tokens), tokens)[:, None])


def test_phrases_longer_than_the_prompts(text):
    pieces = len(text.pieces("near-infrared"))
    assert 2 <= pieces <= 4, "the default of 4 holds the known phrases"
    assert max(len(text.pieces(phrase)) for phrase in (*PHRASES, "infrared")) <= 4
    message = f"'near-infrared' is {pieces} word pieces long and word_length is 1; set it to {pieces} or more"
    with pytest.raises(ValueError, match=message):
        word_constants(text, PHRASES, "person", 1)


def test_a_constant_that_a_state_dict_has_to_bring():
    known, empty = TextConstant(torch.randn(3, 4)), TextConstant((3, 4))
    with pytest.raises(ValueError, match=r"text_from_state=True.*load the trained model's state dict first"):
        empty()
    empty.load_state_dict(empty.state_dict())
    with pytest.raises(ValueError, match="load the trained model's state dict first"):
        empty()
    empty.load_state_dict(known.state_dict())
    assert torch.equal(empty(), known())


def test_alignment_is_a_cosine_over_a_temperature():
    torch.manual_seed(0)
    sentences, features = F.normalize(torch.randn(3, 6), dim=1), torch.randn(5, 6)
    logits = TextAlignment(TextConstant(sentences), 0.5)(features)
    expected = torch.stack([F.cosine_similarity(features, sentence[None]) for sentence in sentences], dim=1) / 0.5
    assert torch.allclose(logits, expected, atol=1e-6)


def test_only_the_context_learns():
    alignment = ContextAlignment(text_tower(), PHRASES, "person", 3, 16).train()
    alignment(torch.randn(4, 24)).square().sum().backward()
    assert [name for name, _ in alignment.named_parameters()] == ["context"]
    assert alignment.context.grad.abs().sum() > 0
    assert list(alignment.state_dict()) == ["context", "text.digest"]
    with pytest.raises(ValueError, match="text_from_state=False"):
        ContextAlignment(None, PHRASES, "person", 3, 16)(torch.randn(4, 24))


@torch.no_grad()
def test_the_end_of_the_text_and_the_states_between_layers(text):
    end = word_constants(text, PHRASES, "person", 4, "end")
    layers = word_constants(text, PHRASES, "person", 4, "layers", (0, 2, 1))
    assert end.shape == (3, 1, 16) and layers.shape == (3, 3, 4, 16)
    for phrase, at_end, of_layers in zip(PHRASES, end, layers, strict=True):
        tokens = text.tokenise([sentence_of(phrase, "person")])
        place = int(tokens.argmax())
        assert torch.allclose(at_end[0], text.states(tokens)[0, place], atol=1e-6)
        states = [text.text.token_embedding(tokens) + text.text.positional_embedding]
        for block in text.text.transformer.resblocks:
            states.append(block(states[-1], attn_mask=text.text.attn_mask))
        for row, layer in zip(of_layers, (0, 2, 1), strict=True):
            normal = F.layer_norm(states[layer][0], (16,))
            assert torch.allclose(row[0], normal[2], atol=1e-5), "the first word piece, behind start and article"
            pieces = len(text.pieces(phrase))
            assert torch.allclose(row[pieces - 1], normal[1 + pieces], atol=1e-5)
            assert torch.allclose(row[3], normal[place if pieces < 4 else 5], atol=1e-5)


def test_text_layers_go_with_blocks_by_their_share_of_the_depth():
    assert text_layers(range(1, 13), 12, 12) == list(range(12))
    assert text_layers([1, 4, 6], 6, 4) == [0, 2, 3]
    assert text_layers([2, 3, 4], 4, 2) == [0, 1, 2]
