"""Callbacks with Stable-Baselines3's names, with a seed axis."""

import numpy as np
import pytest

import agents
from agents.base.callbacks import CheckpointCallback, EvalCallback, StopTrainingOnRewardThreshold
from agents.base.evaluation import evaluate


def test_every_seed_is_evaluated_and_keeps_its_best_weights(small, tmp_path, capsys):
    callback = EvalCallback(
        "CartPole-v1", n_eval_episodes=3, eval_freq=20, log_path=tmp_path, best_model_save_path=tmp_path / "best"
    )
    agent = small("DQN", seeds=3, n_envs=2).learn(200, callback=callback)
    log = np.load(tmp_path / "evaluations.npz")
    assert log["timesteps"].tolist() == [40, 80, 120, 160, 200]
    assert log["results"].shape == log["ep_lengths"].shape == (5, 3, 3)
    assert np.array_equal(log["results"], log["ep_lengths"])  # a step of CartPole earns 1
    means = log["results"].mean(2)
    assert np.array_equal(callback.last_mean_reward, means[-1])
    assert np.array_equal(callback.best_mean_reward, means.max(0))
    best = agents.DQN.load(tmp_path / "best" / "best_model")
    assert np.array_equal(evaluate(best, "CartPole-v1", 3).mean(1), means.max(0))
    assert capsys.readouterr().out.count("Eval num_timesteps=") == 5
    assert np.array_equal(evaluate(agent, "CartPole-v1", 3), log["results"][-1])


def test_evaluation_changes_nothing_of_training(small):
    callback = EvalCallback("CartPole-v1", eval_freq=10, verbose=0)
    whole, watched = small("RecurrentA2C").learn(90), small("RecurrentA2C").learn(90, callback=callback)
    for name, array in whole.state_dict().items():
        assert np.array_equal(array, watched.state_dict()[name])


def test_one_seed_has_the_log_of_sb3(small, tmp_path):
    small("PPO").learn(64, callback=EvalCallback("CartPole-v1", eval_freq=32, log_path=tmp_path, verbose=0))
    log = np.load(tmp_path / "evaluations.npz")
    assert log["results"].shape == (2, 5)


def test_training_ends_once_every_seed_has_reached_the_threshold(small, capsys):
    stop = StopTrainingOnRewardThreshold(5.0, verbose=1)
    agent = small("A2C", seeds=2)
    agent.learn(1_000, callback=EvalCallback("CartPole-v1", stop, eval_freq=30, verbose=0))
    assert agent.num_timesteps == 30
    assert "every seed reached 5" in capsys.readouterr().out
    never = EvalCallback("CartPole-v1", StopTrainingOnRewardThreshold(501.0), eval_freq=30, verbose=0)
    assert agent.learn(64, callback=never).num_timesteps == 64
    with pytest.raises(ValueError, match="must be an EvalCallback's callback_on_new_best"):
        agent.learn(64, callback=StopTrainingOnRewardThreshold(5.0))


def test_callbacks_of_an_evaluation_can_end_training_too(small):
    seen = []
    callback = EvalCallback("CartPole-v1", seen.append, lambda agent: agent.num_timesteps < 60, eval_freq=30, verbose=0)
    assert small("A2C").learn(1_000, callback=callback).num_timesteps == 60
    assert seen[0].num_timesteps == 60


def test_checkpoints_are_files_of_their_own(small, tmp_path):
    callback = CheckpointCallback(20, tmp_path / "new", "run", save_replay_buffer=True)
    agent = small("DQN").learn(45, callback=callback)
    names = sorted(path.name for path in (tmp_path / "new").glob("*"))
    assert names == [
        "run_20_steps.safetensors",
        "run_40_steps.safetensors",
        "run_replay_buffer_20_steps.safetensors",
        "run_replay_buffer_40_steps.safetensors",
    ]
    assert agents.DQN.load(tmp_path / "new" / names[1]).num_timesteps == 40
    agent.load_replay_buffer(tmp_path / "new" / names[3])
    assert agent.replay.size == 40
    small("A2C").learn(45, callback=CheckpointCallback(20, tmp_path / "a2c", save_replay_buffer=True))
    assert len(list((tmp_path / "a2c").glob("*"))) == 2


def test_bad_arguments_are_refused_at_construction(tmp_path, small):
    for make, error, said in (
        (lambda: EvalCallback(3), TypeError, "env must be an id"),
        (lambda: EvalCallback("CartPole-v1", eval_freq=0), ValueError, "eval_freq"),
        (lambda: EvalCallback("CartPole-v1", callback_after_eval="x"), TypeError, "callback must be a function"),
        (lambda: EvalCallback("CartPole-v1", render=True), NotImplementedError, "render must be False"),
        (lambda: CheckpointCallback(0, tmp_path), ValueError, "save_freq"),
        (lambda: CheckpointCallback(1, tmp_path, save_vecnormalize=True), NotImplementedError, "VecNormalize"),
        (lambda: StopTrainingOnRewardThreshold("x"), TypeError, "reward_threshold"),
    ):
        with pytest.raises(error, match=said):
            make()
    (tmp_path / "file").write_text("in the way")
    agent = small("A2C")
    for callback in (
        CheckpointCallback(1, tmp_path / "file"),
        EvalCallback("CartPole-v1", log_path=tmp_path / "file"),
        EvalCallback("CartPole-v1", best_model_save_path=tmp_path / "file"),
    ):
        with pytest.raises(OSError, match="cannot be written"):
            agent.learn(10, callback=callback)
    assert agent.num_timesteps == 0
