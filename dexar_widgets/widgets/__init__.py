"""Interactive views of an explanation: the one encoder, and the offline page."""
