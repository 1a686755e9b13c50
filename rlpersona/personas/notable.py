"""The shipped roster: 11,298 notable people of Pantheon 1.0, their eras and domains.

Where the table comes from, what was cleaned and how many were left out stands in `notable.md`.
"""

from __future__ import annotations

from pathlib import Path

from rlpersona.tasks.files import read_rows
from rlpersona.types import Persona

TABLE = Path(__file__).with_name("notable.csv.gz")
COLUMNS = ("name", "field", "birth_year", "fame", "country")
# First year of birth in each era.
ERAS = {
    "Ancient": None,
    "Medieval": 500,
    "Renaissance": 1400,
    "Early Modern": 1600,
    "Modern": 1800,
    "Contemporary": 1900,
}
DOMAINS = {
    "arts": (
        "actor, architect, artist, comedian, comic artist, composer, conductor, dancer, designer, "
        "fashion designer, film director, game designer, musician, painter, photographer, sculptor, "
        "singer"
    ),
    "sports": (
        "american football player, athlete, baseball player, basketball player, boxer, chess "
        "master, coach, cricketer, cyclist, golfer, gymnast, hockey player, martial artist, "
        "mountaineer, racecar driver, referee, skater, skier, snooker player, soccer player, "
        "swimmer, tennis player, wrestler"
    ),
    "science and technology": (
        "anthropologist, archaeologist, astronomer, biologist, chemist, computer scientist, "
        "economist, engineer, geographer, geologist, inventor, mathematician, physician, physicist, "
        "political scientist, psychologist, sociologist, statistician"
    ),
    "humanities": "critic, historian, journalist, linguist, philosopher, writer",
    "institutions": (
        "diplomat, judge, military personnel, nobleman, pilot, politician, public worker, religious "
        "figure"
    ),
    "business and law": "businessperson, lawyer, producer",
    "exploration": "astronaut, explorer",
    "public figure": (
        "celebrity, chef, companion, extremist, mafioso, magician, model, pirate, pornographic "
        "actor, presenter, social activist"
    ),
}
_DOMAIN_OF = {field: domain for domain, fields in DOMAINS.items() for field in fields.split(", ")}


def era_of(year: int) -> str:
    """The era of someone born in `year` (negative: BC): Ancient before 500, Medieval before 1400,
    Renaissance before 1600, Early Modern before 1800, Modern before 1900, Contemporary from then on.

    The first bounds are the round years nearest to the periods that go by these names (Rome falls in
    476, the Quattrocento begins in 1400, the age of revolutions ends the 18th century). Whoever was born
    in 1900 or later was grown up only after the First World War; a cut there also agrees with the
    hand-made label "Contemporary", or its absence, of 673 of the 727 names that the table shares with an
    older list (a cut at 1946: of 440).
    """
    return [era for era, first in ERAS.items() if first is None or year >= first][-1]


def domain_of(field: str) -> str:
    """The domain of a field of the shipped table (`"physicist"`: `"science and technology"`); any other
    field is a domain of its own."""
    return _DOMAIN_OF.get(field, field)


def notable_people(prefix: str) -> list[Persona]:
    """Everyone in the shipped table, the most famous first, with `prefix` as the system prompt.

    `fame` is the Historical Popularity Index (about 10 to 32).
    """
    people = []
    for _, row in read_rows(TABLE):
        year = int(row["birth_year"])
        people.append(
            Persona(
                name=row["name"],
                system=prefix.replace("{name}", row["name"]),
                field=row["field"],
                era=era_of(year),
                birth_year=year,
                fame=float(row["fame"]),
                description=_described(row["field"], year, row["country"]),
            )
        )
    return people


def _described(field: str, year: int, country: str) -> str:
    when = f"{-year} BC" if year < 0 else f"AD {year}" if year < 1000 else str(year)
    return f"{field}, born {when} in {country}" if country else f"{field}, born {when}"
