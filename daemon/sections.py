"""The tables of config.toml: every option with its type, bounds, default and the sentence that documents it.

These models are the only place where an option is named: the documented default at the repository's root, and every ``config.toml``
that ``medasrd init`` writes, is rendered from them (:mod:`daemon.config_template`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from daemon.crontab import DISABLED, parse_crontab
from medasr.quality import QualityThresholds

Seconds = Annotated[float, Field(gt=0)]


def _is_crontab(expression: str) -> str:
    if expression != DISABLED:
        parse_crontab(expression)
    return expression


def _is_language_code(code: str) -> str:
    if not (code.isascii() and code.isalpha() and code.islower() and len(code) in {2, 3}):
        raise ValueError(f'"{code}" is no language code; two or three small letters, e.g. "en" or "de"')
    return code


def _is_inbox_folder(folder: str) -> str:
    parts = folder.split("/") if folder else []
    if any(not part.strip() or part.startswith(".") for part in parts):
        raise ValueError(f'"{folder}" is no folder in the inbox; name a sub-folder, e.g. "urgent", or "" for none')
    return folder


LanguageCode = Annotated[str, AfterValidator(_is_language_code)]
InboxFolder = Annotated[str, AfterValidator(_is_inbox_folder)]
CrontabString = Annotated[str, AfterValidator(_is_crontab)]


class Section(BaseModel):
    """A table of config.toml: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Paths(Section):
    """Folders. Relative ones count from the folder of this file."""

    inbox: Path = Field(Path("inbox"), description="Where people drop recordings. May be a network share.")
    outbox: Path = Field(Path("outbox"), description="Where NAME.txt, .json, .srt and .vtt appear.")
    quarantine: Path = Field(
        Path("quarantine"), description="Recordings that cannot be transcribed, each with NAME.error.json."
    )
    state: Path = Field(
        Path("state"), description="Database and our copies of the recordings. Must be on a local disk."
    )
    models: Path = Field(Path("state/models"), description="Model weights; homes may share them.")

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.state / "medasr.db"

    @property
    def spool(self) -> Path:
        """Our copies of the recordings."""
        return self.state / "spool"

    @property
    def samples(self) -> Path:
        """Normalized samples, between decoder and model only."""
        return self.state / "samples"

    @property
    def evaluations(self) -> Path:
        """Evaluations in progress, until they are in the database."""
        return self.state / "evaluations"

    @property
    def trainings(self) -> Path:
        """Trainings in progress, with their checkpoints, and the last one that ended."""
        return self.state / "trainings"

    @property
    def adapters(self) -> Path:
        """The versions' files, a folder each."""
        return self.state / "adapters"

    @property
    def verdicts(self) -> Path:
        """Verdicts of the gate, until they are in the database."""
        return self.state / "verdicts"

    @property
    def datasets(self) -> Path:
        """What is derived from datasets: tables read from hub copies, reports of their preparation."""
        return self.state / "datasets"

    @property
    def backups(self) -> Path:
        """Copies of the database, made before every migration and by ``medasrd db backup``."""
        return self.state / "backups"

    @model_validator(mode="after")
    def _folders_do_not_overlap(self) -> Paths:
        """Refuse folders inside the inbox, by whatever link: their content would be taken in again (a known crash loop elsewhere)."""
        problems = []
        inbox = self.inbox.resolve()
        for name in ("outbox", "quarantine", "state", "models"):
            folder: Path = getattr(self, name).resolve()
            if folder == inbox or folder.is_relative_to(inbox):
                problems.append(f"paths.{name} = {folder} lies inside paths.inbox = {inbox}; move it out")
            elif inbox.is_relative_to(folder):
                problems.append(f"paths.inbox = {inbox} lies inside paths.{name} = {folder}; move it out")
        if problems:
            raise ValueError("; ".join(problems))
        return self


class Intake(Section):
    """How a file in the inbox becomes a recording."""

    settle_seconds: Seconds = Field(
        5.0, description="A file is taken when its size and modification time have not changed for this long."
    )
    rescan_seconds: Seconds = Field(
        2.0, description="How often the inbox is read; the watcher only wakes this earlier."
    )
    polling: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Do without inotify: auto finds network mounts (cifs, nfs, fuse ...) under the inbox by itself.",
    )
    urgent: InboxFolder = Field(
        "urgent",
        description="Sub-folder of the inbox whose recordings are transcribed before all others; empty for none.",
    )
    extensions: tuple[str, ...] = Field(
        ("wav", "wave", "flac", "ogg", "oga", "opus", "mp3"),
        description="Names to take; others are ignored and counted. What a file is, its content decides.",
    )
    max_bytes: int = Field(8 * 2**30, gt=0, description="Larger files stay in the inbox (TOO_BIG).")
    max_seconds: Seconds = Field(
        12 * 3600.0, description="Longer recordings are quarantined as TOO_LONG before decoding."
    )
    min_free_bytes: int = Field(2**30, ge=0, description="Below this much free space nothing more is taken in.")
    truncated: Literal["quarantine", "transcribe"] = Field(
        "quarantine",
        description="A WAV holding less than its header promises: set aside, or transcribe what is there and flag it.",
    )
    empty_warning_seconds: Seconds = Field(
        600.0, description="An empty file older than this is named in `medasrd status`."
    )


class Decode(Section):
    """Limits for the process that opens a recording's bytes."""

    memory_bytes: int = Field(1536 * 2**20, gt=2**28, description="Address space beyond what the process has at start.")
    seconds_floor: Seconds = Field(60.0, description="Shortest time limit for one file.")
    speed_floor: Seconds = Field(4.0, description="A file may take its own length divided by this, if that is longer.")


class Model(Section):
    """Which weights transcribe, and how they are loaded."""

    base: str = Field(
        "whisper-base",
        description="A pack (whisper-base, whisper-tiny.en), a hub id at a 40-hex revision (openai/whisper-medium@REVISION), or a directory.",
    )
    adapter: str = Field(
        "serving",
        description='"serving": the version that was promoted (`medasrd models list`); empty: the stock weights; else the directory of a LoRA adapter, counted from the folder of this file.',
    )
    precision: Literal["auto", "nf4", "bf16", "fp16", "fp32"] = Field(
        "auto",
        description="auto: as `medasrd tune` found it fastest; untuned nf4 with bf16 arithmetic on CUDA; on a CPU bf16 where the cores have it, else fp32.",
    )
    device: Literal["auto", "cuda", "cpu"] = Field("auto", description="auto: CUDA when there is one.")
    language: LanguageCode = Field("en", description="ISO 639-1 code of the language spoken.")
    batch_size: int = Field(
        8,
        ge=1,
        le=256,
        description="Windows decoded together, by each of up to four CPU cores; halved by itself when memory runs out. With 8 it is as `medasrd tune` found it fastest, any other number stays.",
    )
    beams: int = Field(
        3, ge=1, le=16, description="Texts followed side by side where the first is doubtful; 1 looks at no other."
    )
    threads: int = Field(
        0, ge=0, description="CPU threads for the model; 0: as `medasrd tune` found it fastest, untuned one per core."
    )


class Engine(Section):
    """The process that holds the weights."""

    hang_seconds: Seconds = Field(
        600.0, description="Without a sign of progress for this long it is killed and restarted."
    )
    load_seconds: Seconds = Field(900.0, description="How long loading the weights may take.")
    idle_unload_seconds: float = Field(
        900.0, ge=0, description="With nothing to do for this long the weights leave memory; 0 keeps them."
    )
    backlog_seconds: Seconds = Field(
        3600.0,
        description="Decoded audio kept ready for the model, and as much again of urgent recordings; beyond it decoding waits.",
    )


class Speech(Section):
    """Voice activity: what is handed to the model at all."""

    threshold: float = Field(
        0.5, gt=0, lt=1, description="Speech probability from which a 32 ms frame counts as speech."
    )
    min_speech_seconds: Seconds = Field(0.25, description="Shorter bursts are not speech.")
    min_silence_seconds: Seconds = Field(0.5, description="Shorter pauses do not end a span.")
    pad_seconds: float = Field(0.2, ge=0, description="Kept on both sides of a span.")
    join_seconds: float = Field(3.0, ge=0, description="Spans with a pause up to this are decoded in one window.")


class Quality(Section):
    """Figures beyond which a segment makes its transcript NEEDS_REVIEW."""

    max_compression_ratio: float = Field(2.4, gt=1, description="Above it the text repeats itself (LOOP).")
    min_log_probability: float = Field(-0.5, lt=0, description="Below it the model was guessing (LOW_CONFIDENCE).")
    max_no_speech_probability: float = Field(
        0.6, gt=0, lt=1, description="Above it, with low confidence, the segment is not speech (NOT_SPEECH)."
    )
    max_words_per_second: float = Field(6.0, gt=0, description="Above it nobody can have said it (TOO_FAST).")
    max_uncovered_seconds: Seconds = Field(
        1.5, description="The longest stretch of speech that may have no text (LOW_COVERAGE)."
    )
    min_term_confidence: float = Field(
        0.5, ge=0, le=1, description="Below it a drug or a dose is to be looked at first (DOUBTFUL_TERM); 0 for none."
    )

    def thresholds(self) -> QualityThresholds:
        """The same as the guards take them."""
        return QualityThresholds(**self.model_dump())


class LexiconOptions(Section):
    """Medical terms."""

    extra: tuple[Path, ...] = Field((), description="Your own CSV files (term,category,variants), read after ours.")


class Outbox(Section):
    """The files that people read."""

    group_readable: bool = Field(
        False,
        description="Let the service's group read outbox and quarantine (0640 and 0750 instead of 0600 and 0700).",
    )


class Jobs(Section):
    """The queue."""

    max_attempts: int = Field(3, ge=1, le=100, description="After this many the recording is quarantined (ATTEMPTS).")
    retry_seconds: Seconds = Field(
        30.0, description="Wait before the second attempt; doubled each time, at most one hour."
    )


class Evaluation(Section):
    """The regression evaluation: what `medasrd evaluate` and the schedule measure, and when a drop is an alarm."""

    dataset: str = Field(
        "",
        description="Recordings with their true text: a Kaggle folder, a manifest (.csv, .jsonl), a local copy or hub id (org/name@REVISION); empty for none.",
    )
    split: str = Field(
        "phrase-and-speaker-disjoint",
        description="Which recordings are scored: all, published, phrase-disjoint or phrase-and-speaker-disjoint; its part test.",
    )
    normalizer: Literal["clinical-en", "whisper-en", "seed"] = Field(
        "clinical-en", description="How texts are made equal before the normalized rates and the terms are counted."
    )
    margin_wer: float = Field(
        1.0, ge=0, description="Points by which normalized WER may rise over the best comparable one without an alarm."
    )
    margin_mta: float = Field(
        2.0, ge=0, description="Points by which MTA or term precision may fall below the best comparable one."
    )


class Schedule(Section):
    """What is done by itself, as crontab(5) strings in local time; "disable" for never."""

    backup: CrontabString = Field("15 2 * * *", description="Copy the database into state/backups.")
    keep_backups: int = Field(7, ge=1, description="So many of these copies are kept.")
    check: CrontabString = Field("45 3 * * 0", description="Check the database's integrity; damage shows in the log.")
    evaluate: CrontabString = Field(
        "30 4 * * 6", description="Evaluate the model that serves on evaluation.dataset, when one is set."
    )
    retrain: CrontabString = Field(
        "0 20 * * 5",
        description="Train a new version, when evaluation.dataset is set; it serves only if the gate finds it better.",
    )


class Log(Section):
    """What the daemon says. Never a file name, a text or a term."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level written.")
    format: Literal["auto", "json", "text"] = Field(
        "auto", description="auto: text on a terminal, else one JSON object a line."
    )
