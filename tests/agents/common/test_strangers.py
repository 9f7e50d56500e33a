"""Files that strangers made: every fact of theirs is taken up rightly, or refused by file and name."""

import dataclasses
import json
import resource
import time

import gymnasium as gym
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import trading_env  # noqa: F401, registers the env
from agents.a2c import A2C
from agents.common import checkpoints
from agents.course_dqn import CourseDQN
from agents.dqn import DQN
from agents.ppo import PPO
from agents.pqn import PQN
from agents.q_learning import QLearning
from agents.qrdqn import QRDQN
from agents.rainbow import Rainbow
from agents.recurrent_a2c import RecurrentA2C
from agents.recurrent_dqn import RecurrentDQN
from agents.reinforce import REINFORCE
from agents.sac import SAC
from agents.td3 import TD3
from agents.td_lambda import TDLambda

SMALL_DQN = {"net_arch": (8,), "learning_starts": 20, "batch_size": 8, "train_freq": 2}
RECURRENT_DQN = {"learning_starts": 30, "batch_size": 3, "burn_in": 2, "sequence_length": 4}
KINDS = {
    "A2C": (A2C, {"net_arch": (8,), "learning_rate": "lin_1e-2"}),
    "PPO": (PPO, {"net_arch": (8,), "n_steps": 32, "batch_size": 16, "n_epochs": 2}),
    "PPO, a Box": (PPO, {"net_arch": (8,), "n_steps": 32, "batch_size": 16}),
    "REINFORCE": (REINFORCE, {"net_arch": (8,), "n_episodes": 3, "value_baseline": True}),
    "DQN": (DQN, SMALL_DQN),
    "Rainbow": (Rainbow, {**SMALL_DQN, "buffer_size": 90}),
    "PQN": (PQN, {"net_arch": (8,), "n_steps": 32, "batch_size": 16}),
    "QRDQN": (QRDQN, {**SMALL_DQN, "n_quantiles": 5}),
    "CourseDQN": (CourseDQN, {"net_arch": (8,), "batch_size": 8, "target_update_interval": 20}),
    "RecurrentA2C": (RecurrentA2C, {"lstm_size": 6, "n_steps": 7}),
    "RecurrentDQN": (RecurrentDQN, {"lstm_size": 6, **RECURRENT_DQN}),
    "TDLambda": (TDLambda, {"net_arch": (8,), "loss_column": -1}),
    "QLearning": (QLearning, {}),
    "SAC, a Box": (SAC, {"net_arch": (8,), "learning_starts": 20, "batch_size": 8}),
    "TD3, a Box": (TD3, {"net_arch": (8,), "learning_starts": 20, "batch_size": 8}),
}
TRADING = {"window": 3, "episode_length": 17, "random_start": True}
OTHERS = (
    None,
    "x",
    "",
    -1,
    -0.5,
    10**9,
    10**18,
    2**70,
    10**400,
    1e300,
    float("nan"),
    float("inf"),
    True,
    [],
    [[]],
    {},
    {"x": 1},
)
SHAPING = ("seeds", "config, spaces and features_dim", "too large", "but the agent learnt with")
"""Words of refusals of what several facts say together."""


def env_of(name):
    if name == "QLearning":
        return "Blackjack-v1"
    actions = {"actions": "continuous"} if name.endswith("a Box") else {}
    return dataclasses.replace(gym.spec("TradingEnv-v0"), kwargs=TRADING | actions)


def until(step):
    """A callback that ends training there."""
    return lambda agent: agent.num_timesteps < step


@pytest.fixture(scope="module", params=KINDS)
def stored(request, tmp_path_factory):
    """Algorithm, env, arrays and facts of a run that was stopped, and where others like it can be written."""
    algorithm, options = KINDS[request.param]
    path = tmp_path_factory.mktemp("strangers") / "run.safetensors"
    env = env_of(request.param)
    algorithm(env, seeds=2, n_envs=2, **options).learn(200, callback=until(60)).save(path, training=True)
    return algorithm, env, *checkpoints.read(path), path


def leaves(tree, *path):
    """Where each leaf and each branch of the facts is."""
    if path:
        yield path
    for key in tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        yield from leaves(tree[key], *path, key)


def changed(tree, path, value):
    """A copy with another value there; without it where the value is `leaves`."""
    copy = json.loads(json.dumps(tree))
    part = copy
    for key in path[:-1]:
        part = part[key]
    if value is leaves:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return copy


def goes_on(algorithm, env, path, place=("",)):
    """Loads the agent and takes a few steps more; not with other hyperparameters, which may ask for 10^9 epochs."""
    agent = algorithm.load(path, env=env, device="cpu")
    if place[0] != "spaces":
        agent.predict(np.zeros((2, *agent.spaces.obs_shape)), deterministic=True)
    if place[0] != "config" and agent.num_timesteps < agent.goal:
        agent.resume(callback=until(agent.num_timesteps + 3))
    return agent


def names_it(said, path):
    """Whether the refusal names the fact, or the parts that it belongs to."""
    names = [str(key) for key in path if isinstance(key, str)]
    return any(name in said for name in names[-2:]) or (len(names) > 2 and names[2] in said)


def test_facts_of_strangers_are_refused_by_file_and_name_or_taken_rightly(stored):
    algorithm, env, arrays, facts, path = stored
    checkpoints.write(path, arrays, changed(facts, ("n_envs",), 2))
    assert goes_on(algorithm, env, path).num_timesteps > facts["counters"]["num_timesteps"]  # as it is, it is taken
    places, wrong, refused = list(leaves(facts)), [], 0
    for i, place in enumerate(places):
        for value in (OTHERS[3 * i % len(OTHERS)], leaves):
            checkpoints.write(path, arrays, changed(facts, place, value))
            start = time.perf_counter()
            try:
                goes_on(algorithm, env, path, place)
            except (ValueError, TypeError) as error:
                said = str(error)
                refused += 1
                if isinstance(error, TypeError) or not (names_it(said, place) or any(word in said for word in SHAPING)):
                    wrong.append((place, value, repr(error)[:300]))
            except (RuntimeWarning, UserWarning):
                continue  # numbers overflow by a learning rate of 1e300, as was asked; episodes of None start anew
            except Exception as error:
                wrong.append((place, value, repr(error)[:300]))
            if time.perf_counter() - start > 5.0:
                wrong.append((place, value, "took long"))
    assert not wrong, "\n".join(map(str, wrong[:30])) + f"\n{len(wrong)} of {2 * len(places)}"
    assert refused > len(places)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(stored, number):
    algorithm, _, arrays, facts, path = stored
    name = next(name for name, array in arrays.items() if array.is_floating_point() and not name.startswith("training"))
    broken = {**arrays, name: arrays[name].clone()}
    broken[name].view(-1)[-1] = number
    checkpoints.write(path, broken, facts)
    with pytest.raises(ValueError, match=rf"run\.safetensors does not hold a whole .*{name} must be finite"):
        algorithm.load(path)


def test_arrays_of_other_types_or_shapes_are_refused_by_name(stored):
    algorithm, _, arrays, facts, path = stored
    name = next(name for name, array in arrays.items() if array.is_floating_point() and not name.startswith("training"))
    for other in (arrays[name].half(), arrays[name][:1], arrays[name][..., None], arrays[name].long()):
        checkpoints.write(path, {**arrays, name: other}, facts)
        with pytest.raises(ValueError, match=rf"run\.safetensors does not hold a whole .*{name}|none is"):
            algorithm.load(path)


SIZES = {
    "seeds": (("seeds",), list(range(10**6))),
    "net_arch": (("config", "net_arch"), [10**9, 10**9]),
    "many layers": (("config", "net_arch"), [8] * 10**5),
    "batch_size": (("config", "batch_size"), 10**9),
    "obs_shape": (("spaces", "obs_shape"), [10**5, 10**5]),
    "n_actions": (("spaces", "n_actions"), 10**9),
    "n_envs": (("n_envs",), 10**9),
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes_that_no_file_has_room_for_are_refused_before_there_is_room_made(name, tmp_path):
    env = env_of("DQN")
    DQN(env, **SMALL_DQN).save(tmp_path / "run")
    arrays, facts = checkpoints.read(tmp_path / "run")
    checkpoints.write(tmp_path / "run", arrays, changed(facts, *SIZES[name]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    with pytest.raises(ValueError, match=r"run does not hold a whole DQN"):
        DQN.load(tmp_path / "run")
    assert time.perf_counter() - start < 2.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB


def test_facts_that_are_too_deep_or_too_long_are_no_json(tmp_path):
    for facts in ("[" * 10**5 + "]" * 10**5, "9" * 10**4):
        save_file({}, tmp_path / "run.safetensors", metadata={"format": checkpoints.FORMAT, "facts": facts})
        with pytest.raises(ValueError, match="its facts are not JSON"):
            checkpoints.read(tmp_path / "run")


def test_types_that_numpy_lacks_are_refused_by_name(tmp_path):
    metadata = {"format": checkpoints.FORMAT, "facts": "{}", "checksum": "0"}
    save_file({"x": torch.zeros(3, dtype=torch.bfloat16)}, tmp_path / "run.safetensors", metadata=metadata)
    with pytest.raises(ValueError, match=r"run\.safetensors is corrupt: x has the type torch\.bfloat16"):
        checkpoints.read(tmp_path / "run")
