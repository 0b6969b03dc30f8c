"""One vendor library per file, behind our own types and errors."""
