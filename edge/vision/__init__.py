"""Frames -> face detections and expression probabilities, by int8 TFLite models."""
