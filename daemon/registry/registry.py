"""Every act that changes which version serves: one transaction and one line of the audit trail each.

The same whether the daemon does it for a command or no daemon runs (:mod:`daemon.registry.desk`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from daemon.crashpoint import crash_point
from daemon.registry import shelf
from daemon.registry.naming import BASE, SERVING, version_folder, version_name
from daemon.store import audit, models, verdicts
from daemon.store.affected import queue_again
from medasr.errors import FatalError, ModelError
from medasr.packs import canonical_name, installed
from medasr.whisper.manifest import verify_adapter

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from daemon.config import Config
    from daemon.store.connection import Store
    from daemon.store.schema import AdapterRow, GateVerdictRow

#: Why a version was promoted, in the audit trail.
BY_GATE, FORCED, EMBEDDED, ROLLBACK = "GATE", "FORCED", "EMBEDDED", "ROLLBACK"
#: Why what served before serves again: the weights of the version could not be loaded, belong to another base, or know another language.
LOAD_FAILED, WRONG_BASE, WRONG_LANGUAGE = "LOAD_FAILED", "WRONG_BASE", "WRONG_LANGUAGE"

_REASON_LENGTH = 500


def _nobody() -> None:
    """Told of a change where no daemon runs."""


@dataclass(frozen=True, kw_only=True)
class Registry:
    """The acts themselves; each returns what it did, in words."""

    config: Config
    store: Store
    now: Callable[[], datetime]
    on_change: Callable[[], None] = field(default=_nobody)  #: told that another version serves

    @property
    def base_id(self) -> str:
        """The base whose aliases are meant where no version says otherwise."""
        return canonical_name(self.config.model.base)

    def register(self, name: str, base_id: str, origin: str, *, actor: str) -> str:
        """Enter a version whose files lie on the shelf; one that was trained or imported becomes the candidate. Return its name.

        Raise ModelError when its files are not what its manifest says.
        """
        folder = version_folder(self.config.paths.adapters, name)
        manifest = verify_adapter(folder)
        if version_name(base_id, manifest.adapter_sha256) != name:
            raise ModelError(
                f"{folder} holds another version than its name says; remove it, and import the version again"
            )
        new = models.NewAdapter(
            name=name,
            base_id=base_id,
            base_sha256=manifest.base_sha256,
            adapter_sha256=manifest.adapter_sha256,
            origin=origin,
            audio_context=manifest.audio_context,
            manifest=shelf.raw_manifest(folder),
        )
        with self.store.write() as session:
            row = models.add_adapter(session, new, now=self.now())
            if origin != "embedded" and models.aliases(session, base_id).get(SERVING) is not row:
                models.set_alias(session, base_id, "candidate", row.id, now=self.now())
            self._note(session, "version installed", actor, version=name, reason=origin.upper())
        return name

    def promote(self, name: str, *, actor: str, force: bool = False, reason: str = "", trigger: str = "manual") -> str:
        """Let a version serve from now on.

        Without ``force`` the gate must have said PROMOTE about it against what serves now; with it, ``reason`` says why in the
        operator's words. Raise FatalError when that is not so or a version is pinned, ModelError when its files are not intact.
        """
        if force and not reason.strip():
            raise FatalError(
                "a promotion past the gate needs its reason: --force --reason TEXT; it stays in the audit trail"
            )
        with self.store.read() as session:
            row = self._named(session, name)
            base_id = row.base_id if row else self.base_id
        if row:
            self._require_intact(row)
        crash_point("promote_verified")
        with self.store.write() as session:
            row = self._named(session, name)
            aliases = models.aliases(session, base_id)
            self._require_free(aliases, base_id)
            serving = aliases.get(SERVING)
            if SERVING in aliases and serving is row:
                raise FatalError(f"{_called(row, base_id)} serves already; nothing was changed")
            verdict = None if force else self._verdict(session, row, serving)
            self._serve(session, base_id, row, serving)
            if verdict:
                verdicts.adopt(session, verdict.id)
            why = FORCED if force else BY_GATE
            detail: dict[str, Any] = {"trigger": trigger} | ({"verdict": verdict.id} if verdict else {})
            if force:
                detail["words"] = reason.strip()[:_REASON_LENGTH]
            self._note_change(session, "promoted", actor, base_id, row, serving, reason=why, **detail)
            crash_point("promote_written")
        crash_point("promote_committed")
        return self._changed(f"{_called(row, base_id)} serves from now on", base_id)

    def activate(self, name: str | None, *, actor: str, reason: str = EMBEDDED) -> None:
        """At start or in a new home, before anything loads weights: the embedded version serves, or with None the stock weights."""
        with self.store.write() as session:
            row = models.find_adapter(session, name) if name else None
            serving = models.alias_of(session, self.base_id, SERVING)
            self._serve(session, self.base_id, row, serving)
            models.clear_alias(session, self.base_id, "pinned")  # what was pinned cannot serve any more
            self._note_change(session, "promoted", actor, self.base_id, row, serving, reason=reason)

    def rollback(self, *, actor: str, base_id: str = "", reason: str = ROLLBACK) -> str:
        """Let the version serve again that did before; doing it twice changes nothing. Raise as :meth:`promote`."""
        base_id = base_id or self.base_id
        with self.store.read() as session:
            before = models.alias_of(session, base_id, "previous")
        if before:
            self._require_intact(before)
        with self.store.write() as session:
            aliases = models.aliases(session, base_id)
            self._require_free(aliases, base_id)
            if "previous" not in aliases:
                raise FatalError(
                    f"nothing served for {base_id} before what serves now, so there is nothing to go back to"
                )
            row, serving = aliases["previous"], aliases.get(SERVING)
            self._serve(session, base_id, row, serving)
            self._note_change(session, "rolled back", actor, base_id, row, serving, reason=reason)
            crash_point("rollback_written")
        crash_point("rollback_committed")
        return self._changed(f"{_called(row, base_id)} serves again", base_id)

    def pin(self, *, actor: str) -> str:
        """Keep what serves: nothing is promoted or rolled back until :meth:`unpin`."""
        with self.store.write() as session:
            serving = models.alias_of(session, self.base_id, SERVING)
            models.set_alias(session, self.base_id, "pinned", serving.id if serving else None, now=self.now())
            self._note(session, "pinned", actor, version=_called(serving, self.base_id))
            return f"{_called(serving, self.base_id)} is pinned: nothing else serves until `medasrd models unpin`"

    def unpin(self, *, actor: str) -> str:
        """Let versions be promoted again. Raise FatalError when none is pinned."""
        with self.store.write() as session:
            aliases = models.aliases(session, self.base_id)
            if "pinned" not in aliases:
                raise FatalError(f"no version of {self.base_id} is pinned; nothing was changed")
            models.clear_alias(session, self.base_id, "pinned")
            self._note(session, "unpinned", actor, version=_called(aliases["pinned"], self.base_id))
            return "versions may be promoted again"

    def remove(self, name: str, *, actor: str) -> str:
        """Remove a version's files; what it transcribed stays, and tells it. Raise FatalError while an alias needs it."""
        with self.store.write() as session:
            row = models.find_adapter(session, name)
            aliases = models.aliases(session, row.base_id)
            needed = [alias for alias, one in aliases.items() if one is row and alias != "candidate"]
            if needed:
                raise FatalError(
                    f"{row.name} is {' and '.join(needed)}, so its files stay; let another version serve first"
                )
            if aliases.get("candidate") is row:
                models.clear_alias(session, row.base_id, "candidate")
            models.remove_adapter(session, row.id, now=self.now())
            self._note(session, "version removed", actor, version=row.name)
            name = row.name
        shelf.discard(self.config.paths.adapters, name)
        return f"the files of {name} are removed"

    def prune(self, keep: int, *, actor: str) -> str:
        """Remove the files of trained versions that no alias names, but for the ``keep`` newest."""
        with self.store.read() as session:
            named = {row.id for row in models.aliases(session, self.base_id).values() if row}
            rows = models.list_adapters(session, base_id=self.base_id)
            old = [row.name for row in rows if row.origin == "trained" and row.id not in named][keep:]
        for name in old:
            self.remove(name, actor=actor)
        return f"{len(old)} removed"

    def redo(self, name: str, *, actor: str) -> str:
        """Queue again the recordings whose latest transcript a version made. Raise FatalError when that version serves."""
        with self.store.write() as session:
            row = self._named(session, name)
            base_id = row.base_id if row else self.base_id
            if base_id == self.base_id and models.alias_of(session, base_id, SERVING) is row:
                raise FatalError(
                    f"{_called(row, base_id)} serves, and would write the same again; let another version serve first"
                )
            queued = queue_again(session, base_id, row.adapter_sha256 if row else "", actor=actor, now=self.now())
            self._note(session, "redone", actor, version=_called(row, base_id), count=queued)
        return f"{queued} recording(s) wait to be transcribed again"

    def restored(self, name: str, *, actor: str) -> str:
        """Note that the files of a version were gone and are there again, the very ones that the database knows."""
        with self.store.write() as session:
            self._note(session, "version restored", actor, version=name)
        return name

    def exported(self, name: str, way: str, *, actor: str) -> str:
        """Note that a version left this machine, and as what: ADAPTER, MERGED or HUB."""
        with self.store.write() as session:
            self._note(session, "version exported", actor, version=name, reason=way)
        return name

    def _named(self, session: Session, name: str) -> AdapterRow | None:
        """The version that a name or an alias stands for; None for the stock weights."""
        if name == BASE:
            return None
        if name in models.ALIASES:
            aliases = models.aliases(session, self.base_id)
            if name not in aliases:
                raise FatalError(
                    f"there is no {name} version of {self.base_id}; `medasrd models list` shows what there is"
                )
            return aliases[name]
        return models.find_adapter(session, name)

    def _require_intact(self, row: AdapterRow) -> None:
        """Raise ModelError unless the version's files are those that were installed, and the base's weights those it belongs to."""
        folder = version_folder(self.config.paths.adapters, row.name)
        if row.removed_at is not None:
            raise ModelError(f"the files of {row.name} were removed; import them again to let it serve")
        raw = shelf.raw_manifest(folder)
        verify_adapter(folder)
        if raw != row.manifest:
            raise ModelError(
                f"{folder} is not as it was installed; find out by whom it was altered, then import the version again"
            )
        here = [base for base in installed(self.config.paths.models) if base.name == row.base_id]
        if here and here[0].weights_sha256 != row.base_sha256:
            raise ModelError(f"{row.name} belongs to other weights of {row.base_id} than those installed here")

    def _require_free(self, aliases: dict[str, AdapterRow | None], base_id: str) -> None:
        if "pinned" in aliases:
            raise Pinned(f"{_called(aliases['pinned'], base_id)} is pinned; run `medasrd models unpin` first")

    def _verdict(self, session: Session, row: AdapterRow | None, serving: AdapterRow | None) -> GateVerdictRow:
        """The gate's PROMOTE for a version against what serves. Raise FatalError without it."""
        name, incumbent = _called(row, self.base_id), _called(serving, self.base_id)
        way = "or, past the gate, --force --reason TEXT"
        verdict = models.latest_verdict(session, row.id, serving.id if serving else None) if row else None
        if row is None:
            raise FatalError(
                f"the gate holds versions against what serves, not the stock weights; `medasrd models rollback`, {way}"
            )
        if verdict is None:
            raise FatalError(f"the gate has not held {name} against {incumbent}; run `medasrd gate run {name}`, {way}")
        if verdict.decision != "PROMOTE":
            raise FatalError(
                f"the gate rejected {name} against {incumbent}: `medasrd gate show {verdict.id}` says why; {way}"
            )
        return verdict

    def _serve(self, session: Session, base_id: str, row: AdapterRow | None, serving: AdapterRow | None) -> None:
        now = self.now()
        models.set_alias(session, base_id, SERVING, row.id if row else None, now=now)
        models.set_alias(session, base_id, "previous", serving.id if serving else None, now=now)
        if row and models.aliases(session, base_id).get("candidate") is row:
            models.clear_alias(session, base_id, "candidate")

    def _note_change(
        self,
        session: Session,
        action: str,
        actor: str,
        base_id: str,
        row: AdapterRow | None,
        serving: AdapterRow | None,
        **detail: Any,
    ) -> None:
        versions = {"version": _called(row, base_id), "previous": _called(serving, base_id)}
        self._note(session, action, actor, **versions, **detail)

    def _note(self, session: Session, action: str, actor: str, **detail: Any) -> None:
        audit.record(session, now=self.now(), actor=actor, action=action, **detail)

    def _changed(self, done: str, base_id: str) -> str:
        self.on_change()
        if base_id != self.base_id:
            return f"{done} where model.base is {base_id}; here it is {self.base_id}"
        if self.config.model.adapter != SERVING:
            return f'{done} as soon as model.adapter in config.toml is "serving"; now it names other weights'
        return done


class Pinned(FatalError):  # noqa: N818 - reads as the state it reports
    """A version is pinned, so another one may not serve."""


def _called(row: AdapterRow | None, base_id: str) -> str:
    return row.name if row else f"{base_id} (stock)"
