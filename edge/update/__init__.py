"""The updater `facetally-update`: fetches signed releases, switches to them, and goes back if they do not prove healthy.

It runs beside the daemon as a user of its own, and talks to it by files only.
"""
