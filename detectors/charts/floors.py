"""Effect floors: changes that nobody wants to hear of, however many rows prove them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Floors:
    """Changes that nobody wants to hear of.

    `shift` and `scale` in sigma; `mass` in share of a category; `missing`, `unseen` and `rare` (a value or category that few
    rows have) in share of the rows: these must also double, or halve, or move by five points. `duplicates` same, in share of the rows with an id.
    """

    shift: float = 0.05
    scale: float = 0.05
    mass: float = 0.01
    missing: float = 0.005
    unseen: float = 0.005
    rare: float = 0.005
    duplicates: float = 0.005
