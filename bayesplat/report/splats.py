"""The splats that matter, as a table: those of one draw, and how firmly the other draws agree with each of them."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from bayesplat.devices import inference
from bayesplat.diagnostics.active import least_active
from bayesplat.diagnostics.pool import pooled
from bayesplat.priors.repulsion import log_bhattacharyya
from bayesplat.report.findings import TAILS, Findings, interval_of
from bayesplat.report.markup import Html, paragraph, table
from bayesplat.report.wording import beside, number
from bayesplat.results import Posterior
from bayesplat.tables import evenly

ALIKE = 0.9
"""Bhattacharyya coefficient from which two splats are called alike: with one input and equal widths, up to 0.9 sds
apart; in one place, up to 1.6 times as wide."""

ROWS = 20
"""Most splats listed."""

DRAWS = 400
"""Most draws searched for splats alike."""

FEWEST = 20
"""Draws below which no interval is given."""


class Splats(NamedTuple):
    """The splats of one draw, strongest first, and what all draws have in the place of each."""

    A: np.ndarray  # (m, d, d)
    b: np.ndarray  # (m, d)
    amplitude: np.ndarray  # (m,)
    copies: np.ndarray  # (m,) how many coincide there
    heights: np.ndarray  # (m, s) summed amplitude of the splats alike, in every draw searched
    present: np.ndarray  # (m, s) whether that sum matters
    cut: bool  # whether the draw has weaker ones

    @property
    def extent(self) -> Float[np.ndarray, "m d"]:
        """Sd of every splat along each input."""
        return np.sqrt(np.square(self.A).sum(2))


def splats(post: Posterior) -> Splats:
    """The splats that `plots.splats` shows, and their likes in the other draws."""
    # matplotlib, which comes with it, is only paid for by those who draw
    from bayesplat.plots.splats import select

    shown = select(post)
    A, b, kinds = shown.A[:ROWS], shown.b[:ROWS], len(post.spec.mother.kinds)
    draws = pooled(post.data, "posterior")[["A", "b", "amplitude"]]
    draws = draws.isel(sample=evenly(draws.sizes["sample"], DRAWS))
    amplitude = draws["amplitude"].values
    of_one_mother = (shown.which[:ROWS, None] - np.arange(amplitude.shape[1])) % kinds == 0
    alike = _alike(A, b, draws["A"].values, draws["b"].values) & of_one_mother[:, None]
    heights = np.where(alike, amplitude, 0.0).sum(2)
    active = np.abs(heights) > least_active(post.data)
    cut = len(shown.b) > ROWS
    return Splats(A, b, shown.amplitude[:ROWS], shown.copies[:ROWS], heights, active, cut)


def _alike(
    A: Float[np.ndarray, "m d d"],
    b: Float[np.ndarray, "m d"],
    A2: Float[np.ndarray, "s k d d"],
    b2: Float[np.ndarray, "s k d"],
) -> Bool[np.ndarray, "m s k"]:
    """Whether splats of other draws have the place and shape of these; one by one, which bounds memory."""
    d = b.shape[1]
    flat = A2.reshape(-1, d, d), b2.reshape(-1, d)
    alike = np.zeros((len(b), *b2.shape[:2]), bool)
    with inference():
        for i in range(len(b)):
            likeness = np.asarray(log_bhattacharyya(A[i : i + 1], b[i : i + 1], *flat))
            alike[i] = likeness.reshape(b2.shape[:2]) >= np.log(ALIKE)
    return alike


def splat_table(found: Findings) -> Html:
    """The table, and in words what it can and cannot say."""
    shown, names = splats(found.post), found.post.names[:-1]
    if not len(shown.b):
        return paragraph("No splat matters to f: the trend alone explains what is explained.")
    head = ["splat", *(f"{name}: centre (extent)" for name in names), "height", "found in", "height where found"]
    most = f"{ROWS} strongest " if shown.cut else ""
    caption = (
        f"Table 1. The {most}splats of the draw in Figure 2, strongest first. Extent: one sd of the splat along the "
        f"input. Height: at its peak, in units of {found.post.names[-1]}. Found in: share of {shown.present.shape[1]} "
        "draws that have splats in the same place with the same shape. Height where found: median and 90% interval "
        "over those draws."
    )
    rows = [_row(shown, i) for i in range(len(shown.b))]
    return Html(_explanation() + table(caption, head, rows, numeric=range(1, len(head))))


def _row(shown: Splats, i: int) -> list[str]:
    places = [
        f"{beside(float(b), float(extent))} ({beside(float(extent), float(extent))})"
        for b, extent in zip(shown.b[i], shown.extent[i], strict=True)
    ]
    copies = f" ×{shown.copies[i]}" if shown.copies[i] > 1 else ""
    there = shown.heights[i][shown.present[i]]
    again = f"{_middle(there)} ({interval_of(there)})" if there.size >= FEWEST else "too few draws"
    height = f"{number(float(shown.amplitude[i]))}{copies}"
    return [f"{i + 1}", *places, height, f"{shown.present[i].mean():.0%}", again]


def _middle(values: np.ndarray) -> str:
    """The median, as precise as the interval."""
    low, high = np.quantile(values, TAILS)
    return beside(float(np.median(values)), float(high - low))


def _explanation() -> Html:
    return paragraph(
        "Splats carry no labels: the first splat of one draw has no fixed counterpart in the next, and averages over "
        "draws would mix different splats. The table therefore lists the splats of one draw, and says of each in how "
        "many draws something like it is found (splats that coincide count together, and ×2 marks two of them). A "
        "splat found in few draws is one way among several to explain the data, not a feature of them; for what the "
        "data say about f, look at the bands."
    )
