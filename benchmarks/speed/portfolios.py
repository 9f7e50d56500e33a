"""Steps per second of portfolio envs, against copying memory and FinRL's StockTradingEnv.

Panels have 2,500 bars; observations are windows of 30 bars x 5 features of each instrument. Random actions are drawn in
advance.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from benchmarks.speed.envs import BARS, BLOCK, FEATURES, WINDOW, copy_block, prices
from benchmarks.speed.timing import Chunk, Goal, Part, chunk_of, interleave, ratios
from trading_env import Market, Panel

ENV_ID = "trading_env:PortfolioEnv-v0"
FINRL = Path("meta/env_stock_trading/env_stocktrading.py")  # in the folder of the package finrl
FEW, MANY = 10, 40  # instruments

GOALS = [
    Goal("1024 envs of 5 against copying their observations", "PortfolioEnv of 5 x 1024", "copy of 5 x 1024", 0.3),
    Goal("one env of 30 against FinRL's StockTradingEnv", "PortfolioEnv of 30, gym.make", "FinRL of 30", 20.0),
    Goal("instruments per second, 40 of them against 10", f"instruments of {MANY}", f"instruments of {FEW}", 0.8),
]


def measure(quick: bool, tick: Callable[[], Any]) -> Part:
    """Rates of all installed contenders, and the goals' ratios."""
    envs = gym.make_vec(ENV_ID, 1024, **keywords(5))
    blocks = {
        "PortfolioEnv of 5 x 1024": vector_block(envs),
        "copy of 5 x 1024": copy_block(envs.reset(seed=0)[0]),
        "PortfolioEnv of 30, gym.make": scalar_block(gym.make(ENV_ID, **keywords(30))),
        **{f"instruments of {k}": vector_block(gym.make_vec(ENV_ID, 64, **keywords(k)), k) for k in (FEW, MANY)},
    }
    remarks = []
    if installed():
        blocks["FinRL of 30"] = scalar_block(finrl_env(30))
    else:
        remarks.append("FinRL is not installed (pip install finrl): not compared with it")
    chunks = {name: chunk_of(0.02 if quick else 0.25, block) for name, block in blocks.items()}
    rates = interleave(chunks, rounds(quick), tick)
    setting = {"bars": BARS, "window": WINDOW, "features": FEATURES, "rounds": rounds(quick)}
    return Part(rates, list(ratios(rates, GOALS)), remarks, setting)


def rounds(quick: bool) -> int:
    """Number of rounds."""
    return 2 if quick else 9


def ticks(quick: bool) -> int:
    """Number of times that `measure` calls ``tick``."""
    return (rounds(quick) + 1) * (5 + installed())


def installed() -> bool:
    """True if FinRL is."""
    return finrl_file() is not None


def finrl_file() -> Path | None:
    """The file of FinRL's env, if it is installed. The package is not imported: it asks for a broker."""
    package = importlib.util.find_spec("finrl")
    folders = [] if package is None else package.submodule_search_locations or []
    return next((Path(folder) / FINRL for folder in folders if (Path(folder) / FINRL).exists()), None)


def keywords(n: int) -> dict[str, Any]:
    """Keywords of PortfolioEnv on n instruments."""
    markets = [Market.from_arrays(**prices(k), name=f"{k}") for k in range(n)]
    features = np.random.default_rng(1).standard_normal((BARS, n, FEATURES))
    return {"data": Panel.from_markets(markets), "features": features, "window": WINDOW}


def vector_block(envs: Any, per_step: int = 1) -> Chunk:
    """Steps of all sub-envs with random weights, each counted ``per_step`` times."""
    n = envs.num_envs
    shape = (BLOCK, n, *envs.single_action_space.shape)
    actions = list(np.random.default_rng(2).uniform(0.0, 1.0, shape).astype(np.float32))
    envs.reset(seed=0)

    def block() -> int:
        for action in actions:
            envs.step(action)
        return BLOCK * n * per_step

    return block


def scalar_block(env: Any) -> Chunk:
    """Steps of one env with random actions, and the resets between its episodes."""
    space = env.action_space
    actions = list(np.random.default_rng(2).uniform(space.low, space.high, (BLOCK, *space.shape)).astype(np.float32))
    env.reset(seed=0)

    def block() -> int:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                with redirect_stdout(io.StringIO()):  # FinRL prints after episodes
                    env.reset()
        return BLOCK

    return block


def finrl_class() -> Any:
    """StockTradingEnv, from its own file."""
    file = finrl_file()
    assert file is not None
    spec = importlib.util.spec_from_file_location("finrl_stock_trading", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.StockTradingEnv


def finrl_env(n: int) -> Any:
    """FinRL's StockTradingEnv on the same prices, with two columns of features."""
    import pandas as pd

    columns = [prices(k) for k in range(n)]
    days = np.repeat(np.arange(BARS), n)
    frame = {name: np.column_stack([one[name] for one in columns]).ravel() for name in columns[0]}
    dates = pd.date_range("2000-01-03", periods=BARS, freq="B").strftime("%Y-%m-%d").to_numpy()
    extra = dict.fromkeys(("macd", "rsi_30"), frame["close"])
    table = pd.DataFrame({"date": dates[days], "tic": np.tile(np.arange(n).astype(str), BARS), **frame, **extra})
    return finrl_class()(
        df=table.set_index(days),
        stock_dim=n,
        hmax=100,
        initial_amount=1_000_000,
        num_stock_shares=[0] * n,
        buy_cost_pct=[1e-3] * n,
        sell_cost_pct=[1e-3] * n,
        reward_scaling=1e-4,
        state_space=1 + 2 * n + 2 * n,
        action_space=n,
        tech_indicator_list=list(extra),
        print_verbosity=10**9,
    )
