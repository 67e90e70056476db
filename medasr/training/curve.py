"""The learning curve of a training as a picture: the loss of each step, and what each epoch's trials wrote."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

_INK, _SOFT, _ACCENT, _SECOND = "#1f2933", "#9aa5b1", "#0b7285", "#c2255c"


def draw_curve(history: Path, target: Path) -> None:
    """Given the history that a training left, write a PNG."""
    from matplotlib.figure import Figure

    facts = json.loads(history.read_bytes())
    base, trials = facts["base"], facts["trials"]
    figure = Figure(figsize=(10, 4.2 if trials else 3.4), dpi=110, layout="constrained")
    left, *right = figure.subplots(1, 2 if trials else 1, squeeze=False)[0]
    _draw_losses(left, facts["losses"], facts["ends"])
    if trials:
        _draw_trials(right[0], trials, base)
    figure.savefig(target, format="png", metadata={"Software": None})
    target.chmod(0o600)


def _draw_losses(axes: Any, losses: list[float], ends: list[int]) -> None:
    steps = np.arange(1, len(losses) + 1)
    axes.plot(steps, losses, color=_SOFT, linewidth=0.8, label="each step")
    width = max(1, len(losses) // 20)
    named = f"mean of {width}"
    for begin, end in pairwise([0, *ends, len(losses)]):  # a mean over two members would say nothing of either
        if end - begin > width:
            smooth = np.convolve(losses[begin:end], np.full(width, 1 / width), mode="valid")
            axes.plot(steps[begin + width - 1 : end], smooth, color=_INK, linewidth=1.8, label=named)
            named = "_"  # once is enough for the legend
    if ends:
        _mark_members(axes, [0, *ends])
    _dress(axes, "Training loss", "step", "loss (nats a token)")


def _mark_members(axes: Any, begins: list[int]) -> None:
    """Where the steps of one member end and the next begins, which starts from nothing again."""
    for number, begin in enumerate(begins, start=1):
        place = begin + 0.5
        if begin:
            axes.axvline(place, color=_SOFT, linewidth=0.8, linestyle=(0, (4, 3)))
        label = {
            "xy": (place, 0),
            "xycoords": ("data", "axes fraction"),
            "xytext": (4, 4),
            "textcoords": "offset points",
        }
        axes.annotate(f"member {number}", **label, color=_INK, fontsize=8)


def _draw_trials(axes: Any, trials: list[dict[str, Any]], base: dict[str, Any]) -> None:
    """Normalized WER and missed terms after each epoch, of the best mixture with the base; lower is better for both."""
    epochs = sorted({trial["epoch"] for trial in trials})
    for name, label, colour, invert in (
        ("normalized_wer", "normalized WER", _ACCENT, False),
        ("mta", "medical terms missed", _SECOND, True),
    ):
        if base.get(name) is None:
            continue
        values = []
        for epoch in epochs:
            found = [_value(one["figures"][name], invert) for one in trials if one["epoch"] == epoch]
            values.append(min(found))
        axes.plot([0, *epochs], [_value(base[name], invert), *values], marker="o", color=colour, label=label)
    axes.set_xticks([0, *epochs], ["base", *map(str, epochs)])
    axes.set_ylim(bottom=0)
    _dress(axes, "Validation, as decoded", "epoch", "percent")


def _value(figure: float | None, invert: bool) -> float:
    if figure is None:
        return float("nan")
    return 100 - figure if invert else figure


def _dress(axes: Any, title: str, x: str, y: str) -> None:
    axes.set_title(title, loc="left", color=_INK)
    axes.set_xlabel(x, color=_INK)
    axes.set_ylabel(y, color=_INK)
    axes.grid(axis="y", color="#e4e7eb", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
