"""Era x content."""
