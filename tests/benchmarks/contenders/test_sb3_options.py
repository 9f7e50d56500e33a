from dataclasses import asdict

import pytest
from stable_baselines3.common.env_util import make_vec_env

from agents.a2c import A2C
from agents.dqn import DQN
from agents.ppo import PPO
from benchmarks.contenders import sb3
from benchmarks.contenders.sb3_options import as_objects, for_sb3
from benchmarks.study.suite import Suite
from benchmarks.tasks.worlds import WORLDS


@pytest.mark.parametrize("kind", [DQN, A2C, PPO])
@pytest.mark.parametrize("env", ["CartPole-v1", "regime"])
def test_both_sides_get_the_same_hyperparameters(kind, env):
    name = kind.__name__
    mine, theirs = (Suite.read("curves").contender(side + name, env) for side in ("", "SB3 "))
    assert (mine.steps, mine.n_envs) == (theirs.steps, theirs.n_envs)
    config = kind.Config(**mine.hyperparameters)
    translated, options = for_sb3(name, asdict(config)), as_objects(theirs.hyperparameters)
    assert options.keys() <= translated.keys()
    envs = make_vec_env(WORLDS[env].spec().make, theirs.n_envs)
    model = sb3.algorithm_class(name)("MlpPolicy", envs, device="cpu", **options)
    whole = sb3.algorithm_class(name)("MlpPolicy", envs, device="cpu", **translated)
    for option in translated:
        kept = getattr(model, option, None)
        assert kept == getattr(whole, option, None) or callable(kept)
    ours = kind(WORLDS[env].spec(), n_envs=mine.n_envs, **mine.hyperparameters)
    for field in ("gamma", "n_steps", "batch_size", "n_epochs", "ent_coef", "vf_coef", "gae_lambda", "buffer_size"):
        if hasattr(ours.config, field):
            assert getattr(model, field) == getattr(ours.config, field)
    for remaining in (1.0, 0.25):
        assert model.lr_schedule(remaining) == pytest.approx(ours._learning_rate(remaining))
        if name == "PPO":
            assert model.clip_range(remaining) == pytest.approx(ours._clip_range(remaining))
    optimizer = model.policy.optimizer
    assert optimizer.defaults["eps"] == ours.optimizer.eps
    assert type(optimizer).__name__ == type(ours.optimizer).__name__
    net = ours.q_net if name == "DQN" else ours.net
    count = sum(parameter.numel() for parameter in (model.q_net if name == "DQN" else model.policy).parameters())
    assert count == net.flat.numel()


def test_an_option_that_sb3_lacks_must_be_at_its_default():
    with pytest.raises(ValueError, match="shared_network"):
        for_sb3("A2C", asdict(A2C.Config(shared_network=True)))
