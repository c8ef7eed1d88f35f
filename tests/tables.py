"""The pieces that every property test runs over: a new piece is one new row."""

from bayesplat.mothers import Box, Gaussian, Laplace, Logistic, StudentT, Wendland
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

SCALES = {
    "spherical": Spherical(),
    "diag": Diag(),
    "full": Full(),
}
