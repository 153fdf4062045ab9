import numpy as np
import pytest
from pymoo.indicators.hv import HV

from search.results.hypervolume import hypervolume, hypervolume_course


def test_the_volume_of_overlapping_boxes_is_their_union() -> None:
    points = np.array([[3.0, 1.0], [2.0, 2.0], [1.0, 3.0], [1.0, 1.0], [9.0, 0.0]])
    assert hypervolume(points, np.zeros(2)) == 3 + 2 + 1
    assert hypervolume(np.array([[2.0, 3.0, 4.0]]), np.array([1.0, 1.0, 1.0])) == 1 * 2 * 3
    assert hypervolume(np.empty((0, 3)), np.zeros(3)) == 0


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_volumes_are_those_of_pymoo(count: int) -> None:
    points = np.random.default_rng(count).random((25, count)).round(1)
    expected = HV(ref_point=-np.full(count, 0.2))(-points)
    assert hypervolume(points, np.full(count, 0.2)) == pytest.approx(expected)


@pytest.mark.parametrize(("count", "error"), [(2, 1e-12), (3, 1e-12), (5, 0.02)])
def test_the_course_grows_to_the_volume_of_all_whatever_the_units(count: int, error: float) -> None:
    points = np.random.default_rng(count).random((60, count))
    points[:2] = [[0.0] * count, [0.9] * count]
    low, extent = points.min(axis=0), np.ptp(points, axis=0)
    course = list(hypervolume_course([tuple(row) for row in points * 1e6 - 3]))
    assert [index for index, _ in course][:1] == [1]
    values = [value for _, value in course]
    assert values == sorted(set(values)) and values[-1] <= 1
    expected = HV(ref_point=np.zeros(count))(-(points - low) / extent)
    assert values[-1] == pytest.approx(expected, abs=error)


def test_an_objective_without_differences_changes_nothing() -> None:
    fitness = [(0.0, 0.0, 7.0), (1.0, 0.5, 7.0), (0.5, 1.0, 7.0)]
    assert list(hypervolume_course(fitness)) == [(1, 0.5), (2, 0.75)]
    assert list(hypervolume_course([])) == []
