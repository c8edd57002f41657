"""What a study file asks for: its records, settings, grid and prompts."""
