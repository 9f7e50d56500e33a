"""From a CSV file of daily bars to an agent that is trained, tested and saved, and to its decision for tomorrow.

python examples/csv_to_decision.py [my.csv]
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import gymnasium as gym

import agents
from trading_env import EnvConfig, FeatureScaler, backtest, decide, load


def main(csv: str, folder: str, total_timesteps: int = 3_000) -> None:
    """Trains on the first 70% of the bars, tests on the rest, and decides after the last one."""
    market = load(csv)
    train, test = market.split(0.7)

    episodes = {"random_start": True, "episode_length": 100}
    config = EnvConfig(window=5, scaler=FeatureScaler().fit(train), costs={"commission": 1e-3}, **episodes)
    env = gym.make("trading_env:TradingEnv-v0", data=train, **config.to_dict())
    agent = agents.DQN(env, seeds=4, learning_starts=500).learn(total_timesteps)
    agent.save(Path(folder, "my"))

    agent = agents.load(Path(folder, "my"))  # with the env's keywords, which backtest and decide take from it
    print(backtest(agent, test).summary())

    decision = decide(agent[0], csv, units=0.0, cash=10_000.0)  # in life: as_of=date.today()
    print(f"After {decision.time:%Y-%m-%d}, close {decision.close:.2f}: {decision.reason}")


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        if len(sys.argv) > 1:
            main(sys.argv[1], folder)
        else:  # some bars to play with
            load("us-stocks/MSFT").to_frame().loc["2006":].to_csv(Path(folder, "bars.csv"))
            main(str(Path(folder, "bars.csv")), folder)
