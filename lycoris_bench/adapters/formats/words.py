"""Advice that several errors end with."""

ADVICE = "convert to portable, which makes plain LoRA of what it can and names the rest"
