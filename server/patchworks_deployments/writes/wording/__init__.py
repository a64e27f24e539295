"""What a question says of a write: three lines that are the whole deed, and what stands below them."""
