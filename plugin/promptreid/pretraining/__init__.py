"""How the small towers in ``weights/`` were trained: on rendered people, from scratch, on two cores."""
