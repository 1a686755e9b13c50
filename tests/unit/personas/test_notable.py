"""The shipped table: who is in it, when they lived, and that it can be made again."""

from __future__ import annotations

import csv
import gzip
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from rlpersona.errors import DataError
from rlpersona.personas import load_personas, pantheon
from rlpersona.personas.notable import DOMAINS, ERAS, TABLE, domain_of, era_of
from rlpersona.types import Persona

PEOPLE = {person.name: person for person in load_personas("notable")}


@pytest.mark.parametrize(
    ("name", "era"),
    [
        ("Aristotle", "Ancient"),
        ("Cleopatra VII of Egypt", "Ancient"),
        ("Augustine of Hippo", "Ancient"),
        ("Muhammad", "Medieval"),
        ("Genghis Khan", "Medieval"),
        ("Dante Alighieri", "Medieval"),
        ("Leonardo da Vinci", "Renaissance"),
        ("Nicolaus Copernicus", "Renaissance"),
        ("William Shakespeare", "Renaissance"),
        ("Isaac Newton", "Early Modern"),
        ("Wolfgang Amadeus Mozart", "Early Modern"),
        ("Charles Darwin", "Modern"),
        ("Marie Curie", "Modern"),
        ("Albert Einstein", "Modern"),
        ("Alan Turing", "Contemporary"),
        ("Nelson Mandela", "Contemporary"),
        ("Taylor Swift", "Contemporary"),
    ],
)
def test_eras_of_people_one_knows(name: str, era: str) -> None:
    assert PEOPLE[name].era == era


def test_the_bounds_of_eras() -> None:
    years = [-9999, -1, 0, 499, 500, 1399, 1400, 1599, 1600, 1799, 1800, 1899, 1900, 2020]
    counts = Counter(era_of(year) for year in years)
    assert counts == dict(zip(ERAS, (4, 2, 2, 2, 2, 2), strict=True))
    assert [era_of(year) for year in years] == sorted(map(era_of, years), key=list(ERAS).index)


def test_a_row_is_read_whole() -> None:
    assert PEOPLE["Marie Curie"] == Persona(
        name="Marie Curie",
        system="You are Marie Curie.",
        field="chemist",
        era="Modern",
        birth_year=1867,
        fame=PEOPLE["Marie Curie"].fame,
        description="chemist, born 1867 in Poland",
    )
    assert PEOPLE["Aristotle"].description == "philosopher, born 384 BC in Greece"
    assert PEOPLE["Pliny the Elder"].description == "philosopher, born AD 23 in Italy"
    assert PEOPLE["Abraham Lincoln"].description == "politician, born 1809 in the United States"


def test_counts_by_era_and_domain() -> None:
    assert len(PEOPLE) == 11_298
    assert Counter(person.era for person in PEOPLE.values()) == {
        "Ancient": 839,
        "Medieval": 785,
        "Renaissance": 467,
        "Early Modern": 776,
        "Modern": 1946,
        "Contemporary": 6485,
    }
    assert Counter(domain_of(str(person.field)) for person in PEOPLE.values()) == {
        "institutions": 3428,
        "arts": 2861,
        "sports": 1753,
        "science and technology": 1365,
        "humanities": 1325,
        "public figure": 357,
        "business and law": 108,
        "exploration": 101,
    }
    fields = Counter(str(person.field) for person in PEOPLE.values())
    assert len(fields) == 88
    assert set(fields) == {field for listed in DOMAINS.values() for field in listed.split(", ")}
    assert fields["soccer player"] == 1062


def test_names_are_clean_and_differ() -> None:
    assert len({name.casefold() for name in PEOPLE}) == len(PEOPLE)
    for name in PEOPLE:
        assert name == " ".join(name.split()) == unicodedata.normalize("NFC", name)
        assert not set(name) & set('`\ufffd\u00c3\u00c2"') or name == 'Benigno "Noynoy" Aquino III'
        assert all(unicodedata.category(char)[0] in "LNPZ" for char in name)
    assert {"Émilie du Châtelet", "Czesław Miłosz", "50 Cent", "水木一郞"} <= set(PEOPLE)


def test_of_one_name_the_most_famous_stays() -> None:
    assert PEOPLE["Francis Bacon"].birth_year == 1561
    assert PEOPLE["Alexandre Dumas"].birth_year == 1802
    assert PEOPLE["Dido"].birth_year == -840


def test_the_table_is_small_and_the_most_famous_stand_first() -> None:
    assert TABLE.stat().st_size < 200_000
    fames = [person.fame or 0 for person in PEOPLE.values()]
    assert fames == sorted(fames, reverse=True)
    assert next(iter(PEOPLE)) == "Aristotle"


def test_the_table_can_be_made_again(shared_data: Path, tmp_path: Path) -> None:
    source = str(shared_data / "notable_people" / "pantheon.tsv.gz")
    made = [tmp_path / "a.csv.gz", tmp_path / "b.csv.gz"]
    assert [pantheon.main([source, str(out)]) for out in made] == [0, 0]
    assert made[0].read_bytes() == made[1].read_bytes()
    # Compressors may differ from machine to machine, what they hold may not.
    assert gzip.decompress(made[0].read_bytes()) == gzip.decompress(TABLE.read_bytes())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv.gz", "b.csv.gz"]


def test_what_is_left_out_and_the_domains_of_the_source(shared_data: Path) -> None:
    rows = pantheon.read_pantheon(shared_data / "notable_people" / "pantheon.tsv.gz")
    table = pantheon.notable_table(rows)
    assert (len(rows), len(table.rows), table.undated, table.repeated) == (11_341, 11_298, 30, 13)
    for row in rows:
        field = row["occupation"].lower()
        ours = domain_of(pantheon.READABLE.get(field, field))
        assert ours == row["domain"].lower().replace("&", "and")


def test_the_older_list_against_the_table(shared_data: Path) -> None:
    with open(shared_data / "notable_people" / "notable_people_10k.csv", encoding="utf-8") as file:
        labels = {row["name"]: row["era"] for row in csv.DictReader(file)}
    both = labels.keys() & PEOPLE.keys()
    assert (len(labels), len(both)) == (2005, 727)
    same = [(PEOPLE[name].era == "Contemporary") == (labels[name] == "Contemporary") for name in both]
    assert sum(same) == 673


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ('"Benigno ""Noynoy"" Aquino III"', 'Benigno "Noynoy" Aquino III'),
        ("`Abdu'l-Bahá", "\u2018Abdu'l-Bahá"),
        ("  Chloe\u0301 \u00a0 Zhao ", "Chloé Zhao"),
        ('"', '"'),
    ],
)
def test_a_name_is_cleaned(raw: str, clean: str) -> None:
    assert pantheon.clean_name(raw) == clean


def test_a_file_that_is_not_pantheon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.tsv"
    other.write_text("name\tbirthyear\nAda\t1815\n")
    with pytest.raises(DataError, match="no column 'occupation'"):
        pantheon.read_pantheon(other)
    other.write_text("\t".join(pantheon.NEEDED) + "\nAda\t1815\n")
    with pytest.raises(DataError, match="line 2: 2 columns, not 6"):
        pantheon.read_pantheon(other)
    assert pantheon.main([str(tmp_path / "none.tsv")]) == DataError.exit_code
    assert "none.tsv: cannot be read" in capsys.readouterr().err
    assert pantheon.main([]) == 2


def test_countries_have_one_spelling() -> None:
    codes = {"US": {"UNITED STATES": 9, "United States": 2}, "BA": {"BOSNIA AND HERZEGOVINA": 1}}
    codes |= {"MM": {"": 6, "Myanmar [Burma]": 2}, "UNK": {"Unknown": 3}}
    rows = [
        {"countryCode": code, "countryName": name}
        for code, names in codes.items()
        for name, count in names.items()
        for _ in range(count)
    ]
    assert pantheon._countries(rows) == {
        "US": "the United States",
        "BA": "Bosnia and Herzegovina",
        "MM": "Myanmar",
    }
