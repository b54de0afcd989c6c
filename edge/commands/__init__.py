"""What the subcommands of ``facetally-edge`` do."""
