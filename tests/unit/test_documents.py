"""What people and programs read: subtitles that stay valid whatever was said, and documents that hold what is documented."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from daemon import documents
from daemon.store import jobs, recordings, transcripts
from daemon.store.connection import Store
from daemon.store.schema import SegmentRow, TermHitRow
from medasr.errors import Reason
from tests.support.stores import NOW, copy, hit, later, open_store, result
from tests.support.workbench import FACTS

OUTPUTS = Path(__file__).parents[2] / "docs" / "outputs.md"

HOSTILE = "<script>alert(1)</script> & 00:00:09.000 --> 00:00:10.000"


def segment(text: str, start: float = 0.0, end: float = 2.0) -> SegmentRow:
    return SegmentRow(position=0, start=start, end=end, text=text)


class TestClock:
    @pytest.mark.parametrize(
        ("seconds", "shown"),
        [
            (0.0, "00:00:00,000"),
            (1.2345, "00:00:01,234"),
            (59.9999, "00:01:00,000"),
            (3599.9996, "01:00:00,000"),
            (3725.5, "01:02:05,500"),
            (360_000.0, "100:00:00,000"),
        ],
    )
    def test_seconds_are_carried_into_minutes_and_hours(self, seconds: float, shown: str) -> None:
        assert documents.clock(seconds, ",") == shown


class TestSubRip:
    def test_blocks_are_numbered_and_parted_by_an_empty_line(self) -> None:
        assert documents.srt([segment("One."), segment("Two.", 3725.5, 3726.0)]) == (
            "1\n00:00:00,000 --> 00:00:02,000\nOne.\n\n2\n01:02:05,500 --> 01:02:06,000\nTwo.\n"
        )

    def test_nobody_speaking_gives_an_empty_file(self) -> None:
        assert documents.srt([]) == ""

    @pytest.mark.parametrize(
        "text", ["One.\n\n2\n00:00:00,000 --> 00:00:09,000\nForged.", "a\r\n\r\nb", "a\u2028\u2028b"]
    )
    def test_line_ends_inside_a_text_do_not_end_its_block(self, text: str) -> None:
        written = documents.srt([segment(text)])
        assert len(written.splitlines()) == 3

    def test_text_stands_as_it_is_since_the_format_knows_no_escapes(self) -> None:
        assert documents.srt([segment(HOSTILE)]).splitlines()[2] == HOSTILE


class TestWebVtt:
    def test_it_begins_with_its_signature_and_an_empty_line(self) -> None:
        assert documents.webvtt([segment("One.")]) == "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nOne.\n"

    def test_nobody_speaking_gives_a_valid_file_without_cues(self) -> None:
        assert documents.webvtt([]) == "WEBVTT\n"

    def test_no_text_becomes_markup_or_a_cue(self) -> None:
        written = documents.webvtt([segment(HOSTILE)])
        assert "<" not in written
        assert written.count("-->") == 1
        assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; " in written

    def test_line_ends_inside_a_text_do_not_end_its_cue(self) -> None:
        assert documents.webvtt([segment("a\n\nNOTE b")]).splitlines()[3:] == ["a NOTE b"]


class TestPlainText:
    def test_one_segment_is_one_line(self) -> None:
        assert documents.plain_text([segment("a\nb"), segment("<c>")]) == "a b\n<c>\n"

    def test_nobody_speaking_gives_an_empty_file(self) -> None:
        assert documents.plain_text([]) == ""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


def transcript_document(store: Store) -> dict[str, Any]:
    """A document with something in every list."""
    entry = copy()
    done = result("He takes aspirin.", "<b> & \u2028", terms=(hit("aspirin", "drug", 9),), verdict=_review())
    first, second = done.transcript.segments
    marked = (replace(first, biased=(2,)), replace(second, biased=(0,)))
    done = replace(done, transcript=replace(done.transcript, segments=marked))
    with store.write() as session:
        recordings.receive(session, [entry], now=NOW)
        recordings.store_facts(session, entry.id, FACTS)
        job = jobs.of_recording(session, entry.id)
        jobs.claim(session, job.id, owner="t", lease=later(hours=1) - NOW, now=NOW)
        transcripts.complete(session, job.id, entry.id, done, now=NOW)
    with store.read() as session:
        row = transcripts.latest(session, entry.id)
        assert row is not None
        return documents.transcript_document(row)


def error_document(store: Store, reason: Reason) -> dict[str, Any]:
    entry = copy()
    with store.write() as session:
        recordings.receive(session, [entry], now=NOW)
        job = jobs.of_recording(session, entry.id)
        jobs.quarantine(session, job.id, reason, now=NOW)
        return documents.error_document(job)


def _review() -> Any:
    from medasr.types import VerdictKind

    return VerdictKind.NEEDS_REVIEW


class TestTranscript:
    def test_a_term_s_position_finds_its_surface_in_the_text(self, store: Store) -> None:
        document = transcript_document(store)
        (term,) = document["terms"]
        assert document["text"][term["position"] : term["position"] + term["length"]] == term["surface"] == "aspirin"

    def test_words_and_terms_that_stand_there_because_of_a_list_are_marked(self, store: Store) -> None:
        document = transcript_document(store)
        assert [one["biased"] for one in document["terms"]] == [True]
        first, second = ([word["surface"] for word in one["biased"]] for one in document["segments"])
        assert (first, second) == (["aspirin."], ["<b>"])
        for word in (word for one in document["segments"] for word in one["biased"]):
            place = slice(word["position"], word["position"] + word["length"])
            assert document["text"][place] == word["surface"]

    def test_other_words_of_a_segment_do_not_mark_a_term(self) -> None:
        words = documents.biased_words([SegmentRow(position=0, text="He takes aspirin.", biased=[1])])
        term = TermHitRow(position=9, length=7)
        assert [[word.touches(term) for word in one] for one in words] == [[False]]

    def test_text_is_given_as_it_was_heard(self, store: Store) -> None:
        assert [item["text"] for item in transcript_document(store)["segments"]] == [
            "He takes aspirin.",
            "<b> & \u2028",
        ]

    def test_times_carry_their_zone(self, store: Store) -> None:
        document = transcript_document(store)
        assert document["created_at"] == document["recording"]["received_at"] == "2026-03-01T12:00:00+00:00"

    def test_before_decoding_nothing_is_known_of_the_audio(self) -> None:
        assert documents.audio_part(None) is None


class TestQuarantine:
    @pytest.mark.parametrize("reason", Reason)
    def test_every_reason_says_what_it_means_and_how_to_release_it(self, store: Store, reason: Reason) -> None:
        document = error_document(store, reason)
        assert document["reason"] == reason
        assert len(document["meaning"]) > 20
        assert document["release_with"].endswith(f"quarantine release {document['recording']['id'][:8]}")


class TestDocumentation:
    """docs/outputs.md is what programs are written against."""

    def test_every_reason_has_its_row(self) -> None:
        rows = re.findall(r"^\| (`[A-Z_`, ]+) \|", OUTPUTS.read_text(), re.MULTILINE)
        named = {code for row in rows for code in re.findall(r"`([A-Z_]+)`", row)}
        assert set(Reason) <= named

    def test_every_key_of_a_transcript_is_named(self, store: Store) -> None:
        written = set(keys(transcript_document(store)))
        text = OUTPUTS.read_text()
        named = {word for span in re.findall(r"`([^`\n]+)`", text) for word in re.findall(r"\w+", span)}
        assert sorted(written - named) == []

    def test_every_key_of_an_error_is_named(self, store: Store) -> None:
        written = set(keys(error_document(store, Reason.NO_AUDIO)))
        named = {word for span in re.findall(r"`([^`\n]+)`", OUTPUTS.read_text()) for word in re.findall(r"\w+", span)}
        assert sorted(written - named) == []

    def test_the_schemas_are_the_documented_ones(self) -> None:
        text = OUTPUTS.read_text()
        assert f"`{documents.SCHEMA}`" in text
        assert f"`{documents.ERROR_SCHEMA}`" in text


def keys(value: Any) -> Iterator[str]:
    """Every key of a document, however deep; a recording's metadata are its own."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield key
            if key != "metadata":
                yield from keys(item)
    elif isinstance(value, list):
        for item in value:
            yield from keys(item)
