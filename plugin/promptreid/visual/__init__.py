"""Pictures of a model's behaviour."""
