"""Rows of a table as numbers and codes on a layout, and as the counts of one window."""

from collections.abc import Mapping

import numpy as np

from detectors.columns import Column, as_codes, as_columns, as_floats
from detectors.features import Codes, Floats
from detectors.layout import Layout
from detectors.sketches import Sketch
from detectors.spellings import CategoryCodes
from detectors.tables import TableLike, columns_of

PREDICTION = "__prediction__"


def encode(layout: Layout, columns: Mapping[str, Column]) -> tuple[Floats, Codes]:
    """Return numeric float64[n, k] and codes int32[n, c] in the layout's order; an absent column is all missing."""
    rows = next(iter(columns.values())).size if columns else 0
    numeric = np.full((rows, len(layout.numeric)), np.nan, order="F")
    for i, feature in enumerate(layout.numeric):
        if feature.name in columns:
            numeric[:, i] = as_floats(columns[feature.name])
    codes = np.empty((rows, len(layout.categorical)), dtype=np.int32, order="F")
    for j, category in enumerate(layout.categorical):
        known = CategoryCodes(category.categories)
        codes[:, j] = as_codes(columns[category.name], known) if category.name in columns else known.missing
    return numeric, codes


def encode_table(layout: Layout, data: TableLike, prediction: str | None = None) -> tuple[Floats, Codes]:
    """Return the same of a table. The column named by `prediction` is the feature `__prediction__`.

    Raises ValueError for a table without any of the features, and for one without the prediction that the layout has:
    both would look like drift.
    """
    columns = columns_of(data, [*layout.names, *([] if prediction is None else [prediction])])
    if prediction in columns:
        columns[PREDICTION] = columns.pop(prediction)
    if not columns:
        raise ValueError(f"no column of the table is a feature: the features are {', '.join(layout.names)}")
    if PREDICTION in layout.names and PREDICTION not in columns:
        raise ValueError(
            "the reference has a prediction and the table none: name its column by prediction=…, or leave it out of the "
            "reference by select()"
        )
    return encode(layout, as_columns(columns))


def window_of(layout: Layout, data: TableLike | Sketch, prediction: str | None = None) -> Sketch:
    """Return what the rows of a table count on a layout; a sketch is counted already."""
    if isinstance(data, Sketch):
        return data
    window = Sketch.empty(layout)
    window.update(*encode_table(layout, data, prediction))
    return window
