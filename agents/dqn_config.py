"""The hyperparameters of DQN."""

from dataclasses import dataclass
from typing import Literal

from agents.common.checks import check_choice, check_flag, check_float, check_int, check_widths, keep_plain
from agents.common.schedules import Schedule, as_schedule
from agents.nn.losses import LOSSES


@dataclass(frozen=True)
class DQNConfig:
    """The hyperparameters of DQN, named as in Stable-Baselines3; counts of steps are per seed."""

    learning_rate: float | str | Schedule = 1e-4
    """The optimiser's step size: a number, "lin_1e-3" (linear to zero), or a function of the remaining progress."""
    buffer_size: int = 100_000
    """Transitions that the replay memory keeps per seed (SB3: 1,000,000)."""
    learning_starts: int = 100
    """Steps of random actions before the first update."""
    batch_size: int = 32
    """Transitions per update."""
    tau: float = 1.0
    """Fraction by which the target network moves towards the network at each of its updates."""
    gamma: float = 0.99
    """Discount factor."""
    train_freq: int = 4
    """Steps of the vector env between trainings."""
    gradient_steps: int = 1
    """Updates per training; -1 makes as many as transitions were collected since the last one."""
    target_update_interval: int = 10_000
    """Steps between updates of the target network."""
    exploration_fraction: float = 0.1
    """Fraction of training over which exploration decreases."""
    exploration_initial_eps: float = 1.0
    """Initial probability of a random action."""
    exploration_final_eps: float = 0.05
    """Final probability of a random action."""
    max_grad_norm: float = 10.0
    """Maximum norm of one seed's gradient."""
    adam_eps: float = 1e-8
    """Added to Adam's denominator; with a larger value, steps shrink with the gradient once errors are small."""
    normalize_reward: bool = False
    """Whether to divide rewards by the deviation of discounted returns, see `agents.memory.reward_scale`."""
    net_arch: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers."""
    double_q: bool = False
    """Whether the network, not the target network, selects the best next action."""
    dueling: bool = False
    """Whether to split the last hidden layer between value and advantages; see `agents.nn.dueling`."""
    counterfactual: bool = False
    """Whether to learn from the outcomes of all actions, which the env gives by `counterfactual()`."""
    n_steps: int = 1
    """Rewards in a target before it bootstraps; fewer where an episode ends."""
    prioritized_replay: bool = False
    """Whether to sample transitions with large errors more often; see `agents.memory.prioritized`."""
    prioritized_replay_alpha: float = 0.6
    """Exponent of the error in the priority: 0 samples uniformly, 1 in proportion to the error."""
    prioritized_replay_beta0: float = 0.4
    """Initial exponent of the importance weights in the loss; it rises to 1 at the end of training."""
    prioritized_replay_eps: float = 1e-6
    """Added to the absolute error."""
    replay_with_replacement: bool = True
    """Whether a batch may contain a transition twice; if not, updates begin once a batch is stored."""
    target_network: bool = True
    """Whether to use one; without it, the network itself gives the next values."""
    loss: Literal["huber", "mse"] = "huber"
    """Huber's with threshold 1, or the squared error."""
    optimizer: Literal["adam", "rmsprop"] = "adam"
    """The optimiser."""
    rms_prop_alpha: float = 0.99
    """Decay of RMSprop's mean of squares."""
    rms_prop_eps: float = 1e-5
    """Added to RMSprop's denominator."""
    exploration: Literal["linear", "exponential"] = "linear"
    """How the probability of a random action decreases."""
    exploration_decay: float = 0.999
    """Its factor per step if "exponential", once updates begin; `exploration_fraction` is then not used."""

    def __post_init__(self) -> None:
        keep_plain(self)
        as_schedule(self.learning_rate, "learning_rate")
        for field, minimum in _LOWEST.items():
            check_int(field, getattr(self, field), minimum)
        if self.gradient_steps == 0:
            raise ValueError("gradient_steps must be -1 or at least 1, got 0")
        for field in _FRACTIONS:
            check_float(field, getattr(self, field), 0.0, 1.0)
        for field in ("tau", "exploration_decay"):
            check_float(field, getattr(self, field), 0.0, 1.0, above=True)
        for field in ("max_grad_norm", "adam_eps", "rms_prop_eps", "prioritized_replay_eps"):
            check_float(field, getattr(self, field), 0.0, above=True)
        for field in _FLAGS:
            check_flag(field, getattr(self, field))
        for field, options in _CHOICES.items():
            check_choice(field, getattr(self, field), options)
        check_widths("net_arch", self.net_arch)
        self._check_combinations()

    def _check_combinations(self) -> None:
        if self.double_q and not self.target_network:
            raise ValueError("double_q=True needs target_network=True: with one network it changes nothing")
        if self.dueling and not self.net_arch:
            raise ValueError("dueling=True needs a hidden layer to split, got net_arch=()")
        if self.counterfactual and self.n_steps > 1:
            raise ValueError(f"counterfactual=True needs n_steps=1, the only step it tells of, got {self.n_steps}")
        if self.prioritized_replay and not self.replay_with_replacement:
            raise ValueError("replay_with_replacement=False needs prioritized_replay=False, whose draws may coincide")
        if not self.replay_with_replacement and self.buffer_size < self.batch_size:
            raise ValueError(f"buffer_size must hold a batch of {self.batch_size}, got {self.buffer_size}")


_LOWEST = {
    "buffer_size": 1,
    "learning_starts": 0,
    "batch_size": 1,
    "train_freq": 1,
    "gradient_steps": -1,
    "target_update_interval": 1,
    "n_steps": 1,
}
_FRACTIONS = (
    "gamma",
    "exploration_fraction",
    "exploration_initial_eps",
    "exploration_final_eps",
    "prioritized_replay_alpha",
    "prioritized_replay_beta0",
    "rms_prop_alpha",
)
_FLAGS = (
    "normalize_reward",
    "counterfactual",
    "double_q",
    "dueling",
    "prioritized_replay",
    "replay_with_replacement",
    "target_network",
)
_CHOICES = {"loss": tuple(LOSSES), "optimizer": ("adam", "rmsprop"), "exploration": ("linear", "exponential")}
