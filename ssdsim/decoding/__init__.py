"""The interface of decoding methods: the session, and what it may ask of draft and target."""
