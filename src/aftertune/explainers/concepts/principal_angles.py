"""How far did directions and the spaces they span rotate?  Plain functions on arrays.  (Paper 5.2.)

1. The space: the principal angles between the spaces that two sets of directions span. They do not depend on how the
   directions lie within the space, only on its border, where the last component that was read passes into the next.
2. The direction: the angle to the best match, the direction of the other set with the largest |cosine|. A direction
   and its opposite are the same component.
3. How much of the angle of step 2 means anything: by the theorem of Davis and Kahan, in the form that needs one of the
   two spectra only (Yu, Wang and Samworth, 2015), a change of the covariance rotates a component by a sine of at most
   twice the size of the change over the distance of the component's variance to the nearest other. So components with
   nearly the same variance mix at next to no cost, and `gaps` says which they are.

Angles are in degrees, 0 to 90, and taken from sines and cosines together: the arc cosine alone loses half of the digits
of small angles, the arc sine those of angles near 90.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg

from aftertune.statistics.spread import Scores

Directions = npt.NDArray[np.floating[Any]]
Places = npt.NDArray[np.int64]


def principal_angles(first: Directions, second: Directions) -> Scores:
    """Principal angles (min(n, m),), ascending, between the spans of first (n, d_model) and second (m, d_model).

    The rows of both are orthonormal up to rounding in their precision.
    """
    larger, smaller = sorted((_orthonormal(first), _orthonormal(second)), key=len, reverse=True)
    overlap = smaller @ larger.T
    outside = linalg.qr((smaller - overlap @ larger).T, mode="r", check_finite=False)[0]
    cosines, sines = linalg.svdvals(overlap), linalg.svdvals(outside)[::-1]
    return np.asarray(np.rad2deg(np.arctan2(sines, cosines)), dtype=np.float64)


def best_matches(own: Directions, other: Directions) -> tuple[Places, Scores]:
    """For each of own (n, d_model) the place of its best match among other (m, d_model), and the angle to it."""
    left, right = _as_units(own), _as_units(other)
    cosines = left @ right.T
    places = np.abs(cosines).argmax(axis=1)
    sign = np.where(np.take_along_axis(cosines, places[:, None], axis=1) < 0, -1.0, 1.0)
    matched = sign * right[places]
    half = np.arctan2(linalg.norm(left - matched, axis=1), linalg.norm(left + matched, axis=1))
    return places, np.rad2deg(2 * half)


def share_within(directions: Directions, variances: Scores, space: Directions) -> float | None:
    """Share of the variances (n,) along directions (n, d_model) that lies in the span of space (m, d_model).

    The rows of ``space`` are orthonormal. None without any variance.
    """
    if not variances.sum():
        return None
    inside = np.square(_in_double(directions) @ _in_double(space).T).sum(axis=1)
    return min(1.0, float(variances @ inside / variances.sum()))


def gaps(variances: Scores) -> Scores:
    """Distance of each of the variances (n,), largest first, to the nearest other, as a share of its own.

    NaN where the variance is 0 or there is no other.
    """
    steps = -np.diff(variances)
    nearest = np.minimum(np.append(np.inf, steps), np.append(steps, np.inf))
    defined = (variances > 0) & np.isfinite(nearest)
    found: Scores = np.divide(nearest, variances, out=np.full(len(variances), np.nan), where=defined)
    return found


def _in_double(directions: Directions) -> Scores:
    return np.asarray(directions, dtype=np.float64)


def _orthonormal(directions: Directions) -> Scores:
    # What float32 rounded is orthonormal to 7 digits; a step of Newton's iteration doubles them, within the same span.
    rows = _in_double(directions)
    return np.asarray(1.5 * rows - 0.5 * (rows @ rows.T) @ rows)


def _as_units(directions: Directions) -> Scores:
    rows = _in_double(directions)
    return np.asarray(rows / linalg.norm(rows, axis=1, keepdims=True))
