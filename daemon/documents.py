"""What leaves the store for people and programs: a transcript as JSON, plain text, SRT and WebVTT, an error as JSON.

The JSON's fields are documented in docs/outputs.md; a change that could break a reader is a new :data:`SCHEMA`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from daemon.store.schema import AudioFactsRow, Job, ModelVersionRow, Recording, SegmentRow, TermHitRow, TranscriptRow
from medasr.errors import Reason

SCHEMA = "medasr.transcript/1"
ERROR_SCHEMA = "medasr.error/1"

#: What a reason means and what can be done, in words for the person who finds the file.
REMEDIES: dict[Reason, str] = {
    Reason.NO_AUDIO: "The file holds no sound at all. Check the recorder.",
    Reason.TRUNCATED: "The file holds less sound than its header promises; the transfer or the recorder was cut off. Drop the whole "
    'file again, or set intake.truncated = "transcribe" and release this one to transcribe what is there.',
    Reason.BAD_FORMAT: "This is not WAV, FLAC, OGG or MP3 audio, or it is damaged. Convert it, e.g. to 16-bit WAV.",
    Reason.BAD_RATE: "The sampling rate lies outside 4 to 384 kHz; the header is probably wrong.",
    Reason.TOO_MANY_CHANNELS: "More than 16 channels. Export the channels that matter.",
    Reason.TOO_LONG: "Longer than intake.max_seconds. Split it, or raise the limit and release it.",
    Reason.NOT_FINITE: "Some samples are not numbers (NaN or infinity). Export the recording again.",
    Reason.DECODER_CRASHED: "The decoder crashed on this file, more than once; it is damaged or made to do harm.",
    Reason.DECODER_TIMEOUT: "Decoding took far too long, more than once; the file is damaged or made to do harm.",
    Reason.DECODER_MEMORY: "Decoding needed more than decode.memory_bytes, more than once.",
    Reason.ENGINE_FAILED: "The model failed on this recording alone, every time. Run `medasrd doctor`, then release it.",
    Reason.LOST: "Our copy in the spool is missing or was altered. Restore it from a backup or drop the recording again, "
    "then release it.",
    Reason.ATTEMPTS: "It was still failing at the last attempt. Run `medasrd doctor`, then release it.",
    Reason.CANCELLED: "A person took it out of the queue with `medasrd jobs cancel`.",
}


@dataclass(frozen=True, kw_only=True)
class BiasedWord:
    """A word that stands in a transcript because of a list of terms: ``text[position:position + length]``."""

    surface: str
    position: int
    length: int

    def touches(self, term: TermHitRow) -> bool:
        """Whether it is a part of the term."""
        return self.position < term.position + term.length and term.position < self.position + self.length


def biased_words(segments: Sequence[SegmentRow]) -> list[list[BiasedWord]]:
    """By segment of a transcript, in order, the words that stand there because of a list of terms."""
    found, offset = [], 0
    for segment in segments:
        words = list(re.finditer(r"\S+", segment.text))
        chosen = [words[number] for number in segment.biased]
        found.append(
            [
                BiasedWord(surface=word.group(), position=offset + word.start(), length=len(word.group()))
                for word in chosen
            ]
        )
        offset += len(segment.text) + 1
    return found


def transcript_document(transcript: TranscriptRow) -> dict[str, Any]:
    """Given a transcript with its parts loaded, return the JSON document."""
    biased = biased_words(transcript.segments)
    return {
        "schema": SCHEMA,
        "recording": recording_part(transcript.recording),
        "audio": audio_part(transcript.recording.facts),
        "model": model_part(transcript.model_version)
        | {
            "device": transcript.device,
            "fallback": transcript.fallback,
            "engine_seconds": round(transcript.engine_seconds, 3),
        },
        "created_at": transcript.created_at.isoformat(),
        "language": transcript.language,
        "verdict": {"kind": transcript.verdict, "concerns": transcript.concerns},
        "text": transcript.text,
        "segments": [
            segment_part(segment) | {"biased": [asdict(word) for word in words]}
            for segment, words in zip(transcript.segments, biased, strict=True)
        ],
        "terms": [
            term_part(term) | {"biased": any(word.touches(term) for words in biased for word in words)}
            for term in transcript.terms
        ],
        "speech": [{"start": round(start, 3), "end": round(end, 3)} for start, end in transcript.speech],
    }


def recording_part(recording: Recording) -> dict[str, Any]:
    """Which recording: its id, its content's hash, how it was named and where it was dropped."""
    return {
        "id": recording.id,
        "sha256": recording.sha256,
        "bytes": recording.size,
        "name": recording.name,
        "label": recording.label,
        "received_at": recording.received_at.isoformat(),
        "metadata": recording.sidecar,
    }


def audio_part(facts: AudioFactsRow | None) -> dict[str, Any] | None:
    """What the recording turned out to be."""
    if facts is None:
        return None
    columns = [column.key for column in AudioFactsRow.__table__.columns if column.key != "recording_id"]
    return {key: _rounded(getattr(facts, key)) for key in columns}


def model_part(version: ModelVersionRow) -> dict[str, Any]:
    """Which model version."""
    return {
        "base": version.base_id,
        "revision": version.base_revision,
        "base_sha256": version.base_sha256,
        "adapter_sha256": version.adapter_sha256 or None,
        "precision": version.precision,
        "audio_context": version.audio_context,
    }


def segment_part(segment: SegmentRow) -> dict[str, Any]:
    """One segment; times in seconds."""
    return {
        "index": segment.position,
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": segment.text,
        "mean_log_probability": _rounded(segment.mean_log_probability),
        "no_speech_probability": _rounded(segment.no_speech_probability),
        "compression_ratio": _rounded(segment.compression_ratio),
        "concerns": segment.concerns,
    }


def term_part(term: TermHitRow) -> dict[str, Any]:
    """One medical term; ``text[position:position + length]`` is its surface."""
    return {
        "term": term.term,
        "category": term.category,
        "surface": term.surface,
        "segment": term.segment,
        "position": term.position,
        "length": term.length,
        "start": round(term.start, 3),
        "end": round(term.end, 3),
        "confidence": _rounded(term.confidence),
    }


def error_document(job: Job) -> dict[str, Any]:
    """Given a quarantined job with its recording, return the JSON document."""
    reason = Reason(job.reason or Reason.ATTEMPTS)
    return {
        "schema": ERROR_SCHEMA,
        "recording": recording_part(job.recording),
        "reason": reason,
        "meaning": REMEDIES[reason],
        "attempts": job.attempts,
        "quarantined_at": job.updated_at.isoformat(),
        "release_with": f"medasrd quarantine release {job.recording_id[:8]}",
    }


def plain_text(segments: Iterable[SegmentRow]) -> str:
    """One segment a line."""
    return "".join(f"{one_line(segment.text)}\n" for segment in segments)


def srt(segments: Iterable[SegmentRow]) -> str:
    """SubRip: numbered blocks with comma milliseconds. The format knows no escapes; the text stands as it is, on one line."""
    blocks = [
        f"{number}\n{clock(segment.start, ',')} --> {clock(segment.end, ',')}\n{one_line(segment.text)}\n"
        for number, segment in enumerate(segments, start=1)
    ]
    return "\n".join(blocks)


def webvtt(segments: Iterable[SegmentRow]) -> str:
    """WebVTT (W3C): full stops before milliseconds; the text is escaped since a cue may hold markup."""
    blocks = [
        f"{clock(segment.start, '.')} --> {clock(segment.end, '.')}\n{html.escape(one_line(segment.text), quote=False)}\n"
        for segment in segments
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def one_line(text: str) -> str:
    """A text without line ends: an empty line would end its block in SubRip and WebVTT, and what follows become a cue."""
    return " ".join(text.split())


def clock(seconds: float, separator: str) -> str:
    """Seconds as HH:MM:SS and milliseconds."""
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}{separator}{rest % 1000:03d}"


def _rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value
