"""Keywords are shown in signatures with their defaults, refused by name if misspelt, and survive a spec in JSON."""

import copy
import dataclasses
import inspect
import pickle
import re

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode

from trading_env import Costs, EnvConfig, FeatureScaler, Margin, Market, TradingEnv, TradingVectorEnv, hindsight, load
from trading_env.envs.keywords import INSIDE

TASK = {name: p.default for name, p in inspect.signature(EnvConfig).parameters.items()}
OWN = {
    TradingEnv: {"data": "us-stocks/AAPL", "render_mode": None},
    TradingVectorEnv: {
        "num_envs": 1,
        "data": "us-stocks/AAPL",
        "autoreset_mode": AutoresetMode.NEXT_STEP,
        "render_mode": None,
    },
    hindsight: {"env": inspect.Parameter.empty, "start": None, "index": 0},
}


@pytest.mark.parametrize("owner", OWN)
def test_a_signature_shows_all_keywords_and_defaults(owner):
    parameters = inspect.signature(owner).parameters
    assert {name: p.default for name, p in parameters.items()} == OWN[owner] | TASK
    assert {"window": 30, "on_missing": "raise"}.items() <= TASK.items()
    assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in TASK)


def test_a_subclass_has_its_own_signature():
    class Mine(TradingEnv):
        def __init__(self, years):
            super().__init__()

    assert list(inspect.signature(Mine).parameters) == ["years"]


@pytest.mark.parametrize(
    ("make", "owner"),
    [
        (TradingEnv, "TradingEnv"),
        (TradingVectorEnv, "TradingVectorEnv"),
        (lambda **keywords: hindsight("us-stocks/AAPL", **keywords), "hindsight"),
        (lambda **keywords: gym.make("trading_env:TradingEnv-v0", **keywords), "TradingEnv"),
        (lambda **keywords: gym.make_vec("trading_env:TradingEnv-v0", 2, **keywords), "TradingVectorEnv"),
    ],
)
def test_a_misspelt_keyword_is_named_beside_the_known_ones(make, owner):
    with pytest.raises(
        TypeError, match=f"{owner} got an unexpected keyword argument 'comission'; known are .*'costs'.*'on_missing'"
    ):
        make(window=5, comission=1e-3)


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("write", [lambda mode: mode.name.lower(), lambda mode: mode.name, lambda mode: mode.value])
def test_a_vector_envs_spec_with_an_autoreset_mode_by_name_survives_json(mode, write):
    envs = gym.make_vec("trading_env:TradingEnv-v0", 2, autoreset_mode=write(mode), window=3, episode_length=1)
    again = gym.make_vec(EnvSpec.from_json(envs.spec.to_json()))
    assert again.spec == envs.spec
    assert again.num_envs == 2
    for each in (envs, again):
        assert each.metadata["autoreset_mode"] is each.unwrapped.autoreset_mode is mode
        each.reset(seed=0)
        assert ("final_obs" in each.step(each.action_space.sample())[4]) == (mode is AutoresetMode.SAME_STEP)


@pytest.mark.parametrize(
    ("there", "here"), [("df", "data"), ("window_size", "window"), ("max_episode_steps", "episode_length")]
)
def test_keywords_of_other_envs_are_told_by_their_names_here(there, here):
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{there}' \\(here it is '{here}'\\)"):
        TradingVectorEnv(2, **{there: 5})


@pytest.mark.parametrize(
    ("keywords", "here"),
    [
        ({"commission": 1e-3}, "costs={'commission': 0.001}"),
        ({"trading_fees": 1e-3}, "costs={'commission': 0.001}"),
        ({"leverage": 2}, "margin={'max_leverage': 2}"),
        ({"maintenance": 0.25}, "margin={'maintenance': 0.25}"),
        ({"borrow_interest_rate": 0.02}, "margin={'r_borrow': 0.02}"),
    ],
)
def test_a_field_of_costs_or_margin_is_told_with_its_mapping(keywords, here):
    with pytest.raises(TypeError, match=rf"\(here it is {re.escape(here)}\); known are"):
        TradingEnv(**keywords)


@pytest.mark.parametrize("name", INSIDE)
def test_every_field_that_a_message_names_exists(name):
    mapping, field = INSIDE[name]
    assert field in {each.name for each in dataclasses.fields({"costs": Costs, "margin": Margin}[mapping])}
    assert name not in inspect.signature(TradingEnv).parameters


def test_a_close_name_is_suggested():
    with pytest.raises(TypeError, match=r"did you mean 'window'\?"):
        TradingEnv(windov=5)
    with pytest.raises(ValueError, match=r"costs has unknown fields \['comission'\].*did you mean 'commission'\?"):
        TradingEnv(costs={"comission": 1e-3})


@pytest.mark.parametrize("make", [gym.make, lambda name, **keywords: gym.make_vec(name, 2, **keywords)])
@pytest.mark.parametrize("name", ["TradingEnv-v0", "reference/Ritter-v0"])
def test_a_keyword_that_is_not_there_is_refused_in_pythons_words(make, name):
    """TorchRL's GymEnv looks for them, and then tries without the keyword."""
    with pytest.raises(TypeError, match="got an unexpected keyword argument 'frameskip'"):
        make(f"trading_env:{name}", frameskip=1)


def frame():
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(0).normal(0.0, 0.01, 60)))
    return pd.DataFrame({"open": close, "close": close}, index=pd.date_range("2020-01-01", periods=60, name="time"))


UNWRITTEN = [
    ("data", frame()),
    ("data", [frame(), frame()]),
    ("data", Market.from_arrays(close=np.arange(1.0, 61.0), open=np.arange(1.0, 61.0))),
    ("features", lambda market: market.to_frame()[["close"]]),
    ("reward", lambda before, after: after["equity"] - before["equity"]),
    ("window", np.int64(4)),
    ("scaler", "fitted"),  # by the test
]


@pytest.mark.parametrize("make", [gym.make, lambda name, **keywords: gym.make_vec(name, 2, **keywords)])
@pytest.mark.parametrize(("name", "value"), UNWRITTEN)
def test_a_keyword_that_json_cannot_hold_is_named_by_the_spec(make, name, value):
    if isinstance(value, str):
        value = FeatureScaler().fit(load("us-stocks/AAPL"))
    env = make("trading_env:TradingEnv-v0", **{"window": 3, name: value})
    message = rf"spec of TradingEnv-v0 cannot be written to JSON with {name}=.*: give .* as {name}"
    for spec in (env.spec, copy.deepcopy(env.spec)):
        with pytest.raises(TypeError, match=message):
            spec.to_json()


def test_a_spec_that_json_cannot_hold_makes_the_env_again():
    env = gym.make("trading_env:TradingEnv-v0", data=frame(), window=3, max_episode_steps=5)
    again = gym.make(pickle.loads(pickle.dumps(env.spec)))
    np.testing.assert_array_equal(env.reset(seed=1)[0], again.reset(seed=1)[0])
    spec = copy.deepcopy(env.spec)
    spec.kwargs["data"] = "us-stocks/AAPL"  # as the message says
    written = EnvSpec.from_json(spec.to_json())
    assert written == spec
    assert spec == written
    assert gym.make(written).spec.kwargs["data"] == "us-stocks/AAPL"
