"""What a text does: length, hedging, agreement and the like, as pure functions."""

from rlpersona.behaviour.contradiction import contradiction
from rlpersona.behaviour.diversity import distinct_n, repetition, self_overlap
from rlpersona.behaviour.measures import MEASURES, measure

__all__ = ["MEASURES", "contradiction", "distinct_n", "measure", "repetition", "self_overlap"]
