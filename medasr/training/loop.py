"""The optimization itself, step by step; whoever calls decides what comes between the steps."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from medasr.errors import TrainingError, TrainingFailure
from medasr.training.batches import IGNORED, Batch
from medasr.training.low_rank import spare_passes
from medasr.whisper.context import encode
from medasr.whisper.forcing import read_texts
from medasr.whisper.model import is_out_of_memory

if TYPE_CHECKING:
    from medasr.training.recipe import TrainingRecipe
    from medasr.whisper.model import LoadedModel


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
    parts: int = 1  #: pieces into which a batch is cut, so that it fits into memory
    average: list[torch.Tensor] = field(default_factory=list)  #: of the trained tensors over the last steps


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
    if model.compute_type is not torch.float16:
        spare_passes(adapted)
    adapted.train()
    return Trainee(
        network=adapted.get_base_model(),
        adapted=adapted,
        device=model.device,
        compute_type=model.compute_type,
        optimizer=torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay),
        steps=steps,
        average=[parameter.detach().clone() for parameter in trained],
    )


def learn(trainee: Trainee, batch: Batch, recipe: TrainingRecipe) -> float:
    """Take one step with a batch, and return its loss: the weighted mean over its tokens, natural logarithm.

    Where memory does not suffice for the batch it is cut into pieces whose gradients add up to the same, from then on. Raise
    TrainingError when the loss or a gradient is no number, or when memory does not suffice for a single row.
    """
    _prepare(trainee, recipe)
    while True:
        try:
            value = sum(_loss(trainee, part, batch, recipe) for part in batch.parts(trainee.parts))
            break
        except (RuntimeError, MemoryError) as error:
            if not isinstance(error, MemoryError) and not is_out_of_memory(error):
                raise
            if trainee.parts >= len(batch.features):
                raise TrainingError(
                    "memory does not suffice for a batch of one; free some, or train a smaller model (model.base)",
                    TrainingFailure.OUT_OF_MEMORY,
                ) from error
        trainee.parts *= 2
        trainee.optimizer.zero_grad(set_to_none=True)
        if trainee.device.type == "cuda":
            torch.cuda.empty_cache()
    trained = trained_parameters(trainee)
    norm = torch.nn.utils.clip_grad_norm_(trained, recipe.gradient_norm)
    if not bool(torch.isfinite(norm)):
        raise TrainingError(
            "the gradients are no numbers any more; lower the learning rate (training.learning_rate)",
            TrainingFailure.NOT_FINITE,
        )
    trainee.optimizer.step()
    trainee.step += 1
    _average(trainee, trained, recipe.averaging)
    return value


def trained_parameters(trainee: Trainee) -> list[torch.Tensor]:
    """What learns, in the optimizer's order."""
    return [parameter for group in trainee.optimizer.param_groups for parameter in group["params"]]


def learning_rate(recipe: TrainingRecipe, step: int, steps: int) -> float:
    """The rate of a step (0, 1 ...): a linear rise, then a linear fall to zero."""
    warmup = max(1, round(recipe.warmup_share * steps))
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    return recipe.learning_rate * max(0.0, (steps - step) / max(1, steps - warmup))


def _prepare(trainee: Trainee, recipe: TrainingRecipe) -> None:
    for group in trainee.optimizer.param_groups:
        group["lr"] = learning_rate(recipe, trainee.step, trainee.steps)
    trainee.optimizer.zero_grad(set_to_none=True)
    if recipe.dropout:  # each step has chance of its own, so that an interrupted training goes on as it would have
        torch.manual_seed(recipe.seed * 1_000_003 + trainee.step)


@torch.no_grad()
def _average(trainee: Trainee, trained: list[torch.Tensor], averaging: float) -> None:
    """Move the average towards where the weights are; over few steps it follows sooner (Polyak and Juditsky 1992)."""
    kept = min(averaging, trainee.step / (trainee.step + 9))
    for average, parameter in zip(trainee.average, trained, strict=True):
        average.mul_(kept).add_(parameter, alpha=1 - kept)


def _loss(trainee: Trainee, part: Batch, whole: Batch, recipe: TrainingRecipe) -> float:
    """Add a part's gradients, and return its share of the whole batch's loss."""
    device = trainee.device
    with torch.autocast(device.type, torch.bfloat16, enabled=trainee.compute_type is torch.bfloat16):
        with torch.set_grad_enabled(part.acoustic):
            encoded = encode(trainee.network, part.features.to(device, trainee.compute_type))
        hidden = read_texts(trainee.network, part.inputs.to(device), encoded)
        counted = part.targets != IGNORED
        logits = trainee.network.proj_out(hidden[counted.to(device)])
    losses = _token_losses(logits.float(), part, counted, recipe.teacher_share)
    weights = part.weights[counted].to(device)
    loss = (losses * weights).sum() / whole.weights.sum().to(device)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise TrainingError(
            "the loss is no number any more; lower the learning rate (training.learning_rate), or use fp32 (training.precision)",
            TrainingFailure.NOT_FINITE,
        )
    loss.backward()  # type: ignore[no-untyped-call]
    return value


def _token_losses(logits: torch.Tensor, part: Batch, counted: torch.Tensor, teacher_share: float) -> torch.Tensor:
    """Cross-entropy of each counted token; where the base was asked, partly with what it found likely."""
    targets = part.targets[counted].to(logits.device)
    probabilities = part.probabilities[counted].to(logits.device)
    asked = probabilities.sum(dim=-1) > 0
    likely = part.likely[counted].to(logits.device)
    # The logarithms of those that count, not of all: on a CPU it takes longer to write those than to compute them.
    counting = logits.gather(1, torch.cat([targets.unsqueeze(1), likely], dim=1))
    log_probabilities = counting - logits.logsumexp(dim=-1, keepdim=True)
    written, imitated = -log_probabilities[:, 0], -(probabilities * log_probabilities[:, 1:]).sum(dim=-1)
    return torch.where(asked, (1 - teacher_share) * written + teacher_share * imitated, written)
