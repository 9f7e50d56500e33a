"""What `import trading_env` offers without a further import."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import trading_env

MODULES = sorted(path.stem for path in Path(trading_env.__file__).parent.glob("*.py") if path.stem != "__init__")


def test_modules_load_as_attributes_when_first_used():
    code = f"""
import sys, trading_env
names = {MODULES}
assert not [name for name in names if f"trading_env.{{name}}" in sys.modules]
for name in names:
    assert getattr(trading_env, name) is sys.modules[f"trading_env.{{name}}"]
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_dir_lists_public_names_alone_and_modules_resolve_too():
    assert dir(trading_env) == sorted(trading_env.__all__)
    assert all(importlib.import_module(f"trading_env.{name}") is getattr(trading_env, name) for name in MODULES)
    for name in ("no_such_name", "__wrapped__"):
        with pytest.raises(AttributeError, match=f"module 'trading_env' has no attribute '{name}'"):
            getattr(trading_env, name)
