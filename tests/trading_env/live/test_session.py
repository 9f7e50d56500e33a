import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from agents import RecurrentA2C
from tests.trading_env.live.test_decide import FRAME, LEVERAGED, MARKET, policy_for
from trading_env import Broker, EnvConfig, FeatureScaler, PaperBroker, Session, TradingEnv, load
from trading_env.analysis import strategies
from trading_env.envs.standing import Account, account_in
from trading_env.live.broker import Fill

ROOT = Path(__file__).parents[3]
CHEAP = {"window": 4, "features": ["log_return_1"]}
CONFIGS = [
    {},
    {"allow_short": True, "sizing": "rebalance", "min_trade": 0.05, "fill": "next_close"},
    {"actions": (-1.5, 0.0, 0.7, 1.5), "margin": LEVERAGED, "lot_size": 7.0},
    {"actions": (-1.5, 0.0, 1.5), "margin": {**LEVERAGED, "maintenance": 0.6}, "fill": "next_close"},
    {"actions": (-1.5, 0.0, 1.5), "margin": {**LEVERAGED, "maintenance": 0.6, "intrabar": False}},
    {"actions": "continuous", "margin": LEVERAGED, "fill": "close"},
    {"actions": "lots", "lots": 40, "lot_size": 3.0, "costs": {"fixed": 5.0, "minimum": 8.0}},
    {"scaler": FeatureScaler().fit(MARKET, ["log_return_1", "range"]), "observation": "dict"},
]


def config_of(keywords):
    return EnvConfig(**{"window": 4, "features": ["log_return_1", "range"], "bars_per_year": 365.0, **keywords})


@pytest.fixture
def no_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # several times the rest


@pytest.mark.usefixtures("no_disk")
@pytest.mark.parametrize("keywords", CONFIGS, ids=str)
def test_a_session_on_paper_over_a_history_is_the_envs_episode(keywords, tmp_path):
    config = config_of(keywords)
    env = TradingEnv(MARKET, **vars(config))
    policy = policy_for(env)
    broker = PaperBroker(tmp_path / "paper.json", config=config)
    session = Session(tmp_path / "session.json", policy, broker, config=config)
    obs, info = env.reset()
    ended, units, commission = False, 0.0, 0.0
    while not ended:
        decision = session.step(FRAME.iloc[: info["bar"] + 1])
        assert session.account == account_in(env._state)
        np.testing.assert_array_equal(decision.action, policy(obs))
        obs, _, terminated, truncated, info = env.step(decision.action)
        commission += info["commission"]
        ended = terminated or truncated
    broker.update(load(FRAME))
    assert broker.account() == account_in(env._state)
    fills = broker.fills(0)
    assert len(session.decisions) == len(env.history())
    assert sum(fill.commission for fill in fills) == pytest.approx(commission)
    assert sum(fill.units for fill in fills) == pytest.approx(info["units"] - units, abs=1e-6)
    paid = sum(fill.units * fill.price + fill.commission for fill in fills)
    financing = env.history()["financing"].sum()
    assert info["cash"] == pytest.approx(config.initial_cash - paid - financing, abs=1e-6)
    again = Session(tmp_path / "session.json", policy, broker, config=config)
    assert [str(decision) for decision in again.decisions] == [str(decision) for decision in session.decisions]
    if config.margin.maintenance == 0.6:
        assert "broker" in {fill.key for fill in fills}


@pytest.mark.usefixtures("no_disk")
def test_a_recurrent_agent_in_a_session_is_the_agent_in_its_env(tmp_path):
    env = gym.make("trading_env:TradingEnv-v0", data=MARKET, window=2, features=["log_return_1"])
    agent = RecurrentA2C(env, n_steps=8).learn(16)
    broker = PaperBroker(tmp_path / "paper.json", config=EnvConfig.of(agent))
    session = Session(tmp_path / "session.json", agent, broker)
    obs, info = env.reset()
    state, start = None, True
    for _ in range(25):
        action, state = agent.predict(obs[None], state, np.array([start]), deterministic=True)
        assert session.step(FRAME.iloc[: info["bar"] + 1]).action == action[0]
        obs, *_, info = env.step(action[0])
        start = False


class Recorder:
    """A broker that fills at once at 10 + n, and knows no more than units and cash."""

    def __init__(self):
        self.submitted, self.done = [], []

    def update(self, market):
        return None

    def fills(self, after):
        return self.done[after:]

    def account(self):
        return Account(sum(fill.units for fill in self.done), 1000.0 - sum(f.units * f.price for f in self.done))

    def submit(self, key, decision):
        if key in {fill.key for fill in self.done} or decision.order_units == 0.0:
            return
        self.submitted.append(key)
        self.done.append(Fill(key, key, decision.order_units, 10.0 + len(self.done), 0.0))


PLAIN = {"window": 1, "features": ["close"], "initial_cash": 1000.0}


def test_the_same_bar_gets_the_same_decision_and_one_order(tmp_path):
    broker: Broker = Recorder()
    answers = iter([2, 0, 0])
    session = Session(tmp_path / "s.json", lambda obs: next(answers), broker, **PLAIN)
    first = session.step(FRAME.iloc[:10])
    assert session.step(FRAME.iloc[:10]).to_dict() == first.to_dict()
    again = Session(tmp_path / "s.json", lambda obs: next(answers), broker, **PLAIN)
    assert again.step(FRAME.iloc[:10]).to_dict() == first.to_dict()
    assert len(broker.submitted) == 1
    assert again.step(FRAME.iloc[:11]).action == 0
    assert len(broker.submitted) == 2
    assert len(again.decisions) == 2
    assert [fill.units for fill in again.fills] == [first.order_units]
    with pytest.raises(ValueError, match=r"a decision was made at 2020-01-11.*and the data end at 2020-01-10"):
        again.step(FRAME.iloc[:10])


def test_what_the_broker_does_not_know_the_session_keeps(tmp_path):
    close = [10.0, 10.0, 30.0, 20.0]
    frame = FRAME.iloc[:4].assign(open=close, high=close, low=close, close=close)
    broker = Recorder()
    session = Session(tmp_path / "s.json", lambda obs: 2, broker, costs={"commission": 0.0, "slippage": 0.0}, **PLAIN)
    session.step(frame.iloc[:2])
    session.step(frame.iloc[:3])
    assert session.account == Account(100.0, 0.0, 1.0, 10.0, 3000.0)
    session.step(frame)
    assert session.account == Account(100.0, 0.0, 1.0, 10.0, 3000.0)
    broker.done.append(Fill("broker", "x", -100.0, 20.0, 0.0))
    session.step(FRAME.iloc[:5].assign(**{name: [*close, 20.0] for name in ("open", "high", "low", "close")}))
    assert session.account == Account(0.0, 2000.0, 0.0, None, 3000.0)


def test_an_order_that_was_never_sent_is_not_sent_late(tmp_path):
    class Fails(Recorder):
        def submit(self, key, decision):
            raise ConnectionError("no network")

    with pytest.raises(ConnectionError):
        Session(tmp_path / "s.json", lambda obs: 2, Fails(), **PLAIN).step(FRAME.iloc[:10])
    broker = Recorder()
    session = Session(tmp_path / "s.json", lambda obs: 1, broker, **PLAIN)
    session.step(FRAME.iloc[:11])
    assert broker.submitted == []
    assert session.account.target == 0.0
    assert [decision.action for decision in session.decisions] == [2, 1]
    sent = [entry["sent"] for entry in json.loads((tmp_path / "s.json").read_text())["decisions"]]
    assert sent == [False, True]


def test_an_order_that_filled_was_sent_even_if_a_kill_came_before_that_was_written(tmp_path):
    class Killed(Recorder):
        def submit(self, key, decision):
            super().submit(key, decision)
            raise KeyboardInterrupt

    broker = Killed()
    with pytest.raises(KeyboardInterrupt):
        Session(tmp_path / "s.json", lambda obs: 2, broker, **PLAIN).step(FRAME.iloc[:10])
    session = Session(tmp_path / "s.json", lambda obs: 1, broker, **PLAIN)
    with pytest.raises(KeyboardInterrupt):
        session.step(FRAME.iloc[:11])
    assert session.account.target == 1.0
    assert len(session.fills) == 1


def test_the_file_belongs_to_one_config_and_one_program(tmp_path):
    path = tmp_path / "s.json"
    Session(path, lambda obs: 1, Recorder(), **PLAIN).step(FRAME.iloc[:10])
    with pytest.raises(ValueError, match=r"was begun with window=1, now it is 2"):
        Session(path, lambda obs: 1, Recorder(), **{**PLAIN, "window": 2})
    with pytest.raises(ValueError, match="begun with other functions or arrays"):
        Session(path, lambda obs: 1, Recorder(), **{**PLAIN, "reward": lambda before, after: after["equity"]})

    class Nested(Recorder):
        def update(self, market):
            Session(path, lambda obs: 1, Recorder(), **PLAIN).step(FRAME.iloc[:11])

    with pytest.raises(RuntimeError, match="in use by another program"):
        Session(path, lambda obs: 1, Nested(), **PLAIN).step(FRAME.iloc[:11])


@pytest.mark.parametrize("content", ["", "{", "[]", '{"kind": "paper account"}'])
def test_a_damaged_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "s.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"s\.json must be a session file"):
        Session(path, lambda obs: 1, Recorder(), **PLAIN)


def test_stale_bars_and_bars_without_times_are_refused(tmp_path):
    session = Session(tmp_path / "s.json", lambda obs: 1, Recorder(), **PLAIN)
    with pytest.raises(ValueError, match="stale"):
        session.step(FRAME, as_of="2021-01-01")
    with pytest.raises(ValueError, match="has no times"):
        session.step(load(FRAME.reset_index(drop=True), time=False))
    assert not (tmp_path / "s.json").exists()
    assert session.account is None
    assert session.step(FRAME, as_of=FRAME.index[-1]).close == MARKET.close[-1]
    assert "1 decisions up to 2020-03-20" in repr(session)


KILLED = """
import sys, time
from pathlib import Path
from tests.trading_env.markets import random_market
from trading_env import PaperBroker, Session
from trading_env.analysis import strategies
from functools import partial

FRAME = random_market(3, 80, 0.04, whole=True, since="2020-01-01", name="mine").to_frame()
folder, first = Path(sys.argv[1]), 12
config = {"actions": (0.0, 1.0), "window": 1, "features": ["close"], "costs": {"fixed": 1.0}}
policy = partial(strategies.mean_reversion, lookback=3, entry=0.1)
session = Session(folder / "session.json", policy, PaperBroker(folder / "paper.json", **config), **config)
print("ready", flush=True)
done = session.decisions[-1].time if session.decisions else FRAME.index[first]
for bar in range(FRAME.index.get_loc(done), len(FRAME)):
    session.step(FRAME.iloc[: bar + 1])
"""


def test_a_session_that_is_killed_again_and_again_goes_on_to_the_same_end(tmp_path):
    rng, kills = np.random.default_rng(int(time.time())), 0
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    while True:
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)], env=environment, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == "ready\n"
        limit = rng.uniform(0.0, 0.5) if kills < 5 else None
        try:
            assert process.wait(limit) == 0
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
        finally:
            process.stdout.close()
    config = {"actions": (0.0, 1.0), "window": 1, "features": ["close"], "costs": {"fixed": 1.0}}
    env = TradingEnv(MARKET, **config)
    exposures = strategies.mean_reversion(MARKET, lookback=3, entry=0.1)
    env.reset(options={"start": 12})
    for bar in range(12, len(FRAME) - 1):
        env.step(int(exposures[bar]))
    session = Session(tmp_path / "session.json", strategies.flat, PaperBroker(tmp_path / "paper.json"), **config)
    assert session.account == account_in(env._state)
    keys = [decision.time for decision in session.decisions]
    assert keys == list(FRAME.index[12:])
    assert kills == 5
    trades = env.history()["turnover"] > 0.0
    assert len(session.fills) == trades.sum() > 5
    assert len({fill.key for fill in session.fills}) == len(session.fills)
    assert not list(tmp_path.glob(".*.part")) or kills


def test_a_session_refuses_a_file_that_lacks_a_part_and_names_it(tmp_path):
    path, paper = tmp_path / "session.json", tmp_path / "paper.json"
    path.write_text('{"kind": "session", "account": null, "fills": []}')
    with pytest.raises(ValueError, match=r"session.json must be a session file, but it has no 'config', 'decisions'"):
        Session(path, lambda obs: 1, PaperBroker(paper), **CHEAP)
    paper.write_text('{"kind": "paper account"}')
    with pytest.raises(ValueError, match=r"paper.json must be a paper account file, but it has no 'time'"):
        PaperBroker(paper)


def test_a_session_refuses_what_is_no_broker_and_the_brokers_own_file(tmp_path):
    with pytest.raises(TypeError, match="has no update, fills, account, submit"):
        Session(tmp_path / "session.json", lambda obs: 1, object(), **CHEAP)
    broker = PaperBroker(tmp_path / "account.json")
    with pytest.raises(ValueError, match="another file than the broker's"):
        Session(tmp_path / "." / "account.json", lambda obs: 1, broker, **CHEAP)


def test_both_files_may_lie_in_folders_that_are_not_there_yet(tmp_path):
    broker = PaperBroker(tmp_path / "new" / "folder" / "paper.json", **CHEAP)
    Session(tmp_path / "other" / "session.json", lambda obs: 1, broker, **CHEAP).step(FRAME)
    assert sorted(path.name for path in tmp_path.glob("*/**/[!.]*.json")) == ["paper.json", "session.json"]


def test_a_kill_after_the_brokers_update_loses_no_bar(tmp_path):
    config = {"actions": (0.0, 1.0), "window": 1, "features": ["close"]}

    def run(folder, killed):
        session = Session(folder / "s.json", lambda obs: 1, PaperBroker(folder / "p.json", **config), **config)
        session.step(FRAME.iloc[:30])
        if killed:
            session.broker.update(load(FRAME.iloc[:31]))  # and no decision at that bar
            session = Session(folder / "s.json", lambda obs: 1, PaperBroker(folder / "p.json", **config), **config)
            assert session.step(FRAME.iloc[:30]) == session.decisions[0]
        session.step(FRAME.iloc[:31])
        session.step(FRAME.iloc[:32])
        return session.account, session.decisions, session.fills

    assert run(tmp_path / "killed", True) == run(tmp_path / "whole", False)
