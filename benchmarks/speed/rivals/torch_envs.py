"""Trading envs of TorchRL and TorchTrade with random actions, by their own rollouts; run in their environment."""

from worker import on_one_core, serve

on_one_core()

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import torch  # noqa: E402
from torchrl.envs import FinancialRegimeEnv  # noqa: E402
from torchtrade.envs.offline import vectorized_sequential as vectorized  # noqa: E402
from torchtrade.envs.offline.sequential import SequentialTradingEnv, SequentialTradingEnvConfig  # noqa: E402

MARKET = {
    "time_frames": "1Hour",
    "window_sizes": 30,
    "execute_on": "1Hour",
    "transaction_fee": 0.0005,
    "action_levels": [0.0, 0.5, 1.0],
}


def bars(n_bars=2_500):
    """A random walk."""
    rng = np.random.default_rng(0)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, n_bars)))
    opened = close * np.exp(rng.normal(0.0, 0.002, n_bars))
    high, low = np.maximum(opened, close) * 1.003, np.minimum(opened, close) * 0.997
    times, volume = pd.date_range("2020-01-01", periods=n_bars, freq="h"), rng.uniform(1e5, 1e6, n_bars)
    columns = {"timestamp": times, "open": opened, "high": high, "low": low, "close": close, "volume": volume}
    return pd.DataFrame(columns)


def rollout(env, steps, n_envs=1):
    """Rollouts of some steps."""

    def chunk():
        env.rollout(steps, break_when_any_done=False)
        return steps * n_envs

    return chunk


def vector_env(n_envs):
    """TorchTrade's vector env."""
    config = vectorized.VectorizedSequentialTradingEnvConfig(num_envs=n_envs, **MARKET)
    return vectorized.VectorizedSequentialTradingEnv(bars(), config)


if __name__ == "__main__":
    torch.set_num_threads(1)
    contenders = {
        "FinancialRegimeEnv": lambda: rollout(FinancialRegimeEnv(), 300),
        "TorchTrade": lambda: rollout(SequentialTradingEnv(bars(), SequentialTradingEnvConfig(**MARKET)), 300),
        "TorchTrade x 1024": lambda: rollout(vector_env(1024), 50, 1024),
    }
    serve(contenders, "torchrl", "torchtrade", "torch")
