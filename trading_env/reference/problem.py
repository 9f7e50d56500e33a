"""Reference environments: problems whose optimum is known exactly, so that a score is a fraction of the possible.

Each is a `Problem`: an exogenous path, drawn for each episode from one seed, and a position that the actions move.
The faces of a problem are ReferenceEnv and ReferenceVectorEnv, here written once, episodes and autoreset included.
`optimum()` is the best mean reward per step, `optimal_policy()` an agent that earns it.

Letters: N sub-envs, A actions, D observation, L length of a path, K its columns, W rows seen at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from trading_env._checks import RenderModes, brief, integer
from trading_env.data.bars import Floats
from trading_env.envs import state as env_state
from trading_env.envs.checked_state import array_of, check_streams, finite_of, flag, ints_of
from trading_env.envs.trading_env import check_options
from trading_env.envs.trading_vector_env import _autoreset_mode
from trading_env.envs.turns import new_turn, refusal, take
from trading_env.envs.vector_args import as_array, reset_mask, sub_env_seeds
from trading_env.envs.what_if import Counterfactual

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_NOISE_SEEDS = 2**31  # noise seeds that an env draws; those of the options may be larger
_MOST_NOISE_SEEDS = 2**32
_SCALAR, _VECTOR = ("_begun", "_running"), ("_begun", "_ended", "_rng_seeds")
_STATE = ("row", "noise_seed", "position", "cost")
_INFO = ("position", "cost", "noise_seed", "t")


class Policy(ABC):
    """An agent by `predict` of Stable-Baselines3, for one observation or a batch of them."""

    obs_ndim: int = 1  # axes of one observation

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Any, Any]:
        """Actions for one observation (D,) or a batch (N, D), and the state to hand in at the next call.

        Args:
            observation: as the env gives it.
            state: of the last call; None at the first decision.
            episode_start: which of the envs begin an episode now (N,).
            deterministic: has no effect.
        """
        obs = np.asarray(observation)
        single = obs.ndim == self.obs_ndim
        batch = obs[None] if single else obs
        start = np.zeros(len(batch), np.bool_) if episode_start is None else np.atleast_1d(episode_start)
        actions, state = self._act(batch, state, start | (state is None))
        return (actions[0] if single else actions), state

    @abstractmethod
    def _act(self, obs: Any, state: Any, start: Bools) -> tuple[Any, Any]:
        """Actions (N, ...) and the next state; ``state`` is None, and ``start`` all True, at the first call."""


class Problem(ABC):
    """The parameters and dynamics of a reference environment; everything but the book-keeping of episodes."""

    @property
    @abstractmethod
    def episode_length(self) -> int:
        """Steps of an episode, after which it is truncated. None of these problems terminates."""

    @property
    def lead(self) -> int:
        """Rows of a path before that of the first decision, which the first observation may show."""
        return 0

    @abstractmethod
    def path(self, noise_seed: int) -> Floats:
        """The exogenous rows of an episode (lead + episode_length + 1, K)."""

    @abstractmethod
    def action_space(self) -> spaces.Space[Any]:
        """Discrete, or Box(-1, 1, (1,))."""

    @abstractmethod
    def observation_space(self) -> spaces.Space[Any]:
        """Of one env."""

    @abstractmethod
    def moved(self, position: Floats, actions: Any) -> Floats:
        """Positions (N,) after the actions (N,), continuous (N, 1)."""

    @abstractmethod
    def reward(self, now: Floats, then: Floats, before: Floats, after: Floats) -> tuple[Floats, Floats]:
        """Reward and, contained in it, cost (N,) of a step between two rows (N, K), by the positions (N,)."""

    @abstractmethod
    def observe(self, seen: Floats, position: Floats) -> Any:
        """Observations (N, D) of the rows seen (N, lead + 1, K), the last being now, and the positions (N,)."""

    @abstractmethod
    def optimum(self) -> float:
        """The best mean reward per step that any policy has which sees what the observations show."""

    @abstractmethod
    def optimal_policy(self) -> Policy:
        """The policy whose mean reward is the optimum."""


class _Episodes:
    """N running episodes of a problem: paths, where each stands on its path, and positions."""

    def __init__(self, problem: Problem, n: int) -> None:
        self.problem, self.n = problem, n
        self.paths: Floats = np.zeros((0, 0, 0))  # [N, L, K]
        self.row, self.noise_seed = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self.position, self.cost = np.zeros(n), np.zeros(n)
        self._last: tuple[Any, ...] | None = None  # rows, now, then, position before and what was seen after it

    def begin(self, rows: Any, noise_seeds: Sequence[int]) -> None:
        """Starts episodes in the rows, each on the path of its noise seed."""
        for j, noise_seed in zip(rows, noise_seeds, strict=True):
            path = self.problem.path(noise_seed)
            if not self.paths.size:
                self.paths = np.zeros((self.n, *path.shape))
            self.paths[j], self.noise_seed[j] = path, noise_seed
        self.row[rows], self.position[rows], self.cost[rows] = self.problem.lead, 0.0, 0.0

    def seen(self, rows: Any) -> Floats:
        """Path rows up to now (rows, lead + 1, K)."""
        window = self.row[rows][:, None] + np.arange(-self.problem.lead, 1)
        result: Floats = self.paths[rows[:, None], window]
        return result

    def observe(self, rows: Any) -> Any:
        """Observations of the rows."""
        return self.problem.observe(self.seen(rows), self.position[rows])

    def step(self, rows: Any, actions: Any) -> tuple[Floats, Any, Bools]:
        """Moves the rows by their actions; their rewards, observations and truncations."""
        now, before = self.paths[rows, self.row[rows]], self.position[rows]
        self.row[rows] += 1
        seen = self.seen(rows)
        then = seen[:, -1]
        after = self.problem.moved(before, actions)
        reward, self.cost[rows] = self.problem.reward(now, then, before, after)
        self.position[rows] = after
        self._last = rows, now, then, before, seen
        ended = self.row[rows] == self.problem.lead + self.problem.episode_length
        return reward, self.problem.observe(seen, after), ended

    def info(self) -> dict[str, Any]:
        """Of all rows: arrays (N,)."""
        values = (self.position.copy(), self.cost.copy(), self.noise_seed.copy(), self.row - self.problem.lead)
        return dict(zip(_INFO, values, strict=True))

    def get_state(self) -> env_state.State:
        """Where the episodes stand; their paths follow from the noise seeds."""
        last = None if self._last is None else [value.copy() for value in self._last]
        return {**env_state.read(self, _STATE), "now": self._now(), "last": last}

    def taken_up(self, state: Any, begun: Bools, ended: Bools) -> _Episodes:
        """New episodes that stand where `get_state` says.

        Args:
            state: what it gave.
            begun: which of them have begun (N,).
            ended: which of them do not go on (N,).

        Raises:
            ValueError: the state is of other episodes, or of none.
        """
        env_state.check_keys(state, (*_STATE, "now", "last"))
        episodes = _Episodes(self.problem, self.n)
        if not begun.any():
            return episodes
        seeds, row = (array_of(state, name, np.int64, (self.n,)) for name in ("noise_seed", "row"))
        first, last = self.problem.lead, self.problem.lead + self.problem.episode_length
        if not np.where(begun, (row >= first) & (row < last + ended), row == 0).all():
            raise ValueError(f"state['row'] must be rows from {first} to {last}, with a next one, got {row.tolist()}")
        if not ((seeds >= 0) & (seeds < _MOST_NOISE_SEEDS)).all():
            raise ValueError(f"state['noise_seed'] must be in [0, 2^32), got {seeds.tolist()}")
        episodes.begin(np.flatnonzero(begun), seeds[begun].tolist())
        episodes.row, episodes.noise_seed = row, seeds
        episodes.position, episodes.cost = (finite_of(state, name, (self.n,)) for name in ("position", "cost"))
        now = episodes._now()
        if not np.array_equal(now, array_of(state, "now", np.float64, now.shape)):
            raise ValueError(f"state is that of an env with other keywords: its paths stand at {state['now']}")
        episodes._last = episodes._last_of(state["last"], begun)
        return episodes

    def _last_of(self, last: Any, begun: Bools) -> tuple[Any, ...] | None:
        """The last step, checked: rows (R,), now and then (R, K), position before (R,), seen (R, lead + 1, K)."""
        if last is None:
            return None
        if not isinstance(last, (list, tuple)) or len(last) != 5:
            raise ValueError(f"state['last'] must be five arrays of a last step, or None, got {brief(last)}")
        parts = {f"last {i}": part for i, part in enumerate(last)}
        rows = array_of(parts, "last 0", np.int64, (min(np.size(last[0]), self.n),))
        if not (np.isin(rows, np.flatnonzero(begun)).all() and len(set(rows.tolist())) == len(rows)):
            raise ValueError(f"state['last'] must be of sub-envs that have begun, got {rows.tolist()}")
        r, k = len(rows), self.paths.shape[2]
        shapes = ((r, k), (r, k), (r,), (r, self.problem.lead + 1, k))
        return rows, *(finite_of(parts, f"last {i}", shape) for i, shape in enumerate(shapes, start=1))

    def _now(self) -> Floats:
        """The row of each path that was seen last (N, K)."""
        return self.paths[np.arange(self.n), self.row] if self.paths.size else np.zeros((0, 0))

    def afterstates(self) -> Any:
        """Observations (N, A, D) right after each action, at the row just seen."""
        rows = np.arange(self.n)
        positions, _, n_actions = self._each_action(self.position)
        seen = np.repeat(self.seen(rows), n_actions, axis=0)
        obs = self.problem.observe(seen, positions)
        return obs.reshape(self.n, n_actions, *obs.shape[1:])

    def counterfactual(self) -> Counterfactual:
        """Rewards (N, A) and next observations (N, A, D) of every action at the last step; zeros without one."""
        if self._last is None:
            raise ResetNeeded("call step before counterfactual: no step has been made")
        rows, now, then, before, seen = self._last
        after, repeated, n_actions = self._each_action(before)
        each_now, each_then = (np.repeat(values, n_actions, axis=0) for values in (now, then))
        reward, _ = self.problem.reward(each_now, each_then, repeated, after)
        obs = self.problem.observe(np.repeat(seen, n_actions, axis=0), after)
        rewards = np.zeros((self.n, n_actions))
        all_obs = np.zeros((self.n, n_actions, *obs.shape[1:]), obs.dtype)
        rewards[rows] = reward.reshape(-1, n_actions)
        all_obs[rows] = obs.reshape(-1, n_actions, *obs.shape[1:])
        return Counterfactual(rewards, all_obs, np.zeros(rewards.shape, np.bool_))

    def _each_action(self, before: Floats) -> tuple[Floats, Floats, int]:
        """Positions after each action of each row, and before it, (rows A,); and A."""
        space = self.problem.action_space()
        if not isinstance(space, spaces.Discrete):
            raise ValueError("afterstates and counterfactual need discrete actions, got continuous ones")
        n_actions = int(space.n)
        repeated = np.repeat(before, n_actions)
        return self.problem.moved(repeated, np.tile(np.arange(n_actions), len(before))), repeated, n_actions


def _checked_actions(actions: Any, space: spaces.Space[Any], n: int) -> Any:
    """Actions of n envs as an array, in the space of one env.

    Raises:
        TypeError: a wrong dtype.
        ValueError: a wrong shape, or out of range.
    """
    values = as_array(actions)
    discrete = isinstance(space, spaces.Discrete)
    kinds, shape = ("iu", (n,)) if discrete else ("f", (n, 1))
    error = TypeError if values.dtype.kind not in kinds else ValueError if values.shape != shape else None
    if error is not None:
        what = "integers" if discrete else "floats"
        raise error(f"actions must be {what} of shape {shape}, got {values.dtype} {values.shape}")
    inside = (values >= 0) & (values < space.n) if isinstance(space, spaces.Discrete) else np.abs(values) <= 1.0
    if not inside.all():
        raise ValueError(f"actions must be in {space}, got {values[~inside][0]}")
    return values


def _check_render_mode(render_mode: Any) -> None:
    """TypeError, as of a keyword that is not there: Stable-Baselines3 asks for "rgb_array" and goes on from that."""
    if render_mode is not None:
        raise TypeError(f"render_mode must be None, as nothing is drawn, got {render_mode!r}")


class _Known:
    """What both faces of a problem say of its solution."""

    problem_class: ClassVar[Any]
    problem: Problem

    def optimum(self) -> float:
        """The best mean reward per step."""
        return self.problem.optimum()

    def optimal_policy(self) -> Policy:
        """The agent that earns the optimum, with Stable-Baselines3's `predict`."""
        return self.problem.optimal_policy()


class ReferenceEnv(_Known, gym.Env[Any, Any]):
    """The scalar face of a problem. Keywords are those of its class; ``reset`` takes options={"noise_seed": int}."""

    metadata: dict[str, Any] = {"render_modes": RenderModes()}

    def __init__(self, *, render_mode: str | None = None, **keywords: Any) -> None:
        _check_render_mode(render_mode)
        self.render_mode = None
        self.problem = self.problem_class(**keywords)
        self.action_space, self.observation_space = self.problem.action_space(), self.problem.observation_space()
        self._episodes = _Episodes(self.problem, 1)
        self._only = np.zeros(1, np.int64)
        self._begun, self._turn = False, list[bool]()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts an episode, flat, on the path of ``options["noise_seed"]``, or of one drawn from ``np_random``."""
        asked = check_options(options, ("noise_seed",)).get("noise_seed")
        asked = None if asked is None else _checked_noise_seed(asked)
        super().reset(seed=seed)
        self._turn = []  # nobody steps until all is there
        self._episodes.begin(self._only, [_noise_seed(asked, self.np_random)])
        self._begun = True
        obs, info = self._episodes.observe(self._only)[0], self._info()
        self._turn = new_turn()
        return obs, info

    @property
    def _running(self) -> bool:
        """Whether an episode runs, and no step is half done."""
        return bool(self._turn)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Runs one step; see the class of the env."""
        turn, needed = self._turn, "no episode is running"
        if not turn:
            raise refusal(needed)
        actions = _checked_actions(as_array(action, "action")[None], self.action_space, 1)
        take(turn, needed)
        reward, obs, ended = self._episodes.step(self._only, actions)
        info = self._info()
        if not ended[0]:
            turn.append(True)
        return obs[0], float(reward[0]), False, bool(ended[0]), info

    def get_state(self) -> env_state.State:
        """The running episode and the random stream, as copies: arrays and plain JSON."""
        streams = env_state.get_streams([self.np_random])
        return {"streams": streams, "episodes": self._episodes.get_state(), **env_state.read(self, _SCALAR)}

    def set_state(self, state: env_state.State) -> None:
        """Goes on from what `get_state` of an env with the same keywords gave.

        Raises:
            ValueError: it was another env, or the state is of none. Nothing has changed then.
        """
        env_state.check_keys(state, ("streams", "episodes", *_SCALAR))
        begun, running = (flag(state, name) for name in _SCALAR)
        if running and not begun:
            raise ValueError("state['_running'] must be False where state['_begun'] is, got True")
        streams = check_streams([self.np_random], state["streams"])
        episodes = self._episodes.taken_up(state["episodes"], np.array([begun]), np.array([not running]))
        self._turn = []  # nobody steps until all is there
        self._episodes, self._begun = episodes, begun
        env_state.set_streams([self.np_random], streams)
        self._turn = new_turn() if running else []

    def afterstates(self) -> Any:
        """Before a step: the observation (A, D) right after each action."""
        if not self._running:
            raise ResetNeeded("call reset before afterstates: no episode is running")
        return self._episodes.afterstates()[0]

    def counterfactual(self) -> Counterfactual:
        """After a step: reward (A,) and next observation (A, D) of every action, on the path as it went on."""
        reward, obs = pair = self._episodes.counterfactual()
        return Counterfactual(reward[0], obs[0], pair.terminated[0])

    def _info(self) -> dict[str, Any]:
        return {key: values[0].item() for key, values in self._episodes.info().items()}


class ReferenceVectorEnv(_Known, gym.vector.VectorEnv[Any, Any, Any]):
    """N scalar envs of a problem at once, equal bit for bit, each with a random stream of its own.

    Sub-env i is seeded with seed + i, or by a list. Info has the scalar env's keys as arrays (N,), and under
    SAME_STEP, in a step that ends episodes, final_obs, final_info and their masks _final_obs and _final_info.

    Args:
        num_envs: N.
        autoreset_mode: NEXT_STEP (Gymnasium's default), SAME_STEP or DISABLED, as AutoresetMode or by name.
        render_mode: None.
        **keywords: those of the scalar env.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **keywords: Any,
    ) -> None:
        _check_render_mode(render_mode)
        self.render_mode = None
        self.num_envs = integer("num_envs", num_envs, 1)
        self.autoreset_mode = _autoreset_mode(autoreset_mode)
        self.problem = self.problem_class(**keywords)
        self.metadata = {"render_modes": [], "autoreset_mode": self.autoreset_mode, "independent_sub_envs": True}
        self.single_action_space = self.problem.action_space()
        self.single_observation_space = self.problem.observation_space()
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._all = np.arange(num_envs)
        self._episodes = _Episodes(self.problem, num_envs)
        self._resets, self._ended = np.zeros(num_envs, np.bool_), np.zeros(num_envs, np.bool_)
        self._turn = new_turn()  # missing while a step is half done, or broken off
        self._rngs: list[Any] = [None] * num_envs
        self._rng_seeds: list[int] = [-1] * num_envs

    @property
    def np_random(self) -> Any:
        """The generators of the sub-envs, a tuple (N,)."""
        self._seed([None] * self.num_envs)
        return tuple(self._rngs)

    @np_random.setter
    def np_random(self, value: Any) -> None:
        self._rngs, self._rng_seeds = list(value), [-1] * self.num_envs

    @property
    def np_random_seed(self) -> Any:
        """The seeds of the sub-envs, a tuple (N,); -1 where the generator was set."""
        self._seed([None] * self.num_envs)
        return tuple(self._rng_seeds)

    def _seed(self, seeds: Sequence[int | None]) -> None:
        """Seeds the sub-envs that are given a seed, and those that never had one."""
        for j, seed in enumerate(seeds):
            if seed is not None or self._rngs[j] is None:
                self._rngs[j], self._rng_seeds[j] = seeding.np_random(seed)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Starts an episode in every sub-env.

        Args:
            seed: sub-env i is seeded with seed + i, or with seed[i]; None goes on with its stream.
            options: "noise_seed", one or an array (N,); "reset_mask", bool (N,): the sub-envs to reset.

        Raises:
            TypeError: a seed or an option of a wrong type.
            ValueError: an unknown option, one out of range, or one of a wrong shape. Nothing has changed then.
        """
        options = check_options(options, ("noise_seed", "reset_mask"))
        mask = reset_mask(options.get("reset_mask"), self.num_envs, self._begun)
        asked = _asked_noise_seeds(options.get("noise_seed"), self.num_envs)
        seeds = sub_env_seeds(seed, self.num_envs)
        begun, self._turn = self._begun | mask, []  # nobody steps until all is there
        self._seed([seeds[j] if mask[j] else None for j in range(self.num_envs)])
        rows = np.flatnonzero(mask)
        self._episodes.begin(rows, [_noise_seed(asked[j], self._rngs[j]) for j in rows.tolist()])
        self._resets, self._ended[rows] = begun, False
        obs, info = self._episodes.observe(self._all), self._episodes.info()
        self._turn = new_turn()
        return obs, info

    @property
    def _begun(self) -> Bools:
        """Which sub-envs have an episode (N,); none while a step is half done."""
        return self._resets.copy() if self._turn else np.zeros(self.num_envs, np.bool_)

    def step(self, actions: Any) -> tuple[Any, Floats, Bools, Bools, dict[str, Any]]:
        """Runs one step in every sub-env; one that has ended is reset as the autoreset mode says."""
        turn, needed = self._turn, "not every sub-env has a running episode"
        disabled = self.autoreset_mode is AutoresetMode.DISABLED
        if not (turn and self._resets.all()) or (disabled and self._ended.any()):
            raise refusal(needed)
        actions = _checked_actions(actions, self.single_action_space, self.num_envs)
        take(turn, needed)
        waiting = self._ended.copy()
        running = np.flatnonzero(~waiting)
        reward, ended = np.zeros(self.num_envs), np.zeros(self.num_envs, np.bool_)
        reward[running], obs, ended[running] = self._episodes.step(running, actions[running])
        final: dict[str, Any] = {}
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            final = self._final(ended, obs) if ended.any() else {}
            waiting = ended
        else:
            self._ended = ended.copy()
        if waiting.any():
            rows = np.flatnonzero(waiting)
            self._episodes.begin(rows, [_noise_seed(None, self._rngs[j]) for j in rows.tolist()])
            obs = self._episodes.observe(self._all)
        info = {**self._episodes.info(), **final}
        turn.append(True)
        return obs, reward, np.zeros(self.num_envs, np.bool_), ended, info

    def _final(self, ended: Bools, obs: Any) -> dict[str, Any]:
        """The last observation and info of the episodes that ended, in the form of Gymnasium's SyncVectorEnv."""
        final_obs = np.full(self.num_envs, None, dtype=object)
        for j in np.flatnonzero(ended):
            final_obs[j] = obs[j].copy()
        info = {key: np.where(ended, values, np.zeros_like(values)) for key, values in self._episodes.info().items()}
        return {"final_obs": final_obs, "_final_obs": ended.copy(), "final_info": info, "_final_info": ended.copy()}

    def get_state(self) -> env_state.State:
        """The running episodes and the random streams, as copies: arrays and plain JSON."""
        streams = env_state.get_streams(self.np_random)
        return {
            "autoreset_mode": self.autoreset_mode.value,
            "streams": streams,
            "episodes": self._episodes.get_state(),
            **env_state.read(self, _VECTOR),
        }

    def set_state(self, state: env_state.State) -> None:
        """Goes on from what `get_state` of an env with the same keywords gave.

        Raises:
            ValueError: it was another env, or the state is of none. Nothing has changed then.
        """
        env_state.check_keys(state, ("autoreset_mode", "streams", "episodes", *_VECTOR))
        env_state.check_mode(state, self.autoreset_mode)
        rngs = self.np_random
        streams = check_streams(rngs, state["streams"])
        begun, ended = (array_of(state, name, np.bool_, (self.num_envs,)) for name in ("_begun", "_ended"))
        ended &= begun
        if ended.any() and self.autoreset_mode is AutoresetMode.SAME_STEP:
            raise ValueError(f"state['_ended'] must be False, as SameStep resets at once, got {ended.tolist()}")
        seeds = ints_of(state, "_rng_seeds", self.num_envs)
        episodes = self._episodes.taken_up(state["episodes"], begun, ended)
        self._turn = []  # nobody steps until all is there
        self._episodes, self._resets, self._ended, self._rng_seeds = episodes, begun, ended, seeds
        env_state.set_streams(rngs, streams)
        self._turn = new_turn()

    def afterstates(self) -> Any:
        """Before a step: the observation (N, A, D) right after each action."""
        if not self._begun.all():
            raise ResetNeeded("call reset before afterstates: no episode is running")
        return self._episodes.afterstates()

    def counterfactual(self) -> Counterfactual:
        """After a step: reward (N, A) and next observation (N, A, D) of every action; zeros for rows only reset."""
        return self._episodes.counterfactual()


def _noise_seed(asked: int | None, rng: np.random.Generator) -> int:
    """The noise seed of a new episode: the one asked for, or a draw."""
    return int(rng.integers(_NOISE_SEEDS)) if asked is None else asked


def _checked_noise_seed(value: Any) -> int:
    return integer("options['noise_seed']", value, 0, _MOST_NOISE_SEEDS - 1)


def _asked_noise_seeds(value: Any, n: int) -> list[int | None]:
    """The noise seed asked for each of n sub-envs, by one or by n of them; None where none is."""
    if value is None:
        return [None] * n
    if np.ndim(value) == 0:
        return [_checked_noise_seed(value)] * n
    if np.shape(value) != (n,):
        raise ValueError(f"options['noise_seed'] must be one, or an array ({n},), got shape {np.shape(value)}")
    return [_checked_noise_seed(one) for one in value]
