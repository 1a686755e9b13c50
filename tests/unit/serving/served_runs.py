"""Finished runs on disk, made in a moment: what a service is given."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from rlpersona.bandits import Bandit
from rlpersona.config import BanditConfig, RunConfig
from rlpersona.experiments.bandit.inputs import make_policy
from rlpersona.experiments.origin import of_texts
from rlpersona.models import nano
from rlpersona.models.lineage import Lineage, base_hash, write_lineage
from rlpersona.personas.roster import load_personas
from rlpersona.store import PERSONAS, PROVENANCE, SUMMARY, Run
from rlpersona.types import Persona


def begun(root: Path, config: RunConfig) -> Run:
    """A run folder that holds a config."""
    run = Run(root / config.name)
    run.write_text("config.yaml", yaml.safe_dump(config.model_dump(mode="json"), allow_unicode=True))
    return run


def bandit_run(
    root: Path, name: str = "search", *, updates: int = 0, roster: Path | None = None, **settings: Any
) -> tuple[Run, list[Persona], Bandit]:
    """A search that is over, after updates in which even arms earned 1; its personas and its policy."""
    given = {"personas": str(roster)} if roster else {}
    config = BanditConfig(name=name, **{"algorithm": "reinforce", **given, **settings})
    personas = load_personas(
        config.personas, bystanders=config.bystanders, seed=config.seed, prefix=config.prefix
    )
    policy = make_policy(config, personas)
    for _ in range(updates):
        arms = policy.select(config.arms_per_round)
        policy.update(arms, [float(arm % 2 == 0) for arm in arms], policy.chances(arms))
    run = begun(root, config)
    fingerprint = of_texts(f"{k} {persona}" for k, persona in enumerate(personas))
    run.write_json(PROVENANCE, {"data": {"personas": fingerprint}})
    run.append_metrics({"round": updates})
    state = {"round": updates, "policy": policy.state_dict(), "flights": []}
    run.write_text("checkpoints/checkpoint_1/state.json", json.dumps(state))
    table = {"name": [p.name for p in personas], "probability": policy.probabilities()}
    run.write_table(PERSONAS, pd.DataFrame(table))
    winners = [
        {"persona": persona.name, "accuracy": {"estimate": share}}
        for persona, share in zip(personas, (0.5, 0.75, 0.625), strict=False)
    ]
    run.write_json(SUMMARY, {"winners": winners, "significant": False})
    return run, personas, policy


def trained_run(root: Path, config: RunConfig, folders: Sequence[str]) -> Run:
    """A run with an adapter of nano in each of these folders; `metrics.jsonl` and `done.json` where a
    training leaves them."""
    run = begun(root, config)
    for folder in folders:
        place = run.folder / folder
        shutil.copytree(adapter(), place)
        if place.parent.name == "steps":
            continue
        training = Run(place.parent)
        training.append_metrics({"step": 4})
        training.write_json("done.json", {})
    return run


@cache
def adapter() -> Path:
    """A fresh LoRA adapter of nano, with its lineage."""
    import tempfile

    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    folder = Path(tempfile.mkdtemp()) / "adapter"
    net = AutoModelForCausalLM.from_pretrained(nano.path())
    wanted = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    get_peft_model(net, wanted).save_pretrained(folder)
    write_lineage(folder, Lineage("nano", base_hash("nano")))
    return folder
