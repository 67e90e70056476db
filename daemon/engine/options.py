"""What a model child is told: weights by a name, loaded as they are fastest here."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from daemon.engine.protocol import EngineOptions
from daemon.registry.naming import SERVING
from daemon.registry.serving import resolve
from daemon.tuning.tuning import fitting

if TYPE_CHECKING:
    from daemon.config import Config


def engine_options(config: Config, name: str = SERVING) -> EngineOptions:
    """The part of the configuration that concerns the model child, with the weights that a name stands for. Raise as :func:`resolve`.

    What the configuration leaves to choose is as it was tuned, for every version of the base alike.
    """
    model = resolve(config, name)
    tuning = fitting(config, model.base)
    return EngineOptions(
        models=config.paths.models,
        model=model.model_copy(update=asdict(tuning.setting)) if tuning else model,
        speech=config.speech,
        quality=config.quality,
        lexicon=config.lexicon.extra,
        load_seconds=config.engine.load_seconds,
        hang_seconds=config.engine.hang_seconds,
        tuned_for=tuning.device if tuning else "",
    )
