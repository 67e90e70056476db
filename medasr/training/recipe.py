"""How an adapter is trained: everything besides the data that decides the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from medasr.errors import ConfigurationError
from medasr.types import WINDOW_SECONDS


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """Hyper-parameters; docs/training.md gives the reasons for the defaults."""

    name: str = "medasr"
    precision: Literal["auto", "nf4", "bf16", "fp32"] = (
        "auto"  #: of the frozen base weights; the adapter's are always fp32
    )
    epochs: int = 2
    learning_rate: float = 5e-4
    warmup_share: float = 0.1  #: of all steps; then it falls linearly to zero
    weight_decay: float = 0.0
    gradient_norm: float = 1.0
    rank: int = 8  #: of each member
    alpha: int = 16
    dropout: float = 0.0  #: drawing it takes a quarter of a step on a CPU; masks and noise serve the same end
    targets: str | tuple[str, ...] = "all-linear"  #: of encoder and decoder, but never the output projection
    batch_size: int = 8
    shortest_context: float = 10.0  #: seconds; windows are trained from here on, and served from here on
    longer_share: float = 0.1  #: of the batches, which are computed at a random longer window
    acoustic_share: float = 0.35  #: of the batches, from which the encoder learns too; the decoder learns from all
    join_share: float = 0.35  #: of the examples, which are joined with others into one window with several segments
    empty_share: float = 0.05  #: of the examples beside them: noise without speech, and no text
    practice_share: float = 0.8  #: of the examples beside them: invented sentences in many accents, spoken by machines
    everyday_share: float = 0.375  #: of the practice: sentences without a medical term
    rehearsal_share: float = (
        0.8  #: of the examples beside them: other speech, for which the base's own output is the aim
    )
    beside_least: int = (
        150  #: practised, and as many rehearsed, an epoch, where those shares of the examples come to less
    )
    teacher_share: float = (
        0.5  #: of the loss on rehearsed speech that counts how sure the base was, not only what it wrote
    )
    term_weight: float = 1.0  #: how much more the loss of a medical term's tokens counts
    speeds: tuple[float, ...] = (0.9, 1.0, 1.1)
    noise_share: float = 0.5  #: of the examples, to which noise is added
    noise_snr_db: tuple[float, float] = (5.0, 30.0)
    averaging: float = 0.9  #: what an average of the weights keeps of itself at each step; 0 takes the last weights
    members: int = 4  #: adapters trained from seeds of their own, and averaged: what each learned by chance evens out
    kept_rank: int = 16  #: of their average, whose rank is the sum of theirs; beyond it hardly anything is lost
    time_masks: int = 2
    time_mask_seconds: float = 0.4  #: at most
    mel_masks: int = 2
    mel_mask_bands: int = 12  #: at most, of 80
    #: Strengths of the adapter among which validation chooses: below 1 it is mixed with the base, and above 1 an average is made as strong
    #: again as its members.
    interpolations: tuple[float, ...] = (1.3, 1.0, 0.7)
    patience: int = 2  #: epochs without a better one after which it ends
    seed: int = 0


#: The notebook's: attention's query and value only, a tiny learning rate, full windows, nothing else.
NOTEBOOK = TrainingRecipe(
    name="notebook",
    precision="nf4",
    epochs=5,
    learning_rate=2e-5,
    warmup_share=0.0,
    weight_decay=0.05,
    rank=32,
    alpha=64,
    dropout=0.05,
    targets=("q_proj", "v_proj"),
    shortest_context=WINDOW_SECONDS,
    longer_share=0.0,
    acoustic_share=1.0,
    join_share=0.0,
    empty_share=0.0,
    practice_share=0.0,
    rehearsal_share=0.0,
    speeds=(1.0,),
    noise_share=0.0,
    averaging=0.0,
    members=1,
    kept_rank=32,
    time_masks=0,
    mel_masks=0,
    interpolations=(1.0,),
    patience=5,
)

RECIPES = {recipe.name: recipe for recipe in (TrainingRecipe(), NOTEBOOK)}


def recipe_named(name: str) -> TrainingRecipe:
    """The preset of this name. Raise ConfigurationError, naming the known ones, for another."""
    if name not in RECIPES:
        raise ConfigurationError(f'there is no recipe "{name}"; known are {", ".join(RECIPES)}')
    return RECIPES[name]
