"""Progress: one line on stderr where it is asked for, nothing elsewhere."""

import pytest
from rich.console import Console

from bayesplat import progress
from bayesplat.progress import display


def report(show, capsys):
    with display("flow", show) as tell:
        tell(3, 4, "energy 12.5 nats")
    return capsys.readouterr()


@pytest.mark.parametrize("show", [False, None])
def test_nothing_is_drawn_unless_asked_or_on_a_terminal(show, capsys):
    assert report(show, capsys) == ("", "")


@pytest.mark.parametrize(
    ("notebook", "widgets", "drawn"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_a_notebook_shows_the_line_where_it_can(notebook, widgets, drawn, monkeypatch):
    # what is asked believes in the notebook; what draws does not, since none is here to draw in
    monkeypatch.setattr(progress, "Console", lambda **to: Console(force_jupyter=notebook and not to, **to))
    monkeypatch.setattr(progress, "find_spec", lambda name: object() if name == "ipywidgets" and widgets else None)
    lines = []
    monkeypatch.setattr(progress.Progress, "update", lambda *args, **now: lines.append(now["note"]))
    with display("flow") as tell:
        tell(3, 4, "energy 12.5 nats")
    assert lines == ["energy 12.5 nats"] * drawn


def test_the_line_names_stage_share_and_note_on_stderr(capsys):
    out, err = report(True, capsys)
    assert out == ""
    for part in ("flow", "75%", "energy 12.5 nats"):
        assert part in err


def test_an_error_passes_through(capsys):
    with pytest.raises(ValueError, match="inside"), display("flow", True):
        raise ValueError("inside")
