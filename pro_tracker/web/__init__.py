"""HTTP only: routes, forms, pages. What is decided, is decided in services and domain."""
