import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.a2c import A2C
from agents.dqn import DQN
from agents.ppo import PPO

SMALL = {"learning_starts": 20, "train_freq": 1, "net_arch": (8,)}


def scalars(folder) -> dict[str, list]:
    events = EventAccumulator(str(folder)).Reload()
    return {key: events.Scalars(key) for key in events.Tags()["scalars"]}


def test_tensorboard_gets_sb3s_keys(match_env, tmp_path):
    DQN(match_env, tensorboard_log=tmp_path, **SMALL).learn(200, log_interval=50)
    written = scalars(tmp_path / "DQN_1")
    assert {
        "rollout/ep_rew_mean",
        "rollout/ep_len_mean",
        "rollout/exploration_rate",
        "train/loss",
        "train/learning_rate",
        "train/n_updates",
        "time/fps",
    } <= set(written)
    assert [event.step for event in written["rollout/ep_len_mean"]] == [50, 100, 150, 200]
    assert {event.value for event in written["rollout/ep_len_mean"]} == {10.0}
    assert written["train/learning_rate"][0].value == pytest.approx(1e-4)
    assert 0 < written["train/loss"][-1].value < 1
    assert written["time/fps"][-1].value > 0


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [(DQN, SMALL), (A2C, {}), (PPO, {"n_steps": 64, "batch_size": 32, "n_epochs": 2})],
)
def test_a_run_shorter_than_the_interval_is_logged_at_its_end(algorithm, options, match_env, tmp_path):
    algorithm(match_env, tensorboard_log=tmp_path, **options).learn(128)
    written = scalars(tmp_path / f"{algorithm.__name__}_1")
    for key in ("rollout/ep_rew_mean", "rollout/ep_len_mean", "train/learning_rate", "train/n_updates", "time/fps"):
        assert [event.step for event in written[key]] == ([130] if algorithm is A2C else [128]), key
        assert written[key][0].value > 0


def test_the_end_of_training_is_logged_and_not_twice(match_env, tmp_path):
    agent = DQN(match_env, tensorboard_log=tmp_path, **SMALL)
    agent.learn(130, log_interval=50)
    agent.learn(100, log_interval=50, reset_num_timesteps=False)
    agent.learn(100, callback=lambda agent: agent.num_timesteps < 70, log_interval=50)
    steps = [[event.step for event in scalars(tmp_path / f"DQN_{k}")["time/fps"]] for k in (1, 2, 3)]
    assert steps == [[50, 100, 130], [180, 230], [50, 70]]


def test_nothing_is_said_of_episodes_before_one_has_ended(match_env, tmp_path, capsys):
    DQN(match_env, tensorboard_log=tmp_path, verbose=1, **SMALL).learn(9)
    written = scalars(tmp_path / "DQN_1")
    assert "time/fps" in written
    assert not any(key.startswith("rollout/ep") for key in written)
    assert "nan" not in capsys.readouterr().out


def test_every_seed_is_a_run_and_a_second_training_another(match_env, tmp_path):
    agent = DQN(match_env, seeds=[3, 9], tensorboard_log=tmp_path, **SMALL)
    agent.learn(100, log_interval=50).learn(100, log_interval=50)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["DQN_1", "DQN_2"]
    runs = [scalars(tmp_path / "DQN_1" / f"seed_{seed}") for seed in (3, 9)]
    losses = [run["train/loss"][-1].value for run in runs]
    assert losses[0] != losses[1]
    means = [run["rollout/ep_rew_mean"][-1].value for run in runs]
    assert all(0 < mean <= 10 for mean in means)


def test_verbose_prints_a_line_per_report_and_silence_is_the_default(match_env, capsys):
    DQN(match_env, **SMALL).learn(100, log_interval=50)
    assert capsys.readouterr().out == ""
    DQN(match_env, verbose=1, **SMALL).learn(100, log_interval=50)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "ep_rew_mean" in lines[1]


def test_the_progress_bar_reaches_its_end(match_env, capsys):
    DQN(match_env, n_envs=2, **SMALL).learn(101, progress_bar=True)
    shown = capsys.readouterr().err
    assert "DQN" in shown
    assert "101/101" in shown


def test_reported_means_cover_the_last_episodes_only(match_env):
    agent = DQN(match_env, **SMALL).learn(1_200)
    assert len(agent._envs.returns[0]) == 100
    assert np.mean(agent._envs.lengths[0]) == 10


def test_why_means_of_episodes_are_missing_is_said_once(tmp_path, capsys, match_env):
    agent = A2C(lambda: match_env(3, length=45), verbose=1, tensorboard_log=tmp_path, seeds=2)
    agent.learn(100, log_interval=10)
    out = capsys.readouterr().out
    assert out.count("no episode has ended yet: ep_rew_mean and ep_len_mean are reported once one has") == 1
    assert "ep_rew_mean" in out.splitlines()[-1]
    agent.learn(30, reset_num_timesteps=False, log_interval=10)  # episodes have ended before
    assert "no episode" not in capsys.readouterr().out


def test_a_mean_over_seeds_is_of_those_that_have_ended_an_episode(capsys, match_env):
    lengths = iter([3, 200])
    A2C(lambda: match_env(3, length=next(lengths)), verbose=1, seeds=2).learn(20)
    assert "ep_len_mean 3 " in capsys.readouterr().out + " "
