"""lycoris-bench: how should this text-to-image model be fine-tuned?"""

__version__ = "0.2.0"
