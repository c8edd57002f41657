"""Which layers are adapted, and how: presets by name, by table and by pattern."""
