"""Reception: files that have settled in the inbox become recordings, in batches that share their fsyncs and their commit.

The order is the promise: copy and fsync → link and fsync → one transaction → only then the original goes. Whatever dies in
between is continued by the next start: an unfinished copy is swept, a finished one without a row adopted, an original whose row is
there recognized by its content and removed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from daemon.crashpoint import crash_point
from daemon.intake import source, spool
from daemon.intake.arrival import Arrival, IgnoreCode, Ignored, NotTaken
from daemon.intake.ignore import InboxRules
from daemon.intake.inbox import InboxWatch, Scan, WatchState, scan
from daemon.intake.late import LateBytes, LateWatch
from daemon.intake.stability import StabilityTracker
from daemon.intake.taken import Taken, as_copied, copy_of, recovered, taken_from
from daemon.pulse import Pulse
from daemon.store import recordings
from daemon.store.connection import Store
from daemon.store.recordings import Copy, Reception
from medasr.errors import TransientError

logger = logging.getLogger(__name__)

#: Files taken together: one fsync of the folder and one commit for all of them.
BATCH_FILES = 64
BATCH_BYTES = 256 * 2**20
#: Batches between two looks at the inbox: so many files may come at once, an urgent one among the next is soon seen.
TURN_BATCHES = 8
#: Slowest disk or share that is still called alive, bytes a second.
SLOWEST_COPY = 2**20
#: Within so many seconds a turn without copying shows a sign of life.
TURN_SECONDS = 120.0
LATE_BYTES = "LATE_BYTES"


@dataclass(frozen=True, kw_only=True)
class IntakeOptions:
    """What is taken, and where to."""

    inbox: Path
    spool: Path
    rules: InboxRules
    max_bytes: int
    min_free_bytes: int
    empty_seconds: float
    urgent: tuple[str, ...] = ()  #: path of the sub-folder whose recordings come first; empty for none


@dataclass(frozen=True, kw_only=True)
class IntakeStatus:
    """What a person should know about the inbox; replaced as a whole after each turn."""

    problem: str = ""  #: why the inbox as a whole is not served: MISSING, READ_ONLY, NO_SPACE, STORE ...
    watching: WatchState = WatchState.RESCANS
    followed: int = 0  #: files seen and not yet taken
    taking: bool = False  #: whether any of them will be taken by itself: it settles, or waits for its turn
    left: tuple[Ignored, ...] = ()  #: what is not taken, and why
    left_counts: dict[str, int] = field(default_factory=dict)


@dataclass(kw_only=True)
class Intake:
    """See the module's description. Use from one thread; ``status`` may be read from any."""

    store: Store
    options: IntakeOptions
    tracker: StabilityTracker
    watch: InboxWatch
    late: LateWatch
    pulse: Pulse
    now: Callable[[], datetime]
    on_received: Callable[[], None]
    status: IntakeStatus = field(default_factory=IntakeStatus)
    _interrupted: bool = False
    _uncommitted: list[Taken] = field(default_factory=list)
    _orphans: list[spool.Copied] = field(default_factory=list)  # complete copies that no row knows

    def recover(self) -> int:
        """At start, with the home locked: sweep unfinished copies, find finished ones without a row; return how many."""
        spool.sweep(self.options.spool)
        with self.store.read() as session:
            known = {recording_id for recording_id, _ in recordings.hashes(session)}
        self._orphans = list(spool.orphans(self.options.spool, known))
        return len(self._orphans)

    def turn(self) -> int:
        """Look at the inbox once and take what has settled; return how many files were taken."""
        self.pulse.expect(TURN_SECONDS)
        found = scan(self.options.inbox, self.options.rules)
        watching = self.watch.refresh(found.identity)
        due = self.tracker.observe(found.files)
        taken, problem = 0, found.problem or ""
        try:
            taken += self._commit()
            for batch in self._batches(sorted(due, key=lambda arrival: not self._is_urgent(arrival)))[:TURN_BATCHES]:
                if self._interrupted:
                    break
                taken += self._take(batch)
            taken += self._take_late(self.late.check())
            if found.problem is None:
                self._adopt_orphans({arrival.size for arrival in found.files})
        except TransientError as error:
            problem = problem or type(error).__name__
            logger.warning("intake waits", extra={"code": problem})
        self.status = self._status(found, watching, problem)
        return taken

    def interrupt(self) -> None:
        """From another thread: begin no further batch."""
        self._interrupted = True

    def close(self) -> None:
        """On a clean stop: a last look at what was written late, and let go of everything."""
        try:
            self._take_late(self.late.close())
        except TransientError as error:
            logger.error("late bytes are lost", extra={"code": type(error).__name__})
        self.watch.stop()
        self.pulse.rest()

    def _batches(self, due: Sequence[Arrival]) -> list[list[Arrival]]:
        """Cut what is due into batches; files for which there is no room wait without stopping smaller ones."""
        batches: list[list[Arrival]] = []
        room = spool.free_bytes(self.options.spool) - self.options.min_free_bytes
        size = BATCH_BYTES
        for arrival in due:
            code = self._refusal(arrival, room)
            if code is not None:
                self.tracker.postpone(arrival, code)
                continue
            room -= arrival.size
            if not batches or len(batches[-1]) >= BATCH_FILES or size + arrival.size > BATCH_BYTES:
                batches.append([])
                size = 0
            batches[-1].append(arrival)
            size += arrival.size
        return batches

    def _refusal(self, arrival: Arrival, room: int) -> IgnoreCode | None:
        if arrival.size > self.options.max_bytes:
            return IgnoreCode.TOO_BIG
        return IgnoreCode.NO_SPACE if arrival.size > room else None

    def _take(self, batch: Sequence[Arrival]) -> int:
        """Copy a batch, make it durable, enter it. What cannot be taken now waits without stopping the others."""
        self.pulse.expect(TURN_SECONDS + sum(arrival.size for arrival in batch) / SLOWEST_COPY)
        opened = [(arrival, descriptor) for arrival in batch if (descriptor := self._open(arrival)) is not None]
        copies = spool.copy_batch(self.options.spool, opened)
        trouble: TransientError | None = None
        for (arrival, descriptor), copied in zip(opened, copies, strict=True):
            if isinstance(copied, TransientError):
                os.close(descriptor)
                if isinstance(copied, NotTaken):
                    self.tracker.postpone(arrival, copied.code)
                else:
                    trouble = copied
            else:
                urgent = self._is_urgent(arrival)
                self._uncommitted.append(taken_from(arrival, descriptor, copied, urgent=urgent))
        try:
            if trouble is not None:
                raise trouble
            spool.publish(self.options.spool, [as_copied(taken.copy) for taken in self._uncommitted])
        except TransientError:
            self._abandon()
            raise
        return self._commit()

    def _is_urgent(self, arrival: Arrival) -> bool:
        return bool(self.options.urgent) and arrival.lies_in(self.options.urgent)

    def _open(self, arrival: Arrival) -> int | None:
        try:
            return source.open_arrival(arrival)
        except NotTaken as error:
            self.tracker.postpone(arrival, error.code)
            return None

    def _abandon(self) -> None:
        """The batch could not be made durable: forget the copies; the originals are still in the inbox."""
        for taken in self._uncommitted:
            os.close(taken.descriptor)
        spool.discard(self.options.spool, [taken.copy.id for taken in self._uncommitted])
        self._uncommitted.clear()

    def _commit(self) -> int:
        """Enter the durable copies, then remove their originals. What the database does not take now is kept for the next turn."""
        if not self._uncommitted:
            return 0
        crash_point("before_commit")
        receptions = self._enter([taken.copy for taken in self._uncommitted])
        batch, self._uncommitted = self._uncommitted, []
        spool.discard(self.options.spool, self._superseded(batch))
        for taken in batch:
            self._remove(taken)
        source.sync_folders(taken.arrival for taken in batch if not taken.late)
        self.on_received()
        counts = {str(kind): receptions.count(kind) for kind in Reception}
        logger.info("received", extra={"count": counts["new"], "duplicates": counts["duplicate"] + counts["repeated"]})
        return len(batch)

    def _enter(self, copies: Sequence[Copy]) -> list[Reception]:
        """One transaction; then the bytes of what was known already take the place of the recording's, should those be lost."""
        with self.store.write() as session:
            receptions = recordings.receive(session, copies, now=self.now())
            owners = recordings.ids_by_content(session, {copy.sha256 for copy in copies})
        crash_point("after_commit")
        known = {copy.id: owners[copy.sha256] for copy in copies if owners[copy.sha256] != copy.id}
        spool.replace(self.options.spool, known)
        return list(receptions.values())

    def _remove(self, taken: Taken) -> None:
        """Everything is durable: the original may go; its descriptor is watched for bytes that come late."""
        removed = source.Removed.VANISHED if taken.late else source.remove_source(taken.arrival)
        if removed in (source.Removed.PERMISSION, source.Removed.BUSY):
            self.tracker.postpone(taken.arrival, IgnoreCode(removed))
        if taken.sidecar is not None and removed is source.Removed.REMOVED:
            source.remove_source(taken.sidecar)
        if removed in (source.Removed.REMOVED, source.Removed.VANISHED):
            self.late.keep(taken.copy.id, taken.arrival, taken.descriptor)
        else:
            os.close(taken.descriptor)

    def _take_late(self, written: Sequence[LateBytes]) -> int:
        """A recorder went on writing after its file was taken: take the whole again, as a further recording, flagged."""
        waiting, failed = list(written), []
        trouble: TransientError | None = None
        try:
            while waiting:
                item = waiting.pop(0)
                self.pulse.expect(TURN_SECONDS + item.arrival.size / SLOWEST_COPY)
                try:
                    copied = spool.copy_in(self.options.spool, item.arrival, item.descriptor)
                    spool.publish(self.options.spool, [copied])
                except TransientError as error:  # perhaps this one alone cannot be read
                    failed.append(item)
                    trouble = error
                    continue
                urgent = self._is_urgent(item.arrival)
                copy = copy_of(item.arrival, copied, metadata=None, warning=LATE_BYTES, urgent=urgent)
                self._uncommitted.append(Taken(arrival=item.arrival, copy=copy, descriptor=item.descriptor, late=True))
                self._commit()
        finally:
            for item in (*failed, *waiting):
                self.late.again(item)
        if trouble is not None:
            raise trouble
        return len(written)

    def _superseded(self, batch: Sequence[Taken]) -> list[str]:
        """Orphans whose originals were just taken under their own names."""
        contents = {taken.copy.sha256 for taken in batch}
        superseded = [orphan for orphan in self._orphans if orphan.sha256 in contents]
        self._orphans = [orphan for orphan in self._orphans if orphan not in superseded]
        return [orphan.recording_id for orphan in superseded]

    def _adopt_orphans(self, sizes_in_inbox: set[int]) -> None:
        """Enter copies without a row under a made-up name, since theirs is not known any more.

        We died between copy and commit: then the original is still in the inbox and is taken again under its own name, so
        the copy waits until nothing of its size lies there. What remains is what a restored database has forgotten.
        """
        for orphan in [orphan for orphan in self._orphans if orphan.size not in sizes_in_inbox]:
            self.pulse.expect(TURN_SECONDS)
            self._enter([recovered(orphan)])
            self._orphans.remove(orphan)
            self.on_received()

    def _status(self, found: Scan, watching: WatchState, problem: str) -> IntakeStatus:
        waiting = self.tracker.waiting(self.options.empty_seconds)
        empty = sum(arrival.size == 0 for arrival in found.files) - sum(
            item.code is IgnoreCode.EMPTY for item in waiting
        )
        counts = {str(code): count for code, count in found.ignored_counts.items()}
        for item in waiting:
            counts[item.code] = counts.get(item.code, 0) + 1
        return IntakeStatus(
            problem=problem,
            watching=watching,
            followed=len(self.tracker),
            taking=bool(self._uncommitted) or len(self.tracker) > len(waiting) + empty,
            left=(*found.ignored, *waiting),
            left_counts=counts,
        )
