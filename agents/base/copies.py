"""Copies of agents, by `copy.deepcopy`, pickle and cloudpickle: they act, learn and save as the original would.

An agent is full of memory with several names: tensors that are views of one flat buffer, NumPy arrays that are views
of tensors, functions bound to either. Copied part by part they fall apart, and what learns is no longer what acts. So
a copy is built anew, as the constructor does, and then takes over what was learnt and all that training goes on from.

Functions and local classes (an env's factory, a schedule) go into a pickle by cloudpickle, which Gymnasium needs too.

Envs go along. Those that give their state are made anew and take it; others are copied as they are. Where neither can
be done the copy's episodes start anew, and a warning says so.
"""

import copy
import pickle
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import cloudpickle
import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv

from agents.common.state import State, get_attributes, set_attributes
from agents.envs.env_state import episodes_of
from agents.envs.seed_envs import SeedEnvs, make_envs

if TYPE_CHECKING:
    from agents.base.agent import SeedAgent

Pack = Callable[[Any], Any]
"""Makes of anything something that belongs to the copy alone: another object, or the bytes of one."""
_FRAME = ("seeds", "n_envs", "spaces", "device")


def deepcopied(agent: "SeedAgent", memo: dict[int, Any]) -> Any:
    """The agent's twin, which shares functions with it, and nothing that changes."""
    twin = memo[id(agent)] = blank(type(agent))
    state = state_of(agent, lambda part: copy.deepcopy(part, memo))
    state["more"] = copy.deepcopy(state["more"], memo)
    take_up(twin, state, lambda part: part)
    return twin


def reduced(agent: "SeedAgent") -> tuple[Any, ...]:
    """What pickle asks for: how to make a blank agent, and the state that `take_up` gives it."""
    return blank, (type(agent),), state_of(agent, cloudpickle.dumps)


def blank(kind: type[Any]) -> Any:
    """An agent of a kind that is nothing yet."""
    return object.__new__(kind)


def state_of(agent: "SeedAgent", pack: Pack) -> State:
    """All that makes an agent what it is. What the agent itself takes over by copying may share memory with it."""
    attributes = vars(agent)
    reported = {name: _detached(attributes[name]) for name in agent._reported if name in attributes}
    known = agent._names | set(reported)
    return {
        "frame": {name: getattr(agent, name) for name in _FRAME},
        "made": _made(agent, pack),
        "learnt": {name: array.detach().cpu().numpy() for name, array in agent._arrays().items()},
        "memory": _as_arrays(agent._get_memory()),
        "predicting": get_attributes(agent, ("_predicting",)),
        "running": (agent._obs, agent._episodes),
        "plain": {name: value for name, value in attributes.items() if _is_plain(value)},
        "reported": reported,
        "envs": None if agent._envs is None else _standing(agent._envs, pack),
        "more": {name: value for name, value in attributes.items() if name not in known},
    }


def take_up(agent: "SeedAgent", state: State, unpack: Callable[[Any], Any] = pickle.loads) -> None:
    """Makes a blank agent what `state_of` says."""
    made = {name: unpack(part) for name, part in state["made"].items()}
    agent._set_up(**made, **state["frame"])
    for name, array in agent._arrays().items():
        array.copy_(torch.from_numpy(state["learnt"][name]))
    vars(agent).update(state["plain"])
    agent._set_memory(state["memory"])
    set_attributes(agent, ("_predicting",), state["predicting"])
    vars(agent).update(_detached(state["reported"]))
    obs, agent._episodes = state["running"]
    agent._obs = None if obs is None else obs.copy()
    if state["envs"] is not None:
        _stand(agent, state["envs"], unpack)
    vars(agent).update(state["more"])


def _made(agent: "SeedAgent", pack: Pack) -> State:
    """What the constructor is given, of which no part need be plain data."""
    extractor = agent.features and agent.features.extractor
    made: State = {"config": agent.config, "env": _source(agent._env), "features_extractor": extractor}
    for name, value in made.items():
        try:
            made[name] = pack(value)
            if made[name] is value and hasattr(value, "look_at"):  # it looks at another env for all that share it
                made[name] = pickle.loads(pickle.dumps(value))
        except Exception as error:  # whatever a stranger's object raises
            raise TypeError(f"{name} of the agent cannot be copied, {error!r}: save(path) writes it without") from error
    return made


def _source(env: Any) -> Any:
    """What envs are made from: of an env its spec, since copies are made by that."""
    return env.spec if isinstance(env, gym.Env) else env


def _standing(envs: SeedEnvs, pack: Pack) -> State:
    """Where the envs stand: their state, or themselves, or their counts alone."""
    if envs._seeds is None and episodes_of(envs.vector_env) is not None:
        return {"state": pack(envs.get_state())}
    seeds, counts = envs._seeds, get_attributes(envs, envs._memory) if envs._seeds is None else None
    try:
        return {"envs": pack(envs.vector_env), "seeds": seeds, "counts": counts}
    except Exception as error:  # whatever a stranger's env raises
        if counts is None:  # it has not begun: a new one is the same
            return {"seeds": seeds}
        said = f"the env cannot be copied, its episodes start anew in the copy: {error!r}"
        warnings.warn(said, RuntimeWarning, stacklevel=5)
        return {"state": {"counts": counts, "episodes": None}}


def _stand(agent: "SeedAgent", state: State, unpack: Callable[[Any], Any]) -> None:
    """Gives a copy its envs."""
    kind = agent._training_envs(agent.config)
    if "envs" in state:
        vector: VectorEnv[Any, Any, Any] = unpack(state["envs"])
        envs = kind(vector, agent.seeds, agent.n_envs, "envs")
        envs._seeds = state["seeds"]
        if state["counts"] is not None:
            set_attributes(envs, envs._memory, state["counts"])
    else:
        assert agent._env is not None
        envs = make_envs(agent._env, agent.seeds, agent.n_envs, kind=kind)
        standing = state.get("state")
        standing = unpack(standing) if isinstance(standing, bytes) else standing
        if standing is not None and not envs.set_state(standing) and agent._obs is not None:
            agent._break_off(agent._obs)
    agent._envs = envs


def _is_plain(value: Any) -> bool:
    """Whether it shares memory with nothing that changes."""
    if isinstance(value, dict):
        return all(map(_is_plain, (*value, *value.values())))
    if isinstance(value, list | tuple):
        return type(value) in (list, tuple) and all(map(_is_plain, value))
    return value is None or type(value) in (bool, int, float, str)


def _as_arrays(tree: Any) -> Any:
    """A state whose tensors are NumPy's arrays, as one that comes from a file has them."""
    if isinstance(tree, torch.Tensor):
        return tree.numpy()
    if isinstance(tree, dict):
        return {name: _as_arrays(part) for name, part in tree.items()}
    return [_as_arrays(part) for part in tree] if isinstance(tree, list | tuple) else tree


def _detached(value: Any) -> Any:
    """Tensors and arrays in dicts, lists and tuples as copies on the CPU; what is reported of an update."""
    if isinstance(value, torch.Tensor):
        return torch.from_numpy(value.detach().cpu().numpy().copy())
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, dict):
        return {name: _detached(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        parts = [_detached(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value
