"""Agents with an LSTM: what they remember and forget, their gradients, their seeds, and a task that needs memory."""

import os
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3.common.evaluation import evaluate_policy

from agents import recurrent_a2c, recurrent_dqn
from agents.a2c import A2C
from agents.base.cli import main
from agents.base.evaluation import evaluate
from agents.base.recurrent_agent import Carried
from agents.common.devices import torch_threads
from agents.dqn import DQN
from agents.envs.seed_envs import SeedEnvs, Step
from agents.memory.sequence_replay import SequenceReplay, Sequences
from agents.nn.distributions import Categorical, Gaussian
from agents.nn.lstm import State, Weights, lstm_cell
from agents.nn.recurrent import RecurrentNet
from agents.recurrent_a2c import RecurrentA2C, recurrent_a2c_loss
from agents.recurrent_dqn import RecurrentDQN, recurrent_dqn_loss

CPU = torch.device("cpu")
D, H, A, T, B = 3, 6, 2, 5, 4
SMALL = {
    RecurrentA2C: {"n_steps": 12, "lstm_size": 16, "learning_rate": 1e-2, "ent_coef": 0.01, "gamma": 0.9},
    RecurrentDQN: {
        "lstm_size": 16,
        "learning_rate": 5e-3,
        "gamma": 0.9,
        "learning_starts": 200,
        "train_freq": 2,
        "burn_in": 4,
        "sequence_length": 8,
        "target_update_interval": 200,
        "exploration_fraction": 0.5,
    },
}
each = pytest.mark.parametrize("algorithm", list(SMALL))


class RecallFlag(gym.Env[np.ndarray, np.int64]):
    """The first observation shows a flag, -1 or 1; then blanks; at the last, marked step naming the flag earns 1.

    Who remembers earns 1 in every episode; who does not, 1/2 on average.
    """

    observation_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, blanks: int = 4) -> None:
        self.blanks = blanks

    def _obs(self) -> np.ndarray:
        return np.array([2 * self.flag - 1 if self.t == 0 else 0, self.t == self.blanks + 1], np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.flag = 0, int(self.np_random.integers(2))
        return self._obs(), {}

    def step(self, action):
        asked = self.t == self.blanks + 1
        self.t += 1
        return self._obs(), float(asked and action == self.flag), asked, False, {}


class Clock(gym.Env[np.ndarray, np.int64]):
    """The observation is [steps since the episode began, its length]; episodes have 2, 3, 2, 3, ... steps."""

    observation_space = gym.spaces.Box(0.0, np.inf, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, length: int = 2) -> None:
        self.length = length

    def reset(self, *, seed=None, options=None):
        self.t, self.length = 0, 5 - self.length
        return np.array([0, self.length], np.float32), {}

    def step(self, action):
        self.t += 1
        return np.array([self.t, self.length], np.float32), 1.0, False, self.t == self.length, {}


class NextStepEnvs(SeedEnvs):
    """Envs that show an episode's last observation before they are reset by the next step."""

    autoreset_mode = AutoresetMode.NEXT_STEP

    def _renewed(self, seen, info, ended):
        return seen, seen


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def stirred(net: RecurrentNet) -> RecurrentNet:
    net.flat.add_(0.3 * numbers(*net.flat.shape, seed=1))
    return net


# ------------------------------------------------------------------------------------ what is carried


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_memory_is_zero_where_an_episode_begins_and_kept_elsewhere(mode):
    lengths = (2, 3, 2)
    envs = SyncVectorEnv([lambda n=n: Clock(n) for n in lengths], autoreset_mode=mode)
    carried = Carried(1, len(lengths), H, mode)
    obs, _ = envs.reset(seed=0)
    alike = []
    for k in range(1, 30):
        assert np.array_equal(carried.starts[0], obs[:, 0] == 0)
        assert np.array_equal(carried.alive[0], obs[:, 0] < obs[:, 1])
        assert (carried.hidden[0][obs[:, 0] == 0] == 0).all()
        assert (carried.cell[0][obs[:, 0] == 0] == 0).all()
        if k > 1:
            assert (carried.hidden[0][obs[:, 0] > 0] == k - 1).all()
            assert (carried.cell[0][obs[:, 0] > 0] == 1 - k).all()
        obs, _, terminated, truncated, _ = envs.step(np.zeros(3, np.int64))
        after = np.full((1, 3, H), k, np.float32)
        carried.step((after, -after), (terminated | truncated)[None])
        alike.append(carried.starts.all() == carried.starts.any())
    assert not all(alike)  # the envs do not run in step


def test_a_mode_without_resets_is_refused():
    with pytest.raises(ValueError, match="DISABLED"):
        Carried(1, 1, H, AutoresetMode.DISABLED)


@each
def test_learning_in_envs_that_reset_at_the_next_step_ignores_dead_rows(algorithm):
    class NextStep(algorithm):
        envs_type = NextStepEnvs

    NextStep.__name__ = algorithm.__name__
    seen = []

    def watch(agent):
        if algorithm is RecurrentDQN:
            rows = agent.replay.rows[0, : agent.replay.size]  # [C, N, 2D + 5]
            seen.append((rows[..., 0], rows[..., 1], rows[..., -2], rows[..., -1]))
        elif agent.rollout.position == 11:
            rows = agent.rollout.rows[0, :11]
            seen.append((rows[..., 0], rows[..., 1], agent._starts[0, :11], agent._alive[0, :11]))

    NextStep(Clock, n_envs=2, **SMALL[algorithm]).learn(100, callback=watch)
    for t, length, starts, alive in seen:
        assert np.array_equal(starts.astype(bool), t == 0)
        assert np.array_equal(alive.astype(bool), t < length)
    assert not alive.all()


# ------------------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("kind", [Categorical, Gaussian])
def test_a2cs_loss_by_hand(kind):
    pi, value = torch.tensor([[[0.3, -0.2], [1.0, 0.5]]]), torch.tensor([[0.5, -1.0]])  # [S, B, A], [S, B]
    action = torch.tensor([[[1.0], [0.0]]]) if kind is Categorical else torch.tensor([[[0.1, 0.2], [5.0, 5.0]]])
    advantage, returns, alive = torch.tensor([[2.0, 7.0]]), torch.tensor([[1.5, 9.0]]), torch.tensor([[1.0, 0.0]])
    policy = kind(2).given(pi, torch.tensor([[[0.1, -0.3]]]) if kind is Gaussian else None)
    loss, terms = recurrent_a2c_loss(policy, value, action, advantage, returns, alive, 0.1, 0.7)
    if kind is Categorical:
        p = np.exp([0.3, -0.2]) / np.exp([0.3, -0.2]).sum()
        log_prob, entropy = np.log(p[1]), -(p * np.log(p)).sum()
    else:
        log_std, z = np.array([0.1, -0.3]), (np.array([0.1, 0.2]) - [0.3, -0.2]) / np.exp([0.1, -0.3])
        log_prob = (-0.5 * z**2 - log_std - 0.5 * np.log(2 * np.pi)).sum()
        entropy = (log_std + 0.5 + 0.5 * np.log(2 * np.pi)).sum()
    expected = (-2.0 * log_prob - 0.1 * entropy + 0.7 * 1.0) / 2  # the mean over two steps, one of which is dead
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert terms.entropy[0].tolist() == pytest.approx([entropy, 0.0], rel=1e-5)


def pair(fused, algorithm, **options):
    return algorithm("Pendulum-v1" if options.pop("box", False) else "CartPole-v1", fused=fused, **options)


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        (RecurrentA2C, {"n_steps": 6, "ent_coef": 0.01}),
        (RecurrentA2C, {"n_steps": 6, "box": True, "normalize_advantage": True}),
        (RecurrentDQN, {"batch_size": 4, "burn_in": 3, "sequence_length": 5, "learning_starts": 12, "train_freq": 6}),
        (RecurrentDQN, {"batch_size": 4, "burn_in": 0, "sequence_length": 5, "learning_starts": 12, "train_freq": 6}),
    ],
)
def test_fifty_updates_are_the_same_with_and_without_the_compiled_lstm(algorithm, options):
    shared = {"seeds": 2, "n_envs": 2, "lstm_size": 6, **options}
    steps = 2 * 6 * 50 + 12
    agents = [pair(fused, algorithm, **shared).learn(steps) for fused in (True, False)]
    assert agents[0].net.lstm._fused is not None
    assert agents[1].net.lstm._fused is None
    assert agents[0].n_updates == agents[1].n_updates >= 50
    for name, array in agents[0].net.values.items():
        torch.testing.assert_close(array, agents[1].net.values[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("normalizes", [True, False])
def test_a2cs_policy_is_blind_to_the_rewards_unit_where_advantages_are_normalised(normalizes):
    S, rows = 2, 12 * 4

    def gradient(advantage, alive):
        agent = RecurrentA2C(RecallFlag, seeds=S, n_envs=4, normalize_advantage=normalizes, **SMALL[RecurrentA2C])
        outputs = agent.net(numbers(S, 12, 4, 2), *start)[0].flatten(1, 2)
        agent._update(outputs, (numbers(S, rows, 1, seed=1) > 0).long(), advantage, alive, 1e-2)
        torch.testing.assert_close(
            agent._last[2], advantage + outputs[..., -1].detach()
        )  # the critic's unit is the reward's
        return agent.net.grads["head.weight"][0::2].clone()  # of the policies

    start = State(torch.zeros(S, 4, 32), torch.zeros(S, 4, 32)), torch.zeros(S, 12, 4, dtype=torch.bool)
    advantage, alive = numbers(S, rows, seed=2), (numbers(S, rows, seed=3) > -1.0).float()
    dead_differ = torch.where(alive > 0, 50.0 * advantage - 7.0, 1e4)
    close = torch.allclose(gradient(advantage, alive), gradient(dead_differ, alive), rtol=1e-3, atol=1e-6)
    assert close == normalizes


def sequences(S: int, length: int = T + 3, seed: int = 0) -> Sequences:
    shape = (S, length, B)
    ended = numbers(*shape, seed=seed + 4) > 0.8
    starts = torch.cat((numbers(S, 1, B, seed=seed + 5) > 0.8, ended[:, :-1]), 1)
    return Sequences(
        obs=numbers(*shape, D, seed=seed),
        next_obs=numbers(*shape, D, seed=seed + 1),
        action=(numbers(*shape, 1, seed=seed + 2) > 0).long(),
        reward=numbers(*shape, seed=seed + 3),
        continues=(~(ended & (numbers(*shape, seed=seed + 6) > 0))).float(),
        starts=starts,
        alive=(numbers(*shape, seed=seed + 7) > -1.0).float(),
        state=State(numbers(S, B, H, seed=seed + 8), numbers(S, B, H, seed=seed + 9)),
    )


def unrolled(w, obs, state, starts):
    """Outputs [S, T, B, K] of a plain loop over the cell, and the state after each step."""
    weights, outputs, states = Weights(*(w[f"lstm.{name}"] for name in ("weight_x", "weight_h", "bias"))), [], []
    for t in range(obs.shape[1]):
        keep = (~starts[:, t, :, None]).float()
        state = lstm_cell(obs[:, t], State(state.hidden * keep, state.cell * keep), weights)
        outputs.append(state.hidden @ w["head.weight"] + w["head.bias"])
        states.append(state)
    return torch.stack(outputs, 1), states


@pytest.mark.parametrize("burn_in", [0, 3])
@pytest.mark.parametrize("S", [1, 3])
def test_dqns_loss_is_that_of_a_plain_loop_after_a_burn_in_without_gradient(S, burn_in):
    net, target_net = (stirred(RecurrentNet(D, H, [1.0] * A, range(k, k + S), CPU)) for k in (0, 50))
    batch = sequences(S, T + burn_in)
    loss, error = recurrent_dqn_loss(net, target_net, batch, 0.9, burn_in)
    loss.backward()

    leaves = {name: value.detach().clone().requires_grad_() for name, value in net.values.items()}
    state, target_state = batch.state, batch.state
    if burn_in:
        with torch.no_grad():
            before = (batch.obs[:, :burn_in], batch.state, batch.starts[:, :burn_in])
            state, target_state = (unrolled(w, *before)[1][-1] for w in (leaves, target_net.values))
    obs, next_obs, action, reward, continues, starts, alive = (part[:, burn_in:] for part in batch[:-1])
    q = unrolled(leaves, obs, state, starts)[0].gather(-1, action)[..., 0]  # [S, T, B]
    with torch.no_grad():
        states = unrolled(target_net.values, obs, target_state, starts)[1]
        nothing = torch.zeros(S, 1, B, dtype=torch.bool)
        after = [unrolled(target_net.values, next_obs[:, t : t + 1], states[t], nothing)[0] for t in range(T)]
        target = reward + 0.9 * continues * torch.cat(after, 1).amax(-1)
    huber = torch.nn.functional.smooth_l1_loss(q, target, reduction="none")
    expected = (huber * alive).mean((1, 2)).sum()
    expected.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(error, ((q - target) * alive).detach(), rtol=1e-4, atol=1e-5)
    for name, leaf in leaves.items():
        torch.testing.assert_close(net.grads[name], leaf.grad, rtol=1e-4, atol=1e-6)


# -------------------------------------------------------------------------------------------------- replay


def test_sequences_are_steps_in_order_with_the_state_before_the_first():
    S, N, C = 2, 2, 10
    replay = SequenceReplay(S, N, C * N, 1, 1, length=4, batch_size=50, device=CPU)
    replay.reserve(C)
    rng = np.random.default_rng(0)
    carried = Carried(S, N, 1, AutoresetMode.SAME_STEP)
    for k in range(23):  # more than the ring holds
        name = k + 100.0 * np.arange(N) + 1000.0 * np.arange(S)[:, None]  # [S, N]
        carried.hidden[..., 0], carried.cell[..., 0] = name, -name
        carried.starts[:] = k % 5 == 0
        over = np.full((S, N), k % 5 == 4)
        step = Step(None, name / 2, over, over, (name + 0.5)[..., None].astype(np.float32))
        replay.add(name[..., None].astype(np.float32), np.full((S, N), k % 2), step, carried)
        if k >= 4:
            batch = replay.sample(rng.random((S, 50)))
            number = batch.obs[..., 0]  # [S, T, B]
            steps = number % 100
            assert (steps[:, 1:] - steps[:, :-1] == 1).all()
            assert set(steps[:, 0].unique().int().tolist()) == set(range(max(k - 9, 0), k - 2))
            assert (number // 1000 == torch.arange(S)[:, None, None]).all()
            assert set((number % 1000 // 100).unique().tolist()) == {0.0, 1.0}
            assert torch.equal(batch.next_obs[..., 0], number + 0.5)
            assert torch.equal(batch.reward, number / 2)
            assert torch.equal(batch.action[..., 0], steps.long() % 2)
            assert torch.equal(batch.continues, (steps % 5 != 4).float())
            assert torch.equal(batch.starts, steps % 5 == 0)
            assert torch.equal(batch.state.hidden[..., 0], number[:, 0])
            assert torch.equal(batch.state.cell[..., 0], -number[:, 0])
            assert (batch.alive == 1).all()


def test_a_memory_too_small_for_a_sequence_is_refused():
    with pytest.raises(ValueError, match="buffer_size must hold a sequence of each env, 48, got 47"):
        RecurrentDQN(RecallFlag, n_envs=4, burn_in=4, sequence_length=8, buffer_size=47)


# ----------------------------------------------------------------------------------------------- seed axis


@each
def test_a_seed_takes_the_same_200_steps_alone_and_among_others(algorithm):
    def observations(seeds, s):
        seen = []
        agent = algorithm("CartPole-v1", seeds=seeds, n_envs=2, **SMALL[algorithm])
        agent.learn(500, callback=lambda agent: seen.append(agent._obs[s].copy()))
        return np.array(seen), agent

    with torch_threads(1):
        (among, many), (alone, _) = observations(4, 2), observations([2], 0)
    assert many.n_updates > 3
    assert len(among) >= 200
    assert np.array_equal(among[:200], alone[:200])


@each
def test_on_one_stream_of_batches_a_seeds_weights_agree_after_500_updates(algorithm, match_env):
    options = {RecurrentA2C: {"ent_coef": 0.01}, RecurrentDQN: {"burn_in": 3}}[algorithm]

    def trained(seeds, s):
        agent = algorithm(lambda: match_env(shape=(D, 1)), seeds=seeds, lstm_size=H, **options)
        for k in range(500):
            batch = sequences(8, seed=20 * k)
            if s is not None:
                state = State(*(part[s : s + 1] for part in batch.state))
                batch = Sequences(*(part[s : s + 1] for part in batch[:-1]), state)
            if algorithm is RecurrentDQN:
                agent._update(batch, 1e-3)
            else:
                state = State(*(part.repeat(1, 1, 2) for part in batch.state))
                outputs = agent.net(batch.obs, state, batch.starts)[0].flatten(1, 2)
                flat = (part.flatten(1, 2) for part in (batch.action.float(), batch.reward, batch.alive))
                agent._update(outputs, *flat, 1e-3)
        return agent.net.values

    with torch_threads(1):
        among, alone = trained(8, None), trained([3], 3)
    for name, value in alone.items():
        rows = len(value)  # policy and critic
        torch.testing.assert_close(among[name][3 * rows : 4 * rows], value, rtol=1e-4, atol=1e-5)


@each
def test_training_twice_gives_the_same_weights_bit_for_bit(algorithm):
    first, second = (algorithm(RecallFlag, seeds=2, n_envs=2, **SMALL[algorithm]).learn(500) for _ in range(2))
    assert first.n_updates > 3
    assert torch.equal(first.net.flat, second.net.flat)


# ------------------------------------------------------------------------------------------------ learning


@each
def test_what_was_shown_at_the_start_is_recalled_at_the_end(algorithm):
    steps, n_envs = {RecurrentA2C: (12_000, 8), RecurrentDQN: (5_000, 4)}[algorithm]
    agent = algorithm(RecallFlag, seeds=3, n_envs=n_envs, **SMALL[algorithm]).learn(steps)
    assert (evaluate(agent, RecallFlag, episodes=100) == 1.0).all()
    mean, _ = evaluate_policy(agent[1], RecallFlag(), n_eval_episodes=40, warn=False)
    assert mean == 1.0


@pytest.mark.parametrize("algorithm", [A2C, DQN])
def test_who_has_no_memory_recalls_by_chance(algorithm):
    agent = algorithm(RecallFlag, seeds=3, n_envs=4, learning_rate=5e-3, gamma=0.9, net_arch=(16,)).learn(3_000)
    returns = evaluate(agent, RecallFlag, episodes=400)
    np.testing.assert_allclose(returns.mean(1), 0.5, atol=0.1)  # four standard errors


@each
def test_envs_that_reset_at_the_next_step_teach_the_same(algorithm):
    class NextStep(algorithm):
        envs_type = NextStepEnvs

    n_envs = {RecurrentA2C: 8, RecurrentDQN: 4}[algorithm]
    agent = NextStep(lambda: RecallFlag(2), n_envs=n_envs, seeds=2, **SMALL[algorithm]).learn(8_000)
    assert evaluate(agent, lambda: RecallFlag(2), episodes=50).min() == 1.0


@each
@pytest.mark.parametrize(("truncates", "best"), [(False, 1), (True, 0)])
def test_truncation_bootstraps_and_termination_does_not(stop_or_go, algorithm, truncates, best):
    steps, change = {RecurrentA2C: (12_000, {"learning_rate": "lin_3e-2"}), RecurrentDQN: (4_000, {})}[algorithm]
    agent = algorithm(lambda: stop_or_go(truncates), seeds=2, n_envs=4, **SMALL[algorithm] | change).learn(steps)
    assert (agent.predict(np.ones((2, 1), np.float32), deterministic=True)[0] == best).all()


def test_box_actions_are_learnt(aim):
    options = {"n_steps": 8, "gamma": 0.0, "learning_rate": "lin_1e-2", "lstm_size": 16, "log_std_init": -0.5}
    agent = RecurrentA2C(aim, seeds=2, n_envs=8, **options).learn(16_000)
    returns = evaluate(agent, aim, episodes=20)
    assert returns.min() > -0.5  # ten steps with two numbers each; doing nothing costs 1.7 on average


# ------------------------------------------------------------------------------------------------- predicting


@each
def test_predict_takes_and_returns_the_state_in_recurrent_ppos_shape(algorithm):
    width = {RecurrentA2C: 32, RecurrentDQN: 16}[algorithm]  # policy and critic remember apart
    agent = algorithm(RecallFlag, **SMALL[algorithm])
    action, state = agent.predict(np.zeros((5, 2), np.float32), deterministic=True)
    assert action.shape == (5,)
    assert [part.shape for part in state] == [(1, 5, width)] * 2
    action, state = agent.predict(np.zeros(2, np.float32))
    assert action.shape == ()
    assert [part.shape for part in state] == [(1, 1, width)] * 2
    several = algorithm(RecallFlag, seeds=3, **SMALL[algorithm])
    action, state = several.predict(np.zeros((3, 5, 2), np.float32))
    assert action.shape == (3, 5)
    assert [part.shape for part in state] == [(3, 5, width)] * 2
    with pytest.raises(ValueError, match="state must be two arrays"):
        several.predict(np.zeros((3, 4, 2), np.float32), state)


@each
def test_an_episodes_start_forgets_for_that_env_alone(algorithm):
    agent = algorithm(RecallFlag, seeds=2, **SMALL[algorithm])
    obs, one = np.ones((2, 3, 2), np.float32), np.ones((2, 3, agent.net.memory_size), np.float32)
    starts = np.zeros((2, 3), np.bool_)
    starts[1, 2] = True
    _, after = agent.predict(obs, (one, one), starts)
    _, kept = agent.predict(obs, (one, one))
    _, fresh = agent.predict(obs)
    for part, before, new in zip(after, kept, fresh, strict=True):
        np.testing.assert_array_equal(part[~starts], before[~starts])
        np.testing.assert_array_equal(part[starts], new[starts])
        assert not np.array_equal(before[starts], new[starts])
    flat, _ = agent.predict(obs[:, 0], (one[:, :1], one[:, :1]), np.array([True, False]))  # one env per seed
    assert flat.shape == (2,)


# ------------------------------------------------------------------------------------------------------ files


@each
def test_a_file_gives_back_an_agent_that_acts_and_goes_on_learning(algorithm, tmp_path):
    agent = algorithm(RecallFlag, seeds=2, n_envs=2, **SMALL[algorithm]).learn(600)
    agent.save(tmp_path / "agent")
    loaded = algorithm.load(tmp_path / "agent", env=RecallFlag)
    obs = np.random.default_rng(0).normal(size=(2, 7, 2)).astype(np.float32)
    for name, array in agent.state_dict().items():
        assert torch.equal(array, loaded.state_dict()[name])
    ours, theirs = (x.predict(obs, deterministic=True) for x in (agent, loaded))
    assert np.array_equal(ours[0], theirs[0])
    assert np.array_equal(ours[1], theirs[1])
    assert loaded.learn(300, reset_num_timesteps=False).num_timesteps > agent.num_timesteps
    np.testing.assert_allclose(agent[1].predict(obs[1])[1][0][0], ours[1][0][1], rtol=1e-5, atol=1e-6)


@each
def test_the_command_line_trains_and_explains_itself(algorithm, tmp_path, capsys):
    module = {RecurrentA2C: recurrent_a2c, RecurrentDQN: recurrent_dqn}[algorithm]
    words = ["--env", "CartPole-v1", "--total-timesteps", "300", "--seeds", "2", "--n-envs", "1", "--no-progress-bar"]
    main(algorithm, module.PRESETS, [*words, "--lstm-size", "8", "--eval-episodes", "2", "--save", f"{tmp_path}/x"])
    assert "seeds in" in capsys.readouterr().out
    assert algorithm.load(tmp_path / "x").config.lstm_size == 8


def test_help_is_shown():
    for name, option in (("recurrent_a2c", "--n-steps"), ("recurrent_dqn", "--burn-in")):
        command = [sys.executable, "-m", f"agents.{name}", "--help"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": "120"})
        assert option in shown.stdout


@pytest.mark.parametrize(
    ("algorithm", "bad", "error"),
    [
        (RecurrentA2C, {"lstm_size": 0}, ValueError),
        (RecurrentA2C, {"n_steps": 1.5}, TypeError),
        (RecurrentA2C, {"gae_lambda": 2.0}, ValueError),
        (RecurrentA2C, {"use_rms_prop": 1}, TypeError),
        (RecurrentA2C, {"normalize_advantage": None}, TypeError),
        (RecurrentDQN, {"burn_in": -1}, ValueError),
        (RecurrentDQN, {"sequence_length": 0}, ValueError),
        (RecurrentDQN, {"tau": 0.0}, ValueError),
        (RecurrentDQN, {"gamma": "1"}, TypeError),
    ],
)
def test_bad_arguments_are_refused_by_name(algorithm, bad, error):
    with pytest.raises(error, match=next(iter(bad))):
        algorithm(RecallFlag, **bad)


def test_dqn_with_memory_takes_discrete_actions_only(aim):
    with pytest.raises(ValueError, match="action_space must be Discrete"):
        RecurrentDQN(aim)
