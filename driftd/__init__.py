"""driftd as a library: `import driftd` has all of `detectors`, and the version.

>>> import driftd
>>> driftd.Reference.fit({"age": [20, 30, 40]}).names
('age',)
"""

from importlib import metadata

import detectors
from detectors import *  # noqa: F403 - what the library exports is said once, there

__version__ = metadata.version("driftd")
__all__ = ["__version__", *detectors.__all__]  # noqa: PLE0604 - names of texts
