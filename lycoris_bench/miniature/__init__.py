"""The small world: a renderer, concepts, a base model and encoders with their weights.

Nothing is imported here, so that a stage that only needs the renderer never loads torch.
"""
