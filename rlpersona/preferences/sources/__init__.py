"""Training rows from files of others: HH-RLHF, UltraFeedback, PersuasionForGood, labels, any JSONL."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rlpersona.config.stages import DataConfig
from rlpersona.errors import ConfigError, DataError
from rlpersona.preferences.drafts import Draft, Kind
from rlpersona.preferences.reading import Rejected, located_rows
from rlpersona.preferences.sources import hh_rlhf, jsonl, persuasionforgood, ultrafeedback
from rlpersona.preferences.validity import RejectedRow, Rows, examine, refuse
from rlpersona.tasks.files import Located, file_kind
from rlpersona.tasks.identity import unit
from rlpersona.tasks.load import rows_at

if TYPE_CHECKING:
    from rlpersona.models.encode import Encoder

HUB = {
    "hh_rlhf": "Anthropic/hh-rlhf:train",
    "ultrafeedback": "trl-lib/ultrafeedback_binarized:train",
}

__all__ = ["RejectedRow", "Rows", "read_rows"]


def read_rows(
    config: DataConfig,
    *,
    kind: Kind,
    held_out: Collection[str] = (),
    window: int | None = None,
    encoder: Encoder | None = None,
    runs: Path = Path("runs"),
    seed: int = 0,
) -> Rows:
    """Rows to train on, in TRL's conversational form and the file's order, and what was set aside.

    `config.path` is a file (json, jsonl, csv, parquet, each also .gz), a folder with one, or
    `path[:config]:split` through `datasets`; without it HH-RLHF and UltraFeedback come from the hub.
    For `source=label` it is RUN/ANNOTATOR under the folder `runs`: the rows of the training part that
    `rlpersona label split` wrote. `kind="completions"` takes the chosen answers of pairs.

    What is refused is told in `validity.examine`: among it prompts that are in `held_out`, and rows of
    more tokens with their prompt than `window` and the window of `encoder`; without an encoder length
    is not looked at. With `bad_rows=refuse` one such row is a DataError that lists them by file and
    line; `quarantine` sets them aside with the reason. `limit` then keeps a sample of so many, drawn by
    `seed` from the content: a larger one adds to a smaller.

    Raises ConfigError for a source without rows of this kind or without a path, DataError for what
    cannot be read, and where no row is left.
    """
    where = _where(config, kind, runs)
    unread: list[Rejected] = []
    drafts = _drafts(config, _located(where, config, unread), kind)
    rows = examine(drafts, unread, held_out=held_out, window=window, encoder=encoder)
    if rows.rejected and config.bad_rows == "refuse":
        refuse(where, rows)
    if not rows.rows:
        raise DataError(
            f"{where}: no usable row of {rows.counts['read']:,} ({rows.flaws() or 'it is empty'}).",
            "Give a file with prompt, chosen and rejected, or prompt and completion.",
        )
    return _limited(rows, config.limit, seed)


def _where(config: DataConfig, kind: Kind, runs: Path) -> str:
    """The file, folder or hub name that is meant."""
    if config.source == "sampled":
        raise ConfigError(
            "sampled data are made by a model, not read.", "Give data.source, as jsonl, and data.path."
        )
    if config.source == "persuasionforgood" and kind == "pairs":
        raise ConfigError(
            "persuasionforgood holds dialogues, no pairs of answers.",
            "Use it for a stage with method=sft; a stage with method=dpo needs pairs.",
        )
    if not config.path and config.source not in HUB:
        raise ConfigError(f"source={config.source} needs data.path.", "Give the file: data.path=FILE")
    if config.source != "label":
        return config.path or HUB[config.source]
    run, _, annotator = config.path.partition("/")
    if not run or not annotator:
        raise ConfigError(
            f"data.path='{config.path}' names no labels.", "Write RUN/ANNOTATOR, as in labels/ann."
        )
    file = runs / run / "dpo" / annotator / "train.jsonl"
    if not file.is_file():
        known = sorted(folder.name for folder in file.parent.parent.glob("*") if folder.is_dir())
        raise DataError(
            f"no preference rows of '{annotator}' in run '{run}': {file} is not there.",
            f"Known: {', '.join(known)}." if known else f"Write them: rlpersona label split {run}",
        )
    return str(file)


def _located(where: str, config: DataConfig, unread: list[Rejected]) -> Iterable[Located]:
    path = Path(where).expanduser()
    if path.is_file() and file_kind(path) == "jsonl":
        return located_rows(path, config.bad_rows, unread)
    return rows_at(where)


def _drafts(config: DataConfig, rows: Iterable[Located], kind: Kind) -> Iterator[Draft | Rejected]:
    if config.source == "hh_rlhf":
        return hh_rlhf.drafts(rows, kind)
    if config.source == "ultrafeedback":
        return ultrafeedback.drafts(rows, kind)
    if config.source == "persuasionforgood":
        return persuasionforgood.drafts(rows)
    return jsonl.drafts(rows, kind)


def _limited(rows: Rows, limit: int | None, seed: int) -> Rows:
    if limit is None or limit >= len(rows.rows):
        return rows
    places = sorted(range(len(rows.rows)), key=lambda k: unit("limit", seed, rows.rows[k]))
    kept = [rows.rows[k] for k in sorted(places[:limit])]
    counts = rows.counts | {"kept": limit, "over the limit": len(rows.rows) - limit}
    return Rows(kept, rows.rejected, counts)
