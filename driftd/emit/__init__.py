r"""Predictions and labels to a topic from the code that serves: it never blocks, never raises, and counts what it drops.

The standard library alone, and a producer that the user has.

>>> from driftd.emit import Emitter
>>> sent = []
>>> emitter = Emitter(lambda topic, key, value: sent.append(value), "predictions", "churn", version="3", clock=lambda: 1763870700000)
>>> emitter.emit({"age": 41.5, "plan": "pro"}, 0.83, id="r-1")
'r-1'
>>> emitter.label("r-1", 1)
True
>>> emitter.close()
True
>>> print(*(event.decode() for event in sent), sep="\n")
{"id":"r-1","ts":1763870700000,"model":"churn","version":"3","features":{"age":41.5,"plan":"pro"},"prediction":0.83}
{"id":"r-1","ts":1763870700000,"model":"churn","label":1}
"""

from driftd.emit.emitter import Emitter

__all__ = ["Emitter"]
