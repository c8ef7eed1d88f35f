"""Pages of made-up posteriors, each written once."""

import sys
import warnings
from functools import cache

import matplotlib

matplotlib.use("Agg")

import pytest

from bayesplat.report.markup import Html
from bayesplat.report.page import page

from .document import Document
from .made import CASES, DRAWN, made


@pytest.fixture(scope="session")
def source():
    """Function of the name of a case: its page as text."""

    @cache
    def write(case):
        with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
            warnings.simplefilter("ignore")  # of ArviZ, about the few draws of made-up posteriors
            if case not in DRAWN:
                for module in ("page", "trust"):
                    patch.setattr(sys.modules[f"bayesplat.report.{module}"], "picture", lambda found, kind: Html(""))
            return page(made(**CASES[case]))

    return write


@pytest.fixture(scope="session")
def document(source):
    """Function of the name of a case: its page, read back."""
    return cache(lambda case: Document(source(case)))
