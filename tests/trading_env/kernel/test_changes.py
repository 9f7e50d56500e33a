"""Changes to the kernel's files: every function hears of them, and a new rule reaches both envs from one place."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[3] / "trading_env"

TRADE = """
import numpy as np
from trading_env.kernel.layout import CLOSES, UNITS, new_state
from trading_env.kernel.observe import trade_rows
from trading_env.kernel.rules import Rules
rules = Rules(0.0, 0.01, 1.0, 0.0, *[0.0] * 7)
state = new_state(100.0, 0.0)[None]
trade_rows(np.array([1.0]), state, np.zeros((1, 4), np.int64), np.array([10.0]), np.array(rules))
print(state[0, UNITS] * 10.0, len(trade_rows.stats.cache_hits))
"""

EPISODE = """
import numpy as np
from trading_env import TradingEnv, TradingVectorEnv
from trading_env.kernel.rules import Rules
keywords = {"data": "us-stocks/AAPL", "actions": (0.0, 1.0)}
env, envs = TradingEnv(**keywords), TradingVectorEnv(3, **keywords)
for toll in (0.0, 0.01):
    for task in (env.task, envs.task):
        task.rules[Rules._fields.index("toll")] = toll
    env.reset(seed=0), envs.reset(seed=0)
    for action in (1, 0, 1, 0):
        alone, together = env.step(action)[4], envs.step(np.full(3, action))[4]
        assert all((together[key] == alone[key]).all() for key in alone if key != "action_mask")
    print(alone["equity"])
"""


def copy_of(tmp_path, folder=""):
    """A copy of the package, or of one folder of it in an empty package."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE / folder, tmp_path / "trading_env" / folder, ignore=ignored)
    if folder:
        (tmp_path / "trading_env" / "__init__.py").touch()
    return tmp_path / "trading_env" / "kernel"


def edit(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def run(tmp_path, code):
    kept = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    variables = {**kept, "PYTHONPATH": str(tmp_path), "NUMBA_OPT": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=variables, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    return [float(word) for word in result.stdout.split()]


def test_a_change_of_one_file_recompiles_the_functions_of_the_others(tmp_path):
    kernel = copy_of(tmp_path, "kernel")
    held = pytest.approx(100.0 / 1.01)
    assert run(tmp_path, TRADE) == [held, 0]
    assert run(tmp_path, TRADE) == [held, 1]
    edit(kernel / "rules.py", "fixed: float = 0.0", "fixed: float = 20.0")  # a default
    assert run(tmp_path, TRADE) == [pytest.approx(80.0 / 1.01), 0]
    edit(kernel / "account.py", "return -units if w == 0.0 else d", "return -units if w == 0.0 else 0.5 * d")  # code
    assert run(tmp_path, TRADE) == [pytest.approx(40.0 / 1.01), 0]


def test_a_new_rule_is_a_field_and_a_line_of_the_account_for_both_envs(tmp_path):
    kernel = copy_of(tmp_path)
    edit(
        kernel / "rules.py",
        "    reward: float = LOG_RETURN\n",
        "    reward: float = LOG_RETURN\n    toll: float = 0.0\n",
    )
    fee = "    return commission\n"
    edit(kernel / "account.py", fee, f"    commission += rules.toll * size * p\n{fee}")
    free, tolled = run(tmp_path, EPISODE)
    assert tolled == pytest.approx(free * 0.99**4, rel=1e-3)
