"""What all trainings share: resume, train, write the result whole."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rlpersona.models.adapters import CONFIG, WEIGHTS
from rlpersona.models.lineage import Lineage, write_lineage
from rlpersona.training.checkpoints import FolderCheckpoints, whole_folder
from rlpersona.training.job import OnStep

RESUME = "resume"


@contextmanager
def workspace() -> Iterator[Path]:
    """A fresh folder for a trainer's output, and quiet libraries."""
    import datasets
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory(prefix="rlpersona-") as folder:
        yield Path(folder)


def fit(trainer: Any, checkpoints: FolderCheckpoints, on_step: OnStep | None = None) -> dict[str, Any]:
    """Train from the last checkpoint, or from the start; the measures of the last step and of the whole.

    `adapter_init` is a SHA-256 over the trainable weights before the first update (adapters only),
    `resumed_at` the step of the checkpoint (0: none), `seconds` the wall time of this process's part,
    `samples_per_second` its rate without start-up.
    """
    from transformers import PrinterCallback

    from rlpersona.training.callbacks import HandOver, StepReport

    report = StepReport(on_step)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(report)
    trainer.add_callback(HandOver(checkpoints, report))
    initial = adapter_hash(trainer.model)
    resume = Path(trainer.args.output_dir) / RESUME
    found = checkpoints.load(resume)
    before = json.loads((resume / "trainer_state.json").read_text()) if found else {}
    begun = before.get("global_step", 0)
    clock = time.perf_counter()
    result = trainer.train(resume_from_checkpoint=str(resume) if found else None)
    seconds = time.perf_counter() - clock
    samples = (trainer.state.epoch - before.get("epoch", 0)) * len(trainer.train_dataset)
    return {
        **{key: value for key, value in report.last.items() if key != "step"},
        "steps": result.global_step,
        "resumed_at": begun,
        "seconds": seconds,
        "samples_per_second": samples / seconds,
        "trainable_parameters": sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        "adapter_init": initial,
    }


def save_result(trainer: Any, out: Path, lineage: Lineage) -> Path:
    """Write `out`/adapter or `out`/model with its lineage, whole or not at all; the folder."""
    from peft import PeftModel

    adapter = isinstance(trainer.accelerator.unwrap_model(trainer.model), PeftModel)
    return save_weights(trainer, out / ("adapter" if adapter else "model"), lineage)


def save_weights(trainer: Any, folder: Path, lineage: Lineage) -> Path:
    """Write an adapter, or a full training's whole model, into `folder`, whole or not at all.

    Every process calls it (weights may be spread over them), the first one writes.
    """
    if not trainer.is_world_process_zero():
        trainer.save_model(str(Path(trainer.args.output_dir) / "result"))
        return folder
    with whole_folder(folder) as made:
        trainer.save_model(str(made))
        (made / "training_args.bin").unlink(missing_ok=True)  # pickled
        if (made / CONFIG).exists():
            for file in made.iterdir():
                if file.name not in (CONFIG, WEIGHTS):
                    file.unlink()
            name_base(made, lineage.base)
        write_lineage(made, lineage)
    return folder


def name_base(adapter: Path, base: str) -> None:
    """Say in an adapter's config which model it is for, instead of a path of this machine."""
    config = json.loads((adapter / CONFIG).read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base
    (adapter / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def adapter_hash(model: Any) -> str | None:
    """SHA-256 over names and values of an adapter's weights; None for a model without one."""
    from peft import PeftModel

    if not isinstance(model, PeftModel):
        return None
    digest = hashlib.sha256()
    for name, weight in sorted(model.named_parameters()):
        if weight.requires_grad:
            digest.update(name.encode())
            digest.update(weight.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()
