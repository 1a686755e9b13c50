"""The estimate against sums by hand, and the cap against any order of events."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.errors import ConfigError, CostError
from rlpersona.judges.estimate import CostCap, dollars, estimate
from rlpersona.types import ApiCall, ApiReply, Message, Sampling


def call(text: str, model: str = "gpt-4o", **rest: Any) -> ApiCall:
    rest.setdefault("sampling", Sampling(max_tokens=100))
    return ApiCall("openai", model, (Message("user", text),), **rest)


def test_an_estimate_by_hand() -> None:
    # 300 characters: 100 + 24 tokens likely, 300 + 24 at most; $2.50 in and $10 out a million.
    calls = [call(f"{n:0300d}") for n in range(1000)]
    told = estimate(calls, {}, rpm=500, tpm=1_000_000, latency=2.0)
    assert (told.calls, told.known) == (1000, 0)
    assert (told.input_tokens, told.output_tokens_max) == (124_000, 100_000)
    assert told.cost_max == pytest.approx(0.324 * 2.5 + 0.1 * 10)
    assert told.cost_expected == pytest.approx(0.124 * 2.5 + 0.05 * 10)
    assert told.minutes == pytest.approx(2.0), "500 requests a minute are the narrowest"
    assert told.prices_as_of == "2026-03-21"
    assert "about $0.81, at most $1.81 (prices of 2026-03-21)" in str(told)


def test_a_batch_costs_half_and_takes_a_day() -> None:
    calls = [call(f"{n:0300d}") for n in range(1000)]
    now, later = estimate(calls, {}, rpm=1.0), estimate(calls, {}, rpm=1.0, batch=True)
    assert (now.cost_max, now.cost_expected) == pytest.approx((1.81, 0.81))
    assert (later.cost_max, later.cost_expected) == pytest.approx((0.905, 0.405))
    assert (now.minutes, later.minutes) == (1000, 1440)
    assert str(later).endswith("within a day")
    assert estimate([], {}, batch=True).minutes == 0


@pytest.mark.parametrize(
    ("amount", "all_digits", "two_digits"),
    [
        (0.0, "$0.00", "$0.00"),
        (5.0, "$5.00", "$5.00"),
        (1234.5, "$1,234.50", "$1,234.50"),
        (1.815, "$1.815", "$1.81"),
        (0.005, "$0.005", "$0.005"),
        (0.004234, "$0.004234", "$0.0042"),
        (0.000000001, "$0.000000001", "$0.000000001"),
        (0.1 + 0.2, "$0.30", "$0.30"),
    ],
)
def test_dollars_show_what_counts(amount: float, all_digits: str, two_digits: str) -> None:
    assert (dollars(amount), dollars(amount, 2)) == (all_digits, two_digits)


def test_a_cap_under_a_cent_is_told_as_it_is() -> None:
    with pytest.raises(
        CostError, match=r"cap of \$0\.005 is reached: \$0\.0049 spent, .* \$0\.000324\."
    ):
        CostCap(0.005, spent=0.0049).reserve(0.000324)
    assert "about $0.00081, at most $0.0018" in str(estimate([call(f"{0:0300d}")], {}))


def test_the_slowest_of_three_sets_the_time() -> None:
    calls = [call(f"{n:0300d}") for n in range(1000)]
    assert estimate(calls, {}, tpm=22_400).minutes == pytest.approx(224_000 / 22_400)
    assert estimate(calls, {}, latency=3.0, in_flight=10).minutes == pytest.approx(5.0)
    assert estimate(calls[:1], {}, latency=3.0).minutes == pytest.approx(0.05), "one call, one latency"


def test_known_and_repeated_calls_cost_nothing() -> None:
    calls = [call("a"), call("b"), call("a"), call("c"), call("c")]
    told = estimate(calls, {call("a").key: ApiReply("x", "stop", 5, 7)})
    assert (told.calls, told.known) == (2, 1)
    nothing = estimate([call("a")], {call("a").key: ApiReply("x", "stop", 5, 7)})
    assert (nothing.calls, nothing.cost_max, nothing.cost_expected, nothing.minutes) == (0, 0, 0, 0)
    assert estimate([], {}).cost_max == 0


def test_earlier_answers_tell_the_length_of_the_next() -> None:
    past = {call("a").key: ApiReply("", "stop", 5, 10), call("b").key: ApiReply("", "stop", 5, 21)}
    told = estimate([call("a"), call("b"), call("ccc")], past)
    assert told.cost_expected == pytest.approx((1 + 24) * 2.5e-6 + 16 * 10e-6), "ceil(15.5) tokens"
    other = estimate([call("a"), call("b"), call("ccc", prompt_version="v2")], past)
    assert other.cost_expected == pytest.approx((1 + 24) * 2.5e-6 + 50 * 10e-6), "another prompt"
    assert told.cost_max == other.cost_max


def test_an_unknown_price_leaves_the_cost_open() -> None:
    told = estimate([call("a", "gpt-9"), call("a")], {})
    assert (told.cost_max, told.cost_expected, told.unpriced) == (None, None, ("gpt-9",))
    assert "unknown: no price for gpt-9 (--prices FILE)" in str(told)


@pytest.mark.parametrize(
    "wrong", [{"rpm": 0}, {"tpm": -1}, {"latency": float("nan")}, {"latency": -1}, {"in_flight": 0}]
)
def test_impossible_limits_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        estimate([call("a")], {}, **wrong)


AMOUNT = st.floats(0, 2, allow_subnormal=False)


@settings(max_examples=500)
@given(
    limit=st.floats(0, 5),
    before=AMOUNT,
    events=st.lists(st.tuples(AMOUNT, st.floats(0, 1), st.booleans()), max_size=60),
)
def test_never_spends_more_than_the_cap(
    limit: float, before: float, events: list[tuple[float, float, bool]]
) -> None:
    """Any order of reservations and settlements in which no call costs more than was reserved."""
    cap, flying, paid = CostCap(limit, before), [], 0.0
    for worst, share, land in events:
        try:
            cap.reserve(worst)
            flying.append((worst, share))
        except CostError:
            assert before + paid + cap.reserved + worst > limit - 1e-6, "refused although it fits"
        if land and flying:
            held, part = flying.pop(0)
            cap.settle(held, held * part)
            paid += held * part
        assert paid <= cap.spent - before + 1e-8
        assert before + paid + sum(held for held, _ in flying) <= max(limit, before) + 1e-9
    for held, part in flying:
        cap.settle(held, held * part)
    assert cap.reserved == 0


def test_the_last_cent_can_be_spent() -> None:
    cap = CostCap(0.3)
    for _ in range(3):
        cap.reserve(0.1)
        cap.settle(0.1, 0.1)
    assert cap.spent == 0.3
    assert not cap.fits(1e-9)


def test_threads_do_not_pass_the_cap_together() -> None:
    cap, granted = CostCap(1.0), []

    def work() -> None:
        for _ in range(200):
            try:
                cap.reserve(0.01)
            except CostError:
                continue
            granted.append(0.01)
            cap.settle(0.01, 0.01)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(granted) == 100
    assert cap.spent == 1.0


def test_the_refusal_names_the_way_on() -> None:
    cap = CostCap(1.0, spent=0.75, resume="rlpersona label ai --resume --max-cost 5")
    cap.reserve(0.2)
    assert cap.fits(0.05)
    assert not cap.fits(0.06)
    with pytest.raises(CostError, match=r"\$1\.00 is reached: \$0\.75 spent and \$0\.20 held") as caught:
        cap.reserve(0.06)
    assert "rlpersona label ai --resume --max-cost 5" in caught.value.hint
    assert cap.reserved == 0.2, "a refusal holds nothing"


def test_unknown_prices_need_a_run_without_cap() -> None:
    with pytest.raises(CostError, match="price of this call is unknown"):
        CostCap(1.0).reserve(None)
    free = CostCap(None)
    free.reserve(None)
    free.settle(None, None)
    free.reserve(1e6)
    free.settle(1e6, 3.0)
    assert free.spent == 3.0


@pytest.mark.parametrize("limit", [-1.0, float("nan"), float("inf")])
def test_a_cap_is_an_amount(limit: float) -> None:
    with pytest.raises(ConfigError):
        CostCap(limit)


def test_what_was_not_reserved_cannot_be_settled() -> None:
    cap = CostCap(1.0)
    cap.reserve(0.1)
    cap.settle(0.1, 0.0)
    with pytest.raises(ValueError, match="are reserved"):
        cap.settle(0.1, 0.0)
    with pytest.raises(ValueError, match="no amount"):
        cap.reserve(float("nan"))
