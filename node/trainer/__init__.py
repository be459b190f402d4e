"""The training script's process: the model and its optimizer, with no socket but the one to its daemon."""
