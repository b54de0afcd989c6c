"""Cameras and files as streams of grey frames with capture times."""
