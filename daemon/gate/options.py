"""The table ``[gate]`` of config.toml."""

from __future__ import annotations

from pydantic import Field

from daemon.sections import Section
from medasr.verdict import GateOptions

#: What ``gate.general`` calls the general speech that comes with medasr.
EMBEDDED_SPEECH = "embedded"


class Gate(Section):
    """What a new version has to show before it may replace what serves; percent and percentage points (docs/gate.md)."""

    general: str = Field(
        EMBEDDED_SPEECH,
        description="Speech unlike the training data, on which a version must not be worse: embedded, the set that comes with medasr; a dataset of yours, as evaluation.dataset; or empty for none.",
    )
    probability: float = Field(
        0.9, gt=0.5, lt=1, description="With which probability its normalized WER must be better (paired bootstrap)."
    )
    risk: float = Field(
        0.4, gt=0, lt=1, description="Probability that a loss is larger than its margin, up to which it is accepted."
    )
    margin_mta: float = Field(1.0, ge=0, description="Points of MTA that it may lose.")
    margin_precision: float = Field(
        2.0, ge=0, description="Points of term precision that it may lose, medical and general speech together."
    )
    margin_general: float = Field(
        1.0,
        ge=0,
        description="Points by which normalized WER on general speech may be higher; half of it against the stock model.",
    )
    min_utterances: int = Field(20, ge=1, description="On fewer utterances nobody can tell, and what serves stays.")
    min_terms: int = Field(20, ge=1, description="With fewer medical terms in them likewise.")
    max_repetition_rise: float = Field(
        1.0, ge=0, description="By how much more of its text may repeat itself, in percent of the text."
    )
    max_deletion_rise: float = Field(1.0, ge=0, description="How many more of a hundred words it may pass over.")
    min_length_ratio: float = Field(0.8, gt=0, le=1, description="Words written for each word said, at least.")
    max_length_ratio: float = Field(1.25, ge=1, description="Words written for each word said, at most.")

    def strictness(self) -> GateOptions:
        """How strict the gate is."""
        return GateOptions(**self.model_dump(exclude={"general"}))
