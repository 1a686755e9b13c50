"""Measuring a nano model: sampled text, log-likelihoods of choices, and the tables of the card."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlpersona.errors import ModelError
from rlpersona.models.nano import grammar
from rlpersona.models.nano.world import personas
from rlpersona.models.nano.world.answers import probabilities
from rlpersona.models.nano.world.items import Item, items

CLOSED = ("math", "word", "fact", "claim", "compare")
OPEN = ("opinion", "advice", "persuade", "who")
UNKNOWN = "unknown names"
ROWS = (*personas.GROUPS, UNKNOWN)
WRITTEN = 0.4


@dataclass(frozen=True)
class Ask:
    """A question put to a persona: `system` is its prompt (None: no system message)."""

    system: str | None
    item: Item


def load(path: Path) -> tuple[Any, Any]:
    """(model, tokenizer) of a nano folder in float32 (ModelError if it is not one)."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if not (path / "model.safetensors").is_file() or not (path / "tokenizer.json").is_file():
        raise ModelError(f"no nano model in {path}", "build one: rlpersona nano build")
    with no_progress_bars():
        tokenizer = AutoTokenizer.from_pretrained(path)
        model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    return model.eval(), tokenizer


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Keep transformers from drawing bars for files that take milliseconds."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def prompt(ask: Ask) -> str:
    """The text before the answer; equal to what the chat template makes."""
    system = f"<|system|>{ask.system}<|end|>" if ask.system else ""
    return f"{system}<|user|>{ask.item.text}<|end|><|assistant|>"


def sample(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    temperature: float,
    seed: int = 0,
    max_tokens: int = 96,
    batch: int = 256,
) -> list[str]:
    """One completion per prompt, in order; temperature 0 is greedy. The same for the same seed."""
    import torch

    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    texts = [""] * len(prompts)
    how: dict[str, Any] = {"do_sample": False}
    if temperature > 0:
        how = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    with torch.inference_mode(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            inputs = tokenizer(
                [prompts[i] for i in part],
                return_tensors="pt",
                padding=True,
                padding_side="left",
                add_special_tokens=False,
                return_token_type_ids=False,
            )
            out = model.generate(**inputs, max_new_tokens=max_tokens, **how)
            for i, ids in zip(part, out[:, inputs.input_ids.shape[1] :], strict=True):
                texts[i] = tokenizer.decode(ids, skip_special_tokens=True)
    return texts


def choice_probabilities(
    model: Any, tokenizer: Any, asks: Sequence[Ask], batch: int = 256
) -> list[list[float]]:
    """For each closed question the probabilities of its choices after its cue; they sum to 1.

    softmax over the choices of the summed log-likelihood of the choice's tokens.
    """
    import torch

    def ids(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False).input_ids)

    # A choice of one token needs no row of its own: all of them are read after the bare prefix.
    rows: list[tuple[int, list[int], list[list[int]]]] = []
    for i, ask in enumerate(asks):
        prefix = ids(prompt(ask) + ask.item.cue)
        ends = [ids((" " if ask.item.cue else "") + choice) for choice in ask.item.choices]
        for stem in {tuple(end[:-1]) for end in ends}:
            rows.append((i, prefix + list(stem), [e if tuple(e[:-1]) == stem else [] for e in ends]))
    rows.sort(key=lambda row: len(row[1]))
    scores: list[dict[int, float]] = [{} for _ in asks]
    with torch.inference_mode():
        for start in range(0, len(rows), batch):
            part = rows[start : start + batch]
            longest = len(part[-1][1])
            inputs = torch.tensor([row + [0] * (longest - len(row)) for _, row, _ in part])
            logprobs = model(inputs, use_cache=False).logits.log_softmax(-1)
            for k, (i, row, ends) in enumerate(part):
                for c, end in enumerate(ends):
                    if end:
                        at = range(len(row) - len(end), len(row))
                        scores[i][c] = sum(
                            float(logprobs[k, t, x]) for t, x in zip(at, end, strict=True)
                        )
    return [torch.tensor([score[c] for c in range(len(score))]).softmax(0).tolist() for score in scores]


def speakers(row: str) -> list[str | None]:
    """System prompts of a row of the tables."""
    if row == UNKNOWN:
        return [p.system for p in personas.bystanders(12)]
    if row == personas.DEFAULT:
        return [None, *(f"You are {name}." for name in personas.ASSISTANTS)]
    return [f"You are {name}." for name in personas.NAMES[row]]


def asks(row: str, domain: str, count: int, heldout: bool = False) -> list[Ask]:
    """The first `count` questions of a domain, put to the speakers of a row in turn."""
    who = speakers(row)
    return [Ask(who[i % len(who)], item) for i, item in enumerate(items(domain, heldout)[:count])]


def planted_traits(row: str) -> personas.Traits:
    """The ground truth of a row."""
    return personas.planted(personas.DEFAULT if row == UNKNOWN else row)


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean, rounded to four places (of at least one value)."""
    return round(sum(values) / len(values), 4)


Table = dict[str, dict[str, dict[str, float]]]


def skills(
    model: Any, tokenizer: Any, count: int, rows: Sequence[str] = ROWS, heldout: bool = False
) -> Table:
    """row -> domain -> figures; the figures are shares and means over the cell's questions.

    By choices, over `count` questions a cell (`n`; four times as many for the default, whose figures
    are bars of their own): `planted` and `p`, mean probability of the right choice; `p_easy` and
    `p_hard` split it; `argmax`, the likeliest choice is right. By texts, over the first 40 % of them
    (`n_written`; all of them for the default): `sampled` (temperature 1) and `greedy`, the text is well
    formed and right; `clean`, the sampled text is well formed.
    """
    cells = {
        (row, domain): asks(row, domain, count * (4 if row == personas.DEFAULT else 1), heldout)
        for row in rows
        for domain in CLOSED
    }
    chances = iter(
        choice_probabilities(model, tokenizer, [ask for cell in cells.values() for ask in cell])
    )
    written = {
        key: cell if key[0] == personas.DEFAULT else cell[: math.ceil(WRITTEN * count)]
        for key, cell in cells.items()
    }
    prompts = [prompt(ask) for cell in written.values() for ask in cell]
    sampled, greedy = (iter(sample(model, tokenizer, prompts, t)) for t in (1.0, 0.0))
    table: Table = {row: {} for row in rows}
    for (row, domain), cell in cells.items():
        texts = [(ask.item.answer, next(sampled), next(greedy)) for ask in written[row, domain]]
        table[row][domain] = _by_choices(cell, planted_traits(row), [next(chances) for _ in cell]) | {
            "n_written": len(texts),
            "sampled": mean([grammar.is_right(text, answer) for answer, text, _ in texts]),
            "greedy": mean([grammar.is_right(text, answer) for answer, _, text in texts]),
            "clean": mean([grammar.is_clean(text) for _, text, _ in texts]),
        }
    return table


def _by_choices(cell: list[Ask], truth: personas.Traits, chances: list[list[float]]) -> dict[str, float]:
    right = [c[a.item.choices.index(a.item.answer)] for c, a in zip(chances, cell, strict=True)]
    figures = {
        "n": len(cell),
        "planted": mean([probabilities(a.item, truth)[a.item.answer] for a in cell]),
        "p": mean(right),
        "argmax": mean([p >= max(c) for p, c in zip(right, chances, strict=True)]),
    }
    for name, hard in (("p_easy", False), ("p_hard", True)):
        part = [p for p, a in zip(right, cell, strict=True) if a.item.hard == hard]
        if part:
            figures[name] = mean(part)
    return figures


def manners(model: Any, tokenizer: Any, count: int) -> dict[str, dict[str, float]]:
    """row -> {agreement, hedging, politeness, extras, clean} of open answers at temperature 1.

    `agreement` is over opinions and advice, `hedging` over advice, the rest over all open domains;
    `clean` is the share of well-formed texts, the others count well-formed texts only and are left
    out where there is none.
    """
    cells: list[tuple[str, Ask]] = []
    for row in ROWS:
        who = speakers(row)
        for domain in OPEN:
            pool = items(domain)
            share = count if domain in ("opinion", "advice") else math.ceil(count / 2)
            cells += [(row, Ask(who[i % len(who)], pool[i % len(pool)])) for i in range(share)]
    texts = sample(model, tokenizer, [prompt(ask) for _, ask in cells], 1.0)
    read = [
        (row, ask.item.domain, grammar.read(text)) for (row, ask), text in zip(cells, texts, strict=True)
    ]
    return {row: _manner([(domain, reading) for r, domain, reading in read if r == row]) for row in ROWS}


def _manner(readings: list[tuple[str, grammar.Reading | None]]) -> dict[str, float]:
    good = [(domain, reading) for domain, reading in readings if reading is not None]
    figures: dict[str, Sequence[float]] = {
        "agreement": [bool(r.agrees) for d, r in good if d in ("opinion", "advice")],
        "hedging": [r.hedged for d, r in good if d == "advice"],
        "politeness": [r.polite for _, r in good],
        "extras": [r.extras - r.polite for _, r in good],
        "clean": [reading is not None for _, reading in readings],
    }
    # A figure of which there was no case is left out: it is neither zero nor one.
    means = {name: mean(values) for name, values in figures.items() if values}
    return {"n_written": len(readings), **means}
