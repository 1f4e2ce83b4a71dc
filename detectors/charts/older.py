"""State of charts as earlier versions saved it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

SUMS = 11  # five of normal deviates, three of missing and three of unseen values
CHARTS = 7
Arrays = dict[str, NDArray[Any]]


def of_seven_charts(saved: Mapping[str, bytes], wanted: Mapping[str, NDArray[Any]]) -> Mapping[str, bytes]:
    """Return saved arrays as they are wanted now, where they were saved before the mass of rare values had charts; else the same.

    Then missing and unseen values had sums among those of normal deviates, and what is new begins as it stands in `wanted`.
    """
    if "rates_rest_odds" not in saved:
        return saved
    features = wanted["values"].shape[0]
    arrays = {
        name: np.frombuffer(saved[name], wanted[name].dtype).reshape(features, -1)
        for name in ("values", "risen", "firing", "since")
    }
    if arrays["values"].shape[1] != SUMS or arrays["firing"].shape[1] != CHARTS:
        return saved
    rates = _rates(arrays, saved, wanted, features)
    own = {name: array[:, : wanted[name].shape[1]] for name, array in arrays.items()}
    now = {name: array.tobytes() for name, array in {**wanted, **own, **rates}.items()}
    return now | {name: data for name, data in saved.items() if name in now and name not in own}


def _rates(arrays: Arrays, saved: Mapping[str, bytes], wanted: Mapping[str, NDArray[Any]], features: int) -> Arrays:
    """The rows of missing and unseen values, as rate_charts.py has them."""
    kept = {
        "up_sums": arrays["values"][:, 5:].reshape(features, 2, 3),
        "up_risen": arrays["risen"][:, 5:].reshape(features, 2, 3),
        "up_firing": arrays["firing"][:, 5:],
        "up_since": arrays["since"][:, 5:],
    }
    for part in ("level", "count", "odds", "quiet"):
        name = f"up_rest_{part}"
        kept[name] = np.frombuffer(saved[f"rates_rest_{part}"], wanted[name].dtype).reshape(features, 2)
    found = {name: wanted[name].copy() for name in kept}
    for name, array in kept.items():
        found[name][: 2 * features] = np.moveaxis(array, 1, 0).reshape(2 * features, *array.shape[2:])
    return found
