"""Mother splats: radial densities rho on R^d with unit mass, mean 0 and, where it exists, identity covariance."""

from bayesplat.mothers.mixed import Mixed
from bayesplat.mothers.mother import Mother
from bayesplat.mothers.shapes import Box, Gaussian, Laplace, Logistic, StudentT, Wendland

__all__ = ["Box", "Gaussian", "Laplace", "Logistic", "Mixed", "Mother", "StudentT", "Wendland"]
