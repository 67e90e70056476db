"""An evaluation from the request to its number in the database."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from daemon import home
from daemon.decode.host import DecodeServer
from daemon.engine.host import EngineHost
from daemon.evaluation.courtesy import stand_back
from daemon.evaluation.filing import file_report, save_report
from daemon.evaluation.plan import EvaluationPlan
from daemon.evaluation.run import Workbench, run_evaluation

if TYPE_CHECKING:
    from collections.abc import Callable

    from daemon.config import Config


def evaluate(config: Config, plan: EvaluationPlan, progress: Callable[[int, int], None]) -> int:
    """Run an evaluation in this process, store it, and return its number; raise what :func:`run_evaluation` raises."""
    home.prepare(config)
    with ExitStack() as stack:
        decoder = stack.enter_context(DecodeServer())
        engine = EngineHost(plan.engine)
        stack.callback(engine.stop)
        bench = Workbench(
            decoder=decoder,
            engine=engine,
            now=lambda: datetime.now(UTC),
            must_wait=stand_back(config),
            progress=progress,
        )
        report = run_evaluation(config, plan, bench)
    save_report(config.paths.evaluations / plan.key, report)
    return file_report(config, plan.key)
