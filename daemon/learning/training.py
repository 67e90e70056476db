"""A training as its parent sees it: started, listened to, started again where it made room or was killed for its memory."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.engine.process import ENVIRONMENT
from daemon.learning.news import Aside, Done, News, Refused, decode_news
from medasr.errors import FatalError, MedasrError, TrainingError, TrainingFailure, TransientError

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.learning.lock import TrainingLock
    from daemon.learning.task import TrainingRequest

COMMAND = (sys.executable, "-P", "-m", "daemon.learning.trainer")
#: How often it is looked whether the training may go on.
LOOK_SECONDS = 1.0
#: A process that the kernel ended is started again so often, each time with half as much in memory at once.
_SMALLER = 2


@dataclass(frozen=True, kw_only=True)
class Company:
    """Who goes along with a training."""

    hear: Callable[[News], None]
    must_wait: Callable[[], bool]  #: whether it may not run now
    stopped: Callable[[], bool] = lambda: False  #: whether nobody wants it any more


class Stopped(TransientError):  # noqa: N818 - reads as the state it reports
    """The training was stopped, and goes on from its checkpoint when it is started again."""


def sweep(trainings: Path, keep: str) -> None:
    """Remove what earlier trainings left, and of the one to be kept nothing; for the holder of the lock."""
    for folder in trainings.iterdir():
        if folder.is_dir() and folder.name != keep:
            shutil.rmtree(folder)


def run_training(
    config: Config,
    request: TrainingRequest,
    folder: Path,
    company: Company,
    *,
    lock: TrainingLock,
    any_time: bool,
    command: Sequence[str] = COMMAND,
) -> Done:
    """Train in a process of its own until the candidate is complete, however often it has to make room.

    That process holds the lock too, so that nobody else trains before it has ended, even if this one was killed.
    Raise what ended it: TrainingError, ModelError, DatasetError, TransientError; Stopped when the company wants no more.
    """
    parts = 1
    while True:
        while company.must_wait():
            if company.stopped():
                raise Stopped("the training was stopped")
            time.sleep(LOOK_SECONDS)
        order = {
            "config": config.model_dump(mode="json"),
            "dataset": request.dataset,
            "split": request.split,
            "everything": request.everything,
            "recipe": asdict(request.recipe),
            "folder": str(folder),
            "any_time": any_time,
            "parts": parts,
        }
        last, status = _run(command, order, company, lock)
        if isinstance(last, Done):
            return last
        if isinstance(last, Refused):
            raise _error(last)
        if company.stopped():
            raise Stopped("the training was stopped")
        if isinstance(last, Aside):
            continue
        if status == -signal.SIGKILL and parts < 2**_SMALLER:
            parts *= 2
            continue
        if status == -signal.SIGKILL:
            raise TrainingError(
                "the kernel ended the training for its memory; free some, or train a smaller model (model.base)",
                TrainingFailure.OUT_OF_MEMORY,
            )
        raise TransientError(f"the training's process ended with status {status}; try again, it goes on from there")


def _run(
    command: Sequence[str], order: dict[str, object], company: Company, lock: TrainingLock
) -> tuple[News | None, int]:
    """Run the process once; return the last of its news that settles something, and its exit status."""
    last: News | None = None
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # libraries quote there what they choke on
        env=ENVIRONMENT | os.environ,
        pass_fds=(lock.descriptor,),
    )
    with process:
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018
        threading.Thread(target=_watch, args=(process, company), daemon=True).start()
        try:
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()
            for line in process.stdout:
                news = decode_news(line)
                company.hear(news)
                if isinstance(news, Done | Refused | Aside):
                    last = news
        except BrokenPipeError:
            pass
        except BaseException:
            process.kill()
            raise
    return last, process.returncode


def _watch(process: subprocess.Popen[bytes], company: Company) -> None:
    """End the process when nobody wants it any more."""
    while process.poll() is None:
        if company.stopped():
            process.terminate()
            return
        time.sleep(LOOK_SECONDS)


def _error(refused: Refused) -> MedasrError:
    """The error that ended the process, as this one raises it."""
    import medasr.errors

    kind = getattr(medasr.errors, refused.error, FatalError)
    if refused.failure:
        return TrainingError(refused.message, TrainingFailure(refused.failure))
    return kind(refused.message) if issubclass(kind, MedasrError) else FatalError(refused.message)
