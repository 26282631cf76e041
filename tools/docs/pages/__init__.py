"""The pages of the documentation that are made from the register: each module gives some, by their place."""
