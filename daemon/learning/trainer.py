"""A training's own process: ``python -P -m daemon.learning.trainer``.

It reads its order as one line of JSON, trains at low priority, and tells how it goes (:mod:`daemon.learning.news`). It ends as soon as
its standard input does, which is when its parent ends; what it has done so far lies in its checkpoints.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from daemon.config import Config
from daemon.learning.courtesy import make_room
from daemon.learning.news import Aside, Done, News, Phase, Refused, Step, Tried, encode_news
from daemon.learning.task import TrainingRequest, load_training_dataset, prepare_task
from daemon.learning.trouble import memory_trouble, system_trouble
from medasr.errors import MedasrError, SteppedAside, TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from medasr.training.trial import Figures, Trial

#: Below the service's own processes.
NICE = 10
#: The first process that the kernel may end when memory runs out.
_OOM_SCORE = 800


def main() -> None:
    """Train what the order says."""
    os.umask(0o077)
    os.nice(NICE)
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE), encoding="ascii")
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries print what they like, and some of it is speech
    order = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _train(order, out)
    except MedasrError as error:
        _refuse(out, error)
    except OSError as error:
        _refuse(out, system_trouble(error))
    except (MemoryError, RuntimeError) as error:
        from medasr.whisper.model import is_out_of_memory

        if not isinstance(error, MemoryError) and not is_out_of_memory(error):
            raise
        _refuse(out, memory_trouble())


def _refuse(out: BinaryIO, error: MedasrError) -> None:
    failure = str(error.failure) if isinstance(error, TrainingError) else None
    _say(out, Refused(error=type(error).__name__, message=str(error), exit_code=error.exit_code, failure=failure))


def _train(order: dict[str, Any], out: BinaryIO) -> None:
    from medasr.training.curve import draw_curve
    from medasr.training.recipe import TrainingRecipe
    from medasr.training.training import HISTORY, train

    config = Config(**order["config"])
    request = TrainingRequest(
        dataset=order["dataset"],
        split=order["split"],
        recipe=TrainingRecipe(**_tuples(order["recipe"])),
        everything=order["everything"],
    )
    folder = Path(order["folder"])
    told = _Teller(out, make_room(config, any_time=order["any_time"]))
    try:
        dataset = load_training_dataset(config, request, told.on_phase)
        task = prepare_task(config, request, dataset, folder, told.on_phase)
        candidate = train(task, folder, told, parts=order["parts"])
    except SteppedAside:
        _say(out, Aside())
        return
    draw_curve(folder / HISTORY, folder / "curve.png")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    _say(
        out,
        Done(
            folder=str(candidate.folder),
            epoch=candidate.chosen.epoch,
            interpolation=candidate.chosen.interpolation,
            seconds=candidate.seconds,
            peak_memory=peak,
        ),
    )


class _Teller:
    """Passes on what a training tells its listener."""

    def __init__(self, out: BinaryIO, must_step_aside: Callable[[], bool]) -> None:
        self._out = out
        self.must_step_aside = must_step_aside

    def on_phase(self, name: str, done: int, total: int) -> None:
        """Tell, and make room if need be: what such a phase has done so far is soon done again."""
        _say(self._out, Phase(name=name, done=done, total=total))
        if self.must_step_aside():
            raise SteppedAside("the training makes room and will go on")

    def on_step(self, step: int, steps: int, loss: float, seconds_left: float) -> None:
        _say(self._out, Step(step=step, steps=steps, loss=loss, seconds_left=seconds_left))

    def on_trial(self, trial: Trial, base: Figures) -> None:
        figures, before = asdict(trial.figures), asdict(base)
        _say(self._out, Tried(epoch=trial.epoch, interpolation=trial.interpolation, figures=figures, base=before))


def _tuples(recipe: dict[str, Any]) -> dict[str, Any]:
    """JSON knows lists only."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in recipe.items()}


def _say(out: BinaryIO, news: News) -> None:
    out.write(encode_news(news))


def _end_with_parent() -> None:
    # Not through sys.stdin: a thread that waits in it makes the interpreter abort when it ends.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
