"""The float networks and their layers, in Keras 3."""
