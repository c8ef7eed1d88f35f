"""One HTML page about a posterior: what was found, whether to trust it, and how it was made."""

from bayesplat.report.page import report

__all__ = ["report"]
