import torch
from threadpoolctl import threadpool_info

from agents.common.devices import torch_threads


def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_torch_and_every_blas_use_the_given_number_of_threads_within_the_block_only():
    before = torch.get_num_threads(), blas_threads()
    assert len(before[1]) >= 2  # NumPy's, and SciPy's, which multiplies in compiled code
    for number in (2, 1):
        with torch_threads(number):
            assert torch.get_num_threads() == number
            assert set(blas_threads()) == {number}
        assert (torch.get_num_threads(), blas_threads()) == before


def test_none_changes_nothing():
    before = torch.get_num_threads(), blas_threads()
    with torch_threads(None):
        assert (torch.get_num_threads(), blas_threads()) == before
