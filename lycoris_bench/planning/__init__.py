"""What a study asks for in full, what of it is stored, and what the rest takes."""
