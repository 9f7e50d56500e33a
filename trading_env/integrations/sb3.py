"""TradingVectorEnv as a VecEnv of Stable-Baselines3, and a feature extractor for compact observations.

Not imported by `trading_env`: this module imports stable_baselines3, and with it torch.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from trading_env._checks import choice
from trading_env.envs.portfolio.accounts import KEYS as PORTFOLIO_KEYS
from trading_env.envs.portfolio.task import PortfolioTask
from trading_env.envs.portfolio.vector_env import PortfolioVectorEnv
from trading_env.envs.task import Task
from trading_env.envs.trading_vector_env import TradingVectorEnv
from trading_env.integrations.portfolio_sub_env import PortfolioSubEnv
from trading_env.integrations.sub_env import SubEnv, row_of
from trading_env.kernel.measure import KEYS

try:
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
    from stable_baselines3.common.vec_env import VecEnv
except ImportError as error:
    raise ImportError("trading_env.sb3 needs stable_baselines3: pip install 'trading-env[sb3]'") from error

from trading_env.integrations.feature_windows import COMPACT_SIZE, FeatureWindows

if TYPE_CHECKING:
    import torch

Infos = list[dict[str, Any]]
RENDER_MODES = ("ansi", "rgb_array")
MIN_ROOM = 1024
BY_ROW = (
    "action_masks",
    "afterstates",
    "counterfactual",
)  # methods of the vector env that return rows for all sub-envs


class TradingVecEnv(VecEnv):
    """N TradingEnv episodes as a VecEnv of Stable-Baselines3, equal bit for bit to a DummyVecEnv of N envs.

    Steps, resets and seeds are those of TradingVectorEnv under SAME_STEP autoreset. ``env_method("action_masks")``
    serves sb3-contrib's MaskablePPO. Episodes are recorded as by Monitor, and ``env_is_wrapped(Monitor)`` is True.
    ``get_attr`` and ``env_method`` know the attributes and methods of TradingEnv that do not change it: see `SubEnv`.

    ``infos`` has a new dict for each sub-env and step:

    | of a sub-env | keys |
    |---|---|
    | whose episode goes on | "TimeLimit.truncated": False, and ``info_keys`` |
    | whose episode ended | all of TradingEnv's info, "TimeLimit.truncated", "terminal_observation", and "episode": |
    | | {"r": sum of rewards, "l": steps, "t": seconds since this env was made} |

    DummyVecEnv returns all of TradingEnv's info in every step; here that would take longer than the step itself.
    ``reset_infos`` has the whole info of the last reset of each sub-env.

    With observation="compact" a policy needs `CompactExtractor`, and VecNormalize must be told norm_obs=False.

    Args:
        num_envs: N, or a TradingVectorEnv (of `gym.make_vec`, or a reference market's) or PortfolioVectorEnv with
            autoreset_mode SAME_STEP.
        info_keys: keys of TradingEnv's info that all dicts of ``infos`` hold.
        render_mode: None, "ansi" or "rgb_array", as of TradingEnv: for ``render``, ``get_images`` and VecVideoRecorder.
        **keywords: of TradingEnv, if ``num_envs`` is a number.

    Raises:
        TypeError: an argument of a wrong type, or keywords beside a ready vector env.
        ValueError: an argument out of range; the message names it.

    Examples:
        >>> model = PPO("MlpPolicy", TradingVecEnv(16, data="us-stocks/AAPL", random_start=True))
        >>> stocks = gym.make_vec("trading_env:PortfolioEnv-v0", 16, autoreset_mode="SAME_STEP")
        >>> model = PPO("MlpPolicy", TradingVecEnv(stocks))
    """

    def __init__(
        self,
        num_envs: int | TradingVectorEnv | PortfolioVectorEnv = 1,
        *,
        info_keys: Sequence[str] = (),
        render_mode: str | None = None,
        **keywords: Any,
    ) -> None:
        self.sub_render_mode = None if render_mode is None else choice("render_mode", render_mode, RENDER_MODES)
        self.envs = _vector_env(num_envs, keywords)
        portfolios = isinstance(self.envs, PortfolioVectorEnv)
        self._keys = PORTFOLIO_KEYS if portfolios else KEYS
        self.info_keys = _info_keys(info_keys, self._keys)
        n, view = self.envs.num_envs, PortfolioSubEnv if portfolios else SubEnv
        self.sub_envs = [view(self, i) for i in range(n)]
        super().__init__(n, self.envs.single_observation_space, self.envs.single_action_space)
        self._actions: Any = None
        self._masks: npt.NDArray[np.bool_] | None = None  # (N, A), of the last observations
        self._returns = np.zeros(n)
        self._lengths = np.zeros(n, np.int64)
        self._played: list[Any] = []  # actions of the last steps, enough for all running episodes
        self._room = MIN_ROOM  # its length from which those of ended episodes are dropped
        self._made = time.time()

    @property
    def task(self) -> Task | PortfolioTask:
        """The task, which the sub-envs share."""
        return self.envs.task

    def reset(self) -> Any:
        """First observations; seeds and options given to ``seed`` and ``set_options`` are used once."""
        names = {name for options in self._options for name in options}
        options = {name: [options.get(name) for options in self._options] for name in names}
        obs, info = self.envs.reset(seed=self._seeds, options=options)
        self._reset_seeds()
        self._reset_options()
        self._returns[:] = 0.0
        self._lengths[:] = 0
        self._played = []
        self._masks = info.get("action_mask")
        self.reset_infos = [_row_of(info, i, self._keys) for i in range(self.num_envs)]
        return obs

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Takes the actions (N,), continuous (N, 1), of the step that ``step_wait`` makes."""
        self._actions = actions

    def step_wait(self) -> Any:
        """Observations, rewards float32 (N,), dones (N,), and a dict for each sub-env; see the class."""
        obs, reward, terminated, truncated, info = self.envs.step(self._actions)
        dones = terminated | truncated
        self._returns += reward
        self._lengths += 1
        actions = self._actions
        self._played.append(actions.copy() if type(actions) is np.ndarray else np.array(actions))
        if len(self._played) > self._room:
            self._forget()
        self._masks = info.get("action_mask")
        infos: Infos = [{"TimeLimit.truncated": False} for _ in range(self.num_envs)]
        for key in self.info_keys:
            for i, value in enumerate(info[key].tolist()):
                infos[i][key] = value
        if dones.any():
            self._end(np.flatnonzero(dones), terminated, info, infos)
        return obs, reward.astype(np.float32), dones, infos

    def _end(self, rows: Any, terminated: Any, info: dict[str, Any], infos: Infos) -> None:
        """Fills the dicts of sub-envs whose episode ended, and starts recording the next."""
        seconds = round(time.time() - self._made, 6)
        for i in rows:
            infos[i] = {
                **_row_of(info["final_info"], i, self._keys),
                "TimeLimit.truncated": not terminated[i],
                "terminal_observation": info["final_obs"][i],
                "episode": {"r": round(float(self._returns[i]), 6), "l": int(self._lengths[i]), "t": seconds},
            }
            self.reset_infos[i] = _row_of(info, i, self._keys)
        self._returns[rows] = 0.0
        self._lengths[rows] = 0

    def _forget(self) -> None:
        """Drops the actions of episodes that have ended."""
        longest = int(self._lengths.max())
        self._played = self._played[len(self._played) - longest :]
        self._room = max(2 * longest, MIN_ROOM)

    def orders_of(self, i: int) -> npt.NDArray[np.float64]:
        """Orders of sub-env i in its running episode: target exposures or lots, NaN = hold; of portfolios (S, K)."""
        n = int(self._lengths[i])
        actions = np.array([actions[i] for actions in self._played[len(self._played) - n :]])
        if isinstance(self.task, PortfolioTask):
            boxes = self.task.weights_of(actions) if self.task.discrete and n else actions
            return boxes.astype(np.float64).reshape(n, self.task.n)
        if n == 0:
            return np.zeros(0)
        if len(self.task.orders):
            chosen: npt.NDArray[np.float64] = self.task.orders[actions]
            return chosen
        continuous: npt.NDArray[np.float64] = actions[:, 0].astype(np.float64) * self.task.margin.max_leverage
        return continuous

    def close(self) -> None:
        """Closes the vector env."""
        self.envs.close()

    def get_images(self) -> Sequence[Any]:
        """A picture (H, W, 3) of each sub-env; None, with the same warning as DummyVecEnv, without rgb_array."""
        if self.render_mode != "rgb_array":
            warnings.warn(
                f"TradingVecEnv has no images with render_mode={self.render_mode!r}, only with 'rgb_array'",
                UserWarning,
                stacklevel=2,
            )
            return [None] * self.num_envs
        return self.env_method("render")

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The attribute of each sub-env; `SubEnv` has the available ones."""
        return [getattr(self.sub_envs[i], attr_name) for i in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Sets an attribute of each sub-env; AttributeError for the attributes that `SubEnv` defines."""
        for i in self._get_indices(indices):
            setattr(self.sub_envs[i], attr_name, value)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Results of a method of `SubEnv`, one for each sub-env."""
        numbers = list(self._get_indices(indices))
        if method_name in BY_ROW:
            answer = self.answer(method_name, *method_args, **method_kwargs)
            return [row_of(answer, i) for i in numbers]
        return [getattr(self.sub_envs[i], method_name)(*method_args, **method_kwargs) for i in numbers]

    def answer(self, method_name: str) -> Any:
        """Result of one of the methods `BY_ROW`, with a leading axis N."""
        if method_name == "action_masks" and self._masks is not None:
            return self._masks.copy()
        return getattr(self.envs, method_name)()

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Any = None) -> list[bool]:
        """True for Monitor, which this env replaces, else False."""
        return [wrapper_class is Monitor for _ in self._get_indices(indices)]


class CompactExtractor(BaseFeaturesExtractor):
    """Expands observation="compact" inside a policy to the "flat" observation, bit for bit.

    A replay buffer then stores 5 numbers per observation instead of window x F + 4. All networks of a model share one
    table, which is in no state dict. A saved model holds it once, in its ``policy_kwargs``, so that it acts the same
    after loading.

    Args:
        observation_space: of the compact env, whose observations no wrapper may stack or scale (VecNormalize needs
            norm_obs=False).
        windows: `FeatureWindows.of` the env.

    Raises:
        ValueError: observation_space is not the space of compact observations.

    Examples:
        >>> env = TradingVecEnv(1, observation="compact")
        >>> model = DQN("MlpPolicy", env, policy_kwargs=CompactExtractor.of(env))
        >>> look_at(model, test_env)  # before acting on other data
    """

    def __init__(self, observation_space: spaces.Space[Any], windows: FeatureWindows) -> None:
        if observation_space.shape != (COMPACT_SIZE,):
            raise ValueError(
                f"observation_space must be that of compact observations, which no wrapper may stack or scale, "
                f"got {observation_space}"
            )
        super().__init__(observation_space, windows.features_dim)
        self.windows = windows

    @classmethod
    def of(cls, env: Any) -> dict[str, Any]:
        """``policy_kwargs`` of a model for the env; others may be added."""
        return {"features_extractor_class": cls, "features_extractor_kwargs": {"windows": FeatureWindows.of(env)}}

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Flat observations (B, K) of compact ones (B, 5)."""
        return self.windows(observations)


def look_at(model: Any, env: Any) -> None:
    """Lets a model that was made with `CompactExtractor.of` read the table of another env: `FeatureWindows.look_at`."""
    windows = (model.policy_kwargs or {}).get("features_extractor_kwargs", {}).get("windows")
    if not isinstance(windows, FeatureWindows):
        raise ValueError(f"model must be made with policy_kwargs=CompactExtractor.of(env), got {model.policy_kwargs!r}")
    windows.look_at(env)


def _vector_env(num_envs: Any, keywords: dict[str, Any]) -> TradingVectorEnv | PortfolioVectorEnv:
    """The vector env given, or one of that many sub-envs."""
    if not isinstance(num_envs, (TradingVectorEnv, PortfolioVectorEnv)):
        if "autoreset_mode" in keywords:
            raise TypeError("autoreset_mode is SAME_STEP in TradingVecEnv and cannot be given")
        return TradingVectorEnv(num_envs, autoreset_mode=AutoresetMode.SAME_STEP, **keywords)
    if keywords:
        raise TypeError(f"a ready vector env takes no keywords, got {sorted(keywords)}")
    if num_envs.autoreset_mode is not AutoresetMode.SAME_STEP:
        raise ValueError(f"num_envs must be a vector env with autoreset_mode SAME_STEP, got {num_envs.autoreset_mode}")
    return num_envs


def _info_keys(keys: Any, known: Sequence[str]) -> tuple[str, ...]:
    """Keys of info, checked."""
    if isinstance(keys, str) or not isinstance(keys, Sequence):
        raise TypeError(f"info_keys must be a sequence of keys of info, got {keys!r}")
    unknown = [key for key in keys if key not in known]
    if unknown:
        raise ValueError(f"info_keys {unknown} are unknown; known are {list(known)}")
    return tuple(keys)


def _row_of(info: dict[str, Any], i: int, keys: Sequence[str]) -> dict[str, Any]:
    """Row i of info in the form of the scalar env: floats, an int bar, and copies of arrays (K,) and of the mask."""
    row = {key: info[key][i].item() if info[key].ndim == 1 else info[key][i].copy() for key in keys}
    for key in ("action_mask", "instruments"):
        if key in info:
            row[key] = info[key][i].copy()
    return row
