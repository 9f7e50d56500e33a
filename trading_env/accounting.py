"""The account, written once: every env, the oracle and the history run these functions, compiled by numba.

All compiled code of the package is in this file: numba's cache watches only the file that a function is in.

Words: U units (negative = short), B cash, c_t the close of bar t, p the fill price before spread,
E = B + U c_t equity, w a target exposure (notional / equity after the trade), d the units traded.
Array letters: N sub-envs, T bars, F features, A actions, D observation.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, typeof

# NumPy's error model, no reference counts (`_nrt`): checks and counting would cost more than half of a step,
# and the kernel neither divides by an unchecked zero nor makes an array.
_options: dict[str, Any] = {"cache": True, "error_model": "numpy", "_nrt": False}
compiled = njit(**_options)
inlined = njit(**_options, forceinline=True)


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

# Columns of the state block [N, 2 len(STATE)]: one row is all that an episode's account remembers, and beside it
# what it remembered before the last step, so that the other actions of that step can be tried.
STATE = ("cash", "units", "target", "equity", "entry", "peak", "initial", "dsr_a", "dsr_b", "years")
CASH, UNITS, TARGET, EQUITY, ENTRY, PEAK, INITIAL, DSR_A, DSR_B, YEARS = range(len(STATE))

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

NEXT_OPEN, NEXT_CLOSE, CLOSE = range(3)  # fill
LOG_RETURN, PNL, EXCESS_LOG_RETURN, DIFFERENTIAL_SHARPE, MEAN_VARIANCE = range(5)  # reward
MANY_LOTS = 1e12  # so many that a lot is less than the rounding which whole_lots forgives
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


N_RULES = len(Rules._fields)  # the array of rules goes on with the wants of the discrete actions


class Step(NamedTuple):
    """What a step gives back, beside the new state and observation.

    Terminated and truncated at once stands for a step that float64 cannot hold: the env raises.
    """

    reward: float
    terminated: bool
    truncated: bool
    bar: int
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


@inlined
def as_rules(values: Floats) -> Rules:
    """The array of rules as a tuple with names."""
    v = values
    return Rules(
        *(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9]),
        *(v[10], v[11], v[12], v[13], v[14], v[15], v[16], v[17], v[18], v[19]),
    )


@inlined
def commission_of(d: float, p: float, rules: Rules) -> float:
    """Commission of a trade of d units at price p before spread, currency."""
    side = 1.0 if d > 0.0 else -1.0
    rate = rules.commission * p * (1.0 + side * rules.spread) + rules.per_unit
    return max(rules.minimum, rules.fixed + rate * abs(d))


@inlined
def cost_of(d: float, p: float, rules: Rules) -> float:
    """Slippage and commission of a trade of d units at price p, currency."""
    return rules.spread * abs(d) * p + commission_of(d, p, rules)


@inlined
def beyond_margin(d: float, units: float, equity: float, p: float, rules: Rules) -> bool:
    """Whether a trade of d units would grow the position beyond max_leverage: the broker refuses it."""
    after = abs(units + d)
    return after > abs(units) and after * p > rules.max_leverage * (equity - cost_of(d, p, rules))


@inlined
def trade_to_target(w: float, units: float, equity: float, p: float, rules: Rules) -> float:
    """Units d to trade at p so that (U + d) p = w (E_p - cost(d)), to rounding; 0 where cost turns it round.

    The cost is piecewise linear (the minimum commission binds or does not), so that the equation has a closed
    form on either piece, and just one piece holds its own solution.
    """
    if w == 0.0:
        return -units
    gap = w * equity - units * p
    if abs(gap) <= GAP_TOLERANCE * (abs(w * equity) + abs(units * p)):  # there already, but for rounding
        return 0.0
    side = 1.0 if gap > 0.0 else -1.0
    lean = side * w  # cost makes a trade smaller where lean > 0, larger where lean < 0, in either direction
    s, f = rules.spread, rules.commission
    rate = s + f * (1.0 + side * s) + (rules.per_unit / p if rules.per_unit != 0.0 else 0.0)
    size = (abs(gap) - lean * rules.fixed) / (p * (1.0 + lean * rate))
    if rules.minimum > rules.fixed and size * p * (rate - s) + rules.fixed < rules.minimum:
        size = (abs(gap) - lean * rules.minimum) / (p * (1.0 + lean * s))
    d = side * size
    if size <= 0.0 or (units + d) * w < 0.0:
        return 0.0
    return d


@inlined
def whole_lots(d: float, lot_size: float) -> float:
    """Units d rounded toward zero to a multiple of lot_size, which may be missed by rounding alone."""
    if lot_size == 0.0 or abs(d) >= MANY_LOTS * lot_size:
        return d
    lots = math.floor(abs(d) / lot_size * (1.0 + 1e-12))  # an int64
    return math.copysign(lots * lot_size, d)


@inlined
def units_to_trade(
    want: float, target: float, units: float, equity: float, p: float, rules: Rules
) -> tuple[float, float]:
    """Units d that the want asks for at price p, and the target that the account remembers from now on.

    A want is a target exposure, or a number of lots; NaN (or 0 lots) is "hold".
    """
    hold = math.isnan(want) or (rules.lots == 1.0 and want == 0.0)
    if hold:
        return 0.0, target
    if equity <= 0.0:  # the gap to the fill price ate the account: whatever was asked for, close
        return -units, 0.0
    if rules.lots == 1.0:
        d = want * rules.lot_size
        if beyond_margin(d, units, equity, p, rules):
            return 0.0, target
        left = equity - cost_of(d, p, rules)
        chosen = (units + d) * p / left if left > 0.0 else 0.0
    else:
        chosen = want
        if rules.rebalance == 0.0 and chosen == target:
            return 0.0, target
        d = trade_to_target(chosen, units, equity, p, rules)
        if chosen != 0.0:
            d = whole_lots(d, rules.lot_size)
    if abs(d) * p < rules.min_trade * equity:
        d = 0.0
    if rules.lots == 1.0 and d == 0.0:
        chosen = target
    return d, chosen


@inlined
def financing_of(cash: float, units: float, close: float, years: float, rules: Rules) -> float:
    """Financing over a bar, currency, paid > 0: margin interest and borrow fee less interest on cash."""
    earning = cash if rules.short_proceeds_earn == 1.0 else cash + min(units, 0.0) * close
    paid = rules.r_margin * max(-cash, 0.0) + rules.r_borrow * max(-units, 0.0) * close
    return years * (paid - rules.r_cash * max(earning, 0.0))


@inlined
def step_account(
    cash: float,
    units: float,
    target: float,
    want: float,
    c0: float,
    p: float,
    c1: float,
    years: float,
    rules: Rules,
) -> tuple[float, float, float, float, bool, float, float, float, float, float]:
    """One bar of the account, from close c0 over a trade at p to close c1.

    Returns:
        cash, units, target after the bar; units traded d; whether the position was liquidated at c1; pnl,
        commission, slippage, financing, in currency, with E' - E = pnl - commission - slippage - financing;
        traded notional |d| p, liquidation included.
    """
    before = units
    financing = 0.0
    if rules.fill != CLOSE:
        financing = financing_of(cash, units, c0, years, rules)
        cash -= financing
    d, target = units_to_trade(want, target, units, cash + units * p, p, rules)
    commission, slippage, traded = 0.0, 0.0, abs(d) * p
    if d != 0.0:
        commission = commission_of(d, p, rules)
        slippage = rules.spread * traded
        cash -= d * p + slippage + commission
        units += d
    if rules.fill == CLOSE:
        financing = financing_of(cash, units, c0, years, rules)
        cash -= financing
    pnl = before * (p - c0) + units * (c1 - p)
    liquidated = units != 0.0 and cash + units * c1 < TIE * rules.maintenance * abs(units) * c1
    if liquidated:
        fee = commission_of(-units, c1, rules)
        slip = rules.spread * abs(units) * c1
        cash += units * c1 - fee - slip
        commission += fee
        slippage += slip
        traded += abs(units) * c1
        units, target = 0.0, 0.0
    return cash, units, target, d, liquidated, pnl, commission, slippage, financing, traded


@inlined
def average_entry(entry: float, before: float, d: float, p: float, spread: float) -> float:
    """Average entry price of the open position after a trade of d units at p; 0 when flat."""
    after = before + d
    if after == 0.0:
        return 0.0
    paid = p * (1.0 + spread) if d > 0.0 else p * (1.0 - spread)
    if before * after <= 0.0:  # opened, or turned from one side to the other
        return paid
    if abs(after) <= abs(before):
        return entry
    return (abs(before) * entry + abs(d) * paid) / abs(after)


@inlined
def log_ratio(a: float, b: float) -> float:
    """log(a / b) of positive numbers, to rounding: 2 artanh((a - b) / (a + b)), by its series where they are close.

    A bar's return is small: the series is then four times as fast as a logarithm, and keeps the digits that a / b,
    which is near 1, has lost.
    """
    x = (a - b) / (a + b)
    if not abs(x) <= 0.05:
        return math.log(a / b)
    y = x * x
    terms = 1.0 + y * (1 / 3 + y * (1 / 5 + y * (1 / 7 + y * (1 / 9 + y * (1 / 11 + y / 13)))))
    return 2.0 * x * terms


@inlined
def log_growth(equity: float, previous: float, floor: float) -> float:
    """log(E' / E), equity floored at the ruin level."""
    return log_ratio(max(equity, floor), max(previous, floor))


@inlined
def differential_sharpe(a: float, b: float, simple_return: float) -> float:
    """Differential Sharpe ratio (Moody & Saffell 1998, eq. 6); a, b: moving averages of R and R^2."""
    variance = b - a * a
    if variance <= 1e-12:
        return 0.0
    return (b * (simple_return - a) - 0.5 * a * (simple_return * simple_return - b)) / variance**1.5


@inlined
def reward_of(
    equity: float, previous: float, floor: float, c0: float, c1: float, a: float, b: float, rules: Rules
) -> float:
    """Reward of a step from equity ``previous`` to ``equity``; a and b as in differential_sharpe."""
    if rules.reward == LOG_RETURN:
        return log_growth(equity, previous, floor)
    if rules.reward == PNL:
        return equity - previous
    if rules.reward == EXCESS_LOG_RETURN:
        return log_growth(equity, previous, floor) - log_ratio(c1, c0)
    if rules.reward == DIFFERENTIAL_SHARPE:
        return differential_sharpe(a, b, equity / previous - 1.0)
    gain = equity - previous
    return gain - 0.5 * rules.reward_parameter * gain * gain


@inlined
def exposure_of(units: float, close: float, equity: float) -> float:
    """Notional / equity at the close; 0 where no equity is left to measure by."""
    return units * close / equity if equity > 0.0 else 0.0


@inlined
def unrealised_of(units: float, close: float, entry: float) -> float:
    """Unrealised log return of the open position, signed by its side; 0 when flat."""
    side = 0.0 if units == 0.0 else math.copysign(1.0, units)
    return side * log_ratio(close, entry if units != 0.0 else close)


@inlined
def observe_market(j: int, row: int, flat: Float32s, n_features: int, obs: Float32s) -> None:
    """Fills the head of obs[j] (D,): the last rows of the flat table up to ``row``, oldest first."""
    width = obs.shape[1] - ACCOUNT_SIZE
    window = flat[(row + 1) * n_features - width : (row + 1) * n_features]
    market = obs[j, :width]  # slices first: an index into obs costs a check each
    for i in range(width):
        market[i] = window[i]


@inlined
def observe_account(j: int, exposure: float, target: float, unrealised: float, drawdown: float, obs: Float32s) -> None:
    """Fills the tail of obs[j]."""
    account = obs[j, obs.shape[1] - ACCOUNT_SIZE :]
    account[0], account[1], account[2], account[3] = exposure, target, unrealised, drawdown


@inlined
def step_row(
    j: int,
    want: float,
    state: Floats,
    clock: Ints,
    opens: Floats,
    closes: Floats,
    flat: Float32s,
    n_features: int,
    rules: Rules,
    obs: Float32s,
) -> Step:
    """One step of env j: moves state[j] and clock[j] in place, fills obs[j], returns a Step.

    The arrays are passed whole with an index: plain floats leave them, go through the account, and return.
    """
    row = clock[j, ROW]
    observe_market(j, row + 1, flat, n_features, obs)  # first: the processor copies while it divides
    clock[j, PAST_ROW] = row
    for k in range(len(STATE)):
        state[j, len(STATE) + k] = state[j, k]
    c0, c1 = closes[row], closes[row + 1]
    if rules.fill == NEXT_OPEN:
        p = opens[row + 1]
    elif rules.fill == NEXT_CLOSE:
        p = c1
    else:
        p = c0
    before, previous, initial = state[j, UNITS], state[j, EQUITY], state[j, INITIAL]
    cash, units, target, d, _, pnl, commission, slippage, financing, traded = step_account(
        state[j, CASH], before, state[j, TARGET], want, c0, p, c1, state[j, YEARS], rules
    )
    equity = cash + units * c1
    floor = rules.ruin_fraction * initial
    a, b = state[j, DSR_A], state[j, DSR_B]
    reward = reward_of(equity, previous, floor, c0, c1, a, b, rules)
    if rules.reward == DIFFERENTIAL_SHARPE:
        simple_return = equity / previous - 1.0
        state[j, DSR_A] = a + rules.reward_parameter * (simple_return - a)
        state[j, DSR_B] = b + rules.reward_parameter * (simple_return * simple_return - b)
    entry, peak = state[j, ENTRY], max(state[j, PEAK], equity)
    if units == 0.0:
        entry = 0.0
    elif d != 0.0:
        entry = average_entry(entry, before, d, p, rules.spread)
    state[j, CASH], state[j, UNITS], state[j, TARGET], state[j, EQUITY] = cash, units, target, equity
    state[j, ENTRY], state[j, PEAK] = entry, peak
    clock[j, ROW] = row + 1
    lost = not math.isfinite(reward)  # equity, or what the reward makes of it, has left float64
    terminated = equity <= floor or lost
    truncated = (row + 1 == clock[j, LAST] and not terminated) or lost
    exposure = exposure_of(units, c1, equity)
    unrealised = unrealised_of(units, c1, entry)
    observe_account(j, exposure, target, unrealised, 1.0 - equity / peak, obs)
    return Step(
        reward,
        terminated,
        truncated,
        row + 1 - clock[j, OFFSET],
        equity,
        cash,
        units,
        exposure,
        p,
        pnl,
        commission,
        slippage,
        financing,
        traded / previous,
    )


@inlined
def mask_actions(
    j: int, units: float, target: float, equity: float, close: float, values: Floats, rules: Rules, mask: Bools
) -> None:
    """Fills mask[j] (A,): False for lots beyond the margin at the close, and for what "hold" does as well."""
    for a in range(mask.shape[1]):
        want = values[N_RULES + a]
        if rules.lots == 1.0:
            d = want * rules.lot_size
            mask[j, a] = want == 0.0 or not beyond_margin(d, units, equity, close, rules)
        else:
            mask[j, a] = rules.mask_repeats == 0.0 or want != target


@compiled
def step_one(
    want: float,
    state: Floats,
    clock: Ints,
    opens: Floats,
    closes: Floats,
    table: Float32s,
    values: Floats,
    obs: Float32s,
    mask: Bools,
) -> tuple[Any, ...]:
    """The scalar env's step: one want, N = 1, obs (D,), mask (A,); otherwise as step_rows. A Step as a plain tuple."""
    rules, flat, n_features = as_rules(values), table.reshape(-1), table.shape[1]
    step = step_row(0, want, state, clock, opens, closes, flat, n_features, rules, obs.reshape(1, -1))
    close, target = closes[clock[0, ROW]], state[0, TARGET]
    mask_actions(0, step.units, target, step.equity, close, values, rules, mask.reshape(1, -1))
    return (
        step.reward,
        step.terminated,
        step.truncated,
        step.bar,
        step.equity,
        step.cash,
        step.units,
        step.exposure,
        step.price,
        step.pnl,
        step.commission,
        step.slippage,
        step.financing,
        step.turnover,
    )


@inlined
def first_bad_action(actions: Ints, n_wants: int) -> int:
    """Index of the first action outside [0, n_wants), or -1."""
    for j in range(actions.shape[0]):
        if actions[j] < 0 or actions[j] >= n_wants:
            return j
    return -1


@compiled
def step_rows(
    actions: Ints,
    wants: Floats,
    waiting: Bools,
    state: Floats,
    clock: Ints,
    opens: Floats,
    closes: Floats,
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
    """The vector env's step: row j under wants[actions[j]]; rows ``waiting`` for a reset stay untouched.

    Args:
        actions: indices into ``wants`` (N,).
        wants: target exposures or lots, NaN for hold (A,).
        waiting: rows to leave alone (N,).
        state: accounts (N, 2 len(STATE)), moved in place.
        clock: where each env stands (N, 4), moved in place.
        opens: the markets' opens, stacked (T,).
        closes: the markets' closes, stacked (T,).
        table: what is observed of each bar (T, F).
        values: the Rules and the wants of the discrete actions, as an array.
        obs: output (N, D).
        reward: output (N,).
        terminated: output (N,).
        truncated: output (N,).
        info: output (N, len(INFO)): a row is one cache line or two.
        bar: output (N,).
        mask: output (N, A), or (N, 0) for none.

    Returns:
        How many episodes ended; or -1 - j where actions[j] is out of range, and then nothing has moved.
    """
    bad = first_bad_action(actions, wants.shape[0])
    if bad >= 0:
        return -1 - bad
    rules = as_rules(values)
    flat = table.reshape(-1)
    n_ended = 0
    for j in range(actions.shape[0]):
        if waiting[j]:
            reward[j], terminated[j], truncated[j] = 0.0, False, False
            continue
        want = wants[actions[j]]
        step = step_row(j, want, state, clock, opens, closes, flat, table.shape[1], rules, obs)
        reward[j], terminated[j], truncated[j], bar[j] = (
            step.reward,
            step.terminated,
            step.truncated,
            step.bar,
        )
        info[j, 0], info[j, 1], info[j, 2] = step.equity, step.cash, step.units
        info[j, 3], info[j, 4], info[j, 5] = step.exposure, step.price, step.pnl
        info[j, 6], info[j, 7], info[j, 8] = step.commission, step.slippage, step.financing
        info[j, 9] = step.turnover
        close = closes[clock[j, ROW]]
        mask_actions(j, step.units, state[j, TARGET], step.equity, close, values, rules, mask)
        n_ended += step.terminated or step.truncated
    return n_ended


@compiled
def observe_rows(
    rows: Ints, state: Floats, clock: Ints, closes: Floats, table: Float32s, values: Floats, obs: Float32s, mask: Bools
) -> None:
    """Fills obs[j] and mask[j] for each j in rows: what an env shows as it stands."""
    rules, flat = as_rules(values), table.reshape(-1)
    for j in rows:
        close = closes[clock[j, ROW]]
        units, equity = state[j, UNITS], state[j, EQUITY]
        exposure, drawdown = exposure_of(units, close, equity), 1.0 - equity / state[j, PEAK]
        unrealised = unrealised_of(units, close, state[j, ENTRY])
        observe_market(j, clock[j, ROW], flat, table.shape[1], obs)
        observe_account(j, exposure, state[j, TARGET], unrealised, drawdown, obs)
        mask_actions(j, units, state[j, TARGET], equity, close, values, rules, mask)


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
    """Copies of state and clock as they were before the last step of each row."""
    state, clock = state.copy(), clock.copy()
    state[:, : len(STATE)] = state[:, len(STATE) :]
    clock[:, ROW] = clock[:, PAST_ROW]
    return state, clock


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
    opens: Floats,
    closes: Floats,
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
        opens: opens of the bars passed (n + 1,).
        closes: their closes (n + 1,).
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
    ruin = math.log(rules.ruin_fraction)
    for i in range(closes.shape[0] - 1):
        c0, c1 = closes[i], closes[i + 1]
        p = opens[i + 1] if rules.fill == NEXT_OPEN else c1 if rules.fill == NEXT_CLOSE else c0
        for k in range(n_wants + 1):
            best[k, BRANCH_GROWTH] = -math.inf
        n_kept = 0
        for j in range(n_alive):
            s = alive[j]
            behind, kept, kept_cash, kept_units = branches[s, BRANCH_GROWTH], False, 0.0, 0.0
            for a in range(n_wants):
                before = branches[s, BRANCH_TARGET]
                cash, units, target, d, _, _, _, _, _, _ = step_account(
                    branches[s, BRANCH_CASH], branches[s, BRANCH_UNITS], before, wants[a], c0, p, c1, years, rules
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
