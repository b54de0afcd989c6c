"""Vision: int8 TFLite models that detect faces in frames and classify their expressions."""
