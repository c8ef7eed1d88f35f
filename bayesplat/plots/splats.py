"""The splats of a fit, read off one by one: curves, ellipses or bars."""

from itertools import cycle
from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from bayesplat._checks import BayesplatError
from bayesplat.devices import inference
from bayesplat.diagnostics.pool import picks
from bayesplat.evaluate import evaluate, heights
from bayesplat.flow.result import PointFit
from bayesplat.measure import SplatMeasure
from bayesplat.plots import style
from bayesplat.plots.inputs import variable
from bayesplat.results import Posterior
from bayesplat.tables import evenly
from bayesplat.trend import trend_features

NEGLIGIBLE = 0.01
"""Splats whose term's root mean square over the data is below this share of the largest are left out."""

SAME = 0.1
"""A splat is a copy of a stronger one if their terms differ by less than this share of it, in root mean square."""

BARS = 30
"""Most bars shown."""

OTHERS = 20
"""Other draws of a posterior whose splats are drawn faintly behind: how sure the splats are."""

FAINT = 0.2
"""Centres of other draws are shown for splats whose amplitude is above this share of the largest."""


type Others = list[tuple[SplatMeasure, np.ndarray]]
"""Splats and trend of other draws."""


class Shown(NamedTuple):
    """The splats worth showing, strongest first, copies of the same splat once; and the data."""

    fit: PointFit | Posterior
    which: np.ndarray  # (m,) among the k splats of the measure
    A: np.ndarray  # (m, d, d)
    b: np.ndarray  # (m, d)
    amplitude: np.ndarray  # (m,)
    size: np.ndarray  # (m,) root mean square of the term over the data
    copies: np.ndarray  # (m,) how many splats coincide there; each of them has this amplitude
    measure: SplatMeasure
    trend: np.ndarray  # (t,)
    x: np.ndarray  # (n, d)
    y: np.ndarray  # (n,)
    title: str


def splats(fit_or_post: object, ax: Axes | None = None) -> Figure:
    """Every splat that matters: curves on top of the trend (one input), ellipses of one sd (two), bars (more).

    fit_or_post: a PointFit, or a Posterior, of which the draw with the highest log density is shown, and with one or
    two inputs faintly behind it the splats of other draws: where these scatter, splats are unsure, whatever f is.
    Returns the figure. Raises BayesplatError for another object.
    """
    shown = select(fit_or_post)
    names, d = shown.fit.names, shown.x.shape[1]
    with style.look():
        wide, high = max(7.0, 4.3 + 0.56 * d), 1.6 + 0.24 * len(shown.size)  # a column for every input
        figure, (panel,) = style.canvas(ax, (6.5, 4.3) if d < 3 else (wide, high))
        if d > 2:
            _bars(panel, shown)
        else:
            (_curves if d == 1 else _ellipses)(panel, shown, _others(fit_or_post))
            panel.set_xlabel(style.wrap(names[0], 70))
            panel.set_ylabel(style.wrap(names[1], 40))
        panel.set_title(style.wrap(shown.title, style.letters(panel) if ax else 80 if d < 3 else 56))
        style.legend(panel, ax is None, columns=4)
        return figure


def select(fit: object) -> Shown:
    """The splats of a PointFit, or of the draw of a Posterior with the highest log density, and what to call them."""
    if isinstance(fit, PointFit):
        measure, trend = fit.measure, fit.trend
        x, y, note = fit.x, fit.y, ""
    elif isinstance(fit, Posterior):
        lp, weights = variable(fit, "sample_stats", "lp").values, fit.chain_weights
        lp = np.where((weights == weights.max())[:, None], lp, -np.inf)
        chain, draw = (int(i) for i in np.unravel_index(np.nanargmax(lp), lp.shape))
        measure, trend = _drawn(fit, fit.data["posterior"].to_dataset().isel(chain=chain, draw=draw))
        x, y = variable(fit, "constant_data", "x").values, variable(fit, "observed_data", "y").values
        among = "" if np.isfinite(lp).all() else " in the chains of largest weight,"
        note = f"\nDraw of highest log density{among} among {np.isfinite(lp).sum()}: chain {chain}, draw {draw}"
    else:
        raise BayesplatError(f"Expected a PointFit or a Posterior, got {type(fit).__name__}.")
    live = np.asarray(measure.live)
    with inference():
        amplitude, terms = _amplitude(measure), _terms(measure, x)
    size = np.sqrt(np.mean(np.square(terms), axis=0))
    order = np.argsort(-size)
    order = order[(size[order] > 0) & (size[order] >= NEGLIGIBLE * size.max())]
    title = f"{len(order)} of {len(live)} splats shown"
    if len(order) < len(live):
        title += f"; dead ones and those below {NEGLIGIBLE:.0%} of the largest left out"
    order, copies = _distinct(terms, size, order)
    if x.shape[1] > 2 and len(order) > BARS:
        order, copies, title = order[:BARS], copies[:BARS], f"The {BARS} largest of {len(live)} splats shown"
    if (copies > 1).any():
        title += f"\n{len(order)} distinct ones: ×2 stands for two in one place, each about as high as drawn"
    A, b = np.asarray(measure.A)[order], np.asarray(measure.b)[order]
    return Shown(fit, order, A, b, amplitude[order], size[order], copies, measure, trend, x, y, title + note)


def _drawn(post: Posterior, draw: xr.Dataset) -> tuple[SplatMeasure, np.ndarray]:
    """Splats and trend of one draw."""
    v, A, b, trend = (draw[name].values for name in ("v", "A", "b", "trend"))
    return SplatMeasure(v[:, None], A, b, np.ones(len(v), bool), post.spec.mother), trend


def _others(fit: object) -> Others:
    """Splats and trend of draws of a Posterior, evenly spread over the chains by their weights; none of a PointFit."""
    if not isinstance(fit, Posterior):
        return []
    posterior = fit.data["posterior"].to_dataset()
    mixture = picks(fit.chain_weights, posterior.sizes["draw"])
    places = (divmod(int(s), posterior.sizes["draw"]) for s in mixture[evenly(mixture.size, OTHERS)])
    return [_drawn(fit, posterior.isel(chain=chain, draw=draw)) for chain, draw in places]


def _amplitude(measure: SplatMeasure) -> np.ndarray:
    """Amplitudes (k,) of the one output; 0 of dead splats."""
    return np.where(np.asarray(measure.live), np.asarray(measure.amplitude)[:, 0], 0.0)


def _terms(measure: SplatMeasure, x: np.ndarray) -> np.ndarray:
    """What every splat adds to f at x (m, d), shape (m, k)."""
    return _amplitude(measure) * np.asarray(heights(measure.A, measure.b, x, measure.mother))


def _distinct(
    terms: Float[np.ndarray, "n k"], size: Float[np.ndarray, " k"], order: Int[np.ndarray, " m"]
) -> tuple[Int[np.ndarray, " u"], Int[np.ndarray, " u"]]:
    """Splats with different terms, in the same order, and how many copies each has."""
    kept: list[int] = []
    copies: list[int] = []
    for i in order:
        apart = [np.sqrt(np.mean(np.square(terms[:, i] - terms[:, j]))) / size[j] for j in kept]
        if apart and min(apart) < SAME:
            copies[int(np.argmin(apart))] += 1
        else:
            kept.append(int(i))
            copies.append(1)
    return np.array(kept, int), np.array(copies, int)


def _curves(ax: Axes, shown: Shown, others: Others) -> None:
    scaling, spec = shown.fit.scaling, shown.fit.spec
    grid = style.along(shown.x[:, 0], shown.x[:, 0], 400)
    x = grid[:, None]
    with inference():
        features = np.asarray(trend_features(spec.trend, scaling.to_box(x)))
        terms = _terms(shown.measure, x)[:, shown.which]
        total = np.asarray(evaluate(shown.measure, x))[:, 0]
        faint = [(_terms(measure, x), features @ trend) for measure, trend in others]
    base, least = scaling.mean + features @ shown.trend, NEGLIGIBLE * np.abs(terms).max(initial=0.0)
    style.dots(ax, shown.x[:, 0], shown.y, style.PALE, 0.8)
    for other, trend in faint:
        seen = other[:, np.abs(other).max(axis=0) > least]
        ax.plot(grid, scaling.mean + trend[:, None] + seen, color=style.GREY, lw=0.5, alpha=0.2, zorder=1.4)
    if faint:
        ax.plot([], [], color=style.GREY, lw=0.5, label=f"the same in {len(faint)} other draws")
    ax.plot(grid, base + total, color=style.PALE, lw=4, alpha=0.8, label="trend + all splats", zorder=1.6)
    for i, (term, colour) in enumerate(zip(terms.T, cycle(style.CYCLE), strict=False)):
        line = ("-", "--", "-.")[i // len(style.CYCLE) % 3]
        ax.plot(grid, base + term, line, color=colour, lw=1.3)
        peak = int(np.argmax(np.abs(term)))
        _mark(ax, float(grid[peak]), float(base[peak] + term[peak]), int(shown.copies[i]), 7 if term[peak] > 0 else -7)
    ax.plot([], [], color=style.GREY, lw=1.3, label="trend + one splat, each in a colour")
    ax.plot(grid, base, color=style.BLACK, lw=0.8, ls=":", label="trend", zorder=2.5)  # flat splats lie on it
    ax.set_xlim(grid[0], grid[-1])


def _mark(ax: Axes, x: float, y: float, copies: int, rise: float | int) -> None:
    """Write ×2 beside a splat that stands for two."""
    if copies > 1:
        at = {"xytext": (0, rise), "textcoords": "offset points", "ha": "center", "va": "center", "fontsize": 8}
        ax.annotate(f"×{copies}", (x, y), **at, clip_on=True)


def _ellipses(ax: Axes, shown: Shown, others: Others) -> None:
    angle = np.linspace(0, 2 * np.pi, 73)
    outlines = shown.b[:, None] + np.einsum("kij,tj->kti", shown.A, np.stack([np.cos(angle), np.sin(angle)], 1))
    limit = float(np.abs(shown.amplitude).max(initial=0.0)) or 1.0
    colours = ScalarMappable(Normalize(-limit, limit), "RdBu_r")
    style.dots(ax, shown.x[:, 0], shown.x[:, 1], style.BLACK, 0.4)
    if others:
        centres = [np.asarray(measure.b)[np.abs(_amplitude(measure)) > FAINT * limit] for measure, _ in others]
        label = f"centres in {len(centres)} other draws"
        ax.plot(*np.concatenate(centres).T, "+", color=style.GREEN, ms=4, mew=0.8, zorder=1.1, label=label)
    splats = zip(outlines, shown.b, shown.amplitude, _shares(shown), shown.copies, strict=True)
    for outline, centre, amplitude, share, copies in splats:
        fill, width = colours.to_rgba(amplitude, alpha=0.65), 0.5 + 2.0 * share
        ax.add_patch(Polygon(outline, facecolor=fill, edgecolor="none", zorder=1.2))
        ax.add_patch(Polygon(outline, facecolor="none", edgecolor=style.GREY, lw=width, zorder=1.6))
        ax.plot(*centre, "+", color=style.BLACK, ms=5, mew=0.9, zorder=1.7)
        _mark(ax, float(centre[0]), float(centre[1]), int(copies), 8)
    key = {"facecolor": "none", "edgecolor": style.GREY, "lw": 1.5}
    ax.add_patch(Polygon(np.full((3, 2), np.nan), label="splat at one sd (line width: its rms over the data)", **key))
    for set_limits, column in zip((ax.set_xlim, ax.set_ylim), shown.x.T, strict=True):
        low, high = style.span(column)
        set_limits(low - 0.08 * (high - low), high + 0.08 * (high - low))
    bar = ax.figure.colorbar(colours, ax=ax)
    bar.set_label(style.wrap(f"amplitude: {shown.fit.names[-1]}", 40))


def _shares(shown: Shown) -> np.ndarray:
    return shown.size / shown.size.max(initial=0.0) if shown.size.size else shown.size


def _bars(ax: Axes, shown: Shown) -> None:
    """Amplitudes, largest first, with the sd of each splat along each input at the right."""
    order = np.argsort(-np.abs(shown.amplitude))
    amplitude, rows = shown.amplitude[order], np.arange(len(order))
    lengths = np.sqrt(np.square(shown.A[order]).sum(2))
    for sign, colour, label in ((1, style.RED, "raises f"), (-1, style.BLUE, "lowers f")):
        chosen = np.sign(amplitude) == sign
        ax.barh(rows[chosen], amplitude[chosen], color=colour, height=0.7, label=label)
    ax.axvline(0, color=style.GREY, lw=0.8)
    ax.set_ylim(len(order) - 0.4, -0.6)
    copies = shown.copies[order]
    ax.set_yticks(rows, [f"{i + 1}" if c == 1 else f"{i + 1} (×{c})" for i, c in enumerate(copies)])
    ax.set_ylabel("splat")
    ax.set_xlabel(style.wrap(f"amplitude: {shown.fit.names[-1]}", 50))
    for j, name in enumerate(shown.fit.names[:-1]):
        right = 8 + 40 * j
        style.beside(ax, -0.6, right, style.wrap(name, 16), rotation=40, rotation_mode="anchor", ha="left", va="bottom")
        for row, length in enumerate(lengths[:, j]):
            style.beside(ax, row, right, f"{float(f'{length:.2g}'):g}", va="center")
    style.beside(ax, len(order) - 0.4, 8, "sd along each input", va="top")
