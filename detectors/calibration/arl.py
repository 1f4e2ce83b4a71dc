"""The average run length of a CUSUM of normal deviates, and the threshold that it asks for."""

import math

DRIFT = 0.5  # standard errors taken off each point: half the lasting shift that is found soonest


def gaussian_threshold(arl: float, drift: float = DRIFT) -> float:
    """Return h of a one-sided CUSUM of standard normal points that errs once in `arl` of them (Siegmund 1985, corrected diffusion).

    ARL = (e^(2kb) - 2kb - 1) / (2k²) with b = h + 1.166.

    >>> round(gaussian_threshold(200 * 5 * 8640), 1)
    14.1
    """
    aim = 2 * drift * drift * arl
    scaled = math.log1p(aim)
    for _ in range(50):  # a contraction: each round divides the error by more than three
        scaled = math.log(aim + scaled + 1)
    return scaled / (2 * drift) - 1.166


def gaussian_arl(threshold: float, drift: float = DRIFT) -> float:
    """Return the mean number of points between false alarms at a threshold: the same formula the other way."""
    scaled = 2 * drift * (threshold + 1.166)
    return (math.expm1(scaled) - scaled) / (2 * drift * drift)
