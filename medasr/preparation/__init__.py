"""From a dataset to what is fit for training: measured, filtered, counted."""

from medasr.preparation.influence import Influence, Prediction, influence
from medasr.preparation.measurement import MeasuredUtterance, measure, measure_all
from medasr.preparation.preparation import NotebookView, Preparation, Stage, prepare
from medasr.preparation.record import write_record
from medasr.preparation.rules import NOTEBOOK_AMBIGUOUS, PreparationRules, find_ambiguous

__all__ = [
    "NOTEBOOK_AMBIGUOUS",
    "Influence",
    "MeasuredUtterance",
    "NotebookView",
    "Prediction",
    "Preparation",
    "PreparationRules",
    "Stage",
    "find_ambiguous",
    "influence",
    "measure",
    "measure_all",
    "prepare",
    "write_record",
]
