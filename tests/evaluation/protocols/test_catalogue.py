"""Protocols by name."""

from __future__ import annotations

import numpy as np
import pytest

from promptreid.evaluation.protocols import (
    LLCMProtocol,
    MarketProtocol,
    Protocol,
    catalogue,
    register_protocol,
    registered_protocols,
)
from promptreid.evaluation.protocols.catalogue import all_protocols, find_protocols, oriented
from promptreid.evaluation.protocols.permutations import Permutations
from promptreid.evaluation.protocols.swapped import Swapped


@pytest.mark.parametrize("name", all_protocols())
def test_each_is_found_by_its_own_name(name: str) -> None:
    assert name in [protocol.name for protocol in find_protocols(name)]


@pytest.mark.parametrize(
    ("family", "count"),
    [("sysu-python", 4), ("sysu-python indoor", 2), ("llcm-paper", 2), ("regdb-split-1", 2), ("market1501", 1)],
)
def test_first_words_take_the_family(family: str, count: int) -> None:
    assert len(find_protocols(family)) == count


def test_the_official_draw_needs_its_file() -> None:
    with pytest.raises(ValueError, match=r"'sysu-official all 1-shot': it needs SYSU-MM01's rand_perm_cam\.mat"):
        find_protocols("sysu-official all 1-shot")
    permutations = Permutations({(1, 0): np.zeros((10, 1), dtype=np.int64)})
    assert len(find_protocols("sysu-official", permutations)) == 4


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sysu-pyton all 1-shot", "did you mean 'sysu-python all 1-shot'"),
        ("imagenet", "the families are market1501, "),
        ("sysu", "unknown"),
        ("", "unknown"),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_protocols(name)


def test_directions_follow_the_modalities() -> None:
    protocol = LLCMProtocol("visible-infrared")
    assert oriented(protocol, (["visible"], ["infrared"])) is protocol
    swapped = oriented(protocol, (["infrared"], ["visible"]))
    assert isinstance(swapped, Swapped) and swapped.protocol is protocol
    market = MarketProtocol()
    assert oriented(market, None) is market
    with pytest.raises(ValueError, match=r"llcm-paper visible-infrared: .* The modality is missing"):
        oriented(protocol, None)
    with pytest.raises(ValueError, match=r"are infrared\+visible-visible, expected one of"):
        oriented(protocol, (["infrared", "visible"], ["visible"]))


class Nearest(Protocol):
    """Everything against everything."""

    name = "nearest mine"
    rule = "none"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, Protocol]:
    monkeypatch.setattr(catalogue, "_registered", {})
    return catalogue._registered


def test_a_registered_protocol_is_found_like_the_others(registry: dict[str, Protocol]) -> None:
    mine = Nearest()
    register_protocol(mine)
    register_protocol(mine)
    assert registered_protocols() == {"nearest mine": mine}
    assert find_protocols("nearest") == find_protocols("nearest mine") == [mine]
    assert list(all_protocols())[-1] == "nearest mine"
    registered_protocols().clear()
    assert find_protocols("nearest") == [mine], "what is given is a copy"


def test_no_protocol_takes_the_name_of_another(registry: dict[str, Protocol]) -> None:
    register_protocol(Nearest())
    for protocol in (Nearest(), MarketProtocol(), MarketProtocol("sysu-official all 1-shot")):
        with pytest.raises(ValueError, match=f"there is another protocol '{protocol.name}': choose another name"):
            register_protocol(protocol)
    for name in ("", " ", "mine ", None):
        with pytest.raises(ValueError, match=r"MarketProtocol: its name .* must be a text"):
            register_protocol(MarketProtocol(name))
    with pytest.raises(TypeError, match="derived from Protocol"):
        register_protocol("market1501")
    assert list(registry) == ["nearest mine"]
