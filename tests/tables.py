"""The pieces that every property test runs over: a new piece is one new row."""

from scipy import stats

from bayesplat import likelihoods, priors
from bayesplat.mothers import Box, Gaussian, Laplace, Logistic, Mixed, StudentT, Wendland
from bayesplat.scales import Diag, Full, Spherical

MOTHERS = {
    "gaussian": Gaussian(),
    "logistic": Logistic(),
    "laplace": Laplace(),
    "student-t": StudentT(),
    "student-t without covariance": StudentT(1.5),
    "wendland": Wendland(),
    "box": Box(),
}

MIXED = Mixed((Gaussian(), Box(8), Wendland()))

SCALES = {
    "spherical": Spherical(),
    "diag": Diag(),
    "full": Full(),
}

BASE_PRIORS = {
    "ridge": priors.Ridge(),
    "horseshoe": priors.RegularizedHorseshoe(n_active=2.0),
    "r2d2": priors.R2D2(),
    "stick-breaking": priors.StickBreaking(),
    "flat": priors.Flat(),
}

PRIORS = {
    **BASE_PRIORS,
    "repulsive ridge": priors.Repulsive(priors.Ridge(), 2.0),
    "repulsive horseshoe": priors.Repulsive(priors.RegularizedHorseshoe(n_active=2.0)),
    "repulsive flat": priors.Repulsive(priors.Flat(), 0.5),
}

LIKELIHOODS = {
    "normal": likelihoods.Normal(),
    "varying normal": likelihoods.Normal("varying", n_bumps=4),
    "student-t": likelihoods.StudentT(),
    "varying student-t": likelihoods.StudentT("varying", n_bumps=4, df=8.0),
}

# The sites of these priors and likelihoods as SciPy knows them: an independent source of densities and of draws.
SCIPY_SITES = {
    "ridge": {"tau": stats.halfnorm()},
    "horseshoe": {"tau": stats.halfcauchy(), "lam": stats.halfcauchy(), "slab": stats.invgamma(2.0, scale=2.0)},
    "r2d2": {"r2": stats.beta(2.8, 1.2), "part": stats.gamma(0.5)},
    "stick-breaking": {"tau": stats.halfnorm(), "stick": stats.beta(1.0, 3.0)},
    "flat": {},
    "normal": {"sigma": stats.halfnorm()},
    "varying normal": {"sigma": stats.halfnorm(), "noise_weight": stats.norm()},
    "student-t": {"sigma": stats.halfnorm(), "mixing": stats.gamma(2.0, scale=0.5)},
    "varying student-t": {
        "sigma": stats.halfnorm(),
        "noise_weight": stats.norm(),
        "mixing": stats.gamma(4.0, scale=0.25),
    },
}
