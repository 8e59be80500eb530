"""From logits to tokens: verification rules, ranking, keyed noise, random streams."""
