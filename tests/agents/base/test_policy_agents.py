"""What A2C, PPO and REINFORCE share: their interface, their files, their seeds, their actions."""

import os
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.evaluation import evaluate_policy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents import a2c, ppo, reinforce
from agents.a2c import A2C
from agents.base.cli import main
from agents.base.evaluation import evaluate
from agents.dqn import DQN
from agents.ppo import PPO
from agents.reinforce import REINFORCE

SMALL = {
    A2C: {"n_steps": 8, "net_arch": (16,), "learning_rate": 5e-3},
    PPO: {"n_steps": 16, "batch_size": 32, "n_epochs": 4, "net_arch": (16,), "learning_rate": 5e-3},
    REINFORCE: {"n_episodes": 4, "net_arch": (16,), "learning_rate": 1e-2, "value_baseline": True},
}
LOSSES = {
    A2C: {"policy_loss", "value_loss", "entropy_loss", "explained_variance"},
    PPO: {
        *("policy_gradient_loss", "value_loss", "entropy_loss", "explained_variance"),
        *("approx_kl", "clip_fraction", "clip_range", "loss"),
    },
    REINFORCE: {"policy_loss", "value_loss", "entropy_loss"},
}
each = pytest.mark.parametrize("algorithm", list(SMALL))


# ------------------------------------------------------------------------------------------------- seed axis


@each
@pytest.mark.parametrize("n_envs", [1, 3])
def test_a_seed_takes_the_same_200_steps_alone_and_among_others(algorithm, n_envs):
    def observations(seeds, s):
        seen = []
        agent = algorithm("CartPole-v1", seeds=seeds, n_envs=n_envs, **SMALL[algorithm])
        agent.learn(200 * n_envs, callback=lambda agent: seen.append(agent._obs[s].copy()))
        return np.array(seen), agent

    among, many = observations(4, 2)
    alone, _ = observations([2], 0)
    assert many.n_updates > 0
    assert len(among) >= 200
    assert np.array_equal(among[:200], alone[:200])


@each
def test_box_actions_too_are_the_same_alone_and_among_others(algorithm, aim):
    def trained(seeds):
        return algorithm(aim, seeds=seeds, n_envs=2, **SMALL[algorithm]).learn(400)

    among, alone = trained(3), trained([1])
    assert list(among._envs.returns[1]) == pytest.approx(list(alone._envs.returns[0]))
    assert among._envs.returns[0] != among._envs.returns[1]


@each
def test_training_twice_gives_the_same_weights_bit_for_bit(algorithm, match_env):
    first, second = (algorithm(match_env, seeds=2, n_envs=2, **SMALL[algorithm]).learn(300) for _ in range(2))
    assert first.n_updates > 3
    assert torch.equal(first.net.flat, second.net.flat)


# -------------------------------------------------------------------------------------------------- actions


@each
def test_what_is_not_deterministic_is_drawn_from_the_policy(algorithm, match_env):
    agent = algorithm(match_env, seeds=2, **SMALL[algorithm])
    agent.net.values["pi.1.bias"][:, 0, :3] = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]).log()
    agent.net.values["pi.1.weight"].zero_()
    obs = np.zeros((2, 20_000, 3))
    drawn = agent.predict(obs)[0]
    share = np.array([np.bincount(row, minlength=3) / 20_000 for row in drawn])
    np.testing.assert_allclose(share, [[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]], atol=0.015)
    best = agent.predict(obs, deterministic=True)[0]
    assert (best == [[0], [2]]).all()


@each
def test_box_actions_have_their_shape_and_stay_within_bounds(algorithm, aim):
    agent = algorithm(aim, **SMALL[algorithm])
    agent.net.values["pi.1.bias"][..., :2] = torch.tensor([0.5, -3.0])
    single, _ = agent.predict(np.zeros(1), deterministic=True)
    assert single.shape == (2, 1)
    np.testing.assert_allclose(single, [[0.5], [-0.75]], atol=0.01)
    drawn, _ = agent.predict(np.zeros((20_000, 1)))
    assert drawn.shape == (20_000, 2, 1)
    assert drawn.min() == -0.75
    assert drawn.max() == 0.75
    assert drawn[0] in aim.action_space
    inside = (drawn[:, 0, 0] < 0.5).mean()  # the mean is 0.5, the standard deviation 1
    assert inside == pytest.approx(0.5, abs=0.02)


@each
def test_learning_sees_box_actions_as_they_were_drawn_and_the_env_sees_them_clipped(algorithm, aim, monkeypatch):
    agent, drawn, taken = algorithm(aim, **SMALL[algorithm] | {"log_std_init": 1.0}), [], []
    act, step = agent._act, agent._envs.vector_env.step
    monkeypatch.setattr(agent, "_act", lambda obs: drawn.append(act(obs)) or drawn[-1])
    monkeypatch.setattr(agent._envs.vector_env, "step", lambda action: taken.append(action) or step(action))
    agent.learn(8, callback=lambda agent: len(taken) < 7)
    assert np.abs(drawn).max() > 0.75
    np.testing.assert_allclose(np.array(taken).reshape(-1), np.clip(drawn, -0.75, 0.75).reshape(-1))
    rows = agent._running._rows[0, 0] if algorithm is REINFORCE else agent.rollout.rows[0, :, 0]
    np.testing.assert_allclose(rows[:7, 1:].reshape(-1), np.array(drawn).reshape(-1))


def test_dqn_refuses_box_actions_by_name(aim):
    with pytest.raises(ValueError, match="action_space must be Discrete for DQN"):
        DQN(aim)


# ------------------------------------------------------------------------------------------------ interface


@each
def test_one_seed_of_several_is_an_agent_of_its_own(algorithm, match_env):
    agent = algorithm(match_env, seeds=[4, 8, 6], **SMALL[algorithm]).learn(200)
    obs = np.random.default_rng(0).random((3, 50, 3))
    together = agent.predict(obs, deterministic=True)[0]
    for s in range(3):
        assert np.array_equal(agent[s].predict(obs[s], deterministic=True)[0], together[s])
    weights = agent.net.flat.clone()
    assert agent[1].learn(100).num_timesteps >= 100
    assert torch.equal(agent.net.flat, weights)


@each
@pytest.mark.parametrize("box", [False, True])
def test_what_is_saved_is_loaded_and_learns_on(algorithm, match_env, aim, tmp_path, box):
    env = aim if box else match_env
    agent = algorithm(env, seeds=[7, 4], **SMALL[algorithm]).learn(200)
    agent.save(tmp_path / "agent")
    loaded = algorithm.load(tmp_path / "agent", env=env)
    assert (loaded.config, loaded.seeds, loaded.spaces) == (agent.config, agent.seeds, agent.spaces)
    assert (loaded.num_timesteps, loaded.n_updates) == (agent.num_timesteps, agent.n_updates)
    for name, array in agent.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], array)
    obs = np.random.default_rng(0).random((2, 50, *agent.spaces.obs_shape))
    expected = agent.predict(obs, deterministic=True)[0]
    assert np.array_equal(loaded.predict(obs, deterministic=True)[0], expected)
    assert loaded.learn(100, reset_num_timesteps=False).n_updates > agent.n_updates


def test_moments_of_the_optimisers_are_saved(match_env, tmp_path):
    for algorithm, moments in ((A2C, {"square"}), (PPO, {"mean", "square", "steps"})):
        agent = algorithm(match_env, **SMALL[algorithm]).learn(200)
        names = {name.split(".")[1] for name in agent.state_dict() if name.startswith("optimizer.")}
        assert names == moments
        assert all(agent.state_dict()[f"optimizer.{name}"].any() for name in names & {"steps"})


@each
def test_a_file_of_another_algorithm_is_refused(algorithm, match_env, tmp_path):
    DQN(match_env).save(tmp_path / "agent")
    with pytest.raises(ValueError, match=f"holds 'DQN', not {algorithm.__name__}"):
        algorithm.load(tmp_path / "agent")


@each
def test_sb3s_evaluate_policy_runs_on_one_seed(algorithm, match_env, aim):
    agent = algorithm(lambda: match_env(start=2), seeds=2, n_envs=2, gamma=0.2, **SMALL[algorithm]).learn(6_000)
    assert evaluate_policy(agent[1], match_env(start=2), n_eval_episodes=5, warn=False) == (10.0, 0.0)
    mean, _ = evaluate_policy(algorithm(aim, **SMALL[algorithm]), aim(), n_eval_episodes=2, warn=False)
    assert mean < 0


@each
def test_box_actions_can_be_evaluated(algorithm, aim):
    returns = evaluate(algorithm(aim, seeds=2, **SMALL[algorithm]), aim, episodes=3, deterministic=False)
    assert returns.shape == (2, 3)
    assert (returns < 0).all()


@each
def test_pendulum_of_gymnasium_can_be_learnt_in(algorithm):
    agent = algorithm("Pendulum-v1", n_envs=2, **SMALL[algorithm]).learn(1_000)
    assert agent.n_updates > 0
    assert torch.isfinite(agent.net.flat).all()


@each
@pytest.mark.parametrize("box", [False, True])
def test_tensorboard_gets_sb3s_keys(algorithm, match_env, aim, tmp_path, box):
    agent = algorithm(aim if box else match_env, tensorboard_log=tmp_path, **SMALL[algorithm])
    agent.learn(600, log_interval=100)
    events = EventAccumulator(str(tmp_path / f"{algorithm.__name__}_1")).Reload()
    expected = {f"train/{name}" for name in LOSSES[algorithm] | {"learning_rate", "n_updates"}}
    expected |= {"rollout/ep_rew_mean", "rollout/ep_len_mean", "time/fps"} | ({"train/std"} if box else set())
    assert set(events.Tags()["scalars"]) == expected
    losses = [event.value for event in events.Scalars("train/entropy_loss")]
    assert np.isfinite(losses).all()
    if not box:
        assert -np.log(3) - 1e-5 <= min(losses) <= max(losses) <= 0


@each
def test_nothing_is_reported_before_the_first_update(algorithm, match_env):
    metrics = algorithm(match_env, **SMALL[algorithm])._metrics()
    assert not any(np.isfinite(value).any() for name, value in metrics.items() if name.endswith("_loss"))


# --------------------------------------------------------------------------------------------- command line


@pytest.mark.parametrize("module", [a2c, ppo, reinforce])
def test_the_recipe_for_cartpole_is_what_the_command_takes(module, tmp_path, capsys):
    algorithm = {a2c: A2C, ppo: PPO, reinforce: REINFORCE}[module]
    preset = module.PRESETS["CartPole-v1"]
    arguments = ["--env", "CartPole-v1", "--total-timesteps", "300", "--no-progress-bar", "--eval-episodes", "0"]
    main(algorithm, module.PRESETS, [*arguments, "--save", str(tmp_path / "a")])
    loaded = algorithm.load(tmp_path / "a")
    assert (loaded.config, loaded.n_envs) == (preset.config, preset.n_envs)
    assert "steps of 1 seeds" in capsys.readouterr().out


def test_each_is_a_command():
    command = [sys.executable, "-m", "agents.a2c", "--help"]
    env = {"COLUMNS": "200", "PATH": os.environ["PATH"]}
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout
    assert "python -m agents.a2c" in shown


@pytest.mark.parametrize("module", [a2c, ppo, reinforce])
def test_help_explains_every_option(module, capsys):
    with pytest.raises(SystemExit, match="0"):
        main({a2c: A2C, ppo: PPO, reinforce: REINFORCE}[module], module.PRESETS, ["--help"])
    shown = capsys.readouterr().out
    assert f"python -m {module.__name__}" in shown
    for text in ("--env", "--seeds", "--n-envs", "--ent-coef", "--max-grad-norm", "--activation", "CartPole-v1"):
        assert text in shown


def test_every_env_of_a_seed_has_its_own_actions():
    agent = A2C("CartPole-v1", n_envs=4, **SMALL[A2C]).learn(32)
    actions = agent.rollout.rows[0, :, :, 4]  # [T, N]
    assert len(np.unique(actions, axis=1).T) > 1


def test_an_env_of_several_dimensions_is_flattened():
    env = gym.wrappers.ReshapeObservation(gym.make("CartPole-v1"), (2, 2))
    agent = PPO(lambda: env, n_steps=16, batch_size=16).learn(32)
    assert agent.predict(np.zeros((5, 2, 2)))[0].shape == (5,)
