"""Roles, traits and the questions put to them: those of the nano world, or files in the public form.

The public form is that of the Assistant Axis (github safety-research/assistant-axis, MIT): a folder
with a JSON file for each role, `{"instruction": [{"pos": system prompt}, ...], "questions": [...],
"eval_prompt": ...}`, and `default.json` for the model as it is. A trait's instructions also have
`neg`, the prompt that suppresses it. An empty prompt means no system message.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rlpersona.config import AxisConfig
from rlpersona.errors import ConfigError, DataError, did_you_mean
from rlpersona.tasks.files import file_kind, read_rows
from rlpersona.tasks.identity import content_id, unit
from rlpersona.types import Question

NANO, NONE = "nano", "none"
DEFAULT = "default"
MODEL_NAME = "{model_name}"
_SAID = re.compile(
    r"displays the (?:role|trait): \*\*.+?\*\*\.?\s*(?P<what>.*?)\s*\n\s*Prompt:", re.DOTALL
)


@dataclass(frozen=True)
class Role:
    """What the model is told to be: system prompts, None for no system message.

    `description` says in a line what the role is; a judge reads it, the model does not. `questions` are
    the role's own, which the axis does not ask: all roles answer the same. `group` is the planted group
    of a nano role.
    """

    name: str
    instructions: tuple[str | None, ...]
    description: str = ""
    questions: tuple[str, ...] = ()
    group: str | None = None

    @property
    def slug(self) -> str:
        """The name in letters that a folder's name may have."""
        return slug(self.name)


@dataclass(frozen=True)
class Trait:
    """System prompts that elicit a trait, others that suppress it; its own questions, if any."""

    name: str
    positive: tuple[str | None, ...]
    negative: tuple[str | None, ...]
    questions: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """The name in letters that a folder's name may have."""
        return slug(self.name)


def load_roles(config: AxisConfig) -> tuple[Role, list[Role]]:
    """The default, and the roles that `config.only` names (empty: all), with at most
    `config.prompts_per_role` system prompts each.

    Raises:
        ConfigError: a role that there is not.
        DataError: a folder or a file that cannot be read, two names that make one folder, no role.
    """
    if config.roles == NANO:
        from rlpersona.axis import nano

        found = nano.roles()
    else:
        found = [_role(path, _named(config)) for path in _files(config.roles)]
    default = next((one for one in found if one.name == DEFAULT), Role(DEFAULT, (None,)))
    roles = _only([one for one in found if one.name != DEFAULT], config.only)
    if not roles:
        raise DataError(f"{config.roles}: holds no role but the default", "Add a JSON file a role.")
    _distinct([default, *roles])
    most = config.prompts_per_role
    cut = [replace(one, instructions=one.instructions[:most]) for one in (default, *roles)]
    return cut[0], cut[1:]


def load_traits(config: AxisConfig) -> list[Trait]:
    """The traits, with at most `config.prompts_per_role` system prompts a side.

    Raises:
        DataError: as `load_roles`.
    """
    if config.traits == NONE:
        return []
    if config.traits == NANO:
        from rlpersona.axis import nano

        found = nano.traits()
    else:
        found = [_trait(path, _named(config)) for path in _files(config.traits)]
    _distinct(found)
    most = config.prompts_per_role
    return [replace(t, positive=t.positive[:most], negative=t.negative[:most]) for t in found]


def load_questions_of(config: AxisConfig) -> list[Question]:
    """The questions that every role answers, at most `config.question_limit` of them.

    Of the nano world's the first are taken, since the domains take turns there; of a file's rows
    (`{"question": ...}`) those that a hash of text and seed draws, in the file's order. A repeated
    question counts once: the public file of 240 holds 239.

    Raises:
        DataError: a file that cannot be read, a row without a question, no question at all.
    """
    limit = config.question_limit
    if config.questions == NANO:
        from rlpersona.axis import nano

        return nano.questions()[:limit]
    path = Path(config.questions).expanduser()
    if file_kind(path) not in ("json", "jsonl"):
        raise DataError(f"{path}: questions are a JSON or JSONL file", "Name it .jsonl.")
    texts: dict[str, None] = {}
    for place, row in read_rows(path):
        text = row.get("question")
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"{place}: no question", 'Write each row as {"question": "..."}.')
        texts[text.strip()] = None
    if not texts:
        raise DataError(f"{path}: holds no question", 'Write each row as {"question": "..."}.')
    drawn = set(sorted(texts, key=lambda text: unit("question", config.seed, text))[:limit])
    return as_questions((text for text in texts if text in drawn), path.name)


def as_questions(texts: Iterable[str], source: str) -> list[Question]:
    """Open questions without a gold text."""
    return [Question(content_id(source, text, (), ""), text, "", source=source) for text in texts]


def slug(name: str) -> str:
    """A name in letters that a folder's name may have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "unnamed"


def _files(folder: str) -> list[Path]:
    path = Path(folder).expanduser()
    files = sorted(path.glob("*.json")) if path.is_dir() else []
    if not files:
        raise DataError(
            f"no roles or traits at '{folder}'",
            "Give 'nano' or a folder with a JSON file each; a .tar.gz must be unpacked first.",
        )
    return files


def _role(path: Path, model_name: str) -> Role:
    value = _object(path)
    said = _SAID.search(str(value.get("eval_prompt", "")))
    return Role(
        path.stem,
        _prompts(path, value, "pos", model_name),
        said["what"] if said else "",
        _own_questions(path, value),
    )


def _trait(path: Path, model_name: str) -> Trait:
    value = _object(path)
    positive, negative = (_prompts(path, value, side, model_name) for side in ("pos", "neg"))
    return Trait(path.stem, positive, negative, _own_questions(path, value))


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error})", "Save it as UTF-8 JSON.") from error
    if not isinstance(value, dict):
        raise DataError(f"{path}: not an object", 'Write {"instruction": [{"pos": "..."}], ...}.')
    return value


def _prompts(path: Path, value: dict[str, Any], side: str, model_name: str) -> tuple[str | None, ...]:
    """The system prompts of a side; an empty one becomes None."""
    rows = value.get("instruction")
    if not isinstance(rows, list) or not rows:
        raise DataError(f"{path}: no list 'instruction'", 'Write "instruction": [{"pos": "..."}].')
    found: list[str | None] = []
    for number, row in enumerate(rows, start=1):
        text = row.get(side) if isinstance(row, dict) else None
        if not isinstance(text, str):
            raise DataError(
                f"{path}, instruction {number}: no text '{side}'", "Add one; it may be empty."
            )
        found.append(text.replace(MODEL_NAME, model_name).strip() or None)
    return tuple(found)


def _own_questions(path: Path, value: dict[str, Any]) -> tuple[str, ...]:
    found = value.get("questions", [])
    if not isinstance(found, list) or not all(isinstance(one, str) and one.strip() for one in found):
        raise DataError(f"{path}: 'questions' is not a list of texts", "Write them as strings.")
    return tuple(dict.fromkeys(found))


def _named(config: AxisConfig) -> str:
    """What stands for `{model_name}`."""
    return config.model_name or Path(config.model.name).name


def _only(roles: Sequence[Role], names: Sequence[str]) -> list[Role]:
    known = {one.name: one for one in roles}
    for name in names:
        if name not in known:
            raise ConfigError(f"There is no role '{name}'.", did_you_mean(name, known))
    return [one for one in roles if not names or one.name in names]


def _distinct(found: Sequence[Role] | Sequence[Trait]) -> None:
    """Folders of file systems that do not tell capitals apart must differ, too."""
    counts = Counter(one.slug.casefold() for one in found)
    for one in found:
        if counts[one.slug.casefold()] > 1:
            raise DataError(f"two names make one folder '{one.slug}'", "Rename one of the files.")
