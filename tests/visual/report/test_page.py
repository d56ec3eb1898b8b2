"""The page in a real browser: a quiet console, nothing that overlaps or hangs over, all reachable by keyboard."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from browser import ENTER, MISSING, TAB, Browser, browser
from PIL import Image
from reported_runs import Reported

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"no {MISSING} on this machine: apt-get install chromium-driver")

OVERLAPS = """
const leaves = [...document.querySelectorAll('h1,h2,h3,p,li,figure,.scroll,details,figcaption,img')];
const boxes = leaves.map(e => [e, e.getBoundingClientRect()]).filter(([, b]) => b.width && b.height);
const found = [];
for (const [a, p] of boxes) for (const [b, q] of boxes) {
  if (a === b || a.contains(b) || b.contains(a)) continue;
  const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
  const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
  if (wide > 1 && high > 1) found.push(a.tagName + ' ' + a.textContent.slice(0, 30) + ' | ' + b.tagName);
}
return found;
"""
HANGING = """
return [...document.querySelectorAll('body *')]
  .filter(e => !e.closest('.scroll table') && !e.matches('.skip') && e.getBoundingClientRect().right > innerWidth + 1)
  .map(e => e.tagName + ' ' + e.textContent.slice(0, 30));
"""
CONTRASTS = """
function light(colour) {
  const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function ground(e) {
  for (; e; e = e.parentElement) {
    const colour = getComputedStyle(e).backgroundColor;
    if (colour !== 'rgba(0, 0, 0, 0)') return colour;
  }
  return 'rgb(255, 255, 255)';
}
return Math.min(...[...document.querySelectorAll('h1,h2,p,a,td,th,small,figcaption,summary')].map(e => {
  const pair = [light(getComputedStyle(e).color), light(ground(e))].sort((a, b) => b - a);
  return (pair[0] + 0.05) / (pair[1] + 0.05);
}));
"""
FOCUSED = """
const e = document.activeElement;
return [e.tagName, e.textContent.trim().slice(0, 40), getComputedStyle(e).outlineStyle];
"""


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 800])
def test_it_is_whole_in_both_widths_and_schemes(window: Browser, reported: Reported, width: int, scheme: str) -> None:
    window.open(reported.page, width, scheme)
    window.js("document.querySelectorAll('details').forEach(e => e.open = true)")
    window.js("return document.body.offsetHeight")
    assert window.console() == []
    assert window.js("return [...document.images].filter(e => !e.complete || !e.naturalWidth).length") == 0
    assert window.js("return document.documentElement.scrollWidth <= innerWidth")
    assert window.js(HANGING) == []
    assert window.js(OVERLAPS) == []
    assert window.js(CONTRASTS) >= 4.5
    corner = Image.open(io.BytesIO(window.screenshot())).convert("L").getpixel((2, 2))
    assert corner > 200 if scheme == "light" else corner < 60


def test_runs_stand_side_by_side_where_there_is_room(window: Browser, reported: Reported) -> None:
    def tops(width: int) -> list[Any]:
        window.open(reported.page, width)
        return window.js(
            "return [...document.querySelectorAll('#embedding img')].map(e => e.getBoundingClientRect().top)"
        )

    assert len(set(tops(1400))) == 1 and len(set(tops(800))) == 2


def test_the_keyboard_reaches_everything(window: Browser, reported: Reported) -> None:
    window.open(reported.page, 1400)
    count = window.js("return document.querySelectorAll('a[href],summary,[tabindex=\"0\"]').length")
    closed = window.js("return document.querySelectorAll('details [tabindex=\"0\"]').length")
    stops = []
    for _ in range(count - closed):
        window.press(TAB)
        stops.append(window.js(FOCUSED))
    assert stops[0][:2] == ["A", "Skip to the content"]
    assert [text for tag, text, _ in stops if tag == "A"][1:] == [each.title for each in reported.report.sections]
    summaries = [block.title for each in reported.report.sections for block in each.blocks if block.folded]
    assert [text for tag, text, _ in stops if tag == "SUMMARY"] == [title[:40] for title in summaries]
    assert {line for *_, line in stops} == {"solid"}


def test_enter_follows_links_and_opens_what_is_folded(window: Browser, reported: Reported) -> None:
    window.open(reported.page, 1400)
    window.press(TAB)
    window.press(ENTER)
    assert window.js("return [location.hash, document.activeElement.id]") == ["#content", "content"]
    window.js("document.querySelector('summary').focus()")
    window.press(ENTER)
    assert window.js("return document.querySelector('details').open")
