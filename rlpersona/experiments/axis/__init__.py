"""The Assistant Axis: from roles to vectors."""
