"""When a serving process counts as hung; its clock and its processor are told here."""

from __future__ import annotations

from collections import namedtuple

import pytest

from taxiway_backends.local.pulse import BUSY_SECONDS, STILL_SECONDS, Pulse

PULSE = "taxiway_backends.local.pulse"
Times = namedtuple("Times", "user system")


class Story:
    """A process that uses a share of a processor, looked at every so many seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.used = 0.0
        monkeypatch.setattr(f"{PULSE}.time.monotonic", lambda: self.now)
        monkeypatch.setattr(f"{PULSE}.psutil.Process", lambda pid: self)
        self.pulse = Pulse(1)

    def cpu_times(self) -> Times:
        return Times(self.used, 0.0)

    def go(self, seconds: float, *, share: float = 0.0, step: float = 0.5) -> bool:
        """Let time pass; tell whether it hangs at the end, and stop there."""
        end = self.now + seconds
        while self.now < end:
            self.now += step
            self.used += step * share
            self.pulse.look()
            if self.pulse.is_hung:
                return True
        return False


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch) -> Story:
    return Story(monkeypatch)


def test_one_that_does_nothing_and_says_nothing_hangs_after_a_while(story: Story) -> None:
    assert story.go(60)
    assert STILL_SECONDS < story.now < STILL_SECONDS + 5


@pytest.mark.parametrize("share", [0.02, 1.0])
def test_one_that_computes_is_given_more_time_but_not_for_ever(story: Story, share: float) -> None:
    assert not story.go(BUSY_SECONDS - 5, share=share)
    assert story.pulse.is_silent
    assert story.go(10, share=share)


def test_an_answer_however_late_begins_anew(story: Story) -> None:
    for _ in range(10):
        assert not story.go(STILL_SECONDS - 2)
        story.pulse.answer()
        assert not story.pulse.is_silent


def test_what_the_one_that_asks_has_slept_does_not_count(story: Story) -> None:
    story.go(1)
    assert not story.go(10 * STILL_SECONDS, step=STILL_SECONDS)
    assert story.go(20), "but what it sees does"
