"""Run folders as a bandit experiment leaves them, made in milliseconds."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

CONFIG = "experiment: bandit\nmodel:\n  name: nano\nalgorithm:\n  name: reinforce\n  lr: 0.1\n"
FIELDS = ("physics", "poetry", "law", "medicine", "music")
ERAS = ("antiquity", "19th century", "20th century")


def interval(estimate: float | None, half: float = 0.04, n: int = 400) -> dict[str, Any]:
    if estimate is None:
        return {"estimate": None, "low": None, "high": None, "n": 0, "level": 0.95}
    return {"estimate": estimate, "low": estimate - half, "high": estimate + half, "n": n, "level": 0.95}


def winner(
    persona: str, gain: float | None, training: float | None = 0.81, **more: Any
) -> dict[str, Any]:
    accuracy = None if gain is None else 0.52 + gain
    measured = gain is not None
    return {
        "persona": persona,
        "group": "scholar",
        "field": "physics",
        "accuracy": interval(accuracy),
        "gain": interval(gain, 0.045),
        "p": 0.0004 if measured else None,
        "p_holm": 0.0012 if measured else None,
        "training_reward": training,
        "wins": 90 if measured else None,
        "losses": 30 if measured else None,
        "ties": 280 if measured else None,
        **more,
    }


def rounds(
    total: int = 60, personas: int = 200, scored: bool = True, top: str = "Isaac Newton"
) -> list[dict]:
    draw = np.random.default_rng(3)
    uniform = math.log(personas)
    return [
        {
            "round": number,
            "rounds": total,
            "evaluations": 128 * number,
            "unscored": number // 10 if scored else 128 * number,
            "reward": float(0.52 + 0.25 * number / total + draw.normal(0, 0.04)) if scored else None,
            "entropy": uniform * (1 - 0.5 * number / total),
            "top": top,
            "top_probability": 0.08 + 0.5 * number / total,
            "seconds": 0.4 * number,
        }
        for number in range(1, total + 1)
    ]


def make_run(
    folder: Path,
    names: list[str] | None = None,
    gains: tuple[float | None, ...] = (0.17, 0.14, 0.06),
    scored: bool = True,
    **summary: Any,
) -> Path:
    """A run over `names` (200 by default) whose first personas won with `gains`."""
    folder.mkdir(parents=True)
    names = names or [
        "Isaac Newton",
        "Marie Curie",
        "Ada Lovelace",
        *(f"Persona {i}" for i in range(3, 200)),
    ]
    won = names[: len(gains)]
    write_tables(folder, names, won, gains, scored)
    lines = rounds(personas=len(names), scored=scored, top=names[0])
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "config.yaml").write_text(CONFIG)
    provenance = {
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
        "packages": {"python": "3.11.9", "torch": "2.13.0"},
        "data": {"nano": "sha256:ab12"},
        "machine": {"cpus": 2, "gpu": None},
        "started": "2026-01-01T12:00:00Z",
    }
    (folder / "provenance.json").write_text(json.dumps(provenance))
    content = {
        "run": folder.name,
        "experiment": "bandit",
        "model": "nano",
        "benchmark": "nano world",
        "algorithm": "reinforce",
        "personas": len(names),
        "questions_train": 600,
        "questions_fresh": 400,
        "rounds": 60,
        "evaluations": 7680,
        "seconds": 24.0,
        "seed": 1,
        "reward": "accuracy",
        "null_maximum": 0.075,
        "unscored_share": 0.0008 if scored else 1.0,
        "control": interval(0.52 if scored else None),
        "random": interval(0.53 if scored else None, 0.03),
        "random_gain": {**interval(0.01 if scored else None, 0.02), "p": 0.33 if scored else None},
        "winners": [
            winner(name, gain if scored else None, 0.81 if scored else None)
            for name, gain in zip(won, gains, strict=False)
        ],
        "verdict": f"{names[0]} answers better than no persona.",
        "significant": True if scored else None,
        **summary,
    }
    (folder / "summary.json").write_text(json.dumps(content))
    return folder


def make_full_run(folder: Path, names: list[str] | None = None, **summary: Any) -> Path:
    """As `make_run`, with everything that a run can measure: prefixes that name nobody, equivalence,
    transfer, leaders, training intervals, shrunken estimates and comparisons in training."""
    run = make_run(folder, names)
    content = json.loads((run / "summary.json").read_text())
    won = [one["persona"] for one in content["winners"]]
    content["winners"] = [
        one | {
            "equivalence": {"margin": 0.03, "p": 0.2, "equivalent": k == 2, "low": 0.0, "high": 0.1},
            "over_random": {**interval(0.16 - 0.05 * k), "p": 0.002, "p_holm": 0.006, "personas": 5},
            "over_nonsense": {**interval(0.15 - 0.05 * k), "p": 0.002, "p_holm": 0.004, "personas": 3},
        }
        for k, one in enumerate(content["winners"])
    ]  # fmt: skip
    nobody = [("(empty name)", "empty", 0.005), ("(nonsense: Bab)", "nonsense", 0.02)]
    nobody += [("(nonsense: Rudo)", "nonsense", 0.0)]
    content |= {
        "baselines": [
            {"persona": name, "role": role, "accuracy": interval(0.52 + gain), "gain": interval(gain),
             "p": 0.6, "wins": 30, "losses": 25, "ties": 345}
            for name, role, gain in nobody
        ],
        "nonsense_gain": {**interval(0.01), "p": 0.41, "personas": 2},
        "margin": 0.03,
        "equivalent": False,
        "transfer": [
            {
                "benchmark": name, "questions": 100,
                "control": interval(0.4, n=100), "random": interval(0.41, n=100),
                "winners": [
                    {"persona": one, "accuracy": interval(0.4 + gain, n=100),
                     "gain": interval(gain, 0.08, 100), "p": 0.03, "p_holm": 0.09}
                    for one, gain in zip(won, (0.07, 0.0, -0.02), strict=True)
                ],
            }
            for name in ("hellaswag", "gsm8k")
        ],
        "convergence": [
            {"group": "scholar", "pool": 0.2, "final": 0.9, "half": 26, "most": 60},
            {"group": "layman", "pool": 0.8, "final": 0.1, "half": None, "most": None},
        ],
        "plan": ["7,680 evaluations over 200 personas: 38 each.", "The null maximum is +7.5 pp."],
    }  # fmt: skip
    (run / "summary.json").write_text(json.dumps(content | summary))
    add_rounds(run, won)
    add_columns(run)
    return run


def add_rounds(run: Path, won: list[str]) -> None:
    """Budget, leaders, groups and transfer in `metrics.jsonl`."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        share = line["round"] / line["rounds"]
        line |= {
            "budget": 7680,
            "groups": {"scholar": 0.2 + 0.7 * share, "layman": 0.8 - 0.7 * share},
            "leaders": [
                {"persona": name, "mean": 0.8, "low": 0.7, "high": 0.88, "evaluations": 64,
                 "probability": line["top_probability"] / (k + 1)}
                for k, name in enumerate(won)
            ],
        }  # fmt: skip
        if line["round"] % 20 == 0:
            line["transfer"] = {
                "hellaswag": {"top": 0.4 + 0.1 * share, "control": 0.4, "questions": 100},
                "gsm8k": {"top": None, "control": None, "questions": 100},
            }
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def add_columns(run: Path) -> None:
    """What the search learned of each persona, and the answers of prefixes and on other benchmarks."""
    personas = pd.read_parquet(run / "personas.parquet")
    personas["low"] = (personas["reward"] - 0.15).clip(lower=0)
    personas["high"] = (personas["reward"] + 0.15).clip(upper=1)
    personas["shrunk"] = 0.6 + 0.4 * (personas["reward"] - 0.6)
    personas[["wins", "losses", "ties"]] = [12, 8, 20]
    personas["birth_year"] = pd.array([1642, None] * len(personas), dtype="Int64")[: len(personas)]
    personas["fame"] = 20.5
    personas.to_parquet(run / "personas.parquet")
    own = pd.read_parquet(run / "validation.parquet").assign(benchmark="nano world")
    control = own[own["role"] == "control"]
    parts = [own]
    parts += [control.assign(role="empty", persona="(empty name)")]
    parts += [control.assign(role="nonsense", persona=f"(nonsense: {name})") for name in ("Bab", "Rudo")]
    missing = control.assign(persona="(no persona)", benchmark="hellaswag", reward=math.nan)
    missing = missing.assign(error="too long")
    table = pd.concat([*parts, missing, control.assign(benchmark="gsm8k")], ignore_index=True)
    table.to_parquet(run / "validation.parquet")


def write_tables(
    folder: Path, names: list[str], won: list[str], gains: tuple[float | None, ...], scored: bool
) -> None:
    draw = np.random.default_rng(7)
    weights = draw.gamma(1.0, size=len(names))
    weights[: len(won)] += len(names) / 4
    personas = pd.DataFrame(
        {
            "name": names,
            "group": ["scholar" if i < len(won) or i % 5 == 0 else "layman" for i in range(len(names))],
            "field": [FIELDS[i % len(FIELDS)] for i in range(len(names))],
            "era": [ERAS[i % len(ERAS)] if i % 7 else None for i in range(len(names))],
            "pulls": 40,
            "evaluations": 40,
            "reward": draw.uniform(0.4, 0.8, len(names)) if scored else math.nan,
            "probability": weights / weights.sum(),
        }
    )
    personas.to_parquet(folder / "personas.parquet")
    roles = [("control", None, 0.0)]
    roles += [("winner", name, gain or 0.0) for name, gain in zip(won, gains, strict=False)]
    roles += [("random", name, 0.01) for name in names[-5:]]
    rows = []
    for role, persona, gain in roles:
        for question in range(100):
            lost = not scored or (role == "random" and question % 25 == 0)
            reward = math.nan if lost else float(draw.random() < 0.52 + gain)
            error = "no answer found in 'I <b>refuse</b>'" if lost else None
            rows.append((persona, role, f"q{question}", reward, error))
    table = pd.DataFrame(rows, columns=["persona", "role", "question", "reward", "error"])
    table.to_parquet(folder / "validation.parquet")
