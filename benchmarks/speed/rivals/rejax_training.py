"""rejax's DQN and PPO on gymnax's CartPole, both compiled; run by the Python of rejax's environment.

JAX computes nothing whose result is not read: each chunk returns the whole state of training, and it is waited for.
"""

import os

from worker import on_one_core, serve

on_one_core()
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import jax  # noqa: E402  (after the flags)
from rejax import DQN, PPO  # noqa: E402

SHARED = {"env": "CartPole-v1", "skip_initial_evaluation": True}
ALGORITHMS = {
    "DQN": (
        DQN,
        {
            "agent_kwargs": {"activation": "relu"},
            "num_envs": 4,
            "num_epochs": 1,
            "batch_size": 32,
            "buffer_size": 10_000,
            "fill_buffer": 100,
            "target_update_freq": 1_000,
            "polyak": 0.0,
            "ddqn": False,
            "exploration_fraction": 0.01,
            "max_grad_norm": 10.0,
        },
    ),
    "PPO": (
        PPO,
        {
            "agent_kwargs": {"activation": "tanh"},
            "num_envs": 16,
            "num_steps": 64,
            "num_minibatches": 16,
            "num_epochs": 10,
            "max_grad_norm": 0.5,
        },
    ),
}


def training(name, seeds, steps):
    """A training that continues from chunk to chunk; counts the steps of all seeds."""
    kind, settings = ALGORITHMS[name]
    algorithm = kind.create(**SHARED, **settings, total_timesteps=steps, eval_freq=steps)
    algorithm = algorithm.replace(eval_callback=lambda algorithm, state, key: ())

    def run(state):
        return algorithm.train(train_state=state)[0]

    keys = jax.random.split(jax.random.PRNGKey(0), seeds)
    if seeds == 1:
        state, run = algorithm.init_state(keys[0]), jax.jit(run, donate_argnums=0)
    else:
        state, run = jax.vmap(algorithm.init_state)(keys), jax.jit(jax.vmap(run), donate_argnums=0)
    holder = [jax.tree.map(jax.numpy.array, state)]  # copies: network and target network begin as the same arrays

    def chunk():
        holder[0] = jax.block_until_ready(run(holder[0]))
        return steps * seeds

    return chunk


STEPS = {("DQN", 1): 8_192, ("DQN", 16): 512, ("DQN", 64): 256, ("PPO", 1): 8_192, ("PPO", 16): 1_024}

if __name__ == "__main__":
    contenders = {
        f"{name} x {seeds}": lambda name=name, seeds=seeds, steps=steps: training(name, seeds, steps)
        for (name, seeds), steps in STEPS.items()
    }
    serve(contenders, "rejax", "jax")
