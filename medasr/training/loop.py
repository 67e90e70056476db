"""The optimization itself: one epoch at a time, so that whoever calls decides what comes between."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from medasr.errors import TrainingError
from medasr.training.batches import IGNORED, Batch
from medasr.whisper.context import encode

if TYPE_CHECKING:
    from medasr.training.recipe import TrainingRecipe
    from medasr.whisper.model import LoadedModel


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """How an epoch went."""

    loss: float  #: mean over its tokens, natural logarithm
    seconds: float  #: wall time
    audio_seconds: float


@dataclass(kw_only=True)
class Trainee:
    """A network with an adapter that learns, its optimizer and how far it is."""

    network: Any  #: transformers.WhisperForConditionalGeneration with LoRA layers; all else is frozen
    adapted: Any  #: peft.PeftModel around it
    device: torch.device
    compute_type: torch.dtype
    optimizer: torch.optim.Optimizer
    steps: int  #: in all
    step: int = 0


def make_trainee(model: LoadedModel, recipe: TrainingRecipe, steps: int) -> Trainee:
    """Put a fresh adapter on a loaded model; ``steps`` is how many the whole training will take."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(recipe.seed)
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=recipe.targets if isinstance(recipe.targets, str) else list(recipe.targets),
        # With a task type PEFT's wrapper insists on input_ids, which speech models do not have.
        task_type=None,
    )
    adapted = get_peft_model(model.network, config)
    trained = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.data = parameter.data.float()
    return Trainee(
        network=adapted.get_base_model(),
        adapted=adapted,
        device=model.device,
        compute_type=model.compute_type,
        optimizer=torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay),
        steps=steps,
    )


def train_epoch(
    trainee: Trainee, batches: Iterable[Batch], recipe: TrainingRecipe, after_step: Callable[[int, float], None]
) -> EpochResult:
    """Learn from batches once; ``after_step`` hears the step and its loss.

    Raise TrainingError when the loss or a gradient is no number: what was learned since the last checkpoint is worthless.
    """
    trainee.adapted.train()
    began = time.monotonic()
    losses = tokens = audio = 0.0
    for batch in batches:
        loss, counted = _learn(trainee, batch, recipe)
        losses += loss * counted
        tokens += counted
        audio += batch.seconds
        trainee.step += 1
        after_step(trainee.step, loss)
    trainee.adapted.eval()
    return EpochResult(loss=losses / max(tokens, 1), seconds=time.monotonic() - began, audio_seconds=audio)


def learning_rate(recipe: TrainingRecipe, step: int, steps: int) -> float:
    """The rate of a step (0, 1 ...): a linear rise, then a linear fall to zero."""
    warmup = max(1, round(recipe.warmup_share * steps))
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    return recipe.learning_rate * max(0.0, (steps - step) / max(1, steps - warmup))


def _learn(trainee: Trainee, batch: Batch, recipe: TrainingRecipe) -> tuple[float, int]:
    for group in trainee.optimizer.param_groups:
        group["lr"] = learning_rate(recipe, trainee.step, trainee.steps)
    features = batch.features.to(trainee.device, trainee.compute_type)
    targets = batch.targets.to(trainee.device)
    with torch.autocast(trainee.device.type, torch.bfloat16, enabled=trainee.compute_type is torch.bfloat16):
        encoded = encode(trainee.network, features)
        hidden = trainee.network.model.decoder(
            input_ids=batch.inputs.to(trainee.device), encoder_hidden_states=encoded, use_cache=False
        ).last_hidden_state
        logits = trainee.network.proj_out(hidden)
    loss = torch.nn.functional.cross_entropy(
        logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, label_smoothing=recipe.label_smoothing
    )
    value = float(loss.detach())
    if not math.isfinite(value):
        raise TrainingError(
            "the loss is no number any more; lower the learning rate (training.learning_rate), or use fp32 (training.precision)"
        )
    trainee.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    trained = [parameter for group in trainee.optimizer.param_groups for parameter in group["params"]]
    norm = torch.nn.utils.clip_grad_norm_(trained, recipe.gradient_norm)
    if not bool(torch.isfinite(norm)):
        raise TrainingError("the gradients are no numbers any more; lower the learning rate (training.learning_rate)")
    trainee.optimizer.step()
    return value, int((targets != IGNORED).sum())
