"""The pictures of an exploration, drawn from its figures alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medasr.exploration import style
from medasr.exploration.style import ACCENT, ACCENT_LIGHT, FAINT, GREY, INK, PART_COLOURS, RULE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from medasr.exploration.distribution import Distribution
    from medasr.exploration.survey import GroupFacts, Survey

#: So many bars of prompts, speakers and terms are shown; exploration.json has all.
SHOWN = 25
_ROW_INCHES = 0.27


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A plot with what one sees in it."""

    name: str  #: of the file, without .png
    title: str
    caption: str
    png: bytes


def draw(survey: Survey) -> tuple[Picture, ...]:
    """Draw every plot but the spectrograms, in the order of the report."""
    return tuple(plot(survey) for plot in _PLOTS)


def _splits(survey: Survey) -> Picture:
    figure, (axes,) = style.panels(0.9 + 0.5 * max(len(survey.splits), 1))
    for row, split in enumerate(survey.splits):
        left = 0
        sizes = {part: facts.recordings for part, facts in split.parts.items()} | {"unused": split.unused}
        for part, size in sizes.items():
            axes.barh(row, size, left=left, color=PART_COLOURS[part], height=0.66, edgecolor="white")
            if size > 0.05 * survey.recordings:
                colour = "white" if part == "test" else INK
                axes.text(
                    left + size / 2, row, f"{part} {size:,}", ha="center", va="center", fontsize=8.5, color=colour
                )
            left += size
    style.label_rows(axes, [split.name for split in survey.splits])
    axes.set_xlabel("recordings", color=INK, fontsize=9)
    style.whole_numbers(axes, "x")
    caption = "How each split shares out the recordings. Unused ones would leak wherever they stood."
    for name, reason in survey.impossible_splits.items():
        caption += f" {name}: {reason}."
    return _picture("splits", "Split sizes", caption, figure)


def _missing(survey: Survey) -> Picture:
    figure, (left, right) = style.panels(2.5, columns=2, share_y=True)
    names = [column.column for column in survey.columns]
    for axes, title, values in (
        (left, "Missing values", [column.missing for column in survey.columns]),
        (right, "Values that an earlier entry has", [column.repeated for column in survey.columns]),
    ):
        style.entitle(axes, title)
        style.bars(axes, names, values, [f"{value:,}" for value in values], unit="entries")
    caption = "A repeated text is a phrase that several recordings say; repeated prompts, speakers and parts are as it should be."
    return _picture("missing-and-duplicate-values", "Missing and duplicate values", caption, figure)


def _sample_rates(survey: Survey) -> Picture:
    figure, (left, right) = style.panels(
        1.2 + _ROW_INCHES * max(len(survey.sample_rates), len(survey.formats)), columns=2
    )
    style.entitle(left, "Sampling rates")
    _count_bars(left, {f"{rate:,} Hz": count for rate, count in survey.sample_rates.items()})
    style.entitle(right, "Formats")
    _count_bars(right, survey.formats)
    return _picture("sampling-rates", "Sampling rates and formats", "All are converted to 16 kHz mono.", figure)


def _durations(survey: Survey) -> Picture:
    caption = "How long the recordings are, pauses included."
    return _histogram("durations", "Durations", survey.durations, "duration", caption)


def _levels(survey: Survey) -> Picture:
    caption = "Mean power of each recording, 0 dBFS being a full-scale square wave. Gain is evened out before anything is transcribed."
    return _histogram("rms-levels", "RMS levels", survey.levels, "RMS level", caption)


def _noise(survey: Survey) -> Picture:
    figure, (left, right) = style.panels(3.2, columns=2)
    noise = survey.noise
    if noise.snr:
        style.entitle(left, "Signal-to-noise ratio")
        style.histogram(left, noise.snr, name="SNR")
    threshold = survey.preparation.rules.min_snr_db
    left.axvline(threshold, color=ACCENT, linewidth=1)
    style.entitle(right, "Loudness against SNR")
    if noise.points:
        loudest = {energy for energy, _ in sorted(noise.points, reverse=True)[: noise.noisiest]}
        colours = [ACCENT if energy in loudest else GREY for energy, _ in noise.points]
        right.scatter([p[0] for p in noise.points], [p[1] for p in noise.points], s=9, c=colours, linewidths=0)
    right.axhline(threshold, color=ACCENT, linewidth=1)
    right.set_xscale("log")
    right.grid(color=RULE)
    right.set_xlabel("mean amplitude (the notebook's noise)", color=INK, fontsize=9)
    right.set_ylabel("SNR (dB)", color=INK, fontsize=9)
    view = survey.preparation.notebook
    caption = (
        f"The line is our bound, {threshold:g} dB: below it a recording is dropped. Coloured: the tenth that the notebook would call "
        f"noisiest because it is loudest; {len(view.noisy_yet_clean)} of these {len(view.noisy)} are above the bound."
    )
    return _picture("snr", "Signal-to-noise ratio", caption, figure)


def _ambiguous(survey: Survey) -> Picture:
    counts = Counter(character for text in survey.ambiguous for character in text.characters)
    figure, (axes,) = style.panels(1.1 + _ROW_INCHES * max(len(counts), 1))
    _count_bars(
        axes, {f"{character}   U+{ord(character):04X}": count for character, count in counts.most_common(SHOWN)}
    )
    view = survey.preparation.notebook
    caption = (
        f"{len(survey.ambiguous):,} texts hold characters that nobody speaks; the notebook's list, which has quotation marks too, finds "
        f"{len(view.ambiguous):,}."
    )
    return _picture("ambiguous-transcriptions", "Ambiguous transcriptions", caption, figure)


def _lengths(survey: Survey) -> Picture:
    caption = f"{survey.words:,} words in all, {survey.vocabulary:,} different ones."
    return _histogram("transcription-lengths", "Transcription lengths", survey.lengths, "words a text", caption)


def _prompts(survey: Survey) -> Picture:
    caption = "What the speakers were asked to talk about, with how many different phrases they said."
    return _groups("prompts", "Prompts", survey.prompts, caption)


def _speakers(survey: Survey) -> Picture:
    share = 100 * survey.speakers[0].recordings / survey.recordings if survey.speakers else 0
    caption = f"Who speaks how often; the first has {share:.0f} % of all. Intervals of scores are drawn over speakers for this reason."
    return _groups("speakers", "Speakers", survey.speakers, caption)


def _terms(survey: Survey) -> Picture:
    terms = survey.terms.terms[:SHOWN]
    figure, (left, right) = style.panels(
        1.2 + _ROW_INCHES * max(len(terms), len(survey.terms.categories), 1), columns=2
    )
    style.entitle(left, "Terms that occur most")
    unit = "occurrences"
    occurrences = [term.occurrences for term in terms]
    style.bars(left, [term.term for term in terms], occurrences, [f"{count:,}" for count in occurrences], unit=unit)
    style.entitle(right, "By category")
    categories = survey.terms.categories
    notes = [f"{one.occurrences:,} of {one.terms:,} terms" for one in categories]
    style.bars(right, [one.category for one in categories], [one.occurrences for one in categories], notes, unit=unit)
    right.set_xlim(0, max([one.occurrences for one in categories], default=1) * 1.9 or 1)
    caption = f"{survey.terms.occurrences:,} occurrences of {len(survey.terms.terms):,} lexicon terms in the texts."
    return _picture("term-coverage", "Medical terms", caption, figure)


def _leaks(survey: Survey) -> Picture:
    figure, (axes,) = style.panels(1.0 + 0.62 * max(len(survey.splits), 1))
    for row, split in enumerate(survey.splits):
        leak = next((one for one in split.leaks if (one.part, one.earlier) == ("test", "train")), None)
        for offset, count, colour, what in (
            (-0.18, leak.shared_phrases if leak else 0, ACCENT, "phrase"),
            (0.18, leak.shared_speakers if leak else 0, ACCENT_LIGHT, "speaker"),
        ):
            share = 100 * count / leak.utterances if leak else 0.0
            axes.barh(row + offset, share, height=0.32, color=colour)
            axes.text(share + 1, row + offset, f"{what} {share:.0f} %", va="center", fontsize=8.5, color=INK)
    style.label_rows(axes, [split.name for split in survey.splits])
    axes.set_xlim(0, 115)
    axes.set_xlabel("% of the test recordings", color=INK, fontsize=9)
    caption = "Test recordings whose phrase, or whose speaker, is also in the training part. Only with 0 % of both does a score tell how a model fares on somebody new."
    return _picture("leaks", "Leak check", caption, figure)


def _influence(survey: Survey) -> Picture:
    predictions = survey.influence.predictions
    figure, (axes,) = style.panels(1.1 + 0.5 * max(len(predictions), 1))
    for row, one in enumerate(predictions):
        axes.barh(row - 0.18, 100 * one.accuracy, height=0.32, color=ACCENT)
        axes.barh(row + 0.18, 100 * one.baseline, height=0.32, color=GREY)
        axes.text(
            100 * one.accuracy + 0.5,
            row - 0.18,
            f"forest {100 * one.accuracy:.1f} %",
            va="center",
            fontsize=8.5,
            color=INK,
        )
        axes.text(
            100 * one.baseline + 0.5,
            row + 0.18,
            f"at random {100 * one.baseline:.1f} %",
            va="center",
            fontsize=8.5,
            color=FAINT,
        )
    style.label_rows(axes, [f"{one.target} from {' and '.join(one.features)}" for one in predictions])
    longest = max([100 * max(one.accuracy, one.baseline) for one in predictions], default=1)
    axes.set_xlim(0, longest * 1.3 or 1)
    axes.set_xlabel("% right, mean over five folds", color=INK, fontsize=9)
    return _picture(
        "influence", "Do prompt and speaker tell what is said?", " ".join(survey.influence.sentences), figure
    )


def _preparation(survey: Survey) -> Picture:
    stages = survey.preparation.stages
    figure, (axes,) = style.panels(1.0 + _ROW_INCHES * 1.2 * len(stages))
    notes = []
    for stage in stages:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in stage.reasons.items())
        changed = f", {stage.changed:,} changed" if stage.changed else ""
        notes.append(f"{stage.after:,}{f'  (dropped {reasons})' if reasons else ''}{changed}")
    style.bars(axes, [stage.name for stage in stages], [stage.after for stage in stages], notes, unit="entries kept")
    axes.set_xlim(0, max([stage.before for stage in stages], default=1) * 1.6 or 1)
    caption = f"What each stage leaves. Rules and every dropped entry: preparation.json; texts normalized by {survey.preparation.normalizer}."
    return _picture("preparation", "What the preparation dropped", caption, figure)


def _histogram(name: str, title: str, distribution: Distribution | None, what: str, caption: str) -> Picture:
    figure, (axes,) = style.panels()
    if distribution:
        style.histogram(axes, distribution, name=what)
    else:
        style.nothing(axes)
    return _picture(name, title, caption, figure)


def _groups(name: str, title: str, groups: Sequence[GroupFacts], caption: str) -> Picture:
    shown = groups[:SHOWN]
    figure, (axes,) = style.panels(1.0 + _ROW_INCHES * max(len(shown), 1))
    notes = [f"{one.recordings:,}  ({one.seconds / 60:.1f} min, {one.phrases:,} phrases)" for one in shown]
    style.bars(axes, [one.name for one in shown], [one.recordings for one in shown], notes)
    if len(groups) > len(shown):
        caption += f" {len(groups) - len(shown):,} more are in exploration.json."
    if not groups:
        caption = "The dataset does not name any."
    return _picture(name, title, caption, figure)


def _count_bars(axes: Axes, counts: dict[str, int]) -> None:
    style.bars(axes, list(counts), list(counts.values()), [f"{count:,}" for count in counts.values()])
    if not counts:
        style.nothing(axes)


def _picture(name: str, title: str, caption: str, figure: Figure) -> Picture:
    return Picture(name=name, title=title, caption=caption, png=style.png(figure))


_PLOTS: tuple[Callable[[Survey], Picture], ...] = (
    *(_splits, _leaks, _preparation, _missing, _sample_rates, _durations, _levels, _noise),
    *(_ambiguous, _lengths, _prompts, _speakers, _influence, _terms),
)
