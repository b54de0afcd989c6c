"""The web server of the aiming page: TLS, one-time code, limits, routes."""
