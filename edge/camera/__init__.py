"""Cameras and files -> grey frames with capture times."""
