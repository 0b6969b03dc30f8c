"""The tests, in folders by cost."""
