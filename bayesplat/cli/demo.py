"""`bayesplat demo`: the motorcycle data under several priors, compared, drawn and put into words."""

import time
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

import bayesplat as bs
from bayesplat._checks import BayesplatError, require
from bayesplat._lazy import pd
from bayesplat.atomic import write_whole
from bayesplat.cli.console import note, say
from bayesplat.cli.files import csv_text, listed, write_csv
from bayesplat.cli.summary import DATA, PICTURES, SUMMARY, Study, summary
from bayesplat.compare import compare
from bayesplat.datasets import motorcycle
from bayesplat.flow.result import PointFit
from bayesplat.likelihoods import Normal
from bayesplat.priors import R2D2, Flat, RegularizedHorseshoe, Ridge, StickBreaking
from bayesplat.regression import SplatModel
from bayesplat.results import Posterior, PriorPredictive

EXAMPLE = "bayesplat demo --quick --out bayesplat-demo"

PRIORS = {
    "ridge": Ridge(),
    "horseshoe": RegularizedHorseshoe(n_active=4.0),
    "r2d2": R2D2(),
    "stick-breaking": StickBreaking(),
    "flat": Flat(),
}


class Size(NamedTuple):
    """How much the demo does."""

    priors: tuple[str, ...]
    n_splats: int
    chains: int
    warmup: int
    draws: int


FULL = Size(tuple(PRIORS), n_splats=10, chains=4, warmup=300, draws=400)
QUICK = Size(("ridge", "horseshoe"), n_splats=6, chains=2, warmup=50, draws=50)

DPI = 120


def demo(
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder for the pictures, posteriors and summary.")
    ] = Path("bayesplat-demo"),
    quick: Annotated[bool, typer.Option("--quick", help="Two priors and short chains: a look, not a result.")] = False,
    seed: Annotated[int, typer.Option(help="The same seed gives the same result.")] = 0,
) -> None:
    """Fit the motorcycle data under several priors and say which overfits least."""
    size, data = QUICK if quick else FULL, motorcycle()
    x, y = pd.Series(data.x, name=data.x_name), pd.Series(data.y, name=data.y_name)
    folder = _folder(out, pd.DataFrame({x.name: x, y.name: y}))
    fits: dict[str, PointFit] = {}
    posts: dict[str, Posterior] = {}
    for i, name in enumerate(size.priors, 1):
        note(f"[{i}/{len(size.priors)}] {name}: {size.chains} chains of {size.warmup} + {size.draws} draws")
        fits[name], posts[name] = _fit(_model(name, size), x, y, size, seed)
        posts[name].save(folder / f"{name}.nc")
    note("Comparing, drawing and writing.")
    study = Study(posts, compare(posts), f"bayesplat demo{' --quick' if quick else ''} --seed {seed}", quick)
    prior = _model(study.best, size).prior_predictive(x, seed=seed, y=y)
    _draw(study, fits[study.best], prior, folder)
    text = summary(study, data)
    write_whole(folder / SUMMARY, lambda path: path.write_text(text, encoding="utf-8"))
    _report(study, folder)


def _model(name: str, size: Size) -> SplatModel:
    return SplatModel(n_splats=size.n_splats, prior=PRIORS[name], likelihood=Normal(noise="varying"))


def _fit(model: SplatModel, x: "pd.Series", y: "pd.Series", size: Size, seed: int) -> tuple[PointFit, Posterior]:
    began = time.perf_counter()
    fit = model.fit(x, y, seed, starts=size.chains)
    post = model.sample(x, y, chains=size.chains, warmup=size.warmup, draws=size.draws, seed=seed, start=fit)
    if post.info["interrupted"]:
        raise KeyboardInterrupt
    note(f"      {time.perf_counter() - began:.0f} s, LOO score {post.overfitting().loo.elpd:.1f}")
    return fit, post


def _folder(out: Path, table: "pd.DataFrame") -> Path:
    """Make the folder, with the data in it; refuse one that holds files of these names which no demo has written."""
    require(not out.exists() or out.is_dir(), f"Expected --out to be a folder, got the file {out}.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BayesplatError(f"Cannot make the folder {out}: {error.strerror or error}.") from error
    data = out / DATA
    others = [name for name in (DATA, SUMMARY, *PICTURES, *(f"{name}.nc" for name in PRIORS)) if (out / name).exists()]
    ours = not others or (data.is_file() and data.read_bytes() == csv_text(table).encode())
    require(ours, f"{out} holds {listed(others)}, which the demo would replace; choose another folder with --out.")
    write_csv(table, data)
    return out


def _draw(study: Study, fit: PointFit, prior: PriorPredictive, folder: Path) -> None:
    post = study.posts[study.best]
    pictures = {
        "bands": bs.plots.bands(post),
        "splats": bs.plots.splats(fit),
        "prior_check": bs.plots.prior(prior),
        "checks": bs.plots.checks(post),
        "compare": bs.plots.compare(study.comparison),
        "flow": bs.plots.flow(fit),
    }
    for name, figure in pictures.items():
        write = partial(figure.savefig, format="png", dpi=DPI, bbox_inches="tight")
        write_whole(folder / f"{name}.png", write)


def _report(study: Study, folder: Path) -> None:
    post = study.posts[study.best]
    say(f"{study.comparison}\n\n{study.best}, the best of them:\n\n{post.convergence()}\n\n{post.overfitting()}\n")
    if study.quick:
        say("A quick run: chains too short and priors too few for conclusions; leave out --quick for those.\n")
    say(f"In {folder}:")
    files = study.files()
    width = max(map(len, files))
    for name, shows in files.items():
        say(f"  {name:<{width}}  {shows}")
