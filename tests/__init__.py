"""What tests share, and tests that mirror the packages."""
