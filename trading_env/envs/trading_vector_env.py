"""TradingVectorEnv: N episodes of TradingEnv in one call of the kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from trading_env._checks import brief, integer
from trading_env.envs import state as env_state
from trading_env.envs.checked_state import KEYS, array_of, check_running, check_streams, flag, info_of, ints_of
from trading_env.envs.keywords import check_keywords, shows_keywords
from trading_env.envs.meaning import meaning
from trading_env.envs.rewards import call_reward
from trading_env.envs.spec import HasSpec
from trading_env.envs.task import Task
from trading_env.envs.trading_env import beyond_float64, check_options
from trading_env.envs.turns import Turn, new_turn, refusal
from trading_env.envs.vector_args import as_array, reset_mask, sub_env_seeds
from trading_env.envs.what_if import Counterfactual, afterstates, counterfactual
from trading_env.kernel.accounting import (
    BENCH,
    INFO,
    PAST_ROW,
    STATE,
    Bools,
    Bound,
    Floats,
    Ints,
    get_accounts,
    new_blocks,
    observe_rows,
    set_accounts,
    step_rows,
)

_NEEDED = "not every sub-env has a running episode"
MAX_ENVS = 2**31  # numpy's own error for more does not name num_envs
FLOAT32, INT64, BOOL = (np.dtype(kind) for kind in (np.float32, np.int64, np.bool_))  # faster than their names


class TradingVectorEnv(HasSpec, gym.vector.VectorEnv[Any, Any, Any]):
    """N TradingEnv episodes in one call of the kernel, equal bit for bit to N scalar envs.

    Takes the keywords of TradingEnv. Sub-env i is seeded with seed + i, or by a list, and has its own random
    stream, as in SyncVectorEnv. Without random_start and with one dataset all sub-envs run in step: they differ by
    their actions alone.

    Info has the keys of TradingEnv as arrays (N,), without masks. Under SAME_STEP autoreset, a step that ends
    episodes also has final_obs (object array), final_info (0 where no episode ended) and their masks _final_obs
    and _final_info.

    Args:
        num_envs: N.
        data: as in TradingEnv.
        autoreset_mode: NEXT_STEP (Gymnasium's default), SAME_STEP or DISABLED, as AutoresetMode or by name; by name
            the spec of `gym.make_vec` can be written to JSON.
        render_mode: None; to draw, take `gym.make_vec` with vectorization_mode="sync".
        **keywords: the other keywords of TradingEnv.

    Raises:
        TypeError: an argument of a wrong type.
        ValueError: an argument out of range; the message names it.
    """

    @shows_keywords
    def __init__(
        self,
        num_envs: int = 1,
        data: Any = "us-stocks/AAPL",
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **keywords: Any,
    ) -> None:
        check_keywords(TradingVectorEnv, keywords)
        self.num_envs = integer("num_envs", num_envs, 1, MAX_ENVS)
        self.autoreset_mode = _autoreset_mode(autoreset_mode)
        if render_mode is not None:
            raise ValueError(
                f"render_mode must be None for the vector env, which draws nothing, got {brief(render_mode)}; "
                f"gym.make_vec(..., vectorization_mode='sync', render_mode='rgb_array') draws each sub-env"
            )
        self.render_mode = None
        self.keywords = {"data": data, **keywords}  # of TradingEnv, to make one like a sub-env
        self.task = Task(data, **keywords)
        self.metadata = {
            "render_modes": [],
            "autoreset_mode": self.autoreset_mode,
            "independent_sub_envs": True,  # each sub-env has a random stream and a seed of its own
        }
        self.single_action_space = self.task.action_space()
        self.single_observation_space = self.task.observation_space()
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._world = (self.task.bars, self.task.table, self.task.rules)
        self._flat, self._width = self.task.observation != "dict", self.task.width
        self._discrete = len(self.task.wants) > 0
        self._identity, self._indexed = np.arange(num_envs), (num_envs,)
        self._no_mask = np.empty((num_envs, 0), np.bool_)
        self._now, self._past_accounts = new_blocks(num_envs), new_blocks(num_envs)  # a step goes from one to the other
        self._bench = np.zeros(1, BENCH)
        self._clock = np.zeros((num_envs, PAST_ROW + 1), np.int64)
        self._turn: Turn = []  # given back while every sub-env has an episode, running or ended
        self._ended = np.zeros(num_envs, np.bool_)  # its last step ended the episode
        self._kernel: Bound | None = None  # step_rows for the types of this env's arrays
        self._rngs: list[np.random.Generator] = []
        self._rng_seeds: list[int] = []
        self._any_ended = False
        self._before: dict[str, Any] = {}  # the last info, for a reward callable
        self._past: dict[str, Any] = {}  # the info before it

    @property
    def meaning(self) -> dict[str, Any]:
        """What its sub-envs' observations and actions mean, as plain JSON; see `trading_env.envs.meaning.meaning`."""
        return meaning(self.task)

    # -- randomness: one stream a sub-env, as SyncVectorEnv has it ----------------------------------------

    @property
    def np_random(self) -> Any:
        """The generators of the sub-envs, a tuple (N,)."""
        if not self._rngs:
            self._seed([None] * self.num_envs)
        return tuple(self._rngs)

    @np_random.setter
    def np_random(self, value: Any) -> None:
        self._rngs, self._rng_seeds = list(value), [-1] * self.num_envs

    @property
    def np_random_seed(self) -> Any:
        """The seeds of the sub-envs, a tuple (N,); -1 where the generator was set."""
        if not self._rngs:
            self._seed([None] * self.num_envs)
        return tuple(self._rng_seeds)

    def _seed(self, seeds: Sequence[int | None]) -> None:
        """Seeds the sub-envs that are given a seed, and those that never had one."""
        if not self._rngs:
            pairs = [seeding.np_random(seed) for seed in seeds]
            self._rngs, self._rng_seeds = [rng for rng, _ in pairs], [seed for _, seed in pairs]
            return
        for j, seed in enumerate(seeds):
            if seed is not None:
                self._rngs[j], self._rng_seeds[j] = seeding.np_random(seed)

    # -- reset --------------------------------------------------------------------------------------------

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Starts an episode in every sub-env.

        Args:
            seed: sub-env i is seeded with seed + i, or with seed[i]; None goes on with its stream.
            options: "start" and "data" as in TradingEnv, each one value or an array (N,); "reset_mask",
                bool (N,): the sub-envs to reset, while the others stay as they are.

        Returns:
            Observations with a leading axis N, and info with the keys of ``step``; info is 0 for a sub-env that
            was not reset, but for its action mask.

        Raises:
            TypeError: a seed or an option of a wrong type.
            ValueError: an unknown option, one out of range, or one of a wrong shape. Nothing has changed then.
        """
        options = check_options(options, ("start", "data", "reset_mask"))
        mask = reset_mask(options.get("reset_mask"), self.num_envs, self._begun)
        starts, datas = self._per_env("start", options), self._per_env("data", options)
        seeds = sub_env_seeds(seed, self.num_envs)
        rows = np.flatnonzero(mask)
        asked = [self.task.asked(datas[j], starts[j]) for j in rows]
        self._turn = []  # nobody steps until all is there
        self._seed([seeds[j] if mask[j] else None for j in range(self.num_envs)])
        episodes = [self.task.draw(self._rngs[j], *which) for j, which in zip(rows, asked, strict=True)]
        info, bar = np.zeros((len(INFO), self.num_envs)), np.zeros(self.num_envs, np.int64)
        obs = np.empty((self.num_envs, self.task.width), np.float32)
        mask = np.empty((self.num_envs, len(self.task.wants)), np.bool_)
        self._begin(rows, episodes, info, bar)
        self._clock[rows, PAST_ROW] = -1
        self._observe(self._identity, obs, mask)
        self._ended[rows] = False
        self._any_ended = bool(self._ended.any())
        report = self._report(info, bar, mask)
        self._remember(report, rows)
        shaped, self._turn = self.task.shaped(obs), new_turn()
        return shaped, report

    @property
    def _begun(self) -> bool:
        """Whether every sub-env has an episode, and no step is half done."""
        return bool(self._turn)

    def _per_env(self, name: str, options: dict[str, Any]) -> list[Any]:
        """The option's value of each sub-env (N,): one for all, or an array of them."""
        value: Any = options.get(name)
        try:
            alone = np.ndim(value) == 0
        except ValueError as error:  # lists of different lengths
            raise ValueError(f"options[{name!r}] must be one value or an array, got {brief(value)}") from error
        if alone:
            return [value] * self.num_envs
        if len(value) != self.num_envs:
            raise ValueError(f"options[{name!r}] must have length {self.num_envs}, got {len(value)}")
        return list(value)

    def _begin(self, rows: Ints, episodes: Sequence[tuple[int, int]], info: Any, bar: Ints) -> None:
        """Starts the episodes (market, first bar) in the given rows; writes their info."""
        accounts = []
        for j, (market, start) in zip(rows, episodes, strict=True):
            state, clock = self.task.begin(market, start)
            accounts.append(state[: len(STATE)])
            self._clock[j, :PAST_ROW], bar[j] = clock[:PAST_ROW], start
        set_accounts(self._now, rows, np.reshape(accounts, (-1, len(STATE))))
        info[:, rows] = 0.0
        info[:2, rows] = self.task.initial_cash  # equity, cash

    def _observe(self, rows: Ints, obs: Any, mask: Bools) -> None:
        """Writes observation and mask of the given rows."""
        task = self.task
        accounts = get_accounts(self._now, rows)
        observe_rows(rows, accounts, self._clock, task.closes, task.table, task.rules, obs, mask)

    # -- step ---------------------------------------------------------------------------------------------

    def step(self, actions: Any) -> tuple[Any, Any, Bools, Bools, dict[str, Any]]:
        """Runs one bar in every sub-env; one that has ended is reset as the autoreset mode says.

        Args:
            actions: (N,) integers; continuous (N, 1) floats.

        Returns:
            Fresh arrays with a leading axis N.

        Raises:
            ResetNeeded: a sub-env has no running episode; or the last step was broken off, by Ctrl-C or an error; or
                another thread is inside a step.
            TypeError: actions of a wrong type.
            ValueError: actions of a wrong shape, or out of the action space; or equity or reward beyond float64.
        """
        turn = self._turn
        if not turn or (self._any_ended and self.autoreset_mode is AutoresetMode.DISABLED):
            raise refusal(_NEEDED)
        n, task = self.num_envs, self.task
        indices, wants = self._asked(actions)
        obs, reward = np.empty((n, self._width), FLOAT32), np.empty(n)
        terminated, truncated = np.empty(n, BOOL), np.empty(n, BOOL)
        info, bar, mask = np.empty((len(INFO), n)), np.empty(n, INT64), np.empty((n, len(task.wants)), BOOL)
        try:
            turn.pop()  # from here on an interrupt leaves none
        except IndexError:
            raise refusal(_NEEDED) from None
        accounts, world = (self._now, self._past_accounts, self._bench, self._clock), self._world
        inputs = (indices, wants, self._ended, *accounts)
        outputs = (obs, reward, terminated, truncated, info, bar, mask)
        if self._kernel is None:
            self._kernel = Bound.of(step_rows, *inputs, *world, *outputs)
        n_ended = self._kernel.call(*inputs, *world, *outputs)
        if n_ended < 0:
            j = -1 - n_ended
            turn.append(True)
            raise ValueError(f"actions[{j}] must be in [0, {len(wants) - 1}], got {indices[j]}")
        self._now, self._past_accounts = self._past_accounts, self._now  # with the clock, which has moved
        if n_ended and (lost := terminated & truncated).any():
            j = int(lost.argmax())
            raise beyond_float64(bar[j], info[0, j])
        report = self._report(info, bar, mask)
        if task.function is not None:
            reward = self._called_reward(report)
        if self._any_ended or n_ended:
            self._autoreset(terminated, truncated, obs, info, report)
        shaped = obs if self._flat else task.shaped(obs)
        turn.append(True)
        return shaped, reward, terminated, truncated, report

    # -- state --------------------------------------------------------------------------------------------

    _changing = ("_state", "_clock", "_begun", "_ended", "_any_ended", "_before", "_past", "_rng_seeds")

    @property
    def _state(self) -> Floats:
        """The accounts, and beside them what they were before the last step (N, 2 len(STATE))."""
        return np.hstack([get_accounts(blocks, self._identity) for blocks in (self._now, self._past_accounts)])

    def get_state(self) -> dict[str, Any]:
        """The running episodes and the random streams, as copies: arrays and plain JSON."""
        streams = env_state.get_streams(self.np_random)
        return {
            "fingerprint": env_state.fingerprint(self.task),
            "autoreset_mode": self.autoreset_mode.value,
            "streams": streams,
            **env_state.read(self, self._changing),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from what `get_state` of an env with the same arguments gave.

        Raises:
            ValueError: the state is of another env, or of none: an index outside the data, a number that is not
                finite, a part that does not fit the others. Nothing has changed then.
        """
        env_state.check_fingerprint(self.task, state)
        env_state.check_keys(state, ("autoreset_mode", "streams", *self._changing))
        env_state.check_mode(state, self.autoreset_mode)
        rngs = self.np_random  # made now, if they are not yet
        streams = check_streams(rngs, state["streams"])
        n, begun, any_ended = self.num_envs, flag(state, "_begun"), flag(state, "_any_ended")
        accounts = array_of(state, "_state", np.float64, (n, 2 * len(STATE)))
        clock = array_of(state, "_clock", np.int64, (n, PAST_ROW + 1))
        ended = array_of(state, "_ended", np.bool_, (n,))
        if begun:
            self._check_ended(ended, any_ended)
            check_running(self.task, accounts, clock, ended)
        before, past = (self._info_of(state, name) for name in ("_before", "_past"))
        seeds = ints_of(state, "_rng_seeds", n)
        self._turn = []  # nobody steps until all is there
        set_accounts(self._now, self._identity, accounts[:, : len(STATE)])
        set_accounts(self._past_accounts, self._identity, accounts[:, len(STATE) :])
        self._clock[:], self._ended, self._any_ended = clock, ended, bool(ended.any())
        self._before, self._past, self._rng_seeds = before, past, seeds
        env_state.set_streams(rngs, streams)
        self._turn = new_turn() if begun else []

    def _check_ended(self, ended: Bools, any_ended: bool) -> None:
        """Raises ValueError unless the flags of ended episodes (N,) are such as this autoreset mode keeps."""
        kept = self.autoreset_mode is not AutoresetMode.SAME_STEP
        if any_ended != ended.any() or (any_ended and not kept):
            wanted = f"_ended.any() with autoreset_mode {self.autoreset_mode.value}"
            raise ValueError(f"state['_any_ended'] must be {wanted}, got {any_ended} and {ended.tolist()}")

    def _info_of(self, state: dict[str, Any], name: str) -> dict[str, Any]:
        """The info that a reward callable compares with; empty where there is none."""
        if isinstance(state[name], dict) and not state[name] and (self.task.function is None or not state["_begun"]):
            return {}
        return info_of(state, name, (self.num_envs,))

    # -- what if ------------------------------------------------------------------------------------------

    def action_masks(self) -> Bools:
        """Which discrete actions have a meaning of their own now (N, A); see TradingEnv.

        Raises:
            ResetNeeded: not every sub-env has an episode.
            ValueError: the actions are continuous.
        """
        if not self._discrete:
            raise ValueError("action_masks needs discrete actions, got actions='continuous'")
        if not self._begun:
            raise ResetNeeded("call reset before action_masks: no episode has begun")
        mask = np.empty((self.num_envs, len(self.task.wants)), np.bool_)
        self._observe(self._identity, np.empty((self.num_envs, self.task.width), np.float32), mask)
        return mask

    def afterstates(self) -> Any:
        """Before a step: the observation (N, A, D) right after each discrete action, at the close just seen."""
        if not self._begun:
            raise ResetNeeded("call reset before afterstates: no episode is running")
        return afterstates(self.task, self._state, self._clock)

    def counterfactual(self) -> Counterfactual:
        """After a step: reward (N, A) and next observation (N, A, D) of every action from the accounts as they were.

        The pair has ``terminated`` (N, A) as an attribute. Rows that were reset instead of stepped are zeros; rows
        that SAME_STEP has reset after their step show that step.
        """
        if not self._begun:
            raise ResetNeeded("call step before counterfactual: no step has been made")
        reward, obs, terminated = counterfactual(self.task, self._state, self._clock, self._past or None)
        return Counterfactual(reward, self.task.shaped(obs), terminated)

    # -- the parts of a step ------------------------------------------------------------------------------

    def _asked(self, actions: Any) -> tuple[Ints, Floats]:
        """Indices (N,) into wants, and the wants: those of the discrete actions, or one per sub-env."""
        if type(actions) is not np.ndarray:
            actions = as_array(actions)
        if self._discrete:
            if actions.dtype is INT64 and actions.shape == self._indexed and actions.flags.c_contiguous:
                return actions, self.task.wants
            _check_kind(actions, "iu", f"integers of shape {self._indexed}", self._indexed)
            return np.ascontiguousarray(actions, np.int64), self.task.wants
        _check_kind(actions, "f", f"floats of shape ({self.num_envs}, 1)", (self.num_envs, 1))
        wrong = ~((actions[:, 0] >= self.task.least) & (actions[:, 0] <= 1.0))  # NaN is wrong too
        if wrong.any():
            j = int(np.flatnonzero(wrong)[0])
            raise ValueError(f"actions[{j}] must be in [{self.task.least:g}, 1], got {actions[j, 0]}")
        return self._identity, actions[:, 0].astype(np.float64) * self.task.margin.max_leverage

    def _autoreset(self, terminated: Bools, truncated: Bools, obs: Any, info: Floats, report: dict[str, Any]) -> None:
        """Resets what the mode says: the rows that ended now (SAME_STEP), or at the last step (NEXT_STEP)."""
        now = terminated | truncated
        rows = np.flatnonzero(now if self.autoreset_mode is AutoresetMode.SAME_STEP else self._ended)
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            report.update(self._final(rows, now, obs, report))
        else:
            self._ended, self._any_ended = now, bool(now.any())
            self._clock[rows, PAST_ROW] = -1  # a reset is no step
        episodes = [self.task.draw(self._rngs[j]) for j in rows]
        self._begin(rows, episodes, info, report["bar"])
        self._observe(rows, obs, report.get("action_mask", self._no_mask))
        self._remember(report, rows)

    def _final(self, rows: Ints, now: Bools, obs: Any, report: dict[str, Any]) -> dict[str, Any]:
        """The last observation and info of the episodes that ended, in the form of Gymnasium's SyncVectorEnv."""
        final_obs = np.full(self.num_envs, None, dtype=object)
        for j in rows:
            final_obs[j] = self.task.shaped(obs[j].copy())
        final_info = {key: np.zeros_like(values) for key, values in report.items()}
        for key, values in report.items():
            final_info[key][rows] = values[rows]
        return {
            "final_obs": final_obs,
            "_final_obs": now.copy(),
            "final_info": final_info,
            "_final_info": now.copy(),
        }

    def _report(self, info: Floats, bar: Ints, mask: Bools) -> dict[str, Any]:
        """Info: a row of the block per key (N,), the bar, and the mask of discrete actions (N, A)."""
        report: dict[str, Any] = dict(zip(INFO, info, strict=False))  # strict costs 1 us
        report["bar"] = bar
        if self._discrete:
            report["action_mask"] = mask
        return report

    def _remember(self, report: dict[str, Any], rows: Ints) -> None:
        """Keeps the accounts of the rows that start anew, for a reward callable to compare with."""
        if self.task.function is None:
            return
        if not self._before:
            self._before = {key: report[key].copy() for key in KEYS}
            self._past = {key: values.copy() for key, values in self._before.items()}
        for key, values in self._before.items():
            values[rows] = report[key][rows]

    def _called_reward(self, report: dict[str, Any]) -> Floats:
        """The reward callable's word on the step; 0 for sub-envs that are reset in it."""
        assert self.task.function is not None
        self._past = self._before
        self._before = after = {key: report[key].copy() for key in KEYS}
        for key, values in after.items():
            values[self._ended] = self._past[key][self._ended]
        reward = call_reward(self.task.function, self._past, after)
        return np.where(self._ended, 0.0, reward)


def _check_kind(actions: Any, kinds: str, wanted: str, shape: tuple[int, ...]) -> None:
    """Raises TypeError where the actions' dtype is of none of the kinds, ValueError where their shape is another."""
    error = TypeError if actions.dtype.kind not in kinds else ValueError if actions.shape != shape else None
    if error is not None:
        raise error(f"actions must be {wanted}, got {actions.dtype} {actions.shape}")


def _autoreset_mode(mode: AutoresetMode | str) -> AutoresetMode:
    """The mode, given as itself, by its name (NEXT_STEP) or by its value (NextStep)."""
    if isinstance(mode, AutoresetMode):
        return mode
    for known in AutoresetMode:
        if isinstance(mode, str) and mode.lower() in (known.name.lower(), known.value.lower()):
            return known
    raise ValueError(f"autoreset_mode must be one of {[m.name for m in AutoresetMode]}, got {brief(mode)}")
