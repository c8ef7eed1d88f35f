"""What every peer returns."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Fitted:
    """A fitted method: all that a table of results needs to know of it."""

    predict: Callable[[np.ndarray], np.ndarray]  # (m, d) -> (m,)
    parameters: int  # free numbers that training sets
    seconds: float  # wall time of the fit, compilation included
    note: str = ""  # what a reader of the table should know
    band: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None  # 90% of f: (m, d) -> lower, upper
