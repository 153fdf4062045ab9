"""`/docs`: the interactive description of the API, without a file from elsewhere."""
