"""The training loop around an algorithm's steps: callbacks, reports, interruptions, and the envs that it trains in.

Axis letters: S seeds, N envs per seed, D observation.
"""

import os
import warnings
from collections.abc import Sequence
from typing import Any, Literal, Self

import gymnasium as gym

from agents.base.calls import Callback, Callbacks, as_callbacks, call_all, during_training
from agents.base.env_config import check_fits, env_config_of
from agents.base.processes.blocks import Blocks
from agents.base.processes.sharding import train
from agents.base.reports.reporting import Reporter
from agents.common.checks import check_flag, check_int
from agents.common.devices import check_threads, torch_threads
from agents.common.processes import check_processes
from agents.envs.seed_envs import Floats, SeedEnvs, make_envs


class Loop(Blocks):
    """A learner with `learn` and `resume`."""

    def set_shown(self, verbose: int, tensorboard_log: str | os.PathLike[str] | None, threads: int | None) -> None:
        """Sets the options that do not affect what is learnt; TypeError or ValueError if one is wrong."""
        self.verbose = check_int("verbose", verbose, 0)
        if not isinstance(tensorboard_log, str | os.PathLike | None):
            raise TypeError(f"tensorboard_log must be a folder or None, got {tensorboard_log!r}")
        self.tensorboard_log = tensorboard_log
        self.threads = None if threads is None else check_threads(threads)

    @property
    def observation_space(self) -> gym.Space[Any]:
        """The space of a single env; ValueError if the agent was loaded without one."""
        return self._connected().vector_env.single_observation_space

    @property
    def action_space(self) -> gym.Space[Any]:
        """The space of a single env; ValueError if the agent was loaded without one."""
        return self._connected().vector_env.single_action_space

    def learn(
        self,
        total_timesteps: int,
        callback: Callbacks = None,
        progress_bar: bool = False,
        reset_num_timesteps: bool = True,
        log_interval: int = 1_000,
        processes: int | Literal["auto"] = 1,
    ) -> Self:
        """Trains every seed for `total_timesteps` and returns the agent.

        Args:
            total_timesteps: Steps per seed; with N envs per seed rounded up to a multiple of N, and to whole rollouts
                if the algorithm learns from these.
            callback: Called with the agent after each step of its envs; returning False ends training. May be a list
                or a tuple of such functions: all are called, and any can end training.
            progress_bar: Whether to show one.
            reset_num_timesteps: Whether to begin at step 0 with new episodes; if not, everything continues.
                Weights are kept in any case.
            log_interval: Timesteps between reports, for `verbose` and TensorBoard; the end of training has one too.
            processes: Over how many processes to spread the seeds, each with one torch thread; "auto" means one per
                usable core. Callbacks are then called every `log_interval` steps: see `agents.base.processes.sharding`.
        """
        callbacks = as_callbacks(callback)
        check_flag("progress_bar", progress_bar)  # Stable-Baselines3's third argument is log_interval
        check_flag("reset_num_timesteps", reset_num_timesteps)
        log_interval = check_int("log_interval", log_interval, 1)
        self.total_timesteps = total_timesteps = check_int("total_timesteps", total_timesteps, 1)
        n_blocks = min(check_processes(processes), len(self.seeds))
        envs = self._connected()
        with during_training(callbacks):
            if reset_num_timesteps:
                self.num_timesteps = 0
                self._obs = self._episodes = None
            obs = self._first_obs(envs, n_blocks)
            self._begin(total_timesteps)
            self._obs = obs
            self.goal = self.num_timesteps + self._whole(total_timesteps)
            return self._run(envs, callbacks, progress_bar, log_interval, n_blocks)

    def resume(
        self,
        callback: Callbacks = None,
        progress_bar: bool = False,
        log_interval: int = 1_000,
        processes: int | Literal["auto"] = 1,
    ) -> Self:
        """Continues a run of `learn` that ended early, towards its goal and on its schedules; returns the agent.

        An agent that was written by `save(path, training=True)` and loaded ends with the same weights as an
        uninterrupted run, if its env can give its state: TradingEnv, Gymnasium's toy-text envs, and every env with
        `get_state()` and `set_state(state)`. In others the running episodes start anew, and a warning says so.

        Args:
            callback: As in `learn`.
            progress_bar: As in `learn`.
            log_interval: As in `learn`.
            processes: As in `learn`; it need not be the number that `learn` had.

        Raises:
            ValueError: If there is no run to continue: `learn` was never called, or the agent was loaded from a file
                without the state of its training.
        """
        if self.goal == 0:
            raise ValueError("there is no run to resume: save(path, training=True) writes one, learn begins one")
        log_interval = check_int("log_interval", log_interval, 1)
        callbacks, n_blocks = as_callbacks(callback), min(check_processes(processes), len(self.seeds))
        envs = self._connected()
        if self.num_timesteps >= self.goal:
            return self
        with during_training(callbacks):
            self._obs = self._first_obs(envs, n_blocks)
            return self._run(envs, callbacks, progress_bar, log_interval, n_blocks)

    def _run(
        self, envs: SeedEnvs, callbacks: Sequence[Callback], progress_bar: bool, log_interval: int, n_blocks: int
    ) -> Self:
        """Takes steps from `num_timesteps` to `goal`."""
        self.env_config = env_config_of(envs.vector_env)
        if n_blocks > 1:
            train(self, n_blocks, callbacks, log_interval, progress_bar)
            return self
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
                except BaseException:  # Ctrl-C too: training must never continue from half a step
                    self._break_off(self._obs)
                    raise
                reporter.tick(self.num_timesteps - before)
                goes_on = call_all(callbacks, self)
                if reporter.active and self.num_timesteps >= next_report:
                    reporter.report(self.num_timesteps, self._metrics())
                    next_report += log_interval
                if not goes_on:
                    break
            if reporter.active:
                reporter.report(self.num_timesteps, self._metrics())
        return self

    def _first_obs(self, envs: SeedEnvs, n_blocks: int) -> Floats | None:
        """As `_next_obs`; None if no episode is running and the blocks' processes reset their own envs."""
        return self._next_obs(envs) if n_blocks == 1 or self._obs is not None else None

    def _next_obs(self, envs: SeedEnvs) -> Floats:
        """The obs to act on next, [S, N, D]: of the running episodes, or of the start of new ones."""
        if self._obs is not None and self._episodes is not None:
            restored = envs.set_state(self._episodes)
            self._episodes = None
            if not restored:
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
            check_fits(envs, self.spaces, self.env_config if self._check_env else None, warn=2)
            if not self._check_env:
                self.env_config, self._check_env = env_config_of(envs.vector_env), True
            self._envs = envs
        return self._envs
