"""Save and restore the running episodes of vector envs, so that they continue after the program was killed.

An env with `get_state()` and `set_state(state)` is saved by them, with all that it wraps. The sub-envs of a
`SyncVectorEnv` may also be Gymnasium's toy-text envs (FrozenLake, Taxi, CliffWalking, Blackjack), whose state is a
few numbers and a random stream, under wrappers that at most count steps. Episodes of other envs cannot be saved, and
start anew.
"""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import SyncVectorEnv, VectorEnv
from gymnasium.wrappers import (
    ClipAction,
    FlattenObservation,
    OrderEnforcing,
    PassiveEnvChecker,
    RecordEpisodeStatistics,
    RescaleAction,
    TimeLimit,
)

from agents.common.checks import plain, short
from agents.common.state import State, Stateful, get_attributes, part, set_attributes

AUTORESET = ("_rewards", "_terminations", "_truncations", "_autoreset_envs")
WRAPPERS: dict[type, tuple[str, ...]] = {
    ClipAction: (),
    FlattenObservation: (),
    OrderEnforcing: (),
    PassiveEnvChecker: (),
    RecordEpisodeStatistics: ("episode_count", "episode_start_time", "episode_returns", "episode_lengths"),
    RescaleAction: (),
    TimeLimit: ("_elapsed_steps",),
}
"""Attributes of wrappers that change during an episode."""
TOY_TEXT = ("s", "lastaction", "fickle_step", "taxi_orientation", "player", "dealer")
"""Attributes of toy-text envs that change during an episode; each env has some of them."""
MOST_CARDS = 22
"""The longest hand in Blackjack: 21 aces and one more."""


def episodes_of(envs: VectorEnv[Any, Any, Any]) -> State | None:
    """The state of the running episodes and of the random streams; None if the envs cannot give it."""
    if isinstance(envs, Stateful):
        return {"kind": type(envs).__name__, "envs": envs.get_state()}
    if not isinstance(envs, SyncVectorEnv):
        return None
    states = [_state_of(env) for env in envs.envs]
    if any(state is None for state in states):
        return None
    return {"kind": "SyncVectorEnv", "envs": states, "autoreset": get_attributes(envs, AUTORESET)}


def set_episodes(envs: VectorEnv[Any, Any, Any], state: State) -> None:
    """Restores what `episodes_of` returned. The envs must have been reset, so that their wrappers are ready.

    Raises:
        ValueError: If the state came from other envs.
    """
    kind = type(envs).__name__
    if state["kind"] != kind:
        raise ValueError(f"the episodes ran in a {state['kind']}, and cannot go on in a {kind}")
    if isinstance(envs, Stateful):
        envs.set_state(state["envs"])
        return
    assert isinstance(envs, SyncVectorEnv)
    if len(state["envs"]) != len(envs.envs):
        raise ValueError(f"the episodes ran in {len(state['envs'])} sub-envs, and cannot go on in {len(envs.envs)}")
    for env, single in zip(envs.envs, state["envs"], strict=True):
        _set_state(env, single)
    set_attributes(envs, AUTORESET, state["autoreset"])


def _layers(env: gym.Env[Any, Any]) -> list[Any] | None:
    """The wrappers and the env, down to the first with `get_state`; None if the state of one is not known."""
    layers = [env]
    while not isinstance(env, Stateful):
        if not isinstance(env, gym.Wrapper):
            return layers if _is_toy_text(env) else None
        if type(env) not in WRAPPERS:
            return None
        env = env.env
        layers.append(env)
    return layers


def _is_toy_text(env: gym.Env[Any, Any]) -> bool:
    return type(env).__module__.startswith("gymnasium.envs.toy_text.")


def _names(layer: Any) -> tuple[str, ...]:
    """The attributes that are the state of one layer."""
    if type(layer) in WRAPPERS:
        return WRAPPERS[type(layer)]
    return ("np_random", *(name for name in TOY_TEXT if hasattr(layer, name)))


def _state_of(env: gym.Env[Any, Any]) -> list[State] | None:
    layers = _layers(env)
    if layers is None:
        return None
    own = isinstance(layers[-1], Stateful)
    states = [get_attributes(layer, _names(layer)) for layer in layers[: -1 if own else None]]
    return [*states, layers[-1].get_state()] if own else states


def _set_state(env: gym.Env[Any, Any], states: list[State]) -> None:
    layers = _layers(env)
    if layers is None or len(layers) != len(states):
        raise ValueError(f"the episodes ran in other envs, and cannot go on in {env}")
    for layer, state in zip(layers, states, strict=True):
        if isinstance(layer, Stateful):
            layer.set_state(state)
        else:
            _set_attributes(layer, state)


def _set_attributes(layer: Any, state: State) -> None:
    if set(state) != set(_names(layer)):
        raise ValueError(f"the episodes ran in other envs, and cannot go on in {layer}, which has no {set(state)}")
    for name, value in state.items():
        if name == "np_random":
            layer.np_random.bit_generator.state = value
        else:
            with part(name):
                _check(layer, name, value)
            setattr(layer, name, value)


def _check(layer: Any, name: str, value: Any) -> None:
    """Checks a value to restore in a wrapper or a toy-text env; ValueError if it is impossible."""
    value = plain(value)
    if name in ("s", "lastaction"):
        space = layer.observation_space if name == "s" else layer.action_space
        fits = (value is None and name == "lastaction") or (type(value) is int and 0 <= value < space.n)
    elif name in ("player", "dealer"):
        fits = isinstance(value, tuple) and 0 < len(value) <= MOST_CARDS
        fits = fits and all(type(card) is int and 0 < card <= 10 for card in value)
    else:
        old = plain(getattr(layer, name))
        fits = type(value) is type(old) and np.shape(value) == np.shape(old)
        fits = fits and (not isinstance(value, int) or 0 <= value < 2**63)
    if not fits:
        raise ValueError(f"{layer} cannot remember {short(value)}")
