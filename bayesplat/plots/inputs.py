"""What pictures are made of: refusals of the wrong object, and the variables of a posterior."""

import xarray as xr
from matplotlib.axes import Axes

from bayesplat._checks import expect, require
from bayesplat.results import Posterior


def as_posterior(value: object) -> Posterior:
    """Return `value` if it is a posterior, or refuse it."""
    return expect(value, Posterior, "a Posterior, from SplatModel.sample or bayesplat.load")


def one_panel(ax: Axes | None, panels: int, what: str) -> None:
    """Refuse the user's axes where the picture has several panels."""
    require(
        ax is None or panels == 1, f"Expected no `ax` for {what}: {panels} panels are drawn; use the figure returned."
    )


def variable(post: Posterior, group: str, name: str) -> xr.DataArray:
    """A variable of one group of a posterior's DataTree."""
    return post.data[group].to_dataset()[name]
