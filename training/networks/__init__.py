"""Defines the float networks and their layers in Keras 3, and loads weights into them."""
