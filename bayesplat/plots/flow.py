"""How the flow got to the point fit."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import SymmetricalLogLocator

from bayesplat._checks import expect
from bayesplat.flow.descent import Run
from bayesplat.flow.result import PointFit
from bayesplat.plots import style


def flow(fit: object, ax: Axes | None = None) -> Figure:
    """Energy of every start of the flow against the move, why the best one stopped, and its certificate.

    At the right, on a scale that is linear below one nat: by how much one more splat could lower the energy of the
    best start; below 0 every splat would raise it. fit: a PointFit. Returns the figure. Raises BayesplatError for
    another object.
    """
    fit = expect(fit, PointFit, "a PointFit, from SplatModel.fit")
    best, *others = fit.runs
    with style.look():
        figure, (panel,) = style.canvas(ax, (6.5, 3.8))
        for i, run in enumerate(others):
            label = "other starts" if i == 0 else None
            panel.plot(run.history, color=style.PALE, lw=1.1, label=label)
            panel.plot(len(run.history) - 1, run.history[-1], "o", ms=3, color=style.PALE)
        panel.plot(best.history, color=style.BLUE, lw=2.0, label="best start")
        panel.plot(
            len(best.history) - 1, best.history[-1], "o", ms=5, color=style.BLUE, label="after the last transport"
        )
        _certificate(panel, best)
        panel.set_xlabel("move")
        panel.set_ylabel("energy (nats)")
        panel.set_xlim(left=0)
        title = f"Lowest energy {fit.energy:.1f} nats. Stopped: {best.reason}.\nCertificate: {fit.optimality}."
        panel.set_title(style.wrap(title, style.letters(panel) if ax else 85), loc="left")
        style.legend(panel, ax is None)
        return figure


def _certificate(panel: Axes, best: Run) -> None:
    """What one more splat would gain, wherever the best start looked."""
    right, looked = panel.twinx(), np.flatnonzero(np.isfinite(best.certificates))
    right.plot(looked, best.certificates[looked], ".", ms=5, color=style.ORANGE)
    right.axhline(0.0, color=style.ORANGE, lw=0.7, ls=":")
    right.set_yscale("symlog", linthresh=1.0)
    right.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=1.0, subs=[1, 2, 5]))
    right.margins(y=0.15)
    right.yaxis.set_major_formatter("{x:g}")
    right.set_ylabel("one more splat would gain (nats)", color=style.ORANGE)
    right.spines["right"].set_visible(True)
    panel.plot([], [], ".", ms=5, color=style.ORANGE, label="certificate of the best start, at the right")
