"""The rules: plain Python, standard library only. No clock, no input or output, no framework."""
