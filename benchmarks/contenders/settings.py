"""Options of a comparison, with the hyperparameters that both learners share."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from agents.base import commands
from benchmarks.tasks.checks import check_counts, check_distinct, check_name


@dataclass(frozen=True)
class Hyperparameters:
    """Hyperparameters of DQN by Stable-Baselines3's names, the same for both learners; chosen beforehand, not tuned."""

    learning_rate: float = 5e-4
    """Adam's step size."""
    buffer_size: int = 50_000
    """Capacity of the replay memory per seed, in transitions."""
    learning_starts: int = 1_000
    """Steps of random actions before the first update."""
    batch_size: int = 32
    """Transitions per update."""
    gamma: float = 0.99
    """Discount factor."""
    train_freq: int = 4
    """Steps between updates."""
    gradient_steps: int = 1
    """Updates every train_freq steps."""
    target_update_interval: int = 1_000
    """Steps between updates of the target network."""
    exploration_fraction: float = 0.2
    """Fraction of training over which exploration decreases."""
    exploration_final_eps: float = 0.05
    """Probability of a random action after that."""
    max_grad_norm: float = 10.0
    """Largest norm of a gradient."""
    net_arch: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers."""

    def for_sb3(self) -> dict[str, Any]:
        """Keywords of Stable-Baselines3's DQN."""
        options = asdict(self)
        widths = list(options.pop("net_arch"))
        return {**options, "policy_kwargs": {"net_arch": widths}}


@dataclass(frozen=True)
class CompareSettings:
    """Options of ``python -m benchmarks compare``."""

    demo: tyro.conf.FlagCreatePairsOff[bool] = False
    """A small budget for a first look: 4 seeds, 20,000 steps, saved as demo. Other options override it."""
    name: str = "compare"
    """Folder under --folder for the results."""
    folder: Path = Path("results")
    """Where results are kept."""
    data: tuple[str, ...] = ("us-stocks/AAPL",)
    """Datasets, a comparison each: names, or paths of CSV or Parquet files."""
    contender: tuple[str, ...] = ()
    """Policies of your own, as module:function; see docs/benchmarks.md."""
    split: str = "2010-01-01"
    """First day of the test period; everything before it is for training."""
    seeds: int = 5
    """Seeds 0..n-1 per learner."""
    total_timesteps: int = 100_000
    """Training steps per seed."""
    window: int = 30
    """Bars of history in an observation."""
    episode_length: int = 252
    """Bars of a training episode, which starts at a random bar of the training period."""
    allow_short: bool = False
    """Let the learners sell short; without it "sell" means flat. Rules and random traders are long or flat."""
    fill: Literal["next_open", "next_close", "close"] = "next_open"
    """When orders are filled."""
    commission: float = 5e-4
    """Rate on the traded notional (5e-4 is 5 bps)."""
    slippage: float = 5e-4
    """Adverse move of each fill, as a fraction of the price."""
    random_seeds: int = 100
    """Runs of the random policy, which has the turnover of the median dqn seed."""
    processes: int | None = None
    """Processes that train; one per core unless given."""
    wide: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print all columns of the tables, however wide that is."""
    progress: bool = True
    """Show progress bars."""
    dqn: Annotated[Hyperparameters, tyro.conf.arg(name="")] = field(default_factory=Hyperparameters)
    """Hyperparameters of both learners."""

    def __post_init__(self) -> None:
        check_counts(self, ("seeds", "total_timesteps", "random_seeds", "processes"))
        check_name(self.name)
        check_distinct("data", self.data)
        check_distinct("folders of data", [folder_of(data) for data in self.data])
        if self.contender:
            check_distinct("contender", self.contender)

    def env_keywords(self) -> dict[str, Any]:
        """Keywords of TradingEnv that training and test share."""
        return {
            "window": self.window,
            "allow_short": self.allow_short,
            "fill": self.fill,
            "costs": {"commission": self.commission, "slippage": self.slippage},
        }

    def as_json(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return {**asdict(self), "folder": str(self.folder)}


DEMO: dict[str, Any] = {"name": "demo", "seeds": 4, "total_timesteps": 20_000}


def parse(arguments: list[str], prog: str) -> CompareSettings:
    """The settings of this command line; ``--demo`` changes the defaults of the others."""
    arguments = gathered(gathered(arguments, "--data"), "--contender")
    default = CompareSettings(**DEMO) if "--demo" in arguments else CompareSettings()
    found: CompareSettings = commands.parse(prog, CompareSettings, arguments, default=default, description=DESCRIPTION)
    return found


def folder_of(data: str) -> str:
    """The folder of a dataset's results where there are several: its name, or its file's without suffix."""
    path = Path(data)
    return path.stem if path.suffix else data.replace("/", "-")


def gathered(arguments: list[str], option: str) -> list[str]:
    """The arguments with the values of a repeated option behind one, "--data a --data b" as "--data a b"."""
    others: list[str] = []
    values: list[str] = []
    taking = False
    for word in arguments:
        if word.startswith("-"):
            taking = word.partition("=")[0] == option
            word = word.removeprefix(f"{option}=")
        if word != option:
            (values if taking else others).append(word)
    return [*others, option, *values] if option in arguments or values else others


DESCRIPTION = """\
Trains DQN (agents.dqn) and Stable-Baselines3's DQN on the early years of a stock, with the same env, network,
hyperparameters, budget and seeds, and tests both on the later years, beside buying and holding, staying flat,
trading at random and following the forecasts of a linear regression (ridge). Prints one table; writes results.json,
equity.parquet and equity.png to FOLDER/NAME."""
