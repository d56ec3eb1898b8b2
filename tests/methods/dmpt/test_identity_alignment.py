from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from dmpt_models import PEOPLE, TOWER, tiny_dmpt, triples

from promptreid.methods.dmpt.identity_alignment import IdentityAlignment
from promptreid.methods.dmpt.loss import DMPTLoss
from promptreid.models.backbones.clip_image import clip_config
from promptreid.models.backbones.clip_text import ClipText, create_text

PHRASES = ["visible", "near-infrared", "infrared"]
SENTENCES = [
    "a visible photo of a {} {} person",
    "a near-infrared photo of a {} {} person",
    "an infrared photo of a {} {} person",
]
WORDS = [("tall", "young"), ("old", "small"), ("dark", "happy")]  # each of one word piece


@pytest.fixture(scope="module")
def text() -> ClipText:
    torch.manual_seed(0)
    return ClipText(create_text(clip_config("ViT-B-16-quickgelu", TOWER))).eval()


@pytest.fixture
def alignment(text: ClipText) -> IdentityAlignment:
    module = IdentityAlignment(text, PHRASES, "person", len(WORDS), 2, 16, temperature=0.07)
    with torch.no_grad():
        for identity, words in enumerate(WORDS):
            pieces = [text.pieces(word) for word in words]
            assert all(len(piece) == 1 for piece in pieces)
            module.context[identity] = text.embeddings(torch.tensor(pieces).flatten())
    return module


@torch.no_grad()
def test_sentences_are_those_with_the_words_in_place(alignment: IdentityAlignment, text: ClipText) -> None:
    said = alignment.sentences()
    assert said.shape == (3, 3, 24)
    for modality, sentence in enumerate(SENTENCES):
        tokens = text.tokenise([sentence.format(*words) for words in WORDS])
        assert torch.allclose(said[modality], text.project(text.states(tokens), tokens), atol=1e-6)


@torch.no_grad()
def test_images_are_compared_with_the_sentences_of_their_modality(alignment: IdentityAlignment) -> None:
    torch.manual_seed(1)
    features, modality = torch.randn(5, 24), torch.tensor([0, 2, 1, 0, 2])
    logits, said = alignment(features, modality), alignment.sentences()
    for row, feature, of in zip(logits, features, modality, strict=True):
        assert torch.allclose(row, F.cosine_similarity(feature[None], said[of], dim=1) / 0.07, atol=1e-5)


def test_only_the_words_learn_and_are_saved(alignment: IdentityAlignment) -> None:
    alignment(torch.randn(4, 24), torch.tensor([0, 1, 2, 0])).logsumexp(dim=1).sum().backward()
    assert [name for name, _ in alignment.named_parameters()] == ["context"]
    assert (alignment.context.grad.flatten(1).abs().amax(dim=1) > 0).all()
    assert list(alignment.state_dict()) == ["context", "text.digest"]
    without = IdentityAlignment(None, PHRASES, "person", 3, 2, 16)
    with pytest.raises(ValueError, match="text_from_state=False"):
        without(torch.randn(4, 24), torch.tensor([0, 1, 2, 0]))


def test_the_loss_asks_each_present_image_for_its_identity() -> None:
    model, batch = tiny_dmpt(alignment_of="identity", context_words=2, temperature=0.07).train(), triples()
    batch["present"][1, 0] = batch["present"][3, 2] = False
    output, pids = model(batch), torch.tensor([4, 4, 0, 2])
    assert output["alignment_logits"].shape == (10, PEOPLE)
    part = DMPTLoss(alignment_of="identity")(output, pids)[1]["alignment"]
    labels = [int(pid) for pid, flags in zip(pids, batch["present"], strict=True) for there in flags if there]
    expected = F.cross_entropy(output["alignment_logits"], torch.tensor(labels))
    assert torch.allclose(part, expected)
    with torch.no_grad():
        other = {**batch, "modality": batch["modality"].flip(1)}
        assert not torch.allclose(model(other)["alignment_logits"], output["alignment_logits"], atol=1e-3)


def test_weights_go_to_data_with_other_people() -> None:
    """They are for training alone, as the classifier is."""
    from promptreid.models.weights import load_matching

    model = tiny_dmpt(alignment_of="identity", context_words=2)
    state = {**model.state_dict(), "alignment.context": torch.zeros(9, 2, 16)}
    with torch.no_grad():
        expected = model.eval()(triples())
        load_matching(model, state, "run", optional=model.training_only)
        assert torch.equal(model(triples()), expected)
    with pytest.raises(ValueError, match="alignment_of must be"):
        DMPTLoss(alignment_of="colour")
