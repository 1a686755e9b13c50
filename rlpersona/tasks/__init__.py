"""Benchmarks as questions; prompts, answers and scores."""

from rlpersona.tasks.answers import extract_letter, extract_number, same_number
from rlpersona.tasks.labels import load_labels
from rlpersona.tasks.load import load_questions, sample_questions, sources
from rlpersona.tasks.prompts import prompt_for, scored_choices
from rlpersona.tasks.scoring import check_scoring, score_choice, score_letter, score_text
from rlpersona.tasks.splits import fingerprint, set_apart

__all__ = [
    "check_scoring",
    "extract_letter",
    "extract_number",
    "fingerprint",
    "load_labels",
    "load_questions",
    "prompt_for",
    "same_number",
    "sample_questions",
    "score_choice",
    "score_letter",
    "score_text",
    "scored_choices",
    "set_apart",
    "sources",
]
