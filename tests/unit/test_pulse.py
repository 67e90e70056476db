"""A pulse is late only when a promise was made and not kept."""

from __future__ import annotations

from daemon.pulse import Pulse
from tests.support.intake import FakeClock


def test_before_the_first_promise_nothing_is_late() -> None:
    clock = FakeClock()
    pulse = Pulse(clock)
    clock.advance(10**9)
    assert not pulse.late


def test_it_is_late_when_the_promised_time_has_passed() -> None:
    clock = FakeClock()
    pulse = Pulse(clock)
    pulse.expect(5)
    clock.advance(5)
    assert not pulse.late
    clock.advance(0.001)
    assert pulse.late


def test_a_later_sign_of_life_mends_it() -> None:
    clock = FakeClock()
    pulse = Pulse(clock)
    pulse.expect(5)
    clock.advance(6)
    pulse.expect(1)
    assert not pulse.late


def test_at_rest_it_is_never_late() -> None:
    clock = FakeClock()
    pulse = Pulse(clock)
    pulse.expect(5)
    pulse.rest()
    clock.advance(10**9)
    assert not pulse.late
