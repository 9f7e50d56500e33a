"""What every algorithm is built on: the methods that its file writes, and the state that files and copies carry.

An algorithm is one file with a subclass of `SeedAgent`. It makes networks, buffers and streams in `_build`, takes
steps in `_advance`, acts in `_greedy`, names its weights in `state_dict` and reports `_metrics`. Everything else is in
other modules of this folder: the training loop in `loop`, files in `saving`, copies in `copies`, the interface of
Stable-Baselines3 in `facade`.

Axis letters: S seeds, N envs per seed, B batch, D observation.
"""

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from gymnasium.vector import VectorEnv

from agents.base.env_config import EnvConfig
from agents.base.reports.loggers import Logger
from agents.common.compiled import compiled
from agents.common.state import State, get_parts, has_state, part, set_parts
from agents.common.streams import generator
from agents.envs.seed_envs import EnvLike, Floats, SeedEnvs, Spaces
from agents.nn.extractors import Extractor, Features
from agents.nn.networks import Build

Actions = npt.NDArray[Any]  # ints for Discrete actions, floats for a Box
Recurrent = tuple[npt.NDArray[Any], ...] | None  # the state of a recurrent policy


class Setup(NamedTuple):
    """Everything that determines an agent before its first step."""

    config: Any
    seeds: tuple[int, ...]
    n_envs: int
    spaces: Spaces
    device: torch.device
    env: EnvLike | None
    features_extractor: Extractor | None
    network: Build | None = None


class Counters(NamedTuple):
    """The counters that every file holds."""

    num_timesteps: int = 0
    n_updates: int = 0
    exploration_rate: float = 0.0


class Learner(ABC):
    """An algorithm of S seeds, see `SeedAgent`, without the ways to train, save, copy and inspect it."""

    Config: ClassVar[type[Any]]
    takes_box_actions: ClassVar[bool] = False
    takes_discrete_actions: ClassVar[bool] = True
    takes_features: ClassVar[bool] = False
    takes_network: ClassVar[bool] = False
    envs_type: ClassVar[type[SeedEnvs]] = SeedEnvs
    tensorboard_log: str | os.PathLike[str] | None
    threads: int | None

    def set_up(self, setup: Setup) -> None:
        """Initialises everything except the envs, which are made when they are first needed.

        Raises:
            ValueError: If the algorithm cannot use such actions, a features extractor, or a network of the user's.
        """
        self._check_suits(setup)
        self.config, self.seeds, self.n_envs, self.spaces, self.device, self._env, extractor, self.network = setup
        self.features = None if extractor is None else Features(extractor, self.device)
        self.verbose, self.tensorboard_log, self.threads = 0, None, 1
        self.num_timesteps, self.n_updates, self.exploration_rate = Counters()
        self.total_timesteps = self.goal = 0
        self.env_config: EnvConfig | None = None
        self._envs: SeedEnvs | None = None
        self._check_env = True
        self._episodes: State | None = None  # state of the envs from a file, until the envs are made
        self._obs: Floats | None = None  # [S, N, D], to act on next
        self._elsewhere: Callable[[], Any] | None = None  # see `collect`
        self._logger: Any = Logger()
        self._last: Any = None
        before = frozenset(vars(self))
        self._predicting = [generator(seed, "predict") for seed in self.seeds]
        self._build()
        self._built = frozenset(vars(self)) - before  # the attributes that it makes
        self._own = before | self._built | {"_built", "_own"}  # all but those that a user adds

    def _check_suits(self, setup: Setup) -> None:
        name = type(self).__name__
        if setup.spaces.continuous and not self.takes_box_actions:
            raise ValueError(f"action_space must be Discrete for {name}, got a Box {setup.spaces}")
        if not setup.spaces.continuous and not self.takes_discrete_actions:
            raise ValueError(f"action_space must be a Box for {name}, got Discrete {setup.spaces}")
        if setup.features_extractor is not None and not self.takes_features:
            raise ValueError(f"features_extractor must be None for {name}, got {setup.features_extractor!r}")
        if setup.network is not None and not self.takes_network:
            raise ValueError(f"network must be None for {name}, got {setup.network!r}")

    def setup(self) -> Setup:
        """The setup of this agent, from which another one can be made."""
        extractor = self.features and self.features.extractor
        return Setup(self.config, self.seeds, self.n_envs, self.spaces, self.device, self._env, extractor, self.network)

    def like(self, seeds: tuple[int, ...]) -> Self:
        """An agent made the same way for these seeds, which has learnt nothing."""
        agent = type(self).__new__(type(self))
        agent.set_up(self.setup()._replace(seeds=seeds))
        return agent

    @classmethod
    def _training_envs(cls, config: Any) -> type[SeedEnvs]:
        """The type of the envs that it trains in."""
        return cls.envs_type

    @classmethod
    def _weight_shapes(cls, config: Any, spaces: Any, inputs: int) -> Iterator[tuple[int, ...]]:
        """Shapes of weights that a file of such an agent must hold: those of the network of its policy or value."""
        outputs = spaces.n_actions or math.prod(spaces.action_shape)
        critic = bool(getattr(config, "shared_network", False))  # adds one output
        return pairwise((inputs, *config.net_arch, outputs + critic))

    @property
    def input_size(self) -> int:
        """Numbers per observation that the networks see."""
        return self.spaces.obs_size if self.features is None else self.features.dim

    def get_env(self) -> VectorEnv[Any, Any, Any] | None:
        """The vector env of all seeds that it trains in, S * N sub-envs; None before it is made."""
        self.collect()
        return None if self._envs is None else self._envs.vector_env

    # What an algorithm writes

    @abstractmethod
    def _build(self) -> None:
        """Makes networks, buffers and streams, once config, seeds, spaces and device are set."""

    @abstractmethod
    def _begin(self, total_timesteps: int) -> None:
        """Prepares for that many more steps per seed, once `num_timesteps` is set."""

    def _whole(self, total_timesteps: int) -> int:
        """The number of steps to take if asked for `total_timesteps`."""
        return total_timesteps

    @abstractmethod
    def _advance(self, envs: SeedEnvs, obs: Floats, goal: int) -> Floats:
        """Acts on obs [S, N, D] for one step or more, counts the steps, learns; returns the obs to act on next."""

    def _cut(self, obs: Floats) -> None:  # noqa: B027, nothing to prepare unless overridden
        """Prepares for new episodes in place of the running ones, which would have continued with obs [S, N, D]."""

    def _break_off(self, obs: Floats) -> None:
        """Abandons the running episodes, and whatever an interrupted step left half done."""
        self._obs = self._episodes = None
        self._cut(obs)

    @abstractmethod
    def _metrics(self) -> dict[str, Any]:
        """Values to report: SB3's key -> a number, or one per seed [S].

        What it needs of the last update is kept in `_last`: arrays, tensors, or tuples and lists of them. Copies have
        it too; files do not, so nothing is reported of updates before a file was loaded.
        """

    @abstractmethod
    def _greedy(self, obs: Floats) -> Actions:
        """Greedy actions for obs [S, B, D]: [S, B] counted from 0, or [S, B, *action_shape] for a Box."""

    def _sampled(self, obs: Floats) -> Actions:
        """Actions as drawn in training, in the shape of `_greedy`'s: here epsilon-greedy at the current rate."""
        drawn = np.stack([stream.random(2 * obs.shape[1]) for stream in self._predicting])  # [S, 2B]
        return epsilon_greedy(self._greedy(obs), drawn, self.exploration_rate, self.spaces.n_actions)

    @abstractmethod
    def state_dict(self) -> dict[str, torch.Tensor]:
        """Everything learnt, by name: arrays [S, ...] that share memory with the agent."""

    # State

    def parts(self) -> dict[str, Any]:
        """The state of training beside `state_dict`, by attribute.

        Numbers, random generators and parts with `get_state` and `set_state` that `_build` makes are found by
        themselves. An algorithm that keeps state in arrays of its own adds them by overriding this method.
        """
        return {name: value for name, value in vars(self).items() if name in self._built and has_state(value)}

    def training_state(self, envs: bool = True) -> State:
        """All that `resume` needs beside `state_dict` and the counters; `envs` says whether to ask envs for theirs."""
        self.collect()
        episodes = self._episodes
        if envs and episodes is None and self._envs is not None and self._obs is not None:
            episodes = self._envs.get_state()
        frame = {"total_timesteps": self.total_timesteps, "goal": self.goal, "obs": self._obs, "episodes": episodes}
        return {**frame, "memory": get_parts(self.parts())}

    def collect(self) -> None:
        """Fetches the state of training and the envs from the processes that train, if they are there.

        A callback of training in several processes sees current weights. For the rest, such as the replay memory, it
        calls this; saving with the state of training, copying and pickling do so themselves.
        """
        if self._elsewhere is not None:
            self._elsewhere()

    def load_training_state(self, state: State) -> None:
        """Restores what `training_state` returned; ValueError naming the part if it does not fit."""
        self.total_timesteps, self.goal = state["total_timesteps"], state["goal"]
        self._obs, self._episodes = None if state["obs"] is None else state["obs"].copy(), state["episodes"]
        with part("training"), part("memory"):
            set_parts(self, self.parts(), state["memory"])

    def counters(self) -> Counters:
        """The counters as they stand."""
        return Counters(self.num_timesteps, self.n_updates, self.exploration_rate)

    def set_counters(self, counters: Counters) -> None:
        """Restores counters."""
        self.num_timesteps, self.n_updates, self.exploration_rate = counters

    # Acting

    def predict(
        self,
        observation: npt.ArrayLike,
        state: Recurrent = None,
        episode_start: npt.NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[Actions, Recurrent]:
        """Actions, greedy or drawn as in training, and the recurrent state to pass to the next call.

        Args:
            observation: One observation or a batch of them; for several seeds one of either for each, with a leading S.
            state: The state returned by the last call; None at the start. Agents without an LSTM return it unchanged.
                Of an LSTM it is hidden state and cell, [S, B, H] each: with one seed in the shape of sb3-contrib's
                RecurrentPPO. If a critic has an LSTM of its own, its H numbers follow the policy's.
            episode_start: True where an observation is the first of its episode, so that the recurrent state before it
                is dropped, (B,) or (S, B) or one flag for all.
            deterministic: Whether to act greedily.

        Returns:
            Actions of shape () or (B,), for several seeds (S,) or (S, B), each followed by a Box's shape; and the state
            after them.

        Raises:
            ValueError: If observation or state has another shape.
        """
        obs = with_seed_axis(observation, len(self.seeds), self.spaces)  # [S, B, D]
        action, after = self._respond(obs, state, episode_start, deterministic)  # [S, B, *action_shape]
        lead = np.shape(observation)[: np.ndim(observation) - len(self.spaces.obs_shape)]
        shaped = self.spaces.to_env(action).reshape((*lead, *self.spaces.action_shape))
        return shaped[()], after  # a single Discrete action is a scalar, which can be the key of a dict

    def _respond(
        self, obs: Floats, state: Recurrent, episode_start: Any, deterministic: bool
    ) -> tuple[Actions, Recurrent]:
        """Actions [S, B, *action_shape] for obs [S, B, D], and the recurrent state after them."""
        return (self._greedy(obs) if deterministic else self._sampled(obs)), state


def joined(**parts: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The arrays of several parts in one dict, named "part.name"."""
    return {f"{part}.{name}": array for part, named in parts.items() for name, array in named.items()}


def epsilon_greedy(
    best: Actions, drawn: npt.NDArray[np.float64], epsilon: float, n_actions: int
) -> npt.NDArray[np.int64]:
    """Actions [S, B]: `best` [S, B], or with probability `epsilon` random ones.

    Args:
        best: Greedy actions, [S, B].
        drawn: Numbers in [0, 1), [S, 2B]: B that decide whether to explore, then B that pick the random action.
        epsilon: Probability of a random action.
        n_actions: A.
    """
    actions = np.empty(best.shape, np.int64)
    _epsilon_greedy(best, drawn, epsilon, n_actions, actions)
    return actions


@compiled
def _epsilon_greedy(best: Any, drawn: Any, epsilon: float, n_actions: int, actions: Any) -> None:
    S, B = best.shape
    for s in range(S):
        for b in range(B):
            explores = drawn[s, b] < epsilon
            actions[s, b] = int(drawn[s, B + b] * n_actions) if explores else best[s, b]


def with_seed_axis(observation: npt.ArrayLike, n_seeds: int, spaces: Spaces) -> Floats:
    """Observations given to `predict`, as [S, B, D].

    An agent of one seed takes SB3's shapes, one observation (*obs,) or a batch (B, *obs). An agent of several
    takes the same with a leading S.

    Raises:
        ValueError: If the shape is another.
    """
    obs = np.asarray(observation, np.float32)
    single = (() if n_seeds == 1 else (n_seeds,)) + spaces.obs_shape
    split = len(single) - len(spaces.obs_shape)
    without_batch = obs.shape if obs.ndim == len(single) else obs.shape[:split] + obs.shape[split + 1 :]
    if without_batch != single:
        batch = (*single[:split], "B", *single[split:])
        raise ValueError(f"observation must have shape {single} or {batch}, got {obs.shape}")
    return obs.reshape(n_seeds, -1, spaces.obs_size)
