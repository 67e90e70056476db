"""When a file in the inbox is complete: once it has not changed for a while. Pure logic, no threads, no input or output."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from daemon.intake.arrival import Arrival, Fingerprint, IgnoreCode, Ignored

_FIRST_DELAY = 2.0  #: seconds before a file that could not be taken is tried again; doubled each time
_LONGEST_DELAY = 300.0


@dataclass(slots=True)
class _Track:
    """What is remembered of a file from one look to the next."""

    arrival: Arrival
    unchanged_since: float
    fingerprint: Fingerprint
    delay: float = 0.0
    not_before: float = 0.0
    code: IgnoreCode | None = None  #: why it could not be taken the last time

    def see(self, arrival: Arrival, now: float) -> None:
        if arrival.fingerprint != self.fingerprint:
            self.fingerprint = arrival.fingerprint
            self.unchanged_since = now
            self.delay, self.not_before, self.code = 0.0, 0.0, None
        self.arrival = arrival


class StabilityTracker:
    """Tells which files have kept device, inode, size and modification time for ``settle_seconds``, and are not empty.

    Only *changes* of the modification time count, never its age: clocks of recorders are wrong, and copies keep old
    times. The rule holds for every file, those already there at the first look included.

    ``clock`` gives seconds that never go back, such as :func:`time.monotonic`.
    """

    def __init__(self, settle_seconds: float, clock: Callable[[], float]) -> None:
        self._settle_seconds = settle_seconds
        self._clock = clock
        self._tracks: dict[tuple[tuple[str, ...], str], _Track] = {}  # in the order of arrival

    def observe(self, snapshot: Iterable[Arrival]) -> list[Arrival]:
        """Given all files of one scan, return those to take now, first seen first, then by name; forget those gone.

        A file is returned again and again until it is gone or postponed.
        """
        now = self._clock()
        present = {(arrival.folders, arrival.name): arrival for arrival in snapshot}
        self._tracks = {key: track for key, track in self._tracks.items() if key in present}
        for key, track in self._tracks.items():
            track.see(present[key], now)
        for key in sorted(present.keys() - self._tracks.keys(), key=lambda key: (key[1], key[0])):
            arrival = present[key]
            self._tracks[key] = _Track(arrival, now, arrival.fingerprint)
        return [track.arrival for track in self._tracks.values() if self._is_due(track, now)]

    def postpone(self, arrival: Arrival, code: IgnoreCode) -> None:
        """Do not return this file for a while, doubled each time up to five minutes, unless it changes before."""
        track = self._tracks.get((arrival.folders, arrival.name))
        if track is None or track.fingerprint != arrival.fingerprint:
            return
        track.delay = min(max(track.delay * 2, _FIRST_DELAY), _LONGEST_DELAY)
        track.not_before = self._clock() + track.delay
        track.code = code

    def waiting(self, empty_seconds: float) -> list[Ignored]:
        """List the files that a person should know of: postponed ones, and those empty for ``empty_seconds`` or longer."""
        now = self._clock()
        found = []
        for track in self._tracks.values():
            empty = track.arrival.size == 0 and now - track.unchanged_since >= empty_seconds
            code = track.code or (IgnoreCode.EMPTY if empty else None)
            if code is not None:
                found.append(Ignored(path=track.arrival.path, code=code))
        return found

    def __len__(self) -> int:
        """How many files are being followed."""
        return len(self._tracks)

    def _is_due(self, track: _Track, now: float) -> bool:
        settled = track.arrival.size > 0 and now - track.unchanged_since >= self._settle_seconds
        return settled and now >= track.not_before
