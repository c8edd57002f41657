"""Base models: located, loaded, identified; prompts encoded as conditioning."""
