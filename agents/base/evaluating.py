"""Callbacks with the names and keywords of Stable-Baselines3's, and a seed axis; each is called with the agent.

Axis letters: S seeds, N episodes.
"""

import io
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from agents.base.agent import SeedAgent
from agents.base.calls import Callback, as_callbacks, goes_on
from agents.base.evaluation import evaluate_episodes
from agents.common import files
from agents.common.checkpoints import check_writable, with_suffix
from agents.common.checks import check_flag, check_float, check_int
from agents.envs.seed_envs import EnvLike, as_source


class StopTrainingOnRewardThreshold:
    """Ends training once the best mean return of every seed has reached a threshold; for `EvalCallback`.

    Args:
        reward_threshold: The threshold.
        verbose: 1 prints a line.
    """

    def __init__(self, reward_threshold: float, verbose: int = 0) -> None:
        self.reward_threshold = check_float("reward_threshold", reward_threshold, -np.inf)
        self.verbose = check_int("verbose", verbose, 0)
        self.parent: EvalCallback | None = None

    def __call__(self, agent: SeedAgent) -> bool:
        """True to continue training; ValueError if it is not used by an `EvalCallback`."""
        if self.parent is None:
            raise ValueError("StopTrainingOnRewardThreshold must be an EvalCallback's callback_on_new_best")
        reached = bool(np.all(self.parent.best_mean_reward >= self.reward_threshold))
        if reached and self.verbose:
            print(f"Training ends: every seed reached {self.reward_threshold:g}, {self.parent.best_mean_reward}")
        return not reached


class Periodic:
    """A callback that acts after every so many steps of the agent's vector env, and need not be called after each.

    Attributes:
        period: Number of these steps.
        n_calls: Steps so far.
    """

    def __init__(self, period: int) -> None:
        self.period, self.n_calls = period, 0
        self._before: int | None = None  # timesteps after which calls were left out

    def next_call(self, agent: SeedAgent) -> int:
        """Timesteps at which it acts next; calls before that may be left out."""
        self._before = agent.num_timesteps
        return agent.num_timesteps + (self.period - self.n_calls % self.period) * agent.n_envs

    def _due(self, agent: SeedAgent) -> bool:
        """Counts the steps since the last call; True if it is time to act."""
        steps = agent.n_envs if self._before is None else agent.num_timesteps - self._before
        self._before = None
        self.n_calls += steps // agent.n_envs
        return self.n_calls % self.period == 0


class EvalCallback(Periodic):
    """Evaluates every seed in another env during training, on the same episodes each time, and keeps its best weights.

    The weights were chosen by their return in that env, so it is no estimate of their performance: use a third env.

    Args:
        eval_env: As `env` of the agent; copies are made of it.
        callback_on_new_best: Called with the agent when a seed has a new best; returning False ends training.
        callback_after_eval: Called with the agent after each evaluation; returning False ends training.
        n_eval_episodes: Episodes of each seed.
        eval_freq: Steps of the agent's vector env between evaluations.
        log_path: Folder for `evaluations.npz`: timesteps [K], results and ep_lengths [K, N], of several seeds
            [K, S, N]. None writes nothing.
        best_model_save_path: Folder for `best_model.safetensors`, in which every seed has its best weights. None
            writes nothing.
        deterministic: Whether to act greedily.
        render: Must be False.
        verbose: 1 prints a line for each evaluation.
        warn: Not used: there is no Monitor.

    Attributes:
        n_calls: Steps of the vector env seen.
        last_mean_reward: Mean return of each seed at the last evaluation, [S].
        best_mean_reward: Best mean return of each seed so far, [S].
    """

    def __init__(
        self,
        eval_env: EnvLike,
        callback_on_new_best: Callback | None = None,
        callback_after_eval: Callback | None = None,
        n_eval_episodes: int = 5,
        eval_freq: int = 10_000,
        log_path: str | os.PathLike[str] | None = None,
        best_model_save_path: str | os.PathLike[str] | None = None,
        deterministic: bool = True,
        render: bool = False,
        verbose: int = 1,
        warn: bool = True,
    ) -> None:
        as_source(eval_env)
        if check_flag("render", render):
            raise NotImplementedError("render must be False: evaluation runs many envs at once, and draws none of them")
        self.eval_env = eval_env
        self.callback_on_new_best, self.callback_after_eval = callback_on_new_best, callback_after_eval
        for callback in (callback_on_new_best, callback_after_eval):
            as_callbacks(callback)
            if isinstance(callback, StopTrainingOnRewardThreshold):
                callback.parent = self
        self.n_eval_episodes = check_int("n_eval_episodes", n_eval_episodes, 1)
        self.eval_freq = check_int("eval_freq", eval_freq, 1)
        super().__init__(self.eval_freq)
        self.deterministic = check_flag("deterministic", deterministic)
        self.verbose = check_int("verbose", verbose, 0)
        self.log_path = None if log_path is None else Path(log_path) / "evaluations.npz"
        folder = best_model_save_path
        self.best_model_path = None if folder is None else with_suffix(Path(folder) / "best_model")
        self.last_mean_reward = self.best_mean_reward = np.full(1, -np.inf)
        self.evaluations_timesteps: list[int] = []
        self.evaluations_results: list[Any] = []  # [S, N] each
        self.evaluations_length: list[Any] = []
        self._best: SeedAgent | None = None

    @contextmanager
    def during_training(self) -> Iterator[None]:
        """Checks before training that its files can be written; OSError if not."""
        for field, path in (("log_path", self.log_path), ("best_model_save_path", self.best_model_path)):
            if path is not None:
                check_writable(path, field)
        yield

    def __call__(self, agent: SeedAgent) -> bool:
        """Evaluates if it is due; True to continue training."""
        if not self._due(agent):
            return True
        returns, lengths = evaluate_episodes(agent, self.eval_env, self.n_eval_episodes, self.deterministic)  # [S, N]
        self._log(agent, returns, lengths)
        self.last_mean_reward = returns.mean(1)  # [S]
        if self.best_mean_reward.shape != self.last_mean_reward.shape:
            self.best_mean_reward = np.full_like(self.last_mean_reward, -np.inf)
        better = self.last_mean_reward > self.best_mean_reward  # [S]
        self.best_mean_reward = np.where(better, self.last_mean_reward, self.best_mean_reward)
        goes_on = True
        if better.any():
            self._keep(agent, better)
            goes_on = _asked(self.callback_on_new_best, agent)
        return _asked(self.callback_after_eval, agent) and goes_on

    def _log(self, agent: SeedAgent, returns: Any, lengths: Any) -> None:
        agent.logger.record("eval/mean_reward", returns.mean(1))
        agent.logger.record("eval/mean_ep_length", lengths.mean(1))
        if self.verbose:
            spread = f"{returns.mean():.2f} +/- {returns.std():.2f}"
            each = "" if len(returns) == 1 else f", by seed {np.round(returns.mean(1), 2)}"
            print(f"Eval num_timesteps={agent.num_timesteps}, episode_reward={spread}{each}")
        if self.log_path is not None:
            self.evaluations_timesteps.append(agent.num_timesteps)
            self.evaluations_results.append(returns)
            self.evaluations_length.append(lengths)
            shape = np.shape(self.evaluations_results)
            results, ended = (
                np.reshape(rows, shape if shape[1] > 1 else (shape[0], shape[2]))
                for rows in (self.evaluations_results, self.evaluations_length)
            )
            path, steps = self.log_path, self.evaluations_timesteps
            content = io.BytesIO()
            np.savez(content, timesteps=steps, results=results, ep_lengths=ended)
            _or_warn(path, lambda: files.write(path, content.getvalue()))

    def _keep(self, agent: SeedAgent, better: Any) -> None:
        """Writes the weights of the seeds with a new best, `better` [S], to the file."""
        if self.best_model_path is None:
            return
        if self._best is None or self._best.seeds != agent.seeds:
            self._best = agent.like(agent.seeds)
        rows, learnt = np.flatnonzero(better), agent.state_dict()
        for name, array in self._best.state_dict().items():
            array[rows] = learnt[name][rows]
        self._best.set_counters(agent.counters())
        best, path = self._best, self.best_model_path
        _or_warn(path, lambda: best.save(path))


class CheckpointCallback(Periodic):
    """Writes `PREFIX_STEPS_steps.safetensors` at intervals, a new file each time; see `Checkpoint` for a single file.

    Args:
        save_freq: Steps of the agent's vector env between files.
        save_path: Folder.
        name_prefix: Start of the file names.
        save_replay_buffer: Whether to write `PREFIX_replay_buffer_STEPS_steps.safetensors` too, if there is a buffer.
        save_vecnormalize: Must be False: there is no VecNormalize.
        verbose: 2 prints the name of each file.
    """

    def __init__(
        self,
        save_freq: int,
        save_path: str | os.PathLike[str],
        name_prefix: str = "rl_model",
        save_replay_buffer: bool = False,
        save_vecnormalize: bool = False,
        verbose: int = 0,
    ) -> None:
        if check_flag("save_vecnormalize", save_vecnormalize):
            raise NotImplementedError("save_vecnormalize must be False: there is no VecNormalize to save")
        self.save_freq, self.save_path = check_int("save_freq", save_freq, 1), Path(save_path)
        super().__init__(self.save_freq)
        self.name_prefix = str(name_prefix)
        self.save_replay_buffer = check_flag("save_replay_buffer", save_replay_buffer)
        self.verbose = check_int("verbose", verbose, 0)

    @contextmanager
    def during_training(self) -> Iterator[None]:
        """Checks before training that files can be written; OSError if not."""
        check_writable(self._path("", 0), "save_path")
        yield

    def __call__(self, agent: SeedAgent) -> bool:
        """Writes a file if it is due; training always continues."""
        if self._due(agent):
            self._write(self._path("", agent.num_timesteps), agent.save)
            if self.save_replay_buffer and hasattr(agent, "save_replay_buffer"):
                self._write(self._path("replay_buffer_", agent.num_timesteps), agent.save_replay_buffer)
        return True

    def _path(self, kind: str, steps: int) -> Path:
        return self.save_path / f"{self.name_prefix}_{kind}{steps}_steps.safetensors"

    def _write(self, path: Path, save: Callable[[Path], None]) -> None:
        _or_warn(path, lambda: save(path))
        if self.verbose >= 2:
            print(f"Saved {path}")


def _asked(callback: Callback | None, agent: SeedAgent) -> bool:
    """True if there is no callback, or it lets training continue."""
    return callback is None or goes_on(callback(agent))


def _or_warn(path: Path, write: Callable[[], None]) -> None:
    """Calls `write`; warns if the file could not be written, and training continues."""
    try:
        write()
    except OSError as error:
        warnings.warn(f"{path} could not be written, training goes on: {error}", stacklevel=4)
