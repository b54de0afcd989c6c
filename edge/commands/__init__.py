"""Implement the subcommands of ``facetally-edge``; `edge.__main__` reads their arguments."""
