"""The pictures of ``promptreid show`` in a report, one of each run, side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from promptreid.visual.distances import distances_figure, gap_text
from promptreid.visual.figures import picture_bytes
from promptreid.visual.pages import data_uri
from promptreid.visual.prompts import copies_text, prompts_figure
from promptreid.visual.report.content import Block, Cell, Item, Picture, Section, Table, Text
from promptreid.visual.report.open_runs import OpenRuns, attempt
from promptreid.visual.report.run_files import RunFiles
from promptreid.visual.show import distances_of, inspected, show_attention, show_batch, show_embedding, show_ranks
from promptreid.visual.trained_run import TrainedRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from promptreid.models.inspection import Inspection

_DPI = {"png": 200, "jpeg": 180}
_WIDTH = "screen"
_SCALE = 1.4 * 96  # CSS pixels of an inch: a page's print is small on a screen
_TOPK = 8


def picture_of(figure: Figure, alt: str, caption: str, kind: str = "png") -> Picture:
    """A figure in the page.

    Args:
        figure: any.
        alt: what it shows.
        caption: below it.
        kind: ``"png"`` or, for photographs, ``"jpeg"``.
    """
    width, height = (round(_SCALE * inches) for inches in figure.get_size_inches())
    return Picture(data_uri(picture_bytes(figure, kind, _DPI[kind]), kind), alt, caption, width, height)


def ranks_section(runs: OpenRuns, title: str) -> Section:
    """Queries at random, the hardest ones, and those on which two runs differ most."""
    count, seed = runs.options.queries, runs.options.seed

    def drawn(run: TrainedRun, what: str, **settings: Any) -> list[Item]:
        figure = show_ranks(run, count=count, topk=_TOPK, seed=seed, width=_WIDTH, **settings)
        alt = (
            f"Ranked lists of {run.name}, {what}: in each row a query and the {_TOPK} gallery images that are nearest, "
            "each with its identity and camera, a tick for a match and a cross for none."
        )
        return [picture_of(figure, alt, f"{run.name}: {what}", "jpeg")]

    blocks = [
        Block(runs.of_each("Ranked lists", lambda run: drawn(run, "queries at random", choose="random")), "At random"),
        Block(runs.of_each("Hardest queries", lambda run: drawn(run, "hardest queries")), "Hardest queries", True),
    ]
    blocks += [_where_two_differ(runs, other, drawn) for other in runs.files[1:]]
    about = (
        "Under the first protocol of each run, its first trial. A blue frame with a tick is a match, an orange one "
        "with a cross is none. The lists at random are a fair sample, the hardest are not."
    )
    return Section("ranks", title, about, blocks)


def _where_two_differ(runs: OpenRuns, other: RunFiles, drawn: Callable[..., list[Item]]) -> Block:
    """A row of either run for each query on which it and the first run differ most."""
    first = runs.files[0]
    what = f"queries on which {first.name} and {other.name} differ most"

    def make() -> list[Item]:
        one, two = runs.opened(first), runs.opened(other)
        if one.results.protocol != two.results.protocol:
            protocols = f"{one.results.protocol} and {two.results.protocol}"
            return [Text(f"The two are tested under different protocols, {protocols}: there are no queries of both.")]
        return drawn(one, what, against=two)

    title = what[0].upper() + what[1:]
    return Block(attempt(title, make), title, folded=True)


def embedding_section(runs: OpenRuns, title: str) -> Section:
    """t-SNE of each run."""

    def drawn(run: TrainedRun) -> list[Item]:
        figure = show_embedding(run, seed=runs.options.seed, width=_WIDTH)
        alt = f"t-SNE of test images of {run.name} in three panels, coloured by identity, by camera and by band."
        return [picture_of(figure, alt, f"{run.name}: features of 16 identities at random")]

    about = "A good model has one cloud per identity, in which cameras and bands are mixed."
    return Section("embedding", title, about, [Block(runs.of_each("The embedding", drawn))])


def distances_section(runs: OpenRuns, title: str) -> Section:
    """Distances within and between identities and bands of each run."""

    def drawn(run: TrainedRun) -> list[Item]:
        pairs = distances_of(run, seed=runs.options.seed)
        figure = distances_figure(pairs, metric=run.cfg.test.dist_metric, width=_WIDTH, title=run.name)
        gap = gap_text(pairs)
        means = [f"{kind} {values.mean():.3g}" for kind, values in pairs.values.items() if len(values)]
        alt = f"Histograms of distances between test images of {run.name}; mean distances: {', '.join(means)}."
        return [picture_of(figure, alt, f"{run.name}: {gap}")]

    about = (
        "gap = (d(same identity, other band) − d(same identity, same band)) / d(other identity, same band), with d the "
        "mean distances: 0 if bands do not matter, 1 if a change of the band moves an image as far as another identity."
    )
    return Section("distances", title, about, [Block(runs.of_each("The distances", drawn))])


def attention_section(runs: OpenRuns, title: str) -> Section:
    """Where the class token and the prompts of each run look."""

    def drawn(run: TrainedRun) -> list[Item]:
        figure = show_attention(run, count=1, seed=runs.options.seed)
        alt = (
            f"Heat maps of {run.name} over a test image of each band: attention rollout, the class token's and each "
            "prompt's attention in one block."
        )
        return [picture_of(figure, alt, f"{run.name}: bright is where a token looks", "jpeg")]

    about = (
        "Each map has its own scale; the number below it is its largest value in multiples of the mean patch, so that "
        "1.1× is a map without a preference."
    )
    return Section("attention", title, about, [Block(runs.of_each("Attention", drawn), wide=True)])


def prompts_section(runs: OpenRuns, title: str) -> Section:
    """Cosines, lengths and copies of each run's prompts, and what attention they get."""

    numbers: list[Table] = []

    def drawn(run: TrainedRun) -> list[Item]:
        inspection = inspected(run, seed=runs.options.seed)
        numbers.extend([_lengths(run.name, inspection), _attention_shares(run.name, inspection)])
        figure = prompts_figure(inspection.prompts, width=_WIDTH, title=run.name)
        families = ", ".join(dict.fromkeys(each.family for each in inspection.prompts))
        alt = f"Maps of cosines between prompts of {run.name} ({families}), and their lengths by layer."
        return [picture_of(figure, alt, f"{run.name}: {'; '.join(copies_text(inspection.prompts))}")]

    about = (
        "Dark red off the diagonal are prompts that say the same; a cross marks copies. Prompts that depend on the "
        "image are means over test images."
    )
    figures = Block(runs.of_each("The prompts", drawn))
    more = [Block(numbers, "Lengths and attention in numbers", folded=True, below=True)] if numbers else []
    return Section("prompts", title, about, [figures, *more])


def batch_section(runs: OpenRuns, title: str) -> Section:
    """The first training batch of each run."""

    def drawn(run: TrainedRun) -> list[Item]:
        alt = f"Images of the first training batch of {run.name}, a row for each band, after augmentation."
        return [picture_of(show_batch(run, width=_WIDTH), alt, f"{run.name}: the first batch of its seed", "jpeg")]

    about = "What the models are trained on, after augmentation and back in the range of images."
    return Section("batch", title, about, [Block(runs.of_each("The training batch", drawn))])


def _lengths(name: str, inspection: Inspection) -> Table:
    rows = [
        [Cell(f"{each.family} {each.modality}".strip()), Cell(str(each.layer)), Cell(str(len(each.vectors)))]
        + [Cell(f"{float(value):.3g}") for value in (each.norms.min(), each.norms.mean(), each.norms.max())]
        + [Cell(f"{_other_cosine(each.cosines):.3f}" if len(each.vectors) > 1 else "–")]
        + [Cell(str(sum(len(group) - 1 for group in each.copies)))]
        for each in inspection.prompts
    ]
    head = ("Prompts", "Layer", "Count", "Shortest", "Mean length", "Longest", "Mean cosine", "Copies")
    return Table(f"{name}: prompts", head, rows, numbers=True)


def _other_cosine(cosines: Any) -> float:
    """Mean over different prompts."""
    count = len(cosines)
    return float((cosines.sum() - cosines.trace()) / (count * (count - 1)))


def _attention_shares(name: str, inspection: Inspection) -> Table:
    """Of the class token's attention, mean over images."""
    mass = {family: values.mean(dim=1).tolist() for family, values in inspection.mass().items()}
    rows = [
        [Cell(str(layer.layer)), *(Cell(f"{100 * values[number]:.1f}") for values in mass.values())]
        for number, layer in enumerate(inspection.layers)
    ]
    return Table(f"{name}: share of the class token's attention, %", ("Block", *mass), rows, numbers=True)
