"""whylogs: a profile a window with nothing but its KLL sketches, drift scores of profile against profile.

It has no PSI in the library; Hellinger distance, of the same bins for both profiles, stands in.
"""

import pandas as pd
import whylogs
from whylogs.core import DatasetProfileView
from whylogs.core.datatypes import Fractional
from whylogs.core.metrics import StandardMetric
from whylogs.core.resolvers import MetricSpec, ResolverSpec
from whylogs.core.schema import DeclarativeSchema
from whylogs.viz.drift.column_drift_algorithms import KS, Hellinger, calculate_drift_scores
from work import NAMES, Judge, Matrix, Scores, run


def prepare(reference: Matrix) -> Judge:
    """Profile the reference once. The default schema tracks much more and is slower; KS and Hellinger need this only."""
    spec = ResolverSpec(column_type=Fractional, metrics=[MetricSpec(StandardMetric.distribution.value)])
    schema = DeclarativeSchema([spec])

    def profile(rows: Matrix) -> DatasetProfileView:
        return whylogs.log(pandas=pd.DataFrame(rows, columns=NAMES), schema=schema).view()

    before = profile(reference)
    maps = {"ks": dict.fromkeys(NAMES, KS()), "hellinger": dict.fromkeys(NAMES, Hellinger())}

    def judge(rows: Matrix) -> Scores:
        now = profile(rows)
        found = {short: calculate_drift_scores(now, before, chosen) for short, chosen in maps.items()}
        return {short: [float(scores[name]["statistic"]) for name in NAMES] for short, scores in found.items()}

    return judge


if __name__ == "__main__":
    run("whylogs", prepare)
