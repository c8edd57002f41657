"""Images that trainers and other programs drew: found with their prompts, and scored."""
