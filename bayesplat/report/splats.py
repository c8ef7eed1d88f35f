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
from bayesplat.results import Posterior
from bayesplat.scaling import constant
from bayesplat.tables import evenly
from bayesplat.wording import beside, number

ALIKE = 0.9
"""Bhattacharyya coefficient from which two splats are called alike: with one input and equal widths, up to 0.9 sds
apart; in one place, up to 1.6 times as wide."""

ROWS = 20
"""Most splats listed."""

DRAWS = 400
"""Most draws searched for splats alike."""

HALF = 0.5
"""Share of its height, if that is below what counts as active, from which a splat is found again."""

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
    A, b, kinds = shown.A[:ROWS], shown.b[:ROWS], post.spec.mother.kinds
    draws = pooled(post.data, "posterior")[["A", "b", "amplitude"]]
    draws = draws.isel(sample=evenly(draws.sizes["sample"], DRAWS))
    amplitude = draws["amplitude"].values
    first = np.array([kinds.index(kinds[slot % len(kinds)]) for slot in range(amplitude.shape[1])])
    of_one_mother = first[shown.which[:ROWS], None] == first
    still = constant(shown.x)
    seen = ~still | still.all()  # where a splat is along the others, no data say
    alike = _alike(*_along(seen, A, b), *_along(seen, draws["A"].values, draws["b"].values)) & of_one_mother[:, None]
    heights = np.where(alike, amplitude, 0.0).sum(2)
    enough = np.minimum(least_active(post.data), HALF * np.abs(shown.amplitude[:ROWS]))
    cut = len(shown.b) > ROWS
    return Splats(A, b, shown.amplitude[:ROWS], shown.copies[:ROWS], heights, np.abs(heights) > enough[:, None], cut)


def _along(
    inputs: Bool[np.ndarray, " d"], A: Float[np.ndarray, "*s d d"], b: Float[np.ndarray, "*s d"]
) -> tuple[Float[np.ndarray, "*s e e"], Float[np.ndarray, "*s e"]]:
    """Splats as they are along some of the inputs: lower factors of those blocks of A A^T, and centres."""
    upper = np.linalg.qr(np.swapaxes(A[..., inputs, :], -1, -2), mode="r")
    signs = np.sign(np.diagonal(upper, axis1=-2, axis2=-1))
    return np.swapaxes(signs[..., None] * upper, -1, -2), b[..., inputs]


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
        "draws that have splats in the same place with the same shape, along all inputs that vary. Height where "
        "found: median and 90% interval over those draws."
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
