"""The web server of the page and the HTTP API."""
