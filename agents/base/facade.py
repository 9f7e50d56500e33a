"""The interface of Stable-Baselines3's models beside learning and predicting, as far as it makes sense with seeds.

Hyperparameters are read-only attributes (`agent.gamma`): networks, buffers and streams were made from them. Attributes
that make no sense here raise an AttributeError that names the alternative.

Axis letters: S seeds.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv

from agents.base.env_config import check_fits, env_config_of
from agents.base.evaluation import one_of
from agents.base.learner import Learner
from agents.base.loop import Loop
from agents.base.reports.loggers import check_logger
from agents.common import checkpoints
from agents.common.checks import check_flag, check_seeds
from agents.common.state import DAMAGE
from agents.common.streams import Streams
from agents.envs.seed_envs import EnvLike, make_envs

Parameters = dict[str, dict[str, torch.Tensor]]
_OWN = ("optimizer",)  # hyperparameters whose names are attributes already
_INSTEAD = {
    "save_replay_buffer": "it has no replay buffer; save(path, training=True) writes what training goes on from",
    "load_replay_buffer": "it has no replay buffer; load(path) takes up what save(path, training=True) wrote",
    "replay_buffer": "it has no replay buffer",
    "rollout_buffer": "a rollout is forgotten once it is learnt from",
    "lr_schedule": "learning_rate is the number or the function",
    "policy_class": "networks are made by net_arch, lstm_size or network",
    "policy_kwargs": "networks are made by net_arch, lstm_size or network",
    "policy_aliases": "networks are made by net_arch, lstm_size or network",
    "get_vec_normalize_env": "there is no VecNormalize; normalize_obs of A2C and PPO and normalize_reward do the same",
    "ep_info_buffer": "the last episodes' returns are reported as rollout/ep_rew_mean, one per seed",
    "ep_success_buffer": "successes are not counted",
    "action_noise": "exploration is the algorithm's own",
    "use_sde": "there is no state-dependent exploration",
    "seed": "there are several: see seeds",
    "collect_rollouts": "learn(total_timesteps, callback) takes the steps",
    "train": "learn(total_timesteps) trains",
}


class Policy:
    """The policy of an agent, as Stable-Baselines3's `model.policy`: it acts, and holds the networks' weights."""

    def __init__(self, agent: "Facade") -> None:
        self._agent = agent
        self.device = agent.device

    @property
    def observation_space(self) -> gym.Space[Any]:
        """The space of a single env."""
        return self._agent.observation_space

    @property
    def action_space(self) -> gym.Space[Any]:
        """The space of a single env."""
        return self._agent.action_space

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> Any:
        """Actions, as `predict` of the agent."""
        return self._agent.predict(observation, state, episode_start, deterministic)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Copies of the networks' arrays by name, [S, ...] each."""
        return self._agent.get_parameters()["policy"]

    def load_state_dict(self, state_dict: Mapping[str, torch.Tensor], strict: bool = True) -> None:
        """Sets such arrays; all of them, if strict. Raises as `set_parameters`."""
        own = self._agent.get_parameters()
        self._agent.set_parameters({**own, "policy": dict(state_dict)}, exact_match=strict)

    def parameters(self) -> Iterator[torch.Tensor]:
        """Copies of the networks' arrays, [S, ...] each."""
        return iter(self.state_dict().values())

    def set_training_mode(self, mode: bool) -> None:
        """Changes nothing: networks here act the same in training."""


class Facade(Loop):
    """A learner with the methods and attributes of Stable-Baselines3's models."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        config = vars(cls).get("Config")
        if config is None or not dataclasses.is_dataclass(config):
            return
        for field in dataclasses.fields(config):
            if field.name not in _OWN and not hasattr(cls, field.name):
                setattr(cls, field.name, _hyperparameter(field.name))

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Raises AttributeError; called only for attributes that do not exist."""
            kind = type(self).__name__
            instead = f": {_INSTEAD[name]}" if name in _INSTEAD else ""
            raise AttributeError(f"{kind!r} object has no attribute {name!r}{instead}", name=name, obj=self)

    @property
    def env(self) -> VectorEnv[Any, Any, Any] | None:
        """The vector env of all seeds in which it learns, S * N sub-envs, as `get_env()`; see `set_env`."""
        return self.get_env()

    def set_env(self, env: EnvLike, force_reset: bool = True, check_env: bool = True) -> None:
        """Replaces the env by another one with the same spaces, of which every seed gets N copies.

        Running episodes are abandoned. A features extractor with `look_at(env)` looks at the new one.

        Args:
            env: As the constructor's.
            force_reset: Must be True: an agent cannot go on with the episodes of another env.
            check_env: Whether to refuse an env whose observations or actions have another meaning than those that the
                agent learnt with; see `load`.

        Raises:
            TypeError: If `env` is not an env.
            ValueError: If its spaces or their meaning are others, or `force_reset` is False; then nothing is changed.

        Warns:
            UserWarning: If the env has other costs or another fill.
        """
        if force_reset is not True:
            raise ValueError(f"force_reset must be True: a new env begins new episodes, got {force_reset!r}")
        check_flag("check_env", check_env)
        envs = make_envs(env, self.seeds, self.n_envs, kind=self._training_envs(self.config))
        try:
            check_fits(envs, self.spaces, self.env_config if check_env else None, warn=1)
        except ValueError:
            envs.vector_env.close()
            raise
        if self.features is not None:
            self.features.look_at(one_of(envs))
        if self._obs is not None:
            self._break_off(self._obs)
        self._env, self._envs, self._episodes = env, envs, None
        self.env_config = self.env_config if check_env else env_config_of(envs.vector_env)

    @property
    def policy(self) -> Policy:
        """The policy of all seeds."""
        return Policy(self)

    @property
    def logger(self) -> Any:
        """Records values for the next report: `agent.logger.record("my/key", number or one per seed)`."""
        return self._logger

    def set_logger(self, logger: Any) -> None:
        """Sends reports to another logger too, whatever `verbose` and `tensorboard_log` are.

        With several seeds a key has the mean over them, and `seed_3/key` is seed 3's.

        Args:
            logger: Has `record(key, value)` and `dump(step)`, as those of `stable_baselines3.common.logger.configure`.
        """
        self._logger = check_logger(logger)

    def get_parameters(self) -> Parameters:
        """Copies of everything learnt, [S, ...] each.

        Networks and tables are under "policy", and the state of the optimiser, if there is one, under
        "policy.optimizer".
        """
        found: Parameters = {"policy": {}}
        for name, array in self.state_dict().items():
            part, _, inner = name.partition(".")
            where, key = ("policy.optimizer", inner) if part == "optimizer" else ("policy", name)
            found.setdefault(where, {})[key] = array.detach().clone()
        return found

    def set_parameters(self, load_path_or_dict: Any, exact_match: bool = True, device: Any = "auto") -> None:
        """Sets parameters that `get_parameters` returned, or those in a file of `save`.

        Args:
            load_path_or_dict: Arrays of S seeds by part and name, or a path.
            exact_match: Whether all must be there; if not, missing ones keep their values.
            device: Not used: arrays go where the agent is.

        Raises:
            KeyError: If a name is unknown, or missing though `exact_match`.
            ValueError: If an array has another shape, or a number that is not finite. In all cases nothing is changed.
        """
        given = load_path_or_dict
        arrays = _flat(given) if isinstance(given, Mapping) else _learnt_in(given)
        own = self.state_dict()
        unknown, missing = sorted(arrays.keys() - own.keys()), sorted(own.keys() - arrays.keys())
        if unknown or (missing and exact_match):
            raise KeyError(f"parameters must be those of get_parameters(): unknown {unknown}, missing {missing}")
        for name, array in arrays.items():
            if array.shape != own[name].shape:
                expected, shape = tuple(own[name].shape), tuple(array.shape)
                raise ValueError(f"parameters of {name} must have shape {expected}, got {shape}")
            if not torch.isfinite(array).all():
                raise ValueError(f"parameters of {name} must be finite, got {array[~torch.isfinite(array)]}")
        for name, array in arrays.items():
            own[name].copy_(array)

    def set_random_seed(self, seed: int | Sequence[int] | None = None) -> None:
        """Restarts all random streams from other seeds, those of the env at its next reset; weights are kept.

        Args:
            seed: One int for an agent of one seed, S for one of S; None changes nothing.

        Raises:
            TypeError: If a seed is not an int.
            ValueError: If there are not S different ones.
        """
        if seed is None:
            return
        seeds = check_seeds([seed] if isinstance(seed, int | np.integer) else seed)
        if len(seeds) != len(self.seeds):
            raise ValueError(f"seed must be {len(self.seeds)} ints, one for each seed of the agent, got {seed!r}")
        twin = self.like(seeds)
        for name, value in vars(twin).items():
            if _draws(value):
                setattr(self, name, value)
        self.seeds = seeds
        if self._envs is not None:
            self._envs.reseed(seeds)


class ReplayFiles(Learner):
    """A learner whose replay memory, `replay`, can be written to a file of its own: safetensors and JSON, no pickle."""

    replay: Any
    priorities: Any = None

    @property
    def replay_buffer(self) -> Any:
        """The replay memory of all seeds."""
        self.collect()
        return self.replay

    def save_replay_buffer(self, path: Any) -> None:
        """Writes the replay memory of all seeds; ".safetensors" is added if there is no suffix."""
        arrays: dict[str, torch.Tensor] = {}
        parts = {name: part.get_state() for name, part in self._memories().items()}
        facts = {"replay_buffer_of": type(self).__name__, "parts": checkpoints.pack(parts, arrays, "replay_buffer")}
        checkpoints.write(path, arrays, facts)

    def load_replay_buffer(self, path: Any, truncate_last_traj: bool = True) -> None:
        """Replaces the memory by one that `save_replay_buffer` wrote; running episodes are abandoned.

        Args:
            path: The file.
            truncate_last_traj: Must be True: no env goes on with the episodes of a file.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is corrupt, another algorithm's, or does not fit the agent.
        """
        if truncate_last_traj is not True:
            raise ValueError(
                f"truncate_last_traj must be True: episodes of a file are over, got {truncate_last_traj!r}"
            )
        arrays, facts = checkpoints.read(path)
        if facts.get("replay_buffer_of") != type(self).__name__:
            raise ValueError(f"{path} must hold a replay buffer of {type(self).__name__}, got {sorted(facts)}")
        memories = self._memories()
        try:
            parts = checkpoints.unpack(facts["parts"], arrays)
            if parts.keys() != memories.keys():
                raise ValueError(f"it holds {sorted(parts)}, not {sorted(memories)}")
            for name, part in memories.items():
                part.set_state(parts[name])
        except (*DAMAGE, ValueError) as error:
            raise ValueError(f"{path} does not hold a replay buffer for this agent: {error}") from error
        self._break_off(np.zeros(0, np.float32) if self._obs is None else self._obs)

    def _memories(self) -> dict[str, Any]:
        self.collect()
        return {"replay": self.replay} | ({} if self.priorities is None else {"priorities": self.priorities})


def _hyperparameter(name: str) -> property:
    """A hyperparameter as a read-only attribute."""

    def get(self: Facade) -> Any:
        return getattr(self.config, name)

    def refuse(self: Facade, value: Any) -> None:
        raise AttributeError(f"{name} is fixed when the agent is made: {name}={value!r} goes to it or to load(path)")

    return property(get, refuse, doc=f"The hyperparameter {name}.")


def _draws(value: Any) -> bool:
    """True for random streams."""
    generators = isinstance(value, list) and bool(value) and isinstance(value[0], np.random.Generator)
    return generators or isinstance(value, Streams)


def _flat(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, torch.Tensor]:
    """The arrays of `get_parameters` by their names in a file."""
    flat = {}
    for part, named in parts.items():
        if not isinstance(named, Mapping):
            raise TypeError(f"parameters must be dicts of arrays by part, got {part}: {type(named).__name__}")
        for name, array in named.items():
            flat[f"optimizer.{name}" if part == "policy.optimizer" else name] = torch.as_tensor(array)
    return flat


def _learnt_in(path: Any) -> dict[str, torch.Tensor]:
    """The weights in a file of `save`."""
    arrays, _ = checkpoints.read(path)
    return {name: array for name, array in arrays.items() if not name.startswith("training.")}
