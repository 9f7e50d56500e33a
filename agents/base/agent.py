"""The base class of all agents: the constructor, and seeds as agents of their own.

Its parts are the bases: `learner` has what an algorithm writes, `loop` the training, `facade` the rest of
Stable-Baselines3's interface, `saving` the files, `copies` what `copy` and `pickle` ask for.

Axis letters: S seeds, N envs per seed, B batch, D observation.
"""

import os
from collections.abc import Sequence
from inspect import Signature
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import torch
from gymnasium.vector import VectorEnv

from agents.base.copies import Copied
from agents.base.described import docstring_of, signature_of, summary
from agents.base.env_config import check_fits, env_config_of, single_envs
from agents.base.evaluation import evaluate
from agents.base.facade import Facade
from agents.base.keywords import check_arguments
from agents.base.learner import Setup
from agents.base.saving import Saved, facts_of, restore
from agents.common.checks import check_int, check_seeds
from agents.common.devices import as_device
from agents.envs.seed_envs import EnvLike, make_envs
from agents.nn.extractors import Extractor
from agents.nn.named import as_function
from agents.nn.networks import Build


class Preset(NamedTuple):
    """Settings that solve an env."""

    total_timesteps: int
    """Per seed."""
    config: Any
    """The hyperparameters."""
    n_envs: int = 1
    """Envs per seed."""


class SeedAgent(Facade, Saved, Copied):
    """S agents that differ only in their seed, trained in one pass. With S = 1 it is an ordinary agent.

    Args:
        env: An id, an `EnvSpec`, a function that returns a new env, or an env with a spec, which is copied.
        seeds: n for 0..n-1, or a sequence of ints. Each seed is an independent run.
        n_envs: Envs per seed.
        device: "auto" (CUDA if there is any), "cpu", "cuda", ...
        verbose: 1 prints a line at each report.
        tensorboard_log: Folder for TensorBoard, one run per seed.
        threads: Threads of torch and BLAS while it learns; None leaves their own settings. More than one pays only on
            idle cores: on busy ones they wait for each other.
        features_extractor: Maps observations to the inputs of the networks, see `agents.nn.extractors`; buffers keep
            the observation itself.
        network: Makes the network of a seed, a function (obs_size, n_out) -> torch.nn.Module or its "module:name", in
            place of the perceptron of `net_arch`; see `agents.nn.networks`.
        hyperparameters: See the algorithm's configuration.

    Attributes:
        config: The hyperparameters.
        seeds: The seeds.
        spaces: The spaces of the env.
        features: The features extractor, if there is one.
        network: The function that makes the networks, if there is one.
        num_timesteps: Steps taken per seed.
        n_updates: Updates of the networks.
        exploration_rate: The current probability of a random action.
        total_timesteps: The argument of the last call of `learn`.
        goal: `num_timesteps` at which that call ends.
        env_config: The configuration that the env declares, if it does; see `agents.base.env_config`.
    """

    __signature__: ClassVar[Signature]

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        config = getattr(cls, "Config", None)
        if isinstance(config, type) and not {"Config", "__init__"}.isdisjoint(vars(cls)):
            cls.__signature__ = signature_of(cls, config)
            cls.__doc__ = docstring_of(vars(cls).get("__doc__") or "", SeedAgent.__doc__ or "", config)

    if not TYPE_CHECKING:  # for a type checker, __init__ has the arguments

        def __new__(cls, *arguments: Any, **keywords: Any) -> Self:
            """A blank agent, once it is known that the constructor takes these arguments."""
            if cls.__init__ is SeedAgent.__init__:
                check_arguments(cls.__name__, list(cls.__signature__.parameters), arguments, keywords)
            return super().__new__(cls)

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
        network: Build | str | None = None,
        **hyperparameters: Any,
    ) -> None:
        config, checked, n_envs = self.Config(**hyperparameters), check_seeds(seeds), check_int("n_envs", n_envs, 1)
        envs = make_envs(env, checked, n_envs, kind=self._training_envs(config))
        made_by = None if network is None else as_function(network)
        self.set_up(Setup(config, checked, n_envs, envs.spaces, as_device(device), env, features_extractor, made_by))
        self._envs, self.env_config = envs, env_config_of(envs.vector_env)
        self.set_shown(verbose, tensorboard_log, threads)

    def __repr__(self) -> str:
        return summary(type(self).__name__, self.seeds, self.num_timesteps, self._env, self.config)

    def __len__(self) -> int:
        """S, the number of seeds."""
        return len(self.seeds)

    def __getitem__(self, s: int) -> Self:
        """Seed number s of 0..S-1 as an agent of its own: a copy of its weights, without the state of its training."""
        row = range(len(self.seeds))[s]
        agent = self.like((self.seeds[row],))
        arrays = {name: array[row : row + 1] for name, array in self.state_dict().items()}
        restore(agent, arrays, facts_of(self))
        agent.env_config = self.env_config
        return agent

    def check(self, env: EnvLike | VectorEnv[Any, Any, Any]) -> Self:
        """Checks that the agent can act in an env; returns the agent.

        Args:
            env: As `env` of the constructor, or any env or vector env itself. It is not stepped.

        Raises:
            ValueError: If it shows the agent something else than it learnt from: other features, another order of
                them, another scaler or none, another window, other actions. The message names what differs.

        Warns:
            UserWarning: If it has other costs, another fill, or other terms that change results but not what is seen.
        """
        check_fits(single_envs(env, self.envs_type), self.spaces, self.env_config, warn=1)
        return self

    def best_on(
        self,
        validation_env: EnvLike,
        episodes: int = 20,
        max_steps: int | None = 10_000,
        check_env: bool = True,
    ) -> Self:
        """The seed with the highest mean return of greedy episodes in another env, as an agent of its own.

        Of equal seeds it is the first. The choice fits the validation env, so its returns there are no estimate of its
        performance: that takes a third env.

        Args:
            validation_env: As `env` of the agent.
            episodes: Episodes of each seed; 1 is enough if all are alike, as with one start and no randomness.
            max_steps: As in `agents.base.evaluation.evaluate`.
            check_env: See there.
        """
        returns = evaluate(self, validation_env, episodes, max_steps=max_steps, check_env=check_env)  # [S, N]
        return self[int(returns.mean(1).argmax())]
