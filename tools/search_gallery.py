"""Search a gallery: python tools/search_gallery.py build VECTORS --out gallery.safetensors.

``promptreid search``, by the name that it has in this checkout.
"""

from promptreid.cli import run_verb

if __name__ == "__main__":
    run_verb("search")
