"""What every agent of S seeds shares: the interface of Stable-Baselines3, the loop around its steps, its files.

An algorithm is one file with a subclass that says what it is made of (`_build`), how it takes a step
(`_advance`), how it acts (`_greedy`), and what it has learnt (`_arrays`).

Axis letters: S seeds, N envs per seed, B batch, D observation.
"""

import copy
import dataclasses
import math
import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple, Self

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import torch
from gymnasium.vector import VectorEnv

from agents.base import copies, saving
from agents.base.evaluation import evaluate
from agents.base.facade import Facade
from agents.base.loggers import Logger
from agents.base.meaning import Meaning, check_meaning, meaning_of
from agents.base.reporting import Reporter
from agents.common import checkpoints
from agents.common.checks import check_flag, check_int, check_seeds
from agents.common.facts import check_arrays, check_facts, check_keys, check_room, check_spaces, short
from agents.common.state import State, get_attributes, set_attributes
from agents.common.streams import generator
from agents.envs.seed_envs import EnvLike, Floats, SeedEnvs, Spaces, as_source, make_envs
from agents.nn.extractors import Extractor, Features, check_extractor

MOST_THREADS = 128  # more where there are more cores
Actions = npt.NDArray[Any]  # ints for Discrete actions, floats for a Box
Callback = Callable[[Any], bool | np.bool_ | None]
"""Called with the agent after each step of its envs; returning False ends training."""
Callbacks = Callback | Sequence[Callback] | None
"""One callback, or several, of which each is called and each can end training."""


class Preset(NamedTuple):
    """What solves an env."""

    total_timesteps: int
    """Per seed."""
    config: Any
    """The hyperparameters."""
    n_envs: int = 1
    """Envs per seed."""


class SeedAgent(Facade, ABC):
    """S agents that differ by their seed alone, trained in one pass. With S = 1 it is an ordinary agent.

    Args:
        env: An id, an `EnvSpec`, a function that returns a new env, or an env with a spec, which is copied.
        seeds: n for 0..n-1, or a sequence of ints. Each seed is an independent run.
        n_envs: Envs per seed.
        device: "auto" (CUDA if there is one), "cpu", "cuda", ...
        verbose: 1 prints a line at each report.
        tensorboard_log: Folder for TensorBoard, one run per seed.
        threads: Torch's threads while it learns; None leaves torch's own setting. More than one pays only on idle
            cores: on busy ones they wait for each other.
        features_extractor: What networks see in place of an observation, see `agents.nn.extractors`; buffers keep the
            observation itself.
        hyperparameters: See the algorithm's configuration.

    Attributes:
        config: The hyperparameters.
        seeds: The seeds.
        spaces: The spaces of the env.
        features: The features extractor, if there is one.
        num_timesteps: Steps taken per seed.
        n_updates: Updates of the networks.
        exploration_rate: The present probability of a random action.
        total_timesteps: What `learn` was asked for last.
        goal: `num_timesteps` at which that ends.
        meaning: What the env says that its observations and actions mean, if it does.
    """

    Config: ClassVar[type[Any]]
    takes_box_actions: ClassVar[bool] = False
    takes_features: ClassVar[bool] = False
    envs_type: ClassVar[type[SeedEnvs]] = SeedEnvs
    _counters: ClassVar[tuple[str, ...]] = ("num_timesteps", "n_updates", "exploration_rate")
    _memory: ClassVar[tuple[str, ...]] = ()  # of each algorithm: what training goes on from, beside what was learnt
    _reported: ClassVar[tuple[str, ...]] = ()  # of each algorithm: what `_metrics` tells of the last update

    def __init__(
        self,
        env: EnvLike,
        *,
        seeds: int | Sequence[int] = 1,
        n_envs: int = 1,
        device: str | torch.device = "auto",
        verbose: int = 0,
        tensorboard_log: str | os.PathLike[str] | None = None,
        threads: int | None = 1,
        features_extractor: Extractor | None = None,
        **hyperparameters: Any,
    ) -> None:
        config, checked, n_envs = self.Config(**hyperparameters), check_seeds(seeds), check_int("n_envs", n_envs, 1)
        envs = make_envs(env, checked, n_envs, kind=self._training_envs(config))
        self._set_up(config, checked, n_envs, envs.spaces, as_device(device), env, features_extractor)
        self._envs: SeedEnvs | None = envs
        self.meaning: Meaning | None = meaning_of(envs.vector_env)
        self._set_shown(verbose, tensorboard_log, threads)

    def _set_up(
        self,
        config: Any,
        seeds: tuple[int, ...],
        n_envs: int,
        spaces: Spaces,
        device: torch.device,
        env: EnvLike | None,
        features_extractor: Extractor | None,
    ) -> None:
        """All that an agent is before its first step; its envs are made when first needed."""
        if spaces.continuous and not self.takes_box_actions:
            raise ValueError(f"action_space must be Discrete for {type(self).__name__}, got a Box {spaces}")
        if features_extractor is not None and not self.takes_features:
            raise ValueError(f"features_extractor must be None for {type(self).__name__}, got {features_extractor!r}")
        self.features = None if features_extractor is None else Features(features_extractor, device)
        self.config, self.seeds, self.n_envs, self.spaces, self.device = config, seeds, n_envs, spaces, device
        self._set_shown(0, None, 1)
        self.num_timesteps = self.n_updates = 0
        self.exploration_rate = 0.0
        self.total_timesteps = self.goal = 0
        self._env, self._envs = env, None
        self._check_env = True
        self._episodes: State | None = None  # what a file says of the envs, until they are made
        self._obs: Floats | None = None  # [S, N, D], what to act on next
        self._predicting = [generator(seed, "predict") for seed in seeds]
        self._logger: Any = Logger()
        self._build()
        self._names = frozenset(vars(self))  # what a copy makes for itself
        self.meaning = None

    def _set_shown(self, verbose: int, tensorboard_log: str | os.PathLike[str] | None, threads: int | None) -> None:
        """What does not change what is learnt."""
        self.verbose = check_int("verbose", verbose, 0)
        if not isinstance(tensorboard_log, str | os.PathLike | None):
            raise TypeError(f"tensorboard_log must be a folder or None, got {tensorboard_log!r}")
        self.tensorboard_log = tensorboard_log
        self.threads = None if threads is None else check_threads(threads)

    @classmethod
    def _training_envs(cls, config: Any) -> type[SeedEnvs]:
        """How it sees the envs in which it learns."""
        return cls.envs_type

    @property
    def observation_space(self) -> gym.Space[Any]:
        """Of a single env; ValueError if it was loaded without one."""
        return self._connected().vector_env.single_observation_space

    @property
    def action_space(self) -> gym.Space[Any]:
        """Of a single env; ValueError if it was loaded without one."""
        return self._connected().vector_env.single_action_space

    def get_env(self) -> VectorEnv[Any, Any, Any] | None:
        """The vector env of all seeds in which it learns, S * N sub-envs; None before there is one."""
        return None if self._envs is None else self._envs.vector_env

    @property
    def input_size(self) -> int:
        """How many numbers networks see of an observation."""
        return self.spaces.obs_size if self.features is None else self.features.dim

    @abstractmethod
    def _build(self) -> None:
        """Makes networks, buffers and streams, once the attributes above are set."""

    @abstractmethod
    def _begin(self, total_timesteps: int) -> None:
        """Prepares for that many more steps per seed, `num_timesteps` being set."""

    def _whole(self, total_timesteps: int) -> int:
        """How many steps to take when asked for so many."""
        return total_timesteps

    @abstractmethod
    def _advance(self, envs: SeedEnvs, obs: Floats, goal: int) -> Floats:
        """Acts on obs [S, N, D] for a step or more, counts them, learns; returns the obs to act on next."""

    def _cut(self, obs: Floats) -> None:
        """Prepares for new episodes in place of the running ones, which would have gone on with obs [S, N, D]."""

    def _break_off(self, obs: Floats) -> None:
        """Gives up the running episodes, and what else a step that an error ended leaves half done."""
        self._obs = self._episodes = None
        self._cut(obs)

    @abstractmethod
    def _metrics(self) -> dict[str, Any]:
        """What to report: SB3's key -> a number, or one per seed [S]."""

    @abstractmethod
    def _greedy(self, obs: Floats) -> Actions:
        """The best known actions for obs [S, B, D]: [S, B] counted from 0, or a Box's [S, B, *action_shape]."""

    def _sampled(self, obs: Floats) -> Actions:
        """Actions like `_greedy`'s as chance has it: random ones at the present exploration rate."""
        drawn = np.stack([stream.random((2, obs.shape[1])) for stream in self._predicting])  # [S, 2, B]
        random = (drawn[:, 1] * self.spaces.n_actions).astype(np.int64)
        return np.where(drawn[:, 0] < self.exploration_rate, random, self._greedy(obs))

    @abstractmethod
    def _arrays(self) -> dict[str, torch.Tensor]:
        """Everything learnt, by name: arrays [S, ...] that share memory with the agent."""

    # Training

    def learn(
        self,
        total_timesteps: int,
        callback: Callbacks = None,
        progress_bar: bool = False,
        reset_num_timesteps: bool = True,
        log_interval: int = 1_000,
    ) -> Self:
        """Trains every seed for `total_timesteps` and returns the agent.

        Args:
            total_timesteps: Steps per seed; with N envs per seed rounded up to a multiple of N, and to whole rollouts
                where an algorithm learns from these.
            callback: Called with the agent after each step of its envs; returning False ends training. A list or a
                tuple of such functions will do as well: all are called, and any can end training.
            progress_bar: Whether to show one.
            reset_num_timesteps: Whether to begin at step 0 with new episodes; if not, everything goes on.
                What was learnt stays in any case.
            log_interval: Timesteps between reports, for `verbose` and TensorBoard; the end of training has one too.
        """
        callbacks = as_callbacks(callback)
        log_interval = check_int("log_interval", log_interval, 1)
        self.total_timesteps = total_timesteps = check_int("total_timesteps", total_timesteps, 1)
        envs = self._connected()
        with during_training(callbacks):
            if reset_num_timesteps:
                self.num_timesteps = 0
                self._obs = self._episodes = None
            obs = self._next_obs(envs)  # [S, N, D]
            self._begin(total_timesteps)
            self._obs = obs
            self.goal = self.num_timesteps + self._whole(total_timesteps)
            return self._run(envs, callbacks, progress_bar, log_interval)

    def resume(self, callback: Callbacks = None, progress_bar: bool = False, log_interval: int = 1_000) -> Self:
        """Goes on with a run of `learn` that ended early, towards its goal and on its schedules; returns the agent.

        An agent that was written by `save(path, training=True)` and loaded ends with the same weights as if it had
        never stopped, where its env can give its state: TradingEnv, Gymnasium's toy-text envs, and every env with
        `get_state()` and `set_state(state)`. In others the running episodes start anew, and a warning says so.

        Args:
            callback: As in `learn`.
            progress_bar: As in `learn`.
            log_interval: As in `learn`.

        Raises:
            ValueError: If there is no run to go on with: `learn` was never called, or `load` found what was learnt
                and nothing else.
        """
        if self.goal == 0:
            raise ValueError("there is no run to resume: save(path, training=True) writes one, learn begins one")
        log_interval = check_int("log_interval", log_interval, 1)
        callbacks = as_callbacks(callback)
        envs = self._connected()
        if self.num_timesteps >= self.goal:
            return self
        with during_training(callbacks):
            self._obs = self._next_obs(envs)
            return self._run(envs, callbacks, progress_bar, log_interval)

    def _run(self, envs: SeedEnvs, callbacks: Sequence[Callback], progress_bar: bool, log_interval: int) -> Self:
        """Steps from `num_timesteps` to `goal`."""
        bar = max(self.goal - self.num_timesteps, 0) if progress_bar else None
        shown = (self.verbose, self.tensorboard_log, bar, self.num_timesteps)
        reporter = Reporter(type(self).__name__, self.seeds, envs, *shown, self._logger)
        with reporter, torch_threads(self.threads):
            next_report = self.num_timesteps + log_interval
            while self.num_timesteps < self.goal:
                before = self.num_timesteps
                assert self._obs is not None
                try:
                    self._obs = self._advance(envs, self._obs, self.goal)
                except BaseException:  # Ctrl-C among them: who goes on later must not go on from half a step
                    self._break_off(self._obs)
                    raise
                reporter.tick(self.num_timesteps - before)
                answers = [callback(self) for callback in callbacks]  # all are called
                if reporter.active and self.num_timesteps >= next_report:
                    reporter.report(self.num_timesteps, self._metrics())
                    next_report += log_interval
                if any(isinstance(answer, bool | np.bool_) and not answer for answer in answers):
                    break
            if reporter.active:
                reporter.report(self.num_timesteps, self._metrics())
        return self

    def _next_obs(self, envs: SeedEnvs) -> Floats:
        """What to act on next, [S, N, D]: where the running episodes stand, or the start of new ones."""
        if self._obs is not None and self._episodes is not None:
            gone_on = envs.set_state(self._episodes)
            self._episodes = None
            if not gone_on:
                warnings.warn("the env cannot give its state: the running episodes start anew", stacklevel=3)
                self._cut(self._obs)
                self._obs = None
        return envs.reset() if self._obs is None else self._obs

    def _connected(self) -> SeedEnvs:
        """The envs, made if there are none yet."""
        if self._envs is None:
            if self._env is None:
                raise ValueError("this agent has no env to learn in: pass one, load(path, env=...)")
            envs = make_envs(self._env, self.seeds, self.n_envs, kind=self._training_envs(self.config))
            if envs.spaces != self.spaces:
                raise ValueError(f"env has {envs.spaces}, but the agent was made for {self.spaces}")
            present = meaning_of(envs.vector_env)
            if self._check_env:
                check_meaning(self.meaning, present)
            else:
                self.meaning, self._check_env = present, True
            self._envs = envs
        return self._envs

    # Use

    def predict(
        self,
        observation: npt.ArrayLike,
        state: tuple[npt.NDArray[Any], ...] | None = None,
        episode_start: npt.NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[Actions, tuple[npt.NDArray[Any], ...] | None]:
        """Greedy actions, or ones as chance has it in training, and `state` as it came.

        Args:
            observation: One observation or a batch of them; for several seeds one, or one batch, for each,
                with a leading S.
            state: Passed through: there is no memory.
            episode_start: Not used.
            deterministic: Whether never to explore.

        Returns:
            Actions of shape () or (B,), for several seeds (S,) or (S, B), each with a Box's shape behind it.
        """
        obs = with_seed_axis(observation, len(self.seeds), self.spaces)  # [S, B, D]
        action = self._greedy(obs) if deterministic else self._sampled(obs)  # [S, B, *action_shape]
        lead = np.shape(observation)[: np.ndim(observation) - len(self.spaces.obs_shape)]
        shaped = self.spaces.to_env(action).reshape((*lead, *self.spaces.action_shape))
        return shaped[()], state  # a single Discrete action as a scalar, which can be a key of a dict

    def __len__(self) -> int:
        """S, the number of seeds."""
        return len(self.seeds)

    def __getitem__(self, s: int) -> Self:
        """Seed number s of 0..S-1 as an agent of its own: a copy of what it has learnt, without its memory."""
        row = range(len(self.seeds))[s]
        agent = self._like((self.seeds[row],))
        arrays = {name: array[row : row + 1] for name, array in self._arrays().items()}
        saving.restore(agent, arrays, saving.facts_of(self))
        agent.meaning = self.meaning
        return agent

    def _like(self, seeds: tuple[int, ...]) -> Self:
        """An agent made the same way for these seeds, which has learnt nothing."""
        agent = type(self).__new__(type(self))
        shared = (self.n_envs, self.spaces, self.device, self._env, self.features and self.features.extractor)
        agent._set_up(self.config, seeds, *shared)
        return agent

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A copy with its own envs, which goes on as this agent would; see `agents.base.copies`."""
        twin: Self = copies.deepcopied(self, memo)
        return twin

    def __copy__(self) -> Self:
        """The same: a copy that shared networks would learn what the other one acts by."""
        return copy.deepcopy(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """What pickle and cloudpickle write."""
        return copies.reduced(self)

    def __setstate__(self, state: State) -> None:
        copies.take_up(self, state)

    def best_on(
        self,
        validation_env: EnvLike,
        episodes: int = 20,
        max_steps: int | None = 10_000,
        check_env: bool = True,
    ) -> Self:
        """The seed with the highest mean return of greedy episodes in another env, as an agent of its own.

        Of equal seeds it is the first. The choice fits the validation env, so what the agent earns there is no
        measure of it: that takes a third env.

        Args:
            validation_env: As `env` of the agent.
            episodes: Episodes of each seed; where all are alike, as with one start and no chance, 1 will do.
            max_steps: As in `agents.base.evaluation.evaluate`.
            check_env: See there.
        """
        returns = evaluate(self, validation_env, episodes, max_steps=max_steps, check_env=check_env)  # [S, N]
        return self[int(returns.mean(1).argmax())]

    # Files

    def save(self, path: str | os.PathLike[str], training: bool = False) -> None:
        """Writes what was learnt and the hyperparameters; ".safetensors" is added if there is no suffix.

        A hyperparameter that is a function is not written.

        Args:
            path: The file. It is replaced once the new one is complete.
            training: Whether to write also all that `resume` takes: replay memory and other buffers, random streams,
                running episodes.
        """
        saving.write(self, path, training)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        env: EnvLike | None = None,
        device: str | torch.device = "auto",
        features_extractor: Extractor | None = None,
        *,
        verbose: int = 0,
        tensorboard_log: str | os.PathLike[str] | None = None,
        threads: int | None = 1,
        check_env: bool = True,
        **changes: Any,
    ) -> Self:
        """The agent that `save` wrote, with all that the file holds; `resume` goes on with its training.

        Args:
            path: The file.
            env: What to go on learning in; not needed to predict.
            device: Where to put it.
            features_extractor: As the agent was made with: no file holds it.
            verbose: As the constructor has it, like the two that follow.
            tensorboard_log: See there.
            threads: See there.
            check_env: Whether to refuse an env that says that its observations or actions mean something else than
                those that the agent learnt with, as TradingEnv does of its features, scaler, window and actions.
            changes: Hyperparameters to change, but none that shapes a network, or a buffer that the file holds.

        Raises:
            FileNotFoundError: If there is no such file.
            TypeError: If there is no such hyperparameter, or `env` is none.
            ValueError: If it is corrupt, another program's, or another algorithm's, or if its agent had a features
                extractor and none is given, or had none, or another; or if the env's observations or actions mean
                something else than those that it learnt with.
        """
        check_flag("check_env", check_env)
        arrays, facts = checkpoints.read(path)
        if facts.get("algorithm") != cls.__name__:
            raise ValueError(f"{path} holds {short(facts.get('algorithm'))}, not {cls.__name__}, as its algorithm")
        whole = f"{path} does not hold a whole {cls.__name__}"
        with saving.naming(whole):
            check_facts(facts, cls.Config, cls._counters)
        kept = facts["config"].get("buffer_size") if "training" in facts else None
        if kept is not None and changes.get("buffer_size", kept) != kept:
            raise ValueError(f"{path} holds a memory with buffer_size={kept}, it cannot be {changes['buffer_size']}")
        check_extractor(features_extractor, facts.get("features_dim"))
        if env is not None:
            as_source(env)
        agent = cls.__new__(cls)
        with saving.naming(f"{whole}: config"):
            config = cls.Config(**saving.with_functions(facts["config"]))
        config, asked = cls._changed(config, changes), "".join(f", {name}={changes[name]!r}" for name in changes)
        with saving.naming(f"{whole}{asked}"):
            spaces = cls._checked_spaces(config, facts, arrays)
            shared = (facts["n_envs"], spaces, as_device(device), env, features_extractor)
            agent._set_up(config, check_seeds(facts["seeds"]), *shared)
            saving.restore(agent, arrays, facts)
        agent._set_shown(verbose, tensorboard_log, threads)
        agent.meaning, agent._check_env = facts.get("meaning"), check_env
        if env is not None and agent.meaning is not None:
            agent._connected()  # another kind of env is refused here, and not when training begins
        return agent

    @classmethod
    def _checked_spaces(cls, config: Any, facts: dict[str, Any], arrays: dict[str, torch.Tensor]) -> Spaces:
        """The spaces that a file tells of, once all that shapes networks and buffers is known to fit its arrays."""
        kind, S = cls.envs_type.spaces_type, len(facts["seeds"])
        check_keys("spaces", facts["spaces"], [field.name for field in dataclasses.fields(kind)])
        spaces = kind.from_facts(facts["spaces"])
        check_spaces(spaces)
        inputs = spaces.obs_size if facts["features_dim"] is None else facts["features_dim"]
        check_arrays(arrays, S, cls._weight_shapes(config, spaces, inputs))
        check_room(config, S, facts["n_envs"], spaces.obs_size + math.prod(spaces.action_shape) + 3)
        return spaces

    @classmethod
    def _weight_shapes(cls, config: Any, spaces: Any, inputs: int) -> Iterator[tuple[int, ...]]:
        """Shapes of arrays that a file of such an agent must hold: those of its policy's, or value's, network."""
        outputs = spaces.n_actions or math.prod(spaces.action_shape)
        critic = bool(getattr(config, "shared_network", False))  # one output more
        return pairwise((inputs, *config.net_arch, outputs + critic))

    @classmethod
    def _changed(cls, config: Any, changes: dict[str, Any]) -> Any:
        """The configuration with other hyperparameters; TypeError if there is one that it has not."""
        known = [field.name for field in dataclasses.fields(cls.Config)]
        unknown = [name for name in changes if name not in known]
        if unknown:
            raise TypeError(f"{', '.join(unknown)}: no hyperparameter of {cls.__name__}, which has {', '.join(known)}")
        return dataclasses.replace(config, **changes)

    def _get_memory(self) -> State:
        if "_memory" not in vars(type(self)):  # inherited, it might leave something out
            raise NotImplementedError(f"{type(self).__name__} does not say what its training goes on from")
        return get_attributes(self, self._memory)

    def _set_memory(self, memory: State) -> None:
        set_attributes(self, self._memory, memory)


def as_callbacks(callback: Callbacks) -> tuple[Callback, ...]:
    """The callbacks meant: none, one, or several.

    Raises:
        TypeError: If one cannot be called, as Stable-Baselines3's cannot.
    """
    given = () if callback is None else tuple(callback) if isinstance(callback, list | tuple) else (callback,)
    for one in given:
        if not callable(one) or isinstance(one, type):
            raise TypeError(f"callback must be a function of the agent, or a list of such functions, got {one!r}")
    return given


@contextmanager
def during_training(callbacks: Sequence[Callback]) -> Iterator[None]:
    """Lets each callback that has `during_training()` hold what it needs, a file to itself say, while training runs."""
    with ExitStack() as stack:
        for callback in callbacks:
            if hasattr(callback, "during_training"):
                stack.enter_context(callback.during_training())
        yield


def with_seed_axis(observation: npt.ArrayLike, n_seeds: int, spaces: Spaces) -> Floats:
    """Observations given to `predict` as [S, B, D].

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


@contextmanager
def torch_threads(number: int | None) -> Iterator[None]:
    """Lets torch use that many threads for a while; None changes nothing."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_threads(threads: int) -> int:
    """`threads` as an int; ValueError if there are more than a machine could start, which would end the program."""
    number, most = check_int("threads", threads, 1), max(MOST_THREADS, os.cpu_count() or 1)
    if number > most:
        raise ValueError(f"threads must be at most {most} here, got {number}")
    return number


def as_device(device: str | torch.device) -> torch.device:
    """The device named; "auto" is CUDA where there is one, else the CPU."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not isinstance(device, str | torch.device):
        raise TypeError(f"device must be a name or a torch.device, got {device!r}")
    try:
        named = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device must be auto, cpu, cuda or another that torch knows, got {device!r}") from error
    if named.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device must be one of this machine, which has no CUDA, got {device!r}")
    return named
