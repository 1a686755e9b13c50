"""Benchmarks as questions; prompts, answers and scores."""

from rlpersona.tasks.answers import extract_letter, extract_number, same_number
from rlpersona.tasks.load import load_questions, sources
from rlpersona.tasks.scoring import prompt_for, score_choice, score_text
from rlpersona.tasks.splits import fingerprint, set_apart

__all__ = [
    "extract_letter",
    "extract_number",
    "fingerprint",
    "load_questions",
    "prompt_for",
    "same_number",
    "score_choice",
    "score_text",
    "set_apart",
    "sources",
]
