"""Reads published data sets, and writes caches of labelled images and of faces."""
