"""sbx's DQN and PPO on Gymnasium's CartPole; run by the Python of sbx's environment."""

import os

from worker import on_one_core, serve

on_one_core()
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import jax  # noqa: E402  (after the flags)
from sbx import DQN, PPO  # noqa: E402
from stable_baselines3.common.env_util import make_vec_env  # noqa: E402

ALGORITHMS = {
    "DQN": (
        DQN,
        4,
        {
            "buffer_size": 10_000,
            "learning_starts": 100,
            "batch_size": 32,
            "train_freq": 1,
            "gradient_steps": 1,
            "target_update_interval": 1_000,
            "exploration_fraction": 1e-6,
            "policy_kwargs": {"net_arch": [64, 64]},
        },
        2_000,
    ),
    "PPO": (
        PPO,
        16,
        {"n_steps": 64, "batch_size": 64, "n_epochs": 10, "policy_kwargs": {"net_arch": [64, 64]}},
        2_048,
    ),
}


def training(name):
    """A training that continues from chunk to chunk; counts its steps."""
    kind, n_envs, settings, steps = ALGORITHMS[name]
    model = kind("MlpPolicy", make_vec_env("CartPole-v1", n_envs), seed=0, **settings).learn(n_envs * 64)

    def chunk():
        before = model.num_timesteps
        model.learn(steps, reset_num_timesteps=False)
        jax.block_until_ready(model.policy.qf_state if name == "DQN" else model.policy.actor_state)
        return model.num_timesteps - before

    return chunk


if __name__ == "__main__":
    serve({f"{name} x 1": lambda name=name: training(name) for name in ALGORITHMS}, "sbx-rl", "jax")
