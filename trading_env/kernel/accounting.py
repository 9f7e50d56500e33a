"""The account, written once: every env, the oracle and the history run these functions, compiled by numba.

All compiled code of the package is in this file: numba's cache watches only the file that a function is in.

What an agent does cannot be foreseen, and a processor that guesses a branch wrong loses more time than the arithmetic
takes. So the account chooses between numbers (`a if x else b`) where it can, and the envs of a vector env go through it
LANES at a time, in a loop that the compiler turns into instructions on four or eight of them at once. Such instructions
round as the others do: results are the same, bit for bit.

Words: U units (negative = short), B cash, c_t the close of bar t, p the fill price before spread,
E = B + U c_t equity, w a target exposure (notional / equity after the trade), d the units traded.
Array letters: N sub-envs, T bars, K prices of a bar, F features, A actions, D observation.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, typeof
from numba.core import types
from numba.extending import intrinsic

from trading_env.kernel.caching import can_cache

# NumPy's error model, no reference counts (`_nrt`): checks and counting would cost more than half of a step,
# and the kernel neither divides by an unchecked zero nor makes an array.
_options: dict[str, Any] = {"cache": can_cache(), "error_model": "numpy", "_nrt": False}
compiled = njit(**_options)
inlined = njit(**_options, forceinline=True)
emitting: Any = intrinsic  # of functions that write LLVM's code; numba has no types for it


class Bound:
    """A compiled function bound to the types of its arguments: ``call`` skips the look-up of types, 0.4 us a call.

    Args:
        function: a compiled function.
        types: those that numba gives the arguments; arguments of other types must not be passed.
    """

    __slots__ = ("call", "function", "types")

    def __init__(self, function: Any, types: tuple[Any, ...]) -> None:
        self.function, self.types = function, types
        self.call = function.compile(types)

    @classmethod
    def of(cls, function: Any, *arguments: Any) -> Bound:
        """``function`` bound to the types of these arguments."""
        type_of: Any = typeof  # numba has no types for it
        return cls(function, tuple(type_of(argument) for argument in arguments))

    def __reduce__(self) -> tuple[Any, ...]:
        return Bound, (self.function, self.types)

    def __deepcopy__(self, memo: Any) -> Bound:
        return self


Floats = npt.NDArray[np.float64]
Float32s = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# What an episode's account remembers: a row [len(STATE)] of the scalar env, which has beside it what was remembered
# before the last step, so that the other actions of that step can be tried; a column of BLOCK in the vector env.
STATE = ("cash", "units", "target", "equity", "entry", "peak", "initial", "dsr_a", "dsr_b", "years")
CASH, UNITS, TARGET, EQUITY, ENTRY, PEAK, INITIAL, DSR_A, DSR_B, YEARS = range(len(STATE))

LANES = 32
BLOCK = np.dtype([(name, np.float64, (LANES,)) for name in STATE])
"""LANES accounts, a column per number: of a known size, so that the compiler sees that columns lie apart."""
BENCH = np.dtype(
    [
        (name, np.float64, (LANES,))
        for name in (
            *("want", "c0", "p", "c1"),  # what is asked for, and the prices: what goes in
            *("first", "low", "high"),  # of the bar up to c1; written only where wicks count
            *("reward", "exposure", "unrealised", "drawdown"),
            *("pnl", "commission", "slippage", "financing", "traded", "turnover"),
        )
    ]
)
"""What else a bar of LANES accounts takes and gives."""

# Columns of the clock block [N, 4]: row in the stacked tables, the episode's last row, the market's first, and the
# row before the last step (-1: no step yet).
ROW, LAST, OFFSET, PAST_ROW = range(4)

# What a step reports, in this order; `info` names them so.
INFO = (
    "equity",
    "cash",
    "units",
    "exposure",
    "price",
    "pnl",
    "commission",
    "slippage",
    "financing",
    "turnover",
)

# Rows of the markets' prices (K, T): the close alone, or the bar's first price too, or the lowest and highest as well.
CLOSES, OPENS, LOWS, HIGHS = range(4)

NEXT_OPEN, NEXT_CLOSE, CLOSE = range(3)  # fill
LOG_RETURN, PNL, EXCESS_LOG_RETURN, DIFFERENTIAL_SHARPE, MEAN_VARIANCE = range(5)  # reward
MANY_LOTS = 1e12  # so many that a lot is less than the rounding which whole_lots forgives
NEAR = 0.1  # log(a / b) up to which its series has all digits
GAP_TOLERANCE = 1e-13  # of the notional: a smaller gap to the target is rounding, and no reason to pay a minimum
TIE = 1.0 - 1e-12  # a position taken to the very edge of its maintenance is not closed for rounding
ACCOUNT_SIZE = 4  # exposure, target, unrealised log return, drawdown: the observation's tail


class Rules(NamedTuple):
    """Every constant of an env, as floats: the kernel reads it as names, callers pass it as one array."""

    spread: float
    commission: float
    fixed: float
    minimum: float
    per_unit: float
    lot_size: float  # 0 = fractional
    min_trade: float
    max_leverage: float
    maintenance: float
    ruin_fraction: float
    r_cash: float
    r_margin: float
    r_borrow: float
    short_proceeds_earn: float
    fill: float
    rebalance: float  # 1 = trade to the target at each bar, 0 = only when the chosen target changes
    lots: float  # 1 = a want is a number of lots, 0 = a want is a target exposure
    reward: float
    reward_parameter: float
    mask_repeats: float  # 1 = choosing the remembered target again is masked, since "hold" does the same
    wicks: float  # 1 = a position is closed where the bar's low or high takes it below its maintenance
    long_only: float  # 1 = lots that would sell more than the position are refused


N_RULES = len(Rules._fields)  # the array of rules goes on with the wants of the discrete actions


class Step(NamedTuple):
    """What a step gives back, beside the new state and observation.

    Terminated and truncated at once stands for a step that float64 cannot hold: the env raises.
    """

    reward: float
    terminated: bool
    truncated: bool
    bar: int  # -1: no step leads from where the clock stands, and nothing has moved
    equity: float
    cash: float
    units: float
    exposure: float
    price: float
    pnl: float
    commission: float
    slippage: float
    financing: float
    turnover: float
    exit: float  # price at which the broker closed the position at the close or before, 0 = it did not


@emitting
def wide_registers(context: Any) -> tuple[Any, Any]:
    """Lets LLVM use registers of 512 bits, where there are any, in the function that calls this.

    By itself it takes half of them, since old processors slowed down. Llvmlite does not know the attribute, LLVM does.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if isinstance(builder.function.attributes, set):
            set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), generate


@inlined
def as_rules(values: Floats) -> Rules:
    """The array of rules as a tuple with names."""
    v = values
    return Rules(
        *(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9]),
        *(v[10], v[11], v[12], v[13], v[14], v[15], v[16], v[17], v[18], v[19]),
        *(v[20], v[21]),
    )


@inlined
def fee_rate(buys: bool, rules: Rules) -> float:
    """Proportional commission per unit of notional at the price before spread, paid on the price with spread."""
    return rules.commission * (1.0 + rules.spread) if buys else rules.commission * (1.0 - rules.spread)


@inlined
def commission_of(d: float, p: float, rules: Rules) -> float:
    """Commission of a trade of d units at price p before spread, currency; 0 of no trade."""
    commission = fee_rate(d > 0.0, rules) * p * abs(d)
    if rules.fixed != 0.0 or rules.minimum != 0.0 or rules.per_unit != 0.0:
        commission = max(rules.minimum, rules.fixed + rules.per_unit * abs(d) + commission)
    return 0.0 if d == 0.0 else commission


@inlined
def cost_of(d: float, p: float, rules: Rules) -> float:
    """Slippage and commission of a trade of d units at price p, currency."""
    return rules.spread * abs(d) * p + commission_of(d, p, rules)


@inlined
def beyond_margin(d: float, units: float, equity: float, p: float, rules: Rules) -> bool:
    """Whether a trade of d units would grow the position, or turn it round, beyond max_leverage or what may be short.

    The broker refuses it.
    """
    after = units + d
    more = abs(after) > abs(units) or after * units < 0.0
    short = rules.long_only == 1.0 and after < 0.0
    return short or (more and abs(after) * p > rules.max_leverage * (equity - cost_of(d, p, rules)))


@inlined
def trade_to_target(w: float, units: float, equity: float, p: float, rules: Rules) -> float:
    """Units d to trade at p so that (U + d) p = w (E_p - cost(d)), to rounding; 0 where cost turns it round.

    The cost is piecewise linear (the minimum commission binds or does not), so that the equation has a closed
    form on either piece, and just one piece holds its own solution.
    """
    goal, held = w * equity, units * p
    gap = goal - held
    side = 1.0 if gap > 0.0 else -1.0
    lean = side * w  # cost makes a trade smaller where lean > 0, larger where lean < 0, in either direction
    s, rate = rules.spread, rules.spread + fee_rate(gap > 0.0, rules)
    if rules.per_unit != 0.0:
        rate += rules.per_unit / p
    less = lean * rules.fixed if rules.fixed != 0.0 else 0.0
    size = (abs(gap) - less) / (p * (1.0 + lean * rate))
    if rules.minimum > rules.fixed and size * p * (rate - s) + rules.fixed < rules.minimum:
        size = (abs(gap) - lean * rules.minimum) / (p * (1.0 + lean * s))
    d = side * size
    there = abs(gap) <= GAP_TOLERANCE * (abs(goal) + abs(held))  # but for rounding
    d = 0.0 if there | (size <= 0.0) | ((units + d) * w < 0.0) else d
    return -units if w == 0.0 else d


@inlined
def whole_lots(d: float, lot_size: float) -> float:
    """Units d rounded toward zero to a multiple of lot_size, which may be missed by rounding alone."""
    if lot_size == 0.0 or abs(d) >= MANY_LOTS * lot_size:
        return d
    lots = math.floor(abs(d) / lot_size * (1.0 + 1e-12))  # an int64
    return math.copysign(lots * lot_size, d)


@inlined
def to_lots(d: float, units: float, lot_size: float) -> float:
    """The trade d as it must be for units + d to be whole lots, from which rounding would stray trade by trade."""
    after = units + d
    if d == 0.0 or lot_size == 0.0 or abs(after) >= MANY_LOTS * lot_size:
        return d
    return math.floor(after / lot_size + 0.5) * lot_size - units


@inlined
def units_to_trade(
    want: float, target: float, units: float, equity: float, p: float, rules: Rules
) -> tuple[float, float]:
    """Units d that the want asks for at price p, and the target that the account remembers from now on.

    A want is a target exposure, NaN for "hold"; or a number of lots. A target that could not be traded to is not
    remembered, so that it is tried again when asked for again.
    """
    if rules.lots == 1.0:
        return lots_to_trade(want, target, units, equity, p, rules)
    hold = math.isnan(want)
    chosen = 0.0 if hold else want
    wished = trade_to_target(chosen, units, equity, p, rules)
    d = wished
    if rules.lot_size != 0.0 and chosen != 0.0:
        d = to_lots(whole_lots(d, rules.lot_size), units, rules.lot_size)
    if rules.min_trade != 0.0:
        d = 0.0 if abs(d) * p < rules.min_trade * equity else d
    missed = hold
    if rules.lot_size != 0.0 or rules.fixed != 0.0 or rules.minimum != 0.0:
        missed = hold | out_of_reach(wished, d, chosen, units, equity, p, rules)
    d = 0.0 if (rules.rebalance == 0.0) & (chosen == target) else d
    broke = equity <= 0.0  # the gap to the fill price ate the account: whatever was asked for, close
    d, chosen = -units if broke else d, 0.0 if broke else chosen
    return 0.0 if hold else d, target if hold | (missed & (not broke)) else chosen


@inlined
def out_of_reach(wished: float, d: float, chosen: float, units: float, equity: float, p: float, rules: Rules) -> bool:
    """Whether the lot, or costs that the account cannot pay, kept it from the chosen target: d of what was wished.

    An account within the band is near enough, and so is one on the target's side whose trade would cost more than
    it moves.
    """
    rounded = (d == 0.0) & (wished != 0.0) & (abs(wished) * p >= rules.min_trade * equity)
    unpaid = (wished == 0.0) & (chosen != 0.0) & (units * chosen <= 0.0)
    return rounded | unpaid


@inlined
def lots_to_trade(
    want: float, target: float, units: float, equity: float, p: float, rules: Rules
) -> tuple[float, float]:
    """As `units_to_trade`, of a want that is a number of lots."""
    if want == 0.0:
        return 0.0, target
    if equity <= 0.0:
        return -units, 0.0
    d = to_lots(want * rules.lot_size, units, rules.lot_size)
    if beyond_margin(d, units, equity, p, rules) or abs(d) * p < rules.min_trade * equity:
        return 0.0, target
    left = equity - cost_of(d, p, rules)
    return d, (units + d) * p / left if left > 0.0 else 0.0


@inlined
def financing_of(cash: float, units: float, close: float, years: float, rules: Rules) -> float:
    """Financing over a bar, currency, paid > 0: margin interest and borrow fee less interest on cash."""
    if rules.r_cash == 0.0 and rules.r_margin == 0.0 and rules.r_borrow == 0.0:
        return 0.0
    earning = cash if rules.short_proceeds_earn == 1.0 else cash + min(units, 0.0) * close
    paid = rules.r_margin * max(-cash, 0.0) + rules.r_borrow * max(-units, 0.0) * close
    return years * (paid - rules.r_cash * max(earning, 0.0))


@inlined
def below_maintenance(cash: float, units: float, price: float, rules: Rules) -> bool:
    """Whether the equity at this price is less than the position needs, by more than rounding."""
    needed = TIE * rules.maintenance * abs(units) * price if rules.maintenance != 0.0 else 0.0
    return (units != 0.0) & (cash + units * price < needed)


@inlined
def margin_call(cash: float, units: float, first: float, low: float, high: float, rules: Rules) -> float:
    """Price at which a bar takes the position below its maintenance, 0 if it does not or its range is NaN.

    That is the level where equity = maintenance * notional, or the bar's first price where that is beyond it already.
    """
    rising = units > 0.0
    called = below_maintenance(cash, units, low if rising else high, rules)
    level = -cash / (units - rules.maintenance * abs(units))
    price = min(first, max(low, level)) if rising else max(first, min(high, level))
    return price if called else 0.0


@inlined
def step_account(
    cash: float,
    units: float,
    target: float,
    want: float,
    c0: float,
    p: float,
    c1: float,
    first: float,
    low: float,
    high: float,
    years: float,
    rules: Rules,
) -> tuple[float, float, float, float, float, float, float, float, float, float]:
    """One bar of the account, from close c0 over a trade at p to close c1.

    Where wicks count, the position that is held through the bar meets its first, lowest and highest price: the one
    after the trade, or with fill "next_close" the one before it, whose closing leaves nothing to trade.

    Returns:
        cash, units, target after the bar; units traded d; pnl,
        commission, slippage, financing, in currency, with E' - E = pnl - commission - slippage - financing;
        traded notional |d| p, liquidation included; price of the liquidation, 0 of none.
    """
    before, call, financing = units, 0.0, 0.0
    if rules.fill != CLOSE:
        financing = financing_of(cash, units, c0, years, rules)
        cash -= financing
    if rules.wicks == 1.0 and rules.fill == NEXT_CLOSE:
        call = margin_call(cash, units, first, low, high, rules)
    d, target = units_to_trade(want, target, units, cash + units * p, p, rules)
    if rules.wicks == 1.0:
        d = 0.0 if call != 0.0 else d
    traded = abs(d) * p
    commission, slippage = commission_of(d, p, rules), rules.spread * traded
    cash -= d * p + slippage + commission
    units += d
    if rules.fill == CLOSE:
        financing = financing_of(cash, units, c0, years, rules)
        cash -= financing
    if rules.wicks == 1.0 and rules.fill != NEXT_CLOSE:
        call = margin_call(cash, units, first, low, high, rules)
    end, liquidated = c1, below_maintenance(cash, units, c1, rules)
    if rules.wicks == 1.0:
        end, liquidated = call if call != 0.0 else c1, liquidated | (call != 0.0)
    pnl = before * (p - c0) + units * (end - p)
    if liquidated:
        fee = commission_of(-units, end, rules)
        slip = rules.spread * abs(units) * end
        cash += units * end - fee - slip
        commission += fee
        slippage += slip
        traded += abs(units) * end
        units, target = 0.0, 0.0
    return cash, units, target, d, pnl, commission, slippage, financing, traded, end if liquidated else 0.0


@inlined
def average_entry(entry: float, before: float, d: float, p: float, spread: float) -> float:
    """Average entry price of the open position after a trade of d units (or none) at p; 0 when flat."""
    after = before + d
    paid = p * (1.0 + spread if d > 0.0 else 1.0 - spread)
    average = (abs(before) * entry + abs(d) * paid) / abs(after)
    average = entry if abs(after) <= abs(before) else average
    average = paid if before * after <= 0.0 else average  # opened, or turned from one side to the other
    return 0.0 if after == 0.0 else average


@inlined
def log_near(a: float, b: float) -> float:
    """log(a / b) of positive numbers that are close: 2 artanh((a - b) / (a + b)) by its series."""
    x = (a - b) / (a + b)
    y = x * x
    z = y * y
    terms = (1.0 + y * (1 / 3)) + z * ((1 / 5 + y * (1 / 7)) + z * (1 / 9 + y * (1 / 11)))
    return 2.0 * x * terms


@inlined
def log_ratio(a: float, b: float) -> float:
    """log(a / b) of positive numbers, to rounding.

    A bar's return is small: the series is then four times as fast as a logarithm, and keeps the digits that a / b,
    which is near 1, has lost.
    """
    near = log_near(a, b)
    return near if abs(near) <= NEAR else math.log(a / b)


@inlined
def log_growth(equity: float, previous: float, floor: float, log: Any) -> float:
    """log(E' / E), equity floored at the ruin level."""
    return log(max(equity, floor), max(previous, floor))


@inlined
def differential_sharpe(a: float, b: float, simple_return: float) -> float:
    """Differential Sharpe ratio (Moody & Saffell 1998, eq. 6); a, b: moving averages of R and R^2."""
    variance = b - a * a
    if variance <= 1e-12:
        return 0.0
    return (b * (simple_return - a) - 0.5 * a * (simple_return * simple_return - b)) / variance**1.5


@inlined
def reward_of(
    equity: float, previous: float, floor: float, c0: float, c1: float, a: float, b: float, rules: Rules, log: Any
) -> float:
    """Reward of a step from equity ``previous`` to ``equity``; a and b as in differential_sharpe."""
    if rules.reward == LOG_RETURN:
        return log_growth(equity, previous, floor, log)
    if rules.reward == PNL:
        return equity - previous
    if rules.reward == EXCESS_LOG_RETURN:
        return log_growth(equity, previous, floor, log) - log(c1, c0)
    if rules.reward == DIFFERENTIAL_SHARPE:
        return differential_sharpe(a, b, equity / previous - 1.0)
    gain = equity - previous
    return gain - 0.5 * rules.reward_parameter * gain * gain


@inlined
def exposure_of(units: float, close: float, equity: float) -> float:
    """Notional / equity at the close; 0 where no equity is left to measure by."""
    return units * close / equity if equity > 0.0 else 0.0


@inlined
def unrealised_of(units: float, close: float, entry: float, log: Any) -> float:
    """Unrealised log return of the open position, signed by its side; 0 when flat."""
    side = 0.0 if units == 0.0 else math.copysign(1.0, units)
    return side * log(close, entry if units != 0.0 else close)


class Moved(NamedTuple):
    """An account after a bar, and what the bar brought."""

    cash: float
    units: float
    target: float
    equity: float
    entry: float
    pnl: float
    commission: float
    slippage: float
    financing: float
    traded: float  # notional
    exit: float  # price of a liquidation


@inlined
def move(
    cash: float,
    units: float,
    target: float,
    entry: float,
    years: float,
    want: float,
    c0: float,
    p: float,
    c1: float,
    first: float,
    low: float,
    high: float,
    rules: Rules,
) -> Moved:
    """Takes an account (see STATE) through a bar, from close c0 over a trade at p to c1."""
    before = units
    cash, units, target, d, pnl, commission, slippage, financing, traded, exit = step_account(
        cash, units, target, want, c0, p, c1, first, low, high, years, rules
    )
    entry = average_entry(entry, before, d, p, rules.spread)
    entry = 0.0 if units == 0.0 else entry  # liquidated
    return Moved(cash, units, target, cash + units * c1, entry, pnl, commission, slippage, financing, traded, exit)


class Measured(NamedTuple):
    """The rest of an account after a bar: what no trade depends on."""

    peak: float
    dsr_a: float
    dsr_b: float
    reward: float
    exposure: float
    unrealised: float
    drawdown: float
    turnover: float


@inlined
def measure(
    previous: float,
    equity: float,
    units: float,
    entry: float,
    traded: float,
    peak: float,
    initial: float,
    dsr_a: float,
    dsr_b: float,
    c0: float,
    c1: float,
    rules: Rules,
    log: Any,
) -> Measured:
    """Measures an account that was moved from equity ``previous`` and remembered peak, initial, dsr_a and dsr_b.

    ``log`` is log_ratio or log_near.
    """
    reward = reward_of(equity, previous, rules.ruin_fraction * initial, c0, c1, dsr_a, dsr_b, rules, log)
    if rules.reward == DIFFERENTIAL_SHARPE:
        simple_return = equity / previous - 1.0
        dsr_a += rules.reward_parameter * (simple_return - dsr_a)
        dsr_b += rules.reward_parameter * (simple_return * simple_return - dsr_b)
    peak = max(peak, equity)
    return Measured(
        *(peak, dsr_a, dsr_b, reward, exposure_of(units, c1, equity)),
        *(unrealised_of(units, c1, entry, log), 1.0 - equity / peak, traded / previous),
    )


@inlined
def observe_market(j: int, row: int, flat: Float32s, n_features: int, obs: Float32s) -> None:
    """Fills the head of obs[j] (D,): the last rows of the flat table up to ``row``, oldest first."""
    width = obs.shape[1] - ACCOUNT_SIZE
    first, market = np.uint64((row + 1) * n_features - width), obs[j]
    for i in range(width):
        market[i] = flat[first + np.uint64(i)]  # unsigned: a signed index costs a check each


@inlined
def observe_account(j: int, exposure: float, target: float, unrealised: float, drawdown: float, obs: Float32s) -> None:
    """Fills the tail of obs[j]."""
    account = obs[j, obs.shape[1] - ACCOUNT_SIZE :]
    account[0], account[1], account[2], account[3] = exposure, target, unrealised, drawdown


@inlined
def steppable(row: int, n_rows: int, width: int, n_features: int) -> bool:
    """Whether all that a step from this row reads lies in tables of n_rows: prices and the next observation."""
    return (row >= 0) & (row < n_rows - 1) & ((row + 2) * n_features >= width)


@inlined
def fill_price(row: int, opens: Floats, closes: Floats, rules: Rules) -> float:
    """The price before spread at which an order given at that row is filled."""
    if rules.fill == NEXT_OPEN:
        return opens[row + 1]
    return closes[row + 1] if rules.fill == NEXT_CLOSE else closes[row]


@inlined
def end_of(j: int, equity: float, reward: float, initial: float, clock: Ints, rules: Rules) -> tuple[bool, bool, int]:
    """Moves clock[j] a row on; returns terminated, truncated, and the bar reached.

    Terminated and truncated at once stands for a step that float64 cannot hold.
    """
    row = clock[j, ROW] + 1
    clock[j, PAST_ROW], clock[j, ROW] = row - 1, row
    lost = not math.isfinite(reward)  # equity, or what the reward makes of it, has left float64
    terminated = (equity <= rules.ruin_fraction * initial) | lost
    truncated = ((row == clock[j, LAST]) & (not terminated)) | lost
    return terminated, truncated, row - clock[j, OFFSET]


@inlined
def allowed(want: float, units: float, target: float, equity: float, close: float, rules: Rules) -> bool:
    """Whether a want has a meaning of its own: False for lots beyond the margin, and for what "hold" does as well."""
    if rules.lots == 1.0:
        d = to_lots(want * rules.lot_size, units, rules.lot_size)
        return want == 0.0 or not beyond_margin(d, units, equity, close, rules)
    return (rules.mask_repeats == 0.0) | (want != target)


@inlined
def mask_actions(
    j: int, units: float, target: float, equity: float, close: float, values: Floats, rules: Rules, mask: Bools
) -> None:
    """Fills mask[j] (A,): which actions are allowed."""
    for a in range(mask.shape[1]):
        mask[j, a] = allowed(values[N_RULES + a], units, target, equity, close, rules)


@inlined
def mask_lanes(first: int, n: int, account: Any, bench: Any, values: Floats, rules: Rules, mask: Bools) -> None:
    """Fills mask[first : first + n] (n, A), column by column."""
    units, target, equity, close = account.units, account.target, account.equity, bench.c1
    for a in range(mask.shape[1]):
        want, column = values[N_RULES + a], mask[first : first + n, a]
        for i in range(n):
            column[i] = allowed(want, units[i], target[i], equity[i], close[i], rules)


@compiled
def step_one(
    want: float,
    state: Floats,
    clock: Ints,
    bars: Floats,
    table: Float32s,
    values: Floats,
    obs: Float32s,
    mask: Bools,
) -> tuple[Any, ...]:
    """The scalar env's step: account (2 len(STATE),), clock (1, 4), obs (D,), mask (A,). A Step as a plain tuple."""
    rules, row, out = as_rules(values), clock[0, ROW], obs.reshape(1, -1)
    closes, opens = bars[CLOSES], bars[min(OPENS, bars.shape[0] - 1)]
    if not steppable(row, closes.shape[0], obs.shape[0] - ACCOUNT_SIZE, table.shape[1]):
        return 0.0, True, True, -1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    observe_market(0, row + 1, table.reshape(-1), table.shape[1], out)
    for k in range(len(STATE)):
        state[len(STATE) + k] = state[k]
    s, c0, c1, p = state, closes[row], closes[row + 1], fill_price(row, opens, closes, rules)
    first, low, high = 0.0, 0.0, 0.0
    if rules.wicks == 1.0:
        first, low, high = opens[row + 1], bars[LOWS, row + 1], bars[HIGHS, row + 1]
    moved = move(s[CASH], s[UNITS], s[TARGET], s[ENTRY], s[YEARS], want, c0, p, c1, first, low, high, rules)
    remembered = (s[PEAK], s[INITIAL], s[DSR_A], s[DSR_B])
    of = (s[EQUITY], moved.equity, moved.units, moved.entry, moved.traded, *remembered)
    measured = measure(*of, c0, c1, rules, log_ratio)
    s[CASH], s[UNITS], s[TARGET], s[EQUITY], s[ENTRY] = moved.cash, moved.units, moved.target, moved.equity, moved.entry
    s[PEAK], s[DSR_A], s[DSR_B] = measured.peak, measured.dsr_a, measured.dsr_b
    terminated, truncated, bar = end_of(0, moved.equity, measured.reward, s[INITIAL], clock, rules)
    observe_account(0, measured.exposure, moved.target, measured.unrealised, measured.drawdown, out)
    mask_actions(0, moved.units, moved.target, moved.equity, c1, values, rules, mask.reshape(1, -1))
    return (
        measured.reward,
        terminated,
        truncated,
        bar,
        moved.equity,
        moved.cash,
        moved.units,
        measured.exposure,
        p,
        moved.pnl,
        moved.commission,
        moved.slippage,
        moved.financing,
        measured.turnover,
        moved.exit,
    )


@inlined
def first_bad_action(actions: Ints, n_wants: int) -> int:
    """Index of the first action outside [0, n_wants), or -1."""
    n_bad = 0
    for j in range(actions.shape[0]):
        n_bad += (actions[j] < 0) | (actions[j] >= n_wants)
    if n_bad:
        for j in range(actions.shape[0]):
            if actions[j] < 0 or actions[j] >= n_wants:
                return j
    return -1


@inlined
def lay_out(
    first: int,
    n: int,
    actions: Ints,
    wants: Floats,
    waiting: Bools,
    clock: Ints,
    bars: Floats,
    rules: Rules,
    bench: Any,
) -> None:
    """Writes wants and prices of the envs first, ..., first + n - 1 to the bench."""
    want, c0, p, c1 = bench.want, bench.c0, bench.p, bench.c1
    closes, opens = bars[CLOSES], bars[min(OPENS, bars.shape[0] - 1)]
    for i in range(n):
        j = first + i
        row = clock[j, ROW] - waiting[j]  # after the last bar there is no price: who waits for a reset looks back
        want[i], c0[i], c1[i] = wants[actions[j]], closes[row], closes[row + 1]
        p[i] = fill_price(row, opens, closes, rules)
    if rules.wicks == 1.0:
        lay_out_wicks(first, n, waiting, clock, bars, bench)


@inlined
def lay_out_wicks(first: int, n: int, waiting: Bools, clock: Ints, bars: Floats, bench: Any) -> None:
    """Writes the first, lowest and highest price of each env's bar to the bench."""
    opened, low, high = bench.first, bench.low, bench.high
    for i in range(n):
        row = clock[first + i, ROW] - waiting[first + i] + 1
        opened[i], low[i], high[i] = bars[OPENS, row], bars[LOWS, row], bars[HIGHS, row]


@inlined
def move_lanes(n: int, before: Any, after: Any, bench: Any, rules: Rules) -> None:
    """Moves n accounts of a block through the bar on the bench."""
    wide_registers()
    b, a = before, after
    b_cash, b_units, b_target, b_entry, b_initial, b_years = b.cash, b.units, b.target, b.entry, b.initial, b.years
    cash, units, target, equity, entry = a.cash, a.units, a.target, a.equity, a.entry
    initial, years, want, c0, p, c1 = a.initial, a.years, bench.want, bench.c0, bench.p, bench.c1
    pnl, commission, slippage = bench.pnl, bench.commission, bench.slippage
    financing, traded = bench.financing, bench.traded
    first, low, high = bench.first, bench.low, bench.high
    for i in range(n):
        account = (b_cash[i], b_units[i], b_target[i], b_entry[i], b_years[i])
        moved = move(*account, want[i], c0[i], p[i], c1[i], first[i], low[i], high[i], rules)
        cash[i], units[i], target[i], equity[i] = moved.cash, moved.units, moved.target, moved.equity
        entry[i], initial[i], years[i] = moved.entry, b_initial[i], b_years[i]
        pnl[i], commission[i], slippage[i] = moved.pnl, moved.commission, moved.slippage
        financing[i], traded[i] = moved.financing, moved.traded


@inlined
def measure_lanes(n: int, before: Any, after: Any, bench: Any, rules: Rules, log: Any) -> None:
    """Measures n accounts that were moved: a loop apart, since a processor does not look far enough ahead for both."""
    wide_registers()
    b, a = before, after
    b_equity, b_peak, initial, b_dsr_a, b_dsr_b = b.equity, b.peak, b.initial, b.dsr_a, b.dsr_b
    units, equity, entry, peak, dsr_a, dsr_b = a.units, a.equity, a.entry, a.peak, a.dsr_a, a.dsr_b
    c0, c1, traded, reward, exposure = bench.c0, bench.c1, bench.traded, bench.reward, bench.exposure
    unrealised, drawdown, turnover = bench.unrealised, bench.drawdown, bench.turnover
    for i in range(n):
        measured = measure(
            *(b_equity[i], equity[i], units[i], entry[i], traded[i]),
            *(b_peak[i], initial[i], b_dsr_a[i], b_dsr_b[i], c0[i], c1[i]),
            rules,
            log,
        )
        peak[i], reward[i] = measured.peak, measured.reward
        if rules.reward == DIFFERENTIAL_SHARPE:  # else they stay 0
            dsr_a[i], dsr_b[i] = measured.dsr_a, measured.dsr_b
        exposure[i], unrealised[i] = measured.exposure, measured.unrealised
        drawdown[i], turnover[i] = measured.drawdown, measured.turnover


@inlined
def far_logs(n: int, bench: Any) -> int:
    """How many of the logs on the bench are beyond what log_near can do."""
    reward, unrealised, far = bench.reward, bench.unrealised, 0
    for i in range(n):
        far += (not abs(reward[i]) <= NEAR) | (not abs(unrealised[i]) <= NEAR)
    return far


@inlined
def exact_logs(n: int, before: Any, after: Any, bench: Any, rules: Rules) -> None:
    """Does again the logs that are beyond what log_near can do."""
    for i in range(n):
        if not abs(bench.reward[i]) <= NEAR:
            floor = rules.ruin_fraction * before.initial[i]
            bench.reward[i] = log_growth(after.equity[i], before.equity[i], floor, log_ratio)
        if not abs(bench.unrealised[i]) <= NEAR:
            bench.unrealised[i] = unrealised_of(after.units[i], bench.c1[i], after.entry[i], log_ratio)


@inlined
def copy_column(first: int, n: int, column: Floats, out: Floats) -> None:
    """Copies column[:n] into out[first : first + n]."""
    out = out[first : first + n]
    for i in range(n):
        out[i] = column[i]


@inlined
def report(first: int, n: int, account: Any, bench: Any, reward: Floats, info: Floats) -> None:
    """Copies what the bar brought to the outputs."""
    copy_column(first, n, bench.reward, reward)
    copy_column(first, n, account.equity, info[0])
    copy_column(first, n, account.cash, info[1])
    copy_column(first, n, account.units, info[2])
    copy_column(first, n, bench.exposure, info[3])
    copy_column(first, n, bench.p, info[4])
    copy_column(first, n, bench.pnl, info[5])
    copy_column(first, n, bench.commission, info[6])
    copy_column(first, n, bench.slippage, info[7])
    copy_column(first, n, bench.financing, info[8])
    copy_column(first, n, bench.turnover, info[9])


@inlined
def usual(rules: Rules) -> bool:
    """Whether nothing but proportional costs, target exposures and log returns is asked for."""
    costs = rules.fixed + rules.minimum + rules.per_unit + rules.lot_size + rules.min_trade + rules.maintenance
    rates = abs(rules.r_cash) + abs(rules.r_margin) + abs(rules.r_borrow)
    return costs + rates == 0.0 and rules.lots == 0.0 and rules.reward == LOG_RETURN


@inlined
def as_usual(rules: Rules, wicks: float) -> Rules:
    """Usual rules with their zeros as constants: the compiler leaves out what an ``if`` on them guards.

    It may not leave out a product with zero, since NaN and infinity times zero are no zero. ``wicks`` is a constant.
    """
    r = rules
    return Rules(
        *(r.spread, r.commission, 0.0, 0.0, 0.0, 0.0, 0.0, r.max_leverage, 0.0, r.ruin_fraction),
        *(0.0, 0.0, 0.0, 1.0, r.fill, r.rebalance, 0.0, 0.0, 0.0, r.mask_repeats, wicks, 0.0),
    )


@compiled
def step_rows(
    actions: Ints,
    wants: Floats,
    waiting: Bools,
    before: Any,
    after: Any,
    benches: Any,
    clock: Ints,
    bars: Floats,
    table: Float32s,
    values: Floats,
    obs: Float32s,
    reward: Floats,
    terminated: Bools,
    truncated: Bools,
    info: Floats,
    bar: Ints,
    mask: Bools,
) -> int:
    """The vector env's step: env j under wants[actions[j]]. Of those ``waiting`` for a reset only the flags count.

    Args:
        actions: indices into ``wants`` (N,).
        wants: target exposures or lots, NaN for hold (A,).
        waiting: envs that have ended and will be reset (N,).
        before: accounts, N of them in BLOCKs.
        after: output, as many.
        benches: scratch, a BENCH (1,).
        clock: where each env stands (N, 4), moved in place.
        bars: the markets' prices, stacked (K, T).
        table: what is observed of each bar (T, F).
        values: the Rules and the wants of the discrete actions, as an array.
        obs: output (N, D).
        reward: output (N,).
        terminated: output (N,).
        truncated: output (N,).
        info: output (len(INFO), N).
        bar: output (N,).
        mask: output (N, A), or (N, 0) for none.

    Returns:
        How many episodes ended; or -1 - j where actions[j] is out of range, and then nothing has moved.
    """
    wide_registers()
    bad = first_bad_action(actions, wants.shape[0])
    if bad >= 0:
        return -1 - bad
    rules, flat, bench, n_ended = as_rules(values), table.reshape(-1), benches[0], 0
    plain = usual(rules)
    for block in range(before.shape[0]):
        first, old, new = block * LANES, before[block], after[block]
        n = min(LANES, actions.shape[0] - first)
        lay_out(first, n, actions, wants, waiting, clock, bars, rules, bench)
        if plain:
            if rules.wicks == 0.0:
                move_lanes(n, old, new, bench, as_usual(rules, 0.0))
            else:
                move_lanes(n, old, new, bench, as_usual(rules, 1.0))
            measure_lanes(n, old, new, bench, as_usual(rules, 0.0), log_near)
            if far_logs(n, bench):
                exact_logs(n, old, new, bench, rules)
        else:
            move_lanes(n, old, new, bench, rules)
            measure_lanes(n, old, new, bench, rules, log_ratio)
        report(first, n, new, bench, reward, info)
        mask_lanes(first, n, new, bench, values, rules, mask)
        for i in range(n):
            j = first + i
            if waiting[j]:
                reward[j], terminated[j], truncated[j] = 0.0, False, False
                continue
            equity, initial = new.equity[i], new.initial[i]
            terminated[j], truncated[j], bar[j] = end_of(j, equity, bench.reward[i], initial, clock, rules)
            n_ended += terminated[j] | truncated[j]
        for i in range(n):  # a loop apart, along the memory: other writes between would slow it
            j = first + i
            if not waiting[j]:
                observe_market(j, clock[j, ROW], flat, table.shape[1], obs)
                observe_account(j, bench.exposure[i], new.target[i], bench.unrealised[i], bench.drawdown[i], obs)
    return n_ended


@compiled
def observe_rows(
    rows: Ints, state: Floats, clock: Ints, closes: Floats, table: Float32s, values: Floats, obs: Float32s, mask: Bools
) -> None:
    """Fills obs[j] and mask[j] for each j in rows (n,), whose accounts are in state (n, >= len(STATE)), in order."""
    rules, flat = as_rules(values), table.reshape(-1)
    for i in range(rows.shape[0]):
        j = rows[i]
        close = closes[clock[j, ROW]]
        units, target, equity = state[i, UNITS], state[i, TARGET], state[i, EQUITY]
        exposure, drawdown = exposure_of(units, close, equity), 1.0 - equity / state[i, PEAK]
        unrealised = unrealised_of(units, close, state[i, ENTRY], log_ratio)
        observe_market(j, clock[j, ROW], flat, table.shape[1], obs)
        observe_account(j, exposure, target, unrealised, drawdown, obs)
        mask_actions(j, units, target, equity, close, values, rules, mask)


@compiled
def trade_rows(wants: Floats, state: Floats, clock: Ints, closes: Floats, values: Floats) -> None:
    """Trades each row's want (N,) at the close that it has just seen, in place: the afterstate of an action."""
    rules = as_rules(values)
    for j in range(wants.shape[0]):
        p = closes[clock[j, ROW]]
        before, equity = state[j, UNITS], state[j, EQUITY]
        d, state[j, TARGET] = units_to_trade(wants[j], state[j, TARGET], before, equity, p, rules)
        if d != 0.0:
            cost = cost_of(d, p, rules)
            state[j, ENTRY] = average_entry(state[j, ENTRY], before, d, p, rules.spread)
            state[j, CASH] -= d * p + cost
            state[j, UNITS] = before + d
            state[j, EQUITY] = equity - cost


def new_state(initial_cash: float, years: float) -> Floats:
    """The account at the start of an episode (2 len(STATE),): all cash. ``years`` is the length of a bar."""
    state = np.zeros(2 * len(STATE))
    state[[CASH, EQUITY, PEAK, INITIAL]] = initial_cash
    state[YEARS] = years
    return state


def before_last_step(state: Floats, clock: Ints) -> tuple[Floats, Ints]:
    """Copies of states (n, 2 len(STATE)) and clocks as they were before the last step of each row."""
    state, clock = state.copy(), clock.copy()
    state[:, : len(STATE)] = state[:, len(STATE) :]
    clock[:, ROW] = clock[:, PAST_ROW]
    return state, clock


def new_blocks(n: int) -> Any:
    """BLOCKs with room for n accounts, all zeros."""
    return np.zeros(-(-n // LANES), BLOCK)


def columns(blocks: Any) -> Floats:
    """The numbers in BLOCKs (B, len(STATE), LANES), sharing their memory."""
    numbers: Floats = blocks.view(np.float64).reshape(len(blocks), len(STATE), LANES)
    return numbers


def get_accounts(blocks: Any, rows: Ints) -> Floats:
    """The accounts (n, len(STATE)) with these numbers (n,) in BLOCKs."""
    return columns(blocks)[rows // LANES, :, rows % LANES]


def set_accounts(blocks: Any, rows: Ints, accounts: Floats) -> None:
    """Writes the accounts (n, len(STATE)) into BLOCKs, under these numbers (n,)."""
    columns(blocks)[rows // LANES, :, rows % LANES] = accounts


# -- hindsight: the best path through known prices ------------------------------------------------------------

# Columns of a branch [S, 4]: an account that starts at equity 1 with ``log_growth`` behind it. Growth is all that
# branches differ by: with costs, interest and margin proportional to size, the account itself has none.
BRANCH_GROWTH, BRANCH_CASH, BRANCH_UNITS, BRANCH_TARGET = range(4)


@inlined
def index_of(wants: Floats, target: float) -> int:
    """Index of the target among the wants, 0 where it is none."""
    for a in range(wants.shape[0]):
        if wants[a] == target:
            return a
    return 0


@compiled
def grow_branches(
    wants: Floats,
    values: Floats,
    bars: Floats,
    years: float,
    branches: Floats,
    origins: Ints,
    alive: Ints,
    best: Floats,
    chosen: Ints,
) -> int:
    """Every account worth having at each bar, by dynamic programming on step_account. n steps, A wants.

    A branch is an account since its last trade. Flat accounts are alike, and so are those fully in the asset
    (target 1, no cash): of each kind only the richest goes on. Others differ by the bar of their trade, so that
    all of them go on, and the richest joins them at each bar. Accounts at or below the ruin fraction of the start
    end. A trade that its own cost turns round (exposures beyond 1 / cost) is not tried.

    Args:
        wants: target exposures, NaN for hold (A,).
        values: the Rules as an array, with proportional costs only, no lots and no band.
        bars: prices of the bars passed (K, n + 1).
        years: length of a bar.
        branches: output (n (A + 1) + 2, 4); row 0 is the start.
        origins: output (n (A + 1) + 2, 3): step, earlier branch and action of the trade; row -1 is for ruin.
        alive: output (n (A + 1) + 2,): rows of the branches that live at the end.
        best: scratch (A + 1, 4).
        chosen: scratch (A + 1, 2).

    Returns:
        How many branches are alive at the end; 0 if none is, and then origins[-1] is the end of one.
    """
    rules = as_rules(values)
    n_wants, n_branches, n_alive = wants.shape[0], 1, 1
    branches[0, BRANCH_GROWTH], branches[0, BRANCH_CASH] = 0.0, 1.0
    branches[0, BRANCH_UNITS], branches[0, BRANCH_TARGET] = 0.0, 0.0
    origins[0, 0], origins[0, 1], alive[0] = -1, -1, 0
    ruin, first, low, high = math.log(rules.ruin_fraction), 0.0, 0.0, 0.0
    closes, opens = bars[CLOSES], bars[min(OPENS, bars.shape[0] - 1)]
    for i in range(closes.shape[0] - 1):
        if rules.wicks == 1.0:
            first, low, high = opens[i + 1], bars[LOWS, i + 1], bars[HIGHS, i + 1]
        c0, c1 = closes[i], closes[i + 1]
        p = fill_price(i, opens, closes, rules)
        for k in range(n_wants + 1):
            best[k, BRANCH_GROWTH] = -math.inf
        n_kept = 0
        for j in range(n_alive):
            s = alive[j]
            behind, kept, kept_cash, kept_units = branches[s, BRANCH_GROWTH], False, 0.0, 0.0
            for a in range(n_wants):
                before = branches[s, BRANCH_TARGET]
                account = (branches[s, BRANCH_CASH], branches[s, BRANCH_UNITS], before)
                cash, units, target, d, _, _, _, _, _, _ = step_account(
                    *account, wants[a], c0, p, c1, first, low, high, years, rules
                )
                equity = cash + units * c1
                growth = behind + math.log(equity) if equity > 0.0 else -math.inf
                if growth <= ruin:
                    origins[-1, 0], origins[-1, 1], origins[-1, 2] = i, s, a
                    continue
                k = a
                if units == 0.0:
                    k = n_wants
                elif d == 0.0 and target != before:
                    continue
                elif d == 0.0 and target == 1.0:
                    k = index_of(wants, 1.0)
                elif d == 0.0:
                    kept, kept_cash, kept_units = True, cash, units
                    continue
                if growth > best[k, BRANCH_GROWTH]:
                    best[k, BRANCH_GROWTH], best[k, BRANCH_TARGET] = growth, target
                    best[k, BRANCH_CASH], best[k, BRANCH_UNITS] = cash / equity, units / equity
                    chosen[k, 0], chosen[k, 1] = s, a
            if kept:
                branches[s, BRANCH_CASH], branches[s, BRANCH_UNITS] = kept_cash, kept_units
                alive[n_kept] = s
                n_kept += 1
        for k in range(n_wants + 1):
            if best[k, BRANCH_GROWTH] > -math.inf:
                for column in range(4):
                    branches[n_branches, column] = best[k, column]
                origins[n_branches, 0], origins[n_branches, 1], origins[n_branches, 2] = i, chosen[k, 0], chosen[k, 1]
                alive[n_kept] = n_branches
                n_kept += 1
                n_branches += 1
        n_alive = n_kept
        if n_alive == 0:
            break
    return n_alive
