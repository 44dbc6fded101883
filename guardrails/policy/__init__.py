"""The policy: its language, its field catalogue, and how the file is loaded."""
