"""The collector: receive counts over MQTT, store them as CSV, and serve them as tables, an HTTP API and a page.

It imports neither OpenCV nor TensorFlow.
"""
