"""Who may import whom, and what importing trading_env may load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("trading_env", "agents", "benchmarks")
MAY_IMPORT = {"trading_env": {"trading_env"}, "agents": {"agents"}, "benchmarks": set(PACKAGES)}
KERNEL_ONLY = ("accounting", "caching")  # the second asks numba where it keeps what it compiles, no more


LAYERS = (  # of trading_env: a module imports only from the lines above its own, but for what a call needs
    ("caching", "checks", "extras", "frozen", "limits", "zones"),
    ("config", "rewards", "validation", "vector_args"),
    ("clocks", "layouts", "market", "metrics", "numerals", "splits", "tables", "tickers"),
    ("readers", "timecolumns"),
    ("calendars", "datasets", "frames", "indicators", "paths", "render", "scaler", "spec", "strategies"),
    ("features", "picture", "simulators"),
    ("accounting",),
    ("film", "task"),
    ("compact", "env_state", "keywords", "meaning", "turns", "whatif"),
    ("checked_state",),
    ("env",),
    ("vector_env",),
    ("sub_env",),
    ("causality", "oracle", "sb3"),
    ("reference_solvers",),
    ("reference",),
    ("reference_cfm_solution", "reference_markets", "reference_ritter", "reference_trends"),
    ("reference_cfm", "reference_moody_saffell", "reference_regime"),
)


def imported(path):
    """Top-level names of all modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_what_stands_above_them(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        wrong = (set(imported(path)) & set(PACKAGES)) - MAY_IMPORT[package]
        assert not wrong, f"{path} imports {wrong}"


def imported_at_the_top(path):
    """Names of the modules of trading_env that a file imports when it is loaded."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module == "trading_env":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("trading_env."):
            yield node.module.split(".")[1]


def test_modules_of_trading_env_import_only_from_the_layers_above_them():
    layer_of = {module: i for i, layer in enumerate(LAYERS) for module in layer}
    files = {path.stem: path for path in (ROOT / "trading_env").glob("*.py") if path.stem != "__init__"}
    assert files.keys() == layer_of.keys()
    for module, path in files.items():
        below = [name for name in imported_at_the_top(path) if layer_of[name] >= layer_of[module]]
        assert not below, f"{module} imports {below}"


def test_trading_env_and_agents_do_not_import_sb3_or_plotly_at_the_top():
    for package in ("trading_env", "agents"):
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text())
            top = ast.Module([n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)], [])
            names = {a.name.split(".")[0] for n in top.body if isinstance(n, ast.Import) for a in n.names}
            names |= {n.module.split(".")[0] for n in top.body if isinstance(n, ast.ImportFrom) and n.module}
            assert not names & {"stable_baselines3", "plotly", "matplotlib"}, path


def test_compiled_code_of_trading_env_is_in_one_file():
    users = {path.stem for path in (ROOT / "trading_env").rglob("*.py") if "numba" in set(imported(path))}
    assert users == set(KERNEL_ONLY)


def test_importing_trading_env_loads_none_of_the_heavy_libraries():
    heavy = ("torch", "matplotlib", "plotly", "stable_baselines3", "numba", "pandas", "scipy")
    code = f"import sys, trading_env; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "[]"


def test_public_names_resolve():
    import trading_env

    assert {name for name in trading_env.__all__ if getattr(trading_env, name) is None} == set()
    assert set(trading_env.__all__) <= set(dir(trading_env))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = trading_env.no_such_name
