"""PortfolioEnv: actions, observations, order of instruments, outcomes of all actions, history, states, bad input."""

import copy
import json

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from tests.trading_env.markets import gappy_panel, random_market
from tests.trading_env.pairwise import assert_same
from trading_env import Costs, Market, Panel, PortfolioConfig, PortfolioEnv, PortfolioVectorEnv
from trading_env.envs.portfolio.accounts import Portfolios
from trading_env.envs.rendering import portfolio_picture

ID = "trading_env:PortfolioEnv-v0"
PANEL = gappy_panel(5)
FREE = {"commission": 0.0, "slippage": 0.0}
PLAIN = {"data": PANEL, "window": 3, "features": ["close", "log_return_1"]}


def begun(steps=0, **keywords):
    env = PortfolioEnv(**{**PLAIN, **keywords})
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(steps):
        env.step(env.action_space.sample())
    return env


# -- actions -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "leverage", "weights"),
    [
        ([0.2, 0.0, 0.3, 0.1], 1.0, [0.2, 0.0, 0.3, 0.1]),  # the identity where nothing has to give
        ([0.0, 0.0, 0.0, 0.0], 1.0, [0.0, 0.0, 0.0, 0.0]),
        ([1.0, 1.0, 1.0, 1.0], 1.0, [0.25, 0.25, 0.25, 0.25]),
        ([1.0, -0.5, 0.5, 0.0], 2.0, [1.0, -0.5, 0.5, 0.0]),
        ([0.25, -0.25, 0.0, 0.0], 2.0, [0.5, -0.5, 0.0, 0.0]),
    ],
)
def test_weights_after_the_costs_are_those_of_the_action(action, leverage, weights):
    markets = [random_market(k, 20, since="2020-01-01", name=f"{k}") for k in range(4)]
    env = begun(data=Panel.from_markets(markets), fill="next_close", allow_short=min(action) < 0.0,
                margin={"max_leverage": leverage}, costs={"commission": 0.02, "per_unit": 0.01})  # fmt: skip
    for _ in range(5):
        info = env.step(np.array(action))[4]
        np.testing.assert_allclose(info["weights"], weights, rtol=1e-13, atol=0.0)
        assert info["exposure"] == pytest.approx(sum(weights))
        assert info["gross"] == pytest.approx(np.abs(weights).sum())


@pytest.mark.parametrize("min_trade", [0.0, 0.05])
@pytest.mark.parametrize(("leverage", "allow_short"), [(1.0, False), (2.0, True)])
def test_lots_never_take_the_gross_exposure_beyond_max_leverage(leverage, allow_short, min_trade):
    constant = [Market.from_arrays([10.0] * 60, open=[10.0] * 60, name=name) for name in "ABC"]
    env = PortfolioEnv(
        Panel.from_markets(constant),
        window=1,
        features=["close"],
        costs=FREE,
        initial_cash=1000.0,
        margin={"max_leverage": leverage},
        allow_short=allow_short,
        min_trade=min_trade,
        lot_size=13.0,
    )
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(58):
        info = env.step(env.action_space.sample())[4]
        assert info["gross"] <= leverage * (1.0 + 1e-9)


def test_one_of_puts_all_into_one_instrument_or_into_cash():
    one, box = begun(actions="one_of", data=panel_without_gaps()), begun(data=panel_without_gaps())
    assert one.action_space == gym.spaces.Discrete(4)
    for action in (1, 3, 0, 2, 2):
        step, other = one.step(action), box.step(np.eye(4, 3)[action])
        assert step[1] == other[1]
        np.testing.assert_array_equal(step[4]["units"], other[4]["units"])
        assert (step[4]["units"] != 0.0).sum() == (action < 3)


def panel_without_gaps(n=30):
    return Panel.from_markets([random_market(k, n, since="2020-01-01", name="XYZ"[k]) for k in range(3)])


def test_masks_exclude_what_is_not_listed_yet_or_delisted_for_good():
    env = begun(actions="one_of")
    for t in range(env.task.firsts[0], len(PANEL) - 1):
        mask = env.action_masks()
        listed = (PANEL.listed <= t) & (PANEL.ends > t)
        assert mask.tolist() == [*listed, True]
        info = env.step(3)[4]
        np.testing.assert_array_equal(info["action_mask"], env.action_masks())


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (np.array([0.2, np.nan, 0.0, 0.0]), ValueError, r"action\[1\] must be in \[0, 1\], got nan"),
        (np.array([0.2, 0.0, 0.0, 1.1]), ValueError, r"action\[3\] must be in \[0, 1\], got 1.1"),
        (np.array([-0.2, 0.0, 0.0, 0.1]), ValueError, r"action\[0\] must be in \[0, 1\], got -0.2"),
        (np.array([0.2, 0.0]), TypeError, r"shape \(4,\)"),
        (np.array([1, 0, 0, 0]), TypeError, r"float array of shape \(4,\)"),
        (2, TypeError, r"float array of shape \(4,\)"),
    ],
)
def test_a_wrong_action_is_refused_by_name_and_nothing_moves(action, error, message):
    env, twin = begun(3), begun(3)
    with pytest.raises(error, match=message):
        env.step(action)
    action = np.full(4, 0.1)
    for ours, theirs in zip(env.step(action), twin.step(action), strict=True):
        assert_same(ours, theirs)
    assert_same(env.history().to_numpy(), twin.history().to_numpy())


def test_wrong_actions_of_the_vector_env_are_named():
    env = PortfolioVectorEnv(2, **PLAIN)
    env.reset(seed=0)
    for actions, message in (
        (np.array([[0.1] * 4, [0.1, 0.1, np.nan, 0.0]]), r"actions\[1, 2\] must be in \[0, 1\], got nan"),
        (np.zeros((2, 3)), r"floats of shape \(2, 4\)"),
    ):
        with pytest.raises(ValueError, match=message):
            env.step(actions)
    one = PortfolioVectorEnv(2, **PLAIN, actions="one_of")
    one.reset(seed=0)
    with pytest.raises(ValueError, match=r"actions\[1\] must be in \[0, 4\], got 5"):
        one.step(np.array([0, 5]))


# -- observations ------------------------------------------------------------------------------------------------------


def test_the_dict_has_the_numbers_of_the_flat_observation_in_a_row():
    flat, parts = begun(4), begun(4, observation="dict")
    action = np.full(4, 0.2)
    row, obs = flat.step(action)[0], parts.step(action)[0]
    shapes = {"market": (3, 4, 2), "tradable": (4,), "weights": (4,), "cash_weight": (1,), "drawdown": (1,)}
    assert {key: value.shape for key, value in obs.items()} == shapes
    np.testing.assert_array_equal(row, np.concatenate([obs[key].ravel() for key in shapes]))


def test_observed_are_features_of_the_window_and_the_account():
    env = begun(observation="dict", costs=FREE)
    last = len(PANEL) - env.task.firsts[0] - 1
    for _ in range(last):
        obs, _, _, _, info = env.step(np.array([0.4, 0.1, 0.2, 0.1]))
        t = info["bar"]
        np.testing.assert_array_equal(obs["market"], env.task.features[t - 2 : t + 1])
        np.testing.assert_array_equal(obs["tradable"], PANEL.tradable[t])
        np.testing.assert_array_equal(obs["weights"], info["weights"].astype(np.float32))
        assert obs["cash_weight"][0] == pytest.approx(info["cash"] / info["equity"], rel=1e-6)
        peak = max(env.history()["equity"].max(), 1e5)
        assert obs["drawdown"][0] == pytest.approx(1.0 - info["equity"] / peak, abs=1e-6)


def test_observations_of_two_calls_share_no_memory():
    env = begun(observation="dict")
    first = env.step(np.full(4, 0.1))
    second = env.step(np.full(4, 0.1))
    for key in first[0]:
        assert not np.shares_memory(first[0][key], second[0][key])
    assert not np.shares_memory(first[4]["units"], second[4]["units"])


# -- the order of the instruments --------------------------------------------------------------------------------------


def test_shuffle_symbols_draws_an_order_in_which_all_else_stays_the_same():
    dear = {symbol: {"commission": 0.001 * k, "fixed": 3.0 * k, "minimum": 5.0} for k, symbol in enumerate("ABCD")}
    keywords = {"observation": "dict", "costs": dear}
    plain, shuffled = begun(**keywords), PortfolioEnv(**PLAIN, **keywords, shuffle_symbols=True)
    orders = set()
    for seed in range(8):
        plain.reset(seed=seed)
        obs, info = shuffled.reset(seed=seed)
        order = info["instruments"]
        orders.add(tuple(order))
        assert shuffled.symbols == tuple(PANEL.symbols[i] for i in order)
        rng = np.random.default_rng(seed)
        for _ in range(20):
            action = rng.uniform(0.0, 1.0, 4)
            own, reward, _, _, own_info = plain.step(action)
            obs, other, _, _, info = shuffled.step(action[order])
            assert other == pytest.approx(reward, rel=1e-12, abs=1e-15)
            np.testing.assert_array_equal(obs["market"], own["market"][:, order])
            np.testing.assert_allclose(obs["weights"], own["weights"][order], rtol=1e-6)
            np.testing.assert_array_equal(info["tradable"], own_info["tradable"][order])
            np.testing.assert_array_equal(info["price"], own_info["price"][order])
    assert len(orders) > 3


# -- what if -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reward", ["log_return", lambda before, after: after["equity"] - 2.0 * before["equity"]])
def test_the_counterfactual_is_what_each_action_would_have_done(reward):
    keywords = {**PLAIN, "actions": "one_of", "reward": reward, "shuffle_symbols": True}
    env = PortfolioEnv(**keywords)
    env.reset(seed=1)
    for taken in (2, 0, 4, 1):
        before = env.get_state()
        real = env.step(taken)
        rewards, obs = (pair := env.counterfactual())
        assert rewards[taken] == real[1]
        np.testing.assert_array_equal(obs[taken], real[0])
        for action in range(5):
            other = PortfolioEnv(**keywords)
            other.set_state(before)
            own, own_reward, terminated, _, _ = other.step(action)
            assert rewards[action] == own_reward
            assert pair.terminated[action] == terminated
            np.testing.assert_array_equal(obs[action], own)


def test_the_vector_env_has_the_counterfactuals_of_the_scalar_ones_after_a_same_step_reset_too():
    keywords = {**PLAIN, "actions": "one_of", "episode_length": 2, "random_start": True, "shuffle_symbols": True}
    keywords["data"] = [PANEL, gappy_panel(6)]  # the reset may go to the other one
    envs = PortfolioVectorEnv(3, **keywords, autoreset_mode="SAME_STEP")
    singles = [PortfolioEnv(**keywords) for _ in range(3)]
    last = {"start": int(PANEL.ends[2]) - 2, "data": 0}  # an episode that ends with the third instrument's last bar
    for seed in range(8):
        envs.reset(seed=seed, options=last)
        for j, env in enumerate(singles):
            env.reset(seed=seed + j, options=last)
        for t in range(5):
            actions = np.array([t % 5, 1, 4])
            _, _, terminated, truncated, _ = envs.step(actions)
            rewards, obs = envs.counterfactual()
            for j, env in enumerate(singles):
                env.step(int(actions[j]))
                own, own_obs = env.counterfactual()
                np.testing.assert_array_equal(rewards[j], own)
                np.testing.assert_array_equal(obs[j], own_obs)
                if terminated[j] or truncated[j]:
                    env.reset()


def test_the_counterfactual_needs_discrete_actions_and_a_step():
    with pytest.raises(ValueError, match="counterfactual needs discrete actions, got actions='continuous'"):
        begun(1).counterfactual()
    with pytest.raises(ResetNeeded):
        begun(actions="one_of").counterfactual()


# -- rewards, history, rendering ---------------------------------------------------------------------------------------


def test_a_reward_of_one_account_gets_numbers_and_arrays_of_the_instruments():
    def concentration(before, after):
        if after["equity"] > before["equity"]:
            return float(after["weights"].max())
        return -1.0

    env, envs = begun(reward=concentration), PortfolioVectorEnv(3, **PLAIN, reward=concentration)
    envs.reset(seed=0)
    for _ in range(6):
        action = np.array([0.3, 0.2, 0.2, 0.1])
        _, reward, _, _, info = env.step(action)
        assert reward in (-1.0, info["weights"].max())
        np.testing.assert_array_equal(envs.step(np.tile(action, (3, 1)))[1], reward)


def test_excess_is_measured_against_equal_weights_in_all_that_is_listed():
    env = begun(reward="excess_log_return", costs=FREE, fill="close")
    closes = PANEL.last_close
    for _ in range(54):  # the third instrument is delisted after row 39
        before = env.task.firsts[0] if env.history().empty else int(env.history()["bar"].iloc[-1])
        listed = (PANEL.listed <= before) & (PANEL.ends > before)
        _, reward, _, _, info = env.step(np.zeros(4))
        growth = (closes[info["bar"]] / closes[before])[listed].mean()
        assert reward == pytest.approx(-np.log(growth), rel=1e-9, abs=1e-15)


def test_history_is_long_and_has_the_steps_numbers():
    env = begun(shuffle_symbols=True)
    infos, rewards = [], []
    for _ in range(20):
        _, reward, _, _, info = env.step(env.action_space.sample())
        infos.append(info)
        rewards.append(reward)
    frame = env.history()
    assert len(frame) == 20 * 4
    assert list(frame["symbol"][:4]) == list(env.symbols)
    assert frame["time"].iloc[-1] == PANEL.time[infos[-1]["bar"]]
    for key in ("weights", "units", "price", "tradable", "delisted"):
        np.testing.assert_array_equal(frame[key], np.concatenate([info[key] for info in infos]))
    for key in ("equity", "cash", "gross", "pnl", "commission", "turnover"):
        np.testing.assert_array_equal(frame[key], np.repeat([info[key] for info in infos], 4))
    np.testing.assert_array_equal(frame["reward"], np.repeat(rewards, 4))


def test_renderings():
    with pytest.raises(ResetNeeded):
        PortfolioEnv(**PLAIN, render_mode="ansi").render()
    text = begun(5, render_mode="ansi").render()
    assert "step 5" in text
    assert "gross" in text
    pixels = begun(5, render_mode="rgb_array", allow_short=True).render()
    assert pixels.shape == (720, 960, 3)
    assert pixels.dtype == np.uint8
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20


def test_human_prints_after_every_reset_and_step(capsys):
    begun(2, render_mode="human")
    assert capsys.readouterr().out.count("equity") == 3


# -- states ------------------------------------------------------------------------------------------------------------


def test_each_step_is_run_again_once_however_many_frames_are_drawn(monkeypatch):
    run, step = [], Portfolios.step
    env, other = (begun(0, render_mode=mode) for mode in ("ansi", "rgb_array"))
    start = env.get_state()

    def counted(self, actions, waiting):
        run.append(self is not env._account)
        return step(self, actions, waiting)

    monkeypatch.setattr(Portfolios, "step", counted)
    action = np.full(env.task.n, 0.1)
    frames = []
    for _ in range(20):
        env.step(action)
        frames.append(env.render())
    assert sum(run) == 20
    assert len(set(frames)) == 20
    env.set_state(start)
    env.step(action)
    assert env.render() == frames[0], "an episode that was taken up again is another one"
    env.reset()
    assert "step 0" in env.render()
    other.step(action)
    assert other.render().shape == (720, 960, 3)


def test_long_episodes_are_drawn_by_every_nth_row_and_the_last():
    for n in (1, 2, 699, 700, 701, 1_400, 100_000):
        rows = portfolio_picture.thinned(n)
        assert rows[-1] == n - 1
        assert len(rows) <= portfolio_picture.DRAWN
        assert len(set(np.diff(rows))) <= 1
    turnover = np.zeros(1_400)
    turnover[[1, 700]] = 1.0, 2.0
    assert portfolio_picture._highest(turnover, portfolio_picture.thinned(1_400)).max() == 2.0
    assert portfolio_picture._highest(turnover, portfolio_picture.thinned(1_400)).sum() == 3.0


@pytest.mark.parametrize("keywords", [{}, {"actions": "one_of"}, {"shuffle_symbols": True, "random_start": True}])
def test_a_state_restores_the_episode_with_its_history(keywords):
    env = begun(7, **keywords)
    other = PortfolioEnv(**PLAIN, **keywords)
    other.set_state(json_like(env.get_state()))
    assert_same(env.history().to_numpy(), other.history().to_numpy())
    action = env.action_space.sample()
    for ours, theirs in zip(env.step(action), other.step(action), strict=True):
        assert_same(ours, theirs)
    for ours, theirs in zip(env.reset(), other.reset(), strict=True):
        assert_same(ours, theirs)


def json_like(state):
    return copy.deepcopy(state)


def altered(name, index, value):
    def change(state):
        state[name] = np.array(state[name])
        state[name][index] = value
        return state

    return change


WRONG_STATES = {
    "cash that is no number": (altered("_accounts", (0, 0), np.nan), "_accounts.* finite"),
    "equity out of nowhere": (altered("_accounts", (0, 1), 1e9), "_accounts.* steps can lead to"),
    "units of another size": (altered("_accounts", (0, 7), 1e9), "_accounts.* steps can lead to"),
    "a peak below the equity": (altered("_accounts", (0, 2), 1.0), "_accounts.* steps can lead to"),
    "an order that is none": (altered("_orders", (0, 0), 3), "_orders"),
    "a panel that is none": (altered("_clock", (0, 4), 9), "_clock"),
    "a row beyond the data": (altered("_clock", (0, 0), 10**6), "_clock"),
    "an action beyond the space": (altered("_asked", (0, 0), 7.0), "_asked"),
    "another episode": (lambda state: {**state, "_opened": [0, 10**6]}, "_opened"),
    "another env": (lambda state: {**state, "fingerprint": 1}, "other data or other keywords"),
    "info without a key": (lambda state: {**state, "_info": {}}, "_info"),
    "no account": (lambda state: {k: v for k, v in state.items() if k != "_accounts"}, "_accounts"),
}


@pytest.mark.parametrize("case", WRONG_STATES)
def test_a_wrong_state_is_refused_by_name_and_nothing_of_it_is_taken(case):
    change, message = WRONG_STATES[case]
    env, twin = begun(6), begun(6)
    with pytest.raises(ValueError, match=message):
        env.set_state(change(env.get_state()))
    action = np.full(4, 0.1)
    for ours, theirs in zip(env.step(action), twin.step(action), strict=True):
        assert_same(ours, theirs)


def test_a_state_has_no_units_of_what_is_delisted():
    env = begun()
    while env.step(np.zeros(4))[4]["bar"] < 45:  # the third instrument is delisted after row 39
        pass
    state = env.get_state()
    env.set_state(json_like(state))
    accounts = state["_accounts"]
    accounts[0, 7 + 2] = 1.0  # of the third instrument, bought at its last close
    accounts[0, 0] -= PANEL.last_close[45, 2]
    with pytest.raises(ValueError, match=r"_accounts.* steps can lead to"):
        env.set_state(state)


def test_an_env_that_was_never_reset_has_a_state_too():
    env = begun(3)
    env.set_state(PortfolioEnv(**PLAIN).get_state())
    with pytest.raises(ResetNeeded, match="no episode has begun"):
        env.step(np.zeros(4))


# -- bad input ---------------------------------------------------------------------------------------------------------

WRONG = {
    "an unknown keyword": ({"allow_shorts": True}, TypeError, "allow_shorts.*did you mean 'allow_short'"),
    "another's keyword": ({"initial_amount": 1.0}, TypeError, "here it is 'initial_cash'"),
    "compact": ({"observation": "compact"}, ValueError, "observation must be one of"),
    "actions": ({"actions": "lots"}, ValueError, "actions must be one of"),
    "window": ({"window": 0}, ValueError, "window must be at least 1"),
    "leverage": ({"margin": {"max_leverage": 0.0}}, ValueError, "max_leverage"),
    "costs of no instrument": ({"costs": {"A": FREE, "Q": FREE}}, ValueError, "costs names 'Q'"),
    "costs of some": ({"costs": {"A": FREE}}, ValueError, "costs must be given for every instrument, got none for"),
    "a cost of no name": ({"costs": {"comission": 0.1}}, ValueError, "unknown fields.*did you mean 'commission'"),
    "costs of a symbol": ({"costs": {"A": {"fixed": -1.0}}}, ValueError, "Costs.fixed"),
    "costs too high": ({"costs": {"per_unit": 100.0}}, ValueError, "costs of 'A' are too high"),
    "a return below -1": ({"delisting_returns": {"C": -1.5}}, ValueError, r"delisting_returns\['C'\]"),
    "a return of no instrument": ({"delisting_returns": {"Q": 0.0}}, ValueError, "delisting_returns names 'Q'"),
    "no returns": ({"delisting_returns": 0.1}, TypeError, "delisting_returns must be a mapping"),
    "panels of different size": ({"data": [PANEL, gappy_panel(1, instruments=5)]}, ValueError, "as many instruments"),
    "panels and others": ({"data": [PANEL, "us-stocks"]}, TypeError, "a list of Panels alone"),
    "an episode too long": ({"episode_length": 10**6}, ValueError, "too few"),
    "hold one_of": ({"actions": "one_of", "allow_hold": True}, ValueError, "allow_hold=True belongs to"),
    "costs of nothing": ({"costs": dict.fromkeys("ABCD")}, TypeError, r"costs\['A'\] must be a Costs"),
    "short one_of": ({"actions": "one_of", "allow_short": True}, ValueError, "allow_short=True belongs to"),
    "a render mode": ({"render_mode": "gif"}, ValueError, "render_mode must be one of"),
    "no open": ({"data": Panel.from_markets([PANEL.market("A")]), "fill": "opening"}, ValueError, "fill must be"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_keywords_are_named_at_construction(case):
    keywords, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        PortfolioEnv(**{**PLAIN, **keywords})


def test_the_vector_env_draws_nothing():
    with pytest.raises(ValueError, match="render_mode must be None"):
        PortfolioVectorEnv(2, **PLAIN, render_mode="rgb_array")


def test_a_config_goes_to_json_and_back():
    config = PortfolioConfig(costs={"A": Costs(fixed=1.0), "B": FREE}, window=5, features=["close"], reward="pnl",
                             delisting_returns={"A": -0.5}, margin={"max_leverage": 2.0})  # fmt: skip
    again = PortfolioConfig.from_json(config.to_json())
    assert again == config
    assert json.loads(config.to_json())["costs"]["A"]["fixed"] == 1.0


def test_a_spec_read_back_from_json_makes_the_same_env():
    env = gym.make(ID, window=5, costs={"commission": 0.001}, shuffle_symbols=True)
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    for ours, theirs in zip(env.reset(seed=4), again.reset(seed=4), strict=True):
        assert_same(ours, theirs)


def test_reset_takes_the_panel_and_the_first_bar():
    env = PortfolioEnv(**{**PLAIN, "data": [PANEL, gappy_panel(9)]})
    _, info = env.reset(options={"data": 1, "start": 30})
    assert info["bar"] == 30
    assert env.get_state()["_opened"] == [1, 30]
    with pytest.raises(ValueError, match=r"options\['start'\]"):
        env.reset(options={"start": 10**6})
