"""``medasrd doctor``: everything a new installation gets wrong, with the remedy."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from daemon.cli.options import config_option, console, json_option, print_json

if TYPE_CHECKING:
    from daemon.config import Config

_MARKS = {"ok": ("green", "ok"), "warning": ("yellow", "look"), "problem": ("red", "mend")}


@click.command()
@click.option(
    "--gpu",
    is_flag=True,
    help="Instead: load the weights in 4 bits, take one training step, transcribe once, and tell memory and time.",
)
@config_option
@json_option
def doctor(config: Config, gpu: bool, as_json: bool) -> None:
    """Check versions, folders, mounts, disk, database, model, GPU and memory. Exit 1 if something has to be mended."""
    from dataclasses import asdict

    if gpu:
        _prove(config, as_json=as_json)
        return

    from rich.text import Text

    from daemon.diagnosis import examine

    worst = "ok"
    findings = []
    for finding in examine(config):
        findings.append(finding)
        worst = max(worst, finding.level, key=list(_MARKS).index)
        if not as_json:
            style, mark = _MARKS[finding.level]
            console().print(
                Text.assemble((f"{mark:>5}  ", style), f"{finding.subject}: {finding.text}"), soft_wrap=True
            )
            if finding.remedy:
                console().print(Text(f"       {finding.remedy}", style="dim"), soft_wrap=True)
    if as_json:
        print_json({"worst": worst, "findings": [asdict(finding) for finding in findings]})
    sys.exit(1 if worst == "problem" else 0)


def _prove(config: Config, *, as_json: bool) -> None:
    """Have the model do on this machine what it is for; without a GPU the same on the processor."""
    from dataclasses import asdict, replace
    from pathlib import Path

    from daemon.cli.session import duration, say
    from daemon.cli.tables import print_table
    from daemon.learning.task import training_request
    from daemon.registry.serving import resolve
    from medasr.errors import TransientError
    from medasr.packs import locate
    from medasr.training.proof import prove
    from medasr.whisper.model import ModelOptions

    model = resolve(config)
    base = locate(config.paths.models, model.base)
    recipe = training_request(config, dataset="none").recipe
    try:
        proof = prove(
            ModelOptions(
                path=base.path,
                base_id=base.name,
                base_revision=base.revision,
                base_sha256=base.weights_sha256,
                adapter=Path(model.adapter) if model.adapter else None,
                precision="nf4",
                device=model.device,
                language=model.language,
                beams=model.beams,
                threads=model.threads,
            ),
            replace(recipe, precision="nf4", acoustic_share=1.0),
            batch_size=model.batch_size,
            language=model.language,
        )
    except MemoryError as error:
        raise TransientError(
            f"memory does not suffice for {base.name} here ({error}); take a smaller model.base, or lower model.batch_size"
        ) from error
    if as_json:
        print_json(asdict(proof))
        return
    if proof.device == "cpu":
        say("no CUDA device is used here: this is what the processor takes for the same work")
    what = "memory of the card" if proof.device != "cpu" else "memory"
    rows = [
        ("load the weights", duration(proof.load_seconds), _gibibytes(proof.load_bytes)),
        (f"one training step, {proof.rows} windows", duration(proof.step_seconds), _gibibytes(proof.step_bytes)),
        (
            f"transcribe {model.batch_size} windows of 30 s",
            duration(proof.transcription_seconds),
            _gibibytes(proof.transcription_bytes),
        ),
    ]
    print_table((f"{base.name}, {proof.precision}, {proof.device}", "time", f"{what}, at most"), rows)
    say(f"noise is transcribed {proof.rtfx:.0f} times faster than it lasts; speech takes longer, since it has words")


def _gibibytes(count: int) -> str:
    return f"{count / 2**30:.2f} GiB"
