import json
import os
import pickle
import stat
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from agents.base.saving import facts_of
from agents.common import checkpoints
from agents.dqn import DQN

SMALL = {"learning_rate": 5e-3, "learning_starts": 20, "train_freq": 1, "net_arch": (16,)}
OBS = np.random.default_rng(0).random((2, 50, 3))


@pytest.fixture
def agent(match_env):
    return DQN(match_env, seeds=[7, 4], gamma=0.5, **SMALL).learn(100)


def test_what_is_saved_is_loaded(agent, tmp_path, match_env):
    agent.save(tmp_path / "agent")
    loaded = DQN.load(tmp_path / "agent")
    assert (tmp_path / "agent.safetensors").is_file()
    assert (loaded.config, loaded.seeds, loaded.spaces) == (agent.config, agent.seeds, agent.spaces)
    assert (loaded.num_timesteps, loaded.n_updates, loaded.optimizer.steps) == (100, agent.n_updates, agent.n_updates)
    assert loaded.exploration_rate == agent.exploration_rate
    for name, array in agent.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], array)
    expected = agent.predict(OBS, deterministic=True)[0]
    assert np.array_equal(loaded.predict(OBS, deterministic=True)[0], expected)


def test_one_seed_of_several_can_be_saved(agent, tmp_path):
    agent[1].save(tmp_path / "one.safetensors")
    loaded = DQN.load(tmp_path / "one.safetensors")
    assert loaded.seeds == (4,)
    assert np.array_equal(loaded.predict(OBS[1], deterministic=True)[0], agent.predict(OBS, deterministic=True)[0][1])


def test_a_loaded_agent_learns_on_in_the_env_it_is_given(agent, tmp_path, match_env):
    agent.save(tmp_path / "agent")
    loaded = DQN.load(tmp_path / "agent", env=match_env, train_freq=2)
    assert loaded.learn(50, reset_num_timesteps=False).num_timesteps == 150
    with pytest.raises(ValueError, match="no env to learn in"):
        DQN.load(tmp_path / "agent").learn(1)
    with pytest.raises(ValueError, match="agent was made for"):
        DQN.load(tmp_path / "agent", env=lambda: match_env(4)).learn(1)


def test_a_change_that_does_not_fit_the_weights_is_refused(agent, tmp_path):
    agent.save(tmp_path / "agent")
    for width in ((17,), (16, 16)):
        with pytest.raises(ValueError, match=r"does not hold a whole DQN, net_arch=\(1\d, ?(16)?\)"):
            DQN.load(tmp_path / "agent", net_arch=width)


def test_a_change_that_is_none_is_refused_by_its_name_and_not_as_damage(agent, tmp_path, match_env):
    agent.save(tmp_path / "agent")
    with pytest.raises(TypeError, match="no_such: no hyperparameter of DQN: known are learning_rate, "):
        DQN.load(tmp_path / "agent", no_such=1)
    with pytest.raises(ValueError, match=r"^gamma must be in"):
        DQN.load(tmp_path / "agent", gamma=2.0)
    with pytest.raises(TypeError, match=r"^batch_size must be an int"):
        DQN.load(tmp_path / "agent", batch_size="many")
    with pytest.raises(TypeError, match=r"^env must be an id"):
        DQN.load(tmp_path / "agent", env=5)


def test_loading_takes_what_the_constructor_takes(agent, tmp_path, match_env, capsys):
    agent.save(tmp_path / "agent")
    loaded = DQN.load(tmp_path / "agent", env=match_env, verbose=1, tensorboard_log=tmp_path / "log", threads=None)
    assert (loaded.verbose, loaded.tensorboard_log, loaded.threads) == (1, tmp_path / "log", None)
    loaded.learn(20)
    assert "step        20" in capsys.readouterr().out
    assert (tmp_path / "log" / "DQN_1").is_dir()
    for make in (lambda **wrong: DQN.load(tmp_path / "agent", **wrong), lambda **wrong: DQN(match_env, **wrong)):
        for wrong in ({"verbose": "loud"}, {"threads": "all"}, {"tensorboard_log": 3}):
            with pytest.raises(TypeError, match=f"{next(iter(wrong))} must be"):
                make(**wrong)


def test_a_learning_rate_that_is_a_function_must_be_given_again(match_env, tmp_path):
    DQN(match_env, **SMALL | {"learning_rate": lambda remaining: 1e-3}).save(tmp_path / "agent")
    assert DQN.load(tmp_path / "agent").predict(np.zeros(3))[0].shape == ()
    with pytest.raises(ValueError, match="learning_rate was a function"):
        DQN.load(tmp_path / "agent", env=match_env).learn(100)
    DQN.load(tmp_path / "agent", env=match_env, learning_rate=1e-3).learn(100)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        DQN.load(tmp_path / "nothing")


@pytest.mark.parametrize("keep", [0, 5, 200, -1])
def test_a_truncated_file_is_refused_by_name(agent, tmp_path, keep):
    agent.save(tmp_path / "agent")
    path = tmp_path / "agent.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"agent\.safetensors is corrupt"):
        DQN.load(path)


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_is_refused_and_not_executed(tmp_path):
    (tmp_path / "evil.safetensors").write_bytes(pickle.dumps(Bomb(str(tmp_path / "boom"))))
    with pytest.raises(ValueError, match=r"evil\.safetensors is corrupt or no safetensors file"):
        DQN.load(tmp_path / "evil")
    assert not (tmp_path / "boom").exists()


def test_a_foreign_safetensors_file_is_refused(tmp_path):
    save_file({"x": torch.zeros(3)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ValueError, match=r"foreign\.safetensors was not written by these agents"):
        DQN.load(tmp_path / "foreign")


def test_a_file_of_another_algorithm_or_without_all_arrays_is_refused(agent, tmp_path):
    arrays, facts = agent.state_dict(), facts_of(agent)
    checkpoints.write(tmp_path / "other", arrays, facts | {"algorithm": "A2C"})
    with pytest.raises(ValueError, match="holds 'A2C', not DQN"):
        DQN.load(tmp_path / "other")
    arrays.pop("q_net.0.weight")
    checkpoints.write(tmp_path / "part", arrays, facts)
    with pytest.raises(ValueError, match=r"part\.safetensors does not hold a whole DQN.*q_net\.0\.weight"):
        DQN.load(tmp_path / "part.safetensors")
    checkpoints.write(tmp_path / "empty", agent.state_dict(), {"algorithm": "DQN"})
    with pytest.raises(ValueError, match="does not hold a whole DQN"):
        DQN.load(tmp_path / "empty")


def test_facts_that_are_no_json_are_refused(tmp_path):
    save_file({}, tmp_path / "bad.safetensors", metadata={"format": checkpoints.FORMAT, "facts": "{"})
    with pytest.raises(ValueError, match="facts are not JSON"):
        checkpoints.read(tmp_path / "bad")


def test_a_failed_write_leaves_the_old_file_and_no_other(agent, tmp_path, monkeypatch):
    agent.save(tmp_path / "agent")
    old = (tmp_path / "agent.safetensors").read_bytes()
    monkeypatch.setattr(checkpoints.os, "fsync", lambda handle: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        agent.learn(10).save(tmp_path / "agent")
    assert os.listdir(tmp_path) == ["agent.safetensors"]
    assert (tmp_path / "agent.safetensors").read_bytes() == old


def test_what_reaches_the_disk_first_is_the_file_itself_and_then_its_folder(agent, tmp_path, monkeypatch):
    synced, fsync = [], os.fsync

    def record(handle):
        synced.append((os.fstat(handle).st_ino, os.fstat(handle).st_size))
        fsync(handle)

    monkeypatch.setattr(checkpoints.os, "fsync", record)
    agent.save(tmp_path / "agent")
    file = (tmp_path / "agent.safetensors").stat()
    assert synced[0] == (file.st_ino, file.st_size)
    assert [number for number, _ in synced] == [file.st_ino, tmp_path.stat().st_ino]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o007, 0o660)])
def test_the_file_has_the_mode_that_the_umask_says(umask, mode, agent, tmp_path):
    before = os.umask(umask)
    try:
        agent.save(tmp_path / "agent")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "agent.safetensors").stat().st_mode) == mode


def test_killed_writes_do_not_pile_up(agent, tmp_path):
    killed = """
import os, sys, torch
from agents.common import checkpoints
checkpoints.os.replace = lambda *paths: os._exit(9)
checkpoints.write(sys.argv[1], {"x": torch.zeros(3)}, {})
"""
    for _ in range(2):
        assert subprocess.run([sys.executable, "-c", killed, str(tmp_path / "agent")], check=False).returncode == 9
    assert len(os.listdir(tmp_path)) == 1
    agent.save(tmp_path / "agent")
    assert os.listdir(tmp_path) == ["agent.safetensors"]


def test_facts_are_plain_json(agent, tmp_path):
    checkpoints.write(tmp_path / "x", {}, facts_of(agent))
    assert checkpoints.read(tmp_path / "x")[1] == json.loads(json.dumps(facts_of(agent)))
