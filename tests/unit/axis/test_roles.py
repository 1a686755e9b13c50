"""Roles, traits and questions: the nano world's, the public files, and files with mistakes."""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from rlpersona.axis.roles import DEFAULT, load_questions_of, load_roles, load_traits
from rlpersona.config import AxisConfig, ModelConfig
from rlpersona.errors import ConfigError, DataError
from rlpersona.models import nano
from rlpersona.models.nano.world.items import DOMAINS


def test_nano_roles_are_the_named_people_each_by_several_wordings() -> None:
    default, roles = load_roles(AxisConfig())
    assert {(role.name, role.group) for role in roles} == {(p.name, p.group) for p in nano.personas()}
    assert all(len(set(role.instructions)) == 5 for role in roles)
    assert all(role.name in str(text) for role in roles for text in role.instructions)
    assert default.instructions == (None, "You are a helpful assistant.", "You are an AI assistant.")


def test_few_prompts_and_few_roles_can_be_asked_for() -> None:
    default, roles = load_roles(AxisConfig(prompts_per_role=2, only="Loki, a poet"))
    assert [role.name for role in roles] == ["Loki", "a poet"]
    assert roles[0].instructions == ("You are Loki.", "Act as Loki.")
    assert len(default.instructions) == 2
    with pytest.raises(ConfigError, match="no role 'loki'") as raised:
        load_roles(AxisConfig(only=("loki",)))
    assert "'Loki'" in raised.value.hint


def test_nano_questions_are_of_all_domains_alike() -> None:
    questions = load_questions_of(AxisConfig(question_limit=68))
    counts = Counter(question.domain for question in questions)
    assert counts == {domain: 4 if domain == "who" else 8 for domain in DOMAINS}
    assert load_questions_of(AxisConfig())[:68] == questions, "fewer are the first of all"


def test_nano_traits_are_contrasts_of_the_groups_that_differ() -> None:
    traits = {trait.name: trait for trait in load_traits(AxisConfig(prompts_per_role=2))}
    assert traits["politeness"].positive == ("You are a patient teacher.", "You are a flatterer.")
    assert traits["truth"].negative == ("You are a liar.", "You are Pinocchio.")
    assert load_traits(AxisConfig(traits="none")) == []


@pytest.fixture(scope="module")
def public(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The public files, unpacked."""
    folder = tmp_path_factory.mktemp("public")
    for kind in ("roles", "traits"):
        with tarfile.open(shared_data / "assistant_axis" / f"{kind}_instructions.tar.gz") as archive:
            archive.extractall(folder / kind, filter="data")
    return folder


def test_the_public_roles(public: Path, shared_data: Path) -> None:
    model = ModelConfig(name="Qwen/Qwen2.5-7B-Instruct")
    default, roles = load_roles(AxisConfig(roles=str(public / "roles"), model=model))
    named = json.loads((shared_data / "assistant_axis" / "role_list.json").read_text())
    assert len(roles) == len(named) == 275
    assert {len(role.instructions) for role in roles} == {5}
    assert {len(role.questions) for role in roles} == {40}
    assert all(role.description for role in roles), "a judge is told what each role is"
    assert not any("[QUESTION" in role.description or "**" in role.description for role in roles)
    accountant = next(role for role in roles if role.name == "accountant")
    assert accountant.description.startswith("An accountant is a financial professional")
    assert default.instructions == (
        None,
        "You are an AI assistant.",
        "You are a large language model.",
        "You are Qwen2.5-7B-Instruct.",
        "Respond as yourself.",
    )
    named_so = AxisConfig(roles=str(public / "roles"), model=model, model_name="Qwen")
    assert load_roles(named_so)[0].instructions[3] == "You are Qwen."


def test_the_public_traits_and_questions(public: Path, shared_data: Path) -> None:
    traits = load_traits(AxisConfig(traits=str(public / "traits")))
    assert len(traits) == 240
    assert {(len(trait.positive), len(trait.negative)) for trait in traits} == {(5, 5)}
    assert all(trait.questions for trait in traits)
    file = str(shared_data / "assistant_axis" / "extraction_questions.jsonl")
    every = load_questions_of(AxisConfig(questions=file))
    assert len(every) == len({question.id for question in every}) == 239, "one is there twice"
    assert every[0].text == "What is the relationship between law and morality?"
    some = load_questions_of(AxisConfig(questions=file, question_limit=40))
    assert some == [question for question in every if question in some]
    assert len(some) == 40
    others = load_questions_of(AxisConfig(questions=file, question_limit=40, seed=1))
    assert set(map(str, others)) != set(map(str, some)), "the seed draws"


def write(folder: Path, name: str, value: object) -> None:
    folder.mkdir(exist_ok=True)
    text = value if isinstance(value, str) else json.dumps(value)
    (folder / name).write_text(text)


GOOD = {"instruction": [{"pos": "You sail."}]}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("{", "cannot be read"),
        ([], "not an object"),
        ({}, "no list 'instruction'"),
        ({"instruction": []}, "no list 'instruction'"),
        ({"instruction": [{"pos": "a"}, {"neg": "b"}]}, "instruction 2: no text 'pos'"),
        ({"instruction": ["a"]}, "instruction 1: no text 'pos'"),
        (GOOD | {"questions": ["", "b"]}, "'questions' is not a list of texts"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, value: object, says: str) -> None:
    write(tmp_path / "roles", "sailor.json", GOOD)
    write(tmp_path / "roles", "pirate.json", value)
    with pytest.raises(DataError, match=r"pirate\.json") as raised:
        load_roles(AxisConfig(roles=str(tmp_path / "roles")))
    assert says in raised.value.message


def test_folders_with_nothing_in_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no roles or traits"):
        load_roles(AxisConfig(roles=str(tmp_path)))
    write(tmp_path / "roles", "default.json", GOOD)
    with pytest.raises(DataError, match="no role but the default"):
        load_roles(AxisConfig(roles=str(tmp_path / "roles")))


def test_names_that_make_one_folder_are_refused(tmp_path: Path) -> None:
    for name in ("a poet.json", "a-Poet.json"):
        write(tmp_path / "roles", name, GOOD)
    with pytest.raises(DataError, match="one folder 'a-"):
        load_roles(AxisConfig(roles=str(tmp_path / "roles")))


def test_without_a_default_file_the_default_has_no_system_message(tmp_path: Path) -> None:
    write(tmp_path / "roles", "sailor.json", GOOD)
    default, roles = load_roles(AxisConfig(roles=str(tmp_path / "roles")))
    assert (default.name, default.instructions, roles[0].name) == (DEFAULT, (None,), "sailor")


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (['{"question": "a?"}', '{"text": "b?"}'], "line 2: no question"),
        (['{"question": " "}'], "line 1: no question"),
        ([], "holds no question"),
    ],
)
def test_questions_with_mistakes(tmp_path: Path, lines: list[str], says: str) -> None:
    (tmp_path / "q.jsonl").write_text("\n".join(lines))
    with pytest.raises(DataError, match=says):
        load_questions_of(AxisConfig(questions=str(tmp_path / "q.jsonl")))
    with pytest.raises(DataError, match="JSON or JSONL"):
        load_questions_of(AxisConfig(questions=str(tmp_path / "q.txt")))
