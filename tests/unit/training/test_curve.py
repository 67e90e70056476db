"""The learning curve as a picture."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.figure
import pytest
from PIL import Image

from medasr.training.curve import draw_curve

BASE = {"normalized_wer": 20.0, "mta": 80.0}
TRIAL = {"epoch": 1, "interpolation": 1.0, "figures": {"normalized_wer": 15.0, "mta": 85.0}}


def drawn(folder: Path, ends: list[int], monkeypatch: pytest.MonkeyPatch) -> matplotlib.figure.Figure:
    """The figure that was written for a training of twelve steps."""
    figures: list[matplotlib.figure.Figure] = []

    class Kept(matplotlib.figure.Figure):
        def __init__(self, **options: object) -> None:
            super().__init__(**options)
            figures.append(self)

    monkeypatch.setattr(matplotlib.figure, "Figure", Kept)
    losses = [2.0 - step / 10 for step in range(12)]
    (folder / "history.json").write_text(json.dumps({"losses": losses, "ends": ends, "trials": [TRIAL], "base": BASE}))
    draw_curve(folder / "history.json", folder / "curve.png")
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    return figures[0]


def test_where_one_member_ends_and_the_next_begins_is_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    axes = drawn(tmp_path, [4, 9], monkeypatch).axes[0]
    marks = [tuple(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2]
    assert marks == [(4.5, 4.5), (9.5, 9.5)]
    assert [text.get_text() for text in axes.texts] == ["member 1", "member 2", "member 3"]


def test_a_single_member_needs_no_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    axes = drawn(tmp_path, [], monkeypatch).axes[0]
    assert not axes.texts
    assert not [line for line in axes.lines if len(line.get_xdata()) == 2]


@pytest.mark.parametrize("trials", [0, 3])
def test_a_learning_curve_is_a_picture(tmp_path: Path, trials: int) -> None:
    history = {
        "losses": [2.0 / (1 + step / 10) for step in range(60)],
        "ends": [],
        "base": BASE if trials else None,
        "trials": [{**TRIAL, "epoch": epoch} for epoch in range(1, trials + 1)],
    }
    (tmp_path / "history.json").write_text(json.dumps(history))
    draw_curve(tmp_path / "history.json", tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as picture:
        assert picture.width > 800
        assert len(picture.convert("RGB").getcolors(2**20) or ()) > 20
    assert (tmp_path / "curve.png").stat().st_mode & 0o777 == 0o600
