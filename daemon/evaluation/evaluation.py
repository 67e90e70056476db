"""An evaluation from the request to its number in the database."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from daemon import home
from daemon.decode.host import DecodeServer
from daemon.engine.host import EngineHost
from daemon.evaluation.courtesy import stand_back
from daemon.evaluation.filing import file_report, save_report
from daemon.evaluation.run import Workbench, run_evaluation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from daemon.config import Config
    from daemon.engine.protocol import EngineOptions
    from daemon.evaluation.plan import EvaluationPlan


def evaluate(config: Config, plan: EvaluationPlan, progress: Callable[[int, int], None]) -> int:
    """Run an evaluation in this process, store it, and return its number; raise what :func:`run_evaluation` raises."""
    home.prepare(config)
    with workbench(plan.engine, progress, stand_back(config)) as bench:
        return evaluate_with(config, plan, bench)


@contextmanager
def workbench(
    engine: EngineOptions, progress: Callable[[int, int], None], must_wait: Callable[[], bool]
) -> Iterator[Workbench]:
    """What evaluations of one model work with: a decoder, and a model process, which loads when it is needed and ends with this."""
    with ExitStack() as stack:
        decoder = stack.enter_context(DecodeServer())
        host = EngineHost(engine)
        stack.callback(host.stop)
        yield Workbench(
            decoder=decoder, engine=host, now=lambda: datetime.now(UTC), must_wait=must_wait, progress=progress
        )


def evaluate_with(config: Config, plan: EvaluationPlan, bench: Workbench) -> int:
    """As :func:`evaluate`, with what several evaluations of this model share."""
    report = run_evaluation(config, plan, bench)
    save_report(config.paths.evaluations / plan.key, report)
    return file_report(config, plan.key)
