"""What the back ends of clouds share: what can be asked, and how a prediction log comes here."""
