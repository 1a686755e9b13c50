"""The house of the README's design section: each module imports only from the layers above its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import rlpersona

PACKAGE = Path(rlpersona.__file__).parent
LAYERS = [
    ["errors", "types"],
    ["config", "presets", "resolve", "storage"],
    [
        *("personas", "tasks", "models", "bandits", "judges", "preferences", "stats"),
        *("behaviour", "rewards", "training", "axis"),
    ],
    ["store", "provenance", "runtime"],
    ["experiments", "report", "serving"],
    ["doctor", "commands", "cli"],
]
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
# Siblings of one layer that may know each other.
NEIGHBOURS = {
    "presets": {"config"},
    "resolve": {"config"},
    "tasks": {"models"},  # the nano world's questions
    "bandits": {"stats"},  # shrinkage towards what features predict
    "personas": {"models", "tasks"},  # the nano world's names; reading rows of files
    "runtime": {"store"},
    "experiments": {"report"},
    "judges": {"models", "stats", "store"},  # the ledger writes as a run folder does
    "preferences": {"tasks", "stats", "judges", "models"},
    "serving": {"experiments", "report"},  # what a run trained, and its policy
    "behaviour": {"models", "tasks"},
    "rewards": {"behaviour", "tasks", "models", "judges"},
    "training": {"models", "preferences", "rewards", "tasks", "behaviour"},
    "axis": {"models", "tasks", "personas", "stats", "judges"},
    "commands": {"doctor"},
    "cli": {"commands"},
}


def imports(file: Path) -> Iterator[str]:
    """Dotted names of everything that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = [file for file in sorted(PACKAGE.rglob("*.py")) if file != PACKAGE / "__init__.py"]


def test_every_part_has_a_layer() -> None:
    assert {part_of(file) for file in FILES} == set(LEVEL)


def test_imports_go_upwards_only() -> None:
    wrong = []
    for file in FILES:
        here = part_of(file)
        for name in imports(file):
            parts = name.split(".")
            if parts[0] != "rlpersona" or len(parts) < 2 or parts[1] not in LEVEL or parts[1] == here:
                continue
            if LEVEL[parts[1]] >= LEVEL[here] and parts[1] not in NEIGHBOURS.get(here, set()):
                wrong.append(f"{file.relative_to(PACKAGE)} imports {name}")
    assert not wrong


def test_only_runtime_imports_ray() -> None:
    users = {
        part_of(file) for file in FILES if any(name.split(".")[0] == "ray" for name in imports(file))
    }
    assert users == {"runtime"}


def test_files_stay_small() -> None:
    long = {str(file.relative_to(PACKAGE)): len(file.read_text().splitlines()) for file in FILES}
    assert not {name: lines for name, lines in long.items() if lines > 400}


def test_no_file_of_the_project_leans_on_the_tests() -> None:
    assert not [
        file for file in FILES for name in imports(file) if name.split(".")[0] in {"tests", "pytest"}
    ]
