"""What a few labelled frames of one's own bring, cross-validated."""
