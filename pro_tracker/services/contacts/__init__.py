"""The addresses and preferences of subjects; sends nothing."""
