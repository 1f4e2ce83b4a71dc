"""The distributions of several features, by name."""

from collections.abc import Iterable, Iterator, Mapping

from detectors.baseline import Baseline
from detectors.distribution.drawing import svg
from detectors.distribution.shares import Distribution, distribution_of
from detectors.sketches import Sketch

STYLE = "display:grid;grid-template-columns:repeat(auto-fill,420px);gap:1rem 1.5rem"


class Distributions(Mapping[str, Distribution]):
    """Distributions by feature, in the reference's order; in a notebook all of them are drawn."""

    def __init__(self, each: Iterable[Distribution]) -> None:
        self._each = {one.feature: one for one in each}

    def __getitem__(self, feature: str) -> Distribution:
        if feature not in self._each:
            raise KeyError(f"there is no feature {feature}; there is {', '.join(self._each)}")
        return self._each[feature]

    def __iter__(self) -> Iterator[str]:
        return iter(self._each)

    def __len__(self) -> int:
        return len(self._each)

    def __repr__(self) -> str:
        return f"<Distributions of {', '.join(self._each)}>"

    def _repr_html_(self) -> str:
        """Return the drawings, as many beside each other as there is room for."""
        return f'<div style="{STYLE}">{"".join(svg(one, titled=True) for one in self.values())}</div>'


def distributions_of(baseline: Baseline, window: Sketch, names: Iterable[str] | None = None) -> Distributions:
    """Return each feature of a window beside its baseline. Raises ValueError for a name that is none."""
    window.layout.same_as(baseline.layout)
    wanted = list(baseline.names if names is None else names)
    if unknown := [name for name in wanted if name not in baseline.features]:
        raise ValueError(f"{unknown[0]} is no feature; there is {', '.join(baseline.names)}")
    return Distributions(distribution_of(baseline.features[name], window.row(name)) for name in wanted)
