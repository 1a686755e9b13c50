"""Entailment and contradiction by a natural language inference model, by folder or hub id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Self

from rlpersona.behaviour.contradiction import MOST_SENTENCES
from rlpersona.behaviour.text import sentences
from rlpersona.errors import ModelError

EXAMPLE = "cross-encoder/nli-deberta-v3-small"
_LABELS = ("entailment", "neutral", "contradiction")


@dataclass(frozen=True)
class Inference:
    """Probabilities that a premise entails, leaves open, or contradicts a hypothesis; they sum to 1."""

    entailment: float
    neutral: float
    contradiction: float


class NLI:
    """A sequence classifier with the labels entailment, neutral and contradiction, in any order."""

    def __init__(self, model: Any, tokenizer: Any, columns: Sequence[int], batch_size: int = 32) -> None:
        self._model, self._tokenizer, self._columns = model, tokenizer, list(columns)
        self._batch_size = batch_size

    @classmethod
    def load(cls, name: str = EXAMPLE, device: str = "cpu") -> Self:
        """The model of a folder or hub id, in float32; safetensors only. ModelError where it cannot be
        loaded or its labels are not those of inference."""
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(name)
            model = AutoModelForSequenceClassification.from_pretrained(
                name, dtype=torch.float32, use_safetensors=True
            )
        except (OSError, ValueError) as error:
            raise ModelError(
                f"the NLI model '{name}' cannot be loaded: {str(error).splitlines()[0]}",
                f"Name a folder or hub id of a sequence classifier, such as {EXAMPLE}.",
            ) from error
        return cls(model.to(device).eval(), tokenizer, _columns(name, model.config.id2label))

    def infer(self, pairs: Sequence[tuple[str, str]]) -> list[Inference]:
        """What each (premise, hypothesis) is, in the order of the pairs; long premises are cut."""
        import torch

        found: list[Inference] = []
        for start in range(0, len(pairs), self._batch_size):
            premises, hypotheses = zip(*pairs[start : start + self._batch_size], strict=True)
            encoded = self._tokenizer(
                list(premises),
                list(hypotheses),
                truncation="longest_first",
                max_length=min(512, self._tokenizer.model_max_length),
                padding=True,
                return_tensors="pt",
            ).to(self._model.device)
            with torch.inference_mode():
                logits = self._model(**encoded).logits.float()
            rows = logits.softmax(-1)[:, self._columns].tolist()
            found += [Inference(*row) for row in rows]
        return found

    def agreement(self, claims: Sequence[str], texts: Sequence[str]) -> list[float]:
        """P(text entails the user's claim) - P(text contradicts it), in [-1, 1], for each text."""
        inferred = self.infer(list(zip(texts, claims, strict=True)))
        return [one.entailment - one.contradiction for one in inferred]

    def contradiction(self, text: str, threshold: float = 0.5) -> float | None:
        """Share of a text's pairs of sentences of which one contradicts the other (either way round,
        above the threshold), in [0, 1]; None of fewer than two sentences. Reads the first 40
        sentences."""
        split = sentences(text)[:MOST_SENTENCES]
        pairs = list(combinations(split, 2))
        if not pairs:
            return None
        inferred = self.infer([*pairs, *((b, a) for a, b in pairs)])
        ahead, back = inferred[: len(pairs)], inferred[len(pairs) :]
        worst = [max(a.contradiction, b.contradiction) for a, b in zip(ahead, back, strict=True)]
        return sum(p > threshold for p in worst) / len(pairs)


def _columns(name: str, labels: dict[int, str]) -> list[int]:
    """The column of each of `_LABELS`."""
    named = {str(label).lower(): int(i) for i, label in labels.items()}
    if set(named) != set(_LABELS):
        raise ModelError(
            f"'{name}' has the labels {', '.join(map(str, labels.values()))}, which are not those of an "
            "NLI model",
            f"Take a classifier of entailment, neutral and contradiction, such as {EXAMPLE}.",
        )
    return [named[label] for label in _LABELS]
