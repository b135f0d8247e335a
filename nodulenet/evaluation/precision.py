"""Average precision of marks, by the hits of the FROC."""

import numpy as np

from nodulenet.evaluation.froc import last_of_equal
from nodulenet.evaluation.matching import Outcomes


def average_precision(outcomes: Outcomes) -> float:
    """Sum over the distinct probabilities of the step in recall times the precision there.

    Nothing is interpolated (Davis and Goadrich, The relationship between precision-recall and ROC
    curves, ICML 2006, say why not). Recall: share of all nodules, missed ones too, that are found
    at this probability or above. Precision: nodules found over nodules found and false positives.
    As in the FROC only a nodule's best mark counts, its other marks and those dropped on an
    excluded finding neither way, and a mark on two nodules for both. NaN without a nodule.
    """
    nodules = outcomes.nodules.sum()
    if not nodules:
        return float("nan")
    last = last_of_equal(outcomes.probability)
    found, events = np.cumsum(outcomes.hit)[last], np.flatnonzero(last) + 1
    return float((np.diff(found, prepend=0) * found / events).sum() / nodules)
