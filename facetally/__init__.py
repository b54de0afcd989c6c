"""Read a store of counts with pandas, and analyse images with the shipped models.

>>> import facetally
>>> counts = facetally.load("store")
>>> facetally.summarise(counts, by="day")
>>> facetally.shares(counts)
>>> facetally.analyze("photo.jpg")

Importing the package is cheap: pandas, OpenCV and the TFLite runtime are imported by the functions that need them.
`load`, `summarise`, `shares` and `compare` need ``pip install 'facetally[collector]'``, `analyze` needs
``pip install 'facetally[edge]'``.
"""

from base.errors import FacetallyError
from facetally.images import Box, Face, analyze
from facetally.store import compare, load, shares, summarise

__all__ = ["Box", "Face", "FacetallyError", "analyze", "compare", "load", "shares", "summarise"]
