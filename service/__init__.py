"""Who asked, what is stored, what is answered."""
