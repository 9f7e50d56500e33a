"""Without an optional package, whatever needs it says which extra installs it, and nothing else misses it."""

import subprocess
import sys
from pathlib import Path

import pytest

from agents.common.extras import REQUIRED

ROOT = Path(__file__).parents[1]
HIDING = """
import sys

class Hiding:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

HIDDEN = {hidden}
sys.meta_path.insert(0, Hiding())
"""
ENV = "import gymnasium; env = gymnasium.make('trading_env:TradingEnv-v0'{0}); env.reset(); env.step(2)"
SHEET = "import trading_env as t; t.tear_sheet(t.backtest(lambda market: market.close * 0.0), 'a.html')"
ALL = ("torch", "safetensors", "cloudpickle", "tqdm", "tyro", "rich", "tensorboard", "matplotlib", "sklearn", "arch")
ALL += ("stable_baselines3", "sb3_contrib", "pyarrow", "talib", "scipy", "threadpoolctl", "jinja2", "plotly")
NEEDS = [  # the packages that are hidden, what needs them, the extra
    ("torch", "from agents import DQN", "agents"),
    ("torch", "import agents.dqn", "agents"),
    ("scipy", "import agents", "agents"),
    ("threadpoolctl", "import agents", "agents"),
    ("safetensors", "import agents.ppo", "agents"),
    ("cloudpickle", "import agents", "agents"),
    ("tqdm", "import agents", "agents"),
    ("tyro", "import agents.base.cli", "agents"),
    ("rich", "import agents.base.cli", "agents"),
    ("tensorboard", "from agents import DQN; DQN('CartPole-v1', tensorboard_log='runs').learn(1)", "agents"),
    ("matplotlib", ENV.format(", render_mode='rgb_array'") + "; env.render()", "render"),
    ("arch", "import trading_env; trading_env.load('sp500')", "arch"),
    ("arch", "from trading_env.data import simulators; simulators.garch(n_bars=9, seed=0)", "arch"),
    ("plotly", SHEET, "report"),
    ("jinja2", SHEET, "report"),
    ("talib", ENV.format(", features=['RSI_14']"), "talib"),
    ("pyarrow", "import trading_env; open('a.parquet', 'wb').close(); trading_env.load('a.parquet')", "parquet"),
    ("skfolio", "from trading_env import load_panel; load_panel('skfolio/sp500')", "skfolio"),
    (
        "sklearn",
        "from trading_env import load_panel; from trading_env.analysis.portfolio.strategies import minimum_variance;"
        "minimum_variance(load_panel('us-stocks'))",
        "strategies",
    ),
    ("stable_baselines3", "import trading_env.sb3", "sb3"),
    ("torch", "import trading_env.integrations.feature_windows", "agents"),
    ("sklearn", "import benchmarks", "benchmarks"),
    ("matplotlib", "import benchmarks.reports.figures", "benchmarks"),
    ("stable_baselines3", "import benchmarks.contenders.sb3", "benchmarks"),
    ("ray", "from benchmarks.study.engines.on_ray import on_ray; on_ray()", "ray"),
    ("optuna", "import benchmarks.study.tuning.run", "tune"),
    ("sb3_contrib", "import benchmarks.suites.compare", "benchmarks"),
]


def run_without(hidden, code, folder):
    program = HIDING.replace("{hidden}", repr(hidden)) + code
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=folder)


@pytest.fixture(autouse=True)
def _from_the_checkout(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.mark.parametrize(("package", "code", "extra"), NEEDS)
def test_a_missing_package_is_named_with_its_extra(package, code, extra, tmp_path):
    result = run_without((package,), code, tmp_path)
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: "), result.stderr
    assert package in last
    assert f"pip install 'trading-env[{extra}]'" in last


def test_the_env_needs_no_optional_package(tmp_path):
    result = run_without(ALL, ENV.format(""), tmp_path)
    assert result.returncode == 0, result.stderr


def test_an_agent_needs_no_package_of_the_command_line(tmp_path):
    hidden = set(ALL) - set(REQUIRED)
    result = run_without(tuple(hidden), "from agents import DQN; DQN('CartPole-v1').learn(9).save('it')", tmp_path)
    assert result.returncode == 0, result.stderr
