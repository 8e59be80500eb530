"""What is drafted in a round: a chain or a token tree, one small file each."""
