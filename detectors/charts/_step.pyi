from detectors.features import Bools, Floats, Ints

def side(
    events: Floats,
    rows: Floats,
    tolerated: Floats,
    usual: Floats,
    loud: Floats,
    costs: Floats,
    odds: Floats,
    dispersion: Floats,
    less: Floats,
    remembered: Floats,
    enough: Floats,
    limits: Floats,
    firing: Bools,
    sums: Floats,
    risen: Ints,
    excess: Floats,
    warm: Bools,
    found: Floats,
    certain: Bools,
    start: int,
    /,
) -> bool: ...
def advance(
    increments: Floats,
    values: Floats,
    most: Floats,
    limits: Floats,
    certain: Bools,
    firing: Bools,
    began: Ints,
    risen: Ints,
    /,
) -> bool | None: ...
def warn(
    increments: Floats,
    values: Floats,
    limits: Floats,
    quiet: Bools,
    armed: Bools,
    open: Bools,  # noqa: A002
    judged: Ints,
    /,
) -> bool: ...
