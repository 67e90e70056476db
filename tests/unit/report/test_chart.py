"""Charts and sparklines show what was measured, and do not make a cliff of noise."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.report.chart import HEIGHT, LEFT, RIGHT, WIDTH, chart, colors_of
from daemon.report.history import histories
from daemon.report.sparkline import sparkline
from medasr.metrics.scores import HEADLINE
from tests.support.evaluations import RECIPE, TINY, make_scores
from tests.unit.report.stored import stored

OTHER = replace(RECIPE, split="all")
percents = st.floats(0, 100, allow_nan=False)


class TestSparkline:
    def test_the_largest_is_the_tallest(self) -> None:
        assert sparkline([10.0, 20.0, 30.0])[::2] == "▁█"

    def test_noise_is_no_cliff(self) -> None:
        shown = sparkline([20.0, 20.1])
        assert ord(shown[1]) - ord(shown[0]) <= 1

    def test_what_is_unknown_is_a_gap(self) -> None:
        assert sparkline([None, 5.0, None]).strip() != ""
        assert sparkline([None, None]) == "  "

    @settings(deadline=None)
    @given(st.lists(st.one_of(st.none(), percents)))
    def test_each_value_has_one_place(self, values: list[float | None]) -> None:
        shown = sparkline(values)
        assert len(shown) == len(values)
        assert [one == " " for one in shown] == [value is None for value in values]


class TestChart:
    def test_each_line_of_each_series_is_a_stroke_of_its_own(self) -> None:
        series = histories(
            [
                stored(1),
                stored(2),
                stored(3, model=TINY, model_label="base"),
                stored(4, recipe=OTHER),
                stored(5, recipe=OTHER),
            ]
        )
        drawn = chart(series, "mta")
        assert drawn is not None
        assert [len(stroke.dots) for stroke in drawn.strokes] == [2, 1, 2]
        assert [stroke.color for stroke in drawn.strokes] == [0, 1, 0]
        assert colors_of(series) == {"serving": 0, "base": 1}

    def test_what_nobody_could_measure_is_not_drawn(self) -> None:
        nothing = replace(make_scores().mta, value=None, low=None, high=None)
        series = histories([stored(1, scores=make_scores(mta=nothing))])
        assert chart(series, "mta") is None
        assert chart(series, "wer") is not None

    @settings(deadline=None, max_examples=25)
    @given(st.lists(st.floats(0, 1, allow_nan=False), min_size=1, max_size=6))
    def test_everything_lies_within_the_frame(self, skills: list[float]) -> None:
        series = histories([stored(number, skill=skill) for number, skill in enumerate(skills)])
        for metric in HEADLINE:
            drawn = chart(series, metric)
            assert drawn is not None
            for dot in drawn.strokes[0].dots:
                assert LEFT <= dot.x <= WIDTH - RIGHT
                assert dot.low is not None
                assert dot.high is not None
                assert 0 <= dot.high <= dot.y <= dot.low <= HEIGHT
