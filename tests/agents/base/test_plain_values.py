"""Hyperparameters that come as NumPy scalars: they are kept as plain numbers, trained with and written."""

import dataclasses
import json

import gymnasium as gym
import numpy as np
import pytest

import agents
from agents.common.checks import check_seeds, plain
from agents.forecasters import LSTMForecaster, MeanOfLast
from agents.q_learning import TableSpaces


def as_numpy(value):
    """The same value as NumPy would give it."""
    if isinstance(value, bool):
        return np.bool_(value)
    if isinstance(value, int):
        return np.int64(value)
    if isinstance(value, float):
        return np.float32(value)
    if isinstance(value, str):
        return np.str_(value)
    return np.array(value) if isinstance(value, tuple) else value


def is_plain(value):
    return type(value) in (bool, int, float, str, type(None)) or (
        type(value) is tuple and all(is_plain(part) for part in value)
    )


@pytest.mark.parametrize("name", agents.AGENTS)
def test_an_agent_made_of_numpy_scalars_trains_and_writes_the_same_as_one_of_plain_numbers(name, small, tmp_path):
    like = small(name)
    fields = {field.name: getattr(like.config, field.name) for field in dataclasses.fields(like.config)}
    options = {field: as_numpy(value) for field, value in fields.items() if field != "learning_rate"}
    scalars = {"seeds": np.array([3, 1]), "n_envs": np.int64(2), "verbose": np.int64(0), "threads": np.int64(1)}
    agent = small(name, **options | {"learning_rate": np.float32(0.01)} | scalars)
    for field in fields:
        assert is_plain(getattr(agent.config, field)), field
    assert agent.config == dataclasses.replace(
        like.config, **{field: plain(value) for field, value in options.items()}, learning_rate=float(np.float32(0.01))
    )
    assert type(agent.n_envs) is type(agent.seeds[0]) is type(agent.threads) is int
    agent.learn(np.int64(60), log_interval=np.int64(10))
    agent.save(tmp_path / "agent", training=True)
    again = type(agent).load(tmp_path / "agent")
    assert (again.config, again.seeds, again.goal) == (agent.config, (3, 1), agent.goal)


@pytest.mark.parametrize("name", agents.AGENTS)
@pytest.mark.parametrize("bad", [object(), np.array(3), 3 + 1j, np.complex64(1), b"x", {"a": 1}, {3}])
def test_what_no_file_could_hold_is_refused_at_construction(name, bad):
    config = getattr(agents, name).Config
    for field in dataclasses.fields(config):
        with pytest.raises((TypeError, ValueError), match=field.name):
            config(**{field.name: bad})


def test_forecasters_keep_plain_numbers_too():
    made = LSTMForecaster(np.array([4, 2]), np.int64(3), np.int32(2), np.int64(8), np.float32(0.5), np.float64(1))
    fields = ("seeds", "lstm_size", "epochs", "batch_size", "learning_rate", "max_grad_norm")
    assert all(is_plain(getattr(made, field)) for field in fields)
    assert is_plain(MeanOfLast(np.int64(3), np.int64(1), np.int64(0)).bars)


@pytest.mark.parametrize("value", [np.longdouble(0.5), np.float16(0.5), np.float64(0.5)])
def test_any_width_of_float_becomes_a_float(value):
    assert type(plain(value)) is float


def test_spaces_are_plain_whatever_they_were_made_of():
    box = gym.spaces.Box(0.0, 1.0, (np.int64(2), np.int64(3)))
    spaces = agents.DQN.envs_type.spaces_type.of(box, gym.spaces.Box(-1.0, 1.0, (np.int64(1),)))
    table = TableSpaces.of(gym.spaces.Discrete(np.int64(4)), gym.spaces.Discrete(np.int64(2), start=np.int64(1)))
    for made in (spaces, table):
        json.dumps(dataclasses.asdict(made))


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("threads", {"threads": 10**9}),
        ("n_envs", {"n_envs": 10**9}),
        ("n_envs", {"seeds": 2**11, "n_envs": 2**11}),
        ("seeds", {"seeds": 10**9}),
    ],
)
def test_sizes_that_would_end_the_program_are_refused_before_anything_is_made(field, options, small):
    with pytest.raises(ValueError, match=f"{field} must .*at most"):
        small("DQN", **options)


def test_seeds_as_an_array_are_a_sequence():
    assert check_seeds(np.array([5, 3])) == (5, 3)


def test_a_range_of_widths_is_kept_as_a_tuple():
    assert agents.DQN.Config(net_arch=range(3, 5)).net_arch == (3, 4)
