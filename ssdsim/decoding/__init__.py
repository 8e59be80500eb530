"""What a decoding method works with: its session, and what it may ask of draft and target."""
