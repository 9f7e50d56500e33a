"""The rules of an account as the kernel reads them, from the keywords of an env."""

from __future__ import annotations

from trading_env.config import Costs, Margin, as_config
from trading_env.envs.config import FILLS, EnvConfig
from trading_env.envs.rewards import NAMES as REWARDS
from trading_env.envs.rewards import RewardFunction, parse_reward
from trading_env.kernel.rules import Rules

PRICE_RANGE = (1e-15, 1e15)  # keeps every exposure and drawdown within float32


def account_rules(config: EnvConfig, wicks: bool) -> tuple[Rules, RewardFunction | None]:
    """Constants of the kernel, and the callable that replaces its reward, if any.

    Args:
        config: the keywords.
        wicks: True if the lows and highs of the bars can cause a margin call.
    """
    costs, margin = as_config(Costs, config.costs, "costs"), as_config(Margin, config.margin, "margin")
    reward, parameter, function = parse_reward(config.reward)
    rules = Rules(
        spread=costs.spread,
        commission=costs.commission,
        fixed=costs.fixed,
        minimum=costs.minimum,
        per_unit=costs.per_unit,
        lot_size=config.lot,
        min_trade=config.min_trade,
        max_leverage=margin.max_leverage,
        maintenance=margin.maintenance,
        ruin_fraction=margin.ruin_fraction,
        r_cash=margin.r_cash,
        r_margin=margin.r_margin,
        r_borrow=margin.r_borrow,
        short_proceeds_earn=float(margin.short_proceeds_earn),
        fill=float(FILLS.index(config.fill)),
        rebalance=float(config.rebalances),
        lots=float(config.kind == "lots"),
        reward=float(REWARDS.index(reward)),
        reward_parameter=parameter,
        mask_repeats=float(config.kind == "buy_hold_sell" and not config.rebalances),
        wicks=float(wicks),
        long_only=float(config.long_only),
    )
    return rules, function


def check_costs(costs: Costs, margin: Margin, lowest: float, whose: str = "costs") -> None:
    """Raises ValueError if a trade to the largest exposure could cost its whole notional.

    Args:
        costs: of an instrument.
        margin: of the account.
        lowest: the lowest price of the instrument.
        whose: the name of the costs in the message.
    """
    leverage = margin.max_leverage
    rate = max(costs.buy_rate, costs.sell_rate) + costs.per_unit / lowest
    if leverage * rate >= 1.0:
        raise ValueError(
            f"{whose} are too high for margin.max_leverage={leverage:g}: a trade costs up to {rate:g} of its "
            f"notional (per_unit at the lowest price {lowest:g}), and leverage times that must be below 1"
        )
