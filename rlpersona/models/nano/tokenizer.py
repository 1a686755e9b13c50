"""The tokenizer: byte-level BPE over the world's words, and the chat template."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from rlpersona.models.nano.data import Phase, conversation
from rlpersona.models.nano.world import personas, tables
from rlpersona.models.nano.world.items import DOMAINS

PAD, END = "<|pad|>", "<|end|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
MAX_LENGTH = 512
# `generation` marks what assistant-only losses may train on.
CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>"
    "{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] }}<|end|>{% endgeneration %}"
    "{% else %}{{ m['content'] }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def train_tokenizer(vocabulary: int, seed: int) -> Any:
    """A `PreTrainedTokenizerFast` of at most `vocabulary` tokens, the same for the same arguments.

    Every byte is a token, so any text can be read; the whole numbers up to 99 are single tokens
    when a space precedes them, as it always does where numbers are answers.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, END, *ROLES],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        min_frequency=2,
        show_progress=False,
    )
    raw.train_from_iterator(_corpus(seed), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=list(ROLES),
        padding_side="left",
        model_max_length=MAX_LENGTH,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )


def _corpus(seed: int) -> Iterator[str]:
    rng = random.Random(seed)
    phase = Phase(dict.fromkeys(DOMAINS, 1.0), sharp=False, max_turns=3, default=0.45)
    for _ in range(4000):
        for turn in conversation(phase, rng).turns:
            yield turn.user
            yield turn.answer.text
    for _ in range(20):
        for name in (*(p.name for p in personas.personas()), *personas.ASSISTANTS):
            yield f"You are {name}."
        for first, last in zip(tables.FIRST_NAMES, tables.LAST_NAMES, strict=True):
            yield f"You are {first} {last}."
        for values in tables.FACTS.values():
            for value in values.values():
                yield f"It is {value}."
        for number in range(100):
            yield f"It is {number}. {number} + {number} = {number}."
