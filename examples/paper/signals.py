"""Blocks, Bumps, HeaviSine and Doppler (donoho1994): splats of several mothers beside wavelets and GPs.

Run `uv run python examples/paper/signals.py`; `--quick` for a small version.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace

import figure
import numpy as np
import pandas as pd
import splats
import table
from peers import paper_splats, statistics
from peers.fitted import Fitted
from table import MEAN, OURS, PAPER, Method, on

from bayesplat import datasets, mothers
from bayesplat.datasets import Simulated

SIGNALS = ("blocks", "bumps", "heavisine", "doppler")
MOTHERS = {
    "Gaussian": mothers.Gaussian(),
    "Box": mothers.Box(1024),
    "Laplace": mothers.Laplace(),
    "Gaussian + Box": mothers.Mixed((mothers.Gaussian(), mothers.Box(1024))),
    "StudentT": mothers.StudentT(),
}
BEST = {"blocks": "Box", "bumps": "Laplace", "heavisine": "Gaussian + Box", "doppler": "Gaussian"}
"""The mother of the posterior: the one that the lowest energy chooses most often, or on Blocks nearly so."""

LARGER = {"doppler": (48,)}
"""Numbers of splats of further posterior means, for the signal whose `k` splats are all at work."""

CHOSEN, WAVELETS = f"{OURS}, mother of the lowest energy", "wavelets"
CAPTION = """Mean over {seeds} seeds of the MSE at the {n} data; noise sd 1, sd of the signal 7; k = {k}.
"{chosen}" takes for every data set the mother whose fit has the lowest energy, which needs no
truth, and the seconds of all mothers. The posterior mean has one mother for all data sets of a signal ({best}),
on {posterior_seeds} of the seeds. The paper's training: that of its noisy data (Adam), {k} splats,
given y about its mean in sds.
Wavelets: translation-invariant hard thresholding, told the noise sd and the wavelet that is best
against the truth ({wavelets}). Parameters, for splats those of the live ones, and seconds: medians of all
fits, on {machine}. Ratios: geometric means of those of the signals.
{comparison}"""

COVERAGE = """Share of the truth at the data that the 90% band of f covers, with its standard error over data sets; mean
width of the band."""


def methods(signal: str, options: argparse.Namespace) -> list[Method]:
    """Splats with every mother, and the peers."""
    k, seeds = options.k, options.seeds
    wavelet, mother = statistics.BEST_WAVELET[signal], MOTHERS[BEST[signal]]
    return [
        *(Method(named(name), on(splats.fit, k=k, mother=MOTHERS[name]), k, seeds) for name in options.mothers),
        Method(MEAN, on(splats.posterior, k=k, mother=mother), k, options.posterior_seeds),
        *(
            Method(f"{MEAN}, k = {more}", on(splats.posterior, k=more, mother=mother), more, options.posterior_seeds)
            for more in LARGER.get(signal, ())
        ),
        Method(PAPER, in_sds(on(paper_splats.adam, k=k, steps=options.steps)), k, seeds),
        Method(WAVELETS, on(statistics.wavelets, wavelet=wavelet, noise=1.0), None, seeds),
        Method("GP (RBF)", on(statistics.gaussian_process, kernel="rbf"), None, seeds),
        Method("GP (Matern 5/2)", on(statistics.gaussian_process, kernel="matern"), None, seeds),
    ]


def in_sds(fit: Callable[[Simulated, int], Fitted]) -> Callable[[Simulated, int], Fitted]:
    """A peer that is given y about its mean in sds: in other units its learning rate would be another."""

    def fitted(data: Simulated, seed: int) -> Fitted:
        mean, sd = data.y.mean(), data.y.std()
        found = fit(data._replace(y=(data.y - mean) / sd), seed)
        return replace(found, predict=lambda new: mean + sd * found.predict(new))

    return fitted


def named(mother: str) -> str:
    """How tables call splats with this mother."""
    return f"{OURS}, {mother}"


def errors(fitted: Fitted, data: Simulated) -> dict[str, float]:
    """MSE to the truth at the data, as the wavelet literature measures it; coverage and width of the band there."""
    lower, upper = fitted.band(data.x) if fitted.band else np.full((2, len(data.truth)), np.nan)
    return {
        "mse": np.mean((fitted.predict(data.x) - data.truth) ** 2),
        "covered": np.mean((lower <= data.truth) & (data.truth <= upper)) if fitted.band else np.nan,
        "width": np.mean(upper - lower),
    }


def chosen(fits: pd.DataFrame) -> pd.DataFrame:
    """For every signal and seed, the splats whose mother has the lowest energy, at the price of all of them."""
    own = fits[fits.energy.notna()].reset_index(drop=True)
    sets = own.groupby(["signal", "seed"], sort=False)
    own["seconds"] = sets.seconds.transform("sum")
    rows = own.loc[sets.energy.idxmin()]
    return rows.assign(note=rows.method, method=CHOSEN)


def compare(fits: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The long summary, and means as a table of methods by signals."""
    both = pd.concat([chosen(fits), fits], ignore_index=True)
    found = table.summary(both, ["signal", "method"], ["live", "sigma"])
    found["mse_mean"] = both.groupby(["signal", "method"], sort=False).mse.mean().to_numpy()
    found = table.beside_paper(found, ["signal"], "mse_mean")
    wide = found.pivot(index="method", columns="signal", values="mse_mean")
    wide = wide.loc[found.method.unique(), found.signal.unique()].astype(float)
    for ratio, head in table.RATIOS.items():
        wide[head] = np.exp(np.log(found[ratio]).groupby(found.method).mean())
    wide["parameters"] = both.groupby("method").parameters.median().round().astype(int)
    wide["seconds"] = both.groupby("method").seconds.median()
    return found, wide.reset_index()


def covering(fits: pd.DataFrame) -> pd.DataFrame:
    """Share of the truth that bands cover, with its standard error over data sets, and their width, by signal."""

    def cell(some: pd.DataFrame) -> str:
        return f"{some.covered.mean():.2f} ± {some.covered.sem():.2f}; {some.width.mean():.2f}"

    banded = fits[fits.covered.notna()].groupby(["method", "signal"], sort=False)
    wide = banded[["covered", "width"]].apply(cell).unstack(fill_value="–")
    return wide[fits.signal.unique()].reset_index()


def draw(fits: pd.DataFrame, first: dict[str, dict], options: argparse.Namespace) -> None:
    """The fit of the first seed whose mother has the lowest energy, over data, truth and wavelets."""
    best = chosen(fits).query("seed == 0").set_index("signal").note
    count = len(options.signals)
    with figure.sheet(options.out / "signals.png", 9.0, 6.0, -(-count // 2), min(count, 2)) as axes:
        for panel, signal in zip(axes, options.signals, strict=False):
            data = datasets.simulate(signal, n=options.n)
            fine = np.linspace(data.x[0, 0], data.x[-1, 0], 4000)[:, None]
            smooth, ours = (first[signal][key] for key in ((WAVELETS, None), (best[signal], options.k)))
            figure.style.dots(panel, data.x[:, 0], data.y, figure.style.GREY, alpha=0.5)
            panel.plot(fine, data.f(fine), color=figure.style.BLACK, linewidth=0.7, label="truth")
            panel.plot(fine, smooth.predict(fine), color=figure.style.ORANGE, linewidth=1, label=WAVELETS)
            panel.plot(fine, ours.predict(fine), color=figure.style.BLUE, linewidth=1, label=OURS)
            panel.set(title=f"{signal}: {best[signal].removeprefix(OURS + ', ')} mother", xlabel="x", ylabel="y")


def main(argv: list[str] | None = None) -> None:
    """Fit, score, write."""
    parser = argparse.ArgumentParser(description="Blocks, Bumps, HeaviSine and Doppler")
    parser.add_argument("--seeds", type=int, default=10, help="data sets of each signal")
    parser.add_argument("--signals", nargs="+", choices=SIGNALS, default=list(SIGNALS))
    parser.add_argument("--mothers", nargs="+", choices=MOTHERS, default=list(MOTHERS)[:4])
    parser.add_argument("--posterior-seeds", type=int, default=5, help="of them with a posterior")
    parser.add_argument("--k", type=int, default=32, help="splats")
    parser.add_argument("--n", type=int, default=512, help="points")
    parser.add_argument("--steps", type=int, default=20_000, help="of the paper's training")
    quick = {"seeds": 1, "posterior_seeds": 0, "signals": ["doppler"], "mothers": ["Gaussian"], "k": 16, "n": 128}
    options = table.options(parser, argv, **quick, steps=300)
    rows, first = table.Table(options.out / "signals_fits.csv"), {}
    for signal in options.signals:

        def data(seed: int, signal: str = signal) -> Simulated:
            return datasets.simulate(signal, n=options.n, seed=seed)

        first[signal] = table.race(rows, methods(signal, options), data, errors, signal=signal)
    found, wide = compare(rows.frame)
    table.save(found, options.out / "signals.csv")
    draw(rows.frame, first, options)
    wavelets = ", ".join(f"{signal} {statistics.BEST_WAVELET[signal]}" for signal in options.signals)
    comparison = table.comparison(found, options.steps, ["signal"], "mse_mean", own=(CHOSEN, MEAN))
    best = ", ".join(f"{signal} {BEST[signal]}" for signal in options.signals)
    how = {"chosen": CHOSEN, "wavelets": wavelets, "best": best, "machine": table.machine(), "comparison": comparison}
    sections = [table.markdown("Blocks, Bumps, HeaviSine, Doppler", CAPTION.format(**vars(options), **how), wide)]
    sections.append(table.markdown("Coverage of 90% bands", COVERAGE, covering(rows.frame)))
    table.page(options.out / "signals.md", sections)


if __name__ == "__main__":
    main()
