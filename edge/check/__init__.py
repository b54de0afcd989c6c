"""``facetally-edge check``: prove what of a configuration works on this device."""
