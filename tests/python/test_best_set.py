"""The best GPUs by a bare matrix of numbers."""

from __future__ import annotations

import array
import copy
import pickle

import numpy as np
import nvtopo
import pytest


def test_any_buffer_of_numbers() -> None:
    rates = [[0, 9, 5, 1], [9, 0, 5, 1], [5, 5, 0, 1], [1, 1, 1, 0]]
    for kind in ("u1", "i2", "u4", "i8", "f4", "f8"):
        numbers = np.array(rates, dtype=kind)
        views = [numbers, np.asfortranarray(numbers), np.repeat(numbers, 2, axis=1)[:, ::2], numbers.data]
        for matrix in views:
            best = nvtopo.best_set(matrix, 3, objective="pair-sum")
            assert (best.gpus, best.value, best.bound, best.proven) == ([0, 1, 2], 19, 19, True)
    flat = array.array("d", [float(number) for row in rates for number in row])
    square = memoryview(flat).cast("B").cast("d", (4, 4))
    assert nvtopo.best_set(square, 2, free={1, 2, 3}, include=iter([3])).gpus == [1, 3]


def test_the_matrix_of_a_machine() -> None:
    dgx = nvtopo.preset("dgx-1-v100")
    best = nvtopo.best_set(dgx.bandwidth_matrix(), 2, free=range(8))
    assert (best.gpus, best.value) == ([0, 3], 50.0)


def test_an_unknown_pair_has_no_value() -> None:
    matrix = np.full((3, 3), np.nan)
    best = nvtopo.best_set(matrix, 2)
    assert best.gpus == [0, 1] and best.value is None and "unknown" in repr(best)
    matrix[0, 2] = matrix[2, 0] = 7.5
    best = nvtopo.best_set(matrix, 2)
    assert best.gpus == [0, 2] and best.value == 7.5
    for other in (copy.copy(best), pickle.loads(pickle.dumps(best))):
        assert other == best and hash(other) == hash(best)


def test_wrong_matrices_are_refused() -> None:
    def refused(matrix: np.ndarray, words: str, kind: type[nvtopo.NvtopoError] = nvtopo.InvalidRequestError) -> None:
        with pytest.raises(kind, match=words):
            nvtopo.best_set(matrix, 2)

    refused(np.zeros(4), "1 dimensions, not 2")
    refused(np.zeros((2, 3)), "2 rows and 3 columns")
    refused(np.array([[0.0, -1.0], [1.0, 0.0]]), "from GPU 0 to GPU 1 is -1")
    refused(np.zeros((2, 2), dtype=">f8"), "give them as float64")
    refused(np.zeros((2, 2), dtype=complex), "give them as float64")
    refused(np.zeros((1, 1)), "only 1 of 1 are free", nvtopo.UnsatisfiableError)
    # No more memory than the refusal needs.
    refused(np.broadcast_to(np.float64(1), (10**6, 10**6)), "more than the 128", nvtopo.UnsupportedError)
    with pytest.raises(TypeError):
        nvtopo.best_set([[0, 1], [1, 0]], 2)
    with pytest.raises(nvtopo.InvalidRequestError, match="no GPU 4"):
        nvtopo.best_set(np.zeros((4, 4)), 2, free=[4])
    with pytest.raises(nvtopo.InvalidRequestError, match="no objective 'ring'"):
        nvtopo.best_set(np.zeros((4, 4)), 2, objective="ring")  # type: ignore[arg-type]
