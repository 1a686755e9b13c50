"""Before money is spent: what the calls will cost, and a cap that is never passed."""

from __future__ import annotations

import math
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rlpersona.errors import ConfigError, CostError
from rlpersona.judges.prices import (
    BATCH_SHARE,
    SHIPPED,
    Prices,
    cost_of,
    likely_input_tokens,
    price_of,
    unpriced,
    worst_case,
)
from rlpersona.types import ApiCall, ApiReply

NANO = 10**9  # the cap counts whole billionths of a dollar, so that sums are exact
DAY = 24 * 60.0  # minutes that a provider may take for a batch
USED = 0.5  # share of max_tokens that an answer uses, where no earlier answer tells


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is to be expected of `calls` requests (without the `known` ones, which cost nothing).

    `input_tokens` leans high (3 characters a token), `output_tokens_max` is the sum of the caps.
    Dollars: `cost_max` is the bound that the cost cap reserves for one attempt a call; `cost_expected`
    takes the mean length of earlier answers to the same prompt version, or half the cap. Both are None
    where `unpriced` names a model. `minutes` is set by the slowest of requests a minute, tokens a
    minute and latency; in a `batch` it is the day that the provider may take. `prices_as_of` is the
    oldest price in use, empty for what is free.
    """

    calls: int
    known: int
    input_tokens: int
    output_tokens_max: int
    cost_max: float | None
    cost_expected: float | None
    minutes: float
    unpriced: tuple[str, ...] = ()
    prices_as_of: str = ""
    batch: bool = False

    def __str__(self) -> str:
        if self.unpriced:
            cost = f"unknown: no price for {', '.join(self.unpriced)} (--prices FILE)"
        else:
            dated = f" (prices of {self.prices_as_of})" if self.prices_as_of else ""
            likely, most = (dollars(found or 0.0, 2) for found in (self.cost_expected, self.cost_max))
            cost = f"about {likely}, at most {most}{dated}"
        time = "within a day" if self.batch and self.calls else f"about {self.minutes:,.1f} min"
        return (
            f"calls   {self.calls:,} to make, {self.known:,} known already\n"
            f"tokens  about {self.input_tokens:,} in, at most {self.output_tokens_max:,} out\n"
            f"cost    {cost}\n"
            f"time    {time}"
        )


def estimate(
    calls: Iterable[ApiCall],
    known: Mapping[str, ApiReply],
    rpm: float | None = None,
    tpm: float | None = None,
    latency: float = 1.0,
    *,
    in_flight: int = 64,
    prices: Prices = SHIPPED,
    batch: bool = False,
) -> Estimate:
    """Count what is to be asked and what it will take.

    `known` are the replies that the ledger holds, by key; equal calls count once. `rpm` and `tpm` are
    the provider's requests and tokens a minute (None: no limit), where a call weighs its input and its
    whole output cap as the providers count it; `latency` is seconds a call with `in_flight` at a time.
    In a `batch` calls cost half, and no limit sets the time.
    """
    if not (latency >= 0 and in_flight >= 1 and all(v is None or v > 0 for v in (rpm, tpm))):
        raise ConfigError(
            f"No time can be told from rpm={rpm}, tpm={tpm}, latency={latency}, in_flight={in_flight}.",
            "Limits are above 0 or left out, latency is seconds, at least one call is in flight.",
        )
    unique = {call.key: call for call in calls}
    wanted = [call for key, call in unique.items() if key not in known]
    inputs = [likely_input_tokens(call) for call in wanted]
    outputs = expected_outputs(wanted, [(unique[key], known[key]) for key in unique if key in known])
    tokens, caps = sum(inputs), sum(call.sampling.max_tokens for call in wanted)
    unknown = unpriced(wanted, prices)
    likely = [cost_of(*parts, prices) or 0.0 for parts in zip(wanted, inputs, outputs, strict=True)]
    share = BATCH_SHARE if batch else 1.0
    most = share * sum(worst_case(call, prices) or 0.0 for call in wanted)
    minutes = max(
        len(wanted) / rpm if rpm else 0.0,
        (tokens + caps) / tpm if tpm else 0.0,
        len(wanted) * latency / min(in_flight, max(len(wanted), 1)) / 60,
    )
    dates = {price.as_of for call in wanted if (price := price_of(call, prices)) and price.as_of}
    return Estimate(
        calls=len(wanted),
        known=len(unique) - len(wanted),
        input_tokens=tokens,
        output_tokens_max=caps,
        cost_max=None if unknown else most,
        cost_expected=None if unknown else share * sum(likely),
        minutes=DAY if batch and wanted else minutes,
        unpriced=unknown,
        prices_as_of=min(dates, default=""),
        batch=batch,
    )


def expected_outputs(wanted: Iterable[ApiCall], past: Iterable[tuple[ApiCall, ApiReply]]) -> list[int]:
    """Output tokens to expect of each call: the mean of past answers of the same model and prompt
    version, at most the cap; without any, half the cap."""
    lengths: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for call, reply in past:
        lengths[call.model, call.prompt_version].append(reply.output_tokens)
    means = {group: math.ceil(sum(seen) / len(seen)) for group, seen in lengths.items()}
    return [
        min(
            call.sampling.max_tokens,
            means.get((call.model, call.prompt_version), math.ceil(USED * call.sampling.max_tokens)),
        )
        for call in wanted
    ]


class CostCap:
    """Dollars that may be spent, counted before they are: reserve the worst case, settle the actual.

    As long as no call costs more than what was reserved for it, `spent` stays at or below `limit`; a
    request whose bill is unknown (a timeout, a reset) is settled at what was reserved. `limit=None` is
    no cap, and prices may be unknown then. Safe to use from several threads.
    """

    def __init__(self, limit: float | None, spent: float = 0.0, resume: str = "") -> None:
        """`spent` is what earlier runs paid (`Ledger.cost()`), `resume` the command that goes on."""
        if limit is not None and not (math.isfinite(limit) and limit >= 0):
            raise ConfigError(f"A cost cap of {limit} dollars cannot be.", "Give dollars: --max-cost 5")
        self.limit, self.resume = limit, resume
        self._cap = None if limit is None else math.floor(round(limit * NANO, 3))
        self._spent, self._reserved = _nano(spent), 0
        self._guard = threading.Lock()

    @property
    def spent(self) -> float:
        """Dollars paid so far, earlier runs included."""
        return self._spent / NANO

    @property
    def reserved(self) -> float:
        """Dollars held for calls in flight."""
        return self._reserved / NANO

    def fits(self, worst: float | None) -> bool:
        """Whether `reserve` would succeed at this moment (with nothing reserved: ever)."""
        with self._guard:
            return self._fits(worst)

    def reserve(self, worst: float | None) -> None:
        """Hold the worst case of a call; CostError, and nothing held, if it does not fit."""
        with self._guard:
            if not self._fits(worst):
                raise self._refusal(worst)
            self._reserved += _nano(worst or 0.0)

    def settle(self, reserved: float | None, actual: float | None) -> None:
        """Give back what was reserved and book what the call cost (None, an unknown price: nothing)."""
        with self._guard:
            held = _nano(reserved or 0.0)
            if held > self._reserved:
                raise ValueError(f"settles {reserved} dollars, but {self.reserved} are reserved")
            self._reserved -= held
            self._spent += _nano(actual or 0.0)

    def _fits(self, worst: float | None) -> bool:
        if self._cap is None:
            return True
        return worst is not None and self._spent + self._reserved + _nano(worst) <= self._cap

    def _refusal(self, worst: float | None) -> CostError:
        if worst is None:
            return CostError(
                "The price of this call is unknown, so --max-cost cannot be kept.",
                "Give the model's price with --prices FILE, or leave --max-cost out.",
            )
        held = f" and {dollars(self.reserved)} held for calls in flight" if self._reserved else ""
        return CostError(
            f"The cost cap of {dollars(self.limit or 0.0)} is reached: "
            f"{dollars(self.spent)} spent{held}, the next call may cost {dollars(worst)}.",
            f"All answers so far are kept. Go on with a higher cap: {self.resume or '--resume'}",
        )


def dollars(amount: float, digits: int = 10) -> str:
    """`$1,234.50`, `$0.0042`: cents, and more places where cents are too coarse, nine at most.

    The first `digits` that are not zero are kept: `dollars(0.004234, 2)` is `$0.0042`.
    """
    first = math.floor(math.log10(amount)) if amount > 0 else 0
    written = f"{amount:,.{min(9, max(2, digits - 1 - first))}f}"
    units, _, rest = written.partition(".")
    return f"${units}.{rest.rstrip('0'):0<2}"


def _nano(dollars: float) -> int:
    """Billionths of a dollar, rounded up (float dust below a thousandth of one aside)."""
    if not (math.isfinite(dollars) and dollars >= 0):
        raise ValueError(f"{dollars} is no amount of dollars")
    return math.ceil(round(dollars * NANO, 3))
