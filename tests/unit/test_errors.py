"""Errors: distinct exit codes, hints that survive a process border, suggestions."""

from __future__ import annotations

import pickle

import pytest

from rlpersona import errors


def tree(cls: type[errors.PersonaError]) -> list[type[errors.PersonaError]]:
    return [cls, *(found for child in cls.__subclasses__() for found in tree(child))]


def test_exit_codes_are_distinct_and_fit_a_byte() -> None:
    codes = [cls.exit_code for cls in tree(errors.PersonaError)]
    assert len(set(codes)) == len(codes)
    assert all(0 < code < 126 for code in codes)


@pytest.mark.parametrize("cls", tree(errors.PersonaError))
def test_pickling_keeps_message_and_hint(cls: type[errors.PersonaError]) -> None:
    error = pickle.loads(pickle.dumps(cls("what", "fix")))
    assert (type(error), error.message, error.hint, str(error)) == (cls, "what", "fix", "what")


def test_suggestions() -> None:
    assert errors.did_you_mean("quikstart", ["quickstart", "facts"]) == "Did you mean 'quickstart'?"
    assert errors.did_you_mean("zzz", ["b", "a"]) == "Known: a, b."
    assert errors.did_you_mean("zzz", []) == ""
