"""NannyML's univariate drift by the hour, as its quickstart has it: Jensen-Shannon, alerts beyond 3 sd of the reference's chunks."""

import numpy as np
import pandas as pd
from alarm_work import Alarms, Column, Given, run
from nannyml import UnivariateDriftCalculator

TIME = "__time__"


def judge(given: Given) -> Alarms:
    """Fit on all rows of the reference; a chunk is an hour."""
    calculator = UnivariateDriftCalculator(
        column_names=given.names,
        timestamp_column_name=TIME,
        treat_as_categorical=sorted(given.texts),
        chunk_period="h",
    )
    calculator.fit(frame(given.reference, given.before))
    found = calculator.calculate(frame(given.live, given.now)).filter(period="analysis").data
    return np.column_stack([found[name, "jensen_shannon", "alert"].to_numpy(dtype=bool) for name in given.names])


def frame(columns: dict[str, Column], hours: Column) -> pd.DataFrame:
    """Rows with their times."""
    return pd.DataFrame({**columns, TIME: pd.Timestamp("2024-01-01") + pd.to_timedelta(hours, unit="h")})


if __name__ == "__main__":
    run("nannyml", judge)
