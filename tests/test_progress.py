"""Progress: one line on stderr where it is asked for, nothing elsewhere."""

import pytest

from bayesplat.progress import display


def report(show, capsys):
    with display("flow", show) as tell:
        tell(3, 4, "energy 12.5 nats")
    return capsys.readouterr()


@pytest.mark.parametrize("show", [False, None])
def test_nothing_is_drawn_unless_asked_or_on_a_terminal(show, capsys):
    assert report(show, capsys) == ("", "")


def test_the_line_names_stage_share_and_note_on_stderr(capsys):
    out, err = report(True, capsys)
    assert out == ""
    for part in ("flow", "75%", "energy 12.5 nats"):
        assert part in err


def test_an_error_passes_through(capsys):
    with pytest.raises(ValueError, match="inside"), display("flow", True):
        raise ValueError("inside")
