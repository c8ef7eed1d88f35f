"""Warnings show the user's own line, however deep in the package they arise."""

import inspect
import warnings

from bayesplat import _checks

DEEP = "def outer(): inner()\ndef inner(): warn('Something is odd.')"


def test_a_warning_shows_the_line_outside_the_package():
    scope = {"warn": inspect.unwrap(_checks.warn)}
    exec(compile(DEEP, f"{_checks.OWN}anywhere.py", "exec"), scope)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        scope["outer"]()
        scope["inner"]()
    assert [warning.filename for warning in found] == [__file__, __file__]
    assert found[1].lineno == found[0].lineno + 1
