"""Sites, staff accounts, and which account may see which subject; knows nothing of what subjects are asked."""
