"""``medasrd``: one small module per verb group, imported only when its verb is used.

Exit codes, documented in docs/operate.md: 0 done, 1 error, 2 usage, 3 some recordings failed, 4 the model became worse (report --check) or is not better (gate run, learn), 10 database missing
or outdated, 75 temporary (try again later), 78 configuration.
"""

from __future__ import annotations

import errno
import importlib
import io
import sys

import click

from medasr.errors import MedasrError, TransientError

#: verb → (module, attribute, one line for --help); the line stands here so that --help imports no command.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "init": ("daemon.cli.init", "init", "Write config.toml and the folders of a new home."),
    "run": ("daemon.cli.run", "run", "Run the daemon in the foreground (this is what systemd starts)."),
    "scan": ("daemon.cli.run", "scan", "Take in and transcribe what lies in the inbox, then exit."),
    "transcribe": ("daemon.cli.transcribe", "transcribe", "Transcribe files directly; nothing is stored."),
    "status": ("daemon.cli.status", "status", "What the daemon is doing, and what needs a person."),
    "jobs": ("daemon.cli.jobs", "jobs", "The queue: list, show, retry, cancel."),
    "show": ("daemon.cli.transcripts", "show", "One recording with its transcript and medical terms."),
    "search": ("daemon.cli.transcripts", "search", "Find transcripts by the words in them."),
    "terms": ("daemon.cli.transcripts", "terms", "Medical terms heard: what, when, how often."),
    "quarantine": ("daemon.cli.quarantine", "quarantine", "Recordings that could not be transcribed: list, release."),
    "explore": ("daemon.cli.explore", "explore", "What is in a dataset: a report with figures and plots."),
    "evaluate": ("daemon.cli.evaluate", "evaluate", "How well a model transcribes recordings whose text is known."),
    "evaluations": ("daemon.cli.evaluations", "evaluations", "What was measured: list, show, compare."),
    "gate": ("daemon.cli.gate", "gate", "Whether a new version may replace what serves: run, show, list."),
    "train": ("daemon.cli.train", "train", "Learn a new version of the model from a dataset."),
    "learn": ("daemon.cli.learn", "learn", "Train, judge, and promote what is better, or see how it went: status."),
    "report": ("daemon.cli.report", "report", "How the models score over time, and what the service itself saw."),
    "models": (
        "daemon.cli.models",
        "models",
        "Bases and versions: pull, list, verify, show, promote, rollback, pin, unpin, remove, import, export, affected.",
    ),
    "db": ("daemon.cli.database", "db", "The database: upgrade, check, backup."),
    "doctor": ("daemon.cli.doctor", "doctor", "Check everything a new installation gets wrong, with the remedy."),
    "tune": ("daemon.cli.tune", "tune", "Measure which precision, batch and threads are fastest here, and use them."),
    "config": ("daemon.cli.configuration", "config", "The configuration: check, show."),
}


class LazyGroup(click.Group):
    """A group that knows its verbs by name and imports a verb's module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs, in the order in which a newcomer meets them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's command, or None."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)  # noqa: S101
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, _, summary) in COMMANDS.items()])


def _misplaced(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    """Say where an option belongs that stands before the command."""
    if value is not None:
        raise click.UsageError(f"{parameter.opts[0]} comes after the command: medasrd status --config {value}", context)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", hidden=True, expose_value=False, callback=_misplaced)
@click.version_option(package_name="medasr", prog_name="medasrd")
def medasrd() -> None:
    """Recordings dropped into a folder become transcripts with their medical terms.

    Start with `medasrd init HOME`, then `medasrd models pull`, then `medasrd run`, each with `--config HOME/config.toml`.
    """


def main() -> None:
    """Entry point: errors raised on purpose end in one plain message and their documented exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name or a word may not exist in the terminal's encoding
            stream.reconfigure(errors="backslashreplace")
    try:
        medasrd(prog_name="medasrd")
    except MedasrError as error:
        click.echo(f"medasrd: {error}", err=True)
        sys.exit(error.exit_code)
    except PermissionError as error:
        click.echo(f"medasrd: {error.filename or 'the state'} is not yours; run this as the service's user", err=True)
        sys.exit(1)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        click.echo("medasrd: the disk written to is full; make room and try again", err=True)
        sys.exit(TransientError.exit_code)
