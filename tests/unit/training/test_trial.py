"""Which adapter is taken: by what it wrote, never by its loss."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from medasr.training.trial import NOISE, Figures, Trial, best_epoch, choose, cost

BASE = Figures(normalized_wer=10.0, mta=80.0, term_precision=95.0, general_wer=8.0)


def trial(epoch: int = 1, interpolation: float = 1.0, **figures: float | None) -> Trial:
    return Trial(epoch=epoch, interpolation=interpolation, figures=replace(BASE, **figures))


class TestChoice:
    def test_fewer_word_errors_win(self) -> None:
        assert choose(BASE, [trial(1, normalized_wer=8.0), trial(2, normalized_wer=9.0)]).epoch == 1

    def test_terms_count_too(self) -> None:
        assert choose(BASE, [trial(2, normalized_wer=8.0), trial(1, normalized_wer=8.2, mta=84.0)]).epoch == 1

    def test_one_that_forgets_general_speech_loses(self) -> None:
        forgetful, careful = trial(1, normalized_wer=7.0, general_wer=10.0), trial(2, normalized_wer=9.0)
        assert choose(BASE, [forgetful, careful]).epoch == 2

    def test_one_that_invents_terms_loses(self) -> None:
        inventive, careful = trial(1, mta=90.0, term_precision=85.0), trial(2, mta=82.0)
        assert choose(BASE, [inventive, careful]).epoch == 2

    def test_small_losses_within_the_margins_cost_nothing(self) -> None:
        assert cost(BASE, trial(general_wer=8.4, term_precision=94.5).figures) == cost(BASE, BASE)

    def test_of_equals_within_the_noise_the_latest_as_it_is_is_taken(self) -> None:
        chosen = choose(BASE, [trial(1, 1.0), trial(2, 0.75), trial(2, 1.0, normalized_wer=10.3), trial(2, 1.2)])
        assert (chosen.epoch, chosen.interpolation) == (2, 1.0)

    def test_the_epoch_since_which_nothing_better_came_is_the_first_of_equals(self) -> None:
        assert best_epoch(BASE, [trial(1), trial(2), trial(3, normalized_wer=10.1)]) == 1

    def test_one_that_cannot_be_scored_is_never_taken(self) -> None:
        assert choose(BASE, [trial(1, normalized_wer=None), trial(2, normalized_wer=50.0)]).epoch == 2

    def test_without_terms_words_decide(self) -> None:
        assert choose(BASE, [trial(1, mta=None, normalized_wer=9.0), trial(2, mta=None, normalized_wer=8.0)]).epoch == 2

    @given(st.lists(st.floats(0, 100), min_size=1, max_size=6))
    def test_the_choice_never_costs_more_than_another_beyond_the_noise(self, rates: list[float]) -> None:
        trials = [trial(epoch, normalized_wer=rate) for epoch, rate in enumerate(rates)]
        chosen = cost(BASE, choose(BASE, trials).figures)
        assert all(chosen <= cost(BASE, one.figures) + NOISE + 1e-6 for one in trials)
