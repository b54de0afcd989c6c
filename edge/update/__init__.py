"""The updater `facetally-update`: installs signed releases, and goes back if one does not prove healthy.

It runs beside the daemon as a user of its own, and talks to it by files only.
"""
