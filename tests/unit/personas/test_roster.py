"""Rosters: what is read, what is refused and with which line."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpersona.errors import ConfigError, DataError
from rlpersona.personas import NO_PERSONA, load_personas
from rlpersona.types import Persona


def roster(folder: Path, text: str, name: str = "people.csv") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_every_column_is_read(tmp_path: Path) -> None:
    source = roster(
        tmp_path,
        "name,field,era,birth_year,fame,system\n"
        "Hypatia,Mathematics,Ancient,-360,23.5,\n"
        '"King, Martin Luther",,,,,"Speak as Dr. King, plainly."\n',
    )
    assert load_personas(source) == [
        Persona("Hypatia", "You are Hypatia.", "Mathematics", "Ancient", -360, 23.5),
        Persona("King, Martin Luther", "Speak as Dr. King, plainly."),
    ]


def test_a_gz_file_a_byte_order_mark_and_windows_lines(tmp_path: Path) -> None:
    path = tmp_path / "people.csv.gz"
    path.write_bytes(gzip.compress("\ufeffname,era\r\nRumi,Medieval\r\n".encode()))
    assert load_personas(str(path)) == [Persona("Rumi", "You are Rumi.", era="Medieval")]


def test_the_prefix_makes_the_system_prompt(tmp_path: Path) -> None:
    source = roster(tmp_path, "name\nAda\n")
    assert load_personas(source, prefix="Answer as {name}. {name}!")[0].system == "Answer as Ada. Ada!"
    assert NO_PERSONA.system is None


@pytest.mark.parametrize("prefix", ["You are you.", "{nme}", "{name} {era}", "{name", "{name.x}", "{}"])
def test_a_prefix_without_the_name_is_refused(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(ConfigError, match="must hold"):
        load_personas(roster(tmp_path, "name\nAda\n"), prefix=prefix)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("name,era\n", "empty"),
        ("era\nModern\n", "no column 'name'"),
        ("name,birthyear\nAda,1815\n", "unknown column 'birthyear'"),
        ("name,name\nAda,Ada\n", "names 'name' twice"),
        ("name,era\nAda,Modern\n  ,Modern\n", "line 3: the name is empty"),
        ("name\nAda\n\nBo\nADA\n", r"'ADA' \(line 5, first on line 2\)"),
        ("name\nChlo\u00e9 Zhao\nChloe\u0301  Zhao\n", "line 3, first on line 2"),
        ("name,birth_year\nAda,18l5\n", "line 2: birth_year '18l5' is not a whole number"),
        ("name,birth_year\nAda,1815.5\n", "not a whole number"),
        ("name,fame\nAda,nan\n", "line 2: fame 'nan' is not a number"),
        ("name,fame\nAda,inf\n", "not a number"),
        ("name,era\nAda\n", "line 2: has 1 columns, the header has 2"),
        ('name\n"Ada\n', "line 2: not CSV"),
        ("name\n(no persona)\n", "cannot be a name"),
        ('name\n"Ada\nLovelace"\n', "cannot be a name"),
    ],
)
def test_a_broken_roster_names_the_place(tmp_path: Path, text: str, message: str) -> None:
    source = roster(tmp_path, text)
    with pytest.raises(DataError, match=message) as caught:
        load_personas(source)
    assert "people.csv" in caught.value.message
    assert caught.value.hint


def test_the_hint_names_the_column_that_was_meant(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_personas(roster(tmp_path, "name,birthyear\nAda,1815\n"))
    assert caught.value.hint == "Did you mean 'birth_year'?"


def test_sources_that_are_no_roster(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such roster"):
        load_personas(str(tmp_path / "none.csv"))
    with pytest.raises(DataError, match="CSV file"):
        load_personas(roster(tmp_path, "{}", "people.json"))
    with pytest.raises(ConfigError, match="limit=0"):
        load_personas(roster(tmp_path, "name\nAda\n"), limit=0)
    with pytest.raises(ConfigError, match="bystanders"):
        load_personas(roster(tmp_path, "name\nAda\n"), bystanders=3)


def test_many_repeats_are_counted(tmp_path: Path) -> None:
    source = roster(tmp_path, "name\n" + "Ada\n" * 6)
    with pytest.raises(DataError, match="and 2 more"):
        load_personas(source)
    assert [person.name for person in load_personas(source, duplicates="drop")] == ["Ada"]


def test_a_limit_is_a_nested_sample_that_row_order_does_not_change(tmp_path: Path) -> None:
    names = [f"Person {i}" for i in range(60)]
    forth = roster(tmp_path, "name\n" + "\n".join(names))
    back = roster(tmp_path, "name\n" + "\n".join(reversed(names)), "back.csv")
    small = [person.name for person in load_personas(forth, limit=10, seed=3)]
    large = [person.name for person in load_personas(forth, limit=20, seed=3)]
    assert len(small) == 10
    assert set(small) < set(large)
    assert small == sorted(small, key=names.index)
    assert small == [person.name for person in load_personas(back, limit=10, seed=3)][::-1]
    assert small != [person.name for person in load_personas(forth, limit=10, seed=4)]
    assert len(load_personas(forth, limit=99)) == 60


@given(names=st.lists(st.text(max_size=12), min_size=1, max_size=5))
def test_wild_names_are_read_exactly_or_refused(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    buffer = io.StringIO()
    csv.writer(buffer).writerows([["name"], *([name] for name in names)])
    path = tmp_path_factory.mktemp("wild") / "wild.csv"
    path.write_bytes(buffer.getvalue().encode("utf-8", "surrogatepass"))
    try:
        people = load_personas(str(path))
    except DataError:
        return
    assert [person.name for person in people] == [name.strip() for name in names]
    assert all(person.system == f"You are {person.name}." for person in people)


def test_the_nano_roster_and_its_bystanders() -> None:
    people = load_personas("nano")
    assert len({person.name for person in people}) == len(people) > 20
    assert all(person.system == f"You are {person.name}." and person.group for person in people)
    joined = load_personas("nano", bystanders=5, prefix="Be {name}.")
    assert len(joined) == len({person.name for person in joined}) == len(people) + 5
    assert joined[-1].system == f"Be {joined[-1].name}."


def test_real_names(shared_data: Path) -> None:
    source = str(shared_data / "notable_people" / "notable_people_10k.csv")
    with pytest.raises(DataError, match=r"'Greta Gerwig' \(line 639, first on line 327\).*166 more"):
        load_personas(source)
    people = load_personas(source, duplicates="drop")
    assert len(people) == len({person.name for person in people}) == 2005
    assert people[0] == Persona("Albert Einstein", "You are Albert Einstein.", "Physics", "Modern")
    assert len(load_personas(source, duplicates="drop", limit=100)) == 100
