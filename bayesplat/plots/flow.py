"""How the flow got to the point fit."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bayesplat._checks import expect
from bayesplat.flow.result import PointFit
from bayesplat.plots import style


def flow(fit: object, ax: Axes | None = None) -> Figure:
    """Energy of every start of the flow against the move, with the reason why the best one stopped.

    fit: a PointFit. Returns the figure. Raises BayesplatError for another object.
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
        panel.set_xlabel("move")
        panel.set_ylabel("energy (nats)")
        panel.set_xlim(left=0)
        title = f"Lowest energy {fit.energy:.1f} nats. Stopped: {best.reason}.\nCertificate: {fit.optimality}."
        panel.set_title(style.wrap(title, 85), loc="left")
        style.legend(panel, ax is None)
        return figure
