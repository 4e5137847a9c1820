"""What the back ends of clouds share: how they begin, what can be asked, how a prediction log comes here."""
