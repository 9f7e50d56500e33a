import math
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.evaluation import evaluate_policy

from agents.base.cli import main
from agents.base.evaluation import evaluate
from agents.common.streams import Streams
from agents.envs.afterstates import AfterstateEnvs, afterstates_of
from agents.envs.seed_envs import make_envs
from agents.td_lambda import PRESETS, TDLambda
from trading_env import Costs, Margin, Market, TradingEnv, TradingVectorEnv, backtest
from trading_env.data.simulators import regime_switching


class Toll(gym.Env):
    """A signal that flips now and then, and a side to stand on: standing with the signal earns `gain`, moving costs.

    An observation is the signal and the side as one of four, and the fraction lost in this step so far.
    """

    def __init__(self, stay=0.8, gain=0.1, toll=0.1, length=20, truncates=True):
        self.stay, self.gain, self.toll, self.length, self.truncates = stay, gain, toll, length, truncates
        self.observation_space = gym.spaces.Box(0.0, 1.0, (5,), np.float32)
        self.action_space = gym.spaces.Discrete(2)

    def _show(self, side, lost=0.0):
        return np.array([*np.eye(4)[2 * self.signal + side], lost], np.float32)

    def afterstates(self):
        return np.stack([self._show(side, self.toll * (side != self.side)) for side in (0, 1)])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.signal, self.side, self.t = int(self.np_random.integers(2)), int(self.np_random.integers(2)), 0
        return self._show(self.side), {}

    def step(self, action):
        reward = self.gain * (action == self.signal) + math.log(1 - self.toll) * (action != self.side)
        self.side, self.t = int(action), self.t + 1
        self.signal = self.signal if self.np_random.random() < self.stay else 1 - self.signal
        over = self.t == self.length
        return self._show(self.side), reward, over and not self.truncates, over and self.truncates, {}


class Wander(gym.Env):
    """Random observations, rewards that hang on them, episodes of 4, 5, 6, ... steps that end one way or the other."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (2, 2), np.float32)
    action_space = gym.spaces.Discrete(3, start=1)

    def __init__(self):
        self.length = 3

    def _show(self):
        self.x = self.np_random.random((2, 2)).astype(np.float32)
        return self.x

    def afterstates(self):
        return np.stack([self.x * k for k in (0.5, 1.0, 0.8)])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.length = 0, self.length + 1
        return self._show(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.t += 1
        reward, over = float(self.x.sum() * action - 2.0), self.t == self.length
        return self._show(), reward, over and self.length % 2 == 0, over and self.length % 2 == 1, {}


class Chain(gym.Env):
    """Five states in a row, one action; the episode ends after the last one."""

    observation_space = gym.spaces.Box(0.0, 1.0, (6,), np.float32)
    action_space = gym.spaces.Discrete(1)
    rewards = (1.0, -2.0, 0.5, 3.0, -1.0)

    def __init__(self, truncates):
        self.truncates = truncates

    def afterstates(self):
        return np.eye(6, dtype=np.float32)[[self.t]]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.afterstates()[0], {}

    def step(self, action):
        self.t += 1
        over = self.t == 5
        return self.afterstates()[0], self.rewards[self.t - 1], over and not self.truncates, over and self.truncates, {}


@pytest.fixture
def stop_or_go_by_afterstates(stop_or_go):
    class Env(stop_or_go):
        def afterstates(self):
            return np.eye(2, dtype=np.float32)

        observation_space = gym.spaces.Box(0.0, 1.0, (2,), np.float32)

        def reset(self, **options):
            return np.ones(2, np.float32), super().reset(**options)[1]

        def step(self, action):
            return np.ones(2, np.float32), *super().step(action)[1:]

    return Env


class Slow:
    """V and its gradient in float64, by autograd, from the weights of one seed of an agent."""

    def __init__(self, agent, s=0):
        self.parameters = [v[s].double().clone().requires_grad_() for v in agent.v_net.values.values()]
        self.bound = agent.config.clip_obs or math.inf

    def value(self, x):
        hidden = torch.as_tensor(np.array(x, np.float64)).reshape(1, -1).clamp(-self.bound, self.bound)
        for i in range(0, len(self.parameters), 2):
            hidden = (torch.relu(hidden) if i else hidden) @ self.parameters[i] + self.parameters[i + 1]
        return hidden.sum()

    def gradient(self, x):
        return torch.autograd.grad(self.value(x), self.parameters)


def start_somewhere(agent, seed=0):
    """Gives the output layer weights other than 0."""
    weight = agent.v_net.layers[-1][0]
    weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed)) / 3)
    return agent


# ------------------------------------------------------------------------------------------------ numbers


@pytest.mark.parametrize(("decay", "bound"), [(0.0, None), (0.7, None), (1.0, None), (0.7, 0.4)])
def test_learning_is_that_of_a_slow_reference_with_autograd_and_explicit_traces(decay, bound):
    options = {"gamma": 0.9, "trace_decay": decay, "learning_rate": 0.02, "loss_column": 1, "net_arch": (8, 8)}
    options |= {"clip_obs": bound}
    agent = start_somewhere(
        TDLambda(Wander, seeds=[5], exploration_initial_eps=0.3, exploration_final_eps=0.3, **options)
    )
    slow, explore = Slow(agent), Streams([5], "explore", 2)
    envs = make_envs(Wander, [5], 1, kind=AfterstateEnvs)

    def worth(z, before):
        return slow.value(z).item() + math.log((1 - z.reshape(-1)[1]) / (1 - before.reshape(-1)[1]))

    obs, trace, randoms = envs.reset().reshape(3, 4), None, 0
    for _ in range(120):
        plain, drawn = envs.obs.astype(float), explore.draw()[0]
        best = int(np.argmax([worth(z, plain) for z in obs]))
        action = int(drawn[1] * 3) if drawn[0] < 0.3 else best
        randoms += action != best
        kept = [0.9 * decay * e for e in trace] if trace and action == best else [0.0] * len(slow.parameters)
        trace = [e + g for e, g in zip(kept, slow.gradient(obs[action]), strict=True)]
        cost = worth(obs[action], plain) - slow.value(obs[action]).item()
        step = envs.step(np.array([[action]]))
        after = step.next_obs.reshape(3, 4)
        ahead = 0.0 if step.terminated[0, 0] else max(worth(z, envs.next_obs) for z in after)
        delta = step.reward[0, 0] - cost + 0.9 * ahead - slow.value(obs[action]).item()
        with torch.no_grad():
            for parameter, e in zip(slow.parameters, trace, strict=True):
                parameter += 0.02 * delta * e
        trace = None if step.ended[0, 0] else trace
        obs = step.obs.reshape(3, 4)
    agent.learn(120)
    assert randoms > 10
    for value, parameter in zip(agent.v_net.values.values(), slow.parameters, strict=True):
        np.testing.assert_allclose(value[0], parameter.detach(), rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("truncates", [False, True])
def test_lambda_1_is_monte_carlo_and_lambda_0_is_td_0(truncates):
    rate, gamma, path = 1e-3, 0.9, np.eye(6)
    for decay in (1.0, 0.0):
        agent = TDLambda(lambda: Chain(truncates), gamma=gamma, trace_decay=decay, learning_rate=rate, net_arch=(8,))
        slow = Slow(start_somewhere(agent))
        value = [slow.value(z).item() for z in path]
        value[5] = value[5] if truncates else 0.0
        goal = [r + gamma * v for r, v in zip(Chain.rewards, value[1:], strict=True)]  # TD(0)
        if decay:
            for t in (3, 2, 1, 0):
                goal[t] = Chain.rewards[t] + gamma * goal[t + 1]  # Monte Carlo
        expected = [torch.zeros_like(p) for p in slow.parameters]
        for t in range(5):
            for total, g in zip(expected, slow.gradient(path[t]), strict=True):
                total += (goal[t] - value[t]) * g
        agent.learn(5)
        for now, before, total in zip(agent.v_net.values.values(), slow.parameters, expected, strict=True):
            np.testing.assert_allclose((now[0] - before.detach()) / rate, total, rtol=0.02, atol=0.02)


@pytest.mark.parametrize(("truncates", "best", "worth"), [(False, 1, [2.0, 10.0]), (True, 0, [20.0, 19.0])])
def test_truncation_bootstraps_and_termination_does_not(stop_or_go_by_afterstates, truncates, best, worth):
    options = {"gamma": 0.9, "learning_rate": 0.05, "exploration_final_eps": 0.5, "net_arch": ()}
    agent = TDLambda(lambda: stop_or_go_by_afterstates(truncates), seeds=2, **options).learn(2_000)
    value = agent.v_net.act(np.stack([np.eye(2, dtype=np.float32)] * 2))[..., 0]  # [S, A]
    np.testing.assert_allclose(value, [worth, worth], rtol=0.02)
    assert (agent.predict(np.stack([np.eye(2)] * 2), deterministic=True)[0] == best).all()


def test_the_last_afterstates_of_an_episode_are_seen_before_its_reset(counter):
    class Shown(counter):
        def afterstates(self):
            return np.stack([self._obs(), -self._obs()])

    envs = make_envs(Shown, (0, 1), 1, kind=AfterstateEnvs)
    assert envs.spaces.obs_shape == (2, 3)
    obs, plain = envs.reset(), envs.obs
    for _ in range(20):
        step = envs.step(np.zeros((2, 1), np.int64))
        after = plain + np.array([0, 0, 1])
        assert np.array_equal(envs.next_obs, after)
        assert np.array_equal(step.next_obs, np.concatenate([after, -after], -1))
        plain = np.where(step.ended[..., None], (after + np.array([0, 1, 0])) * [1, 1, 0], after)
        assert np.array_equal(envs.obs, plain)
        assert np.array_equal(step.obs, np.concatenate([plain, -plain], -1))
    assert list(envs.lengths[0]) == [3, 4, 5, 6]
    assert obs.dtype == np.float32


# ----------------------------------------------------------------------------------------------- seed axis


def test_a_seed_takes_the_same_200_steps_and_learns_the_same_alone_and_among_others():
    def trained(seeds, s):
        taken = []
        agent = TDLambda(Toll, seeds=seeds, n_envs=2, loss_column=-1)
        act = agent._act
        agent._act = lambda obs: taken.append(act(obs)) or taken[-1]
        agent.learn(400)
        return np.array([both[0][s] for both in taken]), agent.v_net.values, agent.trace[s]

    (among, values, trace), (alone, own, own_trace) = trained(4, 2), trained([2], 0)
    assert np.array_equal(among, alone)
    assert 0 < among.mean() < 1
    for name, value in own.items():
        torch.testing.assert_close(values[name][2], value[0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(trace, own_trace, rtol=1e-4, atol=1e-6)
    assert not torch.equal(values["0.weight"][1], values["0.weight"][2])


def test_several_envs_take_the_mean_of_their_steps():
    rate, options = 1e-3, {"seeds": [3], "net_arch": (4,), "exploration_initial_eps": 0.0, "exploration_final_eps": 0.0}
    agent = start_somewhere(TDLambda(Wander, n_envs=2, learning_rate=rate, **options))
    before = agent.v_net.flat.clone()
    agent.learn(2)
    error, trace = agent._last, agent.trace  # [1, 2], [1, 2, P]
    expected = rate * (error[0, 0] * trace[0, 0] + error[0, 1] * trace[0, 1]) / 2
    moved = torch.cat([part[0].reshape(-1) for part in agent.v_net.named(agent.v_net.flat - before).values()])
    torch.testing.assert_close(moved, expected.float(), rtol=1e-3, atol=1e-6)
    assert not torch.equal(trace[0, 0], trace[0, 1])
    assert (np.abs(error) > 0.1).all()


def test_traces_begin_at_zero_with_every_episode():
    agent = TDLambda(lambda: Toll(length=5), n_envs=2, seeds=2).learn(8)
    assert (agent.trace != 0).any()
    agent.learn(2, reset_num_timesteps=False)
    assert agent.num_timesteps == 10
    assert not agent.trace.any()
    agent.learn(4)
    assert agent.trace.any()
    agent.num_timesteps = 0
    agent._begin(1)
    assert not agent.trace.any()


# ------------------------------------------------------------------------------------------------ learning


def solve(env, gamma):
    """Values [signal, side] of the afterstates under the best policy, and that policy [signal, side before]."""
    value = np.zeros((2, 2))
    cost = math.log(1 - env.toll) * (1 - np.eye(2))  # [before, after]
    chance = np.where(np.eye(2), env.stay, 1 - env.stay)  # [signal, next signal]
    for _ in range(500):
        ahead = (cost[None] + value[:, None]).max(-1)  # [signal, before]
        value = env.gain * np.eye(2) + gamma * chance @ ahead
    return value, (cost[None] + value[:, None]).argmax(-1)


@pytest.mark.parametrize(("stay", "follows"), [(0.8, True), (0.4, False)])
def test_the_cost_of_an_action_counts_when_choosing_and_its_values_are_those_of_value_iteration(stay, follows):
    def make():
        return Toll(stay=stay)

    value, policy = solve(make(), gamma=0.9)
    assert np.array_equal(policy, [[0, 0], [1, 1]] if follows else [[0, 1], [0, 1]])
    options = {"seeds": 2, "gamma": 0.9, "net_arch": (), "learning_rate": "lin_0.1", "exploration_final_eps": 0.2}
    agent = TDLambda(make, n_envs=4, loss_column=-1, **options).learn(12_000)
    corners = np.concatenate([np.eye(4), np.zeros((4, 1))], 1).astype(np.float32)
    learnt = agent.v_net.act(np.stack([corners] * 2))[..., 0]  # [S, 4]
    np.testing.assert_allclose(learnt, [value.reshape(-1)] * 2, rtol=0.06)
    env = make()
    env.reset(seed=0)
    for env.signal in (0, 1):
        for env.side in (0, 1):
            action, _ = agent.predict(np.stack([env.afterstates()] * 2), deterministic=True)
            assert (action == policy[env.signal, env.side]).all()


TASK = {"features": ["state"], "window": 1, "actions": (0.0, 1.0), "fill": "close"}


def log_wealth(policy, market, n, **task):
    """Log growth per step of n runs over the whole market of `policy` (env, obs) -> actions."""
    env = TradingVectorEnv(n, market, **TASK, **task)
    obs, _ = env.reset()
    steps = len(market) - 1
    for _ in range(steps):
        obs, _, terminated, truncated, info = env.step(policy(env, obs))
        assert not terminated.any()
    assert truncated.all()
    return np.log(info["equity"] / 100_000.0) / steps


def trained_on(stay, seeds, timesteps, **task):
    train = regime_switching(20_000, 1, stay=stay, step=0.01)
    world = {"random_start": True, "episode_length": 200, **TASK, **task}
    env = gym.make("trading_env:TradingEnv-v0", data=train, **world)
    return TDLambda(env, seeds=seeds, gamma=0.9, loss_column=-1).learn(timesteps)


def test_it_follows_the_regime_to_99_percent_of_the_optimal_log_wealth():
    agent, test = trained_on(0.9, 4, 10_000), regime_switching(10_000, 2, stay=0.9, step=0.01)
    best = log_wealth(lambda env, obs: (obs[:, 0] > 0).astype(int), test, 1)
    scores = log_wealth(lambda env, obs: agent.predict(env.afterstates(), deterministic=True)[0], test, 4)
    assert (scores / best >= 0.99).all(), scores / best
    tracks = backtest(agent, test, bars_per_year=252, **TASK).tracks
    np.testing.assert_allclose(np.log(tracks.equity[:, -1] / tracks.equity[:, 0]) / (len(test) - 1), scores, rtol=1e-9)


def test_it_does_not_trade_where_the_cost_is_above_the_gain():
    costs = {"costs": Costs(commission=0.015, slippage=0.0)}
    agent, test = trained_on(0.5, 2, 6_000, **costs), regime_switching(2_000, 2, stay=0.5, step=0.01)
    scores = log_wealth(lambda env, obs: agent.predict(env.afterstates(), deterministic=True)[0], test, 2, **costs)
    assert scores.tolist() == [0.0, 0.0]


def test_ruin_and_the_end_of_the_data_in_scalar_trading_envs_leave_the_weights_finite():
    prices = 100.0 * 1.01 ** np.array([0, 1, -40, -39, -80, -81, -80, -79, -78, -120, -121, -60, -200, -201])
    market = Market.from_arrays(close=prices)
    world = {"window": 1, "features": ["close"], "actions": (-2.0, 0.0, 2.0), "margin": Margin(max_leverage=2.0)}

    def make():
        return TradingEnv(market, fill="close", **world)

    agent = TDLambda(make, seeds=2, loss_column=-1, learning_rate=1e-4, exploration_final_eps=0.5)
    agent.learn(300)
    assert torch.isfinite(agent.v_net.flat).all()
    lengths = {length for each in agent._envs.lengths for length in each}
    assert max(lengths) == 13  # the end of the data
    assert min(lengths) < 13  # ruin


# --------------------------------------------------------------------------------------- interface and files


def test_predict_takes_afterstates():
    agent = TDLambda(Wander)
    assert agent.predict(np.zeros((3, 2, 2)))[0] in (1, 2, 3)
    assert agent.predict(np.zeros((7, 3, 2, 2)))[0].shape == (7,)
    assert TDLambda(Wander, seeds=2).predict(np.zeros((2, 7, 3, 2, 2)))[0].shape == (2, 7)
    with pytest.raises(ValueError, match=r"observation must have shape \(3, 2, 2\)"):
        agent.predict(np.zeros((2, 2)))


def test_acting_in_an_env_it_asks_for_the_afterstates_itself():
    def make():
        return Toll(stay=1.0)

    agent, env = TDLambda(make, seeds=2, loss_column=-1, gamma=0.9).learn(2_000), make()
    obs, _ = env.reset(seed=0)
    expected = agent[0].predict(env.afterstates(), deterministic=True)[0]
    assert agent[0].acting_in(env).predict(obs, deterministic=True) == (expected, None)
    assert agent[0].acting_in(env).predict(obs[None], deterministic=True)[0].tolist() == [expected]
    mean, _ = evaluate_policy(agent[1].acting_in(env), env, n_eval_episodes=10, warn=False)
    assert 2.0 + math.log(0.9) <= mean <= 2.0  # once to the signal, if need be, and there to the end
    assert evaluate(agent, make, 10).min() >= 2.0 + math.log(0.9) - 1e-9
    envs = TradingVectorEnv(3, regime_switching(50, 0), **TASK)
    obs, _ = envs.reset()
    several = TDLambda(gym.make("trading_env:TradingEnv-v0", data=regime_switching(50, 0), **TASK), seeds=3)
    assert several.acting_in(envs).predict(obs)[0].shape == (3,)


def test_one_seed_of_several_and_a_file_act_as_they_did(tmp_path):
    agent, draw = TDLambda(Toll, seeds=[4, 8], loss_column=4).learn(500), np.random.default_rng(0)
    agent.save(tmp_path / "agent")
    loaded = TDLambda.load(tmp_path / "agent", env=Toll)
    assert (loaded.config, loaded.seeds, loaded.spaces) == (agent.config, agent.seeds, agent.spaces)
    options = draw.random((2, 50, 2, 5), np.float32)
    together = agent.predict(options, deterministic=True)[0]
    assert 0 < together.mean() < 1
    assert np.array_equal(loaded.predict(options, deterministic=True)[0], together)
    assert np.array_equal(agent[1].predict(options[1], deterministic=True)[0], together[1])
    assert loaded.learn(50, reset_num_timesteps=False).num_timesteps == 550
    with pytest.raises(ValueError, match="does not hold a whole TDLambda"):
        TDLambda.load(tmp_path / "agent", net_arch=(3,))


def test_the_command_line_trains(tmp_path, capsys):
    gym.register("Toll-v0", Toll)
    try:
        main(
            TDLambda,
            PRESETS,
            ["--env", "Toll-v0", "--total-timesteps", "200", "--loss-column", "-1", "--eval-episodes", "3"],
        )
    finally:
        del gym.registry["Toll-v0"]
    assert "Return of 3 greedy episodes" in capsys.readouterr().out


def test_help_explains_every_option():
    command = [sys.executable, "-m", "agents.td_lambda", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env={"COLUMNS": "200"}).stdout
    for text in ("python -m agents.td_lambda", "--trace-decay", "--loss-column", "TradingEnv-v0"):
        assert text in shown


def test_tensorboard_gets_sb3s_keys(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    TDLambda(Toll, tensorboard_log=tmp_path).learn(100, log_interval=40)
    log = EventAccumulator(str(tmp_path / "TDLambda_1")).Reload()
    keys = {"rollout/exploration_rate", "rollout/ep_rew_mean", "train/loss", "train/learning_rate", "time/fps"}
    assert keys <= set(log.Tags()["scalars"])


def test_an_env_without_afterstates_or_behind_a_wrapper_that_may_change_them_is_refused():
    with pytest.raises(ValueError, match=r"env must offer afterstates\(\)"):
        TDLambda("CartPole-v1")
    limited = gym.wrappers.TimeLimit(Toll(), 7)
    assert afterstates_of(limited) == limited.env.afterstates
    for wrapped in (gym.wrappers.TransformReward(Toll(), abs), gym.wrappers.NormalizeObservation(Toll())):
        with pytest.raises(ValueError, match=r"env must offer afterstates\(\)"):
            afterstates_of(wrapped)


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"learning_rate": 0.0}, ValueError),
        ({"gamma": 1.1}, ValueError),
        ({"trace_decay": -0.1}, ValueError),
        ({"loss_column": 5}, ValueError),
        ({"loss_column": -6}, ValueError),
        ({"loss_column": 0.5}, TypeError),
        ({"clip_obs": 0.0}, ValueError),
        ({"clip_obs": "1"}, TypeError),
        ({"exploration_fraction": 1.5}, ValueError),
        ({"net_arch": 64}, TypeError),
        ({"net_arch": (0,)}, ValueError),
    ],
)
def test_bad_arguments_are_refused_by_name(bad, error):
    with pytest.raises(error, match=next(iter(bad))):
        TDLambda(Toll, **bad)
