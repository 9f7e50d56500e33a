"""The wheel works where the checkout is not."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "trading_env", "agents", "benchmarks", "course")

PROGRAM = """
import agents, benchmarks, course, gymnasium, trading_env
from agents import DQN

for package in (agents, benchmarks, course, trading_env):
    assert "fresh" in package.__file__, package.__file__
env = gymnasium.make("trading_env:TradingEnv-v0", data="us-stocks/MSFT", random_start=True, episode_length=20)
env.reset(seed=0)
env.step(2)
agent = DQN(env, learning_starts=10, seeds=2)
agent.learn(50)
print(trading_env.__version__, agent.num_timesteps)
"""


def run(*command, **options):
    result = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_the_wheel_is_whole(tmp_path):
    source, wheels, fresh = tmp_path / "source", tmp_path / "wheels", tmp_path / "fresh"
    source.mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(wheels), str(source))
    run(sys.executable, "-m", "venv", "--without-pip", str(fresh))
    python, site = fresh / "bin" / "python", next((fresh / "lib").glob("python*/site-packages"))
    (wheel,) = wheels.glob("trading_env-*.whl")
    run(*pip, "install", "--no-deps", "--target", str(site), str(wheel))
    libraries = sysconfig.get_paths()["purelib"]  # everything else, but not the checkout
    (site / "libraries.pth").write_text(f"{libraries}\n")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    version, steps = run(str(python), "-c", PROGRAM, cwd=tmp_path, env=environment).split()
    assert version in wheel.name
    assert steps == "50"
    assert "us-stocks/MSFT" in run(
        str(python), "-m", "trading_env", "data", "us-stocks/MSFT", cwd=tmp_path, env=environment
    )
    assert (site / "bin" / "trading-env").exists()
    run(str(python), "-m", "course", "copy", "dqn", cwd=tmp_path, env=environment)
    assert (tmp_path / "dqn.ipynb").exists()
