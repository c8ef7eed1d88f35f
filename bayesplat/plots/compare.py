"""Which model predicts best, and by how much against the noise of the scores."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bayesplat._checks import expect
from bayesplat.compare import Comparison
from bayesplat.plots import style

COLUMNS = (("active", "active\nsplats", "{:.1f}"), ("p_loo", "p_loo", "{:.1f}"), ("weight", "weight", "{:.2f}"))


def compare(table: object, ax: Axes | None = None) -> Figure:
    """Difference of every model's LOO score to the best, with its standard error; best on top.

    table: a Comparison, from `bayesplat.compare`. At the right: active splats, effective parameters p_loo and stacking
    weight. Axes of your own need room for these columns (a figure with `layout="constrained"` makes it), and are left
    without the verdict, which is `table.verdict`. Returns the figure. Raises BayesplatError for another object.
    """
    comparison = expect(table, Comparison, "a Comparison, from bayesplat.compare({'name': posterior, ...})")
    frame = comparison.table
    rows = range(len(frame))
    with style.look():
        figure, (panel,) = style.canvas(ax, (6.5, 1.9 + 0.42 * len(frame)))
        panel.axvline(0, color=style.GREY, lw=0.8, ls=":")
        bars = {"fmt": "o", "ms": 5.5, "color": style.BLUE, "lw": 1.6, "capsize": 3}
        panel.errorbar(frame["elpd_diff"], rows, xerr=frame["dse"], label="difference ± its standard error", **bars)
        panel.set_yticks(rows, [style.wrap(str(name), 24) for name in frame.index])
        panel.set_ylim(len(frame) - 0.5, -0.5)
        panel.set_xlabel("LOO score minus the best one's (nats; higher is better)")
        panel.set_ylabel(str(frame.index.name or "model"))
        for j, (column, header, form) in enumerate(COLUMNS):
            style.beside(panel, -0.5, 28 + 44 * j, header, ha="center", va="bottom")
            for row, value in zip(rows, frame[column], strict=True):
                style.beside(panel, row, 28 + 44 * j, form.format(value), ha="center", va="center")
        if ax is None:
            figure.suptitle(style.wrap(comparison.verdict, 95), x=0.01, ha="left", fontsize="medium")
        style.legend(panel, ax is None)
        return figure
