"""Pictures of fits, posteriors and comparisons: each function returns the figure, and shows or keeps nothing itself."""

from bayesplat.plots.bands import bands
from bayesplat.plots.checks import checks
from bayesplat.plots.compare import compare
from bayesplat.plots.flow import flow
from bayesplat.plots.prior import prior
from bayesplat.plots.prior_posterior import prior_posterior
from bayesplat.plots.ranks import ranks
from bayesplat.plots.splats import splats

__all__ = ["bands", "checks", "compare", "flow", "prior", "prior_posterior", "ranks", "splats"]
