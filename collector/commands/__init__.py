"""The subcommands of ``facetally-collector``, one module each or for a few that belong together."""
