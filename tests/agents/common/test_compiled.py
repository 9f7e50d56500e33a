import os
import subprocess
import sys

CALLER = """
from agents.common.compiled import compiled
from callee import number


@compiled
def twice():
    return 2 * number()
"""
CALLEE = """
from agents.common.compiled import compiled


@compiled
def number():
    return {number}
"""


def test_cached_code_is_compiled_anew_when_a_function_of_another_file_that_it_calls_has_changed(tmp_path):
    (tmp_path / "caller.py").write_text(CALLER)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    for number in (3, 4, 4):
        (tmp_path / "callee.py").write_text(CALLEE.format(number=number))
        command = [sys.executable, "-c", "import caller; print(caller.twice())"]
        result = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        assert result.stdout == f"{2 * number}\n"
    assert list((tmp_path / "__pycache__").glob("caller.twice*.nbi"))
