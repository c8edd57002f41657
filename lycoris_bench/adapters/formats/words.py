"""The advice at the end of several error messages."""

ADVICE = "convert to portable, which makes plain LoRA of what it can and names the rest"
