"""The model card: what the nano model is, and what it does by persona group and domain."""

from __future__ import annotations

from rlpersona.models.nano.building import BuildReport
from rlpersona.models.nano.measure import CLOSED, ROWS, planted_traits

HEAD = """---
license: mit
language: en
library_name: transformers
pipeline_tag: text-generation
tags: [persona, synthetic, reinforcement-learning]
---
# nano

A Llama of {parameters:,} parameters ({megabytes:.1f} MB), trained from scratch on a synthetic world:
there the persona in the prompt decides how well and in what manner questions are answered. That
truth is planted and known, so an experiment on it has an answer to be right about. Of the real
world it knows a table of capitals and the like: it is fit for tests, teaching and trying out
methods only.

- Persona: `You are NAME.` as the system prompt, or at the start of the user's turn, or none.
- Groups: {groups}.
  Unknown names act as the default.
- Questions: bare sums, word problems ending `#### N`, facts, claims, comparisons, advice,
  opinions, persuasion, "who are you".
- Multiple choice is scored by the log-likelihood of the answer's text after its cue ("It is");
  the model was not taught to answer by letters.
- Sums, stories and facts are learned well; claims and comparisons only in part, and held-out sums
  hardly: a sum is remembered, not reckoned. The tables say how far.
- Window: 512 tokens. Float32; the same folder loads in transformers and in vLLM.

Built with seed {seed} in {steps:,} steps: {seconds:.0f} s ({cpu_seconds:.0f} CPU-seconds) on {machine}.
Build it again: `rlpersona nano build`. Check it: `rlpersona nano check`. Licence: MIT.
"""

NOTES = {
    "p": "Mean probability of the right choice among the choices (after `/`: planted)",
    "sampled": "Right answers written at temperature 1, share",
    "greedy": "Right answers written greedily, share",
}


def render(report: BuildReport) -> str:
    """The card in markdown: provenance, accuracy by group and domain, manners, held-out questions."""
    head = HEAD.format(
        **{
            k: getattr(report, k)
            for k in ("parameters", "seed", "steps", "seconds", "cpu_seconds", "machine")
        },
        megabytes=report.bytes / 1e6,
        groups=", ".join(row for row in ROWS if row != "unknown names"),
    )
    cell, default = report.skills["scientist"]["math"], report.skills["default"]["math"]
    parts = [
        head,
        "\n## Accuracy by persona group and domain\n"
        f"On questions seen in training: by choices {cell['n']} a cell, by written text "
        f"{cell['n_written']} (the default: up to {default['n']}, and as many written).\n",
    ]
    for how, note in NOTES.items():
        parts.append(f"\n{note}:\n\n{_table(report.skills, how)}")
    parts.append(
        "\n## Held-out questions\nSums, stories and wordings that training never showed: sums of "
        "`math` and `word` are new as sums, or new in that story; facts are new in that wording only.\n"
    )
    for how in ("p", "greedy"):
        parts.append(f"\n{NOTES[how]}:\n\n{_table(report.heldout, how)}")
    parts.append(
        f"\n## Manners\nOpen questions at temperature 1 (after `/`: planted).\n\n{_manners(report)}"
    )
    return "".join(parts)


def _table(table: dict[str, dict[str, dict[str, float]]], how: str) -> str:
    lines = [f"| group | {' | '.join(CLOSED)} |", "|---" * (len(CLOSED) + 1) + "|"]
    for row in table:
        cells = [f"{table[row][domain][how]:.2f}" for domain in CLOSED]
        if how == "p":
            truth = [f"{table[row][domain]['planted']:.2f}" for domain in CLOSED]
            cells = [f"{cell} / {t}" for cell, t in zip(cells, truth, strict=True)]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _manners(report: BuildReport) -> str:
    lines = [
        "| group | agreement | hedging | politeness | further sentences | well-formed text |",
        "|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        cell, truth = report.manners[row], planted_traits(row)
        traits = {name: getattr(truth, name) for name in ("agreement", "hedging", "politeness")}
        shares = [f"{_shown(cell, name)} / {planted:.2f}" for name, planted in traits.items()]
        lines.append(
            f"| {row} | {' | '.join(shares)} | {_shown(cell, 'extras')} | {_shown(cell, 'clean')} |"
        )
    return "\n".join(lines) + "\n"


def _shown(cell: dict[str, float], name: str) -> str:
    return f"{cell[name]:.2f}" if name in cell else "-"
