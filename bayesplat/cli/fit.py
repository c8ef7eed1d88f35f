"""`bayesplat fit`: a table of data to a posterior in a file, with its reports."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bayesplat._checks import BayesplatError, require
from bayesplat.checkpoint import remove
from bayesplat.cli.config import SAMPLE, read_toml, to_toml
from bayesplat.cli.console import note, note_replaced, say
from bayesplat.cli.device import Device, use
from bayesplat.cli.files import input_names, listed, numbers, read_table, require_columns, require_writable
from bayesplat.likelihoods import Normal, StudentT
from bayesplat.mothers import Box, Mixed, Mother
from bayesplat.priors import R2D2, AmplitudePrior, Flat, RegularizedHorseshoe, Ridge, StickBreaking
from bayesplat.regression import SplatModel
from bayesplat.results import Posterior

EDGED = Box(1024)
"""Mother of splats that jump: edges fall within a six-hundredth of a box's radius."""

EXAMPLE = "bayesplat fit data.csv --target y --out run.nc"


class Prior(StrEnum):
    """Priors on amplitudes."""

    horseshoe = "horseshoe"
    ridge = "ridge"
    r2d2 = "r2d2"
    stick_breaking = "stick-breaking"
    flat = "flat"


PRIORS: dict[Prior, type[AmplitudePrior]] = {
    Prior.horseshoe: RegularizedHorseshoe,
    Prior.ridge: Ridge,
    Prior.r2d2: R2D2,
    Prior.stick_breaking: StickBreaking,
    Prior.flat: Flat,
}


class Noise(StrEnum):
    """Noise heads."""

    constant = "constant"
    varying = "varying"


class Covariance(StrEnum):
    """Scale families."""

    spherical = "spherical"
    diag = "diag"
    full = "full"


class Method(StrEnum):
    """Ways to the posterior."""

    nuts = "nuts"
    smc = "smc"
    svi = "svi"
    laplace = "laplace"
    auto = "auto"


def fit(
    data: Annotated[
        Path | None,
        typer.Argument(metavar="DATA.csv", help="CSV (with a header) or Parquet file; needed to fit."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Column to explain; needed to fit. Empty cells are missing."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="RUN.nc", help="File for the posterior, ending in .nc; needed to fit."),
    ] = None,
    inputs: Annotated[str | None, typer.Option(metavar="A,B,C", help="Input columns; all others by default.")] = None,
    error: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Column with the known sd of each measurement of the target; no input."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="RUN.toml", help="Settings of model and sampler; options given here override the file."),
    ] = None,
    show_config: Annotated[
        bool, typer.Option("--show-config", help="Print all settings as such a file, and fit nothing: needs no data.")
    ] = False,
    prior: Annotated[
        Prior | None,
        typer.Option(metavar="NAME", help=f"Prior on the amplitudes: {', '.join(Prior)}.", show_default="horseshoe"),
    ] = None,
    n_active: Annotated[
        float | None,
        typer.Option(
            help="Splats that the horseshoe expects to matter.",
            show_default="5, or half of all splats if that is fewer",
        ),
    ] = None,
    splats: Annotated[
        int | None,
        typer.Option(min=1, help="Number of splats; the prior switches off what is not needed.", show_default="20"),
    ] = None,
    noise: Annotated[
        Noise | None,
        typer.Option(help="Noise of one size, or of a size that varies with x.", show_default="constant"),
    ] = None,
    student_t: Annotated[bool, typer.Option("--student-t", help="Heavy-tailed noise, for outliers.")] = False,
    jumps: Annotated[
        bool, typer.Option("--jumps", help="Sharp-edged splats beside smooth ones, for data that jump.")
    ] = False,
    covariance: Annotated[
        Covariance | None,
        typer.Option(help="Shape of a splat in several inputs: round, along the axes, or tilted.", show_default="full"),
    ] = None,
    method: Annotated[
        Method | None,
        typer.Option(
            help="NUTS or SMC (exact; SMC also gives the evidence), SVI or Laplace (sketches), or by size.",
            show_default="nuts",
        ),
    ] = None,
    chains: Annotated[
        int | None, typer.Option(min=1, help="Chains, each from its own start.", show_default="4")
    ] = None,
    warmup: Annotated[
        int | None, typer.Option(min=1, help="Steps of each chain thrown away first.", show_default="500")
    ] = None,
    draws: Annotated[int | None, typer.Option(min=4, help="Draws kept of each chain.", show_default="500")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same result.", show_default="0")] = None,
    device: Annotated[Device, typer.Option(help="Where to compute; by the size of the problem if auto.")] = Device.auto,
) -> None:
    """Fit a table of data: sample the posterior, report on it, and write it to a file.

    Work in progress is kept in RUN.checkpoint until RUN.nc is written: after a crash the same command goes on from
    there, and so does `bayesplat resume`.
    """
    model, sample = read_toml(config) if config is not None else (SplatModel(), {})
    model = replace(
        model,
        n_splats=model.n_splats if splats is None else splats,
        prior=_prior(model.prior, prior, n_active),
        likelihood=_likelihood(model.likelihood, noise, student_t),
        mother=_mother(model.mother, jumps),
        covariance=model.covariance if covariance is None else covariance.value,
    )
    run = {"method": method, "chains": chains, "warmup": warmup, "draws": draws, "seed": seed}
    sample = SAMPLE | sample | {name: value for name, value in run.items() if value is not None}
    if show_config:
        say(to_toml(model, sample).rstrip())
        return
    data, target, out = _given(data, "DATA.csv"), _given(target, "--target"), _given(out, "--out")
    use(device)
    require_writable(out, ".nc")
    frame = read_table(data)
    apart = [target] if error is None else [target, error]
    require_columns(frame, apart, data)
    require(error != target, f"Expected --error to name another column than --target, got {target!r} for both.")
    names = input_names(frame, apart, inputs, data)
    x = numbers(frame, names, data, hint="; leave that column out with --inputs, or code classes as columns of 0 and 1")
    only = "; only numbers can be fitted, and missing cells left empty"
    y = numbers(frame, [target], data, missing=True, hint=only)[target]
    y_err = None if error is None else numbers(frame, [error], data, missing=True)[error]
    known = "" if error is None else f", with known errors from {error!r}"
    note(f"Fitting {target!r} to {listed(names)}: {len(frame)} rows of {data}{known}.")
    note_replaced(out)
    folder = out.with_suffix(".checkpoint")
    if folder.exists():
        note(f"Going on with the work kept in {folder}.")
    with kept_in(folder, KeyboardInterrupt):
        post = model.sample(x, y, **sample, checkpoint=folder, y_err=y_err)
    finish(post, folder, out)


@contextmanager
def kept_in(folder: Path, *ends: type[BaseException]) -> Iterator[None]:
    """Say where it ends in one of these, before a result is written, that the work so far is kept."""
    try:
        yield
    except ends:
        if folder.exists():
            note(f"The work so far is kept; bayesplat resume {folder} goes on.")
        raise


def finish(post: Posterior, folder: Path, out: Path) -> None:
    """Write a posterior, drop the checkpoint it came from if it is whole, and report."""
    with kept_in(folder, KeyboardInterrupt, BayesplatError):
        post.save(out)
    if post.info["interrupted"]:
        note(f"Warning: interrupted: only the draws made so far are kept; bayesplat resume {folder} makes the others.")
    else:
        remove(folder)
    say(f"{post}\n\n{post.convergence()}\n\n{post.overfitting()}\n")
    say(f"The posterior is in {out}. Next: bayesplat predict {out} NEW.csv, bayesplat report {out}")


def _given[T](value: T | None, name: str) -> T:
    """What every fit needs."""
    if value is None:
        raise BayesplatError(f"Expected DATA.csv, --target and --out, got no {name}; see bayesplat fit --help.")
    return value


def _prior(old: AmplitudePrior, prior: Prior | None, n_active: float | None) -> AmplitudePrior:
    """The prior of this name, as it was if it had this name before, with the dial that was given."""
    new = old if prior is None or type(old) is PRIORS[prior] else PRIORS[prior]()
    if n_active is None:
        return new
    if not isinstance(new, RegularizedHorseshoe):
        raise BayesplatError(
            f"--n-active is for the horseshoe, but the prior is {new!r}; add --prior horseshoe or drop --n-active."
        )
    return replace(new, n_active=n_active)


def _likelihood(old: Normal, noise: Noise | None, student_t: bool) -> Normal:
    """The likelihood with tails and noise as given, all else as it was."""
    new = StudentT(**asdict(old)) if student_t and not isinstance(old, StudentT) else old
    return new if noise is None else replace(new, noise=noise.value)


def _mother(old: Mother, jumps: bool) -> Mother:
    """The mothers there were, with a sharp-edged one beside them if they are to jump and do not yet."""
    return Mixed((*old.kinds, EDGED)) if jumps and not old.edged else old
