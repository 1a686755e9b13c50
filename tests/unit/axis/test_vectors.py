"""Role vectors, axis, projection and components against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from rlpersona.axis.traits import trait_scores, trait_unit, trait_vector
from rlpersona.axis.vectors import axis, cosine, pca, project, role_sd, role_vector
from rlpersona.errors import DataError


def test_a_role_vector_is_the_mean_of_what_was_kept() -> None:
    responses = [[[1.0, 2.0], [0.0, 0.0]], [[3.0, 6.0], [1.0, 1.0]], [[100.0, 0.0], [9.0, 9.0]]]
    found = role_vector(responses, [True, True, False])
    assert found is not None
    assert found.dtype == np.float32
    assert found.tolist() == [[2.0, 4.0], [0.5, 0.5]]


def test_responses_without_tokens_do_not_count_and_too_few_give_no_vector() -> None:
    responses = np.full((4, 2, 3), 7.0)
    responses[0] = np.nan
    assert role_vector(responses, least=3) is not None
    assert role_vector(responses, least=4) is None
    assert role_vector(responses, np.zeros(4, bool)) is None
    with pytest.raises(DataError, match="activations of shape"):
        role_vector(np.zeros((4, 2)))


def test_the_axis_by_hand() -> None:
    default = [[4.0, 0.0], [1.0, 1.0]]
    roles = [[[1.0, 0.0], [0.0, 1.0]], [[1.0, 4.0], [2.0, 1.0]]]
    assert axis(default, roles).tolist() == [[3.0, -2.0], [0.0, 0.0]]
    several = axis([[[3.0, 0.0], [1.0, 1.0]], [[5.0, 0.0], [1.0, 1.0]]], roles)
    assert several.tolist() == [[3.0, -2.0], [0.0, 0.0]]
    with pytest.raises(DataError, match="roles of shape"):
        axis(default, np.zeros((0, 2, 2)))


def test_projection_by_hand() -> None:
    direction = [[3.0, 4.0], [0.0, 2.0]]
    assert project([[5.0, 10.0], [7.0, -3.0]], direction).tolist() == [11.0, -3.0]
    moved = project(
        [[[5.0, 10.0], [7.0, -3.0]]], direction, origin=[[0.0, 5.0], [0.0, 1.0]], unit=[7.0, 2.0]
    )
    assert moved.tolist() == [[1.0, -2.0]]
    assert np.isnan(project([[1.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [0.0, 0.0]])[1])


def test_the_unit_of_drift_by_hand() -> None:
    roles = [[[0.0, 9.0]], [[2.0, 5.0]], [[4.0, 1.0]]]
    assert role_sd(roles, [[5.0, 0.0]]).tolist() == [2.0]
    with pytest.raises(DataError, match="no spread"):
        role_sd(roles[:1], [[5.0, 0.0]])


def test_cosine_of_a_direction_with_itself_is_exactly_one() -> None:
    directions = np.random.default_rng(0).standard_normal((200, 33))
    assert (cosine(directions, directions) == 1).all()
    assert cosine([3.0, 4.0], [4.0, -3.0]) == 0
    assert cosine([1.0, 0.0], [1.0, 1.0]) == pytest.approx(2**-0.5)


def test_components_by_hand() -> None:
    # Centred: (3, 0), (-3, 0), (0, 1), (0, -1): variances 18/3 and 2/3.
    layer = np.array([[13.0, 5.0], [7.0, 5.0], [10.0, 6.0], [10.0, 4.0]])
    found = pca(np.stack([np.zeros((4, 2)) + 1, layer], axis=1), layer=1)
    assert found.mean.tolist() == [10.0, 5.0]
    np.testing.assert_allclose(found.variance_share, [0.9, 0.1])
    np.testing.assert_allclose(found.components, np.eye(2), atol=1e-12)
    assert found.dims == {0.7: 1, 0.8: 1, 0.9: 1, 0.95: 2}
    np.testing.assert_allclose(found.transform([12.0, 4.0]), [2.0, -1.0])
    with pytest.raises(DataError, match="span no space"):
        pca(np.ones((3, 1, 4)), layer=0)


def test_components_of_few_roles_in_many_dimensions_keep_all_distances() -> None:
    roles = np.random.default_rng(1).standard_normal((9, 2, 500))
    found = pca(roles, layer=0)
    assert found.components.shape == (8, 500)
    placed = found.transform(roles[:, 0])
    assert np.linalg.norm(placed[0] - placed[5]) == pytest.approx(
        np.linalg.norm(roles[0, 0] - roles[5, 0])
    )
    assert found.variance_share.sum() == pytest.approx(1)


def test_a_planted_direction_is_recovered() -> None:
    generator = np.random.default_rng(2)
    planted = generator.standard_normal((3, 64))
    planted /= np.linalg.norm(planted, axis=-1, keepdims=True)
    vectors = []
    for shift in (2.0, *generator.normal(0, 0.3, 40)):
        responses = generator.standard_normal((400, 3, 64)) + shift * planted
        vectors.append(role_vector(responses))
    found = axis(vectors[0], np.stack(vectors[1:]))
    assert (cosine(found, planted) > 0.8).all()  # the noise of 400 responses in 64 dimensions
    sure = axis(
        np.mean([generator.standard_normal((20_000, 3, 64)).mean(0) + 2 * planted], axis=0),
        np.stack([generator.standard_normal((2_000, 3, 64)).mean(0) for _ in range(20)]),
    )
    assert (cosine(sure, planted) > 0.99).all()


def test_traits_by_hand() -> None:
    high = [[[4.0, 1.0]], [[6.0, 1.0]], [[0.0, 0.0]]]
    low = [[[1.0, 1.0]], [[3.0, 1.0]]]
    vector = trait_vector(high, low, kept_positive=[True, True, False])
    assert vector is not None
    assert vector.tolist() == [[3.0, 0.0]]
    assert trait_unit(vector).tolist() == [3.0]
    scores = trait_scores(
        [[[8.0, 5.0]]], {"polite": vector}, origin=[[2.0, 0.0]], units={"polite": [3.0]}
    )
    assert scores["polite"].tolist() == [[2.0]]
    assert trait_vector(high, low, least=3) is None
    with pytest.raises(DataError, match="no unit for trait 'polite'"):
        trait_scores([[[8.0, 5.0]]], {"polite": vector}, units={})
