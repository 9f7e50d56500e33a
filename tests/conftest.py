"""Property-based tests explore anew on every run, except in CI, where the same examples must pass for everybody."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("explore", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "explore")

ROOT = Path(__file__).parent
SLOW = {  # files that take more than about five seconds of a core; `make test-fast` leaves them out
    "agents/base/test_agent.py",
    "agents/base/test_commands.py",
    "agents/base/test_copies.py",
    "agents/base/test_policy_agents.py",
    "agents/base/processes/test_sharding.py",
    "agents/common/test_strangers.py",
    "agents/nn/test_extractors.py",
    "agents/test_a2c.py",
    "agents/test_dqn.py",
    "agents/test_dqn_options.py",
    "agents/test_ppo.py",
    "agents/test_q_learning.py",
    "agents/test_recurrent.py",
    "agents/test_reinforce.py",
    "agents/test_resume.py",
    "agents/test_td_lambda.py",
    "benchmarks/contenders/test_sb3.py",
    "benchmarks/contenders/test_workers.py",
    "benchmarks/reports/test_table.py",
    "benchmarks/reports/page/test_in_browser.py",
    "benchmarks/reports/page/test_study_page.py",
    "benchmarks/speed/test_run.py",
    "benchmarks/suites/test_certify.py",
    "benchmarks/suites/test_compare.py",
    "benchmarks/suites/test_curves.py",
    "benchmarks/study/engines/test_run.py",
    "benchmarks/study/engines/test_killed_studies.py",
    "benchmarks/study/engines/test_on_ray.py",
    "benchmarks/study/tuning/test_search_spaces.py",
    "benchmarks/study/tuning/test_run.py",
    "benchmarks/suites/test_run.py",
    "benchmarks/suites/test_wrong_lines.py",
    "benchmarks/tasks/test_families.py",
    "course/test_grading.py",
    "course/test_labs.py",
    "course/test_notebooks.py",
    "examples/test_backtest_and_decide.py",
    "examples/test_examples.py",
    "test_caching.py",
    "test_extras.py",
    "test_install.py",
    "test_known_optima.py",
    "test_readme.py",
    "trading_env/analysis/test_backtest.py",
    "trading_env/analysis/test_backtest_sb3.py",
    "trading_env/analysis/test_causality.py",
    "trading_env/analysis/test_trades.py",
    "trading_env/data/readers/test_files.py",
    "trading_env/data/test_zones.py",
    "trading_env/envs/rendering/test_render.py",
    "trading_env/envs/test_fuzz.py",
    "trading_env/envs/test_hostile_states.py",
    "trading_env/envs/test_pairwise.py",
    "trading_env/envs/test_parity.py",
    "trading_env/envs/test_turns.py",
    "trading_env/integrations/test_feature_windows.py",
    "trading_env/integrations/test_sb3.py",
    "trading_env/kernel/test_account.py",
    "trading_env/kernel/test_changes.py",
    "trading_env/live/test_decide.py",
    "trading_env/live/test_session.py",
    "trading_env/reference/test_envs.py",
    "trading_env/report/test_in_browser.py",
    "trading_env/report/test_tear_sheet.py",
    "trading_env/reference/test_optima.py",
    "test_docstrings.py",
    "test_site.py",
}


def pytest_collection_modifyitems(items):
    """Marks the tests of slow files."""
    for item in items:
        if item.path.relative_to(ROOT).as_posix() in SLOW:
            item.add_marker(pytest.mark.slow)
