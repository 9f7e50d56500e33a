"""The scalar and the vector env of a `Problem`. N = num_envs, A = actions, D = observation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

from trading_env._checks import RenderModes, integer
from trading_env.data.bars import Floats
from trading_env.envs import state as env_state
from trading_env.envs.arguments import as_array, check_kind, check_options
from trading_env.envs.checked_state import check_streams, flag
from trading_env.envs.seeded_vector_env import SeededVectorEnv
from trading_env.envs.turns import Turn, new_turn, refusal, take
from trading_env.envs.what_if import Counterfactual
from trading_env.reference.episodes import MOST_NOISE_SEEDS, Episodes
from trading_env.reference.problem import Bools, Ints, Policy, Problem

_NOISE_SEEDS = 2**31  # an env draws noise seeds below this; those in options may be larger
_SCALAR = ("_begun", "_running")
_NEEDED = "no episode is running"


class _Known:
    """The optimum and the optimal policy of an env's problem."""

    problem_class: ClassVar[Any]
    problem: Problem

    @property
    def env_config(self) -> dict[str, Any]:
        """Plain JSON: the "meaning" of observations and actions, of which costs and dynamics are no part."""
        return {"meaning": self.problem.meaning}

    def optimum(self) -> float:
        """The best mean reward per step."""
        return self.problem.optimum()

    def optimal_policy(self) -> Policy:
        """The agent that earns the optimum, with Stable-Baselines3's `predict`."""
        return self.problem.optimal_policy()


class ReferenceEnv(_Known, gym.Env[Any, Any]):
    """A scalar env of a problem, with the keywords of its class; ``reset`` takes options={"noise_seed": int}."""

    metadata: dict[str, Any] = {"render_modes": RenderModes()}

    def __init__(self, *, render_mode: str | None = None, **keywords: Any) -> None:
        _check_render_mode(render_mode)
        self.render_mode = None
        self.problem = self.problem_class(**keywords)
        self.action_space, self.observation_space = self.problem.action_space(), self.problem.observation_space()
        self._episodes = Episodes(self.problem, 1)
        self._only = np.zeros(1, np.int64)
        self._begun, self._turn = False, list[bool]()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts an episode, flat, on the path of ``options["noise_seed"]``, or of one drawn from ``np_random``."""
        asked = check_options(options, ("noise_seed",)).get("noise_seed")
        asked = None if asked is None else _checked_noise_seed(asked)
        super().reset(seed=seed)
        self._turn = []  # no step until this is complete
        self._episodes.begin(self._only, [_noise_seed(asked, self.np_random)])
        self._begun = True
        obs, info = self._episodes.observe(self._only)[0], self._info()
        self._turn = new_turn()
        return obs, info

    @property
    def _running(self) -> bool:
        """True if an episode is running and no step was interrupted."""
        return bool(self._turn)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Runs one step; see the class of the env."""
        turn = self._turn
        if not turn:
            raise refusal(_NEEDED)
        actions = _checked_actions(as_array(action, "action")[None], self.action_space, 1)
        take(turn, _NEEDED)
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
        """Restores a state that `get_state` of an env with the same keywords returned.

        Raises:
            ValueError: the state belongs to another env, or is invalid. The env is unchanged then.
        """
        env_state.check_keys(state, ("streams", "episodes", *_SCALAR))
        begun, running = (flag(state, name) for name in _SCALAR)
        if running and not begun:
            raise ValueError("state['_running'] must be False where state['_begun'] is, got True")
        streams = check_streams([self.np_random], state["streams"])
        episodes = self._episodes.taken_up(state["episodes"], np.array([begun]), np.array([not running]))
        self._turn = []  # no step until this is complete
        self._episodes, self._begun = episodes, begun
        env_state.set_streams([self.np_random], streams)
        self._turn = new_turn() if running else []

    def afterstates(self) -> Any:
        """Before a step: the observation (A, D) right after each action."""
        if not self._running:
            raise ResetNeeded("call reset before afterstates: no episode is running")
        return self._episodes.afterstates()[0]

    def counterfactual(self) -> Counterfactual:
        """After a step: reward (A,) and next observation (A, D) that each action would have had on the same path."""
        reward, obs = pair = self._episodes.counterfactual()
        return Counterfactual(reward[0], obs[0], pair.terminated[0])

    def _info(self) -> dict[str, Any]:
        firsts = {key: values[0] for key, values in self._episodes.info().items()}
        return {key: value.item() if value.ndim == 0 else value for key, value in firsts.items()}


class ReferenceVectorEnv(_Known, SeededVectorEnv):
    """N scalar envs of a problem at once, equal bit for bit, each with a random stream of its own.

    Sub-env i is seeded with seed + i, or by a list. Info has the scalar env's keys as arrays (N,), and under
    SAME_STEP, in a step that ends episodes, final_obs, final_info and their masks _final_obs and _final_info.

    Args:
        num_envs: N.
        autoreset_mode: NEXT_STEP (Gymnasium's default), SAME_STEP or DISABLED, as AutoresetMode or by name.
        render_mode: None.
        **keywords: those of the scalar env.
    """

    _reset_options = ("noise_seed",)
    _state_keys = ("episodes",)

    def __init__(
        self,
        num_envs: int = 1,
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **keywords: Any,
    ) -> None:
        _check_render_mode(render_mode)
        super().__init__(num_envs, autoreset_mode)
        self.problem = self.problem_class(**keywords)
        self._set_spaces(self.problem.observation_space(), self.problem.action_space())
        self._all = np.arange(self.num_envs)
        self._episodes = Episodes(self.problem, self.num_envs)

    def _asked(self, options: Mapping[str, Any], rows: Ints) -> list[int | None]:
        """Noise seeds asked for in each of the rows; None = to be drawn."""
        value = options.get("noise_seed")
        if value is None:
            return [None] * len(rows)
        if np.ndim(value) == 0:
            return [_checked_noise_seed(value)] * len(rows)
        if np.shape(value) != (self.num_envs,):
            raise ValueError(
                f"options['noise_seed'] must be one, or an array ({self.num_envs},), got shape {np.shape(value)}"
            )
        seeds = [_checked_noise_seed(one) for one in value]
        return [seeds[j] for j in rows]

    def _draw(self, rng: np.random.Generator, asked: int | None = None) -> int:
        return _noise_seed(asked, rng)

    def _begin(self, rows: Ints, episodes: Sequence[int], stepped: bool) -> None:
        self._episodes.begin(rows, episodes)

    def _first(self, rows: Ints, episodes: Sequence[int]) -> tuple[Any, dict[str, Any]]:
        return self._episodes.observe(self._all), self._episodes.info()

    def _show(self, rows: Ints, episodes: Sequence[int], obs: Any, info: dict[str, Any]) -> None:
        obs[rows] = self._episodes.observe(rows)
        info.update(self._episodes.info())

    def _inputs(self, actions: Any) -> Any:
        return _checked_actions(actions, self.single_action_space, self.num_envs)

    def _advance(self, inputs: Any, turn: Turn) -> tuple[Any, Floats, Bools, Bools, dict[str, Any], bool]:
        n, running = self.num_envs, np.flatnonzero(~self._ended)
        reward, ended = np.zeros(n), np.zeros(n, np.bool_)
        reward[running], obs, ended[running] = self._episodes.step(running, inputs[running])
        if len(running) < n:
            seen, obs = obs, np.zeros((n, *obs.shape[1:]), obs.dtype)
            obs[running] = seen
        return obs, reward, np.zeros(n, np.bool_), ended, self._episodes.info(), bool(ended.any())

    def _own_state(self) -> dict[str, Any]:
        return {"episodes": self._episodes.get_state()}

    def _checked_state(self, state: Mapping[str, Any], begun: bool, ended: Bools) -> Episodes:
        return self._episodes.taken_up(state["episodes"], np.full(self.num_envs, begun), ended & begun)

    def _take_up(self, parts: Episodes) -> None:
        self._episodes = parts

    def afterstates(self) -> Any:
        """Before a step: the observation (N, A, D) right after each action."""
        if not self._begun:
            raise ResetNeeded("call reset before afterstates: no episode is running")
        return self._episodes.afterstates()

    def counterfactual(self) -> Counterfactual:
        """After a step: reward (N, A) and next observation (N, A, D) of every action; 0 for rows that were reset."""
        return self._episodes.counterfactual()


def _checked_actions(actions: Any, space: spaces.Space[Any], n: int) -> Any:
    """Checked actions of n envs as an array; ``space`` is that of one env.

    Raises:
        TypeError: a wrong dtype.
        ValueError: a wrong shape, or out of range.
    """
    values = as_array(actions)
    if isinstance(space, spaces.Discrete):
        check_kind(values, "iu", f"integers of shape {(n,)}", (n,))
        inside = (values >= 0) & (values < space.n)
    else:
        shape = (n, *(space.shape or ()))
        check_kind(values, "f", f"floats of shape {shape}", shape)
        inside = np.abs(values) <= 1.0
    if not inside.all():
        raise ValueError(f"actions must be in {space}, got {values[~inside][0]}")
    return values


def _check_render_mode(render_mode: Any) -> None:
    """Raises TypeError, like an unknown keyword: Stable-Baselines3 tries "rgb_array" and accepts a TypeError."""
    if render_mode is not None:
        raise TypeError(f"render_mode must be None, as nothing is drawn, got {render_mode!r}")


def _noise_seed(asked: int | None, rng: np.random.Generator) -> int:
    """Noise seed of a new episode: the one asked for, or drawn."""
    return int(rng.integers(_NOISE_SEEDS)) if asked is None else asked


def _checked_noise_seed(value: Any) -> int:
    return integer("options['noise_seed']", value, 0, MOST_NOISE_SEEDS - 1)
