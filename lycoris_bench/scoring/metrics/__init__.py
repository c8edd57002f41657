"""One metric a file: a pure function of arrays, its direction and encoder beside it (base.py).

The key in a study is the module's name: `registry.get("metrics", "vendi")` finds `vendi.vendi`.
"""
