from __future__ import annotations

from itertools import combinations

import choix
import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.errors import ConfigError, DataError
from rlpersona.stats import Comparison, bradley_terry
from rlpersona.stats.comparisons import fit_draws

TEAMS = ("Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore")
# American League 1987, home team by row: games won and lost there (Agresti, Categorical Data Analysis).
HOME = [
    [None, (4, 3), (4, 2), (4, 3), (6, 1), (4, 2), (6, 0)],
    [(3, 3), None, (4, 2), (4, 3), (6, 0), (6, 1), (4, 3)],
    [(2, 5), (4, 3), None, (2, 4), (4, 3), (4, 2), (6, 0)],
    [(3, 3), (5, 1), (2, 5), None, (4, 3), (4, 2), (6, 1)],
    [(5, 1), (2, 5), (3, 3), (4, 2), None, (5, 2), (6, 0)],
    [(2, 5), (3, 3), (3, 4), (4, 3), (4, 2), None, (2, 4)],
    [(2, 5), (1, 5), (1, 6), (2, 4), (1, 6), (3, 4), None],
]
PLAIN = dict(zip(TEAMS, (1.5814, 1.4364, 1.2945, 1.2476, 1.1077, 0.6839, 0.0), strict=True))
AT_HOME = dict(zip(TEAMS, (1.6196, 1.4754, 1.3271, 1.2813, 1.1438, 0.7047, 0.0), strict=True))


def season() -> list[Comparison]:
    """Each game as a comparison, the home team shown first; half of them told from the other side."""
    games = []
    for home, row in zip(TEAMS, HOME, strict=True):
        for away, result in zip(TEAMS, row, strict=True):
            for won in [1.0] * result[0] + [0.0] * result[1] if result else []:
                name = f"game {len(games)}"
                told = Comparison(home, away, name, won, first=1)
                other = Comparison(away, home, name, 1 - won, first=-1)
                games.append(other if len(games) % 2 else told)
    return games


@pytest.mark.parametrize(("covariates", "published"), [((), PLAIN), (("order",), AT_HOME)])
def test_the_published_season(covariates: tuple[str, ...], published: dict[str, float]) -> None:
    """Strengths beside Baltimore's and the home advantage, as Agresti and BradleyTerry2 print them."""
    found = bradley_terry(season(), covariates=covariates, resamples=50)
    last = found.strengths["Baltimore"].estimate
    relative = {team: found.strengths[team].estimate - last for team in TEAMS}
    assert relative == pytest.approx(published, abs=6e-5)
    assert sum(interval.estimate for interval in found.strengths.values()) == pytest.approx(0, abs=1e-9)
    if covariates:
        assert found.covariates["order"].estimate == pytest.approx(0.3023, abs=5e-5)
    assert (found.comparisons, found.unscored, found.left_out) == (273, 0, {})


def test_the_bootstrap_reaches_as_far_as_the_published_standard_error() -> None:
    """Published: home advantage .3023 with standard error .1309; games are independent here."""
    order = bradley_terry(season(), covariates=("order",)).covariates["order"]
    assert (order.high - order.low) / 2 / 1.96 == pytest.approx(0.1309, rel=0.15)
    assert order.n == 273


def world(
    rng: np.random.Generator,
    strengths: dict[str, float],
    prompts: int,
    *,
    order: float = 0.0,
    length: float = 0.0,
    extra: dict[str, float] | None = None,
) -> list[Comparison]:
    """Every pair of models on every prompt in both orders, verdicts drawn from the model itself."""
    drawn = []
    for prompt in range(prompts):
        for a, b in combinations(strengths, 2):
            longer = float(rng.normal() + (extra or {}).get(a, 0) - (extra or {}).get(b, 0))
            for first in (1, -1):
                logit = strengths[a] - strengths[b] + order * first + length * np.tanh(longer / 1.5)
                won = float(rng.random() < 1 / (1 + np.exp(-logit)))
                drawn.append(Comparison(a, b, f"p{prompt}", won, longer, first))
    return drawn


def test_planted_strengths_order_and_length_are_found() -> None:
    truth = {"weak": -0.8, "even": 0.0, "strong": 0.8}
    rng = np.random.default_rng(5)
    # The strong model writes more: without the covariate its length is taken for strength.
    drawn = world(rng, truth, 400, order=0.5, length=1.0, extra={"strong": 1.0})
    found = bradley_terry(drawn, covariates=("order", "length"), resamples=300)
    for name, value in truth.items():
        assert found.strengths[name].contains(value), name
        assert found.strengths[name].high - found.strengths[name].low < 0.5
    assert found.covariates["order"].contains(0.5)
    assert found.covariates["length"].estimate == pytest.approx(1.0, abs=0.35)
    assert found.chances["weak", "strong"].contains(1 / (1 + np.exp(1.6)))
    plain = bradley_terry(drawn, resamples=300)
    assert not plain.strengths["strong"].contains(0.8)


def test_equal_models_are_covered_by_chance() -> None:
    """The interval of a pair's chance holds one half in about 95 of 100 null worlds.

    Prompts favour a side (shared luck), so that counting comparisons instead of prompts would fail.
    """
    held = narrow = 0
    for seed in range(200):
        rng = np.random.default_rng([7, seed])
        luck = rng.random(40) < 0.5
        drawn = [
            Comparison("a", "b", f"p{k}", float(rng.random() < (0.8 if luck[k] else 0.2)))
            for k in range(40)
            for _ in range(8)
        ]
        chance = bradley_terry(drawn, resamples=200, seed=seed).chances["a", "b"]
        held += chance.contains(0.5)
        narrow += abs(chance.estimate - 0.5) < 1.96 * np.sqrt(0.25 / 320)
    assert held >= 180
    assert narrow < 150, "as if all comparisons were independent"


def test_ties_are_half_wins() -> None:
    tied = [Comparison("a", "b", f"p{k}", score) for k, score in enumerate([1, 0.5, 0.5, 0.5, 0])]
    split = [Comparison("a", "b", f"p{k}", score) for k, score in enumerate([1, 1, 0, 0, 0.5])]
    a, b = (bradley_terry(drawn, resamples=20).strengths["a"].estimate for drawn in (tied, split))
    assert a == pytest.approx(b, abs=1e-9) == pytest.approx(0, abs=1e-9)
    lone = [Comparison("a", "b", f"p{k}", score) for k, score in enumerate([0.5, 1, 1, 1])]
    found = bradley_terry(lone, resamples=20)
    assert found.chances["a", "b"].estimate == pytest.approx(3.5 / 4)


def fought(*wins: tuple[str, str]) -> list[Comparison]:
    return [Comparison(a, b, f"p{k}", 1.0) for k, (a, b) in enumerate(wins)]


ROUND = [("a", "b"), ("b", "c"), ("c", "a"), ("b", "a"), ("a", "c"), ("c", "b")]


def test_models_without_an_estimate_are_named_and_the_others_unmoved() -> None:
    whole = bradley_terry(fought(*ROUND), resamples=20)
    more = fought(*ROUND, ("a", "never"), ("b", "never"), ("always", "a"), ("x", "y"), ("y", "x"))
    more.append(Comparison("a", "silent", "p0", None))
    found = bradley_terry(more, resamples=20)
    assert found.left_out == {
        "never": "never won",
        "always": "never lost",
        "x": "not joined to the others by wins in both directions",
        "y": "not joined to the others by wins in both directions",
        "silent": "no scored comparison",
    }
    assert list(found.strengths) == ["a", "b", "c"]
    for name in "abc":
        assert found.strengths[name].estimate == pytest.approx(whole.strengths[name].estimate, abs=1e-9)
    assert (found.unscored, found.comparisons) == (1, len(more) - 1)


def test_one_sided_comparisons_give_no_strength() -> None:
    found = bradley_terry(fought(("a", "b"), ("a", "b")))
    assert found.strengths == {}
    assert found.chances == {}
    assert found.left_out == {"a": "never lost", "b": "never won"}
    nothing = bradley_terry([])
    assert nothing.strengths == {}
    assert nothing.left_out == {}


def test_draws_without_an_estimate_widen_the_interval() -> None:
    """One loss in six: most draws that miss it have no maximum, and the upper end is unknown."""
    drawn = [Comparison("a", "b", f"p{k}", float(k > 0)) for k in range(6)]
    found = bradley_terry(drawn)
    assert found.lost_draws > 200
    assert found.strengths["a"].high == np.inf
    assert found.chances["a", "b"].high == 1.0


@pytest.mark.parametrize(
    ("first", "longer", "word"),
    [(0, 0.0, "order: cannot be told"), (1, 0.0, "length: cannot be told")],
)
def test_a_covariate_that_never_varies_is_left_out(first: int, longer: float, word: str) -> None:
    drawn = [Comparison("a", "b", f"p{k}", float(k % 3 > 0), longer, first) for k in range(12)]
    found = bradley_terry(drawn, covariates=("order", "length"), resamples=20)
    assert any(word in note for note in found.notes)
    assert found.covariates == {}
    assert found.chances["a", "b"].estimate == pytest.approx(2 / 3)


def test_a_covariate_that_decides_everything_is_left_out() -> None:
    rng = np.random.default_rng(0)
    drawn = []
    for k in range(40):
        longer = float(rng.normal())
        drawn.append(Comparison("a", "b", f"p{k}", float(longer > 0), longer))
    found = bradley_terry(drawn, covariates=("length",), resamples=20)
    assert "parts wins from losses" in found.notes[0]
    assert found.covariates == {}
    assert "a" in found.strengths


def test_what_is_no_comparison_is_refused() -> None:
    with pytest.raises(DataError, match="no comparison"):
        bradley_terry([Comparison("a", "a", "p", 1.0)])
    with pytest.raises(DataError, match="no comparison"):
        bradley_terry([Comparison("a", "b", "p", 2.0)])
    with pytest.raises(DataError, match="no comparison"):
        bradley_terry([Comparison("a", "b", "p", float("nan"))])
    with pytest.raises(ConfigError, match="'size'"):
        bradley_terry([], covariates=("size",))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="level"):
        bradley_terry([], level=1.0)


@pytest.mark.filterwarnings("ignore")  # of statsmodels, about the separated ones
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(8, 40))
def test_draws_are_statsmodels_fits(seed: int, width: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    design, score = rng.normal(size=(n, width)), rng.choice([0.0, 0.5, 1.0], n)
    weights = rng.integers(0, 3, (4, n)).astype(float)
    drawn = fit_draws(design, score, weights, np.arange(n))
    for coefficients, weight in zip(drawn, weights, strict=True):
        if np.isnan(coefficients).any():
            continue
        chance = 1 / (1 + np.exp(-design @ coefficients))
        assert np.abs(design.T @ (weight * (score - chance))).max() < 1e-6
        if np.abs(coefficients).max() < 5:
            kept = weight > 0
            fitted = sm.GLM(
                score[kept], design[kept], family=sm.families.Binomial(), freq_weights=weight[kept]
            ).fit()
            assert coefficients == pytest.approx(fitted.params, abs=1e-4)


def test_a_separated_draw_is_nan_and_spoils_no_other() -> None:
    design, score = np.array([[1.0], [1.0], [1.0]]), np.array([1.0, 1.0, 0.0])
    weights = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    found = fit_draws(design, score, weights, np.arange(3))
    assert found[0, 0] == pytest.approx(np.log(2))
    assert np.isnan(found[1:, 0]).all(), "nor is there anything to say where nothing was drawn"


def test_the_plain_model_is_choix_on_games_too() -> None:
    rng = np.random.default_rng(3)
    drawn = world(rng, {"a": 0.0, "b": 0.3, "c": 0.6, "d": -0.2}, 60)
    place = {name: k for k, name in enumerate("abcd")}
    games = [(place[c.a], place[c.b]) if c.score == 1 else (place[c.b], place[c.a]) for c in drawn]
    expected = choix.opt_pairwise(4, games)
    found = bradley_terry(drawn, resamples=20)
    values = [found.strengths[name].estimate for name in "abcd"]
    assert values == pytest.approx(list(expected - expected.mean()), abs=1e-4)
