"""Who may import whom: by house, by room, and never in a circle; and what importing a package may load."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOUSES = {  # what each house may import of the others
    "trading_env": set(),
    "agents": set(),
    "benchmarks": {"trading_env", "agents"},
    "course": {"trading_env", "agents", "benchmarks"},
}
ALLOWED = {"trading_env.command": {"agents"}}  # one room may import another house, inside functions alone
LAW = {  # of each house: a room imports only from rooms further down, and from its own
    "trading_env": [
        {"command"},
        {"report"},
        {"reference", "analysis", "integrations", "live"},
        {"envs"},
        {"features"},
        {"data"},
        {"config"},
        {"_checks", "_extras"},
    ],
    "agents": [{"algorithms"}, {"base"}, {"memory"}, {"nn"}, {"envs"}, {"common"}],
    "benchmarks": [
        {"suites", "speed"},
        {"reports"},
        {"study"},
        {"contenders"},
        {"forecasting"},
        {"evaluation"},
        {"statistics", "tasks"},
    ],
    "course": [
        {path.name for path in (ROOT / "course").glob("lab??_*")},
        {"grading", "notebooks"},
        {"checking", "labs", "pictures", "student"},
    ],
}
# These may open every room.
DOORS = {
    "trading_env": {"", "__main__", "sb3"},
    "agents": {""},
    "benchmarks": {"", "__main__"},
    "course": {"", "__main__"},
}
KERNEL_USERS = {"envs", "analysis", "integrations", "live", "kernel"}


@cache
def modules():
    """Module name -> file, of all houses."""
    files = [path for house in HOUSES for path in (ROOT / house).rglob("*.py") if "-" not in path.parent.name]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


@cache
def imports(module):
    """All modules that a file imports, anywhere in it, type-only imports among them; of ours by their whole name."""
    found = set()
    for node in ast.walk(ast.parse(modules()[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in modules() else node.module for name in names}
    return found - {module}


def house_of(module):
    return module.split(".")[0]


def room_of(module):
    """The folder that a module is in, or its own name at the top of its house ("" for the house itself)."""
    house, *rest = module.split(".")
    if house == "agents" and len(rest) == 1 and not (ROOT / house / rest[0]).is_dir():
        return "algorithms"
    return rest[0] if rest else ""


@pytest.mark.parametrize("house", HOUSES)
def test_a_house_imports_only_the_houses_it_may(house):
    for module in modules():
        if house_of(module) == house:
            others = {house_of(name) for name in imports(module)} & HOUSES.keys() - {house}
            allowed = HOUSES[house] | ALLOWED.get(f"{house}.{room_of(module)}", set())
            assert others <= allowed, f"{module} imports {others}"


def test_the_command_imports_agents_inside_functions_alone():
    for module, path in modules().items():
        if module.startswith(tuple(ALLOWED)):
            for node in ast.parse(path.read_text()).body:
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module] if isinstance(node, ast.ImportFrom) else []
                assert not any(house_of(name) == "agents" for name in names), module


@pytest.mark.parametrize("house", HOUSES)
def test_a_room_imports_only_rooms_below_it(house):
    level = {room: i for i, rooms in enumerate(LAW[house]) for room in rooms}
    for module in modules():
        room = room_of(module)
        if house_of(module) != house or room in DOORS[house] | {"kernel"}:
            continue
        assert room in level, f"{module} is in no room that the law knows"
        for name in imports(module):
            other = room_of(name)
            if house_of(name) != house or other in (room, "kernel", "") or name == house:
                continue
            assert level.get(other, -1) > level[room], f"{module} imports {name}"


def test_the_kernel_imports_nothing_of_ours_and_few_import_it():
    for module in modules():
        ours = {name for name in imports(module) if house_of(name) in HOUSES}
        kernel = {name for name in ours if name.startswith("trading_env.kernel")}
        if module.startswith("trading_env.kernel"):
            assert ours == kernel, f"{module} imports {ours - kernel}"
        elif kernel:
            assert house_of(module) == "trading_env", f"{module} imports {kernel}"
            assert room_of(module) in KERNEL_USERS, f"{module} imports {kernel}"


def test_no_files_import_each_other_in_a_circle():
    done, path = set(), []

    def visit(module):
        assert module not in path, f"a circle: {' -> '.join([*path[path.index(module) :], module])}"
        if module in done:
            return
        path.append(module)
        for name in sorted(imports(module) & modules().keys()):
            if modules()[name].name != "__init__.py":
                visit(name)
        done.add(path.pop())

    for module in modules():
        if modules()[module].name != "__init__.py":
            visit(module)


def test_inits_of_rooms_say_what_the_room_is_for_and_do_nothing():
    for module, path in modules().items():
        if path.name == "__init__.py" and "." in module:
            tree = ast.parse(path.read_text())
            assert ast.get_docstring(tree), f"{module} does not say what it is for"


def test_trading_env_and_agents_do_not_import_sb3_or_plotting_at_the_top():
    for module, path in modules().items():
        if house_of(module) in ("trading_env", "agents"):
            top = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
            names = {alias.name.split(".")[0] for node in top if isinstance(node, ast.Import) for alias in node.names}
            names |= {node.module.split(".")[0] for node in top if isinstance(node, ast.ImportFrom)}
            assert not names & {"stable_baselines3", "plotly", "matplotlib"}, module


def test_compiled_code_of_trading_env_is_in_the_kernel():
    users = {
        module
        for module in modules()
        if house_of(module) == "trading_env" and "numba" in {name.split(".")[0] for name in imports(module)}
    }
    assert users
    assert {room_of(module) for module in users} == {"kernel"}


def test_importing_trading_env_loads_none_of_the_heavy_libraries():
    heavy = ("torch", "matplotlib", "plotly", "stable_baselines3", "numba", "pandas", "scipy")
    code = f"import sys, trading_env; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "[]"


def test_one_step_loads_only_what_it_needs():
    later = ("envs.checked_state", "envs.what_if", "envs.rendering.replay")
    later = (*later, "data.readers", "data.panel", "features.indicators")
    code = (
        "import sys, gymnasium; env = gymnasium.make('trading_env:TradingEnv-v0', data='us-stocks/AAPL');"
        "env.reset(seed=0); env.step(1);"
        f"print([m for m in {later} if 'trading_env.' + m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "[]"


def test_public_names_resolve():
    import trading_env

    assert {name for name in trading_env.__all__ if getattr(trading_env, name) is None} == set()
    assert set(trading_env.__all__) <= set(dir(trading_env))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = trading_env.no_such_name


def test_the_slow_files_are_there():
    text = (ROOT / "tests" / "conftest.py").read_text()
    named = re.findall(r'^    "([\w/]+\.py)",', text, re.MULTILINE)
    assert named
    assert [name for name in named if not (ROOT / "tests" / name).exists()] == []
